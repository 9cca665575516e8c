// SPDX-License-Identifier: GPL-2.0
/*
 * External snapshots of a device in use: its active image becomes a read-only layer, which other
 * chains may contain, and an empty overlay takes its place.
 *
 *   the overlay opened, its metadata worker made; the files of the image opened once more, to read
 *   what has been written is committed, so that little is left for the pause
 *   queue frozen:  the rest is committed; the chain gets its new top
 *   the old worker ends: the image is as a detach leaves it
 *   queue frozen:  the image is read from the other descriptors
 *   the old descriptors are closed, and with them locks to write go; the layer is shared
 *
 * Until the new top is there, whatever fails leaves the device as it was. From then on nothing can
 * fail that matters: all that the image has is durable. Space that was reserved in it may leak, and
 * it may stay this device's alone until the detach.
 *
 * What an overlay writes is never durable before all that lies below: the commit in the pause ends
 * with a flush of the image, and no write goes to the overlay before.
 *
 * One pause instead of two was considered. Ending the worker takes several commits, reclaims and
 * a truncation, and the device need not wait for that: nobody looks for what is freed there.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <qcow/report.h>

#include "device.h"
#include "files.h"
#include "keys.h"
#include "layer/cache.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "live/operation.h"
#include "live/overlay.h"
#include "live/reopen.h"
#include "meta/commit.h"
#include "meta/worker.h"
#include "store/store.h"

/* What shows through must be all of the disk, at its place. */
static int check_top(const struct qcow_device *dev, const struct qcow_image *top,
		     struct qcow_report *rep)
{
	u32 i;

	if (top->size != dev->chain->size) {
		qcow_report(rep, "size of the overlay: %llu, must be that of the device, %llu",
			    top->size, dev->chain->size);
		return -EINVAL;
	}
	for (i = 0; i < top->l1_entries; i++) {
		if (top->l1[i]) {
			qcow_report(rep, "the overlay is not empty: L1 entry %u is 0x%llx", i,
				    be64_to_cpu(top->l1[i]));
			return -EINVAL;
		}
	}
	return qcow_device_check_align(dev, top, rep);
}

/* The queue is frozen. */
static void replace_top(struct qcow_device *dev, struct qcow_overlay_parts *parts,
			struct qcow_meta *meta)
{
	/* I/O of the device is that of the new worker. */
	dev->chain->inflight = NULL;
	qcow_layer_stack(parts->top, dev->chain);
	qcow_decompress_ahead_init(&dev->decompress_ahead, parts->top);

	down_write(&dev->chain_lock);
	dev->chain = parts->top;
	dev->depth++;
	dev->meta = meta;
	swap(dev->files, parts->files);
	swap(dev->nr_files, parts->nr_files);
	memcpy(dev->ids, parts->ids, sizeof(dev->ids));
	up_write(&dev->chain_lock);
	qcow_image_attached(parts->top, disk_devt(dev->disk));
}

/* The first pause. Return: 0, or -errno: all is as before. */
static int take_top(struct qcow_device *dev, struct qcow_overlay_parts *parts,
		    struct qcow_meta *meta, const struct qcow_freeze *freeze,
		    struct qcow_report *rep)
{
	unsigned int noio;
	int err;

	err = qcow_device_freeze(freeze, rep);
	if (err)
		return err;
	err = qcow_commit_wait(dev->meta);
	if (!err) {
		noio = qcow_device_quiesce(dev);
		err = qcow_commit_wait(dev->meta);
		if (!err)
			replace_top(dev, parts, meta);
		qcow_device_resume(dev, noio);
	}
	qcow_device_thaw(freeze);
	if (err)
		qcow_report(rep, "%s: what has been written cannot be made durable: error %d",
			    dev->name, err);
	return err;
}

int qcow_overlay_run(struct qcow_device *dev, struct qcow_overlay_parts *parts,
		     const struct qcow_freeze *freeze, struct qcow_report *rep)
{
	struct qcow_meta *old_meta = dev->meta;
	struct qcow_image *old = dev->chain;
	struct qcow_meta *meta;
	int err;

	err = check_top(dev, parts->top, rep);
	if (err)
		return err;
	meta = qcow_meta_create(parts->top, false, rep);
	if (IS_ERR(meta))
		return PTR_ERR(meta);
	err = take_top(dev, parts, meta, freeze, rep);
	if (err) {
		qcow_meta_destroy(meta);
		return err;
	}
	err = qcow_meta_retire(old_meta);
	if (err)
		pr_warn("%s: the layer below the overlay may have leaked space: error %d\n",
			dev->name, err);
	/* The second pause: @old is only read from now on. */
	qcow_reopen_end_writing(dev, old, &parts->again);
	pr_info("%s: an overlay, %u layers\n", dev->name, dev->depth);
	return 0;
}

/* What the device has been attached with, and the overlay's file in front. */
static int make_files(struct qcow_overlay_parts *parts, struct file *top,
		      const struct qcow_open_layer *below, const struct qcow_device *dev)
{
	int err = qcow_files_read_id(top, &parts->ids[0]);

	if (err)
		return err;
	parts->nr_files = dev->nr_files + 2;
	parts->files = kvcalloc(parts->nr_files, sizeof(*parts->files), GFP_KERNEL);
	if (!parts->files)
		return -ENOMEM;
	parts->files[0] = top;
	parts->files[2] = below->image;
	parts->files[3] = below->data;
	memcpy(parts->files + 4, dev->files + 2, (dev->nr_files - 2) * sizeof(*dev->files));
	return 0;
}

/* @key: of the overlay, or NULL. */
static int open_top(struct qcow_device *dev, struct qcow_overlay_parts *parts,
		    struct file *file, const struct qcow_volume_key *key, struct qcow_report *rep)
{
	struct qcow_image *old = dev->chain;
	struct qcow_open_layer layer = {
		.image = file,
		.p = {
			.image = {
				.writable = true,
				.snapshot = QCOW_ACTIVE_STATE,
				.cache_bytes = READ_ONCE(old->cache->limit),
				.l1_bytes_below = old->l1_bytes,
				.key = key,
			},
			.direct = qcow_layer_direct(old),
			.wq = dev->wq,
		},
	};
	struct qcow_image *top = qcow_files_open_layer(&layer, dev->name, rep);

	if (top == ERR_PTR(-EBUSY))
		qcow_device_report_busy(&file, 1, true, NULL, rep);
	if (IS_ERR(top))
		return PTR_ERR(top);
	parts->top = top;
	return 0;
}

static int overlay_check(const struct qcow_device *dev, struct qcow_report *rep)
{
	int err = qcow_device_check_writable(dev, rep);

	if (err)
		return err;
	if (dev->depth >= QCOW_MAX_LAYERS) {
		qcow_report(rep, "%s has %u layers, and cannot have more", dev->name, dev->depth);
		return -EINVAL;
	}
	return 0;
}

static int overlay(struct qcow_device *dev, const struct qcow_overlay *args,
		   const struct qcow_volume_key *key, const struct qcow_freeze *freeze,
		   struct qcow_report *rep)
{
	struct qcow_overlay_parts parts = {};
	struct qcow_open_layer below = {};
	struct file *top = NULL;
	int err;

	err = overlay_check(dev, rep);
	if (!err)
		err = qcow_device_check_nodes(dev, freeze, rep);
	if (!err)
		err = qcow_files_get(&top, args->overlay_fd, true, rep);
	if (!err)
		err = qcow_device_check_place(dev, top, rep);
	if (!err)
		err = qcow_reopen_get(&below, dev, 0, args->image_fd, args->data_fd, false, rep);
	if (!err)
		err = make_files(&parts, top, &below, dev);
	if (!err)
		err = open_top(dev, &parts, top, key, rep);
	if (!err)
		err = qcow_reopen_to_read(&below, dev->chain, &parts.again, rep);
	if (!err)
		err = qcow_overlay_run(dev, &parts, freeze, rep);
	if (!err) {
		qcow_reopen_share(dev, dev->chain->backing, &below);
		/* The device has them now, and @parts what it has had. */
		top = NULL;
		below.image = parts.files[0];
		below.data = parts.files[1];
	} else {
		qcow_layer_put(parts.top);
	}
	qcow_reopened_destroy(&parts.again);
	kvfree(parts.files);
	qcow_reopen_put(&below);
	if (top)
		fput(top);
	return err;
}

int qcow_device_overlay(const struct qcow_overlay *args, const struct qcow_freeze *freeze,
			struct qcow_report *rep)
{
	struct qcow_volume_key *key = qcow_keys_get(&args->key, 1, rep);
	struct qcow_device *dev;
	int err;

	if (IS_ERR(key))
		return PTR_ERR(key);
	dev = qcow_device_get(args->index, "overlay", rep);
	err = PTR_ERR_OR_ZERO(dev);
	if (!err) {
		err = overlay(dev, args, qcow_keys_of(key, 0), freeze, rep);
		if (!err)
			qcow_device_announce(dev);
		qcow_device_put(dev);
	}
	qcow_keys_put(key, 1);
	return err;
}
