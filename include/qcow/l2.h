/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mapping arithmetic: from guest offsets to L1 and L2 indices, from table entries to
 * extents and back. Pure: all numbers come in, a plain value comes out.
 */
#ifndef _QCOW_L2_H
#define _QCOW_L2_H

#include <qcow/ondisk.h>
#include <qcow/report.h>
#include <qcow/types.h>

/* An L2 table is read and cached in slices of at most this many bytes. */
#define QCOW_SLICE_BITS		12
#define QCOW_SLICE_BYTES	4096U
static_assert(QCOW_SLICE_BYTES == 1U << QCOW_SLICE_BITS);

/**
 * struct qcow_geometry - the constants of one image that mapping works with
 * @size: guest bytes, rounded down to 512 as QEMU does
 * @file_bytes: L2 tables lie before it: the length of the file, which may grow while entries are
 *              decoded, or S64_MAX
 * @version: 1, 2 or 3
 * @cluster_bits: log2 of the cluster size
 * @l2_bits: log2 of the entries of one L2 table
 * @entry_bits: log2 of the bytes of one L2 entry: 3, or 4 with subclusters
 * @slice_bits: log2 of the entries of one slice
 * @subcluster_bits: log2 of the subcluster size; @cluster_bits without extended L2
 * @extended_l2: two-word entries with subclusters
 * @data_file: data clusters are in an external file; offset 0 is a valid host offset
 * @l1_reserved: bits of an L1 entry that must be zero
 * @l1_offset_mask: the L2 table's offset in an L1 entry
 * @reserved: bits of a standard L2 entry that must be zero
 * @offset_mask: the host offset in a standard L2 entry
 * @host_align_mask: bits of a data cluster's host offset that must be zero
 * @copied: flag of L1 and L2 entries: reference count is exactly one; 0 in version 1
 * @compressed: flag of a compressed L2 entry
 * @zero: flag of an entry that reads as zeros; 0 before version 3 and with subclusters
 * @csize_shift: lowest bit of a compressed entry's size field
 * @csize_mask: the size field, after the shift
 * @csize_sectors: the size field counts additional sectors (2, 3), else bytes (1)
 * @metadata_end: bytes at the start of the file where no table can be (the header)
 */
struct qcow_geometry {
	u64 size;
	u64 file_bytes;
	u8 version;
	u8 cluster_bits;
	u8 l2_bits;
	u8 entry_bits;
	u8 slice_bits;
	u8 subcluster_bits;
	bool extended_l2;
	bool data_file;
	u64 l1_reserved;
	u64 l1_offset_mask;
	u64 reserved;
	u64 offset_mask;
	u32 host_align_mask;
	u64 copied;
	u64 compressed;
	u64 zero;
	u8 csize_shift;
	u32 csize_mask;
	bool csize_sectors;
	u32 metadata_end;
};

static inline u64 qcow_cluster_bytes(const struct qcow_geometry *g)
{
	return 1ULL << g->cluster_bits;
}

static inline u32 qcow_slice_bytes(const struct qcow_geometry *g)
{
	return 1U << (g->slice_bits + g->entry_bits);
}

/* Index of the slice that maps this guest byte, counted over all L2 tables. */
static inline u64 qcow_slice_idx(const struct qcow_geometry *g, u64 guest)
{
	return guest >> (g->cluster_bits + g->slice_bits);
}

/* First guest byte that the slice maps. */
static inline u64 qcow_slice_guest(const struct qcow_geometry *g, u64 slice_idx)
{
	return slice_idx << (g->cluster_bits + g->slice_bits);
}

static inline u64 qcow_slice_l1_idx(const struct qcow_geometry *g, u64 slice_idx)
{
	return slice_idx >> (g->l2_bits - g->slice_bits);
}

/* Bytes from the start of its L2 table to the slice. */
static inline u64 qcow_slice_in_table(const struct qcow_geometry *g, u64 slice_idx)
{
	u64 slices = 1ULL << (g->l2_bits - g->slice_bits);

	return (slice_idx & (slices - 1)) << (g->slice_bits + g->entry_bits);
}

/**
 * qcow_l1_needed() - L1 entries that map the whole virtual size
 * @g: the geometry
 *
 * Return: number of entries.
 */
u64 qcow_l1_needed(const struct qcow_geometry *g);

/**
 * qcow_l1_decode() - where the L2 table is
 * @g: the geometry
 * @entry: the L1 entry, CPU order
 * @table: host offset of the L2 table, 0: not allocated
 * @flaw: filled when the entry is wrong
 *
 * Return: 0, or -EUCLEAN: reserved bits, an offset that is no multiple of the cluster
 * size (2, 3), a table over the header or beyond the end of the file.
 */
int qcow_l1_decode(const struct qcow_geometry *g, u64 entry, u64 *table, struct qcow_flaw *flaw);

/**
 * enum qcow_extent_kind - what a guest range is
 * @QCOW_EXTENT_HOLE: not in this image: reads from the backing file, or as zeros
 * @QCOW_EXTENT_ZERO: reads as zeros, also with a backing file
 * @QCOW_EXTENT_DATA: at a host offset
 * @QCOW_EXTENT_COMPRESSED: one compressed cluster
 */
enum qcow_extent_kind {
	QCOW_EXTENT_HOLE,
	QCOW_EXTENT_ZERO,
	QCOW_EXTENT_DATA,
	QCOW_EXTENT_COMPRESSED,
};

/**
 * struct qcow_extent - how one contiguous guest range is stored
 * @kind: what the range is
 * @allocated: host space belongs to it: always for DATA; for ZERO a preallocated cluster;
 *             for HOLE an unallocated subcluster of an allocated cluster
 * @shared: allocated, and other entries may refer to the cluster: no write in place
 * @len: guest bytes, from the byte that was asked for, never 0
 * @host: DATA, and the others when @allocated: host offset of the first of these bytes.
 *        COMPRESSED: where the compressed data of the whole cluster starts
 * @compressed_len: COMPRESSED: bytes from @host that may be compressed data (an upper
 *                  bound in version 2 and 3); 0 otherwise
 */
struct qcow_extent {
	enum qcow_extent_kind kind;
	bool allocated;
	bool shared;
	u64 len;
	u64 host;
	u32 compressed_len;
};

/* Whether @next, the guest range behind @ext, can be merged into it. */
static inline bool qcow_extent_continues(const struct qcow_extent *ext,
					 const struct qcow_extent *next)
{
	if (next->kind != ext->kind || next->allocated != ext->allocated ||
	    next->shared != ext->shared)
		return false;
	return !ext->allocated || next->host == ext->host + ext->len;
}

/**
 * qcow_l2_map() - the extent at a guest offset
 * @g: the geometry
 * @entries: the slice, big endian; other threads may change entries: each word is read once
 * @in_slice: guest bytes from the start of the slice, less than the slice maps
 * @max: upper limit of the extent, guest bytes, at least 1
 * @ext: result; covers as many neighbouring entries as continue it, but never leaves the
 *       slice. A compressed extent ends with its cluster.
 * @flaw: filled when the first entry is wrong
 *
 * A corrupt entry after the first one only ends the extent.
 *
 * Return: 0, or -EUCLEAN: reserved bits, an offset that is no multiple of the cluster size
 * (2, 3), a subcluster that is both zero and allocated, arithmetic that overflows.
 * The caller checks that host offsets are inside the data file.
 */
int qcow_l2_map(const struct qcow_geometry *g, const __be64 *entries, u64 in_slice, u64 max,
		struct qcow_extent *ext, struct qcow_flaw *flaw);

/**
 * qcow_l1_encode() - the L1 entry for a table
 * @g: the geometry
 * @table: host offset of an L2 table whose reference count is one
 *
 * Return: the entry, CPU order.
 */
static inline u64 qcow_l1_encode(const struct qcow_geometry *g, u64 table)
{
	return table | g->copied;
}

/**
 * qcow_l2_encode_data() - the L2 entry for a standard cluster
 * @g: the geometry
 * @host: offset of a data cluster whose reference count is one
 *
 * With subclusters, which of them hold data is in the entry's second word.
 *
 * Return: the entry, CPU order.
 */
static inline u64 qcow_l2_encode_data(const struct qcow_geometry *g, u64 host)
{
	return host | g->copied;
}

/* Compressed data has to lie in front of it. */
static inline u64 qcow_l2_compressed_end(const struct qcow_geometry *g)
{
	return BIT_ULL(min_t(u8, g->csize_shift, 56));
}

/**
 * qcow_l2_encode_compressed() - the L2 entry for a compressed cluster
 * @g: the geometry, of version 2 or 3
 * @host: offset of the compressed data
 * @len: its bytes, at most those of a cluster; they end before qcow_l2_compressed_end()
 *
 * Return: the entry, CPU order; a second word is 0.
 */
static inline u64 qcow_l2_encode_compressed(const struct qcow_geometry *g, u64 host, u32 len)
{
	u64 sectors = ((host + len - 1) >> 9) - (host >> 9);

	return g->compressed | sectors << g->csize_shift | host;
}

/* Second word of an extended entry: all subclusters hold data. */
#define QCOW_L2_ALL_ALLOCATED		GENMASK_ULL(31, 0)

/**
 * qcow_l2_put() - store an entry in an L2 table or a slice of it
 * @g: the geometry
 * @entries: the table or slice
 * @idx: of the entry in it
 * @entry: first word, CPU order
 * @bitmap: second word; only stored with extended L2 entries
 *
 * Context: any; the caller excludes other writers. Readers see each word whole.
 */
void qcow_l2_put(const struct qcow_geometry *g, __be64 *entries, u32 idx, u64 entry, u64 bitmap);

#endif /* _QCOW_L2_H */
