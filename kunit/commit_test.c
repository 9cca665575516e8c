// SPDX-License-Identifier: GPL-2.0
/*
 * Overlays that are committed into the image below them while a guest writes: power cuts at the
 * calls of all disks, calls that fail, cancelled. Whatever happens, the overlay on the image has
 * what the guest was promised, and once it is committed the image alone has that.
 */

#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/moduleparam.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include "device.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "layer/map.h"
#include "live/resize.h"
#include "rig/guest_model.h"
#include "rig/image_fsck.h"
#include "rig/overlay_rig.h"
#include "rig/overlays.h"
#include "rig/part.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

static unsigned int commit_cuts = 60;
module_param(commit_cuts, uint, 0444);
MODULE_PARM_DESC(commit_cuts, "power cuts that are tried while overlays are committed, of each kind of image");

/* Operations of the guest, of each thread. */
#define OPS		20
#define OPS_MEANWHILE	60

/* Calls that are made to fail, at most. */
#define MAX_CALLS	100

/* The disk becomes so much longer than the image, which ends within a cluster then. */
#define GROWN_BYTES	(SZ_64K + 1024)

static int put_on(struct overlay_rig *r)
{
	struct ram_disk *disk = overlays_next(r->tops, r->rig->dev.qcow->chain->size);

	return overlays_put(r->tops, &r->rig->dev, disk, r->text, sizeof(r->text));
}

static int commit(struct overlay_rig *r)
{
	return overlays_commit(r->tops, &r->rig->dev, 0, r->text, sizeof(r->text));
}

/* Attached, with an overlay on the image, and something of the guest's in both. */
static void begin(struct overlay_rig *r)
{
	struct kunit *test = r->rig->test;

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED));
	KUNIT_ASSERT_EQ_MSG(test, 0, put_on(r), "%s", r->text);
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED + 1));
}

/* The chain is whole, and the image without leaks but for gaps of version 1. */
static void detach(struct overlay_rig *r)
{
	struct write_rig *rig = r->rig;

	KUNIT_ASSERT_EQ(rig->test, 0, ram_device_detach(&rig->dev));
	overlay_rig_expect_good(r, rig->model->acked);
	if (rig->c->version > 1)
		KUNIT_EXPECT_EQ(rig->test, rig->leaked, rig->fsck->leaked);
}

/* And what the overlays show is the image's. */
static void detach_image(struct overlay_rig *r)
{
	struct write_rig *rig = r->rig;

	detach(r);
	KUNIT_EXPECT_EQ_MSG(rig->test, 0, write_rig_check(rig, rig->model->acked, true), "%s",
			    rig->text);
}

/* Twice, with the same overlay: the second time into what has been committed into before. */
static void commit_work(struct work_struct *work)
{
	struct overlay_rig *r = container_of(work, struct overlay_rig, work);

	r->err = commit(r);
	if (!r->err)
		r->err = put_on(r);
	if (!r->err)
		r->err = commit(r);
}

/* What is below the image may be longer, and does not show. */
static void expect_zeros(struct overlay_rig *r, u64 from, u64 to)
{
	struct kunit *test = r->rig->test;
	void *buf = kunit_kzalloc(test, to - from, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, 0, ram_device_rw(&r->rig->dev, REQ_OP_READ, from / SECTOR_SIZE, buf,
					       (to - from) / SECTOR_SIZE));
	KUNIT_EXPECT_NULL(test, memchr_inv(buf, 0, to - from));
}

static void cuts_while_committing(struct kunit *test)
{
	struct overlay_rig *r = overlay_rig_create(test, test->param_value);
	u64 size = r->rig->c->size + GROWN_BYTES;

	begin(r);
	KUNIT_EXPECT_EQ(test, 0, qcow_device_resize(r->rig->dev.index, size, false, NULL));
	overlay_rig_watch(r, commit_cuts);
	INIT_WORK(&r->work, commit_work);
	queue_work(system_unbound_wq, &r->work);
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS_MEANWHILE, OVERLAY_SEED + 100));
	flush_work(&r->work);
	overlay_rig_watch(r, 0);
	KUNIT_EXPECT_EQ_MSG(test, 0, r->err, "%s", r->text);
	KUNIT_EXPECT_FALSE(test, r->bad);
	KUNIT_EXPECT_EQ(test, 1 + !!r->rig->c->backing, r->rig->dev.qcow->depth);
	KUNIT_EXPECT_EQ(test, size, r->rig->dev.qcow->chain->size);
	expect_zeros(r, r->rig->c->size, size);
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED + 200));
	detach_image(r);
	kunit_info(test, "%u cuts", r->nr);
}

/*
 * A commit while the @nth call of a store fails that is no read: of the image, or of the overlay.
 * Return: whether there was one.
 */
static bool fail_nth(struct overlay_rig *r, bool in_image, int nth)
{
	struct ram_disk *disk = in_image ? r->rig->dev.disk : r->tops->disks[0];
	struct kunit *test = r->rig->test;
	bool failed, lost;
	int err;

	overlay_rig_restart(r);
	begin(r);
	ram_disk_fail_change(disk, nth, -EIO);
	err = commit(r);
	failed = disk->failed;
	lost = disk->failed == &disk->flushes;
	ram_disk_fail_change(disk, 0, 0);
	if (!failed)
		KUNIT_EXPECT_EQ_MSG(test, 0, err, "call %d: %s", nth, r->text);
	overlay_rig_expect_good(r, r->rig->model->durable);
	/* An overlay whose table could not be wiped takes no writes any more. */
	if (!err || in_image)
		KUNIT_EXPECT_EQ_MSG(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED + 2),
				    "call %d", nth);
	/* What a flush of the image has lost is not known. */
	if (err && in_image && !lost)
		KUNIT_EXPECT_EQ_MSG(test, 0, commit(r), "call %d: %s", nth, r->text);
	ram_device_detach(&r->rig->dev);
	overlay_rig_expect_good(r, r->rig->model->durable);
	return failed;
}

/* The first ones all, of later ones fewer and fewer. */
static void fail_all(struct kunit *test, bool in_image)
{
	struct overlay_rig *r = overlay_rig_create(test, test->param_value);
	int nth = 1;

	while (nth < MAX_CALLS && fail_nth(r, in_image, nth))
		nth += 1 + nth / 3;
	KUNIT_EXPECT_GT(test, nth, 2);
}

static void changes_of_image_fail_once(struct kunit *test)
{
	fail_all(test, true);
}

static void changes_of_overlay_fail_once(struct kunit *test)
{
	fail_all(test, false);
}

static const struct write_case simple_case = {
	.name = "v3, 64k", .version = 3, .cluster_bits = 16, .size = SZ_1M, .threads = 1,
};

static void commit_slowly(struct work_struct *work)
{
	struct overlay_rig *r = container_of(work, struct overlay_rig, work);

	r->err = overlays_commit(r->tops, &r->rig->dev, 1, r->text, sizeof(r->text));
}

/* Then the image is a layer as others, which other devices may have. */
static void commit_that_is_cancelled(struct kunit *test)
{
	struct overlay_rig *r = overlay_rig_create(test, &simple_case);
	struct qcow_progress *progress;
	struct qcow_image *layer;
	struct ram_layer below;

	begin(r);
	progress = &r->rig->dev.qcow->progress;
	INIT_WORK(&r->work, commit_slowly);
	queue_work(system_unbound_wq, &r->work);
	while (!READ_ONCE(progress->done) && work_busy(&r->work))
		msleep(20);
	KUNIT_EXPECT_STREQ(test, qcow_progress_job(progress), "commit");
	below = ram_layer(&r->rig->dev, r->rig->dev.disk, false);
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EBUSY), qcow_layer_get(&below.p, NULL));
	KUNIT_EXPECT_EQ(test, 0, qcow_device_wait(r->rig->dev.index, true, NULL));
	flush_work(&r->work);
	KUNIT_EXPECT_EQ(test, -ECANCELED, r->err);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(r->text, "commit has been cancelled"), "%s",
				  r->text);
	KUNIT_EXPECT_EQ(test, 2, r->rig->dev.qcow->depth);
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED + 2));

	below = ram_layer(&r->rig->dev, r->rig->dev.disk, false);
	layer = qcow_layer_get(&below.p, NULL);
	KUNIT_ASSERT_PTR_EQ(test, r->rig->dev.qcow->chain->backing, layer);
	KUNIT_EXPECT_EQ(test, -EBUSY, commit(r));
	qcow_layer_put(layer);
	KUNIT_EXPECT_EQ_MSG(test, 0, commit(r), "%s", r->text);
	detach_image(r);
}

static void expect_refused(struct overlay_rig *r, int err, const char *text)
{
	struct kunit *test = r->rig->test;

	KUNIT_EXPECT_EQ(test, err, commit(r));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(r->text, text), "%s", r->text);
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED + 2));
}

static const struct write_case over_raw_case = {
	.name = "v3, 64k, backing", .version = 3, .cluster_bits = 16, .size = SZ_1M,
	.backing = SZ_1M, .threads = 1,
};

static void commits_that_are_refused(struct kunit *test)
{
	struct overlay_rig *r = overlay_rig_create(test, &over_raw_case);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_ASSERT_EQ_MSG(test, 0, put_on(r), "%s", r->text);
	KUNIT_ASSERT_EQ(test, 0, ram_device_snapshot(&r->rig->dev, QCOW_SNAPSHOT_CREATE, 1, r->text,
						     sizeof(r->text)));
	expect_refused(r, -EOPNOTSUPP, "the image has 1 snapshots");
	KUNIT_ASSERT_EQ(test, 0, ram_device_snapshot(&r->rig->dev, QCOW_SNAPSHOT_DELETE, 1, r->text,
						     sizeof(r->text)));
	KUNIT_EXPECT_EQ_MSG(test, 0, commit(r), "%s", r->text);
	detach_image(r);
}

/* Into the raw image, again and again: each time what the guest has written since goes there. */
static void commit_raw_work(struct work_struct *work)
{
	struct overlay_rig *r = container_of(work, struct overlay_rig, work);
	unsigned int i;

	for (i = 0; i < 3 && !r->err; i++)
		r->err = commit(r);
}

/* The image has nothing of its own, and the raw one has all. Nothing is written meanwhile. */
static void expect_raw(struct overlay_rig *r)
{
	struct write_rig *rig = r->rig;
	struct qcow_image *top = rig->dev.qcow->chain;
	struct qcow_extent ext = {};
	struct kunit *test = rig->test;
	u64 guest;

	KUNIT_EXPECT_EQ(test, max(rig->c->backing, rig->c->size), top->backing->size);
	for (guest = 0; guest < top->size; guest += ext.len) {
		KUNIT_ASSERT_EQ(test, 0, qcow_map_top_wait(top, guest, top->size - guest, NULL,
							   &ext));
		KUNIT_ASSERT_EQ_MSG(test, QCOW_EXTENT_HOLE, ext.kind, "at %llu", guest);
	}
	KUNIT_EXPECT_EQ_MSG(test, 0, guest_model_check(rig->model, rig->model->acked, 0,
						       rig->model->nr, rig->dev.backing->data,
						       r->text, sizeof(r->text)), "%s", r->text);
}

/* An image of the kind of the parameter, but without the snapshot that mixed ones have. */
static struct overlay_rig *create_on_raw(struct kunit *test)
{
	const struct write_case *kind = test->param_value;
	struct write_case *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, c);
	*c = *kind;
	c->mixed = false;
	return overlay_rig_create(test, c);
}

static void begin_on_raw(struct overlay_rig *r)
{
	KUNIT_ASSERT_EQ(r->rig->test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(r->rig->test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED));
}

static void cuts_while_committing_into_raw(struct kunit *test)
{
	struct overlay_rig *r = create_on_raw(test);

	begin_on_raw(r);
	/* The image drops what it has late. */
	overlay_rig_watch(r, 4 * commit_cuts);
	INIT_WORK(&r->work, commit_raw_work);
	queue_work(system_unbound_wq, &r->work);
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS_MEANWHILE, OVERLAY_SEED + 100));
	flush_work(&r->work);
	overlay_rig_watch(r, 0);
	KUNIT_EXPECT_EQ_MSG(test, 0, r->err, "%s", r->text);
	KUNIT_EXPECT_FALSE(test, r->bad);
	KUNIT_EXPECT_EQ(test, 2, r->rig->dev.qcow->depth);
	KUNIT_EXPECT_EQ_MSG(test, 0, commit(r), "%s", r->text);
	expect_raw(r);
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED + 200));
	detach(r);
	kunit_info(test, "%u cuts", r->nr);
}

/*
 * A commit while the @nth call of a store fails that is no read: of the raw image, or of the one on
 * it. Return: whether there was one.
 */
static bool fail_raw_nth(struct overlay_rig *r, struct ram_disk *disk, int nth)
{
	bool in_base = disk == r->rig->dev.backing, failed, lost;
	struct kunit *test = r->rig->test;
	int err;

	overlay_rig_restart(r);
	begin_on_raw(r);
	ram_disk_fail_change(disk, nth, -EIO);
	err = commit(r);
	failed = disk->failed;
	lost = disk->failed == &disk->flushes;
	ram_disk_fail_change(disk, 0, 0);
	if (!failed || !in_base)
		KUNIT_EXPECT_TRUE_MSG(test, !err || failed, "call %d: %s", nth, r->text);
	else
		KUNIT_EXPECT_EQ_MSG(test, -EIO, err, "call %d: %s", nth, r->text);
	overlay_rig_expect_good(r, r->rig->model->durable);
	if (in_base) {
		KUNIT_EXPECT_EQ_MSG(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED + 2),
				    "call %d", nth);
		KUNIT_EXPECT_EQ_MSG(test, 0, commit(r), "call %d: %s", nth, r->text);
		if (!lost)
			expect_raw(r);
	}
	ram_device_detach(&r->rig->dev);
	overlay_rig_expect_good(r, r->rig->model->durable);
	return failed;
}

/* The first ones all, of later ones fewer and fewer. */
static void changes_fail_once_into_raw(struct kunit *test)
{
	struct overlay_rig *r = create_on_raw(test);
	struct ram_disk *disks[] = { r->rig->dev.backing, r->rig->dev.disk };
	unsigned int i;
	int nth;

	for (i = 0; i < ARRAY_SIZE(disks); i++) {
		nth = 1;
		while (nth < MAX_CALLS && fail_raw_nth(r, disks[i], nth))
			nth += 1 + nth / 3;
		KUNIT_EXPECT_GT(test, nth, 2);
	}
}

/* Those over a raw image. */
static const void *kind_next_on_raw(const void *prev, char *name)
{
	const struct write_case *c = prev;

	do {
		c = write_case_next(c, name);
	} while (c && !c->backing);
	return c;
}

static const void *kind_next_on_raw_part(const void *prev, char *name)
{
	return part_next(kind_next_on_raw, prev, name, PART_KINDS);
}

static const void *kind_next_part(const void *prev, char *name)
{
	return part_next(write_case_next, prev, name, PART_KINDS);
}

static const void *kind_next_few(const void *prev, char *name)
{
	return part_next(write_case_next, prev, name, PART_FEW_KINDS);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(cuts_while_committing, kind_next_part),
	KUNIT_CASE_PARAM_ATTR(changes_of_image_fail_once, kind_next_few,
			      { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM_ATTR(changes_of_overlay_fail_once, kind_next_few,
			      { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM(cuts_while_committing_into_raw, kind_next_on_raw_part),
	KUNIT_CASE_PARAM_ATTR(changes_fail_once_into_raw, kind_next_on_raw_part,
			      { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE(commit_that_is_cancelled),
	KUNIT_CASE(commits_that_are_refused),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_commit",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
