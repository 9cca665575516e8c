// SPDX-License-Identifier: GPL-2.0
/*
 * Which files an image can make qcowctl open.
 *
 * A name in an image is not trusted: the file is opened only inside the directory of the image
 * that holds the name or a directory that the user allowed, and no symbolic link leads out of
 * there. A name that the user typed is opened as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "image/image.h"

/* Open @rest inside @dir; no component may lead out of it. */
static int open_beneath(const struct directory *dir, const char *rest, int flags)
{
	struct open_how how = {
		.flags = flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	unsigned int tries = 64;
	long fd;

	/* EAGAIN: a concurrent rename, which is worth a retry, or a lease, which is not. */
	do {
		fd = syscall(SYS_openat2, dir->fd, rest, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN) && --tries);
	return fd;
}

static int directory_open(struct directory *dir, const char *name)
{
	char *cwd = getcwd(NULL, 0);

	dir->fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0) {
		free(cwd);
		return qc_fail_errno(errno == ENOENT ? QC_NOT_FOUND : QC_SYSTEM, errno, name,
				     "cannot open the directory");
	}
	dir->abs = path_absolute(cwd ? cwd : "/", name);
	dir->real = realpath(name, NULL);
	if (!dir->real)
		dir->real = qc_strdup(dir->abs);
	free(cwd);
	return 0;
}

int policy_allow(struct policy *policy, const char *dir)
{
	policy->allowed = qc_grow(policy->allowed, policy->nr + 1, sizeof(*policy->allowed));
	return directory_open(&policy->allowed[policy->nr++], dir);
}

void policy_free(struct policy *policy)
{
	while (policy->nr)
		directory_close(&policy->allowed[--policy->nr]);
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

int policy_open_named(struct image *img, const char *name, bool write)
{
	char *dir;
	int err;

	img->name = qc_strdup(name);
	img->fd = open(name, (write ? O_RDWR : O_RDONLY) | IMAGE_OPEN_FLAGS);
	if (img->fd < 0) {
		err = errno;
		qc_fail_errno(0, err, name, write ? "cannot open for writing" : "cannot open");
		return err == ENOENT || err == ENOTDIR ? QC_NOT_FOUND : QC_SYSTEM;
	}
	err = image_check_file(img->fd, name, &img->st, &img->bytes);
	if (err)
		return err;

	dir = path_dirname(name);
	err = directory_open(&img->dir, dir);
	free(dir);
	return err;
}

/**
 * struct lookup - resolves one name that an image holds
 * @by: the image that holds the name
 * @what: "backing file", "data file"
 * @name: as it is in the image
 * @plain: @name without "file:"
 * @flags: of open()
 * @fd: result
 * @dir: result, the directory that the file was found in
 * @rest: result, name of the file in @dir
 * @err: errno of the first attempt that failed, 0: no directory was eligible
 */
struct lookup {
	const struct image *by;
	const char *what;
	const char *name;
	const char *plain;
	int flags;
	int fd;
	const struct directory *dir;
	char *rest;
	int err;
};

static int check_name(struct lookup *l)
{
	l->plain = l->name;
	if (!*l->name)
		return qc_fail(QC_BAD_IMAGE, l->by->name, "the name of its %s is empty", l->what);
	if (!strncmp(l->name, "json:", 5)) {
		qc_fail(0, l->by->name, "%s '%s': a JSON description is not followed", l->what,
			l->name);
		qc_hint("give it a plain file name with qemu-img rebase -u -F FORMAT -b FILE %s",
			l->by->name);
		return QC_POLICY;
	}
	if (!strncmp(l->name, "file:/", 6)) {
		l->plain = l->name + 5;
		return 0;
	}
	if (path_has_protocol(l->name)) {
		qc_fail(0, l->by->name, "%s '%s': protocol '%.*s' refused, only files are opened",
			l->what, l->name, (int)strcspn(l->name, ":"), l->name);
		qc_hint("a file that has a colon in its name is written ./NAME");
		return QC_POLICY;
	}
	return 0;
}

/* Open the file through @dir if its name, as text, is inside @dir. */
static bool try_directory(struct lookup *l, const struct directory *dir)
{
	const struct directory *base = &l->by->dir;
	const char *const starts[] = { base->abs, base->real };
	const char *const dirs[] = { dir->abs, dir->real };
	unsigned int i;

	for (i = 0; i < 4 && l->fd < 0; i++) {
		char *full = path_absolute(starts[i / 2], l->plain);
		const char *rest = path_below(dirs[i % 2], full);

		if (rest) {
			l->fd = open_beneath(dir, rest, l->flags);
			if (l->fd < 0 && !l->err)
				l->err = errno;
		}
		if (l->fd >= 0) {
			l->dir = dir;
			l->rest = qc_strdup(rest);
		}
		free(full);
	}
	return l->fd >= 0;
}

/*
 * ".." was resolved as text. Behind a symbolic link the kernel, and so QEMU, would resolve it
 * to another file: refuse the name rather than read the wrong file.
 */
static int check_dotdot(const struct lookup *l)
{
	struct stat here, there;
	char *full;
	int err;

	if (!path_has_dotdot(l->plain))
		return 0;
	full = *l->plain == '/' ? qc_strdup(l->plain) :
				  qc_printf("%s/%s", l->by->dir.real, l->plain);
	err = fstat(l->fd, &here) || stat(full, &there) || !image_same_file(&here, &there);
	free(full);
	if (!err)
		return 0;
	return qc_fail(QC_POLICY, l->by->name,
		       "%s '%s': \"..\" in the name comes after a symbolic link", l->what, l->name);
}

static int lookup_failed(const struct lookup *l)
{
	char *full, *dir;

	switch (l->err) {
	case 0:
		full = path_absolute(l->by->dir.abs, l->plain);
		dir = path_dirname(full);
		qc_fail(0, l->by->name, "%s '%s' is not inside the directory of the image", l->what,
			l->name);
		qc_hint("--allow-backing %s, if you trust the image", dir);
		free(dir);
		free(full);
		return QC_POLICY;
	case EXDEV:
	case ELOOP:
		qc_fail(0, l->by->name,
			"%s '%s': a symbolic link leads out of the directory, or is absolute",
			l->what, l->name);
		qc_hint("qemu-img rebase -u to the file itself, --allow-backing its directory");
		return QC_POLICY;
	case ENOENT:
	case ENOTDIR:
		return qc_fail_errno(QC_NOT_FOUND, l->err, l->by->name, "cannot open its %s '%s'",
				     l->what, l->name);
	default:
		return qc_fail_errno(QC_SYSTEM, l->err, l->by->name, "cannot open its %s '%s'",
				     l->what, l->name);
	}
}

static int lookup(const struct policy *policy, struct lookup *l)
{
	size_t i;
	int err;

	l->fd = -1;
	l->rest = NULL;
	l->err = 0;
	err = check_name(l);
	if (err)
		return err;
	if (!try_directory(l, &l->by->dir))
		for (i = 0; i < policy->nr; i++)
			if (try_directory(l, &policy->allowed[i]))
				break;
	if (l->fd < 0)
		return lookup_failed(l);
	return check_dotdot(l);
}

/* The directory of the found file, which names in that file are relative to. */
static int open_found_directory(const struct lookup *l, const char *name, struct directory *dir)
{
	char *rest = path_dirname(l->rest);
	char link[64], real[PATH_MAX];
	ssize_t len;

	dir->fd = open_beneath(l->dir, rest, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0) {
		free(rest);
		return qc_fail_errno(QC_SYSTEM, errno, name, "cannot open its directory");
	}
	dir->abs = path_absolute(l->dir->abs, rest);
	free(rest);

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir->fd);
	len = readlink(link, real, sizeof(real));
	if (len > 0 && len < (ssize_t)sizeof(real))
		dir->real = qc_strndup(real, len);
	else
		dir->real = qc_strdup(dir->abs);
	return 0;
}

int policy_open_backing(const struct policy *policy, const struct image *by, struct image *img)
{
	struct lookup l = {
		.by = by,
		.what = "backing file",
		.name = by->backing,
		.flags = O_RDONLY | IMAGE_OPEN_FLAGS,
	};
	int err = lookup(policy, &l);

	img->name = policy_combine(by->name, l.plain ? l.plain : by->backing);
	img->fd = l.fd;
	if (!err)
		err = open_found_directory(&l, img->name, &img->dir);
	if (!err)
		err = image_check_file(img->fd, img->name, &img->st, &img->bytes);
	free(l.rest);
	return err;
}

int policy_open_data(const struct policy *policy, struct image *img, bool write)
{
	struct lookup l = {
		.by = img,
		.what = "data file",
		.name = img->data_name,
		.flags = (write ? O_RDWR : O_RDONLY) | IMAGE_OPEN_FLAGS,
	};
	u64 bytes;
	int err;

	if (!img->data_name)
		return qc_fail(QC_BAD_IMAGE, img->name,
			       "its data are in an external file that the header does not name");
	err = lookup(policy, &l);
	img->data_path = policy_combine(img->name, l.plain);
	img->data_fd = l.fd;
	if (!err)
		err = image_check_file(img->data_fd, img->data_path, &img->data_st, &bytes);
	free(l.rest);
	if (!err && image_same_file(&img->data_st, &img->st))
		err = qc_fail(QC_BAD_IMAGE, img->name, "names itself as its external data file");
	return err;
}
