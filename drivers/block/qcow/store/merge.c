// SPDX-License-Identifier: GPL-2.0
/*
 * Merging of writes: sorted by host offset, those that continue each other become one I/O. When
 * that fails, its parts are written one by one, so that each gets a result of its own.
 */
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <linux/list_sort.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "compat.h"
#include "inject.h"
#include "store/merge.h"
#include "store/store.h"

/* Bytes of one I/O that has been merged. */
#define MERGE_BYTES	SZ_1M

/**
 * struct merged - several I/Os in one
 * @io: all of them
 * @merge: theirs
 * @parts: they, by their node
 * @bvecs: their memory
 */
struct merged {
	struct qcow_io io;
	struct qcow_merge *merge;
	struct list_head parts;
	struct bio_vec bvecs[];
};

/* Describe the memory of @io in @bvecs unless that is NULL. Return: how many it takes. */
static unsigned int merge_describe(const struct qcow_io *io, struct bio_vec *bvecs)
{
	struct bvec_iter it = { .bi_size = io->len, .bi_offset = io->iter.iov_offset };
	unsigned int nr;

	for (nr = 0; it.bi_size; nr++) {
		struct bio_vec bvec = mp_bvec_iter_bvec(io->iter.bvec, it);

		if (bvecs)
			bvecs[nr] = bvec;
		bvec_iter_advance_single(io->iter.bvec, &it, bvec.bv_len);
	}
	return nr;
}

static void merge_add(struct qcow_merge *merge, struct list_head *ios, struct list_head *to)
{
	unsigned long flags;

	spin_lock_irqsave(&merge->lock, flags);
	list_splice_tail(ios, to);
	spin_unlock_irqrestore(&merge->lock, flags);
}

static void merged_complete(struct qcow_io *io, int err)
{
	struct merged *merged = container_of(io, struct merged, io);
	struct qcow_merge *merge = merged->merge;
	struct qcow_io *part, *next;

	if (!err) {
		list_for_each_entry_safe(part, next, &merged->parts, node)
			part->complete(part, 0);
	} else {
		/* The work item may be running, and end the last I/O before it is queued again. */
		rcu_read_lock();
		merge_add(merge, &merged->parts, &merge->alone);
		qcow_inject_spin();
		queue_work(merge->wq, &merge->work);
		rcu_read_unlock();
	}
	kfree(merged);
}

static int merge_by_pos(void *unused, const struct list_head *a, const struct list_head *b)
{
	return list_entry(a, struct qcow_io, node)->pos > list_entry(b, struct qcow_io, node)->pos;
}

/* Whether both are for the same cgroup and of the same priority. */
static bool merge_same_identity(const struct qcow_io *a, const struct qcow_io *b)
{
	if (!a->origin || !b->origin)
		return a->origin == b->origin;
	return bio_blkcg_css(a->origin) == bio_blkcg_css(b->origin) &&
		a->origin->bi_ioprio == b->origin->bi_ioprio;
}

/* Take the first of @ios with all that continues it. NULL: nothing does, or no memory. */
static struct merged *merge_first(struct qcow_merge *merge, struct list_head *ios)
{
	struct qcow_io *first = list_first_entry(ios, struct qcow_io, node);
	struct qcow_io *io, *last = first;
	struct merged *merged;
	unsigned int nr = 0;
	u64 len = 0;

	list_for_each_entry(io, ios, node) {
		if (io->pos != first->pos + len || len + io->len > MERGE_BYTES ||
		    !merge_same_identity(io, first))
			break;
		len += io->len;
		nr += merge_describe(io, NULL);
		last = io;
	}
	if (last == first || qcow_inject(QCOW_INJECT_NOMEM))
		return NULL;
	merged = kmalloc(struct_size(merged, bvecs, nr), GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!merged)
		return NULL;

	merged->merge = merge;
	list_cut_position(&merged->parts, ios, &last->node);
	merged->io = (struct qcow_io) {
		.store = merge->store, .pos = first->pos, .len = len, .write = true,
		.origin = first->origin, .complete = merged_complete,
	};
	nr = 0;
	list_for_each_entry(io, &merged->parts, node)
		nr += merge_describe(io, merged->bvecs + nr);
	iov_iter_bvec(&merged->io.iter, ITER_SOURCE, merged->bvecs, nr, len);
	return merged;
}

static void merge_work(struct work_struct *work)
{
	struct qcow_merge *merge = container_of(work, struct qcow_merge, work);
	unsigned int noio = memalloc_noio_save();
	struct qcow_io *io, *next;
	struct blk_plug plug;
	LIST_HEAD(waiting);
	LIST_HEAD(alone);

	spin_lock_irq(&merge->lock);
	list_splice_init(&merge->waiting, &waiting);
	list_splice_init(&merge->alone, &alone);
	spin_unlock_irq(&merge->lock);

	blk_start_plug(&plug);
	list_for_each_entry_safe(io, next, &alone, node)
		qcow_store_submit(io);
	list_sort(NULL, &waiting, merge_by_pos);
	while (!list_empty(&waiting)) {
		struct merged *merged = merge_first(merge, &waiting);

		if (merged) {
			qcow_store_submit(&merged->io);
			continue;
		}
		io = list_first_entry(&waiting, struct qcow_io, node);
		list_del(&io->node);
		qcow_store_submit(io);
	}
	blk_finish_plug(&plug);
	memalloc_noio_restore(noio);
}

void qcow_merge_add(struct qcow_merge *merge, struct qcow_io *io)
{
	LIST_HEAD(one);

	list_add(&io->node, &one);
	merge_add(merge, &one, &merge->waiting);
}

void qcow_merge_kick(struct qcow_merge *merge)
{
	if (!list_empty_careful(&merge->waiting))
		queue_work(merge->wq, &merge->work);
}

void qcow_merge_init(struct qcow_merge *merge, struct qcow_store *store,
		     struct workqueue_struct *wq)
{
	merge->store = store;
	merge->wq = wq;
	spin_lock_init(&merge->lock);
	INIT_LIST_HEAD(&merge->waiting);
	INIT_LIST_HEAD(&merge->alone);
	INIT_WORK(&merge->work, merge_work);
}
