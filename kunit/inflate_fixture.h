/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Images of compressed clusters, for the tests of the cache of decompressed clusters. They
 * lie on a RAM disk at odd offsets, made of blocks that are not compressed, which every
 * decoder must take; each has content of its own.
 */
#ifndef _QCOW_KUNIT_INFLATE_FIXTURE_H
#define _QCOW_KUNIT_INFLATE_FIXTURE_H

#include <linux/types.h>

#include "layer/image.h"

struct kunit;
struct qcow_extent;
struct qcow_inflate;
struct qcow_inflated;
struct qcow_waiter;
struct ram_disk;

#define NR_CLUSTERS	32

/**
 * struct inflate_fixture - an image that has nothing but compressed clusters
 * @test: whose
 * @inf: the cache
 * @disk: the file
 * @image: the image, key in @inf
 * @stride: bytes from one compressed cluster to the next, roughly
 */
struct inflate_fixture {
	struct kunit *test;
	struct qcow_inflate *inf;
	struct ram_disk *disk;
	struct qcow_image image;
	u64 stride;
};

/* A cache that lives as long as @test. */
struct qcow_inflate *inflate_create(struct kunit *test, u64 limit);

/* Clusters 0 to NR_CLUSTERS - 1. Skips @test where the kernel is without @type. */
struct inflate_fixture *inflate_fixture_create(struct kunit *test, struct qcow_inflate *inf,
					       u32 type, u8 cluster_bits);

/* The usual case: zlib, clusters of 4 KiB, a cache of its own. */
struct inflate_fixture *inflate_fixture_4k(struct kunit *test, u64 limit);

/* Give the image a store that is as long as the disk is now. */
void inflate_open_store(struct inflate_fixture *f);

/* Where cluster @n is: any byte may be the first. */
u64 inflate_host(const struct inflate_fixture *f, u32 n);

/* Bytes that a cluster takes on the disk. */
size_t inflate_packed_bytes(const struct inflate_fixture *f);

/* The extent as a table would have it for @bytes: up to the end of the last sector. */
struct qcow_extent inflate_extent(const struct inflate_fixture *f, u32 n, size_t bytes);

/* Write cluster @n to the disk; returns inflate_packed_bytes(). */
size_t inflate_put_cluster(struct inflate_fixture *f, u32 n);

bool inflate_content_is(const struct inflate_fixture *f, const struct qcow_inflated *c, u32 n);

/* qcow_inflate_load() of cluster @n. */
int inflate_load(struct inflate_fixture *f, u32 n, struct qcow_waiter *waiter,
		 struct qcow_inflated **c);

/* That must succeed and bring the right content. */
void inflate_load_and_put(struct inflate_fixture *f, u32 n);

/* Whether it is found, which counts as use; the content must be right. */
bool inflate_cached(struct inflate_fixture *f, u32 n);

#endif /* _QCOW_KUNIT_INFLATE_FIXTURE_H */
