/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The QCOW format as it is on disk, big endian. Versions 2 and 3: QEMU's
 * docs/interop/qcow2; version 1: the header of QEMU's first format. Only the format code
 * reads these; all other code uses struct qcow_header and struct qcow_geometry.
 */
#ifndef _QCOW_ONDISK_H
#define _QCOW_ONDISK_H

#include <qcow/types.h>

#define QCOW_MAGIC			0x514649fbU	/* "QFI\xfb" */

struct qcow_v1_disk_header {
	__be32 magic;
	__be32 version;
	__be64 backing_offset;
	__be32 backing_size;
	__be32 mtime;
	__be64 size;
	u8 cluster_bits;
	u8 l2_bits;
	__be16 padding;
	__be32 crypt_method;
	__be64 l1_offset;
} __packed;
static_assert(sizeof(struct qcow_v1_disk_header) == 48);

/* Versions 2 and 3; version 2 ends before incompatible_features. */
struct qcow_disk_header {
	__be32 magic;
	__be32 version;
	__be64 backing_offset;
	__be32 backing_size;
	__be32 cluster_bits;
	__be64 size;
	__be32 crypt_method;
	__be32 l1_entries;
	__be64 l1_offset;
	__be64 refcount_table_offset;
	__be32 refcount_table_clusters;
	__be32 nr_snapshots;
	__be64 snapshots_offset;
	__be64 incompatible_features;
	__be64 compatible_features;
	__be64 autoclear_features;
	__be32 refcount_order;
	__be32 header_length;
	u8 compression_type;
	u8 padding[7];
} __packed;
#define QCOW_V2_HEADER_BYTES		72
#define QCOW_V3_HEADER_BYTES		104
static_assert(sizeof(struct qcow_disk_header) == 112);
static_assert(offsetof(struct qcow_disk_header, incompatible_features) == QCOW_V2_HEADER_BYTES);
static_assert(offsetof(struct qcow_disk_header, compression_type) == QCOW_V3_HEADER_BYTES);

#define QCOW_INCOMPAT_DIRTY		BIT_ULL(0)
#define QCOW_INCOMPAT_CORRUPT		BIT_ULL(1)
#define QCOW_INCOMPAT_DATA_FILE		BIT_ULL(2)
#define QCOW_INCOMPAT_COMPRESSION	BIT_ULL(3)
#define QCOW_INCOMPAT_EXTENDED_L2	BIT_ULL(4)
#define QCOW_INCOMPAT_KNOWN		GENMASK_ULL(4, 0)

#define QCOW_COMPAT_LAZY_REFCOUNTS	BIT_ULL(0)

#define QCOW_AUTOCLEAR_BITMAPS		BIT_ULL(0)
#define QCOW_AUTOCLEAR_RAW_DATA_FILE	BIT_ULL(1)

#define QCOW_CRYPT_NONE			0
#define QCOW_CRYPT_AES			1
#define QCOW_CRYPT_LUKS			2

#define QCOW_COMPRESSION_ZLIB		0
#define QCOW_COMPRESSION_ZSTD		1

/* Header extensions, each padded to 8 bytes. */
struct qcow_disk_ext {
	__be32 type;
	__be32 len;
} __packed;
#define QCOW_EXT_END			0x00000000U
#define QCOW_EXT_BACKING_FORMAT		0xe2792acaU
#define QCOW_EXT_FEATURE_NAMES		0x6803f857U
#define QCOW_EXT_BITMAPS		0x23852875U
#define QCOW_EXT_CRYPTO_HEADER		0x0537be77U
#define QCOW_EXT_DATA_FILE		0x44415441U

struct qcow_disk_feature_name {
	u8 type;
	u8 bit;
	char name[46];
} __packed;
static_assert(sizeof(struct qcow_disk_feature_name) == 48);
#define QCOW_FEATURE_INCOMPATIBLE	0
#define QCOW_FEATURE_COMPATIBLE		1
#define QCOW_FEATURE_AUTOCLEAR		2

/* Snapshot table entry; extra data, id and name follow, padded to 8 bytes. */
struct qcow_disk_snapshot {
	__be64 l1_offset;
	__be32 l1_entries;
	__be16 id_len;
	__be16 name_len;
	__be32 date_sec;
	__be32 date_nsec;
	__be64 vm_clock_nsec;
	__be32 vm_state_bytes;
	__be32 extra_len;
} __packed;
static_assert(sizeof(struct qcow_disk_snapshot) == 40);

struct qcow_disk_snapshot_extra {
	__be64 vm_state_bytes;
	__be64 disk_bytes;
	__be64 icount;
} __packed;
static_assert(sizeof(struct qcow_disk_snapshot_extra) == 24);

/* Header extension of persistent bitmaps. */
struct qcow_disk_bitmaps {
	__be32 nr;
	__be32 reserved;
	__be64 dir_bytes;
	__be64 dir_offset;
} __packed;
static_assert(sizeof(struct qcow_disk_bitmaps) == 24);

/* Entry of the bitmap directory; extra data and name follow, padded to 8 bytes. */
struct qcow_disk_bitmap {
	__be64 table_offset;
	__be32 table_entries;
	__be32 flags;
	u8 type;
	u8 granularity_bits;
	__be16 name_len;
	__be32 extra_len;
} __packed;
static_assert(sizeof(struct qcow_disk_bitmap) == 24);

#define QCOW_BITMAP_IN_USE		BIT_ULL(0)
#define QCOW_BITMAP_AUTO		BIT_ULL(1)
#define QCOW_BITMAP_EXTRA_COMPATIBLE	BIT_ULL(2)
#define QCOW_BITMAP_KNOWN		GENMASK_ULL(2, 0)

#define QCOW_BITMAP_DIRTY_TRACKING	1

/* Entries of a bitmap's table. */
#define QCOW_BITMAP_TABLE_OFFSET	GENMASK_ULL(55, 9)
#define QCOW_BITMAP_TABLE_RESERVED	(GENMASK_ULL(63, 56) | GENMASK_ULL(8, 1))
#define QCOW_BITMAP_TABLE_ONES		BIT_ULL(0)

/* Header extension of the LUKS header. */
struct qcow_disk_crypto_header {
	__be64 host_offset;
	__be64 bytes;
} __packed;
static_assert(sizeof(struct qcow_disk_crypto_header) == 16);

/* The LUKS1 On-Disk Format Specification, version 1.2.3, with its names in short. */
struct qcow_disk_luks_slot {
	__be32 active;
	__be32 iterations;
	u8 salt[32];
	__be32 key_sector;
	__be32 stripes;
} __packed;
static_assert(sizeof(struct qcow_disk_luks_slot) == 48);

#define QCOW_LUKS_MAGIC			"LUKS\xba\xbe"
#define QCOW_LUKS_SLOTS			8
#define QCOW_LUKS_ACTIVE		0x00ac71f3U
#define QCOW_LUKS_INACTIVE		0x0000deadU

struct qcow_disk_luks {
	char magic[6];
	__be16 version;
	char cipher[32];
	char mode[32];
	char hash[32];
	__be32 payload_sector;
	__be32 key_bytes;
	u8 digest[20];
	u8 digest_salt[32];
	__be32 digest_iterations;
	char uuid[40];
	struct qcow_disk_luks_slot slots[QCOW_LUKS_SLOTS];
} __packed;
static_assert(sizeof(struct qcow_disk_luks) == 592);

/* Limits, those of QEMU where it has one. */
#define QCOW_MIN_CLUSTER_BITS		9
#define QCOW_MAX_CLUSTER_BITS		21
#define QCOW_V1_MAX_CLUSTER_BITS	16
#define QCOW_V1_MIN_L2_BITS		6	/* (9 - 3): L2 tables of 512 bytes */
#define QCOW_V1_MAX_L2_BITS		13	/* (16 - 3): L2 tables of 64 KiB */
#define QCOW_EXTENDED_L2_MIN_CLUSTER_BITS 14
#define QCOW_SUBCLUSTER_BITS		5
#define QCOW_SUBCLUSTERS		32
#define QCOW_MAX_REFCOUNT_ORDER		6
#define QCOW_MAX_L1_BYTES		(32U << 20)
#define QCOW_V1_MAX_L1_BYTES		(256U << 20)	/* 64 TiB at 4 KiB clusters */
#define QCOW_MAX_REFCOUNT_TABLE_BYTES	(8U << 20)
#define QCOW_MAX_BACKING_NAME		1023
#define QCOW_MAX_BACKING_FORMAT		15
#define QCOW_MAX_SNAPSHOTS		65536
#define QCOW_MAX_SNAPSHOT_EXTRA		1024
#define QCOW_MAX_SNAPSHOT_TABLE_BYTES	(1024ULL * QCOW_MAX_SNAPSHOTS)
#define QCOW_MAX_BITMAPS		65535U
#define QCOW_MAX_BITMAP_DIR_BYTES	(1024ULL * QCOW_MAX_BITMAPS)
#define QCOW_MAX_BITMAP_TABLE_ENTRIES	(128U << 20)
#define QCOW_MAX_BITMAP_NAME		1023U
#define QCOW_MAX_GRANULARITY_BITS	63
/* Of new bitmaps. */
#define QCOW_MIN_NEW_GRANULARITY_BITS	9
#define QCOW_MAX_NEW_GRANULARITY_BITS	31
#define QCOW_MAX_BITMAP_DATA_BYTES	(512U << 20)
#define QCOW_MAX_CRYPTO_HEADER_BYTES	(16U << 20)
#define QCOW_LUKS_MAX_KEY_BYTES		64U
#define QCOW_LUKS_STRIPES		4000U	/* no program has other ones, QEMU refuses them */

#endif /* _QCOW_ONDISK_H */
