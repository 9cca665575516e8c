// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of polling: which I/O is looked at, and when none may be.
 */
#include <kunit/test.h>

#include "data/poll.h"
#include "data/request.h"

#define NR_REQUESTS	3

/**
 * struct poll_fixture - requests that are one I/O each, and what is asked of their store
 * @poll: of their hardware queue
 * @store: theirs
 * @requests: all with their fragment's reference
 * @asked: the last I/O that the store was asked about
 * @nr_asked: how often it was asked
 * @answer: what it says
 */
struct poll_fixture {
	struct qcow_poll poll;
	struct qcow_store store;
	struct qcow_request requests[NR_REQUESTS];
	struct qcow_io *asked;
	unsigned int nr_asked;
	int answer;
};

static int note(struct qcow_io *io, struct io_comp_batch *iob)
{
	struct poll_fixture *f = container_of(io->store, struct poll_fixture, store);

	f->asked = io;
	f->nr_asked++;
	return f->answer;
}

static const struct qcow_store_ops note_ops = { .name = "note", .poll = note };

static int poll_init(struct kunit *test)
{
	struct poll_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	test->priv = f;
	f->store.ops = &note_ops;
	qcow_poll_init(&f->poll);
	for (i = 0; i < NR_REQUESTS; i++) {
		struct qcow_request *req = &f->requests[i];

		INIT_LIST_HEAD(&req->polling);
		req->poll = &f->poll;
		atomic_set(&req->refs, 1);
		req->first.req = req;
		req->first.io.store = &f->store;
		req->first.io.poll = true;
		req->first.io.polled = true;
	}
	return 0;
}

static void expect_look(struct kunit *test, struct qcow_request *wanted)
{
	struct poll_fixture *f = test->priv;

	f->asked = NULL;
	qcow_poll_look(&f->poll, NULL);
	KUNIT_EXPECT_PTR_EQ(test, f->asked, &wanted->first.io);
	KUNIT_EXPECT_EQ(test, atomic_read(&wanted->refs), 1);
}

static void nothing_is_under_way(struct kunit *test)
{
	struct poll_fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, qcow_poll_look(&f->poll, NULL), 0);
	KUNIT_EXPECT_EQ(test, f->nr_asked, 0);
}

static void all_have_their_turn(struct kunit *test)
{
	struct poll_fixture *f = test->priv;
	unsigned int i;

	for (i = 0; i < NR_REQUESTS; i++)
		qcow_poll_add(&f->requests[i]);
	for (i = 0; i < 2 * NR_REQUESTS; i++)
		expect_look(test, &f->requests[i % NR_REQUESTS]);
}

static void answer_is_passed_on(struct kunit *test)
{
	struct poll_fixture *f = test->priv;

	qcow_poll_add(&f->requests[0]);
	f->answer = 5;
	KUNIT_EXPECT_EQ(test, qcow_poll_look(&f->poll, NULL), 5);
	f->answer = -1;
	KUNIT_EXPECT_EQ(test, qcow_poll_look(&f->poll, NULL), -1);
}

/* On its way to a worker, say: what the store knows of it may be of the I/O before. */
static void not_submitted_is_not_asked(struct kunit *test)
{
	struct poll_fixture *f = test->priv;

	f->requests[0].first.io.polled = false;
	qcow_poll_add(&f->requests[0]);
	KUNIT_EXPECT_EQ(test, qcow_poll_look(&f->poll, NULL), 0);
	KUNIT_EXPECT_EQ(test, f->nr_asked, 0);
	f->requests[0].first.io.polled = true;
	expect_look(test, &f->requests[0]);
}

static void ended_is_not_asked(struct kunit *test)
{
	struct poll_fixture *f = test->priv;

	qcow_poll_add(&f->requests[0]);
	qcow_poll_add(&f->requests[1]);
	qcow_poll_remove(&f->requests[0]);
	/* Nor does one that was never there matter. */
	qcow_poll_remove(&f->requests[0]);
	qcow_poll_remove(&f->requests[2]);
	expect_look(test, &f->requests[1]);
	expect_look(test, &f->requests[1]);
	qcow_poll_remove(&f->requests[1]);
	f->nr_asked = 0;
	nothing_is_under_way(test);
}

static struct kunit_case poll_cases[] = {
	KUNIT_CASE(nothing_is_under_way),
	KUNIT_CASE(all_have_their_turn),
	KUNIT_CASE(answer_is_passed_on),
	KUNIT_CASE(not_submitted_is_not_asked),
	KUNIT_CASE(ended_is_not_asked),
	{}
};

static struct kunit_suite poll_suite = {
	.name = "qcow_poll",
	.init = poll_init,
	.test_cases = poll_cases,
};

kunit_test_suite(poll_suite);
