// SPDX-License-Identifier: GPL-2.0
/*
 * Slices that are changed and written back. Does not know which slice means what nor when
 * to commit. Called by refcounts.c, l1.c, write.c, discard.c and commit.c.
 */
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <qcow/l2.h>

#include "meta/writeback.h"
#include "store/store.h"

/* A slice of an L2 table and four of refcount blocks, each with its copy. */
#define SLOT_BYTES	(5 * 2 * (QCOW_SLICE_BYTES + 512))

static struct kmem_cache *dirty_slab;

static u32 dirty_cost(const struct qcow_tables *tables)
{
	return tables->slice_bytes + sizeof(struct qcow_dirty);
}

static struct qcow_dirty *dirty_create(struct qcow_cache *cache, const struct qcow_tables *tables)
{
	struct qcow_dirty *dirty;

	if (!qcow_cache_charge(cache, dirty_cost(tables)))
		return NULL;
	dirty = kmem_cache_zalloc(dirty_slab, GFP_NOIO);
	if (!dirty)
		goto uncharge;
	dirty->copy = qcow_cache_alloc_entries(tables->slice_bytes, GFP_NOIO);
	if (!dirty->copy)
		goto free_dirty;
	spin_lock_init(&dirty->lock);
	return dirty;

free_dirty:
	kmem_cache_free(dirty_slab, dirty);
uncharge:
	qcow_cache_uncharge(cache, dirty_cost(tables));
	return NULL;
}

static void dirty_free(struct qcow_cache *cache, const struct qcow_tables *tables,
		       struct qcow_dirty *dirty)
{
	qcow_cache_free_entries(dirty->copy, tables->slice_bytes);
	kmem_cache_free(dirty_slab, dirty);
	qcow_cache_uncharge(cache, dirty_cost(tables));
}

/* Become a user; @fresh is used up when the slice was not changeable yet. */
static bool dirty_join(struct qcow_cache *cache, struct qcow_slice *slice, u64 host,
		       struct qcow_dirty **fresh)
{
	struct qcow_dirty *dirty;
	bool joined = false;

	spin_lock(&cache->lock);
	dirty = slice->dirty;
	if (!dirty && *fresh && qcow_cache_hold_locked(cache, slice)) {
		dirty = *fresh;
		*fresh = NULL;
		dirty->slice = slice;
		qcow_slice_get(slice);
		cache->dirty_bytes += slice->charge + dirty_cost(slice->tables);
		list_add_tail(&dirty->node, &slice->tables->dirty);
		slice->dirty = dirty;
	}
	if (dirty) {
		/* A table may have moved; who writes to it now knows best. */
		dirty->host = host;
		atomic_inc(&dirty->users);
		joined = true;
	}
	spin_unlock(&cache->lock);
	return joined;
}

static bool make_changeable(struct qcow_cache *cache, struct qcow_slice *slice, u64 host)
{
	struct qcow_dirty *fresh = NULL;
	bool joined = dirty_join(cache, slice, host, &fresh);

	if (joined || !slice->charge)
		return joined;
	fresh = dirty_create(cache, slice->tables);
	if (!fresh)
		return false;
	joined = dirty_join(cache, slice, host, &fresh);
	if (fresh)
		dirty_free(cache, slice->tables, fresh);
	return joined;
}

/* A commit must not be the first to find that the file has a hole there, and no space. */
static int reserve(struct qcow_slice *slice, u64 host)
{
	int err = 0;

	if (!READ_ONCE(slice->reserved))
		err = qcow_store_reserve(slice->tables->store, host, slice->tables->slice_bytes);
	if (!err)
		WRITE_ONCE(slice->reserved, true);
	return err;
}

int qcow_dirty_load(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx, u64 host,
		    struct qcow_waiter *waiter, struct qcow_slice **result)
{
	struct qcow_slice *slice;
	bool changeable;
	int err;

	for (;;) {
		err = qcow_cache_load(cache, tables, idx, waiter, &slice);
		if (err)
			return err;
		err = reserve(slice, host);
		changeable = !err && make_changeable(cache, slice, host);
		qcow_slice_put(cache, slice);
		if (err)
			return err;
		if (changeable) {
			*result = slice;
			return 0;
		}
		/* Until what has been evicted is freed, or there is memory. */
		schedule_timeout_uninterruptible(1);
	}
}

void qcow_dirty_put(struct qcow_slice *slice)
{
	/* Pairs with atomic_read_acquire() in unused(): what this user changed is seen. */
	smp_mb__before_atomic();
	atomic_dec(&slice->dirty->users);
}

unsigned long qcow_dirty_begin(struct qcow_slice *slice) __acquires(&slice->dirty->lock)
{
	unsigned long flags;

	spin_lock_irqsave(&slice->dirty->lock, flags);
	raw_write_seqcount_begin(&slice->seq);
	return flags;
}

void qcow_dirty_end(struct qcow_slice *slice, unsigned long flags)
	__releases(&slice->dirty->lock)
{
	raw_write_seqcount_end(&slice->seq);
	slice->dirty->changed = true;
	spin_unlock_irqrestore(&slice->dirty->lock, flags);
}

bool qcow_dirty_full(const struct qcow_cache *cache)
{
	return READ_ONCE(cache->dirty_bytes) > cache->limit / 4;
}

unsigned int qcow_dirty_slots(const struct qcow_cache *cache)
{
	return clamp_t(u64, cache->limit / 4 / SLOT_BYTES, 1, INT_MAX);
}

static bool unused(struct qcow_dirty *dirty)
{
	return !atomic_read_acquire(&dirty->users) && !READ_ONCE(dirty->changed);
}

/* Sort @list: what is needed no longer is evictable, the rest is on its tables' list. */
static void settle(struct qcow_cache *cache, struct qcow_tables *tables, struct list_head *list)
{
	struct qcow_dirty *dirty, *next;
	LIST_HEAD(done);

	spin_lock(&cache->lock);
	list_for_each_entry_safe(dirty, next, list, node) {
		if (!unused(dirty)) {
			list_move_tail(&dirty->node, &tables->dirty);
			continue;
		}
		list_move_tail(&dirty->node, &done);
		dirty->slice->dirty = NULL;
		qcow_cache_release_locked(cache, dirty->slice);
		cache->dirty_bytes -= dirty->slice->charge + dirty_cost(tables);
	}
	spin_unlock(&cache->lock);

	list_for_each_entry_safe(dirty, next, &done, node) {
		qcow_slice_put(cache, dirty->slice);
		dirty_free(cache, tables, dirty);
	}
}

void qcow_dirty_collect(struct qcow_cache *cache, struct qcow_tables *tables,
			struct list_head *batch)
{
	struct qcow_dirty *dirty, *next;
	LIST_HEAD(all);

	spin_lock(&cache->lock);
	list_splice_init(&tables->dirty, &all);
	spin_unlock(&cache->lock);

	list_for_each_entry_safe(dirty, next, &all, node) {
		spin_lock_irq(&dirty->lock);
		if (dirty->changed) {
			memcpy(dirty->copy, dirty->slice->entries, tables->slice_bytes);
			dirty->changed = false;
			list_move_tail(&dirty->node, batch);
		}
		spin_unlock_irq(&dirty->lock);
	}
	settle(cache, tables, &all);
}

int qcow_dirty_write(struct qcow_tables *tables, struct list_head *batch)
{
	struct qcow_dirty *dirty;
	int err;

	list_for_each_entry(dirty, batch, node) {
		err = qcow_store_write(tables->store, dirty->copy, dirty->host,
				       tables->slice_bytes);
		if (err)
			return err;
	}
	return 0;
}

void qcow_dirty_finish(struct qcow_cache *cache, struct qcow_tables *tables,
		       struct list_head *batch, int err)
{
	struct qcow_dirty *dirty;

	if (err) {
		list_for_each_entry(dirty, batch, node) {
			spin_lock_irq(&dirty->lock);
			dirty->changed = true;
			spin_unlock_irq(&dirty->lock);
		}
	}
	settle(cache, tables, batch);
}

void qcow_dirty_drop(struct qcow_cache *cache, struct qcow_tables *tables)
{
	struct qcow_dirty *dirty;
	LIST_HEAD(all);

	spin_lock(&cache->lock);
	list_splice_init(&tables->dirty, &all);
	spin_unlock(&cache->lock);
	list_for_each_entry(dirty, &all, node)
		dirty->changed = false;
	settle(cache, tables, &all);
}

int qcow_dirty_module_init(void)
{
	dirty_slab = KMEM_CACHE(qcow_dirty, SLAB_RECLAIM_ACCOUNT);
	return dirty_slab ? 0 : -ENOMEM;
}

void qcow_dirty_module_exit(void)
{
	kmem_cache_destroy(dirty_slab);
}
