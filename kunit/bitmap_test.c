// SPDX-License-Identifier: GPL-2.0
/*
 * Persistent bitmaps of an image that a guest writes to: power cuts at its calls, calls that fail,
 * what is refused. Whatever happens, a bitmap that is not marked as inconsistent has all that has
 * been written while it recorded.
 */

#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/log2.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <qcow/bitmap.h>
#include <qcow/report.h>
#include <uapi/linux/qcow.h>

#include "device.h"
#include "layer/image.h"
#include "live/bitmap.h"
#include "live/resize.h"
#include "rig/guest_model.h"
#include "rig/image_fsck.h"
#include "rig/part.h"
#include "rig/ram_device.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

static unsigned int bitmap_cuts = 60;
module_param(bitmap_cuts, uint, 0444);
MODULE_PARM_DESC(bitmap_cuts, "power cuts that are tried while bitmaps change, of each kind of image");

#define SEED		31

/* Operations of the guest, of each thread. */
#define OPS		20
#define OPS_MEANWHILE	100

/* Calls that are made to fail, at most. */
#define MAX_CALLS	120

/**
 * struct recorded - what one bitmap is to have
 * @name: of it
 * @granularity: of it
 * @from: versions of sectors that were begun when it began to record; later ones it has
 * @before: versions that had ended before: where there are no later ones it has nothing
 * @to: versions that had ended when it was to record no more
 * @is_closed: @to is there
 */
struct recorded {
	const char *name;
	u32 granularity;
	u32 *from;
	u32 *before;
	u32 *to;
	bool is_closed;
};

/**
 * struct bitmap_rig - a device whose bitmaps change
 * @rig: image and guest
 * @first: records from the beginning
 * @second: comes later
 * @bits: of the bitmap that is looked at
 * @text: what is wrong
 * @err: of the changes that @work made
 * @work: makes them
 * @acked: versions that bitmaps which record have on disk; NULL: none, the image is in use
 * @lock: one check at a time
 * @least: versions that must be there
 * @nr: cuts so far
 * @bad: one went wrong
 */
struct bitmap_rig {
	struct write_rig *rig;
	struct recorded first;
	struct recorded second;
	unsigned long *bits;
	char text[256];
	int err;
	struct work_struct work;
	const u32 *acked;
	struct mutex lock;	/* checks */
	u32 *least;
	unsigned int nr;
	bool bad;
};

static u32 *versions(struct kunit *test, const struct write_case *c)
{
	u32 *v = kunit_kcalloc(test, c->size / SECTOR_SIZE, sizeof(*v), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, v);
	return v;
}

static struct recorded recorded_create(struct kunit *test, const struct write_case *c,
				       const char *name, u32 granularity)
{
	return (struct recorded) {
		.name = name, .granularity = granularity, .from = versions(test, c),
		.before = versions(test, c), .to = versions(test, c),
	};
}

static struct bitmap_rig *bitmap_rig_create(struct kunit *test, const struct write_case *c)
{
	struct bitmap_rig *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, r);
	r->rig = write_rig_create(test, c, SEED);
	r->first = recorded_create(test, c, "first", 512);
	r->second = recorded_create(test, c, "the second one", 4096);
	r->least = versions(test, c);
	r->bits = kunit_kcalloc(test, BITS_TO_LONGS(c->size / SECTOR_SIZE), sizeof(long),
				GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r->bits);
	mutex_init(&r->lock);
	return r;
}

static int guest(struct bitmap_rig *r, unsigned int ops, u64 seed)
{
	return write_rig_guest(r->rig, ops, seed);
}

static int change(struct bitmap_rig *r, enum qcow_bitmap_action action, const char *name,
		  u64 granularity, const char *source)
{
	struct qcow_report rep = { .buf = r->text, .size = sizeof(r->text) };
	const struct qcow_change_bitmap args = {
		.index = r->rig->dev.index, .action = action, .granularity = granularity,
	};

	r->text[0] = 0;
	return qcow_device_change_bitmap(&args, name, source, &rep);
}

static void copy_versions(struct bitmap_rig *r, u32 *to, const u32 *from)
{
	struct guest_model *m = r->rig->model;

	mutex_lock(&m->lock);
	memcpy(to, from, m->nr * sizeof(*to));
	mutex_unlock(&m->lock);
}

/* It records from now on: all that begins afterwards. */
static int add(struct bitmap_rig *r, struct recorded *b)
{
	int err;

	copy_versions(r, b->before, r->rig->model->acked);
	err = change(r, QCOW_BITMAP_ADD, b->name, b->granularity, NULL);
	copy_versions(r, b->from, r->rig->model->issued);
	return err;
}

/* It has what has ended before. */
static int disable(struct bitmap_rig *r, struct recorded *b)
{
	copy_versions(r, b->to, r->rig->model->acked);
	WRITE_ONCE(b->is_closed, true);
	return change(r, QCOW_BITMAP_DISABLE, b->name, 0, NULL);
}

/* An entry of the directory in the copy, or NULL. */
static const struct qcow_disk_bitmap *find_entry(const struct ram_disk *disk, const char *name)
{
	const struct qcow_disk_bitmaps *bitmaps = image_fsck_find_bitmaps(disk);
	const struct qcow_disk_bitmap *b;
	u64 pos;
	u32 nr;

	if (!bitmaps)
		return NULL;
	pos = be64_to_cpu(bitmaps->dir_offset);
	for (nr = be32_to_cpu(bitmaps->nr); nr; nr--) {
		b = (const void *)(disk->data + pos);
		if (be16_to_cpu(b->name_len) == strlen(name) &&
		    !memcmp(b + 1, name, strlen(name)))
			return b;
		pos = round_up(pos + sizeof(*b) + be32_to_cpu(b->extra_len) +
			       be16_to_cpu(b->name_len), 8);
	}
	return NULL;
}

/* The table entry of a bit. */
static u64 entry_of(const struct bitmap_rig *r, const struct ram_disk *disk,
		    const struct qcow_disk_bitmap *b, u32 bit)
{
	u32 shift = r->rig->c->cluster_bits + 3;
	u64 at = be64_to_cpu(b->table_offset) + (bit >> shift) * sizeof(__be64);

	return be64_to_cpup((__be64 *)(disk->data + at));
}

/* Whether a bit is set, out of the table and the clusters of bits. */
static bool bit_of(const struct bitmap_rig *r, const struct ram_disk *disk,
		   const struct qcow_disk_bitmap *b, u32 bit)
{
	u32 shift = r->rig->c->cluster_bits + 3;
	u64 entry = entry_of(r, disk, b, bit);
	u32 in_cluster = bit & (BIT(shift) - 1);

	if (entry < 2)
		return entry;
	return disk->data[entry + in_cluster / 8] >> in_cluster % 8 & 1;
}

static void read_bits(struct bitmap_rig *r, const struct ram_disk *disk,
		      const struct qcow_disk_bitmap *b, u32 nr)
{
	u32 i;

	bitmap_zero(r->bits, nr);
	for (i = 0; i < nr; i++) {
		if (bit_of(r, disk, b, i))
			__set_bit(i, r->bits);
	}
}

/* @acked: what had ended when the bitmap was stored. */
static int check_bits(struct bitmap_rig *r, const struct recorded *b, const u32 *acked)
{
	const struct guest_model *m = r->rig->model;
	u32 sectors = b->granularity / SECTOR_SIZE;
	u32 i, j;

	for (i = 0; i < DIV_ROUND_UP(m->nr, sectors); i++) {
		bool must = false, may = false;

		for (j = i * sectors; j < min(m->nr, (i + 1) * sectors); j++) {
			must |= acked[j] > b->from[j];
			may |= m->issued[j] > b->before[j];
		}
		if (test_bit(i, r->bits) ? may : !must)
			continue;
		snprintf(r->text, sizeof(r->text), "bitmap %s: bit %u is %d", b->name, i,
			 test_bit(i, r->bits));
		return -EUCLEAN;
	}
	return 0;
}

/* It is as long as the disk, and what has come to that later is clean. */
static int check_length(struct bitmap_rig *r, const struct recorded *b,
			const struct qcow_disk_bitmap *disk_bitmap)
{
	const struct qcow_disk_header *h = (const void *)r->rig->copy->data;
	u32 shift = r->rig->c->cluster_bits + 3, bits = ilog2(b->granularity);
	u32 i = DIV_ROUND_UP(r->rig->c->size, b->granularity), end;
	u32 entries = be32_to_cpu(disk_bitmap->table_entries);

	if (entries != qcow_bitmap_table_entries(be64_to_cpu(h->size), bits, shift - 3)) {
		snprintf(r->text, sizeof(r->text), "bitmap %s: a table of %u entries, size %llu",
			 b->name, entries, be64_to_cpu(h->size));
		return -EUCLEAN;
	}
	for (end = entries << shift; i < end; i++) {
		if (!entry_of(r, r->rig->copy, disk_bitmap, i))
			i |= BIT(shift) - 1;
		else if (bit_of(r, r->rig->copy, disk_bitmap, i))
			break;
	}
	if (i < end) {
		snprintf(r->text, sizeof(r->text), "bitmap %s: bit %u is behind what was written",
			 b->name, i);
		return -EUCLEAN;
	}
	return 0;
}

/* @acked: NULL: the image is in use. */
static int check_bitmap(struct bitmap_rig *r, const struct recorded *b, const u32 *acked)
{
	const struct ram_disk *disk = r->rig->copy;
	const struct qcow_disk_bitmap *disk_bitmap = find_entry(disk, b->name);
	u32 flags;
	int err;

	if (!disk_bitmap)
		return 0;
	flags = be32_to_cpu(disk_bitmap->flags);
	if (flags & QCOW_BITMAP_IN_USE)
		return 0;
	err = check_length(r, b, disk_bitmap);
	if (err)
		return err;
	if (flags & QCOW_BITMAP_AUTO && !acked) {
		snprintf(r->text, sizeof(r->text), "bitmap %s records, and is not marked", b->name);
		return -EUCLEAN;
	}
	if (!(flags & QCOW_BITMAP_AUTO) && READ_ONCE(b->is_closed))
		acked = b->to;
	if (!acked)
		return 0;
	read_bits(r, disk, disk_bitmap, DIV_ROUND_UP(r->rig->c->size, b->granularity));
	return check_bits(r, b, acked);
}

static int check_copy(struct bitmap_rig *r, const u32 *least, const u32 *acked)
{
	int err = write_rig_check(r->rig, least, true);

	if (err) {
		strscpy(r->text, r->rig->text, sizeof(r->text));
		return err;
	}
	return check_bitmap(r, &r->first, acked) ?: check_bitmap(r, &r->second, acked);
}

static void on_change(void *watcher)
{
	struct bitmap_rig *r = watcher;
	int err;

	mutex_lock(&r->lock);
	if (!r->bad && r->nr < bitmap_cuts) {
		guest_model_durable(r->rig->model, r->least);
		ram_disk_imagine(r->rig->dev.disk, SEED + r->nr, r->rig->copy);
		err = check_copy(r, r->least, r->acked);
		if (err) {
			kunit_err(r->rig->test, "cut %u: error %d: %s", r->nr, err, r->text);
			r->bad = true;
		}
		r->nr++;
	}
	mutex_unlock(&r->lock);
}

static void watch(struct bitmap_rig *r, void (*func)(void *watcher))
{
	r->rig->dev.disk->watcher = r;
	r->rig->dev.disk->on_change = func;
}

/* Nothing is leaked, and bitmaps are what they are to be, at any instant of the detach, too. */
static void detach_image(struct bitmap_rig *r)
{
	struct write_rig *rig = r->rig;

	r->acked = rig->model->acked;
	r->nr = 0;
	watch(r, on_change);
	KUNIT_ASSERT_EQ(rig->test, 0, ram_device_detach(&rig->dev));
	watch(r, NULL);
	r->acked = NULL;
	KUNIT_EXPECT_FALSE(rig->test, r->bad);
	ram_disk_imagine(rig->dev.disk, 0, rig->copy);
	KUNIT_EXPECT_EQ_MSG(rig->test, 0, check_copy(r, rig->model->acked, rig->model->acked),
			    "%s", r->text);
	KUNIT_EXPECT_EQ(rig->test, rig->leaked, rig->fsck->leaked);
}

static void expect_flags(struct bitmap_rig *r, const char *name, u32 flags)
{
	const struct qcow_disk_bitmap *b = find_entry(r->rig->copy, name);

	KUNIT_ASSERT_NOT_NULL_MSG(r->rig->test, b, "%s", name);
	KUNIT_EXPECT_EQ_MSG(r->rig->test, flags, be32_to_cpu(b->flags), "%s", name);
}

static void change_work(struct work_struct *work)
{
	struct bitmap_rig *r = container_of(work, struct bitmap_rig, work);

	r->err = add(r, &r->second) ?: change(r, QCOW_BITMAP_ADD, "third", 0, NULL) ?:
		 disable(r, &r->first) ?:
		 change(r, QCOW_BITMAP_MERGE, "third", 0, "the second one") ?:
		 change(r, QCOW_BITMAP_DISABLE, "third", 0, NULL) ?:
		 change(r, QCOW_BITMAP_CLEAR, "third", 0, NULL) ?:
		 change(r, QCOW_BITMAP_MERGE, "third", 0, "first") ?:
		 change(r, QCOW_BITMAP_ENABLE, "third", 0, NULL) ?:
		 change(r, QCOW_BITMAP_REMOVE, "third", 0, NULL);
}

static void cuts_while_bitmaps_change(struct kunit *test)
{
	struct bitmap_rig *r = bitmap_rig_create(test, test->param_value);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	KUNIT_EXPECT_EQ_MSG(test, 0, add(r, &r->first), "%s", r->text);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED + 1));
	watch(r, on_change);
	INIT_WORK(&r->work, change_work);
	queue_work(system_unbound_wq, &r->work);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS_MEANWHILE, SEED + 100));
	flush_work(&r->work);
	watch(r, NULL);
	KUNIT_EXPECT_EQ_MSG(test, 0, r->err, "%s", r->text);
	KUNIT_EXPECT_FALSE(test, r->bad);
	kunit_info(test, "%u cuts", r->nr);
	detach_image(r);
	expect_flags(r, "first", 0);
	expect_flags(r, "the second one", QCOW_BITMAP_AUTO);
	KUNIT_EXPECT_NULL(test, find_entry(r->rig->copy, "third"));

	/* The next attach goes on with them. */
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED + 200));
	ram_disk_imagine(r->rig->dev.disk, 0, r->rig->copy);
	expect_flags(r, "first", 0);
	expect_flags(r, "the second one", QCOW_BITMAP_AUTO | QCOW_BITMAP_IN_USE);
	detach_image(r);
	expect_flags(r, "the second one", QCOW_BITMAP_AUTO);
}

/*
 * Calls fail no more. @err: of what has been done meanwhile; @good: result: bitmaps have been
 * stored at the detach. Return: whether a call has failed.
 */
static bool end_failing(struct bitmap_rig *r, int nth, int err, bool *good)
{
	struct ram_disk *disk = r->rig->dev.disk;
	struct kunit *test = r->rig->test;
	bool failed = disk->failed;

	*good = disk->failed != &disk->flushes;
	ram_disk_fail_change(disk, 0, 0);
	if (!failed)
		KUNIT_EXPECT_EQ_MSG(test, 0, err, "call %d: %s", nth, r->text);
	/* Nothing is written any more where a flush has failed. */
	if (*good) {
		KUNIT_EXPECT_EQ_MSG(test, 0, guest(r, OPS, SEED + 1), "call %d", nth);
		detach_image(r);
	} else {
		ram_device_detach(&r->rig->dev);
		ram_disk_imagine(disk, 0, r->rig->copy);
		KUNIT_EXPECT_EQ_MSG(test, 0, check_copy(r, r->rig->model->durable, NULL),
				    "call %d: %s", nth, r->text);
	}
	return failed;
}

/*
 * Bitmaps change while the @nth call of the image's store fails that is no read. Return: whether
 * there was one.
 */
static bool fail_nth(struct bitmap_rig *r, int nth)
{
	struct ram_disk *disk = r->rig->dev.disk;
	struct kunit *test = r->rig->test;
	bool failed, good;
	int err;

	write_rig_restart(r->rig);
	r->first.is_closed = false;
	r->second.is_closed = false;
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ_MSG(test, 0, add(r, &r->first), "%s", r->text);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	ram_disk_fail_change(disk, nth, -EIO);
	err = add(r, &r->second);
	if (!err && disable(r, &r->first)) {
		WRITE_ONCE(r->first.is_closed, false);
		err = -EIO;
	}
	failed = end_failing(r, nth, err, &good);
	if (good)
		expect_flags(r, "first", r->first.is_closed ? 0 : QCOW_BITMAP_AUTO);
	return failed;
}

/* The first ones all, of later ones fewer and fewer. */
static void changes_fail_once(struct kunit *test)
{
	struct bitmap_rig *r = bitmap_rig_create(test, test->param_value);
	int nth = 1;

	while (nth < MAX_CALLS && fail_nth(r, nth))
		nth += 1 + nth / 6;
	KUNIT_EXPECT_GT(test, nth, 4);
}

/* What cannot be stored at detach is marked, and nothing else is lost. */
static void detach_fails_once(struct kunit *test)
{
	struct bitmap_rig *r = bitmap_rig_create(test, test->param_value);
	struct ram_disk *disk = r->rig->dev.disk;
	const struct qcow_disk_bitmap *b;
	bool failed = true;
	int nth;

	for (nth = 1; nth < MAX_CALLS && failed; nth++) {
		write_rig_restart(r->rig);
		KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
		KUNIT_EXPECT_EQ_MSG(test, 0, add(r, &r->first), "%s", r->text);
		KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
		ram_disk_fail_change(disk, nth, -EIO);
		ram_device_detach(&r->rig->dev);
		failed = disk->failed;
		ram_disk_fail_change(disk, 0, 0);
		ram_disk_imagine(disk, 0, r->rig->copy);
		KUNIT_EXPECT_EQ_MSG(test, 0, check_copy(r, r->rig->model->durable,
							r->rig->model->acked),
				    "call %d: %s", nth, r->text);
		b = find_entry(r->rig->copy, r->first.name);
		KUNIT_EXPECT_NOT_NULL(test, b);
	}
	KUNIT_EXPECT_GT(test, nth, 4);
}

static int resize(struct bitmap_rig *r, u64 bytes, bool shrink)
{
	struct qcow_report rep = { .buf = r->text, .size = sizeof(r->text) };

	r->text[0] = 0;
	return qcow_device_resize(r->rig->dev.index, bytes, shrink, &rep);
}

/* The table of the bitmap with the fine bits gets two entries more. */
static u64 grown(const struct bitmap_rig *r)
{
	return r->rig->c->size + (2ULL << (r->rig->c->cluster_bits + 3 + SECTOR_SHIFT));
}

static void resize_work(struct work_struct *work)
{
	struct bitmap_rig *r = container_of(work, struct bitmap_rig, work);

	r->err = resize(r, r->rig->c->size + SZ_4K, false) ?: resize(r, grown(r), false);
}

/* One bitmap that has recorded, one that does, and requests that go on. */
static void begin_resize(struct bitmap_rig *r)
{
	struct kunit *test = r->rig->test;

	r->first.is_closed = false;
	r->second.is_closed = false;
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ_MSG(test, 0, add(r, &r->first), "%s", r->text);
	KUNIT_EXPECT_EQ_MSG(test, 0, add(r, &r->second), "%s", r->text);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	KUNIT_EXPECT_EQ_MSG(test, 0, disable(r, &r->first), "%s", r->text);
}

/* Only a device that is not open, and to where a cluster ends: the last one may be in use. */
static int shrink(struct bitmap_rig *r)
{
	int err;

	ram_device_close(&r->rig->dev);
	err = resize(r, round_up(r->rig->c->size, 1ULL << r->rig->c->cluster_bits), true);
	KUNIT_ASSERT_EQ(r->rig->test, 0, ram_device_open(&r->rig->dev));
	return err;
}

static void cuts_while_the_disk_is_resized(struct kunit *test)
{
	struct bitmap_rig *r = bitmap_rig_create(test, test->param_value);

	begin_resize(r);
	watch(r, on_change);
	INIT_WORK(&r->work, resize_work);
	queue_work(system_unbound_wq, &r->work);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS_MEANWHILE, SEED + 100));
	flush_work(&r->work);
	KUNIT_EXPECT_EQ_MSG(test, 0, r->err, "%s", r->text);
	kunit_info(test, "%u cuts", r->nr);
	r->nr = 0;
	KUNIT_EXPECT_EQ_MSG(test, 0, shrink(r), "%s", r->text);
	watch(r, NULL);
	KUNIT_EXPECT_FALSE(test, r->bad);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED + 200));
	KUNIT_EXPECT_EQ_MSG(test, 0, resize(r, grown(r), false), "%s", r->text);
	detach_image(r);
	expect_flags(r, "first", 0);
	expect_flags(r, "the second one", QCOW_BITMAP_AUTO);

	/* They are read with that size, and shrink with it. */
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED + 300));
	KUNIT_EXPECT_EQ_MSG(test, 0, shrink(r), "%s", r->text);
	detach_image(r);
	expect_flags(r, "first", 0);
	expect_flags(r, "the second one", QCOW_BITMAP_AUTO);
}

/*
 * The disk grows and shrinks while the @nth call of the image's store fails that is no read.
 * Return: whether there was one.
 */
static bool fail_resize_nth(struct bitmap_rig *r, int nth)
{
	struct ram_disk *disk = r->rig->dev.disk;
	bool failed, good;
	int err;

	write_rig_restart(r->rig);
	begin_resize(r);
	ram_disk_fail_change(disk, nth, -EIO);
	err = resize(r, grown(r), false) ?: shrink(r);
	failed = end_failing(r, nth, err, &good);
	if (good) {
		expect_flags(r, "first", 0);
		expect_flags(r, "the second one", QCOW_BITMAP_AUTO);
	}
	return failed;
}

static void resizes_fail_once(struct kunit *test)
{
	struct bitmap_rig *r = bitmap_rig_create(test, test->param_value);
	int nth = 1;

	while (nth < MAX_CALLS && fail_resize_nth(r, nth))
		nth += 1 + nth / 6;
	KUNIT_EXPECT_GT(test, nth, 4);
}

static const struct write_case small_case = {
	.name = "v3, 512", .version = 3, .cluster_bits = 9, .size = SZ_64K, .threads = 1,
};

static const struct write_case old_case = {
	.name = "v2, 512", .version = 2, .cluster_bits = 9, .size = SZ_64K, .threads = 1,
};

static void expect_refused(struct bitmap_rig *r, int err, const char *text,
			   enum qcow_bitmap_action action, const char *name, u64 granularity,
			   const char *source)
{
	struct kunit *test = r->rig->test;

	KUNIT_EXPECT_EQ(test, err, change(r, action, name, granularity, source));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(r->text, text), "%s", r->text);
}

static void changes_that_are_refused(struct kunit *test)
{
	struct bitmap_rig *r = bitmap_rig_create(test, &small_case);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	expect_refused(r, -EINVAL, "granularity of 1000 bytes", QCOW_BITMAP_ADD, "first", 1000,
		       NULL);
	expect_refused(r, -EINVAL, "granularity of 256 bytes", QCOW_BITMAP_ADD, "first", 256, NULL);
	expect_refused(r, -ENOENT, "there is none", QCOW_BITMAP_REMOVE, "first", 0, NULL);
	expect_refused(r, -ENOENT, "there is none", QCOW_BITMAP_DISABLE, "first", 0, NULL);
	KUNIT_EXPECT_EQ_MSG(test, 0, add(r, &r->first), "%s", r->text);
	expect_refused(r, -EEXIST, "there is one already", QCOW_BITMAP_ADD, "first", 0, NULL);
	expect_refused(r, -ENOENT, "there is none", QCOW_BITMAP_MERGE, "first", 0, "second");
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	detach_image(r);
}

static const struct write_case large_case = {
	.name = "v3, 64k", .version = 3, .cluster_bits = 16, .size = SZ_64K, .threads = 1,
};

/* Bits of a disk of 1 TiB, one for each sector, would take all memory that bitmaps may have. */
static void size_with_too_many_bits(struct kunit *test)
{
	struct bitmap_rig *r = bitmap_rig_create(test, &large_case);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ_MSG(test, 0, add(r, &r->second), "%s", r->text);
	KUNIT_EXPECT_EQ_MSG(test, 0, add(r, &r->first), "%s", r->text);
	KUNIT_EXPECT_EQ(test, -EFBIG, resize(r, 1ULL << 40, false));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(r->text, "\"first\": all bitmaps would take"), "%s",
				  r->text);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	detach_image(r);
}

static void old_versions_have_none(struct kunit *test)
{
	struct bitmap_rig *r = bitmap_rig_create(test, &old_case);

	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	expect_refused(r, -EOPNOTSUPP, "version 2 has no bitmaps", QCOW_BITMAP_ADD, "first", 0,
		       NULL);
	detach_image(r);
}

/* What a device says of a bitmap is what will be on disk, in ranges that begin and end with it. */
static void ranges_are_the_bits(struct kunit *test)
{
	struct bitmap_rig *r = bitmap_rig_create(test, &small_case);
	struct qcow_map_bitmap args = { .index = 0 };
	struct qcow_report rep = { .buf = r->text, .size = sizeof(r->text) };
	unsigned long *seen = kunit_kcalloc(test, BITS_TO_LONGS(SZ_64K / 512), sizeof(long),
					    GFP_KERNEL);
	struct qcow_bitmap_range ranges[3];
	u32 nr, i;

	KUNIT_ASSERT_NOT_NULL(test, seen);
	KUNIT_ASSERT_EQ(test, 0, ram_device_attach(&r->rig->dev));
	KUNIT_EXPECT_EQ_MSG(test, 0, add(r, &r->first), "%s", r->text);
	KUNIT_EXPECT_EQ(test, 0, guest(r, OPS, SEED));
	args.index = r->rig->dev.index;
	do {
		nr = ARRAY_SIZE(ranges);
		KUNIT_ASSERT_EQ_MSG(test, 0, qcow_device_map_bitmap(&args, "first", ranges, &nr,
								    &rep), "%s", r->text);
		for (i = 0; i < nr; i++)
			bitmap_set(seen, ranges[i].start / 512, ranges[i].len / 512);
	} while (args.start < SZ_64K);
	KUNIT_EXPECT_EQ(test, 512, args.granularity);
	detach_image(r);
	read_bits(r, r->rig->copy, find_entry(r->rig->copy, "first"), SZ_64K / 512);
	KUNIT_EXPECT_TRUE(test, bitmap_equal(seen, r->bits, SZ_64K / 512));
	KUNIT_EXPECT_FALSE(test, bitmap_empty(seen, SZ_64K / 512));
}

/* Of version 3. */
static const void *version3_next(const void *prev, char *name)
{
	const struct write_case *c = prev;

	do {
		c = write_case_next(c, name);
	} while (c && c->version < 3);
	return c;
}

static const void *kind_next_part(const void *prev, char *name)
{
	return part_next(version3_next, prev, name, PART_KINDS);
}

static const void *kind_next_few(const void *prev, char *name)
{
	return part_next(version3_next, prev, name, PART_FEW_KINDS);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(cuts_while_bitmaps_change, kind_next_part),
	KUNIT_CASE_PARAM_ATTR(changes_fail_once, kind_next_few, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM_ATTR(detach_fails_once, kind_next_few, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM(cuts_while_the_disk_is_resized, kind_next_part),
	KUNIT_CASE_PARAM_ATTR(resizes_fail_once, kind_next_few, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE(changes_that_are_refused),
	KUNIT_CASE(size_with_too_many_bits),
	KUNIT_CASE(old_versions_have_none),
	KUNIT_CASE(ranges_are_the_bits),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_live_bitmap",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
