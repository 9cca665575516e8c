// SPDX-License-Identifier: GPL-2.0
/*
 * Another backing file for a device in use; what is read from the device stays the same.
 *
 *   the new layers opened; that the header has room for the names
 *   queue frozen:  from now on a discard marks as zeros what only the new layers have, too
 *   compared, cluster by cluster that the active image has not: where old and new layers differ, it
 *     gets what the old ones have
 *   what has been written is committed, so that little is left for the pause
 *   queue frozen:  the rest is committed; the header gets the names; the device gets the new layers
 *   the old layers are closed
 *
 * The layers are read-only, and while discards leave marks no cluster that the active image has
 * becomes one that it has not. So what has been compared need not be looked at again: the device
 * may be written to all the time. Until the header is written the old layers hold, also after a
 * power cut: that the image has more of its own makes no difference with them.
 *
 * To leave the comparison to user space was considered. It would need the image's tables, which
 * change, and the operation would be one of several calls, between which others could come.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <qcow/backing.h>
#include <qcow/report.h>

#include "data/cow.h"
#include "data/request.h"
#include "device.h"
#include "layer/cache.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "layer/map.h"
#include "meta/backing.h"
#include "meta/commit.h"
#include "operation.h"
#include "rebase.h"

/* Read of each side at once, where a cluster is no more than that. */
#define COMPARE_BYTES	SZ_256K

/* Looked at in one go; then a task that is being killed ends. */
#define LOOK_BYTES	((u64)SZ_1G)

/**
 * struct rebase_side - one of what is compared
 * @below: the layers, or NULL: zeros
 * @map: its mapping
 * @buf: what has been read of it
 */
struct rebase_side {
	struct qcow_image *below;
	struct qcow_mapping map;
	void *buf;
};

/**
 * struct rebase_copy - a comparison
 * @dev: the device
 * @old: the layers that it has
 * @new: the layers that it is to have
 * @bytes: of each @buf, a multiple of the cluster size
 * @rep: says what cannot be read
 */
struct rebase_copy {
	struct qcow_device *dev;
	struct rebase_side old;
	struct rebase_side new;
	u64 bytes;
	struct qcow_report *rep;
};

static int rebase_map(struct rebase_side *side, u64 guest, u64 len)
{
	struct qcow_image *below = side->below;

	if (below && guest < below->size)
		return qcow_map_wait(below, guest, min(len, below->size - guest), NULL,
				     &side->map);
	side->map = (struct qcow_mapping) { .ext = { .kind = QCOW_EXTENT_ZERO, .len = len } };
	return 0;
}

static int rebase_read(struct rebase_side *side, u64 guest, u64 len)
{
	if (side->below)
		return qcow_cow_read(side->below, guest, side->buf, len);
	memset(side->buf, 0, len);
	return 0;
}

/* Bytes that need not be read: both sides have zeros, or they are the same layer's. */
static u64 rebase_same(const struct rebase_copy *copy)
{
	const struct qcow_mapping *old = &copy->old.map, *new = &copy->new.map;

	if (old->ext.kind != new->ext.kind)
		return 0;
	if (old->ext.kind != QCOW_EXTENT_ZERO &&
	    (old->image != new->image || old->ext.host != new->ext.host))
		return 0;
	return min(old->ext.len, new->ext.len);
}

/* Clusters that differ: @data of them is what the device reads. */
static int rebase_copy_up(struct rebase_copy *copy, u64 guest, const void *data, u64 len)
{
	int err = 0;

	if (copy->dev->chain->geo.version > 2 && !memchr_inv(data, 0, len))
		err = qcow_request_own(copy->dev, QCOW_OWN_ZERO_HOLES, guest, len);
	/* Also after that: of a cluster that the image has in part it has left the rest. */
	return err ?: qcow_request_own(copy->dev, QCOW_OWN_COPY_UP, guest, len);
}

static int rebase_compare(struct rebase_copy *copy, u64 guest, u64 len)
{
	u64 cluster = qcow_cluster_bytes(&copy->dev->chain->geo);
	u64 pos, part;
	int err;

	err = rebase_read(&copy->old, guest, len);
	if (!err)
		err = rebase_read(&copy->new, guest, len);
	if (err)
		qcow_report(copy->rep,
			    "guest offset %llu, %llu bytes: cannot be compared: error %d", guest,
			    len, err);
	for (pos = 0; pos < len && !err; pos += part) {
		part = min(cluster, len - pos);
		if (memcmp(copy->old.buf + pos, copy->new.buf + pos, part))
			err = rebase_copy_up(copy, guest + pos, copy->old.buf + pos, part);
	}
	return err;
}

/* A range that the active image has not; of a cluster it may have some subclusters. */
static int rebase_hole(struct rebase_copy *copy, u64 guest, u64 end)
{
	const struct qcow_image *top = copy->dev->chain;
	u64 cluster = qcow_cluster_bytes(&top->geo);
	u64 same, first;
	int err;

	while (guest < end) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		err = rebase_map(&copy->old, guest, end - guest);
		if (!err)
			err = rebase_map(&copy->new, guest, end - guest);
		same = err ? 0 : rebase_same(copy);
		if (same) {
			guest += same;
			continue;
		}
		/* What cannot be mapped cannot be read either. */
		first = round_down(guest, cluster);
		guest = min3(first + copy->bytes, round_up(end, cluster), top->size);
		err = rebase_compare(copy, first, guest - first);
		if (err)
			return err;
	}
	return 0;
}

static int rebase_copy_all(struct rebase_copy *copy)
{
	struct qcow_image *top = copy->dev->chain;
	struct qcow_extent ext;
	u64 guest;
	int err;

	for (guest = 0; guest < top->size; guest += ext.len) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		err = qcow_map_top_wait(top, guest, min(top->size - guest, LOOK_BYTES), NULL, &ext);
		if (err) {
			qcow_report(copy->rep, "guest offset %llu: cannot be looked up: error %d",
				    guest, err);
			return err;
		}
		if (ext.kind == QCOW_EXTENT_HOLE)
			err = rebase_hole(copy, guest, guest + ext.len);
		if (err)
			return err;
	}
	return 0;
}

/* Whatever only the new layers have does not show after a discard either. */
static void mark_discards(struct qcow_device *dev, const struct qcow_image *below)
{
	unsigned int noio = qcow_device_quiesce(dev);

	WRITE_ONCE(dev->chain->next_below_bytes, below ? below->size : 0);
	qcow_device_resume(dev, noio);
}

static int rebase_contents(struct qcow_device *dev, struct qcow_image *below,
			   struct qcow_report *rep)
{
	struct rebase_copy copy = {
		.dev = dev, .old.below = dev->chain->backing, .new.below = below,
		.bytes = max_t(u64, COMPARE_BYTES, qcow_cluster_bytes(&dev->chain->geo)),
		.rep = rep,
	};
	int err = -ENOMEM;

	copy.old.buf = kvmalloc(copy.bytes, GFP_KERNEL);
	copy.new.buf = kvmalloc(copy.bytes, GFP_KERNEL);
	if (copy.old.buf && copy.new.buf)
		err = rebase_copy_all(&copy);
	kvfree(copy.new.buf);
	kvfree(copy.old.buf);
	return err;
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
	err = rebase_contents(dev, parts->below, rep);
	if (!err)
		err = rebase_switch(dev, parts, rep);
	if (err)
		mark_discards(dev, NULL);
	else
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
		  const struct qcow_layer *layers, const u64 *digests,
		  const struct qcow_backing_names *names, struct qcow_report *rep)
{
	struct qcow_rebase_parts parts = { .names = names };
	struct qcow_below below = {
		.layers = layers,
		.digests = digests,
		.nr_layers = args->nr_layers,
		.but = dev,
		.cache_bytes = READ_ONCE(dev->chain->cache->limit),
		.direct = qcow_layer_direct(dev->chain),
	};
	int err;

	err = get_files(dev, &parts, layers, args->nr_layers, rep);
	below.files = parts.files;
	if (!err)
		err = qcow_device_open_below(dev, &below, &parts.below, rep);
	if (!err)
		err = qcow_rebase_run(dev, &parts, rep);
	qcow_layer_put(parts.below);
	put_files(&parts);
	return err;
}

int qcow_device_rebase(const struct qcow_rebase *args, const struct qcow_layer *layers,
		       const u64 *digests, const struct qcow_backing_names *names,
		       struct qcow_report *rep)
{
	struct qcow_device *dev = qcow_device_get(args->index, rep);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	if (!dev->meta) {
		qcow_report(rep, "%s is attached read-only", dev->name);
		err = -EROFS;
	} else if (args->flags & QCOW_REBASE_NAMES_ONLY) {
		err = qcow_backing_set(dev->meta, names, rep);
	} else {
		err = rebase(dev, args, layers, digests, names, rep);
	}
	qcow_device_put(dev);
	return err;
}
