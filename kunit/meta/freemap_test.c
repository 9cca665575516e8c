// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the map of free clusters.
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/limits.h>
#include <linux/prandom.h>
#include <linux/random.h>

#include "meta/freemap.h"

#define CLUSTERS	2000U

static void freemap_action(void *map)
{
	qcow_freemap_destroy(map);
}

static struct qcow_freemap *freemap_create(struct kunit *test, u32 max)
{
	struct qcow_freemap *map = kunit_kzalloc(test, sizeof(*map), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, map);
	qcow_freemap_init(map, max);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action(test, freemap_action, map));
	return map;
}

static bool add(struct qcow_freemap *map, u64 first, u64 nr, bool zero, bool own)
{
	struct qcow_run run = { .first = first, .nr = nr, .zero = zero };

	return qcow_freemap_add(map, &run, own);
}

static void expect_take(struct kunit *test, struct qcow_freemap *map, u64 min, u64 max, u64 first,
			u64 nr, bool zero)
{
	struct qcow_run run;

	KUNIT_ASSERT_TRUE(test, qcow_freemap_take(map, min, max, U64_MAX, &run));
	KUNIT_EXPECT_EQ(test, first, run.first);
	KUNIT_EXPECT_EQ(test, nr, run.nr);
	KUNIT_EXPECT_EQ(test, zero, run.zero);
}

static void lowest_comes_first(struct kunit *test)
{
	struct qcow_freemap *map = freemap_create(test, U32_MAX);
	struct qcow_run run;

	KUNIT_EXPECT_FALSE(test, qcow_freemap_take(map, 1, 1, U64_MAX, &run));
	KUNIT_EXPECT_TRUE(test, add(map, 100, 10, true, true));
	KUNIT_EXPECT_TRUE(test, add(map, 10, 5, false, true));
	KUNIT_EXPECT_TRUE(test, add(map, 1ULL << 46, 1, false, true));
	expect_take(test, map, 1, 2, 10, 2, false);
	expect_take(test, map, 4, 4, 100, 4, true);
	expect_take(test, map, 1, 100, 12, 3, false);
	expect_take(test, map, 1, 100, 104, 6, true);
	expect_take(test, map, 1, 100, 1ULL << 46, 1, false);
	KUNIT_EXPECT_FALSE(test, qcow_freemap_take(map, 1, 1, U64_MAX, &run));
	KUNIT_EXPECT_EQ(test, 0, map->nr);
}

static void low_ones_only(struct kunit *test)
{
	struct qcow_freemap *map = freemap_create(test, U32_MAX);
	struct qcow_run run;

	KUNIT_EXPECT_TRUE(test, add(map, 10, 5, false, true));
	KUNIT_EXPECT_TRUE(test, add(map, 15, 5, true, true));
	KUNIT_EXPECT_FALSE(test, qcow_freemap_take(map, 1, 9, 10, &run));
	KUNIT_EXPECT_FALSE(test, qcow_freemap_take(map, 3, 9, 12, &run));
	KUNIT_ASSERT_TRUE(test, qcow_freemap_take(map, 1, 9, 12, &run));
	KUNIT_EXPECT_EQ(test, 10, run.first);
	KUNIT_EXPECT_EQ(test, 2, run.nr);
	expect_take(test, map, 8, 9, 12, 8, false);
}

static void high_ones_are_cut_off(struct kunit *test)
{
	struct qcow_freemap *map = freemap_create(test, U32_MAX);

	KUNIT_EXPECT_TRUE(test, add(map, 10, 5, false, true));
	KUNIT_EXPECT_TRUE(test, add(map, 15, 5, true, true));
	KUNIT_EXPECT_TRUE(test, add(map, 30, 5, true, true));
	qcow_freemap_cut(map, 40);
	KUNIT_EXPECT_EQ(test, 3, map->nr);
	KUNIT_EXPECT_FALSE(test, qcow_freemap_evict(map, 31));
	KUNIT_EXPECT_TRUE(test, qcow_freemap_evict(map, 30));
	KUNIT_EXPECT_EQ(test, 2, map->nr);
	qcow_freemap_cut(map, 17);
	KUNIT_EXPECT_EQ(test, 2, map->nr);
	expect_take(test, map, 7, 7, 10, 7, false);
	qcow_freemap_cut(map, 0);
	KUNIT_EXPECT_EQ(test, 0, map->nr);
}

static void neighbours_are_one(struct kunit *test)
{
	struct qcow_freemap *map = freemap_create(test, 1);

	KUNIT_EXPECT_TRUE(test, add(map, 10, 1, false, false));
	KUNIT_EXPECT_TRUE(test, add(map, 11, 2, false, false));
	KUNIT_EXPECT_TRUE(test, add(map, 8, 2, false, false));
	KUNIT_EXPECT_EQ(test, 1, map->nr);
	/* There is no room for another. */
	KUNIT_EXPECT_FALSE(test, add(map, 7, 1, true, false));
	KUNIT_EXPECT_FALSE(test, add(map, 14, 1, false, false));
	KUNIT_EXPECT_FALSE(test, add(map, 13, 1, false, true));
	expect_take(test, map, 5, 5, 8, 5, false);
}

static void gap_is_closed(struct kunit *test)
{
	struct qcow_freemap *map = freemap_create(test, 2);

	KUNIT_EXPECT_TRUE(test, add(map, 10, 2, true, true));
	KUNIT_EXPECT_TRUE(test, add(map, 14, 2, true, true));
	KUNIT_EXPECT_TRUE(test, add(map, 12, 2, true, true));
	KUNIT_EXPECT_EQ(test, 1, map->nr);
	expect_take(test, map, 6, 6, 10, 6, true);
}

/* Runs of different kinds are no obstacle, and the same cluster is there once. */
static void kinds_and_duplicates(struct kunit *test)
{
	struct qcow_freemap *map = freemap_create(test, U32_MAX);
	struct qcow_run run;

	KUNIT_EXPECT_TRUE(test, add(map, 10, 2, true, true));
	KUNIT_EXPECT_TRUE(test, add(map, 14, 2, false, false));
	KUNIT_EXPECT_TRUE(test, add(map, 5, 20, false, false));
	KUNIT_EXPECT_FALSE(test, qcow_freemap_take(map, 21, 21, U64_MAX, &run));
	expect_take(test, map, 20, 30, 5, 20, false);
	KUNIT_EXPECT_FALSE(test, qcow_freemap_take(map, 1, 1, U64_MAX, &run));

	KUNIT_EXPECT_TRUE(test, add(map, 10, 2, true, true));
	KUNIT_EXPECT_TRUE(test, add(map, 12, 2, true, false));
	expect_take(test, map, 3, 3, 10, 3, true);
	expect_take(test, map, 1, 3, 13, 1, true);
}

static void end_moves_over_own_clusters(struct kunit *test)
{
	struct qcow_freemap *map = freemap_create(test, U32_MAX);

	KUNIT_EXPECT_EQ(test, 100, qcow_freemap_end(map, 100, 80));
	KUNIT_EXPECT_TRUE(test, add(map, 95, 4, false, true));
	KUNIT_EXPECT_EQ(test, 100, qcow_freemap_end(map, 100, 80));
	KUNIT_EXPECT_TRUE(test, add(map, 99, 1, true, false));
	/* What was there before stays, what was appended goes. */
	KUNIT_EXPECT_EQ(test, 100, qcow_freemap_end(map, 100, 100));
	KUNIT_EXPECT_EQ(test, 95, qcow_freemap_end(map, 100, 99));
	KUNIT_EXPECT_TRUE(test, add(map, 85, 10, false, false));
	KUNIT_EXPECT_EQ(test, 85, qcow_freemap_end(map, 100, 84));
	KUNIT_EXPECT_EQ(test, 90, qcow_freemap_end(map, 100, 90));
	KUNIT_EXPECT_TRUE(test, add(map, 80, 5, false, true));
	KUNIT_EXPECT_EQ(test, 90, qcow_freemap_end(map, 100, 90));
	KUNIT_EXPECT_EQ(test, 80, qcow_freemap_end(map, 100, 82));
}

static void expect_take_agrees(struct kunit *test, struct qcow_freemap *map, unsigned long *model,
			       u64 min, u64 max)
{
	unsigned long first = bitmap_find_next_zero_area(model, CLUSTERS, 0, min, 0);
	struct qcow_run run;
	unsigned long end;

	if (first >= CLUSTERS) {
		KUNIT_ASSERT_FALSE(test, qcow_freemap_take(map, min, max, U64_MAX, &run));
		return;
	}
	KUNIT_ASSERT_TRUE(test, qcow_freemap_take(map, min, max, U64_MAX, &run));
	KUNIT_ASSERT_EQ(test, first, run.first);
	KUNIT_ASSERT_GE(test, run.nr, min);
	KUNIT_ASSERT_LE(test, run.nr, max);
	end = find_next_bit(model, CLUSTERS, first);
	KUNIT_ASSERT_LE(test, run.first + run.nr, end);
	bitmap_set(model, run.first, run.nr);
}

/* A bit that is set: the cluster is not free. */
static void random_runs_agree_with_a_bitmap(struct kunit *test)
{
	unsigned long *model = kunit_kzalloc(test, BITS_TO_LONGS(CLUSTERS) * sizeof(long),
					     GFP_KERNEL);
	struct qcow_freemap *map = freemap_create(test, U32_MAX);
	u64 seed = get_random_u64();
	struct rnd_state rnd;
	unsigned int round;

	KUNIT_ASSERT_NOT_NULL(test, model);
	kunit_info(test, "seed %llu", seed);
	prandom_seed_state(&rnd, seed);
	bitmap_fill(model, CLUSTERS);
	for (round = 0; round < 5000; round++) {
		unsigned int first = prandom_u32_state(&rnd) % CLUSTERS;
		unsigned int nr = prandom_u32_state(&rnd) % min(CLUSTERS - first, 40U) + 1;
		u32 dice = prandom_u32_state(&rnd);

		if (dice & 1) {
			KUNIT_ASSERT_TRUE(test, add(map, first, nr, dice & 2, dice & 4));
			bitmap_clear(model, first, nr);
		} else {
			expect_take_agrees(test, map, model, nr, nr + dice % 16);
		}
	}
}

static struct kunit_case freemap_cases[] = {
	KUNIT_CASE(lowest_comes_first),
	KUNIT_CASE(low_ones_only),
	KUNIT_CASE(high_ones_are_cut_off),
	KUNIT_CASE(neighbours_are_one),
	KUNIT_CASE(gap_is_closed),
	KUNIT_CASE(kinds_and_duplicates),
	KUNIT_CASE(end_moves_over_own_clusters),
	KUNIT_CASE(random_runs_agree_with_a_bitmap),
	{}
};

static struct kunit_suite freemap_suite = {
	.name = "qcow_freemap",
	.test_cases = freemap_cases,
};

kunit_test_suite(freemap_suite);
