/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Persistent bitmaps of an attached image: changed and looked at.
 *
 * Context of both functions: process context, may sleep.
 */
#ifndef _QCOW_LIVE_BITMAP_H
#define _QCOW_LIVE_BITMAP_H

#include <linux/types.h>

struct qcow_bitmap_range;
struct qcow_change_bitmap;
struct qcow_map_bitmap;
struct qcow_report;

/**
 * qcow_device_change_bitmap() - add, remove or change a bitmap
 * @args: checked by the caller: its flags, its lengths
 * @name: of the bitmap
 * @source: of the one that is merged, or NULL
 * @rep: says what is wrong
 *
 * Return: 0; -ENXIO: no such device; -EBUSY: another operation is running; -EROFS: it is read-only;
 * -EEXIST, -ENOENT: the name; -EUCLEAN: the bitmap is inconsistent; -EINVAL, -EFBIG: the
 * granularity; -EOPNOTSUPP: the image can have none; as qcow_bitmaps_store().
 */
int qcow_device_change_bitmap(const struct qcow_change_bitmap *args, const char *name,
			      const char *source, struct qcow_report *rep);

/**
 * qcow_device_map_bitmap() - what a bitmap says has changed
 * @args: where to begin; its results, but for the number of ranges
 * @name: of the bitmap
 * @ranges: result
 * @nr: of them; result: those found, fewer only where there are no more
 * @rep: says what is wrong
 *
 * Return: 0; -EINVAL: @args->start lies beyond the end; as qcow_device_change_bitmap().
 */
int qcow_device_map_bitmap(struct qcow_map_bitmap *args, const char *name,
			   struct qcow_bitmap_range *ranges, u32 *nr, struct qcow_report *rep);

#endif /* _QCOW_LIVE_BITMAP_H */
