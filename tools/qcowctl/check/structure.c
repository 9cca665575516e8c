// SPDX-License-Identifier: GPL-2.0
/*
 * The refcount table and blocks of the image: loads the counts, and checks the offsets of
 * table and blocks. Does not compare counts (compare.c) nor write them (repair.c, rebuild.c).
 */
#include <errno.h>

#include "check/internal.h"

u64 check_block_offset(const struct check *c, u64 idx)
{
	u64 host = c->table[idx] & QCOW_REFCOUNT_TABLE_OFFSET;

	/* No block can be at an unaligned offset: its counts are 0 for the run. */
	return IS_ALIGNED(host, check_cluster_bytes(c)) ? host : 0;
}

static int load_table(struct check *c)
{
	u64 bytes = (u64)c->img->h.refcount_table_clusters << c->g.cluster_bits;
	u32 i;
	int err;

	c->table_entries = bytes / sizeof(*c->table);
	c->table = check_alloc(c->table_entries, sizeof(*c->table));
	if (c->table_flaw)
		return 0;
	err = check_read(c, c->table, bytes, c->img->h.refcount_table_offset);
	for (i = 0; i < c->table_entries; i++)
		c->table[i] = be64_to_cpu(c->table[i]);
	return err;
}

int check_structure_load(struct check *c)
{
	u64 i, host;
	int err = load_table(c);

	for (i = 0; !err && i < min_t(u64, c->table_entries, c->disk.nr_blocks); i++) {
		host = check_block_offset(c, i);
		if (!host)
			continue;
		c->disk.used[i] = 1;
		err = check_read(c, c->disk.raw + (i << c->g.cluster_bits),
				 check_cluster_bytes(c), host);
		progress_step(&c->progress, i + 1, c->disk.nr_blocks);
	}
	return err;
}

u64 check_disk_count(struct check *c, u64 cluster_idx)
{
	u64 idx = cluster_idx >> c->block_bits;

	if (idx < c->disk.nr_blocks)
		return check_counts_get(c, &c->disk, cluster_idx);
	if (idx >= c->table_entries || !check_block_offset(c, idx))
		return 0;
	if (c->far_idx != idx) {
		if (!c->far_block)
			c->far_block = check_alloc(1, check_cluster_bytes(c));
		if (check_read(c, c->far_block, check_cluster_bytes(c), check_block_offset(c, idx)))
			return 0;
		c->far_idx = idx;
	}
	return qcow_refcount_get(c->far_block, c->order,
				 qcow_refcount_in_block(c->g.cluster_bits, c->order, cluster_idx));
}

static void broken(struct check *c, u64 idx, const char *what)
{
	check_corrupt(c, 1, "refcount table entry %llu: 0x%llx: %s", idx, c->table[idx], what);
	c->rebuild = true;
}

static void count_block(struct check *c, u64 idx)
{
	u64 host = c->table[idx] & QCOW_REFCOUNT_TABLE_OFFSET;
	u64 refs;

	if (c->table[idx] & QCOW_REFCOUNT_TABLE_RESERVED)
		return broken(c, idx, "reserved bits are set");
	if (!IS_ALIGNED(host, check_cluster_bytes(c)))
		return broken(c, idx, "the refcount block is not at a cluster border");
	if (!host)
		return;
	if (host >= c->img->bytes)
		return broken(c, idx, "the refcount block is beyond the end of the file");
	check_count_meta(c, "refcount block", host, check_cluster_bytes(c));
	refs = check_counts_get(c, &c->refs, host >> c->g.cluster_bits);
	if (refs != 1)
		broken(c, idx, "the refcount block is over something else");
	else if (!check_counts_once(c, host >> c->g.cluster_bits))
		c->rebuild = true;
}

void check_structure_count(struct check *c)
{
	u64 host = c->img->h.refcount_table_offset;
	u64 beyond = c->beyond, i;

	if (c->skip_structure)
		return;
	if (c->table_flaw) {
		check_corrupt(c, 1, "refcount table: %s", c->table_flaw);
		c->rebuild = true;
		return;
	}
	if (!check_count_meta(c, "refcount table", host, c->table_entries * sizeof(*c->table))) {
		c->rebuild = true;
		/* The new one is elsewhere. */
		c->beyond = beyond;
	}
	for (i = 0; i < c->table_entries; i++)
		count_block(c, i);
	for (i = 0; i < c->img->h.refcount_table_clusters; i++)
		if (!check_counts_once(c, (host >> c->g.cluster_bits) + i))
			c->rebuild = true;
}
