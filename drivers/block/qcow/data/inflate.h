/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Decompressed clusters of one device: made on demand, once for all who want one at the
 * same time, a bounded number kept for the next read. Decompression runs outside every
 * lock, on as many CPUs as have work.
 */
#ifndef _QCOW_INFLATE_H
#define _QCOW_INFLATE_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/types.h>

struct qcow_extent;
struct qcow_image;
struct qcow_inflate;
struct qcow_waiter;

/* Decompressed bytes kept per device: this, or four clusters where that is more. */
#define QCOW_INFLATE_BYTES	(4U << 20)

/**
 * struct qcow_inflated - one decompressed cluster
 * @data: the cluster, qcow_cluster_bytes() of @image; not to be written to
 * @image: key, the layer
 * @host: key, where the compressed data starts
 * @bytes: at @data
 * @refs: the cache's own, and one for each holder; grows under the cache's lock only
 * @loading: not there yet: nobody has it but who makes it; under the cache's lock
 * @hash: by key, under the cache's lock
 * @lru: order of use, least recently used first, under the cache's lock
 * @waiters: those who want it while it is loading, under the cache's lock
 *
 * The members after the key are inflate.c's.
 */
struct qcow_inflated {
	void *data;
	struct qcow_image *image;
	u64 host;
	u32 bytes;
	refcount_t refs;
	bool loading;
	struct hlist_node hash;
	struct list_head lru;
	struct list_head waiters;
};

/**
 * qcow_inflate_create() - an empty cache of decompressed clusters
 * @limit: bytes kept, QCOW_INFLATE_BYTES; raised to four clusters of the largest cluster
 *         size that is loaded
 *
 * Allocates next to nothing: images without compressed clusters cost no memory.
 *
 * Context: process context, may sleep; GFP_KERNEL.
 * Return: the cache, or ERR_PTR(-ENOMEM).
 */
struct qcow_inflate *qcow_inflate_create(u64 limit);

/* No load may be under way and no cluster held; the images may be gone already. */
void qcow_inflate_destroy(struct qcow_inflate *inf);

/**
 * qcow_inflate_find() - a decompressed cluster that is there already
 * @inf: the device's
 * @image: the layer that has the extent
 * @host: ext->host of the compressed extent
 *
 * Context: process context with or without the right to sleep; a short spinlock.
 * Return: the cluster with a reference for qcow_inflated_put(), or NULL.
 */
struct qcow_inflated *qcow_inflate_find(struct qcow_inflate *inf, struct qcow_image *image,
					u64 host);

/**
 * qcow_inflate_load() - find it, read and decompress it when it is not there
 * @inf: the device's
 * @image: the layer
 * @ext: the compressed extent, for host and compressed_len
 * @waiter: parked when somebody else makes it just now, or NULL: wait here
 * @cluster: result with a reference
 *
 * The caller must hold no other cluster of @inf: when there is no memory, this waits for
 * the one set of buffers that the first use of the device's inflate set aside, until who
 * reads from it puts it.
 *
 * Compressed data that reaches beyond the end of the file continues there with zeros, as
 * in QEMU: the length in the table is only an upper bound.
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0; -EINPROGRESS: @waiter will be woken, call again; -EUCLEAN: garbage, named in
 * the log (rate-limited), or compressed data wholly beyond the end of the file;
 * -EOPNOTSUPP: the kernel is without the compression method, likewise named; -ENOMEM at
 * the first use only; -EIO and others from the store. Nothing is kept of a failure: parked
 * waiters are woken and try themselves.
 */
int qcow_inflate_load(struct qcow_inflate *inf, struct qcow_image *image,
		      const struct qcow_extent *ext, struct qcow_waiter *waiter,
		      struct qcow_inflated **cluster);

/* Context: process context with or without the right to sleep. */
void qcow_inflated_put(struct qcow_inflate *inf, struct qcow_inflated *cluster);

/**
 * qcow_inflate_drop() - forget a cluster whose compressed data is there no more
 * @inf: the device's
 * @image: the layer
 * @host: where the compressed data was
 *
 * Nothing refers to it any more, and nobody loads or holds it. Context: process context,
 * may sleep.
 */
void qcow_inflate_drop(struct qcow_inflate *inf, struct qcow_image *image, u64 host);

/* Bytes of decompressed clusters held now, for sysfs. */
u64 qcow_inflate_bytes(struct qcow_inflate *inf);

#if IS_ENABLED(CONFIG_KUNIT)
/* From now on there is no memory but what has been set aside, or there is again. */
void qcow_inflate_starve(struct qcow_inflate *inf, bool starved);
#endif

#endif /* _QCOW_INFLATE_H */
