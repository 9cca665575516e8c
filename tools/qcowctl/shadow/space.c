// SPDX-License-Identifier: GPL-2.0
/*
 * Free clusters, and refcount blocks and table for the counts afterwards.
 *
 * A cluster is free when its count is 0 before and afterwards: what the old state refers to is
 * whole until the new one is valid, and no cluster that the change frees is taken by it. The
 * first that are free are taken, then the file becomes longer; a block device does not.
 *
 * A block that has to be changed gets a new place, which changes counts again: its own place's and
 * that of the block before it, perhaps in other blocks. It ends, as each block moves only once; the
 * place of the table, which depends on how many blocks there are, comes last and may begin it
 * again. Where an image is packed, blocks at its end move even if nothing in them changes, and
 * those that count nothing go.
 */
#include <errno.h>
#include <unistd.h>

#include "shadow/shadow.h"

/* Where the format has no host offset any more. */
#define HOST_END	BIT_ULL(56)

#define GROW_CLUSTERS	1024U

static u64 old_block(const struct shadow *s, u64 idx)
{
	return idx < s->c.table_entries ? check_block_offset(&s->c, idx) : 0;
}

/* Blocks from @from on that the image has are read. */
static int load_blocks(struct shadow *s, u64 from)
{
	struct check *c = &s->c;
	u64 i;

	for (i = from; i < s->next.nr_blocks; i++) {
		u64 host = old_block(s, i);

		s->table[i] = host;
		if (!host)
			continue;
		s->next.used[i] = 1;
		if (check_read(c, s->next.raw + (i << c->g.cluster_bits), check_cluster_bytes(c),
			       host))
			return QC_SYSTEM;
	}
	return 0;
}

/* Clusters that the longest refcount table can count; what is behind them is in no use. */
static u64 most_clusters(const struct shadow *s)
{
	return (u64)(QCOW_MAX_REFCOUNT_TABLE_BYTES / sizeof(__be64)) << s->c.block_bits;
}

/* Count this many clusters at least. */
static int grow(struct shadow *s, u64 clusters)
{
	u64 nr = s->next.nr_blocks;
	u64 some = min(clusters + clusters / 4 + GROW_CLUSTERS, most_clusters(s));

	if (check_counts_grow(&s->c, &s->next, some))
		return qc_fail(QC_SYSTEM, s->c.img->name,
			       "no memory for the counts of %llu clusters", clusters);
	if (s->next.nr_blocks == nr)
		return 0;
	s->blocks = check_grow(s->blocks, s->next.nr_blocks, sizeof(*s->blocks));
	memset(s->blocks + nr, BLOCK_SAME, s->next.nr_blocks - nr);
	s->table = check_grow(s->table, s->next.nr_blocks, sizeof(*s->table));
	return load_blocks(s, nr);
}

/* Clusters that all blocks of the image count. */
static u64 counted_clusters(const struct shadow *s)
{
	u64 nr = s->c.table_entries;

	while (nr && !check_block_offset(&s->c, nr - 1))
		nr--;
	return nr << s->c.block_bits;
}

int space_create(struct shadow *s)
{
	u64 clusters = s->c.clusters;

	s->cursor = 1;
	if (s->pack)
		clusters = max(clusters, counted_clusters(s));
	return grow(s, min(clusters, most_clusters(s)));
}

void space_destroy(struct shadow *s)
{
	check_counts_destroy(&s->c, &s->next);
	free(s->blocks);
	free(s->table);
}

void space_set(struct shadow *s, u64 cluster_idx, u64 count)
{
	u64 block = cluster_idx >> s->c.block_bits;

	check_counts_set(&s->c, &s->next, cluster_idx, count);
	if (s->blocks[block] == BLOCK_SAME || (s->blocks[block] == BLOCK_GONE && count))
		s->blocks[block] = BLOCK_CHANGED;
}

static bool is_countable(const struct shadow *s, u64 idx)
{
	u32 bits = s->c.g.cluster_bits;

	return (idx + 1) << bits <= HOST_END && idx < most_clusters(s) &&
	       (S_ISREG(s->c.img->st.st_mode) || idx < s->c.img->bytes >> bits);
}

int space_put(struct shadow *s, u64 cluster_idx, u64 count)
{
	int err = 0;

	if (!is_countable(s, cluster_idx))
		return qc_fail(QC_SYSTEM, s->c.img->name, "no room for cluster %llu", cluster_idx);
	if (cluster_idx >> s->c.block_bits >= s->next.nr_blocks)
		err = grow(s, cluster_idx + 1);
	if (!err)
		space_set(s, cluster_idx, count);
	return err;
}

static bool is_free(struct shadow *s, u64 idx)
{
	return !check_counts_get(&s->c, &s->next, idx) && !check_disk_count(&s->c, idx);
}

int space_take(struct shadow *s, u64 nr, u64 *host_offset)
{
	u64 idx = nr == 1 ? s->cursor : 1, run = 0;
	u32 bits = s->c.g.cluster_bits;
	int err = 0;

	if (!nr)
		return 0;
	for (; !err && run < nr; idx++) {
		if (!is_countable(s, idx))
			return qc_fail(QC_SYSTEM, s->c.img->name,
				       "no room for %llu clusters in a row", nr);
		if (idx >> s->c.block_bits >= s->next.nr_blocks)
			err = grow(s, idx + 1);
		run = is_free(s, idx) ? run + 1 : 0;
	}
	if (err)
		return err;
	if (nr == 1)
		s->cursor = idx;
	*host_offset = (idx - nr) << bits;
	while (run--)
		space_set(s, --idx, 1);
	return 0;
}

static bool counts_nothing(const struct shadow *s, u64 idx)
{
	u64 bytes = check_cluster_bytes(&s->c);

	return !s->next.used[idx] || qc_is_zero(s->next.raw + idx * bytes, bytes);
}

/* Whether a block has to move or to go though no count in it changes. */
static bool is_packed(const struct shadow *s, u64 idx)
{
	u64 old = old_block(s, idx);

	return s->pack && old && (old >= s->pack_from || counts_nothing(s, idx));
}

/* A count may have changed and changed back. */
static bool differs(const struct shadow *s, u64 idx)
{
	const struct check *c = &s->c;
	u64 bytes = check_cluster_bytes(c);

	if (idx >= c->disk.nr_blocks || !old_block(s, idx) || is_packed(s, idx))
		return true;
	return memcmp(s->next.raw + idx * bytes, c->disk.raw + idx * bytes, bytes);
}

static int move_block(struct shadow *s, u64 idx)
{
	u64 old = old_block(s, idx), host = 0;
	int err = 0;

	/* Before its place is taken or given back, which may be one that it counts. */
	s->blocks[idx] = BLOCK_MOVED;
	if (old)
		space_set(s, old >> s->c.g.cluster_bits, 0);
	if (s->pack && counts_nothing(s, idx))
		s->blocks[idx] = BLOCK_GONE;
	else
		err = space_take(s, 1, &host);
	s->table[idx] = host;
	return err;
}

static int move_blocks(struct shadow *s)
{
	bool again = true;
	u64 i;
	int err = 0;

	while (again && !err) {
		again = false;
		for (i = 0; !err && i < s->next.nr_blocks; i++) {
			if (s->blocks[i] != BLOCK_CHANGED)
				continue;
			if (differs(s, i)) {
				err = move_block(s, i);
				again = true;
			} else {
				s->blocks[i] = BLOCK_SAME;
			}
		}
	}
	return err;
}

/* Clusters of a table that has all blocks; never shorter than it was, unless that is asked for. */
static u64 table_clusters(const struct shadow *s)
{
	u64 nr = s->next.nr_blocks;

	while (nr && !s->table[nr - 1])
		nr--;
	return max_t(u64, shadow_clusters(s, nr * sizeof(__be64)),
		     s->pack ? 1 : s->c.img->h.refcount_table_clusters);
}

static void give_back(struct shadow *s, u64 host_offset, u64 nr)
{
	while (nr--)
		space_set(s, (host_offset >> s->c.g.cluster_bits) + nr, 0);
}

static int move_structure(struct shadow *s)
{
	u64 bits = s->c.g.cluster_bits, need, i;
	int err;

	for (i = 0; i < s->next.nr_blocks; i++)
		if (s->blocks[i] == BLOCK_SAME && is_packed(s, i))
			s->blocks[i] = BLOCK_CHANGED;
	give_back(s, s->c.img->h.refcount_table_offset, s->c.img->h.refcount_table_clusters);
	for (;;) {
		err = move_blocks(s);
		if (err)
			return err;
		need = table_clusters(s);
		if (need <= s->table_room)
			return 0;
		if (need << bits > QCOW_MAX_REFCOUNT_TABLE_BYTES)
			return qc_fail(QC_UNSUPPORTED, s->c.img->name,
				       "a refcount table of %llu clusters is needed, at most %llu are supported",
				       need, (u64)QCOW_MAX_REFCOUNT_TABLE_BYTES >> bits);
		give_back(s, s->h.refcount_table_offset, s->table_room);
		err = space_take(s, need, &s->h.refcount_table_offset);
		if (err)
			return err;
		s->table_room = need;
		s->h.refcount_table_clusters = need;
	}
}

static int write_table(struct shadow *s)
{
	u64 bytes = s->table_room << s->c.g.cluster_bits, nr = bytes / sizeof(__be64), i;
	__be64 *table = check_alloc(nr, sizeof(*table));
	int err;

	/* Blocks far behind the end of the file stay where they are. */
	for (i = 0; i < nr; i++) {
		u64 host = i < s->next.nr_blocks ? s->table[i] : old_block(s, i);

		table[i] = cpu_to_be64(qcow_refcount_table_encode(host));
	}
	err = check_write(&s->c, table, bytes, s->h.refcount_table_offset);
	free(table);
	return err ? QC_SYSTEM : 0;
}

int space_write(struct shadow *s)
{
	struct check *c = &s->c;
	u64 i;
	int err = move_structure(s);

	for (i = 0; !err && i < s->next.nr_blocks; i++)
		if (s->blocks[i] == BLOCK_MOVED &&
		    check_write(c, s->next.raw + (i << c->g.cluster_bits), check_cluster_bytes(c),
				s->table[i]))
			err = QC_SYSTEM;
	return err ? err : write_table(s);
}

/* In use in the state that is not valid, and not in the one that is. */
static bool is_idle(struct shadow *s, u64 idx, bool switched)
{
	bool before = check_disk_count(&s->c, idx);
	bool after = check_counts_get(&s->c, &s->next, idx);

	return switched ? before && !after : after && !before;
}

static void punch(struct shadow *s, u64 end, bool switched)
{
	u32 bits = s->c.g.cluster_bits;
	u64 idx, first;

	for (idx = 0; idx < end; idx++) {
		/* Blocks in which nothing changes are not looked into. */
		if (s->blocks[idx >> s->c.block_bits] == BLOCK_SAME) {
			idx |= BIT_ULL(s->c.block_bits) - 1;
			continue;
		}
		for (first = idx; idx < end && is_idle(s, idx, switched); idx++)
			;
		if (idx > first && !image_punch(s->c.img->fd, first << bits, (idx - first) << bits))
			return;
	}
}

static u64 last_used(const struct shadow *s)
{
	u64 block = s->next.nr_blocks, first, idx;

	while (block--) {
		first = block << s->c.block_bits;
		idx = s->next.used[block] ? first + BIT_ULL(s->c.block_bits) : first;
		for (; idx > first; idx--)
			if (check_counts_get(&s->c, &s->next, idx - 1))
				return idx;
	}
	return 0;
}

void space_release(struct shadow *s, bool switched)
{
	u64 old = s->c.img->bytes, bytes = old, end;
	struct stat st;

	if (!s->next.nr_blocks || fstat(s->c.img->fd, &st))
		return;
	if (S_ISREG(st.st_mode)) {
		bytes = st.st_size;
		end = switched ? last_used(s) << s->c.g.cluster_bits : old;
		if (end < bytes && !ftruncate(s->c.img->fd, end))
			bytes = end;
	}
	end = min_t(u64, shadow_clusters(s, bytes), s->next.nr_blocks << s->c.block_bits);
	punch(s, end, switched);
}
