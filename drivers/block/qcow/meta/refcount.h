/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reference counts of the active image, versions 2 and 3: read, found free, changed, and
 * more blocks and a larger table when the file grows.
 *
 * Context of all functions: the metadata worker or the attach; may sleep and do I/O, GFP_NOIO.
 */
#ifndef _QCOW_META_REFCOUNT_H
#define _QCOW_META_REFCOUNT_H

#include <linux/types.h>

#include "layer/cache.h"
#include "meta/window.h"

struct qcow_batch;
struct qcow_overlap;
struct qcow_image;
struct qcow_report;

/**
 * struct qcow_refcounts - the counts of one image; the metadata worker's
 * @image: the image
 * @overlap: told of new blocks and tables
 * @tables: slices of its refcount blocks
 * @table: the refcount table, big endian as on disk
 * @entries: that it has
 * @order: a count has 1 << @order bits
 * @unwritten: changes that have been begun since qcow_refcounts_write()
 * @shadow: counts that are to replace these, and follow their changes meanwhile; or NULL
 * @follow_err: of a shadow: it could not follow
 * @writes: of a shadow: memory to write its counts
 */
struct qcow_refcounts {
	struct qcow_image *image;
	struct qcow_overlap *overlap;
	struct qcow_tables tables;
	__be64 *table;
	u64 entries;
	u32 order;
	u64 unwritten;
	struct qcow_refcounts *shadow;
	int follow_err;
	struct qcow_batch *writes;
};

/**
 * qcow_refcounts_open() - read the refcount table
 * @rc: result
 * @image: version 2 or 3
 * @overlap: gets the table and all blocks
 * @rep: says what is wrong
 *
 * Return: 0, -ENOMEM, -EUCLEAN, -EIO, ...
 */
int qcow_refcounts_open(struct qcow_refcounts *rc, struct qcow_image *image,
			struct qcow_overlap *overlap, struct qcow_report *rep);
void qcow_refcounts_close(struct qcow_refcounts *rc);

/**
 * qcow_refcounts_check() - whether metadata is counted
 * @rc: the counts
 * @what: it is, for the message
 * @host: its first byte
 * @len: bytes
 * @budget: slices of counts that may be read still; where no more may be, what is not cached
 *          passes
 * @rep: says what is not counted
 *
 * Return: 0; -EUCLEAN: a count is 0; or what reading brought.
 */
int qcow_refcounts_check(struct qcow_refcounts *rc, const char *what, u64 host, u64 len,
			 u32 *budget, struct qcow_report *rep);

/* The same of the refcount table and its blocks. */
int qcow_refcounts_check_own(struct qcow_refcounts *rc, u32 *budget, struct qcow_report *rep);

/**
 * qcow_refcounts_end() - where nothing is used any more
 * @rc: the counts
 * @to: number of the cluster behind the last one to be looked at
 * @end: number of the cluster behind the last one of these that has a count
 *
 * Reads the last blocks only; may be too large by the clusters of some empty ones.
 *
 * Return: 0 or what reading brought.
 */
int qcow_refcounts_end(struct qcow_refcounts *rc, u64 to, u64 *end);

/**
 * qcow_refcounts_find() - find free clusters
 * @rc: the counts
 * @from: where to begin
 * @to: where to end
 * @nr: how many free ones follow each other at the cluster that was found, 0: none
 * @next: where to go on
 *
 * Reads one slice of counts at most.
 *
 * Return: 0 with the first free cluster in @from, or what reading brought.
 */
int qcow_refcounts_find(struct qcow_refcounts *rc, u64 *from, u64 to, u64 *nr, u64 *next);

/**
 * qcow_refcounts_locate() - where a count is in the store
 * @rc: the counts
 * @cluster: number of the cluster, which is covered
 * @host: result: offset of its first byte
 * @idx: result: which one it is of those that begin there, for qcow_refcount_set()
 *
 * Return: 0 or -EUCLEAN.
 */
int qcow_refcounts_locate(const struct qcow_refcounts *rc, u64 cluster, u64 *host, u64 *idx);

/**
 * qcow_refcounts_covered() - clusters from @cluster on that have a refcount block
 * @rc: the counts
 * @cluster: number of the cluster
 */
u64 qcow_refcounts_covered(const struct qcow_refcounts *rc, u64 cluster);

/* The first cluster from @cluster on that has a refcount block; U64_MAX: none has. */
u64 qcow_refcounts_next_covered(const struct qcow_refcounts *rc, u64 cluster);

/**
 * struct qcow_growth - refcount blocks for clusters that have none
 * @first: here the blocks begin
 * @covers: the first cluster that they count, @first or in front of it
 * @blocks: how many
 * @table_clusters: of a new refcount table behind them; 0: the old one has room
 * @entries: that it has
 * @nr: clusters behind all of these that are counted as well
 */
struct qcow_growth {
	u64 first;
	u64 covers;
	u64 blocks;
	u64 table_clusters;
	u64 entries;
	u64 nr;
};

/* The cluster behind the blocks and the table; behind all that was asked for. */
static inline u64 qcow_growth_metadata_end(const struct qcow_growth *growth)
{
	return growth->first + growth->blocks + growth->table_clusters;
}

static inline u64 qcow_growth_end(const struct qcow_growth *growth)
{
	return qcow_growth_metadata_end(growth) + growth->nr;
}

/**
 * qcow_refcounts_plan() - which refcount blocks a run of clusters needs
 * @rc: the counts
 * @from: not in front of this cluster
 * @nr: so many clusters, and the blocks and the table that count them, one after the other
 * @growth: result: the first place where none of them has a block
 *
 * As the blocks and a new table lie in front of the run it may be of any length.
 *
 * Return: 0, or -EFBIG: the refcount table would be too large.
 */
int qcow_refcounts_plan(const struct qcow_refcounts *rc, u64 from, u64 nr,
			struct qcow_growth *growth);

/**
 * qcow_refcounts_grow() - make the blocks
 * @rc: the counts
 * @growth: as planned; all of it is free and in the file
 * @used: @growth->nr clusters are used, too
 * @old: the clusters of a table that has been replaced, to be reclaimed; @old->nr 0: none has
 *
 * Blocks are durable before the table refers to them, a block that counts others before those
 * are referred to, and a table before the header refers to that.
 *
 * Return: 0 or -errno: nothing refers to what has been written, or all of it is right.
 */
int qcow_refcounts_grow(struct qcow_refcounts *rc, const struct qcow_growth *growth, bool used,
			struct qcow_run *old);

/* So many clusters one after the other a fresh block counts, behind itself. */
u64 qcow_refcounts_max_run(const struct qcow_refcounts *rc);

/* So many clusters one after the other have their counts in few slices. */
u64 qcow_refcounts_batch(const struct qcow_refcounts *rc);

/* Slices of counts that are so many bytes; one at least. */
u32 qcow_refcounts_slices(const struct qcow_refcounts *rc, u32 bytes);

/**
 * qcow_refcounts_set_used() - count free clusters as used once
 * @rc: the counts
 * @cluster: the first; all are covered
 * @nr: how many
 *
 * Return: 0; -EUCLEAN: one is in use; or what reading brought. Nothing has changed then.
 */
int qcow_refcounts_set_used(struct qcow_refcounts *rc, u64 cluster, u64 nr);

/**
 * qcow_refcounts_get() - a count, and how far it goes
 * @rc: the counts
 * @cluster: number of the cluster
 * @max: clusters wanted, from @cluster on
 * @count: result; 0 where there is no block
 * @nr: result: so many clusters, at most @max, have this count
 *
 * Return: 0, or what reading brought.
 */
int qcow_refcounts_get(struct qcow_refcounts *rc, u64 cluster, u64 max, u64 *count, u64 *nr);

/**
 * qcow_refcounts_dec() - one reference less
 * @rc: the counts
 * @cluster: number of the first cluster
 * @nr: how many
 *
 * Return: 0; -EUCLEAN: one has none; or what reading brought. Some may have changed then.
 */
int qcow_refcounts_dec(struct qcow_refcounts *rc, u64 cluster, u64 nr);

/**
 * qcow_refcounts_inc() - one reference more, of clusters that have one
 * @rc: the counts
 * @cluster: number of the first cluster
 * @nr: how many
 *
 * Return: 0; -EUCLEAN: a count is 0; -ERANGE: a count can be no larger; or what reading brought.
 * Some may have changed then.
 */
int qcow_refcounts_inc(struct qcow_refcounts *rc, u64 cluster, u64 nr);

/*
 * Write what has changed, now, but for slices that a commit is writing. @writes: memory for the
 * writes, not that of the commit.
 */
int qcow_refcounts_write(struct qcow_refcounts *rc, struct qcow_batch *writes);

/**
 * qcow_refcounts_begin_shadow() - begin to make counts that are to replace others
 * @rc: those in use
 * @shadow: result: without blocks
 *
 * A shadow has the counts of a block from qcow_refcounts_copy_block() on, and each change of those
 * in use is made there, too; all other blocks it shares with @rc.
 *
 * Return: 0 or -ENOMEM.
 */
int qcow_refcounts_begin_shadow(struct qcow_refcounts *rc, struct qcow_refcounts *shadow);

/**
 * qcow_refcounts_copy_block() - let the shadow have a block of its own
 * @rc: the counts in use
 * @cluster: that it counts
 * @host: offset of a cluster for the copy
 *
 * Return: 0, -ENOMEM, or what reading and writing brought.
 */
int qcow_refcounts_copy_block(struct qcow_refcounts *rc, u64 cluster, u64 host);

/**
 * qcow_refcounts_write_some() - write what has changed of a shadow once it takes a good deal of
 *                               the cache
 * @shadow: the shadow
 *
 * A commit does not write it: until the switch nothing refers to it.
 *
 * Return: 0, or what writing brought.
 */
int qcow_refcounts_write_some(struct qcow_refcounts *shadow);

/**
 * qcow_refcounts_write_table() - write the shadow's refcount table
 * @rc: the counts in use
 * @host: offset of the table
 * @clusters: that it has, enough for all blocks
 *
 * Return: 0, -ENOMEM, or what writing brought.
 */
int qcow_refcounts_write_table(struct qcow_refcounts *rc, u64 host, u64 clusters);

/*
 * The header refers to the shadow's table: its counts, all written, are those in use. @old is
 * called with each block that is not any more.
 */
void qcow_refcounts_use_shadow(struct qcow_refcounts *rc,
			       void (*old)(struct qcow_refcounts *rc, u64 host));

/* There is no shadow any more. */
void qcow_refcounts_end_shadow(struct qcow_refcounts *rc);

#endif /* _QCOW_META_REFCOUNT_H */
