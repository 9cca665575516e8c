/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Persistent bitmaps of a disk that gets another size.
 *
 *   begin: all have bits for the new size, too; requests record in the old ones
 *     |
 *     +--> stored with the new size, those that do not record (bitmap_store.c)
 *     |
 *     +--> end: the new bits, or the old ones
 */
#ifndef _QCOW_META_BITMAP_RESIZE_H
#define _QCOW_META_BITMAP_RESIZE_H

#include <linux/types.h>

struct qcow_bitmaps;
struct qcow_image;
struct qcow_report;

/**
 * qcow_bitmaps_resize_begin() - have bits for another size
 * @bitmaps: of the image
 * @image: the image
 * @bytes: the new size
 * @rep: says what is wrong
 *
 * What is new is clean. Those that are inconsistent stay so, as they are.
 *
 * Context: an operation on the device; may sleep.
 * Return: 0, for qcow_bitmaps_resize_end(); nothing is to be ended after an error: -EOPNOTSUPP: one
 * cannot be read, and so not get the size; -EFBIG: they would be too long; -ENOMEM.
 */
int qcow_bitmaps_resize_begin(struct qcow_bitmaps *bitmaps, const struct qcow_image *image,
			      u64 bytes, struct qcow_report *rep);

/**
 * qcow_bitmaps_resize_end() - the image has the new size, or it has not
 * @bitmaps: of the image
 * @image: the image
 * @resized: it has; requests to what is new come later
 *
 * Context: likewise; waits for requests that end just now.
 */
void qcow_bitmaps_resize_end(struct qcow_bitmaps *bitmaps, const struct qcow_image *image,
			     bool resized);

#endif /* _QCOW_META_BITMAP_RESIZE_H */
