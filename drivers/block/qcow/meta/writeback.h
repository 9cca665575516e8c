/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Slices that are changed and written back. The metadata worker pins a slice, changes it any
 * number of times, and hands a copy to the commit; the commit writes the copy while changes go
 * on. Memory for the copy is there before the first change, so that a commit needs none. Where one
 * step of the worker changes more than there is room for, the worker writes copies itself.
 */
#ifndef _QCOW_META_WRITEBACK_H
#define _QCOW_META_WRITEBACK_H

#include <linux/list.h>
#include <linux/types.h>

#include "layer/cache.h"

struct qcow_batch;

/**
 * enum qcow_writeback_state - what of a pinned slice is on disk
 * @QCOW_WRITEBACK_CLEAN: all of it
 * @QCOW_WRITEBACK_CHANGED: not what was changed since it was clean
 * @QCOW_WRITEBACK_COPIED: a commit is writing the copy, which has all of it
 * @QCOW_WRITEBACK_CHANGED_AGAIN: a commit is writing the copy, and the slice has changed since
 *
 *            begin/end              collect              begin/end
 *   CLEAN ---------------> CHANGED ----------> COPIED ---------------> CHANGED_AGAIN
 *     ^                       ^                  |                          |
 *     +-----------------------|---- finish: 0 ---+                          |
 *                             +---- finish: error; of CHANGED_AGAIN always -+
 *
 * A slice that is clean and has no users is unpinned: evictable as any other.
 */
enum qcow_writeback_state {
	QCOW_WRITEBACK_CLEAN,
	QCOW_WRITEBACK_CHANGED,
	QCOW_WRITEBACK_COPIED,
	QCOW_WRITEBACK_CHANGED_AGAIN,
};

/**
 * struct qcow_writeback - what a slice has while it is pinned
 * @node: on its tables' list of pinned slices, or on the batch of a commit
 * @slice: with a reference; it cannot be evicted
 * @state: see there
 * @users: changes in flight that will change it
 * @host: where it is written to
 * @copy_host: where @copy is written to: its table may move meanwhile
 * @copy: what the commit writes
 *
 * All is the worker's, but that @copy and @copy_host are the commit's from collect to finish.
 */
struct qcow_writeback {
	struct list_head node;
	struct qcow_slice *slice;
	enum qcow_writeback_state state;
	unsigned int users;
	u64 host;
	u64 copy_host;
	void *copy;
};

int qcow_writeback_module_init(void);
void qcow_writeback_module_exit(void);

/**
 * qcow_writeback_has_room() - whether one more change may begin
 * @cache: of the image
 *
 * Half of the cache is for pinned slices. There is room while what one change may pin (a slice
 * of an L2 table, slices of counts) fits into that half as well.
 */
bool qcow_writeback_has_room(const struct qcow_cache *cache);

/* So much is pinned that a commit should make some of it clean. */
bool qcow_writeback_is_high(const struct qcow_cache *cache);

/**
 * qcow_writeback_load() - find or read a slice and pin it
 * @cache: of the image
 * @tables: the tables that it is of
 * @idx: number of the slice
 * @host: where it is, in a table that is this image's alone
 * @slice: result; the caller is one of its users
 *
 * Waits for memory within the cache's limit, which comes: of the other half nothing is pinned.
 *
 * Context: the worker; may sleep and do I/O, GFP_NOIO.
 * Return: 0; -ENOSPC: the slice lies in a hole of a full store; errors as qcow_cache_load().
 */
int qcow_writeback_load(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx, u64 host,
			struct qcow_slice **slice);

/* One user less. Context: the worker. */
void qcow_writeback_put(struct qcow_slice *slice);

/**
 * qcow_writeback_begin() - begin to change entries
 * @slice: pinned
 *
 * Readers of entries of one word see the old or the new one; those of larger ones try again
 * until qcow_writeback_end(), so preemption is off until then.
 *
 * Context: the worker.
 */
void qcow_writeback_begin(struct qcow_slice *slice);
void qcow_writeback_end(struct qcow_slice *slice);

/* Whether a commit would write any of these. Context: the worker. */
bool qcow_writeback_is_changed(const struct qcow_tables *tables);

/**
 * qcow_writeback_collect() - copy what has changed, to write it
 * @tables: the tables that it is of
 * @batch: gets the slices that have changed, and are in no other batch
 *
 * Context: the worker.
 */
void qcow_writeback_collect(struct qcow_tables *tables, struct list_head *batch);

/**
 * qcow_writeback_write() - write the copies
 * @tables: the tables that it is of
 * @batch: from qcow_writeback_collect()
 * @writes: memory for the writes
 *
 * Context: the commit's work item; the worker, for a batch and @writes of its own.
 * Return: 0 or the first error.
 */
int qcow_writeback_write(struct qcow_tables *tables, struct list_head *batch,
			 struct qcow_batch *writes);

/**
 * qcow_writeback_finish() - they have been written
 * @cache: of the image
 * @tables: the tables that it is of
 * @batch: empty afterwards
 * @err: of the writing; other than 0: all of @batch is changed as before
 *
 * Context: the worker.
 */
void qcow_writeback_finish(struct qcow_cache *cache, struct qcow_tables *tables,
			   struct list_head *batch, int err);

/* Forget all changes: the image is given up. No change and no commit is under way. */
void qcow_writeback_drop(struct qcow_cache *cache, struct qcow_tables *tables);

#endif /* _QCOW_META_WRITEBACK_H */
