// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow paging:
 *
 *   1 all refcount blocks are copied; what is allocated meanwhile is counted in both
 *   2 the caller changes the new counts and writes new tables
 *   3 the new counts and their table are written; flush
 *   4 one write of the header; flush
 *   5 old blocks and tables, and clusters that nothing refers to, are reclaimed as any that a
 *     commit has dropped
 *
 * Until 4 the old metadata is untouched but for counts of the clusters that are taken here, which
 * a power cut leaks. Changed counts take as much memory as the cache allows: they are written
 * whenever that is used up, to where nothing refers to yet.
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

static u32 cluster_bits(const struct qcow_shadow *shadow)
{
	return shadow->meta->image->geo.cluster_bits;
}

static int shadow_go_on(const struct qcow_shadow *shadow)
{
	cond_resched();
	return READ_ONCE(*shadow->cancelled) ? -EINTR : 0;
}

/* Counts in use are written early, too: they only say that more is used. */
static int shadow_write_counts(struct qcow_shadow *shadow)
{
	struct qcow_meta *meta = shadow->meta;
	int err = qcow_refcounts_write(&meta->space.counts, &meta->commit.writes);

	if (!err)
		err = qcow_refcounts_write(&shadow->counts, &meta->commit.writes);
	return err ?: shadow->counts.follow_err;
}

/* Room for some more changed slices of counts. */
static int shadow_make_room(struct qcow_shadow *shadow)
{
	int err = shadow_go_on(shadow);

	if (err || qcow_writeback_has_room(shadow->meta->image->cache))
		return err;
	return shadow_write_counts(shadow);
}

int qcow_shadow_alloc(struct qcow_shadow *shadow, u64 bytes, u64 *host)
{
	struct qcow_meta *meta = shadow->meta;
	u64 nr = max(DIV_ROUND_UP_ULL(bytes, 1U << cluster_bits(shadow)), 1ULL);
	struct qcow_run run;
	int err;

	do {
		err = shadow_make_room(shadow);
		if (err)
			return err;
		qcow_space_begin_turn(&meta->space);
		err = qcow_space_alloc(&meta->space, nr, &run);
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

static int shadow_copy_blocks(struct qcow_shadow *shadow)
{
	struct qcow_refcounts *counts = &shadow->meta->space.counts;
	u64 end = shadow->counts.entries * qcow_refcounts_in_block(counts);
	u64 cluster = qcow_refcounts_next_covered(counts, 0);
	u64 host;
	int err = 0;

	/* Blocks that are made meanwhile count nothing else but what is taken here. */
	while (cluster < end && !err) {
		err = qcow_shadow_alloc(shadow, 1, &host);
		if (!err)
			err = qcow_refcounts_copy_block(counts, cluster, host);
		cluster = qcow_refcounts_next_covered(counts, cluster +
						      qcow_refcounts_in_block(counts));
	}
	return err;
}

int qcow_shadow_begin(struct qcow_shadow *shadow, struct qcow_meta *meta, const bool *cancelled)
{
	int err;

	shadow->meta = meta;
	shadow->cancelled = cancelled;
	INIT_LIST_HEAD(&shadow->taken);
	INIT_LIST_HEAD(&shadow->unused);
	err = qcow_refcounts_begin_shadow(&meta->space.counts, &shadow->counts);
	if (err)
		return err;
	err = shadow_copy_blocks(shadow);
	if (err)
		qcow_shadow_abort(shadow);
	return err;
}

int qcow_shadow_count(struct qcow_shadow *shadow, u64 cluster, u64 max, u64 *count, u64 *nr)
{
	int err = shadow_go_on(shadow);

	return err ?: qcow_refcounts_get(&shadow->counts, cluster, max, count, nr);
}

static u64 last_cluster(const struct qcow_shadow *shadow, u64 host, u64 len)
{
	return (host + len - 1) >> cluster_bits(shadow);
}

int qcow_shadow_ref(struct qcow_shadow *shadow, u64 host, u64 len)
{
	u64 cluster = host >> cluster_bits(shadow);
	u64 part;
	int err = 0;

	if (!len)
		return 0;
	for (; cluster <= last_cluster(shadow, host, len) && !err; cluster += part) {
		part = min(last_cluster(shadow, host, len) - cluster + 1,
			   qcow_refcounts_batch(&shadow->counts));
		err = shadow_make_room(shadow);
		if (!err)
			err = qcow_refcounts_inc(&shadow->counts, cluster, part);
	}
	return err;
}

int qcow_shadow_unref(struct qcow_shadow *shadow, u64 host, u64 len)
{
	struct qcow_run run = { .first = host >> cluster_bits(shadow) };
	u64 count;
	int err = 0;

	if (!len)
		return 0;
	for (; run.first <= last_cluster(shadow, host, len) && !err; run.first += run.nr) {
		err = shadow_make_room(shadow);
		if (!err)
			err = qcow_refcounts_get(&shadow->counts, run.first,
						 last_cluster(shadow, host, len) - run.first + 1,
						 &count, &run.nr);
		if (!err)
			err = qcow_refcounts_dec(&shadow->counts, run.first, run.nr);
		if (!err && count == 1)
			qcow_space_run_add(&shadow->unused, &run);
	}
	return err;
}

/* What is reclaimed is counted until then. */
static int shadow_count_unused(struct qcow_shadow *shadow)
{
	struct qcow_space_run *entry;
	u64 done, part;
	int err = 0;

	list_for_each_entry(entry, &shadow->unused, node) {
		for (done = 0; done < entry->run.nr && !err; done += part) {
			part = min(entry->run.nr - done, qcow_refcounts_batch(&shadow->counts));
			err = shadow_make_room(shadow);
			if (!err)
				err = qcow_refcounts_set_used(&shadow->counts,
							      entry->run.first + done, part);
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

static void shadow_drop_unused(struct qcow_shadow *shadow)
{
	struct qcow_space_run *entry, *tmp;

	list_for_each_entry_safe(entry, tmp, &shadow->unused, node) {
		qcow_reclaim_drop_range(&shadow->meta->reclaim,
					entry->run.first << cluster_bits(shadow),
					entry->run.nr << cluster_bits(shadow));
		kfree(entry);
	}
}

static void shadow_free_runs(struct list_head *runs)
{
	struct qcow_space_run *entry, *next;

	list_for_each_entry_safe(entry, next, runs, node)
		kfree(entry);
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
		shadow_drop_unused(shadow);
		INIT_LIST_HEAD(&shadow->unused);
	}
	shadow_free_runs(&shadow->unused);
	shadow_free_runs(&shadow->taken);
	return err;
}

void qcow_shadow_abort(struct qcow_shadow *shadow)
{
	struct qcow_meta *meta = shadow->meta;
	struct qcow_space_run *entry;

	qcow_refcounts_end_shadow(&meta->space.counts);
	list_for_each_entry(entry, &shadow->taken, node) {
		qcow_overlap_del(&meta->overlap, entry->run.first << cluster_bits(shadow),
				 entry->run.nr << cluster_bits(shadow));
		qcow_space_release(&meta->space, entry->run.first, entry->run.nr);
	}
	shadow_free_runs(&shadow->taken);
	shadow_free_runs(&shadow->unused);
}
