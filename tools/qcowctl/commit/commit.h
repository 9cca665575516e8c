/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an image has, moved into its backing file.
 */
#ifndef QCOWCTL_COMMIT_H
#define QCOWCTL_COMMIT_H

#include "image/image.h"
#include "progress/progress.h"

/**
 * struct commit_options - how to commit
 * @drop: remove the image afterwards
 * @chain: where the files may be; format of backing files where none is stated
 * @progress: how it is shown, and the limit of its rate
 */
struct commit_options {
	bool drop;
	struct chain_options chain;
	struct progress progress;
};

/* commit.c */

/**
 * commit() - write what an image has into its backing file
 * @what: name of a device or of an image
 * @opts: how
 *
 * Afterwards the image is an empty overlay, or removed. May block.
 *
 * Return: enum qc_exit; QC_NOT_FOUND: there is no such image, or no backing file; after an error
 * what is read through the image is the same as before, unless the message says otherwise.
 */
int commit(const char *what, struct commit_options *opts);

/* attached.c */

/**
 * commit_attached() - have a device do it, and go on with the backing file
 * @what: as the user named it
 * @index: of the device
 * @opts: how
 *
 * Return: as commit().
 */
int commit_attached(const char *what, u32 index, struct commit_options *opts);

/* detached.c */

/**
 * commit_image() - do it with files that no other program has open
 * @name: of the image; no policy restricts it
 * @opts: how
 *
 * All metadata of both are checked first. When the power fails, the same is read through the image;
 * a backing file of version 2 or 3 whose data are not in an external file reads as before or as the
 * image did.
 *
 * Return: as commit().
 */
int commit_image(const char *name, struct commit_options *opts);

#endif /* QCOWCTL_COMMIT_H */
