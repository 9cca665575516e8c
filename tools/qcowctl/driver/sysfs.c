// SPDX-License-Identifier: GPL-2.0
/*
 * What the driver shows in sysfs, and which devices an argument of the user stands for.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "driver/driver.h"

static void append(u32 **list, size_t *nr, u32 index)
{
	*list = qc_grow(*list, *nr + 1, sizeof(**list));
	(*list)[(*nr)++] = index;
}

static int by_number(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return (x > y) - (x < y);
}

bool sysfs_parse_name(const char *text, u32 *index)
{
	if (!strncmp(text, "/dev/", 5))
		text += 5;
	if (strncmp(text, QCOW_DEVICE_PREFIX, strlen(QCOW_DEVICE_PREFIX)))
		return false;
	return !qc_parse_u32(text + strlen(QCOW_DEVICE_PREFIX), QCOW_INDEX_ANY - 1, index);
}

bool sysfs_list_has(const u32 *list, size_t nr, u32 index)
{
	while (nr)
		if (list[--nr] == index)
			return true;
	return false;
}

bool sysfs_parse_node(const char *node, u32 *index)
{
	int len = 0;

	return node && sscanf(node, "/dev/" QCOW_DEVICE_PREFIX "%u%n", index, &len) == 1 &&
	       (!node[len] || node[len] == 'p');
}

int sysfs_devices(const char *root, u32 **list, size_t *nr)
{
	char *path = qc_printf("%s/sys/block", root);
	DIR *dir = opendir(path);
	struct dirent *entry;
	u32 index;

	*list = NULL;
	*nr = 0;
	if (!dir) {
		int err = errno;

		qc_fail_errno(0, err, path, "cannot open");
		free(path);
		return QC_SYSTEM;
	}
	while ((entry = readdir(dir))) {
		if (sysfs_parse_name(entry->d_name, &index))
			append(list, nr, index);
	}
	closedir(dir);
	free(path);
	if (*nr)
		qsort(*list, *nr, sizeof(**list), by_number);
	return 0;
}

/* Partitions are directories in that of the disk which begin with its name. */
static int each_partition(const char *name, const char *path,
			  int (*func)(const char *name, const char *path, void *data), void *data)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int ret = 0;

	if (!dir)
		return -errno;
	while (!ret && (entry = readdir(dir))) {
		char *part;

		if (strncmp(entry->d_name, name, strlen(name)))
			continue;
		part = qc_printf("%s/%s", path, entry->d_name);
		ret = func(entry->d_name, part, data);
		free(part);
	}
	closedir(dir);
	return ret;
}

int sysfs_each_node(u32 index, int (*func)(const char *name, const char *path, void *data),
		    void *data)
{
	char *name = qc_printf(QCOW_DEVICE_PREFIX "%u", index);
	char *path = qc_printf("/sys/block/%s", name);
	int ret = func(name, path, data);

	if (!ret)
		ret = each_partition(name, path, func, data);
	free(path);
	free(name);
	return ret;
}

char *sysfs_read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0, room = 0;
	char *text = NULL;
	ssize_t got;

	if (fd < 0)
		return NULL;
	do {
		room += PATH_MAX;
		text = qc_grow(text, room + 1, 1);
		got = read(fd, text + len, room - len);
		len += got > 0 ? got : 0;
	} while (got > 0);
	close(fd);
	if (got < 0) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	if (len && text[len - 1] == '\n')
		text[len - 1] = '\0';
	return text;
}

char *sysfs_read(const char *root, u32 index, const char *attr)
{
	char *path = qc_printf("%s/sys/block/" QCOW_DEVICE_PREFIX "%u/%s", root, index, attr);
	char *text = sysfs_read_file(path);

	free(path);
	return text;
}

bool sysfs_read_u64(const char *root, u32 index, const char *attr, u64 *value)
{
	char *text = sysfs_read(root, index, attr);
	bool ok = text && !qc_parse_u64(text, U64_MAX, value);

	free(text);
	return ok;
}

bool sysfs_job_progress(const char *root, u32 index, u64 *done, u64 *total)
{
	return sysfs_read_u64(root, index, "qcow/job_total", total) && *total &&
	       sysfs_read_u64(root, index, "qcow/job_done", done);
}

char *sysfs_job(const char *root, u32 index)
{
	char *job = sysfs_read(root, index, "qcow/job"), *text = NULL;
	u64 done, total;

	if (job && *job && sysfs_job_progress(root, index, &done, &total))
		text = qc_printf("%s %u%%", job, (u32)((double)done * 100 / total));
	free(job);
	return text;
}

/* By device number: the node may have another name, or be that of a partition. */
static int find_by_node(const char *root, const char *what, const struct stat *st, u32 **list,
			size_t *nr)
{
	char *path = qc_printf("%s/sys/dev/block/%u:%u", root, major(st->st_rdev),
			       minor(st->st_rdev));
	char real[PATH_MAX], *slash;
	bool known = realpath(path, real);
	u32 index;

	free(path);
	if (!known)
		return 0;
	slash = strrchr(real, '/');
	if (sysfs_parse_name(slash + 1, &index)) {
		append(list, nr, index);
		return 0;
	}
	*slash = '\0';
	slash = strrchr(real, '/');
	if (slash && sysfs_parse_name(slash + 1, &index))
		return qc_fail(QC_NOT_FOUND, what, "is a partition of /dev/"
			       QCOW_DEVICE_PREFIX "%u", index);
	return 0;
}

char *sysfs_file_id(const struct stat *st)
{
	if (S_ISBLK(st->st_mode))
		return qc_printf("%u:%u", major(st->st_rdev), minor(st->st_rdev));
	return qc_printf("%u:%u:%llu", major(st->st_dev), minor(st->st_dev),
			 (unsigned long long)st->st_ino);
}

int sysfs_find_value(const char *root, const char *attr, const char *value, u32 **list,
		     size_t *nr)
{
	size_t i, all_nr;
	u32 *all;
	int err;

	*list = NULL;
	*nr = 0;
	err = sysfs_devices(root, &all, &all_nr);
	for (i = 0; !err && i < all_nr; i++) {
		char *other = sysfs_read(root, all[i], attr);

		if (other && !strcmp(other, value))
			append(list, nr, all[i]);
		free(other);
	}
	free(all);
	return err;
}

int sysfs_find_image_writer(const char *image, u32 *index, bool *found)
{
	u32 *list = NULL;
	struct stat st;
	size_t nr = 0, i;
	u64 read_only;
	char *id;
	int err;

	*found = false;
	if (stat(image, &st))
		return 0;
	id = sysfs_file_id(&st);
	err = sysfs_find_value("", "qcow/image_id", id, &list, &nr);
	free(id);
	for (i = 0; !err && i < nr && !*found; i++) {
		*index = list[i];
		*found = sysfs_read_u64("", *index, "ro", &read_only) && !read_only;
	}
	free(list);
	return err;
}

/* The name of a device needs no node in /dev, which may be missing or elsewhere. */
static bool names_device(const char *what, u32 *index)
{
	struct stat st;

	return sysfs_parse_name(what, index) && (stat(what, &st) || S_ISBLK(st.st_mode));
}

int sysfs_find_writer(const char *what, u32 *index, bool *found)
{
	*found = names_device(what, index);
	return *found ? 0 : sysfs_find_image_writer(what, index, found);
}

int sysfs_choose_writer(const char *what, u32 *list, size_t nr, const char *cannot)
{
	bool found = true;
	int err = 0;

	/* Snapshots of the image may be attached beside the device that writes to it. */
	if (nr > 1)
		err = sysfs_find_writer(what, list, &found);
	if (!err && !found)
		err = qc_fail(QC_UNSUPPORTED, what,
			      "is attached %zu times, read-only, and cannot %s", nr, cannot);
	return err;
}

/* A file that is not there any more may still be attached by its name. */
static int find_by_image(const char *root, const char *what, const struct stat *st, u32 **list,
			 size_t *nr)
{
	char *id;
	int err;

	if (!st)
		return sysfs_find_value(root, "qcow/image", what, list, nr);
	id = sysfs_file_id(st);
	err = sysfs_find_value(root, "qcow/image_id", id, list, nr);
	free(id);
	return err;
}

int sysfs_lookup(const char *root, const char *what, u32 **list, size_t *nr)
{
	struct stat st;
	bool exists = !stat(what, &st);
	u32 index;
	int err = 0;

	*list = NULL;
	*nr = 0;
	if (names_device(what, &index)) {
		char *dev = sysfs_read(root, index, "dev");

		if (dev)
			append(list, nr, index);
		free(dev);
	} else {
		if (exists && S_ISBLK(st.st_mode))
			err = find_by_node(root, what, &st, list, nr);
		if (!err && !*nr)
			err = find_by_image(root, what, exists ? &st : NULL, list, nr);
	}
	return err;
}

int sysfs_find(const char *root, const char *what, u32 **list, size_t *nr)
{
	int err = sysfs_lookup(root, what, list, nr);

	if (err || *nr)
		return err;
	qc_fail(0, what, "no such device, and no attached image");
	qc_hint("qcowctl list");
	return QC_NOT_FOUND;
}

int sysfs_find_attached(const char *what, const char *cannot, u32 *index, bool *found)
{
	u32 *list = NULL;
	size_t nr = 0;
	int err;

	/* A file that is there may be no device's. */
	err = access(what, F_OK) ? sysfs_find("", what, &list, &nr) :
				   sysfs_lookup("", what, &list, &nr);
	if (!err)
		err = sysfs_choose_writer(what, list, nr, cannot);
	*found = !err && nr;
	if (*found)
		*index = list[0];
	free(list);
	return err;
}
