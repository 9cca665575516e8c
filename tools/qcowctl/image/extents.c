// SPDX-License-Identifier: GPL-2.0
/*
 * Walks over the mapping of a chain. Reads tables a slice at a time and no data; an
 * unallocated L2 table costs one comparison, so that empty images of any size are quick.
 */
#include <errno.h>
#include <unistd.h>

#include <qcow/l2.h>
#include <qcow/refcount.h>

#include "image/image.h"

#define NO_SLICE U64_MAX

/* L1 tables have up to 256 MiB, and a chain has many: only a window of each is in memory. */
#define WINDOW_ENTRIES 8192U
#define NO_WINDOW U32_MAX

/* A corrupt image can have a fault in every entry: messages tell of the first ones only. */
#define MAX_MESSAGES 20

/**
 * struct layer_map - mapping of one layer
 * @img: the layer
 * @size: guest bytes of the layer
 * @g: geometry, unless raw
 * @holes: the file may have holes where clusters are
 * @l1: part of the L1 table, as read
 * @l1_first: its first entry, NO_WINDOW: none read
 * @l1_err: it could not be read: -errno
 * @slice: the slice read last
 * @slice_idx: its index, NO_SLICE: none read
 * @slice_err: it could not be read: -errno
 */
struct layer_map {
	const struct image *img;
	u64 size;
	struct qcow_geometry g;
	bool holes;
	__be64 *l1;
	u32 l1_first;
	int l1_err;
	__be64 *slice;
	u64 slice_idx;
	int slice_err;
};

/**
 * struct extents - a walk
 * @layers: of the chain
 * @nr: how many
 * @pos: next guest byte
 * @err: exit code of the first damage, 0: none so far
 * @damaged: how many ranges were damaged
 */
struct extents {
	struct layer_map *layers;
	u32 nr;
	u64 pos;
	int err;
	u64 damaged;
};

/* Whether at least @least of the first @end clusters have a count; what cannot be read has none. */
static bool are_in_use(const struct image *img, u64 end, u64 least)
{
	const struct qcow_header *h = &img->h;
	u64 per_block = BIT_ULL(qcow_refcount_block_bits(h->cluster_bits, h->refcount_order));
	u64 entries = (u64)h->refcount_table_clusters << (h->cluster_bits - 3);
	size_t bytes = (size_t)1 << h->cluster_bits;
	void *block = qc_alloc(bytes);
	u64 used = 0, idx, i;
	__be64 entry;

	for (idx = 0; used < least && idx < min(entries, DIV_ROUND_UP_ULL(end, per_block)); idx++) {
		u64 left = end - idx * per_block, host;

		if (image_pread_padded(img, &entry, sizeof(entry),
				       h->refcount_table_offset + idx * sizeof(entry)))
			break;
		host = be64_to_cpu(entry) & QCOW_REFCOUNT_TABLE_OFFSET;
		if (!host || image_pread_padded(img, block, bytes, host))
			continue;
		for (i = 0; i < min(per_block, left); i++)
			used += !!qcow_refcount_get(block, h->refcount_order, i);
	}
	free(block);
	return used >= least;
}

/*
 * As in QEMU, data is looked for only in a file with less space than clusters in use, as after
 * preallocation of metadata: most files have none but small holes, and each costs system calls.
 * This is no more than a guess, and all that counts are used for in reading.
 */
static bool has_holes(const struct image *img)
{
	u64 end = DIV_ROUND_UP_ULL(img->bytes, 1ULL << img->h.cluster_bits);
	u64 there = img->st.st_blocks * 512ULL >> img->h.cluster_bits;
	u64 least = max(there * 10 / 9, there + 2);

	if (img->h.version == 1 || img->h.incompatible & QCOW_INCOMPAT_DATA_FILE)
		return false;
	return end >= least && are_in_use(img, end, least);
}

static void layer_open(struct layer_map *map, const struct image *img)
{
	map->img = img;
	map->slice_idx = NO_SLICE;
	map->l1_first = NO_WINDOW;
	if (img->raw) {
		map->size = round_up(img->bytes, 512ULL);
		return;
	}
	qcow_header_geometry(&img->h, S64_MAX, &map->g);
	map->size = map->g.size;
	map->holes = has_holes(img);
	map->slice = qc_alloc(qcow_slice_bytes(&map->g));
	map->l1 = qc_alloc(WINDOW_ENTRIES * sizeof(*map->l1));
}

struct extents *extents_open(const struct chain *chain)
{
	struct extents *ext = qc_alloc(sizeof(*ext));
	u32 i;

	ext->layers = qc_alloc(chain->nr * sizeof(*ext->layers));
	ext->nr = chain->nr;
	for (i = 0; i < chain->nr; i++)
		layer_open(&ext->layers[i], &chain->images[i]);
	return ext;
}

void extents_seek(struct extents *ext, u64 guest)
{
	ext->pos = min(guest, ext->layers[0].size);
}

void extents_close(struct extents *ext)
{
	u32 i;

	if (!ext)
		return;
	for (i = 0; i < ext->nr; i++) {
		free(ext->layers[i].l1);
		free(ext->layers[i].slice);
	}
	free(ext->layers);
	free(ext);
}

/* Whether the file has a hole at @host. What is alike from there on limits @len. */
static bool is_hole(const struct image *img, u64 host, u64 *len)
{
	off_t data = lseek(img->fd, host, SEEK_DATA), hole;

	/* ENXIO: a hole up to the end. Other errors: the file system cannot tell. */
	if (data < 0)
		return errno == ENXIO;
	if ((u64)data > host) {
		*len = min(*len, (u64)data - host);
		return true;
	}
	hole = lseek(img->fd, host, SEEK_HOLE);
	/* At the end of the file there is a hole, too; the rest of the last sector is data. */
	if (hole > 0 && (u64)hole > host && (u64)hole < img->bytes)
		*len = min(*len, (u64)hole - host);
	return false;
}

/* A hole of a raw file is a zero extent: the layer below is not asked. */
static void raw_extent(const struct layer_map *map, u64 guest, u64 max, struct qcow_extent *e)
{
	*e = (struct qcow_extent){ .kind = QCOW_EXTENT_DATA, .allocated = true, .host = guest,
				   .len = min(max, map->size - guest) };
	if (is_hole(map->img, guest, &e->len))
		e->kind = QCOW_EXTENT_ZERO;
}

/* Bytes from @guest to the end of the aligned 1 << @bits that it lies in, but for the last ones. */
static u64 left_of(u64 guest, unsigned int bits, u64 max)
{
	return min(max, BIT_ULL(bits) - (guest & (BIT_ULL(bits) - 1)));
}

static unsigned int l1_shift(const struct layer_map *map)
{
	return map->g.cluster_bits + map->g.l2_bits;
}

/* One L1 entry, CPU order; 0 behind the end of the table. Return: 0 or -errno. */
static int l1_entry(struct layer_map *map, u64 idx, u64 *entry)
{
	u32 first = idx / WINDOW_ENTRIES * WINDOW_ENTRIES;
	u32 nr;

	*entry = 0;
	if (idx >= map->img->h.l1_entries)
		return 0;
	if (map->l1_first != first) {
		nr = min(map->img->h.l1_entries - first, WINDOW_ENTRIES);
		map->l1_err = image_pread_padded(map->img, map->l1, nr * sizeof(*map->l1),
						 map->img->h.l1_offset +
						 (u64)first * sizeof(*map->l1));
		map->l1_first = first;
	}
	*entry = be64_to_cpu(map->l1[idx - first]);
	return map->l1_err;
}

/* The hole from @guest to the next range with an L2 table. */
static void absent_extent(struct layer_map *map, u64 guest, u64 max, struct qcow_extent *e)
{
	u64 idx = guest >> l1_shift(map), entry;

	/* @max ends inside the image, so the shift does not overflow. */
	do {
		idx++;
	} while ((idx << l1_shift(map)) - guest < max && !l1_entry(map, idx, &entry) && !entry);
	*e = (struct qcow_extent){ .kind = QCOW_EXTENT_HOLE };
	e->len = min(max, (idx << l1_shift(map)) - guest);
}

static int read_slice(struct layer_map *map, u64 slice_idx, u64 table)
{
	if (map->slice_idx != slice_idx) {
		map->slice_err = image_pread_padded(map->img, map->slice, qcow_slice_bytes(&map->g),
						    table +
						    qcow_slice_in_table(&map->g, slice_idx));
		map->slice_idx = slice_idx;
	}
	return map->slice_err;
}

static void note_damage(struct extents *ext, int code)
{
	if (!ext->err)
		ext->err = code;
	ext->damaged++;
}

static void note_flaw(struct extents *ext, const struct layer_map *map, u64 guest,
		      const struct qcow_flaw *flaw)
{
	note_damage(ext, QC_BAD_IMAGE);
	if (ext->damaged <= MAX_MESSAGES)
		qc_fail(0, map->img->name, "guest offset %llu: %s 0x%llx: %s 0x%llx", guest,
			flaw->table, flaw->entry, flaw->what, flaw->value);
}

static void note_unreadable(struct extents *ext, const struct layer_map *map, u64 guest,
			    const char *table, int err)
{
	note_damage(ext, image_exit_code(err));
	if (ext->damaged <= MAX_MESSAGES)
		qc_fail_errno(0, -err, map->img->name, "guest offset %llu: cannot read the %s",
			      guest, table);
}

/* Return: false after a message, with all that is lost by one damage in @e->len. */
static bool qcow_extent(struct extents *ext, struct layer_map *map, u64 guest, u64 max,
			struct qcow_extent *e)
{
	u64 slice_idx = qcow_slice_idx(&map->g, guest);
	struct qcow_flaw flaw;
	u64 entry, table;
	int err;

	max = min(max, map->size - guest);
	err = l1_entry(map, qcow_slice_l1_idx(&map->g, slice_idx), &entry);
	e->len = left_of(guest, l1_shift(map), max);
	if (err) {
		note_unreadable(ext, map, guest, "L1 table", err);
		return false;
	}
	if (qcow_l1_decode(&map->g, entry, &table, &flaw)) {
		note_flaw(ext, map, guest, &flaw);
		return false;
	}
	if (!table) {
		absent_extent(map, guest, max, e);
		return true;
	}
	err = read_slice(map, slice_idx, table);
	if (err) {
		e->len = left_of(guest, map->g.cluster_bits + map->g.slice_bits, max);
		note_unreadable(ext, map, guest, "L2 table", err);
		return false;
	}
	if (qcow_l2_map(&map->g, map->slice, guest - qcow_slice_guest(&map->g, slice_idx), max, e,
			&flaw)) {
		e->len = left_of(guest, map->g.cluster_bits, max);
		note_flaw(ext, map, guest, &flaw);
		return false;
	}
	return true;
}

static bool reads_as_zeros(const struct layer_map *map, struct qcow_extent *e)
{
	if (e->kind == QCOW_EXTENT_DATA)
		return map->holes && is_hole(map->img, e->host, &e->len);
	return e->kind != QCOW_EXTENT_COMPRESSED;
}

/* The topmost layer without a hole, or the lowest one that reaches so far. */
bool extents_next(struct extents *ext, struct guest_range *range, int *err)
{
	u64 left = ext->layers[0].size - ext->pos;
	struct qcow_extent e = { 0 };
	struct layer_map *map;
	bool good = true;
	u32 depth = 0;

	*err = ext->err;
	if (!left) {
		if (ext->damaged > MAX_MESSAGES)
			qc_fail(0, ext->layers[0].img->name, "%llu more damaged ranges",
				ext->damaged - MAX_MESSAGES);
		return false;
	}
	for (;; depth++) {
		map = &ext->layers[depth];
		if (map->img->raw)
			raw_extent(map, ext->pos, left, &e);
		else
			good = qcow_extent(ext, map, ext->pos, left, &e);
		left = e.len;
		if (!good || e.kind != QCOW_EXTENT_HOLE || depth + 1 == ext->nr ||
		    ext->pos >= ext->layers[depth + 1].size)
			break;
	}
	*range = (struct guest_range){ .guest_start = ext->pos, .depth = depth };
	if (good) {
		range->kind = e.kind;
		range->present = e.kind != QCOW_EXTENT_HOLE;
		range->zero = reads_as_zeros(map, &e);
		range->has_offset = e.allocated && e.kind != QCOW_EXTENT_COMPRESSED;
		range->host_offset = e.host;
		range->compressed_len = e.compressed_len;
	} else {
		range->damaged = true;
		range->present = true;
	}
	range->len = e.len;
	ext->pos += e.len;
	*err = ext->err;
	return true;
}

bool extents_merge(struct guest_range *range, const struct guest_range *next)
{
	if (range->guest_start + range->len != next->guest_start ||
	    range->depth != next->depth || range->kind != next->kind ||
	    range->present != next->present || range->zero != next->zero ||
	    range->damaged != next->damaged || range->has_offset != next->has_offset)
		return false;
	if (range->has_offset && range->host_offset + range->len != next->host_offset)
		return false;
	range->len += next->len;
	return true;
}
