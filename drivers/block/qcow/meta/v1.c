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
 * A table of several clusters may fit into no gap. All such that lie behind the target, or would
 * lie behind the room that they need in front of it, get that room in a second pass: in the first
 * one, clusters move out of it into gaps, and tables behind the end.
 *
 *   |header|a|  |b|c|L2 . . |d|  |   -->   |header|a|d|b|c|L2 . . |
 *                        ^                        ^ low           ^ goal
 *
 * Where what cannot be moved lies in the room, tables of several clusters go into gaps that are
 * large enough, if there are any, and one that lies across the target stays.
 *
 * An L1 table that has become longer lies anywhere, and is moved as other tables are; so is the
 * backing file's name where it has clusters for itself.
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
#include "meta/backing.h"
#include "meta/v1.h"
#include "meta/worker.h"
#include "meta/writeback.h"
#include "store/store.h"

/* Clusters of an image that gaps are looked for in: three bits of memory for each. */
#define PACK_CLUSTERS	BIT_ULL(28)

/* Bytes that are copied at once, and between two commits. */
#define COPY_BYTES	(256U << 10)
#define STEP_BYTES	(64ULL << 20)

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
 * @nr: clusters in front of the end, and of tables that have been put behind it
 * @used: a bit for each: something refers to a part of it
 * @movable: likewise: a data cluster or a table begins with it or goes on, and has it for itself
 * @tables: likewise: a table, or a name, of several clusters that can be moved begins with it
 * @goal: as many clusters as are in use: at last, this one and those behind it are free
 * @low: from here to @goal is room for tables
 * @aside: clusters of tables that are to go behind the end first
 * @target: in this pass, this cluster and those behind it go in front of it; @low, then @goal
 * @gap: no gap before this one
 * @table_gap: none before this one that has room for an L2 table
 * @slice: number of the slice of L2 tables to go on with
 * @buf: COPY_BYTES
 */
struct qcow_v1_pack {
	u32 bits;
	u64 nr;
	unsigned long *used;
	unsigned long *movable;
	unsigned long *tables;
	u64 goal;
	u64 low;
	u64 aside;
	u64 target;
	u64 gap;
	u64 table_gap;
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
		err = pack_mark(pack, h->backing_offset, h->backing_len, false);
	if (!err)
		err = pack_mark(pack, h->l1_offset, (u64)h->l1_entries * sizeof(__be64), false);
	return err ?: v1_walk_tables(image, pack_mark, pack, NULL);
}

static u64 l2_clusters(const struct qcow_image *image)
{
	return DIV_ROUND_UP_ULL(v1_table_bytes(&image->geo), qcow_cluster_bytes(&image->geo));
}

static u64 l1_clusters(const struct qcow_image *image)
{
	return DIV_ROUND_UP_ULL((u64)image->header.l1_entries * sizeof(__be64),
				qcow_cluster_bytes(&image->geo));
}

static u64 name_clusters(const struct qcow_image *image)
{
	return DIV_ROUND_UP_ULL(image->header.backing_len, qcow_cluster_bytes(&image->geo));
}

/* Of what begins with cluster @first and is no data. */
static u64 table_clusters(const struct qcow_image *image, u64 first)
{
	if (first == image->header.l1_offset >> image->geo.cluster_bits)
		return l1_clusters(image);
	if (first == image->header.backing_offset >> image->geo.cluster_bits)
		return name_clusters(image);
	return l2_clusters(image);
}

static bool pack_can_move(const struct qcow_v1_pack *pack, u64 first, u64 nr)
{
	return find_next_zero_bit(pack->movable, first + nr, first) >= first + nr;
}

static void pack_note_table(struct qcow_v1_pack *pack, u64 host, u64 nr)
{
	if (nr > 1 && pack_can_move(pack, host >> pack->bits, nr))
		__set_bit(host >> pack->bits, pack->tables);
}

static void pack_note_tables(struct qcow_v1_pack *pack, const struct qcow_image *image)
{
	struct qcow_flaw flaw;
	u64 table;
	u32 i;

	pack_note_table(pack, image->header.l1_offset, l1_clusters(image));
	pack_note_table(pack, image->header.backing_offset, name_clusters(image));
	for (i = 0; i < image->l1_entries; i++) {
		if (!qcow_l1_decode(&image->geo, be64_to_cpu(image->l1[i]), &table, &flaw) && table)
			pack_note_table(pack, table, l2_clusters(image));
	}
}

static void pack_make_no_room(struct qcow_v1_pack *pack)
{
	pack->low = pack->goal;
	pack->target = pack->goal;
	pack->aside = 0;
}

/* The room that tables need begins in front of those that it makes need it. */
static void pack_plan(struct qcow_v1_pack *pack, const struct qcow_image *image)
{
	u64 last = pack->nr, first;

	pack->goal = bitmap_weight(pack->used, pack->nr);
	pack->low = pack->goal;
	for (; (first = find_last_bit(pack->tables, last)) < last; last = first) {
		u64 nr = table_clusters(image, first);

		if (first + nr <= pack->low)
			break;
		pack->low -= nr;
		if (first < pack->goal)
			pack->aside += nr;
	}
	pack->target = pack->low;
	for (first = pack->low; first < pack->goal; first++) {
		first = find_next_bit(pack->used, pack->goal, first);
		if (first < pack->goal && !test_bit(first, pack->movable)) {
			pack_make_no_room(pack);
			break;
		}
	}
}

struct qcow_v1_pack *qcow_v1_pack_begin(struct qcow_meta *meta)
{
	const struct qcow_image *image = meta->image;
	u64 nr = meta->space.end;
	struct qcow_v1_pack *pack;
	u64 bits;

	/* Behind the end, place for all tables. */
	bits = nr + min(nr, image->l1_entries * l2_clusters(image) + l1_clusters(image) +
			    name_clusters(image));
	if (nr > PACK_CLUSTERS)
		return NULL;
	pack = kzalloc(sizeof(*pack), GFP_NOIO);
	if (!pack)
		return NULL;
	pack->bits = image->geo.cluster_bits;
	pack->nr = nr;
	pack->used = kvcalloc(BITS_TO_LONGS(bits), sizeof(long), GFP_NOIO);
	pack->movable = kvcalloc(BITS_TO_LONGS(bits), sizeof(long), GFP_NOIO);
	pack->tables = kvcalloc(BITS_TO_LONGS(nr), sizeof(long), GFP_NOIO);
	pack->buf = kvmalloc(COPY_BYTES, GFP_NOIO);
	if (!pack->used || !pack->movable || !pack->tables || !pack->buf ||
	    pack_mark_all(pack, meta->image)) {
		qcow_v1_pack_destroy(pack);
		return NULL;
	}
	pack_note_tables(pack, image);
	pack_plan(pack, image);
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

/* Whether room for tables is being made. */
static bool pack_is_first(const struct qcow_v1_pack *pack)
{
	return pack->target < pack->goal;
}

/*
 * Where a table of @nr clusters at @first goes; back to @first if it stays. In front of @gap there
 * is no place for it.
 */
static u64 pack_place(const struct qcow_v1_pack *pack, u64 first, u64 nr, u64 gap)
{
	u64 to;

	if (first + nr <= pack->target || !pack_can_move(pack, first, nr))
		return first;
	if (pack_is_first(pack) && nr > 1)
		return first < pack->goal ? pack->nr : first;
	/* What it leaves in front of the target would be a gap before a commit says where it is. */
	if (first < pack->target)
		return first;
	to = bitmap_find_next_zero_area(pack->used, pack->target, gap, nr, 0);
	return to < pack->target ? to : first;
}

static void pack_note_placed(struct qcow_v1_pack *pack, u64 first, u64 to, u64 nr)
{
	if (to == pack->nr)
		pack->nr += nr;
	pack_note_moved(pack, first, to, nr);
}

static int pack_move_table(struct qcow_meta *meta, struct qcow_v1_pack *pack, u64 l1_idx,
			   u64 *table)
{
	u64 nr = l2_clusters(meta->image);
	u64 first = *table >> pack->bits;
	u64 to = pack_place(pack, first, nr, pack->table_gap);
	int err;

	if (to == first)
		return 0;
	err = qcow_l1_move_table(meta, l1_idx, *table, to << pack->bits);
	if (err)
		return err;
	pack_note_placed(pack, first, to, nr);
	if (to < pack->target)
		pack->table_gap = to + nr;
	*table = to << pack->bits;
	return 0;
}

/* The L1 table lies behind the header, or at a cluster border once it has become longer. */
static int pack_move_l1(struct qcow_meta *meta, struct qcow_v1_pack *pack)
{
	u64 nr = l1_clusters(meta->image);
	u64 first = meta->image->header.l1_offset >> pack->bits;
	u64 to = pack_place(pack, first, nr, 0);
	int err;

	if (to == first)
		return 0;
	err = qcow_l1_move(meta, to << pack->bits);
	if (!err)
		pack_note_placed(pack, first, to, nr);
	return err;
}

/* The backing file's name lies behind the header, or at a cluster border once it has another. */
static int pack_move_name(struct qcow_meta *meta, struct qcow_v1_pack *pack)
{
	u64 nr = name_clusters(meta->image);
	u64 first = meta->image->header.backing_offset >> pack->bits;
	u64 to;
	int err;

	if (!nr)
		return 0;
	to = pack_place(pack, first, nr, 0);
	if (to == first)
		return 0;
	err = qcow_backing_move(meta, to << pack->bits);
	if (!err)
		pack_note_placed(pack, first, to, nr);
	return err;
}

/* Where the store has no space for tables behind the end, there will be no room for them. */
static int pack_begin_pass(struct qcow_meta *meta, struct qcow_v1_pack *pack)
{
	u64 end = pack->nr + pack->aside;

	if (pack->aside && qcow_space_extend(&meta->space, meta->image->store,
					     pack->nr << pack->bits, end << pack->bits))
		pack_make_no_room(pack);
	pack->aside = 0;
	return pack_move_l1(meta, pack) ?: pack_move_name(meta, pack);
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

bool qcow_v1_pack_step(struct qcow_meta *meta, struct qcow_v1_pack *pack)
{
	const struct qcow_image *image = meta->image;
	u64 moved = 0;

	if (!pack->slice && pack_begin_pass(meta, pack))
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
	if (!pack_is_first(pack))
		return false;
	pack->target = pack->goal;
	pack->slice = 0;
	return true;
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
	kvfree(pack->tables);
	kvfree(pack->buf);
	kfree(pack);
}
