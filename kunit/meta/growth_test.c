// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of which refcount blocks a run of clusters needs, where a block counts 64 clusters.
 */

#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <qcow/ondisk.h>

#include "layer/image.h"
#include "meta/refcount.h"

#define CLUSTER_BITS	9
#define ORDER		6
#define IN_BLOCK	64ULL
#define IN_TABLE	64ULL

static struct qcow_refcounts *counts_create(struct kunit *test, u64 entries)
{
	struct qcow_refcounts *rc = kunit_kzalloc(test, sizeof(*rc), GFP_KERNEL);
	struct qcow_image *image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, rc);
	KUNIT_ASSERT_NOT_NULL(test, image);
	image->geo.cluster_bits = CLUSTER_BITS;
	rc->image = image;
	rc->order = ORDER;
	rc->entries = entries;
	rc->table = kunit_kcalloc(test, entries, sizeof(*rc->table), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, rc->table);
	return rc;
}

static void expect_plan(struct kunit *test, const struct qcow_refcounts *rc, u64 from, u64 nr,
			u64 first, u64 blocks, u64 table_clusters)
{
	struct qcow_growth growth;

	KUNIT_EXPECT_EQ(test, 0, qcow_refcounts_plan(rc, from, nr, &growth));
	KUNIT_EXPECT_EQ_MSG(test, first, growth.first, "%llu from %llu", nr, from);
	KUNIT_EXPECT_EQ_MSG(test, blocks, growth.blocks, "%llu from %llu", nr, from);
	KUNIT_EXPECT_EQ_MSG(test, table_clusters, growth.table_clusters, "%llu from %llu", nr,
			    from);
	KUNIT_EXPECT_EQ(test, round_down(first, IN_BLOCK), growth.covers);
	KUNIT_EXPECT_EQ(test, table_clusters * IN_TABLE, growth.entries);
	KUNIT_EXPECT_EQ(test, first + blocks + table_clusters + nr, qcow_growth_end(&growth));
}

static void blocks_lie_in_front_of_the_run(struct kunit *test)
{
	struct qcow_refcounts *rc = counts_create(test, 64);

	rc->table[0] = cpu_to_be64(1024);
	expect_plan(test, rc, 64, 1, 64, 1, 0);
	expect_plan(test, rc, 64, 63, 64, 1, 0);
	expect_plan(test, rc, 64, 64, 64, 2, 0);
	expect_plan(test, rc, 64, 126, 64, 2, 0);
	expect_plan(test, rc, 64, 127, 64, 3, 0);
	/* In the middle of what a block counts. */
	expect_plan(test, rc, 70, 57, 70, 1, 0);
	expect_plan(test, rc, 70, 58, 70, 2, 0);
	/* Where there is a block already. */
	expect_plan(test, rc, 10, 1, 64, 1, 0);
}

static void blocks_that_are_there_are_passed_by(struct kunit *test)
{
	struct qcow_refcounts *rc = counts_create(test, 64);

	rc->table[0] = cpu_to_be64(1024);
	rc->table[3] = cpu_to_be64(2048);
	expect_plan(test, rc, 64, 126, 64, 2, 0);
	expect_plan(test, rc, 64, 127, 4 * IN_BLOCK, 3, 0);
}

static void table_grows_by_half(struct kunit *test)
{
	struct qcow_refcounts *rc = counts_create(test, 64);

	expect_plan(test, rc, 63 * IN_BLOCK, 63, 63 * IN_BLOCK, 1, 0);
	/* 96 entries are two clusters. */
	expect_plan(test, rc, 63 * IN_BLOCK, 64, 63 * IN_BLOCK, 2, 2);
	expect_plan(test, rc, 64 * IN_BLOCK, 61, 64 * IN_BLOCK, 1, 2);
	expect_plan(test, rc, 64 * IN_BLOCK, 62, 64 * IN_BLOCK, 2, 2);
}

static void table_has_a_limit(struct kunit *test)
{
	u64 max = QCOW_MAX_REFCOUNT_TABLE_BYTES / sizeof(__be64);
	struct qcow_refcounts *rc = counts_create(test, 64);
	struct qcow_growth growth;

	KUNIT_EXPECT_EQ(test, 0, qcow_refcounts_plan(rc, (max - 1000) * IN_BLOCK, 1, &growth));
	KUNIT_EXPECT_EQ(test, -EFBIG, qcow_refcounts_plan(rc, max * IN_BLOCK, 1, &growth));
	KUNIT_EXPECT_EQ(test, -EFBIG, qcow_refcounts_plan(rc, 1ULL << 47, 1, &growth));
}

/* Half as many entries more would be too many, those that there may be are enough. */
static void table_grows_to_its_limit(struct kunit *test)
{
	u64 max = QCOW_MAX_REFCOUNT_TABLE_BYTES / sizeof(__be64);
	struct qcow_refcounts *rc = counts_create(test, 64);

	rc->entries = max - 600;
	rc->table = kvcalloc(rc->entries, sizeof(*rc->table), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, rc->table);
	expect_plan(test, rc, rc->entries * IN_BLOCK, 1, rc->entries * IN_BLOCK, 261,
		    max / IN_TABLE);
	kvfree(rc->table);
}

static void random_plans_cover_their_clusters(struct kunit *test)
{
	struct qcow_refcounts *rc = counts_create(test, 512);
	u64 seed = get_random_u64();
	struct rnd_state rnd;
	unsigned int round;
	u64 idx, last;

	kunit_info(test, "seed %llu", seed);
	prandom_seed_state(&rnd, seed);
	for (round = 0; round < 2000; round++) {
		u64 from = prandom_u32_state(&rnd) % (500 * IN_BLOCK);
		u64 nr = 1 + prandom_u32_state(&rnd) % (round % 2 ? 100 : 5000);
		struct qcow_growth growth;

		rc->table[prandom_u32_state(&rnd) % 512] = cpu_to_be64(1024);
		rc->table[prandom_u32_state(&rnd) % 512] = 0;
		KUNIT_ASSERT_EQ(test, 0, qcow_refcounts_plan(rc, from, nr, &growth));
		KUNIT_ASSERT_GE(test, growth.first, from);
		KUNIT_ASSERT_EQ(test, nr, growth.nr);
		idx = growth.first / IN_BLOCK;
		last = (qcow_growth_end(&growth) - 1) / IN_BLOCK;
		KUNIT_ASSERT_EQ(test, idx + growth.blocks - 1, last);
		KUNIT_ASSERT_LT(test, last, growth.entries ?: rc->entries);
		for (; idx <= last && idx < rc->entries; idx++)
			KUNIT_ASSERT_EQ(test, 0ULL, be64_to_cpu(rc->table[idx]));
	}
}

static struct kunit_case growth_cases[] = {
	KUNIT_CASE(blocks_lie_in_front_of_the_run),
	KUNIT_CASE(blocks_that_are_there_are_passed_by),
	KUNIT_CASE(table_grows_by_half),
	KUNIT_CASE(table_has_a_limit),
	KUNIT_CASE(table_grows_to_its_limit),
	KUNIT_CASE(random_plans_cover_their_clusters),
	{}
};

static struct kunit_suite growth_suite = {
	.name = "qcow_growth",
	.test_cases = growth_cases,
};

kunit_test_suite(growth_suite);
