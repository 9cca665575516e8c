/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A change of the mapping of some guest clusters, from the moment that nobody else may
 * change it to the new L2 entries in memory.
 */
#ifndef _QCOW_CHANGE_H
#define _QCOW_CHANGE_H

#include <linux/types.h>
#include <linux/workqueue.h>

#include "meta/ranges.h"

struct qcow_extent;
struct qcow_freed;
struct qcow_slice;
struct qcow_waiter;
struct qcow_writer;

/**
 * struct qcow_change - guest clusters of one slice that this change has for itself
 * @writer: of the image
 * @range: the clusters
 * @slice: with their entries, changeable; NULL: there is no L2 table
 * @guest: guest bytes that get a new mapping: first, a multiple of the (sub)cluster size
 * @len: how many; 0: the mapping stays as it is
 * @host: where the first of them is from now on
 * @whole: their clusters hold nothing else: subclusters beside them are replaced, too
 * @first: fresh host clusters that are given back when the change fails
 * @nr: how many
 * @freed: host space that is referred to no more afterwards, or NULL
 * @work: gives back in process context
 */
struct qcow_change {
	struct qcow_writer *writer;
	struct qcow_range range;
	struct qcow_slice *slice;
	u64 guest;
	u64 len;
	u64 host;
	bool whole;
	u64 first;
	u64 nr;
	struct qcow_freed *freed;
	struct work_struct work;
};

/**
 * qcow_change_begin() - have clusters for oneself
 * @w: the writer
 * @guest: first byte
 * @len: bytes wanted; what can be had comes out, from @guest on, in one slice
 * @make_table: make an L2 table, or one that is not shared, where there is none
 * @waiter: parked when somebody else changes the first cluster
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: the change; ERR_PTR(-EINPROGRESS): @waiter will be woken, try again then;
 * -ENOSPC, -EUCLEAN, -EIO, -ENOMEM.
 */
struct qcow_change *qcow_change_begin(struct qcow_writer *w, u64 guest, u64 *len,
				      bool make_table, struct qcow_waiter *waiter);

/**
 * qcow_change_map() - what a guest range of the change is mapped to now
 * @change: with a slice
 * @guest: first byte
 * @len: bytes wanted
 * @ext: result
 *
 * Return: 0, or -EUCLEAN: the entry is corrupt, named in the log.
 */
int qcow_change_map(const struct qcow_change *change, u64 guest, u64 len,
		    struct qcow_extent *ext);

/**
 * qcow_change_freed() - host space that goes back when a cluster is mapped elsewhere
 * @change: of the cluster
 * @guest: byte of the cluster that @ext begins with
 * @ext: from qcow_change_map()
 * @freed: result for qcow_commit_freed(), once the entry has changed; NULL: none goes back.
 *         Version 1 frees whole clusters at their borders only, a data file nothing
 *
 * Return: 0 or -ENOMEM.
 */
int qcow_change_freed(const struct qcow_change *change, u64 guest, const struct qcow_extent *ext,
		      struct qcow_freed **freed);

/**
 * qcow_change_end() - put the new entries in place, or leave the old ones
 * @change: freed
 * @err: of writing the data; other than 0: fresh clusters are given back
 *
 * Context: any.
 */
void qcow_change_end(struct qcow_change *change, int err);

#endif /* _QCOW_CHANGE_H */
