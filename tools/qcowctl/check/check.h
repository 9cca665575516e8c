/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Verifies and repairs the metadata of an image.
 */
#ifndef QCOWCTL_CHECK_H
#define QCOWCTL_CHECK_H

#include <stdbool.h>

#include "qcowctl.h"

/**
 * enum check_exit - exit status of qcowctl check, that of qemu-img check
 * @CHECK_OK: nothing wrong, or all of it repaired
 * @CHECK_FAILED: the check could not be completed, whatever the reason
 * @CHECK_CORRUPT: the image is corrupt
 * @CHECK_LEAKS: leaked clusters and nothing else
 * @CHECK_NO_FORMAT: not a QCOW image
 */
enum check_exit {
	CHECK_OK = 0,
	CHECK_FAILED = 1,
	CHECK_CORRUPT = 2,
	CHECK_LEAKS = 3,
	CHECK_NO_FORMAT = 63,
};

/**
 * enum check_repair - what to repair
 * @REPAIR_NONE: nothing, the image is opened read-only
 * @REPAIR_LEAKS: counts that are too high, and flags
 * @REPAIR_ALL: all that can be repaired
 */
enum check_repair {
	REPAIR_NONE,
	REPAIR_LEAKS,
	REPAIR_ALL,
};

/**
 * struct check_options - how to check
 * @repair: what to repair
 * @force_share: others may write to it meanwhile; nothing is repaired then
 * @json: print the result as JSON, with the keys of qemu-img check
 * @progress: show a progress bar from the start on, not only when the check takes long
 * @quiet: print nothing
 * @rate: of an attached image, bytes that are read in a second; 0: as many as can be
 */
struct check_options {
	enum check_repair repair;
	bool force_share;
	bool json;
	bool progress;
	bool quiet;
	u64 rate;
};

/**
 * check_image() - check an image, and print what is wrong with it
 * @name: of the image, or of a device; no policy restricts it
 * @opts: how
 *
 * May block; ends the process when there is no memory.
 *
 * Return: enum check_exit.
 */
int check_image(const char *name, const struct check_options *opts);

#endif /* QCOWCTL_CHECK_H */
