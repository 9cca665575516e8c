/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fields of the header of the active image that change while it is attached. All are in its
 * first sector, each change is one write of it, and durable when the function returns.
 */
#ifndef _QCOW_DRIVER_HEADER_H
#define _QCOW_DRIVER_HEADER_H

#include <linux/types.h>

struct qcow_head;
struct qcow_header;
struct qcow_image;
struct qcow_meta;

/*
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0 or -errno: the header is the old one or, when a flush failed, either.
 */

/* Where the refcount table is, versions 2 and 3. */
int qcow_header_set_refcount_table(struct qcow_image *image, u64 host, u32 clusters);

/* Where the L1 table is. Version 1 has no field for its length. */
int qcow_header_set_l1(struct qcow_image *image, u64 host, u32 entries);

/* All that qcow_header_put() puts, in one write; versions 2 and 3. */
int qcow_header_set(struct qcow_image *image, const struct qcow_header *next);

/*
 * After a change that failed: have the header say what it said before. What it would have referred
 * to may be given back then. When that fails, too, nothing is written from now on.
 */
int qcow_header_restore(struct qcow_meta *meta);

/*
 * One write, within the first sector or of all of it, that has something else valid. @old: what is
 * there, which is written again after an error; when that fails, nothing is written from now on.
 */
int qcow_header_switch(struct qcow_meta *meta, const void *old, const void *new, u64 pos,
		       size_t len);

/*
 * @heads: QCOW_MAX_HEADS, for qcow_backing_plan() or qcow_bitmaps_plan(): the first one has what is
 * there. The memory of all is that of the first one, for kvfree(), unless this fails.
 */
int qcow_header_read_heads(struct qcow_image *image, struct qcow_head *heads);

/*
 * @heads: of qcow_backing_plan() or qcow_bitmaps_plan(), the first of @nr is there. Return: 0: what
 * changes is there, if without the feature name table; -errno: it is as before, as of
 * qcow_header_switch().
 */
int qcow_header_write_heads(struct qcow_meta *meta, const struct qcow_head *heads,
			    unsigned int nr);

/* Guest bytes. */
int qcow_header_set_size(struct qcow_image *image, u64 bytes);

/* Feature bits, version 3. */
int qcow_header_set_incompatible(struct qcow_image *image, u64 features);
int qcow_header_set_autoclear(struct qcow_image *image, u64 features);

#endif /* _QCOW_DRIVER_HEADER_H */
