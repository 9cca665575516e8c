/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The L1 table of the active image as it is written to: entries, the L2 tables they refer
 * to, and sectors that wait for the commit.
 */
#ifndef _QCOW_L1_H
#define _QCOW_L1_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "meta/space.h"

struct qcow_guard;
struct qcow_image;

/**
 * struct qcow_l1 - the L1 table of one image
 * @lock: making of L2 tables; sleeps, reads and writes under it
 * @image: whose
 * @guard: told of new tables
 * @space: new tables come from there
 * @disk_entries: that the table on disk has; @image->l1 has all that the size needs
 * @longer: clusters for a longer table on disk, 0 of them: there are none
 * @dirty_lock: @dirty
 * @dirty: sectors that have been changed, struct l1_sector
 */
struct qcow_l1 {
	struct mutex lock;	/* making tables */
	struct qcow_image *image;
	struct qcow_guard *guard;
	struct qcow_space *space;
	u32 disk_entries;
	struct qcow_run longer;
	spinlock_t dirty_lock;	/* @dirty and what is on it */
	struct list_head dirty;
};

void qcow_l1_init(struct qcow_l1 *l1, struct qcow_image *image, struct qcow_guard *guard,
		  struct qcow_space *space);
void qcow_l1_destroy(struct qcow_l1 *l1);

/**
 * struct qcow_old_table - an L2 table that the active image has no more
 * @host: where it is, 0: there is none
 * @len: bytes
 */
struct qcow_old_table {
	u64 host;
	u64 len;
};

/**
 * qcow_l1_table() - the L2 table of an L1 entry, to be written to
 * @l1: the table
 * @l1_idx: of the entry
 * @committed: a commit has been waited for since the last -EAGAIN
 * @table: host offset of a table that is this image's alone: made when there is none, a
 *         copy when it is shared with a snapshot
 * @old: a table that has been replaced, to be freed after the next commit, also after errors
 *
 * Context: process context, may sleep and do I/O; GFP_NOIO.
 * Return: 0; -EAGAIN: wait for a commit and call again; -ENOSPC, -EUCLEAN, -EIO, ...: nothing
 * has changed.
 */
int qcow_l1_table(struct qcow_l1 *l1, u64 l1_idx, bool committed, u64 *table,
		  struct qcow_old_table *old);

/* Copy what has been changed, as qcow_dirty_collect(). */
void qcow_l1_collect(struct qcow_l1 *l1, struct list_head *batch);
int qcow_l1_write(struct qcow_l1 *l1, struct list_head *batch);
void qcow_l1_finish(struct qcow_l1 *l1, struct list_head *batch, int err);

#endif /* _QCOW_L1_H */
