// SPDX-License-Identifier: GPL-2.0
/*
 * How large the refcount structure of a new image is: enough for all clusters and itself, and
 * no smaller one is.
 */
#include <kunit/test.h>
#include <qcow/refcount.h>

#include "create/span.h"

static void one_cluster_needs_one_of_each(struct kunit *test)
{
	struct refcount_span span;

	KUNIT_EXPECT_EQ(test, span_plan(9, 4, 0, &span), 0);
	KUNIT_EXPECT_EQ(test, span.blocks, 0);
	KUNIT_EXPECT_EQ(test, span.table_clusters, 0);
	KUNIT_EXPECT_EQ(test, span_plan(9, 4, 1, &span), 0);
	KUNIT_EXPECT_EQ(test, span.blocks, 1);
	KUNIT_EXPECT_EQ(test, span.table_clusters, 1);
}

/* 512 bytes, 16 bits: a block counts 256 clusters, one of which it is itself. */
static void span_grows_with_its_own_clusters(struct kunit *test)
{
	struct refcount_span span;

	KUNIT_EXPECT_EQ(test, span_plan(9, 4, 254, &span), 0);
	KUNIT_EXPECT_EQ(test, span.blocks, 1);
	KUNIT_EXPECT_EQ(test, span_plan(9, 4, 255, &span), 0);
	KUNIT_EXPECT_EQ(test, span.blocks, 2);
	KUNIT_EXPECT_EQ(test, span.table_clusters, 1);
}

/* For every width and many sizes: enough for everything and itself, and one less is not. */
static void span_is_the_smallest(struct kunit *test)
{
	struct refcount_span span;
	u64 clusters, all, per_block;
	u32 order;

	for (order = 0; order <= QCOW_MAX_REFCOUNT_ORDER; order++) {
		per_block = BIT_ULL(qcow_refcount_block_bits(9, order));
		for (clusters = 1; clusters < 40 * per_block; clusters += 1 + clusters / 97) {
			KUNIT_EXPECT_EQ(test, span_plan(9, order, clusters, &span), 0);
			all = clusters + span.blocks + span.table_clusters;
			KUNIT_EXPECT_EQ(test, all <= span.blocks * per_block, 1);
			KUNIT_EXPECT_EQ(test, span.blocks <= span.table_clusters * 64, 1);
			KUNIT_EXPECT_EQ(test, all - 1 > (span.blocks - 1) * per_block, 1);
			KUNIT_EXPECT_EQ(test, span.blocks > (span.table_clusters - 1) * 64, 1);
		}
	}
}

/* 512 bytes, 16 bits: 8 MiB of table are 2^14 clusters, 2^20 blocks, 2^28 counts. */
static void span_ends_at_the_table_limit(struct kunit *test)
{
	u64 most = BIT_ULL(28) - BIT_ULL(20) - BIT_ULL(14);
	struct refcount_span span;

	KUNIT_EXPECT_EQ(test, span_plan(9, 4, most - 1, &span), 0);
	KUNIT_EXPECT_EQ(test, span_plan(9, 4, most, &span), 0);
	KUNIT_EXPECT_EQ(test, span.blocks, BIT_ULL(20));
	KUNIT_EXPECT_EQ(test, span.table_clusters, BIT_ULL(14));
	KUNIT_EXPECT_EQ(test, span_plan(9, 4, most + 1, &span), -EFBIG);
	KUNIT_EXPECT_EQ(test, span_plan(9, 6, BIT_ULL(54), &span), -EFBIG);
}

static struct kunit_case span_cases[] = {
	KUNIT_CASE(one_cluster_needs_one_of_each),
	KUNIT_CASE(span_grows_with_its_own_clusters),
	KUNIT_CASE(span_is_the_smallest),
	KUNIT_CASE(span_ends_at_the_table_limit),
	{}
};

static struct kunit_suite span_suite = {
	.name = "qcowctl_span",
	.test_cases = span_cases,
};

kunit_test_suite(span_suite);
