// SPDX-License-Identifier: GPL-2.0
/*
 * The constants that mapping works with, for every kind of image.
 */
#include <kunit/test.h>
#include <qcow/header.h>

#define MIB		BIT_ULL(20)

struct geometry_case {
	const char *name;
	struct qcow_header h;
	struct qcow_geometry expect;
};

static const struct geometry_case geometry_cases[] = {
	{
		.name = "v1 small L2",
		.h = { .version = 1, .cluster_bits = 9, .l2_bits = 6, .size = 1023, .length = 48 },
		.expect = {
			.size = 512, .file_bytes = MIB, .version = 1, .cluster_bits = 9,
			.l2_bits = 6, .entry_bits = 3, .slice_bits = 6, .subcluster_bits = 9,
			.l1_reserved = 0xff00000000000000, .l1_offset_mask = 0x00ffffffffffffff,
			.reserved = 0x7f00000000000000, .offset_mask = 0x00ffffffffffffff,
			.host_align_mask = 511, .compressed = 1ULL << 63, .csize_shift = 54,
			.csize_mask = 511, .metadata_end = 48,
		},
	}, {
		.name = "v1 large L2",
		.h = { .version = 1, .cluster_bits = 16, .l2_bits = 13, .size = MIB, .length = 48 },
		.expect = {
			.size = MIB, .file_bytes = MIB, .version = 1, .cluster_bits = 16,
			.l2_bits = 13, .entry_bits = 3, .slice_bits = 9, .subcluster_bits = 16,
			.l1_reserved = 0xff00000000000000, .l1_offset_mask = 0x00ffffffffffffff,
			.reserved = 0x7f00000000000000, .offset_mask = 0x00ffffffffffffff,
			.host_align_mask = 511, .compressed = 1ULL << 63, .csize_shift = 47,
			.csize_mask = 0xffff, .metadata_end = 48,
		},
	}, {
		.name = "v2",
		.h = { .version = 2, .cluster_bits = 16, .l2_bits = 13, .size = MIB + 511 },
		.expect = {
			.size = MIB, .file_bytes = MIB, .version = 2, .cluster_bits = 16,
			.l2_bits = 13, .entry_bits = 3, .slice_bits = 9, .subcluster_bits = 16,
			.l1_reserved = 0x7f000000000001ff, .l1_offset_mask = 0x00fffffffffffe00,
			.reserved = 0x3f000000000001ff, .offset_mask = 0x00fffffffffffe00,
			.host_align_mask = 0xffff, .copied = 1ULL << 63, .compressed = 1ULL << 62,
			.csize_shift = 54, .csize_mask = 0xff, .csize_sectors = true,
			.metadata_end = 65536,
		},
	}, {
		.name = "v3 smallest clusters",
		.h = { .version = 3, .cluster_bits = 9, .l2_bits = 6, .size = 511 },
		.expect = {
			.size = 0, .file_bytes = MIB, .version = 3, .cluster_bits = 9,
			.l2_bits = 6, .entry_bits = 3, .slice_bits = 6, .subcluster_bits = 9,
			.l1_reserved = 0x7f000000000001ff, .l1_offset_mask = 0x00fffffffffffe00,
			.reserved = 0x3f000000000001fe, .offset_mask = 0x00fffffffffffe00,
			.host_align_mask = 0x1ff, .copied = 1ULL << 63, .compressed = 1ULL << 62,
			.zero = 1, .csize_shift = 61, .csize_mask = 1, .csize_sectors = true,
			.metadata_end = 512,
		},
	}, {
		.name = "v3 largest clusters",
		.h = { .version = 3, .cluster_bits = 21, .l2_bits = 18, .size = MIB },
		.expect = {
			.size = MIB, .file_bytes = MIB, .version = 3, .cluster_bits = 21,
			.l2_bits = 18, .entry_bits = 3, .slice_bits = 9, .subcluster_bits = 21,
			.l1_reserved = 0x7f000000000001ff, .l1_offset_mask = 0x00fffffffffffe00,
			.reserved = 0x3f000000000001fe, .offset_mask = 0x00fffffffffffe00,
			.host_align_mask = 0x1fffff, .copied = 1ULL << 63,
			.compressed = 1ULL << 62, .zero = 1, .csize_shift = 49,
			.csize_mask = 0x1fff, .csize_sectors = true, .metadata_end = 2 << 20,
		},
	}, {
		.name = "v3 extended L2 and data file",
		.h = { .version = 3, .cluster_bits = 14, .l2_bits = 10, .size = MIB,
		       .incompatible = QCOW_INCOMPAT_EXTENDED_L2 | QCOW_INCOMPAT_DATA_FILE },
		.expect = {
			.size = MIB, .file_bytes = MIB, .version = 3, .cluster_bits = 14,
			.l2_bits = 10, .entry_bits = 4, .slice_bits = 8, .subcluster_bits = 9,
			.extended_l2 = true, .data_file = true,
			.l1_reserved = 0x7f000000000001ff, .l1_offset_mask = 0x00fffffffffffe00,
			.reserved = 0x3f000000000001ff, .offset_mask = 0x00fffffffffffe00,
			.host_align_mask = 0x3fff, .copied = 1ULL << 63, .compressed = 1ULL << 62,
			.csize_shift = 56, .csize_mask = 0x3f, .csize_sectors = true,
			.metadata_end = 16384,
		},
	},
};

static void geometry_desc(const struct geometry_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(geometry, geometry_cases, geometry_desc);

static void geometry_follows_header(struct kunit *test)
{
	const struct geometry_case *c = test->param_value;
	const struct qcow_geometry *e = &c->expect;
	struct qcow_geometry g;

	qcow_header_geometry(&c->h, MIB, &g);
	KUNIT_EXPECT_EQ(test, g.size, e->size);
	KUNIT_EXPECT_EQ(test, g.file_bytes, e->file_bytes);
	KUNIT_EXPECT_EQ(test, g.version, e->version);
	KUNIT_EXPECT_EQ(test, g.cluster_bits, e->cluster_bits);
	KUNIT_EXPECT_EQ(test, g.l2_bits, e->l2_bits);
	KUNIT_EXPECT_EQ(test, g.entry_bits, e->entry_bits);
	KUNIT_EXPECT_EQ(test, g.slice_bits, e->slice_bits);
	KUNIT_EXPECT_EQ(test, g.subcluster_bits, e->subcluster_bits);
	KUNIT_EXPECT_EQ(test, g.extended_l2, e->extended_l2);
	KUNIT_EXPECT_EQ(test, g.data_file, e->data_file);
	KUNIT_EXPECT_EQ(test, g.l1_reserved, e->l1_reserved);
	KUNIT_EXPECT_EQ(test, g.l1_offset_mask, e->l1_offset_mask);
	KUNIT_EXPECT_EQ(test, g.reserved, e->reserved);
	KUNIT_EXPECT_EQ(test, g.offset_mask, e->offset_mask);
	KUNIT_EXPECT_EQ(test, g.host_align_mask, e->host_align_mask);
	KUNIT_EXPECT_EQ(test, g.copied, e->copied);
	KUNIT_EXPECT_EQ(test, g.compressed, e->compressed);
	KUNIT_EXPECT_EQ(test, g.zero, e->zero);
	KUNIT_EXPECT_EQ(test, g.csize_shift, e->csize_shift);
	KUNIT_EXPECT_EQ(test, g.csize_mask, e->csize_mask);
	KUNIT_EXPECT_EQ(test, g.csize_sectors, e->csize_sectors);
	KUNIT_EXPECT_EQ(test, g.metadata_end, e->metadata_end);
}

static struct kunit_case geometry_test_cases[] = {
	KUNIT_CASE_PARAM(geometry_follows_header, geometry_gen_params),
	{}
};

static struct kunit_suite geometry_suite = {
	.name = "qcow_format_geometry",
	.test_cases = geometry_test_cases,
};

kunit_test_suite(geometry_suite);
