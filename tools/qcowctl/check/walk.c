// SPDX-License-Identifier: GPL-2.0
/*
 * L1 and L2 tables. Every L2 table is read once and in the order of the file, however many
 * snapshots share it: the L1 tables are walked first and only tell how often each L2 table
 * is referred to. That also bounds the work by the size of the file.
 */
#include <errno.h>

#include "check/internal.h"

#define PIECE_ENTRIES	(128U << 10)
#define BATCH_BYTES	1048576U
/* L2 tables with a gap of at most so many tables between them are read at once. */
#define BATCH_GAP	4U

static int compare_places(const void *a, const void *b)
{
	const struct l2_ref *x = a, *y = b;

	return (x->host_offset > y->host_offset) - (x->host_offset < y->host_offset);
}

static u32 add_saturated(u32 a, u32 b)
{
	u32 sum;

	return check_add_overflow(a, b, &sum) ? U32_MAX : sum;
}

void check_l2_sort(struct check *c)
{
	struct l2_refs *l2 = &c->l2;
	size_t i, to = 0;

	if (!l2->nr)
		return;
	qsort(l2->list, l2->nr, sizeof(*l2->list), compare_places);
	for (i = 1; i < l2->nr; i++) {
		struct l2_ref *last = &l2->list[to], *next = &l2->list[i];

		if (last->host_offset != next->host_offset) {
			l2->list[++to] = *next;
			continue;
		}
		last->active = add_saturated(last->active, next->active);
		last->inactive = add_saturated(last->inactive, next->inactive);
	}
	l2->nr = to + 1;
}

const struct l2_ref *check_l2_find(const struct check *c, u64 entry)
{
	const struct l2_ref key = { .host_offset = entry & c->g.l1_offset_mask };
	const struct l2_ref *ref = NULL;

	if (c->l2.nr)
		ref = bsearch(&key, c->l2.list, c->l2.nr, sizeof(key), compare_places);
	if (!ref)
		qc_fail(0, c->img->name, "L1 entry 0x%llx: has changed meanwhile", entry);
	return ref;
}

void check_l2_record(struct check *c, u64 host_offset, bool active)
{
	struct l2_refs *l2 = &c->l2;

	if (l2->nr == l2->room) {
		check_l2_sort(c);
		if (l2->nr * 2 >= l2->room) {
			l2->room = l2->room ? l2->room * 2 : 1024;
			l2->list = check_grow(l2->list, l2->room, sizeof(*l2->list));
		}
	}
	l2->list[l2->nr++] = (struct l2_ref){
		.host_offset = host_offset,
		.active = active,
		.inactive = !active,
	};
}

static void check_l1_copied(struct check *c, u64 idx, u64 entry, u64 host)
{
	u64 count = check_disk_count(c, host >> c->g.cluster_bits);
	bool copied = entry & c->g.copied, once = count == 1;

	if (copied == once)
		return;
	c->res.copied_flags++;
	check_corrupt(c, 1, "L1 entry %llu: 0x%llx: COPIED flag is wrong for refcount %llu", idx,
		      entry, count);
}

static void count_l1_entry(struct check *c, u64 idx, u64 entry, bool active)
{
	u64 host = entry & c->g.l1_offset_mask;
	bool aligned = IS_ALIGNED(host, check_cluster_bytes(c));

	if (entry & c->g.l1_reserved)
		check_corrupt(c, 1, "L1 entry %llu: 0x%llx: reserved bits are set", idx, entry);
	if (!host) {
		if (entry & c->g.copied)
			check_corrupt(c, 1, "L1 entry %llu: 0x%llx: flags without an L2 table",
				      idx, entry);
		return;
	}
	if (active)
		check_l1_copied(c, idx, entry, host);
	if (!aligned)
		check_corrupt(c, 1, "L1 entry %llu: 0x%llx: L2 table not at a cluster border", idx,
			      entry);
	if (!check_count_range(c, host, check_l2_bytes(c), 1))
		return;
	check_note_beyond(c, host, check_l2_bytes(c));
	/* Without the limit, a hostile image could have a table at every byte. */
	if (!aligned && c->l2.unaligned++ > c->clusters)
		return;
	check_l2_record(c, host, active);
}

int check_walk_l1(struct check *c, u64 host_offset, u32 entries, bool active)
{
	u64 bytes = entries * sizeof(__be64);
	u32 done, nr, i;
	__be64 *piece;
	int err = 0;

	if (!check_count_meta(c, active ? "L1 table" : "L1 table of a snapshot", host_offset,
			      bytes))
		return 0;
	/* L1 tables that together are longer than the file overlap. */
	c->l1_bytes += bytes;
	if (c->l1_bytes > c->img->bytes + QCOW_MAX_L1_BYTES) {
		check_corrupt(c, 1, "L1 table at 0x%llx: over other L1 tables", host_offset);
		c->res.lost++;
		return 0;
	}
	piece = check_alloc(min(entries, PIECE_ENTRIES), sizeof(*piece));
	for (done = 0; !err && done < entries; done += nr) {
		nr = min(entries - done, PIECE_ENTRIES);
		err = check_read(c, piece, nr * sizeof(*piece),
				 host_offset + (u64)done * sizeof(*piece));
		for (i = 0; !err && i < nr; i++)
			if (piece[i])
				count_l1_entry(c, done + i, be64_to_cpu(piece[i]), active);
	}
	free(piece);
	return err;
}

/* How many tables from @first on are near enough to be read at once. */
static size_t batch_size(const struct check *c, size_t first)
{
	const struct l2_ref *list = c->l2.list;
	u64 bytes = check_l2_bytes(c);
	size_t next = first + 1;

	while (next < c->l2.nr &&
	       list[next].host_offset + bytes - list[first].host_offset <= BATCH_BYTES &&
	       list[next].host_offset - list[next - 1].host_offset <= bytes * (BATCH_GAP + 1))
		next++;
	return next - first;
}

void check_walk_l2(struct check *c,
		   void (*visit)(struct check *c, const struct l2_ref *ref, __be64 *entries))
{
	u64 bytes = check_l2_bytes(c);
	size_t room = max_t(u64, bytes, BATCH_BYTES);
	unsigned char *buf = check_alloc(room, 1);
	unsigned char *table = check_alloc(bytes, 1);
	const struct l2_ref *list;
	size_t first, nr, i;
	u64 start;

	check_l2_sort(c);
	list = c->l2.list;
	for (first = 0; first < c->l2.nr; first += nr) {
		nr = batch_size(c, first);
		start = list[first].host_offset;
		if (check_read(c, buf, list[first + nr - 1].host_offset + bytes - start, start)) {
			/* What the driver cannot hand out any more is not there for others. */
			if (c->is_attached)
				break;
			continue;
		}
		for (i = first; i < first + nr; i++) {
			/* Tables may overlap: each visit gets a copy that it may change. */
			memcpy(table, buf + (list[i].host_offset - start), bytes);
			visit(c, &list[i], (__be64 *)table);
		}
		progress_step(&c->progress, first + nr, c->l2.nr);
	}
	free(table);
	free(buf);
}

bool check_l2_unshared(struct check *c, const struct l2_ref *ref)
{
	u64 idx = ref->host_offset >> c->g.cluster_bits;
	u64 times = (u64)ref->active + ref->inactive;

	if (!IS_ALIGNED(ref->host_offset, check_cluster_bytes(c)))
		return false;
	if (times == 1)
		return check_counts_once(c, idx);
	/* A count that overflows does not tell whether something else refers to the table. */
	return times <= qcow_refcount_max(c->order) &&
	       check_counts_get(c, &c->refs, idx) == times;
}

void check_entry_flaws(struct check *c, const struct l2_ref *ref, u64 idx, u64 entry,
		       u32 flaws)
{
	for (; flaws; flaws &= flaws - 1)
		check_corrupt(c, (u64)ref->active + ref->inactive,
			      "L2 table 0x%llx entry %llu: 0x%llx: %s", ref->host_offset, idx,
			      entry, check_entry_flaw(__ffs64(flaws)));
}

static void check_l2_copied(struct check *c, const struct l2_ref *ref, u64 idx, u64 entry,
			    const struct entry_ref *e)
{
	u64 count = 1;
	bool once;

	if (!c->g.data_file)
		count = check_disk_count(c, e->host_offset >> c->g.cluster_bits);
	once = count == 1;
	if (e->copied == once)
		return;
	c->res.copied_flags += ref->active;
	check_corrupt(c, ref->active,
		      "L2 table 0x%llx entry %llu: 0x%llx: COPIED flag is wrong for refcount %llu",
		      ref->host_offset, idx, entry, count);
}

void check_statistics(struct check *c, const struct l2_ref *ref, const struct entry_ref *e,
		      u64 *expected)
{
	c->res.allocated += ref->active;
	if (e->kind == ENTRY_COMPRESSED) {
		/* As in QEMU, compressed clusters always count as fragmented. */
		c->res.compressed += ref->active;
		c->res.fragmented += ref->active;
		return;
	}
	if (*expected && e->host_offset != *expected)
		c->res.fragmented += ref->active;
	*expected = e->host_offset + check_cluster_bytes(c);
}

bool check_l2_entry(const struct check *c, const __be64 *entries, u64 idx, u64 *entry,
		    u64 *bitmap)
{
	*bitmap = 0;
	if (c->g.extended_l2) {
		*entry = be64_to_cpu(entries[2 * idx]);
		*bitmap = be64_to_cpu(entries[2 * idx + 1]);
	} else {
		*entry = be64_to_cpu(entries[idx]);
	}
	return *entry || *bitmap;
}

static void count_table(struct check *c, const struct l2_ref *ref, __be64 *entries)
{
	u64 nr = BIT_ULL(c->g.l2_bits), expected = 0, i, entry, bitmap;
	struct entry_ref e;

	for (i = 0; i < nr; i++) {
		if (!check_l2_entry(c, entries, i, &entry, &bitmap))
			continue;
		check_entry_decode(&c->g, entry, bitmap, &e);
		if (e.flaws)
			check_entry_flaws(c, ref, i, entry, e.flaws);
		if (e.kind == ENTRY_CLUSTER && ref->active)
			check_l2_copied(c, ref, i, entry, &e);
		if (!e.bytes)
			continue;
		check_statistics(c, ref, &e, &expected);
		if (!c->g.data_file)
			check_count_range(c, e.host_offset, e.bytes,
					  (u64)ref->active + ref->inactive);
	}
}

void check_l2_count(struct check *c)
{
	check_walk_l2(c, count_table);
}
