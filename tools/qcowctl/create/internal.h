/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of create/ share: what to create (options.c), where everything in the new
 * image is (layout.c), the file that becomes the image (target.c) and its content (write.c).
 */
#ifndef QCOWCTL_CREATE_INTERNAL_H
#define QCOWCTL_CREATE_INTERNAL_H

#include <sys/stat.h>

#include <qcow/header.h>
#include <qcow/luks.h>

#include "create/create.h"
#include "create/span.h"
#include "qcowctl.h"

/**
 * enum preallocation - what of the guest's bytes has host clusters from the start
 * @PREALLOC_OFF: nothing
 * @PREALLOC_METADATA: all tables and host offsets; the file is sparse
 * @PREALLOC_FALLOC: and the file system has reserved the space
 * @PREALLOC_FULL: and zeros are written
 */
enum preallocation {
	PREALLOC_OFF,
	PREALLOC_METADATA,
	PREALLOC_FALLOC,
	PREALLOC_FULL,
};

/**
 * struct create_spec - what to create
 * @version: 1, 2 or 3
 * @cluster_bits: log2 of the cluster size
 * @l2_bits: log2 of the entries of one L2 table
 * @refcount_order: log2 of the refcount width
 * @compression_type: QCOW_COMPRESSION_*
 * @nocow: a new file on btrfs is overwritten in place
 * @lazy_refcounts: set the compatible feature
 * @extended_l2: entries with subclusters
 * @data_file_raw: the external data file is a raw image by itself
 * @preallocation: what is allocated from the start
 * @crypt_method: QCOW_CRYPT_*
 * @luks: with QCOW_CRYPT_LUKS, its cipher, mode, hash and the length of the key
 * @iter_msec: how long opening its key slot is to take
 * @size: virtual size, bytes, a multiple of 512
 * @has_size: @size is valid; else it is the backing file's
 * @backing: as it is stored in the image, or NULL; points into the options, as the next two
 * @backing_format: as it is stored, or NULL
 * @data_file: as it is stored, or NULL
 */
struct create_spec {
	u32 version;
	u32 cluster_bits;
	u32 l2_bits;
	u32 refcount_order;
	u32 compression_type;
	bool nocow;
	bool lazy_refcounts;
	bool extended_l2;
	bool data_file_raw;
	enum preallocation preallocation;
	u32 crypt_method;
	struct qcow_luks luks;
	u32 iter_msec;
	u64 size;
	bool has_size;
	const char *backing;
	const char *backing_format;
	const char *data_file;
};

/**
 * create_options_resolve() - validate options, each by itself and all together
 * @opts: the options
 * @spec: result; without has_size its size is still to be found
 *
 * Return: 0, QC_USAGE or QC_POLICY after a message.
 */
int create_options_resolve(const struct create_options *opts, struct create_spec *spec);

/* encrypt.c */

/**
 * encrypt_resolve() - validate the options of encryption
 * @opts: the options
 * @spec: gets crypt_method, luks and iter_msec; all else is there
 *
 * Return: 0 or QC_USAGE after a message.
 */
int encrypt_resolve(const struct create_options *opts, struct create_spec *spec);

/**
 * encrypt_make() - make the LUKS header of a new image, with a key that nobody else has
 * @spec: what to create
 * @opts: where the passphrase is from
 * @name: of the image
 * @bytes: result, with the key material of one slot
 * @content: result, allocated, for what is nothing else than zeros behind it
 *
 * May block. Return: 0; as passphrase_read_new().
 */
int encrypt_make(const struct create_spec *spec, const struct create_options *opts,
		 const char *name, size_t *bytes, unsigned char **content);

/**
 * struct layout - where everything is
 * @h: the header, complete
 * @g: its geometry
 * @head: the header with extensions and names as it is written
 * @head_len: bytes at @head: the first cluster; version 1: up to the L1 table
 * @refcounts: blocks and clusters of the refcount table; version 1: none
 * @blocks_offset: of the refcount blocks
 * @l1_bytes: of the L1 table, without what is left of its last cluster
 * @l2_tables: that are preallocated
 * @l2_offset: of them
 * @luks: where the LUKS header is; of no bytes: there is none
 * @luks_content: what it begins with, from encrypt_make(), or NULL
 * @luks_content_bytes: bytes at it
 * @clusters: host clusters in use, all with reference count one
 * @guest_clusters: of the virtual size
 * @data_offset: of preallocated data clusters in the image
 * @file_end: length of the file
 */
struct layout {
	struct qcow_header h;
	struct qcow_geometry g;
	unsigned char *head;
	size_t head_len;
	struct refcount_span refcounts;
	u64 blocks_offset;
	u64 l1_bytes;
	u64 l2_tables;
	u64 l2_offset;
	struct qcow_luks_place luks;
	unsigned char *luks_content;
	size_t luks_content_bytes;
	u64 clusters;
	u64 guest_clusters;
	u64 data_offset;
	u64 file_end;
};

/**
 * layout_plan() - lay out an image
 * @layout: result; layout_free() it in any case
 * @spec: what to create
 * @name: of the image, for messages
 *
 * Return: 0, or QC_USAGE after a message when an option asks for too much.
 */
int layout_plan(struct layout *layout, const struct create_spec *spec, const char *name);

/**
 * layout_free() - free the encoded header
 * @layout: the layout
 */
void layout_free(struct layout *layout);

/**
 * enum target_old - what may be there already
 * @TARGET_EMPTY: an empty file, a block device without an image
 * @TARGET_REPLACE: any regular file or block device
 * @TARGET_NONE: nothing
 */
enum target_old {
	TARGET_EMPTY,
	TARGET_REPLACE,
	TARGET_NONE,
};

/**
 * struct target - a file that is created or replaced
 * @name: as the user wrote it
 * @path: without symbolic links
 * @temp: new file beside it that takes its name in the end, or NULL
 * @exclusive: it does so only while there is no other with that name
 * @fd: what is written to: @temp, or a block device itself
 * @old_fd: the existing file or block device, locked, or -1
 * @st: of @old_fd
 * @bytes: length of a block device
 */
struct target {
	char *name;
	char *path;
	char *temp;
	bool exclusive;
	int fd;
	int old_fd;
	struct stat st;
	u64 bytes;
};

/**
 * target_open() - prepare to create or replace a file
 * @t: result; target_close() it in any case
 * @name: of the file; a symbolic link to it is followed
 * @old: what may be there already
 * @like: a file whose owner and mode a new file gets, or NULL; one that replaces another has those
 *        of the other
 *
 * An existing regular file is locked and stays as it is until target_commit(). A block device
 * is locked, too, but written in place.
 *
 * Return: 0; QC_BUSY: in use; QC_POLICY: neither a regular file nor a block device, or not
 * what @old allows; QC_NOT_FOUND, QC_SYSTEM.
 */
int target_open(struct target *t, const char *name, enum target_old old,
		const struct stat *like);

/**
 * target_overwrite_in_place() - no copy-on-write of a new file by btrfs; before it is written to
 * @t: the target
 *
 * A block device and other file systems have no such thing, and stay as they are, as in QEMU.
 */
void target_overwrite_in_place(const struct target *t);

/**
 * target_is_device() - whether a block device, with its old content, is written to
 * @t: the target
 *
 * Return: true if so.
 */
static inline bool target_is_device(const struct target *t)
{
	return !t->temp;
}

/**
 * target_same() - compare two targets
 * @a: one
 * @b: the other
 *
 * Return: true for the same file, whether it exists or not.
 */
bool target_same(const struct target *a, const struct target *b);

/**
 * target_commit() - make the content durable and give the file its name
 * @t: the target
 *
 * Return: 0, or QC_SYSTEM after a message: a file that target_open() did not find is not there.
 */
int target_commit(struct target *t);

/**
 * target_remove() - after target_commit(), remove a file that target_open() did not find
 * @t: the target; another file that has its name by now stays
 */
void target_remove(const struct target *t);

/**
 * target_close() - close a target, and remove a temporary file that was not committed
 * @t: the target
 */
void target_close(struct target *t);

/**
 * write_image() - write a new image, its header last
 * @t: the target
 * @layout: where everything is
 * @spec: what to create
 *
 * Return: 0, or QC_SYSTEM after a message.
 */
int write_image(const struct target *t, const struct layout *layout,
		const struct create_spec *spec);

/**
 * write_data_file() - give a new external data file its length and content
 * @t: the target
 * @spec: what to create
 *
 * Return: 0, or QC_SYSTEM after a message.
 */
int write_data_file(const struct target *t, const struct create_spec *spec);

#endif /* QCOWCTL_CREATE_INTERNAL_H */
