/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Persistent bitmaps of an image that is written to. The driver does not record in them what is
 * written: before the first write those that are enabled are marked inconsistent.
 */
#ifndef _QCOW_META_BITMAP_H
#define _QCOW_META_BITMAP_H

#include <linux/types.h>

struct qcow_image;
struct qcow_overlap;
struct qcow_report;

/**
 * struct qcow_bitmaps - the bitmap directory of one image
 * @known: it has been understood, and stays
 * @marked: as it is to be written, or NULL: there is nothing to be marked
 * @host: where it is
 * @bytes: its length
 */
struct qcow_bitmaps {
	bool known;
	void *marked;
	u64 host;
	size_t bytes;
};

/**
 * qcow_bitmaps_open() - read the bitmap directory
 * @bitmaps: result
 * @image: open for writing
 * @overlap: has all metadata of the active state; gets the directory
 * @rep: says what becomes of bitmaps, also of those that cannot be understood
 *
 * Context: the attach; may sleep.
 * Return: 0; -ENOMEM, -EIO, ...
 */
int qcow_bitmaps_open(struct qcow_bitmaps *bitmaps, struct qcow_image *image,
		      struct qcow_overlap *overlap, struct qcow_report *rep);
void qcow_bitmaps_close(struct qcow_bitmaps *bitmaps);

/**
 * qcow_bitmaps_mark() - before the first write: enabled bitmaps are inconsistent from now on
 * @bitmaps: of the image
 * @image: the image
 *
 * Context: the worker; may sleep and do I/O, GFP_NOIO.
 * Return: 0, and it is durable; or -errno: some may be marked.
 */
int qcow_bitmaps_mark(struct qcow_bitmaps *bitmaps, struct qcow_image *image);

#endif /* _QCOW_META_BITMAP_H */
