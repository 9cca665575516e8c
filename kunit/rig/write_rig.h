/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What tests of writing have in common: an image of some shape, the guest that writes to it,
 * and a check of what a power cut, or an error, leaves of it.
 */
#ifndef _QCOW_KUNIT_WRITE_RIG_H
#define _QCOW_KUNIT_WRITE_RIG_H

#include <linux/types.h>

#include "rig/guest_load.h"
#include "rig/ram_device.h"

struct image_fsck;
struct kunit;
struct qcow_cache;
struct qcow_image;

/**
 * struct write_case - what kind of image
 * @name: of the case
 * @version: 1, 2 or 3
 * @cluster_bits: log2 of the cluster size
 * @l2_bits: of version 1, log2 of the entries of an L2 table; 0: they fill a cluster
 * @refcount_bits: 0: 16
 * @size: of the guest's disk
 * @backing: bytes of a raw backing image, which may be the longer one; 0: none
 * @extended: with subclusters
 * @mixed: it has clusters of all kinds in the beginning
 * @short_l1: the L1 table has one entry
 * @counted_beyond: a cluster so far behind the end of the file is counted; 0: none is
 * @ballast: bytes that are counted, and that nothing refers to
 * @scattered: each L2 table has a zero cluster, and each of these and of the free clusters has its
 *             count in another slice; clusters of 512 bytes, counts of 64 bits
 * @crypt_method: QCOW_CRYPT_*
 * @compress: what the guest writes is stored compressed
 * @threads: of the guest
 * @cache_bytes: of the device; 0: as many as usual
 */
struct write_case {
	const char *name;
	u32 version;
	u32 cluster_bits;
	u32 l2_bits;
	u32 refcount_bits;
	u64 size;
	u64 backing;
	bool extended;
	bool mixed;
	bool short_l1;
	u64 counted_beyond;
	u64 ballast;
	bool scattered;
	u32 crypt_method;
	bool compress;
	unsigned int threads;
	u64 cache_bytes;
};

/**
 * struct write_rig - all of it
 * @test: the test
 * @c: the case
 * @dev: the device, and its disks
 * @model: what the guest knows
 * @load: the guest
 * @promise: a word for each sector
 * @copy: what is checked: a disk as a power cut would leave it
 * @fsck: of @copy
 * @leaked: bytes of the image that nothing refers to in the beginning
 * @backing: below them
 * @guest: bytes of the guest's disk
 * @begin: of the image in the beginning
 * @begin_bytes: how many
 * @luks: where its LUKS header is
 * @luks_bytes: how many it has
 * @text: what is wrong
 */
struct write_rig {
	struct kunit *test;
	const struct write_case *c;
	struct ram_device dev;
	struct guest_model *model;
	struct guest_load load;
	u32 *promise;
	struct ram_disk *copy;
	struct image_fsck *fsck;
	u64 leaked;
	struct qcow_image *backing;
	void *guest;
	void *begin;
	u64 begin_bytes;
	u64 luks;
	u64 luks_bytes;
	char text[300];
};

/* Kinds of images that tests of writing go through; a generator of parameters. */
extern const unsigned int nr_write_cases;
const void *write_case_next(const void *prev, char *name);

/* An image of that kind, not attached yet; it lives as long as @test. */
struct write_rig *write_rig_create(struct kunit *test, const struct write_case *c, u64 seed);

/* The guest does so many things in each thread, then flushes. Return: 0 or -errno. */
int write_rig_guest(struct write_rig *rig, unsigned int ops, u64 seed);

/* Detach it: the image is good then, has all that the guest has, and nothing more is leaked. */
void write_rig_detach(struct write_rig *rig);

/* Image and guest are as in the beginning. Not while it is attached. */
void write_rig_restart(struct write_rig *rig);

/**
 * write_rig_open_over() - open a copy of one image of a chain
 * @rig: the rig
 * @copy: its file
 * @backing: what is below it, stays the caller's; or NULL
 * @snapshot: position in the snapshot table, or QCOW_ACTIVE_STATE
 *
 * Context: any that may sleep.
 * Return: the image, to be closed, or ERR_PTR with @text.
 */
struct qcow_image *write_rig_open_over(struct write_rig *rig, struct ram_disk *copy,
				       struct qcow_image *backing, u32 snapshot);

/* Open @copy over the rig's backing image, likewise. */
struct qcow_image *write_rig_open(struct write_rig *rig, u32 snapshot);

/**
 * write_rig_check() - whether @copy is a good image with what was promised
 * @rig: the rig; one check at a time
 * @least: of each sector, the version that must not be missing
 * @writable: try to write to it, too
 *
 * Context: any that may sleep, other threads too.
 * Return: 0, or -EUCLEAN and others with @text.
 */
int write_rig_check(struct write_rig *rig, const u32 *least, bool writable);

#endif /* _QCOW_KUNIT_WRITE_RIG_H */
