/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver: its control node, its ioctls, its attributes in sysfs, its device nodes.
 */
#ifndef QCOWCTL_CONTROL_H
#define QCOWCTL_CONTROL_H

#include <sys/stat.h>

#include <uapi/linux/qcow.h>

#include "qcowctl.h"

#define QCOW_DEVICE_PREFIX "qcow"

/* Open the control node, load the module first if need be; negative: -enum qc_exit. */
int control_open(bool load);

/**
 * control_attach() - QCOW_ATTACH
 * @fd: control node
 * @image: for messages
 * @arg: all but the message buffer; @index is filled on success
 * @err: errno of the call, 0: success
 *
 * Prints the kernel's message. Return: exit code.
 */
int control_attach(int fd, const char *image, struct qcow_attach *arg, int *err);

/**
 * control_detach() - QCOW_DETACH
 * @fd: control node
 * @index: of the device
 * @flags: QCOW_DETACH_*
 *
 * Return: 0, or QC_BUSY, which prints nothing; or any other code after a message.
 */
int control_detach(int fd, u32 index, u32 flags);

/* Wait until udev has dealt with the disk and its partitions, or the node is there. */
int settle_device(u32 index);

/* The sysfs directory of block devices under @root, "" for the real one. */
char *sysfs_block_dir(const char *root);

/* Numbers of all devices, ascending; to be freed. */
int sysfs_devices(const char *root, u32 **list, size_t *nr);

/* First line of /sys/block/qcowN/ATTR, NULL: there is none. To be freed. */
char *sysfs_read(const char *root, u32 index, const char *attr);
bool sysfs_read_u64(const char *root, u32 index, const char *attr, u64 *value);

/* "qcowN" or "/dev/qcowN" */
bool parse_device_name(const char *text, u32 *index);

/**
 * find_devices() - the devices that an argument means
 * @what: device, or image
 * @list: numbers, to be freed; several when an image is attached several times
 * @nr: how many
 */
int find_devices(const char *what, u32 **list, size_t *nr);

/* Print what keeps a device busy: mounts, swap, holders, processes. */
void busy_explain(u32 index);

#endif /* QCOWCTL_CONTROL_H */
