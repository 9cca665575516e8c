// SPDX-License-Identifier: GPL-2.0
/*
 * The file that becomes an image: a temporary file in the directory of the target, renamed to
 * it in the end, or the block device that the target is. Does not know the content.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "image/image.h"
#include "create/internal.h"

/* Temporary files for the signal handler to remove: an image and its data file at most. */
static const char *temps[2];

static void remove_temps(int sig)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(temps); i++) {
		const char *name = __atomic_load_n(&temps[i], __ATOMIC_SEQ_CST);

		if (name)
			unlink(name);
	}
	raise(sig);
}

/* Temporary files are removed also when the user interrupts the command. */
static void catch_signals(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM };
	struct sigaction old, action = {
		.sa_handler = remove_temps,
		.sa_flags = SA_RESETHAND,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(signals[i], &action, NULL);
	/* At RLIMIT_FSIZE, write() is to fail instead. */
	signal(SIGXFSZ, SIG_IGN);
}

static void replace_temp(const char *old, const char *new)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(temps); i++) {
		if (temps[i] == old) {
			__atomic_store_n(&temps[i], new, __ATOMIC_SEQ_CST);
			return;
		}
	}
}

static int not_found(int err)
{
	return err == ENOENT || err == ENOTDIR ? QC_NOT_FOUND : QC_SYSTEM;
}

/* The real name of a file that does not exist; its directory has to. */
static int resolve_new(struct target *t)
{
	const char *slash = strrchr(t->name, '/');
	const char *base = slash ? slash + 1 : t->name;
	char *dir, *real;
	int err = 0;

	if (!*base)
		return qc_fail_errno(QC_NOT_FOUND, *t->name ? EISDIR : ENOENT, t->name,
				     "cannot create");
	dir = path_dirname(t->name);
	real = realpath(dir, NULL);
	if (real)
		t->path = qc_printf("%s/%s", strcmp(real, "/") ? real : "", base);
	else
		err = qc_fail_errno(not_found(errno), errno, dir, "cannot open the directory");
	free(dir);
	free(real);
	return err;
}

static int resolve(struct target *t)
{
	struct stat st;

	t->path = realpath(t->name, NULL);
	if (t->path)
		return 0;
	if (errno != ENOENT)
		return qc_fail_errno(not_found(errno), errno, t->name, "cannot create");
	if (!lstat(t->name, &st))
		return qc_fail(QC_POLICY, t->name, "is a symbolic link to nothing");
	return resolve_new(t);
}

static int open_found(struct target *t, int path_fd)
{
	int flags = O_RDWR;
	int err;

	if (fstat(path_fd, &t->st))
		return qc_fail_errno(QC_SYSTEM, errno, t->name, "cannot stat");
	if (!S_ISREG(t->st.st_mode) && !S_ISBLK(t->st.st_mode))
		return qc_fail(QC_POLICY, t->name,
			       "neither a regular file nor a block device, it is not replaced");
	/* For a block device O_EXCL without O_CREAT fails while it is mounted. */
	if (S_ISBLK(t->st.st_mode))
		flags |= O_EXCL;
	err = image_open_file(path_fd, t->name, flags, &t->old_fd, &t->st, &t->bytes);
	return err ? err : lock_file(t->old_fd, t->name, IMAGE_LOCK_WRITE);
}

/* Of a device only an image counts: something is on any. */
static bool is_worth_asking(const struct target *t)
{
	char magic[4];

	if (S_ISREG(t->st.st_mode))
		return t->bytes;
	return !image_pread(t->old_fd, magic, sizeof(magic), 0) && !memcmp(magic, "QFI\xfb", 4);
}

/* Open and lock an existing file; the lock is held until the file is closed. */
static int open_old(struct target *t)
{
	int path_fd = open(t->path, O_PATH | O_CLOEXEC);
	int err;

	if (path_fd < 0)
		return errno == ENOENT ? 0 :
		       qc_fail_errno(QC_SYSTEM, errno, t->name, "cannot stat");
	err = open_found(t, path_fd);
	close(path_fd);
	return err;
}

/* The new file gets owner and mode of the old one, or of @like; no other user can open it yet. */
static int copy_owner(const struct target *t, const struct stat *like)
{
	mode_t mask = umask(0);
	mode_t mode = 0644 & ~mask;

	umask(mask);
	if (t->old_fd >= 0) {
		like = &t->st;
		mode = like->st_mode & 0777;
	} else if (like) {
		mode = like->st_mode & 0666;
	}
	if (like && fchown(t->fd, like->st_uid, like->st_gid) && errno != EPERM)
		return qc_fail_errno(QC_SYSTEM, errno, t->temp, "cannot set its owner");
	if (fchmod(t->fd, mode))
		return qc_fail_errno(QC_SYSTEM, errno, t->temp, "cannot set its mode");
	return 0;
}

static int open_temp(struct target *t, const struct stat *like)
{
	char *dir = path_dirname(t->path);
	char *temp = qc_printf("%s/.qcowctl-XXXXXX", strcmp(dir, "/") ? dir : "");
	sigset_t before;
	int err;

	catch_signals();
	/* The handler has to know of the file as soon as there is one. */
	qc_hold_signals(&before);
	t->fd = mkostemp(temp, O_CLOEXEC);
	err = errno;
	if (t->fd >= 0)
		replace_temp(NULL, temp);
	qc_release_signals(&before);
	if (t->fd < 0) {
		qc_fail_errno(0, err, t->name, "cannot create a file in %s", dir);
		free(dir);
		free(temp);
		return QC_SYSTEM;
	}
	free(dir);
	t->temp = temp;
	return copy_owner(t, like);
}

static int fail_exists(const struct target *t)
{
	return qc_fail(QC_POLICY, t->name, "exists, and is not replaced");
}

int target_open(struct target *t, const char *name, enum target_old old, const struct stat *like)
{
	int err;

	memset(t, 0, sizeof(*t));
	t->fd = -1;
	t->old_fd = -1;
	t->name = qc_strdup(name);
	t->exclusive = old == TARGET_NONE;
	err = resolve(t);
	if (!err && t->exclusive && !access(t->path, F_OK))
		err = fail_exists(t);
	if (!err)
		err = open_old(t);
	if (err)
		return err;
	if (t->old_fd >= 0 && old == TARGET_EMPTY && is_worth_asking(t)) {
		qc_fail(0, t->name, "%s, and is not replaced", S_ISREG(t->st.st_mode) ?
			"exists" : "has a QCOW image");
		qc_hint("--force, if it is not needed any more");
		return QC_POLICY;
	}

	if (t->old_fd < 0 || S_ISREG(t->st.st_mode))
		return open_temp(t, like);
	t->fd = t->old_fd;
	return 0;
}

void target_overwrite_in_place(const struct target *t)
{
	int flags;

	if (target_is_device(t) || ioctl(t->fd, FS_IOC_GETFLAGS, &flags))
		return;
	flags |= FS_NOCOW_FL;
	ioctl(t->fd, FS_IOC_SETFLAGS, &flags);
}

bool target_same(const struct target *a, const struct target *b)
{
	if (a->old_fd >= 0 && b->old_fd >= 0)
		return image_same_file(&a->st, &b->st);
	return !strcmp(a->path, b->path);
}

static int sync_directory(const struct target *t)
{
	char *dir = path_dirname(t->path);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = 0;

	/* EINVAL, ENOTSUP: the file system cannot fsync a directory. */
	if (fd >= 0 && fsync(fd) && errno != EINVAL && errno != ENOTSUP)
		err = qc_fail_errno(QC_SYSTEM, errno, dir, "cannot flush");
	if (fd >= 0)
		close(fd);
	free(dir);
	return err;
}

/* Another file may have got the name meanwhile. Not every file system can tell with a rename. */
static int rename_temp(const struct target *t)
{
	unsigned int flags = t->exclusive ? RENAME_NOREPLACE : 0;

	if (!renameat2(AT_FDCWD, t->temp, AT_FDCWD, t->path, flags))
		return 0;
	if (errno == EINVAL && t->exclusive && !link(t->temp, t->path)) {
		unlink(t->temp);
		return 0;
	}
	if (errno == EEXIST)
		return fail_exists(t);
	return qc_fail_errno(QC_SYSTEM, errno, t->name, "cannot rename %s to it", t->temp);
}

int target_commit(struct target *t)
{
	int err;

	if (fsync(t->fd))
		return qc_fail_errno(QC_SYSTEM, errno, t->name, "cannot flush");
	if (!t->temp)
		return 0;
	err = rename_temp(t);
	if (err)
		return err;
	replace_temp(t->temp, NULL);
	free(t->temp);
	t->temp = NULL;
	err = sync_directory(t);
	if (err)
		target_remove(t);
	return err;
}

void target_remove(const struct target *t)
{
	struct stat own, st;

	if (t->old_fd < 0 && !fstat(t->fd, &own) && !lstat(t->path, &st) &&
	    image_same_file(&own, &st))
		unlink(t->path);
}

void target_close(struct target *t)
{
	if (t->temp) {
		unlink(t->temp);
		replace_temp(t->temp, NULL);
	}
	if (t->fd >= 0 && t->fd != t->old_fd)
		close(t->fd);
	if (t->old_fd >= 0)
		close(t->old_fd);
	free(t->name);
	free(t->path);
	free(t->temp);
	memset(t, 0, sizeof(*t));
	t->fd = -1;
	t->old_fd = -1;
}
