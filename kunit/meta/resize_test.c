// SPDX-License-Identifier: GPL-2.0
/*
 * A device gets another size while a guest writes to it: power cuts, calls of the store that fail,
 * no space, what is refused. Whatever happens, the image has one size or the other, the guest's
 * data, and zeros in what is new.
 */

#include <kunit/test.h>
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <qcow/ondisk.h>

#include "data/cow.h"
#include "device.h"
#include "layer/image.h"
#include "live/resize.h"
#include "meta/worker.h"
#include "rig/guest_model.h"
#include "rig/image_builder.h"
#include "rig/image_fsck.h"
#include "rig/part.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

static unsigned int resize_cuts = 40;
module_param(resize_cuts, uint, 0444);
MODULE_PARM_DESC(resize_cuts, "power cuts that are tried while an image grows, of each kind of image");

static bool resize_fail_all;
module_param(resize_fail_all, bool, 0444);
MODULE_PARM_DESC(resize_fail_all, "each call of the store is made to fail, not some of them");

#define SEED		7

/* Operations of the guest, of each thread. */
#define OPS		20
#define OPS_MEANWHILE	60

/* One image in so many is tried as one to be written to. */
#define WRITABLE_EVERY	8

/* Calls that are made to fail, at most. */
#define MAX_CALLS	200

/**
 * struct resize_case - a kind of image, and its new size
 * @c: the image; @c.name is the case's
 * @to: new size
 */
struct resize_case {
	struct write_case c;
	u64 to;
};

static const struct resize_case resize_cases[] = {
	{
		.c = {
			.name = "v1, 512", .version = 1, .cluster_bits = 9, .size = SZ_256K,
			.threads = 2,
		},
		.to = SZ_1M,
	}, {
		.c = {
			.name = "v1, 4k, mixed", .version = 1, .cluster_bits = 12,
			.size = SZ_512K + 512, .mixed = true, .threads = 2,
		},
		.to = SZ_8M,
	}, {
		.c = {
			.name = "v1, 4k, longer backing", .version = 1, .cluster_bits = 12,
			.size = SZ_256K + 512, .backing = SZ_512K + 1536, .threads = 2,
		},
		.to = SZ_8M,
	}, {
		.c = {
			.name = "v2, 512", .version = 2, .cluster_bits = 9, .size = SZ_256K,
			.threads = 2,
		},
		.to = SZ_4M + 512,
	}, {
		.c = {
			.name = "v2, 4k, mixed, longer backing", .version = 2, .cluster_bits = 12,
			.size = SZ_512K + 512, .backing = SZ_512K + SZ_128K, .mixed = true,
			.threads = 2,
		},
		.to = SZ_8M,
	}, {
		.c = {
			.name = "v2, 4k, mixed, longer backing, AES", .version = 2,
			.cluster_bits = 12, .size = SZ_512K + 512,
			.backing = SZ_512K + SZ_128K, .mixed = true,
			.crypt_method = QCOW_CRYPT_AES, .threads = 2,
		},
		.to = SZ_1M,
	}, {
		.c = {
			.name = "v3, 4k, mixed, longer backing, LUKS", .version = 3,
			.cluster_bits = 12, .size = SZ_512K + 512,
			.backing = SZ_512K + SZ_128K, .mixed = true,
			.crypt_method = QCOW_CRYPT_LUKS, .threads = 2,
		},
		.to = SZ_4M,
	}, {
		.c = {
			.name = "v3, 512, short L1", .version = 3, .cluster_bits = 9,
			.size = SZ_256K, .short_l1 = true, .threads = 2,
		},
		.to = SZ_2M,
	}, {
		.c = {
			.name = "v3, 512, longer backing, in the L1", .version = 3,
			.cluster_bits = 9, .size = SZ_256K - 512 * 5, .backing = SZ_512K,
			.threads = 2,
		},
		.to = SZ_256K,
	}, {
		.c = {
			.name = "v3, 4k, mixed, longer backing", .version = 3, .cluster_bits = 12,
			.size = SZ_512K + 512, .backing = SZ_4M + 512, .mixed = true,
			.threads = 2,
		},
		.to = SZ_8M,
	}, {
		.c = {
			.name = "v3, 4k, mixed, end in backing", .version = 3, .cluster_bits = 12,
			.size = SZ_512K + 512, .backing = SZ_4M, .mixed = true, .threads = 2,
		},
		.to = SZ_1M + 1024,
	}, {
		.c = {
			.name = "v3, 64k, mixed", .version = 3, .cluster_bits = 16, .size = SZ_1M,
			.mixed = true, .threads = 2,
		},
		.to = SZ_1G,
	}, {
		.c = {
			.name = "v3, 16k, subclusters, longer backing", .version = 3,
			.cluster_bits = 14, .size = SZ_256K + 1536, .backing = SZ_512K,
			.extended = true, .mixed = true, .threads = 2,
		},
		.to = SZ_16M,
	},
};

static void case_name(const struct resize_case *rc, char *name)
{
	strscpy(name, rc->c.name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(resize, resize_cases, case_name);

/**
 * struct resize_rig - a device that is resized
 * @rig: image and guest
 * @rc: the case
 * @fresh: what a check reads of the new range
 * @text: what is wrong
 * @err: of the resize
 * @work: resizes
 * @lock: one check at a time
 * @least: versions that must be there
 * @nr: cuts so far
 * @end: no more then
 * @bad: one went wrong
 */
struct resize_rig {
	struct write_rig *rig;
	const struct resize_case *rc;
	void *fresh;
	char text[256];
	int err;
	struct work_struct work;
	struct mutex lock;	/* checks */
	u32 *least;
	unsigned int nr;
	unsigned int end;
	bool bad;
};

/* How much of the new range is looked at: there is nothing that could be there further on. */
static u64 fresh_bytes(const struct resize_case *rc)
{
	return min(rc->to - rc->c.size, (u64)SZ_4M);
}

static struct resize_rig *resize_rig_create(struct kunit *test)
{
	const struct resize_case *rc = test->param_value;
	struct resize_rig *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, r);
	r->rc = rc;
	r->rig = write_rig_create(test, &rc->c, SEED);
	r->fresh = kunit_kzalloc(test, fresh_bytes(rc), GFP_KERNEL);
	r->least = kunit_kcalloc(test, rc->c.size / SECTOR_SIZE, sizeof(u32), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r->fresh);
	KUNIT_ASSERT_NOT_NULL(test, r->least);
	mutex_init(&r->lock);
	/* The cluster at the end of the disk is a whole one only before. */
	r->rig->load.discards = false;
	return r;
}

static int resize_to(struct resize_rig *r, u64 bytes, bool shrink)
{
	struct qcow_report rep = { .buf = r->text, .size = sizeof(r->text) };

	r->text[0] = 0;
	return qcow_device_resize(r->rig->dev.index, bytes, shrink, &rep);
}

static int guest(struct resize_rig *r, unsigned int ops, u64 seed)
{
	r->rig->load.stop = false;
	return write_rig_guest(r->rig, ops, seed);
}

/* The size of an image is one of both, and what is new reads as zeros. */
static int check_fresh(struct resize_rig *r, struct qcow_image *image, bool must)
{
	u64 from = r->rc->c.size;
	int err;

	if (image->size == from && !must)
		return 0;
	if (image->size != r->rc->to) {
		snprintf(r->text, sizeof(r->text), "size is %llu", image->size);
		return -EUCLEAN;
	}
	err = qcow_cow_read(image, from, r->fresh, fresh_bytes(r->rc));
	if (!err && memchr_inv(r->fresh, 0, fresh_bytes(r->rc))) {
		snprintf(r->text, sizeof(r->text), "the new range holds something at %zu",
			 (void *)memchr_inv(r->fresh, 0, fresh_bytes(r->rc)) - r->fresh);
		err = -EUCLEAN;
	}
	return err;
}

/* @must: it has the new size. */
static int check_copy(struct resize_rig *r, const u32 *least, bool writable, bool must)
{
	struct qcow_image *image;
	int err = write_rig_check(r->rig, least, writable);

	image = err ? ERR_PTR(err) : write_rig_open(r->rig, QCOW_ACTIVE_STATE);
	if (IS_ERR(image)) {
		strscpy(r->text, r->rig->text, sizeof(r->text));
		return PTR_ERR(image);
	}
	err = check_fresh(r, image, must);
	qcow_image_close(image);
	return err;
}

static void expect_good(struct resize_rig *r, const u32 *least, bool must)
{
	ram_disk_imagine(r->rig->dev.disk, 0, r->rig->copy);
	KUNIT_EXPECT_EQ_MSG(r->rig->test, 0, check_copy(r, least, true, must), "%s", r->text);
}

static void on_change(void *watcher)
{
	struct resize_rig *r = watcher;
	int err;

	mutex_lock(&r->lock);
	if (!r->bad && r->nr < r->end) {
		guest_model_durable(r->rig->model, r->least);
		ram_disk_imagine(r->rig->dev.disk, SEED + r->nr, r->rig->copy);
		err = check_copy(r, r->least, !(r->nr % WRITABLE_EVERY), false);
		if (err) {
			kunit_err(r->rig->test, "cut %u: error %d: %s", r->nr, err, r->text);
			r->bad = true;
		}
		r->nr++;
	}
	mutex_unlock(&r->lock);
}

static void expect_capacity(struct resize_rig *r, u64 bytes)
{
	KUNIT_EXPECT_EQ(r->rig->test, bytes >> SECTOR_SHIFT,
			get_capacity(r->rig->dev.qcow->disk));
}

static void detach_grown(struct resize_rig *r)
{
	KUNIT_ASSERT_EQ(r->rig->test, 0, ram_device_detach(&r->rig->dev));
	expect_good(r, r->rig->model->acked, true);
	KUNIT_EXPECT_EQ(r->rig->test, r->rig->leaked, r->rig->fsck->leaked);
}

static void resize_work(struct work_struct *work)
{
	struct resize_rig *r = container_of(work, struct resize_rig, work);
	struct qcow_report rep = {};

	r->err = qcow_device_resize(r->rig->dev.index, r->rc->to, false, &rep);
}

/* Alone, so that each write of it is met; then with the guest at work. */
static void cuts_while_it_grows(struct kunit *test)
{
	struct resize_rig *r = resize_rig_create(test);
	struct ram_disk *disk = r->rig->dev.disk;
	unsigned int i;

	for (i = 0; i < 2 && !r->bad; i++) {
		write_rig_restart(r->rig);
		KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
		KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED + i));
		r->end = r->nr + (i ? resize_cuts : 10 * resize_cuts);
		disk->watcher = r;
		disk->on_change = on_change;
		INIT_WORK(&r->work, resize_work);
		queue_work(system_unbound_wq, &r->work);
		if (i)
			KUNIT_EXPECT_EQ(test, 0, guest(r, OPS_MEANWHILE, SEED + 100));
		flush_work(&r->work);
		disk->on_change = NULL;
		KUNIT_EXPECT_EQ(test, 0, r->err);
		expect_capacity(r, r->rc->to);
		KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED + 200));
		detach_grown(r);
	}
	KUNIT_EXPECT_FALSE(test, r->bad);
	kunit_info(test, "%s: %u cuts", r->rc->c.name, r->nr);
}

/*
 * One resize whose @nth call fails; @again: it is tried again, else given up. Return: whether there
 * was such a call.
 */
static bool fail_nth(struct resize_rig *r, int nth,
		     void (*fail)(struct ram_disk *disk, int nth, int err), bool again)
{
	struct ram_disk *disk = r->rig->dev.disk;
	struct kunit *test = r->rig->test;
	bool failed, lost;
	int err;

	write_rig_restart(r->rig);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	fail(disk, nth, -EIO);
	err = resize_to(r, r->rc->to, false);
	failed = disk->failed;
	lost = disk->failed == &disk->flushes;
	fail(disk, 0, 0);
	expect_capacity(r, err ? r->rc->c.size : r->rc->to);
	if (!failed)
		KUNIT_EXPECT_EQ_MSG(test, 0, err, "call %d: %s", nth, r->text);
	expect_good(r, r->rig->model->durable, false);
	if (lost) {
		ram_device_detach(&r->rig->dev);
		expect_good(r, r->rig->model->durable, false);
		return true;
	}
	if (err && !again) {
		KUNIT_ASSERT_EQ(test, 0, ram_device_detach(&r->rig->dev));
		expect_good(r, r->rig->model->durable, false);
		KUNIT_EXPECT_EQ_MSG(test, r->rig->leaked, r->rig->fsck->leaked, "call %d", nth);
		return true;
	}
	KUNIT_EXPECT_EQ_MSG(test, 0, guest(r, OPS, SEED + 1), "call %d", nth);
	KUNIT_EXPECT_EQ_MSG(test, 0, resize_to(r, r->rc->to, false), "call %d: %s", nth, r->text);
	expect_capacity(r, r->rc->to);
	detach_grown(r);
	return failed;
}

/* The first ones all, of later ones fewer and fewer. */
static int fail_each(struct kunit *test, void (*fail)(struct ram_disk *disk, int nth, int err),
		     bool again)
{
	struct resize_rig *r = resize_rig_create(test);
	int nth = 1;

	while (nth < MAX_CALLS && fail_nth(r, nth, fail, again))
		nth += 1 + (resize_fail_all ? 0 : nth / 3);
	return nth;
}

static void changes_fail_once(struct kunit *test)
{
	KUNIT_EXPECT_GT(test, fail_each(test, ram_disk_fail_change, true), 2);
}

/* Nothing that was for the larger size stays in use. */
static void given_up_after_a_change_fails(struct kunit *test)
{
	KUNIT_EXPECT_GT(test, fail_each(test, ram_disk_fail_change, false), 2);
}

static void reads_fail_once(struct kunit *test)
{
	fail_each(test, ram_disk_fail, true);
}

/* What has been allocated before there was no more goes back. */
static void no_space(struct kunit *test)
{
	struct resize_rig *r = resize_rig_create(test);
	struct ram_disk *disk = r->rig->dev.disk;
	u64 room = disk->room;
	unsigned int nr;
	int err;

	for (nr = 0; nr < 4; nr++) {
		write_rig_restart(r->rig);
		disk->room = round_up(r->rig->begin_bytes, 1ULL << r->rc->c.cluster_bits) +
			     ((u64)nr << r->rc->c.cluster_bits);
		KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
		err = resize_to(r, r->rc->to, false);
		if (err)
			KUNIT_EXPECT_EQ_MSG(test, -ENOSPC, err, "room for %u: %s", nr, r->text);
		expect_capacity(r, err ? r->rc->c.size : r->rc->to);
		expect_good(r, r->rig->model->durable, false);
		disk->room = room;
		KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
		KUNIT_EXPECT_EQ_MSG(test, 0, resize_to(r, r->rc->to, false), "room for %u: %s", nr,
				    r->text);
		detach_grown(r);
	}
}

/* Up and down again: only when it is closed, and nothing is in what goes. */
static void shrinks_when_unused(struct kunit *test)
{
	struct resize_rig *r = resize_rig_create(test);
	struct ram_device *dev = &r->rig->dev;
	u32 cluster = 1U << r->rc->c.cluster_bits;
	u64 from = round_up(r->rc->c.size, cluster);
	u64 last = round_down(r->rc->to - 1, cluster);
	void *buf = kunit_kzalloc(test, SECTOR_SIZE, GFP_KERNEL);
	char text[64];

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(dev));
	KUNIT_ASSERT_EQ_MSG(test, 0, resize_to(r, r->rc->to, false), "%s", r->text);
	KUNIT_EXPECT_EQ(test, -EINVAL, resize_to(r, from, false));
	KUNIT_EXPECT_EQ(test, -EBUSY, resize_to(r, from, true));
	memset(buf, 0x5a, SECTOR_SIZE);
	KUNIT_EXPECT_EQ(test, 0, ram_device_rw(dev, REQ_OP_WRITE, last >> SECTOR_SHIFT, buf, 1));
	ram_device_close(dev);
	KUNIT_EXPECT_EQ(test, -EEXIST, resize_to(r, from, true));
	expect_capacity(r, r->rc->to);
	/* Version 1 and 2 have space for zeros over a backing file. */
	if (r->rc->c.version > 2 || !r->rc->c.backing) {
		snprintf(text, sizeof(text), "guest offset %llu is in use", last);
		KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(r->text, text), "%s", r->text);
		KUNIT_ASSERT_EQ(test, 0, ram_device_open(dev));
		KUNIT_EXPECT_EQ(test, 0, ram_device_zero(dev, REQ_OP_WRITE_ZEROES,
							 last >> SECTOR_SHIFT,
							 (r->rc->to - last) >> SECTOR_SHIFT));
		ram_device_close(dev);
		KUNIT_EXPECT_EQ_MSG(test, 0, resize_to(r, from, true), "%s", r->text);
		expect_capacity(r, from);
		KUNIT_EXPECT_EQ_MSG(test, 0, resize_to(r, r->rc->to, false), "%s", r->text);
	}
	KUNIT_ASSERT_EQ(test, 0, ram_device_open(dev));
	KUNIT_EXPECT_EQ(test, 0, ram_device_zero(dev, REQ_OP_WRITE_ZEROES, last >> SECTOR_SHIFT,
						 (r->rc->to - last) >> SECTOR_SHIFT));
	detach_grown(r);
}

static const struct resize_case simple_case = {
	.c = { .name = "v3, 64k", .version = 3, .cluster_bits = 16, .size = SZ_1M, .threads = 1 },
	.to = SZ_2M,
};

static struct resize_rig *simple_rig(struct kunit *test)
{
	test->param_value = &simple_case;
	return resize_rig_create(test);
}

static void expect_refused(struct resize_rig *r, u64 bytes, int err, const char *text)
{
	KUNIT_EXPECT_EQ(r->rig->test, err, resize_to(r, bytes, false));
	KUNIT_EXPECT_NOT_NULL_MSG(r->rig->test, strstr(r->text, text), "%s", r->text);
	expect_capacity(r, SZ_1M);
}

static void sizes_that_are_refused(struct kunit *test)
{
	struct resize_rig *r = simple_rig(test);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	expect_refused(r, 0, -EINVAL, "new size is 0, must be a multiple of 512, and not 0");
	expect_refused(r, SZ_2M + 1, -EINVAL, "new size is 2097153, must be a multiple of 512");
	expect_refused(r, SZ_512K, -EINVAL,
		       "new size 524288 is less than the present one, 1048576");
	expect_refused(r, 1ULL << 63, -EFBIG, "size is 9223372036854775808");
	expect_refused(r, (1ULL << 51) + 512, -EFBIG, "needs 4194305 L1 table entries");
	KUNIT_EXPECT_EQ(test, 0, resize_to(r, SZ_1M, false));
	KUNIT_EXPECT_EQ(test, -ENXIO, qcow_device_resize(1 << 20, SZ_2M, false, NULL));
}

static const struct resize_case long_l1_case = {
	.c = {
		.name = "v3, 64k, L1 entries beyond the size", .version = 3, .cluster_bits = 16,
		.size = SZ_1M, .ballast = SZ_64K, .threads = 1,
	},
	.to = SZ_2G,
};

/* Tables beyond the size, one of them where there can be none: the others are found again. */
static void tables_beyond_the_size(struct kunit *test)
{
	struct resize_rig *r;
	struct qcow_disk_header *h;
	__be64 *l1;

	test->param_value = &long_l1_case;
	r = resize_rig_create(test);
	h = (void *)r->rig->dev.disk->data;
	h->l1_entries = cpu_to_be32(4);
	l1 = (void *)h + be64_to_cpu(h->l1_offset);
	/* The ballast follows; it is zeros. */
	l1[1] = cpu_to_be64((be64_to_cpu(h->l1_offset) + SZ_64K) | ENTRY_COPIED);
	l1[2] = h->refcount_table_offset | cpu_to_be64(ENTRY_COPIED);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	expect_refused(r, SZ_2G, -EUCLEAN, "L1 entry 2: L2 table at 0x10000 lies over other");
	expect_refused(r, SZ_2G, -EUCLEAN, "L1 entry 2: L2 table at 0x10000 lies over other");
	ram_disk_fail(r->rig->dev.disk, 1, -EIO);
	expect_refused(r, SZ_2G, -EIO, "cannot be read");
	ram_disk_fail(r->rig->dev.disk, 0, 0);
	l1[2] = 0;
	KUNIT_EXPECT_EQ_MSG(test, 0, resize_to(r, SZ_2G, false), "%s", r->text);
	expect_capacity(r, SZ_2G);
	KUNIT_ASSERT_EQ(test, 0, ram_device_detach(&r->rig->dev));
	expect_good(r, r->rig->model->acked, true);
}

/* A device with an operation on it stays, and has no other one. */
static void operation_keeps_the_device(struct kunit *test)
{
	struct resize_rig *r = simple_rig(test);
	struct ram_device *dev = &r->rig->dev;
	char text[128] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_device *qdev;

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(dev));
	qdev = qcow_device_get(dev->index, "resize", NULL);
	KUNIT_ASSERT_PTR_EQ(test, dev->qcow, qdev);
	expect_refused(r, SZ_2M, -EBUSY, "resize is running on it");
	KUNIT_EXPECT_EQ(test, -EBUSY, qcow_device_shut(qdev, NULL));
	KUNIT_EXPECT_EQ(test, -EBUSY, qcow_device_detach(dev->index, false, &rep));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, "is open"), "%s", text);
	ram_device_close(dev);
	KUNIT_EXPECT_EQ(test, 0, qcow_device_shut(qdev, NULL));
	KUNIT_EXPECT_EQ(test, -EBUSY, ram_device_open(dev));
	qcow_device_put(qdev);
	KUNIT_EXPECT_EQ(test, 0, ram_device_open(dev));
	KUNIT_EXPECT_EQ(test, 0, ram_device_detach(dev));
}

static void detach_work(struct work_struct *work)
{
	struct resize_rig *r = container_of(work, struct resize_rig, work);
	struct qcow_report rep = { .buf = r->text, .size = sizeof(r->text) };

	r->err = qcow_device_detach(r->rig->dev.index, false, &rep);
}

static void detach_waits_for_the_operation(struct kunit *test)
{
	struct resize_rig *r = simple_rig(test);
	struct ram_device *dev = &r->rig->dev;
	struct qcow_device *qdev;

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(dev));
	qdev = qcow_device_get(dev->index, "resize", NULL);
	KUNIT_ASSERT_PTR_EQ(test, dev->qcow, qdev);
	ram_device_close(dev);
	INIT_WORK(&r->work, detach_work);
	queue_work(system_unbound_wq, &r->work);
	msleep(100);
	KUNIT_EXPECT_TRUE(test, work_busy(&r->work));
	dev->attached = false;
	qcow_device_put(qdev);
	flush_work(&r->work);
	KUNIT_EXPECT_EQ_MSG(test, 0, r->err, "%s", r->text);
	KUNIT_EXPECT_EQ(test, -ENXIO, qcow_device_detach(dev->index, false, NULL));
}

static void lazy_detach_waits_for_the_operation(struct kunit *test)
{
	struct resize_rig *r = simple_rig(test);
	struct ram_device *dev = &r->rig->dev;
	struct qcow_device *qdev;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(dev));
	qdev = qcow_device_get(dev->index, "resize", NULL);
	KUNIT_ASSERT_PTR_EQ(test, dev->qcow, qdev);
	KUNIT_EXPECT_EQ(test, -EINPROGRESS, qcow_device_detach(dev->index, true, NULL));
	dev->attached = false;
	ram_device_close(dev);
	KUNIT_EXPECT_EQ(test, SZ_1M >> SECTOR_SHIFT, get_capacity(qdev->disk));
	qcow_device_put(qdev);
	/* It goes by and by, and then the image can be attached again. */
	KUNIT_EXPECT_EQ(test, -ENXIO, qcow_device_detach(dev->index, false, NULL));
	for (i = 0; i < 1000 && ram_device_attach(dev); i++)
		msleep(20);
	KUNIT_EXPECT_LT(test, i, 1000);
}

static const void *next_part(const void *prev, char *name)
{
	return part_next(resize_gen_params, prev, name, PART_KINDS);
}

static const void *next_few(const void *prev, char *name)
{
	return part_next(resize_gen_params, prev, name, PART_FEW_KINDS);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(cuts_while_it_grows, next_part),
	KUNIT_CASE_PARAM_ATTR(changes_fail_once, next_few, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM_ATTR(given_up_after_a_change_fails, next_few,
			      { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM_ATTR(reads_fail_once, next_few, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM(no_space, next_few),
	KUNIT_CASE_PARAM(shrinks_when_unused, resize_gen_params),
	KUNIT_CASE(sizes_that_are_refused),
	KUNIT_CASE(tables_beyond_the_size),
	KUNIT_CASE(operation_keeps_the_device),
	KUNIT_CASE(detach_waits_for_the_operation),
	KUNIT_CASE(lazy_detach_waits_for_the_operation),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_resize",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
