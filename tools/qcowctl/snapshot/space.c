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
 * again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "snapshot/internal.h"

/* Where the format has no host offset any more. */
#define HOST_END	BIT_ULL(56)

#define GROW_CLUSTERS	1024U

static u64 old_block(const struct change *ch, u64 idx)
{
	return idx < ch->c.table_entries ? check_block_offset(&ch->c, idx) : 0;
}

/* Blocks from @from on that the image has are read. */
static int load_blocks(struct change *ch, u64 from)
{
	struct check *c = &ch->c;
	u64 i;

	for (i = from; i < ch->next.nr_blocks; i++) {
		u64 host = old_block(ch, i);

		ch->table[i] = host;
		if (!host)
			continue;
		ch->next.used[i] = 1;
		if (check_read(c, ch->next.raw + (i << c->g.cluster_bits), check_cluster_bytes(c),
			       host))
			return QC_SYSTEM;
	}
	return 0;
}

/* Clusters that the longest refcount table can count; what is behind them is in no use. */
static u64 most_clusters(const struct change *ch)
{
	return (u64)(QCOW_MAX_REFCOUNT_TABLE_BYTES / sizeof(__be64)) << ch->c.block_bits;
}

/* Count this many clusters at least. */
static int grow(struct change *ch, u64 clusters)
{
	u64 nr = ch->next.nr_blocks;
	u64 some = min(clusters + clusters / 4 + GROW_CLUSTERS, most_clusters(ch));

	if (check_counts_grow(&ch->c, &ch->next, some))
		return qc_fail(QC_SYSTEM, ch->img.name,
			       "no memory for the counts of %llu clusters", clusters);
	if (ch->next.nr_blocks == nr)
		return 0;
	ch->blocks = check_grow(ch->blocks, ch->next.nr_blocks, sizeof(*ch->blocks));
	memset(ch->blocks + nr, BLOCK_SAME, ch->next.nr_blocks - nr);
	ch->table = check_grow(ch->table, ch->next.nr_blocks, sizeof(*ch->table));
	return load_blocks(ch, nr);
}

int space_create(struct change *ch)
{
	ch->cursor = 1;
	return grow(ch, min(ch->c.clusters, most_clusters(ch)));
}

void space_destroy(struct change *ch)
{
	check_counts_destroy(&ch->c, &ch->next);
	free(ch->blocks);
	free(ch->table);
}

void space_set(struct change *ch, u64 cluster_idx, u64 count)
{
	u64 block = cluster_idx >> ch->c.block_bits;

	check_counts_set(&ch->c, &ch->next, cluster_idx, count);
	if (ch->blocks[block] == BLOCK_SAME)
		ch->blocks[block] = BLOCK_CHANGED;
}

static bool is_free(struct change *ch, u64 idx)
{
	return !check_counts_get(&ch->c, &ch->next, idx) && !check_disk_count(&ch->c, idx);
}

int space_take(struct change *ch, u64 nr, u64 *host_offset)
{
	u64 idx = nr == 1 ? ch->cursor : 1, run = 0;
	u32 bits = ch->c.g.cluster_bits;
	int err = 0;

	if (!nr)
		return 0;
	for (; !err && run < nr; idx++) {
		if ((idx + 1) << bits > HOST_END || idx >= most_clusters(ch) ||
		    (!S_ISREG(ch->img.st.st_mode) && idx >= ch->img.bytes >> bits))
			return qc_fail(QC_SYSTEM, ch->img.name,
				       "no room for %llu clusters in a row", nr);
		if (idx >> ch->c.block_bits >= ch->next.nr_blocks)
			err = grow(ch, idx + 1);
		run = is_free(ch, idx) ? run + 1 : 0;
	}
	if (err)
		return err;
	if (nr == 1)
		ch->cursor = idx;
	*host_offset = (idx - nr) << bits;
	while (run--)
		space_set(ch, --idx, 1);
	return 0;
}

/* A count may have changed and changed back. */
static bool differs(const struct change *ch, u64 idx)
{
	const struct check *c = &ch->c;
	u64 bytes = check_cluster_bytes(c);

	if (idx >= c->disk.nr_blocks || !old_block(ch, idx))
		return true;
	return memcmp(ch->next.raw + idx * bytes, c->disk.raw + idx * bytes, bytes);
}

static int move_block(struct change *ch, u64 idx)
{
	u64 old = old_block(ch, idx), host;
	int err;

	/* Before its place is taken, which may be one that it counts. */
	ch->blocks[idx] = BLOCK_MOVED;
	err = space_take(ch, 1, &host);
	if (err)
		return err;
	ch->table[idx] = host;
	if (old)
		space_set(ch, old >> ch->c.g.cluster_bits, 0);
	return 0;
}

static int move_blocks(struct change *ch)
{
	bool again = true;
	u64 i;
	int err = 0;

	while (again && !err) {
		again = false;
		for (i = 0; !err && i < ch->next.nr_blocks; i++) {
			if (ch->blocks[i] != BLOCK_CHANGED)
				continue;
			if (differs(ch, i)) {
				err = move_block(ch, i);
				again = true;
			} else {
				ch->blocks[i] = BLOCK_SAME;
			}
		}
	}
	return err;
}

/* Clusters of a table that has all blocks; never shorter than it was. */
static u64 table_clusters(const struct change *ch)
{
	u64 nr = ch->next.nr_blocks;

	while (nr && !ch->table[nr - 1])
		nr--;
	return max_t(u64, change_clusters(ch, nr * sizeof(__be64)),
		     ch->img.h.refcount_table_clusters);
}

static void give_back(struct change *ch, u64 host_offset, u64 nr)
{
	while (nr--)
		space_set(ch, (host_offset >> ch->c.g.cluster_bits) + nr, 0);
}

static int move_structure(struct change *ch)
{
	u64 bits = ch->c.g.cluster_bits, need;
	int err;

	give_back(ch, ch->img.h.refcount_table_offset, ch->img.h.refcount_table_clusters);
	for (;;) {
		err = move_blocks(ch);
		if (err)
			return err;
		need = table_clusters(ch);
		if (need <= ch->table_room)
			return 0;
		if (need << bits > QCOW_MAX_REFCOUNT_TABLE_BYTES)
			return qc_fail(QC_UNSUPPORTED, ch->img.name,
				       "a refcount table of %llu clusters is needed, at most %llu are supported",
				       need, (u64)QCOW_MAX_REFCOUNT_TABLE_BYTES >> bits);
		give_back(ch, ch->h.refcount_table_offset, ch->table_room);
		err = space_take(ch, need, &ch->h.refcount_table_offset);
		if (err)
			return err;
		ch->table_room = need;
		ch->h.refcount_table_clusters = need;
	}
}

static int write_table(struct change *ch)
{
	u64 bytes = ch->table_room << ch->c.g.cluster_bits, nr = bytes / sizeof(__be64), i;
	__be64 *table = check_alloc(nr, sizeof(*table));
	int err;

	/* Blocks far behind the end of the file stay where they are. */
	for (i = 0; i < nr; i++) {
		u64 host = i < ch->next.nr_blocks ? ch->table[i] : old_block(ch, i);

		table[i] = cpu_to_be64(qcow_refcount_table_encode(host));
	}
	err = check_write(&ch->c, table, bytes, ch->h.refcount_table_offset);
	free(table);
	return err ? QC_SYSTEM : 0;
}

int space_write(struct change *ch)
{
	struct check *c = &ch->c;
	u64 i;
	int err = move_structure(ch);

	for (i = 0; !err && i < ch->next.nr_blocks; i++)
		if (ch->blocks[i] == BLOCK_MOVED &&
		    check_write(c, ch->next.raw + (i << c->g.cluster_bits), check_cluster_bytes(c),
				ch->table[i]))
			err = QC_SYSTEM;
	return err ? err : write_table(ch);
}

/* In use in the state that is not valid, and not in the one that is. */
static bool is_idle(struct change *ch, u64 idx, bool switched)
{
	bool before = check_disk_count(&ch->c, idx);
	bool after = check_counts_get(&ch->c, &ch->next, idx);

	return switched ? before && !after : after && !before;
}

static void punch(struct change *ch, u64 end, bool switched)
{
	u32 bits = ch->c.g.cluster_bits;
	u64 idx, first;

	for (idx = 0; idx < end; idx++) {
		/* Blocks in which nothing changes are not looked into. */
		if (ch->blocks[idx >> ch->c.block_bits] == BLOCK_SAME) {
			idx |= BIT_ULL(ch->c.block_bits) - 1;
			continue;
		}
		for (first = idx; idx < end && is_idle(ch, idx, switched); idx++)
			;
		if (idx > first && fallocate(ch->img.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					     first << bits, (idx - first) << bits))
			return;
	}
}

static u64 last_used(const struct change *ch)
{
	u64 idx = ch->next.nr_blocks << ch->c.block_bits;

	while (idx && !check_counts_get(&ch->c, &ch->next, idx - 1))
		idx--;
	return idx;
}

void space_release(struct change *ch, bool switched)
{
	u64 old = ch->img.bytes, bytes = old, end;
	struct stat st;

	if (!ch->next.nr_blocks || fstat(ch->img.fd, &st))
		return;
	if (S_ISREG(st.st_mode)) {
		bytes = st.st_size;
		end = switched ? last_used(ch) << ch->c.g.cluster_bits : old;
		if (end < bytes && !ftruncate(ch->img.fd, end))
			bytes = end;
	}
	end = min_t(u64, change_clusters(ch, bytes), ch->next.nr_blocks << ch->c.block_bits);
	punch(ch, end, switched);
}
