// SPDX-License-Identifier: GPL-2.0
/*
 * Mounts the file system in an image. The device is this process's until the file system is
 * mounted, and from the start one that goes away at its last close, as a loop device that mount(8)
 * sets up is: so whatever fails, and where a signal ends the command, nothing is left.
 *
 * A file system that the kernel refuses for a reason that is known, and with an option would not,
 * is mounted with that option; the user is told. What is known is in the table of remedies. Which
 * reason it was shows when it works: the kernel has no more than an error number for it.
 */
#include <errno.h>
#include <unistd.h>

#include <libmount.h>

#include "driver/driver.h"
#include "mount/mount.h"

/* The program that umount(8) calls: what is mounted here is to be unmounted by umount_dir(). */
#define UMOUNT_HELPER "uhelper=qcow2"

#define MESSAGE_BYTES 1024

/**
 * struct remedy - an option that helps
 * @type: of the file system
 * @err: errno of its mount
 * @option: the option
 * @why: what was wrong, when it has helped
 */
struct remedy {
	const char *type;
	int err;
	const char *option;
	const char *why;
};

static const char dirty[] =
	"it was in use, and its journal is not replayed: what was written last may be missing";

static const struct remedy remedies[] = {
	{ "xfs", EINVAL, "nouuid", "a file system with the same UUID is mounted already" },
	{ "xfs", EROFS, "norecovery", dirty },
	{ "ext3", EROFS, "noload", dirty },
	{ "ext4", EROFS, "noload", dirty },
	{ "btrfs", EIO, "rescue=nologreplay", dirty },
};

static int set_up(struct libmnt_context *cxt, const struct mount_request *m,
		  const struct file_system *fs, const char *options)
{
	int err = mnt_context_set_target(cxt, m->dir);

	if (!err && options)
		err = mnt_context_set_options(cxt, options);
	if (!err && m->mount_ns)
		err = mnt_context_set_target_ns(cxt, m->mount_ns);
	if (!err)
		err = mnt_context_set_optsmode(cxt, fs ? MNT_OMODE_NOTAB : MNT_OMODE_MTAB);
	if (!err && fs)
		err = mnt_context_set_source(cxt, fs->node);
	if (!err && fs)
		err = mnt_context_set_fstype(cxt, fs->type);
	if (!err && fs)
		err = mnt_context_append_options(cxt, UMOUNT_HELPER);
	if (!err && !fs)
		err = mnt_context_disable_helpers(cxt, true);
	mnt_context_enable_sloppy(cxt, m->sloppy);
	mnt_context_disable_mtab(cxt, m->no_mtab);
	return err;
}

/*
 * @fs: NULL: what is mounted there gets other options; @text: gets what is wrong, MESSAGE_BYTES.
 * Return: 0, -errno, or -ENOTRECOVERABLE: it has not come to a system call.
 */
static int call_mount(const struct mount_request *m, const struct file_system *fs,
		      const char *options, char *text)
{
	struct libmnt_context *cxt = mnt_new_context();
	int ret, err = 0;

	if (!cxt)
		return -ENOMEM;
	*text = '\0';
	ret = set_up(cxt, m, fs, options);
	if (!ret)
		ret = mnt_context_mount(cxt);
	if (mnt_context_get_excode(cxt, ret, text, MESSAGE_BYTES) != MNT_EX_SUCCESS) {
		err = mnt_context_syscall_called(cxt) ? -mnt_context_get_syscall_errno(cxt) : 0;
		if (!err)
			err = -ENOTRECOVERABLE;
	}
	mnt_free_context(cxt);
	return err;
}

static int report(const struct mount_request *m, const char *text)
{
	return qc_fail(QC_SYSTEM, m->attach.image, "cannot be mounted on %s: %s", m->dir,
		       *text ? text : "for a reason that libmount does not tell");
}

/* @tried: bits of those that have been tried. */
static const struct remedy *find_remedy(const char *type, int err, unsigned int tried)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(remedies); i++)
		if (!(tried & 1U << i) && remedies[i].err == -err &&
		    !strcmp(remedies[i].type, type))
			return &remedies[i];
	return NULL;
}

static void tell_remedies(const struct file_system *fs, unsigned int tried)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(remedies); i++)
		if (tried & 1U << i)
			qc_warn(fs->node, "mounted with %s: %s", remedies[i].option,
				remedies[i].why);
}

static int mount_file_system(const struct mount_request *m, const struct file_system *fs)
{
	char first[MESSAGE_BYTES] = "", text[MESSAGE_BYTES] = "";
	char *options = m->options ? qc_strdup(m->options) : NULL;
	unsigned int tried = 0;
	int err;

	while ((err = call_mount(m, fs, options, text))) {
		const struct remedy *remedy = find_remedy(fs->type, err, tried);

		if (!tried)
			memcpy(first, text, sizeof(first));
		if (!remedy || mnt_optstr_append_option(&options, remedy->option, NULL))
			break;
		tried |= 1U << (remedy - remedies);
	}
	free(options);
	if (err)
		return report(m, first);
	tell_remedies(fs, tried);
	if (m->verbose)
		printf("qcowctl: %s (%s) mounted on %s\n", fs->node, fs->type, m->dir);
	return 0;
}

static int mount_device(const struct mount_request *m, u32 index)
{
	struct file_system fs;
	int err = choose_file_system(&fs, m, index);

	if (!err)
		err = mount_file_system(m, &fs);
	file_system_free(&fs);
	return err;
}

static int mount_attached(const struct mount_request *m)
{
	u32 index = m->attach.arg.index;
	int err = mount_device(m, index), control;

	close(m->attach.held);
	if (!err)
		return 0;
	control = control_open(false);
	if (control >= 0) {
		control_wait(control, index, QCOW_WAIT_DETACH);
		close(control);
	}
	return err;
}

static bool has_value(u32 index, const char *attr, const char *wanted)
{
	char *value = sysfs_read("", index, attr);
	bool same = value && wanted && !strcmp(value, wanted);

	free(value);
	return same;
}

/* Whether the device has the image, or the overlay on it that is wanted. */
static bool has_image(const struct mount_request *m, u32 index)
{
	char *path = realpath(m->attach.image, NULL);
	char *overlay = m->attach.overlay ? realpath(m->attach.overlay, NULL) : NULL;
	bool found = false;
	u32 *list = NULL;
	size_t nr = 0;

	if (m->attach.wants_overlay)
		found = has_value(index, "qcow/backing", path) &&
			(!m->attach.overlay || has_value(index, "qcow/image", overlay));
	else if (!sysfs_lookup("", m->attach.image, &list, &nr))
		found = sysfs_list_has(list, nr, index);
	free(list);
	free(overlay);
	free(path);
	return found;
}

/* Whether it shows of that what is wanted. */
static bool has_state(const struct mount_request *m, u32 index, const char *node)
{
	bool read_only = m->attach.arg.flags & QCOW_ATTACH_READ_ONLY;
	const char *snapshot = m->attach.snapshot;
	char *part = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%up%u", index, m->partition);
	bool same = !m->partition || !strcmp(node, part);

	free(part);
	if (snapshot)
		same &= has_value(index, "qcow/snapshot_id", snapshot) ||
			has_value(index, "qcow/snapshot_name", snapshot);
	else
		same &= has_value(index, "qcow/snapshot_id", "");
	return same && has_value(index, "ro", read_only ? "1" : "0");
}

char *mounted_node(const char *dir, u32 *index)
{
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	char *path = mnt_resolve_path(dir, NULL), *node = NULL;
	struct libmnt_fs *fs = NULL;

	if (table && path)
		fs = mnt_table_find_target(table, path, MNT_ITER_BACKWARD);
	if (fs && sysfs_parse_node(mnt_fs_get_srcpath(fs), index))
		node = qc_strdup(mnt_fs_get_srcpath(fs));
	free(path);
	mnt_unref_table(table);
	return node;
}

/* Whether what is mounted there is what is wanted: then mount -a has been there before. */
static bool is_mounted_there(const struct mount_request *m)
{
	u32 index;
	char *node = mounted_node(m->dir, &index);
	bool found = node && has_image(m, index) && has_state(m, index, node);

	free(node);
	return found;
}

int mount_image(struct mount_request *m)
{
	char text[MESSAGE_BYTES];
	int err;

	if (m->remount)
		return call_mount(m, NULL, m->options, text) ? report(m, text) : 0;
	if (!m->mount_ns && is_mounted_there(m)) {
		if (m->verbose)
			printf("qcowctl: %s is mounted on %s already\n", m->attach.image, m->dir);
		return 0;
	}
	if (m->nofail && access(m->attach.image, F_OK) && errno == ENOENT)
		return 0;
	m->attach.autoclear = true;
	err = attach_image(&m->attach);
	return err ? err : mount_attached(m);
}
