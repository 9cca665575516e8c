/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What version 1 says nowhere and has to be found out.
 */
#ifndef _QCOW_V1_H
#define _QCOW_V1_H

#include <linux/types.h>

struct qcow_image;
struct qcow_report;

/**
 * qcow_v1_end() - where an image of version 1 ends, on a store that is longer
 * @image: open
 * @end: host byte behind the last one that anything refers to
 * @rep: says what is wrong
 *
 * Reads all L2 tables.
 *
 * Context: process context, may sleep.
 * Return: 0, -EUCLEAN, -EIO, ...
 */
int qcow_v1_end(struct qcow_image *image, u64 *end, struct qcow_report *rep);

#endif /* _QCOW_V1_H */
