/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Making durable what has been written, in an order that makes a power cut at any instant
 * harmless: data and reference counts, then the tables that refer to them; what is freed
 * by that is free only afterwards.
 */
#ifndef _QCOW_META_COMMIT_H
#define _QCOW_META_COMMIT_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "meta/msg.h"
#include "store/batch.h"

struct qcow_meta;

/**
 * struct qcow_flush - a flush: what has been written is to be durable
 * @msg: to the worker
 * @meta: the metadata
 * @node: among those that wait
 * @done: called once, by the worker
 */
struct qcow_flush {
	struct qcow_meta_msg msg;
	struct qcow_meta *meta;
	struct list_head node;
	void (*done)(struct qcow_flush *flush, int err);
};

/**
 * enum qcow_commit_state - what the commit of an image does
 * @QCOW_COMMIT_IDLE: nothing; the next one starts when a flush comes or room is wanted
 * @QCOW_COMMIT_WRITING: its work item writes and flushes what has been copied
 *
 *   IDLE --(worker: copy)--> WRITING --(work item: counts, flush, tables, flush; a message to
 *                                       the worker)--> IDLE
 */
enum qcow_commit_state {
	QCOW_COMMIT_IDLE,
	QCOW_COMMIT_WRITING,
};

/**
 * struct qcow_commit - commits of one image, one at a time
 * @state: see there
 * @seq: number of the one that is running, or of the last one; read anywhere
 * @wanted: a message is parked until a commit has ended
 * @flushes: wait for the next commit
 * @flushing: wait for the one that is running
 * @dropped: host space, dropped before what is being written was copied
 * @counts: copies of slices of refcount blocks
 * @l2: copies of slices of L2 tables
 * @l1: copies of sectors of the L1 table
 * @l1_counted: as qcow_l1_collect() returned
 * @err: of the one that is running
 * @last_err: of the last one that has ended
 * @writes: memory for what is in flight of them
 * @work: writes, on the metadata's @io_wq
 * @msg: tells the worker that it has
 *
 * The copies, @writes and @err are the work item's while WRITING, all else is the worker's.
 */
struct qcow_commit {
	enum qcow_commit_state state;
	u64 seq;
	bool wanted;
	struct list_head flushes;
	struct list_head flushing;
	struct list_head dropped;
	struct list_head counts;
	struct list_head l2;
	struct list_head l1;
	bool l1_counted;
	int err;
	int last_err;
	struct qcow_batch writes;
	struct work_struct work;
	struct qcow_meta_msg msg;
};

void qcow_commit_init(struct qcow_commit *commit);

/**
 * qcow_commit_flush() - make all that has been written until now durable
 * @meta: the metadata
 * @flush: @done is called afterwards; those that come together share one commit
 *
 * Context: any.
 */
void qcow_commit_flush(struct qcow_meta *meta, struct qcow_flush *flush);

/**
 * qcow_commit_wait() - the same, and wait for it
 * @meta: the metadata
 *
 * Context: process context but that of the worker and the commit; may sleep.
 * Return: 0 or -errno.
 */
int qcow_commit_wait(struct qcow_meta *meta);

/* A message has been parked until the next commit has ended. Context: the worker. */
static inline void qcow_commit_want(struct qcow_commit *commit)
{
	commit->wanted = true;
}

/* Start a commit if there is a reason to and none is running. Context: the worker. */
void qcow_commit_start_wanted(struct qcow_meta *meta);

/* Whether a commit would change anything on disk. Context: the worker. */
bool qcow_commit_is_due(const struct qcow_meta *meta);

/* Whether L1 and L2 tables are on disk, while no request is under way. Context: the worker. */
bool qcow_commit_has_tables(const struct qcow_meta *meta);

/* Context: the worker. */
static inline bool qcow_commit_is_running(const struct qcow_commit *commit)
{
	return commit->state != QCOW_COMMIT_IDLE;
}

#endif /* _QCOW_META_COMMIT_H */
