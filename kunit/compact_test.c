// SPDX-License-Identifier: GPL-2.0
/*
 * Images that are compacted while a guest writes to them: power cuts at their calls, calls that
 * fail. Whatever happens, the image is good, has what the guest was promised, and nothing more of
 * it is leaked once it is detached.
 */

#include <kunit/test.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <qcow/report.h>
#include <uapi/linux/qcow.h>

#include "device.h"
#include "layer/image.h"
#include "live/compact.h"
#include "meta/compact.h"
#include "meta/worker.h"
#include "rig/guest_model.h"
#include "rig/image_fsck.h"
#include "rig/part.h"
#include "rig/ram_device.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

static unsigned int compact_cuts = 60;
module_param(compact_cuts, uint, 0444);
MODULE_PARM_DESC(compact_cuts, "power cuts that are tried while images are compacted, of each kind");

#define SEED		47

/* Operations of the guest, of each thread. */
#define OPS		60
#define OPS_MEANWHILE	100

/* The same is compacted so often while the guest writes. */
#define ROUNDS		4

/* Calls that are made to fail, at most. */
#define MAX_CALLS	100

/**
 * struct compact_rig - a device whose image is compacted
 * @rig: image and guest
 * @text: what is wrong
 * @work: compacts it
 * @err: of that
 * @lock: one check at a time
 * @least: versions that must be there
 * @nr: cuts so far
 * @bad: one went wrong
 */
struct compact_rig {
	struct write_rig *rig;
	char text[256];
	struct work_struct work;
	int err;
	struct mutex lock;	/* checks */
	u32 *least;
	unsigned int nr;
	bool bad;
};

static int compact(struct compact_rig *r)
{
	struct qcow_report rep = { .buf = r->text, .size = sizeof(r->text) };
	const struct qcow_compact args = { .index = r->rig->dev.index };

	r->text[0] = 0;
	return qcow_device_compact(&args, &rep);
}

static void compact_work(struct work_struct *work)
{
	struct compact_rig *r = container_of(work, struct compact_rig, work);
	unsigned int i;

	r->err = 0;
	for (i = 0; i < ROUNDS && !r->err; i++)
		r->err = compact(r);
}

static struct compact_rig *compact_rig_create(struct kunit *test, const struct write_case *c)
{
	struct compact_rig *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, r);
	r->rig = write_rig_create(test, c, SEED);
	r->least = kunit_kcalloc(test, c->size / SECTOR_SIZE, sizeof(u32), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r->least);
	INIT_WORK(&r->work, compact_work);
	mutex_init(&r->lock);
	return r;
}

static void on_change(void *watcher)
{
	struct compact_rig *r = watcher;
	struct write_rig *rig = r->rig;
	int err;

	mutex_lock(&r->lock);
	if (!r->bad && r->nr < compact_cuts) {
		guest_model_durable(rig->model, r->least);
		ram_disk_imagine(rig->dev.disk, SEED + r->nr, rig->copy);
		err = write_rig_check(rig, r->least, !(r->nr % 16));
		if (err) {
			kunit_err(rig->test, "cut %u: error %d: %s", r->nr, err, rig->text);
			r->bad = true;
		}
		r->nr++;
	}
	mutex_unlock(&r->lock);
}

static void watch(struct compact_rig *r, void (*func)(void *watcher))
{
	r->rig->dev.disk->watcher = r;
	r->rig->dev.disk->on_change = func;
}

static void cuts_while_compacting(struct kunit *test)
{
	struct compact_rig *r = compact_rig_create(test, test->param_value);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, write_rig_guest(r->rig, OPS, SEED));
	watch(r, on_change);
	queue_work(system_unbound_wq, &r->work);
	KUNIT_EXPECT_EQ(test, 0, write_rig_guest(r->rig, OPS_MEANWHILE, SEED + 100));
	flush_work(&r->work);
	watch(r, NULL);
	KUNIT_EXPECT_EQ_MSG(test, 0, r->err, "%s", r->text);
	KUNIT_EXPECT_FALSE(test, r->bad);
	kunit_info(test, "%u cuts", r->nr);
	/* What it has set aside it can use. */
	KUNIT_EXPECT_EQ(test, 0, write_rig_guest(r->rig, OPS, SEED + 200));
	write_rig_detach(r->rig);
}

/* There is no gap where nothing keeps a cluster at its place. */
static void image_is_as_short_as_can_be(struct kunit *test)
{
	struct compact_rig *r = compact_rig_create(test, test->param_value);
	struct write_rig *rig = r->rig;
	struct qcow_compact_walk walk = {};

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&rig->dev));
	KUNIT_EXPECT_EQ(test, 0, write_rig_guest(rig, OPS, SEED));
	KUNIT_EXPECT_EQ_MSG(test, 0, compact(r), "%s", r->text);
	KUNIT_EXPECT_EQ(test, U64_MAX, rig->dev.qcow->meta->move_from);
	KUNIT_EXPECT_EQ(test, 0, rig->dev.qcow->meta->moves);
	do {
		KUNIT_ASSERT_EQ(test, 0, qcow_compact_walk(rig->dev.qcow->meta, &walk));
	} while (walk.more);
	if (!rig->c->mixed)
		KUNIT_EXPECT_EQ(test, walk.used, walk.from);
	KUNIT_EXPECT_LE(test, rig->dev.disk->bytes, walk.from << rig->c->cluster_bits);
	write_rig_detach(rig);
}

/* Low ones are found, whatever else there is, and are not looked for without end. */
static void more_gaps_than_are_known(struct kunit *test)
{
	struct compact_rig *r = compact_rig_create(test, test->param_value);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	r->rig->dev.qcow->meta->space.free.max = 2;
	KUNIT_EXPECT_EQ(test, 0, write_rig_guest(r->rig, OPS, SEED));
	queue_work(system_unbound_wq, &r->work);
	KUNIT_EXPECT_EQ(test, 0, write_rig_guest(r->rig, OPS_MEANWHILE, SEED + 100));
	flush_work(&r->work);
	KUNIT_EXPECT_EQ_MSG(test, 0, r->err, "%s", r->text);
	write_rig_detach(r->rig);
}

/* The @nth call of the store fails that is no read. Return: whether there was one. */
static bool fail_nth(struct compact_rig *r, int nth)
{
	struct ram_disk *disk = r->rig->dev.disk;
	struct kunit *test = r->rig->test;
	bool failed, lost;
	int err;

	write_rig_restart(r->rig);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, write_rig_guest(r->rig, OPS, SEED));
	ram_disk_fail_change(disk, nth, -EIO);
	err = compact(r);
	failed = disk->failed;
	lost = disk->failed == &disk->flushes;
	ram_disk_fail_change(disk, 0, 0);
	if (!failed)
		KUNIT_EXPECT_EQ_MSG(test, 0, err, "call %d: %s", nth, r->text);
	KUNIT_EXPECT_EQ(test, U64_MAX, r->rig->dev.qcow->meta->move_from);
	/* Nothing is written any more where a flush, or the header, has failed. */
	if (!lost && !READ_ONCE(r->rig->dev.qcow->meta->failed)) {
		KUNIT_EXPECT_EQ_MSG(test, 0, write_rig_guest(r->rig, OPS, SEED + 1), "call %d",
				    nth);
		KUNIT_EXPECT_EQ_MSG(test, 0, compact(r), "call %d: %s", nth, r->text);
		write_rig_detach(r->rig);
	} else {
		ram_device_detach(&r->rig->dev);
		ram_disk_imagine(disk, 0, r->rig->copy);
		KUNIT_EXPECT_EQ_MSG(test, 0,
				    write_rig_check(r->rig, r->rig->model->durable, true),
				    "call %d: %s", nth, r->rig->text);
	}
	return failed;
}

/* The first ones all, of later ones fewer and fewer. */
static void changes_fail_once(struct kunit *test)
{
	struct compact_rig *r = compact_rig_create(test, test->param_value);
	int nth = 1;

	while (nth < MAX_CALLS && fail_nth(r, nth))
		nth += 1 + nth / 3;
	KUNIT_EXPECT_GT(test, nth, 2);
}

static const struct write_case v1_case = {
	.name = "v1, 4k", .version = 1, .cluster_bits = 12, .size = SZ_64K, .threads = 1,
};

static void version_1_is_refused(struct kunit *test)
{
	struct compact_rig *r = compact_rig_create(test, &v1_case);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, compact(r));
	KUNIT_EXPECT_STREQ(test, r->text, "version 1 is compacted when it is detached\n");
	KUNIT_EXPECT_EQ(test, 0, ram_device_detach(&r->rig->dev));
}

/* Version 1 is not compacted while it is attached. */
static const void *kind_next(const void *prev, char *name)
{
	const struct write_case *c = prev;

	do {
		c = write_case_next(c, name);
	} while (c && c->version == 1);
	return c;
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
	KUNIT_CASE_PARAM(cuts_while_compacting, kind_next_part),
	KUNIT_CASE_PARAM(image_is_as_short_as_can_be, kind_next_part),
	KUNIT_CASE_PARAM(more_gaps_than_are_known, kind_next_part),
	KUNIT_CASE_PARAM_ATTR(changes_fail_once, kind_next_few, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE(version_1_is_refused),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_compact",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
