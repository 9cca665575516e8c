/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The metadata in a store as it was at an instant: what is overwritten afterwards is kept before.
 * Guest data, which qcow_store_submit() and qcow_store_write_data() write, is not.
 */
#ifndef _QCOW_STORE_PRESERVE_H
#define _QCOW_STORE_PRESERVE_H

#include <linux/types.h>
#include <linux/xarray.h>

#include "store/store.h"

/**
 * struct qcow_preserve - a store as it was
 * @store: the store
 * @bytes: its length at that instant
 * @pages: what has been overwritten since, by number
 * @nr: how many
 * @lost: something has been overwritten that could not be kept
 *
 * A page stays once it is there. @nr is under the store's @preserve_lock.
 */
struct qcow_preserve {
	struct qcow_store *store;
	u64 bytes;
	struct xarray pages;
	u32 nr;
	bool lost;
};

/**
 * qcow_preserve_create() - prepare
 * @store: outlives it
 *
 * Context: process context, may sleep.
 * Return: for qcow_preserve_destroy(), or NULL: no memory.
 */
struct qcow_preserve *qcow_preserve_create(struct qcow_store *store);

/* Also ends it. NULL is fine. Context: process context, may sleep. */
void qcow_preserve_destroy(struct qcow_preserve *preserve);

/**
 * qcow_preserve_begin() - this is the instant
 * @preserve: the only one of its store
 *
 * Context: process context, may sleep; nothing is being written to the store.
 */
void qcow_preserve_begin(struct qcow_preserve *preserve);

/* Nothing is kept any more. Context: process context, may sleep. */
void qcow_preserve_end(struct qcow_preserve *preserve);

/**
 * qcow_preserve_byte() - a byte of what has been kept, to change it
 * @preserve: not begun yet
 * @pos: host offset; what is there is kept now if it has not been
 *
 * Context: process context, may sleep.
 * Return: its address, with the rest of its page behind it, or NULL: it could not be kept.
 */
u8 *qcow_preserve_byte(struct qcow_preserve *preserve, u64 pos);

/**
 * qcow_preserve_read() - read what the store had at that instant
 * @preserve: begun
 * @buf: result; behind the end of the store are zeros
 * @pos: host offset
 * @len: bytes
 *
 * Context: process context, may sleep.
 * Return: 0; -ESTALE: something has been overwritten that could not be kept; what reading brought.
 */
int qcow_preserve_read(struct qcow_preserve *preserve, void *buf, u64 pos, size_t len);

void __qcow_preserve_keep(struct qcow_store *store, u64 pos, u64 len);

/**
 * qcow_preserve_keep() - a range is about to be overwritten, or to be used for something else
 * @store: the store
 * @pos: host offset
 * @len: bytes
 *
 * Context: process context, may sleep and read; GFP_NOIO.
 */
static inline void qcow_preserve_keep(struct qcow_store *store, u64 pos, u64 len)
{
	if (unlikely(READ_ONCE(store->preserve)))
		__qcow_preserve_keep(store, pos, len);
}

#endif /* _QCOW_STORE_PRESERVE_H */
