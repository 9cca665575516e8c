/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Persistent bitmaps, which say what has changed of a disk since some time: their directory and
 * their tables, from bytes that the caller has read, and to bytes that it writes.
 */
#ifndef _QCOW_BITMAP_H
#define _QCOW_BITMAP_H

#include <qcow/header.h>

/**
 * struct qcow_bitmaps_dir - where the directory of persistent bitmaps is
 * @host_offset: of the directory, bytes
 * @bytes: its length
 * @nr: bitmaps in it
 */
struct qcow_bitmaps_dir {
	u64 host_offset;
	u64 bytes;
	u32 nr;
};

/**
 * qcow_bitmaps_find_dir() - the directory that the header extension states
 * @h: the header, with QCOW_AUTOCLEAR_BITMAPS
 * @buf: the first bytes of the file, as for qcow_header_parse()
 * @len: bytes at @buf
 * @file_bytes: length of the file; the directory must lie inside it
 * @dir: result
 * @rep: says what is wrong
 *
 * Return: 0; -EINVAL, -EFBIG; -EUCLEAN: beyond the end of the file.
 */
int qcow_bitmaps_find_dir(const struct qcow_header *h, const void *buf, size_t len, u64 file_bytes,
			  struct qcow_bitmaps_dir *dir, struct qcow_report *rep);

/**
 * struct qcow_bitmap - a validated entry of the bitmap directory, CPU order
 * @table_offset: of its table, bytes
 * @table_entries: of that table
 * @flags: QCOW_BITMAP_*
 * @granularity_bits: log2 of the guest bytes that a bit stands for
 * @extra: extra data, points into the directory like @name
 * @extra_len: bytes at @extra
 * @name: its name, not NUL terminated
 * @name_len: bytes at @name
 */
struct qcow_bitmap {
	u64 table_offset;
	u32 table_entries;
	u32 flags;
	u8 granularity_bits;
	const void *extra;
	u32 extra_len;
	const char *name;
	u32 name_len;
};

/**
 * qcow_bitmap_next() - walk the bitmap directory
 * @h: the header
 * @dir: from qcow_bitmaps_find_dir()
 * @file_bytes: length of the file; tables must lie inside it
 * @buf: @dir->bytes of the directory
 * @pos: position of the walk, 0 to begin
 * @idx: index of the entry at @pos, 0 to begin
 * @bitmap: the next entry
 * @rep: says what is wrong
 *
 * Return: 1 with @bitmap filled, 0 after the last one, -EINVAL, -EFBIG, -EUCLEAN.
 */
int qcow_bitmap_next(const struct qcow_header *h, const struct qcow_bitmaps_dir *dir,
		     u64 file_bytes, const void *buf, size_t *pos, u32 *idx,
		     struct qcow_bitmap *bitmap, struct qcow_report *rep);

/**
 * qcow_bitmap_mark_in_use() - mark all enabled bitmaps as out of step with the data
 * @dir: from qcow_bitmaps_find_dir()
 * @buf: the directory, which qcow_bitmap_next() has walked to its end
 *
 * One flag changes of each; any part of the directory may be written before any other.
 *
 * Return: how many were not marked before.
 */
u32 qcow_bitmap_mark_in_use(const struct qcow_bitmaps_dir *dir, void *buf);

/* Bytes of an entry of the directory. */
u64 qcow_bitmap_entry_bytes(const struct qcow_bitmap *bitmap);

/**
 * qcow_bitmap_put() - write an entry of the directory
 * @bitmap: what it says
 * @buf: qcow_bitmap_entry_bytes() of it
 */
void qcow_bitmap_put(const struct qcow_bitmap *bitmap, void *buf);

/**
 * qcow_bitmap_table_entries() - how long the table of a bitmap has to be
 * @disk_bytes: of the disk
 * @granularity_bits: of the bitmap
 * @cluster_bits: of the image
 */
u64 qcow_bitmap_table_entries(u64 disk_bytes, u32 granularity_bits, u32 cluster_bits);

/**
 * qcow_bitmap_decode() - look at an entry of a bitmap's table
 * @cluster_bits: of the image
 * @entry: CPU order
 * @host: result: where the cluster of bits is, bytes; 0: there is none
 * @ones: result: without a cluster, whether all bits are set, else none is
 *
 * Return: 0 or -EUCLEAN.
 */
int qcow_bitmap_decode(u32 cluster_bits, u64 entry, u64 *host, bool *ones);

/**
 * qcow_bitmap_check_granularity() - whether a new bitmap may have a granularity
 * @bytes: guest bytes that a bit is to stand for
 * @disk_bytes: of the disk
 * @cluster_bits: of the image
 * @rep: says why not
 *
 * Return: 0; -EINVAL: no power of two, or out of range; -EFBIG: the bitmap would be too long.
 */
int qcow_bitmap_check_granularity(u64 bytes, u64 disk_bytes, u32 cluster_bits,
				  struct qcow_report *rep);

/* The granularity of new bitmaps, bytes, as QEMU has it. */
u32 qcow_bitmap_default_granularity(u32 cluster_bits);

#endif /* _QCOW_BITMAP_H */
