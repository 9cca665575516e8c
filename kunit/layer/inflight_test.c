// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of grace periods of I/O.
 */
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/llist.h>
#include <linux/random.h>
#include <linux/sched/task.h>

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

/* The I/O has left, a part of it has not, though the grace period began in between. */
static void part_is_waited_for(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct qcow_epoch *whole = qcow_inflight_enter(&f->inflight);
	struct qcow_epoch *part;

	qcow_inflight_drain(&f->inflight);
	part = qcow_inflight_join(whole);
	KUNIT_EXPECT_PTR_EQ(test, whole, part);
	qcow_inflight_leave(whole);
	KUNIT_EXPECT_FALSE(test, wait_for_completion_timeout(&f->drained, HZ / 5));
	qcow_inflight_leave(part);
	KUNIT_EXPECT_TRUE(test, has_drained(f));
	KUNIT_EXPECT_NULL(test, qcow_inflight_join(NULL));
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

#define NR_SUBMITTERS	3
#define NR_CLUSTERS	3
#define NR_GRACE_PERIODS	40

/**
 * struct race - threads that use a cluster which another thread frees and uses again
 * @f: the I/O of all threads
 * @mapped: the cluster that an I/O which begins now finds
 * @uses: by cluster, how often it was given out again
 * @found_used: I/Os whose cluster was given out again before they ended
 * @ended: I/Os, of all submitters
 * @stop: submitters end
 * @pending: I/Os that the completing thread ends
 */
struct race {
	struct fixture *f;
	unsigned int mapped;
	unsigned int uses[NR_CLUSTERS];
	atomic_t found_used;
	atomic_t ended;
	bool stop;
	struct llist_head pending;
};

struct race_io {
	struct llist_node node;
	struct qcow_epoch *epoch;
	unsigned int cluster;
	unsigned int uses;
};

static void begin_io(struct race *race, struct race_io *io)
{
	io->epoch = qcow_inflight_enter(&race->f->inflight);
	io->cluster = READ_ONCE(race->mapped);
	io->uses = READ_ONCE(race->uses[io->cluster]);
}

static void end_io(struct race *race, struct race_io *io)
{
	if (READ_ONCE(race->uses[io->cluster]) != io->uses)
		atomic_inc(&race->found_used);
	atomic_inc(&race->ended);
	qcow_inflight_leave(io->epoch);
}

/* Every fourth I/O ends in the completing thread, which may run on another CPU. */
static int submitter(void *data)
{
	struct race *race = data;
	unsigned int i;

	for (i = 0; !READ_ONCE(race->stop); i++) {
		struct race_io here, *io = i % 4 ? &here : kmalloc(sizeof(*io), GFP_KERNEL);

		if (!io)
			break;
		begin_io(race, io);
		if (io != &here) {
			llist_add(&io->node, &race->pending);
			usleep_range(20, 200);
		} else {
			udelay(get_random_u32_below(20));
			end_io(race, io);
		}
	}
	return 0;
}

/* Ends I/O late: what a drain does takes some milliseconds anyway. */
static int completer(void *data)
{
	struct race *race = data;
	struct race_io *io, *next;
	bool last;

	do {
		last = kthread_should_stop();
		llist_for_each_entry_safe(io, next, llist_del_all(&race->pending), node) {
			end_io(race, io);
			kfree(io);
		}
		usleep_range(1000, 60000);
	} while (!last);
	return 0;
}

static struct task_struct *thread_create(struct kunit *test, int (*function)(void *data),
					 struct race *race, const char *name)
{
	struct task_struct *task = kthread_create(function, race, "qcow-%s", name);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	/* It is there until it has been stopped, also when it has returned. */
	get_task_struct(task);
	wake_up_process(task);
	return task;
}

static void thread_stop(struct task_struct *task)
{
	kthread_stop(task);
	put_task_struct(task);
}

/*
 * As the driver gives host clusters out again: unmap one, wait until all I/O that may have
 * found it has ended, give it out.
 */
static void clusters_are_used_again_after_all_io(struct kunit *test)
{
	struct race *race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);
	struct task_struct *submitters[NR_SUBMITTERS], *completing;
	unsigned int i, drains = 0;

	KUNIT_ASSERT_NOT_NULL(test, race);
	race->f = fixture_create(test);
	init_llist_head(&race->pending);
	completing = thread_create(test, completer, race, "complete");
	for (i = 0; i < NR_SUBMITTERS; i++)
		submitters[i] = thread_create(test, submitter, race, "submit");

	for (i = 0; i < NR_GRACE_PERIODS; i++) {
		unsigned int old = race->mapped;

		WRITE_ONCE(race->mapped, (old + 1) % NR_CLUSTERS);
		qcow_inflight_drain(&race->f->inflight);
		if (!has_drained(race->f))
			break;
		drains++;
		WRITE_ONCE(race->uses[old], race->uses[old] + 1);
	}

	WRITE_ONCE(race->stop, true);
	for (i = 0; i < NR_SUBMITTERS; i++)
		thread_stop(submitters[i]);
	thread_stop(completing);
	kunit_info(test, "%u grace periods, %d I/Os", drains, atomic_read(&race->ended));
	KUNIT_EXPECT_EQ(test, drains, NR_GRACE_PERIODS);
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&race->found_used));
	/* Most grace periods had something to wait for. */
	KUNIT_EXPECT_GT(test, atomic_read(&race->ended), NR_GRACE_PERIODS);
}

/* An I/O that ends in another thread than the one that waits for it, each time. */
static void every_end_of_io_is_noticed(struct kunit *test)
{
	struct race *race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);
	struct task_struct *completing;
	unsigned int i, drains = 0;

	KUNIT_ASSERT_NOT_NULL(test, race);
	race->f = fixture_create(test);
	init_llist_head(&race->pending);
	completing = thread_create(test, completer, race, "complete");
	for (i = 0; i < NR_GRACE_PERIODS; i++) {
		struct race_io *io = kmalloc(sizeof(*io), GFP_KERNEL);
		unsigned int before = atomic_read(&race->ended);

		if (!io)
			break;
		begin_io(race, io);
		llist_add(&io->node, &race->pending);
		qcow_inflight_drain(&race->f->inflight);
		if (!has_drained(race->f))
			break;
		drains += (unsigned int)atomic_read(&race->ended) == before + 1;
	}
	thread_stop(completing);
	KUNIT_EXPECT_EQ(test, drains, NR_GRACE_PERIODS);
}

static struct kunit_case inflight_cases[] = {
	KUNIT_CASE(nothing_drains_at_once),
	KUNIT_CASE(what_was_there_is_waited_for),
	KUNIT_CASE(part_is_waited_for),
	KUNIT_CASE(what_comes_later_is_not),
	KUNIT_CASE(clusters_are_used_again_after_all_io),
	KUNIT_CASE(every_end_of_io_is_noticed),
	{}
};

static struct kunit_suite inflight_suite = {
	.name = "qcow_inflight",
	.test_cases = inflight_cases,
};

kunit_test_suite(inflight_suite);
