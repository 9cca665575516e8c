// SPDX-License-Identifier: GPL-2.0
/*
 * Mapping: L1 entries, L2 entries of every kind and version, how far neighbours merge,
 * every flaw.
 */
#include <kunit/test.h>
#include <qcow/header.h>

#define C		BIT_ULL(63)	/* copied; version 1: compressed */
#define Z		BIT_ULL(62)	/* compressed */
#define FILE_BYTES	BIT_ULL(40)

enum kind_of_image { V1, V2, V3, V3_SMALL, V3_LARGE, V3_SUB, V3_FILE, V3_SUB_FILE };

static const struct qcow_header headers[] = {
	[V1] = { .version = 1, .cluster_bits = 12, .l2_bits = 9, .length = 48 },
	[V2] = { .version = 2, .cluster_bits = 16, .l2_bits = 13, .length = 72 },
	[V3] = { .version = 3, .cluster_bits = 16, .l2_bits = 13, .length = 112 },
	[V3_SMALL] = { .version = 3, .cluster_bits = 9, .l2_bits = 6, .length = 112 },
	[V3_LARGE] = { .version = 3, .cluster_bits = 21, .l2_bits = 18, .length = 112 },
	[V3_SUB] = { .version = 3, .cluster_bits = 16, .l2_bits = 12, .length = 112,
		     .incompatible = QCOW_INCOMPAT_EXTENDED_L2 },
	[V3_FILE] = { .version = 3, .cluster_bits = 16, .l2_bits = 13, .length = 112,
		      .incompatible = QCOW_INCOMPAT_DATA_FILE },
	[V3_SUB_FILE] = { .version = 3, .cluster_bits = 16, .l2_bits = 12, .length = 112,
			  .incompatible = QCOW_INCOMPAT_EXTENDED_L2 |
					  QCOW_INCOMPAT_DATA_FILE },
};

struct l1_case {
	const char *name;
	enum kind_of_image image;
	u64 file_bytes;
	u64 entry;
	u64 table;
	const char *what;
	u64 value;
};

static const struct l1_case l1_cases[] = {
	{ .name = "not allocated", .image = V3 },
	{ .name = "copied only", .image = V3, .entry = C },
	{ .name = "table", .image = V3, .entry = 0x50000, .table = 0x50000 },
	{ .name = "copied table", .image = V3, .entry = C | 0x50000, .table = 0x50000 },
	{ .name = "bit 0", .image = V3, .entry = 0x50001, .what = "reserved bits", .value = 1 },
	{ .name = "bit 8", .image = V3, .entry = 0x50100, .what = "reserved bits",
	  .value = 0x100 },
	{ .name = "bit 56", .image = V3, .entry = 1ULL << 56, .what = "reserved bits",
	  .value = 1ULL << 56 },
	{ .name = "bit 62", .image = V3, .entry = Z | 0x50000, .what = "reserved bits",
	  .value = Z },
	{ .name = "unaligned", .image = V3, .entry = 0x50200,
	  .what = "L2 table not at a cluster border", .value = 0x50200 },
	{ .name = "first cluster", .image = V3, .entry = 0x10000, .table = 0x10000 },
	{ .name = "at the end", .image = V3, .entry = 0x50000, .file_bytes = 0x60000,
	  .table = 0x50000 },
	{ .name = "partly beyond the end", .image = V3, .entry = 0x50000,
	  .file_bytes = 0x5ffff, .what = "L2 table beyond the end of the file",
	  .value = 0x50000 },
	{ .name = "beyond the end", .image = V3, .entry = 0x50000, .file_bytes = 0x40000,
	  .what = "L2 table beyond the end of the file", .value = 0x50000 },
	{ .name = "far beyond the end", .image = V3, .entry = 0xffffffffff0000,
	  .what = "L2 table beyond the end of the file", .value = 0xffffffffff0000 },
	{ .name = "v1", .image = V1, .entry = 0x3000, .table = 0x3000 },
	{ .name = "v1 odd", .image = V1, .entry = 0x3001, .table = 0x3001 },
	{ .name = "v1 behind the header", .image = V1, .entry = 48, .table = 48 },
	{ .name = "v1 over the header", .image = V1, .entry = 47,
	  .what = "L2 table over the header", .value = 47 },
	{ .name = "v1 bit 56", .image = V1, .entry = 1ULL << 56, .what = "reserved bits",
	  .value = 1ULL << 56 },
	{ .name = "v1 bit 63", .image = V1, .entry = C | 0x3000, .what = "reserved bits",
	  .value = C },
	{ .name = "v1 at the end", .image = V1, .entry = 0x3001, .file_bytes = 0x4001,
	  .table = 0x3001 },
	{ .name = "v1 beyond the end", .image = V1, .entry = 0x3001, .file_bytes = 0x4000,
	  .what = "L2 table beyond the end of the file", .value = 0x3001 },
};

static void l1_desc(const struct l1_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(l1, l1_cases, l1_desc);

static void l1_entry_decodes(struct kunit *test)
{
	const struct l1_case *c = test->param_value;
	struct qcow_geometry g;
	struct qcow_flaw flaw = {};
	u64 table = 1;

	qcow_header_geometry(&headers[c->image], c->file_bytes ?: FILE_BYTES, &g);
	KUNIT_EXPECT_EQ(test, c->what ? -EUCLEAN : 0,
			qcow_l1_decode(&g, c->entry, &table, &flaw));
	KUNIT_EXPECT_EQ(test, table, c->table);
	if (!c->what)
		return;
	KUNIT_EXPECT_STREQ(test, flaw.table, "L1 entry");
	KUNIT_EXPECT_STREQ(test, flaw.what, c->what);
	KUNIT_EXPECT_EQ(test, flaw.entry, c->entry);
	KUNIT_EXPECT_EQ(test, flaw.value, c->value);
}

static void l1_needed_rounds_up(struct kunit *test)
{
	struct qcow_geometry g;

	qcow_header_geometry(&headers[V3], FILE_BYTES, &g);
	g.size = 0;
	KUNIT_EXPECT_EQ(test, qcow_l1_needed(&g), 0);
	g.size = 512;
	KUNIT_EXPECT_EQ(test, qcow_l1_needed(&g), 1);
	g.size = (512ULL << 20) - 512;
	KUNIT_EXPECT_EQ(test, qcow_l1_needed(&g), 1);
	g.size = 512ULL << 20;
	KUNIT_EXPECT_EQ(test, qcow_l1_needed(&g), 1);
	g.size = (512ULL << 20) + 512;
	KUNIT_EXPECT_EQ(test, qcow_l1_needed(&g), 2);
}

/* Where the reference count may be more than one, an extent is another. */
static void what_is_shared_stands_apart(struct kunit *test)
{
	static const struct {
		u64 word;
		bool shared;
	} entries[] = {
		{ C | 0x50000, false }, { C | 0x60000, false }, { 0x70000, true },
		{ 0x80001, true }, { C | 0x90001, false }, { 1, false }, { 0, false },
	};
	struct qcow_geometry g;
	__be64 *words = kunit_kzalloc(test, 512 * sizeof(*words), GFP_KERNEL);
	struct qcow_extent ext;
	struct qcow_flaw flaw;
	u64 i;

	KUNIT_ASSERT_NOT_NULL(test, words);
	qcow_header_geometry(&headers[V3], FILE_BYTES, &g);
	for (i = 0; i < ARRAY_SIZE(entries); i++)
		words[i] = cpu_to_be64(entries[i].word);
	for (i = 0; i < ARRAY_SIZE(entries); i++) {
		KUNIT_ASSERT_EQ(test, 0, qcow_l2_map(&g, words, i << 16, 512 << 16, &ext, &flaw));
		KUNIT_EXPECT_EQ(test, entries[i].shared, ext.shared);
	}
	KUNIT_ASSERT_EQ(test, 0, qcow_l2_map(&g, words, 0, 512 << 16, &ext, &flaw));
	KUNIT_EXPECT_EQ(test, 0x20000, ext.len);
}

static void slices_tile_the_image(struct kunit *test)
{
	const u64 guest = 0x123456789000;
	struct qcow_geometry g;
	u64 slice;

	/* 512 entries of 64 KiB to a slice, 16 slices to a table. */
	qcow_header_geometry(&headers[V3], FILE_BYTES, &g);
	slice = qcow_slice_idx(&g, guest);
	KUNIT_EXPECT_EQ(test, slice, guest >> 25);
	KUNIT_EXPECT_EQ(test, qcow_slice_guest(&g, slice), guest >> 25 << 25);
	KUNIT_EXPECT_EQ(test, qcow_slice_l1_idx(&g, slice), guest >> 29);
	KUNIT_EXPECT_EQ(test, qcow_slice_in_table(&g, slice), (slice & 15) * 4096);
	KUNIT_EXPECT_EQ(test, qcow_slice_bytes(&g), 4096);

	/* A table of 64 entries is one slice. */
	qcow_header_geometry(&headers[V3_SMALL], FILE_BYTES, &g);
	slice = qcow_slice_idx(&g, guest);
	KUNIT_EXPECT_EQ(test, slice, guest >> 15);
	KUNIT_EXPECT_EQ(test, qcow_slice_l1_idx(&g, slice), guest >> 15);
	KUNIT_EXPECT_EQ(test, qcow_slice_in_table(&g, slice), 0);
	KUNIT_EXPECT_EQ(test, qcow_slice_bytes(&g), 512);
}

/**
 * struct map_case - some entries, a question, the answer
 * @name: of the case
 * @image: which geometry
 * @word: of the slice from its start on; two words an entry with subclusters
 * @last: instead, @word is at the end of the slice
 * @at: guest bytes from the first of these entries
 * @max: bytes wanted, 0: without end
 * @ext: the answer
 * @what: or the flaw
 * @value: of the flaw
 */
struct map_case {
	const char *name;
	enum kind_of_image image;
	u64 word[6];
	bool last;
	u64 at;
	u64 max;
	struct qcow_extent ext;
	const char *what;
	u64 value;
};

#define HOLE(bytes) { .kind = QCOW_EXTENT_HOLE, .len = (bytes) }
#define HOLE_AT(bytes, at) \
	{ .kind = QCOW_EXTENT_HOLE, .len = (bytes), .host = (at), .allocated = true }
#define ZERO(bytes) { .kind = QCOW_EXTENT_ZERO, .len = (bytes) }
#define ZERO_AT(bytes, at) \
	{ .kind = QCOW_EXTENT_ZERO, .len = (bytes), .host = (at), .allocated = true }
#define DATA(bytes, at) \
	{ .kind = QCOW_EXTENT_DATA, .len = (bytes), .host = (at), .allocated = true }
#define COMPRESSED(bytes, at, clen) \
	{ .kind = QCOW_EXTENT_COMPRESSED, .len = (bytes), .host = (at), .allocated = true, \
	  .compressed_len = (clen) }

static const struct map_case map_cases[] = {
	/* One entry. */
	{ .name = "hole", .image = V3, .max = 4096, .ext = HOLE(4096) },
	{ .name = "copied hole", .image = V3, .word = { C }, .max = 4096, .ext = HOLE(4096) },
	{ .name = "data", .image = V3, .word = { C | 0x50000 }, .max = 4096,
	  .ext = DATA(4096, 0x50000) },
	{ .name = "data inside", .image = V3, .word = { 0x50000 }, .at = 0x1234, .max = 1,
	  .ext = DATA(1, 0x51234) },
	{ .name = "last byte", .image = V3, .word = { 0x50000, 0x90000 }, .at = 0xffff,
	  .ext = DATA(1, 0x5ffff) },
	{ .name = "zero", .image = V3, .word = { 1 }, .max = 4096, .ext = ZERO(4096) },
	{ .name = "zero allocated", .image = V3, .word = { C | 0x50001 }, .at = 512, .max = 512,
	  .ext = ZERO_AT(512, 0x50200) },
	{ .name = "highest offset", .image = V3, .word = { 0x00ffffffffff0000 }, .max = 512,
	  .ext = DATA(512, 0x00ffffffffff0000) },
	{ .name = "second entry", .image = V3, .word = { 0, 0x50000 }, .at = 0x10000, .max = 1,
	  .ext = DATA(1, 0x50000) },

	/* Neighbours. */
	{ .name = "max below the cluster", .image = V3, .word = { 0x50000, 0x60000 },
	  .max = 0xffff, .ext = DATA(0xffff, 0x50000) },
	{ .name = "max at the cluster", .image = V3, .word = { 0x50000, 0x60000 },
	  .max = 0x10000, .ext = DATA(0x10000, 0x50000) },
	{ .name = "max above the cluster", .image = V3, .word = { 0x50000, 0x60000 },
	  .max = 0x10001, .ext = DATA(0x10001, 0x50000) },
	{ .name = "data merges", .image = V3, .word = { 0x50000, 0x60000, 0x70000, 0x90000 },
	  .at = 1, .ext = DATA(0x2ffff, 0x50001) },
	{ .name = "data backwards", .image = V3, .word = { 0x60000, 0x50000 },
	  .ext = DATA(0x10000, 0x60000) },
	{ .name = "the same data twice", .image = V3, .word = { 0x60000, 0x60000 },
	  .ext = DATA(0x10000, 0x60000) },
	{ .name = "holes merge", .image = V3, .word = { 0, 0, C, 0x50000 },
	  .ext = HOLE(0x30000) },
	{ .name = "holes to the end of the slice", .image = V3, .ext = HOLE(512 << 16) },
	{ .name = "data at the end of the slice", .image = V3, .last = true,
	  .word = { 0x10000, 0x20000, 0x30000, 0x40000, 0x50000, 0x60000 },
	  .ext = DATA(6 << 16, 0x10000) },
	{ .name = "zeros merge", .image = V3, .word = { 1, 1, 0 }, .ext = ZERO(0x20000) },
	{ .name = "zeros, then allocated", .image = V3, .word = { 1, 0x50001 },
	  .ext = ZERO(0x10000) },
	{ .name = "zeros allocated merge", .image = V3, .word = { 0x50001, 0x60001, 0x50001 },
	  .ext = ZERO_AT(0x20000, 0x50000) },
	{ .name = "data, then zeros", .image = V3, .word = { 0x50000, 0x60001 },
	  .ext = DATA(0x10000, 0x50000) },
	{ .name = "a flaw ends the extent", .image = V3, .word = { 0x50000, 0x60002 },
	  .ext = DATA(0x10000, 0x50000) },
	{ .name = "compressed ends the extent", .image = V3, .word = { 0x50000, Z | 0x60000 },
	  .ext = DATA(0x10000, 0x50000) },

	/* Compressed. */
	{ .name = "compressed", .image = V3, .word = { Z | 0x50000 },
	  .ext = COMPRESSED(0x10000, 0x50000, 512) },
	{ .name = "compressed inside", .image = V3, .word = { Z | 0x50000 }, .at = 0x8000,
	  .max = 0x1000, .ext = COMPRESSED(0x1000, 0x50000, 512) },
	{ .name = "compressed across sectors", .image = V3,
	  .word = { Z | 3ULL << 54 | 0x501ff }, .ext = COMPRESSED(0x10000, 0x501ff, 1537) },
	{ .name = "compressed at most", .image = V3,
	  .word = { Z | 0xffULL << 54 | 0x50000 }, .ext = COMPRESSED(0x10000, 0x50000, 0x20000) },
	{ .name = "compressed never merges", .image = V3, .word = { Z | 0x50000, Z | 0x50200 },
	  .ext = COMPRESSED(0x10000, 0x50000, 512) },
	{ .name = "compressed, copied", .image = V3, .word = { C | Z | 0x50000 },
	  .ext = COMPRESSED(0x10000, 0x50000, 512) },
	{ .name = "compressed in v2", .image = V2, .word = { Z | 1ULL << 54 | 0x50001 },
	  .ext = COMPRESSED(0x10000, 0x50001, 1023) },
	{ .name = "compressed in small clusters", .image = V3_SMALL,
	  .word = { Z | 1ULL << 61 | 0x700 }, .ext = COMPRESSED(512, 0x700, 768) },
	{ .name = "compressed in large clusters", .image = V3_LARGE,
	  .word = { Z | 0x1fffULL << 49 | 0x50000 },
	  .ext = COMPRESSED(2 << 20, 0x50000, 4 << 20) },
	{ .name = "compressed bit 55", .image = V3_SMALL, .word = { Z | 1ULL << 55 },
	  .ext = COMPRESSED(512, 1ULL << 55, 512) },
	{ .name = "compressed bit 56", .image = V3_SMALL, .word = { Z | 1ULL << 56 },
	  .what = "reserved bits", .value = 1ULL << 56 },
	{ .name = "compressed with a data file", .image = V3_FILE, .word = { Z | 0x50000 },
	  .what = "compressed cluster with an external data file", .value = 0x50000 },

	/* Flaws. */
	{ .name = "bit 1", .image = V3, .word = { 0x50002 }, .what = "reserved bits",
	  .value = 2 },
	{ .name = "bit 8", .image = V3, .word = { 0x50100 }, .what = "reserved bits",
	  .value = 0x100 },
	{ .name = "bit 9", .image = V3, .word = { 0x50200 }, .what = "unaligned host offset",
	  .value = 0x50200 },
	{ .name = "bit 15", .image = V3, .word = { 0x58000 }, .what = "unaligned host offset",
	  .value = 0x58000 },
	{ .name = "bit 55", .image = V3, .word = { 1ULL << 55 }, .max = 1,
	  .ext = DATA(1, 1ULL << 55) },
	{ .name = "bit 56", .image = V3, .word = { 1ULL << 56 }, .what = "reserved bits",
	  .value = 1ULL << 56 },
	{ .name = "bit 61", .image = V3, .word = { 1ULL << 61 | 0x50000 },
	  .what = "reserved bits", .value = 1ULL << 61 },
	{ .name = "zero in v2", .image = V2, .word = { 0x50001 }, .what = "reserved bits",
	  .value = 1 },
	{ .name = "small clusters", .image = V3_SMALL, .word = { 0x200, 0x400, 0x601 },
	  .ext = DATA(1024, 0x200) },

	/* Version 1. */
	{ .name = "v1 hole", .image = V1, .word = { 0, 0, 0x3000 }, .ext = HOLE(8192) },
	{ .name = "v1 data", .image = V1, .word = { 0x3000, 0x4000, 0x6000 }, .at = 512,
	  .ext = DATA(7680, 0x3200) },
	{ .name = "v1 sector aligned", .image = V1, .word = { 0x3200, 0x4200 },
	  .ext = DATA(8192, 0x3200) },
	{ .name = "v1 unaligned", .image = V1, .word = { 0x3001 },
	  .what = "unaligned host offset", .value = 0x3001 },
	{ .name = "v1 bit 55", .image = V1, .word = { 1ULL << 55 }, .max = 1,
	  .ext = DATA(1, 1ULL << 55) },
	{ .name = "v1 bit 56", .image = V1, .word = { 1ULL << 56 }, .what = "reserved bits",
	  .value = 1ULL << 56 },
	{ .name = "v1 bit 62", .image = V1, .word = { 1ULL << 62 | 0x3000 },
	  .what = "reserved bits", .value = 1ULL << 62 },
	{ .name = "v1 compressed", .image = V1, .word = { C | 77ULL << 51 | 0x3001 },
	  .at = 100, .ext = COMPRESSED(3996, 0x3001, 77) },
	{ .name = "v1 compressed at most", .image = V1, .word = { C | 4095ULL << 51 | 5 },
	  .ext = COMPRESSED(4096, 5, 4095) },
	{ .name = "v1 compressed one byte", .image = V1, .word = { C | 1ULL << 51 | 0x3001 },
	  .ext = COMPRESSED(4096, 0x3001, 1) },
	{ .name = "v1 compressed of nothing", .image = V1, .word = { C | 0x3001 },
	  .what = "compressed cluster of no bytes", .value = 0x3001 },

	/* External data file. */
	{ .name = "data file at 0", .image = V3_FILE, .word = { C, C | 0x10000 },
	  .ext = DATA(0x20000, 0) },
	{ .name = "data file hole", .image = V3_FILE, .word = { 0, 0x10000 },
	  .ext = HOLE(0x10000) },
	{ .name = "data file zero", .image = V3_FILE, .word = { C | 1 }, .max = 512,
	  .ext = ZERO(512) },

	/* Subclusters of 2 KiB. */
	{ .name = "sub hole", .image = V3_SUB, .word = { 0, 0, 0x50000, 1 },
	  .ext = HOLE(0x10000) },
	{ .name = "sub zero", .image = V3_SUB, .word = { 0, 6ULL << 32 }, .at = 0xa00,
	  .ext = ZERO(0xe00) },
	{ .name = "sub all zero", .image = V3_SUB,
	  .word = { 0, 0xffffffffULL << 32, 0, 1ULL << 32, 0, 0 }, .ext = ZERO(0x10800) },
	{ .name = "sub data", .image = V3_SUB, .word = { C | 0x50000, 0xc }, .at = 0x1000,
	  .ext = DATA(0x1000, 0x51000) },
	{ .name = "sub all data", .image = V3_SUB,
	  .word = { 0x50000, 0xffffffff, 0x60000, 1 }, .ext = DATA(0x10800, 0x50000) },
	{ .name = "sub last data", .image = V3_SUB,
	  .word = { 0x50000, 0x80000000, 0x70000, 1 }, .at = 0xf800,
	  .ext = DATA(0x800, 0x5f800) },
	{ .name = "sub hole in a cluster", .image = V3_SUB, .word = { 0x50000, 0x9 },
	  .at = 0x900, .ext = HOLE_AT(0xf00, 0x50900) },
	{ .name = "sub zero in a cluster", .image = V3_SUB, .word = { 0x50000, 1ULL << 33 | 1 },
	  .at = 0x800, .ext = ZERO_AT(0x800, 0x50800) },
	{ .name = "sub cluster of holes", .image = V3_SUB, .word = { 0x50000, 0, 0x60000, 0 },
	  .max = 0x20000, .ext = HOLE_AT(0x20000, 0x50000) },
	{ .name = "sub hole, then hole in a cluster", .image = V3_SUB,
	  .word = { 0, 0, 0x60000, 0 }, .ext = HOLE(0x10000) },
	{ .name = "sub max", .image = V3_SUB, .word = { 0x50000, 0xffffffff }, .max = 0x801,
	  .ext = DATA(0x801, 0x50000) },
	{ .name = "sub compressed", .image = V3_SUB, .word = { Z | 0x50000, 0 }, .at = 0x800,
	  .ext = COMPRESSED(0xf800, 0x50000, 512) },
	{ .name = "sub end of the slice", .image = V3_SUB, .last = true,
	  .word = { 0x50000, 0xffffffff, 0x60000, 0xffffffff, 0x70000, 0xffffffff },
	  .ext = DATA(0x30000, 0x50000) },
	{ .name = "sub compressed with bitmap", .image = V3_SUB, .word = { Z | 0x50000, 1 },
	  .what = "subclusters of a compressed cluster", .value = 1 },
	{ .name = "sub both", .image = V3_SUB, .word = { 0x50000, 1ULL << 34 | 4 },
	  .what = "subclusters both allocated and zero", .value = 4 },
	{ .name = "sub without cluster", .image = V3_SUB, .word = { 0, 8 },
	  .what = "subclusters allocated without a host cluster", .value = 8 },
	{ .name = "sub bit 0", .image = V3_SUB, .word = { 0x50001, 1 },
	  .what = "reserved bits", .value = 1 },
	{ .name = "sub unaligned", .image = V3_SUB, .word = { 0x50800, 1 },
	  .what = "unaligned host offset", .value = 0x50800 },
	{ .name = "sub flaw ends the extent", .image = V3_SUB,
	  .word = { 0x50000, 0xffffffff, 0x60000, 1ULL << 32 | 1 },
	  .ext = DATA(0x10000, 0x50000) },
	{ .name = "sub data file at 0", .image = V3_SUB_FILE, .word = { C, 3 },
	  .ext = DATA(0x1000, 0) },
	{ .name = "sub data file hole with bits", .image = V3_SUB_FILE, .word = { 0, 3 },
	  .what = "subclusters allocated without a host cluster", .value = 3 },
};

static void map_desc(const struct map_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(map, map_cases, map_desc);

/* Fills a slice with the case's words; returns guest bytes from its start to them. */
static u64 fill_slice(const struct qcow_geometry *g, __be64 *slice, const struct map_case *c)
{
	u32 words = qcow_slice_bytes(g) / sizeof(*slice);
	u32 first = c->last ? words - ARRAY_SIZE(c->word) : 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(c->word); i++)
		slice[first + i] = cpu_to_be64(c->word[i]);
	return (u64)(first >> (g->entry_bits - 3)) << g->cluster_bits;
}

static void map_answers(struct kunit *test)
{
	const struct map_case *c = test->param_value;
	struct qcow_geometry g;
	struct qcow_extent ext = {};
	struct qcow_flaw flaw = {};
	__be64 *slice;
	u64 start;
	int err;

	qcow_header_geometry(&headers[c->image], FILE_BYTES, &g);
	slice = kunit_kzalloc(test, qcow_slice_bytes(&g), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, slice);
	start = fill_slice(&g, slice, c);

	err = qcow_l2_map(&g, slice, start + c->at, c->max ?: U64_MAX, &ext, &flaw);
	if (c->what) {
		KUNIT_EXPECT_EQ(test, err, -EUCLEAN);
		KUNIT_EXPECT_NOT_NULL(test, flaw.table);
		KUNIT_EXPECT_STREQ(test, flaw.what, c->what);
		KUNIT_EXPECT_EQ(test, flaw.value, c->value);
		return;
	}
	KUNIT_ASSERT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, (int)ext.kind, (int)c->ext.kind);
	KUNIT_EXPECT_EQ(test, ext.allocated, c->ext.allocated);
	KUNIT_EXPECT_EQ(test, ext.len, c->ext.len);
	KUNIT_EXPECT_EQ(test, ext.host, c->ext.host);
	KUNIT_EXPECT_EQ(test, ext.compressed_len, c->ext.compressed_len);
}

static void l1_entry_decodes_again(struct kunit *test)
{
	struct qcow_geometry g;
	struct qcow_flaw flaw;
	u64 table;

	qcow_header_geometry(&headers[V2], FILE_BYTES, &g);
	KUNIT_EXPECT_EQ(test, qcow_l1_encode(&g, 0x80000), C | 0x80000);
	KUNIT_EXPECT_EQ(test, qcow_l1_decode(&g, qcow_l1_encode(&g, 0x80000), &table, &flaw), 0);
	KUNIT_EXPECT_EQ(test, table, 0x80000);
	qcow_header_geometry(&headers[V1], FILE_BYTES, &g);
	KUNIT_EXPECT_EQ(test, qcow_l1_encode(&g, 0x8001), 0x8001);
}

struct put_case {
	const char *name;
	enum kind_of_image image;
	u64 bitmap;
	enum qcow_extent_kind kind;
};

static const struct put_case put_cases[] = {
	{ .name = "v1", .image = V1, .kind = QCOW_EXTENT_DATA },
	{ .name = "v2", .image = V2, .kind = QCOW_EXTENT_DATA },
	{ .name = "v2 has no bitmap", .image = V2, .bitmap = QCOW_L2_ALL_ALLOCATED,
	  .kind = QCOW_EXTENT_DATA },
	{ .name = "no subcluster", .image = V3_SUB, .kind = QCOW_EXTENT_HOLE },
	{ .name = "all subclusters", .image = V3_SUB, .bitmap = QCOW_L2_ALL_ALLOCATED,
	  .kind = QCOW_EXTENT_DATA },
};

static void put_desc(const struct put_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(put, put_cases, put_desc);

static void l2_entry_maps_again(struct kunit *test)
{
	const struct put_case *c = test->param_value;
	struct qcow_geometry g;
	struct qcow_extent ext;
	struct qcow_flaw flaw;
	__be64 slice[16] = {};
	u64 cluster, host;
	u32 i;

	qcow_header_geometry(&headers[c->image], FILE_BYTES, &g);
	cluster = qcow_cluster_bytes(&g);
	host = 0x1234 * cluster;
	for (i = 1; i <= 2; i++)
		qcow_l2_put(&g, slice, i, qcow_l2_encode_data(&g, host + (i - 1) * cluster),
			    c->bitmap);
	KUNIT_ASSERT_EQ(test, qcow_l2_map(&g, slice, cluster, 4 * cluster, &ext, &flaw), 0);
	KUNIT_EXPECT_EQ(test, (int)ext.kind, (int)c->kind);
	KUNIT_EXPECT_EQ(test, ext.allocated, true);
	KUNIT_EXPECT_EQ(test, ext.host, host);
	KUNIT_EXPECT_EQ(test, ext.len, 2 * cluster);
	/* The neighbours stay. */
	KUNIT_EXPECT_EQ(test, be64_to_cpu(slice[0]), 0);
	KUNIT_EXPECT_EQ(test, be64_to_cpu(slice[g.extended_l2 ? 6 : 3]), 0);
}

static struct kunit_case l2_cases[] = {
	KUNIT_CASE(l1_entry_decodes_again),
	KUNIT_CASE_PARAM(l2_entry_maps_again, put_gen_params),
	KUNIT_CASE_PARAM(l1_entry_decodes, l1_gen_params),
	KUNIT_CASE(l1_needed_rounds_up),
	KUNIT_CASE(what_is_shared_stands_apart),
	KUNIT_CASE(slices_tile_the_image),
	KUNIT_CASE_PARAM(map_answers, map_gen_params),
	{}
};

static struct kunit_suite l2_suite = {
	.name = "qcow_format_l2",
	.test_cases = l2_cases,
};

kunit_test_suite(l2_suite);
