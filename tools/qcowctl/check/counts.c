// SPDX-License-Identifier: GPL-2.0
/*
 * Reference counts in memory, and reads of the image. The counts have the layout of refcount
 * blocks on disk: a comparison is a memcmp(), a new block is a copy, and a count overflows
 * where the image's would. Pages are allocated when they are touched: holes of a sparse file
 * cost nothing.
 */
#include <errno.h>
#include <sys/mman.h>

#include "check/internal.h"

int check_read(struct check *c, void *buf, size_t len, u64 host_offset)
{
	int err = image_pread_padded(c->img, buf, len, host_offset);

	if (err == -ECANCELED && c->is_attached)
		check_error(c, 0, "the check has been cancelled");
	else if (err == -ESTALE && c->is_attached)
		check_error(c, 0, "too much of it has changed meanwhile: try again later");
	else if (err)
		check_error(c, err, "cannot read %zu bytes at 0x%llx", len, host_offset);
	return err;
}

static void *map_zeros(u64 bytes)
{
	void *p;

	if (bytes > SIZE_MAX / 2)
		return NULL;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static u64 blocks_for(const struct check *c, u64 clusters)
{
	return DIV_ROUND_UP_ULL(clusters, BIT_ULL(c->block_bits));
}

int check_counts_create(struct check *c, struct check_counts *counts, u64 clusters)
{
	u64 nr = blocks_for(c, clusters);

	memset(counts, 0, sizeof(*counts));
	if (nr > U64_MAX >> (max(c->g.cluster_bits, c->block_bits) + 1))
		return -EFBIG;
	counts->raw = map_zeros(nr << c->g.cluster_bits);
	counts->used = map_zeros(nr);
	counts->over = map_zeros(nr << c->block_bits >> 3);
	counts->nr_blocks = nr;
	if (counts->raw && counts->used && counts->over)
		return 0;
	check_counts_destroy(c, counts);
	return -ENOMEM;
}

void check_counts_destroy(struct check *c, struct check_counts *counts)
{
	if (counts->raw)
		munmap(counts->raw, counts->nr_blocks << c->g.cluster_bits);
	if (counts->used)
		munmap(counts->used, counts->nr_blocks);
	if (counts->over)
		munmap(counts->over, counts->nr_blocks << c->block_bits >> 3);
	memset(counts, 0, sizeof(*counts));
}

int check_counts_grow(struct check *c, struct check_counts *counts, u64 clusters)
{
	struct check_counts larger;
	u64 i;
	int err;

	if (blocks_for(c, clusters) <= counts->nr_blocks)
		return 0;
	err = check_counts_create(c, &larger, clusters);
	if (err)
		return err;
	for (i = 0; i < counts->nr_blocks; i++) {
		if (!counts->used[i])
			continue;
		memcpy(larger.raw + (i << c->g.cluster_bits),
		       counts->raw + (i << c->g.cluster_bits), check_cluster_bytes(c));
		larger.used[i] = 1;
	}
	check_counts_destroy(c, counts);
	*counts = larger;
	return 0;
}

u64 check_counts_get(const struct check *c, const struct check_counts *counts, u64 cluster_idx)
{
	u64 block = cluster_idx >> c->block_bits;

	if (block >= counts->nr_blocks || !counts->used[block])
		return 0;
	return qcow_refcount_get(counts->raw, c->order, cluster_idx);
}

void check_counts_set(const struct check *c, struct check_counts *counts, u64 cluster_idx,
		      u64 count)
{
	counts->used[cluster_idx >> c->block_bits] = 1;
	qcow_refcount_set(counts->raw, c->order, cluster_idx, count);
}

bool check_counts_once(const struct check *c, u64 cluster_idx)
{
	return check_counts_get(c, &c->refs, cluster_idx) == 1 &&
	       !(c->refs.over[cluster_idx >> 3] & 1U << (cluster_idx & 7));
}

static void add_one(struct check *c, u64 cluster_idx, u64 times)
{
	u64 most = qcow_refcount_max(c->order);
	u64 count = check_counts_get(c, &c->refs, cluster_idx);
	u64 room = most - count;

	if (times > room) {
		check_corrupt(c, times - room,
			      "cluster %llu: more references than a count of %u bits can hold",
			      cluster_idx, 1U << c->order);
		c->refs.over[cluster_idx >> 3] |= 1U << (cluster_idx & 7);
		times = room;
	}
	check_counts_set(c, &c->refs, cluster_idx, count + times);
}

void check_note_beyond(struct check *c, u64 host_offset, u64 bytes)
{
	u64 end;

	if (!check_add_overflow(host_offset, bytes, &end) && end > c->img->bytes &&
	    end <= c->longest)
		c->beyond = max(c->beyond, end);
}

bool check_count_range(struct check *c, u64 host_offset, u64 bytes, u64 times)
{
	u64 end, idx;

	if (!bytes || !times)
		return true;
	/* The file may end inside its last cluster. */
	if (check_add_overflow(host_offset, bytes, &end) ||
	    (end > c->img->bytes && end - c->img->bytes >= check_cluster_bytes(c))) {
		check_corrupt(c, times,
			      "reference to %llu bytes at 0x%llx, beyond the end of the file",
			      bytes, host_offset);
		check_note_beyond(c, host_offset, bytes);
		c->res.lost++;
		return false;
	}
	for (idx = host_offset >> c->g.cluster_bits; idx <= (end - 1) >> c->g.cluster_bits; idx++)
		add_one(c, idx, times);
	if (c->clusters < idx)
		c->clusters = idx;
	return true;
}

bool check_count_meta(struct check *c, const char *name, u64 host_offset, u64 bytes)
{
	struct meta_range *range;

	if (!check_count_range(c, host_offset, bytes, 1))
		return false;
	if (!bytes)
		return true;
	check_note_beyond(c, host_offset, bytes);
	/* The capacity is the next power of two. */
	if (!(c->nr_meta & (c->nr_meta - 1)))
		c->meta = check_grow(c->meta, c->nr_meta ? c->nr_meta * 2 : 1, sizeof(*c->meta));
	range = &c->meta[c->nr_meta++];
	range->name = name;
	range->host_offset = host_offset;
	range->bytes = bytes;
	return true;
}
