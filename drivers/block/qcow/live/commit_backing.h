/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A device in use goes on in the backing file of its image.
 */
#ifndef _QCOW_COMMIT_BACKING_H
#define _QCOW_COMMIT_BACKING_H

#include <linux/types.h>

#include "files.h"
#include "layer/layer.h"

struct qcow_commit_backing;
struct qcow_device;
struct qcow_image;
struct qcow_report;

/**
 * qcow_device_commit_backing() - commit the active image of a device into its backing file
 * @args: checked; its descriptors are the caller's
 * @rep: says what is wrong
 *
 * Context: process context of the owner of the descriptors, may sleep.
 * Return: 0; -errno, and the device has the chain that it had: -ENXIO: no such device; -EBUSY:
 * another operation is running, or others use the backing file; -EROFS: it is read-only; -EINVAL:
 * there is no backing file, it is another one, or a longer one; -EOPNOTSUPP: the image has
 * snapshots; -EBADF; -EINTR; -ECANCELED; what opening, reading and writing brought.
 */
int qcow_device_commit_backing(const struct qcow_commit_backing *args, struct qcow_report *rep);

/**
 * struct qcow_commit_parts - what an image is committed with
 * @base: its backing file, opened to be written to, with what is below it
 * @is_below: it has the place of the layer that is only read, and is the device's
 * @again: what that is read from when the device does not go on with it, as one that is raw
 * @files: as struct qcow_device has it, afterwards
 * @nr_files: of @files
 * @ids: likewise
 */
struct qcow_commit_parts {
	struct qcow_image *base;
	bool is_below;
	struct qcow_reopened again;
	struct file **files;
	unsigned int nr_files;
	struct qcow_file_id ids[2];
};

/**
 * qcow_commit_backing_check() - whether the active image of a device can be committed
 * @dev: from qcow_device_get_job()
 * @rep: says why not
 *
 * Return: 0, -EROFS, -EINVAL, -EOPNOTSUPP.
 */
int qcow_commit_backing_check(const struct qcow_device *dev, struct qcow_report *rep);

/**
 * qcow_commit_backing_run() - commit, once all is open
 * @dev: from qcow_device_get_job(), checked
 * @parts: where @is_below afterwards, @base is the device's alone until qcow_layer_share().
 *         Otherwise, on success, it is the image that has been committed, which the device has no
 *         more, as it has not what is in @files
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: 0; -errno, and the active image is the one that it was.
 */
int qcow_commit_backing_run(struct qcow_device *dev, struct qcow_commit_parts *parts,
			    struct qcow_report *rep);

#endif /* _QCOW_COMMIT_BACKING_H */
