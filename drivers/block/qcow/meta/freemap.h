/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free host clusters, as far as they are known, in the order in which they lie. Does not know
 * reference counts.
 *
 * Context of all functions: the metadata worker; GFP_NOIO.
 */
#ifndef _QCOW_META_FREEMAP_H
#define _QCOW_META_FREEMAP_H

#include <linux/rbtree.h>
#include <linux/types.h>

#include "meta/window.h"

/**
 * struct qcow_freemap - a set of clusters
 * @runs: struct free_run, none of which touches one of its kind
 * @nr: how many
 * @max: at most so many
 */
struct qcow_freemap {
	struct rb_root runs;
	u32 nr;
	u32 max;
};

void qcow_freemap_init(struct qcow_freemap *map, u32 max);
void qcow_freemap_destroy(struct qcow_freemap *map);

/**
 * qcow_freemap_add() - these clusters are free
 * @map: the map
 * @run: the clusters; those that the map has stay what they are
 * @own: they may be cut off the end of the file: this attach has freed them
 *
 * Return: whether the map has all of them now: there may be no memory, or too many runs.
 */
bool qcow_freemap_add(struct qcow_freemap *map, const struct qcow_run *run, bool own);

/**
 * qcow_freemap_take() - take clusters one after the other out of the map
 * @map: the map
 * @min: at least so many
 * @max: at most so many
 * @below: in front of this cluster; U64_MAX: anywhere
 * @run: result, the first ones
 *
 * Return: whether there are any.
 */
bool qcow_freemap_take(struct qcow_freemap *map, u64 min, u64 max, u64 below,
		       struct qcow_run *run);

/* Forget the last run, if it is not in front of cluster @behind. Return: whether there is less. */
bool qcow_freemap_evict(struct qcow_freemap *map, u64 behind);

/* From cluster @end on nothing is free. */
void qcow_freemap_cut(struct qcow_freemap *map, u64 end);

/**
 * qcow_freemap_end() - where the file may end
 * @map: the map
 * @end: cluster behind the last one of the file
 * @keep: the file was that long before: from here on all that is free may be cut off
 *
 * Return: @end, or the first of the free clusters in front of it that may be cut off.
 */
u64 qcow_freemap_end(const struct qcow_freemap *map, u64 end, u64 keep);

#endif /* _QCOW_META_FREEMAP_H */
