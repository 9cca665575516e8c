// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of which size an image may get.
 */

#include <kunit/test.h>
#include <qcow/header.h>

/* Clusters of 64 KiB: an L1 entry maps 512 MiB. */
static const struct qcow_header plain = {
	.version = 3, .cluster_bits = 16, .l2_bits = 13, .size = BIT_ULL(30),
};

/**
 * struct resize_case - a size that is wanted
 * @name: of the case
 * @size: that size
 * @block_bytes: of the device; 0: 512
 * @shrink: it may be less
 * @err: result
 * @l1_entries: result, of a size that may be
 */
struct resize_case {
	const char *name;
	u64 size;
	u32 block_bytes;
	bool shrink;
	int err;
	u32 l1_entries;
};

static const struct resize_case cases[] = {
	{ .name = "the same", .size = BIT_ULL(30), .l1_entries = 2 },
	{ .name = "a sector more", .size = BIT_ULL(30) + 512, .l1_entries = 3 },
	{ .name = "a sector more of 4096", .size = BIT_ULL(30) + 512, .block_bytes = 4096,
	  .err = -EINVAL },
	{ .name = "a block more", .size = BIT_ULL(30) + 4096, .block_bytes = 4096,
	  .l1_entries = 3 },
	{ .name = "no sectors", .size = BIT_ULL(30) + 511, .err = -EINVAL },
	{ .name = "nothing", .size = 0, .shrink = true, .err = -EINVAL },
	{ .name = "less", .size = BIT_ULL(30) - 512, .err = -EINVAL },
	{ .name = "less, as wanted", .size = BIT_ULL(30) - 512, .shrink = true, .l1_entries = 2 },
	{ .name = "one sector", .size = 512, .shrink = true, .l1_entries = 1 },
	{ .name = "the longest L1 table", .size = BIT_ULL(51), .l1_entries = 1U << 22 },
	{ .name = "one entry more", .size = BIT_ULL(51) + 512, .err = -EFBIG },
	{ .name = "all bits", .size = ~511ULL, .err = -EFBIG },
};

static void case_name(const struct resize_case *c, char *name)
{
	snprintf(name, KUNIT_PARAM_DESC_SIZE, "%s", c->name);
}

KUNIT_ARRAY_PARAM(resize, cases, case_name);

static void sizes(struct kunit *test)
{
	const struct resize_case *c = test->param_value;
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	u32 entries = 0;

	KUNIT_EXPECT_EQ(test, c->err, qcow_header_check_resize(&plain, c->size,
							       c->block_bytes ?: 512, c->shrink,
							       &entries, &rep));
	if (c->err)
		KUNIT_EXPECT_NOT_NULL(test, strstr(text, "size"));
	else
		KUNIT_EXPECT_EQ(test, c->l1_entries, entries);
}

static void expect_features(struct kunit *test, const struct qcow_header *h, int err)
{
	u32 entries;

	KUNIT_EXPECT_EQ(test, err, qcow_header_check_resize(h, BIT_ULL(31), 512, false, &entries,
							    NULL));
}

static void features_that_are_refused(struct kunit *test)
{
	struct qcow_header h = plain;

	h.incompatible = QCOW_INCOMPAT_DATA_FILE | QCOW_INCOMPAT_EXTENDED_L2;
	h.autoclear = QCOW_AUTOCLEAR_RAW_DATA_FILE;
	expect_features(test, &h, 0);
	h.incompatible = QCOW_INCOMPAT_DIRTY;
	expect_features(test, &h, -EUCLEAN);
	h.incompatible = QCOW_INCOMPAT_CORRUPT;
	expect_features(test, &h, -EUCLEAN);
	h.incompatible = 0;
	h.autoclear = QCOW_AUTOCLEAR_BITMAPS;
	expect_features(test, &h, 0);
	h.crypt_method = QCOW_CRYPT_LUKS;
	expect_features(test, &h, 0);
}

static void snapshot_without_a_size(struct kunit *test)
{
	struct qcow_snapshot snap = { .name = "old one", .name_len = 3, .sized = true };
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };

	KUNIT_EXPECT_EQ(test, 0, qcow_snapshot_check_resize(&snap, 4, &rep));
	snap.sized = false;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, qcow_snapshot_check_resize(&snap, 4, &rep));
	KUNIT_EXPECT_STREQ(test, text,
			   "snapshot table entry 4, \"old\", has no size of its own, and would get that of the image\n");
}

static struct kunit_case resize_cases[] = {
	KUNIT_CASE_PARAM(sizes, resize_gen_params),
	KUNIT_CASE(features_that_are_refused),
	KUNIT_CASE(snapshot_without_a_size),
	{}
};

static struct kunit_suite resize_suite = {
	.name = "qcow_format_resize",
	.test_cases = resize_cases,
};

kunit_test_suite(resize_suite);
