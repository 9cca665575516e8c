/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Images of compressed clusters, for the tests of the cache of decompressed clusters. They
 * lie on a RAM disk at odd offsets, made of blocks that are not compressed, which every
 * decoder must take; each has content of its own.
 */
#ifndef _QCOW_KUNIT_CLUSTER_FIXTURE_H
#define _QCOW_KUNIT_CLUSTER_FIXTURE_H

#include <linux/types.h>

#include "layer/image.h"

struct kunit;
struct qcow_extent;
struct qcow_cluster;
struct qcow_waiter;
struct ram_disk;

#define NR_CLUSTERS	32

/**
 * struct cluster_fixture - an image that has nothing but compressed clusters
 * @test: the test
 * @disk: the file
 * @image: the image, with a cache
 * @stride: bytes from one compressed cluster to the next, roughly
 */
struct cluster_fixture {
	struct kunit *test;
	struct ram_disk *disk;
	struct qcow_image image;
	u64 stride;
};

/*
 * Clusters 0 to NR_CLUSTERS - 1, and a cache of @limit bytes; 0: that of a real image, with the
 * first load. Skips @test where the kernel is without @type.
 */
struct cluster_fixture *cluster_fixture_create(struct kunit *test, u64 limit, u32 type,
					       u8 cluster_bits);

/* The usual case: zlib, clusters of 4 KiB. */
struct cluster_fixture *cluster_fixture_4k(struct kunit *test, u64 limit);

/* Give the image a store that is as long as the disk is now. */
void cluster_open_store(struct cluster_fixture *f);

/* Where cluster @n is: any byte may be the first. */
u64 cluster_host(const struct cluster_fixture *f, u32 n);

/* Bytes that a cluster takes on the disk. */
size_t cluster_packed_bytes(const struct cluster_fixture *f);

/* The extent as a table would have it for @bytes: up to the end of the last sector. */
struct qcow_extent cluster_extent(const struct cluster_fixture *f, u32 n, size_t bytes);

/* Write cluster @n to the disk; returns cluster_packed_bytes(). */
size_t cluster_put_packed(struct cluster_fixture *f, u32 n);

bool cluster_content_is(const struct cluster_fixture *f, const struct qcow_cluster *c, u32 n);

/* qcow_decompress_load() of cluster @n. */
int cluster_load(struct cluster_fixture *f, u32 n, struct qcow_waiter *waiter,
		 struct qcow_cluster **c);

/* That must succeed and bring the right content. */
void cluster_load_and_put(struct cluster_fixture *f, u32 n);

/* Whether it is found, which counts as use; the content must be right. */
bool cluster_cached(struct cluster_fixture *f, u32 n);

#endif /* _QCOW_KUNIT_CLUSTER_FIXTURE_H */
