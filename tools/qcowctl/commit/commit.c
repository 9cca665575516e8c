// SPDX-License-Identifier: GPL-2.0
/*
 * What an attached image has, moved into its backing file. The driver copies, and makes the image
 * empty; it gets the backing file open and locked, to be written to. What the empty image holds of
 * space is given back here, or it is removed.
 */
#include <unistd.h>

#include "check/check.h"
#include "commit/commit.h"
#include "driver/driver.h"

static int find_device(const char *what, u32 *index)
{
	bool found;
	int err = sysfs_find_writer(what, index, &found);

	if (err || found)
		return err;
	err = qc_fail(QC_NOT_FOUND, what, "is no device, and not attached to be written to");
	qc_hint("qcowctl attach it; a detached image: qemu-img commit");
	return err;
}

/* The backing file, alone. */
static int open_base(struct chain *base, u32 index, const struct commit_options *opts)
{
	const struct chain_options options = {
		.policy = opts->policy, .top_only = true, .write = true,
	};
	char *path = sysfs_read("", index, "qcow/backing");
	int err;

	if (!path || !*path) {
		free(path);
		return qc_fail(QC_NOT_FOUND, "commit", "/dev/" QCOW_DEVICE_PREFIX
			       "%u has no backing file", index);
	}
	err = chain_open(base, path, &options);
	if (err == QC_NOT_QCOW)
		qc_hint("into a raw one: qemu-img commit, once it is detached");
	if (!err)
		err = lock_image(base->images, IMAGE_LOCK_REPLACE);
	free(path);
	return err;
}

static int call_driver(u32 index, const struct chain *base, struct commit_options *opts)
{
	int fd = control_open(false), err;
	struct job_watch watch;

	if (fd < 0)
		return -fd;
	job_watch(&watch, index, &opts->progress, "commit");
	err = control_commit_backing(fd, index, base->images, opts->progress.rate, &watch);
	close(fd);
	return err;
}

/* Its tables say that it has nothing; what still counts is leaked. */
static void empty_image(const char *path)
{
	const struct check_options options = { .repair = REPAIR_LEAKS, .quiet = true };

	if (check_image(path, &options) == CHECK_OK)
		return;
	qc_warn(path, "is empty, and holds the space that it had");
	qc_hint("qcowctl check -r leaks, or remove it");
}

static int commit_device(u32 index, const char *path, const struct chain *base,
			 struct commit_options *opts)
{
	struct doomed doomed;
	int err = 0;

	doomed_init(&doomed);
	if (opts->drop)
		err = doomed_open(&doomed, &index, 1);
	if (!err)
		err = call_driver(index, base, opts);
	if (!err && opts->drop)
		err = doomed_delete(&doomed, 0, "committed");
	else if (!err)
		empty_image(path);
	doomed_close(&doomed);
	return err;
}

int commit(const char *what, struct commit_options *opts)
{
	struct chain base = { 0 };
	char *path = NULL;
	u32 index;
	int err = find_device(what, &index);

	if (!err)
		path = sysfs_read("", index, "qcow/image");
	if (!err && !path)
		err = qc_fail(QC_NOT_FOUND, what, "no such device");
	if (!err)
		err = open_base(&base, index, opts);
	if (!err)
		err = commit_device(index, path, &base, opts);
	chain_close(&base);
	free(path);
	return err;
}
