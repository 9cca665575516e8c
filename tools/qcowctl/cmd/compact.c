// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl compact: gives back the space that an image does not need.
 */
#include <getopt.h>

#include <qcow/ondisk.h>

#include "cmd/cmd.h"
#include "compact/compact.h"
#include "driver/driver.h"

static const char help[] =
	"Usage: qcowctl compact [OPTION]... IMAGE|DEVICE\n"
	"Give back the space that an image does not need, in place: what is at its end moves to\n"
	"where it is free, and the file is cut. What is read from it and from its snapshots stays\n"
	"the same. An image that is not attached may be open in no other program, and neither\n"
	"root nor the driver is needed. A device may be mounted and in use; what snapshots have\n"
	"stays where it is then. After an interruption the image is good.\n"
	"\n"
	"      --compress TYPE        compress data, too: zlib or zstd, as what is compressed in the\n"
	"                             image already; of snapshots, nothing. Not of a device\n"
	"      --rate BYTES           copy or compress no more than that in a second\n"
	"      --progress FORM        bar, json (lines on standard output) or none; a bar is on the\n"
	"                             terminal where there is one and it takes long\n"
	"  -q, --quiet                print nothing but errors\n"
	"  -h, --help                 this text\n";

enum {
	OPT_COMPRESS = 256,
	OPT_RATE,
	OPT_PROGRESS,
};

static const struct option options[] = {
	{ "compress", required_argument, NULL, OPT_COMPRESS },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "progress", required_argument, NULL, OPT_PROGRESS },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int parse_type(struct compact_options *opts, const char *text)
{
	if (strcmp(text, "zlib") && strcmp(text, "zstd"))
		return qc_fail(QC_USAGE, "--compress", "'%s' is neither zlib nor zstd", text);
	opts->compress = true;
	opts->type = strcmp(text, "zlib") ? QCOW_COMPRESSION_ZSTD : QCOW_COMPRESSION_ZLIB;
	return 0;
}

static int parse_option(struct compact_options *opts, int opt, bool *wants_help)
{
	switch (opt) {
	case OPT_COMPRESS:
		return parse_type(opts, optarg);
	case OPT_RATE:
		return qc_parse_some_size("--rate", optarg, &opts->progress.rate);
	case OPT_PROGRESS:
		return progress_parse(optarg, &opts->progress.form);
	case 'q':
		opts->quiet = true;
		opts->progress.form = PROGRESS_NONE;
		return 0;
	case 'h':
		*wants_help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int parse_args(struct compact_options *opts, int argc, char **argv, bool *wants_help)
{
	int opt, err = 0;

	while (!err && (opt = getopt_long(argc, argv, "qh", options, NULL)) != -1)
		err = parse_option(opts, opt, wants_help);
	if (err || *wants_help)
		return err;
	return cmd_check_one_image("compact", argc);
}

static int compact(const char *what, struct compact_options *opts)
{
	bool attached;
	u32 index;
	int err = sysfs_find_attached(what, "be compacted", &index, &attached);

	if (err)
		return err;
	return attached ? compact_attached(what, index, opts) : compact_image(what, opts);
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct compact_options opts = { .progress.form = PROGRESS_AUTO };
	bool wants_help = false;
	int err = parse_args(&opts, argc, argv, &wants_help);

	if (err == QC_USAGE)
		return cmd_usage(cmd);
	if (!err && wants_help)
		return cmd_help(cmd);
	return err ? err : compact(argv[optind], &opts);
}

const struct command cmd_compact = {
	.name = "compact",
	.summary = "give back the space that an image does not need",
	.help = help,
	.run = run,
};
