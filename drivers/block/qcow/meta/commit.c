// SPDX-License-Identifier: GPL-2.0
/*
 * The commit:
 *
 *   1 the worker copies what has been changed: L1 sectors, L2 slices, counts
 *   2 the work item writes the counts
 *   3 flush: data, new tables and counts are durable
 *   4 it writes the L2 slices and L1 sectors
 *   5 flush: guest data can be reached
 *   6 a message goes to the worker; what was dropped before 1 is reclaimed as soon as all I/O that
 *     was mapped before has ended
 *
 * Without changed tables 1 to 3 are all. Changes go on while a commit writes; they are the next
 * one's. The work item waits for I/O of the stores only and allocates nothing.
 */
#include <linux/completion.h>
#include <linux/sched/mm.h>

#include "inject.h"
#include "layer/image.h"
#include "message.h"
#include "meta/worker.h"
#include "meta/writeback.h"
#include "store/store.h"
#include "trace.h"

/* After a failure it is unknown what the store has, and it reports that from then on. */
static int commit_flush_stores(struct qcow_meta *meta)
{
	struct qcow_image *image = meta->image;
	int err = qcow_store_flush(image->data);

	if (!err && image->data != image->store)
		err = qcow_store_flush(image->store);
	if (err) {
		qcow_message(image,
			     "flush failed: error %d; what was written since the last one may be lost",
			     err);
		qcow_meta_fail(meta);
	}
	return err;
}

static int commit_write(struct qcow_meta *meta)
{
	struct qcow_commit *commit = &meta->commit;
	int err;

	err = qcow_writeback_write(&meta->space.counts.tables, &commit->counts, &commit->writes);
	if (err)
		return err;
	err = commit_flush_stores(meta);
	if (err || (list_empty(&commit->l2) && list_empty(&commit->l1)))
		return err;
	err = qcow_writeback_write(&meta->image->l2, &commit->l2, &commit->writes);
	if (!err)
		err = qcow_l1_write(meta->image, &commit->l1);
	if (!err)
		err = commit_flush_stores(meta);
	return err;
}

static void commit_work(struct work_struct *work)
{
	struct qcow_commit *commit = container_of(work, struct qcow_commit, work);
	struct qcow_meta *meta = container_of(commit, struct qcow_meta, commit);
	unsigned int noio = memalloc_noio_save();

	/* The worker changes slices again and moves tables that are still to be written. */
	qcow_inject_sleep();
	commit->err = commit_write(meta);
	memalloc_noio_restore(noio);
	qcow_meta_post(meta, &commit->msg);
}

static void commit_start(struct qcow_meta *meta)
{
	struct qcow_commit *commit = &meta->commit;
	struct qcow_image *image = meta->image;

	commit->wanted = false;
	commit->state = QCOW_COMMIT_WRITING;
	WRITE_ONCE(commit->seq, commit->seq + 1);
	list_splice_init(&commit->flushes, &commit->flushing);
	/* The copies have it dropped. */
	list_splice_init(&meta->reclaim.dropped, &commit->dropped);
	commit->l1_counted = qcow_l1_collect(meta, &commit->l1);
	qcow_writeback_collect(&image->l2, &commit->l2);
	if (meta->space.counted)
		qcow_writeback_collect(&meta->space.counts.tables, &commit->counts);
	trace_qcow_commit_begin(meta);
	queue_work(meta->io_wq, &commit->work);
}

static bool commit_has_slices(const struct qcow_meta *meta)
{
	return qcow_writeback_is_changed(&meta->image->l2) ||
		(meta->space.counted && qcow_writeback_is_changed(&meta->space.counts.tables));
}

/* Whether a commit would make slices clean, and there are many that are not. */
static bool commit_makes_room(struct qcow_meta *meta)
{
	return qcow_writeback_is_high(meta->image->cache) && commit_has_slices(meta);
}

bool qcow_commit_has_tables(const struct qcow_meta *meta)
{
	return list_empty(&meta->l1.changed) && list_empty(&meta->l1.fills) &&
		!qcow_writeback_is_changed(&meta->image->l2);
}

bool qcow_commit_is_due(const struct qcow_meta *meta)
{
	return !list_empty(&meta->reclaim.dropped) || !list_empty(&meta->l1.changed) ||
		commit_has_slices(meta);
}

void qcow_commit_start_wanted(struct qcow_meta *meta)
{
	struct qcow_commit *commit = &meta->commit;

	if (qcow_commit_is_running(commit))
		return;
	if (!list_empty(&commit->flushes) || commit->wanted ||
	    (!commit->last_err && commit_makes_room(meta)))
		commit_start(meta);
}

/* Run what has waited for a commit; when that failed, tell it. */
static void commit_unpark(struct list_head *parked, struct list_head *to, int err)
{
	struct qcow_meta_msg *msg;

	list_for_each_entry(msg, parked, node)
		msg->err = err;
	list_splice_tail_init(parked, to);
}

static void commit_end(struct qcow_meta_msg *msg)
{
	struct qcow_commit *commit = container_of(msg, struct qcow_commit, msg);
	struct qcow_meta *meta = container_of(commit, struct qcow_meta, commit);
	struct qcow_image *image = meta->image;
	struct qcow_flush *flush, *next;
	int err = commit->err;
	LIST_HEAD(flushes);

	trace_qcow_commit_end(meta, err);
	if (err && list_empty(&commit->flushing))
		qcow_message(image, "metadata cannot be written: error %d", err);

	if (meta->space.counted)
		qcow_writeback_finish(image->cache, &meta->space.counts.tables, &commit->counts,
				      err);
	qcow_writeback_finish(image->cache, &image->l2, &commit->l2, err);
	qcow_l1_finish(meta, &commit->l1, commit->l1_counted, err);
	qcow_reclaim_committed(meta, &commit->dropped, err);
	commit->state = QCOW_COMMIT_IDLE;
	commit->last_err = err;

	commit_unpark(&meta->await_commit, &meta->urgent, err);
	if (err) {
		commit_unpark(&meta->await_room, &meta->later, err);
		commit_unpark(&meta->await_space, &meta->later, err);
	}
	list_splice_init(&commit->flushing, &flushes);
	list_for_each_entry_safe(flush, next, &flushes, node)
		flush->done(flush, err);
}

static void commit_flush_run(struct qcow_meta_msg *msg)
{
	struct qcow_flush *flush = container_of(msg, struct qcow_flush, msg);

	list_add_tail(&flush->node, &flush->meta->commit.flushes);
}

void qcow_commit_flush(struct qcow_meta *meta, struct qcow_flush *flush)
{
	flush->msg = (struct qcow_meta_msg) { .run = commit_flush_run, .urgent = true };
	flush->meta = meta;
	qcow_meta_post(meta, &flush->msg);
}

struct sync_flush {
	struct qcow_flush flush;
	struct completion done;
	int err;
};

static void commit_sync_done(struct qcow_flush *flush, int err)
{
	struct sync_flush *sync = container_of(flush, struct sync_flush, flush);

	sync->err = err;
	complete(&sync->done);
}

int qcow_commit_wait(struct qcow_meta *meta)
{
	struct sync_flush sync = { .flush.done = commit_sync_done };

	init_completion(&sync.done);
	qcow_commit_flush(meta, &sync.flush);
	wait_for_completion(&sync.done);
	return sync.err;
}

void qcow_commit_init(struct qcow_commit *commit)
{
	commit->state = QCOW_COMMIT_IDLE;
	INIT_LIST_HEAD(&commit->flushes);
	INIT_LIST_HEAD(&commit->flushing);
	INIT_LIST_HEAD(&commit->dropped);
	INIT_LIST_HEAD(&commit->counts);
	INIT_LIST_HEAD(&commit->l2);
	INIT_LIST_HEAD(&commit->l1);
	INIT_WORK(&commit->work, commit_work);
	commit->msg = (struct qcow_meta_msg) { .run = commit_end, .urgent = true };
}
