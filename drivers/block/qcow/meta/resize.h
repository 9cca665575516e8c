/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The size of an image: what the metadata worker does when it changes.
 *
 *   begin: the tables in memory reach to the new size, on disk and for the guest nothing has
 *     |    changed
 *     +--> what will be new is made to read as zeros (by the caller)
 *     +--> commit: the L1 table on disk is long enough, then the header has the new size
 *     |
 *     +--> undo: after an error
 */
#ifndef _QCOW_META_RESIZE_H
#define _QCOW_META_RESIZE_H

#include <linux/types.h>

struct qcow_image;
struct qcow_meta;
struct qcow_report;

/**
 * struct qcow_resizing - an image that gets another size
 * @from: guest bytes now
 * @to: and then
 * @l1_entries: that @to needs
 * @zero_end: guest bytes from @from to here may hold something, and are to read as zeros
 * @is_tried: the header has been written, or that has failed and it may be either
 */
struct qcow_resizing {
	u64 from;
	u64 to;
	u32 l1_entries;
	u64 zero_end;
	bool is_tried;
};

/**
 * qcow_resize_check() - whether the active image may get another size
 * @image: the image
 * @bytes: new size
 * @block_bytes: logical block size of the device
 * @shrink: it may be less than the present one
 * @l1_entries: result: entries of the L1 table that it needs
 * @rep: says why not
 *
 * Context: process context, no other operation on the device; may sleep.
 * Return: 0; errors as qcow_header_check_resize() and qcow_image_walk_snapshots(); -EOPNOTSUPP: a
 * snapshot would not keep its size.
 */
int qcow_resize_check(struct qcow_image *image, u64 bytes, u32 block_bytes, bool shrink,
		      u32 *l1_entries, struct qcow_report *rep);

/**
 * qcow_resize_begin() - have tables in memory for the longer of both sizes
 * @meta: the metadata
 * @resizing: @to and @l1_entries are set, qcow_resize_check() has passed them
 * @rep: says why not
 *
 * Context: process context but that of the worker; may sleep.
 * Return: 0; -EFBIG, -EUCLEAN, -ENOMEM, -EIO, ...: nothing has changed.
 */
int qcow_resize_begin(struct qcow_meta *meta, struct qcow_resizing *resizing,
		      struct qcow_report *rep);

/**
 * qcow_resize_commit() - make the new size durable
 * @meta: the metadata
 * @resizing: between its sizes there is nothing but zeros; @is_tried comes out
 * @rep: says why bitmaps cannot be stored for the new size
 *
 * Context: as above.
 * Return: 0 or -errno: the size on disk is the old one or, when a flush failed, either.
 */
int qcow_resize_commit(struct qcow_meta *meta, struct qcow_resizing *resizing,
		       struct qcow_report *rep);

/* The size is the old one after all. Context: as above. */
void qcow_resize_undo(struct qcow_meta *meta, struct qcow_resizing *resizing);

#endif /* _QCOW_META_RESIZE_H */
