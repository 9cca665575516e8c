// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the cache of decompressed clusters: what it keeps, what it refuses.
 */

#include <kunit/test.h>
#include <linux/shrinker.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "data/inflate_impl.h"
#include "inflate_fixture.h"
#include "ram_store.h"

static void cluster_is_made_once(struct kunit *test)
{
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_1M);

	KUNIT_EXPECT_FALSE(test, inflate_cached(f, 3));
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&f->disk->reads));
	KUNIT_EXPECT_EQ(test, 0ULL, qcow_inflate_bytes(f->inf));

	inflate_load_and_put(f, 3);
	inflate_load_and_put(f, 3);
	KUNIT_EXPECT_TRUE(test, inflate_cached(f, 3));
	KUNIT_EXPECT_FALSE(test, inflate_cached(f, 2));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->reads));
	KUNIT_EXPECT_EQ(test, (u64)SZ_4K, qcow_inflate_bytes(f->inf));
}

/* Layers of one device: other methods, other cluster sizes, the same host offsets. */
static void layers_share_a_cache(struct kunit *test)
{
	struct qcow_inflate *inf = inflate_create(test, SZ_16M);
	struct inflate_fixture *f[8];
	u64 bytes = 0;
	unsigned int i;
	u32 n;

	for (i = 0; i < ARRAY_SIZE(f); i++)
		f[i] = inflate_fixture_create(test, inf, i % 2 ? QCOW_COMPRESSION_ZSTD :
				      QCOW_COMPRESSION_ZLIB, 9 + i / 2 * 3);
	for (n = 0; n < 3; n++) {
		for (i = 0; i < ARRAY_SIZE(f); i++) {
			inflate_load_and_put(f[i], n);
			bytes += qcow_cluster_bytes(&f[i]->image.geo);
		}
	}
	KUNIT_EXPECT_EQ(test, bytes, qcow_inflate_bytes(inf));
	for (i = 0; i < ARRAY_SIZE(f); i++) {
		KUNIT_EXPECT_TRUE(test, inflate_cached(f[i], 2));
		KUNIT_EXPECT_FALSE(test, inflate_cached(f[i], 3));
	}
}

static void largest_clusters(struct kunit *test)
{
	struct qcow_inflate *inf = inflate_create(test, SZ_4M);
	struct inflate_fixture *f = inflate_fixture_create(test, inf, QCOW_COMPRESSION_ZLIB, 21);
	u32 n;

	for (n = 0; n < 6; n++)
		inflate_load_and_put(f, n);
	/* Four of them are more than what was asked for. */
	KUNIT_EXPECT_EQ(test, (u64)SZ_8M, qcow_inflate_bytes(inf));
	KUNIT_EXPECT_TRUE(test, inflate_cached(f, 2));
	KUNIT_EXPECT_FALSE(test, inflate_cached(f, 1));
}

static void limit_holds(struct kunit *test)
{
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_32K);
	u32 n;

	for (n = 0; n < 2 * NR_CLUSTERS; n++) {
		inflate_load_and_put(f, n % NR_CLUSTERS);
		KUNIT_EXPECT_LE(test, qcow_inflate_bytes(f->inf), (u64)SZ_32K);
	}
	KUNIT_EXPECT_EQ(test, (u64)SZ_32K, qcow_inflate_bytes(f->inf));
}

static void least_recently_used_goes_first(struct kunit *test)
{
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_32K);
	u32 n;

	for (n = 0; n < 8; n++)
		inflate_load_and_put(f, n);
	KUNIT_EXPECT_TRUE(test, inflate_cached(f, 0));
	inflate_load_and_put(f, 1);
	inflate_load_and_put(f, 8);
	inflate_load_and_put(f, 9);
	KUNIT_EXPECT_TRUE(test, inflate_cached(f, 0));
	KUNIT_EXPECT_TRUE(test, inflate_cached(f, 1));
	KUNIT_EXPECT_FALSE(test, inflate_cached(f, 2));
	KUNIT_EXPECT_FALSE(test, inflate_cached(f, 3));
	KUNIT_EXPECT_TRUE(test, inflate_cached(f, 4));
}

static void held_clusters_stay(struct kunit *test)
{
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_16K);
	struct qcow_inflated *held[8];
	u32 n;

	for (n = 0; n < ARRAY_SIZE(held); n++)
		KUNIT_ASSERT_EQ(test, 0, inflate_load(f, n, NULL, &held[n]));
	KUNIT_EXPECT_EQ(test, (u64)SZ_32K, qcow_inflate_bytes(f->inf));
	inflate_load_and_put(f, 20);
	for (n = 0; n < ARRAY_SIZE(held); n++) {
		KUNIT_EXPECT_TRUE(test, inflate_content_is(f, held[n], n));
		KUNIT_EXPECT_TRUE(test, inflate_cached(f, n));
		qcow_inflated_put(f->inf, held[n]);
	}
	/* The next load brings it back below the limit. */
	inflate_load_and_put(f, 21);
	KUNIT_EXPECT_EQ(test, (u64)SZ_16K, qcow_inflate_bytes(f->inf));
}

static void failed_read_leaves_nothing(struct kunit *test)
{
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_32K);
	struct qcow_inflated *c;

	ram_disk_fail(f->disk, 1, -EIO);
	KUNIT_EXPECT_EQ(test, -EIO, inflate_load(f, 5, NULL, &c));
	KUNIT_EXPECT_EQ(test, 0ULL, qcow_inflate_bytes(f->inf));
	KUNIT_EXPECT_FALSE(test, inflate_cached(f, 5));
	inflate_load_and_put(f, 5);
}

static void garbage_is_corrupt(struct kunit *test)
{
	static const u8 fill[] = { 0x00, 0xff, 0xa7 };
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_32K);
	struct qcow_inflated *c;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fill); i++) {
		memset(f->disk->data + inflate_host(f, 5), fill[i], inflate_packed_bytes(f));
		KUNIT_EXPECT_EQ(test, -EUCLEAN, inflate_load(f, 5, NULL, &c));
		KUNIT_EXPECT_EQ(test, 0ULL, qcow_inflate_bytes(f->inf));
	}
	/* Its neighbours are not the worse for it, and it is not remembered. */
	inflate_load_and_put(f, 4);
	inflate_put_cluster(f, 5);
	inflate_load_and_put(f, 5);
}

static void end_of_the_file(struct kunit *test)
{
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_32K);
	u64 end = inflate_host(f, 9) + inflate_packed_bytes(f);
	struct qcow_inflated *c;
	struct qcow_extent ext;

	/* The length in the table reaches beyond the end, the data does not. */
	f->disk->bytes = end;
	inflate_open_store(f);
	ext = inflate_extent(f, 9, inflate_packed_bytes(f) + SZ_2K);
	KUNIT_ASSERT_EQ(test, 0, qcow_inflate_load(f->inf, &f->image, &ext, NULL, &c));
	KUNIT_EXPECT_TRUE(test, inflate_content_is(f, c, 9));
	qcow_inflated_put(f->inf, c);

	/* The data does. */
	f->disk->bytes = inflate_host(f, 8) + inflate_packed_bytes(f) - 100;
	inflate_open_store(f);
	ext = inflate_extent(f, 8, inflate_packed_bytes(f));
	c = NULL;
	KUNIT_EXPECT_EQ(test, 0, qcow_inflate_load(f->inf, &f->image, &ext, NULL, &c));
	KUNIT_ASSERT_NOT_NULL(test, c);
	KUNIT_EXPECT_FALSE(test, inflate_content_is(f, c, 8));
	KUNIT_EXPECT_NULL(test, memchr_inv(c->data + SZ_4K - 100, 0, 100));
	qcow_inflated_put(f->inf, c);

	/* There is but one byte of it. */
	f->disk->bytes = inflate_host(f, 7) + 1;
	inflate_open_store(f);
	KUNIT_EXPECT_EQ(test, -EUCLEAN, inflate_load(f, 7, NULL, &c));

	/* It starts at the end. */
	f->disk->bytes = inflate_host(f, 7);
	inflate_open_store(f);
	KUNIT_EXPECT_EQ(test, -EUCLEAN, inflate_load(f, 7, NULL, &c));
	ext.host = U64_MAX >> 2;
	KUNIT_EXPECT_EQ(test, -EUCLEAN, qcow_inflate_load(f->inf, &f->image, &ext, NULL, &c));
	ext = inflate_extent(f, 1, 0);
	ext.compressed_len = 0;
	KUNIT_EXPECT_EQ(test, -EUCLEAN, qcow_inflate_load(f->inf, &f->image, &ext, NULL, &c));
}

static void shrinker_gives_clusters_back(struct kunit *test)
{
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_1M);
	struct shrinker *shrinker = f->inf->shrinker;
	struct shrink_control sc = { .gfp_mask = GFP_NOIO, .nr_to_scan = 5 };
	struct qcow_inflated *held;
	u32 n;

	KUNIT_EXPECT_EQ(test, 0UL, shrinker->count_objects(shrinker, &sc));
	KUNIT_EXPECT_EQ(test, SHRINK_STOP, shrinker->scan_objects(shrinker, &sc));
	for (n = 0; n < 10; n++)
		inflate_load_and_put(f, n);
	KUNIT_ASSERT_EQ(test, 0, inflate_load(f, 0, NULL, &held));
	KUNIT_EXPECT_EQ(test, 10UL, shrinker->count_objects(shrinker, &sc));
	KUNIT_EXPECT_EQ(test, 5UL, shrinker->scan_objects(shrinker, &sc));
	KUNIT_EXPECT_FALSE(test, inflate_cached(f, 1));
	KUNIT_EXPECT_TRUE(test, inflate_cached(f, 6));

	sc.nr_to_scan = 100;
	KUNIT_EXPECT_EQ(test, 4UL, shrinker->scan_objects(shrinker, &sc));
	KUNIT_EXPECT_EQ(test, (u64)SZ_4K, qcow_inflate_bytes(f->inf));
	KUNIT_EXPECT_TRUE(test, inflate_content_is(f, held, 0));
	qcow_inflated_put(f->inf, held);
	KUNIT_EXPECT_EQ(test, 1UL, shrinker->scan_objects(shrinker, &sc));
	KUNIT_EXPECT_EQ(test, 0ULL, qcow_inflate_bytes(f->inf));
	inflate_load_and_put(f, 0);
}

static void workspaces_are_bounded(struct kunit *test)
{
	struct qcow_workspaces pool;
	struct qcow_workspace **all;
	unsigned int i;

	qcow_workspaces_init(&pool, qcow_codec_get(QCOW_COMPRESSION_ZLIB));
	all = kunit_kcalloc(test, pool.max, sizeof(*all), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, all);
	KUNIT_EXPECT_EQ(test, 0U, pool.nr);
	KUNIT_ASSERT_EQ(test, 0, qcow_workspaces_fill(&pool));
	KUNIT_ASSERT_EQ(test, 0, qcow_workspaces_fill(&pool));
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
	KUNIT_CASE(layers_share_a_cache),
	KUNIT_CASE(largest_clusters),
	KUNIT_CASE(limit_holds),
	KUNIT_CASE(least_recently_used_goes_first),
	KUNIT_CASE(held_clusters_stay),
	KUNIT_CASE(failed_read_leaves_nothing),
	KUNIT_CASE(garbage_is_corrupt),
	KUNIT_CASE(end_of_the_file),
	KUNIT_CASE(shrinker_gives_clusters_back),
	KUNIT_CASE(workspaces_are_bounded),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_inflate",
	.test_cases = cases,
};

kunit_test_suite(suite);
