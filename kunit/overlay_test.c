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
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include "data/cow.h"
#include "device.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "rig/guest_model.h"
#include "rig/image_builder.h"
#include "rig/image_fsck.h"
#include "rig/overlays.h"
#include "rig/part.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

static unsigned int overlay_cuts = 40;
module_param(overlay_cuts, uint, 0444);
MODULE_PARM_DESC(overlay_cuts, "power cuts that are tried while overlays are made, of each kind of image");

#define SEED		11

/* Operations of the guest, of each thread. */
#define OPS		20
#define OPS_MEANWHILE	60

/* Calls that are made to fail, at most. */
#define MAX_CALLS	100

/**
 * struct overlay_rig - a device that gets overlays
 * @rig: image and guest
 * @tops: the overlays
 * @text: what is wrong
 * @err: of the overlays that @work made
 * @work: makes them
 * @lock: one check at a time
 * @least: versions that must be there
 * @nr: cuts so far
 * @bad: one went wrong
 */
struct overlay_rig {
	struct write_rig *rig;
	struct overlays *tops;
	char text[256];
	int err;
	struct work_struct work;
	struct mutex lock;	/* checks */
	u32 *least;
	unsigned int nr;
	bool bad;
};

static struct ram_disk *build_top(struct kunit *test, u64 size, u32 cluster_bits)
{
	return overlay_build(test, &(struct image_shape) {
		.version = 3, .cluster_bits = cluster_bits, .size = size,
	});
}

static struct overlay_rig *overlay_rig_create(struct kunit *test, const struct write_case *c)
{
	struct overlay_rig *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, r);
	r->rig = write_rig_create(test, c, SEED);
	r->tops = overlays_create(test, &(struct image_shape) {
		.version = 3, .cluster_bits = c->cluster_bits, .size = c->size, .room = SZ_16M,
	});
	r->least = kunit_kcalloc(test, c->size / SECTOR_SIZE, sizeof(u32), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r->least);
	mutex_init(&r->lock);
	return r;
}

static void restart(struct overlay_rig *r)
{
	write_rig_restart(r->rig);
	overlays_restart(r->tops);
}

static int guest(struct overlay_rig *r, unsigned int ops, u64 seed)
{
	struct guest_load *load = &r->rig->load;
	int err;

	load->ops = ops;
	load->seed = seed;
	err = guest_load_run(load);
	KUNIT_EXPECT_STREQ(r->rig->test, load->text, "");
	return err ?: guest_load_flush(load, r->rig->promise);
}

static int put_disk_on(struct overlay_rig *r, struct ram_disk *disk)
{
	return overlays_put(r->tops, &r->rig->dev, disk, r->text, sizeof(r->text));
}

static int put_next_on(struct overlay_rig *r)
{
	return put_disk_on(r, overlays_next(r->tops, r->rig->c->size));
}

/* The chain that the copies of all disks are; each of them is a good image. */
static int check_copies(struct overlay_rig *r, const u32 *least)
{
	struct write_rig *rig = r->rig;
	struct qcow_image *chain[MAX_OVERLAYS + 1], *image;
	struct overlays *tops = r->tops;
	int nr, err = image_fsck(rig->fsck);

	if (err) {
		strscpy(r->text, rig->fsck->text, sizeof(r->text));
		return err;
	}
	image = rig->backing;
	for (nr = 0; nr <= MAX_OVERLAYS && !err; nr++) {
		if (nr && image_fsck(tops->fscks[nr - 1])) {
			strscpy(r->text, tops->fscks[nr - 1]->text, sizeof(r->text));
			err = -EUCLEAN;
			break;
		}
		image = write_rig_open_over(rig, nr ? tops->copies[nr - 1] : rig->copy, image,
					    QCOW_ACTIVE_STATE);
		if (IS_ERR(image)) {
			strscpy(r->text, rig->text, sizeof(r->text));
			err = PTR_ERR(image);
			break;
		}
		chain[nr] = image;
	}
	if (!err)
		err = qcow_cow_read(image, 0, rig->guest, rig->c->size);
	if (!err)
		err = guest_model_check(rig->model, least, 0, rig->model->nr, rig->guest, r->text,
					sizeof(r->text));
	while (nr--)
		qcow_image_close(chain[nr]);
	return err;
}

static void imagine(struct overlay_rig *r, u64 seed)
{
	ram_disk_imagine(r->rig->dev.disk, seed, r->rig->copy);
	overlays_imagine(r->tops, seed);
}

static void expect_good(struct overlay_rig *r, const u32 *least)
{
	imagine(r, 0);
	KUNIT_EXPECT_EQ_MSG(r->rig->test, 0, check_copies(r, least), "%s", r->text);
}

static void on_change(void *watcher)
{
	struct overlay_rig *r = watcher;
	int err;

	mutex_lock(&r->lock);
	if (!r->bad && r->nr < overlay_cuts) {
		guest_model_durable(r->rig->model, r->least);
		imagine(r, SEED + r->nr);
		err = check_copies(r, r->least);
		if (err) {
			kunit_err(r->rig->test, "cut %u: error %d: %s", r->nr, err, r->text);
			r->bad = true;
		}
		r->nr++;
	}
	mutex_unlock(&r->lock);
}

static void watch(struct overlay_rig *r, void (*func)(void *watcher))
{
	struct ram_disk *disks[] = { r->rig->dev.disk, r->tops->disks[0], r->tops->disks[1] };
	unsigned int i;

	static_assert(ARRAY_SIZE(disks) == MAX_OVERLAYS + 1);
	for (i = 0; i < ARRAY_SIZE(disks); i++) {
		disks[i]->watcher = r;
		disks[i]->on_change = func;
	}
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
	expect_good(r, rig->model->acked);
	if (rig->c->version > 1)
		KUNIT_EXPECT_EQ(rig->test, rig->leaked, rig->fsck->leaked);
	for (i = 0; i < MAX_OVERLAYS; i++)
		KUNIT_EXPECT_EQ(rig->test, 0, r->tops->fscks[i]->leaked);
}

static void cuts_while_overlays_are_made(struct kunit *test)
{
	struct overlay_rig *r = overlay_rig_create(test, test->param_value);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	watch(r, on_change);
	INIT_WORK(&r->work, overlay_work);
	queue_work(system_unbound_wq, &r->work);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS_MEANWHILE, SEED + 100));
	flush_work(&r->work);
	watch(r, NULL);
	KUNIT_EXPECT_EQ_MSG(test, 0, r->err, "%s", r->text);
	KUNIT_EXPECT_FALSE(test, r->bad);
	KUNIT_EXPECT_EQ(test, MAX_OVERLAYS + 1 + !!r->rig->c->backing, r->rig->dev.qcow->depth);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED + 200));
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

	restart(r);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	ram_disk_fail_change(disk, nth, -EIO);
	err = put_next_on(r);
	failed = disk->failed;
	lost = disk->failed == &disk->flushes;
	ram_disk_fail_change(disk, 0, 0);
	if (!failed)
		KUNIT_EXPECT_EQ_MSG(test, 0, err, "call %d: %s", nth, r->text);
	KUNIT_EXPECT_EQ(test, r->tops->nr + 1 + !!r->rig->c->backing, r->rig->dev.qcow->depth);
	expect_good(r, r->rig->model->durable);
	/* Nothing is written any more where a flush has failed, but to an overlay. */
	if (!err || !lost) {
		KUNIT_EXPECT_EQ_MSG(test, 0, guest(r, OPS, SEED + 1), "call %d", nth);
		KUNIT_EXPECT_EQ_MSG(test, 0, put_next_on(r), "call %d: %s", nth, r->text);
		KUNIT_EXPECT_EQ_MSG(test, 0, guest(r, OPS, SEED + 2), "call %d", nth);
	}
	ram_device_detach(&r->rig->dev);
	expect_good(r, r->rig->model->durable);
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
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
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
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	below = ram_layer(&r->rig->dev, r->rig->dev.disk, false);
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EBUSY), qcow_layer_get(&below.p, NULL));
	KUNIT_ASSERT_EQ_MSG(test, 0, put_next_on(r), "%s", r->text);
	below = ram_layer(&r->rig->dev, r->rig->dev.disk, false);
	layer = qcow_layer_get(&below.p, NULL);
	KUNIT_ASSERT_PTR_EQ(test, r->rig->dev.qcow->chain->backing, layer);
	KUNIT_EXPECT_EQ(test, 1, qcow_layer_shared(r->rig->dev.qcow->chain));
	below.p.image.writable = true;
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EBUSY), qcow_layer_get(&below.p, NULL));
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED + 1));
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

static const void *kind_next_half(const void *prev, char *name)
{
	return part_next(kind_next, prev, name, 2);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(cuts_while_overlays_are_made, kind_next),
	KUNIT_CASE_PARAM_ATTR(changes_fail_once, kind_next_half, { .speed = KUNIT_SPEED_SLOW }),
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
