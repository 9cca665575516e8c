/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is asked of a new backing file, whether the image is attached or not.
 */
#ifndef QCOWCTL_REBASE_BACKING_H
#define QCOWCTL_REBASE_BACKING_H

#include "rebase/rebase.h"

/**
 * backing_check() - whether an image can have the names
 * @img: the image, with a validated header
 * @opts: the names
 *
 * Return: 0, QC_USAGE, QC_UNSUPPORTED, or QC_BAD_IMAGE: it is marked dirty or corrupt.
 */
int backing_check(const struct image *img, const struct rebase_options *opts);

/**
 * backing_open() - open the new backing file, and everything below it
 * @next: the image alone; result: the image on its new backing file, if it is to have one;
 *        chain_close() it also after an error
 * @opts: names and policy
 *
 * Return: as chain_open().
 */
int backing_open(struct chain *next, const struct rebase_options *opts);

/**
 * backing_warn_snapshots() - warn that snapshots do not read the same any more
 * @img: the image, as it was before
 * @opts: the names
 */
void backing_warn_snapshots(const struct image *img, const struct rebase_options *opts);

#endif /* QCOWCTL_REBASE_BACKING_H */
