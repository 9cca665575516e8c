// SPDX-License-Identifier: GPL-2.0
/*
 * A store over memory, for tests. It has no way to write and no asynchronous reads.
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../drivers/block/qcow/store.h"
#include "ram_store.h"

#define RAM_STORE_ALIGN	512

/* @store comes first: qcow_store_destroy() frees it. */
struct ram_store {
	struct qcow_store store;
	struct ram_disk *disk;
};

static ssize_t ram_read(struct qcow_store *store, void *buf, u64 pos, size_t len)
{
	struct ram_disk *disk = container_of(store, struct ram_store, store)->disk;
	int nr = atomic_inc_return(&disk->reads);
	size_t there = 0;

	WARN_ON_ONCE(!IS_ALIGNED(pos | len | (unsigned long)buf, RAM_STORE_ALIGN));
	wait_event(disk->gate, !READ_ONCE(disk->closed));
	if (nr == READ_ONCE(disk->fail_at))
		return disk->fail_err;
	if (pos >= disk->bytes)
		return 0;

	len = min_t(u64, len, disk->bytes - pos);
	if (pos < disk->room)
		there = min_t(u64, len, disk->room - pos);
	memcpy(buf, disk->data + pos, there);
	memset(buf + there, 0, len - there);
	return len;
}

static const struct qcow_store_ops ram_ops = {
	.name = "ram",
	.read = ram_read,
};

KUNIT_DEFINE_ACTION_WRAPPER(kvfree_action, kvfree, const void *);

struct ram_disk *ram_disk_create(struct kunit *test, u64 room)
{
	struct ram_disk *disk = kunit_kzalloc(test, sizeof(*disk), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, disk);
	disk->data = kvzalloc(room, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, disk->data);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, kvfree_action, disk->data));
	disk->room = room;
	disk->bytes = room;
	init_waitqueue_head(&disk->gate);
	return disk;
}

void ram_disk_fail(struct ram_disk *disk, int nth, int err)
{
	disk->fail_err = err;
	WRITE_ONCE(disk->fail_at, nth ? atomic_read(&disk->reads) + nth : 0);
}

void ram_disk_hold(struct ram_disk *disk)
{
	WRITE_ONCE(disk->closed, true);
}

void ram_disk_release(struct ram_disk *disk)
{
	WRITE_ONCE(disk->closed, false);
	wake_up_all(&disk->gate);
}

struct qcow_store *ram_store_create(struct kunit *test, struct ram_disk *disk)
{
	struct ram_store *ram = kzalloc(sizeof(*ram), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ram);
	ram->disk = disk;
	ram->store.ops = &ram_ops;
	ram->store.bytes = disk->bytes;
	ram->store.align = RAM_STORE_ALIGN;
	ram->store.mem_align = 1;
	ram->store.direct = true;
	return &ram->store;
}
