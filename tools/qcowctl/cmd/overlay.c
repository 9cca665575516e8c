// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl overlay: an external snapshot of a device in use.
 */
#include <getopt.h>

#include "cmd/cmd.h"
#include "overlay/overlay.h"

static const char help[] =
	"Usage: qcowctl overlay [OPTION]... DEVICE|IMAGE FILE\n"
	"Keep the present state of a device, which may be mounted and in use, in its image, and\n"
	"have what is written from now on in a new overlay, FILE. The image becomes read-only:\n"
	"other devices, overlays and virtual machines may stand on it.\n"
	"\n"
	"      --key-file FILE  all of FILE is the passphrase of the overlay, which is encrypted then;\n"
	"                       -: standard input; without this option one is asked for where the\n"
	"                       image is encrypted\n"
	"      --no-freeze      do not freeze the file systems on the device\n"
	"  -h, --help           this text\n";

enum {
	OPT_NO_FREEZE = 256,
	OPT_KEY_FILE,
};

static const struct option options[] = {
	{ "no-freeze", no_argument, NULL, OPT_NO_FREEZE },
	{ "key-file", required_argument, NULL, OPT_KEY_FILE },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* The file is there before the device has it: a signal waits until it has. */
static int put_overlay(const struct overlay_base *base, const char *name, bool no_freeze)
{
	struct image top;
	sigset_t before;
	int err;

	qc_hold_signals(&before);
	err = overlay_create(base, name, &top);
	if (!err) {
		err = overlay_put(base, &top, no_freeze);
		if (err)
			overlay_remove(&top);
	}
	image_close(&top);
	qc_release_signals(&before);
	return err;
}

static int overlay(const char *what, const char *name, const char *key_file, bool no_freeze)
{
	struct overlay_base base;
	int err;

	err = overlay_open_base(&base, what);
	if (!err)
		err = overlay_encrypt(&base, key_file, name);
	if (!err)
		err = put_overlay(&base, name, no_freeze);
	overlay_close_base(&base);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	const char *key_file = NULL;
	bool no_freeze = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_NO_FREEZE:
			no_freeze = true;
			break;
		case OPT_KEY_FILE:
			key_file = optarg;
			break;
		case 'h':
			return cmd_help(cmd);
		default:
			return cmd_usage(cmd);
		}
	}
	if (argc - optind != 2) {
		qc_fail(0, "overlay", "a device and a new file are wanted, %d given",
			argc - optind);
		return cmd_usage(cmd);
	}
	return overlay(argv[optind], argv[optind + 1], key_file, no_freeze);
}

const struct command cmd_overlay = {
	.name = "overlay",
	.summary = "put an overlay on an attached image",
	.help = help,
	.run = run,
};
