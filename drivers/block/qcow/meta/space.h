/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Host clusters of the active image: which are free, which are set aside, where the file
 * ends. Version 1 has no reference counts; it takes what it freed itself, and appends.
 */
#ifndef _QCOW_SPACE_H
#define _QCOW_SPACE_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "meta/refcount.h"
#include "meta/window.h"

struct qcow_guard;
struct qcow_image;
struct qcow_report;
struct qcow_store;

/**
 * struct qcow_space - the clusters of one image
 * @lock: all of it and the counts; sleeps, reads and writes under it
 * @image: whose
 * @guard: of its metadata
 * @counted: versions 2 and 3, @counts is there
 * @counts: reference counts
 * @free: runs that nothing refers to, their count is 0
 * @ready: runs set aside: their count is 1, and nothing refers to them
 * @streams: the same, for guest clusters that are expected to be written
 * @end: number of the cluster behind the last one that was ever used
 * @zero_from: number of the cluster from which on the store reads as zeros where nothing
 *             has been written
 * @scanned: no free cluster below it that is not in @free
 */
struct qcow_space {
	struct mutex lock;	/* all of this */
	struct qcow_image *image;
	struct qcow_guard *guard;
	bool counted;
	struct qcow_refcounts counts;
	struct list_head free;
	struct list_head ready;
	struct qcow_streams streams;
	u64 end;
	u64 zero_from;
	u64 scanned;
};

/**
 * qcow_space_open() - find out where the file ends
 * @space: result
 * @image: open for writing
 * @guard: knows all metadata but that of reference counts, which is added
 * @rep: says what is wrong
 *
 * Return: 0 or -errno.
 */
int qcow_space_open(struct qcow_space *space, struct qcow_image *image,
		    struct qcow_guard *guard, struct qcow_report *rep);

/* Gives back what is set aside; the commit that follows writes it. */
void qcow_space_return(struct qcow_space *space);

/* Cut the file behind the last cluster in use. After that commit. */
void qcow_space_trim(struct qcow_space *space);
void qcow_space_close(struct qcow_space *space);

/**
 * qcow_space_take() - clusters for metadata
 * @space: the space
 * @nr: so many, one after the other
 * @run: result; their count is 1, and it is durable before the commit writes what refers
 *       to them
 *
 * Context: process context, may sleep and do I/O.
 * Return: 0; -ENOSPC; -EUCLEAN: free clusters turned out to hold metadata; -EIO, ...
 */
int qcow_space_take(struct qcow_space *space, u64 nr, struct qcow_run *run);

/**
 * qcow_space_take_for() - clusters for data, in the order of guest clusters where they are
 *                         written in order
 * @space: the space
 * @guest: the first guest cluster
 * @max: at most so many
 * @run: result, as of qcow_space_take(), one at least
 *
 * Context: process context, may sleep and do I/O.
 * Return: as qcow_space_take().
 */
int qcow_space_take_for(struct qcow_space *space, u64 guest, u64 max, struct qcow_run *run);

/* Take back what has not been used after all; what it holds is unknown. May sleep. */
void qcow_space_untake(struct qcow_space *space, u64 first, u64 nr);

/**
 * qcow_space_reach() - make a store long enough
 * @space: of the image
 * @store: the image's own or its data file
 * @end: host byte behind the last one that will be written
 *
 * Context: process context, may sleep and do I/O.
 * Return: 0, -ENOSPC, ...
 */
int qcow_space_reach(struct qcow_space *space, struct qcow_store *store, u64 end);

/**
 * qcow_space_free() - one reference less to all clusters that a host range touches
 * @space: the space
 * @host: first byte
 * @len: bytes
 *
 * The commit that dropped the reference is durable and all I/O to it has ended: clusters
 * without any other reference may be used again at once.
 *
 * Context: process context, may sleep and do I/O.
 * Return: 0, -EUCLEAN, ...: what could not be freed is leaked.
 */
int qcow_space_free(struct qcow_space *space, u64 host, u64 len);

#endif /* _QCOW_SPACE_H */
