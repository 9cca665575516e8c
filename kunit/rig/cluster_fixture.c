// SPDX-License-Identifier: GPL-2.0
/*
 * Images of compressed clusters, for the tests of the cache of decompressed clusters.
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/sizes.h>
#include <linux/unaligned.h>

#include "layer/codec.h"
#include "layer/decompress.h"
#include "store/store.h"
#include "rig/cluster_fixture.h"
#include "rig/ram_store.h"

/* Bytes of one stored block; a cluster of 64 KiB takes more than one. */
#define BLOCK_BYTES	SZ_32K

static u8 content(u32 n, size_t i)
{
	return n * 37 + i + i / 251;
}

u64 cluster_host(const struct cluster_fixture *f, u32 n)
{
	return n * f->stride + n * 77 % 512;
}

struct qcow_extent cluster_extent(const struct cluster_fixture *f, u32 n, size_t bytes)
{
	struct qcow_extent ext = {
		.kind = QCOW_EXTENT_COMPRESSED,
		.host = cluster_host(f, n),
	};

	ext.compressed_len = round_up(ext.host + bytes, SECTOR_SIZE) - ext.host;
	return ext;
}

static u8 *put_content(u8 *p, u32 n, size_t from, size_t len)
{
	size_t i;

	for (i = from; i < from + len; i++)
		*p++ = content(n, i);
	return p;
}

static size_t put_zlib(u8 *p, u32 n, size_t bytes)
{
	u8 *start = p;
	size_t done, part;

	for (done = 0; done < bytes; done += part) {
		part = min_t(size_t, bytes - done, BLOCK_BYTES);
		*p++ = done + part == bytes;
		put_unaligned_le16(part, p);
		put_unaligned_le16(~part, p + 2);
		p = put_content(p + 4, n, done, part);
	}
	return p - start;
}

static size_t put_zstd(u8 *p, u32 n, size_t bytes)
{
	u8 *start = p;
	size_t done, part;

	/* Content size of four bytes, no window: the content is one segment. */
	put_unaligned_le32(0xfd2fb528, p);
	p[4] = 0xa0;
	put_unaligned_le32(bytes, p + 5);
	p += 9;
	for (done = 0; done < bytes; done += part) {
		part = min_t(size_t, bytes - done, BLOCK_BYTES);
		put_unaligned_le16(part << 3 | (done + part == bytes), p);
		p[2] = part >> 13;
		p = put_content(p + 3, n, done, part);
	}
	return p - start;
}

size_t cluster_put_packed(struct cluster_fixture *f, u32 n)
{
	size_t bytes = qcow_cluster_bytes(&f->image.geo);
	u8 *p = f->disk->data + cluster_host(f, n);

	if (f->image.header.compression_type == QCOW_COMPRESSION_ZSTD)
		return put_zstd(p, n, bytes);
	return put_zlib(p, n, bytes);
}

size_t cluster_packed_bytes(const struct cluster_fixture *f)
{
	size_t bytes = qcow_cluster_bytes(&f->image.geo);
	size_t blocks = DIV_ROUND_UP(bytes, BLOCK_BYTES);

	if (f->image.header.compression_type == QCOW_COMPRESSION_ZSTD)
		return 9 + 3 * blocks + bytes;
	return 5 * blocks + bytes;
}

static void clusters_destroy(void *data)
{
	struct qcow_image *image = data;

	if (!image->clusters)
		return;
	qcow_cache_clear(image->clusters, &image->cluster_index);
	qcow_cache_destroy(image->clusters);
}

static void store_destroy(void *store)
{
	qcow_store_destroy(store);
}

void cluster_open_store(struct cluster_fixture *f)
{
	f->image.store = ram_store_create(f->test, f->disk);
	KUNIT_ASSERT_EQ(f->test, 0, kunit_add_action_or_reset(f->test, store_destroy,
							      f->image.store));
}

struct cluster_fixture *cluster_fixture_create(struct kunit *test, u64 limit, u32 type,
					       u8 cluster_bits)
{
	struct cluster_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	u32 n;

	KUNIT_ASSERT_NOT_NULL(test, f);
	if (qcow_codec_get(type)->missing)
		kunit_skip(test, "the kernel is without %s", qcow_codec_get(type)->missing);
	f->test = test;
	f->image.name = "qcow-test";
	f->image.header.compression_type = type;
	f->image.geo.cluster_bits = cluster_bits;
	f->image.geo.csize_sectors = true;
	f->image.geo.csize_mask = (1 << (cluster_bits - 8)) - 1;
	f->stride = round_up(cluster_packed_bytes(f), SECTOR_SIZE) + SZ_1K;
	f->disk = ram_disk_create(test, NR_CLUSTERS * f->stride);
	cluster_open_store(f);
	for (n = 0; n < NR_CLUSTERS; n++)
		KUNIT_ASSERT_EQ(test, cluster_packed_bytes(f), cluster_put_packed(f, n));
	mutex_init(&f->image.clusters_lock);
	xa_init(&f->image.cluster_index);
	if (limit) {
		f->image.clusters = qcow_cache_create(&qcow_cluster_ops, &f->image, limit, "kunit");
		KUNIT_ASSERT_NOT_NULL(test, f->image.clusters);
	}
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, clusters_destroy, &f->image));
	return f;
}

struct cluster_fixture *cluster_fixture_4k(struct kunit *test, u64 limit)
{
	return cluster_fixture_create(test, limit, QCOW_COMPRESSION_ZLIB, 12);
}

bool cluster_content_is(const struct cluster_fixture *f, const struct qcow_cluster *c, u32 n)
{
	const u8 *data = c->data;
	size_t i;

	for (i = 0; i < qcow_cluster_bytes(&f->image.geo); i++) {
		if (data[i] != content(n, i))
			return false;
	}
	return true;
}

int cluster_load(struct cluster_fixture *f, u32 n, struct qcow_waiter *waiter,
		 struct qcow_cluster **c)
{
	struct qcow_extent ext = cluster_extent(f, n, cluster_packed_bytes(f));

	return qcow_decompress_load(&f->image, &ext, waiter, c);
}

void cluster_load_and_put(struct cluster_fixture *f, u32 n)
{
	struct qcow_cluster *c;

	KUNIT_ASSERT_EQ(f->test, 0, cluster_load(f, n, NULL, &c));
	KUNIT_EXPECT_TRUE(f->test, cluster_content_is(f, c, n));
	qcow_decompress_put(c);
}

bool cluster_cached(struct cluster_fixture *f, u32 n)
{
	struct qcow_cluster *c = qcow_decompress_find(&f->image, cluster_host(f, n));

	if (!c)
		return false;
	KUNIT_EXPECT_TRUE(f->test, cluster_content_is(f, c, n));
	qcow_decompress_put(c);
	return true;
}
