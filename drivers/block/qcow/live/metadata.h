/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The metadata of an attached image as it is at an instant, through a descriptor.
 */
#ifndef _QCOW_LIVE_METADATA_H
#define _QCOW_LIVE_METADATA_H

#include <linux/types.h>

struct file;
struct qcow_leak;
struct qcow_open_metadata;
struct qcow_report;

/**
 * qcow_device_open_metadata() - begin to look at the metadata of a device
 * @args: checked by the caller: its flags; @args->bytes is set
 * @rep: says what is wrong
 *
 * It is an operation that takes long, and ends when the file is closed.
 *
 * Context: process context, may sleep.
 * Return: the file or ERR_PTR: -ENXIO: no such device; -EBUSY: another operation is running;
 * -EOPNOTSUPP: a snapshot beside the device that writes to its image; -ENOMEM, -EIO, ...
 */
struct file *qcow_device_open_metadata(struct qcow_open_metadata *args, struct qcow_report *rep);

/**
 * qcow_metadata_free_leaks() - free clusters that nothing refers to
 * @file: any; that it is from qcow_device_open_metadata() is checked
 * @leaks: they
 * @nr: of them
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: 0; -EBADF: it is not; -EROFS: the device is read-only; -EOPNOTSUPP: version 1; -EINVAL:
 * the list; -ESTALE: what has been read may be wrong; -EUCLEAN, -ERANGE, ...: as
 * qcow_view_free_leaks().
 */
int qcow_metadata_free_leaks(struct file *file, const struct qcow_leak *leaks, u32 nr,
			     struct qcow_report *rep);

#endif /* _QCOW_LIVE_METADATA_H */
