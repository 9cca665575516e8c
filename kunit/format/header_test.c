// SPDX-License-Identifier: GPL-2.0
/*
 * Headers: every field, every limit at n-1, n and n+1, every refusal with its message.
 * A case is a valid header of one version with a few fields overwritten.
 */
#include <kunit/test.h>
#include <qcow/header.h>

#define BUF_BYTES	4096
#define MIB		BIT_ULL(20)
#define TIB		BIT_ULL(40)

/* Only its addresses matter: they say where a field is. */
static const union {
	struct qcow_v1_disk_header v1;
	struct qcow_disk_header v3;
	u8 raw[BUF_BYTES];
} layout;

struct patch {
	const void *at;
	u8 bytes;
	u64 value;
};

#define PATCH(place, to) { .at = &(place), .bytes = sizeof(place), .value = (to) }
#define V1(field, to)	PATCH(layout.v1.field, to)
#define V3(field, to)	PATCH(layout.v3.field, to)
#define RAW32(pos, to)	{ .at = &layout.raw[pos], .bytes = 4, .value = (to) }
#define EXT(size)	{ .at = &layout.raw[112], .bytes = 8, .value = 1ULL << 32 | (size) }

static void apply(u8 *buf, const struct patch *patch)
{
	size_t pos = (const u8 *)patch->at - layout.raw;
	u64 value = patch->value;
	int i;

	if (!patch->bytes)
		return;
	for (i = patch->bytes - 1; i >= 0; i--, value >>= 8)
		buf[pos + i] = value;
}

static const struct patch base_v1[] = {
	V1(magic, QCOW_MAGIC), V1(version, 1), V1(size, 1024 * MIB), V1(cluster_bits, 12),
	V1(l2_bits, 9), V1(l1_offset, 48),
};

/* 64 KiB clusters, 512 MiB for an L1 entry. */
static const struct patch base_v3[] = {
	V3(magic, QCOW_MAGIC), V3(version, 3), V3(size, 1024 * MIB), V3(cluster_bits, 16),
	V3(l1_entries, 2), V3(l1_offset, 0x400000), V3(refcount_table_offset, 0x200000),
	V3(refcount_table_clusters, 1), V3(refcount_order, 4), V3(header_length, 112),
};

static u8 *build(struct kunit *test, u32 version)
{
	const struct patch *base = version == 1 ? base_v1 : base_v3;
	size_t count = version == 1 ? ARRAY_SIZE(base_v1) : ARRAY_SIZE(base_v3);
	u8 *buf = kunit_kzalloc(test, BUF_BYTES, GFP_KERNEL);
	size_t i;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (i = 0; i < count; i++)
		apply(buf, &base[i]);
	if (version != 1)
		buf[7] = version;
	return buf;
}

/**
 * struct parse_case - a header and what parse says
 * @name: of the case
 * @version: of the base
 * @patch: what to overwrite
 * @file_bytes: length of the file, 0: 1 TiB
 * @len: bytes of the file that are seen, 0: BUF_BYTES
 * @err: what parse returns
 * @says: part of the message; NULL: no message
 */
struct parse_case {
	const char *name;
	u32 version;
	struct patch patch[6];
	u64 file_bytes;
	size_t len;
	int err;
	const char *says;
};

static const struct parse_case parse_cases[] = {
	{ .name = "v1", .version = 1 },
	{ .name = "v2", .version = 2 },
	{ .name = "v3", .version = 3 },

	{ .name = "empty file", .version = 3, .len = 1, .err = -EINVAL, .says = "1 bytes" },
	{ .name = "7 bytes", .version = 3, .len = 7, .err = -EINVAL, .says = "7 bytes" },
	{ .name = "8 bytes", .version = 3, .len = 8, .err = -EINVAL, .says = "after 8 bytes" },
	{ .name = "v2 of 71 bytes", .version = 2, .len = 71, .err = -EINVAL,
	  .says = "after 71 bytes" },
	{ .name = "v2 of 72 bytes", .version = 2, .len = 72 },
	{ .name = "v1 of 47 bytes", .version = 1, .len = 47, .err = -EINVAL,
	  .says = "after 47 bytes" },
	{ .name = "v1 of 48 bytes", .version = 1, .len = 48 },
	{ .name = "v3 of 103 bytes", .version = 3, .len = 103, .err = -EINVAL,
	  .patch = { V3(header_length, 104) }, .says = "after 103 bytes" },
	{ .name = "v3 of 104 bytes", .version = 3, .len = 104,
	  .patch = { V3(header_length, 104) } },
	{ .name = "v3 of 111 bytes", .version = 3, .len = 111, .err = -EINVAL,
	  .says = "header_length 112" },
	{ .name = "v3 of 112 bytes", .version = 3, .len = 112 },
	{ .name = "magic", .version = 3, .patch = { V3(magic, QCOW_MAGIC + 1) },
	  .err = -EINVAL, .says = "magic is 0x514649fc" },
	{ .name = "version 0", .version = 3, .patch = { V3(version, 0) }, .err = -EOPNOTSUPP,
	  .says = "version 0" },
	{ .name = "version 4", .version = 3, .patch = { V3(version, 4) }, .err = -EOPNOTSUPP,
	  .says = "version 4" },

	{ .name = "cluster_bits 8", .version = 3, .patch = { V3(cluster_bits, 8) },
	  .err = -EINVAL, .says = "cluster_bits is 8" },
	{ .name = "cluster_bits 9", .version = 3, .patch = { V3(cluster_bits, 9) } },
	{ .name = "cluster_bits 10", .version = 3, .patch = { V3(cluster_bits, 10) } },
	{ .name = "cluster_bits 20", .version = 3, .patch = { V3(cluster_bits, 20) } },
	{ .name = "cluster_bits 21", .version = 3, .patch = { V3(cluster_bits, 21) } },
	{ .name = "cluster_bits 22", .version = 3, .patch = { V3(cluster_bits, 22) },
	  .err = -EINVAL, .says = "cluster_bits is 22" },
	{ .name = "cluster_bits beyond all shifts", .version = 2,
	  .patch = { V3(cluster_bits, 0xffffffff) }, .err = -EINVAL, .says = "cluster_bits" },

	{ .name = "header_length 96", .version = 3, .patch = { V3(header_length, 96) },
	  .err = -EINVAL, .says = "header_length is 96" },
	{ .name = "header_length 103", .version = 3, .patch = { V3(header_length, 103) },
	  .err = -EINVAL, .says = "header_length is 103" },
	{ .name = "header_length 104", .version = 3, .patch = { V3(header_length, 104) } },
	{ .name = "header_length 105", .version = 3, .patch = { V3(header_length, 105) },
	  .err = -EINVAL, .says = "header_length 105" },
	{ .name = "header_length one cluster less 8", .version = 3,
	  .patch = { V3(cluster_bits, 9), V3(header_length, 504) } },
	{ .name = "header_length one cluster", .version = 3,
	  .patch = { V3(cluster_bits, 9), V3(header_length, 512) } },
	{ .name = "header_length one cluster and 8", .version = 3,
	  .patch = { V3(cluster_bits, 9), V3(header_length, 520) }, .err = -EINVAL,
	  .says = "header_length is 520" },
	{ .name = "v2 has no header_length", .version = 2, .patch = { V3(header_length, 7) } },

	{ .name = "size 0", .version = 3, .patch = { V3(size, 0), V3(l1_entries, 0) } },
	{ .name = "size below the L1 limit", .version = 3,
	  .patch = { V3(cluster_bits, 9), V3(size, (1ULL << 37) - 1) } },
	{ .name = "size at the L1 limit", .version = 3,
	  .patch = { V3(cluster_bits, 9), V3(size, 1ULL << 37) } },
	{ .name = "size above the L1 limit", .version = 3,
	  .patch = { V3(cluster_bits, 9), V3(size, (1ULL << 37) + 1) }, .err = -EFBIG,
	  .says = "size 137438953473" },
	{ .name = "size S64_MAX", .version = 3, .patch = { V3(size, S64_MAX) }, .err = -EFBIG,
	  .says = "size 9223372036854775807" },
	{ .name = "size above S64_MAX", .version = 3, .patch = { V3(size, 1ULL << 63) },
	  .err = -EFBIG, .says = "size is 9223372036854775808" },
	{ .name = "size U64_MAX", .version = 3, .patch = { V3(size, U64_MAX) },
	  .err = -EFBIG, .says = "size is 18446744073709551615" },

	{ .name = "l1_entries 0", .version = 3, .patch = { V3(l1_entries, 0) } },
	{ .name = "l1_entries short", .version = 3, .patch = { V3(l1_entries, 1) } },
	{ .name = "l1_entries long", .version = 3, .patch = { V3(l1_entries, 3) } },
	{ .name = "l1_entries below the limit", .version = 3,
	  .patch = { V3(l1_entries, 4194303) } },
	{ .name = "l1_entries at the limit", .version = 3,
	  .patch = { V3(l1_entries, 4194304) } },
	{ .name = "l1_entries above the limit", .version = 3,
	  .patch = { V3(l1_entries, 4194305) }, .err = -EFBIG,
	  .says = "L1 table has 4194305 entries" },
	{ .name = "l1_offset unaligned", .version = 3, .patch = { V3(l1_offset, 0x400200) },
	  .err = -EINVAL, .says = "L1 table offset 0x400200" },
	{ .name = "l1_offset 0", .version = 3, .patch = { V3(l1_offset, 0) },
	  .err = -EINVAL, .says = "L1 table offset 0x0 lies over the header" },
	{ .name = "l1_offset 0 of no entries", .version = 3,
	  .patch = { V3(l1_offset, 0), V3(l1_entries, 0) } },
	{ .name = "l1 before the end", .version = 3, .file_bytes = 0x400011 },
	{ .name = "l1 at the end", .version = 3, .file_bytes = 0x400010 },
	{ .name = "l1 beyond the end", .version = 3, .file_bytes = 0x40000f,
	  .err = -EUCLEAN, .says = "L1 table offset 0x400000 and 16 bytes" },
	{ .name = "l1 anywhere", .version = 3, .patch = { V3(l1_offset, 1ULL << 62) },
	  .file_bytes = S64_MAX },
	{ .name = "l1_offset overflows", .version = 3,
	  .patch = { V3(l1_offset, 0xffffffffffff0000), V3(l1_entries, 8192) },
	  .file_bytes = U64_MAX, .err = -EINVAL, .says = "L1 table offset 0xffffffffffff0000" },

	{ .name = "refcount table of nothing", .version = 3,
	  .patch = { V3(refcount_table_clusters, 0) }, .err = -EINVAL,
	  .says = "refcount table has no clusters" },
	{ .name = "refcount table below the limit", .version = 3,
	  .patch = { V3(refcount_table_clusters, 127) } },
	{ .name = "refcount table at the limit", .version = 3,
	  .patch = { V3(refcount_table_clusters, 128) } },
	{ .name = "refcount table above the limit", .version = 3,
	  .patch = { V3(refcount_table_clusters, 129) }, .err = -EFBIG,
	  .says = "refcount table has 129 entries" },
	{ .name = "refcount table unaligned", .version = 2,
	  .patch = { V3(refcount_table_offset, 0x208000) }, .err = -EINVAL,
	  .says = "refcount table offset 0x208000" },
	{ .name = "refcount table over the header", .version = 2,
	  .patch = { V3(refcount_table_offset, 0) }, .err = -EINVAL,
	  .says = "refcount table offset 0x0" },
	{ .name = "refcount table at the end", .version = 2,
	  .patch = { V3(l1_entries, 0) }, .file_bytes = 0x210000 },
	{ .name = "refcount table beyond the end", .version = 2,
	  .patch = { V3(l1_entries, 0) }, .file_bytes = 0x20ffff, .err = -EUCLEAN,
	  .says = "refcount table offset 0x200000" },
	{ .name = "refcount_order 0", .version = 3, .patch = { V3(refcount_order, 0) } },
	{ .name = "refcount_order 5", .version = 3, .patch = { V3(refcount_order, 5) } },
	{ .name = "refcount_order 6", .version = 3, .patch = { V3(refcount_order, 6) } },
	{ .name = "refcount_order 7", .version = 3, .patch = { V3(refcount_order, 7) },
	  .err = -EINVAL, .says = "refcount_order is 7" },
	{ .name = "v2 has no refcount_order", .version = 2, .patch = { V3(refcount_order, 7) } },

	{ .name = "snapshots below the limit", .version = 3,
	  .patch = { V3(nr_snapshots, 65535), V3(snapshots_offset, 0x10000) } },
	{ .name = "snapshots at the limit", .version = 3,
	  .patch = { V3(nr_snapshots, 65536), V3(snapshots_offset, 0x10000) } },
	{ .name = "snapshots above the limit", .version = 3,
	  .patch = { V3(nr_snapshots, 65537), V3(snapshots_offset, 0x10000) }, .err = -EFBIG,
	  .says = "snapshot table has 65537 entries" },
	{ .name = "no snapshots at the last offset", .version = 3,
	  .patch = { V3(nr_snapshots, 0), V3(snapshots_offset, 0x7fffffffffff0000) } },
	{ .name = "no snapshots beyond any offset", .version = 3,
	  .patch = { V3(nr_snapshots, 0), V3(snapshots_offset, 0x8000000000000000) },
	  .err = -EINVAL, .says = "snapshot table offset 0x8000000000000000" },
	{ .name = "snapshots unaligned", .version = 3,
	  .patch = { V3(nr_snapshots, 1), V3(snapshots_offset, 0x10008) }, .err = -EINVAL,
	  .says = "snapshot table offset 0x10008" },
	{ .name = "snapshots over the header", .version = 3,
	  .patch = { V3(nr_snapshots, 1) }, .err = -EINVAL,
	  .says = "snapshot table offset 0x0" },
	{ .name = "snapshots at the end", .version = 3,
	  .patch = { V3(nr_snapshots, 1), V3(snapshots_offset, 0x500000) },
	  .file_bytes = 0x500028 },
	{ .name = "snapshots beyond the end", .version = 3,
	  .patch = { V3(nr_snapshots, 1), V3(snapshots_offset, 0x500000) },
	  .file_bytes = 0x500027, .err = -EUCLEAN, .says = "snapshot table offset 0x500000" },

	{ .name = "crypt_method aes", .version = 2, .patch = { V3(crypt_method, 1) } },
	{ .name = "crypt_method luks", .version = 3, .patch = { V3(crypt_method, 2) } },
	{ .name = "crypt_method 3", .version = 3, .patch = { V3(crypt_method, 3) },
	  .err = -EINVAL, .says = "crypt_method is 3" },

	{ .name = "zstd", .version = 3,
	  .patch = { V3(compression_type, 1),
		     V3(incompatible_features, QCOW_INCOMPAT_COMPRESSION) } },
	{ .name = "compression_type 2", .version = 3,
	  .patch = { V3(compression_type, 2),
		     V3(incompatible_features, QCOW_INCOMPAT_COMPRESSION) },
	  .err = -EOPNOTSUPP, .says = "compression_type 2" },
	{ .name = "zstd without its bit", .version = 3, .patch = { V3(compression_type, 1) },
	  .err = -EINVAL, .says = "compression_type is 1" },
	{ .name = "zlib with the bit", .version = 3,
	  .patch = { V3(incompatible_features, QCOW_INCOMPAT_COMPRESSION) },
	  .err = -EINVAL, .says = "compression_type is 0" },
	{ .name = "extension where a longer header has zstd", .version = 3,
	  .patch = { V3(header_length, 104), RAW32(104, 0x01000000) } },
	{ .name = "compression bit with a short header", .version = 3,
	  .patch = { V3(header_length, 104),
		     V3(incompatible_features, QCOW_INCOMPAT_COMPRESSION) },
	  .err = -EINVAL, .says = "compression_type is 0" },

	{ .name = "all known incompatible bits", .version = 3,
	  .patch = { V3(incompatible_features, 0x1f), V3(compression_type, 1) } },
	{ .name = "incompatible bit 5", .version = 3,
	  .patch = { V3(incompatible_features, 0x20) }, .err = -EOPNOTSUPP,
	  .says = "incompatible feature bit 5 " },
	{ .name = "incompatible bit 63", .version = 3,
	  .patch = { V3(incompatible_features, 1ULL << 63 | 0x20) }, .err = -EOPNOTSUPP,
	  .says = "incompatible feature bit 63 " },
	{ .name = "unknown compatible and autoclear bits", .version = 3,
	  .patch = { V3(compatible_features, U64_MAX),
		     V3(autoclear_features, U64_MAX & ~QCOW_AUTOCLEAR_RAW_DATA_FILE) } },
	{ .name = "dirty and corrupt", .version = 3,
	  .patch = { V3(incompatible_features, 3) } },
	{ .name = "extended l2 cluster_bits 13", .version = 3,
	  .patch = { V3(incompatible_features, 0x10), V3(cluster_bits, 13) },
	  .err = -EINVAL, .says = "cluster_bits is 13" },
	{ .name = "extended l2 cluster_bits 14", .version = 3,
	  .patch = { V3(incompatible_features, 0x10), V3(cluster_bits, 14) } },
	{ .name = "extended l2 cluster_bits 15", .version = 3,
	  .patch = { V3(incompatible_features, 0x10), V3(cluster_bits, 15) } },
	{ .name = "raw without data file", .version = 3,
	  .patch = { V3(autoclear_features, 2) }, .err = -EINVAL,
	  .says = "raw external data" },
	{ .name = "raw with data file", .version = 3,
	  .patch = { V3(autoclear_features, 2), V3(incompatible_features, 4) } },
	{ .name = "raw with data file and backing", .version = 3,
	  .patch = { V3(autoclear_features, 2), V3(incompatible_features, 4),
		     V3(backing_offset, 0x200), V3(backing_size, 4) } },

	{ .name = "backing name 1022", .version = 3,
	  .patch = { V3(backing_offset, 0x200), V3(backing_size, 1022) } },
	{ .name = "backing name 1023", .version = 3,
	  .patch = { V3(backing_offset, 0x200), V3(backing_size, 1023) } },
	{ .name = "backing name 1024", .version = 3,
	  .patch = { V3(backing_offset, 0x200), V3(backing_size, 1024) }, .err = -EINVAL,
	  .says = "backing file name has 1024 bytes" },
	{ .name = "backing name over the header", .version = 3,
	  .patch = { V3(backing_offset, 111), V3(backing_size, 4) }, .err = -EINVAL,
	  .says = "backing file name offset 0x6f" },
	{ .name = "backing name behind the header", .version = 3,
	  .patch = { V3(backing_offset, 112), V3(backing_size, 4) } },
	{ .name = "backing name before the cluster's end", .version = 2,
	  .patch = { V3(cluster_bits, 9), V3(backing_offset, 507), V3(backing_size, 4) } },
	{ .name = "backing name at the cluster's end", .version = 2,
	  .patch = { V3(cluster_bits, 9), V3(backing_offset, 508), V3(backing_size, 4) } },
	{ .name = "backing name beyond the cluster", .version = 2,
	  .patch = { V3(cluster_bits, 9), V3(backing_offset, 509), V3(backing_size, 4) },
	  .err = -EINVAL, .says = "backing file name offset 0x1fd" },
	{ .name = "backing name overflows", .version = 2,
	  .patch = { V3(backing_offset, U64_MAX), V3(backing_size, 4) }, .err = -EINVAL,
	  .says = "backing file name offset 0xffffffffffffffff" },
	{ .name = "backing length without offset", .version = 3,
	  .patch = { V3(backing_size, 0xffffffff) } },
	{ .name = "bad extension", .version = 3,
	  .patch = { RAW32(112, 0x12345678), RAW32(116, 0xffffffff) }, .err = -EINVAL,
	  .says = "header extension 0x12345678" },

	{ .name = "v1 cluster_bits 8", .version = 1, .patch = { V1(cluster_bits, 8) },
	  .err = -EINVAL, .says = "cluster_bits is 8" },
	{ .name = "v1 cluster_bits 9", .version = 1, .patch = { V1(cluster_bits, 9) } },
	{ .name = "v1 cluster_bits 10", .version = 1, .patch = { V1(cluster_bits, 10) } },
	{ .name = "v1 cluster_bits 15", .version = 1, .patch = { V1(cluster_bits, 15) } },
	{ .name = "v1 cluster_bits 16", .version = 1, .patch = { V1(cluster_bits, 16) } },
	{ .name = "v1 cluster_bits 17", .version = 1, .patch = { V1(cluster_bits, 17) },
	  .err = -EINVAL, .says = "cluster_bits is 17" },
	{ .name = "v1 l2_bits 5", .version = 1, .patch = { V1(l2_bits, 5) },
	  .err = -EINVAL, .says = "l2_bits is 5" },
	{ .name = "v1 l2_bits 6", .version = 1, .patch = { V1(l2_bits, 6) } },
	{ .name = "v1 l2_bits 7", .version = 1, .patch = { V1(l2_bits, 7) } },
	{ .name = "v1 l2_bits 12", .version = 1, .patch = { V1(l2_bits, 12) } },
	{ .name = "v1 l2_bits 13", .version = 1, .patch = { V1(l2_bits, 13) } },
	{ .name = "v1 l2_bits 14", .version = 1, .patch = { V1(l2_bits, 14) },
	  .err = -EINVAL, .says = "l2_bits is 14" },
	{ .name = "v1 l2_bits beyond all shifts", .version = 1, .patch = { V1(l2_bits, 255) },
	  .err = -EINVAL, .says = "l2_bits is 255" },
	{ .name = "v1 crypt_method aes", .version = 1, .patch = { V1(crypt_method, 1) } },
	{ .name = "v1 crypt_method 2", .version = 1, .patch = { V1(crypt_method, 2) },
	  .err = -EINVAL, .says = "crypt_method is 2" },
	{ .name = "v1 size 0", .version = 1, .patch = { V1(size, 0) },
	  .err = -EINVAL, .says = "size is 0" },
	{ .name = "v1 size 1", .version = 1, .patch = { V1(size, 1) },
	  .err = -EINVAL, .says = "size is 1" },
	{ .name = "v1 size 2", .version = 1, .patch = { V1(size, 2) } },
	{ .name = "v1 size below the L1 limit", .version = 1,
	  .patch = { V1(size, 64 * TIB - 1) } },
	{ .name = "v1 size at the L1 limit", .version = 1, .patch = { V1(size, 64 * TIB) } },
	{ .name = "v1 size above the L1 limit", .version = 1,
	  .patch = { V1(size, 64 * TIB + 1) }, .err = -EFBIG, .says = "size 70368744177665" },
	{ .name = "v1 size U64_MAX", .version = 1, .patch = { V1(size, U64_MAX) },
	  .err = -EFBIG, .says = "size is 18446744073709551615" },
	{ .name = "v1 l1_offset 47", .version = 1, .patch = { V1(l1_offset, 47) },
	  .err = -EINVAL, .says = "L1 table offset 0x2f lies over the header" },
	{ .name = "v1 l1_offset odd", .version = 1, .patch = { V1(l1_offset, 49) } },
	{ .name = "v1 l1 at the end", .version = 1, .file_bytes = 48 + 512 * 8 },
	{ .name = "v1 l1 beyond the end", .version = 1, .file_bytes = 47 + 512 * 8,
	  .err = -EUCLEAN, .says = "L1 table offset 0x30" },
	{ .name = "v1 l1_offset overflows", .version = 1, .file_bytes = U64_MAX,
	  .patch = { V1(l1_offset, U64_MAX - 4095) }, .err = -EINVAL,
	  .says = "L1 table offset 0xfffffffffffff000" },
	{ .name = "v1 backing name 1023", .version = 1,
	  .patch = { V1(backing_offset, 48), V1(backing_size, 1023) } },
	{ .name = "v1 backing name 1024", .version = 1,
	  .patch = { V1(backing_offset, 48), V1(backing_size, 1024) }, .err = -EINVAL,
	  .says = "backing file name has 1024 bytes" },
	{ .name = "v1 backing name at the end", .version = 1,
	  .patch = { V1(backing_offset, TIB - 9), V1(backing_size, 9) } },
	{ .name = "v1 backing name beyond the end", .version = 1,
	  .patch = { V1(backing_offset, TIB - 8), V1(backing_size, 9) }, .err = -EINVAL,
	  .says = "backing file name offset 0xfffffffff8" },
};

static void parse_desc(const struct parse_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(parse, parse_cases, parse_desc);

static void parse_judges(struct kunit *test)
{
	const struct parse_case *c = test->param_value;
	char text[512] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	u8 *buf = build(test, c->version);
	struct qcow_header h;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(c->patch); i++)
		apply(buf, &c->patch[i]);

	KUNIT_EXPECT_EQ(test, c->err,
			qcow_header_parse(&h, buf, c->len ?: BUF_BYTES, c->file_bytes ?: TIB,
					  &rep));
	if (c->says)
		KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, c->says), "it says: %s", text);
	else
		KUNIT_EXPECT_STREQ(test, text, "");
}

static void parse_decodes_v1(struct kunit *test)
{
	const struct patch patch[] = {
		V1(backing_offset, 0x30), V1(backing_size, 5), V1(mtime, 0x12345678),
		V1(size, 5 * MIB + 1), V1(crypt_method, 1), V1(l1_offset, 0x38),
	};
	u8 *buf = build(test, 1);
	struct qcow_header h;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(patch); i++)
		apply(buf, &patch[i]);
	KUNIT_ASSERT_EQ(test, 0, qcow_header_parse(&h, buf, 48, TIB, NULL));
	KUNIT_EXPECT_EQ(test, h.version, 1);
	KUNIT_EXPECT_EQ(test, h.backing_offset, 0x30);
	KUNIT_EXPECT_EQ(test, h.backing_len, 5);
	KUNIT_EXPECT_EQ(test, h.mtime, 0x12345678);
	KUNIT_EXPECT_EQ(test, h.size, 5 * MIB + 1);
	KUNIT_EXPECT_EQ(test, h.cluster_bits, 12);
	KUNIT_EXPECT_EQ(test, h.l2_bits, 9);
	KUNIT_EXPECT_EQ(test, h.crypt_method, QCOW_CRYPT_AES);
	KUNIT_EXPECT_EQ(test, h.l1_offset, 0x38);
	KUNIT_EXPECT_EQ(test, h.l1_entries, 3);
	KUNIT_EXPECT_EQ(test, h.length, 48);
	KUNIT_EXPECT_EQ(test, h.incompatible, 0);
	KUNIT_EXPECT_EQ(test, h.refcount_table_offset, 0);
}

static void parse_decodes_v2(struct kunit *test)
{
	u8 *buf = build(test, 2);
	struct qcow_header h;

	/* What version 3 has after the header of version 2 is no part of it. */
	memset(buf + QCOW_V2_HEADER_BYTES + 8, 0xff, 32);
	KUNIT_ASSERT_EQ(test, 0, qcow_header_parse(&h, buf, BUF_BYTES, TIB, NULL));
	KUNIT_EXPECT_EQ(test, h.version, 2);
	KUNIT_EXPECT_EQ(test, h.l2_bits, 13);
	KUNIT_EXPECT_EQ(test, h.length, 72);
	KUNIT_EXPECT_EQ(test, h.refcount_order, 4);
	KUNIT_EXPECT_EQ(test, h.incompatible, 0);
	KUNIT_EXPECT_EQ(test, h.compatible, 0);
	KUNIT_EXPECT_EQ(test, h.autoclear, 0);
	KUNIT_EXPECT_EQ(test, h.compression_type, 0);
}

static void parse_decodes_v3(struct kunit *test)
{
	const struct patch patch[] = {
		V3(backing_offset, 0x200), V3(backing_size, 5), V3(size, 7 * MIB + 3),
		V3(crypt_method, 2), V3(l1_entries, 9), V3(nr_snapshots, 2),
		V3(snapshots_offset, 0x600000), V3(refcount_table_clusters, 3),
		V3(incompatible_features, 0x1b), V3(compatible_features, 0x10001),
		V3(autoclear_features, 0x20001), V3(refcount_order, 3), V3(compression_type, 1),
	};
	u8 *buf = build(test, 3);
	struct qcow_header h;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(patch); i++)
		apply(buf, &patch[i]);
	KUNIT_ASSERT_EQ(test, 0, qcow_header_parse(&h, buf, BUF_BYTES, TIB, NULL));
	KUNIT_EXPECT_EQ(test, h.version, 3);
	KUNIT_EXPECT_EQ(test, h.cluster_bits, 16);
	KUNIT_EXPECT_EQ(test, h.l2_bits, 12);
	KUNIT_EXPECT_EQ(test, h.size, 7 * MIB + 3);
	KUNIT_EXPECT_EQ(test, h.l1_offset, 0x400000);
	KUNIT_EXPECT_EQ(test, h.l1_entries, 9);
	KUNIT_EXPECT_EQ(test, h.backing_offset, 0x200);
	KUNIT_EXPECT_EQ(test, h.backing_len, 5);
	KUNIT_EXPECT_EQ(test, h.crypt_method, QCOW_CRYPT_LUKS);
	KUNIT_EXPECT_EQ(test, h.compression_type, QCOW_COMPRESSION_ZSTD);
	KUNIT_EXPECT_EQ(test, h.refcount_table_offset, 0x200000);
	KUNIT_EXPECT_EQ(test, h.refcount_table_clusters, 3);
	KUNIT_EXPECT_EQ(test, h.refcount_order, 3);
	KUNIT_EXPECT_EQ(test, h.nr_snapshots, 2);
	KUNIT_EXPECT_EQ(test, h.snapshots_offset, 0x600000);
	KUNIT_EXPECT_EQ(test, h.incompatible, 0x1b);
	KUNIT_EXPECT_EQ(test, h.compatible, 0x10001);
	KUNIT_EXPECT_EQ(test, h.autoclear, 0x20001);
	KUNIT_EXPECT_EQ(test, h.length, 112);
}

/* What was put is parsed; of version 2, the bytes behind its header are something else's. */
static void put_changes_what_it_says(struct kunit *test)
{
	u32 version;

	for (version = 2; version <= 3; version++) {
		size_t end = version == 2 ? QCOW_V2_HEADER_BYTES : QCOW_V3_HEADER_BYTES;
		u8 *buf = build(test, version), *before = build(test, version);
		struct qcow_header h, again;

		KUNIT_ASSERT_EQ(test, 0, qcow_header_parse(&h, buf, BUF_BYTES, TIB, NULL));
		qcow_header_put(&h, buf);
		KUNIT_EXPECT_EQ(test, 0, memcmp(buf, before, end));

		h.size = 7 * MIB;
		h.l1_offset = 0x500000;
		h.l1_entries = 9;
		h.refcount_table_offset = 0x600000;
		h.refcount_table_clusters = 3;
		h.nr_snapshots = 2;
		h.snapshots_offset = 0x700000;
		if (version == 3) {
			h.incompatible = QCOW_INCOMPAT_DIRTY | QCOW_INCOMPAT_CORRUPT;
			h.compatible = QCOW_COMPAT_LAZY_REFCOUNTS;
			h.autoclear = QCOW_AUTOCLEAR_BITMAPS | BIT_ULL(40);
		}
		memcpy(before, buf, BUF_BYTES);
		qcow_header_put(&h, buf);
		KUNIT_EXPECT_EQ(test, 0, memcmp(buf + end, before + end, BUF_BYTES - end));
		KUNIT_ASSERT_EQ(test, 0, qcow_header_parse(&again, buf, BUF_BYTES, TIB, NULL));
		KUNIT_EXPECT_EQ(test, 0, memcmp(&h, &again, sizeof(h)));
	}
}

/* QEMU takes a name of no bytes as no backing file, so neither is met without the other. */
static void parse_drops_empty_backing(struct kunit *test)
{
	const struct patch offset = V3(backing_offset, 0x200);
	const struct patch len = V3(backing_size, 9);
	u8 *buf = build(test, 3);
	struct qcow_header h;

	apply(buf, &offset);
	KUNIT_ASSERT_EQ(test, 0, qcow_header_parse(&h, buf, BUF_BYTES, TIB, NULL));
	KUNIT_EXPECT_EQ(test, h.backing_offset, 0);

	buf = build(test, 3);
	apply(buf, &len);
	KUNIT_ASSERT_EQ(test, 0, qcow_header_parse(&h, buf, BUF_BYTES, TIB, NULL));
	KUNIT_EXPECT_EQ(test, h.backing_len, 0);
}

static void parse_names_features(struct kunit *test)
{
	const struct patch patch[] = {
		V3(incompatible_features, 0x60), RAW32(112, QCOW_EXT_FEATURE_NAMES),
		RAW32(116, sizeof(struct qcow_disk_feature_name)), RAW32(120, 0x00067a6f),
		RAW32(124, 0x6f6d0000),
	};
	char text[128] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	u8 *buf = build(test, 3);
	struct qcow_header h;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(patch); i++)
		apply(buf, &patch[i]);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, qcow_header_parse(&h, buf, BUF_BYTES, TIB, &rep));
	KUNIT_EXPECT_STREQ(test, text,
			   "incompatible feature bit 5 is not supported\n"
			   "incompatible feature \"zoom\" (bit 6) is not supported\n");
}

struct span_case {
	const char *name;
	u32 version;
	struct patch patch[3];
	size_t len;
	size_t expect;
};

/* The header of the base ends at 72, that of version 3 at 112; zeros are the end of extensions. */
static const struct span_case span_cases[] = {
	{ .name = "v1", .version = 1, .len = 512, .expect = 48 },
	{ .name = "v2", .version = 2, .len = 512, .expect = 80 },
	{ .name = "v3", .version = 3, .len = 512, .expect = 120 },
	{ .name = "end just there", .version = 3, .len = 120, .expect = 120 },
	{ .name = "end not there", .version = 3, .len = 119, .expect = 65536 },
	{ .name = "header longer than what is there", .version = 3,
	  .patch = { V3(header_length, 520) }, .len = 512, .expect = 65536 },
	{ .name = "an extension", .version = 3, .patch = { EXT(9) }, .len = 512,
	  .expect = 112 + 8 + 16 + 8 },
	{ .name = "an extension of 4 GiB", .version = 3, .patch = { EXT(U32_MAX) }, .len = 512,
	  .expect = 65536 },
	{ .name = "a backing file's name ends them", .version = 3,
	  .patch = { V3(backing_offset, 112), V3(backing_size, 5), EXT(0) }, .len = 512,
	  .expect = 112 },
	{ .name = "an offset without a name does not", .version = 3,
	  .patch = { V3(backing_offset, 112), EXT(24) }, .len = 512, .expect = 112 + 8 + 24 + 8 },
	{ .name = "smallest", .version = 3, .patch = { V3(cluster_bits, 9), EXT(400) },
	  .len = 512, .expect = 512 },
	{ .name = "largest", .version = 3, .patch = { V3(cluster_bits, 21), EXT(400) },
	  .len = 512, .expect = 2 << 20 },
	{ .name = "too large", .version = 3, .patch = { V3(cluster_bits, 22) }, .len = 512,
	  .expect = 512 },
	{ .name = "too small", .version = 3, .patch = { V3(cluster_bits, 8) }, .len = 512,
	  .expect = 512 },
	{ .name = "version 4", .version = 3, .patch = { V3(version, 4) }, .len = 300,
	  .expect = 300 },
	{ .name = "magic", .version = 3, .patch = { V3(magic, 0) }, .len = 300, .expect = 300 },
	{ .name = "v2 one byte short", .version = 2, .len = 71, .expect = 71 },
	{ .name = "v2 just there", .version = 2, .len = 72, .expect = 65536 },
	{ .name = "7 bytes", .version = 2, .len = 7, .expect = 7 },
	{ .name = "nothing", .version = 2, .len = 0, .expect = 0 },
};

static void span_desc(const struct span_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(span, span_cases, span_desc);

static void span_covers_header(struct kunit *test)
{
	const struct span_case *c = test->param_value;
	u8 *buf = build(test, c->version);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(c->patch); i++)
		apply(buf, &c->patch[i]);
	KUNIT_EXPECT_EQ(test, c->expect, qcow_header_span(buf, c->len));
}

/* The published values of FNV-1a; header and name are one text. */
static void digest_is_fnv1a(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 0xcbf29ce484222325ULL, qcow_header_digest("", 0, NULL, 0));
	KUNIT_EXPECT_EQ(test, 0xaf63dc4c8601ec8cULL, qcow_header_digest("a", 1, NULL, 0));
	KUNIT_EXPECT_EQ(test, 0x85944171f73967e8ULL, qcow_header_digest("foo", 3, "bar", 3));
}

static struct kunit_case header_cases[] = {
	KUNIT_CASE_PARAM(parse_judges, parse_gen_params),
	KUNIT_CASE(parse_decodes_v1),
	KUNIT_CASE(parse_decodes_v2),
	KUNIT_CASE(parse_decodes_v3),
	KUNIT_CASE(put_changes_what_it_says),
	KUNIT_CASE(parse_drops_empty_backing),
	KUNIT_CASE(parse_names_features),
	KUNIT_CASE_PARAM(span_covers_header, span_gen_params),
	KUNIT_CASE(digest_is_fnv1a),
	{}
};

static struct kunit_suite header_suite = {
	.name = "qcow_format_header",
	.test_cases = header_cases,
};

kunit_test_suite(header_suite);
