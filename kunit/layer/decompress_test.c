// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the cache of decompressed clusters: what it keeps, what it refuses.
 */

#include <kunit/test.h>
#include <linux/shrinker.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "layer/decompress.h"
#include "layer/codec.h"
#include "layer/workspace.h"
#include "rig/cluster_fixture.h"
#include "rig/ram_store.h"

static void cluster_is_made_once(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_1M);

	KUNIT_EXPECT_FALSE(test, cluster_cached(f, 3));
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&f->disk->reads));
	KUNIT_EXPECT_EQ(test, 0ULL, qcow_decompress_bytes(&f->image));

	cluster_load_and_put(f, 3);
	cluster_load_and_put(f, 3);
	KUNIT_EXPECT_TRUE(test, cluster_cached(f, 3));
	KUNIT_EXPECT_FALSE(test, cluster_cached(f, 2));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->reads));
	KUNIT_EXPECT_EQ(test, (u64)SZ_4K, qcow_decompress_bytes(&f->image));
}

/* Other methods, other cluster sizes. */
static void every_method_and_size(struct kunit *test)
{
	struct cluster_fixture *f;
	unsigned int i;
	u32 n;

	for (i = 0; i < 8; i++) {
		f = cluster_fixture_create(test, SZ_4M, i % 2 ? QCOW_COMPRESSION_ZSTD :
					   QCOW_COMPRESSION_ZLIB, 9 + i / 2 * 3);
		for (n = 0; n < 3; n++)
			cluster_load_and_put(f, n);
		KUNIT_EXPECT_EQ(test, 3 * qcow_cluster_bytes(&f->image.geo),
				qcow_decompress_bytes(&f->image));
		KUNIT_EXPECT_TRUE(test, cluster_cached(f, 2));
		KUNIT_EXPECT_FALSE(test, cluster_cached(f, 3));
	}
}

static void largest_clusters(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_create(test, 0, QCOW_COMPRESSION_ZLIB, 21);
	u32 n;

	/* Nothing is there before it is needed. */
	KUNIT_EXPECT_NULL(test, f->image.clusters);
	KUNIT_EXPECT_FALSE(test, cluster_cached(f, 0));
	for (n = 0; n < 6; n++)
		cluster_load_and_put(f, n);
	/* Four of them are more than the usual limit. */
	KUNIT_EXPECT_EQ(test, (u64)SZ_8M, qcow_decompress_bytes(&f->image));
	KUNIT_EXPECT_TRUE(test, cluster_cached(f, 2));
	KUNIT_EXPECT_FALSE(test, cluster_cached(f, 1));
}

static void limit_holds(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);
	u32 n;

	for (n = 0; n < 2 * NR_CLUSTERS; n++) {
		cluster_load_and_put(f, n % NR_CLUSTERS);
		KUNIT_EXPECT_LE(test, qcow_decompress_bytes(&f->image), (u64)SZ_32K);
	}
	KUNIT_EXPECT_EQ(test, (u64)SZ_32K, qcow_decompress_bytes(&f->image));
}

static void used_clusters_get_a_second_chance(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);
	u32 n;

	for (n = 0; n < 8; n++)
		cluster_load_and_put(f, n);
	KUNIT_EXPECT_TRUE(test, cluster_cached(f, 0));
	cluster_load_and_put(f, 1);
	cluster_load_and_put(f, 8);
	cluster_load_and_put(f, 9);
	KUNIT_EXPECT_TRUE(test, cluster_cached(f, 0));
	KUNIT_EXPECT_TRUE(test, cluster_cached(f, 1));
	KUNIT_EXPECT_FALSE(test, cluster_cached(f, 2));
	KUNIT_EXPECT_FALSE(test, cluster_cached(f, 3));
	KUNIT_EXPECT_TRUE(test, cluster_cached(f, 4));
}

static void held_clusters_stay(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_16K);
	struct qcow_cluster *held[4], *beside;
	u32 n;

	for (n = 0; n < ARRAY_SIZE(held); n++)
		KUNIT_ASSERT_EQ(test, 0, cluster_load(f, n, NULL, &held[n]));
	KUNIT_EXPECT_EQ(test, (u64)SZ_16K, qcow_decompress_bytes(&f->image));
	/* There is no room until they are put: it is private. */
	KUNIT_ASSERT_EQ(test, 0, cluster_load(f, 20, NULL, &beside));
	KUNIT_EXPECT_EQ(test, QCOW_CACHED_PRIVATE, beside->cached.state);
	KUNIT_EXPECT_TRUE(test, cluster_content_is(f, beside, 20));
	qcow_decompress_put(beside);
	KUNIT_EXPECT_FALSE(test, cluster_cached(f, 20));
	KUNIT_EXPECT_EQ(test, (u64)SZ_16K, qcow_decompress_bytes(&f->image));
	for (n = 0; n < ARRAY_SIZE(held); n++) {
		KUNIT_EXPECT_TRUE(test, cluster_content_is(f, held[n], n));
		qcow_decompress_put(held[n]);
	}
	cluster_load_and_put(f, 21);
	KUNIT_EXPECT_TRUE(test, cluster_cached(f, 21));
}

static void dropped_cluster_is_made_anew(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);

	qcow_decompress_forget(&f->image, cluster_host(f, 5));
	cluster_load_and_put(f, 5);
	cluster_load_and_put(f, 6);
	qcow_decompress_forget(&f->image, cluster_host(f, 5));
	KUNIT_EXPECT_FALSE(test, cluster_cached(f, 5));
	KUNIT_EXPECT_TRUE(test, cluster_cached(f, 6));
	cluster_load_and_put(f, 5);
	KUNIT_EXPECT_EQ(test, 3, atomic_read(&f->disk->reads));
}

static void failed_read_leaves_nothing(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);
	struct qcow_cluster *c;

	ram_disk_fail(f->disk, 1, -EIO);
	KUNIT_EXPECT_EQ(test, -EIO, cluster_load(f, 5, NULL, &c));
	KUNIT_EXPECT_EQ(test, 0ULL, qcow_decompress_bytes(&f->image));
	KUNIT_EXPECT_FALSE(test, cluster_cached(f, 5));
	cluster_load_and_put(f, 5);
}

static void garbage_is_corrupt(struct kunit *test)
{
	static const u8 fill[] = { 0x00, 0xff, 0xa7 };
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);
	struct qcow_cluster *c;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fill); i++) {
		memset(f->disk->data + cluster_host(f, 5), fill[i], cluster_packed_bytes(f));
		KUNIT_EXPECT_EQ(test, -EUCLEAN, cluster_load(f, 5, NULL, &c));
		KUNIT_EXPECT_EQ(test, 0ULL, qcow_decompress_bytes(&f->image));
	}
	/* Its neighbours are not the worse for it, and it is not remembered. */
	cluster_load_and_put(f, 4);
	cluster_put_packed(f, 5);
	cluster_load_and_put(f, 5);
}

static void end_of_the_file(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);
	u64 end = cluster_host(f, 9) + cluster_packed_bytes(f);
	struct qcow_cluster *c;
	struct qcow_extent ext;

	/* The length in the table reaches beyond the end, the data does not. */
	f->disk->bytes = end;
	cluster_open_store(f);
	ext = cluster_extent(f, 9, cluster_packed_bytes(f) + SZ_2K);
	KUNIT_ASSERT_EQ(test, 0, qcow_decompress_load(&f->image, &ext, NULL, &c));
	KUNIT_EXPECT_TRUE(test, cluster_content_is(f, c, 9));
	qcow_decompress_put(c);

	/* The data does. */
	f->disk->bytes = cluster_host(f, 8) + cluster_packed_bytes(f) - 100;
	cluster_open_store(f);
	ext = cluster_extent(f, 8, cluster_packed_bytes(f));
	c = NULL;
	KUNIT_EXPECT_EQ(test, 0, qcow_decompress_load(&f->image, &ext, NULL, &c));
	KUNIT_ASSERT_NOT_NULL(test, c);
	KUNIT_EXPECT_FALSE(test, cluster_content_is(f, c, 8));
	KUNIT_EXPECT_NULL(test, memchr_inv(c->data + SZ_4K - 100, 0, 100));
	qcow_decompress_put(c);

	/* There is but one byte of it. */
	f->disk->bytes = cluster_host(f, 7) + 1;
	cluster_open_store(f);
	KUNIT_EXPECT_EQ(test, -EUCLEAN, cluster_load(f, 7, NULL, &c));

	/* It starts at the end. */
	f->disk->bytes = cluster_host(f, 7);
	cluster_open_store(f);
	KUNIT_EXPECT_EQ(test, -EUCLEAN, cluster_load(f, 7, NULL, &c));
	ext.host = U64_MAX >> 2;
	KUNIT_EXPECT_EQ(test, -EUCLEAN, qcow_decompress_load(&f->image, &ext, NULL, &c));
	ext = cluster_extent(f, 1, 0);
	ext.compressed_len = 0;
	KUNIT_EXPECT_EQ(test, -EUCLEAN, qcow_decompress_load(&f->image, &ext, NULL, &c));
}

static void shrinker_gives_clusters_back(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_1M);
	struct shrinker *shrinker = f->image.clusters->shrinker;
	struct shrink_control sc = { .gfp_mask = GFP_NOIO, .nr_to_scan = 5 };
	struct qcow_cluster *held;
	u32 n;

	KUNIT_EXPECT_EQ(test, 0UL, shrinker->count_objects(shrinker, &sc));
	KUNIT_EXPECT_EQ(test, SHRINK_STOP, shrinker->scan_objects(shrinker, &sc));
	for (n = 0; n < 10; n++)
		cluster_load_and_put(f, n);
	KUNIT_ASSERT_EQ(test, 0, cluster_load(f, 9, NULL, &held));
	KUNIT_EXPECT_EQ(test, 10UL, shrinker->count_objects(shrinker, &sc));
	KUNIT_EXPECT_EQ(test, 5UL, shrinker->scan_objects(shrinker, &sc));
	KUNIT_EXPECT_FALSE(test, cluster_cached(f, 4));
	KUNIT_EXPECT_EQ(test, 5UL, shrinker->count_objects(shrinker, &sc));

	/* One that is held has been used; then its memory stays until it is put. */
	sc.nr_to_scan = 100;
	KUNIT_EXPECT_EQ(test, 5UL, shrinker->scan_objects(shrinker, &sc));
	KUNIT_EXPECT_EQ(test, (u64)SZ_4K, qcow_decompress_bytes(&f->image));
	KUNIT_EXPECT_TRUE(test, cluster_content_is(f, held, 9));
	qcow_decompress_put(held);
	KUNIT_EXPECT_EQ(test, 0ULL, qcow_decompress_bytes(&f->image));
	cluster_load_and_put(f, 0);
}

static void workspaces_are_bounded(struct kunit *test)
{
	struct qcow_workspaces pool;
	struct qcow_workspace **all;
	unsigned int i;

	qcow_workspaces_init(&pool, SZ_4K);
	all = kunit_kcalloc(test, pool.max, sizeof(*all), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, all);
	KUNIT_EXPECT_EQ(test, 0U, pool.nr);
	KUNIT_ASSERT_EQ(test, 0, qcow_workspaces_fill(&pool, false));
	KUNIT_ASSERT_EQ(test, 0, qcow_workspaces_fill(&pool, false));
	KUNIT_EXPECT_EQ(test, 1U, pool.nr);
	KUNIT_EXPECT_EQ(test, 0UL, qcow_workspaces_spare(&pool));

	for (i = 0; i < pool.max; i++)
		all[i] = qcow_workspaces_get(&pool);
	KUNIT_EXPECT_EQ(test, pool.max, pool.nr);
	KUNIT_EXPECT_EQ(test, 0UL, qcow_workspaces_trim(&pool, 100));
	for (i = 0; i < pool.max; i++)
		qcow_workspaces_put(&pool, all[i]);
	KUNIT_EXPECT_EQ(test, pool.max - 1UL, qcow_workspaces_spare(&pool));
	KUNIT_EXPECT_EQ(test, pool.max - 1UL, qcow_workspaces_trim(&pool, 100));
	KUNIT_EXPECT_EQ(test, 1U, pool.nr);
	qcow_workspaces_destroy(&pool);
	KUNIT_EXPECT_EQ(test, 0U, pool.nr);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(cluster_is_made_once),
	KUNIT_CASE(every_method_and_size),
	KUNIT_CASE(largest_clusters),
	KUNIT_CASE(limit_holds),
	KUNIT_CASE(used_clusters_get_a_second_chance),
	KUNIT_CASE(held_clusters_stay),
	KUNIT_CASE(dropped_cluster_is_made_anew),
	KUNIT_CASE(failed_read_leaves_nothing),
	KUNIT_CASE(garbage_is_corrupt),
	KUNIT_CASE(end_of_the_file),
	KUNIT_CASE(shrinker_gives_clusters_back),
	KUNIT_CASE(workspaces_are_bounded),
	{}
};

static int suite_init(struct kunit_suite *suite)
{
	return qcow_workspaces_module_init();
}

static void suite_exit(struct kunit_suite *suite)
{
	qcow_workspaces_module_exit();
}

static struct kunit_suite suite = {
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.name = "qcow_decompress",
	.test_cases = cases,
};

kunit_test_suite(suite);
