/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Decompressed clusters of an image, in a fill cache (layer/cache.h): decompressed once for all
 * that want one at the same time, a bounded number kept for the next read. Decompression runs
 * outside every lock, on as many CPUs as have work.
 */
#ifndef _QCOW_DECOMPRESS_H
#define _QCOW_DECOMPRESS_H

#include <linux/types.h>

#include "layer/cache.h"

struct qcow_extent;
struct qcow_image;

/* Decompressed bytes kept per image: this, or four clusters where that is more. */
#define QCOW_DECOMPRESS_BYTES	(4U << 20)

/**
 * struct qcow_cluster - one decompressed cluster
 * @cached: what the cache knows of it
 * @data: the cluster, qcow_cluster_bytes() of the image; not to be written to
 * @src: memory for the compressed data; a private one keeps it
 */
struct qcow_cluster {
	struct qcow_cached cached;
	void *data;
	void *src;
};

/* The filler; the cache's owner is the image. */
extern const struct qcow_cache_ops qcow_cluster_ops;

/**
 * qcow_decompress_find() - a decompressed cluster that is there already
 * @image: the layer that has the extent
 * @host: ext->host of the compressed extent
 *
 * Context: process context with or without the right to sleep; a short spinlock.
 * Return: the cluster with a reference for qcow_decompress_put(), or NULL.
 */
struct qcow_cluster *qcow_decompress_find(struct qcow_image *image, u64 host);

/**
 * qcow_decompress_load() - find it, read and decompress it when it is not there
 * @image: the layer
 * @ext: the compressed extent, for host and compressed_len
 * @waiter: parked when another caller decompresses it just now, or NULL: wait here
 * @cluster: result with a reference
 *
 * Where there is no room or no memory the cluster is private: for this caller alone, and to be
 * put before the caller loads another.
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
int qcow_decompress_load(struct qcow_image *image, const struct qcow_extent *ext,
			 struct qcow_waiter *waiter, struct qcow_cluster **cluster);

/* Frees a cluster that has been evicted. Context: process context, may sleep. */
static inline void qcow_decompress_put(struct qcow_cluster *cluster)
{
	qcow_cache_put(&cluster->cached);
}

/**
 * qcow_decompress_forget() - forget a cluster whose compressed data is gone
 * @image: the layer
 * @host: where the compressed data was
 *
 * I/O that was mapped when an entry still referred to it has ended. In a broken image another
 * entry may refer to it: a caller that loads or holds it for that one goes on with it. Context:
 * process context, may sleep.
 */
void qcow_decompress_forget(struct qcow_image *image, u64 host);

/* Forget all clusters of a layer that no caller uses. Context: process context, may sleep. */
void qcow_decompress_clear(struct qcow_image *image);

/* Clusters that have been decompressed, for sysfs. */
u64 qcow_decompress_count(const struct qcow_image *image);

/* Bytes of decompressed clusters held now, for sysfs. */
u64 qcow_decompress_bytes(const struct qcow_image *image);

#endif /* _QCOW_DECOMPRESS_H */
