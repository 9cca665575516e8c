/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The metadata of an image as a detach at an instant would have left it on disk, to be looked at
 * while the image goes on changing.
 */
#ifndef _QCOW_META_VIEW_H
#define _QCOW_META_VIEW_H

#include <linux/types.h>

struct qcow_leak;
struct qcow_meta;
struct qcow_preserve;
struct qcow_report;

/**
 * qcow_view_begin() - this is the instant
 * @meta: the metadata; no request is under way
 * @preserve: of its image's store; begun when this succeeds
 *
 * What the worker has set aside is free in it, as after a detach. Waits until what has been dropped
 * is reclaimed.
 *
 * Context: process context, may sleep.
 * Return: 0; -ENOMEM, -EIO, ...
 */
int qcow_view_begin(struct qcow_meta *meta, struct qcow_preserve *preserve);

/**
 * qcow_view_free_leaks() - have clusters free that nothing refers to, though their count is not 0
 * @meta: of an image of version 2 or 3
 * @leaks: so it was at the instant of a view, and no other operation has been running since; whole
 *         clusters, in ascending order
 * @nr: of them
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: 0: they are on their way to be free, as what a guest discards is; -EUCLEAN: the driver
 * knows that one is in use: that one and those behind it stay as they are; -ERANGE: likewise, a
 * count is more than QCOW_MAX_LEAK_REFERENCES; -EINTR; others: some may be free.
 */
int qcow_view_free_leaks(struct qcow_meta *meta, const struct qcow_leak *leaks, u32 nr,
			 struct qcow_report *rep);

#endif /* _QCOW_META_VIEW_H */
