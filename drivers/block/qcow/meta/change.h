/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A change of the mapping of some guest clusters, from the moment that no other change may
 * touch them to the new L2 entries in memory.
 *
 *   begin --> (planned by the caller) --> in flight: its data is being written --> end
 *     |                                                                             |
 *     +-- parked: behind another change, for room, for a commit, for an L2 table    +-- entries
 *                                                                                       set, or
 *                                                                                       undone
 */
#ifndef _QCOW_META_CHANGE_H
#define _QCOW_META_CHANGE_H

#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>

#include "meta/msg.h"

struct qcow_extent;
struct qcow_freed;
struct qcow_meta;
struct qcow_slice;

/**
 * struct qcow_change - guest clusters of one slice that this change has for itself
 * @msg: for its owner: posted when the data has been written, its run() calls qcow_change_end()
 * @err: for its owner: of writing the data
 * @node: among the changes in flight, by @first
 * @first: number of the first guest cluster
 * @last: number of the last guest cluster
 * @waiters: messages parked until this change has ended
 * @slice: with their entries, pinned; NULL: there is no L2 table
 * @guest: guest bytes that get a new mapping: first, a multiple of the (sub)cluster size
 * @len: how many; 0: the mapping stays as it is
 * @host: where the first of them is from now on
 * @from: where all of one cluster has been until now, which is at @host from now on; what else its
 *        entry says stays; 0: it is something else that comes there
 * @compressed_len: one cluster is compressed, in so many bytes at @host, which it gives back when
 *                  it fails; 0: they are not
 * @whole: their clusters hold nothing else: subclusters beside them are replaced, too
 * @copied: bytes that have been read to be written beside those of its request
 * @fresh: first host cluster that was allocated for it
 * @nr_fresh: how many; they are given back when the change fails
 * @freed: host space that nothing refers to afterwards, or NULL
 */
struct qcow_change {
	struct qcow_meta_msg msg;
	int err;

	struct rb_node node;
	u64 first;
	u64 last;
	struct list_head waiters;
	struct qcow_slice *slice;

	u64 guest;
	u64 len;
	u64 host;
	u64 from;
	u32 compressed_len;
	bool whole;
	u64 copied;
	u64 fresh;
	u64 nr_fresh;
	struct qcow_freed *freed;
};

/**
 * qcow_change_begin() - have guest clusters for one change
 * @meta: the metadata
 * @change: filled but for @msg and @err
 * @guest: first byte
 * @len: bytes wanted; what can be had comes out, from @guest on, in one slice
 * @make_table: make an L2 table, or one that is not shared, where there is none
 * @msg: parked when the change has to wait; it is run again, and tries again then
 *
 * Context: the worker.
 * Return: 0; -EINPROGRESS: @msg has been parked and may be run at any time; errors as
 * qcow_space_alloc(), -EUCLEAN, -EIO, -ENOMEM.
 */
int qcow_change_begin(struct qcow_meta *meta, struct qcow_change *change, u64 guest, u64 *len,
		      bool make_table, struct qcow_meta_msg *msg);

/**
 * qcow_change_map() - what a guest range of the change is mapped to now
 * @meta: the metadata
 * @change: with a slice
 * @guest: first byte
 * @len: bytes wanted
 * @ext: result
 *
 * Context: the worker.
 * Return: 0, or -EUCLEAN: the entry is corrupt, named in the log.
 */
int qcow_change_map(struct qcow_meta *meta, const struct qcow_change *change, u64 guest, u64 len,
		    struct qcow_extent *ext);

/**
 * qcow_change_freed() - host space that goes back when a cluster is mapped elsewhere
 * @meta: the metadata
 * @guest: byte of the cluster that @ext begins with
 * @ext: from qcow_change_map()
 * @freed: result for qcow_reclaim_drop(), once the entry has changed; NULL: none goes back.
 *         Version 1 frees whole clusters at their borders only, a data file nothing
 *
 * Context: the worker.
 * Return: 0 or -ENOMEM.
 */
int qcow_change_freed(struct qcow_meta *meta, u64 guest, const struct qcow_extent *ext,
		      struct qcow_freed **freed);

/**
 * qcow_change_moves() - what a cluster has comes with it
 * @meta: the metadata
 * @change: of that cluster, with a new place for it
 * @from: where it is; not 0
 *
 * Context: the worker.
 */
void qcow_change_moves(struct qcow_meta *meta, struct qcow_change *change, u64 from);

/**
 * qcow_change_end() - put the new entries in place, or leave the old ones
 * @meta: the metadata
 * @change: the caller's again afterwards
 * @err: of writing the data; other than 0: fresh clusters are given back
 *
 * Whatever has waited for the clusters is run again.
 *
 * Context: the worker.
 */
void qcow_change_end(struct qcow_meta *meta, struct qcow_change *change, int err);

#endif /* _QCOW_META_CHANGE_H */
