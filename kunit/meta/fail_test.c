// SPDX-License-Identifier: GPL-2.0
/*
 * Calls of the store that fail: each in turn, while a guest writes to the device. What the
 * guest was promised is there, the image is whole, and unless a flush has failed, after which
 * nothing is certain, writing goes on and nothing is leaked.
 */

#include <kunit/test.h>
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/random.h>

#include "rig/guest_model.h"
#include "rig/image_fsck.h"
#include "rig/part.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

static unsigned int fail_step = 19;
module_param(fail_step, uint, 0444);
MODULE_PARM_DESC(fail_step, "of so many calls of the store one is made to fail, on average");

#define SEED		5

/* Operations of the guest while a call fails, and afterwards. */
#define OPS		25
#define OPS_AFTER	8

/* Clusters that there is room for, at most, when there is no space. */
#define MAX_CLUSTERS	3

static int run(struct write_rig *rig, unsigned int ops, u64 seed)
{
	int err;

	rig->load.ops = ops;
	rig->load.seed = seed;
	rig->load.text[0] = 0;
	err = guest_load_run(&rig->load);
	KUNIT_EXPECT_STREQ(rig->test, rig->load.text, "");
	return guest_load_flush(&rig->load, rig->promise) ?: err;
}

static void expect_good(struct write_rig *rig, const char *what, int nth)
{
	ram_disk_imagine(rig->dev.disk, 0, rig->copy);
	KUNIT_EXPECT_EQ_MSG(rig->test, 0, write_rig_check(rig, rig->model->durable, true),
			    "%s %d: %s", what, nth, rig->text);
}

/* The call that failed was no flush. */
static bool goes_on(const struct ram_disk *disk)
{
	return disk->failed && disk->failed != &disk->flushes;
}

/*
 * Without the call that failed something is not as it should be. A write of the guest's data may
 * have been several in one, which then have been made one by one. With a small cache there are
 * commits that no flush waits for; what they could not write the next one writes. In a detach of
 * version 1 clusters are moved into gaps, or are not.
 */
static bool is_vital(const struct write_rig *rig, bool in_detach)
{
	const struct ram_disk *disk = rig->dev.disk;

	if (in_detach && rig->c->version == 1 && disk->failed != &disk->flushes)
		return false;
	if (rig->c->cache_bytes && disk->failed != &disk->flushes)
		return false;
	return disk->failed == &disk->flushes ||
	       (disk->failed == &disk->writes && !disk->failed_data);
}

/* Return: whether there was an @nth call. */
static bool fail_nth(struct write_rig *rig, void (*fail)(struct ram_disk *, int, int),
		     const char *what, int nth)
{
	struct ram_disk *disk = rig->dev.disk;
	int told, err;
	bool whole;

	write_rig_restart(rig);
	KUNIT_ASSERT_EQ(rig->test, 0, ram_device_attach(&rig->dev));
	fail(disk, nth, -EIO);
	told = run(rig, OPS, SEED);
	/* What fails in the detach leaves what was set aside. */
	whole = goes_on(disk);
	if (whole)
		KUNIT_EXPECT_EQ_MSG(rig->test, 0, run(rig, OPS_AFTER, SEED + 100), "%s %d", what,
				    nth);
	err = ram_device_detach(&rig->dev);
	if (whole || !disk->failed)
		KUNIT_EXPECT_EQ_MSG(rig->test, 0, err, "%s %d", what, nth);
	if (is_vital(rig, !whole))
		KUNIT_EXPECT_EQ_MSG(rig->test, -EIO, told ?: err, "%s %d: the guest was not told",
				    what, nth);
	disk->fail_at = 0;

	expect_good(rig, what, nth);
	if (whole)
		KUNIT_EXPECT_EQ_MSG(rig->test, rig->leaked, rig->fsck->leaked, "%s %d", what, nth);
	return disk->failed;
}

static void fail_each(struct kunit *test, void (*fail)(struct ram_disk *, int, int),
		      const char *what)
{
	struct write_rig *rig = write_rig_create(test, test->param_value, SEED);
	unsigned int nr = 0;
	int nth = 1;

	rig->load.may_fail = true;
	while (fail_nth(rig, fail, what, nth)) {
		nth += 1 + get_random_u32_below(2 * fail_step - 1);
		nr++;
	}
	KUNIT_EXPECT_GT(test, nth, 1);
	kunit_info(test, "%s: %u calls failed", what, nr);
}

static void each_change_fails_once(struct kunit *test)
{
	fail_each(test, ram_disk_fail_change, "change");
}

static void each_read_fails_once(struct kunit *test)
{
	fail_each(test, ram_disk_fail, "read");
}

/* With room for a few clusters only, and then for all. */
static void no_space(struct kunit *test)
{
	struct write_rig *rig = write_rig_create(test, test->param_value, SEED);
	struct ram_disk *disk = rig->dev.disk;
	u64 room = disk->room;
	unsigned int nr;
	int err;

	rig->load.may_fail = true;
	for (nr = 0; nr < MAX_CLUSTERS; nr++) {
		write_rig_restart(rig);
		disk->room = round_up(rig->begin_bytes, 1ULL << rig->c->cluster_bits) +
			     ((u64)nr << rig->c->cluster_bits);
		KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&rig->dev));
		rig->load.err = 0;
		err = run(rig, OPS, SEED);
		KUNIT_EXPECT_EQ_MSG(test, -ENOSPC, err, "room for %u", nr);
		expect_good(rig, "room for", nr);

		disk->room = room;
		KUNIT_EXPECT_EQ_MSG(test, 0, run(rig, OPS, SEED + 100), "room for %u", nr);
		KUNIT_ASSERT_EQ(test, 0, ram_device_detach(&rig->dev));
		expect_good(rig, "room for", nr);
		KUNIT_EXPECT_EQ_MSG(test, rig->leaked, rig->fsck->leaked, "room for %u", nr);
	}
}

static const void *next_part(const void *prev, char *name)
{
	return part_next(write_case_next, prev, name, PART_KINDS);
}

static const void *next_few(const void *prev, char *name)
{
	return part_next(write_case_next, prev, name, PART_FEW_KINDS);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM_ATTR(each_change_fails_once, next_part, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM_ATTR(each_read_fails_once, next_few, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM(no_space, next_few),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_fail",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
