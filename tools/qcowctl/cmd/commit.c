// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl commit: moves what an image has into its backing file.
 */
#include <getopt.h>

#include "cmd/cmd.h"
#include "commit/commit.h"

static const char help[] =
	"Usage: qcowctl commit [OPTION]... DEVICE|IMAGE\n"
	"Write what an image has into its backing file, as qemu-img commit does: the image is an\n"
	"empty overlay afterwards. A device goes on with the backing file, unless that is raw; it\n"
	"may be mounted and written to meanwhile. Else no other program may have one of both open,\n"
	"and neither root nor the driver is needed. After an interruption the same is read through\n"
	"the image, and the same command begins again.\n"
	"\n"
	"  -f, --format FMT           qcow2 or qcow: only if it is that\n"
	"      --drop                 remove the image afterwards\n"
	"      --rate BYTES           copy no more than that in a second\n"
	"      --progress FORM        bar, json (lines on standard output) or none; a bar is on the\n"
	"                             terminal where there is one and it takes long\n"
	"      --allow-backing NAME   backing files and data files may be in this directory too, or\n"
	"                             be this file or block device\n"
	"      --backing-format FMT   raw, qcow or qcow2, where an image that is not attached states\n"
	"                             none\n"
	"  -q, --quiet                print nothing but errors\n"
	"  -h, --help                 this text\n";

enum {
	OPT_DROP = 256,
	OPT_RATE,
	OPT_PROGRESS,
	OPT_ALLOW_BACKING,
	OPT_BACKING_FORMAT,
};

static const struct option options[] = {
	{ "format", required_argument, NULL, 'f' },
	{ "drop", no_argument, NULL, OPT_DROP },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "progress", required_argument, NULL, OPT_PROGRESS },
	{ "allow-backing", required_argument, NULL, OPT_ALLOW_BACKING },
	{ "backing-format", required_argument, NULL, OPT_BACKING_FORMAT },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct commit_args - the command line
 * @opts: how to commit
 * @format: that the image has to have, or NULL
 * @help: print the help
 */
struct commit_args {
	struct commit_options opts;
	const char *format;
	bool help;
};

static int parse_option(struct commit_args *a, int opt)
{
	switch (opt) {
	case 'f':
		return cmd_parse_format(optarg, &a->format);
	case OPT_DROP:
		a->opts.drop = true;
		return 0;
	case OPT_RATE:
		return qc_parse_some_size("--rate", optarg, &a->opts.progress.rate);
	case OPT_PROGRESS:
		return progress_parse(optarg, &a->opts.progress.form);
	case OPT_ALLOW_BACKING:
		return policy_allow(&a->opts.chain.policy, optarg);
	case OPT_BACKING_FORMAT:
		return chain_set_backing_format(&a->opts.chain, optarg);
	case 'q':
		a->opts.progress.form = PROGRESS_NONE;
		return 0;
	case 'h':
		a->help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int parse_args(struct commit_args *a, int argc, char **argv)
{
	int opt, err = 0;

	while (!err && (opt = getopt_long(argc, argv, "f:qh", options, NULL)) != -1)
		err = parse_option(a, opt);
	if (err || a->help)
		return err;
	return cmd_check_one_image("commit", argc);
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct commit_args a = { .opts.progress.form = PROGRESS_AUTO };
	int err = parse_args(&a, argc, argv);

	if (err == QC_USAGE)
		cmd_usage(cmd);
	else if (!err && a.help)
		cmd_help(cmd);
	else if (!err)
		err = cmd_check_format(argv[optind], a.format);
	if (!err && !a.help)
		err = commit(argv[optind], &a.opts);
	chain_options_free(&a.opts.chain);
	return err;
}

const struct command cmd_commit = {
	.name = "commit",
	.summary = "move what an image has into its backing file",
	.help = help,
	.run = run,
};
