/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A random guest: threads that write, discard, zero, flush and read a device, and tell a
 * model of it.
 */
#ifndef _QCOW_KUNIT_GUEST_LOAD_H
#define _QCOW_KUNIT_GUEST_LOAD_H

#include <linux/types.h>

struct guest_model;
struct ram_device;

#define GUEST_MAX_THREADS	4

/**
 * struct guest_load - what to do, and what came of it
 * @dev: attached
 * @model: of its contents
 * @cluster: sectors of a cluster
 * @discards: the device has them: whole clusters read as zeros from then on
 * @seed: of what is random
 * @threads: how many
 * @ops: operations of each thread
 * @stop: no more of them
 * @may_fail: an error is no flaw; it ends the thread
 * @errors: operations that failed
 * @err: the first of their errors
 * @text: what is wrong with what has been read or returned; empty: nothing
 */
struct guest_load {
	struct ram_device *dev;
	struct guest_model *model;
	u32 cluster;
	bool discards;
	u64 seed;
	unsigned int threads;
	unsigned int ops;
	bool stop;
	bool may_fail;
	atomic_t errors;
	int err;
	char text[256];
};

/* Run it to its end. Return: 0, -EUCLEAN (see @text), or another error. */
int guest_load_run(struct guest_load *load);

/*
 * One guest alone: write to each of some sectors, discard some, or flush, and tell the model.
 * Return: an error of the device.
 */
int guest_load_fill(struct guest_load *load, u32 first, u32 nr);
int guest_load_discard(struct guest_load *load, u32 first, u32 nr);
int guest_load_flush(struct guest_load *load, u32 *promise);

#endif /* _QCOW_KUNIT_GUEST_LOAD_H */
