/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Host space that the active image refers to no more, on its way back to the free clusters.
 */
#ifndef _QCOW_META_RECLAIM_H
#define _QCOW_META_RECLAIM_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "meta/msg.h"

struct qcow_meta;

/**
 * struct qcow_freed - host space that the active image refers to no more
 * @node: on a list of struct qcow_reclaim or of the commit
 * @host: first byte
 * @len: bytes
 * @compressed: a compressed cluster is at @host
 * @is_table: it was metadata; else none may be there
 */
struct qcow_freed {
	struct list_head node;
	u64 host;
	u64 len;
	bool compressed;
	bool is_table;
};

/**
 * struct qcow_reclaim - the lists that stand for the states of such space
 * @dropped: the entry has been changed in memory
 * @durable: a commit has made that durable; I/O that was mapped before may be under way
 * @draining: likewise, and that I/O is being waited for
 * @drained: it has ended; references are dropped
 * @unused: runs of clusters whose last reference this was
 * @punching: likewise, their space is being given back to the store
 * @punched: it has been; their count is to become 0
 * @is_draining: I/O is being waited for, of @draining
 * @is_punching: @punching is the work item's
 * @is_retried: a commit has been wanted since the last one failed
 * @is_held: space stays @durable, as readers that no grace period waits for may read there
 * @drained_msg: from the last I/O
 * @punch_work: punches, on the metadata's @io_wq
 * @punched_msg: from the work item
 *
 *   dropped --(commit)--> durable --> draining --(grace period)--> drained
 *                                                                     |
 *   free <-- punched <--(work item)-- punching <-- unused <-----------+--> one reference less
 *
 * Counts stay as they are until the space has been punched: it cannot be allocated before.
 */
struct qcow_reclaim {
	struct list_head dropped;
	struct list_head durable;
	struct list_head draining;
	struct list_head drained;
	struct list_head unused;
	struct list_head punching;
	struct list_head punched;
	bool is_draining;
	bool is_punching;
	bool is_retried;
	bool is_held;
	struct qcow_meta_msg drained_msg;
	struct work_struct punch_work;
	struct qcow_meta_msg punched_msg;
};

void qcow_reclaim_init(struct qcow_reclaim *reclaim);
void qcow_reclaim_destroy(struct qcow_reclaim *reclaim);

/**
 * qcow_reclaim_drop() - host space is referred to no more
 * @reclaim: of the image
 * @freed: its from now on
 *
 * The entry that referred to it has been changed in memory. Context: the worker.
 */
static inline void qcow_reclaim_drop(struct qcow_reclaim *reclaim, struct qcow_freed *freed)
{
	list_add_tail(&freed->node, &reclaim->dropped);
}

/* The same of a range that was a table, which is kept where that is wanted (store/preserve.h). */
void qcow_reclaim_drop_range(struct qcow_reclaim *reclaim, u64 host, u64 len);

/* The same of one reference to what no entry has referred to. */
void qcow_reclaim_drop_leak(struct qcow_reclaim *reclaim, u64 host, u64 len);

/* A commit that has the entries of @dropped changed has ended. Context: the worker. */
void qcow_reclaim_committed(struct qcow_meta *meta, struct list_head *dropped, int err);

/* All I/O that was under way at qcow_inflight_drain() has ended. Context: any. */
void qcow_reclaim_drained(struct qcow_meta *meta);

/**
 * qcow_reclaim_run() - go on, for some hundred clusters
 * @meta: the metadata
 *
 * Context: the worker; may sleep and do I/O.
 * Return: whether there is more to do now.
 */
bool qcow_reclaim_run(struct qcow_meta *meta);

/**
 * qcow_reclaim_hold() - keep what is dropped from now on
 * @meta: the metadata; nothing has been posted yet
 *
 * Others read the image as it has been, or is now, and are not counted as I/O in flight. Requests
 * that find no space do not wait for what is kept.
 *
 * Context: process context.
 */
void qcow_reclaim_hold(struct qcow_meta *meta);

/* They read no more what has been dropped so far. Context: process context, may sleep. */
void qcow_reclaim_release(struct qcow_meta *meta);

/* Reclaim what is set aside and not used, at detach. Context: the worker. */
void qcow_reclaim_reserved(struct qcow_meta *meta);

/* Whether any space is on its way back. Context: the worker. */
bool qcow_reclaim_is_pending(const struct qcow_meta *meta);

/* Whether anything but what waits for a commit is on its way. Context: the worker. */
bool qcow_reclaim_is_busy(const struct qcow_reclaim *reclaim);

#endif /* _QCOW_META_RECLAIM_H */
