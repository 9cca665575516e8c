/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Space that the image of a device does not need, given back to the host.
 */
#ifndef _QCOW_LIVE_COMPACT_H
#define _QCOW_LIVE_COMPACT_H

struct qcow_compact;
struct qcow_report;

/**
 * qcow_device_compact() - QCOW_COMPACT
 * @args: which device, how fast
 * @rep: says what is wrong
 *
 * What is read from the device stays the same.
 *
 * Context: process context, may sleep.
 * Return: 0; -ENXIO, -EBUSY, -EROFS; -EOPNOTSUPP: version 1; -ECANCELED, -EINTR, -EIO, ...: some of
 * it may be done.
 */
int qcow_device_compact(const struct qcow_compact *args, struct qcow_report *rep);

#endif /* _QCOW_LIVE_COMPACT_H */
