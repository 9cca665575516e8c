// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow paging:
 *
 *   1 the caller changes the new counts and writes new tables. A refcount block is copied before
 *     its first change; from then on changes of the counts in use are made in both
 *   2 the new counts are written, and a table of the copied blocks and the others
 *   3 flush
 *   4 one write of the header; flush
 *   5 old blocks and tables, and clusters that nothing refers to, are reclaimed as any that a
 *     commit has dropped
 *
 * Until 4 the old metadata is untouched but for counts of the clusters that are taken here, which
 * a power cut leaks. Changed counts are written whenever they take their part of the cache, to
 * where nothing refers to yet.
 *
 * While the device is in use (@is_live), 1 goes on between its requests. Sums have no order, so a
 * count is right in the end whether a reference is seen before or after a request drops it. The
 * clusters that are taken here are missing to requests: the first one that finds none gets them,
 * and the shadow is gone.
 *
 * Considered and rejected: changing counts and entries in place. Whichever is written first, a
 * power cut before the other leaves a flag that does not agree with its count, which is corrupt.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <qcow/ondisk.h>

#include "layer/image.h"
#include "message.h"
#include "meta/header.h"
#include "meta/overlap.h"
#include "meta/shadow.h"
#include "meta/worker.h"
#include "meta/writeback.h"
#include "store/store.h"

/* So often the search for free clusters goes on where it is not to take long. */
#define FEW_TURNS	64

static u32 cluster_bits(const struct qcow_shadow *shadow)
{
	return shadow->meta->image->geo.cluster_bits;
}

static int shadow_go_on(const struct qcow_shadow *shadow)
{
	cond_resched();
	return READ_ONCE(*shadow->cancelled) ? -EINTR : 0;
}

/*
 * Counts in use are written early, too: what nothing refers to yet is counted, and a reference that
 * is counted no more is gone from the disk. A commit may be writing others meanwhile.
 */
static int shadow_write_counts(struct qcow_shadow *shadow)
{
	struct qcow_refcounts *counts = &shadow->meta->space.counts;
	int err = qcow_refcounts_write(counts, shadow->counts.writes);

	if (!err)
		err = qcow_refcounts_write(&shadow->counts, shadow->counts.writes);
	return err ?: shadow->counts.follow_err;
}

/* Room for more changed slices of counts. No commit begins that could make some within a step. */
static int shadow_make_room(struct qcow_shadow *shadow)
{
	int err = shadow_go_on(shadow) ?: shadow->counts.follow_err;

	if (err || qcow_writeback_has_room(shadow->meta->image->cache))
		return err;
	return shadow_write_counts(shadow);
}

int qcow_shadow_alloc(struct qcow_shadow *shadow, u64 bytes, u64 *host)
{
	struct qcow_meta *meta = shadow->meta;
	u64 nr = max(DIV_ROUND_UP_ULL(bytes, 1U << cluster_bits(shadow)), 1ULL);
	bool is_low = shadow->below != U64_MAX;
	unsigned int turns = 0;
	struct qcow_run run;
	int err;

	do {
		/* To read the counts of a whole disk is for the pause, and for what must be. */
		if ((shadow->is_live || is_low) && turns++ == FEW_TURNS)
			return -ENOSPC;
		err = shadow_make_room(shadow);
		if (err)
			return err;
		qcow_space_begin_turn(&meta->space);
		err = is_low ? qcow_space_alloc_below(&meta->space, QCOW_USE_METADATA,
						      shadow->below, nr, &run) :
			       qcow_space_alloc(&meta->space, QCOW_USE_METADATA, nr, &run);
	} while (err == -EAGAIN);
	if (err)
		return err;
	*host = run.first << cluster_bits(shadow);
	err = qcow_overlap_add(&meta->overlap, *host, nr << cluster_bits(shadow));
	if (err) {
		qcow_space_release(&meta->space, run.first, nr);
		return err;
	}
	qcow_space_run_add(&shadow->taken, &run);
	return 0;
}

int qcow_shadow_put(struct qcow_shadow *shadow, const void *buf, u64 bytes, u64 *host)
{
	struct qcow_store *store = shadow->meta->image->store;
	u64 mask = (1U << cluster_bits(shadow)) - 1;
	u64 whole = bytes & ~mask;
	void *last;
	int err;

	err = qcow_shadow_alloc(shadow, bytes, host);
	if (!err && whole)
		err = qcow_store_write(store, buf, *host, whole);
	if (err || !(bytes & mask))
		return err;
	last = kvzalloc(mask + 1, GFP_NOIO);
	if (!last)
		return -ENOMEM;
	memcpy(last, buf + whole, bytes & mask);
	err = qcow_store_write(store, last, *host + whole, mask + 1);
	kvfree(last);
	return err;
}

int qcow_shadow_guard(struct qcow_shadow *shadow, u64 host, u64 bytes)
{
	struct qcow_overlap *overlap = &shadow->meta->overlap;
	struct qcow_run run = {
		.first = host >> cluster_bits(shadow), .nr = bytes >> cluster_bits(shadow),
	};
	int err;

	if (qcow_overlap_hit(overlap, host, bytes))
		return 0;
	err = qcow_overlap_add(overlap, host, bytes);
	if (!err)
		qcow_space_run_add(&shadow->guarded, &run);
	return err;
}

int qcow_shadow_own_block(struct qcow_shadow *shadow, u64 cluster)
{
	struct qcow_refcounts *counts = &shadow->meta->space.counts;
	u64 host;
	int err;

	/* Where there is no block a change of the count says so. */
	if (qcow_refcounts_covered(&shadow->counts, cluster) ||
	    !qcow_refcounts_covered(counts, cluster))
		return 0;
	err = qcow_shadow_alloc(shadow, 1, &host);
	return err ?: qcow_refcounts_copy_block(counts, cluster, host);
}

int qcow_shadow_begin(struct qcow_shadow *shadow, struct qcow_meta *meta, const bool *cancelled)
{
	shadow->meta = meta;
	shadow->below = U64_MAX;
	shadow->cancelled = cancelled;
	shadow->is_live = false;
	shadow->is_given_up = false;
	INIT_LIST_HEAD(&shadow->taken);
	INIT_LIST_HEAD(&shadow->guarded);
	INIT_LIST_HEAD(&shadow->unused);
	INIT_LIST_HEAD(&shadow->reaped);
	/* What a snapshot that goes away has references to gets no others. */
	qcow_space_close_bytes(&meta->space);
	return qcow_refcounts_begin_shadow(&meta->space.counts, &shadow->counts);
}

int qcow_shadow_count(struct qcow_shadow *shadow, u64 cluster, u64 max, u64 *count, u64 *nr)
{
	struct qcow_refcounts *counts = &shadow->counts;
	int err = shadow_go_on(shadow);

	if (!qcow_refcounts_covered(counts, cluster))
		counts = &shadow->meta->space.counts;
	return err ?: qcow_refcounts_get(counts, cluster, max, count, nr);
}

static u64 last_cluster(const struct qcow_shadow *shadow, u64 host, u64 len)
{
	return (host + len - 1) >> cluster_bits(shadow);
}

/* One reference more or less to some clusters, whose counts one block has. */
static int shadow_change(struct qcow_shadow *shadow, u64 cluster, u64 nr, bool more)
{
	int err = shadow_make_room(shadow);

	/* Its count is about to change. */
	if (!err)
		err = qcow_shadow_own_block(shadow, cluster);
	if (!err)
		err = more ? qcow_refcounts_inc(&shadow->counts, cluster, nr) :
			     qcow_refcounts_dec(&shadow->counts, cluster, nr);
	return err ?: qcow_refcounts_write_some(&shadow->counts);
}

static int shadow_change_all(struct qcow_shadow *shadow, u64 host, u64 len, bool more)
{
	u64 cluster = host >> cluster_bits(shadow);
	u64 part, covered;
	int err = 0;

	if (!len)
		return 0;
	for (; cluster <= last_cluster(shadow, host, len) && !err; cluster += part) {
		part = min(last_cluster(shadow, host, len) - cluster + 1,
			   qcow_refcounts_batch(&shadow->counts));
		covered = qcow_refcounts_covered(&shadow->meta->space.counts, cluster);
		if (covered)
			part = min(part, covered);
		err = shadow_change(shadow, cluster, part, more);
	}
	return err;
}

int qcow_shadow_ref(struct qcow_shadow *shadow, u64 host, u64 len)
{
	return shadow_change_all(shadow, host, len, true);
}

int qcow_shadow_forget(struct qcow_shadow *shadow, u64 host, u64 len)
{
	return shadow_change_all(shadow, host, len, false);
}

int qcow_shadow_unref(struct qcow_shadow *shadow, u64 host, u64 len)
{
	struct qcow_run run = { .first = host >> cluster_bits(shadow) };
	u64 count;
	int err = 0;

	if (!len)
		return 0;
	for (; run.first <= last_cluster(shadow, host, len) && !err; run.first += run.nr) {
		err = qcow_shadow_count(shadow, run.first,
					last_cluster(shadow, host, len) - run.first + 1, &count,
					&run.nr);
		if (!err)
			err = shadow_change(shadow, run.first, run.nr, false);
		if (!err && count == 1)
			qcow_space_run_add(&shadow->unused, &run);
	}
	return err;
}

/* What is reclaimed is counted until then. */
static int shadow_set_used(struct qcow_shadow *shadow, u64 cluster, u64 nr)
{
	int err = shadow_make_room(shadow);

	if (!err)
		err = qcow_refcounts_set_used(&shadow->counts, cluster, nr);
	return err ?: qcow_refcounts_write_some(&shadow->counts);
}

int qcow_shadow_reap(struct qcow_shadow *shadow, u64 host, u64 len)
{
	struct qcow_run run = { .first = host >> cluster_bits(shadow) };
	u64 end = len ? last_cluster(shadow, host, len) + 1 : 0;
	u64 count;
	int err = 0;

	for (; run.first < end && !err; run.first += run.nr) {
		run.nr = min(end - run.first, qcow_refcounts_batch(&shadow->counts));
		err = qcow_shadow_count(shadow, run.first, run.nr, &count, &run.nr);
		if (err || count)
			continue;
		err = shadow_set_used(shadow, run.first, run.nr);
		if (!err)
			qcow_space_run_add(&shadow->reaped, &run);
	}
	return err;
}

static int shadow_count_unused(struct qcow_shadow *shadow)
{
	struct qcow_space_run *entry;
	u64 done, part;
	int err = 0;

	list_for_each_entry(entry, &shadow->unused, node) {
		for (done = 0; done < entry->run.nr && !err; done += part) {
			part = min(entry->run.nr - done, qcow_refcounts_batch(&shadow->counts));
			err = shadow_set_used(shadow, entry->run.first + done, part);
		}
		if (err)
			break;
	}
	return err;
}

/* A table for all blocks: room for it may need one block more. */
static int shadow_write_table(struct qcow_shadow *shadow, struct qcow_header *next)
{
	struct qcow_refcounts *counts = &shadow->meta->space.counts;
	struct qcow_run run;
	int err;

	for (;;) {
		run.nr = DIV_ROUND_UP_ULL(counts->entries * sizeof(__be64),
					  1U << cluster_bits(shadow));
		err = qcow_shadow_alloc(shadow, run.nr << cluster_bits(shadow),
					&next->refcount_table_offset);
		if (err)
			return err;
		if (counts->entries * sizeof(__be64) <= run.nr << cluster_bits(shadow))
			break;
		run.first = next->refcount_table_offset >> cluster_bits(shadow);
		qcow_space_run_add(&shadow->unused, &run);
	}
	next->refcount_table_clusters = run.nr;
	err = shadow_write_counts(shadow);
	if (err)
		return err;
	return qcow_refcounts_write_table(counts, next->refcount_table_offset,
					  next->refcount_table_clusters);
}

static void shadow_drop_block(struct qcow_refcounts *counts, u64 host)
{
	struct qcow_meta *meta = container_of(counts, struct qcow_meta, space.counts);

	if (host)
		qcow_reclaim_drop_range(&meta->reclaim, host,
					1U << meta->image->geo.cluster_bits);
}

static void shadow_drop_runs(struct qcow_shadow *shadow, const struct list_head *runs)
{
	const struct qcow_space_run *entry;

	list_for_each_entry(entry, runs, node)
		qcow_reclaim_drop_range(&shadow->meta->reclaim,
					entry->run.first << cluster_bits(shadow),
					entry->run.nr << cluster_bits(shadow));
}

static void shadow_free(struct qcow_shadow *shadow)
{
	qcow_space_runs_free(&shadow->taken);
	qcow_space_runs_free(&shadow->guarded);
	qcow_space_runs_free(&shadow->unused);
	qcow_space_runs_free(&shadow->reaped);
}

int qcow_shadow_switch(struct qcow_shadow *shadow, struct qcow_header *next)
{
	struct qcow_meta *meta = shadow->meta;
	struct qcow_image *image = meta->image;
	u64 old_table, old_bytes;
	int err;

	err = shadow_count_unused(shadow);
	if (!err)
		err = shadow_write_table(shadow, next);
	if (!err)
		err = qcow_store_flush(image->store);
	if (err) {
		qcow_shadow_abort(shadow);
		return err;
	}
	old_table = image->header.refcount_table_offset;
	old_bytes = (u64)image->header.refcount_table_clusters << cluster_bits(shadow);
	err = qcow_header_set(image, next);
	if (err) {
		qcow_message(image, "header: cannot be written: error %d", err);
		qcow_meta_fail(meta);
		qcow_refcounts_end_shadow(&meta->space.counts);
	} else {
		qcow_refcounts_use_shadow(&meta->space.counts, shadow_drop_block);
		qcow_reclaim_drop_range(&meta->reclaim, old_table, old_bytes);
		shadow_drop_runs(shadow, &shadow->unused);
		shadow_drop_runs(shadow, &shadow->reaped);
	}
	shadow_free(shadow);
	return err;
}

/* What runs hold is no metadata. */
static void shadow_unguard(struct qcow_shadow *shadow, const struct list_head *runs)
{
	const struct qcow_space_run *entry;

	list_for_each_entry(entry, runs, node)
		qcow_overlap_del(&shadow->meta->overlap, entry->run.first << cluster_bits(shadow),
				 entry->run.nr << cluster_bits(shadow));
}

void qcow_shadow_abort(struct qcow_shadow *shadow)
{
	struct qcow_meta *meta = shadow->meta;

	if (shadow->is_given_up)
		return;
	qcow_refcounts_end_shadow(&meta->space.counts);
	shadow_unguard(shadow, &shadow->guarded);
	shadow_unguard(shadow, &shadow->taken);
	qcow_space_release_runs(&meta->space, &shadow->taken);
	shadow_free(shadow);
}

bool qcow_shadow_give_up(struct qcow_meta *meta)
{
	struct qcow_refcounts *counts = meta->space.counts.shadow;
	struct qcow_shadow *shadow = container_of(counts, struct qcow_shadow, counts);

	if (!counts || !shadow->is_live)
		return false;
	qcow_shadow_abort(shadow);
	shadow->is_given_up = true;
	return true;
}
