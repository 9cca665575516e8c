/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another size for an image that no other program has open.
 */
#ifndef QCOWCTL_RESIZE_H
#define QCOWCTL_RESIZE_H

#include "image/image.h"

/**
 * struct resize_size - a size as the user gives it
 * @bytes: the new size, or how much more or less
 * @sign: '+' or '-': that; 0: the new size
 * @shrink: it may be less than now
 */
struct resize_size {
	u64 bytes;
	char sign;
	bool shrink;
};

/**
 * resize_new_size() - the size that is meant
 * @size: as the user gives it
 * @name: of the image or the device, for messages
 * @now: the present size
 * @bytes: result
 *
 * Return: 0 or QC_USAGE.
 */
int resize_new_size(const struct resize_size *size, const char *name, u64 now, u64 *bytes);

/**
 * resize_image() - give an image another size
 * @name: of the image; no policy restricts it
 * @size: which
 * @opts: policy for its backing files and data file, and their format
 * @from: result: the size before
 * @to: result: the size afterwards
 *
 * The image is checked first. What is new reads as zeros. When the power fails, it is as before or
 * as after. May block.
 *
 * Return: enum qc_exit; after an error the image is as before, unless the message says that it is
 * not known what is on the disk.
 */
int resize_image(const char *name, const struct resize_size *size, struct chain_options *opts,
		 u64 *from, u64 *to);

#endif /* QCOWCTL_RESIZE_H */
