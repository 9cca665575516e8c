/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How far a live operation is that takes long, and what its users ask of it meanwhile.
 */
#ifndef _QCOW_PROGRESS_H
#define _QCOW_PROGRESS_H

#include <linux/types.h>
#include <linux/wait.h>

/**
 * struct qcow_progress - the live operation on a device
 * @what: its name; NULL: none is running. Set under the disk's open_mutex
 * @nr: operations that have begun so far; likewise
 * @total: bytes that it goes through; 0: it does not take long. It may be cancelled otherwise
 * @done: of @total
 * @rate: bytes that it may copy in a second; 0: as many as it can
 * @due: when, at that rate, it would have copied what it has; nanoseconds of the monotonic clock
 * @cancelled: it is to end soon
 * @announced: it has done what it was to do, which is told of when it has ended; its own task's
 * @wait: for @cancelled
 *
 * @total, @done and @cancelled are read and set without a lock, and @what is read without.
 */
struct qcow_progress {
	const char *what;
	u64 nr;
	u64 total;
	u64 done;
	u64 rate;
	u64 due;
	bool cancelled;
	bool announced;
	wait_queue_head_t wait;
};

/**
 * qcow_progress_begin() - an operation begins
 * @progress: of the device
 * @what: its name, which stays
 * @total: bytes that it goes through; 0: it does not take long
 * @rate: bytes that it may copy in a second; 0: as many as it can
 *
 * Context: under the disk's open_mutex.
 */
void qcow_progress_begin(struct qcow_progress *progress, const char *what, u64 total, u64 rate);

/* It has ended. Context: likewise. */
void qcow_progress_end(struct qcow_progress *progress);

/**
 * qcow_progress_step() - go on with it
 * @progress: of an operation
 * @done: bytes that it has gone through; less than before: some of them once more
 * @copied: bytes copied since the last step, at most a GiB
 *
 * Waits until the rate allows more, unless it does not take long.
 *
 * Context: the task of the operation; may sleep.
 * Return: 0; -EINTR: the task is being killed; -ECANCELED.
 */
int qcow_progress_step(struct qcow_progress *progress, u64 done, u64 copied);

/* The name of an operation that takes long, or "". Context: any. */
const char *qcow_progress_job(const struct qcow_progress *progress);

/* Have it end soon. Context: any that may sleep. */
void qcow_progress_cancel(struct qcow_progress *progress);

#endif /* _QCOW_PROGRESS_H */
