// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl create: makes an empty image, with qemu-img's options.
 */
#include <getopt.h>

#include "cmd/cmd.h"
#include "create/create.h"

static const char help[] =
	"Usage: qcowctl create [OPTION]... IMAGE [SIZE]\n"
	"Make an empty image, as qemu-img create does. Needs neither root nor the driver.\n"
	"A file or an image that is there is replaced only with --force, and not if it is in\n"
	"use.\n"
	"\n"
	"  -f, --format FMT           qcow2 (default) or qcow, which is version 1\n"
	"  -o, --options LIST         NAME=VALUE,...; they follow, and -o help lists them\n"
	"  -b, --backing FILE         backing file; SIZE is its size if not given\n"
	"  -F, --backing-format FMT   its format: raw, qcow or qcow2\n"
	"  -u, --unsafe               do not look at the backing file; SIZE is needed\n"
	"      --key-file FILE        all of FILE is the passphrase of an encrypted image, not a\n"
	"                             line that is typed; -: standard input\n"
	"      --force                replace what is there\n"
	"  -q, --quiet                for qemu-img's sake: nothing is printed anyway\n"
	"  -h, --help                 this text\n"
	"\n"
	"SIZE is in bytes, or with K, M, G, T, P, E (powers of 1024: 1.5G).\n"
	"\n";

enum {
	OPT_FORCE = 256,
	OPT_KEY_FILE,
};

static const struct option options[] = {
	{ "format", required_argument, NULL, 'f' },
	{ "options", required_argument, NULL, 'o' },
	{ "backing", required_argument, NULL, 'b' },
	{ "backing-format", required_argument, NULL, 'F' },
	{ "unsafe", no_argument, NULL, 'u' },
	{ "key-file", required_argument, NULL, OPT_KEY_FILE },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct create_args - the command line
 * @opts: the options
 * @name: of the image
 * @unsafe: do not open the backing file
 * @help: print the help
 * @help_options: print the options of -o
 */
struct create_args {
	struct create_options opts;
	const char *name;
	bool unsafe;
	bool help;
	bool help_options;
};

static int parse_option(struct create_args *a, int opt)
{
	switch (opt) {
	case 'f':
		a->opts.format = optarg;
		return 0;
	case 'o':
		return create_options_parse(&a->opts, optarg, &a->help_options);
	case 'b':
		create_options_set(&a->opts, OPT_BACKING_FILE, optarg);
		return 0;
	case 'F':
		create_options_set(&a->opts, OPT_BACKING_FMT, optarg);
		return 0;
	case 'u':
		a->unsafe = true;
		return 0;
	case OPT_KEY_FILE:
		a->opts.key_file = optarg;
		return 0;
	case OPT_FORCE:
		a->opts.force = true;
		return 0;
	case 'q':
		return 0;
	case 'h':
		a->help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int parse_args(struct create_args *a, int argc, char **argv)
{
	int opt, err;

	while ((opt = getopt_long(argc, argv, "f:o:b:F:uqh", options, NULL)) != -1) {
		err = parse_option(a, opt);
		if (err)
			return err;
	}
	if (a->help || a->help_options)
		return 0;
	if (argc - optind < 1 || argc - optind > 2)
		return qc_fail(QC_USAGE, "create", "an image and a size are wanted, %d given",
			       argc - optind);
	a->name = argv[optind];
	if (argc - optind == 1)
		return 0;
	if (a->opts.value[OPT_SIZE])
		return qc_fail(QC_USAGE, "size", "'%s' and '%s': one of them is enough",
			       a->opts.value[OPT_SIZE], argv[optind + 1]);
	create_options_set(&a->opts, OPT_SIZE, argv[optind + 1]);
	return 0;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct create_args a = { .name = NULL };
	int err = parse_args(&a, argc, argv);

	if (!err && a.help)
		cmd_help(cmd);
	if (!err && (a.help || a.help_options))
		create_options_print();
	else if (!err)
		err = create_image(a.name, &a.opts, a.unsafe, NULL);
	if (err == QC_USAGE)
		cmd_usage(cmd);
	create_options_free(&a.opts);
	return err;
}

const struct command cmd_create = {
	.name = "create",
	.summary = "make an empty image",
	.help = help,
	.run = run,
};
