// SPDX-License-Identifier: GPL-2.0
/*
 * Jobs of the metadata worker. A job is a message like others: it is parked where they are, and
 * told by the same unparking that a commit has failed.
 */
#include "meta/job.h"
#include "meta/worker.h"

static void job_step(struct qcow_meta_msg *msg)
{
	struct qcow_job *job = container_of(msg, struct qcow_job, msg);
	int err = msg->err;

	msg->err = 0;
	if (job->idle) {
		job->idle = false;
		list_add_tail(&msg->node, &job->meta->await_idle);
		return;
	}
	if (!err)
		err = job->step(job);
	if (err == -EINPROGRESS)
		return;
	job->err = err;
	/* The task may be gone, and the job with it. */
	complete(&job->done);
}

int qcow_job_run(struct qcow_meta *meta, struct qcow_job *job)
{
	job->msg = (struct qcow_meta_msg) { .run = job_step, .urgent = true };
	job->meta = meta;
	init_completion(&job->done);
	qcow_meta_post(meta, &job->msg);
	if (wait_for_completion_killable(&job->done)) {
		WRITE_ONCE(job->cancelled, true);
		wait_for_completion(&job->done);
	}
	return job->err;
}

int qcow_job_await_commit(struct qcow_job *job)
{
	struct qcow_meta *meta = job->meta;

	qcow_commit_want(&meta->commit);
	list_add_tail(&job->msg.node, &meta->await_commit);
	return -EINPROGRESS;
}

int qcow_job_await_turn(struct qcow_job *job)
{
	list_add_tail(&job->msg.node, &job->meta->await_turn);
	return -EINPROGRESS;
}

int qcow_job_await_room(struct qcow_job *job)
{
	qcow_meta_await_room(job->meta, &job->msg);
	return -EINPROGRESS;
}

int qcow_job_await_space(struct qcow_job *job, int err)
{
	return qcow_meta_await_space(job->meta, &job->msg, err) ? -EINPROGRESS : err;
}
