// SPDX-License-Identifier: GPL-2.0
/*
 * The counts afterwards. What a verb does to an L2 table, it does to everything that the table
 * refers to: each table is read once, however many L1 tables refer to it.
 */
#include "snapshot/internal.h"

/* References to the table that there are more afterwards. */
static s64 difference(const struct change *ch, size_t idx)
{
	const struct l2_ref *ref = &ch->s.c.l2.list[idx];
	const struct table_use *use = &ch->use[idx];

	switch (ch->verb) {
	case SNAPSHOT_CREATE:
		return ref->active;
	case SNAPSHOT_APPLY:
		return (s64)use->picked - ref->active;
	default:
		return -(s64)use->picked;
	}
}

static int count_picked(struct change *ch)
{
	const struct qcow_snapshot *s = &change_picked(ch)->s;
	__be64 *l1;
	size_t idx;
	u32 i;
	int err;

	err = table_read_l1(ch, s->l1_offset, s->l1_entries, s->l1_entries, &l1);
	for (i = 0; !err && i < s->l1_entries; i++) {
		if (!l1[i])
			continue;
		err = table_find_l2(ch, be64_to_cpu(l1[i]), &idx);
		if (!err)
			ch->use[idx].picked++;
	}
	free(l1);
	return err;
}

int count_uses(struct change *ch)
{
	struct check *c = &ch->s.c;
	size_t i;
	int err = 0;

	check_l2_sort(c);
	ch->use = check_alloc(c->l2.nr, sizeof(*ch->use));
	if (ch->verb != SNAPSHOT_CREATE)
		err = count_picked(ch);
	for (i = 0; !err && i < c->l2.nr; i++) {
		const struct l2_ref *ref = &c->l2.list[i];

		/* The counts agree, but that of what is over the table is in them. */
		if (!check_l2_unshared(c, ref))
			return qc_fail(QC_BAD_IMAGE, ch->img.name,
				       "is corrupt: something else is over the L2 table at 0x%llx",
				       ref->host_offset);
		if (ref->active == U32_MAX || ref->inactive == U32_MAX)
			return qc_fail(QC_UNSUPPORTED, ch->img.name,
				       "the L2 table at 0x%llx has more than %u references",
				       ref->host_offset, U32_MAX - 1);
		ch->use[i].active = ch->verb == SNAPSHOT_APPLY ? ch->use[i].picked : ref->active;
	}
	return err;
}

static void count_table(struct check *c, const struct l2_ref *ref, __be64 *entries)
{
	struct change *ch = change_of(c);
	s64 times = difference(ch, ref - c->l2.list);
	u64 nr = BIT_ULL(c->g.l2_bits), i, entry, bitmap;
	bool falls = times < 0;
	struct entry_ref e;

	if (!times || falls != ch->falling || ch->err)
		return;
	ch->err = shadow_count_range(&ch->s, ref->host_offset, check_l2_bytes(c), times);
	for (i = 0; !ch->err && i < nr; i++) {
		if (!check_l2_entry(c, entries, i, &entry, &bitmap))
			continue;
		check_entry_decode(&c->g, entry, bitmap, &e);
		ch->err = shadow_count_range(&ch->s, e.host_offset, e.bytes, times);
	}
}

static bool has_direction(const struct change *ch, bool falling)
{
	size_t i;

	for (i = 0; i < ch->s.c.l2.nr; i++) {
		s64 times = difference(ch, i);

		if (falling ? times < 0 : times > 0)
			return true;
	}
	return false;
}

int count_changes(struct change *ch)
{
	u64 errors = ch->s.c.res.errors;
	int pass;

	/* Less comes first: a sum that a narrow count holds may have parts that it does not. */
	for (pass = 0; pass < 2 && !ch->err; pass++) {
		ch->falling = !pass;
		if (has_direction(ch, ch->falling))
			check_walk_l2(&ch->s.c, count_table);
	}
	if (!ch->err && ch->s.c.res.errors != errors)
		ch->err = QC_SYSTEM;
	return ch->err;
}
