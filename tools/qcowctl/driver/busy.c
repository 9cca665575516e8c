// SPDX-License-Identifier: GPL-2.0
/*
 * What keeps a device busy: mounts in any namespace, swap, devices stacked on it, loop devices,
 * images on it, processes; of devices that are stacked on it, too. Each with the command that ends
 * it, in an order in which those can be run.
 *
 * Nothing but what is in /dev is looked at: a name elsewhere may be on a file system whose server
 * does not answer, and who looks there waits for it.
 */
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <libmount.h>

#include "driver/driver.h"

#define MAX_PROCESSES 20
#define MAX_NAMESPACES 20

/**
 * struct part - the disk, one of its partitions, or what is stacked on one
 * @name: "qcowN" or "qcowNpM", or another device's
 * @node: /dev/NAME; of device-mapper /dev/mapper/NAME with the name that it is known by
 * @sysfs: its directory
 * @below: the part that it is stacked on, in the list; itself: on none
 * @dev: device number
 */
struct part {
	char *name;
	char *node;
	char *sysfs;
	size_t below;
	dev_t dev;
};

struct parts {
	struct part *list;
	size_t nr;
};

/* @path: its directory in sysfs; allocated. */
static char *node_of(const char *name, const char *path)
{
	char *attr = qc_printf("%s/dm/name", path), *known = sysfs_read_file(attr);
	char *node = known ? qc_printf("/dev/mapper/%s", known) : qc_printf("/dev/%s", name);

	free(known);
	free(attr);
	return node;
}

static const struct part *by_dev(const struct parts *parts, dev_t dev)
{
	size_t i;

	for (i = 0; i < parts->nr; i++)
		if (parts->list[i].dev == dev)
			return &parts->list[i];
	return NULL;
}

static int parts_add(const char *name, const char *path, void *data)
{
	struct parts *parts = data;
	unsigned int major_nr = 0, minor_nr = 0;
	char *attr = qc_printf("%s/dev", path);
	FILE *f = fopen(attr, "re");
	struct part *part;

	free(attr);
	if (!f || fscanf(f, "%u:%u", &major_nr, &minor_nr) != 2) {
		if (f)
			fclose(f);
		return 0;
	}
	fclose(f);
	/* Stacked on two of them. */
	if (by_dev(parts, makedev(major_nr, minor_nr)))
		return 0;
	parts->list = qc_grow(parts->list, parts->nr + 1, sizeof(*parts->list));
	part = &parts->list[parts->nr];
	part->below = parts->nr++;
	part->name = qc_strdup(name);
	part->node = node_of(name, path);
	part->sysfs = qc_strdup(path);
	part->dev = makedev(major_nr, minor_nr);
	return 0;
}

static void parts_free(struct parts *parts)
{
	while (parts->nr) {
		struct part *part = &parts->list[--parts->nr];

		free(part->name);
		free(part->node);
		free(part->sysfs);
	}
	free(parts->list);
}

static bool in_dev(const char *name)
{
	return !strncmp(name, "/dev/", 5);
}

/* By name: for btrfs, mountinfo has another device number. */
static const struct part *by_node(const struct parts *parts, const char *node)
{
	struct stat st;
	size_t i;

	for (i = 0; node && i < parts->nr; i++)
		if (!strcmp(parts->list[i].node, node))
			return &parts->list[i];
	if (node && in_dev(node) && !stat(node, &st) && S_ISBLK(st.st_mode))
		return by_dev(parts, st.st_rdev);
	return NULL;
}

/* The file system, not this mount of it. */
static bool is_read_only(struct libmnt_fs *fs)
{
	const char *options = mnt_fs_get_fs_options(fs);

	return options && !mnt_optstr_get_option(options, "ro", NULL, NULL);
}

/* "PID (COMMAND)", allocated. */
static char *process_name(const char *pid)
{
	char *path = qc_printf("/proc/%s/comm", pid);
	FILE *f = fopen(path, "re");
	char comm[64] = "?";

	if (f) {
		if (fgets(comm, sizeof(comm), f))
			comm[strcspn(comm, "\n")] = '\0';
		fclose(f);
	}
	free(path);
	return qc_printf("%s (%s)", pid, comm);
}

static void explain_mount(const struct part *part, const char *dir, const char *pid, bool written)
{
	char *name = pid ? process_name(pid) : NULL;

	qc_fail(0, part->node, "is mounted on %s%s%s%s", dir,
		written ? " and may be written to" : "",
		name ? " in the mount namespace of process " : "", name ? name : "");
	if (pid)
		qc_hint("umount --namespace %s %s", pid, dir);
	else
		qc_hint("umount %s", dir);
	free(name);
}

/*
 * Of the mount namespace of a process. @pid: NULL: this one; @written: only those that may be
 * written to. Return: lines printed.
 */
static unsigned int explain_mounts(const struct parts *parts, const char *pid, bool written)
{
	char *file = qc_printf("/proc/%s/mountinfo", pid ? pid : "self");
	struct libmnt_table *table = mnt_new_table_from_file(file);
	unsigned int shown = 0;
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;

	while (table && iter && !mnt_table_next_fs(table, iter, &fs)) {
		const struct part *part = by_dev(parts, mnt_fs_get_devno(fs));
		const char *type = mnt_fs_get_fstype(fs);

		/* The source of other file systems may be any text. */
		if (!part && type && !strcmp(type, "btrfs"))
			part = by_node(parts, mnt_fs_get_srcpath(fs));
		if (!part || (written && is_read_only(fs)))
			continue;
		explain_mount(part, mnt_fs_get_target(fs), pid, written);
		shown++;
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
	free(file);
	return shown;
}

static void explain_swaps(const struct parts *parts)
{
	struct libmnt_table *table = mnt_new_table();
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;

	if (table && iter && !mnt_table_parse_swaps(table, NULL))
		while (!mnt_table_next_fs(table, iter, &fs)) {
			const struct part *part = by_node(parts, mnt_fs_get_source(fs));

			if (part) {
				qc_fail(0, part->node, "is used as swap");
				qc_hint("swapoff %s", part->node);
			}
		}
	mnt_free_iter(iter);
	mnt_unref_table(table);
}

/* Add the devices that are stacked on one of the list. */
static void add_holders(struct parts *parts, size_t below)
{
	char *path = qc_printf("%s/holders", parts->list[below].sysfs);
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		size_t nr = parts->nr;
		char *holder;

		if (*entry->d_name == '.')
			continue;
		holder = qc_printf("/sys/class/block/%s", entry->d_name);
		parts_add(entry->d_name, holder, parts);
		if (parts->nr > nr)
			parts->list[nr].below = below;
		free(holder);
	}
	if (dir)
		closedir(dir);
	free(path);
}

/* How a device that is stacked on another goes away. */
static void hint_stacked(const struct part *part)
{
	char *attr = qc_printf("%s/dm/uuid", part->sysfs), *uuid = sysfs_read_file(attr);

	if (uuid && !strncmp(uuid, "LVM-", 4))
		qc_hint("lvchange --activate n %s", part->node);
	else if (uuid && !strncmp(uuid, "CRYPT-", 6))
		qc_hint("cryptsetup close %s", part->node);
	else if (uuid)
		qc_hint("dmsetup remove %s", part->node);
	else if (!strncmp(part->name, "md", 2))
		qc_hint("mdadm --stop %s", part->node);
	free(uuid);
	free(attr);
}

/* Those on top come first. */
static void explain_holders(const struct parts *parts)
{
	size_t i;

	for (i = parts->nr; i--;) {
		const struct part *part = &parts->list[i];

		if (part->below == i)
			continue;
		qc_fail(0, parts->list[part->below].node, "is used by %s", part->node);
		hint_stacked(part);
	}
}

/* A loop device keeps its file open in the kernel, where no process shows it. */
static void explain_loops(const struct parts *parts)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char *path = qc_printf("/sys/block/%s/loop/backing_file", entry->d_name);
		char *file = sysfs_read_file(path);
		const struct part *part = by_node(parts, file);

		if (part) {
			qc_fail(0, part->node, "is used by /dev/%s", entry->d_name);
			qc_hint("losetup --detach /dev/%s", entry->d_name);
		}
		free(file);
		free(path);
	}
	if (dir)
		closedir(dir);
}

/* So does another device of the driver. */
static void explain_images(const struct parts *parts)
{
	static const char *const attrs[] = { "qcow/image", "qcow/data_file", "qcow/backing" };
	size_t i, j, nr;
	u32 *list;

	if (sysfs_devices("", &list, &nr))
		nr = 0;
	for (i = 0; i < nr; i++) {
		for (j = 0; j < ARRAY_SIZE(attrs); j++) {
			char *file = sysfs_read("", list[i], attrs[j]);
			const struct part *part = by_node(parts, file);

			if (part) {
				qc_fail(0, part->node, "is used by /dev/" QCOW_DEVICE_PREFIX "%u",
					list[i]);
				qc_hint("qcowctl detach /dev/" QCOW_DEVICE_PREFIX "%u", list[i]);
			}
			free(file);
		}
	}
	free(list);
}

/* The device that a descriptor of a process is open on, or NULL. */
static const struct part *by_descriptor(const struct parts *parts, int dir, const char *fd)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(dir, fd, target, sizeof(target) - 1);
	struct stat st;

	if (len < 0)
		return NULL;
	target[len] = '\0';
	/* Not the name: in the process's mount namespace it may be another device's. */
	if (in_dev(target) && !fstatat(dir, fd, &st, 0) && S_ISBLK(st.st_mode))
		return by_dev(parts, st.st_rdev);
	return NULL;
}

/* Print one line for a process that has the device open. Return: whether it has. */
static bool explain_process(const struct parts *parts, const char *pid)
{
	char *path = qc_printf("/proc/%s/fd", pid), *name;
	const struct part *part = NULL;
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (!part && dir && (entry = readdir(dir)))
		part = by_descriptor(parts, dirfd(dir), entry->d_name);
	if (dir)
		closedir(dir);
	free(path);
	if (!part)
		return false;
	name = process_name(pid);
	qc_fail(0, part->node, "is open in process %s", name);
	qc_hint("kill %s", pid);
	free(name);
	return true;
}

/**
 * struct namespaces - mount namespaces that have been looked at
 * @list: their inode numbers
 * @nr: of them
 */
struct namespaces {
	ino_t *list;
	size_t nr;
};

/* Whether the mount namespace of a process is one that has not been looked at. */
static bool is_new(struct namespaces *seen, const char *pid)
{
	char *path = qc_printf("/proc/%s/ns/mnt", pid);
	struct stat st;
	bool fresh = !stat(path, &st);
	size_t i;

	free(path);
	for (i = 0; i < seen->nr && fresh; i++)
		fresh = seen->list[i] != st.st_ino;
	if (!fresh)
		return false;
	seen->list = qc_grow(seen->list, seen->nr + 1, sizeof(*seen->list));
	seen->list[seen->nr++] = st.st_ino;
	return true;
}

static void explain_processes(const struct parts *parts)
{
	unsigned int open = 0, mounts = 0;
	struct namespaces seen = { 0 };
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	is_new(&seen, "self");
	while (dir && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)*entry->d_name))
			continue;
		if (mounts < MAX_NAMESPACES && is_new(&seen, entry->d_name))
			mounts += explain_mounts(parts, entry->d_name, false);
		if (open < MAX_PROCESSES)
			open += explain_process(parts, entry->d_name);
	}
	if (dir)
		closedir(dir);
	free(seen.list);
}

int busy_check_mounts(u32 index)
{
	struct parts parts = { 0 };
	unsigned int nr;

	sysfs_each_node(index, parts_add, &parts);
	nr = explain_mounts(&parts, NULL, true);
	parts_free(&parts);
	return nr ? QC_BUSY : 0;
}

void busy_explain(u32 index)
{
	struct parts parts = { 0 };
	size_t i;

	sysfs_each_node(index, parts_add, &parts);
	for (i = 0; i < parts.nr; i++)
		add_holders(&parts, i);
	explain_mounts(&parts, NULL, false);
	explain_processes(&parts);
	explain_swaps(&parts);
	explain_loops(&parts);
	explain_images(&parts);
	explain_holders(&parts);
	parts_free(&parts);
}
