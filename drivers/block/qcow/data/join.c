// SPDX-License-Identifier: GPL-2.0
/*
 * Joining of writes. Does not know what they are for. Called by write.c.
 */
#include <linux/list_sort.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "inject.h"
#include "data/join.h"
#include "store/store.h"

/* Bytes of one I/O that has been joined. */
#define JOIN_BYTES	SZ_1M

/**
 * struct joined - several I/Os in one
 * @io: all of them
 * @joiner: theirs
 * @parts: they, by their node
 * @bvecs: their memory
 */
struct joined {
	struct qcow_io io;
	struct qcow_joiner *joiner;
	struct list_head parts;
	struct bio_vec bvecs[];
};

/* Describe the memory of @io in @bvecs unless that is NULL. Return: how many it takes. */
static unsigned int describe(const struct qcow_io *io, struct bio_vec *bvecs)
{
	struct bvec_iter it = { .bi_size = io->len, .bi_bvec_done = io->iter.iov_offset };
	unsigned int nr;

	for (nr = 0; it.bi_size; nr++) {
		struct bio_vec bvec = mp_bvec_iter_bvec(io->iter.bvec, it);

		if (bvecs)
			bvecs[nr] = bvec;
		bvec_iter_advance_single(io->iter.bvec, &it, bvec.bv_len);
	}
	return nr;
}

/* Whether who asks begins to submit. */
static bool add(struct qcow_joiner *joiner, struct list_head *ios, struct list_head *to)
{
	unsigned long flags;
	bool begin;

	spin_lock_irqsave(&joiner->lock, flags);
	list_splice_tail(ios, to);
	begin = !joiner->busy;
	joiner->busy = true;
	spin_unlock_irqrestore(&joiner->lock, flags);
	return begin;
}

static void joined_complete(struct qcow_io *io, int err)
{
	struct joined *joined = container_of(io, struct joined, io);
	struct qcow_joiner *joiner = joined->joiner;
	struct qcow_io *part, *next;

	if (!err) {
		list_for_each_entry_safe(part, next, &joined->parts, node)
			part->complete(part, 0);
	} else if (add(joiner, &joined->parts, &joiner->alone)) {
		queue_work(joiner->wq, &joiner->work);
	}
	kfree(joined);
}

static int by_place(void *unused, const struct list_head *a, const struct list_head *b)
{
	return list_entry(a, struct qcow_io, node)->pos > list_entry(b, struct qcow_io, node)->pos;
}

/* Take the first of @ios with all that continues it. NULL: nothing does, or no memory. */
static struct joined *take_joined(struct qcow_joiner *joiner, struct list_head *ios)
{
	struct qcow_io *first = list_first_entry(ios, struct qcow_io, node);
	struct qcow_io *io, *last = first;
	struct joined *joined;
	unsigned int nr = 0;
	u64 len = 0;

	list_for_each_entry(io, ios, node) {
		if (io->pos != first->pos + len || len + io->len > JOIN_BYTES)
			break;
		len += io->len;
		nr += describe(io, NULL);
		last = io;
	}
	if (last == first || qcow_inject(QCOW_INJECT_NOMEM))
		return NULL;
	joined = kmalloc(struct_size(joined, bvecs, nr), GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!joined)
		return NULL;

	joined->joiner = joiner;
	list_cut_position(&joined->parts, ios, &last->node);
	joined->io = (struct qcow_io) {
		.store = joiner->store, .pos = first->pos, .len = len, .write = true,
		.origin = first->origin, .complete = joined_complete,
	};
	nr = 0;
	list_for_each_entry(io, &joined->parts, node)
		nr += describe(io, joined->bvecs + nr);
	iov_iter_bvec(&joined->io.iter, ITER_SOURCE, joined->bvecs, nr, len);
	return joined;
}

static void submit_all(struct qcow_joiner *joiner)
{
	struct qcow_io *io, *next;
	LIST_HEAD(waiting);
	LIST_HEAD(alone);

	spin_lock_irq(&joiner->lock);
	list_splice_init(&joiner->waiting, &waiting);
	list_splice_init(&joiner->alone, &alone);
	spin_unlock_irq(&joiner->lock);

	list_for_each_entry_safe(io, next, &alone, node)
		qcow_store_submit(io);
	list_sort(NULL, &waiting, by_place);
	while (!list_empty(&waiting)) {
		struct joined *joined = take_joined(joiner, &waiting);

		if (joined) {
			qcow_store_submit(&joined->io);
			continue;
		}
		io = list_first_entry(&waiting, struct qcow_io, node);
		list_del(&io->node);
		qcow_store_submit(io);
	}
}

/* Nothing has come meanwhile: who comes next begins. */
static bool finished(struct qcow_joiner *joiner)
{
	bool more;

	spin_lock_irq(&joiner->lock);
	more = !list_empty(&joiner->waiting) || !list_empty(&joiner->alone);
	joiner->busy = more;
	spin_unlock_irq(&joiner->lock);
	return !more;
}

static void joiner_work(struct work_struct *work)
{
	struct qcow_joiner *joiner = container_of(work, struct qcow_joiner, work);
	unsigned int noio = memalloc_noio_save();

	do {
		submit_all(joiner);
	} while (!finished(joiner));
	memalloc_noio_restore(noio);
}

void qcow_join_submit(struct qcow_joiner *joiner, struct qcow_io *io)
{
	LIST_HEAD(one);

	list_add(&io->node, &one);
	if (!add(joiner, &one, &joiner->waiting))
		return;
	qcow_inject_pause();
	submit_all(joiner);
	if (!finished(joiner))
		queue_work(joiner->wq, &joiner->work);
}

void qcow_joiner_init(struct qcow_joiner *joiner, struct qcow_store *store,
		      struct workqueue_struct *wq)
{
	joiner->store = store;
	joiner->wq = wq;
	spin_lock_init(&joiner->lock);
	INIT_LIST_HEAD(&joiner->waiting);
	INIT_LIST_HEAD(&joiner->alone);
	INIT_WORK(&joiner->work, joiner_work);
}
