// SPDX-License-Identifier: GPL-2.0
/*
 * What commands ask of an image before they look into it: whether it has the format that the user
 * named, and whether something else writes to it.
 */
#include <unistd.h>

#include "cmd/cmd.h"
#include "driver/driver.h"
#include "image/image.h"

int cmd_parse_format(const char *text, const char **format)
{
	if (strcmp(text, "qcow") && strcmp(text, "qcow2"))
		return qc_fail(QC_USAGE, "--format", "'%s' is neither qcow nor qcow2", text);
	*format = text;
	return 0;
}

int cmd_check_format(const char *what, const char *format)
{
	char *path = NULL;
	int err;

	if (!format)
		return 0;
	err = attached_path(what, &path);
	if (!err)
		err = image_check_format(path ? path : what, format);
	free(path);
	return err;
}

void cmd_note_writer(const struct image *img)
{
	bool attached = false;
	u32 index;

	/* Where there is no sysfs, as in a chroot, there are no devices. */
	if (!access("/sys/block", F_OK) && sysfs_find_image_writer(img->name, &index, &attached))
		return;
	if (attached)
		qc_warn(img->name, "is attached to be written to, as /dev/" QCOW_DEVICE_PREFIX
			"%u: the file may be behind", index);
	else if (lock_has_writer(img->fd))
		qc_warn(img->name,
			"another process may write to it: what is shown may be behind, or change");
}
