/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Persistent bitmaps as they stand on disk, big endian: extension and directory, as in
 * QEMU's docs/interop/qcow2.
 */
#ifndef QCOWCTL_BITMAPS_H
#define QCOWCTL_BITMAPS_H

#include <qcow/types.h>

struct bitmaps_ext {
	__be32 nr;
	__be32 reserved;
	__be64 dir_bytes;
	__be64 dir_offset;
} __packed;

/* Directory entry; extra data and name follow, padded to 8 bytes. */
struct bitmap_entry {
	__be64 table_offset;
	__be32 table_size;
	__be32 flags;
	u8 type;
	u8 granularity_bits;
	__be16 name_len;
	__be32 extra_len;
} __packed;
static_assert(sizeof(struct bitmaps_ext) == 24 && sizeof(struct bitmap_entry) == 24);

#define BITMAP_IN_USE		BIT_ULL(0)
#define BITMAP_AUTO		BIT_ULL(1)
#define MAX_BITMAPS		65535U
#define MAX_BITMAP_NAME		1023U
#define MAX_DIR_BYTES		((u64)MAX_BITMAPS * (sizeof(struct bitmap_entry) + MAX_BITMAP_NAME))

/* Entries of a bitmap's table. */
#define BITMAP_TABLE_OFFSET	GENMASK_ULL(55, 9)
#define BITMAP_TABLE_RESERVED	(GENMASK_ULL(63, 56) | GENMASK_ULL(8, 1))
#define BITMAP_TABLE_ONES	BIT_ULL(0)

#endif /* QCOWCTL_BITMAPS_H */
