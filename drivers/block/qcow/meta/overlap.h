/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the metadata of the active image is, so that nothing else is ever written there:
 * header, L1 table, L2 tables, refcount table and blocks, snapshot table and its L1 tables.
 */
#ifndef _QCOW_META_OVERLAP_H
#define _QCOW_META_OVERLAP_H

#include <linux/types.h>
#include <linux/xarray.h>

/**
 * struct qcow_overlap - a set of host ranges
 * @map: a bit for each granule
 * @bits: log2 of a granule: a cluster; 512 bytes in version 1, whose tables lie anywhere
 */
struct qcow_overlap {
	struct xarray map;
	u8 bits;
};

void qcow_overlap_init(struct qcow_overlap *overlap, u8 bits);
void qcow_overlap_destroy(struct qcow_overlap *overlap);

/**
 * qcow_overlap_add() - the range holds metadata from now on
 * @overlap: the set
 * @host: first byte
 * @len: bytes
 *
 * Context: the worker, or the attach; GFP_NOIO.
 * Return: 0; -ENOMEM: the set is as it was.
 */
int qcow_overlap_add(struct qcow_overlap *overlap, u64 host, u64 len);

/* It holds metadata no longer. */
void qcow_overlap_del(struct qcow_overlap *overlap, u64 host, u64 len);

/**
 * qcow_overlap_hit() - whether metadata lies in the range
 * @overlap: the set
 * @host: first byte
 * @len: bytes
 *
 * Context: any that may take rcu_read_lock(); takes no lock.
 */
bool qcow_overlap_hit(struct qcow_overlap *overlap, u64 host, u64 len);

#endif /* _QCOW_META_OVERLAP_H */
