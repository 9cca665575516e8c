// SPDX-License-Identifier: GPL-2.0
/*
 * Which files an image can make qcowctl open.
 *
 * A name in an image is not trusted. The kernel resolves it, symbolic links and all, to a
 * descriptor that is good for nothing but looking (O_PATH). Where that file is and what it is
 * decide whether it is opened: in the directory of the image that holds the name, or where the
 * user allowed it; a block device only in the latter case. Nobody can exchange the file between
 * the look and the opening, which is done through the same descriptor.
 *
 * Names as text decide nothing, for a symbolic link makes any of them lead anywhere. But when
 * one that points elsewhere cannot be resolved, why is not said: an image is not to find out
 * which files there are.
 *
 * A name that the user typed is opened as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "image/image.h"

/* No magic links: those in /proc lead to files of processes, which no image names. */
static int open_path(const struct directory *dir, const char *name, int flags)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | flags,
		.resolve = RESOLVE_NO_MAGICLINKS,
	};

	return syscall(SYS_openat2, dir->fd, name, &how, sizeof(how));
}

/* Absolute name of an open file, without symbolic links. NULL: errno says why. */
static char *real_name(int fd)
{
	char link[64], real[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, real, sizeof(real));
	return len < 0 ? NULL : qc_strndup(real, len);
}

static char *absolute(const char *name)
{
	char *cwd = getcwd(NULL, 0);
	char *abs = path_absolute(cwd ? cwd : "/", name);

	free(cwd);
	return abs;
}

static int not_found(int err)
{
	return err == ENOENT || err == ENOTDIR ? QC_NOT_FOUND : QC_SYSTEM;
}

int policy_allow(struct policy *policy, const char *name)
{
	int fd = open(name, O_PATH | O_CLOEXEC);
	struct allowed *a;
	int err = 0;

	if (fd < 0)
		return qc_fail_errno(not_found(errno), errno, name, "cannot open");
	policy->allowed = qc_grow(policy->allowed, policy->nr + 1, sizeof(*policy->allowed));
	a = &policy->allowed[policy->nr++];
	a->abs = absolute(name);
	a->real = real_name(fd);
	if (!a->real || fstat(fd, &a->st))
		err = qc_fail_errno(QC_SYSTEM, errno, name, "cannot tell where it is");
	close(fd);
	return err;
}

void policy_free(struct policy *policy)
{
	while (policy->nr) {
		struct allowed *a = &policy->allowed[--policy->nr];

		free(a->abs);
		free(a->real);
	}
	free(policy->allowed);
	policy->allowed = NULL;
}

char *policy_combine(const char *by, const char *name)
{
	const char *slash = strrchr(by, '/');

	if (!slash || *name == '/' || path_has_protocol(name))
		return qc_strdup(name);
	return qc_printf("%.*s%s", (int)(slash + 1 - by), by, name);
}

/*
 * The directory of the file that has just been opened as @img. A file that has been removed, or
 * never had a name, is in none, whatever the kernel calls it.
 */
static void set_own(struct image *img)
{
	char *real = real_name(img->fd);
	struct stat st;

	if (real && !S_ISBLK(img->st.st_mode) && !stat(real, &st) &&
	    image_same_file(&st, &img->st))
		img->own = path_dirname(real);
	free(real);
}

/* @flags: as image_open_file() has them. */
static int open_named(struct image *img, int path_fd, int flags)
{
	char *dir;
	int err;

	err = image_open_file(path_fd, img->name, flags, &img->fd, &img->st, &img->bytes);
	if (err)
		return err;
	dir = path_dirname(img->name);
	img->dir.abs = absolute(dir);
	img->dir.fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (img->dir.fd < 0)
		err = qc_fail_errno(not_found(errno), errno, dir, "cannot open the directory");
	free(dir);
	set_own(img);
	return err;
}

int policy_open_named(struct image *img, const char *name, bool write)
{
	int path_fd = open(name, O_PATH | O_CLOEXEC);
	int err;

	img->name = qc_strdup(name);
	if (path_fd < 0)
		return qc_fail_errno(not_found(errno), errno, name, "cannot open");
	err = open_named(img, path_fd, write ? O_RDWR : O_RDONLY);
	close(path_fd);
	return err;
}

/* Nobody can exchange the file between the look and the opening, as with names in images. */
int policy_open_made(struct image *img, const char *name, int made)
{
	int path_fd, err;
	struct stat st;

	img->name = qc_strdup(name);
	if (fstat(made, &img->st))
		return qc_fail_errno(QC_SYSTEM, errno, name, "cannot stat");
	path_fd = open(name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (path_fd < 0)
		return qc_fail_errno(not_found(errno), errno, name, "cannot open");
	if (fstat(path_fd, &st))
		err = qc_fail_errno(QC_SYSTEM, errno, name, "cannot stat");
	else if (!image_same_file(&st, &img->st))
		err = qc_fail(QC_POLICY, name, "is not the file that has just been made");
	else
		err = open_named(img, path_fd, O_RDWR);
	close(path_fd);
	return err;
}

/**
 * struct lookup - resolves one name that an image holds
 * @by: the image that holds the name
 * @what: "backing file", "data file"
 * @name: as it is in the image
 * @path: what it stands for
 * @path_fd: result, O_PATH
 * @st: result, of the file
 * @real: result, absolute name of the file without symbolic links
 * @allowed: result, the user allowed it
 */
struct lookup {
	const struct image *by;
	const char *what;
	const char *name;
	const char *path;
	int path_fd;
	struct stat st;
	char *real;
	bool allowed;
};

/* Whether the name, as text, points to where it may lead. */
static bool points_inside(const struct policy *policy, const struct lookup *l)
{
	char *full = path_absolute(l->by->dir.abs, l->path);
	bool inside = l->by->own &&
		      (path_below(l->by->dir.abs, full) || path_below(l->by->own, full));
	size_t i;

	for (i = 0; i < policy->nr && !inside; i++) {
		const struct allowed *a = &policy->allowed[i];

		inside = !strcmp(a->abs, full) || !strcmp(a->real, full) ||
			 path_below(a->abs, full) || path_below(a->real, full);
	}
	free(full);
	return inside;
}

/* What to allow: the directory of @path, or @path itself where it is a device. */
static void hint_allow(const struct lookup *l, const char *path)
{
	char *dir = path_dirname(path);

	qc_hint("--allow-backing %s, if you trust the image",
		S_ISBLK(l->st.st_mode) ? path : dir);
	free(dir);
}

static int not_inside(const struct lookup *l)
{
	char *full = path_absolute(l->by->dir.abs, l->path);

	if (l->by->own)
		qc_fail(0, l->by->name, "%s '%s' is not inside the directory of the image",
			l->what, l->name);
	else
		qc_fail(0, l->by->name, "%s '%s': an image %s has no directory of its own", l->what,
			l->name,
			S_ISBLK(l->by->st.st_mode) ? "on a block device" : "without a name");
	hint_allow(l, full);
	free(full);
	return QC_POLICY;
}

static int leads_out(const struct lookup *l)
{
	qc_fail(0, l->by->name, "%s '%s': a symbolic link leads out of the directory, to '%s'",
		l->what, l->name, l->real);
	hint_allow(l, l->real);
	return QC_POLICY;
}

static bool user_allows(const struct policy *policy, const struct lookup *l)
{
	size_t i;

	for (i = 0; i < policy->nr; i++) {
		const struct allowed *a = &policy->allowed[i];

		if (S_ISDIR(a->st.st_mode) ? !!path_below(a->real, l->real) :
					     image_same_file(&a->st, &l->st))
			return true;
	}
	return false;
}

static int look(const struct policy *policy, struct lookup *l)
{
	l->real = real_name(l->path_fd);
	if (!l->real || fstat(l->path_fd, &l->st))
		return qc_fail_errno(QC_SYSTEM, errno, l->by->name,
				     "cannot tell where its %s '%s' is", l->what, l->name);
	l->allowed = user_allows(policy, l);
	return 0;
}

static int check_device(const struct lookup *l)
{
	if (l->allowed || !S_ISBLK(l->st.st_mode))
		return 0;
	qc_fail(0, l->by->name, "%s '%s' is a block device, which an image cannot name by itself",
		l->what, l->name);
	hint_allow(l, l->real);
	return QC_POLICY;
}

static int judge(const struct policy *policy, struct lookup *l)
{
	int err = look(policy, l);

	if (err || l->allowed)
		return err;
	if (!l->by->own || !path_below(l->by->own, l->real))
		return points_inside(policy, l) ? leads_out(l) : not_inside(l);
	return check_device(l);
}

/* lookup_end() follows, whatever this returns. */
static int lookup_begin(const struct policy *policy, struct lookup *l)
{
	int err;

	l->path_fd = open_path(&l->by->dir, l->path, 0);
	if (l->path_fd >= 0)
		return judge(policy, l);
	err = errno;
	if (!points_inside(policy, l))
		return not_inside(l);
	return qc_fail_errno(not_found(err), err, l->by->name, "cannot open its %s '%s'", l->what,
			     l->name);
}

static void lookup_end(struct lookup *l)
{
	if (l->path_fd >= 0)
		close(l->path_fd);
	free(l->real);
}

/* The directory part of the name, which names in the found file are relative to. */
static int open_directory(const struct lookup *l, struct image *img)
{
	char *dir = path_dirname(l->path);
	int err = 0;

	img->dir.abs = path_absolute(l->by->dir.abs, dir);
	img->dir.fd = open_path(&l->by->dir, dir, O_DIRECTORY);
	if (img->dir.fd < 0)
		err = qc_fail_errno(QC_SYSTEM, errno, img->name, "cannot open its directory");
	free(dir);
	return err;
}

/*
 * Who owns an image owns its data, and what it stands on; the right to write to other files is
 * the user's to give.
 */
static int check_consent(const struct lookup *l)
{
	if (l->allowed)
		return 0;
	/* Whoever a device belongs to, others may have what is on it. */
	if (!S_ISREG(l->by->st.st_mode))
		qc_fail(0, l->by->name, "is a device: that does not tell who may write to %s '%s'",
			l->what, l->name);
	else if (l->st.st_uid != l->by->st.st_uid)
		qc_fail(0, l->by->name, "%s '%s' belongs to user %u, the image to user %u", l->what,
			l->name, l->st.st_uid, l->by->st.st_uid);
	else
		return 0;
	qc_hint("--allow-backing %s, if it may be written to", l->real);
	return QC_POLICY;
}

/* To write to it; a raw one may have a file system that is mounted. */
static int write_flags(const struct lookup *l)
{
	return S_ISBLK(l->st.st_mode) ? O_RDWR | O_EXCL : O_RDWR;
}

int policy_open_backing(const struct policy *policy, const struct image *by, const char *path,
			bool write, struct image *img)
{
	struct lookup l = {
		.by = by,
		.what = "backing file",
		.name = by->backing,
		.path = path,
	};
	int err = lookup_begin(policy, &l);

	if (!err && write)
		err = check_consent(&l);
	if (!err) {
		img->name = policy_combine(by->name, l.path);
		err = image_open_file(l.path_fd, img->name, write ? write_flags(&l) : O_RDONLY,
				      &img->fd, &img->st, &img->bytes);
	}
	if (!err)
		err = open_directory(&l, img);
	if (!err)
		set_own(img);
	lookup_end(&l);
	return err;
}

int policy_open_attached(const struct policy *policy, const struct image *by, const char *name,
			 struct image *img)
{
	struct lookup l = {
		.by = by,
		.what = "backing file",
		.name = name,
		.path = name,
		.path_fd = open(name, O_PATH | O_CLOEXEC),
	};
	int err;

	if (l.path_fd < 0)
		return qc_fail_errno(not_found(errno), errno, name, "cannot open");
	img->name = qc_strdup(name);
	err = look(policy, &l);
	if (!err)
		err = check_device(&l);
	if (!err)
		err = check_consent(&l);
	if (!err)
		err = open_named(img, l.path_fd, write_flags(&l));
	lookup_end(&l);
	return err;
}

static int open_data(const struct policy *policy, struct image *img, const char *path, bool write)
{
	struct lookup l = {
		.by = img,
		.what = "data file",
		.name = img->data_name,
		.path = path,
	};
	u64 bytes;
	int err = lookup_begin(policy, &l);

	if (!err && write)
		err = check_consent(&l);
	if (!err) {
		img->data_path = policy_combine(img->name, path);
		err = image_open_file(l.path_fd, img->data_path, write ? O_RDWR : O_RDONLY,
				      &img->data_fd, &img->data_st, &bytes);
	}
	lookup_end(&l);
	if (!err && image_same_file(&img->data_st, &img->st))
		err = qc_fail(QC_BAD_IMAGE, img->name, "names itself as its external data file");
	return err;
}

int policy_open_data(const struct policy *policy, struct image *img, bool write)
{
	struct file_name name;
	int err;

	if (!img->data_name)
		return qc_fail(QC_BAD_IMAGE, img->name,
			       "its data are in an external file that the header does not name");
	err = name_parse(img, "data file", img->data_name, &name);
	if (!err && name.format && !image_is_raw_format(name.format))
		err = qc_fail(QC_UNSUPPORTED, img->name,
			      "its data file '%s' is of format '%s', it can only be raw",
			      img->data_name, name.format);
	if (!err)
		err = open_data(policy, img, name.path, write);
	name_free(&name);
	return err;
}
