// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of who changes which guest clusters.
 */
#include <kunit/test.h>

#include "layer/cache.h"
#include "meta/ranges.h"

struct counter {
	struct qcow_waiter waiter;
	unsigned int woken;
};

static void count(struct qcow_waiter *waiter)
{
	container_of(waiter, struct counter, waiter)->woken++;
}

static struct qcow_range range(u64 first, u64 last)
{
	return (struct qcow_range) { .first = first, .last = last };
}

static void others_are_not_in_the_way(struct kunit *test)
{
	struct qcow_range one = range(0, 3), two = range(4, 4), three = range(5, 100);
	struct counter c = { .waiter.wake = count };
	struct qcow_ranges ranges;

	qcow_ranges_init(&ranges);
	KUNIT_EXPECT_EQ(test, 0, qcow_range_take(&ranges, &one, &c.waiter));
	KUNIT_EXPECT_EQ(test, 0, qcow_range_take(&ranges, &three, &c.waiter));
	KUNIT_EXPECT_EQ(test, 0, qcow_range_take(&ranges, &two, &c.waiter));
	qcow_range_drop(&ranges, &one);
	qcow_range_drop(&ranges, &two);
	qcow_range_drop(&ranges, &three);
	KUNIT_EXPECT_EQ(test, 0, c.woken);
	KUNIT_EXPECT_TRUE(test, list_empty(&ranges.taken));
}

static void the_first_cluster_is_waited_for(struct kunit *test)
{
	struct qcow_range one = range(2, 5), two = range(5, 9), three = range(2, 2);
	struct counter c = { .waiter.wake = count }, d = { .waiter.wake = count };
	struct qcow_ranges ranges;

	qcow_ranges_init(&ranges);
	KUNIT_ASSERT_EQ(test, 0, qcow_range_take(&ranges, &one, &c.waiter));
	KUNIT_EXPECT_EQ(test, -EINPROGRESS, qcow_range_take(&ranges, &two, &c.waiter));
	KUNIT_EXPECT_EQ(test, -EINPROGRESS, qcow_range_take(&ranges, &three, &d.waiter));
	KUNIT_EXPECT_EQ(test, 0, c.woken);
	qcow_range_drop(&ranges, &one);
	KUNIT_EXPECT_EQ(test, 1, c.woken);
	KUNIT_EXPECT_EQ(test, 1, d.woken);
	KUNIT_EXPECT_EQ(test, 0, qcow_range_take(&ranges, &two, &c.waiter));
	qcow_range_drop(&ranges, &two);
}

static void what_follows_cuts_it_short(struct kunit *test)
{
	struct qcow_range one = range(8, 9), two = range(20, 30), three = range(0, 100);
	struct counter c = { .waiter.wake = count };
	struct qcow_ranges ranges;

	qcow_ranges_init(&ranges);
	KUNIT_ASSERT_EQ(test, 0, qcow_range_take(&ranges, &two, &c.waiter));
	KUNIT_ASSERT_EQ(test, 0, qcow_range_take(&ranges, &one, &c.waiter));
	KUNIT_ASSERT_EQ(test, 0, qcow_range_take(&ranges, &three, &c.waiter));
	KUNIT_EXPECT_EQ(test, 7, three.last);
	qcow_range_drop(&ranges, &three);
	three = range(10, 100);
	KUNIT_ASSERT_EQ(test, 0, qcow_range_take(&ranges, &three, &c.waiter));
	KUNIT_EXPECT_EQ(test, 19, three.last);
	qcow_range_drop(&ranges, &three);
	qcow_range_drop(&ranges, &two);
	qcow_range_drop(&ranges, &one);
	KUNIT_EXPECT_EQ(test, 0, c.woken);
}

static struct kunit_case ranges_cases[] = {
	KUNIT_CASE(others_are_not_in_the_way),
	KUNIT_CASE(the_first_cluster_is_waited_for),
	KUNIT_CASE(what_follows_cuts_it_short),
	{}
};

static struct kunit_suite ranges_suite = {
	.name = "qcow_ranges",
	.test_cases = ranges_cases,
};

kunit_test_suite(ranges_suite);
