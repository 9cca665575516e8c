// SPDX-License-Identifier: GPL-2.0
/*
 * A device gets another size. To grow it may be in use:
 *
 *   worker: tables in memory reach to the new size     (meta/resize.c)
 *   requests of the driver's own: what would show in the new range becomes zeros
 *                                                      (data/discard.c)
 *   worker: L1 table and header on disk
 *   disk: the new capacity, and a uevent
 *
 * No request of others comes to the new range before the last step. After an error what has been
 * allocated for it goes back.
 *
 * To shrink it must not be open: what a page cache or a file system has of it could be written
 * while it is looked for data. Only the header changes; entries beyond the size say nothing.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/stat.h>
#include <qcow/report.h>

#include "data/request.h"
#include "device.h"
#include "layer/image.h"
#include "layer/map.h"
#include "live/operation.h"
#include "live/resize.h"
#include "meta/bitmap_resize.h"
#include "meta/resize.h"
#include "meta/worker.h"
#include "store/store.h"

/* Bytes whose entries are looked at in one go. */
#define LOOK_BYTES	(64ULL * SZ_1G)

/* Bytes of a raw data file that become zeros in one go; a multiple of any block size. */
#define ZERO_BYTES	((u64)SZ_64M)

/* A data file that is a device is as long as it is. */
static int check_data_file(const struct qcow_image *image, u64 bytes, struct qcow_report *rep)
{
	const struct file *file = image->data->file;
	u64 there = READ_ONCE(image->data->bytes);

	if (!image->geo.data_file || !file || S_ISREG(file_inode(file)->i_mode) || bytes <= there)
		return 0;
	qcow_report(rep, "new size is %llu, and the external data file is a device of %llu bytes",
		    bytes, there);
	return -ENOSPC;
}

static int resize_check(struct qcow_device *dev, u64 bytes, bool shrink, u32 *l1_entries,
			struct qcow_report *rep)
{
	struct qcow_image *image = dev->chain;
	int err = qcow_device_check_writable(dev, rep);

	if (err)
		return err;
	err = qcow_resize_check(image, bytes, queue_logical_block_size(dev->queue), shrink,
				l1_entries, rep);
	return err ?: check_data_file(image, bytes, rep);
}

/*
 * Clusters that are not mapped read as zeros in the image, and so are to read in a raw data file
 * that may have been longer. Requests write zeros only where entries do not say so: what they
 * cannot punch they would leave. What is encrypted reads as nothing in the file.
 */
static int zero_raw_data(struct qcow_image *image, const struct qcow_resizing *r)
{
	u64 end = min(r->to, READ_ONCE(image->data->bytes));
	u64 pos, part;
	int err;

	if (!qcow_image_raw_data(image) || image->crypt)
		return 0;
	for (pos = r->from; pos < end; pos += part) {
		if (fatal_signal_pending(current))
			return -EINTR;
		part = min(end, round_down(pos, ZERO_BYTES) + ZERO_BYTES) - pos;
		err = qcow_store_wipe(image->data, pos, part);
		if (err == -EOPNOTSUPP)
			err = qcow_store_zero(image->data, pos, part);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

static int resize_grow(struct qcow_device *dev, struct qcow_resizing *r, struct qcow_report *rep)
{
	int err;

	err = qcow_request_own(dev, QCOW_OWN_ZERO_BEHIND, r->from, r->zero_end - r->from);
	/* Afterwards: a punch that fails may take with it what has been written to a page cache. */
	if (!err)
		err = zero_raw_data(dev->chain, r);
	if (!err)
		err = qcow_resize_commit(dev->meta, r, rep);
	if (!err)
		return 0;
	/* The new size may be on disk after all: then what it has there must stay. */
	if (!r->is_tried)
		qcow_request_own(dev, QCOW_OWN_DROP_BEHIND, r->from, r->zero_end - r->from);
	qcow_resize_undo(dev->meta, r);
	return err;
}

/* That nothing has space in what goes; entries that say zeros may stay. */
static int check_unused(struct qcow_image *image, u64 from, u64 to, struct qcow_report *rep)
{
	struct qcow_extent ext;
	u64 pos;
	int err;

	for (pos = from; pos < to; pos += ext.len) {
		if (fatal_signal_pending(current))
			return -EINTR;
		err = qcow_map_top_wait(image, pos, min(to - pos, LOOK_BYTES), NULL, &ext);
		if (err) {
			qcow_report(rep, "guest offset %llu: cannot be looked up: error %d", pos,
				    err);
			return err;
		}
		if (ext.allocated || ext.kind == QCOW_EXTENT_COMPRESSED) {
			qcow_report(rep, "new size is %llu, and guest offset %llu is in use", from,
				    pos);
			return -EEXIST;
		}
		cond_resched();
	}
	return 0;
}

/* Nothing writes to it any more, and so it stays. */
static int resize_shrink(struct qcow_device *dev, struct qcow_resizing *r, struct qcow_report *rep)
{
	int err = qcow_device_shut(dev, rep);

	if (!err)
		err = check_unused(dev->chain, r->to, r->from, rep);
	return err ?: qcow_resize_commit(dev->meta, r, rep);
}

int qcow_device_resize_image(struct qcow_device *dev, u64 bytes, bool shrink,
			     struct qcow_report *rep)
{
	struct qcow_resizing r = { .to = bytes };
	struct qcow_bitmaps *bitmaps;
	int err;

	err = resize_check(dev, bytes, shrink, &r.l1_entries, rep);
	if (err || bytes == dev->chain->size)
		return err;
	bitmaps = &dev->meta->bitmaps;
	err = qcow_bitmaps_resize_begin(bitmaps, dev->chain, bytes, rep);
	if (err)
		return err;
	err = qcow_resize_begin(dev->meta, &r, rep);
	if (!err)
		err = r.to > r.from ? resize_grow(dev, &r, rep) : resize_shrink(dev, &r, rep);
	qcow_bitmaps_resize_end(bitmaps, dev->chain, !err);
	return err;
}

static int resize(struct qcow_device *dev, u64 bytes, bool shrink, struct qcow_report *rep)
{
	u64 from = dev->chain->size;
	int err;

	err = qcow_device_resize_image(dev, bytes, shrink, rep);
	if (err || bytes == from)
		return err;
	/* A partition may lie beyond the end: with the next open they are read anew. */
	if (bytes < from)
		set_bit(GD_NEED_PART_SCAN, &dev->disk->state);
	set_capacity_and_notify(dev->disk, bytes >> SECTOR_SHIFT);
	pr_info("%s: %llu bytes, %llu before\n", dev->name, bytes, from);
	return 0;
}

int qcow_device_resize(unsigned int index, u64 bytes, bool shrink, struct qcow_report *rep)
{
	struct qcow_device *dev = qcow_device_get(index, "resize", rep);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = resize(dev, bytes, shrink, rep);
	qcow_device_put(dev);
	return err;
}
