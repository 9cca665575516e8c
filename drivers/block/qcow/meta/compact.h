/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the metadata worker does to give space of an image in use back to the host.
 *
 * Context of all functions: process context but that of the worker, a commit, or I/O of the device;
 * they may sleep. A task that is being killed ends them with -EINTR.
 */
#ifndef _QCOW_META_COMPACT_H
#define _QCOW_META_COMPACT_H

#include <linux/types.h>

struct qcow_meta;

/**
 * struct qcow_compact_walk - going through the counts of an image
 * @from: cluster to go on with; in the end the one behind all that is in use
 * @used: clusters that have a count, so far
 * @is_kept: the store cannot give space back
 * @more: there are more
 */
struct qcow_compact_walk {
	u64 from;
	u64 used;
	bool is_kept;
	bool more;
};

/* Whether what has been dropped is being reclaimed. Return: 0 or -EINTR. */
int qcow_compact_is_reclaiming(struct qcow_meta *meta, bool *busy);

/**
 * qcow_compact_settle() - nothing is set aside, and nothing is on its way to be free
 * @meta: the metadata; no request is under way
 *
 * Waits until what has been dropped is reclaimed.
 *
 * Return: 0, -EINTR, -EIO, ...
 */
int qcow_compact_settle(struct qcow_meta *meta);

/**
 * qcow_compact_walk() - count clusters in use, and have others take no space in the store
 * @meta: the metadata
 * @walk: where to go on; all zeros in the beginning
 *
 * Goes through some of the counts.
 *
 * Return: 0, also where space cannot be given back; -EINTR, -EIO, ...
 */
int qcow_compact_walk(struct qcow_meta *meta, struct qcow_compact_walk *walk);

/**
 * qcow_compact_tables() - move L2 tables that lie high to where there is room further down
 * @meta: the metadata; no request is under way, and all is durable
 * @below: host offset that they are to lie in front of, a multiple of the cluster size
 * @l1_idx: L1 entry to begin with; result: where to go on, behind the last one: nowhere
 *
 * Some of them, so that requests do not wait for long. Those that snapshots have, too, stay.
 *
 * Return: 0, -EINTR, -EIO, ...
 */
int qcow_compact_tables(struct qcow_meta *meta, u64 below, u32 *l1_idx);

/**
 * qcow_compact_counts() - move refcount blocks and table, and the L1 table, likewise
 * @meta: the metadata; no request is under way, and all is durable
 * @below: as above
 * @more: result: there are more of them, for another pause
 *
 * Some of them, as above. Where there is no room they stay where they are.
 *
 * Return: 0, -EINTR, -EIO, ...
 */
int qcow_compact_counts(struct qcow_meta *meta, u64 below, bool *more);

/**
 * qcow_compact_cut() - the file ends behind what is in use
 * @meta: the metadata; no request is under way
 *
 * Return: 0, -EINTR, -EIO, ...
 */
int qcow_compact_cut(struct qcow_meta *meta);

#endif /* _QCOW_META_COMPACT_H */
