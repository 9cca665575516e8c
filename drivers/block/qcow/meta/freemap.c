// SPDX-License-Identifier: GPL-2.0
/*
 * A tree of runs of free clusters, by position. Neighbours of one kind are one run.
 */
#include <linux/minmax.h>
#include <linux/slab.h>

#include "meta/freemap.h"

/**
 * struct free_run - free clusters one after the other
 * @node: in the tree
 * @run: the clusters
 * @own: as in qcow_freemap_add()
 */
struct free_run {
	struct rb_node node;
	struct qcow_run run;
	bool own;
};

static struct free_run *to_run(struct rb_node *node)
{
	return rb_entry_safe(node, struct free_run, node);
}

static u64 run_end(const struct free_run *entry)
{
	return entry->run.first + entry->run.nr;
}

/* The run that has @cluster, or the next one behind it, or NULL. */
static struct free_run *freemap_find(const struct qcow_freemap *map, u64 cluster)
{
	struct rb_node *node = map->runs.rb_node;
	struct free_run *found = NULL;

	while (node) {
		struct free_run *entry = to_run(node);

		if (cluster < run_end(entry)) {
			found = entry;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

static void freemap_erase(struct qcow_freemap *map, struct free_run *entry)
{
	rb_erase(&entry->node, &map->runs);
	map->nr--;
	kfree(entry);
}

static bool run_is_before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct free_run, node)->run.first <
	       rb_entry(b, struct free_run, node)->run.first;
}

/* Whether @b can be a part of @a, which ends where it begins. */
static bool run_continues(const struct free_run *a, const struct free_run *b)
{
	return a && b && run_end(a) == b->run.first && a->run.zero == b->run.zero &&
	       a->own == b->own;
}

/* Insert clusters that the map has not, in front of @next. */
static bool freemap_insert(struct qcow_freemap *map, const struct free_run *part,
			   struct free_run *next)
{
	struct free_run *prev = to_run(next ? rb_prev(&next->node) : rb_last(&map->runs));

	if (run_continues(prev, part)) {
		prev->run.nr += part->run.nr;
		if (run_continues(prev, next)) {
			prev->run.nr += next->run.nr;
			freemap_erase(map, next);
		}
		return true;
	}
	if (run_continues(part, next)) {
		next->run.first = part->run.first;
		next->run.nr += part->run.nr;
		return true;
	}
	if (map->nr == map->max)
		return false;
	next = kmemdup(part, sizeof(*part), GFP_NOIO);
	if (!next)
		return false;
	rb_add(&next->node, &map->runs, run_is_before);
	map->nr++;
	return true;
}

bool qcow_freemap_add(struct qcow_freemap *map, const struct qcow_run *run, bool own)
{
	struct free_run part = { .run = *run, .own = own };
	u64 end = run->first + run->nr;

	while (part.run.first < end) {
		struct free_run *next = freemap_find(map, part.run.first);

		if (next && next->run.first <= part.run.first) {
			part.run.first = run_end(next);
			continue;
		}
		part.run.nr = (next ? min(next->run.first, end) : end) - part.run.first;
		if (!freemap_insert(map, &part, next))
			return false;
		part.run.first += part.run.nr;
	}
	return true;
}

/* Take @run, whose clusters the map has, out of it; it is at the beginning of a run. */
static void freemap_remove(struct qcow_freemap *map, struct qcow_run *run)
{
	u64 end = run->first + run->nr;
	struct free_run *entry;

	run->zero = true;
	while ((entry = freemap_find(map, run->first)) && entry->run.first < end) {
		run->zero &= entry->run.zero;
		if (run_end(entry) <= end) {
			freemap_erase(map, entry);
		} else {
			entry->run.nr = run_end(entry) - end;
			entry->run.first = end;
		}
	}
}

bool qcow_freemap_take(struct qcow_freemap *map, u64 min, u64 max, u64 below,
		       struct qcow_run *run)
{
	struct rb_node *node;

	/* Runs of different kinds may follow each other. */
	*run = (struct qcow_run) {};
	for (node = rb_first(&map->runs); node && run->nr < min; node = rb_next(node)) {
		struct free_run *entry = to_run(node);

		if (run->first + run->nr != entry->run.first)
			*run = (struct qcow_run) { .first = entry->run.first };
		run->nr += entry->run.nr;
	}
	if (!run->nr || run->nr < min || run->first >= below || below - run->first < min) {
		run->nr = 0;
		return false;
	}
	run->nr = min3(run->nr, max, below - run->first);
	freemap_remove(map, run);
	return true;
}

bool qcow_freemap_evict(struct qcow_freemap *map, u64 behind)
{
	struct free_run *entry = to_run(rb_last(&map->runs));

	if (!entry || entry->run.first < behind)
		return false;
	freemap_erase(map, entry);
	return true;
}

void qcow_freemap_cut(struct qcow_freemap *map, u64 end)
{
	struct free_run *entry;

	while ((entry = to_run(rb_last(&map->runs))) && entry->run.first >= end)
		freemap_erase(map, entry);
	if (entry && run_end(entry) > end)
		entry->run.nr = end - entry->run.first;
}

u64 qcow_freemap_end(const struct qcow_freemap *map, u64 end, u64 keep)
{
	struct free_run *entry = to_run(rb_last(&map->runs));

	while (entry && run_end(entry) == end) {
		end = entry->own ? entry->run.first : max(entry->run.first, min(keep, end));
		if (end != entry->run.first)
			break;
		entry = to_run(rb_prev(&entry->node));
	}
	return end;
}

void qcow_freemap_init(struct qcow_freemap *map, u32 max)
{
	*map = (struct qcow_freemap) { .runs = RB_ROOT, .max = max };
}

void qcow_freemap_destroy(struct qcow_freemap *map)
{
	struct rb_node *node;

	while ((node = rb_first(&map->runs)))
		freemap_erase(map, to_run(node));
}
