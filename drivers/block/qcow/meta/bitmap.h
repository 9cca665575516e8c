/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Persistent bitmaps of an image that is written to: loaded at attach, kept true in memory while it
 * is attached, stored when it is not written to any more. Meanwhile, from before the first write
 * on, those that record are marked on disk as inconsistent.
 */
#ifndef _QCOW_META_BITMAP_H
#define _QCOW_META_BITMAP_H

#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <qcow/bitmap.h>

struct qcow_image;
struct qcow_meta;
struct qcow_report;
struct qcow_track;

/**
 * struct qcow_dirty_bitmap - one bitmap
 * @node: of struct qcow_bitmaps, in the order of the directory
 * @entry: its entry; QCOW_BITMAP_IN_USE: it was inconsistent when it was loaded
 * @text: name and extra data of @entry
 * @track: its bits, or NULL: they are not known, and the bitmap stays as it is on disk
 * @table: its table on disk, of @entry's length; with @track. After a resize that may be another
 *         one than the size needs, of one that records
 * @resized: while the image is resized: its bits for the new size
 * @memory: bytes that it counts for
 * @is_stale: it does not record, and @track has something that is not on disk
 * @next: while it is being stored: its next table
 * @next_offset: and where that is
 * @next_entries: of @next
 *
 *   in the file          entry.flags                       in memory
 *   recording            AUTO, on disk also IN_USE         @track, marked by requests
 *   disabled             0                                 @track, on disk
 *   inconsistent         IN_USE and what it had            -
 *   not understood       0 or AUTO with extra data         -
 */
struct qcow_dirty_bitmap {
	struct list_head node;
	struct qcow_bitmap entry;
	void *text;
	struct qcow_track *track;
	__be64 *table;
	struct qcow_track *resized;
	u64 memory;
	bool is_stale;
	__be64 *next;
	u64 next_offset;
	u32 next_entries;
};

/**
 * struct qcow_recorders - where requests that have written say so
 * @nr: of @tracks
 * @tracks: of the bitmaps that record
 */
struct qcow_recorders {
	unsigned int nr;
	struct qcow_track *tracks[];
};

/**
 * struct qcow_bitmaps - all bitmaps of one image
 * @list: struct qcow_dirty_bitmap; changed by operations on the device, one at a time, while
 *        the image is marked as begun
 * @recorders: of those that record, or NULL: none does
 * @host: where the directory is
 * @bytes: its length; 0: there is none
 * @memory: bytes of all that are in memory
 */
struct qcow_bitmaps {
	struct list_head list;
	struct qcow_recorders __rcu *recorders;
	u64 host;
	u64 bytes;
	u64 memory;
};

/**
 * qcow_bitmaps_open() - read the bitmaps
 * @meta: of an image that is open for writing; all but @meta->bitmaps is there, and the directory
 *        is added to its @overlap
 * @drop: those that cannot be kept true become inconsistent with the first write, or all are lost
 *        with it where the directory cannot be understood; else the image is refused
 * @rep: says what cannot be kept
 *
 * Context: the attach; may sleep.
 * Return: 0; -EOPNOTSUPP: not @drop; -ENOMEM, -EIO, ...
 */
int qcow_bitmaps_open(struct qcow_meta *meta, bool drop, struct qcow_report *rep);

/* No request is under way. */
void qcow_bitmaps_close(struct qcow_bitmaps *bitmaps);

/**
 * qcow_bitmaps_mark() - before the first write: what records is inconsistent on disk from now on
 * @bitmaps: of the image
 * @image: the image
 *
 * Context: the worker; may sleep and do I/O, GFP_NOIO.
 * Return: 0, and it is durable; or -errno: some may be marked.
 */
int qcow_bitmaps_mark(struct qcow_bitmaps *bitmaps, struct qcow_image *image);

/* Whether the image has any that it keeps. Context: the worker, or an operation. */
static inline bool qcow_bitmaps_kept(const struct qcow_bitmaps *bitmaps)
{
	return !list_empty(&bitmaps->list);
}

/* Whether any records. */
static inline bool qcow_bitmaps_recording(const struct qcow_bitmaps *bitmaps)
{
	return rcu_access_pointer(bitmaps->recorders);
}

void qcow_bitmaps_record_all(struct qcow_bitmaps *bitmaps, u64 guest, u64 len);

/**
 * qcow_bitmaps_record() - a range has been written to, whether or not that has failed
 * @bitmaps: of the image
 * @guest: first byte
 * @len: bytes
 *
 * Context: any.
 */
static inline void qcow_bitmaps_record(struct qcow_bitmaps *bitmaps, u64 guest, u64 len)
{
	if (unlikely(qcow_bitmaps_recording(bitmaps)))
		qcow_bitmaps_record_all(bitmaps, guest, len);
}

/*
 * For operations on the device, and storing.
 */

/**
 * qcow_bitmaps_stop() - nothing is recorded any more, nor stored
 * @bitmaps: of the image; no request is under way
 *
 * Those that record stay inconsistent.
 *
 * Context: process context.
 */
void qcow_bitmaps_stop(struct qcow_bitmaps *bitmaps);

/**
 * qcow_bitmaps_publish() - requests that end from now on record where @list says
 * @bitmaps: of the image
 *
 * Context: process context, may sleep; waits for requests that end just now.
 */
void qcow_bitmaps_publish(struct qcow_bitmaps *bitmaps);

/* By name, or NULL. */
struct qcow_dirty_bitmap *qcow_bitmaps_find(const struct qcow_bitmaps *bitmaps, const char *name,
					    u32 len);

/**
 * qcow_bitmap_create() - a bitmap in memory
 * @entry: its entry, copied
 *
 * Context: process context, may sleep.
 * Return: for qcow_bitmap_destroy(), in no list, without bits; or NULL.
 */
struct qcow_dirty_bitmap *qcow_bitmap_create(const struct qcow_bitmap *entry);
void qcow_bitmap_destroy(struct qcow_bitmaps *bitmaps, struct qcow_dirty_bitmap *bitmap);

/**
 * qcow_bitmaps_check_memory() - refuse bitmaps that would take too much memory
 * @bitmap: one of them, for the message
 * @memory: bytes, qcow_bitmap_memory() of all
 * @rep: says so
 *
 * Return: 0 or -EFBIG.
 */
int qcow_bitmaps_check_memory(const struct qcow_dirty_bitmap *bitmap, u64 memory,
			      struct qcow_report *rep);

/* Bytes that a bitmap takes: its bits, its table, and the next one. */
u64 qcow_bitmap_memory(u64 disk_bytes, u32 granularity_bits, u64 table_entries);

/**
 * qcow_bitmap_create_bits() - have bits for a bitmap in memory, none of them set
 * @bitmaps: of the image
 * @bitmap: without bits
 * @disk_bytes: of the disk
 * @rep: says why not
 *
 * Context: process context, may sleep.
 * Return: 0; -EOPNOTSUPP: bits for less than a sector; -EFBIG: together with others too many;
 * -ENOMEM.
 */
int qcow_bitmap_create_bits(struct qcow_bitmaps *bitmaps, struct qcow_dirty_bitmap *bitmap,
			    u64 disk_bytes, struct qcow_report *rep);

/* Nothing is known of its bits any more. No request records in it. */
void qcow_bitmap_forget_bits(struct qcow_bitmaps *bitmaps, struct qcow_dirty_bitmap *bitmap);

/**
 * qcow_bitmap_load_table() - read the table of a bitmap
 * @meta: of the image
 * @entry: of the directory
 * @table: result, for kvfree()
 *
 * Context: the attach, or the worker.
 * Return: 0, and the table, and what it leads to, is counted and none of other metadata, or of
 * other bitmaps that are known; -EUCLEAN, or an entry has wrong bits; -ENOMEM, -EIO, ...
 */
int qcow_bitmap_load_table(struct qcow_meta *meta, const struct qcow_bitmap *entry,
			   __be64 **table);

/* Bytes of the directory, and how many it has. */
u64 qcow_bitmaps_dir_bytes(const struct qcow_bitmaps *bitmaps, u32 *nr);

/* The directory; @stored: those that record are on disk, and not marked. */
void qcow_bitmaps_put_dir(const struct qcow_bitmaps *bitmaps, bool stored, void *buf);

#endif /* _QCOW_META_BITMAP_H */
