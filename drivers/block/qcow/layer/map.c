// SPDX-License-Identifier: GPL-2.0
/*
 * Mapping: one loop down the chain, in each image one walk along its L1 and L2 tables.
 * No I/O but for slices that are not cached; what the extents hold is the reader's.
 *
 * A range that an image has not is looked up in the next one, never longer than the first
 * image left it, so the layers need not agree on cluster size or version.
 */

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <qcow/report.h>

#include "layer/readahead.h"
#include "layer/cache.h"
#include "layer/image.h"
#include "inject.h"
#include "layer/map.h"
#include "message.h"
#include "store/store.h"

/**
 * struct walk - where a mapping is on its way down the chain
 * @image: the layer at hand
 * @len: bytes that the layers above have not, from the guest byte that was asked for
 * @held: a slice that has been loaded for this walk: it may not be in the cache
 * @miss_idx: after -EAGAIN, the slice of @image that is needed
 * @miss_host: where it is
 */
struct walk {
	struct qcow_image *image;
	u64 len;
	const struct qcow_slice *held;
	u64 miss_idx;
	u64 miss_host;
};

static void set_extent(struct qcow_extent *ext, enum qcow_extent_kind kind, u64 len)
{
	*ext = (struct qcow_extent) { .kind = kind, .len = len };
}

/* The slice in memory; under rcu_read_lock(). */
static __always_inline const struct qcow_slice *map_find_slice(const struct walk *w, u64 idx)
{
	const struct qcow_slice *held = w->held;
	struct qcow_slice *slice;

	if (unlikely(held) && held->tables == &w->image->l2 && held->idx == idx)
		return held;
	slice = qcow_cache_lookup(&w->image->l2, idx);
	if (slice && unlikely(READ_ONCE(slice->readahead))) {
		WRITE_ONCE(slice->readahead, false);
		qcow_readahead_hit(w->image, idx);
	}
	return slice;
}

/* Bytes from @guest to the end of the aligned 1 << @bits that it lies in. */
static u64 left_of(u64 guest, u32 bits)
{
	return BIT_ULL(bits) - (guest & (BIT_ULL(bits) - 1));
}

int qcow_slice_map(const struct qcow_geometry *g, const struct qcow_slice *slice, u64 guest,
		   u64 max, struct qcow_extent *ext, struct qcow_flaw *flaw)
{
	u64 in_slice = guest - qcow_slice_guest(g, slice->idx);
	unsigned int seq;
	int err;

	if (likely(!g->extended_l2))
		return qcow_l2_map(g, slice->entries, in_slice, max, ext, flaw);
	do {
		seq = read_seqcount_begin(&slice->seq);
		err = qcow_l2_map(g, slice->entries, in_slice, max, ext, flaw);
	} while (read_seqcount_retry(&slice->seq, seq));
	return err;
}

/*
 * One stretch of a QCOW image that a single L1 entry or a single slice decides. @guest is
 * below the image's size, @max does not lead beyond it. An entry with a flaw: its stretch is
 * @ext->len.
 */
static __always_inline int map_stretch(struct walk *w, u64 guest, u64 max,
				       struct qcow_extent *ext, struct qcow_flaw *flaw)
{
	const struct qcow_image *image = w->image;
	const struct qcow_geometry *g = &image->geo;
	u64 idx = qcow_slice_idx(g, guest);
	u64 l1_idx = qcow_slice_l1_idx(g, idx);
	const struct qcow_slice *slice;
	u64 entry, table;
	int err;

	if (!qcow_image_l1_entry(image, l1_idx, &entry)) {
		set_extent(ext, QCOW_EXTENT_HOLE, max);
		return 0;
	}
	err = qcow_l1_decode(g, entry, &table, flaw);
	if (err || !table) {
		set_extent(ext, QCOW_EXTENT_HOLE,
			   min(max, left_of(guest, g->cluster_bits + g->l2_bits)));
		return err;
	}
	slice = map_find_slice(w, idx);
	if (unlikely(!slice)) {
		w->miss_idx = idx;
		w->miss_host = table + qcow_slice_in_table(g, idx);
		return -EAGAIN;
	}
	err = qcow_slice_map(g, slice, guest, max, ext, flaw);
	if (unlikely(err))
		ext->len = min(max, left_of(guest, g->cluster_bits));
	return err;
}

/*
 * Hold a DATA extent against the end of the file it lies in: it ends with the last cluster
 * that begins inside. Version 1 has clusters at any offset, so they are counted from the
 * one at hand. The file may have grown a moment ago, but before the entry was set.
 *
 * Return: 0, or -EUCLEAN: the first cluster begins beyond the end, and @ext ends with it.
 */
static int map_clip_to_data(const struct qcow_image *image, u64 guest, struct qcow_extent *ext)
{
	u64 cluster_bytes = qcow_cluster_bytes(&image->geo);
	u64 in_cluster = guest & (cluster_bytes - 1);
	u64 bytes, first, end;

	/* Pairs with that of raw_write_seqcount_begin() in qcow_writeback_begin(). */
	smp_rmb();
	bytes = READ_ONCE(image->data->bytes);
	if (likely(ext->host + ext->len <= bytes))
		return 0;
	first = ext->host - min(in_cluster, ext->host);
	if (first < bytes) {
		end = first + round_up(bytes - first, cluster_bytes);
		ext->len = min(ext->len, end - ext->host);
		return 0;
	}
	if (qcow_image_raw_data(image)) {
		/* What is encrypted is not zeros there, as in a hole that a longer file has. */
		if (!image->crypt)
			set_extent(ext, QCOW_EXTENT_ZERO, ext->len);
		return 0;
	}
	qcow_message_flaw(image, &(struct qcow_flaw) {
		.table = "L2 entry of guest offset",
		.entry = guest - in_cluster,
		.what = "data cluster beyond the end of the file",
		.value = first,
	});
	ext->len = min(ext->len, cluster_bytes - in_cluster);
	return -EUCLEAN;
}

/* The extent at @guest in a QCOW image: stretches, merged as far as they continue each other. */
static __always_inline int map_image(struct walk *w, u64 guest, u64 max, struct qcow_extent *ext)
{
	struct qcow_extent next;
	struct qcow_flaw flaw;
	int err;

	err = map_stretch(w, guest, max, ext, &flaw);
	if (unlikely(err)) {
		if (err == -EUCLEAN)
			qcow_message_flaw(w->image, &flaw);
		return err;
	}
	while (unlikely(ext->len < max) && ext->kind != QCOW_EXTENT_COMPRESSED) {
		/* What is not in memory or corrupt only ends the extent here. */
		if (map_stretch(w, guest + ext->len, max - ext->len, &next, &flaw) ||
		    !qcow_extent_continues(ext, &next))
			break;
		ext->len += next.len;
	}
	return 0;
}

/*
 * Go down the chain until a layer has @guest. Under rcu_read_lock(). After -EAGAIN, goes
 * on where it was when the missing slice is in the cache or held.
 */
static __always_inline int map_chain(struct walk *w, u64 guest, struct qcow_mapping *map)
{
	struct qcow_extent *ext = &map->ext;
	int err;

	for (; w->image; w->image = w->image->backing) {
		u64 size = READ_ONCE(w->image->size);
		u64 max;

		if (guest >= size)
			break;
		max = min(w->len, size - guest);
		if (w->image->raw) {
			*ext = (struct qcow_extent) {
				.kind = QCOW_EXTENT_DATA, .allocated = true,
				.len = max, .host = guest,
			};
		} else {
			err = map_image(w, guest, max, ext);
			if (err)
				return err;
			/* What a file does not hold reads as zeros. */
			if (ext->kind == QCOW_EXTENT_DATA &&
			    unlikely(map_clip_to_data(w->image, guest, ext)))
				set_extent(ext, QCOW_EXTENT_ZERO, ext->len);
		}
		if (ext->kind != QCOW_EXTENT_HOLE) {
			map->image = w->image;
			return 0;
		}
		w->len = ext->len;
	}
	set_extent(ext, QCOW_EXTENT_ZERO, w->len);
	map->image = NULL;
	return 0;
}

int qcow_map_try(struct qcow_image *top, u64 guest, u64 len, struct qcow_mapping *map)
{
	struct walk w = { .image = top, .len = len };
	int err;

	if (qcow_inject(QCOW_INJECT_MISS))
		return -EAGAIN;
	rcu_read_lock();
	err = map_chain(&w, guest, map);
	rcu_read_unlock();
	return err;
}

/* The active image alone, to write to it. Under rcu_read_lock(). */
static int map_top(struct walk *w, u64 guest, u64 len, struct qcow_extent *ext)
{
	int err = map_image(w, guest, len, ext);

	if (!err && ext->kind == QCOW_EXTENT_DATA)
		err = map_clip_to_data(w->image, guest, ext);
	return err;
}

int qcow_map_top_try(struct qcow_image *top, u64 guest, u64 len, struct qcow_extent *ext)
{
	struct walk w = { .image = top, .len = len };
	int err;

	if (qcow_inject(QCOW_INJECT_MISS))
		return -EAGAIN;
	rcu_read_lock();
	err = map_top(&w, guest, len, ext);
	rcu_read_unlock();
	return err;
}

/* How much of what is wanted needs the slice that @w misses. */
static u64 miss_len(const struct walk *w, u64 guest)
{
	return min3(w->len, READ_ONCE(w->image->size) - guest,
		    qcow_slice_guest(&w->image->geo, w->miss_idx + 1) - guest);
}

/* The slice that @w misses. */
static int map_load_miss(const struct walk *w, struct qcow_waiter *waiter,
			 struct qcow_slice **slice)
{
	int err = qcow_cache_load(w->image->cache, &w->image->l2, w->miss_idx, waiter, slice);

	if (!err)
		qcow_readahead_miss(w->image, w->miss_idx);
	if (!err || err == -EINPROGRESS)
		return err;
	if (err == -ENODATA) {
		qcow_message(w->image, "L2 table slice at 0x%llx: beyond the end of the file",
			     w->miss_host);
		return -EUCLEAN;
	}
	qcow_message(w->image, "L2 table slice at 0x%llx: cannot be read: error %d",
		     w->miss_host, err);
	return err;
}

int qcow_map_wait(struct qcow_image *top, u64 guest, u64 len, struct qcow_waiter *waiter,
		  struct qcow_mapping *map)
{
	struct walk w = { .image = top, .len = len };
	struct qcow_slice *held = NULL;
	int err;

	for (;;) {
		rcu_read_lock();
		err = map_chain(&w, guest, map);
		rcu_read_unlock();
		if (held) {
			/* Its layer is done with: all that is missing now lies further down. */
			qcow_slice_put(held->cached.cache, held);
			held = NULL;
			w.held = NULL;
		}
		if (err != -EAGAIN)
			return err;
		err = map_load_miss(&w, waiter, &held);
		if (err) {
			map->ext.len = miss_len(&w, guest);
			return err;
		}
		w.held = held;
	}
}

int qcow_map_top_wait(struct qcow_image *top, u64 guest, u64 len, struct qcow_waiter *waiter,
		      struct qcow_extent *ext)
{
	struct walk w = { .image = top, .len = len };
	struct qcow_slice *held = NULL;
	int err;

	for (;;) {
		rcu_read_lock();
		err = map_top(&w, guest, len, ext);
		rcu_read_unlock();
		if (held)
			qcow_slice_put(top->cache, held);
		if (err != -EAGAIN)
			return err;
		err = map_load_miss(&w, waiter, &held);
		if (err)
			return err;
		w.held = held;
	}
}
