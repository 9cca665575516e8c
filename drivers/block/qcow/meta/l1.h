/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The L1 table of the active image as it is written to: entries, the L2 tables they refer to,
 * and sectors that wait for the commit. All of it is the metadata worker's.
 */
#ifndef _QCOW_META_L1_H
#define _QCOW_META_L1_H

#include <linux/list.h>
#include <linux/types.h>

#include "meta/window.h"

struct qcow_image;
struct qcow_meta;
struct qcow_meta_msg;
struct qcow_report;

/**
 * enum qcow_l1_state - whether the table on disk is long enough for the image
 * @QCOW_L1_FITS: no entry beyond it has been wanted
 * @QCOW_L1_COUNTED: clusters for a longer one are counted, in memory
 * @QCOW_L1_DURABLE: the counts are durable: the longer table can be written and the header
 *                   changed
 *
 *   FITS --(an entry beyond it)--> COUNTED --(commit)--> DURABLE --(no commit runs)--> FITS
 */
enum qcow_l1_state {
	QCOW_L1_FITS,
	QCOW_L1_COUNTED,
	QCOW_L1_DURABLE,
};

/* Bytes of a table. */
static inline u64 qcow_l1_bytes(u32 entries)
{
	return (u64)entries * sizeof(__be64);
}

/**
 * struct qcow_l1 - the L1 table of one image
 * @disk_entries: that the table on disk has; @image->l1 has all that the size needs
 * @state: see there
 * @longer: clusters for the longer table
 * @changed: sectors that have been changed, struct l1_sector
 * @fills: L2 tables that are being filled, struct l1_fill
 */
struct qcow_l1 {
	u32 disk_entries;
	enum qcow_l1_state state;
	struct qcow_run longer;
	struct list_head changed;
	struct list_head fills;
};

void qcow_l1_init(struct qcow_l1 *l1, const struct qcow_image *image);
void qcow_l1_destroy(struct qcow_l1 *l1);

/**
 * qcow_l1_table() - the L2 table of an L1 entry, to be written to
 * @meta: the metadata
 * @l1_idx: of the entry
 * @table: host offset of a table that is this image's alone: made when there is none, a
 *         copy when it is shared with a snapshot
 * @msg: parked while it is made
 *
 * Context: the worker; may sleep and do I/O, GFP_NOIO.
 * Return: 0; -EINPROGRESS: @msg has been parked, and is run again when the table is there, or with
 * its @err when that cannot be; -EBUSY: try again after the next commit; else nothing has changed:
 * errors as qcow_space_alloc(), -EUCLEAN, -EIO, ...
 */
int qcow_l1_table(struct qcow_meta *meta, u64 l1_idx, u64 *table, struct qcow_meta_msg *msg);

/**
 * qcow_l1_lengthen() - have more entries in memory
 * @meta: the metadata
 * @entries: more than there are; that of a larger size
 * @l1: memory for them, zeroed; afterwards the table that there was, to be freed after a grace
 *      period of RCU, also when it is the one that was given
 * @rep: says what is wrong with entries that the table on disk has beyond those in memory
 *
 * Context: the worker; may sleep and do I/O, GFP_NOIO.
 * Return: 0; -EUCLEAN, -EIO, -ENOMEM: nothing has changed.
 */
int qcow_l1_lengthen(struct qcow_meta *meta, u32 entries, __be64 **l1, struct qcow_report *rep);

/**
 * qcow_l1_fit() - have a table on disk that is as long as the one in memory
 * @meta: the metadata
 *
 * Context: the worker; may sleep and do I/O, GFP_NOIO.
 * Return: 0; -EBUSY: try again after the next commit; else errors as qcow_space_alloc(), -EIO, ...
 */
int qcow_l1_fit(struct qcow_meta *meta);

/**
 * qcow_l1_move_table() - have an L2 table somewhere else
 * @meta: the metadata
 * @l1_idx: of its entry
 * @from: where the table is; none of its slices is pinned
 * @to: clusters that nothing refers to
 *
 * The next commit writes the entry; until it has ended nothing may be written at @from.
 *
 * Context: the worker; may sleep and do I/O, GFP_NOIO.
 * Return: 0; -ENOMEM, -ENOSPC, -EIO, ...: nothing has changed.
 */
int qcow_l1_move_table(struct qcow_meta *meta, u64 l1_idx, u64 from, u64 to);

/**
 * qcow_l1_move() - have the L1 table of version 1 somewhere else
 * @meta: the metadata; no commit is running, and none is due
 * @to: clusters that nothing refers to
 *
 * Context: the worker; may sleep and do I/O, GFP_NOIO.
 * Return: 0: the header says so, and it is durable; -ENOMEM, -EIO, ...: it does not, or it may, and
 * nothing is written any more.
 */
int qcow_l1_move(struct qcow_meta *meta, u64 to);

/**
 * qcow_l1_wipe() - have a table on disk that says that the image has nothing
 * @meta: the metadata; all is durable, and nothing is written to the image any more
 *
 * The entries become 0 one after the other, which a power cut may find half done. References are
 * not dropped: what the image had is leaked.
 *
 * Context: process context but that of the worker; may sleep.
 * Return: 0: that is durable; -ENOMEM, or the header cannot be written: nothing has changed; -EIO,
 * ...: some entries may be 0, and the image takes no writes any more.
 */
int qcow_l1_wipe(struct qcow_meta *meta);

/* Clusters for a longer table, if there are any, are not wanted. No commit runs. The worker. */
void qcow_l1_release_longer(struct qcow_meta *meta);

/**
 * qcow_l1_collect() - copy what has been changed, for a commit
 * @meta: the metadata
 * @batch: gets the sectors
 *
 * Context: the worker.
 * Return: whether counts for a longer table are among what the commit makes durable, for
 * qcow_l1_finish().
 */
bool qcow_l1_collect(struct qcow_meta *meta, struct list_head *batch);

/* Write the copies. Context: the commit's work item. Return: 0 or -errno. */
int qcow_l1_write(struct qcow_image *image, struct list_head *batch);

/**
 * qcow_l1_finish() - end of the commit
 * @meta: the metadata
 * @batch: empty afterwards
 * @counted: as qcow_l1_collect() returned
 * @err: of the commit
 *
 * Context: the worker.
 */
void qcow_l1_finish(struct qcow_meta *meta, struct list_head *batch, bool counted, int err);

#endif /* _QCOW_META_L1_H */
