/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A state of an image of version 2 or 3 that is made beside the one in use, and put in its place by
 * one write.
 *
 * An entry of an active table has COPIED exactly if its cluster's count is 1, and qemu-img check
 * takes anything else for a corruption: counts and flags cannot change one after the other. So
 * nothing that is in use is changed in place. Whatever has to be different is written to clusters
 * that are free before and afterwards: tables, refcount blocks, the refcount table. When it is
 * durable, one write of the header's first sector makes it valid. With it what is not needed any
 * more has a count of 0: a cut leaves no leak on either side. Only then are freed clusters punched,
 * and the file is cut.
 *
 *   shadow.c  what comes before and after; counts that change
 *   space.c   free clusters; refcount blocks and table for the new counts
 *   edit.c    the active mapping, cluster by cluster, also of version 1
 *
 * Functions return 0, or enum qc_exit after a message, unless their comment states something
 * else.
 */
#ifndef QCOWCTL_SHADOW_H
#define QCOWCTL_SHADOW_H

#include "check/internal.h"

struct qcow_head;

/**
 * enum block_state - what becomes of a refcount block
 * @BLOCK_SAME: it stays
 * @BLOCK_CHANGED: a count in it has been changed
 * @BLOCK_MOVED: the same, and the new block has its place
 * @BLOCK_GONE: it counts nothing any more, and has none
 */
enum block_state {
	BLOCK_SAME,
	BLOCK_CHANGED,
	BLOCK_MOVED,
	BLOCK_GONE,
};

/**
 * struct shadow - the new state
 * @c: the check that has found nothing wrong; its counts are those before, and it has all L2
 *     tables
 * @h: the header afterwards
 * @next: counts afterwards
 * @blocks: for each refcount block of @next, enum block_state
 * @table: refcount table afterwards, CPU order, an entry for each block of @next
 * @table_room: clusters that the refcount table has been given, 0: none yet
 * @cursor: no single cluster before it is free
 * @pack: refcount blocks that count nothing go, and the refcount table may become shorter
 * @pack_from: with @pack: refcount blocks from this host offset on get another place
 */
struct shadow {
	struct check c;
	struct qcow_header h;
	struct check_counts next;
	u8 *blocks;
	u64 *table;
	u64 table_room;
	u64 cursor;
	bool pack;
	u64 pack_from;
};

static inline u64 shadow_clusters(const struct shadow *s, u64 bytes)
{
	return DIV_ROUND_UP_ULL(bytes, check_cluster_bytes(&s->c));
}

/* shadow.c */

/**
 * shadow_hint_check() - say how an image is repaired
 * @img: the image
 */
void shadow_hint_check(const struct image *img);

/**
 * shadow_check_marks() - refuse an image that is marked dirty or corrupt
 * @img: the image, with a validated header
 *
 * Return: 0 or QC_BAD_IMAGE.
 */
int shadow_check_marks(const struct image *img);

/**
 * shadow_check() - check that everything is where its counts and flags say; leaks do no harm
 * @s: @c has the image, of any version
 *
 * Return: 0, QC_BAD_IMAGE or QC_SYSTEM.
 */
int shadow_check(struct shadow *s);

/**
 * shadow_count_add() - change the count of one cluster
 * @s: the new state
 * @cluster_idx: of the cluster
 * @times: references more, or less
 *
 * Return: 0; QC_UNSUPPORTED: a count would not hold all references; QC_BAD_IMAGE, QC_SYSTEM.
 */
int shadow_count_add(struct shadow *s, u64 cluster_idx, s64 times);

/**
 * shadow_count_range() - change the counts of all clusters of a range
 * @s: the new state
 * @host_offset: where it begins
 * @bytes: its length, 0: nothing changes
 * @times: references more, or less
 *
 * Return: as shadow_count_add().
 */
int shadow_count_range(struct shadow *s, u64 host_offset, u64 bytes, s64 times);

/**
 * shadow_write_table() - write a table, the last of its clusters filled up with zeros
 * @s: the new state
 * @table: the table
 * @bytes: its length
 * @host_offset: where
 */
int shadow_write_table(struct shadow *s, const void *table, u64 bytes, u64 host_offset);

/**
 * shadow_write_new() - the same to new clusters
 * @s: the new state
 * @table: the table
 * @bytes: its length, 0: nothing is written
 * @host_offset: result, where it is
 */
int shadow_write_new(struct shadow *s, const void *table, u64 bytes, u64 *host_offset);

/**
 * shadow_sync() - make all writes durable
 * @s: the new state
 * @what: has been written, for a message
 */
int shadow_sync(struct shadow *s, const char *what);

/**
 * shadow_switch() - the write after which the new header is the image's
 * @s: the new state, which is durable
 * @what: the image has the ... of before or of afterwards when it fails
 */
int shadow_switch(struct shadow *s, const char *what);

/**
 * shadow_release() - give back what only the old state has needed, durably
 * @s: the new state, which is the image's
 */
int shadow_release(struct shadow *s);

/**
 * shadow_switch_contents() - the same as shadow_switch() and shadow_release(), by a program that
 *                            keeps bitmaps and a raw data file true
 * @s: the new state, which is durable; of version 1 nothing is released
 * @what: as for shadow_switch()
 */
int shadow_switch_contents(struct shadow *s, const char *what);

/**
 * shadow_write_header() - as shadow_switch(), of the first bytes of the file as they are to be
 * @s: the new state, which is durable
 * @head: the bytes, at most the first sector
 * @len: how many
 * @what: as for shadow_switch()
 */
int shadow_write_header(struct shadow *s, const void *head, size_t len, const char *what);

/**
 * shadow_read_heads() - begin to plan another first cluster
 * @s: the image, of version 2 or 3, after check_set_up()
 * @heads: result, QCOW_MAX_HEADS of them: the present one, and room for the others; the caller
 *         frees the @buf of the first, also after an error
 */
int shadow_read_heads(struct shadow *s, struct qcow_head *heads);

/**
 * shadow_write_head() - give the image another first cluster; nothing is done if it is the same
 * @s: the new state, which is durable
 * @old: the cluster that it has
 * @new: the next one of the plan
 * @what: as for shadow_switch()
 */
int shadow_write_head(struct shadow *s, const struct qcow_head *old, const struct qcow_head *new,
		      const char *what);

/* space.c */

/**
 * space_create() - make the counts afterwards, the same as before
 * @s: the new state, after the check
 */
int space_create(struct shadow *s);

/**
 * space_destroy() - free what space_create() made
 * @s: the new state
 */
void space_destroy(struct shadow *s);

/**
 * space_set() - set the count that a cluster has afterwards
 * @s: the new state
 * @cluster_idx: of the cluster, within @next
 * @count: at most what the refcount width holds
 */
void space_set(struct shadow *s, u64 cluster_idx, u64 count);

/**
 * space_put() - the same of a cluster that may be behind all that have been counted
 * @s: the new state
 * @cluster_idx: of the cluster
 * @count: as for space_set()
 */
int space_put(struct shadow *s, u64 cluster_idx, u64 count);

/**
 * space_take() - give clusters in a row a count of 1
 * @s: the new state
 * @nr: how many; 0: none
 * @host_offset: result, where they begin
 *
 * They are free before and afterwards, and in the file or behind it.
 */
int space_take(struct shadow *s, u64 nr, u64 *host_offset);

/**
 * space_write() - write refcount blocks and table, once all other counts are as they will be
 * @s: the new state; the new header gets the place of the table
 */
int space_write(struct shadow *s);

/**
 * space_release() - give space back to the file system
 * @s: the new state
 * @switched: the new state is the valid one: free what it does not need; else what the old state
 *            does not need
 *
 * Only clusters that have been taken or freed, and free ones at the end of the file. A file system
 * that cannot do it keeps them; nothing is printed.
 */
void space_release(struct shadow *s, bool switched);

/* edit.c */

/**
 * struct edit - the mapping of the active state being changed
 * @s: the new state; of version 1 too, which has no counts
 * @l1: its L1 table, big endian
 * @entries: of that
 * @l1_changed: it has to be written
 * @idx: which L2 table is in memory
 * @table: that table
 * @changed: it has to be written
 * @end: version 1: host offset behind all that is in use
 */
struct edit {
	struct shadow *s;
	__be64 *l1;
	u32 entries;
	bool l1_changed;
	u32 idx;
	__be64 *table;
	bool changed;
	u64 end;
};

/**
 * edit_begin() - begin to change the mapping
 * @e: result; edit_end() it in any case
 * @s: the new state, after space_create() unless it is of version 1
 * @l1_entries: that the L1 table has at least
 */
int edit_begin(struct edit *e, struct shadow *s, u32 l1_entries);
void edit_end(struct edit *e);

/**
 * edit_skip() - leave out what has no L2 table
 * @e: the change
 * @guest: guest offset
 *
 * Return: the first guest byte from there on that a table maps; behind the last one, what the L1
 * table does not reach.
 */
u64 edit_skip(const struct edit *e, u64 guest);

/**
 * edit_get() - the entry of a cluster
 * @e: the change
 * @guest: where the cluster begins, no cluster before those that have been changed in another table
 * @entry: result, first word, CPU order
 * @bitmap: result, second word with subclusters, else 0
 */
int edit_get(struct edit *e, u64 guest, u64 *entry, u64 *bitmap);

/**
 * edit_data() - give a cluster new data
 * @e: the change
 * @guest: as for edit_get()
 * @buf: the cluster. Where it is written over what is there (version 1, external data file), that
 *       must read the same before the switch
 */
int edit_data(struct edit *e, u64 guest, const void *buf);

/**
 * edit_zero() - make a cluster zeros, whatever the backing file has
 * @e: the change
 * @guest: as for edit_get()
 */
int edit_zero(struct edit *e, u64 guest);

/**
 * edit_hole() - make a cluster one that the image does not have, or zeros
 * @e: the change
 * @guest: as for edit_get(), where no backing file reaches
 */
int edit_hole(struct edit *e, u64 guest);

/**
 * edit_empty() - take all that it maps from an image without snapshots
 * @e: the change, of which this is all
 *
 * In version 1 edit_finish() writes the table over that in use: what is below the image has to read
 * the same.
 */
int edit_empty(struct edit *e);

/**
 * edit_entry() - give a cluster an entry that is made elsewhere
 * @e: the change
 * @guest: as for edit_get()
 * @entry: the first word, CPU order; with subclusters the second one becomes 0. What it refers to
 *         has been counted
 */
int edit_entry(struct edit *e, u64 guest, u64 entry);

/**
 * edit_finish() - write all tables and counts, durably
 * @e: the change; the new header gets their places
 */
int edit_finish(struct edit *e);

#endif /* QCOWCTL_SHADOW_H */
