// SPDX-License-Identifier: GPL-2.0
/*
 * The files of an attached image, as names in directories.
 *
 * The driver tells the path that a file has now and which file it is. The path alone proves
 * nothing: another mount may cover it here, or the file may have been removed and another one
 * have its name. So the name is looked up again, not following a symbolic link, which no path of
 * the kernel's ends in, and is good only while it leads to that very file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "driver/driver.h"
#include "image/image.h"

void attached_init(struct attached_file *file)
{
	*file = (struct attached_file) { .dir = -1, .fd = -1 };
}

void attached_close(struct attached_file *file)
{
	if (file->dir >= 0)
		close(file->dir);
	if (file->fd >= 0)
		close(file->fd);
	free(file->path);
	free(file->id);
	attached_init(file);
}

static bool is_same(const struct attached_file *file, const struct stat *st)
{
	char *id = sysfs_file_id(st);
	bool same = S_ISREG(st->st_mode) && !strcmp(id, file->id);

	free(id);
	return same;
}

bool attached_check(const struct attached_file *file)
{
	struct stat st;

	return !fstatat(file->dir, file->base, &st, AT_SYMLINK_NOFOLLOW) && is_same(file, &st);
}

static bool is_block_device(const char *id)
{
	return strchr(id, ':') == strrchr(id, ':');
}

/* Return: whether it can be opened; errno says why not. */
static bool open_directory(struct attached_file *file)
{
	char *dir = path_dirname(file->path);

	file->base = strrchr(file->path, '/') + 1;
	file->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	return file->dir >= 0;
}

static int open_name(struct attached_file *file, u32 index)
{
	int path_fd = -1, err = 0;
	u64 bytes;

	if (open_directory(file))
		path_fd = openat(file->dir, file->base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (path_fd < 0 || fstat(path_fd, &file->st))
		err = qc_fail_errno(errno == ENOENT ? QC_NOT_FOUND : QC_SYSTEM, errno, file->path,
				    "cannot find what " QCOW_DEVICE_PREFIX "%u has", index);
	else if (!is_same(file, &file->st))
		err = qc_fail(QC_NOT_FOUND, file->path,
			      "is not the file that " QCOW_DEVICE_PREFIX "%u has", index);
	if (!err)
		err = image_open_file(path_fd, file->path, O_RDONLY, &file->fd, &file->st, &bytes);
	if (path_fd >= 0)
		close(path_fd);
	return err;
}

int attached_open(struct attached_file *file, u32 index, const char *attr, const char *done)
{
	char *path_attr = qc_printf("qcow/%s", attr);
	char *id_attr = qc_printf("qcow/%s_id", attr);
	int err = 0;

	file->path = sysfs_read("", index, path_attr);
	file->id = sysfs_read("", index, id_attr);
	free(path_attr);
	free(id_attr);
	if (!file->path || !file->id)
		err = qc_fail(QC_NOT_FOUND, NULL, "/dev/" QCOW_DEVICE_PREFIX
			      "%u: the driver does not tell which file it has", index);
	else if (*file->id && is_block_device(file->id))
		err = qc_fail(QC_POLICY, file->path, "is a block device, which is not %s", done);
	else if (*file->id && *file->path != '/')
		err = qc_fail(QC_NOT_FOUND, file->path, "cannot be reached from here");
	else if (*file->id)
		err = open_name(file, index);
	return err;
}

int attached_take(struct attached_file *file, int fd, const char *name, const char *done)
{
	char link[64], real[PATH_MAX];
	struct stat st;
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, real, sizeof(real));
	if (len < 0 || fstat(fd, &st))
		return qc_fail_errno(QC_SYSTEM, errno, name, "cannot tell where it is");
	if (!S_ISREG(st.st_mode))
		return qc_fail(QC_POLICY, name, "is a block device, which is not %s", done);
	file->st = st;
	file->id = sysfs_file_id(&st);
	file->path = qc_strndup(real, len);
	file->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (file->fd < 0)
		return qc_fail_errno(QC_SYSTEM, errno, name, "cannot keep it open");
	if (!open_directory(file) || !attached_check(file))
		return qc_fail(QC_NOT_FOUND, name, "cannot be found by its name, '%s'", file->path);
	return 0;
}

/* Whether a file is the one that the device has. @attr: which tells that. */
static int check_id(u32 index, const char *attr, const struct stat *st, const char *path)
{
	char *id = sysfs_read("", index, attr), *found = sysfs_file_id(st);
	int err = 0;

	if (!id || strcmp(id, found))
		err = qc_fail(QC_NOT_FOUND, path, "is not the file that " QCOW_DEVICE_PREFIX
			      "%u has", index);
	free(found);
	free(id);
	return err;
}

int attached_chain(struct chain *chain, u32 index, const char *path, bool write)
{
	struct chain_options opts = { .top_only = true, .write = write };
	char *data = sysfs_read("", index, "qcow/data_file");
	const struct image *img;
	int err = 0;

	*chain = (struct chain){ 0 };
	/* The device has it already. */
	if (data && *data)
		err = policy_allow(&opts.policy, data);
	if (!err)
		err = chain_open(chain, path, &opts);
	img = chain->images;
	if (!err)
		err = check_id(index, "qcow/image_id", &img->st, path);
	if (!err && img->data_fd >= 0)
		err = check_id(index, "qcow/data_file_id", &img->data_st, img->data_path);
	chain_options_free(&opts);
	free(data);
	return err;
}

static int check_path(u32 index, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return qc_fail_errno(QC_NOT_FOUND, errno, path,
				     "cannot find what " QCOW_DEVICE_PREFIX "%u has", index);
	return check_id(index, "qcow/image_id", &st, path);
}

int attached_path(const char *what, char **path)
{
	struct stat st;
	bool exists = !stat(what, &st);
	u32 *list = NULL, index;
	size_t nr = 0;
	char *id;
	int err = 0;

	*path = NULL;
	if (exists && S_ISBLK(st.st_mode)) {
		id = sysfs_file_id(&st);
		err = sysfs_find_value("", "dev", id, &list, &nr);
		free(id);
	} else if (!exists && sysfs_parse_name(what, &index)) {
		err = sysfs_find("", what, &list, &nr);
	}
	if (!err && nr) {
		*path = sysfs_read("", list[0], "qcow/image");
		err = *path ? check_path(list[0], *path) :
			      qc_fail(QC_NOT_FOUND, what, "no such device");
	}
	free(list);
	return err;
}
