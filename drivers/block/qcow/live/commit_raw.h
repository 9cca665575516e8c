/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a device in use has goes into a raw backing file.
 */
#ifndef _QCOW_COMMIT_RAW_H
#define _QCOW_COMMIT_RAW_H

struct qcow_commit_parts;
struct qcow_device;
struct qcow_report;

/**
 * qcow_commit_raw_run() - commit, once all is open
 * @dev: from qcow_device_get_job(), checked
 * @parts: @base is raw; where @is_below, also on success, it is the device's alone until
 *         qcow_layer_share()
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: 0; -errno: the active image has all that the backing file has not.
 */
int qcow_commit_raw_run(struct qcow_device *dev, struct qcow_commit_parts *parts,
			struct qcow_report *rep);

#endif /* _QCOW_COMMIT_RAW_H */
