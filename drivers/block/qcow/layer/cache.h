/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fill caches: what is in one has been read or made once, by the first caller that wanted it,
 * while the others parked. An image has two, of slices of its metadata tables (slice.c) and of
 * decompressed clusters (data/decompress.c); each brings its filler. A cache is limited in bytes
 * and gives back under memory pressure.
 *
 * Slices are found under RCU by (tables, slice index): a look-up that hits takes no lock and
 * writes no shared cache line (@referenced is set only when it is clear). How they are changed
 * and written back is in meta/writeback.h.
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
#include <linux/wait.h>
#include <linux/xarray.h>

struct qcow_cache;
struct qcow_writeback;
struct qcow_store;
struct shrinker;

#define QCOW_CACHE_DEFAULT_BYTES	(32U << 20)
#define QCOW_CACHE_MIN_BYTES		(64U << 10)

/* Half of it holds slices that are being changed: those of one change at least. */
#define QCOW_CACHE_MIN_WRITE_BYTES	(256U << 10)

/* Slices that one I/O reads ahead at most. */
#define QCOW_CACHE_READAHEAD_SLICES		4U

/**
 * struct qcow_waiter - a request or thread that goes on when a fill that is under way has ended
 * @node: on the list of what it waits for
 * @wake: called once, in process context, without locks held; must not sleep for long
 *        (it queues work). The waiter is the callee's again and may be gone at once
 */
struct qcow_waiter {
	struct list_head node;
	void (*wake)(struct qcow_waiter *waiter);
};

/**
 * enum qcow_cached_state - what an entry of a cache is
 * @QCOW_CACHED_FILLING: in the index, without content; callers that want it park
 * @QCOW_CACHED_READY: in the index, on the clock, evictable
 * @QCOW_CACHED_HELD: in the index, off the clock: a slice that is or will be changed
 * @QCOW_CACHED_GONE: out of the index; freed when the last reference is dropped
 * @QCOW_CACHED_PRIVATE: one caller's own, never in the index; back to the pool with the
 *                       reference
 *
 *   from     to        under the cache's lock, by
 *   -        FILLING   qcow_cache_begin(): there was room and memory
 *   FILLING  READY     qcow_cache_publish(): filled; parked callers are woken
 *   FILLING  GONE      qcow_cache_publish(): filling failed; likewise. Or qcow_cache_forget():
 *                      parked callers are woken when it has been filled
 *   READY    HELD      qcow_cache_hold_locked()
 *   HELD     READY     qcow_cache_release_locked()
 *   READY    GONE      the clock, the shrinker, qcow_cache_forget(), qcow_cache_clear()
 *   -        PRIVATE   qcow_cache_get(): there was no room or no memory
 */
enum qcow_cached_state {
	QCOW_CACHED_FILLING,
	QCOW_CACHED_READY,
	QCOW_CACHED_HELD,
	QCOW_CACHED_GONE,
	QCOW_CACHED_PRIVATE,
};

/**
 * struct qcow_tables - all tables of one kind of one image
 * @store: where they are
 * @slice_bytes: of each slice, a power of two, at most QCOW_SLICE_BYTES
 * @locate: host offset of a slice as of the table above it now. Asked when no other copy of
 *          the slice can be there, and may be called again when a table has moved. Return:
 *          0; -ENODATA: there is none
 * @slices: those in memory, by index
 * @pinned: slices that are about to be changed or have been; the metadata worker's
 * @marks: a bit for each slice, set when it changes; or NULL. The metadata worker's
 */
struct qcow_tables {
	struct qcow_store *store;
	u32 slice_bytes;
	int (*locate)(const struct qcow_tables *tables, u64 idx, u64 *host);
	struct xarray slices;
	struct list_head pinned;
	unsigned long *marks;
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
	INIT_LIST_HEAD(&tables->pinned);
	tables->marks = NULL;
}

/**
 * struct qcow_cached - what a cache knows of an entry
 * @state: changes under the cache's lock
 * @referenced: used since the clock hand passed; written without a lock, and only a lost
 *              second chance is at stake
 * @charge: bytes charged to @cache; 0: QCOW_CACHED_PRIVATE
 * @refs: the cache's own, and one for each holder
 * @idx: key in @index
 * @index: where it is found
 * @cache: the cache, to whose limit it is charged
 * @clock: the cache's ring while QCOW_CACHED_READY, under the cache's lock
 * @waiters: callers that want it while it is being filled, under the cache's lock
 * @rcu: frees it after the last look-up
 */
struct qcow_cached {
	enum qcow_cached_state state;
	bool referenced;
	u32 charge;
	refcount_t refs;
	u64 idx;
	struct xarray *index;
	struct qcow_cache *cache;
	struct list_head clock;
	struct list_head waiters;
	struct rcu_head rcu;
};

/**
 * struct qcow_slice - one slice in memory
 * @entries: the slice as on disk, big endian; changed by the metadata worker while pinned
 * @tables: key, the tables that it is of
 * @idx: key, number of the slice in @tables
 * @writeback: what it has while it is pinned, or NULL; the metadata worker's
 * @seq: moves when @entries change; for readers of entries of more than one word
 * @bytes: of memory at @entries
 * @charge: bytes charged to the cache; 0: private
 * @readahead: first slice of a window that was read ahead: its first use starts the next one
 * @reserved: what is written there needs no new space; the metadata worker's
 * @cached: what the cache knows of it
 *
 * What hits read stands apart from what insertion and eviction write, in the end of @cached.
 */
struct qcow_slice {
	__be64 *entries;
	struct qcow_tables *tables;
	u64 idx;
	struct qcow_writeback *writeback;
	seqcount_t seq;
	u32 bytes;
	u32 charge;
	bool readahead;
	bool reserved;
	struct qcow_cached cached;
};

/**
 * struct qcow_cache_ops - a filler
 * @alloc: memory of an entry for @arg, as in struct qcow_key, or, NULL, for any of @owner's;
 *         or NULL
 * @fill: read or make the content; may sleep, does no other thing with the cache. Return: 0 or
 *        -errno
 * @free: give the memory back; where @lockless, in any context
 * @lockless: entries are looked up under RCU, so they are freed after a grace period
 */
struct qcow_cache_ops {
	struct qcow_cached *(*alloc)(void *owner, const void *arg, gfp_t gfp);
	int (*fill)(struct qcow_cached *cached, const void *arg);
	void (*free)(struct qcow_cached *cached);
	bool lockless;
};

/**
 * struct qcow_cache - a fill cache
 * @ops: its filler
 * @owner: for @ops
 * @limit: bytes of entries at most, what is on its way through RCU included; grows under
 *         @lock
 * @headroom: of @limit, kept free of live entries: those on their way through RCU and new
 *            ones share it, so that a full cache still has room for what is filled next
 * @bytes: charged now, never over @limit; added to under @lock, subtracted from anywhere
 *         (RCU callbacks uncharge)
 * @lock: the group below, states, and removal from indices; insertion there needs only the
 *        xarray's own lock, which nests inside. Process context only. Nothing sleeps or
 *        allocates under it
 * @live: bytes of entries that are in an index, and of other charges
 * @wanted: bytes that qcow_cache_charge_wait() waits for: others get none of them
 * @clock: second-chance ring of entries that are ready, the hand is at its head
 * @nr_ready: on @clock
 * @pinned: of pinned slices and their copies; changed by the metadata worker alone
 * @room: where qcow_cache_charge_wait() sleeps
 * @pool: of private entries; one is set aside
 * @shrinker: gives entries back
 * @refs: the owner's, and one for each entry that waits for its RCU grace period
 * @starved: a test wants no memory to be there
 * @misses: slices read from a store, clusters decompressed, statistics
 * @evictions: entries dropped for room or under pressure, statistics
 *
 * Progress is certain without memory: qcow_cache_get() then fills a private entry. There is one
 * at least, of this cache alone. Its holder waits for nothing but the fill, which is I/O of the
 * image's own file or work on a CPU, before it puts the entry: mapping puts a slice before it
 * asks for another one, a request copies out of a cluster at once. So each entry comes back
 * without another one, and the callers that wait for it get it in turn. Where the file lies on
 * another qcow device, that one's images have caches and pools of their own. A thread that has to
 * hold several slices at a time takes no private ones: see qcow_cache_load_wait().
 */
struct qcow_cache {
	const struct qcow_cache_ops *ops;
	void *owner;
	u64 limit;
	u64 headroom;
	atomic64_t bytes;

	spinlock_t lock;	/* the group below, see above for the rest */
	u64 live;
	u64 wanted;
	struct list_head clock;
	unsigned long nr_ready;
	u64 pinned;

	wait_queue_head_t room;
	mempool_t *pool;
	struct shrinker *shrinker;
	refcount_t refs;
	bool starved;

	atomic64_t misses;
	atomic64_t evictions;
};

/**
 * qcow_cache_create() - make an empty cache
 * @ops: its filler
 * @owner: for @ops
 * @limit: bytes
 * @name: of its shrinker
 *
 * Context: process context, may sleep; GFP_KERNEL.
 * Return: the cache, or NULL: there is no memory.
 */
struct qcow_cache *qcow_cache_create(const struct qcow_cache_ops *ops, void *owner, u64 limit,
				     const char *name);

/**
 * qcow_cache_destroy() - free a cache
 * @cache: no look-up and no fill is under way, and all indices have been cleared
 *
 * Does not wait for the grace period of entries that are gone: the last of them frees the
 * memory. Context: process context, may sleep.
 */
void qcow_cache_destroy(struct qcow_cache *cache);

/* Let it have @limit bytes if it has less. Context: process context. */
void qcow_cache_raise(struct qcow_cache *cache, u64 limit);

/**
 * struct qcow_key - which entry
 * @index: where it is found
 * @idx: number in @index
 * @cost: bytes it is charged with
 * @arg: for the filler
 */
struct qcow_key {
	struct xarray *index;
	u64 idx;
	u32 cost;
	const void *arg;
};

/**
 * qcow_cache_get() - find an entry, fill it when it is not there
 * @cache: the cache
 * @key: which
 * @waiter: parked when another caller is filling the entry just now, or NULL: wait here
 * @wait: wait for room and memory; else the entry is private where there is none
 * @result: the entry with a reference, for qcow_cache_put()
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0; -EINPROGRESS: @waiter will be woken, call again then; what the filler returns
 * (nothing is cached then; parked waiters are woken and try themselves).
 */
int qcow_cache_get(struct qcow_cache *cache, const struct qcow_key *key,
		   struct qcow_waiter *waiter, bool wait, struct qcow_cached **result);

/* Drop a reference. Context: process context; may sleep unless entries are lockless. */
void qcow_cache_put(struct qcow_cached *cached);

/* An entry that is there, with a reference, or NULL. Context: process context. */
struct qcow_cached *qcow_cache_find(struct qcow_cache *cache, struct xarray *index, u64 idx);

/**
 * qcow_cache_begin() - begin to fill an entry that is not there
 * @cache: the cache
 * @key: which
 * @wait: as qcow_cache_get()
 * @result: the entry with a reference; the caller owes qcow_cache_publish()
 *
 * Return: 0; -EBUSY: it is there or another caller has begun; -ENOMEM: no room or no memory.
 */
int qcow_cache_begin(struct qcow_cache *cache, const struct qcow_key *key, bool wait,
		     struct qcow_cached **result);

/* The end of that: it is filled, or with @err other than 0 it is gone. May sleep. */
void qcow_cache_publish(struct qcow_cached *cached, int err);

/*
 * Take one entry out, if it is there. A caller that fills it or has a reference goes on with it
 * alone. Not for slices.
 */
void qcow_cache_forget(struct qcow_cache *cache, struct xarray *index, u64 idx);

/* Take all entries of an index out; no caller uses it any more. May sleep. */
void qcow_cache_clear(struct qcow_cache *cache, struct xarray *index);

/**
 * qcow_cache_charge() - take memory out of the limit, evicting for it
 * @cache: the cache
 * @cost: bytes
 *
 * Return: whether it fits; qcow_cache_uncharge() gives it back.
 */
bool qcow_cache_charge(struct qcow_cache *cache, u32 cost);

/**
 * qcow_cache_charge_wait() - the same, waiting until it fits
 * @cache: the cache
 * @cost: bytes; with all that is held or charged already not more than the limit
 *
 * What is waited for is withheld from other charges. There will be room: entries that are
 * being filled become evictable, evicted ones leave after a grace period.
 *
 * Context: process context, may sleep.
 */
void qcow_cache_charge_wait(struct qcow_cache *cache, u32 cost);
void qcow_cache_uncharge(struct qcow_cache *cache, u32 cost);

/*
 * Take a slice off the clock, so that it is not evicted, and put it back. Under the cache's
 * lock; the first fails when it has been evicted already or is private.
 */
bool qcow_cache_hold_locked(struct qcow_cache *cache, struct qcow_slice *slice);
void qcow_cache_release_locked(struct qcow_cache *cache, struct qcow_slice *slice);

/*
 * What follows is of slices, slice.c.
 */

/* Slabs of all slice sizes and of struct qcow_slice; once per module. */
int qcow_cache_module_init(void);
void qcow_cache_module_exit(void);

/* The filler of slices; the cache's owner is NULL. */
extern const struct qcow_cache_ops qcow_slice_ops;

/**
 * qcow_cache_lookup() - find a slice without waiting
 * @tables: the tables that it is of
 * @idx: number of the slice
 *
 * Context: rcu_read_lock(); the slice is valid until it is dropped.
 * Return: the slice, loaded, or NULL.
 */
struct qcow_slice *qcow_cache_lookup(struct qcow_tables *tables, u64 idx);

/**
 * qcow_cache_load() - find a slice, read it when it is not there
 * @cache: the image's cache
 * @tables: the tables that it is of
 * @idx: number of the slice
 * @waiter: parked when another caller is reading the slice just now, or NULL: wait here
 * @slice: the slice with a reference, for qcow_slice_put()
 *
 * Where there is no room or no memory the slice is private: read for this caller alone, and to
 * be put before the caller loads another.
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0; -EINPROGRESS: @waiter will be woken, call again then; -ENODATA: there is no such
 * slice, or the file ends before it does; -EIO and others from the store.
 */
int qcow_cache_load(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
		    struct qcow_waiter *waiter, struct qcow_slice **slice);

/**
 * qcow_cache_load_wait() - the same, and the slice is in the cache
 * @cache: the image's cache
 * @tables: the tables that it is of
 * @idx: number of the slice
 * @waiter: as there
 * @slice: as there; any number may be held that leave room for one more
 *
 * Waits for room, with priority as qcow_cache_charge_wait(), and for memory. The slice may be
 * evicted as soon as it has been read, as any other; qcow_cache_hold_locked() tells.
 *
 * Context and return: as qcow_cache_load().
 */
int qcow_cache_load_wait(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
			 struct qcow_waiter *waiter, struct qcow_slice **slice);

/* One more reference; the caller has one, or the cache's lock and found it in the cache. */
static inline void qcow_slice_get(struct qcow_slice *slice)
{
	refcount_inc(&slice->cached.refs);
}

static inline void qcow_slice_put(struct qcow_cache *cache, struct qcow_slice *slice)
{
	qcow_cache_put(&slice->cached);
}

/* Whether a slice is there or on its way. Context: any. */
static inline bool qcow_cache_has(struct qcow_tables *tables, u64 idx)
{
	return xa_load(&tables->slices, idx);
}

/**
 * qcow_cache_readahead() - read slices that no caller has asked for, in one I/O
 * @cache: the image's cache
 * @tables: the tables that it is of
 * @idx: number of the first; no later one lies elsewhere than right behind it
 * @nr: how many, at most QCOW_CACHE_READAHEAD_SLICES
 * @mark: set @readahead in the first
 *
 * As many as there is room and memory for, up to one that is there already. A caller that
 * comes for one meanwhile waits for it; when it cannot be read, the next caller tries again.
 *
 * Context: process context, may sleep; GFP_NOIO.
 */
void qcow_cache_readahead(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
			  unsigned int nr, bool mark);

/* Drop all slices of tables that are not used any more. May sleep. */
static inline void qcow_cache_drop(struct qcow_cache *cache, struct qcow_tables *tables)
{
	qcow_cache_clear(cache, &tables->slices);
}

/* Memory for a copy of a slice of so many bytes, aligned to its size. */
void *qcow_cache_alloc_entries(u32 bytes, gfp_t gfp);
void qcow_cache_free_entries(void *entries, u32 bytes);

#endif /* _QCOW_CACHE_H */
