/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A real qcow device over disks in memory, and I/O to it as a guest submits it.
 */
#ifndef _QCOW_KUNIT_RAM_DEVICE_H
#define _QCOW_KUNIT_RAM_DEVICE_H

#include <linux/blk_types.h>
#include <linux/types.h>
#include <uapi/linux/qcow.h>

#include "layer/layer.h"

struct block_device;
struct file;
struct qcow_device;
struct ram_disk;

/**
 * struct ram_device - an attached image
 * @disk: the active image
 * @backing: a raw image below it, or NULL
 * @cache_bytes: for the device's cache; 0: as many as usual
 * @compress: attach it so that it stores whole clusters compressed
 * @attached: it is
 * @qcow: the device
 * @index: of it
 * @file: open as a guest has it
 * @bdev: likewise
 */
struct ram_device {
	struct ram_disk *disk;
	struct ram_disk *backing;
	u64 cache_bytes;
	bool compress;
	bool attached;
	struct qcow_device *qcow;
	int index;
	struct file *file;
	struct block_device *bdev;
};

/**
 * struct ram_layer - a layer in memory
 * @p: for layer.c
 * @disk: its file
 */
struct ram_layer {
	struct qcow_layer_params p;
	struct ram_disk *disk;
};

/* @disk as an image in the chain of the device, for qcow_layer_get() and the like. */
struct ram_layer ram_layer(const struct ram_device *dev, struct ram_disk *disk, bool writable);

/* Of a suite that has devices. */
int ram_device_suite_init(struct kunit_suite *suite);
void ram_device_suite_exit(struct kunit_suite *suite);

/* Attach @disk and @backing, and open the device. Return: 0 or -errno, said in the log. */
int ram_device_attach(struct ram_device *dev);

/* Wait until neither a commit nor a reclaim is under way. Return: 0 or -errno. */
int ram_device_reclaim(struct ram_device *dev);

/* Close and detach. Return: 0 or -errno. */
int ram_device_detach(struct ram_device *dev);

/* Close what ram_device_attach() has opened, for a while. */
void ram_device_close(struct ram_device *dev);
int ram_device_open(struct ram_device *dev);

/* Read, or write with @opf, physically contiguous memory; wait for it. */
int ram_device_rw(struct ram_device *dev, blk_opf_t opf, u32 sector, void *buf, u32 nr);

/* REQ_OP_DISCARD or REQ_OP_WRITE_ZEROES, perhaps with REQ_NOUNMAP. */
int ram_device_zero(struct ram_device *dev, blk_opf_t opf, u32 sector, u32 nr);
int ram_device_flush(struct ram_device *dev);

/*
 * Create, apply, also while it is open, or delete the snapshot whose id is a number. @text: what is
 * wrong, of @len bytes. Return: as qcow_device_snapshot().
 */
int ram_device_snapshot(struct ram_device *dev, enum qcow_snapshot_action action, u32 id,
			char *text, size_t len);

#endif /* _QCOW_KUNIT_RAM_DEVICE_H */
