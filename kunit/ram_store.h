/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A store over memory, for tests: counts its reads, fails one of them, holds them back.
 */
#ifndef _QCOW_KUNIT_RAM_STORE_H
#define _QCOW_KUNIT_RAM_STORE_H

#include <linux/atomic.h>
#include <linux/types.h>
#include <linux/wait.h>

struct kunit;
struct qcow_store;

/**
 * struct ram_disk - the memory behind stores; a store is owned by an image, this by the test
 * @data: the bytes
 * @room: how many there are
 * @bytes: length that stores have; what lies beyond @room reads as zeros
 * @reads: calls so far
 * @fail_at: the read that fails, as @reads counts; 0: none
 * @fail_err: with this
 * @closed: reads wait until ram_disk_release()
 * @gate: where they wait
 */
struct ram_disk {
	u8 *data;
	u64 room;
	u64 bytes;
	atomic_t reads;
	int fail_at;
	int fail_err;
	bool closed;
	wait_queue_head_t gate;
};

/* Memory of zeros that lives as long as @test. */
struct ram_disk *ram_disk_create(struct kunit *test, u64 room);

/* From now on, the @nth read from here fails with @err; 0: none does. */
void ram_disk_fail(struct ram_disk *disk, int nth, int err);

/* Hold back reads from now on; let them go. */
void ram_disk_hold(struct ram_disk *disk);
void ram_disk_release(struct ram_disk *disk);

/* A store of @disk for an image to own; positions and lengths are multiples of 512. */
struct qcow_store *ram_store_create(struct kunit *test, struct ram_disk *disk);

#endif /* _QCOW_KUNIT_RAM_STORE_H */
