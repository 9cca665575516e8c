/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Live operations: what changes the state of an image while it is attached.
 */
#ifndef _QCOW_OPERATION_H
#define _QCOW_OPERATION_H

#include <linux/types.h>

struct file;
struct qcow_report;
struct qcow_snapshot_change;

/**
 * struct qcow_freeze - file systems to be frozen while the state of a disk is taken
 * @nodes: block devices, the disk or partitions of it, open
 * @nr: how many
 */
struct qcow_freeze {
	struct file **nodes;
	u32 nr;
};

/**
 * qcow_device_snapshot() - create, apply or delete a snapshot of the active image
 * @index: of the device
 * @change: what is to be done
 * @freeze: what is frozen meanwhile
 * @force: apply a snapshot though the device is open
 * @rep: says what is wrong
 *
 * Requests that come meanwhile wait in the block layer; those that are under way end first. A task
 * that is killed cancels what can still be cancelled.
 *
 * Context: process context, may sleep.
 * Return: 0; -ENXIO: no such device; -EBUSY: it is open, or another operation is running; -EROFS:
 * it is read-only; -EINVAL: a node in @freeze is of another disk; what freezing brought; errors
 * as qcow_snapshot_run().
 */
int qcow_device_snapshot(unsigned int index, struct qcow_snapshot_change *change,
			 const struct qcow_freeze *freeze, bool force, struct qcow_report *rep);

#endif /* _QCOW_OPERATION_H */
