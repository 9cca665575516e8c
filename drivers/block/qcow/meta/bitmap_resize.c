// SPDX-License-Identifier: GPL-2.0
/*
 * Other bits for bitmaps in memory. Of one that does not record they are as they will be from the
 * beginning. Those that record go on in the old ones until the image has its new size; then
 * requests record in the new ones, which get what the old ones have. That is looked at when no
 * request records in these any more.
 */
#include <linux/list.h>
#include <linux/minmax.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "meta/bitmap.h"
#include "meta/bitmap_resize.h"
#include "meta/track.h"

static bool is_recording(const struct qcow_dirty_bitmap *bitmap)
{
	return bitmap->entry.flags & QCOW_BITMAP_AUTO;
}

/* A table that is too short makes the image one that QEMU does not open. */
static int check_unreadable(const struct qcow_dirty_bitmap *bitmap, struct qcow_report *rep)
{
	const struct qcow_bitmap *e = &bitmap->entry;

	if (e->flags & QCOW_BITMAP_IN_USE)
		return 0;
	qcow_report(rep,
		    "bitmap \"%.*s\" cannot be read, and would not be as long as the disk; remove it first",
		    (int)e->name_len, e->name);
	return -EOPNOTSUPP;
}

static u64 memory_of(const struct qcow_bitmap *e, const struct qcow_image *image, u64 bytes)
{
	return qcow_bitmap_memory(bytes, e->granularity_bits,
				  qcow_bitmap_table_entries(bytes, e->granularity_bits,
							    image->geo.cluster_bits));
}

/* @memory: that those before it take. */
static int create_bits(struct qcow_dirty_bitmap *bitmap, const struct qcow_image *image, u64 bytes,
		       u64 *memory, struct qcow_report *rep)
{
	const struct qcow_bitmap *e = &bitmap->entry;
	int err;

	*memory += memory_of(e, image, bytes);
	err = qcow_bitmaps_check_memory(bitmap, *memory, rep);
	if (err)
		return err;
	bitmap->resized = qcow_track_create_parts(bytes, e->granularity_bits);
	if (!bitmap->resized)
		return -ENOMEM;
	if (!is_recording(bitmap))
		qcow_track_merge(bitmap->resized, bitmap->track);
	return 0;
}

int qcow_bitmaps_resize_begin(struct qcow_bitmaps *bitmaps, const struct qcow_image *image,
			      u64 bytes, struct qcow_report *rep)
{
	struct qcow_dirty_bitmap *bitmap;
	u64 memory = 0;
	int err = 0;

	list_for_each_entry(bitmap, &bitmaps->list, node) {
		if (bitmap->track)
			err = create_bits(bitmap, image, bytes, &memory, rep);
		else
			err = check_unreadable(bitmap, rep);
		if (err)
			break;
	}
	if (err)
		qcow_bitmaps_resize_end(bitmaps, image, false);
	return err;
}

static void use_bits(struct qcow_bitmaps *bitmaps, const struct qcow_image *image)
{
	struct qcow_dirty_bitmap *bitmap;

	bitmaps->memory = 0;
	list_for_each_entry(bitmap, &bitmaps->list, node) {
		if (!bitmap->track)
			continue;
		swap(bitmap->track, bitmap->resized);
		bitmap->memory = memory_of(&bitmap->entry, image, image->header.size);
		bitmaps->memory += bitmap->memory;
	}
	qcow_bitmaps_publish(bitmaps);
	list_for_each_entry(bitmap, &bitmaps->list, node) {
		if (bitmap->track && is_recording(bitmap))
			qcow_track_merge(bitmap->track, bitmap->resized);
	}
}

void qcow_bitmaps_resize_end(struct qcow_bitmaps *bitmaps, const struct qcow_image *image,
			     bool resized)
{
	struct qcow_dirty_bitmap *bitmap;

	if (resized)
		use_bits(bitmaps, image);
	list_for_each_entry(bitmap, &bitmaps->list, node) {
		qcow_track_destroy(bitmap->resized);
		bitmap->resized = NULL;
	}
}
