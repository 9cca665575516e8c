/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mounts the file system in an image: attaches the image, chooses the file system, and has the
 * device go away with the mount.
 */
#ifndef QCOWCTL_MOUNT_H
#define QCOWCTL_MOUNT_H

#include "attach/attach.h"

/**
 * struct mount_request - what is to be mounted, and how
 * @attach: the image
 * @dir: where
 * @options: those of the file system, as for mount(8), allocated; NULL: none
 * @type: of the file system; NULL: as it is found
 * @partition: its number, or 0: is chosen
 * @root: the root partition is wanted
 * @remount: @dir has it, and gets other options
 * @read_only: no option makes image and file system writable
 * @nofail: that there is no image is no error
 * @sloppy: options that the file system does not know do not matter
 * @no_mtab: leave no entry in the tables of mount(8)
 * @verbose: say what is mounted
 * @mount_ns: path of the mount namespace that @dir is in, or NULL: this one
 * @values: of options, which others refer to
 * @nr_values: of them
 */
struct mount_request {
	struct attach_request attach;
	const char *dir;
	char *options;
	const char *type;
	u32 partition;
	bool root;
	bool remount;
	bool read_only;
	bool nofail;
	bool sloppy;
	bool no_mtab;
	bool verbose;
	const char *mount_ns;
	char **values;
	size_t nr_values;
};

/* options.c */

/* mount_free() it. */
void mount_init(struct mount_request *m);
void mount_free(struct mount_request *m);

/**
 * mount_add_options() - take options as mount(8) has them
 * @m: the request
 * @text: with commas between them; those of attach by their names, "partition=N" and "root" are
 *        told from those of the file system
 *
 * Return: 0 or QC_USAGE.
 */
int mount_add_options(struct mount_request *m, const char *text);

/**
 * mount_set_partition() - take the number of a partition
 * @m: the request
 * @text: the number
 *
 * Return: 0 or QC_USAGE.
 */
int mount_set_partition(struct mount_request *m, const char *text);

/* To read only, file system and image. */
void mount_set_read_only(struct mount_request *m);

/**
 * mount_check_options() - whether those that have been taken go together
 * @m: the request, with all else that it gets
 *
 * Return: 0 or QC_USAGE.
 */
int mount_check_options(struct mount_request *m);

/* choose.c */

/**
 * struct file_system - one that can be mounted
 * @node: of the device that it is on, allocated
 * @type: as mount(8) and libblkid name it, allocated
 */
struct file_system {
	char *node;
	char *type;
};

/**
 * choose_file_system() - find the one that is meant
 * @fs: result; file_system_free() it, also after an error
 * @m: what is asked for
 * @index: of the device that has the image
 *
 * Return: 0; QC_NOT_FOUND: there is none, or several and none of them is the one; QC_SYSTEM.
 */
int choose_file_system(struct file_system *fs, const struct mount_request *m, u32 index);
void file_system_free(struct file_system *fs);

/* mount.c */

/**
 * mount_image() - mount it
 * @m: the request, after mount_check_options()
 *
 * The image is attached until the file system is not mounted any more. One that @m->dir has already
 * stays as it is.
 *
 * Return: enum qc_exit, after a message; as attach_image() and choose_file_system(); QC_SYSTEM: the
 * file system cannot be mounted.
 */
int mount_image(struct mount_request *m);

/**
 * mounted_node() - the node of an attached image that is mounted somewhere
 * @dir: where, in this mount namespace
 * @index: result, of the device
 *
 * Return: allocated; NULL: there is none.
 */
char *mounted_node(const char *dir, u32 *index);

/* umount.c */

/**
 * struct umount_request - what is not to be mounted any more, as umount(8) has it
 * @dir: where it is mounted
 * @lazy: though it is in use
 * @force: though its disk does not answer
 * @read_only: where that fails, mount it to be read only
 * @no_mtab: leave the tables of mount(8) as they are
 * @mount_ns: path of the mount namespace that @dir is in, or NULL: this one
 */
struct umount_request {
	const char *dir;
	bool lazy;
	bool force;
	bool read_only;
	bool no_mtab;
	const char *mount_ns;
};

/**
 * umount_dir() - unmount, and wait until the device has gone with it
 * @u: the request
 *
 * A device that has other users stays.
 *
 * Return: enum qc_exit.
 */
int umount_dir(const struct umount_request *u);

#endif /* QCOWCTL_MOUNT_H */
