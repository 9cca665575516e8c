// SPDX-License-Identifier: GPL-2.0
/*
 * The files of an image that are removed: when no device has them any more, or this process alone.
 */
#include <errno.h>
#include <unistd.h>

#include "driver/driver.h"
#include "image/image.h"

/* Refuse a file that a device has which is not to be detached. @attr: how it would have it. */
static int check_others(const struct attached_file *file, const char *attr, const u32 *list,
			size_t nr)
{
	size_t i, others_nr;
	u32 *others;
	int err;

	if (file->fd < 0)
		return 0;
	err = sysfs_find_value("", attr, file->id, &others, &others_nr);
	for (i = 0; !err && i < others_nr; i++) {
		if (sysfs_list_has(list, nr, others[i]))
			continue;
		err = qc_fail(QC_BUSY, file->path, "/dev/" QCOW_DEVICE_PREFIX "%u has it, too",
			      others[i]);
	}
	free(others);
	return err;
}

void doomed_init(struct doomed *d)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(d->files); i++)
		attached_init(&d->files[i]);
}

void doomed_close(struct doomed *d)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(d->files); i++)
		attached_close(&d->files[i]);
}

int doomed_open(struct doomed *d, const u32 *list, size_t nr)
{
	size_t i;
	int err;

	err = attached_open(&d->files[0], list[0], "image", "deleted");
	if (!err)
		err = attached_open(&d->files[1], list[0], "data_file", "deleted");
	for (i = 0; !err && i < ARRAY_SIZE(d->files); i++) {
		err = check_others(&d->files[i], "qcow/image_id", list, nr);
		if (!err)
			err = check_others(&d->files[i], "qcow/data_file_id", list, nr);
	}
	return err;
}

int doomed_take(struct doomed *d, const struct image *img)
{
	int err = attached_take(&d->files[0], img->fd, img->name, "deleted");

	if (!err && img->data_fd >= 0)
		err = attached_take(&d->files[1], img->data_fd, img->data_path, "deleted");
	return err;
}

static int delete_file(const struct attached_file *file)
{
	int err = lock_file(file->fd, file->path, IMAGE_LOCK_WRITE);

	if (!err && !attached_check(file))
		err = qc_fail(QC_NOT_FOUND, file->path, "is another file by now");
	if (!err && unlinkat(file->dir, file->base, 0))
		err = qc_fail_errno(QC_SYSTEM, errno, file->path, "cannot remove");
	if (!err && file->st.st_nlink > 1)
		qc_warn(file->path, "is removed, but the file has another name, which stays");
	return err;
}

int doomed_delete(const struct doomed *d, int err, const char *done)
{
	bool is_done = !err;
	size_t i;

	/* The image first: without it the data file is of no use, or a raw image. */
	for (i = 0; i < ARRAY_SIZE(d->files); i++) {
		if (d->files[i].fd < 0)
			continue;
		if (!err)
			err = delete_file(&d->files[i]);
		if (err)
			qc_fail(0, d->files[i].path, "is %s%snot deleted", is_done ? done : "",
				is_done ? ", but " : "");
	}
	return err;
}
