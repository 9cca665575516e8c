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
 */
struct qcow_refcounts {
	struct qcow_image *image;
	struct qcow_overlap *overlap;
	struct qcow_tables tables;
	__be64 *table;
	u64 entries;
	u32 order;
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
 * qcow_refcounts_end() - where nothing is used any more
 * @rc: the counts
 * @end: number of the cluster behind the last one that has a count
 *
 * Reads the last blocks only; may be too large by the clusters of some empty ones.
 *
 * Return: 0 or what reading brought.
 */
int qcow_refcounts_end(struct qcow_refcounts *rc, u64 *end);

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
 * qcow_refcounts_covered() - clusters from @cluster on that have a refcount block
 * @rc: the counts
 * @cluster: number of the cluster
 */
u64 qcow_refcounts_covered(const struct qcow_refcounts *rc, u64 cluster);

/**
 * qcow_refcounts_extend() - give the clusters from @cluster on a refcount block
 * @rc: the counts
 * @cluster: not covered; it and all behind it are free, and in the file
 * @used: how many of them the new metadata took
 * @old: the clusters of a table that has been replaced, to be reclaimed; @old->nr 0: none has
 *
 * New blocks, and a new table when the old one is full, lie at @cluster. The block is
 * durable before the table refers to it, and a table before the header does.
 *
 * Return: 0 or -errno: nothing refers to what has been written.
 */
int qcow_refcounts_extend(struct qcow_refcounts *rc, u64 cluster, u64 *used,
			  struct qcow_run *old);

/* How many clusters qcow_refcounts_extend() takes at @cluster, at most. */
u64 qcow_refcounts_extend_clusters(const struct qcow_refcounts *rc, u64 cluster);

/*
 * So many clusters one after the other can be appended, whatever the end of the image: a fresh
 * block counts itself and, behind it, these.
 */
u64 qcow_refcounts_max_run(const struct qcow_refcounts *rc);

/* So many clusters one after the other have their counts in few slices. */
u64 qcow_refcounts_batch(const struct qcow_refcounts *rc);

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

#endif /* _QCOW_META_REFCOUNT_H */
