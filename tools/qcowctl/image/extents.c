// SPDX-License-Identifier: GPL-2.0
/*
 * Walks over the mapping of a chain. Reads tables a slice at a time and no data; an
 * unallocated L2 table costs one comparison, so that empty images of any size are quick.
 */
#include <errno.h>
#include <unistd.h>

#include <qcow/l2.h>

#include "image/image.h"

#define NO_SLICE U64_MAX

/* L1 tables have up to 256 MiB, and a chain has many: only a window of each is in memory. */
#define WINDOW_ENTRIES 8192U
#define NO_WINDOW U32_MAX

/**
 * struct layer_map - mapping of one layer
 * @img: the layer
 * @size: guest bytes of the layer
 * @g: geometry, unless raw
 * @l1: part of the L1 table, as read
 * @l1_first: its first entry, NO_WINDOW: none read
 * @slice: the slice read last
 * @slice_idx: its index, NO_SLICE: none read
 */
struct layer_map {
	const struct image *img;
	u64 size;
	struct qcow_geometry g;
	__be64 *l1;
	u32 l1_first;
	__be64 *slice;
	u64 slice_idx;
};

struct extents {
	struct layer_map *layers;
	u32 nr;
	u64 pos;
};

static void layer_open(struct layer_map *map, const struct image *img)
{
	map->img = img;
	map->slice_idx = NO_SLICE;
	map->l1_first = NO_WINDOW;
	if (img->raw) {
		map->size = round_up(img->bytes, 512ULL);
		return;
	}
	qcow_header_geometry(&img->h, img->bytes, &map->g);
	map->size = map->g.size;
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

/* A hole of a raw file is a zero extent: the layer below is not asked. */
static void raw_extent(const struct layer_map *map, u64 guest, u64 max, struct qcow_extent *e)
{
	off_t data, hole;

	*e = (struct qcow_extent){ .kind = QCOW_EXTENT_DATA, .allocated = true, .host = guest,
				   .len = min(max, map->size - guest) };
	data = lseek(map->img->fd, guest, SEEK_DATA);
	if (data < 0) {
		/* ENXIO: a hole up to the end. Other errors: the file system cannot tell. */
		if (errno == ENXIO)
			e->kind = QCOW_EXTENT_ZERO;
		return;
	}
	if ((u64)data > guest) {
		e->kind = QCOW_EXTENT_ZERO;
		e->len = min(e->len, (u64)data - guest);
		return;
	}
	hole = lseek(map->img->fd, guest, SEEK_HOLE);
	/* At the end of the file there is a hole, too; the rest of the last sector is data. */
	if (hole > 0 && (u64)hole > guest && (u64)hole < map->img->bytes)
		e->len = min(e->len, (u64)hole - guest);
}

static int fail_flaw(const struct layer_map *map, u64 guest, const struct qcow_flaw *flaw)
{
	return qc_fail(QC_BAD_IMAGE, map->img->name, "guest offset %llu: %s 0x%llx: %s 0x%llx",
		       guest, flaw->table, flaw->entry, flaw->what, flaw->value);
}

/* One L1 entry, CPU order; 0 behind the end of the table. */
static int l1_entry(struct layer_map *map, u64 idx, u64 *entry)
{
	u32 first = idx / WINDOW_ENTRIES * WINDOW_ENTRIES;
	u32 nr;
	int err;

	*entry = 0;
	if (idx >= map->img->h.l1_entries)
		return 0;
	if (map->l1_first != first) {
		map->l1_first = NO_WINDOW;
		nr = min(map->img->h.l1_entries - first, WINDOW_ENTRIES);
		err = image_pread(map->img->fd, map->l1, nr * sizeof(*map->l1),
				  map->img->h.l1_offset + (u64)first * sizeof(*map->l1));
		if (err)
			return qc_fail_errno(image_exit_code(err), -err, map->img->name,
					     "cannot read the L1 table");
		map->l1_first = first;
	}
	*entry = be64_to_cpu(map->l1[idx - first]);
	return 0;
}

/* The hole from @guest to the next range with an L2 table. */
static int absent_extent(struct layer_map *map, u64 guest, u64 max, struct qcow_extent *e)
{
	unsigned int shift = map->g.cluster_bits + map->g.l2_bits;
	u64 idx = guest >> shift, entry = 0;
	int err = 0;

	/* @max ends inside the image, so the shift does not overflow. */
	do {
		idx++;
		if ((idx << shift) - guest >= max)
			break;
		err = l1_entry(map, idx, &entry);
	} while (!err && !entry);
	*e = (struct qcow_extent){ .kind = QCOW_EXTENT_HOLE };
	e->len = min(max, (idx << shift) - guest);
	return err;
}

static int read_slice(struct layer_map *map, u64 slice_idx, u64 table)
{
	u64 at = table + qcow_slice_in_table(&map->g, slice_idx);
	int err;

	if (map->slice_idx == slice_idx)
		return 0;
	map->slice_idx = NO_SLICE;
	err = image_pread(map->img->fd, map->slice, qcow_slice_bytes(&map->g), at);
	if (err)
		return qc_fail_errno(image_exit_code(err), -err, map->img->name,
				     "cannot read the L2 table at 0x%llx", table);
	map->slice_idx = slice_idx;
	return 0;
}

static int qcow_extent(struct layer_map *map, u64 guest, u64 max, struct qcow_extent *e)
{
	u64 slice_idx = qcow_slice_idx(&map->g, guest);
	struct qcow_flaw flaw;
	u64 entry, table;
	int err;

	max = min(max, map->size - guest);
	err = l1_entry(map, qcow_slice_l1_idx(&map->g, slice_idx), &entry);
	if (err)
		return err;
	if (qcow_l1_decode(&map->g, entry, &table, &flaw))
		return fail_flaw(map, guest, &flaw);
	if (!table)
		return absent_extent(map, guest, max, e);
	err = read_slice(map, slice_idx, table);
	if (err)
		return err;
	if (qcow_l2_map(&map->g, map->slice, guest - qcow_slice_guest(&map->g, slice_idx), max, e,
			&flaw))
		return fail_flaw(map, guest, &flaw);
	return 0;
}

static int layer_extent(struct layer_map *map, u64 guest, u64 max, struct qcow_extent *e)
{
	if (!map->img->raw)
		return qcow_extent(map, guest, max, e);
	raw_extent(map, guest, max, e);
	return 0;
}

/* The topmost layer without a hole, or the lowest one that reaches so far. */
bool extents_next(struct extents *ext, struct guest_range *range, int *err)
{
	u64 left = ext->layers[0].size - ext->pos;
	struct qcow_extent e;
	u32 depth = 0;

	*err = 0;
	if (!left)
		return false;
	for (;; depth++) {
		*err = layer_extent(&ext->layers[depth], ext->pos, left, &e);
		if (*err)
			return false;
		left = e.len;
		if (e.kind != QCOW_EXTENT_HOLE || depth + 1 == ext->nr ||
		    ext->pos >= ext->layers[depth + 1].size)
			break;
	}
	*range = (struct guest_range){
		.guest_start = ext->pos,
		.len = left,
		.depth = depth,
		.kind = e.kind,
		.present = e.kind != QCOW_EXTENT_HOLE,
		.has_offset = e.allocated && e.kind != QCOW_EXTENT_COMPRESSED,
		.host_offset = e.host,
	};
	ext->pos += left;
	return true;
}

bool extents_merge(struct guest_range *range, const struct guest_range *next)
{
	if (range->guest_start + range->len != next->guest_start ||
	    range->depth != next->depth || range->kind != next->kind ||
	    range->present != next->present || range->has_offset != next->has_offset)
		return false;
	if (range->has_offset && range->host_offset + range->len != next->host_offset)
		return false;
	range->len += next->len;
	return true;
}
