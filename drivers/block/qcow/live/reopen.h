/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The files of an image of a device, opened once more: for other access than it has.
 */
#ifndef _QCOW_REOPEN_H
#define _QCOW_REOPEN_H

#include <linux/types.h>

#include "files.h"
#include "layer/layer.h"

struct qcow_device;
struct qcow_image;
struct qcow_report;
struct qcow_store;

/**
 * qcow_reopen_get() - the files of descriptors, which have to be those of a layer
 * @layer: gets them; for qcow_reopen_put(), also after an error
 * @dev: from qcow_device_get(), with files
 * @depth: of the layer; 0: the active image
 * @image_fd: the image
 * @data_fd: its external data file, or less than 0
 * @writable: whether they are open for writing; if not so, they must not be
 * @rep: says what is wrong
 *
 * Context: process context of the owner of the descriptors.
 * Return: 0; -EINVAL: they are other files, or too few or many; -EBADF: open otherwise; as
 * qcow_files_get().
 */
int qcow_reopen_get(struct qcow_open_layer *layer, const struct qcow_device *dev,
		    unsigned int depth, s32 image_fd, s32 data_fd, bool writable,
		    struct qcow_report *rep);
void qcow_reopen_put(struct qcow_open_layer *layer);

/**
 * qcow_reopen_check_top() - whether a descriptor is of the active image
 * @dev: from qcow_device_get(), with files
 * @fd: open for reading only; less than 0: that is not asked
 * @rep: says that it is not
 *
 * Context: process context of the owner of the descriptor.
 * Return: 0; -EINVAL; as qcow_files_get().
 */
int qcow_reopen_check_top(const struct qcow_device *dev, s32 fd, struct qcow_report *rep);

/**
 * qcow_reopen_check_stores() - whether stores take the I/O that present ones take
 * @image: it has the present ones
 * @store: of the image
 * @data: of its data file, or NULL
 * @rep: says that they do not
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int qcow_reopen_check_stores(const struct qcow_image *image, const struct qcow_store *store,
			     const struct qcow_store *data, struct qcow_report *rep);

/**
 * qcow_reopen_to_read() - open stores to read an image from that is written to
 * @layer: its files, not open for writing
 * @image: the image
 * @again: result, for qcow_reopened_destroy(), also after an error
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: 0, -ENOMEM, as qcow_store_open() or qcow_reopen_check_stores().
 */
int qcow_reopen_to_read(struct qcow_open_layer *layer, const struct qcow_image *image,
			struct qcow_reopened *again, struct qcow_report *rep);

/**
 * qcow_reopen_to_write() - open a layer that is only read once more, as an attach opens it to write
 * @layer: from qcow_reopen_get(), writable
 * @dev: the device
 * @old: the layer, of its chain
 * @backing: what is to be below it, whose reference is the layer's when this succeeds; or NULL
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: as qcow_layer_get(); both are there until one is dropped.
 */
struct qcow_image *qcow_reopen_to_write(struct qcow_open_layer *layer, struct qcow_device *dev,
					const struct qcow_image *old, struct qcow_image *backing,
					struct qcow_report *rep);

/**
 * qcow_reopen_end_writing() - read a layer from other stores from now on, in a pause
 * @dev: from qcow_device_get()
 * @image: of its chain; its metadata has been retired
 * @again: from qcow_reopen_to_read(); afterwards it has what @image has had
 *
 * Context: process context, may sleep.
 */
void qcow_reopen_end_writing(struct qcow_device *dev, struct qcow_image *image,
			     struct qcow_reopened *again);

/**
 * qcow_reopen_share() - let other devices have a layer that is written to no more
 * @dev: the device
 * @image: after qcow_reopen_end_writing()
 * @layer: its files
 *
 * When that fails it is only said in the log: then none can until the detach.
 *
 * Context: process context, may sleep.
 */
void qcow_reopen_share(const struct qcow_device *dev, struct qcow_image *image,
		       struct qcow_open_layer *layer);

#endif /* _QCOW_REOPEN_H */
