/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Writes that come while others are being submitted, joined where they continue each other.
 */
#ifndef _QCOW_JOIN_H
#define _QCOW_JOIN_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct qcow_io;
struct qcow_store;

/**
 * struct qcow_joiner - writes on their way to one store
 * @store: the store
 * @wq: runs @work
 * @lock: the rest
 * @waiting: I/Os that have come
 * @alone: parts of an I/O that failed: each is tried by itself
 * @busy: somebody submits, and will see what comes
 * @work: goes on when who began has done its own
 */
struct qcow_joiner {
	struct qcow_store *store;
	struct workqueue_struct *wq;
	spinlock_t lock;	/* the rest */
	struct list_head waiting;
	struct list_head alone;
	bool busy;
	struct work_struct work;
};

/* Prepare @joiner. It needs no end: it has nothing when no I/O is under way. */
void qcow_joiner_init(struct qcow_joiner *joiner, struct qcow_store *store,
		      struct workqueue_struct *wq);

/**
 * qcow_join_submit() - write @io, in one I/O with what is next to it if such a one is near
 * @joiner: of its store
 * @io: as for qcow_store_ops.submit; two of them never overlap
 *
 * One task submits at a time: file systems that allocate or convert extents take one lock
 * for each write, so more tasks would wait for each other, and fewer I/Os need it less.
 *
 * Context: process context, allocates with GFP_NOIO. @io->complete may run before it returns,
 * and gets what became of @io alone.
 */
void qcow_join_submit(struct qcow_joiner *joiner, struct qcow_io *io);

#endif /* _QCOW_JOIN_H */
