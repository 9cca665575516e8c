/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Jobs: what a task has the metadata worker do, in one step or several, and waits for.
 */
#ifndef _QCOW_META_JOB_H
#define _QCOW_META_JOB_H

#include <linux/completion.h>

#include "meta/msg.h"

struct qcow_meta;

/**
 * struct qcow_job - what the worker is to do
 * @msg: to the worker, parked between two steps
 * @meta: the metadata
 * @step: called by the worker, which it has for itself meanwhile. It returns 0 or -errno: the job
 *        has ended; or -EINPROGRESS: it has been parked or posted, and is called again, from its
 *        beginning
 * @idle: it begins when neither a commit nor a reclaim is under way; set by the caller
 * @cancelled: the task is being killed: a step that takes long ends with -EINTR, if it still can
 * @done: it has ended
 * @err: how
 *
 *   qcow_job_run() --> posted --> step --+--> ended
 *                        ^               |
 *                        +-- parked <----+
 *                              |
 *                              +--(a commit that it has waited for has failed)--> ended
 */
struct qcow_job {
	struct qcow_meta_msg msg;
	struct qcow_meta *meta;
	int (*step)(struct qcow_job *job);
	bool idle;
	bool cancelled;
	struct completion done;
	int err;
};

/**
 * qcow_job_run() - have a job done, and wait for its end
 * @meta: the metadata
 * @job: on the caller's stack; @job->step is set, @job->idle where that is wanted
 *
 * Context: process context but that of the worker, a commit, or I/O of the device; may sleep.
 * Return: what @job->step returned last, or the error of what the job has waited for.
 */
int qcow_job_run(struct qcow_meta *meta, struct qcow_job *job);

/*
 * For a step, which returns what these return. Context: the worker.
 */

/* Parked until a commit has ended: one that is running, else the next. Return: -EINPROGRESS. */
int qcow_job_await_commit(struct qcow_job *job);

/* Parked until the requests that have come have been run. Return: -EINPROGRESS. */
int qcow_job_await_turn(struct qcow_job *job);

/* Parked until slices can be made writable. Return: -EINPROGRESS. */
int qcow_job_await_room(struct qcow_job *job);

/*
 * @err: of an allocation. Parked until there is space. Return: -EINPROGRESS; or @err: it is no lack
 * of space, or none is on its way back.
 */
int qcow_job_await_space(struct qcow_job *job, int err);

#endif /* _QCOW_META_JOB_H */
