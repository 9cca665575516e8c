/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Overlays in memory that are put on a device, one on the other, and what a power cut would leave
 * of them.
 */
#ifndef _QCOW_KUNIT_OVERLAYS_H
#define _QCOW_KUNIT_OVERLAYS_H

#include <linux/types.h>

struct image_fsck;
struct image_shape;
struct kunit;
struct ram_device;
struct ram_disk;

#define MAX_OVERLAYS	2

/**
 * struct overlays - all of them
 * @disks: files
 * @copies: what a power cut leaves of @disks
 * @fscks: of @copies
 * @nr: that are on the device
 * @empty: what is in each of @disks in the beginning
 * @empty_bytes: of it
 */
struct overlays {
	struct ram_disk *disks[MAX_OVERLAYS];
	struct ram_disk *copies[MAX_OVERLAYS];
	struct image_fsck *fscks[MAX_OVERLAYS];
	unsigned int nr;
	void *empty;
	u64 empty_bytes;
};

/* An empty image that can be an overlay; it lives as long as @test, as all of these do. */
struct ram_disk *overlay_build(struct kunit *test, const struct image_shape *shape);

/* Overlays of that shape, for disks of at most @shape->size. None is on a device yet. */
struct overlays *overlays_create(struct kunit *test, const struct image_shape *shape);

/* All are empty. Not while a device has one. */
void overlays_restart(struct overlays *o);

/* The disk that is on top of the device: an overlay, or the image it has been attached with. */
struct ram_disk *overlays_top(const struct overlays *o, const struct ram_device *dev);

/* The next one for a disk of so many bytes. */
struct ram_disk *overlays_next(struct overlays *o, u64 size);

/**
 * overlays_put() - put an overlay on top of a device
 * @o: the overlays
 * @dev: attached
 * @disk: from overlays_next(); or another one, that will be refused
 * @text: filled with what is wrong
 * @len: bytes of @text
 *
 * Context: process context, may sleep.
 * Return: as qcow_device_overlay().
 */
int overlays_put(struct overlays *o, struct ram_device *dev, struct ram_disk *disk, char *text,
		 size_t len);

/**
 * overlays_commit() - commit the image on top of a device into what is below it
 * @o: the overlays; without one on the device it is the image that has been attached, and below it
 *     is the raw one
 * @dev: attached
 * @rate: bytes that may be copied in a second; 0: as many as can be
 * @text: filled with what is wrong
 * @len: bytes of @text
 *
 * What an overlay had is leaked in it: overlays_next() has it again.
 *
 * Context: process context, may sleep.
 * Return: as qcow_device_commit_backing().
 */
int overlays_commit(struct overlays *o, struct ram_device *dev, u64 rate, char *text, size_t len);

/* Make of the copies what the disks could leave now. */
void overlays_imagine(struct overlays *o, u64 seed);

#endif /* _QCOW_KUNIT_OVERLAYS_H */
