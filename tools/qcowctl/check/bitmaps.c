// SPDX-License-Identifier: GPL-2.0
/*
 * Persistent bitmaps: directory, tables, the clusters of bits, which are not read. A program
 * that does not know bitmaps clears their autoclear bit: from then on nothing refers to these
 * clusters, and they are leaked.
 */
#include <errno.h>

#include "check/internal.h"

#define PIECE_ENTRIES	(128U << 10)

static void damaged(struct check *c, const char *what, u64 value)
{
	check_corrupt(c, 1, "%s 0x%llx", what, value);
	c->res.lost++;
}

static void count_entry(struct check *c, u64 entry)
{
	u64 host = entry & QCOW_BITMAP_TABLE_OFFSET;

	if (entry & QCOW_BITMAP_TABLE_RESERVED || (host && entry & QCOW_BITMAP_TABLE_ONES) ||
	    !IS_ALIGNED(host, check_cluster_bytes(c)))
		damaged(c, "bitmap table entry with wrong bits:", entry);
	else if (host)
		check_count_range(c, host, check_cluster_bytes(c), 1);
}

static void count_table(struct check *c, u64 host, u32 entries)
{
	u32 done, nr, i;
	__be64 *piece;

	if (!check_count_meta(c, "bitmap table", host, (u64)entries * sizeof(*piece))) {
		c->res.lost++;
		return;
	}
	piece = check_alloc(min(entries, PIECE_ENTRIES), sizeof(*piece));
	for (done = 0; done < entries; done += nr) {
		nr = min(entries - done, PIECE_ENTRIES);
		if (check_read(c, piece, nr * sizeof(*piece), host + (u64)done * sizeof(*piece)))
			break;
		for (i = 0; i < nr; i++)
			count_entry(c, be64_to_cpu(piece[i]));
	}
	free(piece);
}

static void count_directory(struct check *c, const unsigned char *dir, u64 len, u32 nr)
{
	u64 at = 0, bytes, tables = 0, host, table_bytes;
	struct qcow_disk_bitmap e;

	for (; nr; nr--, at += bytes) {
		if (len - at < sizeof(e))
			return damaged(c, "bitmap directory is too short for entry at", at);
		memcpy(&e, dir + at, sizeof(e));
		bytes = round_up(sizeof(e) + (u64)be32_to_cpu(e.extra_len) +
				 be16_to_cpu(e.name_len), 8ULL);
		if (bytes > len - at)
			return damaged(c, "bitmap directory is too short for entry at", at);
		host = be64_to_cpu(e.table_offset);
		table_bytes = be32_to_cpu(e.table_entries) * sizeof(__be64);
		/* Tables that together are longer than the file overlap. */
		tables += table_bytes;
		if (!host || !IS_ALIGNED(host, check_cluster_bytes(c)) ||
		    tables > c->img->bytes + check_cluster_bytes(c))
			damaged(c, "bitmap table in a wrong place:", host);
		else
			count_table(c, host, be32_to_cpu(e.table_entries));
	}
}

void check_bitmaps(struct check *c)
{
	unsigned char *dir;
	struct qcow_disk_bitmaps b;
	struct qcow_ext ext;
	u64 host, bytes;

	if (!(c->img->h.autoclear & QCOW_AUTOCLEAR_BITMAPS) ||
	    !image_find_ext(c->img, QCOW_EXT_BITMAPS, &ext) || ext.len < sizeof(b))
		return;
	memcpy(&b, ext.data, sizeof(b));
	if (!b.nr)
		return;
	host = be64_to_cpu(b.dir_offset);
	bytes = be64_to_cpu(b.dir_bytes);
	if (be32_to_cpu(b.nr) > QCOW_MAX_BITMAPS || bytes > QCOW_MAX_BITMAP_DIR_BYTES ||
	    !IS_ALIGNED(host, check_cluster_bytes(c)))
		return damaged(c, "bitmap directory that cannot be one at", host);
	if (!check_count_meta(c, "bitmap directory", host, bytes))
		return;
	dir = check_alloc(bytes, 1);
	if (!check_read(c, dir, bytes, host))
		count_directory(c, dir, bytes, be32_to_cpu(b.nr));
	free(dir);
}
