// SPDX-License-Identifier: GPL-2.0
/*
 * Who submits one request after the other without waiting for them has one CPU for that and
 * for serving them. Where another CPU is idle, a worker there comes to help: it looks for
 * requests for a while, and goes when it finds none or somebody else wants its CPU. Requests
 * are handed over while it looks, never to a worker that has yet to be woken, and only as
 * long as their submitter does not wait for them: else the hand-over would be all they get.
 * Does not know what the requests are. Called by queue.c.
 */
#include <linux/cpumask.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/processor.h>
#include <linux/sched.h>
#include <linux/sched/isolation.h>
#include <linux/sched/mm.h>
#include <linux/sched/stat.h>
#include <linux/sizes.h>
#include <linux/topology.h>

#include "data/share.h"

/* Handed over and not served: with more, who submits serves some itself. */
#define MAX_WAITING	4

/* Moving so many bytes is most of the work of a request, and both do some of that. */
#define LARGE_BYTES	(64U << 10)

/* So many in a row that are not waited for show that help is of use. */
#define MIN_RUN		4
#define MIN_RUN_LARGE	2

/* Between two calls for help that were of no use, at most, in pages that requests move. */
#define MAX_PAUSE	4095U

/* How long the worker looks for the next request, and how much longer for each byte in it. */
#define LOOK_NS		(100 * NSEC_PER_USEC)
#define BYTE_NS		1

static struct workqueue_struct *share_wq;

/* Whether this CPU has nothing else to do. */
static bool is_idle(void)
{
	return single_task_running() && !need_resched();
}

/* Whether more has come. */
static bool look(const struct qcow_share *share)
{
	u64 end = ktime_get_ns() + LOOK_NS + BYTE_NS * READ_ONCE(share->bytes);

	do {
		if (!llist_empty(&share->waiting))
			return true;
		cpu_relax();
	} while (is_idle() && ktime_get_ns() < end);
	return false;
}

/* Return: how many. */
static unsigned int serve_all(struct qcow_share *share)
{
	struct llist_node *node, *next;
	unsigned int nr = 0;

	node = llist_reverse_order(llist_del_all(&share->waiting));
	llist_for_each_safe(node, next, node) {
		share->serve(node);
		atomic_dec(&share->nr);
		nr++;
	}
	return nr;
}

/* Serve what comes, until none does or somebody else wants this CPU. Return: how many. */
static unsigned int visit(struct qcow_share *share)
{
	unsigned int nr = 0;

	WRITE_ONCE(share->run, 0);
	WRITE_ONCE(share->useless, false);
	atomic_set_release(&share->nr, 0);
	while (look(share))
		nr += serve_all(share);
	/* None comes after this; who has added one before is seen. */
	while (atomic_cmpxchg(&share->nr, 0, QCOW_SHARE_AWAY) != 0) {
		nr += serve_all(share);
		cond_resched();
	}
	return nr;
}

static bool may_visit(const struct qcow_share *share)
{
	return is_idle() && raw_smp_processor_id() == READ_ONCE(share->cpu);
}

static void share_work(struct work_struct *work)
{
	struct qcow_share *share = container_of(work, struct qcow_share, work);
	unsigned int noio;

	if (!may_visit(share)) {
		WRITE_ONCE(share->busy, true);
		return;
	}
	noio = memalloc_noio_save();
	while (visit(share) && !is_idle()) {
		/* Those of the kernel that come every few milliseconds are gone in a moment. */
		schedule();
		if (!may_visit(share))
			break;
	}
	memalloc_noio_restore(noio);
}

/* The one that was idle the last time, or another one near by; this one: there is none. */
static int choose_cpu(struct qcow_share *share)
{
	int this = raw_smp_processor_id(), last = READ_ONCE(share->cpu), cpu;
	const struct cpumask *near = cpumask_of_node(cpu_to_node(this));

	if (!READ_ONCE(share->busy) && last != this && cpu_online(last) &&
	    cpumask_test_cpu(last, near))
		return last;
	WRITE_ONCE(share->busy, false);
	for_each_cpu_wrap(cpu, near, (last + 1) % nr_cpu_ids) {
		if (cpu != this && cpu_online(cpu) && housekeeping_cpu(cpu, HK_TYPE_DOMAIN)) {
			WRITE_ONCE(share->cpu, cpu);
			return cpu;
		}
	}
	return this;
}

static void call_for_help(struct qcow_share *share, unsigned int bytes)
{
	unsigned int skip = READ_ONCE(share->skip);
	int cpu;

	if (skip) {
		WRITE_ONCE(share->skip, skip - min(skip, max(1U, bytes / SZ_4K)));
		return;
	}
	skip = min(2 * READ_ONCE(share->pause) + 1, MAX_PAUSE);
	WRITE_ONCE(share->pause, skip);
	WRITE_ONCE(share->skip, skip);
	cpu = choose_cpu(share);
	if (cpu != raw_smp_processor_id())
		queue_work_on(cpu, share_wq, &share->work);
}

/* Whether the submitter has better to do than to wait for what has been handed over. */
static bool is_busy(struct qcow_share *share, unsigned int bytes)
{
	unsigned int enough = bytes < LARGE_BYTES ? MIN_RUN : MIN_RUN_LARGE;
	unsigned int run = READ_ONCE(share->run);

	if (run && READ_ONCE(share->task) == current &&
	    READ_ONCE(share->nvcsw) != current->nvcsw) {
		if (run < enough) {
			WRITE_ONCE(share->useless, true);
			return false;
		}
		run = 0;
	}
	if (run == enough) {
		WRITE_ONCE(share->pause, 0);
		WRITE_ONCE(share->skip, 0);
	}
	WRITE_ONCE(share->task, current);
	WRITE_ONCE(share->nvcsw, current->nvcsw);
	WRITE_ONCE(share->run, run + 1);
	return true;
}

bool qcow_share_offer(struct qcow_share *share, struct llist_node *node, unsigned int bytes)
{
	int most = bytes < LARGE_BYTES ? MAX_WAITING : 1;
	int nr = atomic_read(&share->nr);

	if (nr < 0) {
		WRITE_ONCE(share->bytes, bytes);
		call_for_help(share, bytes);
		return false;
	}
	/* A worker that has been displaced here would wait for this task. */
	if (READ_ONCE(share->useless) || nr >= most ||
	    READ_ONCE(share->cpu) == raw_smp_processor_id() || !is_busy(share, bytes))
		return false;
	if (!atomic_inc_unless_negative(&share->nr))
		return false;
	llist_add(node, &share->waiting);
	return true;
}

void qcow_share_init(struct qcow_share *share, void (*serve)(struct llist_node *node))
{
	share->serve = serve;
	share->busy = true;
	atomic_set(&share->nr, QCOW_SHARE_AWAY);
	INIT_WORK(&share->work, share_work);
	init_llist_head(&share->waiting);
}

void qcow_share_destroy(struct qcow_share *share)
{
	cancel_work_sync(&share->work);
}

int qcow_share_module_init(void)
{
	/* It may go on for long, and nothing depends on it: nothing is handed over before. */
	share_wq = alloc_workqueue("qcow_share", WQ_CPU_INTENSIVE, 0);
	return share_wq ? 0 : -ENOMEM;
}

void qcow_share_module_exit(void)
{
	destroy_workqueue(share_wq);
}
