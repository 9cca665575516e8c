/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Persistent bitmaps on their way to the disk.
 */
#ifndef _QCOW_META_BITMAP_STORE_H
#define _QCOW_META_BITMAP_STORE_H

#include <linux/types.h>

struct qcow_dirty_bitmap;
struct qcow_meta;
struct qcow_report;

/**
 * struct qcow_bitmaps_change - what is to be stored
 * @all: also those that record, as the image is not written to any more
 * @removed: a bitmap that is not in the list any more, whose space goes; or NULL
 * @disk_bytes: the image gets this size at once, with bitmaps of qcow_bitmaps_resize_begin(); 0: it
 *              keeps the one it has
 */
struct qcow_bitmaps_change {
	bool all;
	const struct qcow_dirty_bitmap *removed;
	u64 disk_bytes;
};

/**
 * qcow_bitmaps_store() - have the directory on disk say what the one in memory does
 * @meta: the metadata, begun
 * @change: what is to be stored
 * @rep: says why not
 *
 * A power cut finds the old bitmaps or the new ones, and the size that goes with them.
 *
 * Context: process context but that of the worker, a commit, or I/O of the device; may sleep.
 * Return: 0; -ENAMETOOLONG: the header has no room for the extension; -ENOSPC, -EINTR, -ENOMEM,
 * -EIO, ...: on disk all is as before.
 */
int qcow_bitmaps_store(struct qcow_meta *meta, const struct qcow_bitmaps_change *change,
		       struct qcow_report *rep);

#endif /* _QCOW_META_BITMAP_STORE_H */
