/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Writes that are collected, merged where they continue each other, and submitted by one work
 * item: file systems that allocate or convert extents take one lock for each write, so more
 * tasks would wait for each other, and fewer I/Os need it less.
 */
#ifndef _QCOW_STORE_MERGE_H
#define _QCOW_STORE_MERGE_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct qcow_io;
struct qcow_store;

/**
 * struct qcow_merge - writes on their way to one store
 * @store: the store
 * @wq: runs @work
 * @lock: @waiting and @alone
 * @waiting: I/Os that have been added
 * @alone: parts of an I/O that failed: each is tried by itself
 * @work: submits; waits for what submitting to the store waits for
 */
struct qcow_merge {
	struct qcow_store *store;
	struct workqueue_struct *wq;
	spinlock_t lock;	/* @waiting and @alone */
	struct list_head waiting;
	struct list_head alone;
	struct work_struct work;
};

/*
 * Prepare @merge. It needs no end: it has nothing when no I/O is under way. Its owner frees it
 * after an RCU grace period.
 */
void qcow_merge_init(struct qcow_merge *merge, struct qcow_store *store,
		     struct workqueue_struct *wq);

/**
 * qcow_merge_add() - write @io with the next qcow_merge_kick()
 * @merge: of its store
 * @io: as for qcow_store_ops.submit; two of them never overlap. @io->complete gets what became
 *      of @io alone
 *
 * Context: any.
 */
void qcow_merge_add(struct qcow_merge *merge, struct qcow_io *io);

/* Submit all that has been added. Context: any. */
void qcow_merge_kick(struct qcow_merge *merge);

#endif /* _QCOW_STORE_MERGE_H */
