/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The L2 cache of one device: slices of the L2 tables of all its layers, found under RCU
 * by (image, slice index), limited in bytes, given back under memory pressure.
 *
 * A look-up that hits takes no lock and writes no shared cache line (a slice's @referenced
 * mark is set only when it is clear). The cache does not know what the entries mean.
 */
#ifndef _QCOW_CACHE_H
#define _QCOW_CACHE_H

#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct qcow_image;
struct qcow_store;
struct shrinker;

#define QCOW_CACHE_DEFAULT_BYTES	(32U << 20)
#define QCOW_CACHE_MIN_BYTES		(64U << 10)

/**
 * struct qcow_waiter - somebody who goes on when a load that is under way has ended
 * @node: on the list of what it waits for
 * @wake: called once, in process context, without locks held; must not sleep for long
 *        (it queues work). The waiter is the callee's again and may be gone at once
 */
struct qcow_waiter {
	struct list_head node;
	void (*wake)(struct qcow_waiter *waiter);
};

/**
 * struct qcow_slice - one slice in memory
 * @entries: the slice as on disk, big endian; immutable once published while images are
 *           read-only
 * @image: key, whose L2 table
 * @idx: key, number of the slice in @image
 * @cache: whose limit it is charged to
 * @refs: the cache's own, and one for each holder of qcow_cache_load()
 * @bytes: of memory at @entries
 * @charge: bytes charged to @cache; 0: never cached, its memory is of the reserve
 * @referenced: used since the clock hand passed; written without a lock, and only a lost
 *              second chance is at stake
 * @loading: not read yet: look-ups do not return it. Cleared under the cache's lock
 * @clock: the cache's ring, under the cache's lock; empty while loading
 * @waiters: those who want it while it is loading, under the cache's lock
 * @rcu: frees it after the last look-up
 *
 * What hits read stands apart from what insertion and eviction write.
 */
struct qcow_slice {
	__be64 *entries;
	struct qcow_image *image;
	u64 idx;
	struct qcow_cache *cache;
	refcount_t refs;
	u32 bytes;
	u32 charge;
	bool referenced;
	bool loading;

	struct list_head clock ____cacheline_aligned_in_smp;
	struct list_head waiters;
	struct rcu_head rcu;
};

/**
 * struct qcow_cache - the cache of one device
 * @limit: bytes of slices at most, what is on its way through RCU included
 * @headroom: of @limit, kept free of live slices: slices on their way through RCU and new
 *            ones share it, so that a full cache still has room for what is read next
 * @bytes: charged now, never over @limit; added to under @lock, subtracted from anywhere
 *         (RCU callbacks uncharge)
 * @lock: @live, @clock, @nr_slices, the end of a load, and removal from the images'
 *        xarrays; insertion there needs only the xarray's own lock, which nests inside.
 *        Process context only. Nothing sleeps or allocates under it
 * @live: bytes of slices that are loading or cached, under @lock
 * @clock: second-chance ring of cached slices, the hand is at its head, under @lock
 * @nr_slices: on @clock; written under @lock
 * @reserve: one slice that a load can always get in the end. Per device: where an image
 *           lies on another qcow device, a shared one would be held by whoever waits
 * @shrinker: gives slices back
 * @misses: slices read from a store, statistics
 * @evictions: slices dropped for room or under pressure, statistics
 */
struct qcow_cache {
	u64 limit;
	u64 headroom;
	atomic64_t bytes;

	spinlock_t lock;	/* the group below, see above for the rest */
	u64 live;
	struct list_head clock;
	unsigned long nr_slices;

	mempool_t *reserve;
	struct shrinker *shrinker;

	atomic64_t misses;
	atomic64_t evictions;
};

/* Slabs of all slice sizes and of struct qcow_slice; once per module. */
int qcow_cache_module_init(void);
void qcow_cache_module_exit(void);

/**
 * qcow_cache_init() - make an empty cache
 * @cache: the memory
 * @limit: bytes, at least QCOW_CACHE_MIN_BYTES
 *
 * Return: 0 or -ENOMEM.
 */
int qcow_cache_init(struct qcow_cache *cache, u64 limit);

/* No look-up and no load may be under way; images must have been dropped. May sleep. */
void qcow_cache_destroy(struct qcow_cache *cache);

/**
 * qcow_cache_lookup() - find a slice without waiting
 * @image: whose
 * @idx: number of the slice
 *
 * Context: rcu_read_lock(); the slice is valid until it is dropped.
 * Return: the slice, loaded, or NULL.
 */
struct qcow_slice *qcow_cache_lookup(struct qcow_image *image, u64 idx);

/**
 * qcow_cache_load() - find a slice, read it when it is not there
 * @cache: the device's cache
 * @image: whose
 * @idx: number of the slice
 * @host: where it is in @image's store; as of the L1 table now
 * @waiter: parked when somebody else is reading the slice just now, or NULL: wait here
 * @slice: the slice with a reference, for qcow_slice_put()
 *
 * Makes room first; when there is none (all slices are on their way out), or no memory
 * for caching, the slice is read for this caller alone and not cached, from a small
 * reserve of memory if need be, so that the limit holds and progress is certain. For that
 * reason nobody may hold one slice while loading another.
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0; -EINPROGRESS: @waiter will be woken, look again then; -EIO and others from
 * the store (nothing is cached then; parked waiters are woken and try themselves).
 */
int qcow_cache_load(struct qcow_cache *cache, struct qcow_image *image, u64 idx, u64 host,
		    struct qcow_waiter *waiter, struct qcow_slice **slice);
void qcow_slice_put(struct qcow_cache *cache, struct qcow_slice *slice);

/* Drop all slices of an image that nobody uses any more. May sleep. */
void qcow_cache_drop_image(struct qcow_cache *cache, struct qcow_image *image);

#endif /* _QCOW_CACHE_H */
