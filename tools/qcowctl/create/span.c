// SPDX-License-Identifier: GPL-2.0
/*
 * The refcount structure counts its own clusters, too. Its size is a fixed point: starting
 * with none, blocks and table grow until they count everything. They only grow, so the first
 * fixed point is the smallest; every block counts at least 64 clusters (512 bytes, 64 bits),
 * so each step is a 64th of the one before.
 */
#include <qcow/refcount.h>

#include "create/span.h"

int span_plan(u32 cluster_bits, u32 order, u64 clusters, struct refcount_span *span)
{
	struct refcount_span last;

	*span = (struct refcount_span){};
	do {
		last = *span;
		span->blocks = span_div_up(clusters + last.blocks + last.table_clusters,
					   qcow_refcount_block_bits(cluster_bits, order));
		span->table_clusters = span_div_up(span->blocks, cluster_bits - 3);
	} while (span->blocks != last.blocks || span->table_clusters != last.table_clusters);
	if (span->table_clusters > QCOW_MAX_REFCOUNT_TABLE_BYTES >> cluster_bits)
		return -EFBIG;
	return 0;
}
