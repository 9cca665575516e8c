/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another backing file for a device in use.
 */
#ifndef _QCOW_REBASE_H
#define _QCOW_REBASE_H

#include <linux/types.h>

struct file;
struct qcow_backing_names;
struct qcow_device;
struct qcow_image;
struct qcow_layers;
struct qcow_rebase;
struct qcow_report;

/**
 * qcow_device_rebase() - give the active image of a device another backing file
 * @args: checked; its descriptors are the caller's
 * @layers: @args->nr_layers of them
 * @names: of the backing file
 * @rep: says what is wrong
 *
 * Context: process context of the owner of the descriptors, may sleep.
 * Return: 0; -errno, and the backing file is the one that it was: -ENXIO: no such device; -EBUSY:
 * another operation is running, or a device writes to a file; -EROFS: it is read-only;
 * -ENAMETOOLONG: the header has no room for the names; -ELOOP; -EINTR; -ECANCELED; what opening,
 * reading and copying brought.
 */
int qcow_device_rebase(const struct qcow_rebase *args, const struct qcow_layers *layers,
		       const struct qcow_backing_names *names, struct qcow_report *rep);

/**
 * struct qcow_rebase_parts - what a device is rebased with
 * @below: the layers that are to be below, or NULL: none
 * @files: as struct qcow_device has it, afterwards
 * @nr_files: of @files
 * @names: for the header
 * @compare: what old and new layers have is compared before it is copied
 */
struct qcow_rebase_parts {
	struct qcow_image *below;
	struct file **files;
	unsigned int nr_files;
	const struct qcow_backing_names *names;
	bool compare;
};

/**
 * qcow_rebase_run() - rebase, once all is open
 * @dev: from qcow_device_get_job(), not read-only
 * @parts: on success @below is the device's, and what it has had instead is here, as of @files
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: 0; -errno, and the backing file is the one that it was.
 */
int qcow_rebase_run(struct qcow_device *dev, struct qcow_rebase_parts *parts,
		    struct qcow_report *rep);

#endif /* _QCOW_REBASE_H */
