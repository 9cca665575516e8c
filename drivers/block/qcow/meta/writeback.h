/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Changing slices and writing them back: a slice is made changeable, changed by any number
 * of writers, and written by the commit as it was when the commit began.
 *
 * Memory for that copy is there before the first change, so that a commit needs none.
 * What the entries mean and in which order slices are written is the callers' business.
 */
#ifndef _QCOW_DIRTY_H
#define _QCOW_DIRTY_H

#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "layer/cache.h"

/**
 * struct qcow_dirty - what makes a slice changeable
 * @node: on the tables' list, or on a batch of the commit's; under the cache's lock
 * @slice: with a reference; it is off the clock
 * @host: where it is written to
 * @users: writers that may change it; grows under the cache's lock
 * @lock: the slice's entries, and @changed
 * @changed: since the last copy was taken, or writing that one failed
 * @copy: what the commit writes
 */
struct qcow_dirty {
	struct list_head node;
	struct qcow_slice *slice;
	u64 host;
	atomic_t users;
	spinlock_t lock;	/* @changed and the slice's entries */
	bool changed;
	void *copy;
};

int qcow_dirty_module_init(void);
void qcow_dirty_module_exit(void);

/**
 * qcow_dirty_load() - find or read a slice and make it changeable
 * @cache: the device's
 * @tables: whose
 * @idx: number of the slice
 * @host: where it is, in a table that is nobody else's
 * @waiter: parked when somebody else is reading it just now, or NULL: wait here
 * @slice: result; the caller is one of its users
 *
 * Waits for room and for memory. There will be room when callers heed qcow_dirty_full() and
 * qcow_dirty_slots(): what is not dirty is evicted.
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0; -ENOSPC; -EINPROGRESS and errors as qcow_cache_load().
 */
int qcow_dirty_load(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx, u64 host,
		    struct qcow_waiter *waiter, struct qcow_slice **slice);

/* Is a user no more. Context: any. */
void qcow_dirty_put(struct qcow_slice *slice);

/**
 * qcow_dirty_begin() - begin to change entries
 * @slice: the caller is one of its users
 *
 * Context: any; until qcow_dirty_end() interrupts are off.
 * Return: flags for qcow_dirty_end().
 */
unsigned long qcow_dirty_begin(struct qcow_slice *slice) __acquires(&slice->dirty->lock);
void qcow_dirty_end(struct qcow_slice *slice, unsigned long flags)
	__releases(&slice->dirty->lock);

/*
 * So much is dirty, a quarter of the cache, that a commit has to make room before more is; and
 * how many may change slices at a time so that they need no more than another quarter. The rest
 * is what nobody waits with, and what is on its way through RCU.
 */
bool qcow_dirty_full(const struct qcow_cache *cache);
unsigned int qcow_dirty_slots(const struct qcow_cache *cache);

/**
 * qcow_dirty_collect() - copy all that has been changed, for the commit
 * @cache: the device's
 * @tables: whose
 * @batch: gets the slices that have been changed; those that nobody needs any more are
 *         evictable from now on
 *
 * Context: process context. One commit at a time.
 */
void qcow_dirty_collect(struct qcow_cache *cache, struct qcow_tables *tables,
			struct list_head *batch);

/**
 * qcow_dirty_write() - write the copies
 * @tables: whose
 * @batch: from qcow_dirty_collect()
 *
 * Return: 0 or the first error; what has not been written stays changed.
 */
int qcow_dirty_write(struct qcow_tables *tables, struct list_head *batch);

/**
 * qcow_dirty_finish() - end of the commit
 * @cache: the device's
 * @tables: whose
 * @batch: empty afterwards
 * @err: of the commit; other than 0: all of @batch is changed as before
 */
void qcow_dirty_finish(struct qcow_cache *cache, struct qcow_tables *tables,
		       struct list_head *batch, int err);

/* Forget all changes: the image is given up. No user and no commit is left. */
void qcow_dirty_drop(struct qcow_cache *cache, struct qcow_tables *tables);

#endif /* _QCOW_DIRTY_H */
