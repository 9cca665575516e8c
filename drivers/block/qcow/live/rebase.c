// SPDX-License-Identifier: GPL-2.0
/*
 * Another backing file for a device in use; what is read from the device stays the same.
 *
 *   the new layers opened; that the header has room for the names
 *   queue frozen:  from now on a discard marks as zeros what only the new layers have, too
 *   copied up: where the active image has nothing, and would read otherwise with the new layers, it
 *     gets what the old ones have (copy_up.c)
 *   what has been written is committed, so that little is left for the pause
 *   queue frozen:  the rest is committed; the header gets the names; the device gets the new layers
 *   the old layers are closed
 *
 * The device may be written to all the time. Until the header is written the old layers hold, also
 * after a power cut: that the image has more of its own makes no difference with them. One that has
 * been cancelled goes on where it was when it is asked for again: what the image has is left out.
 *
 * To leave the comparison to user space was considered. It would need the image's tables, which
 * change, and the operation would be one of several calls, between which others could come.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <qcow/head.h>
#include <qcow/report.h>

#include "device.h"
#include "layer/cache.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "live/copy_up.h"
#include "live/operation.h"
#include "live/rebase.h"
#include "meta/backing.h"
#include "meta/commit.h"

/* Whatever only the new layers have does not show after a discard either. */
static void mark_discards(struct qcow_device *dev, const struct qcow_image *below)
{
	unsigned int noio = qcow_device_quiesce(dev);

	WRITE_ONCE(dev->chain->next_below_bytes, below ? below->size : 0);
	qcow_device_resume(dev, noio);
}

/* Of the chain, with the layers that are to be below. */
static u64 l1_bytes(const struct qcow_image *top, const struct qcow_image *below)
{
	return top->l1_bytes - (top->backing ? top->backing->l1_bytes : 0) +
		(below ? below->l1_bytes : 0);
}

/* In the pause. */
static void replace_below(struct qcow_device *dev, struct qcow_rebase_parts *parts)
{
	struct qcow_image *top = dev->chain, *old = top->backing;

	down_write(&dev->chain_lock);
	top->l1_bytes = l1_bytes(top, parts->below);
	qcow_layer_stack(top, parts->below);
	top->next_below_bytes = 0;
	parts->below = old;
	dev->depth = qcow_device_depth(top);
	swap(dev->files, parts->files);
	swap(dev->nr_files, parts->nr_files);
	up_write(&dev->chain_lock);
}

static int rebase_switch(struct qcow_device *dev, struct qcow_rebase_parts *parts,
			 struct qcow_report *rep)
{
	unsigned int noio;
	int err;

	err = qcow_commit_wait(dev->meta);
	if (!err)
		err = qcow_device_finish_job(dev);
	if (err)
		return err;
	noio = qcow_device_quiesce(dev);
	err = qcow_commit_wait(dev->meta);
	if (!err)
		err = qcow_backing_set(dev->meta, parts->names, rep);
	if (!err)
		replace_below(dev, parts);
	qcow_device_resume(dev, noio);
	return err;
}

int qcow_rebase_run(struct qcow_device *dev, struct qcow_rebase_parts *parts,
		    struct qcow_report *rep)
{
	int err;

	err = qcow_image_check_chain_l1(l1_bytes(dev->chain, parts->below), rep);
	if (!err && parts->below)
		err = qcow_device_check_align(dev, parts->below, rep);
	if (!err)
		err = qcow_backing_check(dev->meta, parts->names, rep);
	if (err)
		return err;
	mark_discards(dev, parts->below);
	err = qcow_copy_up(dev, parts->below, parts->compare, rep);
	if (!err)
		err = rebase_switch(dev, parts, rep);
	if (err)
		mark_discards(dev, NULL);
	if (err == -ECANCELED)
		qcow_report(rep, "%s: %s has been cancelled", dev->name, dev->progress.what);
	if (!err)
		pr_info("%s: another backing file, %u layers\n", dev->name, dev->depth);
	return err;
}

/* The files of the active image, and those of the new layers. */
static int get_files(struct qcow_device *dev, struct qcow_rebase_parts *parts,
		     const struct qcow_layer *layers, u32 nr, struct qcow_report *rep)
{
	unsigned int i;
	int err = 0;

	parts->nr_files = 2 * (nr + 1);
	parts->files = kvcalloc(parts->nr_files, sizeof(*parts->files), GFP_KERNEL);
	if (!parts->files)
		return -ENOMEM;
	parts->files[0] = dev->files[0];
	parts->files[1] = dev->files[1];
	for (i = 1; i <= nr && !err; i++) {
		err = qcow_device_get_files(parts->files, i, &layers[i - 1], false, rep);
		if (!err)
			err = qcow_device_check_place(dev, parts->files[2 * i], rep);
		if (!err && parts->files[2 * i + 1])
			err = qcow_device_check_place(dev, parts->files[2 * i + 1], rep);
	}
	return err;
}

/* But for those of the active image. */
static void put_files(struct qcow_rebase_parts *parts)
{
	unsigned int i;

	for (i = 2; parts->files && i < parts->nr_files; i++) {
		if (parts->files[i])
			fput(parts->files[i]);
	}
	kvfree(parts->files);
}

static int rebase(struct qcow_device *dev, const struct qcow_rebase *args,
		  const struct qcow_layers *layers, const struct qcow_backing_names *names,
		  struct qcow_report *rep)
{
	struct qcow_rebase_parts parts = {
		.names = names,
		.compare = !(args->flags & QCOW_REBASE_NO_COMPARE),
	};
	struct qcow_below below = {
		.layers = layers,
		.nr_layers = args->nr_layers,
		.but = dev,
		.cache_bytes = READ_ONCE(dev->chain->cache->limit),
		.direct = qcow_layer_direct(dev->chain),
	};
	int err;

	err = get_files(dev, &parts, layers->fds, args->nr_layers, rep);
	below.files = parts.files;
	if (!err)
		err = qcow_device_open_below(dev, &below, &parts.below, rep);
	if (!err)
		err = qcow_rebase_run(dev, &parts, rep);
	qcow_layer_put(parts.below);
	put_files(&parts);
	return err;
}

int qcow_device_rebase(const struct qcow_rebase *args, const struct qcow_layers *layers,
		       const struct qcow_backing_names *names, struct qcow_report *rep)
{
	const char *what = args->flags & QCOW_REBASE_NO_COMPARE ? "stream" : "rebase";
	bool names_only = args->flags & QCOW_REBASE_NAMES_ONLY;
	struct qcow_device *dev;
	int err;

	if (names_only)
		dev = qcow_device_get(args->index, what, rep);
	else
		dev = qcow_device_get_job(args->index, what, args->rate, rep);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = qcow_device_check_writable(dev, rep);
	if (!err)
		err = names_only ? qcow_backing_set(dev->meta, names, rep) :
				   rebase(dev, args, layers, names, rep);
	if (!err)
		qcow_device_announce(dev);
	qcow_device_put(dev);
	return err;
}
