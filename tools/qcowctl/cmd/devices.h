/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What commands that show several devices have in common.
 */
#ifndef QCOWCTL_CMD_DEVICES_H
#define QCOWCTL_CMD_DEVICES_H

#include "qcowctl.h"

struct libscols_table;

/**
 * devices_find() - the devices that a command is to show
 * @root: as sysfs_devices()
 * @names: of devices or images
 * @nr_names: of them; 0: all devices
 * @list: result, device numbers, ascending; the caller frees it, also after an error
 * @nr: of them
 *
 * Return: 0, QC_SYSTEM, or QC_NOT_FOUND: @list has the others.
 */
int devices_find(const char *root, char **names, int nr_names, u32 **list, size_t *nr);

/* A table without columns, or NULL: there is no memory. */
struct libscols_table *devices_table(bool json);

/* Print it to stdout. Return: 0 or QC_SYSTEM. */
int devices_print(struct libscols_table *table);

#endif /* QCOWCTL_CMD_DEVICES_H */
