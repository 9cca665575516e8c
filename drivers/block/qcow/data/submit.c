// SPDX-License-Identifier: GPL-2.0
/*
 * Submission of I/O that the task in queue_rq() may not submit itself.
 *
 * The block layer calls queue_rq() in three kinds of tasks:
 *
 * - one that submits a bio to the device. Its current->bio_list is set: a bio that is submitted
 *   here only joins that list, and submit_bio_noacct() goes on with it when queue_rq() has
 *   returned. That keeps stacked devices from recursing.
 * - one that flushes its plug. A bio submitted here becomes a request on the list that is being
 *   flushed, with the plug's count of requests wrong from then on, and may wait for a tag of the
 *   disk below that a request behind this one in the plug holds.
 * - kblockd, where requests for the disk below wait for a worker, too.
 *
 * So a bio is submitted where current->bio_list is set. One at a time: while the task waits in
 * submit_bio_noacct() for a tag of the disk below, nothing that would give the tag back may be
 * behind on the list. A request that is several bios for another device of this driver could
 * take all tags of that one before the first bio of any of them has reached the disk. And of half
 * of the tags at most: a task that waits for a tag of this device dispatches requests of others
 * first (blk_mq_get_tag()), whose bios are then behind it on its list. The other half of the tags
 * comes back without it.
 *
 * A file system is entered from none of them. With current->bio_list set, a block of its own
 * metadata that it reads and waits for is never submitted; flushing a plug, it has all the troubles
 * of a bio; current->journal_info may be a transaction of the file system above, and the locks that
 * the task holds there are of the same classes as those below.
 *
 * All other I/O goes to one work item per hardware queue, whose task carries none of these. A plug
 * of its own makes one batch of the I/Os that have come together.
 *
 * A worker of which CPU: a task that has gone to sleep since its request before, when nothing is
 * under way any more, waits for each of its requests. Its CPU is idle next, and a worker there is
 * the one that runs first. Any other task goes on meanwhile, as a rule with the next request: a
 * worker of its CPU would take that away from it for each request, so the scheduler finds a CPU for
 * a worker that is bound to none. Where all are busy, requests come together.
 */
#include <linux/bio.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>

#include "data/submit.h"
#include "device.h"
#include "inject.h"
#include "store/store.h"

bool qcow_submitter_begin_listed(struct qcow_submitter *submitter, const struct request *rq,
				 const struct qcow_store *store)
{
	u32 depth = min_t(u32, rq->q->nr_requests, rq->q->tag_set->queue_depth);

	if (!store->ops->remaps || !current->bio_list || !bio_list_empty(&current->bio_list[0]) ||
	    qcow_inject(QCOW_INJECT_AGAIN))
		return false;
	if (atomic_read(&submitter->nr_listed) >= depth / 2)
		return false;
	atomic_inc(&submitter->nr_listed);
	return true;
}

void qcow_submitter_begin_handed(struct qcow_submitter *submitter)
{
	bool is_alone = atomic_inc_return(&submitter->nr_handed) == 1;

	/* The first one speaks for a batch. */
	if (llist_empty(&submitter->waiting))
		WRITE_ONCE(submitter->is_local, is_alone &&
			   (READ_ONCE(submitter->last_task) != current ||
			    READ_ONCE(submitter->last_sleeps) != current->nvcsw));
	WRITE_ONCE(submitter->last_task, current);
	WRITE_ONCE(submitter->last_sleeps, current->nvcsw);
}

void qcow_submitter_kick(struct qcow_submitter *submitter)
{
	const struct qcow_device *dev = submitter->dev;

	/* After the barrier of llist_add(): a worker that is running looks once more. */
	if (!llist_empty(&submitter->waiting) && !READ_ONCE(submitter->is_running))
		queue_work(READ_ONCE(submitter->is_local) ? dev->submit_local_wq : dev->submit_wq,
			   &submitter->work);
}

static void submitter_run_batch(struct qcow_submitter *submitter)
{
	struct llist_node *waiting = llist_reverse_order(llist_del_all(&submitter->waiting));
	struct qcow_io *io, *next;
	struct blk_plug plug;

	blk_start_plug(&plug);
	llist_for_each_entry_safe(io, next, waiting, waiting)
		qcow_store_submit(io);
	blk_finish_plug(&plug);
}

/* May run twice at a time, on either workqueue: each takes what there is. */
static void submitter_work(struct work_struct *work)
{
	struct qcow_submitter *submitter = container_of(work, struct qcow_submitter, work);
	unsigned int noio = memalloc_noio_save();

	do {
		WRITE_ONCE(submitter->is_running, true);
		submitter_run_batch(submitter);
		/* Who adds after the look below queues the work. */
		smp_store_mb(submitter->is_running, false);
	} while (!llist_empty(&submitter->waiting) && !need_resched());
	qcow_submitter_kick(submitter);
	memalloc_noio_restore(noio);
}

void qcow_submitter_init(struct qcow_submitter *submitter, struct qcow_device *dev)
{
	init_llist_head(&submitter->waiting);
	atomic_set(&submitter->nr_listed, 0);
	atomic_set(&submitter->nr_handed, 0);
	INIT_WORK(&submitter->work, submitter_work);
	submitter->dev = dev;
}

void qcow_submitter_destroy(struct qcow_submitter *submitter)
{
	flush_work(&submitter->work);
}
