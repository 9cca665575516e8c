// SPDX-License-Identifier: GPL-2.0
/*
 * Power cuts: while a guest writes to a device, what the disk might hold if the power went
 * is checked at every call of the store that is no read. The power also goes for good now
 * and then, and the guest goes on with what it finds.
 *
 * The module's parameters cuts and seed ask for more and for other ones.
 */

#include <kunit/test.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sizes.h>

#include "rig/guest_model.h"
#include "rig/image_fsck.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

static unsigned int cuts = 1200;
module_param(cuts, uint, 0444);
MODULE_PARM_DESC(cuts, "power cuts that are tried, over all kinds of images");

static unsigned long seed = 1;
module_param(seed, ulong, 0444);
MODULE_PARM_DESC(seed, "of the power cuts and of what the guest does");

/* Cuts between an attach and what ends it; in the detach. */
#define CUTS_A_ROUND	40
#define CUTS_A_DETACH	10

/* Operations of a guest's thread, for want of cuts. */
#define OPS_A_ROUND	2000

/* One image in so many is tried as one to be written to. */
#define WRITABLE_EVERY	16

/* Set aside at once, and once more while what is freed is on its way. */
#define LEAK_BYTES	(2 * SZ_4M)

/**
 * struct crash - a guest that is watched
 * @rig: all that is its
 * @lock: one check at a time
 * @least: versions that must be there
 * @nr: cuts so far
 * @limit: no more after these
 * @round_end: likewise, in this round
 * @leaked: bytes that cuts which came true have leaked
 * @bad: one went wrong; the text is the rig's
 */
struct crash {
	struct write_rig *rig;
	struct mutex lock;	/* checks */
	u32 *least;
	unsigned int nr;
	unsigned int limit;
	unsigned int round_end;
	u64 leaked;
	bool bad;
};

static int check_leaks(struct crash *crash)
{
	struct write_rig *rig = crash->rig;
	u64 most = crash->leaked + LEAK_BYTES + rig->c->size;

	if (rig->fsck->leaked <= most)
		return 0;
	snprintf(rig->text, sizeof(rig->text), "%llu bytes leaked, %llu at most",
		 rig->fsck->leaked, most);
	return -EUCLEAN;
}

static void try_cut(struct crash *crash)
{
	struct write_rig *rig = crash->rig;
	struct guest_model *m = rig->model;
	int err;

	/* In this order: what is promised meanwhile may miss, what is written may be there. */
	guest_model_durable(m, crash->least);
	ram_disk_imagine(rig->dev.disk, seed + crash->nr, rig->copy);
	err = write_rig_check(rig, crash->least, !(crash->nr % WRITABLE_EVERY));
	if (!err)
		err = check_leaks(crash);
	if (err) {
		kunit_err(rig->test, "cut %u: error %d: %s", crash->nr, err, rig->text);
		crash->bad = true;
	}
	crash->nr++;
	if (err || crash->nr >= crash->round_end)
		WRITE_ONCE(rig->load.stop, true);
}

static void on_change(void *watcher)
{
	struct crash *crash = watcher;

	mutex_lock(&crash->lock);
	if (!crash->bad && crash->nr < crash->round_end)
		try_cut(crash);
	mutex_unlock(&crash->lock);
}

static void expect_good(struct crash *crash, const u32 *least)
{
	struct write_rig *rig = crash->rig;

	ram_disk_imagine(rig->dev.disk, 0, rig->copy);
	KUNIT_EXPECT_EQ_MSG(rig->test, 0, write_rig_check(rig, least, true), "after %u cuts: %s",
			    crash->nr, rig->text);
}

/* Nothing is leaked, nothing is lost, and the file ends where the image does. */
static void round_detach(struct crash *crash)
{
	struct write_rig *rig = crash->rig;
	struct image_fsck *f = rig->fsck;

	crash->round_end = crash->nr + CUTS_A_DETACH;
	KUNIT_ASSERT_EQ(rig->test, 0, ram_device_detach(&rig->dev));
	KUNIT_EXPECT_EQ(rig->test, 0, rig->dev.disk->nr_pending);
	/* Version 1 has no counts that keep what power cuts have leaked. */
	if (rig->c->version == 1)
		crash->leaked = rig->leaked;
	expect_good(crash, rig->model->acked);
	KUNIT_EXPECT_EQ_MSG(rig->test, crash->leaked, f->leaked, "after %u cuts", crash->nr);
	/* What a cut has left behind the end is not cut off, and used later. */
	if (crash->leaked == rig->leaked)
		KUNIT_EXPECT_LE(rig->test, round_up(f->end, 1ULL << rig->c->cluster_bits),
				rig->dev.disk->bytes);
}

/* What power cuts leak must not fill the disk. */
static void begin_anew(struct crash *crash)
{
	write_rig_restart(crash->rig);
	crash->leaked = crash->rig->leaked;
}

/* What the guest finds is what it has from then on. */
static void round_power_off(struct crash *crash)
{
	struct write_rig *rig = crash->rig;
	struct guest_model *m = rig->model;

	rig->dev.disk->on_change = NULL;
	rig->load.may_fail = true;
	rig->load.ops = OPS_A_ROUND;
	ram_disk_power_off_at(rig->dev.disk, 1 + crash->nr % 29);
	guest_load_run(&rig->load);
	rig->load.may_fail = false;

	/* That nothing can be made durable any more is an error, or there was nothing. */
	ram_device_detach(&rig->dev);
	ram_disk_cut(rig->dev.disk, seed + crash->nr);
	expect_good(crash, m->durable);
	guest_model_adopt(m, rig->guest);
	crash->leaked = rig->fsck->leaked;
	if (rig->dev.disk->bytes > rig->dev.disk->room / 4 * 3)
		begin_anew(crash);
}

static void run_round(struct crash *crash, bool power_off)
{
	struct write_rig *rig = crash->rig;
	int err;

	crash->round_end = crash->nr + CUTS_A_ROUND;
	rig->load.seed = seed + crash->nr;
	rig->load.ops = OPS_A_ROUND;
	KUNIT_ASSERT_EQ(rig->test, 0, ram_device_attach(&rig->dev));
	rig->dev.disk->watcher = crash;
	rig->dev.disk->on_change = on_change;
	err = guest_load_run(&rig->load);
	KUNIT_EXPECT_EQ_MSG(rig->test, 0, err, "after %u cuts: %s", crash->nr, rig->load.text);
	crash->bad |= err;
	if (power_off)
		round_power_off(crash);
	else
		round_detach(crash);
	rig->dev.disk->on_change = NULL;
}

static void cut_anywhere(struct kunit *test)
{
	const struct write_case *c = test->param_value;
	struct crash crash = {
		.rig = write_rig_create(test, c, seed),
		.least = kunit_kcalloc(test, c->size / SECTOR_SIZE, sizeof(u32), GFP_KERNEL),
		.limit = DIV_ROUND_UP(cuts, nr_write_cases),
	};
	unsigned int round = 0;

	KUNIT_ASSERT_NOT_NULL(test, crash.least);
	mutex_init(&crash.lock);
	crash.leaked = crash.rig->leaked;
	while (crash.nr < crash.limit && !crash.bad)
		run_round(&crash, round++ % 2);
	KUNIT_EXPECT_FALSE(test, crash.bad);
	kunit_info(test, "%s: seed %lu, %u cuts, %u rounds", c->name, seed, crash.nr, round);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(cut_anywhere, write_case_next),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_crash",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
