/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of qcowctl create share: the options, where everything in the new image
 * is, and the file that becomes the image.
 */
#ifndef QCOWCTL_CREATE_H
#define QCOWCTL_CREATE_H

#include <sys/stat.h>

#include <qcow/encode.h>
#include <qcow/refcount.h>

#include "qcowctl.h"

/**
 * enum create_opt - options with qemu-img's names, in the order of the help
 */
enum create_opt {
	OPT_SIZE,
	OPT_BACKING_FILE,
	OPT_BACKING_FMT,
	OPT_COMPAT,
	OPT_CLUSTER_SIZE,
	OPT_REFCOUNT_BITS,
	OPT_LAZY_REFCOUNTS,
	OPT_EXTENDED_L2,
	OPT_COMPRESSION_TYPE,
	OPT_DATA_FILE,
	OPT_DATA_FILE_RAW,
	OPT_PREALLOCATION,
	CREATE_NR_OPTS,
};

/**
 * struct create_text - options as they were typed
 * @value: each or NULL; allocated
 * @format: -f, or NULL
 */
struct create_text {
	char *value[CREATE_NR_OPTS];
	const char *format;
};

/* Set one option, a later value replaces an earlier one. */
void create_text_set(struct create_text *text, enum create_opt opt, const char *value);
/* "name=value,name=value", a comma in a value is doubled; @asks: it was "help". */
int create_text_parse(struct create_text *text, const char *list, bool *asks);
void create_text_free(struct create_text *text);
/* The options that -o takes, to stdout. */
void create_print_options(void);

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
 * @lazy_refcounts: set the compatible feature
 * @extended_l2: entries with subclusters
 * @data_file_raw: the external data file is a raw image by itself
 * @preallocation: what has its place from the start
 * @size: virtual size, bytes, a multiple of 512
 * @has_size: @size is stated; else it is the backing file's
 * @backing: as it is to be stored, or NULL; these three point into the text
 * @backing_format: likewise
 * @data_file: likewise
 */
struct create_spec {
	u32 version;
	u32 cluster_bits;
	u32 l2_bits;
	u32 refcount_order;
	u32 compression_type;
	bool lazy_refcounts;
	bool extended_l2;
	bool data_file_raw;
	enum preallocation preallocation;
	u64 size;
	bool has_size;
	const char *backing;
	const char *backing_format;
	const char *data_file;
};

/* Every option by itself and all together, but for the size: 0 or QC_USAGE, ... */
int create_resolve(const struct create_text *text, struct create_spec *spec);

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
	struct qcow_refcount_span refcounts;
	u64 blocks_offset;
	u64 l1_bytes;
	u64 l2_tables;
	u64 l2_offset;
	u64 clusters;
	u64 guest_clusters;
	u64 data_offset;
	u64 file_end;
};

/* Plan the image; 0, or QC_USAGE when an option asks for too much. */
int layout_plan(struct layout *layout, const struct create_spec *spec, const char *name);
void layout_free(struct layout *layout);

/**
 * struct target - a file that is to be made or replaced
 * @name: as the user wrote it
 * @path: without symbolic links
 * @temp: new file beside it that becomes it, or NULL
 * @fd: what to write to: @temp, or a block device itself
 * @old_fd: the file that is there and holds its lock, or -1
 * @st: of that file
 * @bytes: length of a block device
 */
struct target {
	char *name;
	char *path;
	char *temp;
	int fd;
	int old_fd;
	struct stat st;
	u64 bytes;
};

/**
 * target_open() - prepare to make or replace a file
 * @t: result; target_close() it in any case
 * @name: of the file; a symbolic link to it is followed
 *
 * A regular file that is there is locked and stays as it is until target_commit(). A
 * block device is locked, too, but written in place.
 *
 * Return: 0; QC_BUSY: in use; QC_POLICY: nothing that can hold an image; QC_NOT_FOUND,
 * QC_SYSTEM.
 */
int target_open(struct target *t, const char *name);

/* Whether there is a block device to write to, which has old content. */
static inline bool target_is_device(const struct target *t)
{
	return !t->temp;
}

/* The same file, be it there or not. */
bool target_same(const struct target *a, const struct target *b);

/* Everything is on stable storage and has its name. */
int target_commit(struct target *t);

/* After target_commit(): take a file away that was not there before. */
void target_undo(struct target *t);

/* Removes the temporary file unless target_commit() was successful. */
void target_close(struct target *t);

/* Write the image that @layout describes to @t. */
int write_image(const struct target *t, const struct layout *layout,
		const struct create_spec *spec);
/* Make the external data file. */
int write_data_file(const struct target *t, const struct create_spec *spec);

#endif /* QCOWCTL_CREATE_H */
