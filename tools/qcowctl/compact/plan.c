// SPDX-License-Identifier: GPL-2.0
/*
 * What moves where. A plan has a target: what begins there or behind it moves in front of it, and
 * so do all tables that refer to something that moves, as each of them is written anew. The best
 * plan is one with a low target for which there is enough room. Only clusters that are free before
 * the pass are room.
 *
 * A row of clusters may not find one that is free. Compressed data then stays, in plans that are
 * not strict. A table that has to be written goes wherever there is a row, behind the target or
 * behind the end of the file: what has moved leaves rows behind, so that the next pass finds one
 * for it further down. So a plan is judged by where the file ends and by how much of it lies behind
 * the end of one without a gap: the sum has to become less, and the passes come to an end.
 *
 * The counts are laid out later (shadow/): here room is left for all refcount blocks that there may
 * be then.
 */
#include "compact/internal.h"

#define NOWHERE		U64_MAX

/* Targets that are tried above the lowest one. */
#define SAMPLES		16

/* Data that is copied in one pass takes space twice while it lasts. */
#define COPY_SHARE	4
#define COPY_CLUSTERS	4096

static void begin(struct pass *p, u64 target)
{
	struct plan *plan = &p->plan;

	memcpy(plan->flags, p->survey.flags, p->survey.room);
	memset(plan->cursor, 0, sizeof(plan->cursor));
	plan->target = target;
	plan->nr = 0;
	plan->copied = 0;
}

/* The first row of free clusters that ends before @end. */
static u64 take_row(struct plan *plan, u64 nr, u64 end)
{
	u64 *cursor = &plan->cursor[min_t(u64, nr, PLAN_LENGTHS - 1)];
	u64 idx, run = 0;

	for (idx = *cursor; idx < end && run < nr; idx++)
		run = plan->flags[idx] & CLUSTER_FREE ? run + 1 : 0;
	/* Longer ones share the cursor of the longest that has one. */
	if (nr < PLAN_LENGTHS)
		*cursor = idx - run;
	if (run < nr)
		return NOWHERE;
	memset(plan->flags + idx - nr, CLUSTER_USED, nr);
	return idx - nr;
}

static void add_move(struct plan *plan, u64 from, u64 to, u64 nr, bool is_table)
{
	struct move *last = plan->nr ? &plan->moves[plan->nr - 1] : NULL;

	memset(plan->flags + from, 0, nr);
	if (last && last->is_table == is_table && last->from + last->nr == from &&
	    last->to + last->nr == to) {
		last->nr += nr;
		return;
	}
	if (plan->nr == plan->room) {
		plan->room = plan->room ? plan->room * 2 : 1024;
		plan->moves = check_grow(plan->moves, plan->room, sizeof(*plan->moves));
	}
	plan->moves[plan->nr++] = (struct move){
		.from = from, .to = to, .nr = nr, .is_table = is_table,
	};
}

/* Return: false: there is not enough room. */
static bool place_table(struct pass *p, const struct table *t)
{
	struct plan *plan = &p->plan;
	u64 to;

	if (!t->nr || p->survey.flags[t->first] & CLUSTER_FIXED ||
	    (t->first < plan->target && t->highest < plan->target))
		return true;
	to = take_row(plan, t->nr, t->nr == 1 ? plan->target : p->survey.room);
	if (to == NOWHERE)
		return false;
	add_move(plan, t->first, to, t->nr, true);
	return true;
}

static bool place_tables(struct pass *p)
{
	const struct survey *v = &p->survey;
	bool fits = place_table(p, &v->snapshot_table) && place_table(p, &v->dir_table);
	u32 i;

	for (i = 0; fits && i <= v->snaps.nr; i++)
		fits = place_table(p, &v->l1[i]);
	for (i = 0; fits && i < v->dir.nr; i++)
		fits = place_table(p, &v->bitmaps[i]);
	return fits;
}

static bool place_l2_tables(struct pass *p)
{
	const struct check *c = &p->s.c;
	bool fits = true;
	size_t i;

	for (i = 0; fits && i < c->l2.nr; i++) {
		const struct table t = {
			.first = c->l2.list[i].host_offset >> c->g.cluster_bits, .nr = 1,
			.highest = p->survey.l2_highest[i],
		};

		fits = place_table(p, &t);
	}
	return fits;
}

static u64 unit_length(const struct survey *v, u64 first)
{
	u64 nr = 1;

	while (first + nr < v->end && v->flags[first + nr - 1] & CLUSTER_JOINED)
		nr++;
	return nr;
}

static bool place_unit(struct pass *p, u64 first, u64 nr)
{
	u64 to = take_row(&p->plan, nr, p->plan.target);

	if (to == NOWHERE)
		return nr > 1 && !p->plan.strict;
	add_move(&p->plan, first, to, nr, false);
	p->plan.copied += nr;
	return p->plan.copied <= p->plan.limit;
}

/* Those of more than one cluster, or the others. */
static bool place_units(struct pass *p, bool rows)
{
	const struct survey *v = &p->survey;
	u64 idx = p->plan.target, nr;
	bool fits = true, is_row;

	/* The end of one that begins before. */
	while (idx && idx < v->end && v->flags[idx - 1] & CLUSTER_JOINED)
		idx++;
	for (; fits && idx < v->end; idx += nr) {
		nr = unit_length(v, idx);
		is_row = nr > 1;
		if (is_row == rows &&
		    (v->flags[idx] & (CLUSTER_USED | CLUSTER_FIXED | CLUSTER_TABLE)) ==
		    CLUSTER_USED)
			fits = place_unit(p, idx, nr);
	}
	return fits;
}

static u64 last_used(const struct plan *plan, u64 end)
{
	while (end && !(plan->flags[end - 1] & CLUSTER_USED))
		end--;
	return end;
}

/* As if all refcount blocks and the refcount table were to move. */
static bool place_counts(struct pass *p)
{
	const struct image *img = p->s.c.img;
	struct plan *plan = &p->plan;
	u64 blocks, bytes, host, i;

	memset(plan->flags + (img->h.refcount_table_offset >> p->s.c.g.cluster_bits), 0,
	       img->h.refcount_table_clusters);
	for (i = 0; i < p->s.c.table_entries; i++) {
		host = check_block_offset(&p->s.c, i);
		if (host)
			plan->flags[host >> p->s.c.g.cluster_bits] = 0;
	}
	blocks = (last_used(plan, p->survey.room) >> p->s.c.block_bits) + 1;
	bytes = blocks * sizeof(__be64);
	for (i = 0; i < blocks; i++)
		if (take_row(plan, 1, plan->target) == NOWHERE)
			return false;
	return take_row(plan, shadow_clusters(&p->s, bytes), p->survey.room) != NOWHERE;
}

/* Where the file ends, and how much is behind the end of one without a gap. */
static u64 cost(const u8 *flags, u64 room)
{
	u64 used = 0, end = 0, misplaced = 0, i;

	for (i = 0; i < room; i++) {
		if (!(flags[i] & CLUSTER_USED))
			continue;
		used++;
		end = i + 1;
	}
	for (i = used; i < end; i++)
		misplaced += !!(flags[i] & CLUSTER_USED);
	return end + misplaced;
}

/* Rows come first, single clusters fit in anywhere. Return: NOWHERE: there is not enough room. */
static u64 try_target(struct pass *p, u64 target)
{
	begin(p, target);
	if (place_tables(p) && place_units(p, true) && place_l2_tables(p) &&
	    place_units(p, false) && place_counts(p))
		return cost(p->plan.flags, p->survey.room);
	return NOWHERE;
}

static u64 lowest_target(struct pass *p)
{
	u64 low = 0, high = p->survey.end, target;

	while (high - low > 1) {
		target = low + (high - low) / 2;
		if (try_target(p, target) == NOWHERE)
			low = target;
		else
			high = target;
	}
	return high;
}

/* Where not all rows find one, another target than the lowest one may gain more. */
static u64 best_target(struct pass *p)
{
	u64 end = p->survey.end, best, least, lowest, next, i;

	p->plan.strict = true;
	best = lowest_target(p);
	least = try_target(p, best);
	p->plan.strict = false;
	lowest = lowest_target(p);
	for (i = 0; i < SAMPLES; i++) {
		next = try_target(p, lowest + (end - lowest) * i / SAMPLES);
		if (next < least) {
			least = next;
			best = p->plan.target;
		}
	}
	return best;
}

static int compare_from(const void *a, const void *b)
{
	const struct move *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

bool plan_make(struct pass *p)
{
	const struct survey *v = &p->survey;
	u64 least;

	p->plan.flags = check_alloc(v->room, 1);
	p->plan.limit = max_t(u64, v->used / COPY_SHARE, COPY_CLUSTERS);
	least = try_target(p, best_target(p));
	if (p->plan.nr)
		qsort(p->plan.moves, p->plan.nr, sizeof(*p->plan.moves), compare_from);
	return least < cost(v->flags, v->room);
}

void plan_free(struct pass *p)
{
	free(p->plan.flags);
	free(p->plan.moves);
}

u64 plan_find(const struct plan *plan, u64 cluster_idx)
{
	size_t low = 0, high = plan->nr, middle;
	const struct move *m;

	/* The last one that does not begin behind it. */
	while (low < high) {
		middle = low + (high - low) / 2;
		if (plan->moves[middle].from <= cluster_idx)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return cluster_idx;
	m = &plan->moves[low - 1];
	return cluster_idx - m->from < m->nr ? m->to + (cluster_idx - m->from) : cluster_idx;
}
