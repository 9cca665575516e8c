// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of reading L2 slices ahead: what is in the cache after sequential reads.
 */
#include <kunit/test.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include "layer/cache.h"
#include "layer/image.h"
#include "layer/map.h"
#include "rig/image_builder.h"
#include "rig/ram_store.h"

#define NR_SLICES	32

/**
 * struct fixture - an image with an entry in each of its first NR_SLICES slices
 * @b: the image
 * @image: open
 * @stride: guest bytes of a slice
 * @waits: maps that had to wait
 */
struct fixture {
	struct image_builder *b;
	struct qcow_image *image;
	u64 stride;
	unsigned int waits;
};

static struct fixture *fixture_create(struct kunit *test, u32 cluster_bits, u64 cache_bytes)
{
	u32 slice_bits = min(cluster_bits, 12U) - 3;
	struct image_shape shape = { .version = 3, .cluster_bits = cluster_bits };
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->stride = 1ULL << (cluster_bits + slice_bits);
	shape.size = NR_SLICES * f->stride;
	f->b = image_build(test, &shape);
	for (i = 0; i < NR_SLICES; i++)
		image_build_entry(f->b, i * f->stride, SZ_1M | ENTRY_COPIED);
	f->b->disk->bytes = SZ_4M;
	f->image = image_build_open(f->b, cache_bytes);
	return f;
}

/* Map a byte that slice @idx maps, and wait for what that makes be read ahead. */
static void map(struct kunit *test, struct fixture *f, u64 idx)
{
	struct qcow_mapping map;
	int err = qcow_map_try(f->image, idx * f->stride, 512, &map);

	if (err == -EAGAIN) {
		f->waits++;
		err = qcow_map_wait(f->image, idx * f->stride, 512, NULL, &map);
	}
	KUNIT_ASSERT_EQ(test, 0, err);
	KUNIT_EXPECT_EQ(test, (u64)SZ_1M, map.ext.host);
	flush_work(&f->image->readahead.work);
}

static void expect_cached(struct kunit *test, struct fixture *f, u64 first, u64 end)
{
	u64 idx;

	for (idx = 0; idx < NR_SLICES; idx++)
		KUNIT_EXPECT_EQ_MSG(test, idx >= first && idx < end,
				    qcow_cache_has(&f->image->l2, idx), "slice %llu", idx);
}

static int reads(struct fixture *f)
{
	return atomic_read(&f->b->disk->reads);
}

static void windows_follow_the_reader(struct kunit *test)
{
	struct fixture *f = fixture_create(test, 16, SZ_1M);
	int before = reads(f);

	map(test, f, 0);
	map(test, f, 1);
	expect_cached(test, f, 0, 2);
	map(test, f, 2);
	expect_cached(test, f, 0, 8);
	/* Three that were waited for, the rest of a window, and the next in one. */
	KUNIT_EXPECT_EQ(test, 5, reads(f) - before);
	map(test, f, 3);
	expect_cached(test, f, 0, 8);
	map(test, f, 4);
	expect_cached(test, f, 0, 12);
	map(test, f, 4);
	map(test, f, 5);
	expect_cached(test, f, 0, 12);
	KUNIT_EXPECT_EQ(test, 6, reads(f) - before);
}

static void forward_to_the_end(struct kunit *test)
{
	struct fixture *f = fixture_create(test, 16, SZ_1M);
	u64 idx;

	for (idx = 0; idx < NR_SLICES; idx++)
		map(test, f, idx);
	KUNIT_EXPECT_EQ(test, 3U, f->waits);
	KUNIT_EXPECT_EQ(test, (s64)NR_SLICES, atomic64_read(&f->image->cache->misses));
}

/* Each table is one slice, wherever it lies; some are not there. */
static void tables_of_one_slice(struct kunit *test)
{
	struct fixture *f = fixture_create(test, 9, SZ_1M);
	u64 idx;

	f->image->l1[5] = 0;
	f->image->l1[8] = 0;
	for (idx = 0; idx < NR_SLICES; idx++) {
		if (idx != 5 && idx != 8)
			map(test, f, idx);
	}
	for (idx = 0; idx < NR_SLICES; idx++)
		KUNIT_EXPECT_EQ_MSG(test, idx != 5 && idx != 8,
				    qcow_cache_has(&f->image->l2, idx), "slice %llu", idx);
}

static void nothing_is_read_ahead_at_random(struct kunit *test)
{
	static const u8 order[] = { 9, 3, 30, 10, 4, 0, 21, 1, 31, 25, 24, 22 };
	struct fixture *f = fixture_create(test, 16, SZ_1M);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(order); i++)
		map(test, f, order[i]);
	KUNIT_EXPECT_EQ(test, (unsigned int)ARRAY_SIZE(order), f->waits);
	KUNIT_EXPECT_EQ(test, (s64)ARRAY_SIZE(order), atomic64_read(&f->image->cache->misses));
}

static void failure_is_nobodys(struct kunit *test)
{
	struct fixture *f = fixture_create(test, 16, SZ_1M);

	map(test, f, 0);
	map(test, f, 1);
	ram_disk_fail(f->b->disk, 2, -EIO);
	map(test, f, 2);
	KUNIT_EXPECT_FALSE(test, qcow_cache_has(&f->image->l2, 3));
	map(test, f, 3);
	KUNIT_EXPECT_EQ(test, 4U, f->waits);
}

static void limit_holds(struct kunit *test)
{
	struct fixture *f = fixture_create(test, 16, QCOW_CACHE_MIN_BYTES);
	u64 idx;

	for (idx = 0; idx < NR_SLICES; idx++) {
		map(test, f, idx);
		KUNIT_EXPECT_LE(test, (u64)atomic64_read(&f->image->cache->bytes),
				(u64)QCOW_CACHE_MIN_BYTES);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(windows_follow_the_reader),
	KUNIT_CASE(forward_to_the_end),
	KUNIT_CASE(tables_of_one_slice),
	KUNIT_CASE(nothing_is_read_ahead_at_random),
	KUNIT_CASE(failure_is_nobodys),
	KUNIT_CASE(limit_holds),
	{}
};

static int suite_init(struct kunit_suite *suite)
{
	return qcow_cache_module_init();
}

static void suite_exit(struct kunit_suite *suite)
{
	qcow_cache_module_exit();
}

static struct kunit_suite suite = {
	.name = "qcow_ahead",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
