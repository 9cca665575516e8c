// SPDX-License-Identifier: GPL-2.0
/*
 * A device in use becomes read-only, or can be written to from now on.
 *
 * Read-only:
 *
 *   its file systems are frozen: one that has something to write has written it
 *   no task has it open for writing or has written, nor can open it so meanwhile
 *   the files of the image opened once more, to read
 *   what has been written is committed, so that little is left for the pause
 *   queue frozen:  the rest is committed; the device is without its metadata worker
 *   the worker ends: the image is as a detach leaves it
 *   queue frozen:  the image is read from the other descriptors
 *   the old descriptors are closed, and with them locks to write go; the layer is shared
 *
 * Until the worker is gone, whatever fails leaves the device as it was. From then on nothing can
 * fail that matters, as with the image below a new overlay (overlay.c): clusters stay where they
 * are while others read, so an image of version 1 keeps its gaps.
 *
 * To be written to: the image is opened anew from descriptors open for writing, with the checks of
 * an attach, and its metadata worker made; then this layer takes the place of the read-only one
 * while the queue is frozen. Nothing of it changes on disk before the first write.
 *
 * To go on with the layer in memory was considered. But a writable image is checked more strictly,
 * has tables that are longer, and its messages name the device; to open it as an attach does is the
 * same code, and what it reads once more is the L1 table.
 */
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <qcow/report.h>

#include "device.h"
#include "files.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "live/access.h"
#include "live/operation.h"
#include "live/reopen.h"
#include "meta/commit.h"
#include "meta/worker.h"
#include "store/store.h"

/* Of the active image; @layer gets those that the device has had. */
static void swap_files_locked(struct qcow_device *dev, struct qcow_open_layer *layer)
{
	lockdep_assert_held_write(&dev->chain_lock);
	swap(dev->files[0], layer->image);
	swap(dev->files[1], layer->data);
}

/* The first pause. Return: 0, or -errno: all is as before. */
static int take_worker(struct qcow_device *dev, struct qcow_report *rep)
{
	unsigned int noio;
	int err;

	err = qcow_commit_wait(dev->meta);
	if (!err) {
		noio = qcow_device_quiesce(dev);
		if (READ_ONCE(dev->written))
			err = -EBUSY;
		else
			err = qcow_commit_wait(dev->meta);
		if (!err) {
			dev->chain->inflight = NULL;
			down_write(&dev->chain_lock);
			dev->meta = NULL;
			up_write(&dev->chain_lock);
		}
		qcow_device_resume(dev, noio);
	}
	if (err == -EBUSY)
		qcow_report(rep, "%s has been written to meanwhile", dev->name);
	else if (err)
		qcow_report(rep, "%s: what has been written cannot be made durable: error %d",
			    dev->name, err);
	return err;
}

static int run_read_only(struct qcow_device *dev, struct qcow_open_layer *layer,
			 struct qcow_reopened *again, struct qcow_report *rep)
{
	struct qcow_meta *meta = dev->meta;
	int err;

	err = take_worker(dev, rep);
	if (err)
		return err;
	/* Not in the pause: the uevent may wait for memory that others have taken. */
	set_disk_ro(dev->disk, true);
	err = qcow_meta_retire(meta);
	if (err)
		pr_warn("%s: the image may have leaked space: error %d\n", dev->name, err);
	qcow_reopen_end_writing(dev, dev->chain, again);
	qcow_reopen_share(dev, dev->chain, layer);
	down_write(&dev->chain_lock);
	swap_files_locked(dev, layer);
	up_write(&dev->chain_lock);
	pr_info("%s: read-only from now on\n", dev->name);
	return 0;
}

static int set_read_only(struct qcow_device *dev, struct qcow_open_layer *layer,
			 const struct qcow_freeze *freeze, struct qcow_report *rep)
{
	struct qcow_reopened again = {};
	int err;

	err = qcow_device_freeze(freeze, rep);
	if (err)
		return err;
	err = qcow_device_stop_writers(dev, rep);
	if (!err)
		err = qcow_reopen_to_read(layer, dev->chain, &again, rep);
	if (!err)
		err = run_read_only(dev, layer, &again, rep);
	qcow_device_thaw(freeze);
	qcow_reopened_destroy(&again);
	return err;
}

/* In a pause. */
static void replace_top(struct qcow_device *dev, struct qcow_image *image, struct qcow_meta *meta,
			struct qcow_open_layer *layer)
{
	unsigned int noio = qcow_device_quiesce(dev);

	qcow_decompress_ahead_init(&dev->decompress_ahead, image);
	down_write(&dev->chain_lock);
	qcow_layer_replace(image, dev->chain);
	dev->chain = image;
	dev->meta = meta;
	swap_files_locked(dev, layer);
	up_write(&dev->chain_lock);
	qcow_image_attached(image, disk_devt(dev->disk));
	qcow_device_resume(dev, noio);
}

static int run_writable(struct qcow_device *dev, struct qcow_image *image,
			struct qcow_open_layer *layer, struct qcow_report *rep)
{
	struct qcow_image *old = dev->chain;
	struct qcow_meta *meta;
	int err;

	err = qcow_reopen_check_stores(old, image->store,
				       layer->data ? image->data : NULL, rep);
	if (err)
		return err;
	meta = qcow_meta_create(image, false, rep);
	if (IS_ERR(meta))
		return PTR_ERR(meta);
	replace_top(dev, image, meta, layer);
	qcow_layer_put(old);
	set_disk_ro(dev->disk, false);
	pr_info("%s: can be written to from now on\n", dev->name);
	return 0;
}

static int set_writable(struct qcow_device *dev, struct qcow_open_layer *layer,
			struct qcow_report *rep)
{
	struct qcow_image *image;
	int err;

	if (dev->chain->snapshot_id) {
		qcow_report(rep, "%s shows a snapshot, which cannot be written to", dev->name);
		return -EINVAL;
	}
	image = qcow_reopen_to_write(layer, dev, dev->chain, NULL, rep);
	if (IS_ERR(image))
		return PTR_ERR(image);
	err = run_writable(dev, image, layer, rep);
	if (err)
		qcow_layer_put(image);
	return err;
}

static int set_access(struct qcow_device *dev, const struct qcow_set_access *args,
		      const struct qcow_freeze *freeze, struct qcow_report *rep)
{
	bool writable = !(args->flags & QCOW_ACCESS_READ_ONLY);
	struct qcow_open_layer layer = {};
	int err;

	if (writable == !!dev->meta)
		return 0;
	err = qcow_device_check_nodes(dev, freeze, rep);
	if (!err)
		err = qcow_reopen_get(&layer, dev, 0, args->image_fd, args->data_fd, writable,
				      rep);
	if (!err)
		err = writable ? set_writable(dev, &layer, rep) :
				 set_read_only(dev, &layer, freeze, rep);
	qcow_reopen_put(&layer);
	return err;
}

int qcow_device_set_access(const struct qcow_set_access *args, const struct qcow_freeze *freeze,
			   struct qcow_report *rep)
{
	struct qcow_device *dev = qcow_device_get(args->index, "set", rep);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = set_access(dev, args, freeze, rep);
	qcow_device_put(dev);
	return err;
}
