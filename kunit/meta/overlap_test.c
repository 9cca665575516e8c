// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the set of metadata ranges.
 */
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/prandom.h>
#include <linux/random.h>

#include "meta/overlap.h"

#define BITS		16
#define GRANULES	512

static void overlap_close(void *overlap)
{
	qcow_overlap_destroy(overlap);
}

static struct qcow_overlap *overlap_create(struct kunit *test, u8 bits)
{
	struct qcow_overlap *overlap = kunit_kzalloc(test, sizeof(*overlap), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, overlap);
	qcow_overlap_init(overlap, bits);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, overlap_close, overlap));
	return overlap;
}

static void empty_has_nothing(struct kunit *test)
{
	struct qcow_overlap *overlap = overlap_create(test, BITS);

	KUNIT_EXPECT_FALSE(test, qcow_overlap_hit(overlap, 0, 1));
	KUNIT_EXPECT_FALSE(test, qcow_overlap_hit(overlap, 0, 1ULL << 40));
	KUNIT_EXPECT_EQ(test, 0, qcow_overlap_add(overlap, 0, 0));
	KUNIT_EXPECT_FALSE(test, qcow_overlap_hit(overlap, 0, 1));
}

static void every_byte_of_a_granule_hits(struct kunit *test)
{
	struct qcow_overlap *overlap = overlap_create(test, BITS);

	KUNIT_ASSERT_EQ(test, 0, qcow_overlap_add(overlap, 0x50000, 1));
	KUNIT_EXPECT_TRUE(test, qcow_overlap_hit(overlap, 0x50000, 1));
	KUNIT_EXPECT_TRUE(test, qcow_overlap_hit(overlap, 0x5ffff, 1));
	KUNIT_EXPECT_TRUE(test, qcow_overlap_hit(overlap, 0, 0x50001));
	KUNIT_EXPECT_TRUE(test, qcow_overlap_hit(overlap, 0x4ffff, 2));
	KUNIT_EXPECT_FALSE(test, qcow_overlap_hit(overlap, 0, 0x50000));
	KUNIT_EXPECT_FALSE(test, qcow_overlap_hit(overlap, 0x60000, 0x100000));
}

static void far_away_is_no_trouble(struct kunit *test)
{
	struct qcow_overlap *overlap = overlap_create(test, 9);
	u64 far = (1ULL << 56) - 512;

	KUNIT_ASSERT_EQ(test, 0, qcow_overlap_add(overlap, far, 512));
	KUNIT_EXPECT_TRUE(test, qcow_overlap_hit(overlap, far - 1, 2));
	KUNIT_EXPECT_FALSE(test, qcow_overlap_hit(overlap, far - 512, 512));
	qcow_overlap_del(overlap, far, 512);
	KUNIT_EXPECT_FALSE(test, qcow_overlap_hit(overlap, far, 512));
}

static void random_ranges_agree_with_a_bitmap(struct kunit *test)
{
	unsigned long *model = kunit_kzalloc(test, BITS_TO_LONGS(GRANULES) * sizeof(long),
					     GFP_KERNEL);
	struct qcow_overlap *overlap = overlap_create(test, BITS);
	u64 seed = get_random_u64();
	struct rnd_state rnd;
	unsigned int round;

	KUNIT_ASSERT_NOT_NULL(test, model);
	kunit_info(test, "seed %llu", seed);
	prandom_seed_state(&rnd, seed);
	for (round = 0; round < 3000; round++) {
		unsigned int first = prandom_u32_state(&rnd) % GRANULES;
		unsigned int nr = prandom_u32_state(&rnd) % (GRANULES - first) % 100 + 1;
		unsigned int begin = prandom_u32_state(&rnd) & 0xffff;
		u64 host = ((u64)first << BITS) + begin;
		u64 len = ((u64)nr << BITS) - begin;
		bool hit = find_next_bit(model, first + nr, first) < first + nr;

		KUNIT_ASSERT_EQ_MSG(test, hit, qcow_overlap_hit(overlap, host, len),
				    "round %u: %u granules at %u", round, nr, first);
		if (prandom_u32_state(&rnd) & 1) {
			KUNIT_ASSERT_EQ(test, 0, qcow_overlap_add(overlap, host, len));
			bitmap_set(model, first, nr);
		} else {
			qcow_overlap_del(overlap, host, len);
			bitmap_clear(model, first, nr);
		}
	}
}

static struct kunit_case overlap_cases[] = {
	KUNIT_CASE(empty_has_nothing),
	KUNIT_CASE(every_byte_of_a_granule_hits),
	KUNIT_CASE(far_away_is_no_trouble),
	KUNIT_CASE(random_ranges_agree_with_a_bitmap),
	{}
};

static struct kunit_suite overlap_suite = {
	.name = "qcow_overlap",
	.test_cases = overlap_cases,
};

kunit_test_suite(overlap_suite);
