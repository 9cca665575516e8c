/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an image has itself, written into its backing file.
 */
#ifndef QCOWCTL_COMMIT_COPY_H
#define QCOWCTL_COMMIT_COPY_H

#include "progress/progress.h"
#include "resize/grow.h"

/**
 * copy_down_image() - write what an image has into a backing file with a mapping
 * @chain: the image, the backing file, and what is below it
 * @size: of the backing file before and afterwards, after growth_check() if it grows, and its new
 *        state
 * @progress: how it is shown, and the limit of its rate
 * @changed: result: there was something to write
 *
 * Of version 2 and 3 nothing is valid before the switch, but for data in an external file. One of
 * version 1 has all but its size. Return: enum qc_exit.
 */
int copy_down_image(const struct chain *chain, struct growth *size, struct progress *progress,
		    bool *changed);

/**
 * copy_down_raw() - the same of a raw backing file, which is as long as the image, at least
 * @chain: as for copy_down_image()
 * @progress: likewise
 *
 * Return: enum qc_exit.
 */
int copy_down_raw(const struct chain *chain, struct progress *progress);

#endif /* QCOWCTL_COMMIT_COPY_H */
