/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What inflate.c, which keeps decompressed clusters, offers inflate_load.c, which makes
 * them. Nobody else includes this.
 *
 * A load takes its buffers first, then enters the cluster, so that whoever comes later
 * parks on it, and reads and decompresses without a lock. When there is no memory it takes
 * the reserve: one cluster and one buffer for compressed data, set aside by the first load,
 * lent to one load at a time. The reserve's cluster is found like any other, and is taken
 * out of the cache as soon as the next load needs it.
 */
#ifndef _QCOW_INFLATE_IMPL_H
#define _QCOW_INFLATE_IMPL_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "data/codec.h"
#include "data/inflate.h"
#include "data/inflate_pool.h"

struct qcow_waiter;
struct shrinker;

#define QCOW_INFLATE_HASH_BITS	9

/**
 * struct qcow_inflate_reserve - buffers for the load that finds no memory
 * @growing: held by who makes the buffers larger
 * @cluster: its cluster, of @cluster_bytes
 * @src: its buffer for compressed data
 * @cluster_bytes: at @cluster.data
 * @src_bytes: at @src
 * @busy: a load has it, or @cluster is in the cache or still referenced; under the
 *        cache's lock
 * @returned: woken when it might be had
 *
 * The buffers change only while @growing is held and @busy is the changer's.
 */
struct qcow_inflate_reserve {
	struct mutex growing;	/* taken before the cache's lock */
	struct qcow_inflated cluster;
	void *src;
	size_t cluster_bytes;
	size_t src_bytes;
	bool busy;
	wait_queue_head_t returned;
};

/**
 * struct qcow_inflate - decompressed clusters of one device
 * @lock: protects @limit to @table; taken last, never held while anything is allocated
 * @limit: bytes kept; more only while they are in use
 * @bytes: of the clusters in @table
 * @nr: clusters in @lru
 * @lru: loaded clusters, least recently used first
 * @table: all clusters by key
 * @reserve: memory of last resort
 * @workspaces: by compression type
 * @shrinker: gives clusters and idle workspaces back
 * @starved: a test wants no memory to be there
 */
struct qcow_inflate {
	spinlock_t lock;	/* protects the next five */
	u64 limit;
	u64 bytes;
	unsigned long nr;
	struct list_head lru;
	struct hlist_head table[1 << QCOW_INFLATE_HASH_BITS];

	struct qcow_inflate_reserve reserve;
	struct qcow_workspaces workspaces[QCOW_NR_CODECS];
	struct shrinker *shrinker;
	bool starved;
};

static inline bool qcow_inflate_is_reserve(const struct qcow_inflate *inf,
					   const struct qcow_inflated *cluster)
{
	return cluster == &inf->reserve.cluster;
}

/**
 * qcow_inflate_reserve_take() - take the reserve if nobody uses it
 * @inf: the device's
 *
 * Its cluster, when in the cache, is taken out so that nobody new comes to use it; whoever
 * still does returns it with the last reference.
 *
 * Context: process context; a short spinlock.
 * Return: whether it is the caller's now, for qcow_inflate_reserve_return() or a load.
 */
bool qcow_inflate_reserve_take(struct qcow_inflate *inf);
void qcow_inflate_reserve_return(struct qcow_inflate *inf);

/**
 * qcow_inflate_make_room() - evict until @bytes more are within the limit
 * @inf: the device's
 * @bytes: of the cluster to come
 *
 * Context: process context, may sleep.
 * Return: a cluster with @bytes at its data out of what had to go, or NULL.
 */
struct qcow_inflated *qcow_inflate_make_room(struct qcow_inflate *inf, u32 bytes);

/* Free a cluster that is not in the cache; the reserve's is returned. May sleep. */
void qcow_inflate_free(struct qcow_inflate *inf, struct qcow_inflated *cluster);

/**
 * qcow_inflate_join() - find a cluster, or park on it, or enter a new one
 * @inf: the device's
 * @image: key
 * @host: key
 * @waiter: to park
 * @fresh: to enter, with its key, data and bytes, or NULL: only look
 * @cluster: the cluster when it is there, with a reference
 *
 * Context: process context; a short spinlock.
 * Return: 0; -EINPROGRESS: parked; -ENOENT: not there, and @fresh has been entered, with a
 * reference for the caller, who now owes qcow_inflate_publish().
 */
int qcow_inflate_join(struct qcow_inflate *inf, struct qcow_image *image, u64 host,
		      struct qcow_waiter *waiter, struct qcow_inflated *fresh,
		      struct qcow_inflated **cluster);

/**
 * qcow_inflate_publish() - a cluster that was entered is there, or has failed
 * @inf: the device's
 * @cluster: the cluster
 * @err: 0, or it is taken out again and is the caller's to free
 *
 * Everybody who waits for it has another look.
 *
 * Context: process context, no locks held.
 */
void qcow_inflate_publish(struct qcow_inflate *inf, struct qcow_inflated *cluster, int err);

#endif /* _QCOW_INFLATE_IMPL_H */
