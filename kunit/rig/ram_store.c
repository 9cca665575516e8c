// SPDX-License-Identifier: GPL-2.0
/*
 * A store over memory with a volatile write cache, for tests. It checks what it is called
 * with.
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/hash.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "store/store.h"
#include "rig/ram_store.h"

#define RAM_STORE_ALIGN	512

/* @store comes first: qcow_store_destroy() frees it. */
struct ram_store {
	struct qcow_store store;
	struct ram_disk *disk;
};

/**
 * struct ram_change - a write, a punch or a resize that no flush has made durable
 * @node: in ram_disk.changes_pending
 * @resize: it changed the length
 * @applied: reads see it; not what was on its way when the power went
 * @bytes_before: length before, of a resize
 * @bytes_after: length after
 * @pos: of the bytes that changed; of a resize, of those that were cut off
 * @len: how many
 * @bytes: @len that were there, and @len that are there now
 */
struct ram_change {
	struct list_head node;
	bool resize;
	bool applied;
	u64 bytes_before;
	u64 bytes_after;
	u64 pos;
	u64 len;
	u8 bytes[];
};

/* A submitted I/O on its way to a worker. */
struct ram_submit {
	struct work_struct work;
	struct ram_disk *disk;
	struct qcow_io *io;
	int err;
};

static struct ram_disk *disk_of(struct qcow_store *store)
{
	return container_of(store, struct ram_store, store)->disk;
}

static u8 *old_bytes(struct ram_change *c)
{
	return c->bytes;
}

static u8 *new_bytes(struct ram_change *c)
{
	return c->bytes + c->len;
}

/* The new bytes are zeros. */
static struct ram_change *change_create(u64 pos, u64 len)
{
	struct ram_change *c = kvzalloc(struct_size(c, bytes, 2 * len), GFP_KERNEL);

	if (c) {
		c->pos = pos;
		c->len = len;
	}
	return c;
}

/* What is cut off or added reads as zeros if the length comes to include it. */
static void set_length(struct ram_disk *disk, u64 bytes)
{
	u64 from = min3(bytes, disk->bytes, disk->room);
	u64 to = min(max(bytes, disk->bytes), disk->room);

	memset(disk->data + from, 0, to - from);
	disk->bytes = bytes;
}

static void change_apply(struct ram_disk *disk, struct ram_change *c)
{
	memcpy(old_bytes(c), disk->data + c->pos, c->len);
	if (c->resize)
		set_length(disk, c->bytes_after);
	else
		memcpy(disk->data + c->pos, new_bytes(c), c->len);
	c->applied = true;
}

static void change_undo(struct ram_disk *disk, struct ram_change *c)
{
	if (!c->applied)
		return;
	if (c->resize)
		set_length(disk, c->bytes_before);
	memcpy(disk->data + c->pos, old_bytes(c), c->len);
}

/* Make of a change what the power cut has left of it. */
static void change_replay(struct ram_disk *disk, struct ram_change *c, struct rnd_state *rnd)
{
	enum { KEPT, LOST, TORN, NR_FATES } fate = prandom_u32_state(rnd) % NR_FATES;
	u64 at;

	if (c->resize) {
		if (fate == KEPT || (fate == TORN && prandom_u32_state(rnd) & 1))
			set_length(disk, c->bytes_after);
		return;
	}
	for (at = 0; at < c->len; at += RAM_STORE_ALIGN) {
		u64 part = min_t(u64, c->len - at, RAM_STORE_ALIGN);

		if (fate == LOST || (fate == TORN && prandom_u32_state(rnd) & 1))
			continue;
		/* A file that was not made longer after all has no room for it. */
		if (c->pos + at < disk->bytes)
			memcpy(disk->data + c->pos + at, new_bytes(c) + at,
			       min(part, disk->bytes - c->pos - at));
	}
}

static void changes_free(struct ram_disk *disk)
{
	struct ram_change *c, *next;

	list_for_each_entry_safe(c, next, &disk->changes_pending, node)
		kvfree(c);
	INIT_LIST_HEAD(&disk->changes_pending);
	disk->nr_pending = 0;
}

/*
 * Count a call and say whether it fails. The call with which the power goes does not fail here:
 * it is on its way, as others may be, and finds ram_disk.off when it arrives.
 */
static int call_begin(struct ram_disk *disk, atomic_t *kind)
{
	bool change = kind != &disk->reads;
	bool off = READ_ONCE(disk->off);
	int nr_changes = change ? atomic_inc_return(&disk->changes) : 0;
	int nr_calls = atomic_inc_return(&disk->calls);
	int nr_kind, nr;

	spin_lock(&disk->busy_lock);
	disk->nr_busy++;
	spin_unlock(&disk->busy_lock);
	nr_kind = atomic_inc_return(kind);

	if (off)
		return -EIO;
	if (nr_changes && nr_changes == READ_ONCE(disk->off_at))
		WRITE_ONCE(disk->off, true);

	if (disk->fail_of == &disk->calls)
		nr = nr_calls;
	else if (disk->fail_of == &disk->changes)
		nr = nr_changes;
	else
		nr = change ? 0 : nr_kind;
	if (!nr || nr != READ_ONCE(disk->fail_at))
		return 0;
	WRITE_ONCE(disk->failed, kind);
	return disk->fail_err;
}

static void call_end(struct ram_disk *disk)
{
	/* With the lock given back nothing of @disk is used any more. */
	spin_lock(&disk->busy_lock);
	if (!--disk->nr_busy)
		wake_up_all(&disk->gate);
	spin_unlock(&disk->busy_lock);
}

static void gate_wait(struct ram_disk *disk)
{
	wait_event(disk->gate, !READ_ONCE(disk->closed));
}

/* No call has begun, and none has anything left to do. */
static void disk_wait_idle(struct ram_disk *disk)
{
	ram_disk_release(disk);
	wait_event(disk->gate, !READ_ONCE(disk->nr_busy));
	spin_lock(&disk->busy_lock);
	spin_unlock(&disk->busy_lock);
}

static ssize_t disk_read(struct ram_disk *disk, void *buf, u64 pos, size_t len)
{
	ssize_t ret = -EIO;
	size_t there = 0;

	mutex_lock(&disk->lock);
	if (disk->off)
		goto out;
	ret = 0;
	if (pos >= disk->bytes)
		goto out;

	len = min_t(u64, len, disk->bytes - pos);
	if (pos < disk->room)
		there = min_t(u64, len, disk->room - pos);
	memcpy(buf, disk->data + pos, there);
	memset(buf + there, 0, len - there);
	ret = len;
out:
	mutex_unlock(&disk->lock);
	return ret;
}

static void changed(struct ram_disk *disk)
{
	if (disk->on_change)
		disk->on_change(disk->watcher);
}

/* Takes over @c, which a call with verdict @err has brought. */
static int disk_change(struct ram_disk *disk, struct ram_change *c, int err)
{
	if (!c)
		return err ?: -ENOMEM;

	mutex_lock(&disk->lock);
	if (!err && WARN_ON_ONCE(!c->resize && c->pos + c->len > disk->bytes))
		err = -EIO;
	if (!err && c->pos + c->len > disk->room)
		err = -ENOSPC;
	if (err) {
		kvfree(c);
	} else {
		list_add_tail(&c->node, &disk->changes_pending);
		disk->nr_pending++;
		disk->high = max(disk->high, c->pos + c->len);
		if (disk->off)
			err = -EIO;
		else
			change_apply(disk, c);
	}
	mutex_unlock(&disk->lock);
	if (!err)
		changed(disk);
	return err;
}

static ssize_t ram_read(struct qcow_store *store, void *buf, u64 pos, size_t len)
{
	struct ram_disk *disk = disk_of(store);
	ssize_t ret = call_begin(disk, &disk->reads);

	WARN_ON_ONCE(!IS_ALIGNED(pos | len | (unsigned long)buf, RAM_STORE_ALIGN));
	gate_wait(disk);
	if (!ret)
		ret = disk_read(disk, buf, pos, min_not_zero(len, (size_t)disk->max_bytes));
	call_end(disk);
	return ret;
}

static bool write_aligned(struct ram_disk *disk, u64 pos, u64 len)
{
	return IS_ALIGNED(pos, RAM_STORE_ALIGN) &&
	       (IS_ALIGNED(len, RAM_STORE_ALIGN) || pos + len == READ_ONCE(disk->bytes));
}

static ssize_t ram_write(struct qcow_store *store, const void *buf, u64 pos, size_t len)
{
	struct ram_disk *disk = disk_of(store);
	int err = call_begin(disk, &disk->writes);
	struct ram_change *c;

	WARN_ON_ONCE(!write_aligned(disk, pos, len) || !store->writable ||
		     !IS_ALIGNED((unsigned long)buf, RAM_STORE_ALIGN));
	gate_wait(disk);
	len = min_not_zero(len, (size_t)disk->max_bytes);
	c = change_create(pos, len);
	if (c)
		memcpy(new_bytes(c), buf, len);
	err = disk_change(disk, c, err);
	call_end(disk);
	return err ?: len;
}

static int submitted_write(struct ram_disk *disk, struct qcow_io *io, int err)
{
	struct ram_change *c = change_create(io->pos, io->len);
	struct iov_iter iter = io->iter;

	if (c && copy_from_iter(new_bytes(c), io->len, &iter) != io->len)
		err = -EFAULT;
	return disk_change(disk, c, err);
}

static int submitted_read(struct ram_disk *disk, struct qcow_io *io)
{
	void *buf = kvmalloc(io->len, GFP_KERNEL);
	struct iov_iter iter = io->iter;
	ssize_t ret = -ENOMEM;

	if (buf)
		ret = disk_read(disk, buf, io->pos, io->len);
	if (ret >= 0 && ret < io->len)
		ret = -ENODATA;
	if (ret > 0 && copy_to_iter(buf, ret, &iter) != ret)
		ret = -EFAULT;
	kvfree(buf);
	return min_t(ssize_t, ret, 0);
}

static void submit_run(struct ram_disk *disk, struct qcow_io *io, int err)
{
	gate_wait(disk);
	if (io->write)
		err = submitted_write(disk, io, err);
	else if (!err)
		err = submitted_read(disk, io);
	io->done = err ? 0 : io->len;
	io->complete(io, err);
	call_end(disk);
}

static void submit_work(struct work_struct *work)
{
	struct ram_submit *s = container_of(work, struct ram_submit, work);

	submit_run(s->disk, s->io, s->err);
	kfree(s);
}

static void ram_submit(struct qcow_store *store, struct qcow_io *io)
{
	struct ram_disk *disk = disk_of(store);
	int err = call_begin(disk, io->write ? &disk->writes : &disk->reads);
	struct ram_submit *s;

	atomic_inc(&disk->submits);
	if (err)
		WRITE_ONCE(disk->failed_data, io->origin);
	WARN_ON_ONCE(!IS_ALIGNED(io->pos | io->len, RAM_STORE_ALIGN) ||
		     io->pos + io->len > READ_ONCE(disk->bytes) ||
		     (io->write && !store->writable));
	s = disk->inline_submit ? NULL : kmalloc(sizeof(*s), GFP_NOIO | __GFP_NOFAIL);
	if (!s) {
		submit_run(disk, io, err);
		return;
	}
	s->disk = disk;
	s->io = io;
	s->err = err;
	INIT_WORK(&s->work, submit_work);
	queue_work(system_unbound_wq, &s->work);
}

static int ram_flush(struct qcow_store *store)
{
	struct ram_disk *disk = disk_of(store);
	int err = call_begin(disk, &disk->flushes);

	gate_wait(disk);
	if (!err)
		changed(disk);
	mutex_lock(&disk->lock);
	if (!err && disk->off)
		err = -EIO;
	if (!err)
		changes_free(disk);
	mutex_unlock(&disk->lock);
	if (!err)
		changed(disk);
	call_end(disk);
	return err;
}

static int ram_resize(struct qcow_store *store, u64 bytes, u64 from)
{
	struct ram_disk *disk = disk_of(store);
	int err = call_begin(disk, &disk->resizes);
	u64 before = READ_ONCE(disk->bytes);
	u64 begin = min(bytes, disk->room);
	u64 end = clamp(before, begin, max(begin, disk->room));
	struct ram_change *c = change_create(begin, end - begin);

	WARN_ON_ONCE(!store->writable);
	gate_wait(disk);
	if (!err && bytes > before && bytes > disk->room)
		err = -ENOSPC;
	if (c) {
		c->resize = true;
		c->bytes_before = before;
		c->bytes_after = bytes;
	}
	err = disk_change(disk, c, err);
	if (!err)
		WRITE_ONCE(store->bytes, bytes);
	call_end(disk);
	return err;
}

static int ram_punch(struct qcow_store *store, u64 pos, u64 len)
{
	struct ram_disk *disk = disk_of(store);
	int err = call_begin(disk, &disk->punches);

	WARN_ON_ONCE(!write_aligned(disk, pos, len) || !store->writable);
	gate_wait(disk);
	wait_event(disk->gate, !READ_ONCE(disk->punches_closed));
	if (!err && disk->no_punch)
		err = -EOPNOTSUPP;
	err = disk_change(disk, change_create(pos, len), err);
	call_end(disk);
	return err;
}

static const struct qcow_store_ops ram_ops = {
	.name = "ram",
	.read = ram_read,
	.write = ram_write,
	.submit = ram_submit,
	.flush = ram_flush,
	.resize = ram_resize,
	.punch = ram_punch,
};

static void disk_free(struct ram_disk *disk)
{
	disk_wait_idle(disk);
	changes_free(disk);
	kvfree(disk->data);
}

KUNIT_DEFINE_ACTION_WRAPPER(disk_free_action, disk_free, struct ram_disk *);

struct ram_disk *ram_disk_create(struct kunit *test, u64 room)
{
	struct ram_disk *disk = kunit_kzalloc(test, sizeof(*disk), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, disk);
	disk->room = room;
	disk->bytes = room;
	mutex_init(&disk->lock);
	INIT_LIST_HEAD(&disk->changes_pending);
	init_waitqueue_head(&disk->gate);
	spin_lock_init(&disk->busy_lock);
	disk->data = kvzalloc(room, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, disk->data);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, disk_free_action, disk));
	return disk;
}

static void fail_at(struct ram_disk *disk, const atomic_t *of, int nth, int err)
{
	disk->fail_err = err;
	disk->fail_of = of;
	disk->failed = NULL;
	disk->failed_data = false;
	WRITE_ONCE(disk->fail_at, nth ? atomic_read(of) + nth : 0);
}

void ram_disk_fail(struct ram_disk *disk, int nth, int err)
{
	fail_at(disk, &disk->reads, nth, err);
}

void ram_disk_fail_change(struct ram_disk *disk, int nth, int err)
{
	fail_at(disk, &disk->changes, nth, err);
}

void ram_disk_fail_call(struct ram_disk *disk, int nth, int err)
{
	fail_at(disk, &disk->calls, nth, err);
}

void ram_disk_power_off_at(struct ram_disk *disk, int nth)
{
	WRITE_ONCE(disk->off_at, nth ? atomic_read(&disk->changes) + nth : 0);
}

/* Seeds that tests count up differ in few bits, and so do the first numbers that they give. */
static void rnd_seed(struct rnd_state *rnd, u64 seed)
{
	unsigned int i;

	prandom_seed_state(rnd, hash_64(seed + 1, 64));
	for (i = 0; i < 10; i++)
		prandom_u32_state(rnd);
}

void ram_disk_cut(struct ram_disk *disk, u64 seed)
{
	struct rnd_state rnd;
	struct ram_change *c;

	WRITE_ONCE(disk->off, true);
	disk_wait_idle(disk);
	rnd_seed(&rnd, seed);

	mutex_lock(&disk->lock);
	list_for_each_entry_reverse(c, &disk->changes_pending, node)
		change_undo(disk, c);
	list_for_each_entry(c, &disk->changes_pending, node)
		change_replay(disk, c, &rnd);
	changes_free(disk);
	disk->off_at = 0;
	disk->fail_at = 0;
	WRITE_ONCE(disk->off, false);
	mutex_unlock(&disk->lock);
}

void ram_disk_imagine(struct ram_disk *disk, u64 seed, struct ram_disk *copy)
{
	struct rnd_state rnd;
	struct ram_change *c;

	rnd_seed(&rnd, seed);
	mutex_lock(&disk->lock);
	/* What lies beyond has always been zeros, here and there. */
	memcpy(copy->data, disk->data, disk->high);
	copy->bytes = disk->bytes;
	copy->key = disk->key;
	list_for_each_entry_reverse(c, &disk->changes_pending, node)
		change_undo(copy, c);
	list_for_each_entry(c, &disk->changes_pending, node)
		change_replay(copy, c, &rnd);
	mutex_unlock(&disk->lock);
}

void ram_disk_hold(struct ram_disk *disk)
{
	WRITE_ONCE(disk->closed, true);
}

void ram_disk_hold_punches(struct ram_disk *disk)
{
	WRITE_ONCE(disk->punches_closed, true);
}

void ram_disk_release(struct ram_disk *disk)
{
	WRITE_ONCE(disk->closed, false);
	WRITE_ONCE(disk->punches_closed, false);
	wake_up_all(&disk->gate);
}

struct qcow_store *ram_store_try(struct ram_disk *disk)
{
	struct ram_store *ram = kzalloc(sizeof(*ram), GFP_KERNEL);

	if (!ram)
		return NULL;
	/* What the test has put there itself. */
	disk->high = max(disk->high, min(disk->bytes, disk->room));
	ram->disk = disk;
	ram->store.ops = &ram_ops;
	ram->store.bytes = disk->bytes;
	ram->store.writable = true;
	ram->store.align = RAM_STORE_ALIGN;
	ram->store.mem_align = 1;
	ram->store.direct = true;
	mutex_init(&ram->store.rmw_lock);
	mutex_init(&ram->store.preserve_lock);
	return &ram->store;
}

struct qcow_store *ram_store_create(struct kunit *test, struct ram_disk *disk)
{
	struct qcow_store *store = ram_store_try(disk);

	KUNIT_ASSERT_NOT_NULL(test, store);
	return store;
}
