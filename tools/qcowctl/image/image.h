/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Images as files: how one is found and opened, what its header says, which layers are below
 * it, and where every guest byte of the chain is stored.
 *
 * Nothing here writes to an image but image_pwrite(), image_punch() and image_zero(). Functions
 * that can fail return enum qc_exit and have printed a message, unless their comment states
 * something else; all of them may block.
 */
#ifndef QCOWCTL_IMAGE_H
#define QCOWCTL_IMAGE_H

#include <fcntl.h>
#include <sys/stat.h>

#include <qcow/header.h>

#include "qcowctl.h"

struct json_object;
struct qcow_luks;
struct qcow_luks_place;

/* image.c: one open file, its header and the names in it */

#define IMAGE_OPEN_FLAGS (O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_LARGEFILE)

/**
 * struct directory - a directory that file names are relative to
 * @fd: O_PATH descriptor
 * @abs: absolute name as the user or the image wrote it, without ".", ".." and "//"
 */
struct directory {
	int fd;
	char *abs;
};

/**
 * struct image - one layer of a chain
 * @name: for messages, as QEMU composes it
 * @fd: the file
 * @dir: directory part of the name that the file was opened by; names in the image are
 *       relative to it, as in QEMU
 * @own: absolute name of the directory that the file is in, without symbolic links, where
 *       names in the image may lead to; NULL: none, it is a block device or has been removed
 * @st: of @fd
 * @bytes: length of the file or block device
 * @raw: the file has no header
 * @h: header, unless @raw
 * @head: first bytes of the file: header and extensions
 * @head_len: bytes at @head
 * @digest: qcow_header_digest(); 0: raw
 * @backing: name of the backing file or NULL
 * @backing_lost: it has one, and the name is beyond the end of the file
 * @backing_format: as the image states it, or NULL
 * @data_name: external data file as the image states it, or NULL
 * @data_path: the same, for messages
 * @data_fd: the external data file, or -1
 * @data_st: of @data_fd
 */
struct image {
	char *name;
	int fd;
	struct directory dir;
	char *own;
	struct stat st;
	u64 bytes;
	bool raw;
	struct qcow_header h;
	unsigned char *head;
	size_t head_len;
	u64 digest;
	char *backing;
	bool backing_lost;
	char *backing_format;
	char *data_name;
	char *data_path;
	int data_fd;
	struct stat data_st;
};

/**
 * image_init() - make an image that nothing is open in
 * @img: the image; image_close() is valid from now on
 */
void image_init(struct image *img);

/**
 * image_close() - close the files of an image and free its memory
 * @img: the image; as after image_init() afterwards
 */
void image_close(struct image *img);

/**
 * directory_close() - close a directory and free its names
 * @dir: the directory; may be closed again
 */
void directory_close(struct directory *dir);

/**
 * image_open_file() - open a file if it can hold an image
 * @path_fd: O_PATH descriptor of the file. Opening a device can do something by itself, such
 *           as to arm a watchdog or to rewind a tape: it is judged before that
 * @name: for messages
 * @flags: O_RDONLY or O_RDWR, and O_EXCL for a block device that must not be mounted
 * @fd: result
 * @st: result
 * @bytes: result, length of the file or block device
 *
 * Return: 0; QC_POLICY: neither a regular file nor a block device; QC_BUSY; QC_SYSTEM.
 */
int image_open_file(int path_fd, const char *name, int flags, int *fd, struct stat *st,
		    u64 *bytes);

/**
 * image_stat() - how long an open file is now
 * @fd: a regular file or a block device
 * @name: for messages
 * @st: result
 * @bytes: result, length of the file or block device
 *
 * Return: 0 or QC_SYSTEM.
 */
int image_stat(int fd, const char *name, struct stat *st, u64 *bytes);

/**
 * image_read_header() - read and validate header, extensions and names
 * @img: with @name, @fd, @st and @bytes
 *
 * Tables may lie beyond the end of the file, and so may the backing file's name, after a message.
 *
 * Return: 0, QC_NOT_QCOW, QC_BAD_IMAGE, QC_UNSUPPORTED or QC_SYSTEM.
 */
int image_read_header(struct image *img);

/**
 * image_warn_cut() - warn of a table that the file does not hold as a whole
 * @img: the image, with a validated header
 */
void image_warn_cut(const struct image *img);

/**
 * image_format() - the format of an image under QEMU's name
 * @img: the image
 *
 * Return: "qcow", "qcow2" or "raw".
 */
const char *image_format(const struct image *img);

/**
 * image_check_format() - whether a file has the format that the user named
 * @name: of the file, which no policy restricts
 * @format: "qcow" or "qcow2"
 *
 * Looks at no more than magic and version, and leaves what is no QCOW image to others.
 *
 * Return: 0; QC_USAGE: it has the other one, after a message; as policy_open_named().
 */
int image_check_format(const char *name, const char *format);

/**
 * image_is_raw_format() - whether a format that an image states for a file means raw
 * @format: under QEMU's name
 *
 * Return: true for "raw" and for the drivers that are below it.
 */
bool image_is_raw_format(const char *format);

/**
 * image_is_encrypted() - whether an image's data are encrypted
 * @img: the image, raw or with a validated header
 */
static inline bool image_is_encrypted(const struct image *img)
{
	return !img->raw && img->h.crypt_method != QCOW_CRYPT_NONE;
}

/**
 * image_find_ext() - find a header extension
 * @img: the image, with a validated header
 * @type: QCOW_EXT_*
 * @ext: result, in place
 *
 * Return: false when the header has no extension of this type.
 */
bool image_find_ext(const struct image *img, u32 type, struct qcow_ext *ext);

/**
 * image_same_file() - compare two files
 * @a: one
 * @b: the other
 *
 * Return: true for the same file, and for two nodes of one block device.
 */
bool image_same_file(const struct stat *a, const struct stat *b);

/**
 * image_exit_code() - the exit code for an error of the format code
 * @err: 0 or -errno
 *
 * Return: enum qc_exit.
 */
int image_exit_code(int err);

/**
 * image_pread() - read a range of a file completely
 * @fd: the file
 * @buf: result
 * @len: bytes
 * @offset: where the range begins
 *
 * Prints nothing. Return: 0, -errno, or -ENODATA when the file ends in the range.
 */
int image_pread(int fd, void *buf, size_t len, u64 offset);

/**
 * image_pread_eof() - read a range of a file, zeros for what is beyond its end
 * @fd: the file
 * @buf: result
 * @len: bytes
 * @offset: where the range begins
 *
 * Prints nothing. Return: 0 or -errno.
 */
int image_pread_eof(int fd, void *buf, size_t len, u64 offset);

/**
 * image_pwrite() - write a range of a file completely
 * @fd: the file
 * @buf: content
 * @len: bytes
 * @offset: where the range begins
 *
 * Prints nothing. Return: 0 or -errno.
 */
int image_pwrite(int fd, const void *buf, size_t len, u64 offset);

/**
 * image_punch() - make a range of a file a hole; its length stays
 * @fd: the file
 * @from: where the range begins
 * @bytes: how long it is
 *
 * Prints nothing. Return: whether the file system can do it.
 */
bool image_punch(int fd, u64 from, u64 bytes);

/**
 * image_zero() - make a range of a file zeros, which take no space where that can be
 * @fd: the file
 * @from: where the range begins
 * @end: where it ends, behind @from
 *
 * Prints nothing. Return: 0 or -errno.
 */
int image_zero(int fd, u64 from, u64 end);

/**
 * image_pread_padded() - the same of metadata, with zeros for what is beyond the end of the file
 * @img: the image
 * @buf: result
 * @len: bytes
 * @offset: where the range begins
 *
 * Return: as image_pread().
 */
int image_pread_padded(const struct image *img, void *buf, size_t len, u64 offset);

/* magic.c: what else a file may be */

/**
 * image_not_qcow() - say that a file is no QCOW image, and what it looks like
 * @img: with @name and @head
 * @len: bytes at @head
 * @code: exit code
 *
 * Return: @code
 */
int image_not_qcow(const struct image *img, size_t len, int code);

/* luks.c: the LUKS header */

/**
 * image_read_luks() - read and validate the LUKS header
 * @img: the image, with a validated header and QCOW_CRYPT_LUKS
 * @place: result, where it is
 * @luks: result
 *
 * Return: 0, QC_BAD_IMAGE, QC_UNSUPPORTED or QC_SYSTEM.
 */
int image_read_luks(const struct image *img, struct qcow_luks_place *place,
		    struct qcow_luks *luks);

/* snapshots.c: the table of internal snapshots */

/**
 * struct snapshot - one internal snapshot
 * @s: the table's entry, without its names
 * @id: NUL terminated copy
 * @name: NUL terminated copy
 * @at: where the entry begins in the table, a multiple of 8 bytes
 * @bytes: its length with the padding behind it, also that of the last entry
 */
struct snapshot {
	struct qcow_snapshot s;
	char *id;
	char *name;
	size_t at;
	size_t bytes;
};

/**
 * struct snapshots - the whole table
 * @list: in the order of the table
 * @nr: of them
 * @raw: the table as it is in the file; the padding of the last entry may not be in it
 * @raw_bytes: at @raw
 */
struct snapshots {
	struct snapshot *list;
	u32 nr;
	unsigned char *raw;
	size_t raw_bytes;
};

/**
 * snapshots_read() - read the snapshot table
 * @img: the image, with a validated header
 * @snaps: result, empty for version 1 and raw; after an error, those before it; snapshots_free()
 *         it in any case
 *
 * Return: 0, QC_BAD_IMAGE or QC_SYSTEM.
 */
int snapshots_read(const struct image *img, struct snapshots *snaps);

/**
 * snapshots_free() - free a snapshot table
 * @snaps: the table
 */
void snapshots_free(struct snapshots *snaps);

/**
 * enum snapshot_key - where snapshots_lookup() looks first
 * @SNAPSHOT_ID: among the ids
 * @SNAPSHOT_NAME: among the names
 */
enum snapshot_key {
	SNAPSHOT_ID,
	SNAPSHOT_NAME,
};

/**
 * snapshots_lookup() - find a snapshot in a table that has been read
 * @img: the image, for messages
 * @snaps: the table
 * @what: id or name
 * @first: what @what is taken for first; the first of the table that has it is meant
 * @index: result, position in the table
 *
 * Return: 0 or QC_NOT_FOUND.
 */
int snapshots_lookup(const struct image *img, const struct snapshots *snaps, const char *what,
		     enum snapshot_key first, u32 *index);

/**
 * snapshots_new_id() - the id of a snapshot that is to be created
 * @img: the image, for messages
 * @snaps: its table
 * @id: result, allocated: the highest number that is there and 1, as QEMU has it
 *
 * Return: 0; QC_UNSUPPORTED: there is no room for another.
 */
int snapshots_new_id(const struct image *img, const struct snapshots *snaps, char **id);

/**
 * snapshots_find() - find a snapshot by its id or else by its name
 * @img: the image, with a validated header
 * @what: id or name
 * @index: result, position in the table
 *
 * Return: 0, QC_NOT_FOUND, QC_BAD_IMAGE or QC_SYSTEM.
 */
int snapshots_find(const struct image *img, const char *what, u32 *index);

/* name.c: what a name in an image stands for */

/**
 * struct file_name - what a name in an image stands for
 * @path: of a file
 * @format: that the name states along with it, or NULL
 */
struct file_name {
	char *path;
	char *format;
};

/**
 * name_parse() - read a name as QEMU does
 * @by: the image that holds the name, for messages
 * @what: "backing file", "data file"
 * @name: plain, or with "file:" or "json:"
 * @result: result; name_free() it also after an error
 *
 * Return: 0; QC_POLICY: it does not stand for a file, or for more than that.
 */
int name_parse(const struct image *by, const char *what, const char *name,
	       struct file_name *result);

/**
 * name_free() - free the texts
 * @name: what name_parse() returned
 */
void name_free(struct file_name *name);

/* policy.c: which files an image can make qcowctl open */

/**
 * struct allowed - a directory whose files the user allowed, or a file
 * @abs: absolute name as the user wrote it, without ".", ".." and "//"
 * @real: absolute name without symbolic links
 * @st: of it
 */
struct allowed {
	char *abs;
	char *real;
	struct stat st;
};

/**
 * struct policy - what the user allowed, in addition to the directories of the images
 * @allowed: directories and files
 * @nr: of them
 */
struct policy {
	struct allowed *allowed;
	size_t nr;
};

/**
 * policy_allow() - allow the files in a directory, or one file (--allow-backing)
 * @policy: the policy
 * @name: of the directory or file
 *
 * Return: 0, QC_NOT_FOUND or QC_SYSTEM.
 */
int policy_allow(struct policy *policy, const char *name);

/**
 * policy_free() - forget all that was allowed
 * @policy: the policy
 */
void policy_free(struct policy *policy);

/**
 * policy_open_named() - open a file that the user named, which no policy restricts
 * @img: result: name, fd, dir, own, st and bytes
 * @name: of the file
 * @write: open for reading and writing
 *
 * Return: 0, QC_NOT_FOUND, QC_POLICY, QC_BUSY or QC_SYSTEM.
 */
int policy_open_named(struct image *img, const char *name, bool write);

/**
 * policy_open_made() - open a file that this process has made, for reading and writing
 * @img: result: name, fd, dir, own, st and bytes
 * @name: of the file; not opened if it is a symbolic link, or another file by now
 * @made: descriptor of the file; @img->st tells which it is also after an error
 *
 * Return: 0, QC_NOT_FOUND, QC_POLICY or QC_SYSTEM.
 */
int policy_open_made(struct image *img, const char *name, int made);

/**
 * policy_open_backing() - open the backing file that an image names
 * @policy: what the user allowed
 * @by: the image that holds the name
 * @path: what the name stands for
 * @write: open for reading and writing, which needs a consent as in policy_open_data()
 * @img: result: name, fd, dir, own, st and bytes
 *
 * Return: 0; QC_POLICY: the name or the place of the file is not allowed; QC_BAD_IMAGE,
 * QC_NOT_FOUND, QC_SYSTEM.
 */
int policy_open_backing(const struct policy *policy, const struct image *by, const char *path,
			bool write, struct image *img);

/**
 * policy_open_attached() - open the backing file of an attached image, for reading and writing
 * @policy: what the user allowed
 * @by: the image: its name, and st
 * @name: of the backing file, which the driver has told: that it may be read has been judged by the
 *        attach, and to write to it needs a consent as in policy_open_backing()
 * @img: result: name, fd, dir, own, st and bytes
 *
 * Return: as policy_open_backing().
 */
int policy_open_attached(const struct policy *policy, const struct image *by, const char *name,
			 struct image *img);

/**
 * policy_open_data() - open the external data file that an image names
 * @policy: what the user allowed
 * @img: the image; result: data_path, data_fd and data_st
 * @write: open for reading and writing, which needs a consent: the user allowed the file, or
 *         the image and the file have the same owner
 *
 * Return: as policy_open_backing().
 */
int policy_open_data(const struct policy *policy, struct image *img, bool write);

/**
 * policy_combine() - a file name in an image as QEMU composes it
 * @by: name of the image that holds it
 * @name: absolute, relative, or with a protocol
 *
 * Return: the name, allocated.
 */
char *policy_combine(const char *by, const char *name);

/* path.c: file names as text; no file system is asked */

/**
 * path_dirname() - directory part of a name
 * @path: the name
 *
 * Return: the directory, "." without one; allocated.
 */
char *path_dirname(const char *path);

/**
 * path_absolute() - normalise a name
 * @base: absolute name of the directory that a relative @path starts in
 * @path: the name
 *
 * Return: the absolute name without ".", ".." and "//"; allocated.
 */
char *path_absolute(const char *base, const char *path);

/**
 * path_below() - the part of a name behind a directory
 * @dir: the directory, as path_absolute() returns it
 * @path: the name, likewise
 *
 * Return: what follows @dir, in @path; NULL when @path is not inside @dir.
 */
const char *path_below(const char *dir, const char *path);

/**
 * path_has_protocol() - whether QEMU reads a name as "protocol:rest"
 * @path: the name
 *
 * Return: true if it does.
 */
bool path_has_protocol(const char *path);

/* lock.c: QEMU's image locks */

/**
 * enum image_lock - what QEMU's image lock on a file is for
 * @IMAGE_LOCK_NONE: no lock; what is read may be of different times
 * @IMAGE_LOCK_SHARE: as QEMU's --force-share: the same, but not while another process has the
 *                    file in a state that is no image
 * @IMAGE_LOCK_READ: nobody else may write
 * @IMAGE_LOCK_WRITE: the same, and nobody else may keep others from writing
 * @IMAGE_LOCK_BESIDE: one of a reader, of a file that an attached device writes to: the device's
 *                     own keeps all others from what this one does, so there is nothing to look for
 * @IMAGE_LOCK_REPLACE: one of a writer, of a file that an attached device reads: as
 *                      IMAGE_LOCK_WRITE, but for the locks of the device itself, which go when it
 *                      gets this one
 */
enum image_lock {
	IMAGE_LOCK_NONE,
	IMAGE_LOCK_SHARE,
	IMAGE_LOCK_READ,
	IMAGE_LOCK_WRITE,
	IMAGE_LOCK_BESIDE,
	IMAGE_LOCK_REPLACE,
};

/**
 * lock_file() - take QEMU's image lock on one file
 * @fd: the file; the lock lives as long as this open file
 * @name: for messages
 * @mode: what for
 *
 * Return: 0; QC_BUSY: another process has a lock that excludes this one; QC_SYSTEM.
 */
int lock_file(int fd, const char *name, enum image_lock mode);

/* The same on an image that is open, and on its external data file. */
int lock_image(const struct image *img, enum image_lock mode);

/**
 * lock_has_writer() - whether another process may write to a file, or resize it, by QEMU's locks
 * @fd: the file, on which this process has no lock
 *
 * Return: true if so; false also where the file system has no locks.
 */
bool lock_has_writer(int fd);

/* chain.c: an image and its backing files */

/**
 * struct chain - opened layers, the active image first
 * @images: the layers
 * @nr: of them
 */
struct chain {
	struct image *images;
	u32 nr;
};

/**
 * struct other_backing - a backing file that the user named in place of an image's
 * @layer: whose backing file it is, 0: the active image
 * @name: of the file
 */
struct other_backing {
	u32 layer;
	const char *name;
};

/**
 * struct chain_options - how to open a chain; chain_options_free() it
 * @policy: what the user allowed
 * @backings: backing files that the user named
 * @nr_backings: of them
 * @backing_format: of backing files whose overlay states no format, and of those that the user
 *                  named, or NULL
 * @write: open the active image and its data file for writing
 * @write_backing: the same of the backing file of the active image
 * @lock: lock of the active image, its data file and what is written to; of other files one of a
 *        reader, unless it is none
 * @top_only: do not open backing files
 * @no_data: do not open external data files
 */
struct chain_options {
	struct policy policy;
	struct other_backing *backings;
	size_t nr_backings;
	const char *backing_format;
	bool write;
	bool write_backing;
	enum image_lock lock;
	bool top_only;
	bool no_data;
};

/**
 * chain_set_backing_format() - the argument of --backing-format
 * @opts: the options
 * @format: the argument; has to stay valid
 *
 * Return: 0 or QC_USAGE.
 */
int chain_set_backing_format(struct chain_options *opts, const char *format);

/**
 * chain_add_backing() - the argument of --backing
 * @opts: the options
 * @arg: [N=]FILE; has to stay valid
 *
 * Return: 0 or QC_USAGE.
 */
int chain_add_backing(struct chain_options *opts, const char *arg);

/**
 * chain_options_free() - forget what the user allowed and named
 * @opts: the options
 */
void chain_options_free(struct chain_options *opts);

/**
 * chain_open() - open an image and, unless told otherwise, everything below it
 * @chain: result; chain_close() it also after an error
 * @name: of the active image
 * @opts: the options
 *
 * Each file is locked before anything is read from it: what a header says of the layers below
 * stays true.
 *
 * Return: 0 or enum qc_exit.
 */
int chain_open(struct chain *chain, const char *name, const struct chain_options *opts);

/**
 * chain_rebase() - open another backing file than the image names, and everything below it
 * @chain: the image alone, whether it has a backing file or not; chain_close() it also after an
 *         error
 * @name: of the backing file, which no policy restricts
 * @format: its format, or NULL, where the image states one
 * @opts: the options; @backing_format is for what is below it
 *
 * Return: as chain_open().
 */
int chain_rebase(struct chain *chain, const char *name, const char *format,
		 const struct chain_options *opts);

/**
 * chain_open_attached() - open the backing file of an attached image alone, to write to it
 * @chain: result; chain_close() it also after an error
 * @by: the image: its name, and st
 * @name: of the backing file, as the driver tells it
 * @format: likewise
 * @policy: what the user allowed
 *
 * It is not locked.
 *
 * Return: 0 or enum qc_exit.
 */
int chain_open_attached(struct chain *chain, const struct image *by, const char *name,
			const char *format, const struct policy *policy);

/**
 * chain_close() - close all layers
 * @chain: the chain
 */
void chain_close(struct chain *chain);

/* extents.c: where every guest byte of a chain is stored */

/**
 * struct guest_range - one guest range, as qemu-img map describes it
 * @guest_start: first byte
 * @len: bytes
 * @depth: layer that the range is read from, 0: the active image
 * @kind: data, zero, hole (in no layer), compressed
 * @present: a layer of the chain has it
 * @zero: reads as zeros; data too, where the file has a hole
 * @damaged: what maps it is damaged or cannot be read: reading it is an error
 * @has_offset: @host_offset is where the first byte is
 * @host_offset: where it is in the file of that layer; compressed: where data of the cluster begin
 * @compressed_len: compressed: bytes from there that may be such data
 */
struct guest_range {
	u64 guest_start;
	u64 len;
	u32 depth;
	enum qcow_extent_kind kind;
	bool present;
	bool zero;
	bool damaged;
	bool has_offset;
	u64 host_offset;
	u32 compressed_len;
};

struct extents;

/**
 * extents_open() - begin to walk over the guest ranges of a chain
 * @chain: the chain; stays open until extents_close()
 *
 * Return: the walk; there is no error.
 */
struct extents *extents_open(const struct chain *chain);

/**
 * extents_close() - end a walk
 * @ext: the walk, or NULL
 */
void extents_close(struct extents *ext);

/**
 * extents_seek() - go on somewhere else
 * @ext: the walk
 * @guest: the next range begins at this guest byte, at most the size of the active image
 */
void extents_seek(struct extents *ext, u64 guest);

/**
 * extents_next() - the next range
 * @ext: the walk
 * @range: result; neighbours of the same kind may come separately
 * @err: 0, or the exit code of the first damaged range so far, after messages
 *
 * Return: false at the end.
 */
bool extents_next(struct extents *ext, struct guest_range *range, int *err);

/**
 * extents_merge() - extend a range by the next one
 * @range: the range
 * @next: the range after it
 *
 * Return: false when @next does not continue @range.
 */
bool extents_merge(struct guest_range *range, const struct guest_range *next);

/* codec.c */

/**
 * codec_decompress() - decompress one cluster
 * @type: QCOW_COMPRESSION_*
 * @in: compressed data, and what follows them in their last sector
 * @in_len: bytes at @in
 * @out: result
 * @out_len: bytes of a cluster
 *
 * Return: false when they do not give a whole cluster, or there is no memory.
 */
bool codec_decompress(u32 type, const void *in, size_t in_len, void *out, size_t out_len);

/**
 * codec_compress() - compress one cluster
 * @type: QCOW_COMPRESSION_*
 * @in: the cluster
 * @in_len: its length
 * @out: result
 * @out_len: room at @out
 *
 * Return: bytes at @out; 0: there is not enough room, or no memory.
 */
size_t codec_compress(u32 type, const void *in, size_t in_len, void *out, size_t out_len);

/**
 * chain_check_readable() - refuse layers that are encrypted
 * @chain: the layers
 * @how: what becomes of such images: "rebased with -u only"
 *
 * Return: 0 or QC_UNSUPPORTED.
 */
int chain_check_readable(const struct chain *chain, const char *how);

/* read.c: what is in them */

struct reader;

/**
 * reader_open() - begin to read a chain
 * @chain: the chain, with its data files; stays open until reader_close()
 *
 * Return: the reader; there is no error.
 */
struct reader *reader_open(const struct chain *chain);

/**
 * reader_close() - end it
 * @r: the reader, or NULL
 */
void reader_close(struct reader *r);

/**
 * reader_read() - read guest bytes
 * @r: the reader
 * @guest: the first
 * @len: how many; beyond the size of the active image there are zeros
 * @buf: result
 *
 * Return: 0; QC_BAD_IMAGE: a damaged entry or compressed data; QC_SYSTEM.
 */
int reader_read(struct reader *r, u64 guest, size_t len, void *buf);

/* dump.c, dump_print.c: the metadata of an image, entry by entry */

/**
 * dump_image() - print the header and every table of an image
 * @img: the image, not raw
 * @json: as JSON, else as text for people
 *
 * Return: 0, or the exit code of the first damaged entry, after messages; the rest is printed.
 */
int dump_image(const struct image *img, bool json);

/* info.c, info_print.c: the description of one image, a tree with the keys of qemu-img info */

/**
 * info_image() - describe an image
 * @img: the image
 * @err: result, enum qc_exit: after messages, what cannot be read of it is missing
 *
 * Return: the tree.
 */
struct json_object *info_image(const struct image *img, int *err);

/**
 * info_snapshots() - the snapshots of an image, with the keys of qemu-img info
 * @snaps: the table
 *
 * Return: an array.
 */
struct json_object *info_snapshots(const struct snapshots *snaps);

/**
 * info_print() - print a description as text for people
 * @info: the tree
 */
void info_print(struct json_object *info);

/**
 * info_string() - a JSON string of bytes that an image holds
 * @s: the bytes
 * @len: of them
 *
 * Return: the string; bytes that are not UTF-8 are replaced.
 */
struct json_object *info_string(const char *s, size_t len);

#endif /* QCOWCTL_IMAGE_H */
