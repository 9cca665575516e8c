/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another size for a device in use.
 */
#ifndef _QCOW_LIVE_RESIZE_H
#define _QCOW_LIVE_RESIZE_H

#include <linux/types.h>

struct qcow_device;
struct qcow_report;

/**
 * qcow_device_resize() - give a device and its image another size
 * @index: of the device
 * @bytes: the new size
 * @shrink: it may be less than the present one
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: 0; -ENXIO: no such device; -EBUSY: another operation is running, or to be shrunk and
 * open; -EROFS: attached read-only; -EINVAL, -EFBIG: the size; -EOPNOTSUPP: what the image has does
 * not go with another size; -EEXIST: to be shrunk, and in use there; -EUCLEAN, -ENOSPC, -EIO, ...
 */
int qcow_device_resize(unsigned int index, u64 bytes, bool shrink, struct qcow_report *rep);

/**
 * qcow_device_resize_image() - give the image of a device another size, and not its disk
 * @dev: the device; to be shrunk, from qcow_device_get()
 * @bytes: the new size
 * @shrink: it may be less than the present one
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: 0 or -errno, as qcow_device_resize().
 */
int qcow_device_resize_image(struct qcow_device *dev, u64 bytes, bool shrink,
			     struct qcow_report *rep);

#endif /* _QCOW_LIVE_RESIZE_H */
