// SPDX-License-Identifier: GPL-2.0
/*
 * Signals that end a command, held back while ending would leave something half made.
 */
#include "qcowctl.h"

void qc_ending_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGPIPE);
	sigaddset(set, SIGQUIT);
	sigaddset(set, SIGTERM);
}

void qc_hold_signals(sigset_t *before)
{
	sigset_t held;

	qc_ending_signals(&held);
	sigprocmask(SIG_BLOCK, &held, before);
}

void qc_release_signals(const sigset_t *before)
{
	sigprocmask(SIG_SETMASK, before, NULL);
}
