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

/* Of a disk that is filled. */
#define CHUNK		(SZ_4K / SECTOR_SIZE)

/* Clusters of 512 bytes with wide counts have many slices, the cache has few. */
static const struct write_case many_slices = {
	.name = "many slices", .version = 3, .cluster_bits = 9, .refcount_bits = 64,
	.size = SZ_4M, .cache_bytes = SZ_64K, .threads = 1,
};

static const struct write_case counted_beyond = {
	.name = "counted beyond", .version = 3, .cluster_bits = 12, .size = SZ_1M,
	.counted_beyond = SZ_256K, .threads = 1,
};

/* A disk that is too small for its guest, with counts of every width. */
#define FULL_BYTES	SZ_512K
#define FULL(bits)	{							\
	.name = #bits " bits", .version = 3, .cluster_bits = 9,		\
	.refcount_bits = bits, .size = SZ_1M, .threads = 1,			\
}

static const struct write_case full_cases[] = {
	FULL(1), FULL(2), FULL(4), FULL(8), FULL(16), FULL(32), FULL(64),
};

static const void *full_case_next(const void *prev, char *name)
{
	const struct write_case *c = prev ? (const struct write_case *)prev + 1 : full_cases;

	if (c == full_cases + ARRAY_SIZE(full_cases))
		return NULL;
	strscpy(name, c->name, KUNIT_PARAM_DESC_SIZE);
	return c;
}

/* Sectors of tables, which are not always as many. */
#define TABLE_SECTORS	64

/* Write from @first to @end, @step sectors at a time, until there is no space. Return: how far. */
static u32 fill(struct kunit *test, struct write_rig *rig, void *buf, u32 first, u32 end, u32 step)
{
	int err = 0;

	for (; first < end && !err; first += step) {
		guest_model_write(rig->model, first, step, GUEST_STAMP, buf);
		err = ram_device_rw(&rig->dev, REQ_OP_WRITE, first, buf, step);
		if (!err)
			guest_model_written(rig->model, first, step, GUEST_STAMP, false);
	}
	if (!err)
		return end;
	KUNIT_EXPECT_EQ(test, -ENOSPC, err);
	return first - step;
}

static void discard(struct kunit *test, struct write_rig *rig, u32 first, u32 nr)
{
	guest_model_write(rig->model, first, nr, GUEST_ZERO, NULL);
	KUNIT_ASSERT_EQ(test, 0, ram_device_zero(&rig->dev, REQ_OP_DISCARD, first, nr));
	guest_model_written(rig->model, first, nr, GUEST_ZERO, false);
}

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
	write_rig_detach(rig);
}

/* A power cut may keep counts and lose the growth of the file that they are for. */
static void counts_beyond_the_end(struct kunit *test)
{
	struct write_rig *rig = write_rig_create(test, &counted_beyond, 1);
	void *buf = kunit_kmalloc(test, SZ_256K, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&rig->dev));
	write_all(test, rig, buf);
	write_rig_detach(rig);
}

/*
 * What is discarded is space at once, without a flush, also in pieces. In the end no more than a
 * cluster that has no refcount block is left.
 */
static void full_disk_is_used_to_its_end(struct kunit *test)
{
	struct write_rig *rig = write_rig_create(test, test->param_value, 1);
	void *buf = kunit_kmalloc(test, SZ_4K, GFP_KERNEL);
	u32 full, half, end, at, unused = 0;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	rig->dev.disk->room = FULL_BYTES;
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&rig->dev));
	full = round_down(fill(test, rig, buf, 0, rig->model->nr, CHUNK), 2 * CHUNK);
	KUNIT_EXPECT_GE(test, full, FULL_BYTES / SECTOR_SIZE / 10 * 8);
	half = round_down(full / 2, CHUNK);
	discard(test, rig, 0, half);
	end = fill(test, rig, buf, full, full + half, CHUNK);
	KUNIT_EXPECT_GE(test, end, full + half - TABLE_SECTORS);
	for (at = half; at < full; at += 2 * CHUNK)
		discard(test, rig, at, CHUNK);
	end = fill(test, rig, buf, 0, half, CHUNK);
	KUNIT_EXPECT_GE(test, end, half / 2 - TABLE_SECTORS);
	/* One by one, where there are tables. */
	for (at = half; at < full; at += 2 * CHUNK)
		fill(test, rig, buf, at, at + CHUNK, 1);
	write_rig_detach(rig);

	for (at = 0; at < FULL_BYTES / SECTOR_SIZE; at++)
		unused += !rig->fsck->owners[at].what;
	KUNIT_EXPECT_LE(test, unused, 1);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(full_disk_is_used_to_its_end, full_case_next),
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
