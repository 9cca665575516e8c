/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an attached image has, moved into its backing file.
 */
#ifndef QCOWCTL_COMMIT_H
#define QCOWCTL_COMMIT_H

#include "image/image.h"
#include "progress/progress.h"

/**
 * struct commit_options - how to commit
 * @drop: remove the image afterwards
 * @policy: where the external data file of the backing file may be
 * @progress: how it is shown, and the limit of its rate
 */
struct commit_options {
	bool drop;
	struct policy policy;
	struct progress progress;
};

/**
 * commit() - have a device go on with the backing file of its image, which has all that it had
 * @what: name of a device, or of an image that is attached to be written to
 * @opts: how
 *
 * Afterwards the image is an empty overlay, or removed. May block.
 *
 * Return: enum qc_exit; QC_NOT_FOUND: there is no such device, or no backing file; after an error
 * the chain is as before unless the message says otherwise.
 */
int commit(const char *what, struct commit_options *opts);

#endif /* QCOWCTL_COMMIT_H */
