// SPDX-License-Identifier: GPL-2.0
/*
 * An attached image. The driver moves what it has; that it can trust the counts is checked before.
 */
#include <unistd.h>

#include "check/check.h"
#include "compact/internal.h"
#include "driver/driver.h"

/* What a count says is free is given to the host, and would be lost if it were wrong. */
static int check_device(const char *device, u32 index, u64 rate)
{
	const struct check_options options = { .quiet = true, .rate = rate };
	char *job;

	switch (check_image(device, &options)) {
	case CHECK_OK:
	case CHECK_LEAKS:
		return 0;
	case CHECK_CORRUPT:
		qc_fail(0, device, "is corrupt");
		qc_hint("qcowctl check %s", device);
		return QC_BAD_IMAGE;
	default:
		job = sysfs_job("", index);
		free(job);
		return job ? QC_BUSY : QC_SYSTEM;
	}
}

static int call_driver(u32 index, struct compact_options *opts)
{
	int fd = control_open(false), err;
	struct job_watch watch;

	if (fd < 0)
		return -fd;
	job_watch(&watch, index, &opts->progress, "compact");
	err = control_compact(fd, index, opts->progress.rate, &watch);
	close(fd);
	return err;
}

int compact_attached(const char *what, u32 index, struct compact_options *opts)
{
	char *device, *path;
	struct stat old, new;
	bool known;
	int err;

	if (opts->compress) {
		qc_fail(0, what, "is attached: it cannot be compressed now");
		qc_hint("detach it, or attach it with --compress: then what is written is");
		return QC_BUSY;
	}
	device = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	path = sysfs_read("", index, "qcow/image");
	known = path && !stat(path, &old);
	err = check_device(device, index, opts->progress.rate);
	if (!err)
		err = call_driver(index, opts);
	/* The image may be somewhere else for the one who attached it. */
	if (!err && known && !stat(path, &new) && compact_prints(opts))
		compact_print(what, &old, &new);
	free(path);
	free(device);
	return err;
}
