// SPDX-License-Identifier: GPL-2.0
/*
 * Live operations. While one replaces tables that requests look up without a lock, the queue is
 * frozen: the requests under way end, what has been written is committed, and what reads ahead is
 * stopped; new requests wait in the block layer. Everything else of an operation runs beside them.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/sched/mm.h>
#include <qcow/report.h>

#include "compat.h"
#include "device.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "live/operation.h"
#include "meta/commit.h"
#include "meta/snapshot.h"
#include "meta/worker.h"

unsigned int qcow_device_quiesce(struct qcow_device *dev)
{
	unsigned int noio = memalloc_noio_save();

	qcow_freeze_queue(dev->queue);
	/* The first one may start the second one. */
	qcow_decompress_ahead_stop(&dev->decompress_ahead);
	qcow_readahead_stop(&dev->chain->readahead);
	return noio;
}

void qcow_device_resume(struct qcow_device *dev, unsigned int noio)
{
	qcow_unfreeze_queue(dev->queue);
	memalloc_noio_restore(noio);
}

int qcow_device_check_writable(const struct qcow_device *dev, struct qcow_report *rep)
{
	if (dev->meta)
		return 0;
	qcow_report(rep, "%s is attached read-only", dev->name);
	return -EROFS;
}

int qcow_device_check_place(const struct qcow_device *dev, const struct file *file,
			    struct qcow_report *rep)
{
	const struct inode *inode = file_inode(file);
	const struct block_device *bdev = inode->i_sb->s_bdev;

	if (S_ISBLK(inode->i_mode))
		bdev = I_BDEV(file->f_mapping->host);
	if (!bdev || bdev->bd_disk != dev->disk)
		return 0;
	qcow_report(rep, "%pD is on %s itself", file, dev->name);
	return -ELOOP;
}

int qcow_device_check_align(const struct qcow_device *dev, const struct qcow_image *image,
			    struct qcow_report *rep)
{
	u32 align = qcow_device_mem_align(image);

	if (align <= queue_dma_alignment(dev->queue) + 1)
		return 0;
	qcow_report(rep,
		    "the disk of a file takes memory aligned to %u bytes, the device was attached for %u",
		    align, queue_dma_alignment(dev->queue) + 1);
	return -EOPNOTSUPP;
}

static struct block_device *node_bdev(struct file *node)
{
	return S_ISBLK(file_inode(node)->i_mode) ? I_BDEV(node->f_mapping->host) : NULL;
}

/* The first @nr nodes. */
static void nodes_thaw(const struct qcow_freeze *freeze, u32 nr)
{
	while (nr--)
		bdev_thaw(node_bdev(freeze->nodes[nr]));
}

int qcow_device_check_nodes(const struct qcow_device *dev, const struct qcow_freeze *freeze,
			    struct qcow_report *rep)
{
	const struct block_device *bdev;
	u32 i;

	for (i = 0; i < freeze->nr; i++) {
		bdev = node_bdev(freeze->nodes[i]);
		if (bdev && bdev->bd_disk == dev->disk)
			continue;
		qcow_report(rep, "%pD is no node of %s", freeze->nodes[i], dev->name);
		return -EINVAL;
	}
	return 0;
}

int qcow_device_freeze(const struct qcow_freeze *freeze, struct qcow_report *rep)
{
	struct block_device *bdev;
	int err;
	u32 i;

	for (i = 0; i < freeze->nr; i++) {
		bdev = node_bdev(freeze->nodes[i]);
		err = bdev_freeze(bdev);
		if (!err)
			continue;
		qcow_report(rep, "%pg: its file system cannot be frozen: error %d", bdev, err);
		nodes_thaw(freeze, i);
		return err;
	}
	return 0;
}

void qcow_device_thaw(const struct qcow_freeze *freeze)
{
	nodes_thaw(freeze, freeze->nr);
}

static int snapshot_check(struct qcow_device *dev, struct qcow_snapshot_change *change,
			  bool force, struct qcow_report *rep)
{
	int err;

	if (!dev->meta) {
		qcow_report(rep, "%s: attached read-only", dev->name);
		return -EROFS;
	}
	change->block_bytes = queue_logical_block_size(dev->queue);
	if (change->action != QCOW_SNAPSHOT_APPLY)
		return 0;
	err = qcow_device_shut(dev, force ? NULL : rep);
	change->is_shut = !err;
	return force ? 0 : err;
}

/*
 * The disk has other contents, and perhaps another size. With the next open its partitions are read
 * anew, unless it is open now (@is_shut: it is not).
 */
static void device_changed(struct qcow_device *dev, bool is_shut)
{
	invalidate_bdev(dev->disk->part0);
	if (is_shut)
		set_bit(GD_NEED_PART_SCAN, &dev->disk->state);
	set_capacity_and_notify(dev->disk, dev->chain->size >> SECTOR_SHIFT);
}

/* In the pause. */
static int snapshot_put_in_place(struct qcow_device *dev, struct qcow_snapshot_job *job)
{
	unsigned int noio = qcow_device_quiesce(dev);
	int err;

	err = qcow_commit_wait(dev->meta);
	if (!err)
		err = qcow_snapshot_finish(job);
	qcow_device_resume(dev, noio);
	return err;
}

/* Which snapshots there are changes, and what is attached of them is not. */
static int snapshot_finish(struct qcow_device *dev, struct qcow_snapshot_job *job,
			   struct qcow_report *rep)
{
	int err = qcow_layer_begin_change(dev->chain);

	if (err) {
		qcow_report(rep, "%s: a snapshot of it is just being attached", dev->name);
		return err;
	}
	err = snapshot_put_in_place(dev, job);
	qcow_layer_end_change(dev->chain);
	return err;
}

static int snapshot_run(struct qcow_device *dev, struct qcow_snapshot_change *change,
			const struct qcow_freeze *freeze, struct qcow_report *rep)
{
	struct qcow_snapshot_job *job = qcow_snapshot_begin(dev->meta, change, rep);
	int err;

	if (IS_ERR(job))
		return PTR_ERR(job);
	err = qcow_snapshot_prepare(job);
	if (!err)
		err = qcow_device_freeze(freeze, rep);
	if (!err) {
		/* Freezing has written back what was dirty. */
		err = qcow_snapshot_catch_up(job) ?: snapshot_finish(dev, job, rep);
		if (!err && change->action == QCOW_SNAPSHOT_APPLY)
			device_changed(dev, change->is_shut);
		qcow_device_thaw(freeze);
	}
	qcow_snapshot_end(job);
	return err;
}

int qcow_device_snapshot(unsigned int index, struct qcow_snapshot_change *change,
			 const struct qcow_freeze *freeze, bool force, struct qcow_report *rep)
{
	struct qcow_device *dev = qcow_device_get(index, "snapshot", rep);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = snapshot_check(dev, change, force, rep);
	if (!err)
		err = qcow_device_check_nodes(dev, freeze, rep);
	if (!err)
		err = snapshot_run(dev, change, freeze, rep);
	if (!err)
		qcow_device_announce(dev);
	qcow_device_put(dev);
	return err;
}
