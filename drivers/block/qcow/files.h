/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Open files as what layers are made of: which file a descriptor has, and the layer in it.
 */
#ifndef _QCOW_FILES_H
#define _QCOW_FILES_H

#include <linux/fs.h>
#include <linux/types.h>

#include "layer/layer.h"

struct qcow_report;

/**
 * struct qcow_file_id - which file it is, as stat(2) in user space tells it
 * @dev: of the file system, which inode and super block need not know (btrfs, overlayfs); of a
 *       block device, itself
 * @ino: of a regular file
 */
struct qcow_file_id {
	dev_t dev;
	u64 ino;
};

/**
 * struct qcow_open_layer - a layer of open files
 * @p: for layer.c
 * @image: the image
 * @data: its external data file, or NULL
 */
struct qcow_open_layer {
	struct qcow_layer_params p;
	struct file *image;
	struct file *data;
};

/*
 * The identity of a file in the kernel: of a block device the device and not the node it was opened
 * by, of a file in an overlay file system the inode that has its bytes.
 */
static inline struct inode *qcow_files_inode(const struct file *file)
{
	return file->f_mapping->host;
}

/**
 * qcow_files_get() - the file of a descriptor
 * @file: result, a reference; also after an error but -EBADF of a descriptor that is not open, NULL
 *        then
 * @fd: the descriptor
 * @writable: the file is to be written to
 * @rep: says why it is not good for that
 *
 * Context: process context of the owner of the descriptor.
 * Return: 0, -EBADF or as qcow_store_check().
 */
int qcow_files_get(struct file **file, int fd, bool writable, struct qcow_report *rep);

/* @file: an image or a data file, or NULL. Context: may sleep. Return: 0 or -errno. */
int qcow_files_read_id(struct file *file, struct qcow_file_id *id);

/**
 * qcow_files_read_state() - identity, length and time of the files of a layer
 * @layer: gets them in @layer->p
 *
 * Context: process context, may sleep.
 * Return: 0 or -errno.
 */
int qcow_files_read_state(struct qcow_open_layer *layer);

/* How messages begin that are about a file and no single device; or NULL. To be kfree()d. */
char *qcow_files_name(struct file *file);

/* struct qcow_layer_params, @open: of struct qcow_open_layer. */
int qcow_files_open_stores(const struct qcow_layer_params *p, struct workqueue_struct *wq,
			   struct qcow_store **store, struct qcow_store **data,
			   struct qcow_report *rep);

/**
 * qcow_files_open_layer() - find the layer that is in files, open it when it is not there
 * @layer: all of it is set but for @layer->p.file, @data, @open and @image.name
 * @name: of the device, for messages about a layer that is written to
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: as qcow_layer_get().
 */
struct qcow_image *qcow_files_open_layer(struct qcow_open_layer *layer, const char *name,
					 struct qcow_report *rep);

#endif /* _QCOW_FILES_H */
