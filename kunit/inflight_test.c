// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of I/O by age.
 */
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/jiffies.h>

#include "layer/inflight.h"

struct fixture {
	struct qcow_inflight inflight;
	struct completion drained;
};

static void drained(struct qcow_inflight *inflight)
{
	complete(&container_of(inflight, struct fixture, inflight)->drained);
}

static void fixture_close(void *data)
{
	qcow_inflight_destroy(&((struct fixture *)data)->inflight);
}

static struct fixture *fixture_create(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	init_completion(&f->drained);
	KUNIT_ASSERT_EQ(test, 0, qcow_inflight_init(&f->inflight, drained));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, fixture_close, f));
	return f;
}

static bool has_drained(struct fixture *f)
{
	return wait_for_completion_timeout(&f->drained, 5 * HZ);
}

static void nothing_drains_at_once(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	unsigned int round;

	for (round = 0; round < 5; round++) {
		qcow_inflight_drain(&f->inflight);
		KUNIT_EXPECT_TRUE(test, has_drained(f));
	}
}

static void what_was_there_is_waited_for(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct qcow_epoch *one = qcow_inflight_enter(&f->inflight);
	struct qcow_epoch *two = qcow_inflight_enter(&f->inflight);

	qcow_inflight_drain(&f->inflight);
	qcow_inflight_leave(two);
	KUNIT_EXPECT_FALSE(test, wait_for_completion_timeout(&f->drained, HZ / 5));
	qcow_inflight_leave(one);
	KUNIT_EXPECT_TRUE(test, has_drained(f));
}

static void what_comes_later_is_not(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct qcow_epoch *before = qcow_inflight_enter(&f->inflight);
	struct qcow_epoch *after;

	qcow_inflight_drain(&f->inflight);
	after = qcow_inflight_enter(&f->inflight);
	KUNIT_EXPECT_PTR_NE(test, before, after);
	qcow_inflight_leave(before);
	KUNIT_EXPECT_TRUE(test, has_drained(f));

	/* Now it is the one that is waited for. */
	qcow_inflight_drain(&f->inflight);
	KUNIT_EXPECT_FALSE(test, wait_for_completion_timeout(&f->drained, HZ / 5));
	qcow_inflight_leave(after);
	KUNIT_EXPECT_TRUE(test, has_drained(f));
}

static struct kunit_case inflight_cases[] = {
	KUNIT_CASE(nothing_drains_at_once),
	KUNIT_CASE(what_was_there_is_waited_for),
	KUNIT_CASE(what_comes_later_is_not),
	{}
};

static struct kunit_suite inflight_suite = {
	.name = "qcow_inflight",
	.test_cases = inflight_cases,
};

kunit_test_suite(inflight_suite);
