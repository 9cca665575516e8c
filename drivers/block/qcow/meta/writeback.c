// SPDX-License-Identifier: GPL-2.0
/*
 * Slices that are changed and written back.
 */
#include <linux/bitops.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <qcow/l2.h>

#include "inject.h"
#include "meta/writeback.h"
#include "store/batch.h"
#include "store/store.h"

/* About so many slices are pinned for one change: of an L2 table and of counts, with copies. */
#define CHANGE_SLICES	6

static struct kmem_cache *writeback_slab;

static u32 writeback_cost(const struct qcow_tables *tables)
{
	return tables->slice_bytes + sizeof(struct qcow_writeback);
}

static struct qcow_writeback *writeback_create(struct qcow_cache *cache,
					       const struct qcow_tables *tables)
{
	struct qcow_writeback *wb;

	qcow_cache_charge_wait(cache, writeback_cost(tables));
	wb = kmem_cache_zalloc(writeback_slab, GFP_NOIO);
	if (!wb)
		goto uncharge;
	wb->copy = qcow_cache_alloc_entries(tables->slice_bytes, GFP_NOIO);
	if (wb->copy)
		return wb;

	kmem_cache_free(writeback_slab, wb);
uncharge:
	qcow_cache_uncharge(cache, writeback_cost(tables));
	return NULL;
}

static void writeback_destroy(struct qcow_cache *cache, const struct qcow_tables *tables,
			      struct qcow_writeback *wb)
{
	qcow_cache_free_entries(wb->copy, tables->slice_bytes);
	kmem_cache_free(writeback_slab, wb);
	qcow_cache_uncharge(cache, writeback_cost(tables));
}

/* Whether the slice is pinned; it has not been evicted, and there was memory. */
static bool writeback_pin(struct qcow_cache *cache, struct qcow_slice *slice)
{
	struct qcow_tables *tables = slice->tables;
	struct qcow_writeback *wb;
	bool held;

	if (slice->writeback)
		return true;
	wb = writeback_create(cache, tables);
	if (!wb)
		return false;

	spin_lock(&cache->lock);
	held = qcow_cache_hold_locked(cache, slice);
	if (held)
		cache->pinned += slice->charge + writeback_cost(tables);
	spin_unlock(&cache->lock);
	if (!held) {
		writeback_destroy(cache, tables, wb);
		return false;
	}
	wb->slice = slice;
	qcow_slice_get(slice);
	slice->writeback = wb;
	list_add_tail(&wb->node, &tables->pinned);
	return true;
}

static bool writeback_is_unused(const struct qcow_writeback *wb)
{
	return !wb->users && wb->state == QCOW_WRITEBACK_CLEAN;
}

static void writeback_unpin(struct qcow_cache *cache, struct qcow_writeback *wb)
{
	struct qcow_slice *slice = wb->slice;
	struct qcow_tables *tables = slice->tables;

	list_del(&wb->node);
	slice->writeback = NULL;
	spin_lock(&cache->lock);
	qcow_cache_release_locked(cache, slice);
	cache->pinned -= slice->charge + writeback_cost(tables);
	spin_unlock(&cache->lock);
	qcow_slice_put(cache, slice);
	writeback_destroy(cache, tables, wb);
}

/* A commit must not be the first to find that the store has a hole there, and no space. */
static int writeback_reserve(struct qcow_slice *slice, u64 host)
{
	int err;

	if (slice->reserved)
		return 0;
	err = qcow_store_reserve(slice->tables->store, host, slice->tables->slice_bytes);
	slice->reserved = !err;
	return err;
}

int qcow_writeback_load(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx, u64 host,
			struct qcow_slice **result)
{
	struct qcow_slice *slice;
	bool pinned;
	int err;

	for (;;) {
		err = qcow_cache_load_wait(cache, tables, idx, NULL, &slice);
		if (err)
			return err;
		/* Others may evict it before it is pinned. */
		qcow_inject_sleep();
		err = writeback_reserve(slice, host);
		pinned = !err && writeback_pin(cache, slice);
		qcow_slice_put(cache, slice);
		if (err)
			return err;
		if (pinned)
			break;
		/* It has been evicted meanwhile, or there was no memory. */
		schedule_timeout_uninterruptible(1);
	}
	slice->writeback->host = host;
	slice->writeback->users++;
	*result = slice;
	return 0;
}

void qcow_writeback_put(struct qcow_slice *slice)
{
	struct qcow_writeback *wb = slice->writeback;

	wb->users--;
	if (writeback_is_unused(wb))
		writeback_unpin(slice->cached.cache, wb);
}

void qcow_writeback_begin(struct qcow_slice *slice)
{
	preempt_disable();
	raw_write_seqcount_begin(&slice->seq);
}

void qcow_writeback_end(struct qcow_slice *slice)
{
	struct qcow_writeback *wb = slice->writeback;

	raw_write_seqcount_end(&slice->seq);
	preempt_enable();
	if (slice->tables->marks)
		__set_bit(slice->idx, slice->tables->marks);
	if (wb->state == QCOW_WRITEBACK_CLEAN)
		wb->state = QCOW_WRITEBACK_CHANGED;
	else if (wb->state == QCOW_WRITEBACK_COPIED)
		wb->state = QCOW_WRITEBACK_CHANGED_AGAIN;
}

bool qcow_writeback_has_room(const struct qcow_cache *cache)
{
	u64 change = CHANGE_SLICES * (2 * QCOW_SLICE_BYTES + sizeof(struct qcow_slice) +
				      sizeof(struct qcow_writeback));

	/* What is pinned changes in the worker alone. Of nothing a change can always be made. */
	return !cache->pinned || cache->pinned + change <= cache->limit / 2;
}

bool qcow_writeback_is_high(const struct qcow_cache *cache)
{
	return cache->pinned > cache->limit / 4 || !qcow_writeback_has_room(cache);
}

bool qcow_writeback_is_changed(const struct qcow_tables *tables)
{
	const struct qcow_writeback *wb;

	list_for_each_entry(wb, &tables->pinned, node) {
		if (wb->state == QCOW_WRITEBACK_CHANGED)
			return true;
	}
	return false;
}

void qcow_writeback_collect(struct qcow_tables *tables, struct list_head *batch)
{
	struct qcow_writeback *wb, *next;

	list_for_each_entry_safe(wb, next, &tables->pinned, node) {
		if (wb->state != QCOW_WRITEBACK_CHANGED)
			continue;
		memcpy(wb->copy, wb->slice->entries, tables->slice_bytes);
		wb->copy_host = wb->host;
		wb->state = QCOW_WRITEBACK_COPIED;
		list_move_tail(&wb->node, batch);
	}
}

int qcow_writeback_write(struct qcow_tables *tables, struct list_head *batch,
			 struct qcow_batch *writes)
{
	struct qcow_writeback *wb;

	qcow_batch_begin(writes);
	list_for_each_entry(wb, batch, node)
		qcow_batch_write(writes, tables->store, wb->copy, wb->copy_host,
				 tables->slice_bytes);
	return qcow_batch_end(writes);
}

void qcow_writeback_finish(struct qcow_cache *cache, struct qcow_tables *tables,
			   struct list_head *batch, int err)
{
	struct qcow_writeback *wb, *next;

	list_for_each_entry_safe(wb, next, batch, node) {
		if (err || wb->state == QCOW_WRITEBACK_CHANGED_AGAIN)
			wb->state = QCOW_WRITEBACK_CHANGED;
		else
			wb->state = QCOW_WRITEBACK_CLEAN;
		list_move_tail(&wb->node, &tables->pinned);
		if (writeback_is_unused(wb))
			writeback_unpin(cache, wb);
	}
}

void qcow_writeback_drop(struct qcow_cache *cache, struct qcow_tables *tables)
{
	struct qcow_writeback *wb, *next;

	list_for_each_entry_safe(wb, next, &tables->pinned, node) {
		WARN_ON_ONCE(wb->users);
		writeback_unpin(cache, wb);
	}
}

int qcow_writeback_module_init(void)
{
	writeback_slab = KMEM_CACHE(qcow_writeback, SLAB_RECLAIM_ACCOUNT);
	return writeback_slab ? 0 : -ENOMEM;
}

void qcow_writeback_module_exit(void)
{
	kmem_cache_destroy(writeback_slab);
}
