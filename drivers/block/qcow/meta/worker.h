/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The metadata worker of a writable image: the one context that changes its L1 table, L2
 * tables, reference counts, free space and header. Every other context posts a message to it,
 * a function that runs in the worker and has all metadata for itself meanwhile.
 *
 * The worker waits for I/O of the image's stores that it submits itself (a slice that has been
 * evicted since its request had it read, a refcount block, a longer table, the header) and for
 * memory. It never waits for a message, a work item or a request of its own device: what has to
 * wait for one of those is parked, in memory, and run again by the message that ends the wait. The
 * stores lie below the device, so nothing that the worker waits for can wait for the worker.
 */
#ifndef _QCOW_META_WORKER_H
#define _QCOW_META_WORKER_H

#include <linux/list.h>
#include <linux/llist.h>
#include <linux/rbtree.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "layer/inflight.h"
#include "meta/bitmap.h"
#include "meta/change.h"
#include "meta/commit.h"
#include "meta/l1.h"
#include "meta/msg.h"
#include "meta/overlap.h"
#include "meta/reclaim.h"
#include "meta/space.h"
#include "store/merge.h"

struct qcow_image;
struct qcow_report;
struct qcow_v1_pack;

/**
 * struct qcow_meta - the metadata of one writable image
 * @image: the active image
 * @wq: ordered; runs @work. Its item waits as the head of this file says
 * @io_wq: commits' writes and flushes, punching, data written to new clusters: one work item
 *         of each; new L2 tables: one for each. They wait for I/O of the stores, never for each
 *         other or the worker
 * @work: the worker
 * @inbox: messages that have been posted
 * @urgent: received, run first, in the order in which they came
 * @changes: received, in guest order
 * @later: received since @changes was sorted
 * @await_room: parked until slices can be made writable, in the order in which they came
 * @await_commit: parked until no commit is running
 * @await_space: parked until there is space, or none is on its way back
 * @await_idle: parked until neither a commit nor a reclaim is under way
 * @await_turn: parked until the batch of changes has been run and its data is on its way
 * @overlap: where the metadata is
 * @space: host clusters
 * @l1: the L1 table
 * @bitmaps: persistent bitmaps
 * @in_flight: changes whose data is being written
 * @merge: writes to new clusters on their way to the store
 * @inflight: I/O of the device, for grace periods
 * @commit: makes durable
 * @reclaim: host space that nothing refers to any more, on its way back
 * @pack: of version 1, at detach: what fills gaps in the file; or NULL
 * @idle_commit: makes durable what has changed a while ago, and no flush has; on @wq
 * @corrupt_msg: sets the corrupt bit
 * @move_from: clusters at this host offset and behind it are being moved: nothing is written to
 *             them that the worker does not know of; U64_MAX: none is. Changed while no request is
 *             under way
 * @moves: changes in flight that move a cluster, which has space twice
 * @copied: bytes that changes have copied beside those of their requests, statistics
 * @begun: the header says that the image has been written to
 * @closing: the image is being detached
 * @failed: nothing is written any more: the image is corrupt, or its store has lost writes
 *
 * All but the constant members, @inbox, @overlap and @copied (read anywhere), @begun and
 * @failed is the worker's.
 */
struct qcow_meta {
	struct qcow_image *image;
	struct workqueue_struct *wq;
	struct workqueue_struct *io_wq;
	struct work_struct work;
	struct llist_head inbox;

	struct list_head urgent;
	struct list_head changes;
	struct list_head later;
	struct list_head await_room;
	struct list_head await_commit;
	struct list_head await_space;
	struct list_head await_idle;
	struct list_head await_turn;
	struct qcow_overlap overlap;
	struct qcow_space space;
	struct qcow_l1 l1;
	struct qcow_bitmaps bitmaps;
	struct rb_root in_flight;
	struct qcow_merge merge;
	struct qcow_inflight inflight;
	struct qcow_commit commit;
	struct qcow_reclaim reclaim;
	struct qcow_v1_pack *pack;

	struct delayed_work idle_commit;
	struct qcow_meta_msg corrupt_msg;
	u64 move_from;
	u32 moves;
	u64 copied;
	bool begun;
	bool closing;
	bool failed;
};

/**
 * qcow_meta_create() - prepare an image for writing
 * @image: opened as writable
 * @drop_bitmaps: as qcow_bitmaps_open() has it
 * @rep: says what is wrong
 *
 * Changes nothing on disk.
 *
 * Context: process context, may sleep.
 * Return: the metadata or ERR_PTR: -EUCLEAN (metadata that lies over other metadata),
 * -EOPNOTSUPP (also for bitmaps), ...
 */
struct qcow_meta *qcow_meta_create(struct qcow_image *image, bool drop_bitmaps,
				   struct qcow_report *rep);

/**
 * qcow_meta_destroy() - make all durable, give back what was set aside, and free it
 * @meta: the metadata; no I/O of the device is under way
 *
 * Context: process context, may sleep.
 * Return: 0 or -errno: what was written since the last flush may be lost, or bitmaps that record
 * are inconsistent.
 */
int qcow_meta_destroy(struct qcow_meta *meta);

/**
 * qcow_meta_retire() - the same of an image that others go on reading meanwhile, and afterwards
 * @meta: the metadata; it has been committed, nothing has been written since, and no I/O counts on
 *        its grace periods
 *
 * So clusters stay where they are, also in version 1.
 *
 * Context: process context, may sleep.
 * Return: 0 or -errno: space may have leaked.
 */
int qcow_meta_retire(struct qcow_meta *meta);

/**
 * qcow_meta_post() - have a message run by the worker
 * @meta: the metadata
 * @msg: @run, @urgent and @guest are set; it belongs to the worker until @run is called, which
 *       may be before this returns
 *
 * Context: any.
 */
void qcow_meta_post(struct qcow_meta *meta, struct qcow_meta_msg *msg);

/**
 * qcow_meta_begin() - before the first change of anything
 * @meta: the metadata
 *
 * Marks persistent bitmaps that record as inconsistent, and clears the autoclear feature bits that
 * stand for what is true no longer.
 *
 * Context: the worker.
 * Return: 0 or -errno: nothing may be written.
 */
int qcow_meta_begin(struct qcow_meta *meta);

/* Whether that has been done. Context: any. */
static inline bool qcow_meta_begun(const struct qcow_meta *meta)
{
	/* Pairs with smp_store_release() in qcow_meta_begin(): so is the header. */
	return smp_load_acquire(&meta->begun);
}

/**
 * qcow_meta_await_space() - park a message that has found no space
 * @meta: the metadata
 * @msg: run again when it may find some, or when there is none; it is no I/O in flight meanwhile
 * @err: what it has met
 *
 * Context: the worker.
 * Return: whether it has been parked.
 */
bool qcow_meta_await_space(struct qcow_meta *meta, struct qcow_meta_msg *msg, int err);

/* Park a message until slices can be made writable; it is run again then. Context: the worker. */
void qcow_meta_await_room(struct qcow_meta *meta, struct qcow_meta_msg *msg);

/* Nothing is written from now on. Context: any. */
static inline void qcow_meta_fail(struct qcow_meta *meta)
{
	WRITE_ONCE(meta->failed, true);
}

/* The same because metadata proved wrong; version 3 gets its corrupt bit. Context: any. */
void qcow_meta_corrupt(struct qcow_meta *meta);

#endif /* _QCOW_META_WORKER_H */
