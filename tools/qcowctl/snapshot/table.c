// SPDX-License-Identifier: GPL-2.0
/*
 * The tables afterwards, in new clusters: L2 tables of the active state in which a COPIED flag
 * has to change, its L1 table, the snapshot table. Flags in tables that only snapshots refer to
 * mean nothing, and stay.
 */
#include "snapshot/internal.h"

int table_read_l1(struct change *ch, u64 host_offset, u32 entries, u32 room, __be64 **l1)
{
	*l1 = check_alloc(room, sizeof(**l1));
	if (!entries)
		return 0;
	return check_read(&ch->s.c, *l1, entries * sizeof(**l1), host_offset) ? QC_SYSTEM : 0;
}

int table_find_l2(const struct change *ch, u64 entry, size_t *idx)
{
	const struct l2_ref *ref = check_l2_find(&ch->s.c, entry);

	if (!ref)
		return QC_BAD_IMAGE;
	*idx = ref - ch->s.c.l2.list;
	return 0;
}

/* Make every COPIED flag say whether the count is 1. Return: how many did not. */
static u64 refresh_flags(struct change *ch, __be64 *entries)
{
	const struct check *c = &ch->s.c;
	u64 nr = BIT_ULL(c->g.l2_bits), changed = 0, i, entry, bitmap;
	struct entry_ref e;

	for (i = 0; i < nr; i++) {
		if (!check_l2_entry(c, entries, i, &entry, &bitmap))
			continue;
		check_entry_decode(&c->g, entry, bitmap, &e);
		if (e.kind != ENTRY_CLUSTER ||
		    e.copied == (check_counts_get(c, &ch->s.next,
						  e.host_offset >> c->g.cluster_bits) == 1))
			continue;
		qcow_l2_put(&c->g, entries, i, entry ^ c->g.copied, bitmap);
		changed++;
	}
	return changed;
}

static void write_l2(struct check *c, const struct l2_ref *ref, __be64 *entries)
{
	struct change *ch = change_of(c);
	struct table_use *use = &ch->use[ref - c->l2.list];
	u32 bits = c->g.cluster_bits;

	if (!use->active || ch->err || !refresh_flags(ch, entries))
		return;
	ch->err = space_take(&ch->s, 1, &use->moved);
	if (!ch->err)
		ch->err = shadow_count_add(&ch->s, use->moved >> bits, use->active - 1LL);
	if (!ch->err)
		ch->err = shadow_count_add(&ch->s, ref->host_offset >> bits, -(s64)use->active);
	if (!ch->err && check_write(c, entries, check_l2_bytes(c), use->moved))
		ch->err = QC_SYSTEM;
}

int table_write_l2(struct change *ch)
{
	u64 errors = ch->s.c.res.errors;

	check_walk_l2(&ch->s.c, write_l2);
	if (!ch->err && ch->s.c.res.errors != errors)
		ch->err = QC_SYSTEM;
	return ch->err;
}

/* The entry of the active L1 table afterwards. */
static int refresh_l1_entry(struct change *ch, __be64 *entry)
{
	u64 host;
	size_t idx;
	int err;

	if (!*entry)
		return 0;
	err = table_find_l2(ch, be64_to_cpu(*entry), &idx);
	if (err)
		return err;
	host = ch->use[idx].moved ? ch->use[idx].moved : ch->s.c.l2.list[idx].host_offset;
	if (check_counts_get(&ch->s.c, &ch->s.next, host >> ch->s.c.g.cluster_bits) == 1)
		host |= ch->s.c.g.copied;
	*entry = cpu_to_be64(host);
	return 0;
}

int table_write_l1(struct change *ch)
{
	const struct qcow_header *old = &ch->img.h;
	u64 host = old->l1_offset, changed = ch->verb != SNAPSHOT_DELETE;
	u32 entries = old->l1_entries, i;
	__be64 *l1, before;
	int err;

	if (ch->verb == SNAPSHOT_APPLY) {
		host = change_picked(ch)->s.l1_offset;
		entries = change_picked(ch)->s.l1_entries;
	}
	err = table_read_l1(ch, host, entries, max(entries, ch->s.h.l1_entries), &l1);
	for (i = 0; !err && i < entries; i++) {
		before = l1[i];
		err = refresh_l1_entry(ch, &l1[i]);
		changed += l1[i] != before;
	}
	/* The old one, in its place, is the snapshot's that is created. */
	if (!err && changed && ch->verb != SNAPSHOT_CREATE)
		err = shadow_count_range(&ch->s, old->l1_offset, old->l1_entries * sizeof(*l1), -1);
	if (!err && changed)
		err = shadow_write_new(&ch->s, l1, ch->s.h.l1_entries * sizeof(*l1),
				       &ch->s.h.l1_offset);
	free(l1);
	return err;
}

static size_t table_bytes(const struct snapshots *snaps)
{
	const struct snapshot *last;

	if (!snaps->nr)
		return 0;
	last = &snaps->list[snaps->nr - 1];
	return last->at + last->bytes;
}

static void copy_entry(unsigned char *to, const struct snapshots *snaps, u32 idx)
{
	const struct snapshot *snap = &snaps->list[idx];

	memcpy(to, snaps->raw + snap->at, min(snap->bytes, snaps->raw_bytes - snap->at));
}

int table_write_snapshots(struct change *ch)
{
	const struct snapshots *snaps = &ch->snaps;
	u64 old = table_bytes(snaps), bytes = 0;
	unsigned char *table;
	u32 i;
	int err;

	table = check_alloc(old + round_up(qcow_snapshot_bytes(&ch->created), 8), 1);
	for (i = 0; i < snaps->nr; i++) {
		if (ch->verb == SNAPSHOT_DELETE && i == ch->picked)
			continue;
		copy_entry(table + bytes, snaps, i);
		bytes += snaps->list[i].bytes;
	}
	if (ch->verb == SNAPSHOT_CREATE) {
		qcow_snapshot_put(&ch->created, table + bytes);
		bytes += qcow_snapshot_bytes(&ch->created);
	}
	ch->s.h.snapshots_offset = 0;
	err = shadow_count_range(&ch->s, ch->img.h.snapshots_offset, old, -1);
	if (!err)
		err = shadow_write_new(&ch->s, table, bytes, &ch->s.h.snapshots_offset);
	free(table);
	return err;
}
