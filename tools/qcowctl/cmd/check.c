// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl check: verifies and repairs the metadata of an image, attached or not.
 */
#include <getopt.h>

#include "check/check.h"
#include "cmd/cmd.h"

static const char help[] =
	"Usage: qcowctl check [OPTION]... IMAGE|DEVICE\n"
	"Verify the metadata of an image. Needs neither root nor the driver, and the image must\n"
	"not be in use by a virtual machine. That of a device, and an image that is attached to be\n"
	"written to, is checked as it is at an instant, while the device may be mounted and in use.\n"
	"\n"
	"  -r, --repair leaks|all     free leaked clusters, or repair all that can be, which no other\n"
	"                             program may have open, and no device\n"
	"      --rate BYTES           of a device: read no more than that in a second\n"
	"  -f, --format FMT           qcow2 or qcow: only if it is that\n"
	"  -U, --force-share          also while others write to it, as a virtual machine does:\n"
	"                             what is wrong may be so for the moment only\n"
	"      --output FORMAT        human (default) or json, as qemu-img check\n"
	"  -p, --progress             a progress bar on the terminal from the start on,\n"
	"                             not only when it takes long\n"
	"  -q, --quiet                print nothing, only end with a status\n"
	"  -h, --help                 this text\n"
	"\n"
	"Exit status, as qemu-img check: 0 nothing is wrong, 1 the check could not be\n"
	"completed, 2 the image is corrupt, 3 it has leaked clusters and nothing else,\n"
	"63 it is no QCOW image.\n";

enum {
	OPT_OUTPUT = 256,
	OPT_RATE,
};

static const struct option options[] = {
	{ "repair", required_argument, NULL, 'r' },
	{ "format", required_argument, NULL, 'f' },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "force-share", no_argument, NULL, 'U' },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "progress", no_argument, NULL, 'p' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct check_args - the command line
 * @opts: how to check
 * @format: that the image has to have, or NULL
 * @help: print the help
 */
struct check_args {
	struct check_options opts;
	const char *format;
	bool help;
};

static int parse_option(struct check_args *a, int opt)
{
	switch (opt) {
	case 'r':
		a->opts.repair = !strcmp(optarg, "all") ? REPAIR_ALL : REPAIR_LEAKS;
		if (a->opts.repair == REPAIR_LEAKS && strcmp(optarg, "leaks"))
			return qc_fail(QC_USAGE, "--repair", "'%s' is neither leaks nor all",
				       optarg);
		return 0;
	case OPT_OUTPUT:
		return cmd_parse_output(optarg, &a->opts.json);
	case OPT_RATE:
		return qc_parse_some_size("--rate", optarg, &a->opts.rate);
	case 'f':
		return cmd_parse_format(optarg, &a->format);
	case 'U':
		a->opts.force_share = true;
		return 0;
	case 'p':
		a->opts.progress = true;
		return 0;
	case 'q':
		a->opts.quiet = true;
		return 0;
	case 'h':
		a->help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int parse_args(struct check_args *a, int argc, char **argv)
{
	int opt, err;

	while ((opt = getopt_long(argc, argv, "r:f:Upqh", options, NULL)) != -1) {
		err = parse_option(a, opt);
		if (err)
			return err;
	}
	if (a->help)
		return 0;
	if (a->opts.force_share && a->opts.repair != REPAIR_NONE)
		return qc_fail(QC_USAGE, "--force-share", "not with --repair");
	return cmd_check_one_image("check", argc);
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct check_args a = { 0 };
	int err = parse_args(&a, argc, argv);

	if (err == QC_USAGE)
		return cmd_usage(cmd);
	if (a.help)
		return cmd_help(cmd);
	return cmd_check_format(argv[optind], a.format) ? CHECK_FAILED :
	       check_image(argv[optind], &a.opts);
}

const struct command cmd_check = {
	.name = "check",
	.summary = "verify and repair an image",
	.help = help,
	.run = run,
};
