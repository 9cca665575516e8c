// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl snapshot: lists, creates, applies and deletes internal snapshots.
 */
#include <getopt.h>

#include "cmd/cmd.h"
#include "snapshot/snapshot.h"

static const char help[] =
	"Usage: qcowctl snapshot -l [--output FORMAT] IMAGE\n"
	"       qcowctl snapshot -c|-a|-d SNAPSHOT IMAGE\n"
	"List or change the internal snapshots of an image. Needs neither root nor the\n"
	"driver; to change them, no other program may have the image open.\n"
	"\n"
	"  -l, --list             list them\n"
	"  -c, --create NAME      the present state becomes a snapshot with this name\n"
	"  -a, --apply ID|NAME    the state of the snapshot becomes the present one; what is\n"
	"                         in the image now is lost unless a snapshot has it\n"
	"  -d, --delete NAME|ID   the snapshot goes away\n"
	"      --output FORMAT    of -l: human (default) or json\n"
	"  -q, --quiet            print nothing when all is well, as always\n"
	"  -h, --help             this text\n";

enum {
	OPT_OUTPUT = 256,
};

static const struct option options[] = {
	{ "list", no_argument, NULL, 'l' },
	{ "create", required_argument, NULL, 'c' },
	{ "apply", required_argument, NULL, 'a' },
	{ "delete", required_argument, NULL, 'd' },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct snapshot_args - the command line
 * @action: letter of -l, -c, -a or -d; 0: none
 * @what: argument of the action
 * @output: --output was given
 * @json: with json
 * @help: print the help
 */
struct snapshot_args {
	int action;
	const char *what;
	bool output;
	bool json;
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

	while ((opt = getopt_long(argc, argv, "lc:a:d:qh", options, NULL)) != -1) {
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
	if (argc - optind != 1)
		return qc_fail(QC_USAGE, "snapshot", "one image is wanted, %d given",
			       argc - optind);
	return 0;
}

static int change_image(const struct snapshot_args *a, const char *name)
{
	enum snapshot_verb verb = a->action == 'c' ? SNAPSHOT_CREATE :
				  a->action == 'a' ? SNAPSHOT_APPLY : SNAPSHOT_DELETE;

	return snapshot_change(name, verb, a->what);
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
	if (a.action == 'l')
		return snapshot_list(argv[optind], a.json);
	return change_image(&a, argv[optind]);
}

const struct command cmd_snapshot = {
	.name = "snapshot",
	.summary = "list, create, apply, delete internal snapshots",
	.help = help,
	.run = run,
};
