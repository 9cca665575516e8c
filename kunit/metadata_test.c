// SPDX-License-Identifier: GPL-2.0
/*
 * The metadata of a device that a guest writes to, read as it is at an instant: it is that of a
 * good image, and has no leaks that were not there before. What is leaked is freed, and no power
 * cut makes anything worse.
 */

#include <kunit/test.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <qcow/report.h>
#include <uapi/linux/qcow.h>

#include "device.h"
#include "live/metadata.h"
#include "live/resize.h"
#include "rig/guest_model.h"
#include "rig/image_fsck.h"
#include "rig/part.h"
#include "rig/ram_device.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

#define SEED		37
#define INSTANTS	4

/* Operations of the guest, of each thread, while it is read once. */
#define OPS		60

/**
 * struct metadata_rig - a device that is looked at
 * @rig: image and guest
 * @text: what is wrong
 * @work: the guest
 * @seed: of that
 * @err: what became of it
 * @lock: one check at a time
 * @cuts: that have been looked at
 * @bad: one of them is no good image
 */
struct metadata_rig {
	struct write_rig *rig;
	char text[256];
	struct work_struct work;
	u64 seed;
	int err;
	struct mutex lock;	/* checks */
	unsigned int cuts;
	bool bad;
};

static void guest_work(struct work_struct *work)
{
	struct metadata_rig *r = container_of(work, struct metadata_rig, work);

	r->err = write_rig_guest(r->rig, OPS, r->seed);
}

static struct metadata_rig *rig_create(struct kunit *test, const struct write_case *c)
{
	struct metadata_rig *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, r);
	r->rig = write_rig_create(test, c, SEED);
	INIT_WORK(&r->work, guest_work);
	mutex_init(&r->lock);
	return r;
}

static struct file *metadata_open(struct metadata_rig *r, u64 *bytes)
{
	struct qcow_report rep = { .buf = r->text, .size = sizeof(r->text) };
	struct qcow_open_metadata args = { .index = r->rig->dev.index };
	struct file *file;

	r->text[0] = 0;
	file = qcow_device_open_metadata(&args, &rep);
	*bytes = args.bytes;
	return file;
}

/* All of it to the copy, in pieces, while the guest goes on. */
static void metadata_copy(struct metadata_rig *r, struct file *file, u64 bytes)
{
	struct ram_disk *copy = r->rig->copy;
	loff_t pos = 0;
	ssize_t ret;

	KUNIT_ASSERT_LE(r->rig->test, bytes, copy->room);
	copy->bytes = bytes;
	while (pos < bytes) {
		ret = kernel_read(file, copy->data + pos, min_t(u64, SZ_4K, bytes - pos), &pos);
		KUNIT_ASSERT_GT(r->rig->test, ret, 0);
		cond_resched();
	}
}

/* Version 1 has no counts: what is free in the file looks leaked. */
static void expect_good(struct metadata_rig *r)
{
	struct kunit *test = r->rig->test;

	KUNIT_EXPECT_EQ_MSG(test, 0, image_fsck(r->rig->fsck), "%s", r->rig->fsck->text);
	if (r->rig->c->version > 1)
		KUNIT_EXPECT_EQ(test, r->rig->leaked, r->rig->fsck->leaked);
}

static void metadata_is_that_of_an_instant(struct kunit *test)
{
	struct metadata_rig *r = rig_create(test, test->param_value);
	struct file *file;
	unsigned int i;
	u64 bytes;

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	for (i = 0; i < INSTANTS; i++) {
		r->seed = SEED + i * 10;
		queue_work(system_unbound_wq, &r->work);
		file = metadata_open(r, &bytes);
		KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, file, "%s", r->text);
		metadata_copy(r, file, bytes);
		expect_good(r);
		flush_work(&r->work);
		KUNIT_EXPECT_EQ(test, 0, r->err);
		/* The same as before, whatever has come to be since. */
		metadata_copy(r, file, bytes);
		expect_good(r);
		__fput_sync(file);
	}
	KUNIT_EXPECT_EQ(test, 0, ram_device_detach(&r->rig->dev));
	ram_disk_imagine(r->rig->dev.disk, 0, r->rig->copy);
	KUNIT_EXPECT_EQ_MSG(test, 0, write_rig_check(r->rig, r->rig->model->acked, false), "%s",
			    r->rig->text);
}

/* The case that has clusters which nothing refers to. */
static const struct write_case *leaked_case(void)
{
	const struct write_case *c = NULL;
	char name[KUNIT_PARAM_DESC_SIZE];

	do {
		c = write_case_next(c, name);
	} while (c && !c->ballast);
	return c;
}

/* Where they are. */
static struct qcow_leak find_leak(struct metadata_rig *r)
{
	const struct ram_disk *disk = r->rig->dev.disk;
	struct image_fsck *fsck = r->rig->fsck;
	u64 nr = r->rig->c->ballast >> r->rig->c->cluster_bits;
	u64 i, run = 0;

	memcpy(r->rig->copy->data, disk->data, disk->bytes);
	r->rig->copy->bytes = disk->bytes;
	KUNIT_ASSERT_EQ_MSG(r->rig->test, 0, image_fsck(fsck), "%s", fsck->text);
	for (i = 0; i < fsck->nr && run < nr; i++)
		run = fsck->owners[i].refs ? 0 : run + 1;
	KUNIT_ASSERT_EQ(r->rig->test, nr, run);
	return (struct qcow_leak) {
		.start = (i - nr) << r->rig->c->cluster_bits, .len = r->rig->c->ballast,
	};
}

static int free_leaks(struct metadata_rig *r, const struct qcow_leak *leaks, u32 nr)
{
	struct qcow_report rep = { .buf = r->text, .size = sizeof(r->text) };
	struct file *file;
	u64 bytes;
	int err;

	file = metadata_open(r, &bytes);
	if (IS_ERR(file))
		return PTR_ERR(file);
	err = qcow_metadata_free_leaks(file, leaks, nr, &rep);
	__fput_sync(file);
	return err;
}

static void on_change(void *watcher)
{
	struct metadata_rig *r = watcher;

	if (!mutex_trylock(&r->lock))
		return;
	ram_disk_imagine(r->rig->dev.disk, SEED + r->cuts++, r->rig->copy);
	if (image_fsck(r->rig->fsck) && !r->bad) {
		kunit_err(r->rig->test, "cut %u: %s", r->cuts, r->rig->fsck->text);
		r->bad = true;
	}
	mutex_unlock(&r->lock);
}

static void leaks_are_freed(struct kunit *test)
{
	struct metadata_rig *r = rig_create(test, leaked_case());
	const struct qcow_leak leak = find_leak(r);
	struct ram_disk *disk = r->rig->dev.disk;

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	r->seed = SEED;
	queue_work(system_unbound_wq, &r->work);
	disk->watcher = r;
	WRITE_ONCE(disk->on_change, on_change);
	KUNIT_EXPECT_EQ_MSG(test, 0, free_leaks(r, &leak, 1), "%s", r->text);
	WRITE_ONCE(disk->on_change, NULL);
	flush_work(&r->work);
	KUNIT_EXPECT_EQ(test, 0, r->err);
	KUNIT_EXPECT_FALSE(test, r->bad);
	KUNIT_EXPECT_GT(test, r->cuts, 0U);
	KUNIT_EXPECT_EQ(test, 0, ram_device_detach(&r->rig->dev));
	r->rig->leaked = 0;
	ram_disk_imagine(disk, 0, r->rig->copy);
	KUNIT_EXPECT_EQ_MSG(test, 0, write_rig_check(r->rig, r->rig->model->acked, true), "%s",
			    r->rig->text);
	KUNIT_EXPECT_EQ(test, 0ULL, r->rig->fsck->leaked);
}

/* What one call has freed the next one on the descriptor does not free again. */
static void expect_in_order(struct metadata_rig *r, u64 start, u32 cluster)
{
	struct qcow_report rep = { .buf = r->text, .size = sizeof(r->text) };
	struct qcow_leak leak = { start, cluster };
	struct kunit *test = r->rig->test;
	struct file *file;
	u64 bytes;

	file = metadata_open(r, &bytes);
	KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, file, "%s", r->text);
	KUNIT_EXPECT_EQ(test, 0, qcow_metadata_free_leaks(file, &leak, 1, &rep));
	KUNIT_EXPECT_EQ(test, -EINVAL, qcow_metadata_free_leaks(file, &leak, 1, &rep));
	leak.start += cluster;
	KUNIT_EXPECT_EQ(test, 0, qcow_metadata_free_leaks(file, &leak, 1, &rep));
	__fput_sync(file);
}

/* Nothing of the list has been looked at when it is wrong; what is in use stays. */
static void leaks_that_are_none(struct kunit *test)
{
	struct metadata_rig *r = rig_create(test, leaked_case());
	const struct qcow_leak leak = find_leak(r);
	const u32 cluster = BIT(r->rig->c->cluster_bits);
	const struct qcow_leak unaligned = { leak.start + cluster / 2, cluster };
	const struct qcow_leak empty = { leak.start, 0 };
	const struct qcow_leak twice[] = { { leak.start, cluster }, { leak.start, cluster } };
	const struct qcow_leak wraps = { -(u64)cluster, 2 * cluster };
	const struct qcow_leak header = { 0, cluster };

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, -EINVAL, free_leaks(r, &unaligned, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, free_leaks(r, &empty, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, free_leaks(r, twice, 2));
	KUNIT_EXPECT_EQ(test, -EINVAL, free_leaks(r, &wraps, 1));
	KUNIT_EXPECT_EQ(test, -EUCLEAN, free_leaks(r, &header, 1));
	KUNIT_EXPECT_STREQ(test, r->text, "512 bytes at 0x0: they are not leaked\n");
	KUNIT_EXPECT_EQ(test, 0, free_leaks(r, NULL, 0));
	expect_in_order(r, leak.start, cluster);
	KUNIT_EXPECT_EQ(test, 0, write_rig_guest(r->rig, OPS, SEED));
	KUNIT_EXPECT_EQ(test, 0, ram_device_detach(&r->rig->dev));
	ram_disk_imagine(r->rig->dev.disk, 0, r->rig->copy);
	KUNIT_EXPECT_EQ_MSG(test, 0, write_rig_check(r->rig, r->rig->model->acked, true), "%s",
			    r->rig->text);
	KUNIT_EXPECT_EQ(test, leak.len - 2 * cluster, r->rig->fsck->leaked);
}

/*
 * The device is to be larger by much, and the @nth call that is no read fails. Return: whether
 * there was one.
 */
static bool fail_resize(struct metadata_rig *r, int nth)
{
	struct qcow_report rep = { .buf = r->text, .size = sizeof(r->text) };
	struct ram_disk *disk = r->rig->dev.disk;
	struct kunit *test = r->rig->test;
	bool failed, lost;
	struct file *file;
	u64 bytes;

	write_rig_restart(r->rig);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, write_rig_guest(r->rig, OPS, SEED));
	ram_disk_fail_change(disk, nth, -EIO);
	qcow_device_resize(r->rig->dev.index, r->rig->c->size * 64, false, &rep);
	failed = disk->failed;
	lost = disk->failed == &disk->flushes;
	ram_disk_fail_change(disk, 0, 0);
	if (!lost) {
		file = metadata_open(r, &bytes);
		KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, file, "call %d: %s", nth, r->text);
		metadata_copy(r, file, bytes);
		expect_good(r);
		__fput_sync(file);
	}
	ram_device_detach(&r->rig->dev);
	return failed;
}

static void nothing_is_leaked_by_a_resize_that_fails(struct kunit *test)
{
	struct metadata_rig *r = rig_create(test, test->param_value);
	int nth = 1;

	while (fail_resize(r, nth))
		nth++;
	kunit_info(test, "%d calls", nth);
}

/* One operation at a time; a detach that may wait comes with its end. */
static void operation_until_it_is_closed(struct kunit *test)
{
	char name[KUNIT_PARAM_DESC_SIZE];
	struct metadata_rig *r = rig_create(test, write_case_next(NULL, name));
	struct file *file, *other;
	loff_t pos = 0;
	u64 bytes, none;

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	file = metadata_open(r, &bytes);
	KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, file, "%s", r->text);
	other = metadata_open(r, &none);
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR_OR_ZERO(other));
	qcow_progress_cancel(&r->rig->dev.qcow->progress);
	KUNIT_EXPECT_EQ(test, (ssize_t)-ECANCELED,
			kernel_read(file, r->text, sizeof(r->text), &pos));
	pos = bytes;
	KUNIT_EXPECT_EQ(test, (ssize_t)0, kernel_read(file, r->text, sizeof(r->text), &pos));
	__fput_sync(file);
	file = metadata_open(r, &bytes);
	KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, file, "%s", r->text);
	__fput_sync(file);
	KUNIT_EXPECT_EQ(test, 0, ram_device_detach(&r->rig->dev));
}

static const void *case_next_part(const void *prev, char *name)
{
	return part_next(write_case_next, prev, name, PART_KINDS);
}

/* Small clusters of version 3: the L1 table becomes longer. */
static const void *small_next(const void *prev, char *name)
{
	const struct write_case *c = prev;

	do {
		c = write_case_next(c, name);
	} while (c && (c->version < 3 || c->cluster_bits > 9 || c->ballast));
	return c;
}

static const void *small_next_part(const void *prev, char *name)
{
	return part_next(small_next, prev, name, PART_KINDS);
}

static struct kunit_case metadata_cases[] = {
	KUNIT_CASE_PARAM(metadata_is_that_of_an_instant, case_next_part),
	KUNIT_CASE(leaks_are_freed),
	KUNIT_CASE(leaks_that_are_none),
	KUNIT_CASE_PARAM(nothing_is_leaked_by_a_resize_that_fails, small_next_part),
	KUNIT_CASE(operation_until_it_is_closed),
	{}
};

static struct kunit_suite metadata_suite = {
	.name = "qcow_live_metadata",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = metadata_cases,
};

kunit_test_suite(metadata_suite);
