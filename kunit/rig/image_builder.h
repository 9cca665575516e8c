/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Builds images in memory, for tests, out of ondisk.h alone: it shares no arithmetic with
 * the code under test. Nothing here checks what it is asked to write.
 */
#ifndef _QCOW_KUNIT_IMAGE_BUILDER_H
#define _QCOW_KUNIT_IMAGE_BUILDER_H

#include <linux/bits.h>
#include <linux/types.h>

struct kunit;
struct qcow_cache;
struct qcow_image;
struct ram_disk;

/* Flags of L1 and L2 entries as the format has them. */
#define ENTRY_COPIED		BIT_ULL(63)
#define ENTRY_COMPRESSED	BIT_ULL(62)	/* version 2 and 3 */
#define ENTRY_ZERO		BIT_ULL(0)		/* version 3 */

/**
 * struct image_shape - what kind of image
 * @version: 1, 2 or 3
 * @cluster_bits: log2 of the cluster size
 * @l2_bits: version 1; 0: one cluster per L2 table
 * @size: virtual size
 * @l1_entries: 0: as many as @size needs
 * @crypt_method: QCOW_CRYPT_*
 * @incompatible: feature bits, version 3
 * @autoclear: feature bits, version 3
 * @refcount_bits: version 3; 0: 16
 * @room: bytes of memory for the file; 0: 1 MiB
 */
struct image_shape {
	u32 version;
	u32 cluster_bits;
	u32 l2_bits;
	u64 size;
	u32 l1_entries;
	u32 crypt_method;
	u64 incompatible;
	u64 autoclear;
	u32 refcount_bits;
	u64 room;
};

/**
 * struct image_builder - an image on its way
 * @test: the test
 * @shape: with the defaults filled in
 * @disk: the file
 * @data: the external data file, set by the test; NULL: none
 * @l1_offset: of the L1 table that entries go into
 * @l1_entries: that it has
 * @l2_bits: log2 of entries per L2 table
 * @entry_bytes: of an L2 entry
 * @refcount_table: where it is, versions 2 and 3
 * @end: of what is allocated
 * @snapshots_end: of the snapshot table, 0: there is none
 */
struct image_builder {
	struct kunit *test;
	struct image_shape shape;
	struct ram_disk *disk;
	struct ram_disk *data;
	u64 l1_offset;
	u32 l1_entries;
	u32 l2_bits;
	u32 entry_bytes;
	u64 refcount_table;
	u64 end;
	u64 snapshots_end;
};

/* An image without data. It lives as long as @test, or the test fails here. */
struct image_builder *image_build(struct kunit *test, const struct image_shape *shape);

/* Allocate so many bytes on a cluster border; where. */
u64 image_build_alloc(struct image_builder *b, u64 bytes);

/* Write an L1 entry as it is. */
void image_build_l1(struct image_builder *b, u64 l1_idx, u64 entry);

/* Write the L2 entry of a guest offset as it is, in a new L2 table if need be. */
void image_build_entry(struct image_builder *b, u64 guest, u64 entry);

/* With extended L2, the word behind it. */
void image_build_bitmap(struct image_builder *b, u64 guest, u64 bitmap);

/* Allocate a data cluster for a guest offset; where. */
u64 image_build_data(struct image_builder *b, u64 guest);

/*
 * Count all clusters that have been allocated as used once, for an image that is written to.
 * Nothing is allocated afterwards.
 */
void image_build_counts(struct image_builder *b);

/* Change the count of one cluster. */
void image_build_count(struct image_builder *b, u64 host, u64 count);

/* The flag of an allocated cluster: none in version 1. */
u64 image_build_copied(const struct image_builder *b);

/**
 * image_build_snapshot() - append an entry to the snapshot table
 * @b: the image; the table has to be its last part
 * @l1_offset: of the snapshot's L1 table
 * @l1_entries: of it
 * @disk_bytes: virtual size; 0: an entry without extra data
 * @name_len: bytes of its name
 */
void image_build_snapshot(struct image_builder *b, u64 l1_offset, u32 l1_entries,
			  u64 disk_bytes, u16 name_len);

/* A fresh, empty L1 table, which entries go into from now on. */
void image_build_new_l1(struct image_builder *b);

/**
 * image_build_open() - open an image that must open, as one layer
 * @b: the image
 * @cache_bytes: limit of its cache
 *
 * It is closed at the end of the test, before what has been made before it.
 */
struct qcow_image *image_build_open(struct image_builder *b, u64 cache_bytes);

/* The same for a raw layer. */
struct qcow_image *image_open_raw(struct kunit *test, struct ram_disk *disk);

/* A cache that is destroyed at the end of the test. */
struct qcow_cache *image_cache_create(struct kunit *test, u64 limit);

#endif /* _QCOW_KUNIT_IMAGE_BUILDER_H */
