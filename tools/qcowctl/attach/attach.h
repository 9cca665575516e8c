/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How an image becomes a block device: what the user wants of it, and the call.
 */
#ifndef QCOWCTL_ATTACH_H
#define QCOWCTL_ATTACH_H

#include <getopt.h>

#include <uapi/linux/qcow.h>

#include "crypt/keys.h"
#include "image/image.h"

/**
 * struct attach_request - what is to be attached, and how
 * @image: its path
 * @snapshot: id or name of an internal snapshot, or NULL
 * @overlay: name that the overlay is to have, or NULL: it is to have none
 * @compress: the method, or NULL
 * @chain: how its files are opened
 * @keys: of its encrypted layers
 * @arg: the driver's argument; after attach_image() with the number of the device
 * @autoclear: the device goes away at its last close, as a loop device that mount(8) sets up
 * @held: after attach_image(), with @autoclear, a descriptor of it, for the caller to close
 * @wants_overlay: what is written goes to an overlay, and not to the image
 * @force_share: others may write to it meanwhile
 * @activate: logical volumes and arrays that are on it may be activated by udev
 */
struct attach_request {
	const char *image;
	const char *snapshot;
	const char *overlay;
	const char *compress;
	struct chain_options chain;
	struct key_sources keys;
	struct qcow_attach arg;
	bool autoclear;
	int held;
	bool wants_overlay;
	bool force_share;
	bool activate;
};

/* options.c */

/* For getopt_long() and for others that name them; "quiet" and "help", too: 'q' and 'h'. */
extern const struct option attach_options[];

/* attach_free() it. */
void attach_init(struct attach_request *a);
void attach_free(struct attach_request *a);

/**
 * attach_set_option() - take an option
 * @a: the request
 * @opt: its value in attach_options, but 'q' and 'h'
 * @value: its argument, where it has one; has to stay valid
 *
 * Return: 0 or QC_USAGE.
 */
int attach_set_option(struct attach_request *a, int opt, const char *value);

/**
 * attach_check_options() - whether those that have been taken go together
 * @a: the request
 *
 * Return: 0 or QC_USAGE.
 */
int attach_check_options(struct attach_request *a);

/* attach.c */

/**
 * attach_image() - attach it
 * @a: the request, after attach_check_options()
 *
 * Asks for passphrases, and waits until the nodes of the device are there. Prints what is wrong,
 * and what helps.
 *
 * Return: enum qc_exit.
 */
int attach_image(struct attach_request *a);

#endif /* QCOWCTL_ATTACH_H */
