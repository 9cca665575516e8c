/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Contents of the layers below an active image that become its own.
 */
#ifndef _QCOW_COPY_UP_H
#define _QCOW_COPY_UP_H

#include <linux/types.h>

struct qcow_device;
struct qcow_image;
struct qcow_report;

/**
 * qcow_copy_up() - have the active image read the same with other layers below it
 * @dev: from qcow_device_get_job(); a discard marks what shows below now and what would show
 * @below: the other layers, or NULL: none
 * @compare: only what differs is copied; else all that other layers have, without a look at it
 * @rep: says what cannot be read
 *
 * Where the active image has nothing it gets what it reads now, unless it would read the same.
 *
 * Context: the task of the operation; may sleep.
 * Return: 0; -EINTR, -ECANCELED, -EIO, -EUCLEAN, -ENOSPC, -ENOMEM, ...: some of it may be done.
 */
int qcow_copy_up(struct qcow_device *dev, struct qcow_image *below, bool compare,
		 struct qcow_report *rep);

#endif /* _QCOW_COPY_UP_H */
