// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of where host clusters for guests that write in order come from.
 */
#include <kunit/test.h>
#include <linux/limits.h>

#include "meta/window.h"

#define BITS		16
#define WINDOW		16

static struct qcow_windows *make_streams(struct kunit *test, u32 cluster_bits)
{
	struct qcow_windows *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	qcow_windows_init(s, cluster_bits);
	return s;
}

static void open_window(struct qcow_windows *s, u64 guest, u64 first, u64 nr)
{
	struct qcow_run run = { .first = first, .nr = nr, .zero = true };

	qcow_window_open(qcow_windows_replace(s, guest), guest, &run);
}

static void expect_taken(struct kunit *test, struct qcow_windows *s, u64 guest, u64 max,
			 u64 first, u64 nr)
{
	struct qcow_run run;

	KUNIT_ASSERT_TRUE(test, qcow_windows_alloc(s, guest, max, &run));
	KUNIT_EXPECT_EQ(test, run.first, first);
	KUNIT_EXPECT_EQ(test, run.nr, nr);
	KUNIT_EXPECT_TRUE(test, run.zero);
}

static void expect_none(struct kunit *test, struct qcow_windows *s, u64 guest)
{
	struct qcow_run run;

	KUNIT_EXPECT_FALSE(test, qcow_windows_alloc(s, guest, 1, &run));
}

/* A window begins where @guest goes on; U64_MAX: nowhere. */
static void expect_begin(struct kunit *test, const struct qcow_windows *s, u64 guest, u64 max,
			 u64 begin)
{
	u64 got = U64_MAX;

	KUNIT_EXPECT_EQ(test, begin != U64_MAX, qcow_windows_expect(s, guest, max, &got));
	KUNIT_EXPECT_EQ(test, got, begin);
}

static void in_any_order_each_has_its_place(struct kunit *test)
{
	struct qcow_windows *s = make_streams(test, BITS);

	open_window(s, 100, 5000, WINDOW);
	expect_taken(test, s, 103, 1, 5003, 1);
	expect_taken(test, s, 100, 1, 5000, 1);
	expect_taken(test, s, 101, 4, 5001, 2);
	expect_none(test, s, 100);
	expect_none(test, s, 99);
	expect_none(test, s, 116);
	expect_taken(test, s, 115, 2, 5015, 1);
	expect_taken(test, s, 104, 20, 5004, 11);
	expect_none(test, s, 110);
}

static void a_stream_is_what_follows(struct kunit *test)
{
	struct qcow_windows *s = make_streams(test, BITS);

	expect_begin(test, s, 0, 1, U64_MAX);
	qcow_windows_note(s, 8);
	expect_begin(test, s, 8, 1, 8);
	expect_begin(test, s, 9, 1, U64_MAX);
	expect_begin(test, s, 7, 1, U64_MAX);
	expect_begin(test, s, 8, WINDOW - 1, 8);
	/* That much lies together without a window. */
	expect_begin(test, s, 8, WINDOW, U64_MAX);
}

static void it_goes_on_behind_its_window(struct kunit *test)
{
	struct qcow_windows *s = make_streams(test, BITS);

	open_window(s, 8, 100, 4);
	expect_taken(test, s, 8, 4, 100, 4);
	expect_begin(test, s, 12, 1, 12);
	expect_begin(test, s, 12 + WINDOW - 1, 1, 12);
	expect_begin(test, s, 12 + WINDOW, 1, U64_MAX);
	expect_begin(test, s, 11, 1, U64_MAX);
}

static void many_at_once(struct kunit *test)
{
	struct qcow_windows *s = make_streams(test, BITS);
	unsigned int i;

	for (i = 0; i < QCOW_STREAM_ENDS + 1; i++)
		qcow_windows_note(s, 1000 * i);
	expect_begin(test, s, 0, 1, U64_MAX);
	for (i = 1; i < QCOW_STREAM_ENDS + 1; i++)
		expect_begin(test, s, 1000 * i, 1, 1000 * i);

	for (i = 0; i < QCOW_WINDOWS; i++) {
		open_window(s, 1000 * i, 100 * i, WINDOW);
		expect_taken(test, s, 1000 * i, 1, 100 * i, 1);
	}
	/* The first is in use again, so it is the second that goes. */
	expect_taken(test, s, 1, 1, 1, 1);
	KUNIT_EXPECT_PTR_EQ(test, qcow_windows_replace(s, 50), &s->window[1]);
	for (i = 2; i < QCOW_WINDOWS; i++)
		expect_taken(test, s, 1000 * i + 1, 1, 100 * i + 1, 1);
}

static void a_window_that_is_used_up_gives_way(struct kunit *test)
{
	struct qcow_windows *s = make_streams(test, BITS);

	open_window(s, 0, 100, WINDOW);
	expect_taken(test, s, 0, WINDOW - 1, 100, WINDOW - 1);
	open_window(s, 1000, 200, WINDOW);
	expect_taken(test, s, 1000, WINDOW, 200, WINDOW);
	KUNIT_EXPECT_EQ(test, qcow_windows_replace(s, 1000 + WINDOW)->guest, 1000);
	/* The last one of its clusters is yet to come. */
	KUNIT_EXPECT_EQ(test, qcow_windows_replace(s, WINDOW)->run.nr, 0);
	expect_taken(test, s, WINDOW - 1, 1, 100 + WINDOW - 1, 1);
	KUNIT_EXPECT_EQ(test, qcow_windows_replace(s, WINDOW)->run.first, 100);
}

static void what_is_left_comes_back(struct kunit *test)
{
	struct qcow_windows *s = make_streams(test, BITS);
	struct qcow_window *window = qcow_windows_replace(s, 0);
	struct qcow_run run;

	KUNIT_EXPECT_FALSE(test, qcow_window_drain(window, &run));
	open_window(s, 0, 100, WINDOW);
	expect_taken(test, s, 0, 2, 100, 2);
	expect_taken(test, s, 5, 1, 105, 1);

	KUNIT_ASSERT_TRUE(test, qcow_window_drain(window, &run));
	KUNIT_EXPECT_EQ(test, run.first, 102);
	KUNIT_EXPECT_EQ(test, run.nr, 3);
	KUNIT_EXPECT_TRUE(test, run.zero);
	KUNIT_ASSERT_TRUE(test, qcow_window_drain(window, &run));
	KUNIT_EXPECT_EQ(test, run.first, 106);
	KUNIT_EXPECT_EQ(test, run.nr, WINDOW - 6);
	KUNIT_EXPECT_FALSE(test, qcow_window_drain(window, &run));
	expect_none(test, s, 3);
	/* It still says where its stream goes on. */
	expect_begin(test, s, WINDOW, 1, WINDOW);
}

static void clusters_of_all_sizes(struct kunit *test)
{
	struct qcow_windows *s = make_streams(test, 9);

	KUNIT_EXPECT_EQ(test, s->nr, 64);
	open_window(s, 0, 100, 64);
	expect_taken(test, s, 63, 1, 163, 1);
	expect_taken(test, s, 0, 1, 100, 1);
	expect_taken(test, s, 1, 64, 101, 62);
	open_window(s, 1000, 200, 64);
	expect_taken(test, s, 1000, 64, 200, 64);

	/* Where one cluster is a window or more, there are none. */
	s = make_streams(test, 20);
	qcow_windows_note(s, 8);
	expect_begin(test, s, 8, 1, U64_MAX);
	s = make_streams(test, 21);
	qcow_windows_note(s, 8);
	expect_begin(test, s, 8, 1, U64_MAX);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(in_any_order_each_has_its_place),
	KUNIT_CASE(a_stream_is_what_follows),
	KUNIT_CASE(it_goes_on_behind_its_window),
	KUNIT_CASE(many_at_once),
	KUNIT_CASE(a_window_that_is_used_up_gives_way),
	KUNIT_CASE(what_is_left_comes_back),
	KUNIT_CASE(clusters_of_all_sizes),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_stream",
	.test_cases = cases,
};

kunit_test_suite(suite);
