/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether a device in use can be written to.
 */
#ifndef _QCOW_ACCESS_H
#define _QCOW_ACCESS_H

struct qcow_freeze;
struct qcow_report;
struct qcow_set_access;

/**
 * qcow_device_set_access() - make a device read-only, or one that can be written to
 * @args: its descriptors are the caller's
 * @freeze: frozen until the device is read-only, so that what is in caches has been written
 * @rep: says what is wrong
 *
 * Of a device that is so already nothing changes, and nothing is looked at.
 *
 * Context: process context of the owner of the descriptors, may sleep.
 * Return: 0; -errno, and the device is as before: -ENXIO: no such device; -EBUSY: another operation
 * is running, a task has the device open for writing, or another device has its image; -EINVAL: a
 * file is not the one that the device has, or the device shows a snapshot; -EBADF: a descriptor
 * is open otherwise; what opening the image as it is to be, and the last commit, brought.
 */
int qcow_device_set_access(const struct qcow_set_access *args, const struct qcow_freeze *freeze,
			   struct qcow_report *rep);

#endif /* _QCOW_ACCESS_H */
