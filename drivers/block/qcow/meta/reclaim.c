// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaiming host space, in small pieces between the messages of the worker: a flush does not
 * wait for the rest.
 */
#include <linux/minmax.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "layer/decompress.h"
#include "layer/image.h"
#include "message.h"
#include "meta/job.h"
#include "meta/worker.h"
#include "meta/writeback.h"
#include "store/preserve.h"
#include "store/store.h"

/* Clusters that are reclaimed in one go: their counts are in few slices. */
#define RECLAIM_CLUSTERS	256

static void reclaim_add(struct qcow_reclaim *reclaim, u64 host, u64 len, bool is_table)
{
	struct qcow_freed *freed = kzalloc(sizeof(*freed), GFP_NOIO | __GFP_NOFAIL);

	freed->host = host;
	freed->len = len;
	freed->is_table = is_table;
	qcow_reclaim_drop(reclaim, freed);
}

void qcow_reclaim_drop_range(struct qcow_reclaim *reclaim, u64 host, u64 len)
{
	if (!len)
		return;
	qcow_preserve_keep(container_of(reclaim, struct qcow_meta, reclaim)->image->store, host,
			   len);
	reclaim_add(reclaim, host, len, true);
}

void qcow_reclaim_drop_leak(struct qcow_reclaim *reclaim, u64 host, u64 len)
{
	reclaim_add(reclaim, host, len, false);
}

static void reclaim_start_drain(struct qcow_meta *meta)
{
	struct qcow_reclaim *reclaim = &meta->reclaim;

	if (reclaim->is_held || reclaim->is_draining || list_empty(&reclaim->durable))
		return;
	reclaim->is_draining = true;
	list_splice_init(&reclaim->durable, &reclaim->draining);
	qcow_inflight_drain(&meta->inflight);
}

void qcow_reclaim_committed(struct qcow_meta *meta, struct list_head *dropped, int err)
{
	struct qcow_reclaim *reclaim = &meta->reclaim;

	if (err) {
		list_splice_init(dropped, &reclaim->dropped);
		return;
	}
	list_splice_tail_init(dropped, &reclaim->durable);
	reclaim_start_drain(meta);
}

static void reclaim_drain_end(struct qcow_meta_msg *msg)
{
	struct qcow_reclaim *reclaim = container_of(msg, struct qcow_reclaim, drained_msg);

	list_splice_tail_init(&reclaim->draining, &reclaim->drained);
	reclaim->is_draining = false;
	reclaim_start_drain(container_of(reclaim, struct qcow_meta, reclaim));
}

void qcow_reclaim_drained(struct qcow_meta *meta)
{
	qcow_meta_post(meta, &meta->reclaim.drained_msg);
}

/* Whether counts may be changed: 0; -EAGAIN: not yet; an error: never again. */
static int reclaim_room(struct qcow_meta *meta)
{
	struct qcow_reclaim *reclaim = &meta->reclaim;
	int err = meta->commit.last_err;

	/* The image is corrupt, so counts cannot be trusted; or writes are lost. */
	if (READ_ONCE(meta->failed))
		return -EIO;
	if (qcow_writeback_has_room(meta->image->cache)) {
		reclaim->is_retried = false;
		return 0;
	}
	/* A commit starts by itself unless the last one has failed. */
	if (!err || qcow_commit_is_running(&meta->commit) || meta->commit.wanted)
		return -EAGAIN;
	if (reclaim->is_retried)
		return err;
	reclaim->is_retried = true;
	qcow_commit_want(&meta->commit);
	return -EAGAIN;
}

/* Counts that are wrong say nothing of what is free. */
static void reclaim_leak(struct qcow_meta *meta, u64 host, u64 len, int err)
{
	if (err == -EUCLEAN)
		qcow_meta_corrupt(meta);
	qcow_message(meta->image, "%llu bytes at 0x%llx: cannot be freed: error %d", len, host,
		     err);
}

/* One reference less for some clusters of the first drained range. */
static bool reclaim_run_drained(struct qcow_meta *meta)
{
	struct qcow_reclaim *reclaim = &meta->reclaim;
	struct qcow_freed *freed;
	u64 part;
	int err;

	freed = list_first_entry_or_null(&reclaim->drained, struct qcow_freed, node);
	if (!freed)
		return false;
	err = reclaim_room(meta);
	if (err == -EAGAIN)
		return false;
	if (freed->compressed) {
		qcow_decompress_forget(meta->image, freed->host);
		freed->compressed = false;
	}
	part = min(freed->len, (u64)RECLAIM_CLUSTERS << meta->image->geo.cluster_bits);
	/* An entry led to metadata, which would be freed, and punched. */
	if (!err && !freed->is_table && qcow_overlap_hit(&meta->overlap, freed->host, part))
		err = -EUCLEAN;
	if (!err)
		err = qcow_space_unref(&meta->space, freed->host, part, &reclaim->unused);
	if (err)
		reclaim_leak(meta, freed->host, part, err);
	freed->host += part;
	freed->len -= part;
	if (!freed->len) {
		list_del(&freed->node);
		kfree(freed);
	}
	return true;
}

/* The first run that has been punched becomes free. */
static bool reclaim_run_punched(struct qcow_meta *meta)
{
	struct qcow_reclaim *reclaim = &meta->reclaim;
	struct qcow_space_run *entry;
	struct qcow_run part;
	int err;

	entry = list_first_entry_or_null(&reclaim->punched, struct qcow_space_run, node);
	if (!entry)
		return false;
	err = reclaim_room(meta);
	if (err == -EAGAIN)
		return false;
	part = entry->run;
	part.nr = min_t(u64, part.nr, RECLAIM_CLUSTERS);
	if (!err)
		err = qcow_space_free(&meta->space, &part);
	if (err)
		reclaim_leak(meta, part.first << meta->image->geo.cluster_bits,
			     part.nr << meta->image->geo.cluster_bits, err);
	entry->run.first += part.nr;
	entry->run.nr -= part.nr;
	if (!entry->run.nr) {
		list_del(&entry->node);
		kfree(entry);
	}
	return true;
}

static void reclaim_start_punch(struct qcow_meta *meta)
{
	struct qcow_reclaim *reclaim = &meta->reclaim;

	if (reclaim->is_punching || list_empty(&reclaim->unused))
		return;
	if (READ_ONCE(meta->failed)) {
		list_splice_tail_init(&reclaim->unused, &reclaim->punched);
		return;
	}
	reclaim->is_punching = true;
	list_splice_init(&reclaim->unused, &reclaim->punching);
	queue_work(meta->io_wq, &reclaim->punch_work);
}

static void reclaim_punch_work(struct work_struct *work)
{
	struct qcow_reclaim *reclaim = container_of(work, struct qcow_reclaim, punch_work);
	struct qcow_meta *meta = container_of(reclaim, struct qcow_meta, reclaim);
	unsigned int noio = memalloc_noio_save();
	struct qcow_store *store = meta->image->store;
	u32 bits = meta->image->geo.cluster_bits;
	struct qcow_space_run *entry;

	list_for_each_entry(entry, &reclaim->punching, node)
		entry->run.zero = !qcow_store_punch(store, entry->run.first << bits,
						    entry->run.nr << bits) &&
				  1U << bits >= store->align;
	memalloc_noio_restore(noio);
	qcow_meta_post(meta, &reclaim->punched_msg);
}

static void reclaim_punch_end(struct qcow_meta_msg *msg)
{
	struct qcow_reclaim *reclaim = container_of(msg, struct qcow_reclaim, punched_msg);

	list_splice_tail_init(&reclaim->punching, &reclaim->punched);
	reclaim->is_punching = false;
}

bool qcow_reclaim_run(struct qcow_meta *meta)
{
	bool more = reclaim_run_punched(meta) || reclaim_run_drained(meta);

	/* Runs that follow each other are punched together. */
	if (!more || list_empty(&meta->reclaim.drained))
		reclaim_start_punch(meta);
	return more;
}

void qcow_reclaim_hold(struct qcow_meta *meta)
{
	meta->reclaim.is_held = true;
}

static int reclaim_release_step(struct qcow_job *job)
{
	job->meta->reclaim.is_held = false;
	reclaim_start_drain(job->meta);
	return 0;
}

void qcow_reclaim_release(struct qcow_meta *meta)
{
	struct qcow_job job = { .step = reclaim_release_step };

	qcow_job_run(meta, &job);
}

void qcow_reclaim_reserved(struct qcow_meta *meta)
{
	qcow_space_unreserve(&meta->space, &meta->reclaim.unused);
}

bool qcow_reclaim_is_pending(const struct qcow_meta *meta)
{
	return meta->moves || !list_empty(&meta->reclaim.dropped) ||
		!list_empty(&meta->commit.dropped) ||
		qcow_reclaim_is_busy(&meta->reclaim);
}

bool qcow_reclaim_is_busy(const struct qcow_reclaim *reclaim)
{
	return reclaim->is_draining || reclaim->is_punching ||
		!list_empty(&reclaim->drained) || !list_empty(&reclaim->unused) ||
		!list_empty(&reclaim->punched);
}

void qcow_reclaim_init(struct qcow_reclaim *reclaim)
{
	INIT_LIST_HEAD(&reclaim->dropped);
	INIT_LIST_HEAD(&reclaim->durable);
	INIT_LIST_HEAD(&reclaim->draining);
	INIT_LIST_HEAD(&reclaim->drained);
	INIT_LIST_HEAD(&reclaim->unused);
	INIT_LIST_HEAD(&reclaim->punching);
	INIT_LIST_HEAD(&reclaim->punched);
	INIT_WORK(&reclaim->punch_work, reclaim_punch_work);
	reclaim->drained_msg = (struct qcow_meta_msg) { .run = reclaim_drain_end, .urgent = true };
	reclaim->punched_msg = (struct qcow_meta_msg) { .run = reclaim_punch_end, .urgent = true };
}

void qcow_reclaim_destroy(struct qcow_reclaim *reclaim)
{
	struct qcow_freed *freed, *next;

	/* What no commit has made durable. */
	list_for_each_entry_safe(freed, next, &reclaim->dropped, node)
		kfree(freed);
}
