// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl resize: another size for an image, attached or not.
 */
#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "driver/driver.h"
#include "resize/resize.h"

static const char help[] =
	"Usage: qcowctl resize [OPTION]... [+|-]SIZE DEVICE|IMAGE\n"
	"Give an image another size. One that is attached may be mounted while it grows; else no\n"
	"other program may have it open, and neither root nor the driver is needed. What is new\n"
	"reads as zeros. Partitions and file systems stay as they are: growpart and resize2fs or\n"
	"xfs_growfs follow.\n"
	"\n"
	"  -f, --format FMT           qcow2 or qcow: only if it is that\n"
	"      --shrink               SIZE may be less than now: the device must not be open, and\n"
	"                             nothing may be allocated in what goes\n"
	"      --allow-backing NAME   of an image that is not attached: backing files may be in\n"
	"                             this directory too, or be this file or block device\n"
	"      --backing-format FMT   likewise: raw, qcow or qcow2, where an image states none\n"
	"  -q, --quiet                print nothing but errors\n"
	"  -h, --help                 this text\n"
	"\n"
	"SIZE is in bytes, or with K, M, G, T, P, E (powers of 1024: 1.5G); with + or - it is added to\n"
	"the present size, or taken from it.\n";

enum {
	OPT_SHRINK = 256,
	OPT_ALLOW_BACKING,
	OPT_BACKING_FORMAT,
};

static const struct option options[] = {
	{ "format", required_argument, NULL, 'f' },
	{ "shrink", no_argument, NULL, OPT_SHRINK },
	{ "allow-backing", required_argument, NULL, OPT_ALLOW_BACKING },
	{ "backing-format", required_argument, NULL, OPT_BACKING_FORMAT },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct resize_args - the command line
 * @what: device or image
 * @format: that the image has to have, or NULL
 * @size: which
 * @opts: for an image that is not attached
 * @quiet: print nothing but errors
 * @help: print the help
 */
struct resize_args {
	const char *what;
	const char *format;
	struct resize_size size;
	struct chain_options opts;
	bool quiet;
	bool help;
};

static int parse_size(struct resize_args *a, const char *text)
{
	a->size.sign = *text == '+' || *text == '-' ? *text : 0;
	return qc_parse_size("resize", text + !!a->size.sign, &a->size.bytes);
}

/* A size with a minus in front is no option: its words are taken out of the way of getopt(). */
static bool is_size(const char *arg)
{
	return arg[0] == '-' && arg[1] >= '0' && arg[1] <= '9';
}

static int parse_option(struct resize_args *a, int opt)
{
	switch (opt) {
	case 'f':
		return cmd_parse_format(optarg, &a->format);
	case OPT_SHRINK:
		a->size.shrink = true;
		return 0;
	case OPT_ALLOW_BACKING:
		return policy_allow(&a->opts.policy, optarg);
	case OPT_BACKING_FORMAT:
		return chain_set_backing_format(&a->opts, optarg);
	case 'q':
		a->quiet = true;
		return 0;
	case 'h':
		a->help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int parse_args(struct resize_args *a, int argc, char **argv)
{
	const char *size = NULL;
	int opt, err = 0, i, kept = 1;

	for (i = 1; i < argc; i++) {
		if (!size && is_size(argv[i]))
			size = argv[i];
		else
			argv[kept++] = argv[i];
	}
	argc = kept;
	while (!err && (opt = getopt_long(argc, argv, "f:qh", options, NULL)) != -1)
		err = parse_option(a, opt);
	if (err || a->help)
		return err;
	if (argc - optind != (size ? 1 : 2))
		return qc_fail(QC_USAGE, "resize",
			       "a size and one image are wanted, %d words given",
			       argc - optind + !!size);
	if (!size)
		size = argv[optind++];
	a->what = argv[optind];
	return parse_size(a, size);
}

static int resize_device(u32 index, const struct resize_args *a, u64 *from, u64 *to)
{
	char *name = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	u64 sectors;
	int fd, err = 0;

	if (!sysfs_read_u64("", index, "size", &sectors))
		err = qc_fail(QC_NOT_FOUND, name, "no such device");
	if (!err) {
		*from = sectors * 512;
		err = resize_new_size(&a->size, name, *from, to);
	}
	if (!err) {
		fd = control_open(false);
		err = fd < 0 ? -fd : control_resize(fd, index, *to,
						    a->size.shrink ? QCOW_RESIZE_SHRINK : 0);
		if (fd >= 0)
			close(fd);
	}
	/* One that lies beyond the end goes. */
	if (!err && *to < *from)
		settle_partitions(index);
	free(name);
	return err;
}

static int resize(struct resize_args *a)
{
	u64 from = 0, to = 0;
	bool attached;
	u32 index;
	int err = cmd_check_format(a->what, a->format);

	if (!err)
		err = sysfs_find_attached(a->what, "be resized", &index, &attached);
	if (!err && attached)
		err = resize_device(index, a, &from, &to);
	else if (!err)
		err = resize_image(a->what, &a->size, &a->opts, &from, &to);
	if (!err && !a->quiet)
		printf("%s: %llu bytes, %llu before\n", a->what, to, from);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct resize_args a = { 0 };
	int err = parse_args(&a, argc, argv);

	if (err == QC_USAGE)
		cmd_usage(cmd);
	else if (!err && a.help)
		cmd_help(cmd);
	else if (!err)
		err = resize(&a);
	chain_options_free(&a.opts);
	return err;
}

const struct command cmd_resize = {
	.name = "resize",
	.summary = "give an image another size",
	.help = help,
	.run = run,
};
