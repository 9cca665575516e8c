// SPDX-License-Identifier: GPL-2.0
/*
 * The metadata worker: takes messages, runs each alone, and has what waits run again.
 *
 * A turn of the worker:
 *
 *   inbox ---> urgent --------------------------------> run
 *         \--> later --(batch, in guest order)--> changes --> run --+--> ended
 *                ^                                                 |
 *                |   +-- await_turn    <- a step of several done -+
 *                |   +-- await_room    <- slices cannot be pinned -+
 *                +---+-- await_commit  <- a commit has to end -----+
 *                    +-- await_space   <- none has been found -----+
 *                    +-- a change's    <- its clusters are held ---+
 *                    |   waiters                                   |
 *                    +-- an L2 table's <- it is being filled ------+
 *                        waiters
 *
 * Urgent messages come first: I/O that has ended gives back what others wait for, and a flush
 * is waited for. Behind them messages that found no room go on in their order, then the batch
 * of changes in guest order, so that neighbours get neighbouring clusters; all data of a batch
 * is handed to the store together. Host space is reclaimed in small pieces between batches, and
 * long jobs go on there, a step each time.
 *
 * No cycle: await_room ends when a commit has made slices clean, or a change in flight has
 * ended; a commit needs no memory, no slice and no other message, and a change in flight only
 * its data's I/O. await_commit ends with the commit that is running, or the next one. Waiters
 * of a change end with it, and a change never waits once it is in flight. Waiters of a new L2 table
 * end with its I/O. await_space ends when all that is dropped has been reclaimed: that waits for a
 * commit and for I/O in flight, which what is parked there is no part of.
 */
#include <linux/err.h>
#include <linux/list_sort.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <qcow/report.h>

#include "inject.h"
#include "layer/image.h"
#include "message.h"
#include "meta/bitmap_store.h"
#include "meta/header.h"
#include "meta/job.h"
#include "meta/shadow.h"
#include "meta/v1.h"
#include "meta/worker.h"
#include "meta/writeback.h"
#include "store/store.h"

/*
 * What has changed is durable so long afterwards at the latest, without a flush. Not longer than
 * file systems and the page cache take: what they discard goes back to the host with it.
 */
#define IDLE_COMMIT_SECONDS	5

/* Granules of version 1, whose tables need not lie at cluster borders. */
#define V1_OVERLAP_BITS	9

/* L1 tables of all snapshots: 4,096 snapshots of 64 TiB in clusters of 64 KiB have as much. */
#define MAX_SNAPSHOT_L1_BYTES	SZ_4G

/* Slices of counts that an attach reads. */
#define CHECK_SLICES	32

static int meta_overlap_add(struct qcow_meta *meta, const char *what, u64 host, u64 len,
			    struct qcow_report *rep)
{
	if (!len)
		return 0;
	if (qcow_overlap_hit(&meta->overlap, host, len)) {
		qcow_report(rep, "%s at 0x%llx lies over other metadata", what, host);
		return -EUCLEAN;
	}
	return qcow_overlap_add(&meta->overlap, host, len);
}

/* The tables of the active state; version 1 has its L1 table behind the header. */
static int meta_overlap_tables(struct qcow_meta *meta, struct qcow_report *rep)
{
	const struct qcow_image *image = meta->image;
	const struct qcow_geometry *g = &image->geo;
	const struct qcow_header *h = &image->header;
	u64 l1_bytes = (u64)h->l1_entries * sizeof(__be64);
	u64 table_bytes = 1ULL << (g->l2_bits + g->entry_bits);
	struct qcow_flaw flaw;
	u64 table;
	u32 i;
	int err;

	if (h->version == 1) {
		err = qcow_overlap_add(&meta->overlap, 0, h->length);
		if (!err)
			err = qcow_overlap_add(&meta->overlap, h->l1_offset, l1_bytes);
	} else {
		err = qcow_overlap_add(&meta->overlap, 0, 1);
		if (!err)
			err = meta_overlap_add(meta, "L1 table", h->l1_offset, l1_bytes, rep);
		if (!err)
			err = meta_overlap_add(meta, "LUKS header", image->luks.host_offset,
					       image->luks.bytes, rep);
	}
	for (i = 0; i < image->l1_entries && !err; i++) {
		err = qcow_image_go_on();
		if (err)
			break;
		err = qcow_l1_decode(g, be64_to_cpu(image->l1[i]), &table, &flaw);
		if (err)
			qcow_report(rep, "L1 entry %u, 0x%llx: %s 0x%llx", i, flaw.entry,
				    flaw.what, flaw.value);
		else if (table)
			err = meta_overlap_add(meta, "L2 table", table, table_bytes, rep);
	}
	return err;
}

/**
 * struct snapshot_tables - L1 tables of snapshots
 * @overlap: they are added to it
 * @bytes: of those so far
 * @rep: says that there are too many
 */
struct snapshot_tables {
	struct qcow_overlap *overlap;
	u64 bytes;
	struct qcow_report *rep;
};

/* Snapshots that share an L1 table do no harm, but take as long as if they did not. */
static int meta_overlap_snapshot(const struct qcow_snapshot *snap, u32 position, void *data)
{
	struct snapshot_tables *tables = data;
	u64 bytes = (u64)snap->l1_entries * sizeof(__be64);

	tables->bytes += bytes;
	if (tables->bytes > MAX_SNAPSHOT_L1_BYTES) {
		qcow_report(tables->rep,
			    "L1 tables of snapshots have %llu bytes with that of snapshot table entry %u, at most %llu are supported to write",
			    tables->bytes, position, MAX_SNAPSHOT_L1_BYTES);
		return -EFBIG;
	}
	return qcow_overlap_add(tables->overlap, snap->l1_offset, bytes);
}

static int meta_overlap_snapshots(struct qcow_meta *meta, struct qcow_report *rep)
{
	struct snapshot_tables tables = { .overlap = &meta->overlap, .rep = rep };
	u64 bytes;
	int err;

	err = qcow_image_walk_snapshots(meta->image, meta_overlap_snapshot, &tables, &bytes, rep);
	if (err)
		return err;
	return qcow_overlap_add(&meta->overlap, meta->image->header.snapshots_offset, bytes);
}

static int meta_check_image(const struct qcow_image *image, struct qcow_report *rep)
{
	if (image->data->align > 1U << image->geo.cluster_bits) {
		qcow_report(rep,
			    "clusters of %u bytes on a store with blocks of %u bytes",
			    1U << image->geo.cluster_bits, image->data->align);
		return -EOPNOTSUPP;
	}
	return 0;
}

static int meta_check_l2_counts(struct qcow_meta *meta, u32 *budget, struct qcow_report *rep)
{
	const struct qcow_image *image = meta->image;
	struct qcow_flaw flaw;
	u64 table;
	u32 i;
	int err = 0;

	for (i = 0; i < image->l1_entries && !err; i++) {
		/* Wrong entries have been refused before. */
		err = qcow_image_go_on() ?:
			qcow_l1_decode(&image->geo, be64_to_cpu(image->l1[i]), &table, &flaw);
		if (!err && table)
			err = qcow_refcounts_check(&meta->space.counts, "L2 table", table,
						   1U << image->geo.cluster_bits, budget, rep);
	}
	return err;
}

/*
 * Metadata that is not counted: some writers do not count at all, so what is in use would be taken
 * for free. A few slices of counts tell.
 */
static int meta_check_counts(struct qcow_meta *meta, struct qcow_report *rep)
{
	const struct qcow_header *h = &meta->image->header;
	struct qcow_refcounts *counts = &meta->space.counts;
	u32 budget = CHECK_SLICES;
	int err;

	if (!meta->space.counted)
		return 0;
	err = qcow_refcounts_check(counts, "header", 0, 1, &budget, rep);
	if (!err)
		err = qcow_refcounts_check(counts, "L1 table", h->l1_offset,
					   (u64)h->l1_entries * sizeof(__be64), &budget, rep);
	if (!err)
		err = qcow_refcounts_check(counts, "LUKS header", meta->image->luks.host_offset,
					   meta->image->luks.bytes, &budget, rep);
	if (!err)
		err = qcow_refcounts_check_own(counts, &budget, rep);
	return err ?: meta_check_l2_counts(meta, &budget, rep);
}

void qcow_meta_post(struct qcow_meta *meta, struct qcow_meta_msg *msg)
{
	/*
	 * The message that makes the inbox non-empty wakes the worker for all that follow. A worker
	 * that is awake may run it at once, and with it the last I/O of the device ends.
	 * Pairs with synchronize_rcu() in qcow_meta_destroy(): the metadata is still there.
	 */
	rcu_read_lock();
	if (llist_add(&msg->posted, &meta->inbox)) {
		qcow_inject_spin();
		queue_work(meta->wq, &meta->work);
	}
	rcu_read_unlock();
}

static void meta_receive(struct qcow_meta *meta)
{
	struct llist_node *posted, *next;

	posted = llist_reverse_order(llist_del_all(&meta->inbox));
	llist_for_each_safe(posted, next, posted) {
		struct qcow_meta_msg *msg = llist_entry(posted, struct qcow_meta_msg, posted);

		list_add_tail(&msg->node, msg->urgent ? &meta->urgent : &meta->later);
	}
}

static int meta_guest_order(void *unused, const struct list_head *a, const struct list_head *b)
{
	return list_entry(a, struct qcow_meta_msg, node)->guest >
	       list_entry(b, struct qcow_meta_msg, node)->guest;
}

/* The message to run next, or NULL: the batch is over. */
static struct qcow_meta_msg *meta_next(struct qcow_meta *meta)
{
	struct list_head *list;

	if (!llist_empty(&meta->inbox))
		meta_receive(meta);
	if (!list_empty(&meta->urgent))
		list = &meta->urgent;
	else if (!list_empty(&meta->await_room) && qcow_writeback_has_room(meta->image->cache))
		list = &meta->await_room;
	else
		list = &meta->changes;
	return list_first_entry_or_null(list, struct qcow_meta_msg, node);
}

static void meta_run(struct qcow_meta_msg *msg)
{
	list_del(&msg->node);
	msg->run(msg);
}

/* All that has been received, and what comes meanwhile is urgent. */
static void meta_run_batch(struct qcow_meta *meta)
{
	struct qcow_meta_msg *msg;

	list_splice_tail_init(&meta->later, &meta->changes);
	list_sort(NULL, &meta->changes, meta_guest_order);
	while ((msg = meta_next(meta))) {
		meta_run(msg);
		/* A flush does not wait for the rest of the batch. */
		if (list_empty(&meta->urgent))
			qcow_commit_start_wanted(meta);
		cond_resched();
	}
	qcow_merge_kick(&meta->merge);
}

void qcow_meta_await_room(struct qcow_meta *meta, struct qcow_meta_msg *msg)
{
	/* A commit starts by itself unless the last one has failed. */
	if (meta->commit.last_err)
		qcow_commit_want(&meta->commit);
	list_add_tail(&msg->node, &meta->await_room);
}

bool qcow_meta_await_space(struct qcow_meta *meta, struct qcow_meta_msg *msg, int err)
{
	bool again = err == -EAGAIN;

	if (!again && !qcow_space_is_full(err))
		return false;
	/* Nothing comes back while commits fail. */
	if (!again && (meta->commit.last_err || !qcow_reclaim_is_pending(meta))) {
		again = qcow_shadow_give_up(meta);
		if (!again)
			return false;
	}
	if (again)
		meta->space.news = true;
	list_add_tail(&msg->node, &meta->await_space);
	return true;
}

/* Return: whether what has waited for space goes on. */
static bool meta_resume_space(struct qcow_meta *meta)
{
	if (list_empty(&meta->await_space))
		return false;
	if (meta->space.news || !qcow_reclaim_is_pending(meta)) {
		meta->space.news = false;
		list_splice_tail_init(&meta->await_space, &meta->later);
		return true;
	}
	if (!list_empty(&meta->reclaim.dropped))
		qcow_commit_want(&meta->commit);
	return false;
}

static bool meta_has_work(const struct qcow_meta *meta)
{
	return !llist_empty(&meta->inbox) || !list_empty(&meta->later);
}

/* Nobody has asked for it. An item of the worker's own ordered queue: it runs alone, too. */
static void meta_idle_commit(struct work_struct *work)
{
	struct qcow_meta *meta = container_of(to_delayed_work(work), struct qcow_meta,
					      idle_commit);
	unsigned int noio = memalloc_noio_save();

	if (qcow_commit_is_due(meta)) {
		qcow_commit_want(&meta->commit);
		qcow_commit_start_wanted(meta);
	}
	memalloc_noio_restore(noio);
}

/*
 * The timer runs only while something waits for a commit, and together with others where it can.
 * One that is deferrable might never come on a CPU that is idle.
 */
static void meta_time_idle_commit(struct qcow_meta *meta)
{
	if (delayed_work_pending(&meta->idle_commit) || meta->closing ||
	    READ_ONCE(meta->failed) || !qcow_commit_is_due(meta))
		return;
	queue_delayed_work(meta->wq, &meta->idle_commit,
			   round_jiffies_relative(IDLE_COMMIT_SECONDS * HZ));
}

/* Run all that is parked in a list; it may park there again. */
static void meta_run_parked(struct list_head *parked)
{
	struct qcow_meta_msg *msg, *next;
	LIST_HEAD(list);

	list_splice_init(parked, &list);
	list_for_each_entry_safe(msg, next, &list, node)
		meta_run(msg);
}

static void meta_work(struct work_struct *work)
{
	struct qcow_meta *meta = container_of(work, struct qcow_meta, work);
	unsigned int noio = memalloc_noio_save();
	bool more;

	do {
		qcow_space_begin_turn(&meta->space);
		meta_run_batch(meta);
		more = qcow_reclaim_run(meta);
		meta_run_parked(&meta->await_turn);
	} while (meta_has_work(meta));
	if (meta_resume_space(meta) || more || !list_empty(&meta->await_turn))
		queue_work(meta->wq, &meta->work);
	qcow_commit_start_wanted(meta);

	if (!qcow_commit_is_running(&meta->commit) && !qcow_reclaim_is_busy(&meta->reclaim))
		meta_run_parked(&meta->await_idle);
	meta_time_idle_commit(meta);
	memalloc_noio_restore(noio);
}

/**
 * struct meta_call - a function that the detach has run by the worker
 * @job: does it
 * @func: the function, or NULL
 */
struct meta_call {
	struct qcow_job job;
	int (*func)(struct qcow_meta *meta);
};

static int meta_call_step(struct qcow_job *job)
{
	struct meta_call *call = container_of(job, struct meta_call, job);

	return call->func ? call->func(job->meta) : 0;
}

/* Run @func in the worker, @idle: when nothing is under way any more. */
static int meta_call(struct qcow_meta *meta, int (*func)(struct qcow_meta *meta), bool idle)
{
	struct meta_call call = {
		.job = { .step = meta_call_step, .idle = idle }, .func = func,
	};

	return qcow_job_run(meta, &call.job);
}

/* What the autoclear features stand for is not kept true, but for a raw data file and bitmaps. */
static int meta_clear_autoclear(struct qcow_meta *meta)
{
	struct qcow_image *image = meta->image;
	u64 keep = image->geo.data_file ? QCOW_AUTOCLEAR_RAW_DATA_FILE : 0;

	if (qcow_bitmaps_kept(&meta->bitmaps))
		keep |= QCOW_AUTOCLEAR_BITMAPS;
	if (!(image->header.autoclear & ~keep))
		return 0;
	return qcow_header_set_autoclear(image, image->header.autoclear & keep);
}

int qcow_meta_begin(struct qcow_meta *meta)
{
	int err;

	if (READ_ONCE(meta->failed))
		return -EIO;
	if (likely(meta->begun))
		return 0;
	err = qcow_bitmaps_mark(&meta->bitmaps, meta->image);
	if (!err)
		err = meta_clear_autoclear(meta);
	if (!err) {
		/* Pairs with smp_load_acquire() in qcow_meta_begun(). */
		smp_store_release(&meta->begun, true);
	}
	return err;
}

static void meta_set_corrupt(struct qcow_meta_msg *msg)
{
	struct qcow_meta *meta = container_of(msg, struct qcow_meta, corrupt_msg);
	struct qcow_image *image = meta->image;

	if (image->header.version > 2)
		qcow_header_set_incompatible(image, image->header.incompatible |
					     QCOW_INCOMPAT_CORRUPT);
}

void qcow_meta_corrupt(struct qcow_meta *meta)
{
	if (xchg(&meta->failed, true))
		return;
	pr_err("%s: the image is corrupt, it is read-only from now on\n", meta->image->name);
	qcow_meta_post(meta, &meta->corrupt_msg);
}

static void meta_drained(struct qcow_inflight *inflight)
{
	struct qcow_meta *meta = container_of(inflight, struct qcow_meta, inflight);

	qcow_reclaim_drained(meta);
}

static int meta_create_queues(struct qcow_meta *meta)
{
	/*
	 * Freezable: no change begins when a machine that hibernates has written its memory. Its
	 * items wait for the stores alone; where one of these is on another device of this driver
	 * that is frozen already, the machine stays awake, as with any file system.
	 */
	meta->wq = alloc_ordered_workqueue("%s-meta", WQ_MEM_RECLAIM | WQ_FREEZABLE,
					   meta->image->name);
	if (!meta->wq)
		return -ENOMEM;
	meta->io_wq = alloc_workqueue("%s-io", WQ_UNBOUND | WQ_MEM_RECLAIM, 0,
				      meta->image->name);
	if (meta->io_wq)
		return 0;
	destroy_workqueue(meta->wq);
	return -ENOMEM;
}

static void meta_init(struct qcow_meta *meta, struct qcow_image *image)
{
	meta->image = image;
	INIT_WORK(&meta->work, meta_work);
	INIT_DELAYED_WORK(&meta->idle_commit, meta_idle_commit);
	init_llist_head(&meta->inbox);
	INIT_LIST_HEAD(&meta->urgent);
	INIT_LIST_HEAD(&meta->changes);
	INIT_LIST_HEAD(&meta->later);
	INIT_LIST_HEAD(&meta->await_room);
	INIT_LIST_HEAD(&meta->await_commit);
	INIT_LIST_HEAD(&meta->await_space);
	INIT_LIST_HEAD(&meta->await_idle);
	INIT_LIST_HEAD(&meta->await_turn);
	meta->in_flight = RB_ROOT;
	meta->move_from = U64_MAX;
	meta->corrupt_msg = (struct qcow_meta_msg) { .run = meta_set_corrupt, .urgent = true };
	qcow_overlap_init(&meta->overlap, image->header.version == 1 ? V1_OVERLAP_BITS :
							   image->geo.cluster_bits);
	qcow_l1_init(&meta->l1, image);
	qcow_commit_init(&meta->commit);
	qcow_reclaim_init(&meta->reclaim);
}

struct qcow_meta *qcow_meta_create(struct qcow_image *image, bool drop_bitmaps,
				   struct qcow_report *rep)
{
	struct qcow_meta *meta;
	int err;

	err = meta_check_image(image, rep);
	if (err)
		return ERR_PTR(err);
	meta = kzalloc(sizeof(*meta), GFP_KERNEL);
	if (!meta)
		return ERR_PTR(-ENOMEM);
	meta_init(meta, image);
	err = meta_create_queues(meta);
	if (err)
		goto free_meta;
	qcow_merge_init(&meta->merge, image->data, meta->io_wq);

	err = meta_overlap_tables(meta, rep);
	if (!err)
		err = meta_overlap_snapshots(meta, rep);
	if (!err)
		err = qcow_space_open(&meta->space, image, &meta->overlap, rep);
	if (err)
		goto destroy_queues;
	err = meta_check_counts(meta, rep);
	if (err)
		goto close_space;
	/* Behind all other metadata, so that the directory is none of that. */
	err = qcow_bitmaps_open(meta, drop_bitmaps, rep);
	if (err)
		goto close_space;
	err = qcow_inflight_init(&meta->inflight, meta_drained);
	if (err)
		goto close_bitmaps;
	image->inflight = &meta->inflight;
	return meta;

close_bitmaps:
	qcow_bitmaps_close(&meta->bitmaps);
close_space:
	qcow_space_close(&meta->space);
destroy_queues:
	qcow_overlap_destroy(&meta->overlap);
	destroy_workqueue(meta->io_wq);
	destroy_workqueue(meta->wq);
free_meta:
	kfree(meta);
	return ERR_PTR(err);
}

static int meta_release_reserved(struct qcow_meta *meta)
{
	/* Of a resize that failed before its table was written. */
	qcow_l1_release_longer(meta);
	qcow_reclaim_reserved(meta);
	return 0;
}

static int meta_pack_step(struct qcow_meta *meta)
{
	return qcow_v1_pack_step(meta, meta->pack);
}

/* Nothing is under way, and the counts that could say what is free are none. */
static int meta_pack(struct qcow_meta *meta)
{
	int more, err = 0;

	meta->pack = qcow_v1_pack_begin(meta);
	if (!meta->pack)
		return 0;
	do {
		more = meta_call(meta, meta_pack_step, false);
		err = qcow_commit_wait(meta);
	} while (more && !err && !fatal_signal_pending(current));
	return err;
}

static int meta_trim(struct qcow_meta *meta)
{
	if (READ_ONCE(meta->failed))
		return 0;
	if (meta->pack)
		qcow_v1_pack_cut(meta, meta->pack);
	else
		qcow_space_trim(&meta->space);
	return qcow_store_flush(meta->image->store);
}

/* Those that record are as of the last write, and are to be found like that. */
static int meta_store_bitmaps(struct qcow_meta *meta)
{
	const struct qcow_bitmaps_change change = { .all = true };
	int err;

	if (!qcow_bitmaps_recording(&meta->bitmaps))
		return 0;
	err = qcow_bitmaps_store(meta, &change, NULL);
	if (err)
		qcow_message(meta->image,
			     "persistent bitmaps cannot be stored, they are inconsistent: error %d",
			     err);
	/* So that the space of the old ones is free. */
	err = qcow_commit_wait(meta) ?: err;
	meta_call(meta, NULL, true);
	return err;
}

/* All that was written is durable; then the counts of what is not needed after all. */
static int meta_settle(struct qcow_meta *meta, bool pack)
{
	int bitmaps_err;
	int err;

	err = qcow_commit_wait(meta);
	if (err) {
		qcow_message(meta->image, "what was written last may be lost: error %d", err);
		return err;
	}
	meta_call(meta, NULL, true);
	/* Of an image that proved corrupt nothing is given back: counts cannot be trusted. */
	if (READ_ONCE(meta->failed))
		return 0;
	bitmaps_err = meta_store_bitmaps(meta);
	meta_call(meta, meta_release_reserved, false);
	meta_call(meta, NULL, true);
	err = qcow_commit_wait(meta);
	if (!err && pack && !meta->space.counted)
		err = meta_pack(meta);
	if (!err)
		err = meta_call(meta, meta_trim, false);
	return err ?: bitmaps_err;
}

/* No commit but those that the detach wants. */
static int meta_close(struct qcow_meta *meta)
{
	meta->closing = true;
	cancel_delayed_work(&meta->idle_commit);
	return 0;
}

/* Nothing is left to be done; the image is as a detach leaves it. */
static int meta_end(struct qcow_meta *meta, bool pack)
{
	int err;

	if (!meta->begun)
		return 0;
	meta_call(meta, meta_close, false);
	err = meta_settle(meta, pack);
	meta_call(meta, NULL, true);
	return err;
}

static void meta_free(struct qcow_meta *meta)
{
	/* Tasks that have posted, or handed on, the last I/O are done with that. */
	synchronize_rcu();
	destroy_workqueue(meta->wq);
	destroy_workqueue(meta->io_wq);
	qcow_reclaim_destroy(&meta->reclaim);
	qcow_inflight_destroy(&meta->inflight);
	qcow_writeback_drop(meta->image->cache, &meta->image->l2);
	qcow_bitmaps_close(&meta->bitmaps);
	qcow_space_close(&meta->space);
	qcow_l1_destroy(&meta->l1);
	qcow_overlap_destroy(&meta->overlap);
	qcow_v1_pack_destroy(meta->pack);
	kfree(meta);
}

int qcow_meta_destroy(struct qcow_meta *meta)
{
	int err;

	qcow_readahead_stop(&meta->image->readahead);
	meta->image->inflight = NULL;
	err = meta_end(meta, true);
	if (err)
		qcow_message(meta->image, "detach: error %d", err);
	meta_free(meta);
	return err;
}

int qcow_meta_retire(struct qcow_meta *meta)
{
	int err = meta_end(meta, false);

	meta_free(meta);
	return err;
}
