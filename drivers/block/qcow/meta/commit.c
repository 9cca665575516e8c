// SPDX-License-Identifier: GPL-2.0
/*
 * The commit:
 *
 *   1 copy what has been changed: L1 sectors, L2 slices, counts
 *   2 write the counts
 *   3 flush: data, new tables and counts are durable
 *   4 write the L2 slices and L1 sectors
 *   5 flush: guest data can be reached
 *   6 what was dropped is free as soon as all I/O mapped before has ended
 *
 * Without changed tables 1 to 3 are all. Does not know who wants it. Called by queue.c,
 * write.c and writer.c.
 */
#include <linux/completion.h>
#include <linux/minmax.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "meta/writeback.h"
#include "layer/image.h"
#include "data/decompress.h"
#include "inject.h"
#include "message.h"
#include "store/store.h"
#include "meta/writer.h"

/* Clusters that are freed at a time: their counts are in few slices. */
#define FREE_CLUSTERS	256

/**
 * struct batch - what one commit writes
 * @counts: slices of refcount blocks
 * @l2: slices of L2 tables
 * @l1: sectors of the L1 table
 */
struct batch {
	struct list_head counts;
	struct list_head l2;
	struct list_head l1;
};

static void collect(struct qcow_writer *w, struct batch *b)
{
	struct qcow_image *image = w->image;

	/* Changes go on: what is referred to is copied after what refers to it. */
	qcow_l1_collect(&w->l1, &b->l1);
	qcow_inject_pause();
	qcow_dirty_collect(image->cache, &image->l2, &b->l2);
	qcow_inject_pause();
	if (w->space.counted)
		qcow_dirty_collect(image->cache, &w->space.counts.tables, &b->counts);
}

static void finish(struct qcow_writer *w, struct batch *b, int err)
{
	struct qcow_image *image = w->image;

	if (w->space.counted)
		qcow_dirty_finish(image->cache, &w->space.counts.tables, &b->counts, err);
	qcow_dirty_finish(image->cache, &image->l2, &b->l2, err);
	qcow_l1_finish(&w->l1, &b->l1, err);
}

/* After a failure nobody knows what the store has, and it says so from then on. */
static int flush_stores(struct qcow_commit *commit)
{
	struct qcow_image *image = commit->writer->image;
	int err = qcow_store_flush(image->data);

	if (!err && image->data != image->store)
		err = qcow_store_flush(image->store);
	if (err) {
		qcow_message(image,
			     "flush failed: error %d; what was written since the last one may be lost",
			     err);
		qcow_writer_fail(commit->writer);
	}
	return err;
}

static int write_batch(struct qcow_commit *commit, struct batch *b)
{
	struct qcow_writer *w = commit->writer;
	int err;

	if (!list_empty(&b->counts)) {
		err = qcow_dirty_write(&w->space.counts.tables, &b->counts);
		if (err)
			return err;
	}
	qcow_inject_pause();
	err = flush_stores(commit);
	if (err || (list_empty(&b->l2) && list_empty(&b->l1)))
		return err;
	qcow_inject_pause();
	err = qcow_dirty_write(&w->image->l2, &b->l2);
	if (!err)
		err = qcow_l1_write(&w->l1, &b->l1);
	if (!err)
		err = flush_stores(commit);
	return err;
}

static void start_drain(struct qcow_commit *commit)
{
	if (commit->drain_busy || list_empty(&commit->durable))
		return;
	commit->drain_busy = true;
	list_splice_init(&commit->durable, &commit->draining);
	qcow_inflight_drain(&commit->writer->inflight);
}

/* One commit. Only on @commit->wq. */
static int commit_once(struct qcow_commit *commit)
{
	struct qcow_flush *flush, *next;
	LIST_HEAD(flushes);
	LIST_HEAD(freed);
	struct batch b;
	int err;

	INIT_LIST_HEAD(&b.counts);
	INIT_LIST_HEAD(&b.l2);
	INIT_LIST_HEAD(&b.l1);

	/* What is freed now was dropped before, so the copies have it dropped. */
	spin_lock_irq(&commit->lock);
	list_splice_init(&commit->flushes, &flushes);
	list_splice_init(&commit->freed, &freed);
	spin_unlock_irq(&commit->lock);

	collect(commit->writer, &b);
	qcow_inject_pause();
	err = write_batch(commit, &b);
	qcow_inject_pause();
	finish(commit->writer, &b, err);

	if (err) {
		spin_lock_irq(&commit->lock);
		list_splice(&freed, &commit->freed);
		spin_unlock_irq(&commit->lock);
	} else {
		list_splice_tail(&freed, &commit->durable);
		start_drain(commit);
	}
	list_for_each_entry_safe(flush, next, &flushes, node) {
		list_del(&flush->node);
		flush->done(flush, err);
	}
	return err;
}

static void commit_work(struct work_struct *work)
{
	unsigned int noio = memalloc_noio_save();

	commit_once(container_of(work, struct qcow_commit, work));
	memalloc_noio_restore(noio);
}

/* Freeing changes counts, which must not fill the cache: nobody else can commit now. */
static int make_room(struct qcow_commit *commit)
{
	int err = 0;

	while (!err && qcow_dirty_full(commit->writer->image->cache))
		err = commit_once(commit);
	return err;
}

static void free_space(struct qcow_commit *commit, const struct qcow_freed *freed)
{
	struct qcow_writer *w = commit->writer;
	u64 pos, part;

	if (freed->compressed)
		qcow_decompress_drop(w->image, freed->host);
	for (pos = 0; pos < freed->len; pos += part) {
		part = min(freed->len - pos, (u64)FREE_CLUSTERS << w->image->geo.cluster_bits);
		if (make_room(commit) ||
		    qcow_space_free(&w->space, freed->host + pos, part))
			qcow_message(w->image, "%llu bytes at 0x%llx: cannot be freed", part,
				     freed->host + pos);
	}
}

static void drained_work(struct work_struct *work)
{
	struct qcow_commit *commit = container_of(work, struct qcow_commit, drained_work);
	unsigned int noio = memalloc_noio_save();
	struct qcow_freed *freed, *next;

	list_for_each_entry_safe(freed, next, &commit->draining, node) {
		list_del(&freed->node);
		free_space(commit, freed);
		kfree(freed);
	}
	commit->drain_busy = false;
	start_drain(commit);
	if (!commit->drain_busy)
		wake_up_all(&commit->idle);
	memalloc_noio_restore(noio);
}

void qcow_commit_drained(struct qcow_commit *commit)
{
	queue_work(commit->wq, &commit->drained_work);
}

void qcow_commit_flush(struct qcow_commit *commit, struct qcow_flush *flush)
{
	unsigned long flags;

	spin_lock_irqsave(&commit->lock, flags);
	list_add_tail(&flush->node, &commit->flushes);
	spin_unlock_irqrestore(&commit->lock, flags);
	queue_work(commit->wq, &commit->work);
}

struct sync_flush {
	struct qcow_flush flush;
	struct completion done;
	int err;
};

static void sync_done(struct qcow_flush *flush, int err)
{
	struct sync_flush *sync = container_of(flush, struct sync_flush, flush);

	sync->err = err;
	complete(&sync->done);
}

int qcow_commit_wait(struct qcow_commit *commit)
{
	struct sync_flush sync = { .flush.done = sync_done };

	init_completion(&sync.done);
	qcow_commit_flush(commit, &sync.flush);
	wait_for_completion(&sync.done);
	return sync.err;
}

void qcow_commit_wait_idle(struct qcow_commit *commit)
{
	/* A drain is begun by a commit: after this, all that have been are known. */
	flush_work(&commit->work);
	wait_event(commit->idle, !READ_ONCE(commit->drain_busy));
}

void qcow_commit_freed(struct qcow_commit *commit, struct qcow_freed *freed)
{
	unsigned long flags;

	spin_lock_irqsave(&commit->lock, flags);
	list_add_tail(&freed->node, &commit->freed);
	spin_unlock_irqrestore(&commit->lock, flags);
}

int qcow_commit_init(struct qcow_commit *commit, struct qcow_writer *writer)
{
	commit->writer = writer;
	INIT_WORK(&commit->work, commit_work);
	INIT_WORK(&commit->drained_work, drained_work);
	spin_lock_init(&commit->lock);
	INIT_LIST_HEAD(&commit->flushes);
	INIT_LIST_HEAD(&commit->freed);
	INIT_LIST_HEAD(&commit->durable);
	INIT_LIST_HEAD(&commit->draining);
	init_waitqueue_head(&commit->idle);
	commit->wq = alloc_ordered_workqueue("%s-commit", WQ_MEM_RECLAIM, writer->image->name);
	return commit->wq ? 0 : -ENOMEM;
}

static void forget(struct list_head *list)
{
	struct qcow_freed *freed, *next;

	list_for_each_entry_safe(freed, next, list, node)
		kfree(freed);
}

void qcow_commit_destroy(struct qcow_commit *commit)
{
	destroy_workqueue(commit->wq);
	forget(&commit->freed);
	forget(&commit->durable);
	forget(&commit->draining);
}
