// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl bitmap: changes persistent dirty bitmaps, with the words of qemu-img bitmap.
 */
#include <getopt.h>

#include "bitmap/bitmap.h"
#include "cmd/cmd.h"
#include "driver/driver.h"

static const char help[] =
	"Usage: qcowctl bitmap ACTION... [OPTION]... IMAGE|DEVICE NAME\n"
	"Change a persistent dirty bitmap, which records what is written to an image, as QEMU\n"
	"has them. Several actions are carried out in their order. An image that is attached\n"
	"may be mounted and in use; else no other program may have it open, and neither root\n"
	"nor the driver is needed. What has changed shows qcowctl map.\n"
	"\n"
	"      --add                  there is a new bitmap of this name, which records\n"
	"      --remove               it goes away\n"
	"      --clear                nothing has changed\n"
	"      --enable               it records what is written from now on\n"
	"      --disable              it does not any more\n"
	"      --merge SOURCE         what bitmap SOURCE says has changed, it says, too\n"
	"  -g, --granularity SIZE     of --add: what a bit stands for (default: a cluster, but\n"
	"                             4K to 64K)\n"
	"  -b, --source-file FILE     of --merge: SOURCE is in this image; not of one that is\n"
	"                             attached\n"
	"  -F, --source-format FMT    its format: qcow2\n"
	"  -f, --format FMT           qcow2 or qcow: only if the image is that\n"
	"  -h, --help                 this text\n";

enum {
	OPT_ADD = 256,
	OPT_REMOVE,
	OPT_CLEAR,
	OPT_ENABLE,
	OPT_DISABLE,
	OPT_MERGE,
};

static const struct option options[] = {
	{ "add", no_argument, NULL, OPT_ADD },
	{ "remove", no_argument, NULL, OPT_REMOVE },
	{ "clear", no_argument, NULL, OPT_CLEAR },
	{ "enable", no_argument, NULL, OPT_ENABLE },
	{ "disable", no_argument, NULL, OPT_DISABLE },
	{ "merge", required_argument, NULL, OPT_MERGE },
	{ "granularity", required_argument, NULL, 'g' },
	{ "source-file", required_argument, NULL, 'b' },
	{ "format", required_argument, NULL, 'f' },
	{ "source-format", required_argument, NULL, 'F' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct bitmap_args - the command line
 * @what: device or image
 * @job: what is to become of the bitmap
 * @format: that the image has to have, or NULL
 * @has_source_format: that of the source file is stated
 * @help: print the help
 */
struct bitmap_args {
	const char *what;
	struct bitmap_job job;
	const char *format;
	bool has_source_format;
	bool help;
};

static int add_action(struct bitmap_args *a, enum qcow_bitmap_action verb, const char *source)
{
	struct bitmap_job *job = &a->job;

	job->actions = qc_grow(job->actions, job->nr + 1, sizeof(*job->actions));
	job->actions[job->nr++] = (struct bitmap_action){ .verb = verb, .source = source };
	return 0;
}

static int parse_option(struct bitmap_args *a, int opt)
{
	switch (opt) {
	case OPT_ADD:
		return add_action(a, QCOW_BITMAP_ADD, NULL);
	case OPT_REMOVE:
		return add_action(a, QCOW_BITMAP_REMOVE, NULL);
	case OPT_CLEAR:
		return add_action(a, QCOW_BITMAP_CLEAR, NULL);
	case OPT_ENABLE:
		return add_action(a, QCOW_BITMAP_ENABLE, NULL);
	case OPT_DISABLE:
		return add_action(a, QCOW_BITMAP_DISABLE, NULL);
	case OPT_MERGE:
		return add_action(a, QCOW_BITMAP_MERGE, optarg);
	case 'g':
		return qc_parse_some_size("--granularity", optarg, &a->job.granularity);
	case 'b':
		a->job.source_file = optarg;
		return 0;
	case 'f':
		return cmd_parse_format(optarg, &a->format);
	case 'F':
		a->has_source_format = true;
		if (!strcmp(optarg, "qcow2"))
			return 0;
		return qc_fail(QC_USAGE, "--source-format", "'%s' is not qcow2", optarg);
	case 'h':
		a->help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static bool has_action(const struct bitmap_job *job, enum qcow_bitmap_action verb)
{
	size_t i;

	for (i = 0; i < job->nr; i++)
		if (job->actions[i].verb == verb)
			return true;
	return false;
}

static int check_args(const struct bitmap_args *a)
{
	const struct bitmap_job *job = &a->job;

	if (!job->nr)
		return qc_fail(QC_USAGE, "bitmap",
			       "one of --add, --remove, --clear, --enable, --disable and --merge is wanted");
	if (job->granularity && !has_action(job, QCOW_BITMAP_ADD))
		return qc_fail(QC_USAGE, "--granularity", "only with --add");
	if (job->source_file && !has_action(job, QCOW_BITMAP_MERGE))
		return qc_fail(QC_USAGE, "--source-file", "only with --merge");
	if (a->has_source_format && !job->source_file)
		return qc_fail(QC_USAGE, "--source-format", "only with --source-file");
	if (!*job->name)
		return qc_fail(QC_USAGE, "bitmap", "the name is empty");
	if (strlen(job->name) > QCOW_MAX_BITMAP_TEXT)
		return qc_fail(QC_USAGE, "bitmap",
			       "the name has %zu bytes, at most %u are possible",
			       strlen(job->name), QCOW_MAX_BITMAP_TEXT);
	return 0;
}

static int parse_args(struct bitmap_args *a, int argc, char **argv)
{
	int opt, err = 0;

	while (!err && (opt = getopt_long(argc, argv, "f:g:b:F:h", options, NULL)) != -1)
		err = parse_option(a, opt);
	if (err || a->help)
		return err;
	if (argc - optind != 2)
		return qc_fail(QC_USAGE, "bitmap",
			       "an image and the name of a bitmap are wanted, %d words given",
			       argc - optind);
	a->what = argv[optind];
	a->job.name = argv[optind + 1];
	return check_args(a);
}

static int change(const struct bitmap_args *a)
{
	bool attached;
	u32 index;
	int err = cmd_check_format(a->what, a->format);

	if (!err)
		err = sysfs_find_attached(a->what, "have other bitmaps", &index, &attached);
	if (err)
		return err;
	return attached ? bitmap_change_attached(index, &a->job) :
			  bitmap_change(a->what, &a->job);
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct bitmap_args a = { 0 };
	int err = parse_args(&a, argc, argv);

	if (err == QC_USAGE)
		cmd_usage(cmd);
	else if (!err && a.help)
		cmd_help(cmd);
	else if (!err)
		err = change(&a);
	free(a.job.actions);
	return err;
}

const struct command cmd_bitmap = {
	.name = "bitmap",
	.summary = "add, remove, change persistent dirty bitmaps",
	.help = help,
	.run = run,
};
