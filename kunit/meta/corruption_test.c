// SPDX-License-Identifier: GPL-2.0
/*
 * Corruptions that other drivers of QCOW images have had, each by its name:
 *
 *   - host clusters are punched that have been given to somebody else meanwhile: data is lost, and
 *     no check finds that
 *   - a cluster is given out twice after an L2 table could not be copied
 *
 * Two more: L2 tables in use that are given out as free are scripts/vm/tests/write-counts.sh's; the
 * dirty bit that goes when the first of several closes the image cannot: it is never set, which
 * write-header.sh looks at.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/sizes.h>

#include "data/cow.h"
#include "layer/image.h"
#include "rig/guest_model.h"
#include "rig/image_fsck.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

#define SEED		1

/* A punch that is held back has been begun by then, and a write that does not wait for it ended. */
#define LONG_MS		200
#define MAX_WAIT_MS	20000

static const struct write_case image = {
	.name = "v3, 4k", .version = 3, .cluster_bits = 12, .size = SZ_1M, .threads = 1,
};

/**
 * struct reuse - a guest that writes to the second half of its disk
 * @load: the guest
 * @err: of the write
 * @done: it has ended
 */
struct reuse {
	struct guest_load *load;
	int err;
	struct completion done;
};

static int reuse_run(void *data)
{
	struct reuse *r = data;
	u32 half = r->load->model->nr / 2;

	r->err = guest_load_fill(r->load, half, half);
	complete(&r->done);
	return 0;
}

static void flush(struct write_rig *rig)
{
	KUNIT_ASSERT_EQ(rig->test, 0, guest_load_flush(&rig->load, rig->promise));
}

static void expect_good(struct write_rig *rig, int nth)
{
	ram_disk_imagine(rig->dev.disk, 0, rig->copy);
	KUNIT_EXPECT_EQ_MSG(rig->test, 0, write_rig_check(rig, rig->model->durable, true),
			    "%d: %s", nth, rig->text);
	KUNIT_EXPECT_EQ_MSG(rig->test, rig->leaked, rig->fsck->leaked, "%d", nth);
}

/* The disk is full, and half of it discarded: what is written goes to where a punch is due. */
static void stale_punch_after_reuse(struct kunit *test)
{
	struct write_rig *rig = write_rig_create(test, &image, SEED);
	struct ram_disk *disk = rig->dev.disk;
	u32 half = rig->model->nr / 2, ms;
	struct reuse r = { .load = &rig->load };

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&rig->dev));
	KUNIT_ASSERT_EQ(test, 0, guest_load_fill(&rig->load, 0, 2 * half));
	flush(rig);
	KUNIT_ASSERT_EQ(test, 0, ram_device_detach(&rig->dev));
	disk->room = disk->bytes;

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&rig->dev));
	ram_disk_hold_punches(disk);
	KUNIT_ASSERT_EQ(test, 0, guest_load_discard(&rig->load, half, half));
	flush(rig);
	init_completion(&r.done);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, kthread_run(reuse_run, &r, "reuse"));
	for (ms = 0; !atomic_read(&disk->punches) && ms < MAX_WAIT_MS; ms += LONG_MS)
		msleep(LONG_MS);
	KUNIT_EXPECT_NE(test, 0, atomic_read(&disk->punches));
	KUNIT_EXPECT_EQ(test, 0, wait_for_completion_timeout(&r.done, msecs_to_jiffies(LONG_MS)));
	ram_disk_release(disk);
	wait_for_completion(&r.done);
	KUNIT_EXPECT_EQ(test, 0, r.err);
	flush(rig);
	KUNIT_ASSERT_EQ(test, 0, ram_device_detach(&rig->dev));
	expect_good(rig, 0);
}

/* Return: whether there was an @nth change, of those that a write to a shared L2 table makes. */
static bool copy_fails(struct write_rig *rig, int nth)
{
	struct ram_disk *disk = rig->dev.disk;
	struct guest_load *load = &rig->load;
	char text[256];

	write_rig_restart(rig);
	KUNIT_ASSERT_EQ(rig->test, 0, ram_device_attach(&rig->dev));
	KUNIT_ASSERT_EQ(rig->test, 0, guest_load_fill(load, 0, 4 * load->cluster));
	KUNIT_ASSERT_EQ_MSG(rig->test, 0, ram_device_snapshot(&rig->dev, QCOW_SNAPSHOT_CREATE, 1,
							      text, sizeof(text)), "%s", text);
	ram_disk_fail_change(disk, nth, -EIO);
	if (!guest_load_fill(load, 0, 1))
		guest_load_flush(load, rig->promise);
	disk->fail_at = 0;
	/* After a flush that has failed nothing is written any more. */
	if (disk->failed != &disk->flushes) {
		KUNIT_EXPECT_EQ_MSG(rig->test, 0, guest_load_fill(load, 0, 6 * load->cluster),
				    "%d", nth);
		flush(rig);
	}
	ram_device_detach(&rig->dev);
	if (disk->failed != &disk->flushes)
		expect_good(rig, nth);
	return disk->failed;
}

static void double_allocation_after_failed_copy(struct kunit *test)
{
	struct write_rig *rig = write_rig_create(test, &image, SEED);
	int nth = 1;

	while (copy_fails(rig, nth))
		nth++;
	KUNIT_EXPECT_GT(test, nth, 3);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(stale_punch_after_reuse),
	KUNIT_CASE(double_allocation_after_failed_copy),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_corruptions",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
