// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl rebase: gives an image another backing file.
 */
#include <getopt.h>

#include "cmd/cmd.h"
#include "driver/driver.h"
#include "rebase/rebase.h"

static const char help[] =
	"Usage: qcowctl rebase [OPTION]... -b FILE -F FMT DEVICE|IMAGE\n"
	"Give an image another backing file, as qemu-img rebase does. What is read from it stays\n"
	"the same: where the old and the new backing file differ, the image gets what the old one\n"
	"has. One that is attached may be mounted and written to meanwhile; else no other program\n"
	"may have it open, and neither root nor the driver is needed.\n"
	"\n"
	"  -b, --backing FILE         the new backing file; \"\": none any more\n"
	"  -F, --backing-format FMT   its format: raw, qcow or qcow2; version 1 does not store it\n"
	"  -u, --unsafe               change the names and nothing else: what is read from the\n"
	"                             backing file is that of the new one; of a device, from\n"
	"                             its next attach on\n"
	"  -f, --format FMT           qcow2 or qcow: only if it is that\n"
	"      --old-format FMT       format of the old backing file, and of those below either one,\n"
	"                             where none is stated\n"
	"      --allow-backing NAME   backing files may be in this directory too, or be this\n"
	"                             file or block device\n"
	"      --key-file FILE        all of FILE is the passphrase of an encrypted layer below a\n"
	"                             device, not a line that is typed; -: standard input\n"
	"      --key-description TYPE:DESCRIPTION\n"
	"                             a key of the kernel is the volume key of one; these two as\n"
	"                             for attach, from the new backing file down\n"
	"      --rate BYTES           copy no more than that in a second\n"
	"      --progress FORM        bar, json (lines on standard output) or none; a bar is on the\n"
	"                             terminal where there is one and it takes long\n"
	"  -q, --quiet                print nothing but errors\n"
	"  -h, --help                 this text\n";

enum {
	OPT_OLD_FORMAT = 256,
	OPT_ALLOW_BACKING,
	OPT_KEY_FILE,
	OPT_KEY_DESCRIPTION,
	OPT_RATE,
	OPT_PROGRESS,
};

static const struct option options[] = {
	{ "backing", required_argument, NULL, 'b' },
	{ "backing-format", required_argument, NULL, 'F' },
	{ "unsafe", no_argument, NULL, 'u' },
	{ "format", required_argument, NULL, 'f' },
	{ "old-format", required_argument, NULL, OPT_OLD_FORMAT },
	{ "allow-backing", required_argument, NULL, OPT_ALLOW_BACKING },
	{ "key-file", required_argument, NULL, OPT_KEY_FILE },
	{ "key-description", required_argument, NULL, OPT_KEY_DESCRIPTION },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "progress", required_argument, NULL, OPT_PROGRESS },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct rebase_args - the command line
 * @opts: which backing file
 * @format: that the image has to have, or NULL
 * @unsafe: change the names only
 * @help: print the help
 */
struct rebase_args {
	struct rebase_options opts;
	const char *format;
	bool unsafe;
	bool help;
};

static int parse_format(const char *option, const char *text, const char **format)
{
	if (strcmp(text, "raw") && strcmp(text, "qcow") && strcmp(text, "qcow2"))
		return qc_fail(QC_USAGE, option, "'%s' is none of raw, qcow, qcow2", text);
	*format = text;
	return 0;
}

static int parse_option(struct rebase_args *a, int opt)
{
	switch (opt) {
	case 'b':
		a->opts.backing = optarg;
		return 0;
	case 'F':
		return parse_format("--backing-format", optarg, &a->opts.format);
	case 'f':
		return cmd_parse_format(optarg, &a->format);
	case OPT_OLD_FORMAT:
		return parse_format("--old-format", optarg, &a->opts.old_format);
	case OPT_ALLOW_BACKING:
		return policy_allow(&a->opts.chain.policy, optarg);
	case OPT_KEY_FILE:
		return key_sources_add_file(&a->opts.keys, optarg);
	case OPT_KEY_DESCRIPTION:
		return key_sources_add_name(&a->opts.keys, optarg);
	case OPT_RATE:
		return qc_parse_some_size("--rate", optarg, &a->opts.progress.rate);
	case OPT_PROGRESS:
		return progress_parse(optarg, &a->opts.progress.form);
	case 'u':
		a->unsafe = true;
		return 0;
	case 'q':
		a->opts.quiet = true;
		a->opts.progress.form = PROGRESS_NONE;
		return 0;
	case 'h':
		a->help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int check_args(const struct rebase_args *a)
{
	if (!a->opts.backing)
		return qc_fail(QC_USAGE, "rebase", "-b FILE is wanted, \"\" for no backing file");
	if (a->unsafe && a->opts.progress.rate)
		return qc_fail(QC_USAGE, "rebase", "--unsafe and --rate exclude each other");
	if (a->opts.keys.nr && (a->unsafe || !*a->opts.backing))
		return qc_fail(QC_USAGE, "rebase", "no file is read that could need a key");
	if (!*a->opts.backing && a->opts.format)
		return qc_fail(QC_USAGE, "--backing-format", "'%s' without a backing file",
			       a->opts.format);
	return 0;
}

static int parse_args(struct rebase_args *a, int argc, char **argv)
{
	int opt, err;

	while ((opt = getopt_long(argc, argv, "f:b:F:uqh", options, NULL)) != -1) {
		err = parse_option(a, opt);
		if (err)
			return err;
	}
	if (a->help)
		return 0;
	if (cmd_check_one_image("rebase", argc))
		return QC_USAGE;
	return check_args(a);
}

static int rebase(struct rebase_args *a, const char *what)
{
	bool attached;
	u32 index;
	int err = cmd_check_format(what, a->format);

	if (!err)
		err = sysfs_find_attached(what, "be rebased", &index, &attached);
	if (err)
		return err;
	if (!attached && a->opts.keys.nr)
		return qc_fail(QC_USAGE, what, "is not attached: no key is of use");
	if (attached)
		return rebase_attached(what, index, &a->opts, a->unsafe);
	return a->unsafe ? rebase_names(what, &a->opts) : rebase_image(what, &a->opts);
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct rebase_args a = { .opts = { .job = "rebase", .progress.form = PROGRESS_AUTO } };
	int err = parse_args(&a, argc, argv);

	if (err == QC_USAGE)
		cmd_usage(cmd);
	else if (!err && a.help)
		cmd_help(cmd);
	else if (!err)
		err = rebase(&a, argv[optind]);
	key_sources_free(&a.opts.keys);
	chain_options_free(&a.opts.chain);
	return err;
}

const struct command cmd_rebase = {
	.name = "rebase",
	.summary = "give an image another backing file",
	.help = help,
	.run = run,
};
