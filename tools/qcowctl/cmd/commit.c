// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl commit: moves what an image has into its backing file.
 */
#include <getopt.h>

#include "cmd/cmd.h"
#include "commit/commit.h"

static const char help[] =
	"Usage: qcowctl commit [OPTION]... DEVICE|IMAGE\n"
	"Write what an attached image has into its backing file, and go on with that: the chain is\n"
	"shorter by the image, which is empty afterwards. It may be mounted and written to\n"
	"meanwhile. After an interruption the device is as it was, and the same command begins\n"
	"again.\n"
	"\n"
	"      --drop                 remove the image afterwards\n"
	"      --rate BYTES           copy no more than that in a second\n"
	"      --progress FORM        bar, json (lines on standard output) or none; a bar is on the\n"
	"                             terminal where there is one and it takes long\n"
	"      --allow-backing NAME   the data file of the backing file may be in this directory\n"
	"                             too, or be this file or block device\n"
	"  -q, --quiet                print nothing but errors\n"
	"  -h, --help                 this text\n";

enum {
	OPT_DROP = 256,
	OPT_RATE,
	OPT_PROGRESS,
	OPT_ALLOW_BACKING,
};

static const struct option options[] = {
	{ "drop", no_argument, NULL, OPT_DROP },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "progress", required_argument, NULL, OPT_PROGRESS },
	{ "allow-backing", required_argument, NULL, OPT_ALLOW_BACKING },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int parse_option(struct commit_options *opts, int opt, bool *wants_help)
{
	switch (opt) {
	case OPT_DROP:
		opts->drop = true;
		return 0;
	case OPT_RATE:
		return cmd_parse_rate(optarg, &opts->progress.rate);
	case OPT_PROGRESS:
		return progress_parse(optarg, &opts->progress.form);
	case OPT_ALLOW_BACKING:
		return policy_allow(&opts->policy, optarg);
	case 'q':
		opts->progress.form = PROGRESS_NONE;
		return 0;
	case 'h':
		*wants_help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int parse_args(struct commit_options *opts, int argc, char **argv, bool *wants_help)
{
	int opt, err = 0;

	while (!err && (opt = getopt_long(argc, argv, "qh", options, NULL)) != -1)
		err = parse_option(opts, opt, wants_help);
	if (err || *wants_help)
		return err;
	if (argc - optind != 1)
		return qc_fail(QC_USAGE, "commit", "one image is wanted, %d given",
			       argc - optind);
	return 0;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct commit_options opts = { .progress.form = PROGRESS_AUTO };
	bool wants_help = false;
	int err = parse_args(&opts, argc, argv, &wants_help);

	if (err == QC_USAGE)
		cmd_usage(cmd);
	else if (!err && wants_help)
		cmd_help(cmd);
	else if (!err)
		err = commit(argv[optind], &opts);
	policy_free(&opts.policy);
	return err;
}

const struct command cmd_commit = {
	.name = "commit",
	.summary = "move what an image has into its backing file",
	.help = help,
	.run = run,
};
