// SPDX-License-Identifier: GPL-2.0
/*
 * The metadata cache of one image. It reads slices and keeps them; what their entries mean is
 * map.c's, where they are on disk is its caller's.
 *
 * Life of a slice: charged, allocated, inserted while loading, read, put on the clock,
 * evicted (out of its tables' xarray and off the clock), freed and uncharged after a grace
 * period and the last reference. A slice that finds no room or no memory is none of that:
 * it comes from the reserve, is seen by nobody else and goes back when its holder puts it.
 */

#include <linux/completion.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <qcow/l2.h>

#include "layer/cache.h"
#include "compat.h"
#include "inject.h"
#include "store/store.h"

#define QCOW_SLICE_MIN_BYTES	512U
#define QCOW_SLICE_CLASSES	4

/* Second chances given in search of one slice to evict; bounds the time under the lock. */
#define QCOW_CLOCK_STEPS	64

/*
 * What may be on its way through RCU while the cache stays full: at 1 MiB, about 250
 * misses in one grace period.
 */
#define QCOW_MAX_HEADROOM	SZ_1M

static struct kmem_cache *slice_slab;
static struct kmem_cache *entry_slabs[QCOW_SLICE_CLASSES];

static struct kmem_cache *entry_slab(u32 bytes)
{
	return entry_slabs[ilog2(bytes) - ilog2(QCOW_SLICE_MIN_BYTES)];
}

static struct qcow_slice *slice_alloc(u32 bytes, gfp_t gfp)
{
	struct qcow_slice *slice = kmem_cache_zalloc(slice_slab, gfp);

	if (!slice)
		return NULL;
	slice->entries = kmem_cache_alloc(entry_slab(bytes), gfp);
	if (!slice->entries) {
		kmem_cache_free(slice_slab, slice);
		return NULL;
	}
	slice->bytes = bytes;
	return slice;
}

static void slice_free(struct qcow_slice *slice)
{
	kmem_cache_free(entry_slab(slice->bytes), slice->entries);
	kmem_cache_free(slice_slab, slice);
}

/* The reserve has slices of the largest class, they serve tables of any size. */
static void *reserve_alloc(gfp_t gfp, void *unused)
{
	return slice_alloc(QCOW_SLICE_BYTES, gfp);
}

static void reserve_free(void *slice, void *unused)
{
	slice_free(slice);
}

static void slice_init(struct qcow_slice *slice, struct qcow_cache *cache,
		       struct qcow_tables *tables, u64 idx, u32 charge)
{
	slice->tables = tables;
	slice->idx = idx;
	slice->cache = cache;
	slice->charge = charge;
	slice->referenced = false;
	slice->ahead = false;
	slice->loading = true;
	slice->reserved = false;
	slice->dirty = NULL;
	seqcount_init(&slice->seq);
	INIT_LIST_HEAD(&slice->clock);
	INIT_LIST_HEAD(&slice->waiters);
}

static void cache_put(struct qcow_cache *cache)
{
	if (refcount_dec_and_test(&cache->refs))
		kfree(cache);
}

static void slice_free_rcu(struct rcu_head *rcu)
{
	struct qcow_slice *slice = container_of(rcu, struct qcow_slice, rcu);
	struct qcow_cache *cache = slice->cache;
	u32 charge = slice->charge;

	slice_free(slice);
	atomic64_sub(charge, &cache->bytes);
	cache_put(cache);
}

void qcow_slice_put(struct qcow_cache *cache, struct qcow_slice *slice)
{
	if (!refcount_dec_and_test(&slice->refs))
		return;
	if (slice->charge) {
		refcount_inc(&cache->refs);
		call_rcu(&slice->rcu, slice_free_rcu);
	} else {
		mempool_free(slice, cache->reserve);
	}
}

/* Out of sight of new look-ups; freed when the last holder lets go. */
static void slice_remove_locked(struct qcow_cache *cache, struct qcow_slice *slice)
{
	lockdep_assert_held(&cache->lock);

	xa_erase(&slice->tables->slices, slice->idx);
	if (!list_empty(&slice->clock)) {
		list_del_init(&slice->clock);
		WRITE_ONCE(cache->nr_slices, cache->nr_slices - 1);
	}
	cache->live -= slice->charge;
	qcow_slice_put(cache, slice);
}

/*
 * Move the clock hand over one slice: evict it, or, when it was used and @forced is not
 * set, let it live for another round.
 */
static bool clock_step_locked(struct qcow_cache *cache, bool forced)
{
	struct qcow_slice *slice;

	lockdep_assert_held(&cache->lock);

	slice = list_first_entry(&cache->clock, struct qcow_slice, clock);
	if (READ_ONCE(slice->referenced) && !forced) {
		WRITE_ONCE(slice->referenced, false);
		list_move_tail(&slice->clock, &cache->clock);
		return false;
	}
	slice_remove_locked(cache, slice);
	atomic64_inc(&cache->evictions);
	return true;
}

static void evict_one_locked(struct qcow_cache *cache)
{
	unsigned int step = 0;

	while (!clock_step_locked(cache, step == QCOW_CLOCK_STEPS))
		step++;
}

/*
 * Take @cost out of the limit before anything is allocated. What is evicted for it comes
 * back only after a grace period, hence the headroom.
 */
bool qcow_cache_charge(struct qcow_cache *cache, u32 cost)
{
	bool fits;

	spin_lock(&cache->lock);
	while (cache->live + cost > cache->limit - cache->headroom &&
	       !list_empty(&cache->clock))
		evict_one_locked(cache);
	fits = atomic64_read(&cache->bytes) + cost <= cache->limit;
	if (fits) {
		atomic64_add(cost, &cache->bytes);
		cache->live += cost;
	}
	spin_unlock(&cache->lock);
	return fits;
}

void qcow_cache_uncharge(struct qcow_cache *cache, u32 cost)
{
	spin_lock(&cache->lock);
	cache->live -= cost;
	spin_unlock(&cache->lock);
	atomic64_sub(cost, &cache->bytes);
}

bool qcow_cache_hold_locked(struct qcow_cache *cache, struct qcow_slice *slice)
{
	lockdep_assert_held(&cache->lock);

	if (list_empty(&slice->clock))
		return false;
	list_del_init(&slice->clock);
	WRITE_ONCE(cache->nr_slices, cache->nr_slices - 1);
	return true;
}

void qcow_cache_release_locked(struct qcow_cache *cache, struct qcow_slice *slice)
{
	lockdep_assert_held(&cache->lock);

	list_add_tail(&slice->clock, &cache->clock);
	WRITE_ONCE(cache->nr_slices, cache->nr_slices + 1);
}

void *qcow_cache_alloc_entries(u32 bytes, gfp_t gfp)
{
	return kmem_cache_alloc(entry_slab(bytes), gfp);
}

void qcow_cache_free_entries(void *entries, u32 bytes)
{
	kmem_cache_free(entry_slab(bytes), entries);
}

/* A slice within the limit, seen by nobody yet; NULL: no room or no memory. */
static struct qcow_slice *slice_create(struct qcow_cache *cache, struct qcow_tables *tables,
				       u64 idx)
{
	u32 bytes = tables->slice_bytes;
	u32 cost = bytes + sizeof(struct qcow_slice);
	struct qcow_slice *slice;

	if (qcow_inject(QCOW_INJECT_NOMEM) || !qcow_cache_charge(cache, cost))
		return NULL;
	slice = slice_alloc(bytes, GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!slice) {
		qcow_cache_uncharge(cache, cost);
		return NULL;
	}
	slice_init(slice, cache, tables, idx, cost);
	/* the cache's own and the loader's */
	refcount_set(&slice->refs, 2);
	return slice;
}

/* Undo slice_create() of a slice that has stayed unseen. */
static void slice_discard(struct qcow_cache *cache, struct qcow_slice *slice)
{
	u32 cost = slice->charge;

	slice_free(slice);
	qcow_cache_uncharge(cache, cost);
}

struct qcow_slice *qcow_cache_lookup(struct qcow_tables *tables, u64 idx)
{
	XA_STATE(xas, &tables->slices, idx);
	struct qcow_slice *slice;

	/* As xa_load(), within the caller's RCU section. */
	do {
		slice = xas_load(&xas);
	} while (xas_retry(&xas, slice));

	/* Pairs with smp_store_release() in load_end(): the entries have been read. */
	if (!slice || smp_load_acquire(&slice->loading))
		return NULL;
	if (!READ_ONCE(slice->referenced))
		WRITE_ONCE(slice->referenced, true);
	return slice;
}

/* A waiter that sleeps. */
struct sleeper {
	struct qcow_waiter waiter;
	struct completion woken;
};

static void sleeper_wake(struct qcow_waiter *waiter)
{
	complete(&container_of(waiter, struct sleeper, waiter)->woken);
}

/*
 * Use what somebody else has read or is reading: 0 with a reference, -EINPROGRESS when
 * @waiter has been parked, -ENOENT when there is nobody.
 */
static int join(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
		struct qcow_waiter *waiter, struct qcow_slice **result)
{
	struct qcow_slice *slice;
	int err = 0;

	spin_lock(&cache->lock);
	slice = xa_load(&tables->slices, idx);
	if (!slice) {
		err = -ENOENT;
	} else if (slice->loading) {
		list_add_tail(&waiter->node, &slice->waiters);
		err = -EINPROGRESS;
	} else {
		refcount_inc(&slice->refs);
		*result = slice;
	}
	spin_unlock(&cache->lock);
	return err;
}

/* Several slices, the later ones right behind the first. */
static int read_row(struct qcow_slice **slices, unsigned int nr, u64 host)
{
	struct qcow_tables *tables = slices[0]->tables;
	size_t bytes = nr * tables->slice_bytes;
	unsigned int i;
	void *buf;
	int err;

	buf = kmalloc(bytes, GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!buf)
		return -ENOMEM;
	err = qcow_store_read(tables->store, buf, host, bytes);
	for (i = 0; i < nr && !err; i++)
		memcpy(slices[i]->entries, buf + i * tables->slice_bytes, tables->slice_bytes);
	kfree(buf);
	return err;
}

/*
 * Slices of the cache are in its xarray by now. Whoever moves their table from here on waits for
 * this before changing an entry; who has done so before has set the entry above, too.
 */
static int read_slices(struct qcow_cache *cache, struct qcow_slice **slices, unsigned int nr)
{
	struct qcow_tables *tables = slices[0]->tables;
	u64 host;
	int err;

	err = tables->locate(tables, slices[0]->idx, &host);
	if (err)
		return err;
	atomic64_add(nr, &cache->misses);
	if (nr > 1)
		return read_row(slices, nr, host);
	return qcow_store_read(tables->store, slices[0]->entries, host, tables->slice_bytes);
}

/* The load of an inserted slice is over: publish it or take it out, wake who waits. */
static void load_end(struct qcow_cache *cache, struct qcow_slice *slice, int err)
{
	struct qcow_waiter *waiter, *next;
	LIST_HEAD(waiters);

	spin_lock(&cache->lock);
	list_splice_init(&slice->waiters, &waiters);
	if (err) {
		slice_remove_locked(cache, slice);
	} else {
		/* Pairs with smp_load_acquire() in qcow_cache_lookup(). */
		smp_store_release(&slice->loading, false);
		qcow_cache_release_locked(cache, slice);
	}
	spin_unlock(&cache->lock);

	list_for_each_entry_safe(waiter, next, &waiters, node) {
		list_del_init(&waiter->node);
		waiter->wake(waiter);
	}
}

static int load_uncached(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
			 struct qcow_slice **result)
{
	struct qcow_slice *slice = mempool_alloc(cache->reserve, GFP_NOIO);
	int err;

	slice_init(slice, cache, tables, idx, 0);
	refcount_set(&slice->refs, 1);
	err = read_slices(cache, &slice, 1);
	if (err) {
		qcow_slice_put(cache, slice);
		return err;
	}
	slice->loading = false;
	*result = slice;
	return 0;
}

/* Begin to load a slice. -EBUSY: somebody else has; -ENOMEM: no room or no memory. */
static int load_begin(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
		      struct qcow_slice **result)
{
	struct qcow_slice *slice = slice_create(cache, tables, idx);
	int err;

	if (!slice)
		return -ENOMEM;
	/* The limit on L1 tables keeps slice numbers below 1 << 32, an xarray index anywhere. */
	err = xa_insert(&tables->slices, idx, slice, GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (err) {
		slice_discard(cache, slice);
		return err;
	}
	*result = slice;
	return 0;
}

/* -EBUSY: somebody else has begun to load it meanwhile. */
static int load(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
		struct qcow_slice **result)
{
	struct qcow_slice *slice;
	int err;

	err = load_begin(cache, tables, idx, &slice);
	if (err == -EBUSY)
		return err;
	if (err)
		return load_uncached(cache, tables, idx, result);

	qcow_inject_pause();
	err = read_slices(cache, &slice, 1);
	qcow_inject_pause();
	load_end(cache, slice, err);
	qcow_inject_pause();
	if (err) {
		qcow_slice_put(cache, slice);
		return err;
	}
	*result = slice;
	return 0;
}

int qcow_cache_load(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
		    struct qcow_waiter *waiter, struct qcow_slice **slice)
{
	struct sleeper sleeper = { .waiter.wake = sleeper_wake };
	unsigned int noio = memalloc_noio_save();
	int err;

	for (;;) {
		init_completion(&sleeper.woken);
		err = join(cache, tables, idx, waiter ?: &sleeper.waiter, slice);
		if (err == -EINPROGRESS && !waiter) {
			wait_for_completion(&sleeper.woken);
			continue;
		}
		if (err != -ENOENT)
			break;
		err = load(cache, tables, idx, slice);
		if (err != -EBUSY)
			break;
	}
	memalloc_noio_restore(noio);
	return err;
}

void qcow_cache_read_ahead(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
			   unsigned int nr, bool mark)
{
	struct qcow_slice *slices[QCOW_CACHE_AHEAD_SLICES];
	unsigned int i, begun = 0;
	int err;

	while (begun < nr && !load_begin(cache, tables, idx + begun, &slices[begun]))
		begun++;
	if (!begun)
		return;
	slices[0]->ahead = mark;
	qcow_inject_pause();
	err = read_slices(cache, slices, begun);
	qcow_inject_pause();
	for (i = 0; i < begun; i++) {
		load_end(cache, slices[i], err);
		qcow_slice_put(cache, slices[i]);
	}
}

void qcow_cache_drop(struct qcow_cache *cache, struct qcow_tables *tables)
{
	unsigned long idx = 0;
	struct qcow_slice *slice;

	/* The clock and the shrinker take slices out meanwhile: find each under the lock. */
	do {
		spin_lock(&cache->lock);
		slice = xa_find(&tables->slices, &idx, ULONG_MAX, XA_PRESENT);
		if (slice)
			slice_remove_locked(cache, slice);
		spin_unlock(&cache->lock);
		cond_resched();
	} while (slice);
	xa_destroy(&tables->slices);
}

static unsigned long shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct qcow_cache *cache = qcow_shrinker_data(shrinker);

	return READ_ONCE(cache->nr_slices);
}

static unsigned long shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct qcow_cache *cache = qcow_shrinker_data(shrinker);
	unsigned long step, freed = 0;

	spin_lock(&cache->lock);
	for (step = 0; step < sc->nr_to_scan && !list_empty(&cache->clock); step++)
		freed += clock_step_locked(cache, false);
	spin_unlock(&cache->lock);
	return step ? freed : SHRINK_STOP;
}

static void set_limit(struct qcow_cache *cache, u64 limit)
{
	WRITE_ONCE(cache->limit, limit);
	cache->headroom = min_t(u64, limit / 8, QCOW_MAX_HEADROOM);
}

void qcow_cache_raise(struct qcow_cache *cache, u64 limit)
{
	spin_lock(&cache->lock);
	if (limit > cache->limit)
		set_limit(cache, limit);
	spin_unlock(&cache->lock);
}

struct qcow_cache *qcow_cache_create(u64 limit)
{
	struct qcow_cache *cache = kzalloc(sizeof(*cache), GFP_KERNEL);

	if (!cache)
		return NULL;
	set_limit(cache, limit);
	spin_lock_init(&cache->lock);
	INIT_LIST_HEAD(&cache->clock);
	refcount_set(&cache->refs, 1);

	cache->reserve = mempool_create(1, reserve_alloc, reserve_free, NULL);
	if (!cache->reserve)
		goto free_cache;
	cache->shrinker = qcow_shrinker_create("qcow-l2", shrink_count, shrink_scan, cache);
	if (!cache->shrinker)
		goto destroy_reserve;
	return cache;

destroy_reserve:
	mempool_destroy(cache->reserve);
free_cache:
	kfree(cache);
	return NULL;
}

void qcow_cache_destroy(struct qcow_cache *cache)
{
	qcow_shrinker_destroy(cache->shrinker);
	WARN_ON_ONCE(!list_empty(&cache->clock) || cache->live);
	mempool_destroy(cache->reserve);
	cache_put(cache);
}

int qcow_cache_module_init(void)
{
	static const char * const names[QCOW_SLICE_CLASSES] = {
		"qcow_slice_512", "qcow_slice_1k", "qcow_slice_2k", "qcow_slice_4k",
	};
	unsigned int i;

	slice_slab = KMEM_CACHE(qcow_slice, SLAB_HWCACHE_ALIGN | SLAB_RECLAIM_ACCOUNT);
	if (!slice_slab)
		return -ENOMEM;
	for (i = 0; i < QCOW_SLICE_CLASSES; i++) {
		u32 bytes = QCOW_SLICE_MIN_BYTES << i;

		/* Aligned to their size: direct I/O goes straight into them. */
		entry_slabs[i] = kmem_cache_create(names[i], bytes, bytes,
						   SLAB_RECLAIM_ACCOUNT, NULL);
		if (!entry_slabs[i]) {
			qcow_cache_module_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

void qcow_cache_module_exit(void)
{
	unsigned int i;

	/* Slices of caches that are gone may be on their way through RCU. */
	rcu_barrier();
	for (i = 0; i < QCOW_SLICE_CLASSES; i++) {
		kmem_cache_destroy(entry_slabs[i]);
		entry_slabs[i] = NULL;
	}
	kmem_cache_destroy(slice_slab);
	slice_slab = NULL;
}
