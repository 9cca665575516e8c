/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Submission of I/O that the task in queue_rq() may not submit itself.
 */
#ifndef _QCOW_SUBMIT_H
#define _QCOW_SUBMIT_H

#include <linux/atomic.h>
#include <linux/llist.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct qcow_device;
struct qcow_io;
struct qcow_store;
struct request;
struct task_struct;

/**
 * struct qcow_submitter - I/O of one hardware queue on its way to a worker
 * @waiting: by @qcow_io.waiting, the newest first
 * @nr_listed: requests with a bio that the task in queue_rq() has put on current->bio_list
 * @nr_handed: requests with I/O that went to the worker
 * @last_task: that came last, to be compared only
 * @last_sleeps: how often it had gone to sleep by then
 * @is_local: the worker is to be one of this CPU
 * @is_running: a worker is, and looks at @waiting once more: it need not be woken
 * @work: submits all of @waiting as one batch
 * @dev: whose workqueues @work runs on
 *
 * @last_task to @is_local are hints: tasks that race for them run the work on another CPU.
 */
struct qcow_submitter {
	struct llist_head waiting;
	atomic_t nr_listed;
	atomic_t nr_handed;
	const struct task_struct *last_task;
	unsigned long last_sleeps;
	bool is_local;
	bool is_running;
	struct work_struct work;
	struct qcow_device *dev;
};

void qcow_submitter_init(struct qcow_submitter *submitter, struct qcow_device *dev);

/* Wait for @submitter->work. No I/O of the hardware queue is in flight. Context: may sleep. */
void qcow_submitter_destroy(struct qcow_submitter *submitter);

/**
 * qcow_submitter_begin_listed() - whether the task in queue_rq() may submit a request's I/O itself
 * @submitter: of the request's hardware queue
 * @rq: the request
 * @store: of the I/O
 *
 * Context: queue_rq() or queue_rqs().
 * Return: whether it may; then qcow_submitter_end_listed() when the request has ended.
 */
bool qcow_submitter_begin_listed(struct qcow_submitter *submitter, const struct request *rq,
				 const struct qcow_store *store);

/* Context: any. */
static inline void qcow_submitter_end_listed(struct qcow_submitter *submitter)
{
	atomic_dec(&submitter->nr_listed);
}

/**
 * qcow_submitter_begin_handed() - I/O of one more request goes to the worker
 * @submitter: of the request's hardware queue
 *
 * Context: queue_rq() or queue_rqs(), before qcow_submitter_add(); then
 * qcow_submitter_end_handed() when the request has ended.
 */
void qcow_submitter_begin_handed(struct qcow_submitter *submitter);

/* Context: any. */
static inline void qcow_submitter_end_handed(struct qcow_submitter *submitter)
{
	atomic_dec(&submitter->nr_handed);
}

/**
 * qcow_submitter_add() - leave an I/O to the worker
 * @submitter: of the request's hardware queue
 * @io: ready to be submitted
 *
 * The worker is woken by qcow_submitter_kick(), which the caller sees to before it returns to
 * the block layer.
 *
 * Context: queue_rq() or queue_rqs(); does not sleep.
 */
static inline void qcow_submitter_add(struct qcow_submitter *submitter, struct llist_node *io)
{
	llist_add(io, &submitter->waiting);
}

/* Wake the worker if I/O waits for it: once for all requests that come together. */
void qcow_submitter_kick(struct qcow_submitter *submitter);

#endif /* _QCOW_SUBMIT_H */
