// SPDX-License-Identifier: GPL-2.0
/*
 * Version 1 has no reference counts: what is in use is what a table refers to, and all tables have
 * to be read to know it.
 *
 * A file ends with the image; where an image on a block device ends is found out at attach. While
 * it is attached, space that is freed is known and used again. What of it lies in front of the end
 * at detach could never be given back later, so the last clusters of the image are moved into such
 * gaps, and the file is cut:
 *
 *   |header|L1|a|b|  |c|L2|  |d|e|   -->   |header|L1|a|b|d|c|L2|e|
 *                                                                 ^
 *                                        target: as many clusters as are in use
 *
 * A table of several clusters may fit into no gap. Then clusters in front of the target go as well,
 * so many that they leave a gap that is large enough, and the table follows in another pass. One
 * that lies across the target stays: a gap shorter than a table may remain.
 *
 * An L1 table that has become longer lies anywhere, and goes into a gap first, if one has room for
 * it.
 *
 * All that refers to a cluster is found by the same walk, so gaps that a power cut or another
 * program has left go, too. Compressed data, what does not lie at cluster borders, and a cluster
 * that two entries refer to, stay where they are. The order is that of any commit: data, a flush,
 * entries, a flush. The file is cut afterwards, so a power cut finds each cluster in its old place
 * or in the new one.
 *
 * Free clusters that are known from the attach on were considered: that reads all tables of each
 * image that is attached, and leaves gaps as well.
 */
#include <linux/bitmap.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "layer/map.h"
#include "meta/v1.h"
#include "meta/worker.h"
#include "meta/writeback.h"
#include "store/store.h"

/* Clusters of an image that gaps are looked for in: two bits of memory for each. */
#define PACK_CLUSTERS	BIT_ULL(28)

/* Bytes that are copied at once, and between two commits. */
#define COPY_BYTES	(256U << 10)
#define STEP_BYTES	(64ULL << 20)

/* The second one makes room for tables. */
#define PASSES		3

/* Called with each host range that something refers to; @fixed: it is no cluster or table. */
typedef int v1_range_fn(void *data, u64 host, u64 len, bool fixed);

static u64 v1_table_bytes(const struct qcow_geometry *g)
{
	return 1ULL << (g->l2_bits + g->entry_bits);
}

static int v1_walk_slice(const struct qcow_geometry *g, const struct qcow_slice *slice,
			 v1_range_fn *fn, void *data, struct qcow_report *rep)
{
	u64 guest = qcow_slice_guest(g, slice->idx);
	u64 last = qcow_slice_guest(g, slice->idx + 1);
	struct qcow_extent ext;
	struct qcow_flaw flaw;
	int err = 0;

	for (; guest < last && !err; guest += ext.len) {
		err = qcow_slice_map(g, slice, guest, last - guest, &ext, &flaw);
		if (err)
			qcow_report(rep, "%s 0x%llx: %s 0x%llx", flaw.table, flaw.entry,
				    flaw.what, flaw.value);
		else if (ext.kind == QCOW_EXTENT_COMPRESSED)
			err = fn(data, ext.host, ext.compressed_len, true);
		else if (ext.allocated)
			err = fn(data, ext.host, ext.len, false);
	}
	return err;
}

/* A table and what it refers to. */
static int v1_walk_table(struct qcow_image *image, u64 l1_idx, u64 table, v1_range_fn *fn,
			 void *data, struct qcow_report *rep)
{
	const struct qcow_geometry *g = &image->geo;
	u64 slices = 1ULL << (g->l2_bits - g->slice_bits);
	struct qcow_slice *slice;
	u64 i;
	int err;

	err = fn(data, table, v1_table_bytes(g), false);
	for (i = 0; i < slices && !err; i++) {
		err = qcow_image_go_on();
		if (err)
			break;
		err = qcow_cache_load(image->cache, &image->l2, l1_idx * slices + i, NULL,
				      &slice);
		if (err) {
			qcow_report(rep, "L2 table at 0x%llx: cannot be read: error %d", table,
				    err);
			return err;
		}
		err = v1_walk_slice(g, slice, fn, data, rep);
		qcow_slice_put(image->cache, slice);
	}
	return err;
}

/* All tables, and what they refer to. */
static int v1_walk_tables(struct qcow_image *image, v1_range_fn *fn, void *data,
			  struct qcow_report *rep)
{
	struct qcow_flaw flaw;
	u64 table;
	u32 i;
	int err = 0;

	for (i = 0; i < image->l1_entries && !err; i++) {
		/* The attach has refused wrong entries before. */
		err = qcow_l1_decode(&image->geo, be64_to_cpu(image->l1[i]), &table, &flaw);
		if (!err && table)
			err = v1_walk_table(image, i, table, fn, data, rep);
	}
	return err;
}

static int v1_extend_end(void *data, u64 host, u64 len, bool fixed)
{
	u64 *end = data;

	*end = max(*end, host + len);
	return 0;
}

int qcow_v1_end(struct qcow_image *image, u64 *end, struct qcow_report *rep)
{
	const struct qcow_header *h = &image->header;

	*end = max(h->l1_offset + (u64)h->l1_entries * sizeof(__be64),
		   h->backing_offset + h->backing_len);
	return v1_walk_tables(image, v1_extend_end, end, rep);
}

/**
 * struct qcow_v1_pack - an image whose gaps are being filled
 * @bits: log2 of the cluster size
 * @nr: clusters in front of the end
 * @used: a bit for each: something refers to a part of it
 * @movable: likewise: a data cluster or a table begins with it or goes on, and has it for itself
 * @target: this cluster and those behind it go in front of it
 * @pass: walks through the tables that have ended
 * @unplaced: clusters of tables that fit into no gap
 * @gap: no gap before this one
 * @slice: number of the slice of L2 tables to go on with
 * @buf: COPY_BYTES
 */
struct qcow_v1_pack {
	u32 bits;
	u64 nr;
	unsigned long *used;
	unsigned long *movable;
	u64 target;
	unsigned int pass;
	u64 unplaced;
	u64 gap;
	u64 slice;
	void *buf;
};

static int pack_mark(void *data, u64 host, u64 len, bool fixed)
{
	struct qcow_v1_pack *pack = data;
	bool movable = !fixed && IS_ALIGNED(host, 1ULL << pack->bits);
	u64 cluster = host >> pack->bits;
	u64 last;

	if (!len)
		return 0;
	if (cluster >= pack->nr || (host + len - 1) >> pack->bits >= pack->nr)
		return -EUCLEAN;
	for (last = (host + len - 1) >> pack->bits; cluster <= last; cluster++) {
		if (__test_and_set_bit(cluster, pack->used))
			__clear_bit(cluster, pack->movable);
		else if (movable)
			__set_bit(cluster, pack->movable);
	}
	return 0;
}

static int pack_mark_all(struct qcow_v1_pack *pack, struct qcow_image *image)
{
	const struct qcow_header *h = &image->header;
	int err;

	err = pack_mark(pack, 0, h->length, true);
	if (!err)
		err = pack_mark(pack, h->backing_offset, h->backing_len, true);
	if (!err)
		err = pack_mark(pack, h->l1_offset, (u64)h->l1_entries * sizeof(__be64), false);
	return err ?: v1_walk_tables(image, pack_mark, pack, NULL);
}

struct qcow_v1_pack *qcow_v1_pack_begin(struct qcow_meta *meta)
{
	u64 nr = meta->space.end;
	struct qcow_v1_pack *pack;

	if (nr > PACK_CLUSTERS)
		return NULL;
	pack = kzalloc(sizeof(*pack), GFP_NOIO);
	if (!pack)
		return NULL;
	pack->bits = meta->image->geo.cluster_bits;
	pack->nr = nr;
	pack->used = kvcalloc(BITS_TO_LONGS(nr), sizeof(long), GFP_NOIO);
	pack->movable = kvcalloc(BITS_TO_LONGS(nr), sizeof(long), GFP_NOIO);
	pack->buf = kvmalloc(COPY_BYTES, GFP_NOIO);
	if (!pack->used || !pack->movable || !pack->buf || pack_mark_all(pack, meta->image)) {
		qcow_v1_pack_destroy(pack);
		return NULL;
	}
	pack->target = bitmap_weight(pack->used, nr);
	return pack;
}

static void pack_note_moved(struct qcow_v1_pack *pack, u64 from, u64 to, u64 nr)
{
	bitmap_clear(pack->used, from, nr);
	bitmap_clear(pack->movable, from, nr);
	bitmap_set(pack->used, to, nr);
	bitmap_set(pack->movable, to, nr);
}

/* Copy @nr clusters at @from into the next gap, as many as fit. Return: how many, or -errno. */
static int pack_copy(struct qcow_v1_pack *pack, struct qcow_store *store, u64 from, u64 nr, u64 *to)
{
	u64 end;
	int err;

	*to = find_next_zero_bit(pack->used, pack->target, pack->gap);
	if (*to >= pack->target)
		return -ENOSPC;
	end = find_next_bit(pack->used, pack->target, *to);
	nr = min3(nr, end - *to, (u64)COPY_BYTES >> pack->bits);
	err = qcow_store_read_padded(store, pack->buf, from << pack->bits, nr << pack->bits);
	if (!err)
		err = qcow_store_write(store, pack->buf, *to << pack->bits, nr << pack->bits);
	if (err)
		return err;
	pack_note_moved(pack, from, *to, nr);
	pack->gap = *to + nr;
	return nr;
}

static void pack_set_entries(const struct qcow_geometry *g, struct qcow_slice *slice, u64 guest,
			     u64 host, u64 nr)
{
	u64 idx = guest >> g->cluster_bits;

	qcow_writeback_begin(slice);
	for (; nr; nr--, idx++, host += qcow_cluster_bytes(g))
		qcow_l2_put(g, slice->entries, idx & ((1U << g->slice_bits) - 1),
			    qcow_l2_encode_data(g, host), 0);
	qcow_writeback_end(slice);
}

/* The clusters of an extent that lie beyond the target. */
static int pack_move_extent(struct qcow_meta *meta, struct qcow_v1_pack *pack,
			    struct qcow_slice *slice, u64 guest, const struct qcow_extent *ext)
{
	u64 last = (ext->host + ext->len) >> pack->bits;
	u64 from = max(ext->host >> pack->bits, pack->target);
	u64 to;
	int nr;

	guest += (from << pack->bits) - ext->host;
	for (; from < last; from += nr, guest += (u64)nr << pack->bits) {
		u64 end = find_next_zero_bit(pack->movable, last, from);

		nr = 1;
		if (end == from)
			continue;
		nr = pack_copy(pack, meta->image->data, from, end - from, &to);
		if (nr < 0)
			return nr;
		pack_set_entries(&meta->image->geo, slice, guest, to << pack->bits, nr);
	}
	return 0;
}

/* Whether clusters of the extent are to be moved. */
static bool pack_wants(const struct qcow_v1_pack *pack, const struct qcow_extent *ext)
{
	return ext->kind == QCOW_EXTENT_DATA && IS_ALIGNED(ext->host, 1ULL << pack->bits) &&
		(ext->host + ext->len) >> pack->bits > pack->target;
}

static int pack_move_slice(struct qcow_meta *meta, struct qcow_v1_pack *pack,
			   struct qcow_slice *slice, u64 *moved)
{
	const struct qcow_geometry *g = &meta->image->geo;
	u64 guest = qcow_slice_guest(g, slice->idx);
	u64 last = qcow_slice_guest(g, slice->idx + 1);
	struct qcow_extent ext;
	struct qcow_flaw flaw;
	int err = 0;

	for (; guest < last && !err; guest += ext.len) {
		err = qcow_slice_map(g, slice, guest, last - guest, &ext, &flaw);
		if (err || !pack_wants(pack, &ext))
			continue;
		err = pack_move_extent(meta, pack, slice, guest, &ext);
		*moved += ext.len;
	}
	return err;
}

/* Beyond the target a table goes where it fits. */
static int pack_move_table(struct qcow_meta *meta, struct qcow_v1_pack *pack, u64 l1_idx,
			   u64 *table)
{
	u64 nr = DIV_ROUND_UP_ULL(v1_table_bytes(&meta->image->geo), 1U << pack->bits);
	u64 first = *table >> pack->bits;
	u64 to;
	int err;

	if (first < pack->target ||
	    find_next_zero_bit(pack->movable, first + nr, first) < first + nr)
		return 0;
	/* Where one has not fitted, no other will. */
	to = pack->target;
	if (!pack->unplaced)
		to = bitmap_find_next_zero_area(pack->used, pack->target, pack->gap, nr, 0);
	if (to >= pack->target) {
		pack->unplaced += nr;
		return 0;
	}
	err = qcow_l1_move_table(meta, l1_idx, *table, to << pack->bits);
	if (err)
		return err;
	pack_note_moved(pack, first, to, nr);
	*table = to << pack->bits;
	return 0;
}

/* The L1 table lies behind the header, or at a cluster border once it has become longer. */
static int pack_move_l1(struct qcow_meta *meta, struct qcow_v1_pack *pack)
{
	const struct qcow_header *h = &meta->image->header;
	u64 nr = DIV_ROUND_UP_ULL((u64)h->l1_entries * sizeof(__be64), 1U << pack->bits);
	u64 first = h->l1_offset >> pack->bits;
	u64 to;
	int err;

	if (first + nr <= pack->target ||
	    find_next_zero_bit(pack->movable, first + nr, first) < first + nr)
		return 0;
	to = bitmap_find_next_zero_area(pack->used, pack->target, 0, nr, 0);
	if (to >= pack->target)
		return 0;
	err = qcow_l1_move(meta, to << pack->bits);
	if (!err)
		pack_note_moved(pack, first, to, nr);
	return err;
}

/* One slice, and with the first one of a table the table. */
static int pack_slice(struct qcow_meta *meta, struct qcow_v1_pack *pack, u64 *moved)
{
	struct qcow_image *image = meta->image;
	const struct qcow_geometry *g = &image->geo;
	u64 l1_idx = qcow_slice_l1_idx(g, pack->slice);
	u64 in_table = qcow_slice_in_table(g, pack->slice);
	struct qcow_slice *slice;
	struct qcow_flaw flaw;
	u64 table;
	int err;

	err = qcow_l1_decode(g, be64_to_cpu(image->l1[l1_idx]), &table, &flaw);
	if (err)
		return err;
	if (!table) {
		pack->slice = (l1_idx + 1) << (g->l2_bits - g->slice_bits);
		return 0;
	}
	if (!in_table) {
		err = pack_move_table(meta, pack, l1_idx, &table);
		if (err)
			return err;
	}
	err = qcow_writeback_load(image->cache, &image->l2, pack->slice, table + in_table, &slice);
	if (err)
		return err;
	err = pack_move_slice(meta, pack, slice, moved);
	qcow_writeback_put(slice);
	pack->slice++;
	return err;
}

/* The tables have been walked through. Return: whether they are to be once more. */
static bool pack_next_pass(struct qcow_v1_pack *pack)
{
	u64 target = bitmap_weight(pack->used, pack->nr);

	if (!pack->unplaced || pack->unplaced > target || ++pack->pass == PASSES)
		return false;
	pack->target = pack->pass == 1 ? target - pack->unplaced : target;
	pack->unplaced = 0;
	pack->gap = 0;
	pack->slice = 0;
	return true;
}

bool qcow_v1_pack_step(struct qcow_meta *meta, struct qcow_v1_pack *pack)
{
	const struct qcow_image *image = meta->image;
	u64 moved = 0;

	if (!pack->pass && !pack->slice && pack_move_l1(meta, pack))
		return false;
	while (find_next_bit(pack->used, pack->nr, pack->target) < pack->nr &&
	       qcow_slice_l1_idx(&image->geo, pack->slice) < image->l1_entries) {
		if (moved >= STEP_BYTES || !qcow_writeback_has_room(image->cache))
			return true;
		/* What has been moved so far is good, and the rest stays where it is. */
		if (pack_slice(meta, pack, &moved))
			return false;
		cond_resched();
	}
	return pack_next_pass(pack);
}

void qcow_v1_pack_cut(struct qcow_meta *meta, const struct qcow_v1_pack *pack)
{
	struct qcow_store *store = meta->image->store;
	u64 end = (find_last_bit(pack->used, pack->nr) + 1) << pack->bits;

	if (end < store->bytes)
		qcow_store_resize(store, end, 0);
}

void qcow_v1_pack_destroy(struct qcow_v1_pack *pack)
{
	if (!pack)
		return;
	kvfree(pack->used);
	kvfree(pack->movable);
	kvfree(pack->buf);
	kfree(pack);
}
