// SPDX-License-Identifier: GPL-2.0
/*
 * Fill caches. The states of an entry, and why callers always get on, are in cache.h.
 *
 * An entry is charged, allocated, inserted while it is being filled, filled, put on the clock,
 * evicted (out of its index and off the clock), freed and uncharged after the last reference
 * and, where look-ups take no lock, a grace period.
 */

#include <linux/completion.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "layer/cache.h"
#include "compat.h"
#include "inject.h"

/* Second chances given in search of one entry to evict; bounds the time under the lock. */
#define QCOW_CLOCK_STEPS	64

/*
 * What may be on its way through RCU while the cache stays full: at 1 MiB, about 250
 * misses of slices in one grace period.
 */
#define QCOW_MAX_HEADROOM	SZ_1M

#define GFP_TRY	(GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN)

/* Wake the threads that wait for room. Context: any. */
static void cache_wake_room(struct qcow_cache *cache)
{
	/* Pairs with that of prepare_to_wait_event(): either @bytes or @wanted is seen. */
	smp_mb();
	if (READ_ONCE(cache->wanted))
		wake_up_all(&cache->room);
}

static void cache_unref(struct qcow_cache *cache)
{
	if (refcount_dec_and_test(&cache->refs))
		kfree(cache);
}

static void entry_free_rcu(struct rcu_head *rcu)
{
	struct qcow_cached *cached = container_of(rcu, struct qcow_cached, rcu);
	struct qcow_cache *cache = cached->cache;
	u32 charge = cached->charge;

	cache->ops->free(cached);
	atomic64_sub(charge, &cache->bytes);
	cache_wake_room(cache);
	cache_unref(cache);
}

/* The last reference has been dropped. Where no grace period is needed it goes to @dead at once. */
static void entry_retire(struct qcow_cached *cached, struct list_head *dead)
{
	struct qcow_cache *cache = cached->cache;

	if (cache->ops->lockless) {
		refcount_inc(&cache->refs);
		call_rcu(&cached->rcu, entry_free_rcu);
	} else {
		atomic64_sub(cached->charge, &cache->bytes);
		cache_wake_room(cache);
		list_add(&cached->clock, dead);
	}
}

/* Without the cache's lock: to free may sleep. */
static void cache_free_list(struct qcow_cache *cache, struct list_head *dead)
{
	struct qcow_cached *cached, *next;

	list_for_each_entry_safe(cached, next, dead, clock)
		cache->ops->free(cached);
}

void qcow_cache_put(struct qcow_cached *cached)
{
	struct qcow_cache *cache = cached->cache;
	LIST_HEAD(dead);

	if (!refcount_dec_and_test(&cached->refs))
		return;
	if (cached->state == QCOW_CACHED_PRIVATE) {
		mempool_free(cached, cache->pool);
		return;
	}
	entry_retire(cached, &dead);
	cache_free_list(cache, &dead);
}

/* New look-ups do not find it any more; freed with the last reference. */
static void entry_remove_locked(struct qcow_cached *cached, struct list_head *dead)
{
	struct qcow_cache *cache = cached->cache;

	lockdep_assert_held(&cache->lock);

	xa_erase(cached->index, cached->idx);
	if (cached->state == QCOW_CACHED_READY) {
		list_del_init(&cached->clock);
		WRITE_ONCE(cache->nr_ready, cache->nr_ready - 1);
	}
	WRITE_ONCE(cached->state, QCOW_CACHED_GONE);
	cache->live -= cached->charge;
	if (refcount_dec_and_test(&cached->refs))
		entry_retire(cached, dead);
}

/*
 * Move the clock hand over one entry: evict it, or, when it was used and @forced is not
 * set, let it live for another round.
 */
static bool cache_clock_step_locked(struct qcow_cache *cache, bool forced, struct list_head *dead)
{
	struct qcow_cached *cached;

	lockdep_assert_held(&cache->lock);

	cached = list_first_entry(&cache->clock, struct qcow_cached, clock);
	if (READ_ONCE(cached->referenced) && !forced) {
		WRITE_ONCE(cached->referenced, false);
		list_move_tail(&cached->clock, &cache->clock);
		return false;
	}
	entry_remove_locked(cached, dead);
	atomic64_inc(&cache->evictions);
	return true;
}

static void cache_evict_one_locked(struct qcow_cache *cache, struct list_head *dead)
{
	unsigned int step = 0;

	while (!cache_clock_step_locked(cache, step == QCOW_CLOCK_STEPS, dead))
		step++;
}

/*
 * Take @cost out of the limit before anything is allocated, but for @withheld bytes of it. What
 * is evicted may come back only after a grace period, hence the headroom.
 */
static bool cache_charge_locked(struct qcow_cache *cache, u32 cost, u64 withheld,
				struct list_head *dead)
{
	lockdep_assert_held(&cache->lock);

	while (cache->live + withheld + cost > cache->limit - cache->headroom &&
	       !list_empty(&cache->clock))
		cache_evict_one_locked(cache, dead);
	if (atomic64_read(&cache->bytes) + withheld + cost > cache->limit)
		return false;
	atomic64_add(cost, &cache->bytes);
	cache->live += cost;
	return true;
}

bool qcow_cache_charge(struct qcow_cache *cache, u32 cost)
{
	LIST_HEAD(dead);
	bool fits;

	spin_lock(&cache->lock);
	fits = cache_charge_locked(cache, cost, cache->wanted, &dead);
	spin_unlock(&cache->lock);
	cache_free_list(cache, &dead);
	return fits;
}

static bool cache_charge_wanted(struct qcow_cache *cache, u32 cost, struct list_head *dead)
{
	bool fits;

	spin_lock(&cache->lock);
	fits = cache_charge_locked(cache, cost, 0, dead);
	if (fits)
		cache->wanted -= cost;
	spin_unlock(&cache->lock);
	return fits;
}

void qcow_cache_charge_wait(struct qcow_cache *cache, u32 cost)
{
	LIST_HEAD(dead);

	spin_lock(&cache->lock);
	cache->wanted += cost;
	spin_unlock(&cache->lock);
	wait_event(cache->room, cache_charge_wanted(cache, cost, &dead));
	cache_free_list(cache, &dead);
}

void qcow_cache_uncharge(struct qcow_cache *cache, u32 cost)
{
	spin_lock(&cache->lock);
	cache->live -= cost;
	spin_unlock(&cache->lock);
	atomic64_sub(cost, &cache->bytes);
	cache_wake_room(cache);
}

static void entry_ready_locked(struct qcow_cached *cached)
{
	struct qcow_cache *cache = cached->cache;

	lockdep_assert_held(&cache->lock);

	/* Pairs with smp_load_acquire() in qcow_cache_lookup(): it is filled. */
	smp_store_release(&cached->state, QCOW_CACHED_READY);
	list_add_tail(&cached->clock, &cache->clock);
	WRITE_ONCE(cache->nr_ready, cache->nr_ready + 1);
}

bool qcow_cache_hold_locked(struct qcow_cache *cache, struct qcow_slice *slice)
{
	lockdep_assert_held(&cache->lock);

	if (slice->cached.state != QCOW_CACHED_READY)
		return false;
	list_del_init(&slice->cached.clock);
	WRITE_ONCE(cache->nr_ready, cache->nr_ready - 1);
	WRITE_ONCE(slice->cached.state, QCOW_CACHED_HELD);
	return true;
}

void qcow_cache_release_locked(struct qcow_cache *cache, struct qcow_slice *slice)
{
	lockdep_assert_held(&cache->lock);

	entry_ready_locked(&slice->cached);
	cache_wake_room(cache);
}

static void entry_init(struct qcow_cached *cached, struct qcow_cache *cache,
		       const struct qcow_key *key, enum qcow_cached_state state)
{
	cached->cache = cache;
	cached->index = key->index;
	cached->idx = key->idx;
	cached->state = state;
	cached->referenced = false;
	cached->charge = state == QCOW_CACHED_PRIVATE ? 0 : key->cost;
	/* The holder's, and the cache's own. */
	refcount_set(&cached->refs, state == QCOW_CACHED_PRIVATE ? 1 : 2);
	INIT_LIST_HEAD(&cached->clock);
	INIT_LIST_HEAD(&cached->waiters);
}

static struct qcow_cached *entry_alloc(struct qcow_cache *cache, const void *arg, gfp_t gfp)
{
	return READ_ONCE(cache->starved) ? NULL : cache->ops->alloc(cache->owner, arg, gfp);
}

/* An entry within the limit, not in the index yet; NULL: no room or no memory. */
static struct qcow_cached *entry_create(struct qcow_cache *cache, const struct qcow_key *key,
					bool wait)
{
	struct qcow_cached *cached;

	if (wait)
		qcow_cache_charge_wait(cache, key->cost);
	else if (qcow_inject(QCOW_INJECT_NOMEM) || !qcow_cache_charge(cache, key->cost))
		return NULL;
	while (!(cached = entry_alloc(cache, key->arg, wait ? GFP_NOIO : GFP_TRY))) {
		if (!wait) {
			qcow_cache_uncharge(cache, key->cost);
			return NULL;
		}
		schedule_timeout_uninterruptible(1);
	}
	entry_init(cached, cache, key, QCOW_CACHED_FILLING);
	return cached;
}

int qcow_cache_begin(struct qcow_cache *cache, const struct qcow_key *key, bool wait,
		     struct qcow_cached **result)
{
	struct qcow_cached *cached = entry_create(cache, key, wait);
	int err;

	if (!cached)
		return -ENOMEM;
	do {
		err = xa_insert(key->index, key->idx, cached, wait ? GFP_NOIO : GFP_TRY);
		if (err == -ENOMEM && wait)
			schedule_timeout_uninterruptible(1);
	} while (err == -ENOMEM && wait);
	if (err) {
		cache->ops->free(cached);
		qcow_cache_uncharge(cache, key->cost);
		return err;
	}
	*result = cached;
	return 0;
}

void qcow_cache_publish(struct qcow_cached *cached, int err)
{
	struct qcow_cache *cache = cached->cache;
	struct qcow_waiter *waiter, *next;
	LIST_HEAD(waiters);
	LIST_HEAD(dead);

	spin_lock(&cache->lock);
	list_splice_init(&cached->waiters, &waiters);
	if (cached->state == QCOW_CACHED_FILLING) {
		if (err)
			entry_remove_locked(cached, &dead);
		else
			entry_ready_locked(cached);
	}
	spin_unlock(&cache->lock);
	cache_free_list(cache, &dead);
	cache_wake_room(cache);

	list_for_each_entry_safe(waiter, next, &waiters, node) {
		list_del_init(&waiter->node);
		waiter->wake(waiter);
	}
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

/* Where an index is of 32 bits two keys may meet in one place: the second is not cached. */
static struct qcow_cached *entry_at(struct xarray *index, u64 idx, bool *taken)
{
	struct qcow_cached *cached = xa_load(index, idx);

	*taken = cached && cached->idx != idx;
	return *taken ? NULL : cached;
}

/*
 * Use what another caller has filled or is filling: 0 with a reference, -EINPROGRESS when
 * @waiter has been parked, -ENOENT when there is none, -ENOSPC when there can be none.
 */
static int entry_find_or_park(struct qcow_cache *cache, const struct qcow_key *key,
			      struct qcow_waiter *waiter, struct qcow_cached **result)
{
	struct qcow_cached *cached;
	bool taken;
	int err = 0;

	spin_lock(&cache->lock);
	cached = entry_at(key->index, key->idx, &taken);
	if (!cached) {
		err = taken ? -ENOSPC : -ENOENT;
	} else if (cached->state == QCOW_CACHED_FILLING) {
		list_add_tail(&waiter->node, &cached->waiters);
		err = -EINPROGRESS;
	} else {
		refcount_inc(&cached->refs);
		WRITE_ONCE(cached->referenced, true);
		*result = cached;
	}
	spin_unlock(&cache->lock);
	return err;
}

static int cache_fill_private(struct qcow_cache *cache, const struct qcow_key *key,
			      struct qcow_cached **result)
{
	struct qcow_cached *cached = mempool_alloc(cache->pool, GFP_NOIO);
	int err;

	entry_init(cached, cache, key, QCOW_CACHED_PRIVATE);
	err = cache->ops->fill(cached, key->arg);
	if (err)
		qcow_cache_put(cached);
	else
		*result = cached;
	return err;
}

/* -EBUSY: another caller has begun to fill it meanwhile. */
static int cache_fill(struct qcow_cache *cache, const struct qcow_key *key, bool wait,
		      struct qcow_cached **result)
{
	struct qcow_cached *cached;
	int err;

	err = qcow_cache_begin(cache, key, wait, &cached);
	if (err == -EBUSY)
		return err;
	if (err)
		return cache_fill_private(cache, key, result);

	err = cache->ops->fill(cached, key->arg);
	/* Callers that want it find it without content, and park. */
	qcow_inject_sleep();
	qcow_cache_publish(cached, err);
	if (err)
		qcow_cache_put(cached);
	else
		*result = cached;
	return err;
}

int qcow_cache_get(struct qcow_cache *cache, const struct qcow_key *key,
		   struct qcow_waiter *waiter, bool wait, struct qcow_cached **result)
{
	struct sleeper sleeper = { .waiter.wake = sleeper_wake };
	unsigned int noio = memalloc_noio_save();
	int err;

	for (;;) {
		init_completion(&sleeper.woken);
		err = entry_find_or_park(cache, key, waiter ?: &sleeper.waiter, result);
		if (err == -EINPROGRESS && !waiter) {
			wait_for_completion(&sleeper.woken);
			continue;
		}
		if (err == -ENOSPC)
			err = cache_fill_private(cache, key, result);
		else if (err == -ENOENT)
			err = cache_fill(cache, key, wait, result);
		if (err != -EBUSY)
			break;
	}
	memalloc_noio_restore(noio);
	return err;
}

struct qcow_cached *qcow_cache_find(struct qcow_cache *cache, struct xarray *index, u64 idx)
{
	struct qcow_cached *cached;
	bool taken;

	spin_lock(&cache->lock);
	cached = entry_at(index, idx, &taken);
	if (cached && cached->state == QCOW_CACHED_FILLING)
		cached = NULL;
	if (cached) {
		refcount_inc(&cached->refs);
		WRITE_ONCE(cached->referenced, true);
	}
	spin_unlock(&cache->lock);
	return cached;
}

void qcow_cache_forget(struct qcow_cache *cache, struct xarray *index, u64 idx)
{
	struct qcow_cached *cached;
	LIST_HEAD(dead);
	bool taken;

	spin_lock(&cache->lock);
	cached = entry_at(index, idx, &taken);
	if (cached)
		entry_remove_locked(cached, &dead);
	spin_unlock(&cache->lock);
	cache_free_list(cache, &dead);
}

void qcow_cache_clear(struct qcow_cache *cache, struct xarray *index)
{
	struct qcow_cached *cached;
	unsigned long idx = 0;
	LIST_HEAD(dead);

	/* The clock and the shrinker take entries out meanwhile: find each under the lock. */
	do {
		spin_lock(&cache->lock);
		cached = xa_find(index, &idx, ULONG_MAX, XA_PRESENT);
		if (cached)
			entry_remove_locked(cached, &dead);
		spin_unlock(&cache->lock);
		cond_resched();
	} while (cached);
	cache_free_list(cache, &dead);
	xa_destroy(index);
}

static unsigned long cache_shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct qcow_cache *cache = qcow_shrinker_data(shrinker);

	return READ_ONCE(cache->nr_ready);
}

static unsigned long cache_shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct qcow_cache *cache = qcow_shrinker_data(shrinker);
	unsigned long step, freed = 0;
	LIST_HEAD(dead);

	spin_lock(&cache->lock);
	for (step = 0; step < sc->nr_to_scan && !list_empty(&cache->clock); step++)
		freed += cache_clock_step_locked(cache, false, &dead);
	spin_unlock(&cache->lock);
	cache_free_list(cache, &dead);
	return step ? freed : SHRINK_STOP;
}

static void cache_set_limit(struct qcow_cache *cache, u64 limit)
{
	WRITE_ONCE(cache->limit, limit);
	cache->headroom = 0;
	if (cache->ops->lockless)
		cache->headroom = min_t(u64, limit / 8, QCOW_MAX_HEADROOM);
}

void qcow_cache_raise(struct qcow_cache *cache, u64 limit)
{
	spin_lock(&cache->lock);
	if (limit > cache->limit)
		cache_set_limit(cache, limit);
	spin_unlock(&cache->lock);
}

static void *cache_pool_alloc(gfp_t gfp, void *data)
{
	return entry_alloc(data, NULL, gfp);
}

static void cache_pool_free(void *element, void *data)
{
	struct qcow_cache *cache = data;

	cache->ops->free(element);
}

struct qcow_cache *qcow_cache_create(const struct qcow_cache_ops *ops, void *owner, u64 limit,
				     const char *name)
{
	struct qcow_cache *cache = kzalloc(sizeof(*cache), GFP_KERNEL);

	if (!cache)
		return NULL;
	cache->ops = ops;
	cache->owner = owner;
	cache_set_limit(cache, limit);
	spin_lock_init(&cache->lock);
	INIT_LIST_HEAD(&cache->clock);
	init_waitqueue_head(&cache->room);
	refcount_set(&cache->refs, 1);

	cache->pool = mempool_create(1, cache_pool_alloc, cache_pool_free, cache);
	if (!cache->pool)
		goto free_cache;
	cache->shrinker = qcow_shrinker_create(name, cache_shrink_count, cache_shrink_scan, cache);
	if (!cache->shrinker)
		goto destroy_pool;
	return cache;

destroy_pool:
	mempool_destroy(cache->pool);
free_cache:
	kfree(cache);
	return NULL;
}

void qcow_cache_destroy(struct qcow_cache *cache)
{
	qcow_shrinker_destroy(cache->shrinker);
	WARN_ON_ONCE(!list_empty(&cache->clock) || cache->live);
	mempool_destroy(cache->pool);
	cache_unref(cache);
}
