// SPDX-License-Identifier: GPL-2.0
/*
 * One image file: what kind of file it is, header, extensions, names. policy.c opens it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/fs.h>

#include "image/image.h"

#define ZERO_BYTES	1048576U

void image_init(struct image *img)
{
	memset(img, 0, sizeof(*img));
	img->fd = -1;
	img->data_fd = -1;
	img->dir.fd = -1;
}

void directory_close(struct directory *place)
{
	if (place->fd >= 0)
		close(place->fd);
	free(place->abs);
	memset(place, 0, sizeof(*place));
	place->fd = -1;
}

void image_close(struct image *img)
{
	if (img->fd >= 0)
		close(img->fd);
	if (img->data_fd >= 0)
		close(img->data_fd);
	directory_close(&img->dir);
	free(img->own);
	free(img->name);
	free(img->head);
	free(img->backing);
	free(img->backing_format);
	free(img->data_name);
	free(img->data_path);
	image_init(img);
}

int image_stat(int fd, const char *name, struct stat *st, u64 *bytes)
{
	u64 size;

	if (fstat(fd, st))
		return qc_fail_errno(QC_SYSTEM, errno, name, "cannot stat");
	*bytes = st->st_size;
	if (!S_ISBLK(st->st_mode))
		return 0;
	if (ioctl(fd, BLKGETSIZE64, &size))
		return qc_fail_errno(QC_SYSTEM, errno, name, "cannot tell its size");
	*bytes = size;
	return 0;
}

static int check_type(const struct stat *st, const char *name)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	return qc_fail(QC_POLICY, name,
		       "is a %s, only regular files and block devices can hold an image",
		       S_ISDIR(st->st_mode) ? "directory" :
		       S_ISFIFO(st->st_mode) ? "pipe" :
		       S_ISSOCK(st->st_mode) ? "socket" : "character device");
}

int image_open_file(int path_fd, const char *name, int flags, int *fd, struct stat *st,
		    u64 *bytes)
{
	char link[64];
	int err;

	if (fstat(path_fd, st))
		return qc_fail_errno(QC_SYSTEM, errno, name, "cannot stat");
	err = check_type(st, name);
	if (err)
		return err;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
	*fd = open(link, flags | IMAGE_OPEN_FLAGS);
	if (*fd < 0)
		return qc_fail_errno(errno == EBUSY ? QC_BUSY : QC_SYSTEM, errno, name,
				     flags & O_RDWR ? "cannot open for writing" : "cannot open");

	/* open() needed it, for leases and for drives without a medium. */
	flags = fcntl(*fd, F_GETFL);
	if (flags < 0 || fcntl(*fd, F_SETFL, flags & ~O_NONBLOCK))
		return qc_fail_errno(QC_SYSTEM, errno, name, "cannot set its flags");
	err = image_stat(*fd, name, st, bytes);
	/* A device that has an image on another writes past the page cache of the one below. */
	if (!err && S_ISBLK(st->st_mode))
		posix_fadvise(*fd, 0, 0, POSIX_FADV_DONTNEED);
	return err;
}

/* Return: bytes that are not there, or -errno. */
static ssize_t read_most(int fd, char *buf, size_t len, u64 offset)
{
	while (len) {
		ssize_t got = pread(fd, buf, len, offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		buf += got;
		len -= got;
		offset += got;
	}
	return len;
}

int image_pread(int fd, void *buf, size_t len, u64 offset)
{
	ssize_t left = read_most(fd, buf, len, offset);

	return left > 0 ? -ENODATA : left;
}

int image_pread_eof(int fd, void *buf, size_t len, u64 offset)
{
	ssize_t left = read_most(fd, buf, len, offset);

	if (left < 0)
		return left;
	memset((char *)buf + (len - left), 0, left);
	return 0;
}

int image_pwrite(int fd, const void *buf, size_t len, u64 offset)
{
	while (len) {
		ssize_t put = pwrite(fd, buf, len, offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -ENOSPC;
		buf = (const char *)buf + put;
		len -= put;
		offset += put;
	}
	return 0;
}

bool image_punch(int fd, u64 from, u64 bytes)
{
	return !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, bytes);
}

int image_zero(int fd, u64 from, u64 end)
{
	unsigned char *zeros;
	size_t len;
	int err = 0;

	if (image_punch(fd, from, end - from))
		return 0;
	zeros = qc_alloc(ZERO_BYTES);
	for (; !err && from < end; from += len) {
		len = min_t(u64, ZERO_BYTES, end - from);
		err = image_pwrite(fd, zeros, len, from);
	}
	free(zeros);
	return err;
}

int image_pread_padded(const struct image *img, void *buf, size_t len, u64 offset)
{
	size_t there = offset < img->bytes ? min_t(u64, len, img->bytes - offset) : 0;

	memset((char *)buf + there, 0, len - there);
	return image_pread(img->fd, buf, there, offset);
}

int image_exit_code(int err)
{
	switch (err) {
	case 0:
		return QC_OK;
	case -EOPNOTSUPP:
		return QC_UNSUPPORTED;
	case -EINVAL:
	case -EFBIG:
	case -EUCLEAN:
	case -ENODATA:
		return QC_BAD_IMAGE;
	default:
		return QC_SYSTEM;
	}
}

static int read_head(struct image *img)
{
	size_t len = min_t(u64, img->bytes, QCOW_PROBE_BYTES);
	int err;

	img->head = qc_alloc(QCOW_PROBE_BYTES);
	err = image_pread(img->fd, img->head, len, 0);
	if (err)
		return qc_fail_errno(QC_SYSTEM, -err, img->name, "cannot read the header");
	if (len < 4 || memcmp(img->head, "QFI\xfb", 4))
		return image_not_qcow(img, len, QC_NOT_QCOW);

	img->head_len = min_t(u64, img->bytes, qcow_header_span(img->head, len));
	if (img->head_len <= len)
		return 0;
	img->head = qc_grow(img->head, img->head_len, 1);
	err = image_pread(img->fd, img->head, img->head_len, 0);
	if (err)
		return qc_fail_errno(QC_SYSTEM, -err, img->name, "cannot read the header");
	return 0;
}

/*
 * Some writers count the NUL that ends a string. One inside, where QEMU stops, hides what comes
 * behind it: that is refused. An empty string is none.
 */
static int set_string(const struct image *img, const char *what, const char *s, size_t len,
		      char **value)
{
	while (len && !s[len - 1])
		len--;
	if (memchr(s, 0, len))
		return qc_fail(QC_BAD_IMAGE, img->name, "the %s has a NUL byte in it", what);
	free(*value);
	*value = len ? qc_strndup(s, len) : NULL;
	return 0;
}

static int read_backing_name(struct image *img)
{
	size_t len = img->h.backing_offset ? img->h.backing_len : 0;
	char *name = qc_alloc(len);
	int err = image_pread(img->fd, name, len, img->h.backing_offset);

	img->digest = qcow_header_digest(img->head, img->head_len, name, len);
	if (err == -ENODATA) {
		img->backing_lost = true;
		err = qc_fail(0, img->name,
			      "the backing file's name, %u bytes at 0x%llx, is beyond the end of the file",
			      img->h.backing_len, img->h.backing_offset);
	} else if (err) {
		err = qc_fail_errno(image_exit_code(err), -err, img->name,
				    "cannot read the backing file's name");
	} else {
		err = set_string(img, "backing file's name", name, len, &img->backing);
	}
	free(name);
	return err;
}

/* A string extension; NULL in @value when there is none. */
static int read_string_ext(struct image *img, u32 type, const char *what, char **value)
{
	struct qcow_ext ext;

	if (!image_find_ext(img, type, &ext))
		return 0;
	if (ext.len > QCOW_MAX_BACKING_NAME)
		return qc_fail(QC_BAD_IMAGE, img->name, "the %s is %u bytes long, limit %u", what,
			       ext.len, QCOW_MAX_BACKING_NAME);
	return set_string(img, what, ext.data, ext.len, value);
}

static int check_extensions(const struct image *img)
{
	QC_REPORT(rep);
	struct qcow_ext ext;
	size_t pos = 0;
	int ret;

	do {
		ret = qcow_ext_next(&img->h, img->head, img->head_len, &pos, &ext, &rep);
	} while (ret == 1);
	if (!ret)
		return 0;
	if (!qc_lines(img->name, rep.buf))
		qc_fail(0, img->name, "a header extension is damaged");
	return image_exit_code(ret);
}

bool image_find_ext(const struct image *img, u32 type, struct qcow_ext *ext)
{
	size_t pos = 0;

	if (img->raw)
		return false;
	while (qcow_ext_next(&img->h, img->head, img->head_len, &pos, ext, NULL) == 1)
		if (ext->type == type)
			return true;
	return false;
}

int image_read_header(struct image *img)
{
	QC_REPORT(rep);
	int err;

	err = read_head(img);
	if (err)
		return err;

	/* What the file does not hold of a table reads as zeros. */
	err = qcow_header_parse(&img->h, img->head, img->head_len, S64_MAX, &rep);
	if (err) {
		if (!qc_lines(img->name, rep.buf))
			qc_fail(0, img->name, "the header is damaged");
		return image_exit_code(err);
	}

	err = check_extensions(img);
	if (!err)
		err = read_backing_name(img);
	if (!err)
		err = read_string_ext(img, QCOW_EXT_BACKING_FORMAT, "backing file's format",
				      &img->backing_format);
	if (!err && img->h.incompatible & QCOW_INCOMPAT_DATA_FILE)
		err = read_string_ext(img, QCOW_EXT_DATA_FILE, "external data file's name",
				      &img->data_name);
	return err;
}

void image_warn_cut(const struct image *img)
{
	QC_REPORT(rep);
	struct qcow_header h;

	if (qcow_header_parse(&h, img->head, img->head_len, img->bytes, &rep) == -EUCLEAN)
		qc_warn(img->name, "%.*s", (int)strcspn(rep.buf, "\n"), rep.buf);
}

const char *image_format(const struct image *img)
{
	if (img->raw)
		return "raw";
	return img->h.version == 1 ? "qcow" : "qcow2";
}

int image_check_format(const char *name, const char *format)
{
	struct image img;
	const char *found;
	__be32 head[2];
	int err;

	image_init(&img);
	err = policy_open_named(&img, name, false);
	if (!err && !image_pread(img.fd, head, sizeof(head), 0) &&
	    be32_to_cpu(head[0]) == QCOW_MAGIC) {
		found = be32_to_cpu(head[1]) == 1 ? "qcow" : "qcow2";
		if (strcmp(found, format))
			err = qc_fail(QC_USAGE, name, "--format: '%s' is asked for, and it is %s",
				      format, found);
	}
	image_close(&img);
	return err;
}

bool image_is_raw_format(const char *format)
{
	return !strcmp(format, "raw") || !strcmp(format, "file") || !strcmp(format, "host_device");
}

bool image_same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}
