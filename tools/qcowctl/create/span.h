/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How large the refcount structure of a new image is. Pure.
 */
#ifndef QCOWCTL_CREATE_SPAN_H
#define QCOWCTL_CREATE_SPAN_H

#include <qcow/types.h>

/**
 * struct refcount_span - the refcount structure of an image
 * @blocks: refcount blocks, a cluster each
 * @table_clusters: clusters of the refcount table that points to them
 */
struct refcount_span {
	u64 blocks;
	u64 table_clusters;
};

/**
 * span_div_up() - divide by a power of two and round up
 * @n: the dividend
 * @bits: log2 of the divisor
 *
 * Return: the quotient; no sum overflows, unlike in DIV_ROUND_UP_ULL().
 */
static inline u64 span_div_up(u64 n, u32 bits)
{
	return (n >> bits) + !!(n & (BIT_ULL(bits) - 1));
}

/**
 * span_plan() - the smallest structure that counts a number of clusters and itself
 * @cluster_bits: log2 of the cluster size
 * @order: log2 of the refcount width, 0-6
 * @clusters: to be counted beside the structure, at most 1 << 54
 * @span: result
 *
 * Return: 0; -EFBIG: a table over QCOW_MAX_REFCOUNT_TABLE_BYTES; @span is valid then, too.
 */
int span_plan(u32 cluster_bits, u32 order, u64 clusters, struct refcount_span *span);

#endif /* QCOWCTL_CREATE_SPAN_H */
