// SPDX-License-Identifier: GPL-2.0
/*
 * The pace of a live operation: it is told after each piece how much that was, and sleeps when it
 * is ahead of its rate. Of what it has been slower it makes up for a second.
 */
#include <linux/freezer.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "progress.h"

void qcow_progress_begin(struct qcow_progress *progress, const char *what, u64 total, u64 rate)
{
	WRITE_ONCE(progress->what, what);
	progress->nr++;
	progress->rate = rate;
	progress->due = ktime_get_ns();
	progress->announced = false;
	WRITE_ONCE(progress->done, 0);
	WRITE_ONCE(progress->total, total);
	WRITE_ONCE(progress->cancelled, false);
}

void qcow_progress_end(struct qcow_progress *progress)
{
	WRITE_ONCE(progress->what, NULL);
	WRITE_ONCE(progress->total, 0);
}

/* Nanoseconds until it may go on. */
static u64 pause_for_rate(struct qcow_progress *progress, u64 copied)
{
	u64 now = ktime_get_ns();

	progress->due = max(progress->due + NSEC_PER_SEC, now) - NSEC_PER_SEC +
			div64_u64(copied * NSEC_PER_SEC, progress->rate);
	return progress->due > now ? progress->due - now : 0;
}

int qcow_progress_step(struct qcow_progress *progress, u64 done, u64 copied)
{
	bool is_long = READ_ONCE(progress->total);
	u64 pause = is_long && progress->rate ? pause_for_rate(progress, copied) : 0;

	WRITE_ONCE(progress->done, max(progress->done, done));
	cond_resched();
	if (is_long)
		try_to_freeze();
	if (pause)
		wait_event_killable_timeout(progress->wait, READ_ONCE(progress->cancelled),
					    nsecs_to_jiffies(pause) + 1);
	if (fatal_signal_pending(current))
		return -EINTR;
	return READ_ONCE(progress->cancelled) ? -ECANCELED : 0;
}

const char *qcow_progress_job(const struct qcow_progress *progress)
{
	const char *what = READ_ONCE(progress->what);

	return what && READ_ONCE(progress->total) ? what : "";
}

void qcow_progress_cancel(struct qcow_progress *progress)
{
	WRITE_ONCE(progress->cancelled, true);
	wake_up_all(&progress->wait);
}
