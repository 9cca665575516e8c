// SPDX-License-Identifier: GPL-2.0
/*
 * What the old layers below an active image have and others have not becomes its own.
 *
 * Where the active image has nothing, old and new layers are mapped. Where both have zeros, or the
 * same layer has it, nothing is done; zeros become entries; other bytes are copied, or compared
 * before. Clusters that are neighbours are copied in one request.
 *
 * The layers are read-only, and while discards leave marks no cluster that the active image has
 * becomes one that it has not. So what has been gone through need not be looked at again: the
 * device may be written to all the time.
 */
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <qcow/report.h>

#include "data/cow.h"
#include "data/request.h"
#include "device.h"
#include "layer/image.h"
#include "layer/map.h"
#include "live/copy_run.h"
#include "live/copy_up.h"
#include "store/store.h"

/* Read of each side at once, where a cluster is no more than that. */
#define COMPARE_BYTES	((u64)SZ_256K)

/**
 * struct copy_side - one of what is compared
 * @below: the layers, or NULL: zeros
 * @map: its mapping
 * @known: store of which it is known where holes are
 * @known_from: host offset
 * @known_to: host offset behind that range
 * @is_hole: the range is one
 * @buf: what has been read of it
 */
struct copy_side {
	struct qcow_image *below;
	struct qcow_mapping map;
	struct qcow_store *known;
	u64 known_from;
	u64 known_to;
	bool is_hole;
	void *buf;
};

/**
 * struct copy_up - a walk over a disk
 * @dev: the device
 * @old: the layers that it has
 * @new: the layers that it is to have
 * @compare: what both have is compared
 * @bytes: of each @buf, a multiple of the cluster size
 * @run: what is to be done: to whole clusters, or to the end of the image
 * @rep: says what cannot be read
 */
struct copy_up {
	struct qcow_device *dev;
	struct copy_side old;
	struct copy_side new;
	bool compare;
	u64 bytes;
	struct qcow_copy_run run;
	struct qcow_report *rep;
};

static u64 cluster_bytes(const struct copy_up *copy)
{
	return qcow_cluster_bytes(&copy->dev->chain->geo);
}

/*
 * Where no entry says that a place has nothing, in a raw layer or a data file, a hole of the file
 * does, unless it is decrypted. A file system may go through all of a file to find one: what it has
 * found is kept.
 */
static void side_find_hole(struct copy_side *side)
{
	struct qcow_store *store = side->map.image->data;
	struct qcow_extent *ext = &side->map.ext;

	if (side->map.image->crypt || (!side->map.image->raw && !side->map.image->geo.data_file))
		return;
	if (side->known != store || ext->host < side->known_from || ext->host >= side->known_to) {
		side->known = store;
		side->known_from = ext->host;
		side->known_to = ext->host +
			qcow_store_extent(store, ext->host, U64_MAX - ext->host, &side->is_hole);
	}
	ext->len = min(ext->len, side->known_to - ext->host);
	if (side->is_hole)
		ext->kind = QCOW_EXTENT_ZERO;
}

static int side_map(struct copy_side *side, u64 guest, u64 len)
{
	struct qcow_image *below = side->below;
	int err;

	if (!below || guest >= below->size) {
		side->map = (struct qcow_mapping) {
			.ext = { .kind = QCOW_EXTENT_ZERO, .len = len },
		};
		return 0;
	}
	err = qcow_map_wait(below, guest, min(len, below->size - guest), NULL, &side->map);
	if (!err && side->map.ext.kind == QCOW_EXTENT_DATA)
		side_find_hole(side);
	return err;
}

static int side_read(struct copy_side *side, u64 guest, u64 len)
{
	if (side->below)
		return qcow_cow_read(side->below, guest, side->buf, len);
	memset(side->buf, 0, len);
	return 0;
}

/* Bytes for which nothing is to be done: both sides have zeros, or the same layer has them. */
static u64 same_bytes(const struct copy_up *copy)
{
	const struct qcow_mapping *old = &copy->old.map, *new = &copy->new.map;

	if (old->ext.kind != new->ext.kind)
		return 0;
	if (old->ext.kind != QCOW_EXTENT_ZERO &&
	    (old->image != new->image || old->ext.host != new->ext.host))
		return 0;
	return min(old->ext.len, new->ext.len);
}

/* Zeros are entries from version 3 on. */
static enum qcow_own own_for(const struct copy_up *copy, bool zero)
{
	return zero && copy->dev->chain->geo.version > 2 ? QCOW_OWN_ZERO_HOLES : QCOW_OWN_COPY_UP;
}

/* Of a range that the old layers have mapped as one. */
static enum qcow_own own_for_range(const struct copy_up *copy)
{
	const struct qcow_mapping *old = &copy->old.map;

	if (old->ext.kind == QCOW_EXTENT_DATA && cluster_bytes(copy) >= SZ_4K &&
	    qcow_cow_can_share(copy->dev->chain, old->image))
		return QCOW_OWN_CLONE_UP;
	return own_for(copy, old->ext.kind == QCOW_EXTENT_ZERO);
}

/* Whole clusters, or those at the end of the image. */
static int copy_compare(struct copy_up *copy, u64 guest, u64 len)
{
	u64 pos, part, cluster = cluster_bytes(copy);
	const void *old;
	enum qcow_own own;
	int err;

	err = side_read(&copy->old, guest, len);
	if (!err)
		err = side_read(&copy->new, guest, len);
	if (err)
		qcow_report(copy->rep,
			    "guest offset %llu, %llu bytes: cannot be compared: error %d", guest,
			    len, err);
	for (pos = 0; pos < len && !err; pos += part) {
		part = min(cluster, len - pos);
		old = copy->old.buf + pos;
		if (!memcmp(old, copy->new.buf + pos, part))
			continue;
		own = own_for(copy, !memchr_inv(old, 0, part));
		err = qcow_copy_run_add(&copy->run, own, guest + pos, part);
	}
	return err;
}

/* Whole clusters from the first of @guest on that are mapped alike; 0: there is none. */
static u64 whole_clusters(const struct copy_up *copy, u64 guest)
{
	u64 end = guest + min(copy->old.map.ext.len, copy->new.map.ext.len);

	if (!IS_ALIGNED(guest, cluster_bytes(copy)))
		return 0;
	if (end < copy->dev->chain->size)
		end = round_down(end, cluster_bytes(copy));
	return end - guest;
}

/*
 * A range that the active image has not, from @guest to @end, and that is not the same in both.
 * What cannot be mapped cannot be read either. Return: the byte after what has been dealt with.
 */
static u64 copy_range(struct copy_up *copy, u64 guest, u64 end, bool mapped, int *err)
{
	u64 cluster = cluster_bytes(copy), size = copy->dev->chain->size;
	u64 whole = mapped ? whole_clusters(copy, guest) : 0;
	enum qcow_own own = whole ? own_for_range(copy) : QCOW_OWN_COPY_UP;
	u64 first = round_down(guest, cluster);

	if (!copy->compare || own == QCOW_OWN_ZERO_HOLES) {
		guest = whole ? guest + whole : min(first + cluster, size);
		*err = qcow_copy_run_add(&copy->run, own, first, guest - first);
	} else {
		guest = min3(first + copy->bytes, round_up(end, cluster), size);
		*err = copy_compare(copy, first, guest - first);
	}
	return guest;
}

/* A range that the active image has not; of a cluster it may have some subclusters. */
static int copy_hole(struct copy_up *copy, u64 guest, u64 end)
{
	u64 same;
	int err = 0;

	while (guest < end && !err) {
		err = side_map(&copy->old, guest, end - guest);
		if (!err)
			err = side_map(&copy->new, guest, end - guest);
		same = err ? 0 : same_bytes(copy);
		if (same)
			guest += same;
		else
			guest = copy_range(copy, guest, end, !err, &err);
		if (!err)
			err = qcow_copy_run_step(&copy->run, guest);
	}
	return err;
}

static int copy_all(struct copy_up *copy)
{
	struct qcow_image *top = copy->dev->chain;
	struct qcow_extent ext;
	u64 guest;
	int err = 0;

	for (guest = 0; guest < top->size && !err; guest += ext.len) {
		err = qcow_map_top_wait(top, guest, min(top->size - guest, QCOW_COPY_LOOK_BYTES),
					NULL, &ext);
		if (err) {
			qcow_report(copy->rep, "guest offset %llu: cannot be looked up: error %d",
				    guest, err);
			return err;
		}
		if (ext.kind == QCOW_EXTENT_HOLE)
			err = copy_hole(copy, guest, guest + ext.len);
		if (!err)
			err = qcow_copy_run_step(&copy->run, guest + ext.len);
	}
	return err ?: qcow_copy_run_flush(&copy->run);
}

int qcow_copy_up(struct qcow_device *dev, struct qcow_image *below, bool compare,
		 struct qcow_report *rep)
{
	struct copy_up copy = {
		.dev = dev, .old.below = dev->chain->backing, .new.below = below,
		.compare = compare,
		.bytes = max(COMPARE_BYTES, qcow_cluster_bytes(&dev->chain->geo)),
		.rep = rep,
	};
	int err = -ENOMEM;

	qcow_copy_run_begin(&copy.run, dev, &dev->progress, rep);
	copy.old.buf = kvmalloc(copy.bytes, GFP_KERNEL);
	copy.new.buf = kvmalloc(copy.bytes, GFP_KERNEL);
	if (copy.old.buf && copy.new.buf)
		err = copy_all(&copy);
	kvfree(copy.new.buf);
	kvfree(copy.old.buf);
	return err;
}
