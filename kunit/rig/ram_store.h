/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A store over memory with a volatile write cache, for tests: it counts calls, fails one of
 * them, holds them back, and loses power.
 *
 * What reads see is in ram_disk.data. What was written since the last flush is in a list of
 * changes, too; undone, it leaves what is durable. What a test puts into ram_disk.data itself
 * is durable at once.
 */
#ifndef _QCOW_KUNIT_RAM_STORE_H
#define _QCOW_KUNIT_RAM_STORE_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

struct kunit;
struct qcow_store;
struct qcow_volume_key;

/**
 * struct ram_disk - the memory behind stores; a store is owned by an image, this by the test
 * @data: the bytes
 * @room: how many there are: the store can be made that long
 * @bytes: length that stores have; what lies beyond @room reads as zeros and takes no writes
 * @max_bytes: most that one read or write moves; 0: any. Not of a submitted one
 * @no_punch: there is no such thing
 * @key: what the data of the image in it are encrypted with, or NULL
 * @inline_submit: submitted I/O completes before the call returns, else from a worker
 * @lock: protects the contents and the changes
 * @changes_pending: struct ram_change, since the last flush, in order
 * @nr_pending: how many
 * @calls: calls so far, of whatever kind
 * @reads: reads, submitted ones too
 * @changes: calls that are no reads
 * @writes: writes, submitted ones too
 * @submits: of these reads and writes, the submitted ones
 * @flushes: flushes
 * @resizes: resizes
 * @punches: punches
 * @fail_of: the counter, @calls, @reads or @changes, that @fail_at is a value of
 * @fail_at: the call that fails; 0: none
 * @fail_err: with this
 * @failed: the counter of its own kind, as @flushes, once it has been called
 * @failed_data: and it was submitted for a request of the guest
 * @off_at: the value of @changes at which the power goes; 0: it stays
 * @off: the power is gone
 * @on_change: called with @watcher after each call that is no read, and before a flush, without
 *             locks of the disk; NULL: no function is
 * @watcher: its argument
 * @high: end of what has ever been written
 * @closed: calls wait until ram_disk_release()
 * @punches_closed: punches do
 * @gate: where they wait; also for @nr_busy to become 0
 * @busy_lock: protects @nr_busy
 * @nr_busy: calls that have begun and not ended
 */
struct ram_disk {
	u8 *data;
	u64 room;
	u64 bytes;
	u32 max_bytes;
	bool no_punch;
	const struct qcow_volume_key *key;
	bool inline_submit;

	struct mutex lock;	/* contents and changes */
	struct list_head changes_pending;
	unsigned int nr_pending;

	atomic_t calls;
	atomic_t reads;
	atomic_t changes;
	atomic_t writes;
	atomic_t submits;
	atomic_t flushes;
	atomic_t resizes;
	atomic_t punches;

	const atomic_t *fail_of;
	int fail_at;
	int fail_err;
	const atomic_t *failed;
	bool failed_data;
	int off_at;
	bool off;

	void (*on_change)(void *watcher);
	void *watcher;
	u64 high;

	bool closed;
	bool punches_closed;
	wait_queue_head_t gate;
	spinlock_t busy_lock;	/* nr_busy */
	unsigned int nr_busy;
};

/* Memory of zeros that lives as long as @test. */
struct ram_disk *ram_disk_create(struct kunit *test, u64 room);

/*
 * From now on, the @nth read, call that is no read, or call of any kind fails with @err and
 * changes nothing; @nth 0: none does. The last of these that was called holds.
 */
void ram_disk_fail(struct ram_disk *disk, int nth, int err);
void ram_disk_fail_change(struct ram_disk *disk, int nth, int err);
void ram_disk_fail_call(struct ram_disk *disk, int nth, int err);

/*
 * With the @nth call from here that is no read the power goes: that and all that follow, reads
 * too, fail with -EIO until ram_disk_cut(). What was on its way then may yet be found on the
 * disk, in part. @nth 0: it does not.
 */
void ram_disk_power_off_at(struct ram_disk *disk, int nth);

/*
 * The power goes, if it has not, and comes back. Each change since the last flush has been
 * made, or has not, or a write in some of its sectors only, as @seed has it. Waits for calls
 * that have begun; their callers must make no more. Stores made before know an old length.
 */
void ram_disk_cut(struct ram_disk *disk, u64 seed);

/* Make of @copy, a disk with as much room, what that could leave now; @disk goes on. */
void ram_disk_imagine(struct ram_disk *disk, u64 seed, struct ram_disk *copy);

/* Hold back calls from now on, or punches; let them go. */
void ram_disk_hold(struct ram_disk *disk);
void ram_disk_hold_punches(struct ram_disk *disk);
void ram_disk_release(struct ram_disk *disk);

/* A store of @disk for an image to own; positions and lengths are multiples of 512. */
struct qcow_store *ram_store_create(struct kunit *test, struct ram_disk *disk);

/* The same outside of a test's own thread; NULL: there is no memory. */
struct qcow_store *ram_store_try(struct ram_disk *disk);

#endif /* _QCOW_KUNIT_RAM_STORE_H */
