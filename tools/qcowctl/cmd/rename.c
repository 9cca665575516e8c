// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl rename: gives an image another name, or another directory of its file system, attached
 * or not.
 *
 * To the driver, as to any process that has the file open, a rename is nothing at all: it has the
 * file and not its name, and sysfs shows the new one. What can go wrong is what names: the image's
 * own names of its backing file and data file are relative to its directory, and a name that is
 * taken may be that of a file in use. Both are looked at before the one system call that changes
 * anything; the directories are on stable storage when the command ends.
 *
 * Another program may put another file there between the look and the call. So what is replaced
 * changes places with the image, in one step, and is removed only when it proves to be the file
 * that was looked at; else both change places again.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "driver/driver.h"
#include "image/image.h"

static const char help[] =
	"Usage: qcowctl rename [OPTION]... IMAGE|DEVICE NEW\n"
	"Rename an image, or move it within its file system; it may be attached, mounted and in\n"
	"use. If NEW is a directory, it goes into that.\n"
	"\n"
	"      --force  replace NEW, unless it is attached or in use\n"
	"  -h, --help   this text\n";

enum {
	OPT_FORCE = 256,
};

static const struct option options[] = {
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct place - a name in a directory
 * @path: as the user wrote it, or as NEW in a directory came to be
 * @dir_path: of the directory
 * @dir: the directory, open for reading, or -1
 * @base: the name in it
 */
struct place {
	char *path;
	char *dir_path;
	int dir;
	char *base;
};

/**
 * struct renaming - one image on its way
 * @chain: the image alone
 * @st: of it
 * @attached: a device has it
 * @from: where it is
 * @to: where it goes
 * @to_fd: what is there and is replaced, with QEMU's lock, or -1
 */
struct renaming {
	struct chain chain;
	struct stat st;
	bool attached;
	struct place from;
	struct place to;
	int to_fd;
};

static int not_found(int err)
{
	return err == ENOENT || err == ENOTDIR ? QC_NOT_FOUND : QC_SYSTEM;
}

static int open_dir(struct place *p)
{
	p->dir = open(p->dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir < 0)
		return qc_fail_errno(not_found(errno), errno, p->dir_path,
				     "cannot open the directory");
	return 0;
}

/* @path: of something that is no directory, whether it exists or not. */
static int open_place(struct place *p, const char *path)
{
	const char *slash = strrchr(path, '/');

	p->path = qc_strdup(path);
	p->base = qc_strdup(slash ? slash + 1 : path);
	p->dir_path = path_dirname(path);
	if (!*p->base)
		return qc_fail(QC_NOT_FOUND, path, "no such directory");
	return open_dir(p);
}

static void close_place(struct place *p)
{
	if (p->dir >= 0)
		close(p->dir);
	free(p->path);
	free(p->dir_path);
	free(p->base);
}

/* As mv: a directory, or a symbolic link to one, gets the image under its old name. */
static int open_target(struct renaming *r, const char *name)
{
	size_t len = strlen(name);
	struct stat st;

	if (stat(name, &st) || !S_ISDIR(st.st_mode))
		return open_place(&r->to, name);
	r->to.dir_path = qc_strdup(name);
	r->to.base = qc_strdup(r->from.base);
	r->to.path = qc_printf("%s%s%s", name, len && name[len - 1] == '/' ? "" : "/",
			       r->to.base);
	return open_dir(&r->to);
}

/* The devices that have a file as image or as data file. */
static int find_device(const struct stat *st, bool *found, u32 *index)
{
	static const char *const attrs[] = { "qcow/image_id", "qcow/data_file_id" };
	char *id = sysfs_file_id(st);
	size_t i, nr = 0;
	int err = 0;

	for (i = 0; !err && !nr && i < ARRAY_SIZE(attrs); i++) {
		u32 *list;

		err = sysfs_find_value("", attrs[i], id, &list, &nr);
		if (nr)
			*index = list[0];
		free(list);
	}
	*found = nr;
	free(id);
	return err;
}

static int refuse_link(const char *path)
{
	char real[PATH_MAX];

	qc_fail(0, path, "is a symbolic link, and not the image");
	if (realpath(path, real))
		qc_hint("qcowctl rename %s", real);
	return QC_POLICY;
}

static int open_source(struct renaming *r, const char *path)
{
	struct chain_options opts = { .top_only = true, .no_data = true };
	u32 index;
	int err;

	if (lstat(path, &r->st))
		return qc_fail_errno(not_found(errno), errno, path, "cannot find");
	if (S_ISLNK(r->st.st_mode))
		return refuse_link(path);
	if (!S_ISREG(r->st.st_mode))
		return qc_fail(QC_POLICY, path, "is no regular file, and is not renamed");
	err = open_place(&r->from, path);
	if (!err)
		err = find_device(&r->st, &r->attached, &index);
	/* The driver's own locks are those of a device that does not mind. */
	opts.lock = r->attached ? IMAGE_LOCK_NONE : IMAGE_LOCK_READ;
	if (!err)
		err = chain_open(&r->chain, path, &opts);
	if (!err && !image_same_file(&r->st, &r->chain.images[0].st))
		err = qc_fail(QC_SYSTEM, path, "is another file by now");
	return err;
}

/**
 * struct named - a file that the image names
 * @what: "backing file", "data file"
 * @name: as it is in the image, or NULL
 * @parsed: what it stands for; no path: no file, as far as this command is concerned
 */
struct named {
	const char *what;
	const char *name;
	struct file_name parsed;
};

/* What QEMU reaches by a protocol is where it was. */
static bool is_file(const char *name)
{
	return !path_has_protocol(name) || !strncmp(name, "file:", 5) ||
	       !strncmp(name, "json:", 5);
}

static void hint_elsewhere(const struct renaming *r, const struct named *n)
{
	const struct image *img = &r->chain.images[0];
	char *old = qc_printf("%s/%s", r->from.dir_path, n->parsed.path);
	char *new = qc_printf("%s/%s", r->to.dir_path, n->parsed.path);
	char real[PATH_MAX];

	if (!realpath(old, real))
		snprintf(real, sizeof(real), "%s", old);
	if (n->name == img->backing && img->h.version > 1 && !r->attached)
		qc_hint("qcowctl rebase -u -F %s -b %s %s",
			img->backing_format ? img->backing_format : "FMT", real,
			r->from.path);
	else
		qc_hint("ln -s %s %s", real, new);
	free(new);
	free(old);
}

static int check_elsewhere(const struct renaming *r, const struct named *n)
{
	struct stat old, new;

	if (!n->parsed.path || *n->parsed.path == '/')
		return 0;
	if (!fstatat(r->from.dir, n->parsed.path, &old, 0) &&
	    !fstatat(r->to.dir, n->parsed.path, &new, 0) && image_same_file(&old, &new))
		return 0;
	qc_fail(0, r->from.path,
		"its %s '%s' is relative to its directory, and not the same file from %s",
		n->what, n->name, r->to.dir_path);
	hint_elsewhere(r, n);
	return QC_POLICY;
}

/* @st: of what is to be replaced. */
static int check_own_file(const struct renaming *r, const struct named *n, const struct stat *st)
{
	struct stat own;

	if (!n->parsed.path || fstatat(r->from.dir, n->parsed.path, &own, 0) ||
	    !image_same_file(&own, st))
		return 0;
	return qc_fail(QC_POLICY, r->to.path, "is the %s of %s", n->what, r->from.path);
}

static bool same_directory(const struct renaming *r)
{
	struct stat a, b;

	return !fstat(r->from.dir, &a) && !fstat(r->to.dir, &b) && image_same_file(&a, &b);
}

/* Keep what is there locked until it is replaced. */
static int check_replaced(struct renaming *r, const struct named *named, size_t nr)
{
	int path_fd = openat(r->to.dir, r->to.base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	bool found;
	u32 index;
	size_t i;
	u64 bytes;
	int err;

	if (path_fd < 0 && errno == ENOENT)
		return 0;
	if (path_fd < 0 || fstat(path_fd, &st)) {
		err = qc_fail_errno(QC_SYSTEM, errno, r->to.path, "cannot look at it");
	} else if (!S_ISREG(st.st_mode)) {
		err = qc_fail(QC_POLICY, r->to.path, "is no regular file, and is not replaced");
	} else if (image_same_file(&st, &r->st)) {
		err = qc_fail(QC_POLICY, r->to.path, "is the same file as %s", r->from.path);
	} else {
		err = find_device(&st, &found, &index);
		if (!err && found)
			err = qc_fail(QC_BUSY, r->to.path, "is attached, /dev/"
				      QCOW_DEVICE_PREFIX "%u has it", index);
		for (i = 0; !err && i < nr; i++)
			err = check_own_file(r, &named[i], &st);
		if (!err)
			err = image_open_file(path_fd, r->to.path, O_RDONLY, &r->to_fd, &st,
					      &bytes);
		if (!err)
			err = lock_file(r->to_fd, r->to.path, IMAGE_LOCK_WRITE);
	}
	if (path_fd >= 0)
		close(path_fd);
	return err;
}

static int check_names(struct renaming *r, bool force)
{
	const struct image *img = &r->chain.images[0];
	struct named named[] = {
		{ .what = "backing file", .name = img->backing },
		{ .what = "data file", .name = img->data_name },
	};
	bool moves = !same_directory(r);
	size_t i;
	int err = 0;

	for (i = 0; !err && i < ARRAY_SIZE(named); i++) {
		if ((!moves && !force) || !named[i].name || !is_file(named[i].name))
			continue;
		err = name_parse(img, named[i].what, named[i].name, &named[i].parsed);
		if (!err && moves)
			err = check_elsewhere(r, &named[i]);
	}
	if (!err && force)
		err = check_replaced(r, named, ARRAY_SIZE(named));
	for (i = 0; i < ARRAY_SIZE(named); i++)
		name_free(&named[i].parsed);
	return err;
}

static int fail_rename(const struct renaming *r, int err, bool force)
{
	switch (err) {
	case EEXIST:
		if (force)
			return qc_fail(QC_SYSTEM, r->to.path, "has appeared meanwhile");
		qc_fail(0, r->to.path, "exists");
		qc_hint("--force");
		return QC_POLICY;
	case EXDEV:
		return qc_fail(QC_SYSTEM, r->to.path,
			       "is on another file system or mount than %s, where no rename leads",
			       r->from.path);
	case EINVAL:
		if (!force) {
			qc_fail(0, r->to.path,
				"this file system cannot rename without replacing what is there");
			qc_hint("--force");
			return QC_SYSTEM;
		}
		break;
	}
	return qc_fail_errno(QC_SYSTEM, err, r->from.path, "cannot rename to '%s'", r->to.path);
}

static int sync_place(const struct place *p)
{
	/* Not every file system has something to do there. */
	if (!fsync(p->dir) || errno == EINVAL)
		return 0;
	return qc_fail_errno(QC_SYSTEM, errno, p->dir_path,
			     "is renamed, but the directory cannot be synced");
}

static int rename_with(const struct renaming *r, unsigned int flags)
{
	return renameat2(r->from.dir, r->from.base, r->to.dir, r->to.base, flags) ? -errno : 0;
}

static bool is_at(const struct place *p, const struct stat *st)
{
	struct stat there;

	return !fstatat(p->dir, p->base, &there, AT_SYMLINK_NOFOLLOW) &&
	       image_same_file(&there, st);
}

/* @st: of the file that was looked at, which has changed places with the image. */
static int remove_replaced(const struct renaming *r, const struct stat *st)
{
	int err = is_at(&r->from, st) ? 0 : -EAGAIN;

	if (!err && unlinkat(r->from.dir, r->from.base, 0))
		err = -errno;
	if (err)
		rename_with(r, RENAME_EXCHANGE);
	return err;
}

/* Return: 0 or -errno; -EAGAIN: another file is there by now. */
static int replace(const struct renaming *r)
{
	struct stat st;
	int err;

	if (fstat(r->to_fd, &st))
		return -errno;
	err = rename_with(r, RENAME_EXCHANGE);
	if (!err)
		return remove_replaced(r, &st);
	if (err == -ENOENT)
		return -EAGAIN;
	/* This file system cannot: then the look is as late as can be. */
	if (err != -EINVAL)
		return err;
	return is_at(&r->to, &st) ? rename_with(r, 0) : -EAGAIN;
}

/* Nothing is there, as far as is known. Return: 0 or -errno. */
static int rename_to_free(const struct renaming *r, bool force)
{
	struct stat st;
	int err = rename_with(r, RENAME_NOREPLACE);

	if (err != -EINVAL || !force)
		return err;
	if (!fstatat(r->to.dir, r->to.base, &st, AT_SYMLINK_NOFOLLOW))
		return -EEXIST;
	return errno == ENOENT ? rename_with(r, 0) : -errno;
}

static int rename_now(const struct renaming *r, bool force)
{
	int err;

	if (!is_at(&r->from, &r->st))
		return qc_fail(QC_SYSTEM, r->from.path, "is another file by now");
	err = r->to_fd < 0 ? rename_to_free(r, force) : replace(r);
	if (err == -EAGAIN)
		return qc_fail(QC_SYSTEM, r->to.path, "is another file by now");
	if (err)
		return fail_rename(r, -err, force);
	err = sync_place(&r->to);
	if (!same_directory(r)) {
		int from_err = sync_place(&r->from);

		err = err ? err : from_err;
	}
	return err;
}

static int rename_path(const char *path, const char *name, bool force)
{
	struct renaming r = { .from.dir = -1, .to.dir = -1, .to_fd = -1 };
	int err;

	err = open_source(&r, path);
	if (!err)
		err = open_target(&r, name);
	if (!err)
		err = check_names(&r, force);
	if (!err)
		err = rename_now(&r, force);
	if (r.to_fd >= 0)
		close(r.to_fd);
	close_place(&r.to);
	close_place(&r.from);
	chain_close(&r.chain);
	return err;
}

static bool names_device(const char *what)
{
	struct stat st;
	bool exists = !stat(what, &st);
	u32 index;

	return exists ? S_ISBLK(st.st_mode) : sysfs_parse_name(what, &index);
}

static int rename_what(const char *what, const char *name, bool force)
{
	struct attached_file file;
	u32 *list;
	size_t nr;
	int err;

	if (!*name)
		return qc_fail(QC_USAGE, "rename", "the new name is empty");
	if (!names_device(what))
		return rename_path(what, name, force);
	attached_init(&file);
	err = sysfs_find("", what, &list, &nr);
	if (!err)
		err = attached_open(&file, list[0], "image", "renamed");
	if (!err)
		err = rename_path(file.path, name, force);
	attached_close(&file);
	free(list);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	bool force = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_FORCE:
			force = true;
			break;
		case 'h':
			return cmd_help(cmd);
		default:
			return cmd_usage(cmd);
		}
	}
	if (argc - optind != 2) {
		qc_fail(0, "rename", "an image or a device and the new name are wanted, %d given",
			argc - optind);
		return cmd_usage(cmd);
	}
	return rename_what(argv[optind], argv[optind + 1], force);
}

const struct command cmd_rename = {
	.name = "rename",
	.summary = "rename an image, attached or not",
	.help = help,
	.run = run,
};
