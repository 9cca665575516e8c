// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl job: what takes long on a device.
 */
#include <getopt.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "driver/driver.h"

static const char help[] =
	"Usage: qcowctl job [OPTION]... DEVICE|IMAGE\n"
	"Print what is running on a device that takes long, rebase or stream, and how much of it is\n"
	"done in per cent; nothing, when nothing is.\n"
	"\n"
	"      --cancel   have it end soon, and wait for that; the image is good, and the same\n"
	"                 command goes on later\n"
	"      --wait     wait until it has ended\n"
	"  -h, --help     this text\n";

enum {
	OPT_CANCEL = 256,
	OPT_WAIT,
};

static const struct option options[] = {
	{ "cancel", no_argument, NULL, OPT_CANCEL },
	{ "wait", no_argument, NULL, OPT_WAIT },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct job_args - the command line
 */
struct job_args {
	bool cancel;
	bool wait;
	bool help;
};

static int parse_args(struct job_args *a, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_CANCEL:
			a->cancel = true;
			break;
		case OPT_WAIT:
			a->wait = true;
			break;
		case 'h':
			a->help = true;
			return 0;
		default:
			return QC_USAGE;
		}
	}
	if (a->cancel && a->wait)
		return qc_fail(QC_USAGE, "job", "--cancel and --wait exclude each other");
	if (argc - optind != 1)
		return qc_fail(QC_USAGE, "job", "one device is wanted, %d given", argc - optind);
	return 0;
}

static void print_job(u32 index)
{
	char *job = sysfs_job("", index);

	if (job)
		puts(job);
	free(job);
}

static int call_driver(u32 index, u32 flags)
{
	int fd = control_open(false), err;

	if (fd < 0)
		return -fd;
	err = control_wait(fd, index, flags);
	close(fd);
	return err;
}

static int job(const struct job_args *a, const char *what)
{
	u32 *list;
	size_t i, nr;
	int err = sysfs_find("", what, &list, &nr);

	for (i = 0; i < nr && !err; i++) {
		if (a->cancel || a->wait)
			err = call_driver(list[i], a->cancel ? QCOW_WAIT_CANCEL : 0);
		else
			print_job(list[i]);
	}
	free(list);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct job_args a = { 0 };
	int err = parse_args(&a, argc, argv);

	if (err)
		return cmd_usage(cmd);
	return a.help ? cmd_help(cmd) : job(&a, argv[optind]);
}

const struct command cmd_job = {
	.name = "job",
	.summary = "show, cancel or wait for what takes long",
	.help = help,
	.run = run,
};
