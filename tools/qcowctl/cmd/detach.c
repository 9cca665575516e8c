// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl detach: removes devices, or prints what keeps them busy; with --delete the image
 * files, too.
 *
 * What is deleted is found before the device is gone, which alone knows it, and looked at again
 * afterwards. All that can be refused is refused before anything is detached; but only then does
 * QEMU's lock tell whether something else has the file: another overlay, or a virtual machine.
 */
#include <getopt.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "driver/driver.h"
#include "image/image.h"

#define RETRY_MS	100
/* udev looks at a device that has been closed after writing: that is no use of it. */
#define UDEV_MS		500
#define MAX_WAIT_SEC	(24 * 60 * 60)

static const char help[] =
	"Usage: qcowctl detach [OPTION]... DEVICE|IMAGE...\n"
	"       qcowctl detach [OPTION]... --all\n"
	"Remove block devices that were made with attach. An image that is attached\n"
	"several times is detached everywhere.\n"
	"\n"
	"      --delete    then remove the image and its external data file\n"
	"      --wait SEC  while a device is busy, try again for so long\n"
	"      --lazy      a busy device goes away at its last close\n"
	"  -a, --all       every device\n"
	"  -h, --help      this text\n";

enum {
	OPT_DELETE = 256,
	OPT_WAIT,
	OPT_LAZY,
};

static const struct option options[] = {
	{ "delete", no_argument, NULL, OPT_DELETE },
	{ "wait", required_argument, NULL, OPT_WAIT },
	{ "lazy", no_argument, NULL, OPT_LAZY },
	{ "all", no_argument, NULL, 'a' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct detach_args - the command line
 */
struct detach_args {
	u32 wait_sec;
	u32 flags;
	bool delete;
	bool all;
	bool help;
};

static int parse_args(struct detach_args *a, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "ah", options, NULL)) != -1) {
		switch (opt) {
		case OPT_DELETE:
			a->delete = true;
			break;
		case OPT_WAIT:
			if (qc_parse_u32(optarg, MAX_WAIT_SEC, &a->wait_sec))
				return qc_fail(QC_USAGE, "--wait", "'%s' is no number of seconds",
					       optarg);
			break;
		case OPT_LAZY:
			a->flags |= QCOW_DETACH_LAZY;
			break;
		case 'a':
			a->all = true;
			break;
		case 'h':
			a->help = true;
			return 0;
		default:
			return QC_USAGE;
		}
	}
	if (a->delete && (a->all || a->flags & QCOW_DETACH_LAZY))
		return qc_fail(QC_USAGE, "detach", "--delete and %s exclude each other",
			       a->all ? "--all" : "--lazy");
	if (a->all && optind < argc)
		return qc_fail(QC_USAGE, "detach", "--all and '%s' exclude each other",
			       argv[optind]);
	if (!a->all && optind == argc)
		return qc_fail(QC_USAGE, "detach", "no device and no image given");
	return 0;
}

static bool time_left(const struct timespec *start, u32 max_ms)
{
	struct timespec now;
	s64 ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (s64)(now.tv_sec - start->tv_sec) * 1000 +
	     (now.tv_nsec - start->tv_nsec) / 1000000;
	return ms < max_ms;
}

static int detach_one(int fd, u32 index, const struct detach_args *a)
{
	struct timespec start, pause = { .tv_nsec = RETRY_MS * 1000000L };
	u32 max_ms = a->wait_sec ? a->wait_sec * 1000 : UDEV_MS;
	char *name, *job;
	int err;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		err = control_detach(fd, index, a->flags);
		if (err != QC_BUSY || !time_left(&start, max_ms))
			break;
		nanosleep(&pause, NULL);
	}
	if (err != QC_BUSY)
		return err;

	name = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	qc_fail(0, name, "is in use, not detached");
	job = sysfs_job("", index);
	if (job) {
		qc_fail(0, name, "%s is running on it", job);
		qc_hint("qcowctl job --cancel %s, --wait SEC, or --lazy", name);
	}
	busy_explain(index);
	if (!job)
		qc_hint("--wait SEC, or --lazy");
	free(job);
	free(name);
	return err;
}

static int detach_list(int fd, const u32 *list, size_t nr, const struct detach_args *a)
{
	int err, first = 0;
	size_t i;

	for (i = 0; i < nr; i++) {
		err = detach_one(fd, list[i], a);
		if (!first)
			first = err;
	}
	return first;
}

/* One argument, or all devices when there is none. The first failure is the result. */
static int detach_what(int fd, const char *what, const struct detach_args *a)
{
	struct doomed doomed;
	u32 *list;
	size_t nr;
	int err;

	doomed_init(&doomed);
	err = what ? sysfs_find("", what, &list, &nr) : sysfs_devices("", &list, &nr);
	if (!err && a->delete)
		err = doomed_open(&doomed, list, nr);
	if (!err) {
		err = detach_list(fd, list, nr, a);
		if (a->delete)
			err = doomed_delete(&doomed, err, "detached");
	}
	doomed_close(&doomed);
	free(list);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct detach_args a = { 0 };
	int fd, err, first = 0;

	err = parse_args(&a, argc, argv);
	if (err)
		return err == QC_USAGE ? cmd_usage(cmd) : err;
	if (a.help)
		return cmd_help(cmd);

	fd = control_open(false);
	if (fd < 0)
		return -fd;
	if (a.all)
		first = detach_what(fd, NULL, &a);
	for (; optind < argc; optind++) {
		err = detach_what(fd, argv[optind], &a);
		if (!first)
			first = err;
	}
	close(fd);
	return first;
}

const struct command cmd_detach = {
	.name = "detach",
	.summary = "remove a block device",
	.help = help,
	.run = run,
};
