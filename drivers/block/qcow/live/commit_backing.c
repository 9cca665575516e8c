// SPDX-License-Identifier: GPL-2.0
/*
 * What the active image of a device in use has goes into its backing file, the base, and the device
 * goes on with that.
 *
 *   the base opened once more, to be written to; its metadata worker made; a queue of its own
 *   queue frozen:  the base that can be written to takes the place of the one that is only read; it
 *     gets the size of the disk, and zeros there; from now on it is noted what requests write
 *   copied down: what the active image has, then what has been written meanwhile (copy_down.c)
 *   both images are committed, so that little is left for the pause
 *   queue frozen:  the rest is copied; the base is durable; the active image is made empty; the
 *     device goes on with the base
 *   the worker of the image ends, and it is closed
 *
 * Until the last pause the active image is the device's: it has all that is written, and what
 * changes in the base does not show through it. So a power cut finds the disk as a flush has left
 * it, whatever has been copied. The table of the image is wiped when both read the same, durably,
 * and no write waits: each entry may be there or not. From then on the disk is what the base has,
 * by its own name as well as by that of the image.
 *
 * Readers of the base, through the active image, are counted by grace periods of that image only.
 * What the base drops, of compressed clusters or such that a snapshot has, too, stays where it is
 * until the second pause.
 *
 * When it fails or is cancelled the base is a read-only layer again, with what it has got: the same
 * again copies all once more.
 *
 * A raw base is another matter: commit_raw.c.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <qcow/report.h>
#include <uapi/linux/qcow.h>

#include "meta/track.h"
#include "device.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "layer/readahead.h"
#include "live/commit_backing.h"
#include "live/commit_raw.h"
#include "live/copy_down.h"
#include "live/operation.h"
#include "live/reopen.h"
#include "live/resize.h"
#include "meta/commit.h"
#include "meta/l1.h"
#include "meta/reclaim.h"
#include "meta/worker.h"
#include "store/store.h"

/* Zeros that are written into a base in the first pause, at most. */
#define MOST_ZEROS	((u64)SZ_64M)

/**
 * struct commit_state - a commit on its way
 * @dev: the device
 * @base: its backing file, that can be written to
 * @meta: the metadata worker of @base
 * @inner: requests to @base
 * @rep: says what is wrong
 */
struct commit_state {
	struct qcow_device *dev;
	struct qcow_image *base;
	struct qcow_meta *meta;
	struct qcow_device *inner;
	struct qcow_report *rep;
};

/* What would show in a base that gets longer has to be written over before version 3. */
static int check_zeros(const struct qcow_image *base, u64 bytes, struct qcow_report *rep)
{
	u64 below = base->backing ? min(base->backing->size, bytes) : 0;

	if (base->geo.version > 2 || below <= base->size || below - base->size <= MOST_ZEROS)
		return 0;
	qcow_report(rep,
		    "the backing file, of version %u and %llu bytes, would have to be filled with zeros to %llu: resize it before",
		    base->geo.version, base->size, below);
	return -EOPNOTSUPP;
}

/* What the base is by the end has to be a disk as long as that of the device. */
static int check_base(const struct qcow_device *dev, const struct qcow_image *base,
		      struct qcow_report *rep)
{
	u64 bytes = dev->chain->size;

	if (base->size > bytes) {
		qcow_report(rep, "size of the backing file: %llu, must be at most that of %s, %llu",
			    base->size, dev->name, bytes);
		return -EINVAL;
	}
	if (base->size < bytes && base->header.autoclear & QCOW_AUTOCLEAR_BITMAPS) {
		qcow_report(rep,
			    "the backing file has bitmaps, and is to get another size: %llu, not %llu",
			    bytes, base->size);
		return -EOPNOTSUPP;
	}
	return check_zeros(base, bytes, rep);
}

int qcow_commit_backing_check(const struct qcow_device *dev, struct qcow_report *rep)
{
	const struct qcow_image *top = dev->chain, *base = top->backing;
	int err = qcow_device_check_writable(dev, rep);

	if (err)
		return err;
	if (!base) {
		qcow_report(rep, "%s has no backing file", dev->name);
		return -EINVAL;
	}
	if (top->header.nr_snapshots) {
		qcow_report(rep,
			    "the image has %u snapshots, which would not be what they are with another backing file",
			    top->header.nr_snapshots);
		return -EOPNOTSUPP;
	}
	return base->raw ? 0 : check_base(dev, base, rep);
}

static void set_track(struct qcow_device *dev, struct qcow_track *track)
{
	down_write(&dev->chain_lock);
	swap(dev->track, track);
	up_write(&dev->chain_lock);
	qcow_track_destroy(track);
}

/*
 * The first pause: no reader sees the base while it gets longer. The reference of the layer that is
 * read-only is dropped. Return: 0, or -errno: the base is not as long as the disk.
 */
static int replace_base(struct commit_state *c, struct qcow_track *track)
{
	struct qcow_device *dev = c->dev;
	struct qcow_image *top = dev->chain, *old = top->backing;
	unsigned int noio = qcow_device_quiesce(dev);
	int err = 0;

	down_write(&dev->chain_lock);
	qcow_layer_stack(top, c->base);
	up_write(&dev->chain_lock);
	set_track(dev, track);
	if (c->base->size != top->size)
		err = qcow_device_resize_image(c->inner, top->size, false, c->rep);
	top->l1_bytes += c->base->l1_bytes - old->l1_bytes;
	qcow_device_resume(dev, noio);
	qcow_layer_put(old);
	return err;
}

/* Nothing reads the base as it has been before. In a pause. */
static void end_copying(struct commit_state *c)
{
	set_track(c->dev, NULL);
	qcow_reclaim_release(c->meta);
}

/* In the second pause. */
static void replace_top(struct commit_state *c, struct qcow_commit_parts *parts)
{
	struct qcow_device *dev = c->dev;
	struct qcow_image *top = dev->chain;

	/* What has been copied in this pause may have begun it again. */
	qcow_readahead_stop(&top->readahead);
	top->inflight = NULL;
	qcow_decompress_ahead_init(&dev->decompress_ahead, c->base);
	down_write(&dev->chain_lock);
	qcow_layer_stack(top, NULL);
	dev->chain = c->base;
	dev->depth--;
	dev->meta = c->meta;
	swap(dev->files, parts->files);
	swap(dev->nr_files, parts->nr_files);
	memcpy(dev->ids, parts->ids, sizeof(dev->ids));
	up_write(&dev->chain_lock);
	parts->base = top;
	parts->is_below = false;
}

static int commit_both(struct commit_state *c)
{
	int err = qcow_commit_wait(c->meta);

	if (!err)
		err = qcow_commit_wait(c->dev->meta);
	if (err)
		qcow_report(c->rep, "what has been copied cannot be made durable: error %d", err);
	return err;
}

/* Both read the same, and the base durably so. In the second pause. */
static int finish_base(struct commit_state *c)
{
	int err;

	err = qcow_copy_down_rest(c->dev, c->inner, c->rep);
	if (err)
		return err;
	err = commit_both(c);
	if (err)
		return err;
	err = qcow_l1_wipe(c->dev->meta);
	if (err)
		qcow_report(c->rep, "the L1 table of the image cannot be written: error %d", err);
	return err;
}

static int switch_to_base(struct commit_state *c, struct qcow_commit_parts *parts)
{
	struct qcow_device *dev = c->dev;
	unsigned int noio;
	int err;

	err = commit_both(c);
	if (!err)
		err = qcow_device_finish_job(dev);
	if (err)
		return err;
	noio = qcow_device_quiesce(dev);
	err = finish_base(c);
	if (!err) {
		end_copying(c);
		replace_top(c, parts);
	}
	qcow_device_resume(dev, noio);
	return err;
}

/* The base is only read from now on. */
static void give_up_base(struct commit_state *c, struct qcow_commit_parts *parts)
{
	struct qcow_device *dev = c->dev;
	unsigned int noio = qcow_device_quiesce(dev);
	int err;

	end_copying(c);
	/* The quiescing has not stopped that of a layer below the active image. */
	qcow_readahead_stop(&c->base->readahead);
	c->base->inflight = NULL;
	qcow_device_resume(dev, noio);
	err = qcow_meta_retire(c->meta);
	if (err)
		pr_warn("%s: the backing file may have leaked space: error %d\n", dev->name, err);
	qcow_reopen_end_writing(dev, c->base, &parts->again);
}

/* With a worker and a queue. */
static int commit_run(struct commit_state *c, struct qcow_commit_parts *parts)
{
	struct qcow_device *dev = c->dev;
	struct qcow_track *track = qcow_track_create(dev->chain->size);
	int err;

	if (!track) {
		qcow_report(c->rep, "no memory to note what is written");
		return -ENOMEM;
	}
	qcow_reclaim_hold(c->meta);
	err = replace_base(c, track);
	parts->is_below = true;
	if (!err)
		err = qcow_copy_down(dev, c->inner, c->rep);
	if (!err)
		err = switch_to_base(c, parts);
	if (err)
		give_up_base(c, parts);
	if (err == -ECANCELED)
		qcow_report(c->rep, "%s: %s has been cancelled", dev->name, dev->progress.what);
	return err;
}

int qcow_commit_backing_run(struct qcow_device *dev, struct qcow_commit_parts *parts,
			    struct qcow_report *rep)
{
	struct commit_state c = { .dev = dev, .base = parts->base, .rep = rep };
	struct qcow_meta *old_meta = dev->meta;
	int err;

	if (c.base->raw)
		return qcow_commit_raw_run(dev, parts, rep);
	c.meta = qcow_meta_create(c.base, false, rep);
	if (IS_ERR(c.meta))
		return PTR_ERR(c.meta);
	c.base->devt = disk_devt(dev->disk);
	c.inner = qcow_device_create_inner(dev, c.base, c.meta, rep);
	if (IS_ERR(c.inner)) {
		qcow_meta_destroy(c.meta);
		return PTR_ERR(c.inner);
	}
	c.inner->source = dev->chain;
	err = commit_run(&c, parts);
	qcow_device_destroy_inner(c.inner);
	/* Otherwise it has been retired, or is that of the device; now nothing has been changed. */
	if (err && !parts->is_below)
		qcow_meta_destroy(c.meta);
	if (err)
		return err;
	qcow_image_attached(c.base, disk_devt(dev->disk));
	/* It shows what is written to the base from now on, which they do not. */
	qcow_bitmaps_stop(&old_meta->bitmaps);
	err = qcow_meta_retire(old_meta);
	if (err)
		pr_warn("%s: the image that has been committed is left as it is: error %d\n",
			dev->name, err);
	pr_info("%s: committed into its backing file, %u layer%s\n", dev->name, dev->depth,
		dev->depth == 1 ? "" : "s");
	return 0;
}

/* What the device has been attached with, but for the active image. */
static int make_files(struct qcow_commit_parts *parts, const struct qcow_open_layer *base,
		      const struct qcow_device *dev)
{
	int err = qcow_files_read_id(base->image, &parts->ids[0]);

	if (!err)
		err = qcow_files_read_id(base->data, &parts->ids[1]);
	if (err)
		return err;
	parts->nr_files = dev->nr_files - 2;
	parts->files = kvcalloc(parts->nr_files, sizeof(*parts->files), GFP_KERNEL);
	if (!parts->files)
		return -ENOMEM;
	parts->files[0] = base->image;
	parts->files[1] = base->data;
	memcpy(parts->files + 2, dev->files + 4, (dev->nr_files - 4) * sizeof(*dev->files));
	return 0;
}

static int open_base(struct qcow_device *dev, struct qcow_commit_parts *parts,
		     struct qcow_open_layer *layer, struct qcow_report *rep)
{
	const struct qcow_image *old = dev->chain->backing;
	struct qcow_image *below = qcow_layer_hold(old->backing);
	struct qcow_image *base = qcow_reopen_to_write(layer, dev, old, below, rep);

	if (IS_ERR(base)) {
		qcow_layer_put(below);
		return PTR_ERR(base);
	}
	parts->base = base;
	return qcow_reopen_check_stores(old, base->store, layer->data ? base->data : NULL, rep);
}

static int commit_backing(struct qcow_device *dev, const struct qcow_commit_backing *args,
			  struct qcow_report *rep)
{
	struct qcow_commit_parts parts = {};
	struct qcow_open_layer base = {}, below = {};
	struct qcow_image *image;
	int err;

	err = qcow_commit_backing_check(dev, rep);
	if (err)
		return err;
	err = qcow_reopen_check_top(dev, args->top_fd, rep);
	if (err)
		return err;
	image = dev->chain;
	below.image = get_file(dev->files[2]);
	below.data = dev->files[3] ? get_file(dev->files[3]) : NULL;
	err = qcow_reopen_get(&base, dev, 1, args->image_fd, args->data_fd, true, rep);
	if (!err)
		err = make_files(&parts, &base, dev);
	if (!err)
		err = qcow_reopen_to_read(&below, image->backing, &parts.again, rep);
	if (!err)
		err = open_base(dev, &parts, &base, rep);
	if (!err)
		err = qcow_commit_backing_run(dev, &parts, rep);
	if (parts.is_below)
		qcow_reopen_share(dev, image->backing, &below);
	else
		qcow_layer_put(parts.base);
	if (!err && !parts.is_below) {
		/* The device has them now, and @parts what it has had. */
		base.image = parts.files[0];
		base.data = parts.files[1];
		fput(parts.files[2]);
		if (parts.files[3])
			fput(parts.files[3]);
	}
	qcow_reopened_destroy(&parts.again);
	kvfree(parts.files);
	qcow_reopen_put(&base);
	qcow_reopen_put(&below);
	return err;
}

int qcow_device_commit_backing(const struct qcow_commit_backing *args, struct qcow_report *rep)
{
	struct qcow_device *dev = qcow_device_get_job(args->index, "commit", args->rate, rep);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = commit_backing(dev, args, rep);
	if (!err)
		qcow_device_announce(dev);
	qcow_device_put(dev);
	return err;
}
