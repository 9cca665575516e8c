// SPDX-License-Identifier: GPL-2.0
/*
 * Room for compressed data. It has no cluster for itself: what is allocated next begins where the
 * last one ends, and reaches into the next cluster where that can be had. The count of a cluster
 * says how many compressed clusters touch it.
 */
#include <linux/align.h>
#include <qcow/refcount.h>

#include "layer/image.h"
#include "meta/space.h"

/* One reference more to the cluster with @host; not @shared: that cannot be counted. */
static int bytes_share(struct qcow_space *space, u64 host, bool *shared)
{
	u64 cluster = host >> space->image->geo.cluster_bits;
	u64 count, nr;
	int err;

	*shared = false;
	err = qcow_refcounts_get(&space->counts, cluster, 1, &count, &nr);
	if (err || count == qcow_refcount_max(space->counts.order))
		return err;
	err = qcow_refcounts_inc(&space->counts, cluster, 1);
	*shared = !err;
	return err;
}

/* @left bytes of the last cluster are not enough. */
static int bytes_in_new_cluster(struct qcow_space *space, u64 left, u64 below, u64 *host)
{
	const struct qcow_geometry *g = &space->image->geo;
	bool shared = false;
	struct qcow_run run;
	u64 first;
	int err;

	if (below == U64_MAX)
		err = qcow_space_alloc(space, QCOW_USE_DATA, 1, &run);
	else
		err = qcow_space_alloc_below(space, QCOW_USE_DATA, below, 1, &run);
	if (err)
		return err;
	first = run.first << g->cluster_bits;
	if (first + qcow_cluster_bytes(g) > qcow_l2_compressed_end(g))
		err = -EOVERFLOW;
	else if (left && first == space->next_byte + left)
		err = bytes_share(space, space->next_byte, &shared);
	if (err)
		qcow_space_release(space, run.first, 1);
	else
		*host = shared ? space->next_byte : first;
	return err;
}

int qcow_space_alloc_bytes(struct qcow_space *space, u32 len, u64 below, u64 *host)
{
	const struct qcow_geometry *g = &space->image->geo;
	u64 left = ALIGN(space->next_byte, qcow_cluster_bytes(g)) - space->next_byte;
	bool shared = false;
	int err = 0;

	if (space->next_byte >> g->cluster_bits >= below)
		left = 0;
	*host = space->next_byte;
	if (len <= left)
		err = bytes_share(space, *host, &shared);
	if (!err && !shared)
		err = bytes_in_new_cluster(space, len <= left ? 0 : left, below, host);
	if (!err)
		space->next_byte = *host + len;
	return err;
}
