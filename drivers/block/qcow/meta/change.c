// SPDX-License-Identifier: GPL-2.0
/*
 * Changing what guest clusters are mapped to. Does not know what is written to them. Called
 * by write.c and discard.c.
 */
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <qcow/l2.h>

#include "meta/change.h"
#include "meta/writeback.h"
#include "layer/image.h"
#include "inject.h"
#include "layer/map.h"
#include "message.h"
#include "meta/writer.h"

/* Remember an L2 or L1 table that has been replaced. */
static void free_old_table(struct qcow_writer *w, const struct qcow_old_table *old)
{
	struct qcow_freed *freed;

	if (!old->len)
		return;
	freed = kzalloc(sizeof(*freed), GFP_NOIO | __GFP_NOFAIL);
	freed->host = old->host;
	freed->len = old->len;
	qcow_commit_freed(&w->commit, freed);
}

/* The table that maps @guest; 0: there is none and none is wanted. */
static int find_table(struct qcow_writer *w, u64 guest, bool make, u64 *table)
{
	const struct qcow_image *image = w->image;
	u64 l1_idx = qcow_slice_l1_idx(&image->geo, qcow_slice_idx(&image->geo, guest));
	struct qcow_old_table old;
	bool committed = false;
	struct qcow_flaw flaw;
	int err;

	if (!make) {
		err = qcow_l1_decode(&image->geo, be64_to_cpu(READ_ONCE(image->l1[l1_idx])),
				     table, &flaw);
		if (err)
			qcow_message_flaw(image, &flaw);
		if (err || !*table)
			return err;
	}
	for (;;) {
		err = qcow_l1_table(&w->l1, l1_idx, committed, table, &old);
		free_old_table(w, &old);
		if (err == -EAGAIN)
			err = qcow_commit_wait(&w->commit) ?: -EAGAIN;
		if (err != -EAGAIN)
			return err;
		committed = true;
	}
}

static int load_slice(struct qcow_change *change, u64 guest, bool make_table)
{
	struct qcow_image *image = change->writer->image;
	u64 idx = qcow_slice_idx(&image->geo, guest);
	u64 table;
	int err;

	err = find_table(change->writer, guest, make_table, &table);
	if (err || !table)
		return err;
	return qcow_dirty_load(image->cache, &image->l2, idx,
			       table + qcow_slice_in_table(&image->geo, idx), NULL,
			       &change->slice);
}

/* Room for slices that cannot be evicted; whoever has a slot ends without waiting for one. */
static int take_slot(struct qcow_writer *w)
{
	int err;

	while (qcow_dirty_full(w->image->cache)) {
		err = qcow_commit_wait(&w->commit);
		if (err)
			return err;
	}
	down(&w->slots);
	return 0;
}

struct qcow_change *qcow_change_begin(struct qcow_writer *w, u64 guest, u64 *len,
				      bool make_table, struct qcow_waiter *waiter)
{
	const struct qcow_geometry *g = &w->image->geo;
	u64 slice_end = qcow_slice_guest(g, qcow_slice_idx(g, guest) + 1);
	struct qcow_change *change;
	int err;

	change = kzalloc(sizeof(*change), GFP_NOIO);
	if (!change)
		return ERR_PTR(-ENOMEM);
	change->writer = w;
	change->range.first = guest >> g->cluster_bits;
	change->range.last = (min(guest + *len, slice_end) - 1) >> g->cluster_bits;
	err = qcow_range_take(&w->ranges, &change->range, waiter);
	if (err) {
		kfree(change);
		return ERR_PTR(err);
	}
	qcow_inject_pause();
	err = take_slot(w);
	if (err)
		goto drop_range;
	*len = min(*len, ((change->range.last + 1) << g->cluster_bits) - guest);

	err = load_slice(change, guest, make_table);
	if (!err)
		return change;

	up(&w->slots);
drop_range:
	qcow_range_drop(&w->ranges, &change->range);
	kfree(change);
	return ERR_PTR(err);
}

int qcow_change_map(const struct qcow_change *change, u64 guest, u64 len,
		    struct qcow_extent *ext)
{
	const struct qcow_image *image = change->writer->image;
	struct qcow_flaw flaw;
	int err;

	err = qcow_slice_map(&image->geo, change->slice, guest, len, ext, &flaw);
	if (err)
		qcow_message_flaw(image, &flaw);
	return err;
}

int qcow_change_freed(const struct qcow_change *change, u64 guest, const struct qcow_extent *ext,
		      struct qcow_freed **freed)
{
	const struct qcow_geometry *g = &change->writer->image->geo;
	u64 mask = qcow_cluster_bytes(g) - 1;
	struct qcow_freed space = {};

	*freed = NULL;
	if (ext->kind == QCOW_EXTENT_COMPRESSED && g->version > 1) {
		space.compressed = true;
		space.host = ext->host;
		space.len = ext->compressed_len;
	} else if (ext->kind != QCOW_EXTENT_COMPRESSED && ext->allocated && !g->data_file &&
		   !((ext->host ^ guest) & mask)) {
		space.host = ext->host - (guest & mask);
		space.len = mask + 1;
	}
	if (!space.len)
		return 0;
	*freed = kmemdup(&space, sizeof(space), GFP_NOIO);
	return *freed ? 0 : -ENOMEM;
}

/* Bits of the subclusters of a cluster that @change covers. */
static u32 covered_subclusters(const struct qcow_geometry *g, const struct qcow_change *change,
			       u64 cluster)
{
	u64 begin = max(cluster << g->cluster_bits, change->guest);
	u64 end = min((cluster + 1) << g->cluster_bits, change->guest + change->len);
	u64 mask = qcow_cluster_bytes(g) - 1;

	return GENMASK(((end - 1) & mask) >> g->subcluster_bits,
		       (begin & mask) >> g->subcluster_bits);
}

static u64 new_bitmap(const struct qcow_geometry *g, const struct qcow_change *change,
		      u64 cluster, u64 old)
{
	u64 covered = covered_subclusters(g, change, cluster);

	if (change->whole)
		return covered;
	return (old & ~(covered << 32)) | covered;
}

static void put_entries(struct qcow_change *change)
{
	const struct qcow_geometry *g = &change->writer->image->geo;
	__be64 *entries = change->slice->entries;
	u64 cluster = change->guest >> g->cluster_bits;
	u64 last = (change->guest + change->len - 1) >> g->cluster_bits;
	u64 host = change->host - (change->guest & (qcow_cluster_bytes(g) - 1));
	unsigned long flags;

	flags = qcow_dirty_begin(change->slice);
	for (; cluster <= last; cluster++) {
		u32 idx = cluster & ((1U << g->slice_bits) - 1);
		u64 bitmap = 0;

		if (g->extended_l2)
			bitmap = new_bitmap(g, change, cluster,
					    be64_to_cpu(entries[2 * idx + 1]));
		qcow_l2_put(g, entries, idx, qcow_l2_encode_data(g, host), bitmap);
		host += qcow_cluster_bytes(g);
	}
	qcow_dirty_end(change->slice, flags);
}

static void give_back_work(struct work_struct *work)
{
	struct qcow_change *change = container_of(work, struct qcow_change, work);

	qcow_space_untake(&change->writer->space, change->first, change->nr);
	kfree(change);
}

void qcow_change_end(struct qcow_change *change, int err)
{
	struct qcow_writer *w = change->writer;

	qcow_inject_stall();
	if (!err && change->len) {
		put_entries(change);
		if (change->freed)
			qcow_commit_freed(&w->commit, change->freed);
	} else {
		kfree(change->freed);
	}
	qcow_inject_stall();
	if (change->slice)
		qcow_dirty_put(change->slice);
	up(&w->slots);
	qcow_range_drop(&w->ranges, &change->range);

	if (err && change->nr) {
		INIT_WORK(&change->work, give_back_work);
		queue_work(w->wq, &change->work);
		return;
	}
	kfree(change);
}
