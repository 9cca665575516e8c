/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reference counts of versions 2 and 3: one entry of a refcount block, of any width, and one
 * entry of the refcount table. Pure, as l2.h: blocks are raw buffers of one cluster, big
 * endian as they are on disk.
 *
 * An order is the header's refcount_order, 0 to QCOW_MAX_REFCOUNT_ORDER: entries are
 * 1 << order bits wide. A cluster_idx is a host offset >> cluster_bits.
 */
#ifndef _QCOW_REFCOUNT_H
#define _QCOW_REFCOUNT_H

#include <qcow/ondisk.h>
#include <qcow/report.h>
#include <qcow/types.h>

#define QCOW_REFCOUNT_TABLE_RESERVED	GENMASK_ULL(8, 0)
#define QCOW_REFCOUNT_TABLE_OFFSET	GENMASK_ULL(63, 9)

/* The largest count that an entry of this order can hold. */
static inline u64 qcow_refcount_max(u32 order)
{
	return U64_MAX >> (64 - (1U << order));
}

/* log2 of the entries, and so of the clusters, of one refcount block. */
static inline u32 qcow_refcount_block_bits(u32 cluster_bits, u32 order)
{
	return cluster_bits + 3 - order;
}

/* Index, in the refcount table, of the refcount block that counts this cluster. */
static inline u64 qcow_refcount_table_idx(u32 cluster_bits, u32 order, u64 cluster_idx)
{
	return cluster_idx >> qcow_refcount_block_bits(cluster_bits, order);
}

/* Index of the cluster's entry in that block. */
static inline u64 qcow_refcount_in_block(u32 cluster_bits, u32 order, u64 cluster_idx)
{
	return cluster_idx & (BIT_ULL(qcow_refcount_block_bits(cluster_bits, order)) - 1);
}

/**
 * qcow_refcount_get() - one entry of a refcount block
 * @block: the block, or a part of it that starts at a multiple of 8 bytes: then @idx counts
 *         from there. Needs no alignment in memory.
 * @order: 0-6
 * @idx: of the entry, inside @block
 *
 * Entries narrower than a byte fill each byte from its low bits on; wider ones are big
 * endian. Context: any.
 *
 * Return: the count.
 */
u64 qcow_refcount_get(const void *block, u32 order, u64 idx);

/**
 * qcow_refcount_set() - change one entry of a refcount block
 * @block: as qcow_refcount_get()
 * @order: 0-6
 * @idx: likewise
 * @count: at most qcow_refcount_max(@order)
 *
 * Context: any; as entries can share a byte, the caller excludes other writers of the block.
 */
void qcow_refcount_set(void *block, u32 order, u64 idx, u64 count);

/**
 * qcow_refcount_table_decode() - where a refcount block is
 * @cluster_bits: log2 of the cluster size
 * @file_bytes: length of the file that holds the metadata
 * @entry: the refcount table's entry, CPU order
 * @block: host offset of the block, 0: not allocated, all its counts are 0
 * @flaw: filled when the entry is wrong
 *
 * Return: 0, or -EUCLEAN: reserved bits, an offset that is no multiple of the cluster
 * size, a block that does not end within the file.
 */
int qcow_refcount_table_decode(u32 cluster_bits, u64 file_bytes, u64 entry, u64 *block,
			       struct qcow_flaw *flaw);

/* The table entry for a block at this host offset, CPU order. */
static inline u64 qcow_refcount_table_encode(u64 block)
{
	return block & QCOW_REFCOUNT_TABLE_OFFSET;
}

#endif /* _QCOW_REFCOUNT_H */
