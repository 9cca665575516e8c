/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Gives back the space that an image does not need, in place; no other program has it open, or it
 * is attached.
 */
#ifndef QCOWCTL_COMPACT_H
#define QCOWCTL_COMPACT_H

#include <stdbool.h>

#include "progress/progress.h"

/**
 * struct compact_options - how an image is compacted
 * @compress: store data in compressed form, too
 * @type: QCOW_COMPRESSION_*, with @compress
 * @progress: how it is shown, and the limit of its rate
 * @quiet: print nothing but errors
 */
struct compact_options {
	bool compress;
	u32 type;
	struct progress progress;
	bool quiet;
};

/**
 * compact_image() - compact an image
 * @name: of the image; no policy restricts it
 * @opts: options
 *
 * The image is checked first. Prints how much has been given back. When the power fails, it reads
 * as before, and there is no leak. May block.
 *
 * Return: enum qc_exit; after an error the image reads as before, too.
 */
int compact_image(const char *name, struct compact_options *opts);

/**
 * compact_attached() - have the driver compact an image
 * @what: as the user named it
 * @index: of the device
 * @opts: options
 *
 * As compact_image(), but that what snapshots have stays where it is.
 *
 * Return: enum qc_exit.
 */
int compact_attached(const char *what, u32 index, struct compact_options *opts);

#endif /* QCOWCTL_COMPACT_H */
