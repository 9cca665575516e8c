// SPDX-License-Identifier: GPL-2.0
/*
 * Changing what guest clusters are mapped to.
 *
 * Changes in flight are in a tree by their first guest cluster. They never overlap: a change
 * that would begin within another one is parked on it, one that would run into another one
 * ends before it.
 */
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <qcow/l2.h>

#include "layer/image.h"
#include "layer/map.h"
#include "message.h"
#include "meta/change.h"
#include "meta/worker.h"
#include "meta/writeback.h"

/* The change in flight that has @cluster, or the next one behind it, or NULL. */
static struct qcow_change *change_find(struct qcow_meta *meta, u64 cluster)
{
	struct rb_node *node = meta->in_flight.rb_node;
	struct qcow_change *found = NULL;

	while (node) {
		struct qcow_change *change = rb_entry(node, struct qcow_change, node);

		if (cluster <= change->last) {
			found = change;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

static bool change_is_before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct qcow_change, node)->first <
	       rb_entry(b, struct qcow_change, node)->first;
}

/* The table that maps @guest; 0: there is none and none is wanted. */
static int change_find_table(struct qcow_meta *meta, u64 guest, bool make, u64 *table,
			     struct qcow_meta_msg *msg)
{
	const struct qcow_image *image = meta->image;
	u64 l1_idx = qcow_slice_l1_idx(&image->geo, qcow_slice_idx(&image->geo, guest));
	struct qcow_flaw flaw;
	int err;

	if (WARN_ON_ONCE(l1_idx >= image->l1_entries))
		return -EIO;
	err = qcow_l1_decode(&image->geo, be64_to_cpu(image->l1[l1_idx]), table, &flaw);
	if (err) {
		qcow_message_flaw(image, &flaw);
		return err;
	}
	if (!make && !*table)
		return 0;
	return qcow_l1_table(meta, l1_idx, table, msg);
}

static int change_load_slice(struct qcow_meta *meta, struct qcow_change *change, u64 guest,
			     bool make_table, struct qcow_meta_msg *msg)
{
	struct qcow_image *image = meta->image;
	u64 idx = qcow_slice_idx(&image->geo, guest);
	u64 table;
	int err;

	err = change_find_table(meta, guest, make_table, &table, msg);
	if (err || !table)
		return err;
	return qcow_writeback_load(image->cache, &image->l2, idx,
				   table + qcow_slice_in_table(&image->geo, idx),
				   &change->slice);
}

int qcow_change_begin(struct qcow_meta *meta, struct qcow_change *change, u64 guest, u64 *len,
		      bool make_table, struct qcow_meta_msg *msg)
{
	const struct qcow_geometry *g = &meta->image->geo;
	u64 slice_end = qcow_slice_guest(g, qcow_slice_idx(g, guest) + 1);
	u64 first = guest >> g->cluster_bits;
	u64 last = (min(guest + *len, slice_end) - 1) >> g->cluster_bits;
	struct qcow_change *other = change_find(meta, first);
	int err = msg->err;

	msg->err = 0;
	if (err)
		return err;
	if (other && other->first <= first) {
		list_add_tail(&msg->node, &other->waiters);
		return -EINPROGRESS;
	}
	if (other)
		last = min(last, other->first - 1);
	if (!qcow_writeback_has_room(meta->image->cache)) {
		qcow_meta_await_room(meta, msg);
		return -EINPROGRESS;
	}

	change->first = first;
	change->last = last;
	INIT_LIST_HEAD(&change->waiters);
	change->slice = NULL;
	change->len = 0;
	change->from = 0;
	change->compressed_len = 0;
	change->whole = false;
	change->copied = 0;
	change->nr_fresh = 0;
	change->freed = NULL;
	err = change_load_slice(meta, change, guest, make_table, msg);
	if (err == -EBUSY) {
		qcow_commit_want(&meta->commit);
		list_add_tail(&msg->node, &meta->await_commit);
		return -EINPROGRESS;
	}
	if (err)
		return err;
	*len = min(*len, ((last + 1) << g->cluster_bits) - guest);
	rb_add(&change->node, &meta->in_flight, change_is_before);
	return 0;
}

int qcow_change_map(struct qcow_meta *meta, const struct qcow_change *change, u64 guest, u64 len,
		    struct qcow_extent *ext)
{
	const struct qcow_image *image = meta->image;
	struct qcow_flaw flaw;
	int err;

	err = qcow_slice_map(&image->geo, change->slice, guest, len, ext, &flaw);
	if (err)
		qcow_message_flaw(image, &flaw);
	return err;
}

int qcow_change_freed(struct qcow_meta *meta, u64 guest, const struct qcow_extent *ext,
		      struct qcow_freed **freed)
{
	const struct qcow_geometry *g = &meta->image->geo;
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

static u64 change_new_bitmap(const struct qcow_geometry *g, const struct qcow_change *change,
			     u64 cluster, u64 old)
{
	u64 covered = covered_subclusters(g, change, cluster);

	if (change->whole)
		return covered;
	return (old & ~(covered << 32)) | covered;
}

static u32 entry_idx(const struct qcow_geometry *g, u64 cluster)
{
	return cluster & ((1U << g->slice_bits) - 1);
}

static void change_set_compressed(struct qcow_meta *meta, struct qcow_change *change)
{
	const struct qcow_geometry *g = &meta->image->geo;

	qcow_writeback_begin(change->slice);
	qcow_l2_put(g, change->slice->entries, entry_idx(g, change->guest >> g->cluster_bits),
		    qcow_l2_encode_compressed(g, change->host, change->compressed_len), 0);
	qcow_writeback_end(change->slice);
}

/* Zeros stay zeros, and subclusters what they are. */
static void change_move_entry(struct qcow_meta *meta, struct qcow_change *change)
{
	const struct qcow_geometry *g = &meta->image->geo;
	__be64 *entries = change->slice->entries;
	u32 idx = entry_idx(g, change->guest >> g->cluster_bits);
	u64 entry, bitmap = 0;

	entry = be64_to_cpu(entries[g->extended_l2 ? 2 * idx : idx]);
	if (g->extended_l2)
		bitmap = be64_to_cpu(entries[2 * idx + 1]);
	qcow_writeback_begin(change->slice);
	qcow_l2_put(g, entries, idx, (entry & ~g->offset_mask) | change->host, bitmap);
	qcow_writeback_end(change->slice);
}

static void change_set_entries(struct qcow_meta *meta, struct qcow_change *change)
{
	const struct qcow_geometry *g = &meta->image->geo;
	__be64 *entries = change->slice->entries;
	u64 cluster = change->guest >> g->cluster_bits;
	u64 last = (change->guest + change->len - 1) >> g->cluster_bits;
	u64 host = change->host - (change->guest & (qcow_cluster_bytes(g) - 1));

	qcow_writeback_begin(change->slice);
	for (; cluster <= last; cluster++) {
		u32 idx = entry_idx(g, cluster);
		u64 bitmap = 0;

		if (g->extended_l2)
			bitmap = change_new_bitmap(g, change, cluster,
						   be64_to_cpu(entries[2 * idx + 1]));
		qcow_l2_put(g, entries, idx, qcow_l2_encode_data(g, host), bitmap);
		host += qcow_cluster_bytes(g);
	}
	qcow_writeback_end(change->slice);
}

void qcow_change_moves(struct qcow_meta *meta, struct qcow_change *change, u64 from)
{
	change->from = from;
	meta->moves++;
}

void qcow_change_end(struct qcow_meta *meta, struct qcow_change *change, int err)
{
	if (!err && change->len) {
		if (change->compressed_len)
			change_set_compressed(meta, change);
		else if (change->from)
			change_move_entry(meta, change);
		else
			change_set_entries(meta, change);
		if (change->freed)
			qcow_reclaim_drop(&meta->reclaim, change->freed);
	} else {
		kfree(change->freed);
	}
	if (err && change->nr_fresh)
		qcow_space_release(&meta->space, change->fresh, change->nr_fresh);
	if (err && change->compressed_len)
		qcow_reclaim_drop_leak(&meta->reclaim, change->host, change->compressed_len);
	if (!err)
		WRITE_ONCE(meta->copied, meta->copied + change->copied);
	if (change->from)
		meta->moves--;
	if (change->slice)
		qcow_writeback_put(change->slice);
	rb_erase(&change->node, &meta->in_flight);
	list_splice_tail(&change->waiters, &meta->later);
}
