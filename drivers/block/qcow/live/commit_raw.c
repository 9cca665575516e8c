// SPDX-License-Identifier: GPL-2.0
/*
 * What the active image of a device in use has goes into a raw backing file, the base, on which the
 * image stays.
 *
 *   the base opened once more, to be written to; as long as the disk, durably
 *   queue frozen:  it takes the place of the base that is only read; from now on it is noted what
 *     requests write
 *   part by part of the disk, until the image has none of it, or requests write as much again:
 *     copied down, over what the base has there; the base is durable
 *     queue frozen:  the image drops what no request has written to since it was copied
 *   what has been dropped is committed
 *   the base is a read-only layer again
 *
 * A raw file has no header that could make all of it valid at once, nor a place for it beside what
 * is there. But the image covers each byte that changes in the base, until that is durable; and it
 * drops what it has as a discard does, in any order with other writes to its tables. So at every
 * instant, and after a power cut, the same is read through the image. By its own name the base has
 * a part of it until the end.
 *
 * A request writes in place without a word to the task that commits, and is noted when it ends. So
 * only while none is under way it is known which clusters are as they were copied.
 *
 * To go on with the base was considered: a device on a raw file is the loop driver's.
 */
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <qcow/report.h>

#include "data/request.h"
#include "device.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "live/commit_backing.h"
#include "live/commit_raw.h"
#include "live/copy_down.h"
#include "live/copy_run.h"
#include "live/operation.h"
#include "live/reopen.h"
#include "meta/commit.h"
#include "meta/track.h"
#include "store/store.h"

/* Clusters that a part of the disk has, which are dropped in one pause. */
#define PART_CLUSTERS	16384

/**
 * struct raw_commit - a commit on its way
 * @dev: the device
 * @base: its backing file, that can be written to
 * @into: requests to @base
 * @from: requests to the active image while the queue is frozen
 * @track: what has been written to since it was copied; in the beginning all
 * @part_bytes: bytes of a part of the disk
 * @rep: says what is wrong
 */
struct raw_commit {
	struct qcow_device *dev;
	struct qcow_image *base;
	struct qcow_device *into;
	struct qcow_device *from;
	struct qcow_track *track;
	u64 part_bytes;
	struct qcow_report *rep;
};

/**
 * struct settling - a file that becomes longer and durable
 * @work: does it: a process has limits, and signals
 * @store: the file
 * @bytes: that it has at least
 * @err: how it has ended
 */
struct settling {
	struct work_struct work;
	struct qcow_store *store;
	u64 bytes;
	int err;
};

static void settle_work(struct work_struct *work)
{
	struct settling *settling = container_of(work, struct settling, work);
	struct qcow_store *store = settling->store;

	if (store->bytes < settling->bytes)
		settling->err = qcow_store_resize(store, settling->bytes, settling->bytes);
	if (!settling->err)
		settling->err = qcow_store_flush(store);
}

static int settle(const struct raw_commit *c, u64 bytes)
{
	struct settling settling = { .store = c->base->data, .bytes = bytes };

	INIT_WORK_ONSTACK(&settling.work, settle_work);
	queue_work(c->dev->wq, &settling.work);
	flush_work(&settling.work);
	destroy_work_on_stack(&settling.work);
	return settling.err;
}

static int lengthen_base(const struct raw_commit *c)
{
	u64 was = c->base->data->bytes, bytes = c->dev->chain->size;
	int err = settle(c, bytes);

	if (err)
		qcow_report(c->rep, "the backing file, of %llu bytes, cannot have %llu: error %d",
			    was, max(was, bytes), err);
	else
		c->base->size = max(c->base->size, bytes);
	return err;
}

static void replace_base(const struct raw_commit *c)
{
	struct qcow_device *dev = c->dev;
	struct qcow_image *old = dev->chain->backing;
	unsigned int noio = qcow_device_quiesce(dev);

	down_write(&dev->chain_lock);
	qcow_layer_stack(dev->chain, c->base);
	dev->track = c->track;
	up_write(&dev->chain_lock);
	qcow_device_resume(dev, noio);
	qcow_layer_put(old);
}

static void end_writing(const struct raw_commit *c, struct qcow_reopened *again)
{
	struct qcow_device *dev = c->dev;
	unsigned int noio = qcow_device_quiesce(dev);

	down_write(&dev->chain_lock);
	dev->track = NULL;
	up_write(&dev->chain_lock);
	qcow_device_resume(dev, noio);
	qcow_reopen_end_writing(dev, c->base, again);
}

/* Requests that write to it from now on note it again. */
static void clear_notes(struct qcow_track *track, u64 guest, u64 end)
{
	u64 len;

	while (qcow_track_next(track, &guest, &len) && guest < end) {
		len = min(len, end - guest);
		qcow_track_take(track, &guest, &len);
		guest += len;
	}
}

/* Whole clusters of a range; the last one of the disk need not be full. */
static int drop_clusters(const struct raw_commit *c, u64 guest, u64 end)
{
	const struct qcow_image *top = c->dev->chain;
	u64 cluster = qcow_cluster_bytes(&top->geo);

	guest = round_up(guest, cluster);
	if (end < top->size)
		end = round_down(end, cluster);
	if (guest >= end)
		return 0;
	return qcow_request_own(c->from, QCOW_OWN_DROP_COPIED, guest, end - guest);
}

/* In a pause: what of a range has no notes. */
static int drop_copied(const struct raw_commit *c, u64 guest, u64 end)
{
	u64 written, len;
	int err = 0;

	for (; guest < end && !err; guest = written + len) {
		written = guest;
		if (!qcow_track_next(c->track, &written, &len) || written >= end) {
			written = end;
			len = 0;
		}
		err = drop_clusters(c, guest, written);
	}
	return err;
}

static int drop_part(const struct raw_commit *c, u64 guest, u64 end)
{
	unsigned int noio;
	int err = settle(c, 0);

	if (err) {
		qcow_report(c->rep, "what has been copied cannot be made durable: error %d", err);
		return err;
	}
	noio = qcow_device_quiesce(c->dev);
	err = drop_copied(c, guest, end);
	qcow_device_resume(c->dev, noio);
	if (err && err != -EINTR)
		qcow_report(c->rep, "guest offset %llu: the image cannot drop it: error %d", guest,
			    err);
	return err;
}

static int commit_part(const struct raw_commit *c, u64 guest, u64 end)
{
	struct qcow_image *top = c->dev->chain;
	struct qcow_copy_run copied;
	int err;

	qcow_copy_run_begin(&copied, c->into, &c->dev->progress, c->rep);
	clear_notes(c->track, guest, end);
	end = min(end, top->size);
	err = qcow_copy_down_range(&copied, top, guest, end);
	if (!err)
		err = qcow_copy_run_flush(&copied);
	/* Nothing: the image has nothing there. */
	if (!err && copied.end)
		err = drop_part(c, guest, end);
	return err;
}

/* Each part that has notes. */
static int commit_round(const struct raw_commit *c)
{
	u64 guest = 0, len;
	int err = 0;

	while (!err && qcow_track_next(c->track, &guest, &len)) {
		guest = round_down(guest, c->part_bytes);
		err = commit_part(c, guest, guest + c->part_bytes);
		guest += c->part_bytes;
	}
	return err;
}

/* Until nothing is left, or not half as much as before. */
static int commit_all(const struct raw_commit *c)
{
	u64 left = qcow_track_bytes(c->track), before;
	int err;

	do {
		before = left;
		err = commit_round(c);
		left = qcow_track_bytes(c->track);
	} while (!err && left && left < before / 2);
	return err ?: qcow_device_finish_job(c->dev);
}

/* What has been dropped is gone, and its space on the way back. */
static int commit_drops(const struct raw_commit *c)
{
	int err = qcow_commit_wait(c->dev->meta);

	if (err)
		qcow_report(c->rep, "what has been dropped cannot be made durable: error %d", err);
	return err;
}

static int commit_run(const struct raw_commit *c, struct qcow_commit_parts *parts)
{
	int err = lengthen_base(c);

	if (err)
		return err;
	replace_base(c);
	parts->is_below = true;
	err = commit_all(c);
	if (!err)
		err = commit_drops(c);
	end_writing(c, &parts->again);
	if (err == -ECANCELED)
		qcow_report(c->rep, "%s: %s has been cancelled", c->dev->name,
			    c->dev->progress.what);
	if (!err)
		pr_info("%s: committed into its raw backing file\n", c->dev->name);
	return err;
}

static int create_track(struct raw_commit *c)
{
	const struct qcow_image *top = c->dev->chain;
	u64 bytes = (u64)PART_CLUSTERS << top->geo.cluster_bits;

	c->track = qcow_track_create(top->size);
	if (!c->track) {
		qcow_report(c->rep, "no memory to note what is written");
		return -ENOMEM;
	}
	qcow_track_mark(c->track, 0, top->size);
	c->part_bytes = max(min(bytes, QCOW_COPY_LOOK_BYTES), BIT_ULL(c->track->bits));
	return 0;
}

int qcow_commit_raw_run(struct qcow_device *dev, struct qcow_commit_parts *parts,
			struct qcow_report *rep)
{
	struct raw_commit c = { .dev = dev, .base = parts->base, .rep = rep };
	int err = create_track(&c);

	if (err)
		return err;
	c.from = qcow_device_create_inner(dev, dev->chain, dev->meta, rep);
	if (IS_ERR(c.from)) {
		err = PTR_ERR(c.from);
		goto destroy_track;
	}
	c.into = qcow_device_create_inner(dev, c.base, NULL, rep);
	if (IS_ERR(c.into)) {
		err = PTR_ERR(c.into);
		goto destroy_from;
	}
	c.into->source = dev->chain;
	err = commit_run(&c, parts);
	qcow_device_destroy_inner(c.into);
destroy_from:
	qcow_device_destroy_inner(c.from);
destroy_track:
	qcow_track_destroy(c.track);
	return err;
}
