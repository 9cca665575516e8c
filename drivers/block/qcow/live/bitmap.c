// SPDX-License-Identifier: GPL-2.0
/*
 * Persistent bitmaps change while requests record in them. What records is true in memory alone: on
 * disk it is marked, before it records for the first time. What does not record any more is stored
 * at once, so that no power cut makes it inconsistent.
 *
 * Requests get to know a change last, when it is on disk: nothing is to be undone that they would
 * have missed. So a bitmap that is disabled may have more in memory than on disk, of requests that
 * have ended while it was stored.
 */
#include <linux/err.h>
#include <linux/log2.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <qcow/bitmap.h>
#include <qcow/report.h>
#include <uapi/linux/qcow.h>

#include "device.h"
#include "layer/image.h"
#include "live/bitmap.h"
#include "live/operation.h"
#include "meta/bitmap.h"
#include "meta/bitmap_store.h"
#include "meta/job.h"
#include "meta/track.h"
#include "meta/worker.h"

/**
 * struct bitmap_change - a change on its way
 * @meta: of the image
 * @bitmaps: of that
 * @args: the caller's
 * @name: of the bitmap
 * @source: of the one that is merged, or NULL
 * @rep: says what is wrong
 */
struct bitmap_change {
	struct qcow_meta *meta;
	struct qcow_bitmaps *bitmaps;
	const struct qcow_change_bitmap *args;
	const char *name;
	const char *source;
	struct qcow_report *rep;
};

/* Any, inconsistent or not. */
static struct qcow_dirty_bitmap *find_any(const struct qcow_bitmaps *bitmaps, const char *name,
					  struct qcow_report *rep)
{
	struct qcow_dirty_bitmap *bitmap = qcow_bitmaps_find(bitmaps, name, strlen(name));

	if (bitmap)
		return bitmap;
	qcow_report(rep, "bitmap \"%s\": there is none", name);
	return ERR_PTR(-ENOENT);
}

/* One whose bits are known. */
static struct qcow_dirty_bitmap *find_bitmap(const struct qcow_bitmaps *bitmaps, const char *name,
					     struct qcow_report *rep)
{
	struct qcow_dirty_bitmap *bitmap = find_any(bitmaps, name, rep);

	if (IS_ERR(bitmap) || bitmap->track)
		return bitmap;
	if (bitmap->entry.flags & QCOW_BITMAP_IN_USE)
		qcow_report(rep, "bitmap \"%s\" is inconsistent, it can only be removed", name);
	else
		qcow_report(rep, "bitmap \"%s\" cannot be read, it can only be removed", name);
	return ERR_PTR(-EUCLEAN);
}

static int store(const struct bitmap_change *c, const struct qcow_dirty_bitmap *removed)
{
	const struct qcow_bitmaps_change change = { .removed = removed };

	return qcow_bitmaps_store(c->meta, &change, c->rep);
}

/* Before anything is recorded, or stored: the image is marked as one that is written to. */
static int begin_step(struct qcow_job *job)
{
	return qcow_meta_begin(job->meta);
}

static int begin(struct qcow_meta *meta)
{
	struct qcow_job job = { .step = begin_step };

	return qcow_job_run(meta, &job);
}

static int check_add(const struct bitmap_change *c, u64 granularity)
{
	const struct qcow_header *h = &c->meta->image->header;
	u64 bytes;
	u32 nr;

	if (h->version < 3) {
		qcow_report(c->rep, "version %u has no bitmaps", h->version);
		return -EOPNOTSUPP;
	}
	if (!h->size) {
		qcow_report(c->rep, "size 0: there is nothing to record");
		return -EOPNOTSUPP;
	}
	if (qcow_bitmaps_find(c->bitmaps, c->name, strlen(c->name))) {
		qcow_report(c->rep, "bitmap \"%s\": there is one already", c->name);
		return -EEXIST;
	}
	bytes = qcow_bitmaps_dir_bytes(c->bitmaps, &nr);
	if (nr >= QCOW_MAX_BITMAPS || bytes + SZ_2K > QCOW_MAX_BITMAP_DIR_BYTES) {
		qcow_report(c->rep, "%u bitmaps: no room for another", nr);
		return -EFBIG;
	}
	return qcow_bitmap_check_granularity(granularity, h->size, h->cluster_bits, c->rep);
}

static int add_new(const struct bitmap_change *c, struct qcow_dirty_bitmap *bitmap)
{
	int err;

	err = qcow_bitmap_create_bits(c->bitmaps, bitmap, c->meta->image->header.size, c->rep);
	if (err)
		return err;
	list_add_tail(&bitmap->node, &c->bitmaps->list);
	return store(c, NULL);
}

static int change_add(const struct bitmap_change *c)
{
	const struct qcow_image *image = c->meta->image;
	u32 cluster_bits = image->geo.cluster_bits;
	u64 granularity = c->args->granularity ?: qcow_bitmap_default_granularity(cluster_bits);
	struct qcow_bitmap entry = {
		.flags = QCOW_BITMAP_AUTO,
		.name = c->name,
		.name_len = strlen(c->name),
	};
	struct qcow_dirty_bitmap *bitmap;
	int err;

	err = check_add(c, granularity);
	if (err)
		return err;
	entry.granularity_bits = ilog2(granularity);
	entry.table_entries = qcow_bitmap_table_entries(image->header.size,
							entry.granularity_bits, cluster_bits);
	bitmap = qcow_bitmap_create(&entry);
	if (!bitmap)
		return -ENOMEM;
	err = add_new(c, bitmap);
	if (!err) {
		qcow_bitmaps_publish(c->bitmaps);
		return 0;
	}
	qcow_bitmap_destroy(c->bitmaps, bitmap);
	return err;
}

static int change_remove(const struct bitmap_change *c, struct qcow_dirty_bitmap *bitmap)
{
	struct list_head *before = bitmap->node.prev;
	int err;

	list_del_init(&bitmap->node);
	err = store(c, bitmap);
	if (err) {
		list_add(&bitmap->node, before);
		return err;
	}
	qcow_bitmaps_publish(c->bitmaps);
	qcow_bitmap_destroy(c->bitmaps, bitmap);
	return 0;
}

static int change_flags(const struct bitmap_change *c, struct qcow_dirty_bitmap *bitmap,
			bool record)
{
	u32 old = bitmap->entry.flags;
	int err;

	if (record == !!(old & QCOW_BITMAP_AUTO))
		return 0;
	bitmap->entry.flags ^= QCOW_BITMAP_AUTO;
	bitmap->is_stale = !record;
	err = store(c, NULL);
	if (err) {
		bitmap->entry.flags = old;
		bitmap->is_stale = false;
		return err;
	}
	qcow_bitmaps_publish(c->bitmaps);
	return 0;
}

/* Other bits for one that does not record, and so has them on disk, too. */
static int replace_bits(const struct bitmap_change *c, struct qcow_dirty_bitmap *bitmap,
			struct qcow_track *track)
{
	int err;

	swap(bitmap->track, track);
	bitmap->is_stale = true;
	err = store(c, NULL);
	if (err) {
		swap(bitmap->track, track);
		bitmap->is_stale = false;
	}
	qcow_track_destroy(track);
	return err;
}

/* @from: what is to be set, or NULL: nothing is. */
static int change_bits(const struct bitmap_change *c, struct qcow_dirty_bitmap *bitmap,
		       const struct qcow_track *from)
{
	struct qcow_track *track;

	if (bitmap->entry.flags & QCOW_BITMAP_AUTO) {
		if (from)
			qcow_track_merge(bitmap->track, from);
		else
			qcow_track_clear(bitmap->track);
		return 0;
	}
	track = qcow_track_create_parts(c->meta->image->header.size, bitmap->track->bits);
	if (!track)
		return -ENOMEM;
	if (from) {
		qcow_track_merge(track, bitmap->track);
		qcow_track_merge(track, from);
	}
	return replace_bits(c, bitmap, track);
}

static int change_merge(const struct bitmap_change *c, struct qcow_dirty_bitmap *bitmap)
{
	const struct qcow_dirty_bitmap *source = find_bitmap(c->bitmaps, c->source, c->rep);

	if (IS_ERR(source))
		return PTR_ERR(source);
	return source == bitmap ? 0 : change_bits(c, bitmap, source->track);
}

static int change_existing(const struct bitmap_change *c)
{
	struct qcow_dirty_bitmap *bitmap;

	if (c->args->action == QCOW_BITMAP_REMOVE) {
		bitmap = find_any(c->bitmaps, c->name, c->rep);
		return IS_ERR(bitmap) ? PTR_ERR(bitmap) : change_remove(c, bitmap);
	}
	bitmap = find_bitmap(c->bitmaps, c->name, c->rep);
	if (IS_ERR(bitmap))
		return PTR_ERR(bitmap);
	switch (c->args->action) {
	case QCOW_BITMAP_ENABLE:
		return change_flags(c, bitmap, true);
	case QCOW_BITMAP_DISABLE:
		return change_flags(c, bitmap, false);
	case QCOW_BITMAP_MERGE:
		return change_merge(c, bitmap);
	default:
		return change_bits(c, bitmap, NULL);
	}
}

int qcow_device_change_bitmap(const struct qcow_change_bitmap *args, const char *name,
			      const char *source, struct qcow_report *rep)
{
	struct qcow_device *dev = qcow_device_get(args->index, "bitmap", rep);
	struct bitmap_change c = { .args = args, .name = name, .source = source, .rep = rep };
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = qcow_device_check_writable(dev, rep);
	if (!err) {
		c.meta = dev->meta;
		c.bitmaps = &dev->meta->bitmaps;
		err = begin(dev->meta);
	}
	if (!err)
		err = args->action == QCOW_BITMAP_ADD ? change_add(&c) : change_existing(&c);
	qcow_device_put(dev);
	return err;
}

static int map(const struct qcow_device *dev, struct qcow_map_bitmap *args, const char *name,
	       struct qcow_bitmap_range *ranges, u32 *nr, struct qcow_report *rep)
{
	u32 room = *nr;
	u64 guest = args->start, len, bytes;
	const struct qcow_dirty_bitmap *bitmap;
	int err = qcow_device_check_writable(dev, rep);

	*nr = 0;
	if (err)
		return err;
	bytes = dev->chain->header.size;
	bitmap = find_bitmap(&dev->meta->bitmaps, name, rep);
	if (IS_ERR(bitmap))
		return PTR_ERR(bitmap);
	if (guest > bytes) {
		qcow_report(rep, "start %llu, and the disk has %llu bytes", guest, bytes);
		return -EINVAL;
	}
	args->granularity = BIT_ULL(bitmap->entry.granularity_bits);
	while (*nr < room && guest < bytes && qcow_track_next(bitmap->track, &guest, &len)) {
		len = min(len, bytes - guest);
		ranges[(*nr)++] = (struct qcow_bitmap_range) { .start = guest, .len = len };
		guest += len;
		cond_resched();
	}
	args->start = *nr < room ? bytes : guest;
	return 0;
}

int qcow_device_map_bitmap(struct qcow_map_bitmap *args, const char *name,
			   struct qcow_bitmap_range *ranges, u32 *nr, struct qcow_report *rep)
{
	struct qcow_device *dev = qcow_device_get(args->index, "map", rep);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = map(dev, args, name, ranges, nr, rep);
	qcow_device_put(dev);
	return err;
}
