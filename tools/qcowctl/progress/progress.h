/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How far something is that takes long, for people and for programs.
 */
#ifndef QCOWCTL_PROGRESS_H
#define QCOWCTL_PROGRESS_H

#include <time.h>

#include "qcowctl.h"

/**
 * enum progress_form - how it is shown
 * @PROGRESS_NONE: not at all
 * @PROGRESS_AUTO: a bar on the terminal, once it takes long
 * @PROGRESS_BAR: a bar on the terminal from the start on
 * @PROGRESS_JSON: lines of JSON on stdout
 */
enum progress_form {
	PROGRESS_NONE,
	PROGRESS_AUTO,
	PROGRESS_BAR,
	PROGRESS_JSON,
};

/**
 * struct progress - something that takes long
 * @form: how it is shown; a bar is where stderr is a terminal
 * @rate: bytes that may be copied in a second; 0: as many as can be
 * @stage: what is being done
 * @shown: there is a bar on the line
 * @started: when the stage began
 * @last: when it was shown
 * @due: when what has been copied would have been, at @rate
 */
struct progress {
	enum progress_form form;
	u64 rate;
	const char *stage;
	bool shown;
	struct timespec started;
	struct timespec last;
	struct timespec due;
};

/**
 * progress_parse() - the argument of --progress
 * @text: bar, json or none
 * @form: result
 *
 * Return: 0 or QC_USAGE.
 */
int progress_parse(const char *text, enum progress_form *form);

/**
 * progress_begin() - begin a stage
 * @p: with @form and @rate set
 * @stage: its name, which stays
 */
void progress_begin(struct progress *p, const char *stage);

/**
 * progress_step() - go on with it
 * @p: after progress_begin()
 * @done: bytes, or whatever is counted, so far
 * @total: of them
 */
void progress_step(struct progress *p, u64 done, u64 total);

/**
 * progress_copied() - wait until the rate allows more
 * @p: after progress_begin()
 * @bytes: copied since the last call
 */
void progress_copied(struct progress *p, u64 bytes);

/* Take the bar from the line, before anything else is written on the terminal. */
void progress_clear(struct progress *p);

#endif /* QCOWCTL_PROGRESS_H */
