// SPDX-License-Identifier: GPL-2.0
/*
 * Unmounts, and waits for the device to be gone: with the last close the driver has begun to
 * detach it, and only afterwards the image can be used by others, or attached again.
 */
#include <unistd.h>

#include <libmount.h>

#include "driver/driver.h"
#include "mount/mount.h"

#define MESSAGE_BYTES 1024

static int call_umount(const struct umount_request *u)
{
	struct libmnt_context *cxt = mnt_new_context();
	char text[MESSAGE_BYTES] = "";
	int ret, err = 0;

	if (!cxt)
		return qc_fail(QC_SYSTEM, u->dir, "out of memory");
	ret = mnt_context_set_target(cxt, u->dir);
	if (!ret && u->mount_ns)
		ret = mnt_context_set_target_ns(cxt, u->mount_ns);
	/* This is the helper. */
	mnt_context_disable_helpers(cxt, true);
	mnt_context_enable_lazy(cxt, u->lazy);
	mnt_context_enable_force(cxt, u->force);
	mnt_context_enable_rdonly_umount(cxt, u->read_only);
	mnt_context_disable_mtab(cxt, u->no_mtab);
	if (!ret)
		ret = mnt_context_umount(cxt);
	if (mnt_context_get_excode(cxt, ret, text, sizeof(text)) != MNT_EX_SUCCESS)
		err = qc_fail(QC_SYSTEM, u->dir, "cannot be unmounted: %s", text);
	mnt_free_context(cxt);
	return err;
}

int umount_dir(const struct umount_request *u)
{
	bool found = false;
	u32 index;
	int err, fd;

	if (!u->mount_ns) {
		char *node = mounted_node(u->dir, &index);

		found = node;
		free(node);
	}
	err = call_umount(u);
	if (err || !found)
		return err;
	fd = control_open(false);
	if (fd < 0)
		return -fd;
	err = control_wait(fd, index, QCOW_WAIT_DETACH);
	close(fd);
	return err;
}
