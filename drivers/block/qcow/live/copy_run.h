/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ranges to which a live operation does the same: neighbours are put together, as far as one
 * request may have them.
 */
#ifndef _QCOW_COPY_RUN_H
#define _QCOW_COPY_RUN_H

#include <linux/sizes.h>
#include <linux/types.h>

#include "data/request.h"

struct qcow_device;
struct qcow_progress;
struct qcow_report;

/* Looked at, or changed without a copy, in one go; then a task that is being killed ends. */
#define QCOW_COPY_LOOK_BYTES	((u64)SZ_1G)

/**
 * struct qcow_copy_run - what has been put together so far
 * @dev: the device whose image changes
 * @progress: of the operation, which is told of each request
 * @copy_bytes: copied by one request, a multiple of the cluster size
 * @own: what is to be done to @guest to @end; NONE: there is nothing yet
 * @guest: first byte
 * @end: the byte after the last one
 * @rep: says what cannot be copied
 */
struct qcow_copy_run {
	struct qcow_device *dev;
	struct qcow_progress *progress;
	u64 copy_bytes;
	enum qcow_own own;
	u64 guest;
	u64 end;
	struct qcow_report *rep;
};

/**
 * qcow_copy_run_begin() - there is nothing yet
 * @run: result
 * @dev: the device whose image changes
 * @progress: of the operation
 * @rep: says what cannot be copied
 *
 * With a rate a request has no more than a part of what may be copied in a second.
 */
void qcow_copy_run_begin(struct qcow_copy_run *run, struct qcow_device *dev,
			 struct qcow_progress *progress, struct qcow_report *rep);

/**
 * qcow_copy_run_add() - do something to a range, soon
 * @run: so far
 * @own: what
 * @guest: first byte, as qcow_request_own() wants it
 * @len: bytes, likewise
 *
 * Context: the task of the operation; may sleep.
 * Return: 0, or an error of any range so far: as qcow_request_own() and qcow_progress_step().
 */
int qcow_copy_run_add(struct qcow_copy_run *run, enum qcow_own own, u64 guest, u64 len);

/* All in front of @guest has been looked at. Context, return: likewise. */
int qcow_copy_run_step(struct qcow_copy_run *run, u64 guest);

/* Do what has been put together so far. Context, return: likewise. */
int qcow_copy_run_flush(struct qcow_copy_run *run);

#endif /* _QCOW_COPY_RUN_H */
