// SPDX-License-Identifier: GPL-2.0
/*
 * Overlays that are put on an image while a guest writes to it: power cuts at the calls of all
 * disks, calls of the image's store that fail, what is refused. Whatever happens, the overlays on
 * the image have what the guest was promised.
 */

#include <kunit/test.h>
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/moduleparam.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include "data/cow.h"
#include "device.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "rig/guest_model.h"
#include "rig/image_builder.h"
#include "rig/image_fsck.h"
#include "rig/overlay_rig.h"
#include "rig/overlays.h"
#include "rig/part.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

static unsigned int overlay_cuts = 40;
module_param(overlay_cuts, uint, 0444);
MODULE_PARM_DESC(overlay_cuts, "power cuts that are tried while overlays are made, of each kind of image");

/* Operations of the guest, of each thread. */
#define OPS		20
#define OPS_MEANWHILE	60

/* Calls that are made to fail, at most. */
#define MAX_CALLS	100

static struct ram_disk *build_top(struct kunit *test, u64 size, u32 cluster_bits)
{
	return overlay_build(test, &(struct image_shape) {
		.version = 3, .cluster_bits = cluster_bits, .size = size,
	});
}

static int put_disk_on(struct overlay_rig *r, struct ram_disk *disk)
{
	return overlays_put(r->tops, &r->rig->dev, disk, r->text, sizeof(r->text));
}

static int put_next_on(struct overlay_rig *r)
{
	return put_disk_on(r, overlays_next(r->tops, r->rig->c->size));
}

static void overlay_work(struct work_struct *work)
{
	struct overlay_rig *r = container_of(work, struct overlay_rig, work);
	unsigned int i;

	for (i = 0; i < MAX_OVERLAYS && !r->err; i++)
		r->err = put_next_on(r);
}

/* All layers are whole and, but for gaps of version 1, without leaks. */
static void detach_layers(struct overlay_rig *r)
{
	struct write_rig *rig = r->rig;
	unsigned int i;

	KUNIT_ASSERT_EQ(rig->test, 0, ram_device_detach(&rig->dev));
	overlay_rig_expect_good(r, rig->model->acked);
	if (rig->c->version > 1)
		KUNIT_EXPECT_EQ(rig->test, rig->leaked, rig->fsck->leaked);
	for (i = 0; i < MAX_OVERLAYS; i++)
		KUNIT_EXPECT_EQ(rig->test, 0, r->tops->fscks[i]->leaked);
}

static void cuts_while_overlays_are_made(struct kunit *test)
{
	struct overlay_rig *r = overlay_rig_create(test, test->param_value);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED));
	overlay_rig_watch(r, overlay_cuts);
	INIT_WORK(&r->work, overlay_work);
	queue_work(system_unbound_wq, &r->work);
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS_MEANWHILE, OVERLAY_SEED + 100));
	flush_work(&r->work);
	overlay_rig_watch(r, 0);
	KUNIT_EXPECT_EQ_MSG(test, 0, r->err, "%s", r->text);
	KUNIT_EXPECT_FALSE(test, r->bad);
	KUNIT_EXPECT_EQ(test, MAX_OVERLAYS + 1 + !!r->rig->c->backing, r->rig->dev.qcow->depth);
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED + 200));
	detach_layers(r);
	kunit_info(test, "%u cuts", r->nr);
}

/*
 * One overlay while the @nth call of the image's store fails that is no read. Return: whether there
 * was one.
 */
static bool fail_nth(struct overlay_rig *r, int nth)
{
	struct ram_disk *disk = r->rig->dev.disk;
	struct kunit *test = r->rig->test;
	bool failed, lost;
	int err;

	overlay_rig_restart(r);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED));
	ram_disk_fail_change(disk, nth, -EIO);
	err = put_next_on(r);
	failed = disk->failed;
	lost = disk->failed == &disk->flushes;
	ram_disk_fail_change(disk, 0, 0);
	if (!failed)
		KUNIT_EXPECT_EQ_MSG(test, 0, err, "call %d: %s", nth, r->text);
	KUNIT_EXPECT_EQ(test, r->tops->nr + 1 + !!r->rig->c->backing, r->rig->dev.qcow->depth);
	overlay_rig_expect_good(r, r->rig->model->durable);
	/* Nothing is written any more where a flush has failed, but to an overlay. */
	if (!err || !lost) {
		KUNIT_EXPECT_EQ_MSG(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED + 1),
				    "call %d", nth);
		KUNIT_EXPECT_EQ_MSG(test, 0, put_next_on(r), "call %d: %s", nth, r->text);
		KUNIT_EXPECT_EQ_MSG(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED + 2),
				    "call %d", nth);
	}
	ram_device_detach(&r->rig->dev);
	overlay_rig_expect_good(r, r->rig->model->durable);
	return failed;
}

/* The first ones all, of later ones fewer and fewer. */
static void changes_fail_once(struct kunit *test)
{
	struct overlay_rig *r = overlay_rig_create(test, test->param_value);
	int nth = 1;

	while (nth < MAX_CALLS && fail_nth(r, nth))
		nth += 1 + nth / 3;
	KUNIT_EXPECT_GT(test, nth, 2);
}

static const struct write_case simple_case = {
	.name = "v3, 64k", .version = 3, .cluster_bits = 16, .size = SZ_1M, .threads = 1,
};

static void expect_refused(struct overlay_rig *r, struct ram_disk *disk, int err, const char *text)
{
	struct kunit *test = r->rig->test;

	KUNIT_EXPECT_EQ(test, err, put_disk_on(r, disk));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(r->text, text), "%s", r->text);
	KUNIT_EXPECT_EQ(test, 1, r->rig->dev.qcow->depth);
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED));
}

static void overlays_that_are_refused(struct kunit *test)
{
	struct overlay_rig *r = overlay_rig_create(test, &simple_case);
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = SZ_1M };
	struct image_builder *filled = image_build(test, &shape);

	image_build_entry(filled, 0, image_build_data(filled, 0) | image_build_copied(filled));
	image_build_counts(filled);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	expect_refused(r, build_top(test, SZ_1M - 512, 16), -EINVAL,
		       "size of the overlay: 1048064, must be that of the device, 1048576");
	expect_refused(r, build_top(test, SZ_1M + 512, 16), -EINVAL, "must be that of the device");
	expect_refused(r, filled->disk, -EINVAL, "the overlay is not empty: L1 entry 0");
	expect_refused(r, r->rig->dev.disk, -EBUSY, "");
	ram_disk_fail_call(r->tops->disks[0], 1, -EIO);
	expect_refused(r, r->tops->disks[0], -EIO, "");
	ram_disk_fail_call(r->tops->disks[0], 0, 0);
	detach_layers(r);
}

/* What is below an overlay is there for others, and they may all go in any order. */
static void layer_is_shared(struct kunit *test)
{
	struct overlay_rig *r = overlay_rig_create(test, &simple_case);
	struct ram_layer below;
	struct qcow_image *layer;

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED));
	below = ram_layer(&r->rig->dev, r->rig->dev.disk, false);
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EBUSY), qcow_layer_get(&below.p, NULL));
	KUNIT_ASSERT_EQ_MSG(test, 0, put_next_on(r), "%s", r->text);
	below = ram_layer(&r->rig->dev, r->rig->dev.disk, false);
	layer = qcow_layer_get(&below.p, NULL);
	KUNIT_ASSERT_PTR_EQ(test, r->rig->dev.qcow->chain->backing, layer);
	KUNIT_EXPECT_EQ(test, 1, qcow_layer_shared(r->rig->dev.qcow->chain));
	below.p.image.writable = true;
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EBUSY), qcow_layer_get(&below.p, NULL));
	KUNIT_EXPECT_EQ(test, 0, overlay_rig_guest(r, OPS, OVERLAY_SEED + 1));
	detach_layers(r);
	KUNIT_EXPECT_EQ(test, 0, qcow_cow_read(layer, 0, r->rig->guest, SZ_1M));
	qcow_layer_put(layer);
}

/* Every third kind: overlays differ little. */
static const void *kind_next(const void *prev, char *name)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		prev = write_case_next(prev, name);
		if (!prev)
			break;
	}
	return prev;
}

static const void *kind_next_part(const void *prev, char *name)
{
	return part_next(kind_next, prev, name, PART_KINDS);
}

static const void *kind_next_few(const void *prev, char *name)
{
	return part_next(kind_next, prev, name, PART_FEW_KINDS);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(cuts_while_overlays_are_made, kind_next_part),
	KUNIT_CASE_PARAM_ATTR(changes_fail_once, kind_next_few, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE(overlays_that_are_refused),
	KUNIT_CASE(layer_is_shared),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_overlay",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
