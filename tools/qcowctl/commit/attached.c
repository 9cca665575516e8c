// SPDX-License-Identifier: GPL-2.0
/*
 * What an attached image has, moved into its backing file. The driver copies, and makes the image
 * empty; it gets the backing file open and locked, to be written to. Space that is counted in the
 * empty image is given back here, or it is removed. Both are done only to the very file that the
 * driver has been told to make empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "check/check.h"
#include "commit/commit.h"
#include "driver/driver.h"

/* The backing file, alone. */
static int open_base(struct chain *base, u32 index, const struct commit_options *opts)
{
	const struct chain_options options = {
		.policy = opts->chain.policy, .top_only = true, .write = true,
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
		qc_hint("into a raw one: qcowctl commit, once it is detached");
	if (!err)
		err = lock_image(base->images, IMAGE_LOCK_REPLACE);
	free(path);
	return err;
}

static int call_driver(u32 index, const struct image *base, int top_fd,
		       struct commit_options *opts)
{
	int fd = control_open(false), err;
	struct job_watch watch;

	if (fd < 0)
		return -fd;
	job_watch(&watch, index, &opts->progress, "commit");
	err = control_commit_backing(fd, index, base, top_fd, opts->progress.rate, &watch);
	close(fd);
	return err;
}

/* The image, and with it what is removed. */
static int open_top(struct doomed *d, u32 index, const char *path, bool drop)
{
	struct attached_file *top = &d->files[0];

	if (drop)
		return doomed_open(d, &index, 1);
	if (stat(path, &top->st) || !S_ISBLK(top->st.st_mode))
		return attached_open(top, index, "image", "made empty");
	top->fd = open(path, O_RDONLY | O_CLOEXEC);
	return top->fd < 0 ? qc_fail_errno(QC_SYSTEM, errno, path, "cannot open") : 0;
}

/* Its tables say that it has nothing; what is still counted is leaked. */
static void empty_image(const struct attached_file *top, const char *path)
{
	const struct check_options options = { .repair = REPAIR_LEAKS, .quiet = true };

	if (!S_ISBLK(top->st.st_mode) && attached_check(top) &&
	    check_image(path, &options) == CHECK_OK)
		return;
	qc_warn(path, "is empty, and holds the space that it had");
	qc_hint("qcowctl check -r leaks, or remove it");
}

static int commit_device(u32 index, const char *path, const struct chain *base,
			 struct commit_options *opts)
{
	struct doomed doomed;
	int err;

	doomed_init(&doomed);
	err = open_top(&doomed, index, path, opts->drop);
	if (!err)
		err = call_driver(index, base->images, doomed.files[0].fd, opts);
	if (!err && opts->drop)
		err = doomed_delete(&doomed, 0, "committed");
	else if (!err)
		empty_image(&doomed.files[0], path);
	doomed_close(&doomed);
	return err;
}

int commit_attached(const char *what, u32 index, struct commit_options *opts)
{
	char *path = sysfs_read("", index, "qcow/image");
	struct chain base = { 0 };
	int err = 0;

	if (!path)
		err = qc_fail(QC_NOT_FOUND, what, "no such device");
	if (!err)
		err = open_base(&base, index, opts);
	if (!err)
		err = commit_device(index, path, &base, opts);
	chain_close(&base);
	free(path);
	return err;
}
