/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Host clusters of the active image: which are free, which are reserved, where the file ends.
 * Version 1 has no reference counts; it reuses what it freed since the attach, and appends.
 *
 * Context of all functions: the metadata worker; qcow_space_open(): the attach, qcow_space_close():
 * the detach. They may sleep and do I/O, GFP_NOIO.
 */
#ifndef _QCOW_META_SPACE_H
#define _QCOW_META_SPACE_H

#include <linux/list.h>
#include <linux/types.h>

#include "meta/freemap.h"
#include "meta/refcount.h"
#include "meta/window.h"

struct qcow_overlap;
struct qcow_image;
struct qcow_report;
struct qcow_store;

/**
 * struct qcow_space_run - a run on a list
 * @node: on the list
 * @run: the clusters
 */
struct qcow_space_run {
	struct list_head node;
	struct qcow_run run;
};

/* Append a run to a list, merged with the last one where it continues that. May sleep. */
void qcow_space_run_add(struct list_head *list, const struct qcow_run *run);

/* Empty a list. */
void qcow_space_runs_free(struct list_head *list);

/**
 * enum qcow_use - what clusters are allocated for
 * @QCOW_USE_DATA: the guest's, compressed or not
 * @QCOW_USE_METADATA: tables
 */
enum qcow_use {
	QCOW_USE_DATA,
	QCOW_USE_METADATA,
};

/**
 * struct qcow_space - the clusters of one image
 * @image: the image
 * @overlap: where its metadata is
 * @counted: versions 2 and 3, @counts is there
 * @counts: reference counts
 * @free: clusters that nothing refers to, their count is 0
 * @reserved: runs whose count is 1, and nothing refers to them
 * @windows: the same, for guest clusters that are expected to be written
 * @end: number of the cluster behind the last one that was ever used; there new ones are appended
 * @keep: number of the cluster behind the last one that is not ours to cut off
 * @limit: number of the first cluster that no entry of a table can refer to
 * @zero_from: number of the cluster from which on the store reads as zeros where nothing
 *             has been written
 * @scanned: no free cluster below it that is not in @free
 * @budget: slices of counts that may be read still, in this turn of the worker
 * @next_byte: host offset behind the compressed data that was allocated last, in a cluster that
 *             has room for more; a multiple of the cluster size: none has
 * @allocated: clusters that have been allocated for data, statistics; read anywhere
 * @full: the store has refused to grow
 * @news: a request that has found no space may find some if it tries again
 */
struct qcow_space {
	struct qcow_image *image;
	struct qcow_overlap *overlap;
	bool counted;
	struct qcow_refcounts counts;
	struct qcow_freemap free;
	struct list_head reserved;
	struct qcow_windows windows;
	u64 end;
	u64 keep;
	u64 limit;
	u64 zero_from;
	u64 scanned;
	u32 budget;
	u64 next_byte;
	u64 allocated;
	bool full;
	bool news;
};

/**
 * qcow_space_open() - find out where the file ends
 * @space: result
 * @image: open for writing
 * @overlap: has all metadata but that of reference counts, which is added
 * @rep: says what is wrong
 *
 * Return: 0 or -errno.
 */
int qcow_space_open(struct qcow_space *space, struct qcow_image *image,
		    struct qcow_overlap *overlap, struct qcow_report *rep);

/*
 * Cut off the end of the file what was appended or freed and is not used, after a commit of what
 * has been freed.
 */
void qcow_space_trim(struct qcow_space *space);
void qcow_space_close(struct qcow_space *space);

/* A turn of the worker begins: so much of a search may be done in it. */
void qcow_space_begin_turn(struct qcow_space *space);

/* Whether the error says that there is no space, or that a store cannot become longer. */
static inline bool qcow_space_is_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT || err == -EFBIG;
}

/**
 * qcow_space_alloc() - clusters, wherever they are
 * @space: the space
 * @use: what for
 * @nr: so many, one after the other
 * @run: result; their count is 1, and it is durable before the commit writes what refers
 *       to them
 *
 * Return: 0; -EAGAIN: no space has been found yet, the search goes on in a later turn of the
 * worker; an error of qcow_space_is_full(): there is none but what is being reclaimed; -EUCLEAN:
 * free clusters turned out to hold metadata; -EIO, ...
 */
int qcow_space_alloc(struct qcow_space *space, enum qcow_use use, u64 nr, struct qcow_run *run);

/**
 * qcow_space_alloc_below() - clusters that lie low
 * @space: the space, counted
 * @use: what for
 * @below: in front of this cluster
 * @nr: so many, one after the other
 * @run: result, as of qcow_space_alloc()
 *
 * The image does not become longer for them.
 *
 * Return: as qcow_space_alloc().
 */
int qcow_space_alloc_below(struct qcow_space *space, enum qcow_use use, u64 below, u64 nr,
			   struct qcow_run *run);

/**
 * qcow_space_alloc_guest() - clusters for data, in the order of guest clusters where they are
 *                            written in order
 * @space: the space
 * @guest: the first guest cluster
 * @max: at most so many
 * @run: result, as of qcow_space_alloc(), one at least
 *
 * Return: as qcow_space_alloc().
 */
int qcow_space_alloc_guest(struct qcow_space *space, u64 guest, u64 max, struct qcow_run *run);

/**
 * qcow_space_alloc_bytes() - room for compressed data
 * @space: the space, counted
 * @len: bytes, at most those of a cluster
 * @below: in front of this cluster; U64_MAX: anywhere
 * @host: result: where they begin. Each cluster that they touch has a reference for them;
 *        qcow_reclaim_drop_leak() undoes that
 *
 * Return: as qcow_space_alloc(); -EOVERFLOW: no entry can refer to what there is.
 */
int qcow_space_alloc_bytes(struct qcow_space *space, u32 len, u64 below, u64 *host);

/* Clusters that have compressed data get no more. */
static inline void qcow_space_close_bytes(struct qcow_space *space)
{
	space->next_byte = 0;
}

/* Undo an allocation: the clusters are reserved again; what they hold is unknown. */
void qcow_space_release(struct qcow_space *space, u64 first, u64 nr);

/* The same for all runs on a list, which is empty then. */
void qcow_space_release_runs(struct qcow_space *space, struct list_head *list);

/**
 * qcow_space_extend() - make a store at least so long that clusters in use can be written
 * @space: of the image
 * @store: the image's own or its data file
 * @host: their first byte
 * @end: host byte behind the last one
 *
 * Return: 0, -ENOSPC, ...
 */
int qcow_space_extend(struct qcow_space *space, struct qcow_store *store, u64 host, u64 end);

/**
 * qcow_space_unref() - drop one reference of all clusters that a host range touches
 * @space: the space
 * @host: first byte
 * @len: bytes
 * @unused: gets those with no other reference, struct qcow_space_run; their count is still 1,
 *          they become free with qcow_space_free()
 *
 * The commit that dropped the reference is durable and all I/O to the range has ended.
 *
 * Return: 0, -EUCLEAN, ...: some of the range is leaked.
 */
int qcow_space_unref(struct qcow_space *space, u64 host, u64 len, struct list_head *unused);

/**
 * qcow_space_free() - clusters that nothing refers to may be allocated from now on
 * @space: the space
 * @run: clusters with a count of 1
 *
 * Return: 0, -EUCLEAN, ...: they are leaked.
 */
int qcow_space_free(struct qcow_space *space, const struct qcow_run *run);

/**
 * qcow_space_reserved() - what has been set aside
 * @space: the space; windows are closed, and what is left of them is on the list
 *
 * Return: struct qcow_space_run, runs whose count is 1 while nothing refers to them.
 */
const struct list_head *qcow_space_reserved(struct qcow_space *space);

/**
 * qcow_space_next_free() - go through the counts, from a cluster on
 * @space: the space, counted
 * @from: where to begin; result: where to go on, @space->end: nowhere
 * @used: clusters that have a count on the way are added to it
 * @run: result: clusters that are free and have a place for a count; @run->nr 0: there are none yet
 *
 * What is found is known from then on, as far as there is room for that. Reads one slice of counts
 * at most.
 *
 * Return: 0, or what reading brought.
 */
int qcow_space_next_free(struct qcow_space *space, u64 *from, u64 *used, struct qcow_run *run);

/**
 * qcow_space_cut() - have the file end behind the last cluster that has a count
 * @space: the space, counted; nothing of it is on its way to be free
 *
 * A store that cannot become shorter stays as it is.
 *
 * Return: 0, or what reading counts brought.
 */
int qcow_space_cut(struct qcow_space *space);

/* Nothing is reserved any more: move it to @unused, as of qcow_space_unref(). */
void qcow_space_unreserve(struct qcow_space *space, struct list_head *unused);

#endif /* _QCOW_META_SPACE_H */
