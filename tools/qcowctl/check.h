/* SPDX-License-Identifier: GPL-2.0 */
/*
 * qcowctl check: what its parts share.
 *
 * A run counts in memory who refers to which cluster (check_meta.c, check_walk.c: the
 * references come from check_entry.c, which does no I/O), loads the counts that the image
 * has (check_structure.c) and compares both (check_compare.c). Repair (check_repair.c,
 * check_rebuild.c) makes the image's counts and flags those of memory and runs again.
 * Version 1 has no counts and a run of its own (check_v1.c).
 */
#ifndef QCOWCTL_CHECK_H
#define QCOWCTL_CHECK_H

#include <time.h>

#include <qcow/l2.h>
#include <qcow/refcount.h>

#include "check_entry.h"
#include "image.h"

/**
 * enum check_exit - exit status of qcowctl check, that of qemu-img check
 * @CHECK_OK: nothing wrong, or all of it repaired
 * @CHECK_FAILED: the check could not be completed, whatever the reason
 * @CHECK_CORRUPT: the image is corrupt
 * @CHECK_LEAKS: leaked clusters and nothing else
 * @CHECK_NO_FORMAT: no QCOW image
 */
enum check_exit {
	CHECK_OK = 0,
	CHECK_FAILED = 1,
	CHECK_CORRUPT = 2,
	CHECK_LEAKS = 3,
	CHECK_NO_FORMAT = 63,
};

enum check_repair {
	REPAIR_NONE,
	REPAIR_LEAKS,
	REPAIR_ALL,
};

/**
 * struct check_result - what a run found; qemu-img check has the same numbers
 * @errors: what kept the check from being complete
 * @corruptions: wrong counts, flags and entries
 * @copied_flags: those of @corruptions that are wrong COPIED flags
 * @lost: those of @corruptions that are entries which could not be followed: what they
 *        refer to looks leaked
 * @leaks: clusters with a count that is too high
 * @corruptions_fixed: that an earlier run found and this one does not
 * @leaks_fixed: likewise
 * @image_end: host offset behind the last cluster in use
 * @total: clusters of the virtual size
 * @allocated: of them, with data
 * @fragmented: of these, not behind the one before
 * @compressed: of @allocated
 */
struct check_result {
	u64 errors;
	u64 corruptions;
	u64 copied_flags;
	u64 lost;
	u64 leaks;
	u64 corruptions_fixed;
	u64 leaks_fixed;
	u64 image_end;
	u64 total;
	u64 allocated;
	u64 fragmented;
	u64 compressed;
};

/**
 * struct check_counts - reference counts of all clusters, as refcount blocks in a row
 * @raw: the blocks
 * @used: a byte for each block, 0: all its counts are 0 and no memory was touched
 * @over: a bit for each cluster, 1: the count does not hold all references
 * @nr_blocks: how many
 */
struct check_counts {
	unsigned char *raw;
	u8 *used;
	u8 *over;
	u64 nr_blocks;
};

/**
 * struct l2_ref - an L2 table and how often it is referred to
 * @host_offset: of the table
 * @active: L1 entries of the active L1 table that point to it
 * @inactive: L1 entries of snapshots
 */
struct l2_ref {
	u64 host_offset;
	u32 active;
	u32 inactive;
};

/**
 * struct l2_refs - all L2 tables, sorted by place once they are complete
 * @unaligned: how many of them lie in a place where no table can be
 */
struct l2_refs {
	struct l2_ref *list;
	size_t nr;
	size_t room;
	size_t unaligned;
};

/**
 * struct meta_range - metadata that belongs to nobody else
 */
struct meta_range {
	const char *name;
	u64 host_offset;
	u64 bytes;
};

/**
 * struct check_progress - the bar on the terminal
 * @wanted: show it from the start on, not only when it takes long
 * @possible: stderr is a terminal and nobody asked for silence
 * @shown: there is a bar on the line
 * @stage: what is going on
 * @started: when that began
 * @last: when the bar was drawn
 */
struct check_progress {
	bool wanted;
	bool possible;
	bool shown;
	const char *stage;
	struct timespec started;
	struct timespec last;
};

/**
 * struct check_fix - what a walk over the L2 tables is to change
 * @set: set missing COPIED flags; else clear wrong ones
 * @changed: entries that were written
 * @err: the first that failed
 */
struct check_fix {
	bool set;
	u64 changed;
	int err;
};

/**
 * struct check - one image being checked
 * @img: the image; its header is valid but for the places of tables
 * @g: geometry
 * @repair: what to repair
 * @quiet: print nothing
 * @order: log2 of the refcount width
 * @block_bits: log2 of the clusters that a refcount block counts
 * @clusters: of the file, rounded up, and what is referred to behind it
 * @refs: references found
 * @disk: counts that the image has
 * @table: refcount table, CPU order
 * @table_entries: of it
 * @table_flaw: why the refcount table cannot be used at all, or NULL
 * @no_structure: do not count the refcount table and blocks
 * @rebuild: the refcount structure is broken
 * @far_idx: which block beyond the file @far_block is, U64_MAX: none
 * @far_block: one refcount block that counts clusters beyond the end of the file
 * @l2: all L2 tables
 * @l1_bytes: of all L1 tables that were read
 * @meta: all metadata but L2 tables
 * @nr_meta: how many
 * @fix: of the walk that repairs
 * @res: what was found
 * @messages: how many faults were printed
 * @progress: the bar
 */
struct check {
	struct image *img;
	struct qcow_geometry g;
	enum check_repair repair;
	bool quiet;
	u32 order;
	u32 block_bits;
	u64 clusters;
	struct check_counts refs;
	struct check_counts disk;
	u64 *table;
	u32 table_entries;
	const char *table_flaw;
	bool no_structure;
	bool rebuild;
	u64 far_idx;
	unsigned char *far_block;
	struct l2_refs l2;
	u64 l1_bytes;
	struct meta_range *meta;
	size_t nr_meta;
	struct check_fix fix;
	struct check_result res;
	u64 messages;
	struct check_progress progress;
};

static inline u64 check_cluster_bytes(const struct check *c)
{
	return 1ULL << c->g.cluster_bits;
}

static inline u64 check_l2_bytes(const struct check *c)
{
	return 1ULL << (c->g.l2_bits + c->g.entry_bits);
}

/* check_report.c */

/* Zeroed memory; without it the check ends as one that could not be completed. */
void *check_alloc(size_t nr, size_t each);
void *check_grow(void *old, size_t nr, size_t each);

/* A fault of the image; the first ones of a run are printed. */
__printf(2, 3) void check_say(struct check *c, const char *fmt, ...);
/* A fault that counts as so many corruptions. */
__printf(3, 4) void check_corrupt(struct check *c, u64 times, const char *fmt, ...);
/* The check cannot be completed; always printed. */
__printf(3, 4) void check_error(struct check *c, int err, const char *fmt, ...);
/* How many faults were not printed. */
void check_say_rest(struct check *c);

void check_progress_stage(struct check *c, const char *stage);
void check_progress_step(struct check *c, u64 done, u64 total);
void check_progress_end(struct check *c);

/* Of the whole check, to stdout; false: it could not be written. */
bool check_print(const struct check *c, bool json);

/* check_counts.c */

/**
 * check_read() - bytes of the image, zeros behind its end
 *
 * Return: 0, or -errno after check_error().
 */
int check_read(struct check *c, void *buf, size_t len, u64 host_offset);

/* 0, or -EFBIG, -ENOMEM */
int check_counts_create(struct check *c, struct check_counts *counts, u64 clusters);
int check_counts_grow(struct check *c, struct check_counts *counts, u64 clusters);
void check_counts_destroy(struct check *c, struct check_counts *counts);
u64 check_counts_get(const struct check *c, const struct check_counts *counts, u64 cluster_idx);
void check_counts_set(const struct check *c, struct check_counts *counts, u64 cluster_idx,
		      u64 count);

/* Exactly one reference was found; also where a count cannot be higher than 1. */
bool check_counts_once(const struct check *c, u64 cluster_idx);

/**
 * check_add() - count references to a host range
 * @c: the check
 * @host_offset: where it begins
 * @bytes: how long it is, 0: nothing happens
 * @times: how many references
 *
 * Return: true; false after a message when the range lies beyond the end of the file by
 * a cluster or more: @times corruptions.
 */
bool check_add(struct check *c, u64 host_offset, u64 bytes, u64 times);

/* check_add() of metadata that nothing else may share. */
bool check_add_meta(struct check *c, const char *name, u64 host_offset, u64 bytes);

/* What the image has as count of any cluster, also beyond the end of the file. */
u64 check_disk_count(struct check *c, u64 cluster_idx);

/* check_structure.c: the refcount table and blocks */
int check_structure_load(struct check *c);
/* Where the block of this table entry is; 0: there is none, or none can be there. */
u64 check_block_offset(const struct check *c, u64 idx);
void check_structure_count(struct check *c);

/* check_meta.c: everything but L2 tables and what they refer to */
int check_meta(struct check *c);

/* check_bitmaps.c: persistent bitmaps */
void check_bitmaps(struct check *c);

/* check_walk.c: L1 and L2 tables */

/* Count an L1 table and note its L2 tables. */
int check_l1(struct check *c, u64 host_offset, u32 entries, bool active);

/**
 * check_l2_each() - read every L2 table in the order of the file
 * @c: the check, with all L2 tables noted
 * @visit: gets the table's place and its entries, big endian
 *
 * Tables that cannot be read are left out after check_error().
 */
void check_l2_each(struct check *c,
		   void (*visit)(struct check *c, const struct l2_ref *ref, __be64 *entries));

/* An L1 entry points to this table. */
void check_l2_note(struct check *c, u64 host_offset, bool active);
/* By place, each table once. */
void check_l2_sort(struct check *c);
/* One allocated cluster more; @expected: where it would not be fragmented, 0 at first. */
void check_statistics(struct check *c, const struct l2_ref *ref, const struct entry_ref *e,
		      u64 *expected);
/* The entry with index @idx of a table, CPU order; false: there is nothing in it. */
bool check_l2_entry(const struct check *c, const __be64 *entries, u64 idx, u64 *entry,
		    u64 *bitmap);
/* Every flaw of an entry is a corruption. */
void check_entry_flaws(struct check *c, const struct l2_ref *ref, u64 idx, u64 entry,
		       u32 flaws);

/* Nothing but L1 entries refers to the table: it may be written. */
bool check_l2_is_alone(struct check *c, const struct l2_ref *ref);

/* Count what the L2 tables refer to. */
void check_l2_count(struct check *c);

/* check_compare.c: 0, or -errno after check_error() */
int check_run(struct check *c);
void check_reset(struct check *c);
/* The counts of memory only; without the refcount structure. */
int check_run_bare(struct check *c);
/* The last cluster with a count, in memory or, with @disk, also in the image. */
u64 check_last_used(const struct check *c, bool disk);

/* check_repair.c: 0, or -errno after check_error() */
int check_repair(struct check *c);
int check_write(struct check *c, const void *buf, size_t len, u64 host_offset);
int check_sync(struct check *c);
/* Dirty and corrupt bit, after a run that found nothing. */
int check_mark_clean(struct check *c);

/* check_rebuild.c */
int check_rebuild(struct check *c);

/* check_open.c: CHECK_OK, or another enum check_exit after a message */
int check_open(struct check *c, const char *name);
/* Header and length again, after a repair; the same. */
int check_reopen(struct check *c);
void check_close(struct check *c);

/* check_v1.c: everything, with the repair; 0, or -errno after check_error() */
int check_v1(struct check *c);

#endif /* QCOWCTL_CHECK_H */
