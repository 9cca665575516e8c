// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of writing where a random guest does not come.
 */

#include <kunit/test.h>
#include <linux/blk_types.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "rig/guest_model.h"
#include "rig/image_fsck.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

#define CHUNK_SECTORS	(SZ_256K / SECTOR_SIZE)

/* Clusters of 512 bytes with wide counts have many slices, the cache has few. */
static const struct write_case many_slices = {
	.name = "many slices", .version = 3, .cluster_bits = 9, .refcount_bits = 64,
	.size = SZ_4M, .cache_bytes = SZ_64K, .threads = 1,
};

static const struct write_case counted_beyond = {
	.name = "counted beyond", .version = 3, .cluster_bits = 12, .size = SZ_1M,
	.counted_beyond = SZ_256K, .threads = 1,
};

static void write_all(struct kunit *test, struct write_rig *rig, void *buf)
{
	u32 nr, first;

	for (first = 0; first < rig->model->nr; first += nr) {
		nr = min(rig->model->nr - first, CHUNK_SECTORS);
		guest_model_write(rig->model, first, nr, GUEST_STAMP, buf);
		KUNIT_ASSERT_EQ(test, 0, ram_device_rw(&rig->dev, REQ_OP_WRITE, first, buf, nr));
		guest_model_written(rig->model, first, nr, GUEST_STAMP, false);
	}
	KUNIT_ASSERT_EQ(test, 0, guest_load_flush(&rig->load, rig->promise));
}

static void detach(struct kunit *test, struct write_rig *rig)
{
	KUNIT_ASSERT_EQ(test, 0, ram_device_detach(&rig->dev));
	ram_disk_imagine(rig->dev.disk, 0, rig->copy);
	KUNIT_EXPECT_EQ_MSG(test, 0, write_rig_check(rig, rig->model->acked, true), "%s",
			    rig->text);
	KUNIT_EXPECT_EQ(test, rig->leaked, rig->fsck->leaked);
}

/* What is freed changes more counts than the cache has room for; then all is taken again. */
static void small_cache_is_enough(struct kunit *test)
{
	struct write_rig *rig = write_rig_create(test, &many_slices, 1);
	void *buf = kunit_kmalloc(test, SZ_256K, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&rig->dev));
	write_all(test, rig, buf);
	guest_model_write(rig->model, 0, rig->model->nr, GUEST_ZERO, NULL);
	KUNIT_EXPECT_EQ(test, 0, ram_device_zero(&rig->dev, REQ_OP_DISCARD, 0, rig->model->nr));
	guest_model_written(rig->model, 0, rig->model->nr, GUEST_ZERO, false);
	KUNIT_EXPECT_EQ(test, 0, guest_load_flush(&rig->load, rig->promise));
	write_all(test, rig, buf);
	detach(test, rig);
}

/* A power cut may keep counts and lose the growth of the file that they are for. */
static void counts_beyond_the_end(struct kunit *test)
{
	struct write_rig *rig = write_rig_create(test, &counted_beyond, 1);
	void *buf = kunit_kmalloc(test, SZ_256K, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&rig->dev));
	write_all(test, rig, buf);
	detach(test, rig);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(counts_beyond_the_end),
	KUNIT_CASE(small_cache_is_enough),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_write",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
