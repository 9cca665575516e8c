// SPDX-License-Identifier: GPL-2.0
/*
 * Requests of the driver's own to a raw image: guest bytes are written where they are in the file,
 * over what is there. Their pieces are independent of each other, and each is a work.
 */
#include <linux/blk-mq.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>

#include "data/cow.h"
#include "data/request.h"
#include "device.h"
#include "layer/image.h"
#include "layer/inflight.h"

/* Bytes that one work copies, and that it tries to share: they may have to be copied after all. */
#define RAW_BYTES	((u64)SZ_256K)
#define SHARE_BYTES	((u64)SZ_16M)

static int raw_zero(struct qcow_store *store, u64 pos, u64 len)
{
	int err = qcow_store_wipe(store, pos, len);

	return err == -EOPNOTSUPP ? qcow_store_zero(store, pos, len) : err;
}

/* What the source of the device reads. */
static int raw_copy(const struct qcow_fragment *frag, const struct qcow_image *image)
{
	struct qcow_image *source = frag->req->dev->source;
	bool share = frag->req->own == QCOW_OWN_CLONE_DOWN;
	u64 pos = frag->guest, left = frag->io.len, part;
	void *buf = kvmalloc(RAW_BYTES, GFP_NOIO);
	int err = buf ? 0 : -ENOMEM;

	for (; left && !err; pos += part, left -= part) {
		part = share ? qcow_cow_share(source, pos, image, pos, left) : 0;
		if (part)
			continue;
		part = min(left, RAW_BYTES);
		err = qcow_cow_read(source, pos, buf, part);
		if (!err)
			err = qcow_store_write_data(image->data, buf, pos, part);
	}
	kvfree(buf);
	return err;
}

static void raw_work(struct work_struct *work)
{
	struct qcow_fragment *frag = container_of(work, struct qcow_fragment, io.work);
	struct qcow_device *dev = frag->req->dev;
	unsigned int noio = memalloc_noio_save();
	struct qcow_epoch *epoch;
	int err;

	if (frag->req->own == QCOW_OWN_ZERO) {
		err = raw_zero(dev->chain->data, frag->guest, frag->io.len);
	} else {
		epoch = qcow_inflight_enter(dev->source->inflight);
		err = raw_copy(frag, dev->chain);
		qcow_inflight_leave(epoch);
	}
	memalloc_noio_restore(noio);
	qcow_fragment_end(frag, err);
}

static void raw_run(struct qcow_request *req, bool may_wait)
{
	struct qcow_fragment *frag;
	bool last = false;
	u64 len;

	while (!last) {
		frag = qcow_fragment_get(req);
		if (!frag)
			return;
		len = req->end - req->pos;
		if (req->own == QCOW_OWN_COPY_DOWN)
			len = min(len, RAW_BYTES);
		else if (req->own == QCOW_OWN_CLONE_DOWN)
			len = min(len, SHARE_BYTES);
		last = qcow_fragment_take(frag, len);
		qcow_fragment_queue(frag, raw_work);
	}
}

void qcow_request_raw(struct qcow_request *req, struct request *rq)
{
	qcow_request_start(req, rq, raw_run);
}
