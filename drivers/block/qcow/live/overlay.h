/* SPDX-License-Identifier: GPL-2.0 */
/*
 * External snapshots of a device in use.
 */
#ifndef _QCOW_OVERLAY_H
#define _QCOW_OVERLAY_H

#include "files.h"
#include "layer/layer.h"

struct qcow_device;
struct qcow_freeze;
struct qcow_overlay;
struct qcow_report;

/**
 * qcow_device_overlay() - put an overlay on top of the chain of a device
 * @args: its descriptors are the caller's
 * @freeze: file systems that are frozen meanwhile
 * @rep: says what is wrong
 *
 * Context: process context of the owner of the descriptors, may sleep.
 * Return: 0; -errno, and the device is as before: -ENXIO: no such device; -EBUSY: another operation
 * is running, or a device has the overlay's file; -EROFS: it is read-only; -EINVAL: the overlay is
 * not empty or of another size, a file is not the one that the device has, or a node is of another
 * disk; -EBADF; what opening the overlay, freezing, and the last commit brought.
 */
int qcow_device_overlay(const struct qcow_overlay *args, const struct qcow_freeze *freeze,
			struct qcow_report *rep);

/**
 * struct qcow_overlay_parts - what an overlay is put on top with
 * @top: the overlay, opened to be written to, with nothing below it
 * @again: what the active image is read from afterwards
 * @files: as struct qcow_device has it, afterwards
 * @nr_files: of @files
 * @ids: likewise
 */
struct qcow_overlay_parts {
	struct qcow_image *top;
	struct qcow_reopened again;
	struct file **files;
	unsigned int nr_files;
	struct qcow_file_id ids[2];
};

/**
 * qcow_overlay_run() - put an overlay on top, once all is open
 * @dev: from qcow_device_get(), not read-only
 * @parts: on success @top is the device's, and what the device has had instead of the others is
 *         here
 * @freeze: file systems that are frozen meanwhile, checked
 * @rep: says what is wrong
 *
 * The image that was on top is this device's still, until qcow_layer_share().
 *
 * Context: process context, may sleep.
 * Return: 0, or -errno and nothing has changed.
 */
int qcow_overlay_run(struct qcow_device *dev, struct qcow_overlay_parts *parts,
		     const struct qcow_freeze *freeze, struct qcow_report *rep);

#endif /* _QCOW_OVERLAY_H */
