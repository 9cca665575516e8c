// SPDX-License-Identifier: GPL-2.0
/*
 * Reads: walk a request's guest range through map.c and turn every extent into zeros, one
 * I/O of a store, or a copy out of a decompressed cluster or of bytes that no I/O can bring
 * straight in. What is encrypted is decrypted after it has been read.
 *
 *   qcow_request_read -> read_run -+-> zeros
 *        (submitter)        ^      +-> submit_data -> store --------+-> fragment_end
 *                           |      +-> fragment_decompress (worker) ---+
 *   request_work, slice ----+      +-> fragment_copy (worker) ------+
 *   missing (worker)
 */
#include <linux/blk-mq.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "device.h"
#include "layer/image.h"
#include "layer/decompress.h"
#include "data/crypt.h"
#include "data/request.h"
#include "trace.h"

/* Bytes that fragment_copy() moves at once. */
#define COPY_BYTES		(64U << 10)

/*
 * Bytes that no I/O can bring straight in: misaligned ones, and the last cluster of a file
 * that ends within it.
 */
static int fragment_copy_bytes(struct qcow_fragment *frag, void *buf)
{
	struct iov_iter iter = frag->io.iter;
	u64 pos, part;

	for (pos = 0; pos < frag->io.len; pos += part) {
		int err;

		part = min_t(u64, frag->io.len - pos, COPY_BYTES);
		err = qcow_data_read(frag->map.image, frag->guest + pos, frag->map.ext.host + pos,
				     buf, part);
		if (err)
			return err;
		if (copy_to_iter(buf, part, &iter) != part)
			return -EFAULT;
	}
	return 0;
}

static void fragment_copy(struct work_struct *work)
{
	struct qcow_fragment *frag = container_of(work, struct qcow_fragment, io.work);
	unsigned int noio = memalloc_noio_save();
	void *buf = kvmalloc(COPY_BYTES, GFP_NOIO);
	struct qcow_identity identity;
	int err;

	qcow_identity_assume(&identity, blk_mq_rq_from_pdu(frag->req)->bio);
	err = buf ? fragment_copy_bytes(frag, buf) : -ENOMEM;
	qcow_identity_drop(&identity);
	kvfree(buf);
	memalloc_noio_restore(noio);
	qcow_fragment_end(frag, err);
}

/* Copy a fragment out of its decompressed cluster. */
static void fragment_copy_cluster(struct qcow_fragment *frag, struct qcow_cluster *cluster)
{
	u64 mask = qcow_cluster_bytes(&frag->map.image->geo) - 1;
	struct iov_iter iter = frag->io.iter;
	size_t copied;

	copied = copy_to_iter(cluster->data + (frag->guest & mask), frag->io.len, &iter);
	qcow_decompress_put(cluster);
	qcow_fragment_end(frag, copied == frag->io.len ? 0 : -EFAULT);
}

static void fragment_decompress(struct work_struct *work)
{
	struct qcow_fragment *frag = container_of(work, struct qcow_fragment, io.work);
	struct qcow_identity identity;
	struct qcow_cluster *cluster;
	int err;

	/* All readers share the cluster, and the first one pays for it. */
	qcow_identity_assume(&identity, blk_mq_rq_from_pdu(frag->req)->bio);
	err = qcow_decompress_load(frag->map.image, &frag->map.ext, &frag->waiter, &cluster);
	qcow_identity_drop(&identity);
	if (err == -EINPROGRESS)
		return;
	if (err)
		qcow_fragment_end(frag, err);
	else
		fragment_copy_cluster(frag, cluster);
}

static void fragment_wake(struct qcow_waiter *waiter)
{
	struct qcow_fragment *frag = container_of(waiter, struct qcow_fragment, waiter);

	queue_work(frag->req->dev->wq, &frag->io.work);
}

static void submit_compressed(struct qcow_fragment *frag)
{
	struct qcow_device *dev = frag->req->dev;
	struct qcow_cluster *cluster;

	qcow_decompress_ahead_note(&dev->decompress_ahead, &frag->map, frag->guest);
	cluster = qcow_decompress_find(frag->map.image, frag->map.ext.host);
	if (cluster) {
		fragment_copy_cluster(frag, cluster);
		return;
	}
	frag->waiter.wake = fragment_wake;
	qcow_fragment_queue(frag, fragment_decompress);
}

static void submit_data(struct qcow_fragment *frag)
{
	struct qcow_store *store = frag->map.image->data;
	u64 host = frag->map.ext.host;

	if (unlikely(!qcow_fragment_fits(store, &frag->io.iter, host, frag->io.len))) {
		qcow_fragment_queue(frag, fragment_copy);
		return;
	}
	qcow_fragment_prepare(frag, store, host, false);
	qcow_fragment_submit_read(frag);
}

/*
 * Take over the request's own reference with the last fragment: most have just one. True when
 * the request is not the caller's any more: that was the last, or it goes on elsewhere.
 */
static bool read_fragment(struct qcow_request *req, const struct qcow_mapping *map)
{
	struct qcow_fragment *frag = qcow_fragment_get(req);
	u64 len = map->ext.len;
	bool last;

	if (unlikely(!frag))
		return true;
	frag->map = *map;
	if (map->ext.kind == QCOW_EXTENT_DATA)
		len = qcow_crypt_piece(map->image, len);
	trace_qcow_map(req, len, map->ext.kind, map->image, map->ext.host);
	last = qcow_fragment_take(frag, len);

	if (map->ext.kind == QCOW_EXTENT_COMPRESSED)
		submit_compressed(frag);
	else
		submit_data(frag);
	return last;
}

/* What one entry or one slice maps fails; what follows may be whole. */
static void read_bad(struct qcow_request *req, u64 len, int err)
{
	qcow_request_fail(req, req->pos, len, err);
	qcow_request_skip(req, len);
}

static int read_map(struct qcow_request *req, bool may_wait, struct qcow_mapping *map)
{
	struct qcow_image *top = req->dev->chain;
	u64 len = iov_iter_count(&req->iter);

	if (may_wait)
		return qcow_map_wait(top, req->pos, len, &req->waiter, map);
	return qcow_map_try(top, req->pos, len, map);
}

static void read_run(struct qcow_request *req, bool may_wait)
{
	struct qcow_mapping map;
	int err;

	while (req->pos < req->end) {
		if (!iov_iter_count(&req->iter))
			qcow_request_next_bio(req);

		err = read_map(req, may_wait, &map);
		if (err == -EAGAIN) {
			queue_work(req->dev->wq, &req->work);
			return;
		}
		if (err == -EINPROGRESS)
			return;
		if (unlikely(err)) {
			read_bad(req, map.ext.len, err);
		} else if (map.ext.kind == QCOW_EXTENT_ZERO) {
			trace_qcow_map(req, map.ext.len, map.ext.kind, map.image, map.ext.host);
			iov_iter_zero(map.ext.len, &req->iter);
			req->pos += map.ext.len;
		} else if (read_fragment(req, &map)) {
			return;
		}
	}
	qcow_request_put(req);
}

void qcow_request_read(struct qcow_request *req, struct request *rq)
{
	qcow_request_start(req, rq, read_run);
}
