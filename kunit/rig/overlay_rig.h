/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A device that gets overlays while a guest writes to it, and what a power cut would leave of all
 * its disks.
 */
#ifndef _QCOW_KUNIT_OVERLAY_RIG_H
#define _QCOW_KUNIT_OVERLAY_RIG_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct kunit;
struct overlays;
struct write_case;
struct write_rig;

#define OVERLAY_SEED	11

/**
 * struct overlay_rig - a device that gets overlays
 * @rig: image and guest
 * @tops: the overlays
 * @base: what a power cut leaves of the raw backing image, or NULL
 * @text: what is wrong
 * @err: of what @work has done
 * @work: the test's
 * @lock: one check at a time
 * @least: versions that must be there
 * @most: cuts that are tried
 * @nr: cuts so far
 * @bad: one went wrong
 */
struct overlay_rig {
	struct write_rig *rig;
	struct overlays *tops;
	struct ram_disk *base;
	char text[256];
	int err;
	struct work_struct work;
	struct mutex lock;	/* checks */
	u32 *least;
	unsigned int most;
	unsigned int nr;
	bool bad;
};

/* None is on the device yet; it lives as long as @test. */
struct overlay_rig *overlay_rig_create(struct kunit *test, const struct write_case *c);

/* All is as in the beginning. Not while it is attached. */
void overlay_rig_restart(struct overlay_rig *r);

/* The guest does so many things in each thread, then flushes. Return: 0 or -errno. */
int overlay_rig_guest(struct overlay_rig *r, unsigned int ops, u64 seed);

/* The chain that the disks are is good, and has what the guest has been promised. */
void overlay_rig_expect_good(struct overlay_rig *r, const u32 *least);

/* From now on look at so many power cuts, one with each call of a disk; 0: at none any more. */
void overlay_rig_watch(struct overlay_rig *r, unsigned int cuts);

#endif /* _QCOW_KUNIT_OVERLAY_RIG_H */
