/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Contents of an active image that become those of the image below it.
 */
#ifndef _QCOW_COPY_DOWN_H
#define _QCOW_COPY_DOWN_H

#include <linux/types.h>

struct qcow_copy_run;
struct qcow_device;
struct qcow_image;
struct qcow_report;

/**
 * qcow_copy_down() - have an image read as a device does, but for what is written meanwhile
 * @dev: from qcow_device_get_job(); its @track notes what is written
 * @into: a device without a name, of the image below that of @dev, which is its @source
 * @rep: says what cannot be read or written
 *
 * What the active image has is copied, then what has been written meanwhile, until that is little.
 * It does not end while more is written all over the disk than can be copied.
 *
 * Context: the task of the operation; may sleep.
 * Return: 0; -EINTR, -ECANCELED, -EIO, -EUCLEAN, -ENOSPC, -ENOMEM, ...: some of it may be done.
 */
int qcow_copy_down(struct qcow_device *dev, struct qcow_device *into, struct qcow_report *rep);

/* All of the rest, in a pause. Context, return: likewise, but for -ECANCELED. */
int qcow_copy_down_rest(struct qcow_device *dev, struct qcow_device *into,
			struct qcow_report *rep);

/**
 * qcow_copy_down_range() - have what an image has itself of a range copied, soon
 * @run: of the image below
 * @top: the image
 * @guest: first byte, a multiple of 512
 * @end: the byte after the last one; may lie behind the image
 *
 * Context: the task of the operation; may sleep.
 * Return: 0, or as qcow_copy_down(), of any range so far.
 */
int qcow_copy_down_range(struct qcow_copy_run *run, struct qcow_image *top, u64 guest, u64 end);

#endif /* _QCOW_COPY_DOWN_H */
