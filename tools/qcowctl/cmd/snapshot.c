// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl snapshot: lists, creates, applies and deletes internal snapshots.
 */
#include <getopt.h>
#include <sys/stat.h>

#include "cmd/cmd.h"
#include "driver/driver.h"
#include "snapshot/snapshot.h"

static const char help[] =
	"Usage: qcowctl snapshot -l [--output FORMAT] IMAGE|DEVICE\n"
	"       qcowctl snapshot -c|-a|-d SNAPSHOT IMAGE|DEVICE\n"
	"List or change the internal snapshots of an image. One that is attached may be\n"
	"mounted and in use; else no other program may have it open, and neither root\n"
	"nor the driver is needed.\n"
	"\n"
	"  -l, --list             list them\n"
	"  -c, --create NAME      the present state becomes a snapshot with this name\n"
	"  -a, --apply ID|NAME    the state of the snapshot becomes the present one; what is\n"
	"                         in the image now is lost unless a snapshot has it\n"
	"  -d, --delete NAME|ID   the snapshot goes away\n"
	"      --force            -a of an attached image: though it is in use\n"
	"      --no-freeze        -c of an attached image: do not freeze its file systems\n"
	"      --output FORMAT    of -l: human (default) or json\n"
	"  -f, --format FMT       qcow2 or qcow: only if the image is that\n"
	"  -U, --force-share      of -l: also while others write to it, as always\n"
	"  -q, --quiet            print nothing when all is well, as always\n"
	"  -h, --help             this text\n";

enum {
	OPT_OUTPUT = 256,
	OPT_FORCE,
	OPT_NO_FREEZE,
};

static const struct option options[] = {
	{ "list", no_argument, NULL, 'l' },
	{ "create", required_argument, NULL, 'c' },
	{ "apply", required_argument, NULL, 'a' },
	{ "delete", required_argument, NULL, 'd' },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "no-freeze", no_argument, NULL, OPT_NO_FREEZE },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "format", required_argument, NULL, 'f' },
	{ "force-share", no_argument, NULL, 'U' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct snapshot_args - the command line
 * @action: letter of -l, -c, -a or -d; 0: none
 * @what: argument of the action
 * @format: that the image has to have, or NULL
 * @force_share: --force-share was given
 * @output: --output was given
 * @json: with json
 * @opts: for an attached image
 * @help: print the help
 */
struct snapshot_args {
	int action;
	const char *what;
	const char *format;
	bool force_share;
	bool output;
	bool json;
	struct snapshot_options opts;
	bool help;
};

static int parse_option(struct snapshot_args *a, int opt)
{
	switch (opt) {
	case 'l':
	case 'c':
	case 'a':
	case 'd':
		if (a->action)
			return qc_fail(QC_USAGE, "snapshot", "-%c and -%c exclude each other",
				       a->action, opt);
		a->action = opt;
		a->what = optarg;
		return 0;
	case OPT_OUTPUT:
		a->output = true;
		return cmd_parse_output(optarg, &a->json);
	case OPT_FORCE:
		a->opts.force = true;
		return 0;
	case OPT_NO_FREEZE:
		a->opts.no_freeze = true;
		return 0;
	case 'f':
		return cmd_parse_format(optarg, &a->format);
	case 'U':
		a->force_share = true;
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

static int parse_args(struct snapshot_args *a, int argc, char **argv)
{
	int opt, err;

	while ((opt = getopt_long(argc, argv, "lc:a:d:f:Uqh", options, NULL)) != -1) {
		err = parse_option(a, opt);
		if (err)
			return err;
	}
	if (a->help)
		return 0;
	if (!a->action)
		return qc_fail(QC_USAGE, "snapshot", "one of -l, -c, -a and -d is wanted");
	if (a->output && a->action != 'l')
		return qc_fail(QC_USAGE, "--output", "only with -l");
	if (a->force_share && a->action != 'l')
		return qc_fail(QC_USAGE, "--force-share", "only with -l");
	if (a->opts.force && a->action != 'a')
		return qc_fail(QC_USAGE, "--force", "only with -a");
	if (a->opts.no_freeze && a->action != 'c')
		return qc_fail(QC_USAGE, "--no-freeze", "only with -c");
	return cmd_check_one_image("snapshot", argc);
}

static int change_image(const struct snapshot_args *a, const char *name)
{
	enum snapshot_verb verb = a->action == 'c' ? SNAPSHOT_CREATE :
				  a->action == 'a' ? SNAPSHOT_APPLY : SNAPSHOT_DELETE;

	bool attached;
	u32 index;
	int err = sysfs_find_writer(name, &index, &attached);

	if (err)
		return err;
	return attached ? snapshot_change_attached(index, verb, a->what, &a->opts) :
			  snapshot_change(name, verb, a->what);
}

static int list(const struct snapshot_args *a, const char *name)
{
	char *path;
	int err = attached_path(name, &path);

	if (!err)
		err = snapshot_list(path ? path : name, a->json);
	free(path);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct snapshot_args a = { 0 };
	int err = parse_args(&a, argc, argv);

	if (err == QC_USAGE)
		return cmd_usage(cmd);
	if (err)
		return err;
	if (a.help)
		return cmd_help(cmd);
	err = cmd_check_format(argv[optind], a.format);
	if (err)
		return err;
	if (a.action == 'l')
		return list(&a, argv[optind]);
	return change_image(&a, argv[optind]);
}

const struct command cmd_snapshot = {
	.name = "snapshot",
	.summary = "list, create, apply, delete internal snapshots",
	.help = help,
	.run = run,
};
