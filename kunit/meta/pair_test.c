// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest and an administrator do to a disk, in all sequences of two: what the first one has
 * left, perhaps not durable yet, is what the second one finds. Both touch the same clusters, one
 * that a snapshot has, too, and one that it has not. While the second one runs the power may go.
 * An overlay is an image of the same kind; what follows is done to that, and the image below keeps
 * each byte. A run takes an eighth of the sequences, of other kinds of images other ones.
 */

#include <kunit/test.h>
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <qcow/ondisk.h>
#include <qcow/report.h>

#include "data/cow.h"
#include "device.h"
#include "layer/image.h"
#include "live/resize.h"
#include "rig/image_builder.h"
#include "rig/image_fsck.h"
#include "rig/overlays.h"
#include "rig/part.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

static unsigned int pair_every = 5;
module_param(pair_every, uint, 0444);
MODULE_PARM_DESC(pair_every, "one change of the disk in so many is tried as a power cut, in sequences of two operations");

#define SEED		3
#define ONE_IN		8
#define MAX_SHOTS	3

/* The clusters that all of it is about: one is written as a whole, of one a sector. */
#define WHOLE		1
#define PART		2
#define NR_SETUP	4

static const struct write_case pair_cases[] = {
	{ .name = "v1, 512", .version = 1, .cluster_bits = 9, .size = SZ_64K },
	{
		.name = "v1, 4k, backing", .version = 1, .cluster_bits = 12, .size = SZ_64K,
		.backing = SZ_32K + 512,
	},
	{ .name = "v2, 512", .version = 2, .cluster_bits = 9, .size = SZ_64K },
	{
		.name = "v2, 4k, backing, compressed", .version = 2, .cluster_bits = 12,
		.size = SZ_64K,
		.backing = SZ_32K + 512, .compress = true,
	}, {
		.name = "v3, 512, 1 bit counts", .version = 3, .cluster_bits = 9, .size = SZ_64K,
		.refcount_bits = 1,
	}, {
		.name = "v3, 512, 2 bit counts", .version = 3, .cluster_bits = 9, .size = SZ_64K,
		.refcount_bits = 2,
	}, {
		.name = "v3, 4k, backing, 64 bit counts", .version = 3, .cluster_bits = 12,
		.size = SZ_64K, .refcount_bits = 64, .backing = SZ_32K + 512,
	},
	{ .name = "v3, 64k", .version = 3, .cluster_bits = 16, .size = SZ_512K },
	{
		.name = "v3, 16k, subclusters, backing", .version = 3, .cluster_bits = 14,
		.size = SZ_128K, .backing = SZ_64K + 512, .extended = true,
	},
};

static void case_name(const struct write_case *c, char *name)
{
	strscpy(name, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(pair, pair_cases, case_name);

enum action {
	DO_WRITE,
	DO_COPY_ON_WRITE,
	DO_DISCARD,
	DO_FLUSH,
	DO_RESIZE,
	/* durable when they have ended */
	DO_OVERLAY,
	/* and not of all kinds of images */
	DO_CREATE,
	DO_APPLY,
	DO_DELETE,
	NR_ACTIONS,
};

static const char * const action_names[] = {
	[DO_WRITE] = "write", [DO_COPY_ON_WRITE] = "copy-on-write", [DO_DISCARD] = "discard",
	[DO_FLUSH] = "flush", [DO_RESIZE] = "resize", [DO_OVERLAY] = "overlay",
	[DO_CREATE] = "create", [DO_APPLY] = "apply", [DO_DELETE] = "delete",
};

/**
 * struct disk_state - what a disk holds
 * @bytes: size
 * @data: zeros behind that
 */
struct disk_state {
	u64 bytes;
	u8 *data;
};

/* Before and after each of two operations: of a disk, and what snapshots of its image hold then. */
enum when {
	BEGIN,
	BETWEEN,
	END,
	NR_TIMES,
};

/**
 * struct pair_image - an image of the chain: the first one, or an overlay
 * @disk: its file
 * @copy: what a power cut leaves of that
 * @fsck: of @copy
 * @last: below an overlay, the time of which it has the state
 * @kept: below an overlay, the file as it has been since
 */
struct pair_image {
	struct ram_disk *disk;
	struct ram_disk *copy;
	struct image_fsck *fsck;
	enum when last;
	struct ram_disk *kept;
};

/**
 * struct pair_test - an image that two operations are done to
 * @test: the test
 * @rig: image and device
 * @tops: overlays
 * @chain: the image, and all of @tops
 * @depth: how many of these there are, with an overlay that is being put on top
 * @cluster: bytes
 * @max_bytes: the disk becomes no larger
 * @states: of the disk
 * @shots: of each snapshot, in the order of the table
 * @nr_shots: how many there are at each time
 * @shot_of: which of @shots they are
 * @nr_made: of @shots
 * @durable: the first time that a power cut may lead back to
 * @now: the last one
 * @guest: what a check reads
 * @buf: what is written, a cluster
 * @stamp: the next byte to write
 * @lock: one check at a time
 * @calls: changes of the disk so far
 * @nr: cuts so far
 * @what: the operations
 * @text: what is wrong
 */
struct pair_test {
	struct kunit *test;
	struct write_rig *rig;
	struct overlays *tops;
	struct pair_image chain[MAX_OVERLAYS + 1];
	unsigned int depth;
	u32 cluster;
	u64 max_bytes;
	struct disk_state states[NR_TIMES];
	struct disk_state shots[MAX_SHOTS];
	unsigned int nr_shots[NR_TIMES];
	unsigned int shot_of[NR_TIMES][MAX_SHOTS];
	unsigned int nr_made;
	enum when durable;
	enum when now;
	u8 *guest;
	u8 *buf;
	u8 stamp;
	struct mutex lock;	/* checks */
	unsigned int calls;
	unsigned int nr;
	char what[64];
	char text[256];
};

static void *memory(struct kunit *test, size_t bytes)
{
	void *p = kunit_kzalloc(test, bytes, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	return p;
}

static void create_chain(struct pair_test *t, const struct write_case *c)
{
	unsigned int i;

	t->tops = overlays_create(t->test, &(struct image_shape) {
		.version = c->version, .cluster_bits = c->cluster_bits, .size = t->max_bytes,
		.refcount_bits = c->refcount_bits, .room = t->rig->dev.disk->room,
		.incompatible = c->extended ? QCOW_INCOMPAT_EXTENDED_L2 : 0,
	});
	t->chain[0] = (struct pair_image) {
		.disk = t->rig->dev.disk, .copy = t->rig->copy, .fsck = t->rig->fsck,
	};
	for (i = 0; i < MAX_OVERLAYS; i++) {
		t->chain[i + 1] = (struct pair_image) {
			.disk = t->tops->disks[i], .copy = t->tops->copies[i],
			.fsck = t->tops->fscks[i],
		};
		t->chain[i].kept = ram_disk_create(t->test, t->rig->dev.disk->room);
	}
}

static struct pair_test *pair_test_create(struct kunit *test)
{
	const struct write_case *c = test->param_value;
	struct pair_test *t = memory(test, sizeof(*t));
	unsigned int i;

	t->test = test;
	t->rig = write_rig_create(test, c, SEED);
	t->cluster = 1U << c->cluster_bits;
	t->max_bytes = c->size + 2 * t->cluster;
	create_chain(t, c);
	for (i = 0; i < NR_TIMES; i++)
		t->states[i].data = memory(test, t->max_bytes);
	for (i = 0; i < MAX_SHOTS; i++)
		t->shots[i].data = memory(test, t->max_bytes);
	t->guest = memory(test, t->max_bytes);
	t->buf = memory(test, t->cluster);
	mutex_init(&t->lock);
	return t;
}

static void copy_state(struct pair_test *t, struct disk_state *to, const struct disk_state *from)
{
	to->bytes = from->bytes;
	memcpy(to->data, from->data, t->max_bytes);
}

static struct qcow_image *open_copy(struct pair_test *t, const struct pair_image *p,
				    struct qcow_image *backing, u32 position)
{
	struct qcow_image *image = write_rig_open_over(t->rig, p->copy, backing, position);

	if (IS_ERR(image))
		strscpy(t->text, t->rig->text, sizeof(t->text));
	return image;
}

/* What it holds, to @guest. Return: bytes or -errno. */
static s64 read_image(struct pair_test *t, struct qcow_image *image)
{
	s64 bytes = image->size;
	int err;

	memset(t->guest, 0, t->max_bytes);
	err = bytes > t->max_bytes ? -EFBIG : qcow_cow_read(image, 0, t->guest, bytes);
	return err ?: bytes;
}

/* What the copy of an image holds, likewise. */
static s64 read_copy(struct pair_test *t, const struct pair_image *p, struct qcow_image *backing,
		     u32 position)
{
	struct qcow_image *image = open_copy(t, p, backing, position);
	s64 bytes;

	if (IS_ERR(image))
		return PTR_ERR(image);
	bytes = read_image(t, image);
	qcow_image_close(image);
	return bytes;
}

static bool is_state(const struct pair_test *t, const struct disk_state *s, u64 bytes)
{
	return s->bytes == bytes && !memcmp(s->data, t->guest, bytes);
}

/* Each sector is as it was at one of the times that may be, up to @last. */
static int check_active(struct pair_test *t, u64 bytes, enum when last)
{
	enum when first = min(t->durable, last), i;
	bool known = false;
	u64 pos;

	for (i = first; i <= last; i++)
		known |= bytes == t->states[i].bytes;
	for (pos = 0; pos < bytes && known; pos += SECTOR_SIZE) {
		known = false;
		for (i = first; i <= last; i++)
			known |= !memcmp(t->guest + pos, t->states[i].data + pos, SECTOR_SIZE);
	}
	if (known)
		return 0;
	snprintf(t->text, sizeof(t->text), "%llu bytes, at %llu it is %#x", bytes, pos,
		 t->guest[pos - min(pos, (u64)SECTOR_SIZE)]);
	return -EUCLEAN;
}

/* There are those of @when. */
static int check_shots(struct pair_test *t, const struct pair_image *p, struct qcow_image *backing,
		       enum when when)
{
	unsigned int i;
	s64 bytes;

	for (i = 0; i < t->nr_shots[when]; i++) {
		bytes = read_copy(t, p, backing, i);
		if (bytes < 0)
			return bytes;
		if (!is_state(t, &t->shots[t->shot_of[when][i]], bytes)) {
			snprintf(t->text, sizeof(t->text), "snapshot %u has other contents", i);
			return -EUCLEAN;
		}
	}
	return 0;
}

/* An image that is open, and its snapshots. */
static int check_image(struct pair_test *t, const struct pair_image *p, struct qcow_image *image)
{
	const struct qcow_disk_header *h = (void *)p->copy->data;
	u32 nr = be32_to_cpu(h->version) > 1 ? be32_to_cpu(h->nr_snapshots) : 0;
	bool below = p != &t->chain[t->depth - 1];
	enum when last = below ? p->last : t->now;
	s64 bytes = read_image(t, image);
	int err;

	if (bytes < 0)
		return bytes;
	err = check_active(t, bytes, last);
	if (err)
		return err;
	return check_shots(t, p, image->backing, nr == t->nr_shots[last] ? last : last - 1);
}

/* The copies of all images that there are, each over the one below. */
static int check_copies(struct pair_test *t)
{
	struct qcow_image *images[MAX_OVERLAYS + 1], *image = t->rig->backing;
	unsigned int nr;
	int err = 0;

	for (nr = 0; nr < t->depth && !err; nr++) {
		struct pair_image *p = &t->chain[nr];

		err = image_fsck(p->fsck);
		if (err) {
			strscpy(t->text, p->fsck->text, sizeof(t->text));
			break;
		}
		image = open_copy(t, p, image, QCOW_ACTIVE_STATE);
		if (IS_ERR(image)) {
			err = PTR_ERR(image);
			break;
		}
		images[nr] = image;
		err = check_image(t, p, image);
	}
	while (nr--)
		qcow_image_close(images[nr]);
	return err;
}

static void expect_good(struct pair_test *t, u64 seed, const char *when)
{
	mutex_lock(&t->lock);
	t->text[0] = 0;
	ram_disk_imagine(t->rig->dev.disk, seed, t->rig->copy);
	overlays_imagine(t->tops, seed);
	KUNIT_EXPECT_EQ_MSG(t->test, 0, check_copies(t), "%s: %s: %s", t->what, when, t->text);
	mutex_unlock(&t->lock);
}

/* Remember an image below an overlay as it is. */
static void keep(struct pair_image *p)
{
	memcpy(p->kept->data, p->disk->data, p->disk->high);
	p->kept->bytes = p->disk->bytes;
}

static void expect_kept(struct pair_test *t)
{
	unsigned int i;

	for (i = 0; i + 1 < t->depth; i++) {
		const struct pair_image *p = &t->chain[i];

		KUNIT_EXPECT_EQ_MSG(t->test, p->kept->bytes, p->disk->bytes, "%s", t->what);
		KUNIT_EXPECT_TRUE_MSG(t->test, !memcmp(p->kept->data, p->disk->data, p->disk->high),
				      "%s: image %u has changed below an overlay", t->what, i);
	}
}

static void on_change(void *watcher)
{
	struct pair_test *t = watcher;

	if (t->calls++ % pair_every)
		return;
	expect_good(t, SEED + t->nr, "cut");
	t->nr++;
}

static int change_snapshot(struct pair_test *t, enum qcow_snapshot_action action, unsigned int id)
{
	return ram_device_snapshot(&t->rig->dev, action, id + 1, t->text, sizeof(t->text));
}

static unsigned int last_shot(const struct pair_test *t, enum when when)
{
	return t->shot_of[when][t->nr_shots[when] - 1];
}

static u32 part_pos(const struct pair_test *t)
{
	return PART * t->cluster + round_down(t->cluster / 2, SECTOR_SIZE);
}

/* What an operation makes of the state before it, where it can be done. */
static void plan(struct pair_test *t, enum action action, enum when when)
{
	struct disk_state *s = &t->states[when];

	switch (action) {
	case DO_WRITE:
		memset(s->data + WHOLE * t->cluster, ++t->stamp, t->cluster);
		break;
	case DO_COPY_ON_WRITE:
		memset(s->data + part_pos(t), ++t->stamp, SECTOR_SIZE);
		break;
	case DO_DISCARD:
		memset(s->data + WHOLE * t->cluster, 0, 2 * t->cluster);
		break;
	case DO_RESIZE:
		s->bytes += t->cluster;
		break;
	case DO_OVERLAY:
		t->chain[t->depth - 1].last = when - 1;
		t->depth++;
		t->nr_shots[when] = 0;
		break;
	case DO_CREATE:
		copy_state(t, &t->shots[t->nr_made], s);
		t->shot_of[when][t->nr_shots[when]++] = t->nr_made++;
		break;
	case DO_APPLY:
		copy_state(t, s, &t->shots[last_shot(t, when)]);
		break;
	case DO_DELETE:
		t->nr_shots[when]--;
		break;
	default:
		break;
	}
}

/* Version 1 and 2 have no entry for zeros over another image: there they have to be written. */
static enum req_op zeroing_op(const struct pair_test *t)
{
	bool writes = t->depth > 1 && t->rig->c->version < 3;

	return bdev_max_discard_sectors(t->rig->dev.bdev) && !writes ? REQ_OP_DISCARD :
								       REQ_OP_WRITE_ZEROES;
}

static int put_overlay(struct pair_test *t, u64 bytes)
{
	struct ram_disk *disk = overlays_next(t->tops, bytes);
	int err = overlays_put(t->tops, &t->rig->dev, disk, t->text, sizeof(t->text));

	if (!err)
		keep(&t->chain[t->depth - 2]);
	return err;
}

static int run(struct pair_test *t, enum action action, enum when when)
{
	struct ram_device *dev = &t->rig->dev;
	u32 sectors = t->cluster >> SECTOR_SHIFT;
	enum when before = when - 1;

	memset(t->buf, t->stamp, t->cluster);
	switch (action) {
	case DO_WRITE:
		return ram_device_rw(dev, REQ_OP_WRITE, WHOLE * sectors, t->buf, sectors);
	case DO_COPY_ON_WRITE:
		return ram_device_rw(dev, REQ_OP_WRITE, part_pos(t) >> SECTOR_SHIFT, t->buf, 1);
	case DO_DISCARD:
		return ram_device_zero(dev, zeroing_op(t), WHOLE * sectors, 2 * sectors);
	case DO_FLUSH:
		return ram_device_flush(dev);
	case DO_RESIZE:
		return qcow_device_resize(dev->index, t->states[before].bytes + t->cluster, false,
					  &(struct qcow_report) {});
	case DO_OVERLAY:
		return put_overlay(t, t->states[before].bytes);
	case DO_CREATE:
		return change_snapshot(t, QCOW_SNAPSHOT_CREATE, t->nr_made - 1);
	case DO_APPLY:
		return change_snapshot(t, QCOW_SNAPSHOT_APPLY, last_shot(t, before));
	default:
		return change_snapshot(t, QCOW_SNAPSHOT_DELETE, last_shot(t, before));
	}
}

/* Return: why it cannot be done, or 0. */
static int refusal(const struct pair_test *t, enum action action, enum when before)
{
	const struct write_case *c = t->rig->c;
	/* Both snapshots and the active state refer to what has been there all the time. */
	bool narrow = c->refcount_bits == 2 && t->nr_shots[before] == 2;

	switch (action) {
	case DO_CREATE:
		return narrow ? -ERANGE : 0;
	case DO_APPLY:
		return t->shots[last_shot(t, before)].bytes != t->states[before].bytes ? -EBUSY : 0;
	default:
		return 0;
	}
}

static bool is_durable_afterwards(enum action action)
{
	return action == DO_FLUSH || action >= DO_OVERLAY;
}

/* The state @when is that of what is done now, after the one before. */
static void operate(struct pair_test *t, enum action action, enum when when)
{
	enum when before = when - 1;
	int wanted = refusal(t, action, before), err;

	mutex_lock(&t->lock);
	copy_state(t, &t->states[when], &t->states[before]);
	t->nr_shots[when] = t->nr_shots[before];
	memcpy(t->shot_of[when], t->shot_of[before], sizeof(t->shot_of[when]));
	if (!wanted)
		plan(t, action, when);
	else if (action == DO_CREATE)
		t->nr_made++;
	t->now = when;
	mutex_unlock(&t->lock);

	err = run(t, action, when);
	KUNIT_EXPECT_EQ_MSG(t->test, wanted, err, "%s: %s", t->what, t->text);

	mutex_lock(&t->lock);
	if (!err && is_durable_afterwards(action))
		t->durable = when;
	mutex_unlock(&t->lock);
}

static bool has_snapshots(const struct pair_test *t)
{
	return t->rig->c->version > 1 && t->rig->c->refcount_bits != 1;
}

/* What the image has that has just been flushed, to @guest. Return: as read_copy(). */
static s64 read_first(struct pair_test *t)
{
	ram_disk_imagine(t->rig->dev.disk, 0, t->rig->copy);
	return read_copy(t, &t->chain[0], t->rig->backing, QCOW_ACTIVE_STATE);
}

/* Clusters with data, the second half of them not in the snapshot that there is. */
static void set_up(struct pair_test *t)
{
	u32 sectors = t->cluster >> SECTOR_SHIFT, i;

	write_rig_restart(t->rig);
	overlays_restart(t->tops);
	t->depth = 1;
	t->stamp = 0x10;
	t->nr_made = 0;
	t->nr_shots[BEGIN] = 0;
	t->now = BEGIN;
	t->durable = BEGIN;
	KUNIT_ASSERT_EQ(t->test, 0, ram_device_attach(&t->rig->dev));
	for (i = 0; i < NR_SETUP; i++) {
		if (i == NR_SETUP / 2 && has_snapshots(t)) {
			KUNIT_ASSERT_EQ(t->test, 0, ram_device_flush(&t->rig->dev));
			t->shots[0].bytes = read_first(t);
			memcpy(t->shots[0].data, t->guest, t->max_bytes);
			t->nr_made = 1;
			t->shot_of[BEGIN][t->nr_shots[BEGIN]++] = 0;
			KUNIT_ASSERT_EQ(t->test, 0, change_snapshot(t, QCOW_SNAPSHOT_CREATE, 0));
		}
		memset(t->buf, i + 1, t->cluster);
		KUNIT_ASSERT_EQ(t->test, 0, ram_device_rw(&t->rig->dev, REQ_OP_WRITE, i * sectors,
							  t->buf, sectors));
	}
	KUNIT_ASSERT_EQ(t->test, 0, ram_device_flush(&t->rig->dev));
	t->states[BEGIN].bytes = read_first(t);
	memcpy(t->states[BEGIN].data, t->guest, t->max_bytes);
}

static bool can_be_done(const struct pair_test *t, enum action action, enum when before)
{
	return action < DO_CREATE ||
	       (has_snapshots(t) && (action == DO_CREATE || t->nr_shots[before]));
}

static void watch(struct pair_test *t, void (*func)(void *watcher))
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t->chain); i++) {
		t->chain[i].disk->watcher = t;
		t->chain[i].disk->on_change = func;
	}
}

/* No image has leaked, but that one of version 1 keeps its gaps below an overlay. */
static void expect_no_leaks(struct pair_test *t)
{
	unsigned int i;

	for (i = 0; i < t->depth; i++) {
		if (t->rig->c->version > 1 || i + 1 == t->depth)
			KUNIT_EXPECT_EQ_MSG(t->test, i ? 0 : t->rig->leaked,
					    t->chain[i].fsck->leaked, "%s, image %u", t->what, i);
	}
}

static void one_pair(struct pair_test *t, enum action first, enum action second)
{
	snprintf(t->what, sizeof(t->what), "%s, %s", action_names[first], action_names[second]);
	set_up(t);
	operate(t, first, BETWEEN);
	if (can_be_done(t, second, BETWEEN)) {
		watch(t, on_change);
		operate(t, second, END);
		watch(t, NULL);
	}
	expect_good(t, SEED + t->nr, "cut afterwards");
	KUNIT_EXPECT_EQ(t->test, 0, ram_device_flush(&t->rig->dev));
	t->durable = t->now;
	expect_good(t, SEED, "flushed");
	KUNIT_EXPECT_EQ_MSG(t->test, 0, ram_device_detach(&t->rig->dev), "%s", t->what);
	expect_good(t, 0, "detached");
	expect_no_leaks(t);
	expect_kept(t);
}

static void all_pairs(struct kunit *test)
{
	struct pair_test *t = pair_test_create(test);
	unsigned int kind = t->rig->c - pair_cases;
	enum action first, second;
	unsigned int nr = 0;

	for (first = 0; first < NR_ACTIONS; first++) {
		for (second = 0; second < NR_ACTIONS; second++) {
			if (!has_snapshots(t) && max(first, second) >= DO_CREATE)
				continue;
			if (!part_has(kind + first * NR_ACTIONS + second, ONE_IN))
				continue;
			one_pair(t, first, second);
			nr++;
		}
	}
	kunit_info(test, "%u sequences, %u cuts", nr, t->nr);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM_ATTR(all_pairs, pair_gen_params, { .speed = KUNIT_SPEED_SLOW }),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_pairs",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
