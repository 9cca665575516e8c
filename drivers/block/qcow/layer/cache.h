/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The metadata cache of one image: slices of its L2 tables, and of the refcount blocks of one
 * that is written to, found under RCU by (tables, slice index), limited in bytes, given back
 * under memory pressure.
 *
 * A look-up that hits takes no lock and writes no shared cache line (a slice's @referenced
 * mark is set only when it is clear). The cache does not know what the entries mean. How
 * slices are changed and written back is in dirty.h.
 */
#ifndef _QCOW_CACHE_H
#define _QCOW_CACHE_H

#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct qcow_dirty;
struct qcow_store;
struct shrinker;

#define QCOW_CACHE_DEFAULT_BYTES	(32U << 20)
#define QCOW_CACHE_MIN_BYTES		(64U << 10)

/* Half of it holds slices that are being changed: those of one change at least. */
#define QCOW_CACHE_MIN_WRITE_BYTES	(256U << 10)

/* Slices that one I/O reads ahead at most. */
#define QCOW_CACHE_AHEAD_SLICES		4U

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
 * struct qcow_tables - all tables of one kind of one image
 * @store: where they are
 * @slice_bytes: of each slice, a power of two, at most QCOW_SLICE_BYTES
 * @locate: host offset of a slice as of the table above it now. Asked when nobody can have
 *          another copy of the slice, and may be called again when a table has moved. Return:
 *          0; -ENODATA: there is none
 * @slices: those in memory, by index
 * @dirty: slices that are about to be changed or have been, under the cache's lock
 */
struct qcow_tables {
	struct qcow_store *store;
	u32 slice_bytes;
	int (*locate)(const struct qcow_tables *tables, u64 idx, u64 *host);
	struct xarray slices;
	struct list_head dirty;
};

static inline void qcow_tables_init(struct qcow_tables *tables, struct qcow_store *store,
				    u32 slice_bytes,
				    int (*locate)(const struct qcow_tables *tables, u64 idx,
						  u64 *host))
{
	tables->store = store;
	tables->slice_bytes = slice_bytes;
	tables->locate = locate;
	xa_init(&tables->slices);
	INIT_LIST_HEAD(&tables->dirty);
}

/**
 * struct qcow_slice - one slice in memory
 * @entries: the slice as on disk, big endian; changed under @dirty's lock only
 * @tables: key, whose
 * @idx: key, number of the slice in @tables
 * @cache: whose limit it is charged to
 * @refs: the cache's own, and one for each holder of qcow_cache_load()
 * @bytes: of memory at @entries
 * @charge: bytes charged to @cache; 0: never cached, its memory is of the reserve
 * @referenced: used since the clock hand passed; written without a lock, and only a lost
 *              second chance is at stake
 * @ahead: read ahead, and its first use is to be told to ahead.c
 * @loading: not read yet: look-ups do not return it. Cleared under the cache's lock
 * @reserved: what is written there needs no new space; dirty.c's
 * @seq: moves when @entries change; for readers of entries of more than one word
 * @dirty: what makes it changeable, or NULL: dirty.c's, under the cache's lock
 * @clock: the cache's ring, under the cache's lock; empty while loading or changeable
 * @waiters: those who want it while it is loading, under the cache's lock
 * @rcu: frees it after the last look-up
 *
 * What hits read stands apart from what insertion and eviction write.
 */
struct qcow_slice {
	__be64 *entries;
	struct qcow_tables *tables;
	u64 idx;
	struct qcow_cache *cache;
	refcount_t refs;
	u32 bytes;
	u32 charge;
	bool referenced;
	bool ahead;
	bool loading;
	bool reserved;
	seqcount_t seq;

	struct qcow_dirty *dirty;
	struct list_head clock ____cacheline_aligned_in_smp;
	struct list_head waiters;
	struct rcu_head rcu;
};

/**
 * struct qcow_cache - the cache of one image
 * @limit: bytes of slices at most, what is on its way through RCU included; grows under
 *         @lock
 * @headroom: of @limit, kept free of live slices: slices on their way through RCU and new
 *            ones share it, so that a full cache still has room for what is read next
 * @bytes: charged now, never over @limit; added to under @lock, subtracted from anywhere
 *         (RCU callbacks uncharge)
 * @lock: @live, @clock, @nr_slices, @dirty_bytes, the end of a load, and removal from
 *        xarrays; insertion there needs only the xarray's own lock, which nests inside.
 *        Process context only. Nothing sleeps or allocates under it
 * @live: bytes of slices that are loading or cached, under @lock
 * @clock: second-chance ring of cached slices, the hand is at its head, under @lock
 * @nr_slices: on @clock; written under @lock
 * @dirty_bytes: of changeable slices and their copies, under @lock
 * @reserve: one slice that a load can always get in the end. Per image: where one lies on
 *           another qcow device, a shared one would be held by the load that waits for it
 * @shrinker: gives slices back
 * @refs: the owner's, and one for each slice that waits for its RCU grace period
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
	u64 dirty_bytes;

	mempool_t *reserve;
	struct shrinker *shrinker;
	refcount_t refs;

	atomic64_t misses;
	atomic64_t evictions;
};

/* Slabs of all slice sizes and of struct qcow_slice; once per module. */
int qcow_cache_module_init(void);
void qcow_cache_module_exit(void);

/**
 * qcow_cache_create() - make an empty cache
 * @limit: bytes, at least QCOW_CACHE_MIN_BYTES
 *
 * Context: process context, may sleep; GFP_KERNEL.
 * Return: the cache, or NULL: there is no memory.
 */
struct qcow_cache *qcow_cache_create(u64 limit);

/**
 * qcow_cache_destroy() - free a cache
 * @cache: no look-up and no load is under way, and all tables have been dropped
 *
 * Does not wait for the grace period of slices that have been dropped: the last of them frees
 * the memory. Context: process context, may sleep.
 */
void qcow_cache_destroy(struct qcow_cache *cache);

/* Let it have @limit bytes if it has less. Context: process context. */
void qcow_cache_raise(struct qcow_cache *cache, u64 limit);

/**
 * qcow_cache_lookup() - find a slice without waiting
 * @tables: whose
 * @idx: number of the slice
 *
 * Context: rcu_read_lock(); the slice is valid until it is dropped.
 * Return: the slice, loaded, or NULL.
 */
struct qcow_slice *qcow_cache_lookup(struct qcow_tables *tables, u64 idx);

/**
 * qcow_cache_load() - find a slice, read it when it is not there
 * @cache: the image's
 * @tables: whose
 * @idx: number of the slice
 * @waiter: parked when somebody else is reading the slice just now, or NULL: wait here
 * @slice: the slice with a reference, for qcow_slice_put()
 *
 * Makes room first; when there is none (all slices are on their way out), or no memory
 * for caching, the slice is read for this caller alone and not cached, from a small
 * reserve of memory if need be, so that the limit holds and progress is certain. For that
 * reason nobody may hold one slice while loading another.
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0; -EINPROGRESS: @waiter will be woken, look again then; -ENODATA: there is no such
 * slice, or the file ends before it does; -EIO and others from the store (nothing is cached
 * then; parked waiters are woken and try themselves).
 */
int qcow_cache_load(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
		    struct qcow_waiter *waiter, struct qcow_slice **slice);
void qcow_slice_put(struct qcow_cache *cache, struct qcow_slice *slice);

/* Whether a slice is there or on its way. Context: any. */
static inline bool qcow_cache_has(struct qcow_tables *tables, u64 idx)
{
	return xa_load(&tables->slices, idx);
}

/**
 * qcow_cache_read_ahead() - read slices that nobody has asked for, in one I/O
 * @cache: the image's
 * @tables: whose
 * @idx: number of the first; no later one lies elsewhere than right behind it
 * @nr: how many, at most QCOW_CACHE_AHEAD_SLICES
 * @mark: set @ahead in the first
 *
 * As many as there is room and memory for, up to one that is there already. Who comes for one
 * meanwhile waits for it; when it cannot be read, who comes later tries again.
 *
 * Context: process context, may sleep; GFP_NOIO.
 */
void qcow_cache_read_ahead(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
			   unsigned int nr, bool mark);

/* Drop all slices of tables that nobody uses any more. May sleep. */
void qcow_cache_drop(struct qcow_cache *cache, struct qcow_tables *tables);

/**
 * qcow_cache_charge() - take memory out of the limit, evicting for it
 * @cache: the cache
 * @cost: bytes
 *
 * Return: whether it fits; qcow_cache_uncharge() gives it back.
 */
bool qcow_cache_charge(struct qcow_cache *cache, u32 cost);
void qcow_cache_uncharge(struct qcow_cache *cache, u32 cost);

/* Memory for a copy of a slice of so many bytes, aligned to its size. */
void *qcow_cache_alloc_entries(u32 bytes, gfp_t gfp);
void qcow_cache_free_entries(void *entries, u32 bytes);

/*
 * Take a slice off the clock, so that it is not evicted, and put it back. Under the cache's
 * lock; the first fails when it has been evicted already or was never in the cache.
 */
bool qcow_cache_hold_locked(struct qcow_cache *cache, struct qcow_slice *slice);
void qcow_cache_release_locked(struct qcow_cache *cache, struct qcow_slice *slice);

#endif /* _QCOW_CACHE_H */
