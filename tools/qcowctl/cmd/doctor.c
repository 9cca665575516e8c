// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl doctor: what is missing.
 */
#include <getopt.h>

#include "cmd/cmd.h"
#include "doctor/doctor.h"

static const char help[] =
	"Usage: qcowctl doctor [OPTION]...\n"
	"Say what this machine has of what attach and mount need, and what helps where something\n"
	"is missing. Nothing is changed or loaded.\n"
	"\n"
	"      --sysroot DIR   look below DIR instead of /\n"
	"  -h, --help          this text\n"
	"\n"
	"It ends with 0 when images can be attached, else with 8.\n";

enum {
	OPT_SYSROOT = 256,
};

static const struct option options[] = {
	{ "sysroot", required_argument, NULL, OPT_SYSROOT },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int run(const struct command *cmd, int argc, char **argv)
{
	const char *root = "";
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (opt == 'h')
			return cmd_help(cmd);
		if (opt != OPT_SYSROOT)
			return cmd_usage(cmd);
		root = optarg;
	}
	if (optind < argc) {
		qc_fail(0, "doctor", "'%s': no argument is wanted", argv[optind]);
		return cmd_usage(cmd);
	}
	return doctor(root);
}

const struct command cmd_doctor = {
	.name = "doctor",
	.summary = "say what is missing on this machine",
	.help = help,
	.run = run,
};
