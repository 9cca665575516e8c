// SPDX-License-Identifier: GPL-2.0
/*
 * What an attached image has, moved into its backing file. The driver copies, and makes the image
 * empty; it gets the backing file open and locked, to be written to. Space that is counted in the
 * empty image is given back here, or it is removed. Both are done only to the very file that the
 * driver has been told to make empty. On a raw backing file the device keeps the image.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "check/check.h"
#include "commit/commit.h"
#include "driver/driver.h"

/* @by: the image. */
static int open_base(struct chain *base, u32 index, const struct image *by,
		     const struct commit_options *opts)
{
	char *path = sysfs_read("", index, "qcow/backing");
	char *format = sysfs_read("", index, "qcow/backing_format");
	int err;

	if (!path || !*path || !format)
		err = qc_fail(QC_NOT_FOUND, "commit", "/dev/" QCOW_DEVICE_PREFIX
			      "%u has no backing file", index);
	else
		err = chain_open_attached(base, by, path, format, &opts->chain.policy);
	if (!err)
		err = lock_image(base->images, IMAGE_LOCK_REPLACE);
	free(format);
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

static void warn_plain(u32 index, const struct image *base)
{
	char *encryption = sysfs_read("", index, "qcow/encryption");

	if (encryption && strcmp(encryption, "none") && !image_is_encrypted(base))
		qc_warn(base->name,
			"is not encrypted: what is committed to it can be read without a key");
	free(encryption);
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

static int commit_device(u32 index, char *path, struct chain *base, struct doomed *doomed,
			 struct commit_options *opts)
{
	struct attached_file *top = &doomed->files[0];
	int err = open_top(doomed, index, path, opts->drop);

	if (!err)
		err = open_base(base, index, &(struct image){ .name = path, .st = top->st }, opts);
	if (err)
		return err;
	if (base->images->raw && opts->drop)
		return qc_fail(QC_UNSUPPORTED, path,
			       "stays in use on a raw backing file, and is not removed");
	warn_plain(index, base->images);
	err = call_driver(index, base->images, top->fd, opts);
	if (opts->drop)
		return doomed_delete(doomed, err, "committed");
	if (!err && !base->images->raw)
		empty_image(top, path);
	return err;
}

int commit_attached(const char *what, u32 index, struct commit_options *opts)
{
	char *path = sysfs_read("", index, "qcow/image");
	struct chain base = { 0 };
	struct doomed doomed;
	int err;

	doomed_init(&doomed);
	if (path)
		err = commit_device(index, path, &base, &doomed, opts);
	else
		err = qc_fail(QC_NOT_FOUND, what, "no such device");
	chain_close(&base);
	doomed_close(&doomed);
	free(path);
	return err;
}
