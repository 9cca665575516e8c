/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The name of the backing file in the header of the active image.
 */
#ifndef _QCOW_META_BACKING_H
#define _QCOW_META_BACKING_H

#include <linux/types.h>

struct qcow_backing_names;
struct qcow_meta;
struct qcow_report;

/**
 * qcow_backing_check() - whether the header has room for other names
 * @meta: the metadata
 * @names: the names
 * @rep: says why not
 *
 * Changes nothing on disk.
 *
 * Context: process context but that of the worker, a commit, or I/O of the device; may sleep.
 * Return: 0; -EINVAL, -ENAMETOOLONG: as qcow_backing_plan(); -EOPNOTSUPP: the image can have no
 * backing file; -ENOMEM, -EIO, ...
 */
int qcow_backing_check(struct qcow_meta *meta, const struct qcow_backing_names *names,
		       struct qcow_report *rep);

/**
 * qcow_backing_set() - give the active image another backing file
 * @meta: the metadata
 * @names: the names
 * @rep: says why not
 *
 * A power cut finds the old names or the new ones, which are durable when this returns. What is
 * read from the image in memory stays the same.
 *
 * Context: as qcow_backing_check().
 * Return: 0; as qcow_backing_check(); -ENOSPC: for a name of version 1; -errno: the names are the
 * old ones, and where even that cannot be had nothing is written any more.
 */
int qcow_backing_set(struct qcow_meta *meta, const struct qcow_backing_names *names,
		     struct qcow_report *rep);

/**
 * qcow_backing_move() - have the name elsewhere; version 1
 * @meta: the metadata
 * @host: a place that nothing refers to, a multiple of the cluster size
 *
 * Durable when it returns.
 *
 * Context: the worker.
 * Return: 0 or -errno: it is where it was.
 */
int qcow_backing_move(struct qcow_meta *meta, u64 host);

#endif /* _QCOW_META_BACKING_H */
