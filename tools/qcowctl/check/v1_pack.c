// SPDX-License-Identifier: GPL-2.0
/*
 * Gives back the gaps of a version 1 image: clusters at its end are moved into them, and the end of
 * the file can be cut off.
 *
 * Power may fail at any write, so the order is: copies of data; tables with the new places, those
 * that move themselves where they are to be; L1 entries. Each step is durable before the next, and
 * nothing is written over what an entry on disk refers to. The first two go through the tables in
 * the same order and so find the same places. Compressed data, and what does not lie at cluster
 * borders, stays where it is. A table of several clusters may fit into no gap; v1.c makes room for
 * it with a lower target, and another run.
 */
#include "check/internal.h"

#define PIECE_ENTRIES	(128U << 10)

/**
 * struct moved - a table that moves
 * @from: host offset
 * @to: likewise
 */
struct moved {
	u64 from;
	u64 to;
};

/* A global, as the callback of check_walk_l2() has no context of its own; there is one image. */
static struct {
	struct v1_gaps *gaps;
	u64 target;
	size_t gap;
	u64 taken;
	struct moved *tables;
	size_t nr_tables;
	u64 unplaced;
	unsigned char *buf;
	int err;
} pack;

static bool is_whole(const struct check *c, u64 host, u64 bytes)
{
	return IS_ALIGNED(host | bytes, check_cluster_bytes(c)) &&
	       host >> c->g.cluster_bits >= pack.target;
}

/* Clusters in one piece, which nobody else gets. */
static bool take_run(u64 nr, u64 *first)
{
	size_t i;

	for (i = 0; i < pack.gaps->nr; i++) {
		struct v1_gap *gap = &pack.gaps->list[i];

		if (gap->nr < nr)
			continue;
		*first = gap->first;
		gap->first += nr;
		gap->nr -= nr;
		return true;
	}
	return false;
}

/* The next cluster in a gap, in order. */
static bool next_cluster(u64 *cluster)
{
	while (pack.gap < pack.gaps->nr) {
		const struct v1_gap *gap = &pack.gaps->list[pack.gap];

		if (pack.taken < gap->nr) {
			*cluster = gap->first + pack.taken++;
			return true;
		}
		pack.gap++;
		pack.taken = 0;
	}
	return false;
}

static void place_tables(struct check *c)
{
	u64 bytes = check_l2_bytes(c), nr = bytes >> c->g.cluster_bits, first;
	size_t i;

	pack.tables = check_alloc(c->l2.nr + 1, sizeof(*pack.tables));
	for (i = 0; i < c->l2.nr; i++) {
		u64 host = c->l2.list[i].host_offset;

		if (!is_whole(c, host, bytes))
			continue;
		if (take_run(nr, &first))
			pack.tables[pack.nr_tables++] = (struct moved){
				.from = host, .to = first << c->g.cluster_bits,
			};
		else
			pack.unplaced += nr;
	}
}

static int compare_from(const void *a, const void *b)
{
	const struct moved *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

/* Where the table at @host is from now on. */
static u64 place_of(u64 host)
{
	struct moved key = { .from = host }, *moved;

	moved = bsearch(&key, pack.tables, pack.nr_tables, sizeof(key), compare_from);
	return moved ? moved->to : host;
}

/* Whether an entry is of a cluster that moves, and where that goes. */
static bool entry_moves(struct check *c, const __be64 *entries, u64 idx, struct entry_ref *e,
			u64 *to)
{
	u64 entry, bitmap;

	if (!check_l2_entry(c, entries, idx, &entry, &bitmap))
		return false;
	check_entry_decode(&c->g, entry, bitmap, e);
	if (e->kind != ENTRY_CLUSTER || !is_whole(c, e->host_offset, e->bytes) ||
	    !next_cluster(to))
		return false;
	*to <<= c->g.cluster_bits;
	return true;
}

static void copy_data(struct check *c, const struct l2_ref *ref, __be64 *entries)
{
	u64 nr = BIT_ULL(c->g.l2_bits), i, to;
	struct entry_ref e;

	(void)ref;
	for (i = 0; i < nr && !pack.err; i++) {
		if (!entry_moves(c, entries, i, &e, &to))
			continue;
		pack.err = check_read(c, pack.buf, e.bytes, e.host_offset);
		if (!pack.err)
			pack.err = check_write(c, pack.buf, e.bytes, to);
	}
}

static void write_tables(struct check *c, const struct l2_ref *ref, __be64 *entries)
{
	u64 nr = BIT_ULL(c->g.l2_bits), place = place_of(ref->host_offset), i, to;
	bool changed = place != ref->host_offset;
	struct entry_ref e;

	for (i = 0; i < nr; i++) {
		if (!entry_moves(c, entries, i, &e, &to))
			continue;
		entries[i] = cpu_to_be64(qcow_l2_encode_data(&c->g, to));
		changed = true;
	}
	if (changed && !pack.err)
		pack.err = check_write(c, entries, check_l2_bytes(c), place);
}

static int write_l1_entry(struct check *c, u32 idx, __be64 *entry)
{
	u64 host = be64_to_cpu(*entry) & c->g.l1_offset_mask;
	u64 to = place_of(host);

	if (to == host)
		return 0;
	*entry = cpu_to_be64(qcow_l1_encode(&c->g, to));
	return check_write(c, entry, sizeof(*entry), c->img->h.l1_offset + idx * sizeof(*entry));
}

static int write_l1(struct check *c)
{
	const struct qcow_header *h = &c->img->h;
	u32 piece = min(h->l1_entries, PIECE_ENTRIES), done, nr, i;
	__be64 *l1 = check_alloc(piece, sizeof(*l1));
	int err = 0;

	for (done = 0; !err && done < h->l1_entries; done += nr) {
		nr = min(h->l1_entries - done, piece);
		err = check_read(c, l1, nr * sizeof(*l1), h->l1_offset + (u64)done * sizeof(*l1));
		for (i = 0; !err && i < nr; i++)
			err = write_l1_entry(c, done + i, &l1[i]);
	}
	free(l1);
	return err;
}

static int walk(struct check *c,
		void (*visit)(struct check *c, const struct l2_ref *ref, __be64 *entries))
{
	pack.gap = 0;
	pack.taken = 0;
	check_walk_l2(c, visit);
	return pack.err ? pack.err : check_sync(c);
}

int check_v1_pack(struct check *c, struct v1_gaps *gaps, u64 target, u64 *unplaced)
{
	int err;

	memset(&pack, 0, sizeof(pack));
	pack.gaps = gaps;
	pack.target = target;
	pack.buf = check_alloc(check_cluster_bytes(c), 1);
	progress_begin(&c->progress, "repairing");
	place_tables(c);
	err = walk(c, copy_data);
	if (!err)
		err = walk(c, write_tables);
	if (!err)
		err = write_l1(c);
	if (!err)
		err = check_sync(c);
	free(pack.tables);
	free(pack.buf);
	*unplaced = pack.unplaced;
	return err;
}
