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
 * An entry of an active table has COPIED exactly if its cluster's count is 1, and qemu-img check
 * takes anything else for a corruption: counts and flags cannot change one after the other. So
 * nothing that is in use is changed in place. Whatever has to be different is written to clusters
 * that are free before and afterwards: L2 tables with the flags for the new counts, the active L1
 * table, the snapshot table, refcount blocks, the refcount table. When it is durable, one write of
 * the header's first sector makes it valid. With it what is not needed any more has a count of 0:
 * a cut leaves no leak on either side. Only then are freed clusters punched, and the file is cut.
 *
 *   change.c  the order of it all
 *   count.c   new counts, from the old ones and what changes (next)
 *   space.c   free clusters; refcount blocks and table for the new counts
 *   table.c   L2 tables with new flags, L1 table, snapshot table
 *
 * Functions return 0, or enum qc_exit after a message, unless their comment states something
 * else.
 */
#ifndef QCOWCTL_SNAPSHOT_INTERNAL_H
#define QCOWCTL_SNAPSHOT_INTERNAL_H

#include "check/internal.h"
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
 * @c: the check that has found nothing wrong; its counts are those before, and it has all L2
 *     tables
 * @img: the image
 * @verb: what to do
 * @snaps: the snapshot table before
 * @picked: position of the snapshot that is applied or deleted
 * @created: the one that is created
 * @h: the header afterwards
 * @use: for each L2 table of @c
 * @next: counts afterwards
 * @blocks: for each refcount block of @next, enum block_state
 * @table: refcount table afterwards, CPU order, an entry for each block of @next
 * @table_room: clusters that the refcount table has been given, 0: none yet
 * @cursor: no single cluster before it is free
 * @falling: of a walk that changes counts: only those that become less, else those that grow
 * @err: of a walk, enum qc_exit
 */
struct change {
	struct check c;
	struct image img;
	enum snapshot_verb verb;
	struct snapshots snaps;
	u32 picked;
	struct qcow_snapshot created;
	struct qcow_header h;
	struct table_use *use;
	struct check_counts next;
	u8 *blocks;
	u64 *table;
	u64 table_room;
	u64 cursor;
	bool falling;
	int err;
};

/**
 * enum block_state - what becomes of a refcount block
 * @BLOCK_SAME: it stays
 * @BLOCK_CHANGED: a count in it has been changed
 * @BLOCK_MOVED: the same, and the new block has its place
 */
enum block_state {
	BLOCK_SAME,
	BLOCK_CHANGED,
	BLOCK_MOVED,
};

static inline struct change *change_of(struct check *c)
{
	return (struct change *)((char *)c - offsetof(struct change, c));
}

static inline u64 change_clusters(const struct change *ch, u64 bytes)
{
	return DIV_ROUND_UP_ULL(bytes, check_cluster_bytes(&ch->c));
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

/**
 * count_add() - change the count of one cluster
 * @ch: the change
 * @cluster_idx: of the cluster
 * @times: references more, or less
 *
 * Return: as count_changes().
 */
int count_add(struct change *ch, u64 cluster_idx, s64 times);

/**
 * count_drop_range() - a range of metadata is not referred to any more
 * @ch: the change
 * @host_offset: where it begins
 * @bytes: its length, 0: nothing changes
 */
int count_drop_range(struct change *ch, u64 host_offset, u64 bytes);

/* space.c */

/**
 * space_create() - make the counts afterwards, the same as before
 * @ch: the change, after the check
 */
int space_create(struct change *ch);

/**
 * space_destroy() - free what space_create() made
 * @ch: the change
 */
void space_destroy(struct change *ch);

/**
 * space_set() - set the count that a cluster has afterwards
 * @ch: the change
 * @cluster_idx: of the cluster, within @ch->next
 * @count: at most what the refcount width holds
 */
void space_set(struct change *ch, u64 cluster_idx, u64 count);

/**
 * space_take() - give clusters in a row a count of 1
 * @ch: the change
 * @nr: how many; 0: none
 * @host_offset: result, where they begin
 *
 * They are free before and afterwards, and in the file or behind it.
 */
int space_take(struct change *ch, u64 nr, u64 *host_offset);

/**
 * space_write() - write refcount blocks and table, once all other counts are as they will be
 * @ch: the change; the new header gets the place of the table
 */
int space_write(struct change *ch);

/**
 * space_release() - give space back to the file system
 * @ch: the change
 * @switched: the new state is the valid one: free what it does not need; else what the old state
 *            does not need
 *
 * Only clusters that this change has taken or freed, and free ones at the end of the file. A file
 * system that cannot do it keeps them; nothing is printed.
 */
void space_release(struct change *ch, bool switched);

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
