// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl stream: copies what backing files have into an image.
 */
#include <getopt.h>

#include "cmd/cmd.h"
#include "rebase/rebase.h"

static const char help[] =
	"Usage: qcowctl stream [OPTION]... DEVICE|IMAGE\n"
	"Copy into an image what its backing files have and it has not, until it needs them no\n"
	"more. What is read from it stays the same; holes and zeros stay what they are. One that is\n"
	"attached may be mounted and written to meanwhile. After an interruption the image is good,\n"
	"and the same command goes on.\n"
	"\n"
	"      --base FILE            a backing file, or one further below, that stays below it\n"
	"      --rate BYTES           copy no more than that in a second\n"
	"      --progress FORM        bar, json (lines on standard output) or none; a bar is on the\n"
	"                             terminal where there is one and it takes long\n"
	"      --allow-backing NAME   backing files may be in this directory too, or be this\n"
	"                             file or block device\n"
	"      --backing-format FMT   raw, qcow or qcow2, where an image states none\n"
	"  -q, --quiet                print nothing but errors\n"
	"  -h, --help                 this text\n";

enum {
	OPT_BASE = 256,
	OPT_RATE,
	OPT_PROGRESS,
	OPT_ALLOW_BACKING,
	OPT_BACKING_FORMAT,
};

static const struct option options[] = {
	{ "base", required_argument, NULL, OPT_BASE },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "progress", required_argument, NULL, OPT_PROGRESS },
	{ "allow-backing", required_argument, NULL, OPT_ALLOW_BACKING },
	{ "backing-format", required_argument, NULL, OPT_BACKING_FORMAT },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int parse_option(struct stream_options *opts, int opt, bool *wants_help)
{
	struct rebase_options *r = &opts->rebase;
	int err;

	switch (opt) {
	case OPT_BASE:
		opts->base = optarg;
		return 0;
	case OPT_RATE:
		return qc_parse_some_size("--rate", optarg, &r->progress.rate);
	case OPT_PROGRESS:
		return progress_parse(optarg, &r->progress.form);
	case OPT_ALLOW_BACKING:
		return policy_allow(&r->chain.policy, optarg);
	case OPT_BACKING_FORMAT:
		err = chain_set_backing_format(&r->chain, optarg);
		r->old_format = r->chain.backing_format;
		return err;
	case 'q':
		r->quiet = true;
		r->progress.form = PROGRESS_NONE;
		return 0;
	case 'h':
		*wants_help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int parse_args(struct stream_options *opts, int argc, char **argv, bool *wants_help)
{
	int opt, err = 0;

	while (!err && (opt = getopt_long(argc, argv, "qh", options, NULL)) != -1)
		err = parse_option(opts, opt, wants_help);
	if (err || *wants_help)
		return err;
	return cmd_check_one_image("stream", argc);
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct stream_options opts = { .rebase.progress.form = PROGRESS_AUTO };
	bool wants_help = false;
	int err = parse_args(&opts, argc, argv, &wants_help);

	if (err == QC_USAGE)
		cmd_usage(cmd);
	else if (!err && wants_help)
		cmd_help(cmd);
	else if (!err)
		err = stream(argv[optind], &opts);
	chain_options_free(&opts.rebase.chain);
	return err;
}

const struct command cmd_stream = {
	.name = "stream",
	.summary = "copy what backing files have into an image",
	.help = help,
	.run = run,
};
