/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shadow paging: reference counts and tables are made in new clusters, beside those in use, and
 * one write of the header's first sector puts them in their place. So counts and the flags that
 * must agree with them (COPIED: the count is one) change at the same instant, and a power cut
 * finds either all of the old or all of the new.
 *
 * Context of all functions: the metadata worker; they may sleep and do I/O, GFP_NOIO. While a
 * shadow is live, requests, commits and reclaiming go on between two of them. While it is not, as
 * for qcow_shadow_switch(), the device does no I/O and no commit is under way.
 */
#ifndef _QCOW_META_SHADOW_H
#define _QCOW_META_SHADOW_H

#include <linux/list.h>
#include <linux/types.h>

#include "meta/refcount.h"

struct qcow_header;
struct qcow_meta;

/**
 * struct qcow_shadow - metadata on its way
 * @meta: of the image
 * @counts: the new counts
 * @taken: clusters for new metadata, struct qcow_space_run
 * @guarded: clusters that hold metadata once it is in use, and did not before, likewise
 * @unused: clusters that nothing refers to any more, likewise; their new count is 0 until
 *          qcow_shadow_switch(), which has them reclaimed
 * @reaped: likewise, and their new count is 1 already
 * @below: what is allocated lies in front of this cluster; U64_MAX: anywhere
 * @cancelled: set from outside when the task that waits for all this is being killed
 * @is_live: the device is in use
 * @is_given_up: it had what requests needed, and is gone
 */
struct qcow_shadow {
	struct qcow_meta *meta;
	struct qcow_refcounts counts;
	struct list_head taken;
	struct list_head guarded;
	struct list_head unused;
	struct list_head reaped;
	u64 below;
	const bool *cancelled;
	bool is_live;
	bool is_given_up;
};

/**
 * qcow_shadow_begin() - begin with the counts as they are
 * @shadow: result
 * @meta: of an image of version 2 or 3
 * @cancelled: as struct qcow_shadow has it
 *
 * It is not live yet, and takes clusters anywhere.
 *
 * Return: 0; then qcow_shadow_switch() or qcow_shadow_abort(). -ENOMEM.
 */
int qcow_shadow_begin(struct qcow_shadow *shadow, struct qcow_meta *meta, const bool *cancelled);

/**
 * qcow_shadow_alloc() - clusters for new metadata
 * @shadow: the shadow
 * @bytes: at least so many, in one piece; whole clusters are allocated, one at least
 * @host: result
 *
 * Return: 0; -EINTR; errors as qcow_space_alloc().
 */
int qcow_shadow_alloc(struct qcow_shadow *shadow, u64 bytes, u64 *host);

/* The same, with @buf of so many bytes written there and zeros behind it. */
int qcow_shadow_put(struct qcow_shadow *shadow, const void *buf, u64 bytes, u64 *host);

/**
 * qcow_shadow_guard() - nothing else may be written to a table that is taken over as it is
 * @shadow: the shadow
 * @host: where it is
 * @bytes: that it has, whole clusters
 *
 * Return: 0 or -ENOMEM.
 */
int qcow_shadow_guard(struct qcow_shadow *shadow, u64 host, u64 bytes);

/**
 * qcow_shadow_own_block() - have a refcount block of its own, in a new place
 * @shadow: the shadow
 * @cluster: number of a cluster that it counts; one that no block counts is passed over
 *
 * Return: 0; errors as qcow_shadow_alloc().
 */
int qcow_shadow_own_block(struct qcow_shadow *shadow, u64 cluster);

/**
 * qcow_shadow_ref() - one reference more to all clusters that a host range touches
 * @shadow: the shadow
 * @host: first byte
 * @len: bytes, 0: nothing
 *
 * Return: 0; -EUCLEAN: a cluster has no count; -ERANGE: its count can be no larger, named in the
 * log; -EINTR, -EIO, ...
 */
int qcow_shadow_ref(struct qcow_shadow *shadow, u64 host, u64 len);

/* The same with one reference less; the last one makes a cluster unused. Not while it is live. */
int qcow_shadow_unref(struct qcow_shadow *shadow, u64 host, u64 len);

/*
 * The same with one reference less that is not the last one in the end: one that qcow_shadow_ref()
 * has made, or one in whose place it makes another. What has none in the end is for
 * qcow_shadow_reap().
 */
int qcow_shadow_forget(struct qcow_shadow *shadow, u64 host, u64 len);

/**
 * qcow_shadow_reap() - what has no reference left is unused
 * @shadow: the shadow; all its counts are as they are to be. While it is live, those at hand stay
 *          as they are where they are 0
 * @host: first byte of what has had a reference
 * @len: bytes
 *
 * Called again for the same range it finds nothing more.
 *
 * Return: 0; errors as qcow_shadow_ref().
 */
int qcow_shadow_reap(struct qcow_shadow *shadow, u64 host, u64 len);

/**
 * qcow_shadow_count() - a new count, and how far it goes
 * @shadow: the shadow
 * @cluster: number of the cluster
 * @max: clusters wanted
 * @count: result
 * @nr: result: so many have that count
 *
 * Return: 0, -EINTR, or what reading brought.
 */
int qcow_shadow_count(struct qcow_shadow *shadow, u64 cluster, u64 max, u64 *count, u64 *nr);

/**
 * qcow_shadow_switch() - make it the metadata in use
 * @shadow: the shadow, gone afterwards
 * @next: what the header is to say, but for the refcount table, which is filled in
 *
 * All that has been allocated has been written. The caller puts what it has in memory of L1 and
 * L2 tables right.
 *
 * Return: 0; else nothing has changed, but after an error of writing the header, which the log
 * has: it may be either, and nothing is written any more.
 */
int qcow_shadow_switch(struct qcow_shadow *shadow, struct qcow_header *next);

/* Give all of it up. Also of one that has been given up before. */
void qcow_shadow_abort(struct qcow_shadow *shadow);

/**
 * qcow_shadow_give_up() - let requests have the clusters of a shadow that is live
 * @meta: of the image, whose disk is full
 *
 * Who makes the shadow sees @is_given_up in the next step.
 *
 * Return: whether there was one.
 */
bool qcow_shadow_give_up(struct qcow_meta *meta);

#endif /* _QCOW_META_SHADOW_H */
