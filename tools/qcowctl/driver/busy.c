// SPDX-License-Identifier: GPL-2.0
/*
 * What keeps a device busy: mounts, swap, devices stacked on it, processes.
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

/**
 * struct part - the disk or one of its partitions
 * @name: "qcowN" or "qcowNpM"
 * @node: /dev/NAME
 * @sysfs: its directory
 * @dev: device number
 */
struct part {
	char *name;
	char *node;
	char *sysfs;
	dev_t dev;
};

struct parts {
	struct part *list;
	size_t nr;
};

static void parts_add(struct parts *parts, const char *name, char *sysfs)
{
	unsigned int major_nr = 0, minor_nr = 0;
	char *attr = qc_printf("%s/dev", sysfs);
	FILE *f = fopen(attr, "re");
	struct part *part;

	free(attr);
	if (!f || fscanf(f, "%u:%u", &major_nr, &minor_nr) != 2) {
		if (f)
			fclose(f);
		free(sysfs);
		return;
	}
	fclose(f);
	parts->list = qc_grow(parts->list, parts->nr + 1, sizeof(*parts->list));
	part = &parts->list[parts->nr++];
	part->name = qc_strdup(name);
	part->node = qc_printf("/dev/%s", name);
	part->sysfs = sysfs;
	part->dev = makedev(major_nr, minor_nr);
}

static void parts_find(struct parts *parts, u32 index)
{
	char *name = qc_printf(QCOW_DEVICE_PREFIX "%u", index);
	char *path = qc_printf("/sys/block/%s", name);
	DIR *dir = opendir(path);
	struct dirent *entry;

	parts_add(parts, name, qc_strdup(path));
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, name, strlen(name)))
			parts_add(parts, entry->d_name, qc_printf("%s/%s", path, entry->d_name));
	if (dir)
		closedir(dir);
	free(path);
	free(name);
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

static const struct part *by_dev(const struct parts *parts, dev_t dev)
{
	size_t i;

	for (i = 0; i < parts->nr; i++)
		if (parts->list[i].dev == dev)
			return &parts->list[i];
	return NULL;
}

/* By name: for btrfs, mountinfo has another device number. */
static const struct part *by_node(const struct parts *parts, const char *node)
{
	struct stat st;
	size_t i;

	for (i = 0; node && i < parts->nr; i++)
		if (!strcmp(parts->list[i].node, node))
			return &parts->list[i];
	if (node && *node == '/' && !stat(node, &st) && S_ISBLK(st.st_mode))
		return by_dev(parts, st.st_rdev);
	return NULL;
}

static void explain_mounts(const struct parts *parts)
{
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;

	while (table && iter && !mnt_table_next_fs(table, iter, &fs)) {
		const struct part *part = by_dev(parts, mnt_fs_get_devno(fs));

		if (!part)
			part = by_node(parts, mnt_fs_get_srcpath(fs));
		if (part)
			qc_fail(0, part->node, "is mounted on %s", mnt_fs_get_target(fs));
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
}

static void explain_swaps(const struct parts *parts)
{
	struct libmnt_table *table = mnt_new_table();
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;

	if (table && iter && !mnt_table_parse_swaps(table, NULL))
		while (!mnt_table_next_fs(table, iter, &fs)) {
			const struct part *part = by_node(parts, mnt_fs_get_source(fs));

			if (part)
				qc_fail(0, part->node, "is used as swap");
		}
	mnt_free_iter(iter);
	mnt_unref_table(table);
}

static void explain_holders(const struct part *part)
{
	char *path = qc_printf("%s/holders", part->sysfs);
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (*entry->d_name != '.')
			qc_fail(0, part->node, "is used by /dev/%s", entry->d_name);
	if (dir)
		closedir(dir);
	free(path);
}

static void print_process(const struct part *part, const char *pid)
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
	qc_fail(0, part->node, "is open in process %s (%s)", pid, comm);
}

/* Print one line for a process that has the device open. Return: whether it has. */
static bool explain_process(const struct parts *parts, const char *pid)
{
	char *path = qc_printf("/proc/%s/fd", pid);
	const struct part *part = NULL;
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (!part && dir && (entry = readdir(dir))) {
		struct stat st;

		if (!fstatat(dirfd(dir), entry->d_name, &st, 0) && S_ISBLK(st.st_mode))
			part = by_dev(parts, st.st_rdev);
	}
	if (dir)
		closedir(dir);
	free(path);
	if (part)
		print_process(part, pid);
	return part;
}

static void explain_processes(const struct parts *parts)
{
	unsigned int shown = 0;
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	while (dir && shown < MAX_PROCESSES && (entry = readdir(dir)))
		if (isdigit((unsigned char)*entry->d_name))
			shown += explain_process(parts, entry->d_name);
	if (dir)
		closedir(dir);
}

void busy_explain(u32 index)
{
	struct parts parts = { 0 };
	size_t i;

	parts_find(&parts, index);
	explain_mounts(&parts);
	explain_swaps(&parts);
	for (i = 0; i < parts.nr; i++)
		explain_holders(&parts.list[i]);
	explain_processes(&parts);
	parts_free(&parts);
}
