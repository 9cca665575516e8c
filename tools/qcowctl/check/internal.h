/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of check/ share, and what snapshot/ builds on: it runs a check first, and goes on
 * from the counts in memory.
 *
 * A run counts in memory all references to clusters (meta.c, walk.c; entry.c, which does no
 * I/O, decodes them), loads the counts that the image has (structure.c) and compares both
 * (compare.c). A repair (repair.c, rebuild.c) makes the image's counts and flags those in
 * memory; then check.c runs again. Version 1 has no counts and a run of its own (v1.c).
 *
 * Functions return 0, or -errno after check_error(), unless their comment states something
 * else.
 */
#ifndef QCOWCTL_CHECK_INTERNAL_H
#define QCOWCTL_CHECK_INTERNAL_H

#include <time.h>

#include <qcow/l2.h>
#include <qcow/refcount.h>

#include "check/check.h"
#include "check/entry.h"
#include "image/image.h"
#include "progress/progress.h"

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
 * @list: the tables
 * @nr: of them
 * @room: entries that @list has memory for
 * @unaligned: how many of them are not at a cluster border
 */
struct l2_refs {
	struct l2_ref *list;
	size_t nr;
	size_t room;
	size_t unaligned;
};

/**
 * struct meta_range - metadata that must not be shared
 * @name: of the table, for messages
 * @host_offset: where it begins
 * @bytes: its length
 */
struct meta_range {
	const char *name;
	u64 host_offset;
	u64 bytes;
};

/**
 * struct check_fix - what a repairing walk over the L2 tables changes
 * @set: set missing COPIED flags; else clear wrong ones
 * @changed: entries that were written
 * @err: the first error, -errno
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
 * @is_attached: it is the image of a device, and the driver hands its metadata out
 * @index: of the device
 * @control: the control node, or -1, if it is
 * @nice: of the process before it has given way, if it is
 * @lock: of an image that is not attached
 * @quiet: print nothing
 * @order: log2 of the refcount width
 * @block_bits: log2 of the clusters that a refcount block counts
 * @clusters: of the file, rounded up, and what is referred to behind it
 * @refs: references found
 * @disk: counts that the image has
 * @table: refcount table, CPU order
 * @table_entries: of it
 * @table_flaw: why the refcount table cannot be used at all, or NULL
 * @skip_structure: do not count the refcount table and blocks
 * @rebuild: the refcount structure is broken
 * @beyond: host offset behind the last table or cluster that is referred to and that the file does
 *          not hold as a whole, 0: there is none
 * @first_used: version 1: host offset of the first table or cluster
 * @longest: that a repair may make the file: what lies further away is no remnant of a longer one
 * @snapshots_kept: entries of the snapshot table that are in the file
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
	bool is_attached;
	u32 index;
	int control;
	int nice;
	enum image_lock lock;
	bool quiet;
	u32 order;
	u32 block_bits;
	u64 clusters;
	struct check_counts refs;
	struct check_counts disk;
	u64 *table;
	u32 table_entries;
	const char *table_flaw;
	bool skip_structure;
	bool rebuild;
	u64 beyond;
	u64 first_used;
	u64 longest;
	u32 snapshots_kept;
	u64 far_idx;
	unsigned char *far_block;
	struct l2_refs l2;
	u64 l1_bytes;
	struct meta_range *meta;
	size_t nr_meta;
	struct check_fix fix;
	struct check_result res;
	u64 messages;
	struct progress progress;
};

static inline u64 check_cluster_bytes(const struct check *c)
{
	return 1ULL << c->g.cluster_bits;
}

static inline u64 check_l2_bytes(const struct check *c)
{
	return 1ULL << (c->g.l2_bits + c->g.entry_bits);
}

/* report.c */

/**
 * check_alloc() - allocate zeroed memory
 * @nr: of elements
 * @each: bytes of an element
 *
 * Without memory the process ends with CHECK_FAILED. Return: the memory.
 */
void *check_alloc(size_t nr, size_t each);

/**
 * check_grow() - reallocate memory
 * @old: the memory or NULL
 * @nr: of elements
 * @each: bytes of an element
 *
 * Without memory the process ends with CHECK_FAILED. Return: the memory.
 */
void *check_grow(void *old, size_t nr, size_t each);

/**
 * check_message() - print what is wrong with the image; of a run only the first messages
 * @c: the check
 * @fmt: lower case, no full stop
 */
__printf(2, 3) void check_message(struct check *c, const char *fmt, ...);

/**
 * check_corrupt() - count corruptions and print a message
 * @c: the check
 * @times: how many corruptions
 * @fmt: lower case, no full stop
 */
__printf(3, 4) void check_corrupt(struct check *c, u64 times, const char *fmt, ...);

/**
 * check_error() - count what keeps the check from being complete; always printed
 * @c: the check
 * @err: -errno, or 0
 * @fmt: lower case, no full stop
 */
__printf(3, 4) void check_error(struct check *c, int err, const char *fmt, ...);

/**
 * check_message_end() - print how many messages were left out, at the end of a run
 * @c: the check
 */
void check_message_end(struct check *c);

/**
 * check_print() - print the result of the whole check to stdout
 * @c: the check
 * @json: as JSON
 *
 * Return: false when it could not be written.
 */
bool check_print(const struct check *c, bool json);

/* counts.c */

/**
 * check_read() - read a range of the image, zeros behind its end
 * @c: the check
 * @buf: result
 * @len: bytes
 * @host_offset: where the range begins
 *
 * Return: 0, or -errno after check_error().
 */
int check_read(struct check *c, void *buf, size_t len, u64 host_offset);

/**
 * check_counts_create() - make counts, all of them 0
 * @c: the check
 * @counts: result
 * @clusters: that are counted, rounded up to whole blocks
 *
 * Prints nothing. Return: 0, -EFBIG or -ENOMEM.
 */
int check_counts_create(struct check *c, struct check_counts *counts, u64 clusters);

/**
 * check_counts_grow() - make counts for more clusters
 * @c: the check
 * @counts: the counts, which are kept
 * @clusters: that are counted then
 *
 * Prints nothing. Return: 0, -EFBIG or -ENOMEM.
 */
int check_counts_grow(struct check *c, struct check_counts *counts, u64 clusters);

/**
 * check_counts_destroy() - free counts
 * @c: the check
 * @counts: the counts
 */
void check_counts_destroy(struct check *c, struct check_counts *counts);

/**
 * check_counts_get() - the count of a cluster
 * @c: the check
 * @counts: the counts
 * @cluster_idx: of the cluster, any
 *
 * Return: the count, 0 beyond the last block.
 */
u64 check_counts_get(const struct check *c, const struct check_counts *counts, u64 cluster_idx);

/**
 * check_counts_set() - set the count of a cluster
 * @c: the check
 * @counts: the counts
 * @cluster_idx: of the cluster, inside the blocks
 * @count: at most what the refcount width holds
 */
void check_counts_set(const struct check *c, struct check_counts *counts, u64 cluster_idx,
		      u64 count);

/**
 * check_counts_once() - whether exactly one reference to a cluster was found
 * @c: the check
 * @cluster_idx: of the cluster
 *
 * Return: true if so, also with a refcount width that cannot hold more than 1.
 */
bool check_counts_once(const struct check *c, u64 cluster_idx);

/**
 * check_count_range() - count references to a host range
 * @c: the check
 * @host_offset: where the range begins
 * @bytes: its length, 0: nothing is counted
 * @times: how many references
 *
 * Return: true; false after a message when the range lies beyond the end of the file by
 * a cluster or more: @times corruptions.
 */
bool check_count_range(struct check *c, u64 host_offset, u64 bytes, u64 times);

/**
 * check_note_beyond() - note what the file does not hold as a whole
 * @c: the check
 * @host_offset: where it begins
 * @bytes: its length
 */
void check_note_beyond(struct check *c, u64 host_offset, u64 bytes);

/**
 * check_count_meta() - count one reference to metadata, which must not be shared; note what of it
 * the file does not hold
 * @c: the check
 * @name: of the table, for messages
 * @host_offset: where it begins
 * @bytes: its length
 *
 * Return: as check_count_range().
 */
bool check_count_meta(struct check *c, const char *name, u64 host_offset, u64 bytes);

/* structure.c: the refcount table and blocks */

/**
 * check_structure_load() - read the refcount table and all blocks of the file's clusters
 * @c: the check
 */
int check_structure_load(struct check *c);

/**
 * check_structure_count() - count references to the refcount table and blocks
 * @c: the check
 */
void check_structure_count(struct check *c);

/**
 * check_block_offset() - where a refcount block is
 * @c: the check
 * @idx: of the entry in the refcount table
 *
 * Return: host offset; 0: not allocated, or no block can be at the offset in the table.
 */
u64 check_block_offset(const struct check *c, u64 idx);

/**
 * check_disk_count() - the count that the image has of a cluster
 * @c: the check
 * @cluster_idx: of the cluster, also beyond the end of the file
 *
 * Return: the count; 0 when it cannot be read, after check_error().
 */
u64 check_disk_count(struct check *c, u64 cluster_idx);

/* compare.c */

/**
 * check_block_differs() - whether counts of a refcount block are not right
 * @c: the check, after a run
 * @idx: of the block, among those of the counts
 *
 * Return: whether they are.
 */
bool check_block_differs(const struct check *c, u64 idx);

/**
 * check_each_difference() - call a function for all clusters whose count is not right
 * @c: the check, after a run
 * @func: gets the count on disk, and the references that there are
 * @data: for @func
 */
void check_each_difference(struct check *c,
			   void (*func)(void *data, u64 idx, u64 disk, u64 refs), void *data);

/* meta.c */

/**
 * check_meta() - count references to all metadata but L2 tables and refcount structure
 * @c: the check
 */
int check_meta(struct check *c);

/* bitmaps.c */

/**
 * check_bitmaps() - count references to persistent bitmaps
 * @c: the check
 */
void check_bitmaps(struct check *c);

/* walk.c: L1 and L2 tables */

/**
 * check_walk_l1() - count references to an L1 table and record its L2 tables
 * @c: the check
 * @host_offset: of the table
 * @entries: of the table
 * @active: the active L1 table, not that of a snapshot
 */
int check_walk_l1(struct check *c, u64 host_offset, u32 entries, bool active);

/**
 * check_walk_l2() - read every L2 table in the order of the file
 * @c: the check, with all L2 tables recorded
 * @visit: called with the table's place and its entries, big endian
 *
 * Tables that cannot be read are left out after check_error().
 */
void check_walk_l2(struct check *c,
		   void (*visit)(struct check *c, const struct l2_ref *ref, __be64 *entries));

/**
 * check_l2_record() - record that an L1 entry points to an L2 table
 * @c: the check
 * @host_offset: of the L2 table
 * @active: the entry is in the active L1 table
 */
void check_l2_record(struct check *c, u64 host_offset, bool active);

/**
 * check_l2_sort() - sort the recorded L2 tables by place, each of them once
 * @c: the check
 */
void check_l2_sort(struct check *c);

/**
 * check_l2_find() - find a recorded L2 table
 * @c: the check, after check_l2_sort()
 * @entry: L1 entry, CPU order
 *
 * Return: the table, or NULL after a message: the image has changed meanwhile.
 */
const struct l2_ref *check_l2_find(const struct check *c, u64 entry);

/**
 * check_l2_unshared() - whether only L1 entries refer to an L2 table, so that it may be written
 * @c: the check
 * @ref: the table
 *
 * Return: true if so.
 */
bool check_l2_unshared(struct check *c, const struct l2_ref *ref);

/**
 * check_l2_entry() - decode one entry of an L2 table
 * @c: the check
 * @entries: the table, big endian
 * @idx: of the entry
 * @entry: result, first word
 * @bitmap: result, second word with subclusters, else 0
 *
 * Return: false when both are 0.
 */
bool check_l2_entry(const struct check *c, const __be64 *entries, u64 idx, u64 *entry,
		    u64 *bitmap);

/**
 * check_l2_count() - count references from all L2 tables
 * @c: the check, with all L2 tables recorded
 */
void check_l2_count(struct check *c);

/**
 * check_entry_flaws() - every flaw of an entry is a corruption
 * @c: the check
 * @ref: the L2 table
 * @idx: of the entry in it
 * @entry: its first word
 * @flaws: bits of enum entry_flaw
 */
void check_entry_flaws(struct check *c, const struct l2_ref *ref, u64 idx, u64 entry,
		       u32 flaws);

/**
 * check_statistics() - count one allocated cluster
 * @c: the check
 * @ref: the L2 table
 * @e: the decoded entry
 * @expected: host offset at which the cluster is not fragmented; 0 for the first of a table
 */
void check_statistics(struct check *c, const struct l2_ref *ref, const struct entry_ref *e,
		      u64 *expected);

/* compare.c */

/**
 * check_run() - count all references and compare them with the counts of the image
 * @c: the check; its result is that of this run
 */
int check_run(struct check *c);

/**
 * check_run_references() - count all references but those of the refcount structure
 * @c: the check
 *
 * Compares and prints nothing.
 */
int check_run_references(struct check *c);

/**
 * check_reset() - free what a run has allocated
 * @c: the check
 */
void check_reset(struct check *c);

/**
 * check_last_used() - the last cluster with a count
 * @c: the check, after a run
 * @disk: in memory or in the image; else in memory only
 *
 * Return: index of the cluster.
 */
u64 check_last_used(const struct check *c, bool disk);

/* repair.c */

/**
 * check_repair() - repair what the last run found, as far as the options ask for it
 * @c: the check, after a run
 */
int check_repair(struct check *c);

/**
 * check_extend() - make the file as long as what it refers to, with zeros, as it reads without them
 * @c: the check, after a run
 *
 * Return: 1: the file is longer, and the next run finds other things; 0: there was no need, or
 * the file system has no files that long; -errno after check_error().
 */
int check_extend(struct check *c);

/**
 * check_write() - write a range of the image
 * @c: the check
 * @buf: content
 * @len: bytes
 * @host_offset: where the range begins
 */
int check_write(struct check *c, const void *buf, size_t len, u64 host_offset);

/**
 * check_sync() - make all writes durable
 * @c: the check
 */
int check_sync(struct check *c);

/**
 * check_mark_clean() - clear dirty and corrupt bit, after a run without corruptions
 * @c: the check
 */
int check_mark_clean(struct check *c);

/* rebuild.c */

/**
 * check_rebuild() - write a new refcount structure
 * @c: the check, after a run
 */
int check_rebuild(struct check *c);

/* open.c */

/**
 * check_set_up() - geometry and widths, from the header
 * @c: the check; its image has a valid header and its length is known
 */
void check_set_up(struct check *c);

/* attached.c: the image of a device */

/**
 * check_open_attached() - have the driver hand out the metadata as it is now
 * @c: the check, with @index; what has been handed out before is closed
 *
 * From then on until check_close_attached() the process gives way to others.
 *
 * Return: CHECK_OK or CHECK_FAILED after a message.
 */
int check_open_attached(struct check *c);

/* The end of it. */
void check_close_attached(struct check *c);

/**
 * check_free_leaks() - have the driver free clusters that nothing refers to
 * @c: the check, after a run
 */
int check_free_leaks(struct check *c);

/* open.c */

/**
 * check_open() - open and lock an image and read its header
 * @c: the check
 * @name: of the image
 *
 * Return: CHECK_OK, or another enum check_exit after a message. check_close() in any case.
 */
int check_open(struct check *c, const char *name);

/**
 * check_reopen() - read length and header again, after a repair
 * @c: the check
 *
 * Return: as check_open().
 */
int check_reopen(struct check *c);

/**
 * check_close() - close the image and free all memory
 * @c: the check
 */
void check_close(struct check *c);

/* v1.c */

/**
 * check_v1() - check and repair an image of version 1
 * @c: the check
 */
int check_v1(struct check *c);

/* v1_pack.c */

/**
 * struct v1_gap - clusters in a row that nothing refers to
 * @first: number of the first
 * @nr: how many
 */
struct v1_gap {
	u64 first;
	u64 nr;
};

/**
 * struct v1_gaps - all of them, in the order of the file
 * @list: the gaps
 * @nr: of them
 * @room: entries that @list has memory for
 */
struct v1_gaps {
	struct v1_gap *list;
	size_t nr;
	size_t room;
};

/**
 * check_v1_pack() - move clusters from the end of the image into its gaps
 * @c: the check, which has found nothing wrong but gaps
 * @gaps: those before @target; changed
 * @target: number of the cluster that the image is to end before
 * @unplaced: result: clusters of tables that fit into no gap
 */
int check_v1_pack(struct check *c, struct v1_gaps *gaps, u64 target, u64 *unplaced);

#endif /* QCOWCTL_CHECK_INTERNAL_H */
