// SPDX-License-Identifier: GPL-2.0
/*
 * Snapshots of a device that a guest has written to: made, used and deleted in any order, with
 * writes between. The power may go at each call of the store, and each call may fail once: what
 * the active state and every snapshot hold is then as before the operation or as after it, and
 * the image is whole. A snapshot that is made while the guest goes on holds each sector as it was
 * at some time in between.
 *
 * The module's parameters snapshot_cuts, snapshot_fails and snapshot_seed ask for more and for
 * other ones.
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include <qcow/ondisk.h>

#include "data/cow.h"
#include "device.h"
#include "layer/image.h"
#include "meta/snapshot.h"
#include "meta/worker.h"
#include "rig/guest_model.h"
#include "rig/image_fsck.h"
#include "rig/part.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

static unsigned int snapshot_cuts = 300;
module_param(snapshot_cuts, uint, 0444);
MODULE_PARM_DESC(snapshot_cuts, "power cuts in operations on snapshots, over all kinds of images");

static unsigned long snapshot_seed = 1;
module_param(snapshot_seed, ulong, 0444);
MODULE_PARM_DESC(snapshot_seed, "of these, of the operations and of what the guest does");

static unsigned int snapshot_fails = 3;
module_param(snapshot_fails, uint, 0444);
MODULE_PARM_DESC(snapshot_fails, "of each operation, so many calls of the store are made to fail, one each time");

#define MAX_SHOTS	3
#define ROUNDS		6

/* Operations of each thread of the guest between two of ours. */
#define OPS		12

/**
 * struct shots - the snapshots of an image, in the order of its table
 * @nr: how many
 * @id: of each
 * @data: what the disk held; NULL: the guest has been writing meanwhile
 */
struct shots {
	unsigned int nr;
	u32 id[MAX_SHOTS];
	void *data[MAX_SHOTS];
};

/**
 * struct shot_test - a device and its snapshots
 * @test: the test
 * @rig: device and guest
 * @rnd: what to do
 * @lock: one check at a time
 * @others: snapshots that the image had in the beginning, in front of all
 * @before: the snapshots
 * @after: as they are to be when the operation has ended
 * @used: what the disk is to hold then; NULL: what it holds
 * @next_id: of the next one
 * @least: versions that must be there
 * @lower: likewise, in a snapshot that is made while the guest is writing
 * @stop: the guest is to stop
 * @stopped: it has
 * @load_err: of its load
 * @nr: cuts so far
 * @limit: no more after these
 * @every: one call in so many is a cut
 * @calls: so far, of the operation
 * @bad: a cut went wrong
 * @fails: which calls are to fail
 * @first_call: before that of the operation
 */
struct shot_test {
	struct kunit *test;
	struct write_rig *rig;
	struct rnd_state rnd;
	struct mutex lock;	/* checks */
	u32 others;
	struct shots before;
	struct shots after;
	void *used;
	u32 next_id;
	u32 *least;
	u32 *lower;
	bool stop;
	struct completion stopped;
	int load_err;
	unsigned int nr;
	unsigned int limit;
	unsigned int every;
	unsigned int calls;
	bool bad;
	struct rnd_state fails;
	int first_call;
};

KUNIT_DEFINE_ACTION_WRAPPER(shot_action, kvfree, const void *);

static u32 nr_on_disk(const void *disk)
{
	const struct qcow_disk_header *h = disk;

	return be32_to_cpu(h->nr_snapshots);
}

static struct shot_test *shot_test_create(struct kunit *test)
{
	const struct write_case *c = test->param_value;
	struct shot_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->test = test;
	mutex_init(&t->lock);
	t->rig = write_rig_create(test, c, snapshot_seed);
	t->least = kunit_kcalloc(test, c->size / SECTOR_SIZE, sizeof(u32), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->least);
	t->lower = kunit_kcalloc(test, c->size / SECTOR_SIZE, sizeof(u32), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->lower);
	t->limit = DIV_ROUND_UP(snapshot_cuts, nr_write_cases);
	t->every = 1;
	if (c->version > 1)
		t->others = nr_on_disk(t->rig->begin);
	t->next_id = 1;
	prandom_seed_state(&t->rnd, snapshot_seed);
	prandom_seed_state(&t->fails, snapshot_seed);
	return t;
}

static bool has_snapshots(const struct write_case *c)
{
	return c->version > 1 && c->refcount_bits != 1;
}

/* Counts of a few bits have no room for a reference from each snapshot. */
static bool may_overflow(const struct write_case *c)
{
	return c->refcount_bits && c->refcount_bits < 4;
}

/* What @rig->copy holds: the active state, or the snapshot at a position. To @rig->guest. */
static int read_state(struct write_rig *rig, u32 position)
{
	struct qcow_image *image = write_rig_open(rig, position);
	int err;

	if (IS_ERR(image))
		return PTR_ERR(image);
	err = qcow_cow_read(image, 0, rig->guest, rig->c->size);
	qcow_image_close(image);
	return err;
}

static int check_shots(struct shot_test *t, const struct shots *shots)
{
	struct write_rig *rig = t->rig;
	unsigned int i;
	int err;

	for (i = 0; i < shots->nr; i++) {
		err = read_state(rig, t->others + i);
		if (!err && !shots->data[i])
			err = guest_model_check(rig->model, t->lower, 0, rig->model->nr, rig->guest,
						rig->text, sizeof(rig->text));
		if (err)
			return err;
		if (shots->data[i] && memcmp(rig->guest, shots->data[i], rig->c->size)) {
			snprintf(rig->text, sizeof(rig->text), "snapshot %u: other contents",
				 shots->id[i]);
			return -EUCLEAN;
		}
	}
	return 0;
}

/* The active state: what the guest knows, or what the snapshot holds that is being used. */
static int check_active(struct shot_test *t)
{
	struct write_rig *rig = t->rig;
	int err = write_rig_check(rig, t->least, false);

	if (!err || !t->used)
		return err;
	err = image_fsck(rig->fsck) ?: read_state(rig, QCOW_ACTIVE_STATE);
	if (!err && memcmp(rig->guest, t->used, rig->c->size))
		err = -EUCLEAN;
	return err;
}

/* @rig->copy is as before or as after. */
static int check_copy(struct shot_test *t)
{
	u32 nr = nr_on_disk(t->rig->copy->data) - t->others;
	int err = check_active(t);

	if (err)
		return err;
	if (nr == t->before.nr)
		return check_shots(t, &t->before);
	if (nr == t->after.nr)
		return check_shots(t, &t->after);
	snprintf(t->rig->text, sizeof(t->rig->text), "%u snapshots more than in the beginning", nr);
	return -EUCLEAN;
}

static void try_cut(struct shot_test *t)
{
	int err;

	guest_model_durable(t->rig->model, t->least);
	ram_disk_imagine(t->rig->dev.disk, snapshot_seed + t->nr, t->rig->copy);
	err = check_copy(t);
	if (err)
		kunit_err(t->test, "cut %u: error %d: %s", t->nr, err, t->rig->text);
	t->bad = err;
	t->nr++;
}

static void on_change(void *watcher)
{
	struct shot_test *t = watcher;

	mutex_lock(&t->lock);
	if (!t->bad && !(t->calls++ % t->every))
		try_cut(t);
	mutex_unlock(&t->lock);
}

static void expect_good(struct shot_test *t, const char *what, int nth)
{
	int err;

	/* A cut may be looked at still. */
	mutex_lock(&t->lock);
	ram_disk_imagine(t->rig->dev.disk, 0, t->rig->copy);
	err = check_copy(t);
	mutex_unlock(&t->lock);
	KUNIT_EXPECT_EQ_MSG(t->test, 0, err, "%s %d: %s", what, nth, t->rig->text);
}

/* What has been promised must be there from now on. A cut may be looked at still. */
static void take_promises(struct shot_test *t)
{
	mutex_lock(&t->lock);
	guest_model_durable(t->rig->model, t->least);
	mutex_unlock(&t->lock);
}

static void write_some(struct shot_test *t)
{
	struct guest_load *load = &t->rig->load;

	load->ops = OPS;
	load->seed = prandom_u32_state(&t->rnd);
	KUNIT_ASSERT_EQ_MSG(t->test, 0, guest_load_run(load), "%s", load->text);
	KUNIT_ASSERT_EQ(t->test, 0, guest_load_flush(load, t->rig->promise));
	take_promises(t);
}

/* What a state of the device holds now; it lives as long as the test. */
static void *contents(struct shot_test *t, u32 position)
{
	size_t bytes = t->rig->c->size;
	void *data = kvmalloc(bytes, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(t->test, data);
	KUNIT_ASSERT_EQ(t->test, 0, kunit_add_action_or_reset(t->test, shot_action, data));
	ram_disk_imagine(t->rig->dev.disk, 0, t->rig->copy);
	KUNIT_ASSERT_EQ_MSG(t->test, 0, read_state(t->rig, position), "%s", t->rig->text);
	memcpy(data, t->rig->guest, bytes);
	return data;
}

static int run_action(struct shot_test *t, enum qcow_snapshot_action action, u32 id)
{
	char text[256];
	int err = ram_device_snapshot(&t->rig->dev, action, id, text, sizeof(text));

	if (err)
		kunit_info(t->test, "action %d: error %d: %s", action, err, text);
	return err;
}

static void plan_create(struct shot_test *t)
{
	struct shots *s = &t->after;

	s->id[s->nr] = t->next_id++;
	s->data[s->nr++] = contents(t, QCOW_ACTIVE_STATE);
}

static void plan_create_beside(struct shot_test *t)
{
	struct shots *s = &t->after;

	s->id[s->nr] = t->next_id++;
	s->data[s->nr++] = NULL;
	memcpy(t->lower, t->rig->model->acked, t->rig->model->nr * sizeof(u32));
}

static void plan_delete(struct shot_test *t, unsigned int i)
{
	struct shots *s = &t->after;

	s->nr--;
	memmove(&s->id[i], &s->id[i + 1], (s->nr - i) * sizeof(s->id[0]));
	memmove(&s->data[i], &s->data[i + 1], (s->nr - i) * sizeof(s->data[0]));
}

/* What is to come of an operation; cuts are looked at meanwhile. */
static void plan(struct shot_test *t, enum qcow_snapshot_action action, unsigned int i)
{
	mutex_lock(&t->lock);
	t->after = t->before;
	t->used = NULL;
	if (action == QCOW_SNAPSHOT_CREATE)
		plan_create(t);
	else if (action == QCOW_SNAPSHOT_DELETE)
		plan_delete(t, i);
	else
		t->used = t->before.data[i];
	t->calls = prandom_u32_state(&t->rnd) % t->every;
	mutex_unlock(&t->lock);
}

/* One operation. Return: its error. */
static int operate(struct shot_test *t, enum qcow_snapshot_action action, unsigned int i)
{
	u32 id = action == QCOW_SNAPSHOT_CREATE ? t->next_id : t->before.id[i];

	plan(t, action, i);
	return run_action(t, action, id);
}

/* It has been done. */
static void settle(struct shot_test *t)
{
	mutex_lock(&t->lock);
	t->before = t->after;
	if (t->used) {
		guest_model_adopt(t->rig->model, t->used);
		guest_model_durable(t->rig->model, t->least);
		t->used = NULL;
	}
	mutex_unlock(&t->lock);
}

static enum qcow_snapshot_action any_action(struct shot_test *t, unsigned int *i)
{
	enum qcow_snapshot_action action = prandom_u32_state(&t->rnd) % 3;

	if (!t->before.nr)
		action = QCOW_SNAPSHOT_CREATE;
	else if (t->before.nr == MAX_SHOTS && action == QCOW_SNAPSHOT_CREATE)
		action = QCOW_SNAPSHOT_DELETE;
	*i = t->before.nr ? prandom_u32_state(&t->rnd) % t->before.nr : 0;
	return action;
}

static void attach(struct shot_test *t)
{
	KUNIT_ASSERT_EQ(t->test, 0, ram_device_attach(&t->rig->dev));
}

/* Nothing is leaked by operations that have ended, nor by an attach that has. */
static void detach(struct shot_test *t)
{
	KUNIT_ASSERT_EQ(t->test, 0, ram_device_detach(&t->rig->dev));
	expect_good(t, "detach", t->nr);
	KUNIT_EXPECT_EQ(t->test, t->rig->leaked, t->rig->fsck->leaked);
}

static void any_order(struct kunit *test)
{
	struct shot_test *t = shot_test_create(test);
	unsigned int round, i;
	int err;

	attach(t);
	for (round = 0; (round < ROUNDS || t->nr < t->limit) && !t->bad; round++) {
		enum qcow_snapshot_action action = any_action(t, &i);

		write_some(t);
		t->rig->dev.disk->watcher = t;
		t->rig->dev.disk->on_change = on_change;
		err = operate(t, action, i);
		t->rig->dev.disk->on_change = NULL;
		if (err == -ERANGE && may_overflow(test->param_value))
			t->after = t->before;
		else
			KUNIT_ASSERT_EQ_MSG(test, 0, err, "round %u, action %d", round, action);
		settle(t);
		expect_good(t, "round", round);
		/* About as many calls as there are. */
		t->every = max(t->calls / 16, 1U);
		if (prandom_u32_state(&t->rnd) % 2) {
			detach(t);
			attach(t);
		}
	}
	detach(t);
	KUNIT_EXPECT_FALSE(test, t->bad);
	kunit_info(test, "seed %lu, %u cuts, %u operations", snapshot_seed, t->nr, round);
}

static int guest_run(void *data)
{
	struct shot_test *t = data;
	struct guest_load *load = &t->rig->load;
	int err = 0;

	load->ops = OPS;
	while (!READ_ONCE(t->stop) && !err) {
		err = guest_load_run(load);
		load->seed++;
	}
	t->load_err = err;
	complete(&t->stopped);
	return 0;
}

static void guest_start(struct shot_test *t)
{
	t->stop = false;
	init_completion(&t->stopped);
	t->rig->load.seed = prandom_u32_state(&t->rnd);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(t->test, kthread_run(guest_run, t, "guest"));
}

static int guest_stop(struct shot_test *t)
{
	WRITE_ONCE(t->stop, true);
	wait_for_completion(&t->stopped);
	return t->load_err;
}

/* One operation, while the guest is writing. Return: its error. */
static int operate_beside(struct shot_test *t, enum qcow_snapshot_action action)
{
	u32 id = action == QCOW_SNAPSHOT_CREATE ? t->next_id : t->before.id[0];

	mutex_lock(&t->lock);
	t->after = t->before;
	if (action == QCOW_SNAPSHOT_CREATE)
		plan_create_beside(t);
	else
		plan_delete(t, 0);
	t->calls = prandom_u32_state(&t->rnd) % t->every;
	mutex_unlock(&t->lock);
	guest_start(t);
	return run_action(t, action, id);
}

/* It has been done, and all that has been written is durable. */
static void settle_beside(struct shot_test *t)
{
	struct shots *s = &t->after;

	take_promises(t);
	expect_good(t, "snapshot beside the guest", t->nr);
	if (s->nr && !s->data[s->nr - 1])
		s->data[s->nr - 1] = contents(t, t->others + s->nr - 1);
	settle(t);
}

static void beside_guest(struct kunit *test)
{
	struct shot_test *t = shot_test_create(test);
	unsigned int round;
	int err;

	attach(t);
	for (round = 0; (round < ROUNDS || t->nr < t->limit) && !t->bad; round++) {
		write_some(t);
		t->rig->dev.disk->watcher = t;
		t->rig->dev.disk->on_change = on_change;
		err = operate_beside(t, t->before.nr == MAX_SHOTS ? QCOW_SNAPSHOT_DELETE :
								     QCOW_SNAPSHOT_CREATE);
		KUNIT_EXPECT_EQ_MSG(test, 0, guest_stop(t), "%s", t->rig->load.text);
		t->rig->dev.disk->on_change = NULL;
		KUNIT_ASSERT_EQ(test, 0, guest_load_flush(&t->rig->load, t->rig->promise));
		if (err == -ERANGE && may_overflow(test->param_value))
			t->after = t->before;
		else
			KUNIT_ASSERT_EQ_MSG(test, 0, err, "round %u", round);
		settle_beside(t);
		t->every = max(t->calls / 16, 1U);
		if (prandom_u32_state(&t->rnd) % 2) {
			detach(t);
			attach(t);
		}
	}
	detach(t);
	KUNIT_EXPECT_FALSE(test, t->bad);
	kunit_info(test, "seed %lu, %u cuts, %u operations", snapshot_seed, t->nr, round);
}

/* A snapshot beside the guest after another one, and one call fails; 0: none. Return: calls. */
static int fail_nth_beside(struct shot_test *t, int nth)
{
	struct ram_disk *disk = t->rig->dev.disk;
	int err, calls;

	write_rig_restart(t->rig);
	t->before = (struct shots) {};
	t->next_id = 1;
	attach(t);
	write_some(t);
	KUNIT_ASSERT_EQ(t->test, 0, operate(t, QCOW_SNAPSHOT_CREATE, 0));
	settle(t);
	write_some(t);
	calls = atomic_read(&disk->calls);
	t->rig->load.may_fail = true;
	ram_disk_fail_call(disk, nth, -EIO);
	err = operate_beside(t, QCOW_SNAPSHOT_CREATE);
	calls = atomic_read(&disk->calls) - calls;
	guest_stop(t);
	t->rig->load.may_fail = false;
	disk->fail_at = 0;
	if (!nth && !(err == -ERANGE && may_overflow(t->rig->c)))
		KUNIT_EXPECT_EQ(t->test, 0, err);
	take_promises(t);
	expect_good(t, "call beside the guest", nth);
	if (!err)
		settle(t);
	ram_device_detach(&t->rig->dev);
	expect_good(t, "detach after call beside the guest", nth);
	return calls;
}

static void a_call_fails_beside_guest(struct kunit *test)
{
	struct shot_test *t = shot_test_create(test);
	int calls = fail_nth_beside(t, 0);
	unsigned int i;

	KUNIT_EXPECT_GT(test, calls, 0);
	for (i = 0; i < snapshot_fails; i++)
		fail_nth_beside(t, 1 + prandom_u32_state(&t->fails) % calls);
	kunit_info(test, "%d calls", calls);
}

/*
 * What cannot be read ends it before anything has changed, and nothing is left of it. Where that is
 * the header, which is read to be written, nothing is written any more. The first ones fail all, of
 * later ones fewer and fewer.
 */
static void each_read_fails_once(struct kunit *test)
{
	struct shot_test *t = shot_test_create(test);
	struct ram_disk *disk = t->rig->dev.disk;
	int nth, err = -EIO;

	for (nth = 1; err == -EIO; nth += 1 + nth / 4) {
		attach(t);
		write_some(t);
		ram_disk_fail(disk, nth, -EIO);
		err = operate(t, QCOW_SNAPSHOT_CREATE, 0);
		disk->fail_at = 0;
		if (READ_ONCE(t->rig->dev.qcow->meta->failed))
			break;
		if (err)
			t->after = t->before;
		settle(t);
		detach(t);
	}
	KUNIT_EXPECT_GT(test, nth, 2);
}

/* A snapshot that has been written over, and one call of what is done next fails; 0: none. */
static bool fail_nth(struct shot_test *t, enum qcow_snapshot_action action, int nth)
{
	struct ram_disk *disk = t->rig->dev.disk;
	int err;

	write_rig_restart(t->rig);
	prandom_seed_state(&t->rnd, snapshot_seed);
	t->before = (struct shots) {};
	t->next_id = 1;
	attach(t);
	write_some(t);
	KUNIT_ASSERT_EQ(t->test, 0, operate(t, QCOW_SNAPSHOT_CREATE, 0));
	settle(t);
	write_some(t);
	t->first_call = atomic_read(&disk->calls);
	ram_disk_fail_call(disk, nth, -EIO);
	err = operate(t, action, 0);
	if (!nth && !(err == -ERANGE && may_overflow(t->rig->c)))
		KUNIT_EXPECT_EQ(t->test, 0, err);
	disk->fail_at = 0;
	/* The disk says after a failed flush that all is well. */
	if (!err)
		settle(t);
	expect_good(t, "call", nth);
	ram_device_detach(&t->rig->dev);
	expect_good(t, "detach after call", nth);
	return disk->failed;
}

static void fail_calls(struct shot_test *t, enum qcow_snapshot_action action)
{
	const atomic_t *calls = &t->rig->dev.disk->calls;
	int nth, nr;

	/* None fails. */
	KUNIT_EXPECT_FALSE(t->test, fail_nth(t, action, 0));
	nr = atomic_read(calls) - t->first_call;
	KUNIT_EXPECT_GT(t->test, nr, 0);
	for (nth = 1; nth <= nr; nth += 1 + prandom_u32_state(&t->fails) %
						    (2 * nr / snapshot_fails + 1))
		fail_nth(t, action, nth);
	kunit_info(t->test, "action %d: %d calls", action, nr);
}

static void each_call_fails_once(struct kunit *test)
{
	struct shot_test *t = shot_test_create(test);

	fail_calls(t, QCOW_SNAPSHOT_CREATE);
	fail_calls(t, QCOW_SNAPSHOT_APPLY);
	fail_calls(t, QCOW_SNAPSHOT_DELETE);
}

/* Version 1 has none, and a count of one bit has no room for a second reference. */
static void refused(struct kunit *test)
{
	const struct write_case *c = test->param_value;
	struct shot_test *t = shot_test_create(test);

	attach(t);
	write_some(t);
	KUNIT_EXPECT_EQ(test, c->version == 1 ? -EOPNOTSUPP : -ERANGE,
			operate(t, QCOW_SNAPSHOT_CREATE, 0));
	expect_good(t, "refused", 0);
	write_some(t);
	detach(t);
}

/* A step takes more clusters, each of them counted elsewhere, than counts fit into the cache. */
static void space_is_scattered(struct kunit *test)
{
	struct shot_test *t = shot_test_create(test);

	attach(t);
	KUNIT_EXPECT_EQ(test, 0, operate(t, QCOW_SNAPSHOT_CREATE, 0));
	settle(t);
	expect_good(t, "scattered space", 0);
	write_some(t);
	detach(t);
}

/* A snapshot takes free clusters, the guest needs all of them. */
static void take_space(struct shot_test *t, struct qcow_device *dev)
{
	struct qcow_report rep = { .buf = t->rig->text, .size = sizeof(t->rig->text) };
	const struct qcow_snapshot_change change = {
		.action = QCOW_SNAPSHOT_CREATE, .id = "1", .id_len = 1, .name = "kunit",
		.name_len = 5,
	};
	struct qcow_snapshot_job *job = qcow_snapshot_begin(dev->meta, &change, &rep);
	u32 half = t->rig->model->nr / 2;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(t->test, job);
	KUNIT_EXPECT_EQ(t->test, 0, qcow_snapshot_prepare(job));
	KUNIT_EXPECT_NOT_NULL(t->test, dev->meta->space.counts.shadow);
	KUNIT_EXPECT_EQ(t->test, 0, guest_load_fill(&t->rig->load, half, half));
	KUNIT_EXPECT_NULL(t->test, dev->meta->space.counts.shadow);
	KUNIT_ASSERT_EQ(t->test, 0, guest_load_flush(&t->rig->load, t->rig->promise));
	KUNIT_EXPECT_EQ(t->test, 0, qcow_snapshot_catch_up(job));
	KUNIT_EXPECT_EQ(t->test, -ENOSPC, qcow_snapshot_finish(job));
	qcow_snapshot_end(job);
}

static void guest_needs_space(struct kunit *test)
{
	struct shot_test *t = shot_test_create(test);
	struct guest_load *load = &t->rig->load;
	u32 nr = t->rig->model->nr;
	struct qcow_device *dev;

	attach(t);
	KUNIT_ASSERT_EQ(test, 0, guest_load_fill(load, 0, nr));
	KUNIT_ASSERT_EQ(test, 0, guest_load_flush(load, t->rig->promise));
	detach(t);
	t->rig->dev.disk->room = t->rig->dev.disk->bytes;

	attach(t);
	KUNIT_ASSERT_EQ(test, 0, guest_load_discard(load, nr / 2, nr / 2));
	KUNIT_ASSERT_EQ(test, 0, guest_load_flush(load, t->rig->promise));
	dev = qcow_device_get(t->rig->dev.index, "snapshot", NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_ASSERT_EQ(test, 0, ram_device_reclaim(&t->rig->dev));
	take_space(t, dev);
	qcow_device_put(dev);
	KUNIT_ASSERT_EQ(test, 0, guest_load_flush(load, t->rig->promise));
	take_promises(t);
	expect_good(t, "space for the guest", 0);
	detach(t);
}

/* Each cluster has as many references as a count of two bits holds, also when it is applied. */
static void counts_are_at_their_limit(struct kunit *test)
{
	struct shot_test *t = shot_test_create(test);
	unsigned int i;

	attach(t);
	write_some(t);
	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, 0, operate(t, QCOW_SNAPSHOT_CREATE, 0));
		settle(t);
	}
	KUNIT_EXPECT_EQ(test, -ERANGE, operate(t, QCOW_SNAPSHOT_CREATE, 0));
	t->after = t->before;
	settle(t);
	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, 0, operate(t, QCOW_SNAPSHOT_APPLY, i));
		settle(t);
		expect_good(t, "apply", i);
		write_some(t);
	}
	KUNIT_ASSERT_EQ(test, 0, operate(t, QCOW_SNAPSHOT_APPLY, 1));
	settle(t);
	detach(t);
}

static const struct write_case narrow[] = {
	{
		.name = "v3, 512, 2 bit counts", .version = 3, .cluster_bits = 9,
		.refcount_bits = 2, .size = SZ_256K, .threads = 3,
	}, {
		.name = "v3, 16k, 2 bit counts, subclusters, backing", .version = 3,
		.cluster_bits = 14, .refcount_bits = 2, .size = SZ_512K, .backing = SZ_256K,
		.extended = true, .threads = 3,
	},
};

static const struct write_case scattered[] = {
	{
		.name = "v3, 512, scattered space", .version = 3, .cluster_bits = 9,
		.refcount_bits = 64, .size = SZ_1M - SZ_64K, .scattered = true, .threads = 1,
		.cache_bytes = SZ_64K,
	},
};

static const struct write_case roomy[] = {
	{
		.name = "v3, 4k", .version = 3, .cluster_bits = 12, .size = SZ_1M, .threads = 1,
	},
};

static void case_name(const struct write_case *c, char *name)
{
	strscpy(name, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(narrow, narrow, case_name);
KUNIT_ARRAY_PARAM(scattered, scattered, case_name);
KUNIT_ARRAY_PARAM(roomy, roomy, case_name);

static const void *next_case(const void *prev, char *name, bool wanted)
{
	do {
		prev = write_case_next(prev, name);
	} while (prev && has_snapshots(prev) != wanted);
	return prev;
}

static const void *next_with(const void *prev, char *name)
{
	return next_case(prev, name, true);
}

/* Of all that have snapshots. */
static const void *next_part(const void *prev, char *name)
{
	return part_next(next_with, prev, name, PART_KINDS);
}

static const void *next_few(const void *prev, char *name)
{
	return part_next(next_with, prev, name, PART_FEW_KINDS);
}

static const void *next_without(const void *prev, char *name)
{
	return next_case(prev, name, false);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(any_order, next_part),
	KUNIT_CASE_PARAM(beside_guest, next_part),
	KUNIT_CASE_PARAM_ATTR(each_call_fails_once, next_few, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM(a_call_fails_beside_guest, next_few),
	KUNIT_CASE_PARAM_ATTR(each_read_fails_once, next_few, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM(space_is_scattered, scattered_gen_params),
	KUNIT_CASE_PARAM(guest_needs_space, roomy_gen_params),
	KUNIT_CASE_PARAM(counts_are_at_their_limit, narrow_gen_params),
	KUNIT_CASE_PARAM(refused, next_without),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_snapshots",
	.suite_init = ram_device_suite_init,
	.suite_exit = ram_device_suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
