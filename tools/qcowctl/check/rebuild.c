// SPDX-License-Identifier: GPL-2.0
/*
 * Writes a new refcount structure in place of one that is broken. The new table and blocks
 * are allocated behind all clusters in use; when they are durable, twelve bytes of the
 * header, in one sector, are written to refer to them. Until then the image is unchanged.
 */
#include <errno.h>
#include <sys/stat.h>

#include "check/internal.h"

/**
 * struct plan - where the new structure is allocated
 * @first: its first cluster; the table, then the blocks
 * @table_clusters: of the table
 * @blocks: those with a count that is not 0
 */
struct plan {
	u64 first;
	u64 table_clusters;
	u64 blocks;
};

static bool block_has_counts(const struct check *c, u64 idx)
{
	const unsigned char *block = c->refs.raw + (idx << c->g.cluster_bits);

	if (idx >= c->refs.nr_blocks || !c->refs.used[idx])
		return false;
	return !qc_is_zero(block, check_cluster_bytes(c));
}

/* The new structure counts itself: a fixed point, as in span_plan(). */
static void make_plan(const struct check *c, u64 first, struct plan *plan)
{
	u64 old = 0, last_old = 0, i, from, to, blocks, table;

	for (i = 0; i < c->refs.nr_blocks; i++) {
		if (i >= first >> c->block_bits || !block_has_counts(c, i))
			continue;
		old++;
		last_old = i;
	}
	*plan = (struct plan){ .first = first, .table_clusters = 1 };
	for (;;) {
		from = first >> c->block_bits;
		to = (first + plan->table_clusters + plan->blocks - 1) >> c->block_bits;
		blocks = old + to - from + 1;
		table = DIV_ROUND_UP_ULL((max(to, last_old) + 1) * sizeof(__be64),
					 check_cluster_bytes(c));
		if (blocks == plan->blocks && table == plan->table_clusters)
			return;
		plan->blocks = blocks;
		plan->table_clusters = table;
	}
}

static u64 plan_end(const struct plan *plan)
{
	return plan->first + plan->table_clusters + plan->blocks;
}

/* A file is extended; a block device may have no room behind the last cluster. */
static int find_room(struct check *c, struct plan *plan)
{
	u64 clusters = c->img->bytes >> c->g.cluster_bits;
	bool file = S_ISREG(c->img->st.st_mode);

	if (file) {
		make_plan(c, c->clusters, plan);
	} else {
		make_plan(c, check_last_used(c, true) + 1, plan);
		if (plan_end(plan) > clusters)
			make_plan(c, check_last_used(c, false) + 1, plan);
	}
	if ((file || plan_end(plan) <= clusters) &&
	    plan->table_clusters << c->g.cluster_bits <= QCOW_MAX_REFCOUNT_TABLE_BYTES)
		return 0;
	check_error(c, -ENOSPC, "no room for %llu new refcount blocks", plan->blocks);
	return -ENOSPC;
}

static int write_blocks(struct check *c, const struct plan *plan, __be64 *table)
{
	u64 next = plan->first + plan->table_clusters, i;
	int err = 0;

	for (i = 0; !err && i < c->refs.nr_blocks; i++) {
		if (!block_has_counts(c, i))
			continue;
		table[i] = cpu_to_be64(qcow_refcount_table_encode(next << c->g.cluster_bits));
		err = check_write(c, c->refs.raw + (i << c->g.cluster_bits),
				  check_cluster_bytes(c), next << c->g.cluster_bits);
		next++;
	}
	return err;
}

/* The write after which the new structure is the image's. */
static int switch_over(struct check *c, const struct plan *plan)
{
	struct {
		__be64 offset;
		__be32 clusters;
	} __packed place = {
		.offset = cpu_to_be64(plan->first << c->g.cluster_bits),
		.clusters = cpu_to_be32((u32)plan->table_clusters),
	};
	int err;

	static_assert(offsetof(struct qcow_disk_header, refcount_table_clusters) ==
		      offsetof(struct qcow_disk_header, refcount_table_offset) +
		      sizeof(place.offset));
	err = check_sync(c);
	if (!err)
		err = check_write(c, &place, sizeof(place),
				  offsetof(struct qcow_disk_header, refcount_table_offset));
	return err ? err : check_sync(c);
}

int check_rebuild(struct check *c)
{
	struct plan plan;
	__be64 *table;
	u64 i, bytes;
	int err;

	check_message(c, "rebuilding the refcount structure");
	err = check_run_references(c);
	if (!err)
		err = find_room(c, &plan);
	if (!err)
		err = check_counts_grow(c, &c->refs, plan_end(&plan));
	if (err)
		return err;
	for (i = plan.first; i < plan_end(&plan); i++)
		check_counts_set(c, &c->refs, i, 1);

	bytes = plan.table_clusters << c->g.cluster_bits;
	table = check_alloc(bytes, 1);
	err = write_blocks(c, &plan, table);
	if (!err)
		err = check_write(c, table, bytes, plan.first << c->g.cluster_bits);
	free(table);
	return err ? err : switch_over(c, &plan);
}
