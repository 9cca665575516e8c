/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Live operations: what changes the state of an image while it is attached.
 */
#ifndef _QCOW_OPERATION_H
#define _QCOW_OPERATION_H

#include <linux/types.h>

struct file;
struct qcow_device;
struct qcow_image;
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
 * qcow_device_check_nodes() - whether all that is to be frozen is of a device
 * @dev: from qcow_device_get()
 * @freeze: what
 * @rep: says what is wrong
 *
 * Return: 0 or -EINVAL.
 */
int qcow_device_check_nodes(const struct qcow_device *dev, const struct qcow_freeze *freeze,
			    struct qcow_report *rep);

/**
 * qcow_device_freeze() - freeze file systems on a device
 * @freeze: which; checked
 * @rep: says what is wrong
 *
 * They write what they have, and their journals are empty.
 *
 * Context: process context, may sleep.
 * Return: 0; what freezing brought: all are as before.
 */
int qcow_device_freeze(const struct qcow_freeze *freeze, struct qcow_report *rep);
void qcow_device_thaw(const struct qcow_freeze *freeze);

/**
 * qcow_device_quiesce() - no request is under way, and nothing reads ahead in the active image
 * @dev: from qcow_device_get()
 *
 * Requests that come wait in the block layer. Until qcow_device_resume() the task allocates
 * without I/O, and waits for nothing that could wait for the device.
 *
 * Context: process context, may sleep.
 * Return: for qcow_device_resume().
 */
unsigned int qcow_device_quiesce(struct qcow_device *dev);
void qcow_device_resume(struct qcow_device *dev, unsigned int noio);

/* Refuse a device that is read-only, which @rep says. Return: 0 or -EROFS. */
int qcow_device_check_writable(const struct qcow_device *dev, struct qcow_report *rep);

/**
 * qcow_device_check_place() - refuse a file that is on the disk of a device
 * @dev: the device, which is to have it: it would wait for itself
 * @file: an image or a block device
 * @rep: says so
 *
 * Return: 0 or -ELOOP.
 */
int qcow_device_check_place(const struct qcow_device *dev, const struct file *file,
			    struct qcow_report *rep);

/**
 * qcow_device_check_align() - refuse layers whose stores ask more of memory than the queue does
 * @dev: the device: requests that wait are aligned as its queue has asked for
 * @image: the layers that it is to have
 * @rep: says so
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int qcow_device_check_align(const struct qcow_device *dev, const struct qcow_image *image,
			    struct qcow_report *rep);

/**
 * qcow_device_announce() - have user space told what an operation has done
 * @dev: from qcow_device_get(), where the operation has its name from
 *
 * When it has ended, a change event of the disk has that name as QCOW_EVENT. A disk that gets
 * another size, or becomes read-only or writable, has events of the block layer.
 *
 * Context: the task of the operation.
 */
static inline void qcow_device_announce(struct qcow_device *dev)
{
	dev->progress.announced = true;
}

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
 * as qcow_snapshot_finish().
 */
int qcow_device_snapshot(unsigned int index, struct qcow_snapshot_change *change,
			 const struct qcow_freeze *freeze, bool force, struct qcow_report *rep);

#endif /* _QCOW_OPERATION_H */
