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

/* The device that is mounted there. */
static bool find_device(const struct umount_request *u, u32 *index)
{
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	char *dir = mnt_resolve_path(u->dir, NULL);
	struct libmnt_fs *fs = NULL;
	bool found;

	if (table && dir && !u->mount_ns)
		fs = mnt_table_find_target(table, dir, MNT_ITER_BACKWARD);
	found = fs && sysfs_parse_node(mnt_fs_get_srcpath(fs), index);
	free(dir);
	mnt_unref_table(table);
	return found;
}

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
	bool found;
	u32 index;
	int err, fd;

	found = find_device(u, &index);
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
