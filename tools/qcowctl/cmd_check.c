// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl check: verifies the metadata of an image that nobody writes to, and repairs it.
 */
#include <getopt.h>
#include <unistd.h>

#include "check.h"

static const char help[] =
	"Usage: qcowctl check [OPTION]... IMAGE\n"
	"Verify the metadata of an image. Needs neither root nor the driver; the image must\n"
	"not be attached read-write nor be in use by a virtual machine.\n"
	"\n"
	"  -r, --repair leaks|all     free leaked clusters, or repair all that can be;\n"
	"                             nobody else may have the image meanwhile\n"
	"      --output FORMAT        human (default) or json, as qemu-img check\n"
	"  -p, --progress             a progress bar on the terminal from the start on,\n"
	"                             not only when it takes long\n"
	"  -q, --quiet                print nothing, only end with a status\n"
	"  -h, --help                 this text\n"
	"\n"
	"Exit status, as qemu-img check: 0 nothing is wrong, 1 the check could not be\n"
	"completed, 2 the image is corrupt, 3 it has leaked clusters and nothing else,\n"
	"63 it is no QCOW image.\n";

enum {
	OPT_OUTPUT = 256,
};

static const struct option options[] = {
	{ "repair", required_argument, NULL, 'r' },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "progress", no_argument, NULL, 'p' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct check_args - the command line
 */
struct check_args {
	enum check_repair repair;
	bool json;
	bool progress;
	bool quiet;
	bool help;
};

static int parse_option(struct check_args *a, int opt)
{
	switch (opt) {
	case 'r':
		a->repair = !strcmp(optarg, "all") ? REPAIR_ALL : REPAIR_LEAKS;
		if (a->repair == REPAIR_LEAKS && strcmp(optarg, "leaks"))
			return qc_fail(QC_USAGE, "--repair", "'%s' is neither leaks nor all",
				       optarg);
		return 0;
	case OPT_OUTPUT:
		return qc_parse_output(optarg, &a->json);
	case 'p':
		a->progress = true;
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

static int parse_args(struct check_args *a, int argc, char **argv)
{
	int opt, err;

	while ((opt = getopt_long(argc, argv, "r:pqh", options, NULL)) != -1) {
		err = parse_option(a, opt);
		if (err)
			return err;
	}
	if (!a->help && argc - optind != 1)
		return qc_fail(QC_USAGE, "check", "one image is wanted, %d given", argc - optind);
	return 0;
}

static void note_bits(const struct check *c)
{
	u64 bits = c->img->h.incompatible;

	if (c->quiet)
		return;
	if (bits & QCOW_INCOMPAT_DIRTY)
		qc_warn(c->img->name, "the dirty bit is set: reference counts may be out of date");
	if (bits & QCOW_INCOMPAT_CORRUPT)
		qc_warn(c->img->name, "the corrupt bit is set");
}

static u64 less(u64 before, u64 after)
{
	return before > after ? before - after : 0;
}

static bool wants_repair(const struct check *c)
{
	if (c->repair == REPAIR_NONE || c->res.errors)
		return false;
	return c->res.corruptions || c->res.leaks;
}

/* Repair, and look again: the numbers are those of the image as it is now. */
static int repair(struct check *c)
{
	struct check_result before = c->res;
	u64 errors;
	int err;

	err = check_repair(c);
	errors = c->res.errors;
	if (err && !errors)
		check_error(c, err, "not all could be written");
	if (err)
		return err;
	if (check_reopen(c))
		return -1;
	err = check_run(c);
	c->res.corruptions_fixed = less(before.corruptions, c->res.corruptions);
	c->res.leaks_fixed = less(before.leaks, c->res.leaks);
	return err;
}

static int check_v2(struct check *c)
{
	int err;

	note_bits(c);
	err = check_run(c);
	if (!err && wants_repair(c))
		err = repair(c);
	if (!err && c->repair != REPAIR_NONE && !c->res.errors && !c->res.corruptions)
		err = check_mark_clean(c);
	return err;
}

static int exit_status(const struct check *c, int err)
{
	if (err || c->res.errors)
		return CHECK_FAILED;
	if (c->res.corruptions)
		return CHECK_CORRUPT;
	return c->res.leaks ? CHECK_LEAKS : CHECK_OK;
}

static int check(const struct check_args *a, const char *name)
{
	struct check c = {
		.repair = a->repair,
		.quiet = a->quiet,
		.progress = {
			.wanted = a->progress,
			.possible = !a->quiet && isatty(STDERR_FILENO),
		},
	};
	struct image img;
	int err, status;

	image_init(&img);
	c.img = &img;
	status = check_open(&c, name);
	if (!status) {
		err = img.h.version == 1 ? check_v1(&c) : check_v2(&c);
		status = exit_status(&c, err);
		if (!check_print(&c, a->json))
			status = CHECK_FAILED;
	}
	check_close(&c);
	return status;
}

static int run(const struct qc_command *cmd, int argc, char **argv)
{
	struct check_args a = { 0 };
	int err = parse_args(&a, argc, argv);

	if (err == QC_USAGE)
		return qc_usage(cmd);
	if (a.help)
		return qc_help(cmd);
	return check(&a, argv[optind]);
}

const struct qc_command qc_check = {
	.name = "check",
	.summary = "verify and repair an image",
	.help = help,
	.run = run,
};
