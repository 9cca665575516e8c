// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest and an administrator do to a disk, in all sequences of two: what the first one has
 * left, perhaps not durable yet, is what the second one finds. Both touch the same clusters, one
 * that a snapshot has, too, and one that it has not. While the second one runs the power may go.
 * A run takes a third of the sequences, of other kinds of images other ones.
 */

#include <kunit/test.h>
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <qcow/ondisk.h>
#include <qcow/report.h>

#include "data/cow.h"
#include "device.h"
#include "layer/image.h"
#include "rig/image_fsck.h"
#include "rig/part.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

static unsigned int pair_every = 5;
module_param(pair_every, uint, 0444);
MODULE_PARM_DESC(pair_every, "one change of the disk in so many is tried as a power cut, in sequences of two operations");

#define SEED		3
#define ONE_IN		3
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
		.name = "v2, 4k, backing", .version = 2, .cluster_bits = 12, .size = SZ_64K,
		.backing = SZ_32K + 512,
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
	/* not of all kinds of images */
	DO_CREATE,
	DO_APPLY,
	DO_DELETE,
	NR_ACTIONS,
};

static const char * const action_names[] = {
	[DO_WRITE] = "write", [DO_COPY_ON_WRITE] = "copy-on-write", [DO_DISCARD] = "discard",
	[DO_FLUSH] = "flush", [DO_RESIZE] = "resize", [DO_CREATE] = "create", [DO_APPLY] = "apply",
	[DO_DELETE] = "delete",
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

/* Of an image before and after each of two operations; and what its snapshots hold then. */
enum when {
	BEGIN,
	BETWEEN,
	END,
	NR_TIMES,
};

/**
 * struct pair_test - an image that two operations are done to
 * @test: the test
 * @rig: image and device
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

static struct pair_test *pair_test_create(struct kunit *test)
{
	const struct write_case *c = test->param_value;
	struct pair_test *t = memory(test, sizeof(*t));
	unsigned int i;

	t->test = test;
	t->rig = write_rig_create(test, c, SEED);
	t->cluster = 1U << c->cluster_bits;
	t->max_bytes = c->size + 2 * t->cluster;
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

/* What @rig->copy holds, to @guest. Return: bytes or -errno. */
static s64 read_copy(struct pair_test *t, u32 position)
{
	struct qcow_image *image = write_rig_open(t->rig, position);
	s64 bytes;
	int err;

	if (IS_ERR(image)) {
		strscpy(t->text, t->rig->text, sizeof(t->text));
		return PTR_ERR(image);
	}
	bytes = image->size;
	memset(t->guest, 0, t->max_bytes);
	err = bytes > t->max_bytes ? -EFBIG : qcow_cow_read(image, 0, t->guest, bytes);
	qcow_image_close(image);
	return err ?: bytes;
}

static bool is_state(const struct pair_test *t, const struct disk_state *s, u64 bytes)
{
	return s->bytes == bytes && !memcmp(s->data, t->guest, bytes);
}

/* Each sector is as it was at one of the times. */
static int check_active(struct pair_test *t, u64 bytes)
{
	bool known = false;
	enum when i;
	u64 pos;

	for (i = t->durable; i <= t->now; i++)
		known |= bytes == t->states[i].bytes;
	for (pos = 0; pos < bytes && known; pos += SECTOR_SIZE) {
		known = false;
		for (i = t->durable; i <= t->now; i++)
			known |= !memcmp(t->guest + pos, t->states[i].data + pos, SECTOR_SIZE);
	}
	if (known)
		return 0;
	snprintf(t->text, sizeof(t->text), "%llu bytes, at %llu it is %#x", bytes, pos,
		 t->guest[pos - min(pos, (u64)SECTOR_SIZE)]);
	return -EUCLEAN;
}

/* There are those of @when. */
static int check_shots(struct pair_test *t, enum when when)
{
	unsigned int i;
	s64 bytes;

	for (i = 0; i < t->nr_shots[when]; i++) {
		bytes = read_copy(t, i);
		if (bytes < 0)
			return bytes;
		if (!is_state(t, &t->shots[t->shot_of[when][i]], bytes)) {
			snprintf(t->text, sizeof(t->text), "snapshot %u has other contents", i);
			return -EUCLEAN;
		}
	}
	return 0;
}

static int check_copy(struct pair_test *t)
{
	const struct qcow_disk_header *h = (void *)t->rig->copy->data;
	u32 nr = be32_to_cpu(h->version) > 1 ? be32_to_cpu(h->nr_snapshots) : 0;
	s64 bytes;
	int err = image_fsck(t->rig->fsck);

	if (err) {
		strscpy(t->text, t->rig->fsck->text, sizeof(t->text));
		return err;
	}
	bytes = read_copy(t, QCOW_ACTIVE_STATE);
	if (bytes < 0)
		return bytes;
	err = check_active(t, bytes);
	if (err)
		return err;
	return check_shots(t, nr == t->nr_shots[t->now] ? t->now : t->now - 1);
}

static void expect_good(struct pair_test *t, u64 seed, const char *when)
{
	mutex_lock(&t->lock);
	t->text[0] = 0;
	ram_disk_imagine(t->rig->dev.disk, seed, t->rig->copy);
	KUNIT_EXPECT_EQ_MSG(t->test, 0, check_copy(t), "%s: %s: %s", t->what, when, t->text);
	mutex_unlock(&t->lock);
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
		return ram_device_zero(dev, bdev_max_discard_sectors(dev->bdev) ? REQ_OP_DISCARD :
				       REQ_OP_WRITE_ZEROES, WHOLE * sectors, 2 * sectors);
	case DO_FLUSH:
		return ram_device_flush(dev);
	case DO_RESIZE:
		return qcow_device_resize(dev->index, t->states[before].bytes + t->cluster, false,
					  &(struct qcow_report) {});
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
	return action == DO_FLUSH || action >= DO_CREATE;
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

/* Clusters with data, the second half of them not in the snapshot that there is. */
static void set_up(struct pair_test *t)
{
	u32 sectors = t->cluster >> SECTOR_SHIFT, i;

	write_rig_restart(t->rig);
	t->stamp = 0x10;
	t->nr_made = 0;
	t->nr_shots[BEGIN] = 0;
	t->now = BEGIN;
	t->durable = BEGIN;
	KUNIT_ASSERT_EQ(t->test, 0, ram_device_attach(&t->rig->dev));
	for (i = 0; i < NR_SETUP; i++) {
		if (i == NR_SETUP / 2 && has_snapshots(t)) {
			KUNIT_ASSERT_EQ(t->test, 0, ram_device_flush(&t->rig->dev));
			ram_disk_imagine(t->rig->dev.disk, 0, t->rig->copy);
			t->shots[0].bytes = read_copy(t, QCOW_ACTIVE_STATE);
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
	ram_disk_imagine(t->rig->dev.disk, 0, t->rig->copy);
	t->states[BEGIN].bytes = read_copy(t, QCOW_ACTIVE_STATE);
	memcpy(t->states[BEGIN].data, t->guest, t->max_bytes);
}

static bool can_be_done(const struct pair_test *t, enum action action, enum when before)
{
	return action < DO_CREATE ||
	       (has_snapshots(t) && (action == DO_CREATE || t->nr_shots[before]));
}

static void one_pair(struct pair_test *t, enum action first, enum action second)
{
	struct ram_disk *disk = t->rig->dev.disk;

	snprintf(t->what, sizeof(t->what), "%s, %s", action_names[first], action_names[second]);
	set_up(t);
	operate(t, first, BETWEEN);
	if (can_be_done(t, second, BETWEEN)) {
		disk->watcher = t;
		disk->on_change = on_change;
		operate(t, second, END);
		disk->on_change = NULL;
	}
	expect_good(t, SEED + t->nr, "cut afterwards");
	KUNIT_EXPECT_EQ(t->test, 0, ram_device_flush(&t->rig->dev));
	t->durable = t->now;
	expect_good(t, SEED, "flushed");
	KUNIT_EXPECT_EQ_MSG(t->test, 0, ram_device_detach(&t->rig->dev), "%s", t->what);
	expect_good(t, 0, "detached");
	KUNIT_EXPECT_EQ_MSG(t->test, t->rig->leaked, t->rig->fsck->leaked, "%s", t->what);
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
