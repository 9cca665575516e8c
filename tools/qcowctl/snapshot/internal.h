/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of snapshot/ share.
 *
 * To create, to apply and to delete a snapshot is one algorithm. An L2 table has references from
 * the active L1 table and from those of the snapshots; the verb says how many of each it has
 * afterwards, and the counts of the table and of all clusters that it refers to change by the
 * difference:
 *
 *   verb    active state afterwards  snapshots afterwards
 *   create  the same                 and one with what is the active state
 *   apply   that of the snapshot     the same
 *   delete  the same                 without this one
 *
 * Counts and tables are made beside those in use (shadow/).
 *
 *   change.c  the order of it all
 *   count.c   new counts of L2 tables, and of what they refer to
 *   table.c   L2 tables with new flags, L1 table, snapshot table
 *
 * Functions return 0, or enum qc_exit after a message, unless their comment states something
 * else.
 */
#ifndef QCOWCTL_SNAPSHOT_INTERNAL_H
#define QCOWCTL_SNAPSHOT_INTERNAL_H

#include "shadow/shadow.h"
#include "snapshot/snapshot.h"

/**
 * struct table_use - what becomes of an L2 table
 * @picked: references from the L1 table of the snapshot that is applied or deleted
 * @active: references from the active state afterwards
 * @moved: where the copy with other flags is that the active state refers to, 0: there is none
 */
struct table_use {
	u32 picked;
	u32 active;
	u64 moved;
};

/**
 * struct change - a snapshot being created, applied or deleted
 * @s: the header and the counts afterwards
 * @img: the image
 * @verb: what to do
 * @snaps: the snapshot table before
 * @picked: position of the snapshot that is applied or deleted
 * @created: the one that is created
 * @use: for each L2 table of the check
 * @falling: of a walk that changes counts: only those that become less, else those that grow
 * @err: of a walk, enum qc_exit
 */
struct change {
	struct shadow s;
	struct image img;
	enum snapshot_verb verb;
	struct snapshots snaps;
	u32 picked;
	struct qcow_snapshot created;
	struct table_use *use;
	bool falling;
	int err;
};

static inline struct change *change_of(struct check *c)
{
	return (struct change *)((char *)c - offsetof(struct change, s.c));
}

/* The snapshot that is applied or deleted. */
static inline const struct snapshot *change_picked(const struct change *ch)
{
	return &ch->snaps.list[ch->picked];
}

/* count.c */

/**
 * count_uses() - find out how often the active state refers to each L2 table afterwards
 * @ch: the change; allocates @ch->use
 */
int count_uses(struct change *ch);

/**
 * count_changes() - change the counts of L2 tables and data
 * @ch: the change, after count_uses()
 *
 * Return: 0; QC_UNSUPPORTED: a count would not hold all references; QC_BAD_IMAGE, QC_SYSTEM.
 */
int count_changes(struct change *ch);

/* table.c */

/**
 * table_write_l2() - write copies of active L2 tables that need other COPIED flags
 * @ch: the change, after count_changes()
 */
int table_write_l2(struct change *ch);

/**
 * table_write_l1() - write the active L1 table, and drop the old one
 * @ch: the change, after table_write_l2(); the new header gets its place
 */
int table_write_l1(struct change *ch);

/**
 * table_write_snapshots() - write the snapshot table, and drop the old one
 * @ch: the change; the new header gets its place
 */
int table_write_snapshots(struct change *ch);

/**
 * table_read_l1() - read an L1 table
 * @ch: the change
 * @host_offset: of the table
 * @entries: of the table
 * @room: entries of the result, more than @entries are 0
 * @l1: result, big endian, to be freed
 */
int table_read_l1(struct change *ch, u64 host_offset, u32 entries, u32 room, __be64 **l1);

/**
 * table_find_l2() - find an L2 table among those of the check
 * @ch: the change
 * @entry: L1 entry that refers to it, CPU order, not 0
 * @idx: result, its index
 *
 * Return: 0; QC_BAD_IMAGE: the check has not met the entry.
 */
int table_find_l2(const struct change *ch, u64 entry, size_t *idx);

#endif /* QCOWCTL_SNAPSHOT_INTERNAL_H */
