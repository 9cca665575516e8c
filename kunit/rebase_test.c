// SPDX-License-Identifier: GPL-2.0
/*
 * Other backing files for an image that a guest writes to: power cuts at its calls, calls that
 * fail, what is refused. Whatever happens, with the backing file that the header names the image
 * has what the guest was promised.
 */

#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <qcow/head.h>
#include <qcow/report.h>

#include "device.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "live/rebase.h"
#include "rig/guest_model.h"
#include "rig/image_builder.h"
#include "rig/image_fsck.h"
#include "rig/part.h"
#include "rig/ram_device.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

static unsigned int rebase_cuts = 60;
module_param(rebase_cuts, uint, 0444);
MODULE_PARM_DESC(rebase_cuts, "power cuts that are tried during rebases, of each kind of image");

#define SEED		12

/* Operations of the guest, of each thread. */
#define OPS		20
#define OPS_MEANWHILE	60

/* Calls that are made to fail, at most. */
#define MAX_CALLS	100

/* What @next are called: an old name is replaced by a longer and by a shorter one. */
static const char *const names[] = { "a-backing-file-with-a-rather-long-name", "short" };

/**
 * struct rebase_rig - a device that gets other backing files
 * @rig: image and guest
 * @next: backing files by @names
 * @images: of @next, for checks
 * @first: the image of the backing file that it has in the beginning, or NULL
 * @text: what is wrong
 * @err: of the rebases that @work made
 * @no_compare: how the next one is made; those that succeed are made in both ways by turns
 * @rate: bytes that they may copy in a second, or 0
 * @work: makes them
 * @lock: one check at a time
 * @least: versions that must be there
 * @nr: cuts so far
 * @bad: one went wrong
 */
struct rebase_rig {
	struct write_rig *rig;
	struct ram_disk *next[ARRAY_SIZE(names)];
	struct qcow_image *images[ARRAY_SIZE(names)];
	struct qcow_image *first;
	char text[256];
	int err;
	bool no_compare;
	u64 rate;
	struct work_struct work;
	struct mutex lock;	/* checks */
	u32 *least;
	unsigned int nr;
	bool bad;
};

/* Of an image with a feature name table there are two steps to the new header. */
#define FEATURES_AT	QCOW_V3_HEADER_BYTES
#define FEATURES_BYTES	480

/*
 * Clusters by turns: as the first backing file has them, with the last sector another, zeros, all
 * another. One that is longer than the first backing file has more of them.
 */
static struct ram_disk *create_next(struct rebase_rig *r, u64 bytes, u32 turn)
{
	struct kunit *test = r->rig->test;
	struct ram_disk *disk = ram_disk_create(test, bytes), *old = r->rig->dev.backing;
	u64 cluster = 1ULL << r->rig->c->cluster_bits;
	u64 pos, part;

	for (pos = 0; pos < bytes; pos += part, turn++) {
		part = min(cluster, bytes - pos);
		if (turn % 4 == 2)
			continue;
		get_random_bytes(disk->data + pos, part);
		if (turn % 4 == 3)
			continue;
		if (old && pos < old->bytes)
			memcpy(disk->data + pos, old->data + pos, min(part, old->bytes - pos));
		if (turn % 4 == 1)
			get_random_bytes(disk->data + pos + part - SECTOR_SIZE, SECTOR_SIZE);
	}
	return disk;
}

/*
 * The table reaches beyond the first sector: it can move only when the header has done without it.
 * Header extensions follow the fixed part.
 */
static void add_features(struct write_rig *rig)
{
	struct qcow_disk_ext ext = {
		.type = cpu_to_be32(QCOW_EXT_FEATURE_NAMES), .len = cpu_to_be32(FEATURES_BYTES),
	};
	u8 *data = rig->dev.disk->data;
	size_t at = FEATURES_AT;

	if (rig->c->version < 3 || rig->c->cluster_bits < 12)
		return;
	KUNIT_ASSERT_EQ(rig->test, FEATURES_AT,
			be32_to_cpu(((struct qcow_disk_header *)data)->header_length));
	/* Where the LUKS header is says an extension as well. */
	if (rig->luks_bytes)
		at += sizeof(ext) + sizeof(struct qcow_disk_crypto_header);
	memcpy(data + at, &ext, sizeof(ext));
	memset(data + at + sizeof(ext), 'f', FEATURES_BYTES);
	memcpy(rig->begin, data, at + sizeof(ext) + FEATURES_BYTES);
}

static struct rebase_rig *rebase_rig_create(struct kunit *test, const struct write_case *c)
{
	struct rebase_rig *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, r);
	r->rig = write_rig_create(test, c, SEED);
	add_features(r->rig);
	/* What was a hole shows what is below from the first rebase on. */
	r->rig->load.discards = c->version == 3;
	r->first = r->rig->backing;
	r->next[0] = create_next(r, c->size + SZ_4K, 0);
	r->next[1] = create_next(r, round_down(c->size / 2, SECTOR_SIZE), 1);
	r->images[0] = image_open_raw(test, r->next[0]);
	r->images[1] = image_open_raw(test, r->next[1]);
	r->least = kunit_kcalloc(test, c->size / SECTOR_SIZE, sizeof(u32), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r->least);
	mutex_init(&r->lock);
	return r;
}

static int guest(struct rebase_rig *r, unsigned int ops, u64 seed)
{
	return write_rig_guest(r->rig, ops, seed);
}

static int open_next(const struct rebase_rig *r, struct ram_disk *disk, struct qcow_image **image,
		     struct qcow_report *rep)
{
	struct ram_layer layer = ram_layer(&r->rig->dev, disk, false);

	layer.p.image.raw = true;
	*image = qcow_layer_get(&layer.p, rep);
	return PTR_ERR_OR_ZERO(*image);
}

/* @disk: NULL, and no name: no backing file. */
static int rebase_to(struct rebase_rig *r, struct ram_disk *disk, const char *name)
{
	const struct qcow_backing_names to = { .backing = name, .format = name ? "raw" : NULL };
	struct qcow_report rep = { .buf = r->text, .size = sizeof(r->text) };
	struct qcow_rebase_parts parts = {
		.names = &to, .compare = !r->no_compare,
	};
	struct qcow_device *dev;
	int err = 0;

	r->text[0] = 0;
	dev = qcow_device_get_job(r->rig->dev.index, "rebase", r->rate, &rep);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	if (disk)
		err = open_next(r, disk, &parts.below, &rep);
	if (!err)
		err = qcow_rebase_run(dev, &parts, &rep);
	if (!IS_ERR(parts.below))
		qcow_layer_put(parts.below);
	qcow_device_put(dev);
	if (!err)
		r->no_compare = !r->no_compare;
	return err;
}

/* What the header in the copy says: the backing file that the image is to be read with. */
static int choose_backing(struct rebase_rig *r)
{
	const struct qcow_disk_header *disk = (void *)r->rig->copy->data;
	u64 offset = be64_to_cpu(disk->backing_offset);
	u32 len = be32_to_cpu(disk->backing_size);
	const char *name = r->rig->copy->data + offset;
	unsigned int i;

	r->rig->backing = r->first;
	if (!offset)
		/* None as in the beginning, or none any more. */
		return 0;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (len == strlen(names[i]) && !memcmp(name, names[i], len)) {
			r->rig->backing = r->images[i];
			return 0;
		}
	}
	snprintf(r->text, sizeof(r->text), "the backing file is '%.*s'", (int)min(len, 100U), name);
	return -EUCLEAN;
}

static int check_copy(struct rebase_rig *r, const u32 *least)
{
	int err = choose_backing(r);

	if (err)
		return err;
	err = write_rig_check(r->rig, least, true);
	if (err)
		strscpy(r->text, r->rig->text, sizeof(r->text));
	return err;
}

static void expect_good(struct rebase_rig *r, const u32 *least)
{
	ram_disk_imagine(r->rig->dev.disk, 0, r->rig->copy);
	KUNIT_EXPECT_EQ_MSG(r->rig->test, 0, check_copy(r, least), "%s", r->text);
}

static void on_change(void *watcher)
{
	struct rebase_rig *r = watcher;
	int err;

	mutex_lock(&r->lock);
	if (!r->bad && r->nr < rebase_cuts) {
		guest_model_durable(r->rig->model, r->least);
		ram_disk_imagine(r->rig->dev.disk, SEED + r->nr, r->rig->copy);
		err = check_copy(r, r->least);
		if (err) {
			kunit_err(r->rig->test, "cut %u: error %d: %s", r->nr, err, r->text);
			r->bad = true;
		}
		r->nr++;
	}
	mutex_unlock(&r->lock);
}

static void watch(struct rebase_rig *r, void (*func)(void *watcher))
{
	r->rig->dev.disk->watcher = r;
	r->rig->dev.disk->on_change = func;
}

static void rebase_work(struct work_struct *work)
{
	struct rebase_rig *r = container_of(work, struct rebase_rig, work);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names) && !r->err; i++)
		r->err = rebase_to(r, r->next[i], names[i]);
}

/* The image is whole and, but for gaps of version 1, without leaks. */
static void detach_image(struct rebase_rig *r)
{
	struct write_rig *rig = r->rig;

	KUNIT_ASSERT_EQ(rig->test, 0, ram_device_detach(&rig->dev));
	expect_good(r, rig->model->acked);
	KUNIT_EXPECT_EQ(rig->test, rig->leaked, rig->fsck->leaked);
}

static void cuts_during_rebases(struct kunit *test)
{
	struct rebase_rig *r = rebase_rig_create(test, test->param_value);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	watch(r, on_change);
	INIT_WORK(&r->work, rebase_work);
	queue_work(system_unbound_wq, &r->work);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS_MEANWHILE, SEED + 100));
	flush_work(&r->work);
	watch(r, NULL);
	KUNIT_EXPECT_EQ_MSG(test, 0, r->err, "%s", r->text);
	KUNIT_EXPECT_FALSE(test, r->bad);
	KUNIT_EXPECT_EQ(test, 2, r->rig->dev.qcow->depth);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED + 200));
	detach_image(r);
	kunit_info(test, "%u cuts", r->nr);
}

/* No backing file any more: all that shows is the image's own. */
static void image_for_itself(struct kunit *test)
{
	struct rebase_rig *r = rebase_rig_create(test, test->param_value);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	KUNIT_EXPECT_EQ_MSG(test, 0, rebase_to(r, r->next[1], names[1]), "%s", r->text);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED + 1));
	KUNIT_EXPECT_EQ_MSG(test, 0, rebase_to(r, NULL, NULL), "%s", r->text);
	KUNIT_EXPECT_EQ(test, 1, r->rig->dev.qcow->depth);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED + 2));
	r->first = NULL;
	detach_image(r);
}

/*
 * A rebase while the @nth call of the image's store fails that is no read. Return: whether there
 * was one.
 */
static bool fail_nth(struct rebase_rig *r, int nth)
{
	struct ram_disk *disk = r->rig->dev.disk;
	struct kunit *test = r->rig->test;
	bool failed, lost;
	int err;

	write_rig_restart(r->rig);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	ram_disk_fail_change(disk, nth, -EIO);
	err = rebase_to(r, r->next[0], names[0]);
	failed = disk->failed;
	lost = disk->failed == &disk->flushes;
	ram_disk_fail_change(disk, 0, 0);
	if (!failed)
		KUNIT_EXPECT_EQ_MSG(test, 0, err, "call %d: %s", nth, r->text);
	expect_good(r, r->rig->model->durable);
	/* What a flush that has failed has written is not known. */
	if (!lost)
		KUNIT_EXPECT_PTR_EQ_MSG(test, r->rig->backing, err ? r->first : r->images[0],
					"call %d", nth);
	/* Nothing is written any more where a flush has failed. */
	if (!lost) {
		KUNIT_EXPECT_EQ_MSG(test, 0, guest(r, OPS, SEED + 1), "call %d", nth);
		KUNIT_EXPECT_EQ_MSG(test, 0, rebase_to(r, r->next[1], names[1]), "call %d: %s",
				    nth, r->text);
		KUNIT_EXPECT_EQ_MSG(test, 0, guest(r, OPS, SEED + 2), "call %d", nth);
	}
	ram_device_detach(&r->rig->dev);
	expect_good(r, r->rig->model->durable);
	return failed;
}

/* The first ones all, of later ones fewer and fewer. */
static void changes_fail_once(struct kunit *test)
{
	struct rebase_rig *r = rebase_rig_create(test, test->param_value);
	int nth = 1;

	while (nth < MAX_CALLS && fail_nth(r, nth))
		nth += 1 + nth / 3;
	KUNIT_EXPECT_GT(test, nth, 2);
}

static const struct write_case small_case = {
	.name = "v3, 512", .version = 3, .cluster_bits = 9, .size = SZ_64K, .threads = 1,
};

/* There is something to copy. */
static const struct write_case copied_case = {
	.name = "v3, 512, backing", .version = 3, .cluster_bits = 9, .size = SZ_64K,
	.backing = SZ_64K, .threads = 1,
};

static void expect_refused(struct rebase_rig *r, const char *name, int err, const char *text)
{
	struct kunit *test = r->rig->test;

	KUNIT_EXPECT_EQ(test, err, rebase_to(r, r->next[0], name));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(r->text, text), "%s", r->text);
	KUNIT_EXPECT_EQ(test, 1, r->rig->dev.qcow->depth);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
}

static void rebases_that_are_refused(struct kunit *test)
{
	struct rebase_rig *r = rebase_rig_create(test, &small_case);
	char *name = kunit_kzalloc(test, QCOW_MAX_BACKING_NAME + 2, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, name);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	memset(name, 'n', QCOW_MAX_BACKING_NAME + 1);
	expect_refused(r, name, -EINVAL, "backing file name has 1024 bytes, at most 1023");
	name[QCOW_MAX_BACKING_NAME] = 0;
	expect_refused(r, name, -ENAMETOOLONG, "the first cluster, 512 bytes, has no room");
	KUNIT_EXPECT_EQ_MSG(test, 0, rebase_to(r, r->next[0], names[0]), "%s", r->text);
	detach_image(r);
}

static void expect_unreadable(struct rebase_rig *r, struct ram_disk *disk, bool no_compare,
			      const char *text)
{
	struct kunit *test = r->rig->test;

	r->no_compare = no_compare;
	ram_disk_fail_call(disk, 1, -EIO);
	KUNIT_EXPECT_EQ(test, -EIO, rebase_to(r, r->next[1], names[1]));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(r->text, text), "%s", r->text);
	ram_disk_fail_call(disk, 0, 0);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
}

/* What is compared, and what is copied. */
static void layers_that_cannot_be_read(struct kunit *test)
{
	struct rebase_rig *r = rebase_rig_create(test, &copied_case);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	expect_unreadable(r, r->next[1], false, "cannot be compared");
	expect_unreadable(r, r->rig->dev.backing, false, "cannot be compared");
	expect_unreadable(r, r->rig->dev.backing, true, "cannot be copied");
	KUNIT_EXPECT_EQ_MSG(test, 0, rebase_to(r, r->next[1], names[1]), "%s", r->text);
	detach_image(r);
}

/* Slow enough to be seen: with its first copy a rebase is behind for longer than a test takes. */
static void rebase_that_is_cancelled(struct kunit *test)
{
	struct rebase_rig *r = rebase_rig_create(test, &copied_case);
	char text[128] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_progress *progress;
	unsigned int index;

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	index = r->rig->dev.index;
	progress = &r->rig->dev.qcow->progress;
	KUNIT_EXPECT_EQ(test, 0, qcow_device_wait(index, false, NULL));
	KUNIT_EXPECT_EQ(test, -ENOENT, qcow_device_wait(index, true, NULL));
	KUNIT_EXPECT_STREQ(test, qcow_progress_job(progress), "");

	r->rate = 1;
	INIT_WORK(&r->work, rebase_work);
	queue_work(system_unbound_wq, &r->work);
	while (!READ_ONCE(progress->done) && work_busy(&r->work))
		msleep(20);
	KUNIT_EXPECT_STREQ(test, qcow_progress_job(progress), "rebase");
	KUNIT_EXPECT_EQ(test, progress->total, copied_case.size);
	KUNIT_EXPECT_LE(test, progress->done, copied_case.size);
	KUNIT_EXPECT_PTR_EQ(test, (void *)qcow_device_get(index, "resize", &rep), ERR_PTR(-EBUSY));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, "rebase is running on it"), "%s", text);
	ram_device_close(&r->rig->dev);
	memset(&text, 0, sizeof(text));
	rep.len = 0;
	KUNIT_EXPECT_EQ(test, -EBUSY, qcow_device_detach(index, false, &rep));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, "rebase is running on it"), "%s", text);
	KUNIT_EXPECT_EQ(test, 0, ram_device_open(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, qcow_device_wait(index, true, NULL));
	flush_work(&r->work);
	KUNIT_EXPECT_EQ(test, -ECANCELED, r->err);
	KUNIT_EXPECT_NOT_NULL(test, strstr(r->text, "rebase has been cancelled"));
	KUNIT_EXPECT_EQ(test, -ENXIO, qcow_device_wait(index + 1, false, NULL));

	r->rate = 0;
	KUNIT_EXPECT_EQ_MSG(test, 0, rebase_to(r, r->next[0], names[0]), "%s", r->text);
	detach_image(r);
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
	KUNIT_CASE_PARAM(cuts_during_rebases, kind_next_part),
	KUNIT_CASE_PARAM(image_for_itself, kind_next_part),
	KUNIT_CASE_PARAM_ATTR(changes_fail_once, kind_next_few, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE(rebases_that_are_refused),
	KUNIT_CASE(layers_that_cannot_be_read),
	KUNIT_CASE(rebase_that_is_cancelled),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_rebase",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
