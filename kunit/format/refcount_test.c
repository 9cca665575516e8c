// SPDX-License-Identifier: GPL-2.0
/*
 * Reference counts: entries of every width, and table entries.
 */
#include <kunit/test.h>
#include <qcow/refcount.h>

#define BLOCK_BYTES	512
#define GUARD		0xa5

struct width_case {
	const char *name;
	u32 order;
	u64 max;
};

static const struct width_case width_cases[] = {
	{ .name = "1 bit", .order = 0, .max = 1 },
	{ .name = "2 bits", .order = 1, .max = 3 },
	{ .name = "4 bits", .order = 2, .max = 15 },
	{ .name = "8 bits", .order = 3, .max = 0xff },
	{ .name = "16 bits", .order = 4, .max = 0xffff },
	{ .name = "32 bits", .order = 5, .max = 0xffffffff },
	{ .name = "64 bits", .order = 6, .max = U64_MAX },
};

static void width_desc(const struct width_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(width, width_cases, width_desc);

/* Something else for every entry, with high bits in it. */
static u64 pattern(u64 idx, u64 max)
{
	return ((idx + 1) * 0x9e3779b97f4a7c15ULL) & max;
}

static void entries_keep_their_neighbours(struct kunit *test)
{
	const struct width_case *c = test->param_value;
	u64 nr = BIT_ULL(qcow_refcount_block_bits(9, c->order));
	u8 *buf = kunit_kzalloc(test, BLOCK_BYTES + 2, GFP_KERNEL);
	u64 i;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	buf[0] = GUARD;
	buf[BLOCK_BYTES + 1] = GUARD;
	KUNIT_EXPECT_EQ(test, qcow_refcount_max(c->order), c->max);
	/* At an odd address, downwards, over ones: no entry owes its value to the order. */
	memset(buf + 1, 0xff, BLOCK_BYTES);
	for (i = nr; i--;)
		qcow_refcount_set(buf + 1, c->order, i, pattern(i, c->max));
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ(test, qcow_refcount_get(buf + 1, c->order, i),
				pattern(i, c->max));
	KUNIT_EXPECT_EQ(test, buf[0], GUARD);
	KUNIT_EXPECT_EQ(test, buf[BLOCK_BYTES + 1], GUARD);
}

static void entries_hold_0_to_max(struct kunit *test)
{
	const struct width_case *c = test->param_value;
	u8 buf[32] = {};

	qcow_refcount_set(buf, c->order, 2, c->max - 1);
	KUNIT_EXPECT_EQ(test, qcow_refcount_get(buf, c->order, 2), c->max - 1);
	qcow_refcount_set(buf, c->order, 2, c->max);
	KUNIT_EXPECT_EQ(test, qcow_refcount_get(buf, c->order, 2), c->max);
	KUNIT_EXPECT_EQ(test, qcow_refcount_get(buf, c->order, 1), 0);
	KUNIT_EXPECT_EQ(test, qcow_refcount_get(buf, c->order, 3), 0);
	/* One more does not fit: it is cut, and the neighbours stay. */
	qcow_refcount_set(buf, c->order, 2, c->max + 1);
	KUNIT_EXPECT_EQ(test, qcow_refcount_get(buf, c->order, 2), 0);
	KUNIT_EXPECT_EQ(test, qcow_refcount_get(buf, c->order, 1), 0);
	KUNIT_EXPECT_EQ(test, qcow_refcount_get(buf, c->order, 3), 0);
}

struct byte_case {
	const char *name;
	u32 order;
	u64 idx;
	u64 count;
	u8 at;
	u8 bytes[8];
	u8 nr;
};

/* The specification: bit 0 of byte 0 is the first; wide counts are big endian. */
static const struct byte_case byte_cases[] = {
	{ .name = "1 bit, first", .order = 0, .idx = 0, .count = 1, .bytes = { 0x01 }, .nr = 1 },
	{ .name = "1 bit, eighth", .order = 0, .idx = 7, .count = 1, .bytes = { 0x80 }, .nr = 1 },
	{ .name = "1 bit, ninth", .order = 0, .idx = 8, .count = 1, .at = 1, .bytes = { 0x01 },
	  .nr = 1 },
	{ .name = "2 bits", .order = 1, .idx = 1, .count = 2, .bytes = { 0x08 }, .nr = 1 },
	{ .name = "4 bits", .order = 2, .idx = 3, .count = 10, .at = 1, .bytes = { 0xa0 },
	  .nr = 1 },
	{ .name = "8 bits", .order = 3, .idx = 2, .count = 0x12, .at = 2, .bytes = { 0x12 },
	  .nr = 1 },
	{ .name = "16 bits", .order = 4, .idx = 1, .count = 0x1234, .at = 2,
	  .bytes = { 0x12, 0x34 }, .nr = 2 },
	{ .name = "32 bits", .order = 5, .idx = 1, .count = 0x12345678, .at = 4,
	  .bytes = { 0x12, 0x34, 0x56, 0x78 }, .nr = 4 },
	{ .name = "64 bits", .order = 6, .idx = 1, .count = 0x123456789abcdef0, .at = 8,
	  .bytes = { 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0 }, .nr = 8 },
};

static void byte_desc(const struct byte_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(byte, byte_cases, byte_desc);

static void bytes_are_as_specified(struct kunit *test)
{
	const struct byte_case *c = test->param_value;
	u8 buf[16] = {};
	size_t i;

	qcow_refcount_set(buf, c->order, c->idx, c->count);
	for (i = 0; i < sizeof(buf); i++) {
		bool inside = i >= c->at && i < c->at + c->nr;

		KUNIT_EXPECT_EQ(test, buf[i], inside ? c->bytes[i - c->at] : 0);
	}
}

struct table_case {
	const char *name;
	u64 entry;
	u64 block;
	const char *what;
	u64 value;
	u64 file_bytes;
};

/* 64 KiB clusters, the file ends at 0x60000 unless it says otherwise. */
static const struct table_case table_cases[] = {
	{ .name = "not allocated" },
	{ .name = "block", .entry = 0x20000, .block = 0x20000 },
	{ .name = "last cluster", .entry = 0x50000, .block = 0x50000 },
	{ .name = "a byte behind it", .entry = 0x50000, .block = 0x50000, .file_bytes = 0x60001 },
	{ .name = "a byte short", .entry = 0x50000, .file_bytes = 0x5ffff,
	  .what = "refcount block beyond the end of the file", .value = 0x50000 },
	{ .name = "at the end", .entry = 0x60000,
	  .what = "refcount block beyond the end of the file", .value = 0x60000 },
	{ .name = "far beyond", .entry = GENMASK_ULL(63, 16),
	  .what = "refcount block beyond the end of the file", .value = GENMASK_ULL(63, 16) },
	{ .name = "bit 0", .entry = 0x20001, .what = "reserved bits", .value = 1 },
	{ .name = "bit 8", .entry = 0x20100, .what = "reserved bits", .value = 0x100 },
	{ .name = "bit 9", .entry = 0x20200,
	  .what = "refcount block not at a cluster border", .value = 0x20200 },
};

static void table_desc(const struct table_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(table, table_cases, table_desc);

static void table_entry_decodes(struct kunit *test)
{
	const struct table_case *c = test->param_value;
	struct qcow_flaw flaw = {};
	u64 block = 1;
	int err;

	err = qcow_refcount_table_decode(16, c->file_bytes ?: 0x60000, c->entry, &block, &flaw);
	KUNIT_EXPECT_EQ(test, block, c->block);
	if (!c->what) {
		KUNIT_EXPECT_EQ(test, err, 0);
		KUNIT_EXPECT_EQ(test, qcow_refcount_table_encode(block), c->entry);
		return;
	}
	KUNIT_EXPECT_EQ(test, err, -EUCLEAN);
	KUNIT_EXPECT_EQ(test, flaw.entry, c->entry);
	KUNIT_EXPECT_STREQ(test, flaw.what, c->what);
	KUNIT_EXPECT_EQ(test, flaw.value, c->value);
}

static void indices_split_the_file(struct kunit *test)
{
	/* 512 bytes, 16 bits: 256 counts a block. */
	KUNIT_EXPECT_EQ(test, qcow_refcount_table_idx(9, 4, 255), 0);
	KUNIT_EXPECT_EQ(test, qcow_refcount_in_block(9, 4, 255), 255);
	KUNIT_EXPECT_EQ(test, qcow_refcount_table_idx(9, 4, 256), 1);
	KUNIT_EXPECT_EQ(test, qcow_refcount_in_block(9, 4, 256), 0);
	/* 2 MiB, 1 bit: 2^24 counts. */
	KUNIT_EXPECT_EQ(test, qcow_refcount_table_idx(21, 0, (1 << 24) - 1), 0);
	KUNIT_EXPECT_EQ(test, qcow_refcount_table_idx(21, 0, 1 << 24), 1);
}

static struct kunit_case refcount_cases[] = {
	KUNIT_CASE_PARAM(entries_keep_their_neighbours, width_gen_params),
	KUNIT_CASE_PARAM(entries_hold_0_to_max, width_gen_params),
	KUNIT_CASE_PARAM(bytes_are_as_specified, byte_gen_params),
	KUNIT_CASE_PARAM(table_entry_decodes, table_gen_params),
	KUNIT_CASE(indices_split_the_file),
	{}
};

static struct kunit_suite refcount_suite = {
	.name = "qcow_format_refcount",
	.test_cases = refcount_cases,
};

kunit_test_suite(refcount_suite);
