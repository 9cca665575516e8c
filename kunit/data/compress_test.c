// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of writes that are stored compressed: where their data goes.
 */

#include <kunit/test.h>
#include <linux/blk_types.h>
#include <linux/err.h>
#include <linux/random.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "device.h"
#include "layer/map.h"
#include "rig/guest_model.h"
#include "rig/image_fsck.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

#define CLUSTER		SZ_4K
#define SECTORS		(CLUSTER / SECTOR_SIZE)

static const struct write_case compressed_case = {
	.name = "compressed", .version = 3, .cluster_bits = 12, .size = SZ_1M, .compress = true,
	.threads = 1,
};

/* Three compressed clusters, and no more, can touch a host cluster. */
static const struct write_case narrow_case = {
	.name = "narrow", .version = 3, .cluster_bits = 12, .refcount_bits = 2, .size = SZ_1M,
	.compress = true, .threads = 1,
};

static struct write_rig *attached(struct kunit *test, const struct write_case *c)
{
	struct write_rig *rig = write_rig_create(test, c, 1);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&rig->dev));
	return rig;
}

static struct qcow_extent extent(struct write_rig *rig, u32 cluster)
{
	struct qcow_mapping map;

	KUNIT_ASSERT_EQ(rig->test, 0, qcow_map_wait(rig->dev.qcow->chain, (u64)cluster * CLUSTER,
						    CLUSTER, NULL, &map));
	return map.ext;
}

/* Write a cluster that becomes much smaller. Return: where its data begins. */
static u64 put(struct write_rig *rig, u32 cluster)
{
	struct qcow_extent ext;

	KUNIT_ASSERT_EQ(rig->test, 0, guest_load_fill(&rig->load, cluster * SECTORS, SECTORS));
	ext = extent(rig, cluster);
	KUNIT_EXPECT_EQ(rig->test, QCOW_EXTENT_COMPRESSED, ext.kind);
	return ext.host;
}

static bool same_cluster(u64 a, u64 b)
{
	return a / CLUSTER == b / CLUSTER;
}

static void one_behind_the_other(struct kunit *test)
{
	struct write_rig *rig = attached(test, &compressed_case);
	u64 first = put(rig, 0), second = put(rig, 9);

	KUNIT_EXPECT_TRUE(test, same_cluster(first, second));
	KUNIT_EXPECT_GT(test, second, first);
	write_rig_detach(rig);
}

static void parts_are_not_compressed(struct kunit *test)
{
	struct write_rig *rig = attached(test, &compressed_case);

	put(rig, 1);
	KUNIT_ASSERT_EQ(test, 0, guest_load_fill(&rig->load, 0, SECTORS - 1));
	KUNIT_EXPECT_EQ(test, QCOW_EXTENT_DATA, extent(rig, 0).kind);
	KUNIT_ASSERT_EQ(test, 0, guest_load_fill(&rig->load, SECTORS + 3, 1));
	KUNIT_EXPECT_EQ(test, QCOW_EXTENT_DATA, extent(rig, 1).kind);
	write_rig_detach(rig);
}

static void noise_stays_as_it_is(struct kunit *test)
{
	struct write_rig *rig = attached(test, &compressed_case);
	u8 *buf = kunit_kmalloc(test, CLUSTER, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	get_random_bytes(buf, CLUSTER);
	KUNIT_ASSERT_EQ(test, 0, ram_device_rw(&rig->dev, REQ_OP_WRITE, 0, buf, SECTORS));
	KUNIT_EXPECT_EQ(test, QCOW_EXTENT_DATA, extent(rig, 0).kind);
	KUNIT_ASSERT_EQ(test, 0, ram_device_detach(&rig->dev));
}

static void counts_are_narrow(struct kunit *test)
{
	struct write_rig *rig = attached(test, &narrow_case);
	u64 host[4];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(host); i++)
		host[i] = put(rig, i);
	KUNIT_EXPECT_TRUE(test, same_cluster(host[0], host[2]));
	KUNIT_EXPECT_FALSE(test, same_cluster(host[0], host[3]));
	write_rig_detach(rig);
}

/* A snapshot that goes away has clusters that then get no other references. */
static void a_snapshot_ends_it(struct kunit *test)
{
	struct write_rig *rig = attached(test, &compressed_case);
	u64 first = put(rig, 0);
	char text[256];

	KUNIT_ASSERT_EQ(test, 0, ram_device_snapshot(&rig->dev, QCOW_SNAPSHOT_CREATE, 1, text,
						     sizeof(text)));
	KUNIT_EXPECT_FALSE(test, same_cluster(first, put(rig, 1)));
	KUNIT_ASSERT_EQ(test, 0, ram_device_snapshot(&rig->dev, QCOW_SNAPSHOT_DELETE, 1, text,
						     sizeof(text)));
	KUNIT_ASSERT_EQ(test, 0, guest_load_flush(&rig->load, rig->promise));
	write_rig_detach(rig);
}

/* The last reference of a cluster that has room goes, and so does the room. */
static void what_is_freed_ends_it(struct kunit *test)
{
	struct write_rig *rig = attached(test, &compressed_case);

	put(rig, 0);
	KUNIT_ASSERT_EQ(test, 0, guest_load_discard(&rig->load, 0, SECTORS));
	KUNIT_ASSERT_EQ(test, 0, guest_load_flush(&rig->load, rig->promise));
	KUNIT_ASSERT_EQ(test, 0, ram_device_reclaim(&rig->dev));
	put(rig, 1);
	KUNIT_ASSERT_EQ(test, 0, guest_load_flush(&rig->load, rig->promise));
	write_rig_detach(rig);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(one_behind_the_other),
	KUNIT_CASE(parts_are_not_compressed),
	KUNIT_CASE(noise_stays_as_it_is),
	KUNIT_CASE(counts_are_narrow),
	KUNIT_CASE(a_snapshot_ends_it),
	KUNIT_CASE(what_is_freed_ends_it),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_compress",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
