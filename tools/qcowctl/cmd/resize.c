// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl resize: another size for an attached image.
 */
#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "driver/driver.h"

static const char help[] =
	"Usage: qcowctl resize [OPTION]... [+|-]SIZE DEVICE|IMAGE\n"
	"Give a device and the image that is attached there another size. It may be mounted\n"
	"while it grows. What is new reads as zeros. Partitions and file systems stay as they\n"
	"are: growpart and resize2fs or xfs_growfs follow.\n"
	"\n"
	"      --shrink    SIZE may be less than now: the device must not be open, and nothing\n"
	"                  may be allocated in what goes\n"
	"  -q, --quiet     print nothing but errors\n"
	"  -h, --help      this text\n"
	"\n"
	"SIZE is in bytes, or with K, M, G, T, P, E (powers of 1024); with + or - it is added to\n"
	"the present size, or taken from it.\n";

enum {
	OPT_SHRINK = 256,
};

static const struct option options[] = {
	{ "shrink", no_argument, NULL, OPT_SHRINK },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct resize_args - the command line
 * @what: device or image
 * @bytes: the new size, or how much more or less
 * @sign: + or -: that; 0: the new size
 * @shrink: it may be less than now
 * @quiet: print nothing but errors
 * @help: print the help
 */
struct resize_args {
	const char *what;
	u64 bytes;
	char sign;
	bool shrink;
	bool quiet;
	bool help;
};

static int parse_size(struct resize_args *a, const char *text)
{
	int err;

	a->sign = *text == '+' || *text == '-' ? *text : 0;
	err = qc_parse_size(text + !!a->sign, &a->bytes);
	if (err == -ERANGE)
		return qc_fail(QC_USAGE, "resize", "size '%s' is too large", text);
	if (err)
		return qc_fail(QC_USAGE, "resize", "'%s' is no size, such as 10G or +512M", text);
	return 0;
}

/* A size with a minus in front is no option: its words are taken out of the way of getopt(). */
static bool is_size(const char *arg)
{
	return arg[0] == '-' && arg[1] >= '0' && arg[1] <= '9';
}

static int parse_option(struct resize_args *a, int opt)
{
	switch (opt) {
	case OPT_SHRINK:
		a->shrink = true;
		return 0;
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
	while (!err && (opt = getopt_long(argc, argv, "qh", options, NULL)) != -1)
		err = parse_option(a, opt);
	if (err || a->help)
		return err;
	if (argc - optind != (size ? 1 : 2))
		return qc_fail(QC_USAGE, "resize",
			       "a size and one device are wanted, %d words given",
			       argc - optind + !!size);
	if (!size)
		size = argv[optind++];
	a->what = argv[optind];
	return parse_size(a, size);
}

static int new_size(const struct resize_args *a, const char *name, u64 now, u64 *bytes)
{
	bool wrong = false;

	*bytes = a->bytes;
	if (a->sign == '+')
		wrong = __builtin_add_overflow(now, a->bytes, bytes);
	else if (a->sign == '-')
		wrong = __builtin_sub_overflow(now, a->bytes, bytes);
	if (wrong)
		return qc_fail(QC_USAGE, name, "has %llu bytes, and cannot have %llu %s", now,
			       a->bytes, a->sign == '+' ? "more" : "less");
	if (*bytes >= now || a->shrink)
		return 0;
	qc_fail(0, name, "new size %llu is less than the present one, %llu", *bytes, now);
	qc_hint("--shrink, if nothing that is in use is to go");
	return QC_USAGE;
}

static int resize_device(u32 index, const struct resize_args *a)
{
	char *name = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	u64 sectors = 0, bytes;
	int fd, err = 0;

	if (!sysfs_read_u64("", index, "size", &sectors))
		err = qc_fail(QC_NOT_FOUND, name, "no such device");
	if (!err)
		err = new_size(a, name, sectors * 512, &bytes);
	if (!err) {
		fd = control_open(false);
		err = fd < 0 ? -fd : control_resize(fd, index, bytes,
						    a->shrink ? QCOW_RESIZE_SHRINK : 0);
		if (fd >= 0)
			close(fd);
	}
	if (!err && !a->quiet)
		printf("%s: %llu bytes, %llu before\n", name, bytes, sectors * 512);
	free(name);
	return err;
}

static int resize(const struct resize_args *a)
{
	u32 *list;
	size_t nr;
	int err;

	err = sysfs_find("", a->what, &list, &nr);
	if (err == QC_NOT_FOUND && !access(a->what, F_OK))
		qc_hint("qcowctl attach: an image is resized while it is attached");
	if (!err && nr > 1)
		err = qc_fail(QC_UNSUPPORTED, a->what,
			      "is attached %zu times, read-only, and cannot be resized", nr);
	else if (!err)
		err = resize_device(list[0], a);
	free(list);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct resize_args a = { 0 };
	int err = parse_args(&a, argc, argv);

	if (err)
		return err == QC_USAGE ? cmd_usage(cmd) : err;
	if (a.help)
		return cmd_help(cmd);
	return resize(&a);
}

const struct command cmd_resize = {
	.name = "resize",
	.summary = "give an attached image another size",
	.help = help,
	.run = run,
};
