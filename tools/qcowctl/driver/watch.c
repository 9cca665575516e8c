// SPDX-License-Identifier: GPL-2.0
/*
 * Shows how far the driver is with what this process has asked it for, from a child process: the
 * call returns only when all is done.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/driver.h"
#include "progress/progress.h"

#define LOOK_MS	200

static void look(struct progress *p, u32 index)
{
	u64 done, total;

	if (sysfs_job_progress("", index, &done, &total))
		progress_step(p, done, total);
}

static void watch(struct progress *p, u32 index, pid_t parent)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	sigset_t end;

	/* Ctrl-C ends the parent, too; first the bar goes. */
	sigemptyset(&end);
	sigaddset(&end, SIGINT);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	while (getppid() == parent && sigtimedwait(&end, NULL, &pause) < 0)
		look(p, index);
	progress_clear(p);
	_exit(0);
}

void job_watch(struct job_watch *w, u32 index, struct progress *p, const char *job)
{
	pid_t self = getpid();

	*w = (struct job_watch){ .index = index, .progress = p };
	progress_begin(p, job);
	if (p->form == PROGRESS_NONE)
		return;
	fflush(stdout);
	w->child = fork();
	if (!w->child)
		watch(p, index, self);
}

void job_watch_end(struct job_watch *w, bool done)
{
	u64 sectors;

	if (w->child > 0) {
		kill(w->child, SIGTERM);
		waitpid(w->child, NULL, 0);
	}
	/* What programs read ends with all of it. */
	if (done && w->progress->form == PROGRESS_JSON &&
	    sysfs_read_u64("", w->index, "size", &sectors))
		progress_step(w->progress, sectors * 512, sectors * 512);
}
