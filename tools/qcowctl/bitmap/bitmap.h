/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Persistent dirty bitmaps of an image, QEMU's: of one that no other program has open, or an
 * attached one.
 */
#ifndef QCOWCTL_BITMAP_H
#define QCOWCTL_BITMAP_H

#include <stdbool.h>
#include <stddef.h>

#include <qcow/types.h>
#include <uapi/linux/qcow.h>

struct bitmap_resize;
struct image;
struct shadow;

/**
 * struct bitmap_action - one thing to do
 * @verb: what
 * @source: of QCOW_BITMAP_MERGE: the name of the other bitmap
 */
struct bitmap_action {
	enum qcow_bitmap_action verb;
	const char *source;
};

/**
 * struct bitmap_job - what is to become of a bitmap
 * @name: of the bitmap
 * @actions: what to do, in this order
 * @nr: of them
 * @granularity: guest bytes that a bit of a new one stands for, 0: as QEMU has it
 * @source_file: image that has the bitmaps which are merged, or NULL: the same
 */
struct bitmap_job {
	const char *name;
	struct bitmap_action *actions;
	size_t nr;
	u64 granularity;
	const char *source_file;
};

/**
 * bitmap_change() - change a bitmap of an image
 * @image: name of the image; no policy restricts it
 * @job: what is to become of the bitmap
 *
 * The image is checked first. All actions become valid together: when the power fails, the image is
 * as before or as after all of them. May block.
 *
 * Return: enum qc_exit; after an error the image is as before, unless the message says that it is
 * not known what is on the disk.
 */
int bitmap_change(const char *image, const struct bitmap_job *job);

/**
 * bitmap_change_attached() - the same of an attached image, by the driver
 * @index: of the device
 * @job: what is to become of the bitmap
 *
 * Return: enum qc_exit; after an error what was done before it stays, after a message.
 */
int bitmap_change_attached(u32 index, const struct bitmap_job *job);

/**
 * bitmap_check_idle() - refuse an image with a bitmap that records
 * @img: the image, with a validated header, which is to be written to
 *
 * Return: 0; QC_UNSUPPORTED: it has one; QC_BAD_IMAGE, QC_SYSTEM.
 */
int bitmap_check_idle(const struct image *img);

/**
 * bitmap_resize_begin() - have the bitmaps of an image for another size
 * @img: the image, with a validated header
 * @bytes: the new size
 * @result: for bitmap_resize_end(), also after an error; NULL: it has none
 *
 * Return: 0; QC_UNSUPPORTED: one cannot be used, or would be too long; QC_BAD_IMAGE, QC_SYSTEM.
 */
int bitmap_resize_begin(const struct image *img, u64 bytes, struct bitmap_resize **result);

/**
 * bitmap_resize_write() - write them to new clusters
 * @r: the bitmaps, or NULL
 * @s: the new state of the image, after space_create(), whose counts are not written yet
 */
int bitmap_resize_write(struct bitmap_resize *r, struct shadow *s);

/**
 * bitmap_resize_switch() - as shadow_switch() and shadow_release(): the size and the bitmaps are
 *                          the image's
 * @r: the bitmaps, not NULL
 * @s: the new state, which is durable
 */
int bitmap_resize_switch(struct bitmap_resize *r, struct shadow *s);
void bitmap_resize_end(struct bitmap_resize *r);

/**
 * bitmap_map() - print what a bitmap says has changed
 * @what: name of a device or of an image; no policy restricts it
 * @name: of the bitmap
 * @json: as JSON, else as a table
 *
 * The driver says it of a device that can be written to. Takes no lock. Return: enum qc_exit.
 */
int bitmap_map(const char *what, const char *name, bool json);

#endif /* QCOWCTL_BITMAP_H */
