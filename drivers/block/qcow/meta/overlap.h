/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the metadata of the active image is, so that nothing else is ever written there:
 * header, L1 table, L2 tables, refcount table and blocks, snapshot table and its L1 tables.
 */
#ifndef _QCOW_GUARD_H
#define _QCOW_GUARD_H

#include <linux/types.h>
#include <linux/xarray.h>

/**
 * struct qcow_guard - a set of host ranges
 * @map: a bit for each granule
 * @bits: log2 of a granule: a cluster; 512 bytes in version 1, whose tables lie anywhere
 */
struct qcow_guard {
	struct xarray map;
	u8 bits;
};

void qcow_guard_init(struct qcow_guard *guard, u8 bits);
void qcow_guard_destroy(struct qcow_guard *guard);

/**
 * qcow_guard_add() - the range holds metadata from now on
 * @guard: the set
 * @host: first byte
 * @len: bytes
 *
 * Context: process context, GFP_NOIO. Callers of add and del keep each other away.
 * Return: 0 or -ENOMEM.
 */
int qcow_guard_add(struct qcow_guard *guard, u64 host, u64 len);

/* It holds metadata no longer. */
void qcow_guard_del(struct qcow_guard *guard, u64 host, u64 len);

/**
 * qcow_guard_hit() - whether metadata lies in the range
 * @guard: the set
 * @host: first byte
 * @len: bytes
 *
 * Context: any that may take rcu_read_lock(); takes no lock.
 */
bool qcow_guard_hit(struct qcow_guard *guard, u64 host, u64 len);

#endif /* _QCOW_GUARD_H */
