// SPDX-License-Identifier: GPL-2.0
/*
 * One run over an image: count all references, compare them with the counts that the image
 * has. Writes nothing.
 */
#include <errno.h>

#include "check/internal.h"

static bool has_block(const struct check *c, u64 idx)
{
	return idx < c->table_entries && c->table[idx] & QCOW_REFCOUNT_TABLE_OFFSET;
}

static void compare_cluster(void *data, u64 idx, u64 disk, u64 refs)
{
	struct check *c = data;

	if (disk > refs) {
		c->res.leaks++;
		check_message(c, "cluster %llu: leaked: refcount %llu, %llu references", idx, disk,
			      refs);
		return;
	}
	if (!disk && !has_block(c, idx >> c->block_bits))
		c->rebuild = true;
	check_corrupt(c, 1, "cluster %llu: refcount %llu is too low, %llu references", idx, disk,
		      refs);
}

bool check_block_differs(const struct check *c, u64 idx)
{
	u64 bytes = check_cluster_bytes(c);

	return (c->refs.used[idx] || c->disk.used[idx]) &&
	       memcmp(c->refs.raw + idx * bytes, c->disk.raw + idx * bytes, bytes);
}

static void each_in_block(struct check *c, u64 block,
			  void (*func)(void *data, u64 idx, u64 disk, u64 refs), void *data)
{
	u64 end = min(c->clusters, (block + 1) << c->block_bits);
	u64 idx, disk, refs;

	for (idx = block << c->block_bits; idx < end; idx++) {
		disk = check_counts_get(c, &c->disk, idx);
		refs = check_counts_get(c, &c->refs, idx);
		if (disk != refs)
			func(data, idx, disk, refs);
	}
}

void check_each_difference(struct check *c,
			   void (*func)(void *data, u64 idx, u64 disk, u64 refs), void *data)
{
	u64 i;

	for (i = 0; i < c->refs.nr_blocks; i++)
		if (check_block_differs(c, i))
			each_in_block(c, i, func, data);
}

/* Metadata that is referred to twice is corrupt even if its count says 2. */
static void compare_meta(struct check *c)
{
	size_t i;
	u64 idx, end;

	for (i = 0; i < c->nr_meta; i++) {
		const struct meta_range *m = &c->meta[i];

		end = (m->host_offset + m->bytes - 1) >> c->g.cluster_bits;
		for (idx = m->host_offset >> c->g.cluster_bits; idx <= end; idx++) {
			u64 refs = check_counts_get(c, &c->refs, idx);

			if (refs > 1 && refs == check_counts_get(c, &c->disk, idx))
				check_corrupt(c, 1, "cluster %llu: something else is over the %s",
					      idx, m->name);
		}
	}
}

u64 check_last_used(const struct check *c, bool disk)
{
	u64 block = c->refs.nr_blocks, idx;

	while (block--) {
		if (!c->refs.used[block] && !(disk && c->disk.used[block]))
			continue;
		idx = min(c->clusters, (block + 1) << c->block_bits);
		while (idx-- > block << c->block_bits)
			if (check_counts_get(c, &c->refs, idx) ||
			    (disk && check_counts_get(c, &c->disk, idx)))
				return idx;
	}
	return 0;
}

void check_reset(struct check *c)
{
	check_counts_destroy(c, &c->refs);
	check_counts_destroy(c, &c->disk);
	free(c->table);
	free(c->far_block);
	free(c->l2.list);
	free(c->meta);
	c->table = NULL;
	c->table_entries = 0;
	c->far_block = NULL;
	c->far_idx = U64_MAX;
	memset(&c->l2, 0, sizeof(c->l2));
	c->meta = NULL;
	c->nr_meta = 0;
	c->l1_bytes = 0;
	c->rebuild = false;
	c->beyond = 0;
	memset(&c->res, 0, sizeof(c->res));
}

static int prepare(struct check *c)
{
	u64 clusters = DIV_ROUND_UP_ULL(c->img->bytes, check_cluster_bytes(c));
	int err;

	check_reset(c);
	c->clusters = clusters;
	/* An unaligned reference may end in the first cluster behind the file. */
	err = check_counts_create(c, &c->refs, clusters + 1);
	if (!err)
		err = check_counts_create(c, &c->disk, clusters + 1);
	if (err) {
		check_error(c, err, "no memory for the counts of %llu clusters", clusters);
		return err;
	}
	c->res.total = DIV_ROUND_UP_ULL(c->g.size, check_cluster_bytes(c));
	return 0;
}

static int count_all(struct check *c)
{
	int err = prepare(c);

	progress_begin(&c->progress, "reading");
	if (!err)
		err = check_structure_load(c);
	if (!err)
		err = check_meta(c);
	if (err)
		return err;
	progress_begin(&c->progress, "checking");
	check_l2_count(c);
	if (c->is_attached && c->res.errors)
		return -EIO;
	check_structure_count(c);
	return 0;
}

int check_run(struct check *c)
{
	int err = count_all(c);

	if (!err) {
		check_each_difference(c, compare_cluster, c);
		compare_meta(c);
		c->res.image_end = (check_last_used(c, true) + 1) << c->g.cluster_bits;
	}
	progress_clear(&c->progress);
	check_message_end(c);
	return err;
}

int check_run_references(struct check *c)
{
	bool quiet = c->quiet;
	int err;

	c->quiet = true;
	c->skip_structure = true;
	err = count_all(c);
	c->skip_structure = false;
	c->quiet = quiet;
	if (!err && c->res.errors)
		err = -EIO;
	return err;
}
