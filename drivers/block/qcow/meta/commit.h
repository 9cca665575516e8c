/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Making durable what has been written, in an order that makes a power cut at any instant
 * harmless: data and reference counts, then the tables that refer to them; what is freed
 * by that is free only afterwards.
 */
#ifndef _QCOW_COMMIT_H
#define _QCOW_COMMIT_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct qcow_writer;

/**
 * struct qcow_flush - somebody who wants to know that what has been written is durable
 * @node: among those who wait
 * @done: called once, in process context
 */
struct qcow_flush {
	struct list_head node;
	void (*done)(struct qcow_flush *flush, int err);
};

/**
 * struct qcow_freed - host space that the active image refers to no more
 * @node: on a list of the commit's
 * @host: first byte
 * @len: bytes; 0: nothing
 * @compressed: a compressed cluster is at @host
 */
struct qcow_freed {
	struct list_head node;
	u64 host;
	u64 len;
	bool compressed;
};

/**
 * struct qcow_commit - commits of one image, one at a time
 * @writer: whose
 * @wq: ordered; runs commits and what follows them
 * @work: a commit
 * @drained_work: all I/O mapped before @draining was dropped has ended
 * @lock: @flushes and @freed
 * @flushes: who waits for the next commit
 * @freed: dropped in memory; the next commit makes it durable
 * @durable: dropped durably; I/O that was mapped before may be under way. Only on @wq
 * @draining: likewise, and that I/O is being waited for. Only on @wq
 * @drain_busy: it is
 * @idle: woken when nothing is draining
 */
struct qcow_commit {
	struct qcow_writer *writer;
	struct workqueue_struct *wq;
	struct work_struct work;
	struct work_struct drained_work;
	spinlock_t lock;	/* @flushes and @freed */
	struct list_head flushes;
	struct list_head freed;
	struct list_head durable;
	struct list_head draining;
	bool drain_busy;
	wait_queue_head_t idle;
};

/* Return: 0 or -ENOMEM. */
int qcow_commit_init(struct qcow_commit *commit, struct qcow_writer *writer);

/* After qcow_commit_wait_idle(), or when no commit has ever run. */
void qcow_commit_destroy(struct qcow_commit *commit);

/**
 * qcow_commit_flush() - make all that has been written until now durable
 * @commit: of the image
 * @flush: @done is called afterwards; those who come together share one commit
 *
 * Context: any.
 */
void qcow_commit_flush(struct qcow_commit *commit, struct qcow_flush *flush);

/**
 * qcow_commit_wait() - the same, and wait for it
 * @commit: of the image
 *
 * Context: process context but that of a commit; may sleep.
 * Return: 0 or -errno.
 */
int qcow_commit_wait(struct qcow_commit *commit);

/* Wait until all that has been dropped durably is free. No I/O may be under way. */
void qcow_commit_wait_idle(struct qcow_commit *commit);

/**
 * qcow_commit_freed() - host space is referred to no more
 * @commit: of the image
 * @freed: the commit's from now on; it frees it
 *
 * The entry that referred to it has been changed in memory. Context: any.
 */
void qcow_commit_freed(struct qcow_commit *commit, struct qcow_freed *freed);

/* All I/O that was under way at qcow_inflight_drain() has ended. Context: any. */
void qcow_commit_drained(struct qcow_commit *commit);

#endif /* _QCOW_COMMIT_H */
