/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One open image file: its descriptor, header and the names it holds.
 */
#ifndef QCOWCTL_IMAGE_H
#define QCOWCTL_IMAGE_H

#include <sys/stat.h>

#include <qcow/header.h>

#include "qcowctl.h"

#define IMAGE_OPEN_FLAGS (O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_LARGEFILE)

/**
 * struct place - a directory that names are looked up in
 * @fd: O_PATH descriptor
 * @abs: absolute name as the user or the image wrote it, without ".", ".." and "//"
 * @real: absolute name without symbolic links
 */
struct place {
	int fd;
	char *abs;
	char *real;
};

/**
 * struct image - one layer
 * @name: for messages, as QEMU composes it
 * @fd: the file
 * @dir: where the file is; names in the image are relative to it
 * @st: of @fd
 * @bytes: length of the file or block device
 * @raw: no header
 * @h: header, unless @raw
 * @head: first bytes of the file: header and extensions
 * @head_len: how many
 * @backing: name of the backing file or NULL
 * @backing_format: as stated, or NULL
 * @data_name: external data file as stated, or NULL
 * @data_path: it, for messages
 * @data_fd: it, or -1
 * @data_st: of @data_fd
 */
struct image {
	char *name;
	int fd;
	struct place dir;
	struct stat st;
	u64 bytes;
	bool raw;
	struct qcow_header h;
	unsigned char *head;
	size_t head_len;
	char *backing;
	char *backing_format;
	char *data_name;
	char *data_path;
	int data_fd;
	struct stat data_st;
};

/* An image with nothing in it, that image_close() accepts. */
void image_init(struct image *img);
void image_close(struct image *img);
void place_close(struct place *place);

/**
 * image_check_file() - is it something that can hold an image
 * @fd: open file; O_NONBLOCK is taken off
 * @name: for messages
 * @st: result
 * @bytes: result, length of the file or block device
 */
int image_check_file(int fd, const char *name, struct stat *st, u64 *bytes);

/**
 * image_read_header() - header, extensions and names of img->fd
 * @img: with @name, @fd, @st and @bytes
 *
 * Return: 0, QC_NOT_QCOW, QC_BAD_IMAGE, QC_UNSUPPORTED or QC_SYSTEM.
 */
int image_read_header(struct image *img);

/* "qcow", "qcow2" or "raw", as QEMU calls it. */
const char *image_format(const struct image *img);

/* Extension of this type; false: there is none. */
bool image_find_ext(const struct image *img, u32 type, struct qcow_ext *ext);

/* The same file or block device? */
bool image_same_file(const struct stat *a, const struct stat *b);

/* Exit code for an error of the pure format code. */
int image_exit_code(int err);

/* Read all of it: 0, -errno, or -ENODATA at the end of the file. */
int read_fully(int fd, void *buf, size_t len, u64 offset);

/**
 * struct snapshot - one internal snapshot, names copied and NUL terminated
 */
struct snapshot {
	struct qcow_snapshot s;
	char *id;
	char *name;
};

struct snapshots {
	struct snapshot *list;
	u32 nr;
};

/* The whole snapshot table; empty for version 1. */
int snapshots_read(const struct image *img, struct snapshots *snaps);
void snapshots_free(struct snapshots *snaps);
/* Position in the table, by id first, then by name. */
int snapshots_find(const struct image *img, const char *what, u32 *index);

#endif /* QCOWCTL_IMAGE_H */
