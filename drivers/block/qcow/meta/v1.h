/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What version 1 says nowhere and has to be found out: where an image ends, and which clusters
 * before that nothing refers to.
 */
#ifndef _QCOW_V1_H
#define _QCOW_V1_H

#include <linux/types.h>

struct qcow_image;
struct qcow_meta;
struct qcow_report;
struct qcow_v1_pack;

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

/**
 * qcow_v1_pack_begin() - find out what nothing refers to
 * @meta: all is durable, and nothing is under way
 *
 * Reads all L2 tables; ends early when a fatal signal is pending.
 *
 * Context: the detach; may sleep and do I/O.
 * Return: what the other functions go on with; NULL: the image stays as it is, since it is corrupt,
 * huge or cannot be read, or for want of memory.
 */
struct qcow_v1_pack *qcow_v1_pack_begin(struct qcow_meta *meta);

/**
 * qcow_v1_pack_step() - move some clusters from the end into gaps
 * @meta: the metadata
 * @pack: from qcow_v1_pack_begin()
 *
 * Data and tables are copied, then entries changed; a commit makes that durable.
 *
 * Context: the worker; may sleep and do I/O, GFP_NOIO.
 * Return: whether there is more to move, after a commit.
 */
bool qcow_v1_pack_step(struct qcow_meta *meta, struct qcow_v1_pack *pack);

/* Cut the file behind the last cluster in use; a commit has followed the last step. */
void qcow_v1_pack_cut(struct qcow_meta *meta, const struct qcow_v1_pack *pack);
void qcow_v1_pack_destroy(struct qcow_v1_pack *pack);

#endif /* _QCOW_V1_H */
