/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an image reads from its backing file becomes its own, where another one differs.
 */
#ifndef QCOWCTL_REBASE_COPY_H
#define QCOWCTL_REBASE_COPY_H

#include "rebase/rebase.h"
#include "shadow/shadow.h"

/**
 * copy_differences() - copy into an image what its new backing file has otherwise
 * @s: the new state, after the check
 * @now: the image on its old backing file
 * @next: the same image on the new one
 * @opts: whether to compare, and how progress is shown
 * @changed: result: there is something to copy, and the new state is to become the valid one
 *
 * Return: enum qc_exit; nothing is valid before the switch.
 */
int copy_differences(struct shadow *s, const struct chain *now, const struct chain *next,
		     struct rebase_options *opts, bool *changed);

#endif /* QCOWCTL_REBASE_COPY_H */
