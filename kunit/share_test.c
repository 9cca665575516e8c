// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of sharing: whoever serves a request, each is served once.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/sizes.h>

#include "data/share.h"

#define NR_THREADS	3
#define NR_REQUESTS	5000

/* What each takes, about as long as a worker to wake up. */
#define SERVE_US	20

struct share_request {
	struct llist_node node;
	atomic_t *served;
};

/**
 * struct share_fixture - a share and what becomes of its requests
 * @share: of them all
 * @helped: served by the worker
 * @served: by request, of all threads
 */
struct share_fixture {
	struct qcow_share share;
	atomic_t helped;
	atomic_t served[NR_THREADS];
};

static void serve(struct llist_node *node)
{
	struct share_request *request = container_of(node, struct share_request, node);

	udelay(SERVE_US);
	atomic_inc(request->served);
}

struct submitter {
	struct share_fixture *f;
	atomic_t *served;
	struct share_request *requests;
	bool waits;
	struct completion done;
};

/* One that waits for each request hands over next to nothing, others as much as is taken. */
static int submit(void *data)
{
	struct submitter *s = data;
	unsigned int i;

	for (i = 0; i < NR_REQUESTS; i++) {
		struct share_request *request = &s->requests[i];

		request->served = s->served;
		if (qcow_share_offer(&s->f->share, &request->node, SZ_4K))
			atomic_inc(&s->f->helped);
		else
			serve(&request->node);
		while (s->waits && (unsigned int)atomic_read(s->served) <= i)
			usleep_range(1, 2);
		cond_resched();
	}
	complete(&s->done);
	return 0;
}

static void begin(struct kunit *test, struct share_fixture *f, struct submitter *s, bool waits,
		  unsigned int nr)
{
	struct task_struct *task;

	s->f = f;
	s->served = &f->served[nr];
	s->waits = waits;
	s->requests = kunit_kcalloc(test, NR_REQUESTS, sizeof(*s->requests), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s->requests);
	init_completion(&s->done);
	task = kthread_run(submit, s, "qcow-share-%u", nr);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
}

static void run(struct kunit *test, bool waits, unsigned int threads)
{
	struct share_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct submitter s[NR_THREADS];
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	qcow_share_init(&f->share, serve);
	for (i = 0; i < threads; i++)
		begin(test, f, &s[i], waits, i);
	for (i = 0; i < threads; i++)
		wait_for_completion(&s[i].done);
	for (i = 0; i < 1000 && atomic_read(&f->share.nr) > 0; i++)
		usleep_range(100, 200);
	qcow_share_destroy(&f->share);
	for (i = 0; i < threads; i++)
		KUNIT_EXPECT_EQ(test, NR_REQUESTS, atomic_read(&f->served[i]));
	kunit_info(test, "%d of %u were handed over", atomic_read(&f->helped),
		   threads * NR_REQUESTS);
	/* How many depends on what else there is to do; of those that are waited for, few. */
	if (waits && threads == 1)
		KUNIT_EXPECT_LT(test, atomic_read(&f->helped), NR_REQUESTS / 10);
}

static void each_is_served_once(struct kunit *test)
{
	run(test, false, 1);
}

static void several_submitters(struct kunit *test)
{
	run(test, false, NR_THREADS);
}

static void who_waits_is_left_alone(struct kunit *test)
{
	run(test, true, 1);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(each_is_served_once),
	KUNIT_CASE(several_submitters),
	KUNIT_CASE(who_waits_is_left_alone),
	{}
};

static int suite_init(struct kunit_suite *suite)
{
	return qcow_share_module_init();
}

static void suite_exit(struct kunit_suite *suite)
{
	qcow_share_module_exit();
}

static struct kunit_suite suite = {
	.name = "qcow_share",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
