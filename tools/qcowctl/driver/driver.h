/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver: its control node and ioctls, its attributes in sysfs, its device nodes. All
 * functions may block.
 */
#ifndef QCOWCTL_DRIVER_H
#define QCOWCTL_DRIVER_H

#include <sys/stat.h>

#include <uapi/linux/qcow.h>

#include "qcowctl.h"

#define QCOW_DEVICE_PREFIX "qcow"

struct chain;
struct image;
struct job_watch;

/* module.c: the driver's module, as modprobe finds it */

#define MODULE_NAME "qcow"

/**
 * module_load() - load the driver's module, and what it needs
 *
 * Return: 0; -errno, of which -ENOENT: it is not installed for the running kernel.
 */
int module_load(void);

/**
 * struct module_file - the module of a kernel
 * @path: of the file, allocated
 * @version: allocated, or NULL
 * @signer: who has signed it, allocated, or NULL
 */
struct module_file {
	char *path;
	char *version;
	char *signer;
};

/**
 * module_find() - find the module that modprobe would load
 * @root: directory that stands for /, or ""
 * @release: of the kernel
 * @file: result; module_file_free() it, also when there is none
 *
 * Return: false: there is none.
 */
bool module_find(const char *root, const char *release, struct module_file *file);
void module_file_free(struct module_file *file);

/* control.c: the control node and its ioctls */

/**
 * control_open() - open the control node
 * @load: load the module when there is no control node
 *
 * Return: a descriptor, or -enum qc_exit after a message.
 */
int control_open(bool load);

/**
 * struct attach_refusal - what helps where the driver attaches nothing
 * @err: errno of the call, 0: success
 * @bitmaps: it would have lost a bitmap
 */
struct attach_refusal {
	int err;
	bool bitmaps;
};

/**
 * control_attach() - QCOW_ATTACH
 * @fd: control node
 * @chain: the layers; their descriptors are handed to the driver
 * @arg: all but layers, digests and message buffer; @index is filled on success
 * @refusal: result
 *
 * Prints the driver's message. Return: enum qc_exit.
 */
int control_attach(int fd, const struct chain *chain, struct qcow_attach *arg,
		   struct attach_refusal *refusal);

/**
 * control_detach() - QCOW_DETACH
 * @fd: control node
 * @index: of the device
 * @flags: QCOW_DETACH_*
 *
 * Return: 0, or QC_BUSY, which prints nothing; or any other code after a message.
 */
int control_detach(int fd, u32 index, u32 flags);

/**
 * control_autoclear() - have a device go away at its last close
 * @fd: control node
 * @index: of the device; one that nobody has open goes at once
 *
 * Return: 0; or any other code after a message.
 */
int control_autoclear(int fd, u32 index);

/**
 * control_change_snapshot() - QCOW_CHANGE_SNAPSHOT
 * @fd: control node
 * @arg: all but the message buffer
 *
 * Prints the driver's message. Return: enum qc_exit.
 */
int control_change_snapshot(int fd, struct qcow_change_snapshot *arg);

/**
 * control_resize() - QCOW_RESIZE
 * @fd: control node
 * @index: of the device
 * @bytes: new size
 * @flags: QCOW_RESIZE_*
 *
 * Prints the driver's message. Return: enum qc_exit, QC_USAGE when the size is wrong.
 */
int control_resize(int fd, u32 index, u64 bytes, u32 flags);

struct nodes;

/**
 * control_overlay() - QCOW_OVERLAY
 * @fd: control node
 * @index: of the device
 * @top: the overlay, open to be written to
 * @image: the active image, opened once more, to be read
 * @key: number of the overlay's key in the kernel; 0: it is not encrypted
 * @nodes: whose file systems are frozen
 *
 * Prints the driver's message. Return: enum qc_exit.
 */
int control_overlay(int fd, u32 index, const struct image *top, const struct image *image,
		    s32 key, const struct nodes *nodes);

/**
 * control_set_access() - QCOW_SET_ACCESS
 * @fd: control node
 * @index: of the device
 * @image: the active image, opened once more as the device is to have it
 * @nodes: whose file systems are frozen
 * @flags: QCOW_ACCESS_*
 *
 * Prints the driver's message. Return: enum qc_exit.
 */
int control_set_access(int fd, u32 index, const struct image *image, const struct nodes *nodes,
		       u32 flags);

/* Whether there is nothing to change; sysfs has what blockdev --setro has done, too. */
bool control_has_access(int fd, u32 index, u32 flags);

/**
 * control_rebase() - QCOW_REBASE
 * @fd: control node
 * @chain: the active image, and what is to be below it, whose descriptors are handed to the driver
 * @arg: all but layers, digests and message buffer
 * @watch: is ended
 *
 * Prints the driver's message. Return: enum qc_exit.
 */
int control_rebase(int fd, const struct chain *chain, struct qcow_rebase *arg,
		   struct job_watch *watch);

/**
 * control_commit_backing() - QCOW_COMMIT_BACKING
 * @fd: control node
 * @index: of the device
 * @base: the backing file of its image, opened and locked to be written to
 * @top_fd: its image, open for reading
 * @rate: bytes in a second, or 0
 * @watch: is ended
 *
 * Prints the driver's message. Return: enum qc_exit.
 */
int control_commit_backing(int fd, u32 index, const struct image *base, int top_fd, u64 rate,
			   struct job_watch *watch);

/**
 * control_change_bitmap() - QCOW_CHANGE_BITMAP
 * @fd: control node
 * @arg: all but the message buffer
 *
 * Prints the driver's message. Return: enum qc_exit, QC_USAGE when the granularity is wrong or the
 * name is there already.
 */
int control_change_bitmap(int fd, struct qcow_change_bitmap *arg);

/**
 * control_map_bitmap() - QCOW_MAP_BITMAP
 * @fd: control node
 * @arg: all but the message buffer
 *
 * Prints the driver's message. Return: enum qc_exit.
 */
int control_map_bitmap(int fd, struct qcow_map_bitmap *arg);

/**
 * control_open_metadata() - QCOW_OPEN_METADATA
 * @fd: control node
 * @arg: all but the message buffer
 *
 * Prints the driver's message. Return: enum qc_exit.
 */
int control_open_metadata(int fd, struct qcow_open_metadata *arg);

/**
 * control_free_leaks() - QCOW_FREE_LEAKS
 * @fd: control node
 * @index: of the device
 * @arg: all but the message buffer
 *
 * Prints the driver's message. Return: enum qc_exit.
 */
int control_free_leaks(int fd, u32 index, struct qcow_free_leaks *arg);

/**
 * control_compact() - QCOW_COMPACT
 * @fd: control node
 * @index: of the device
 * @rate: bytes that it may copy in a second; 0: as many as it can
 * @watch: of it, ended by this
 *
 * Prints the driver's message. Return: enum qc_exit.
 */
int control_compact(int fd, u32 index, u64 rate, struct job_watch *watch);

/**
 * control_wait() - QCOW_WAIT
 * @fd: control node
 * @index: of the device
 * @flags: QCOW_WAIT_*
 *
 * Prints the driver's message. Return: enum qc_exit.
 */
int control_wait(int fd, u32 index, u32 flags);

/* watch.c */

struct progress;

/**
 * struct job_watch - a child process that shows how far the driver is
 * @child: or 0, there is none
 * @index: of the device
 * @progress: how it is shown
 */
struct job_watch {
	pid_t child;
	u32 index;
	struct progress *progress;
};

/**
 * job_watch() - show how far a job of the driver is, which this process is about to ask for
 * @w: result; job_watch_end() it
 * @index: of the device
 * @p: how it is shown
 * @job: its name
 */
void job_watch(struct job_watch *w, u32 index, struct progress *p, const char *job);

/* The call has returned; @done: and has done what it was asked for. */
void job_watch_end(struct job_watch *w, bool done);

/* nodes.c */

/**
 * struct nodes - the nodes of a disk and its partitions
 * @fds: open for reading
 * @nr: how many
 */
struct nodes {
	int *fds;
	u32 nr;
};

/**
 * nodes_open() - open them
 * @nodes: result; nodes_close() it also after an error
 * @index: of the device
 *
 * Return: 0 or QC_SYSTEM.
 */
int nodes_open(struct nodes *nodes, u32 index);
void nodes_close(struct nodes *nodes);

/* settle.c */

/**
 * settle_device() - wait until the nodes of a disk and its partitions are usable
 * @index: of the device
 *
 * Waits for udev where it runs, else for devtmpfs. Warns when the time is over.
 */
void settle_device(u32 index);

/**
 * settle_activate() - have udev do with a disk and its partitions what it does with the host's
 * @index: of the device
 *
 * The rules leave physical volumes and members of arrays alone, which are those of another machine,
 * until this. Without udev nothing happens.
 */
void settle_activate(u32 index);

/**
 * settle_partitions() - have the partitions that are on a disk now
 * @index: of the device, whose contents or size have changed
 *
 * None is read while one is in use.
 */
void settle_partitions(u32 index);

/* sysfs.c: what the driver shows, and which devices an argument stands for */

/**
 * sysfs_devices() - all devices
 * @root: directory that has the sys/ to read, "" for the system's own
 * @list: result, device numbers, ascending; the caller frees it, also after an error
 * @nr: of them
 *
 * Return: 0 or QC_SYSTEM.
 */
int sysfs_devices(const char *root, u32 **list, size_t *nr);

/**
 * sysfs_each_node() - call a function for a disk, and then for each of its partitions
 * @index: of the device
 * @func: gets the name of the node and its directory in sysfs; other than 0 ends the walk
 * @data: for @func
 *
 * Return: what @func returned last; -errno: partitions cannot be looked for.
 */
int sysfs_each_node(u32 index, int (*func)(const char *name, const char *path, void *data),
		    void *data);

/**
 * sysfs_read_file() - read an attribute of any kind
 * @path: of the attribute
 *
 * Return: as sysfs_read().
 */
char *sysfs_read_file(const char *path);

/**
 * sysfs_read() - read an attribute
 * @root: as sysfs_devices()
 * @index: of the device
 * @attr: name below /sys/block/qcowN
 *
 * Return: its value without the last line feed, allocated; NULL: the attribute does not exist.
 */
char *sysfs_read(const char *root, u32 index, const char *attr);

/**
 * sysfs_read_u64() - read an attribute that is a number
 * @root: as sysfs_devices()
 * @index: of the device
 * @attr: name below /sys/block/qcowN
 * @value: result
 *
 * Return: false when it does not exist or is not a number.
 */
bool sysfs_read_u64(const char *root, u32 index, const char *attr, u64 *value);

/**
 * sysfs_job_progress() - how far what is running on a device is
 * @root: as sysfs_devices()
 * @index: of the device
 * @done: result
 * @total: result
 *
 * Return: false: nothing is running that takes long.
 */
bool sysfs_job_progress(const char *root, u32 index, u64 *done, u64 *total);

/**
 * sysfs_job() - what is running on a device that takes long
 * @root: as sysfs_devices()
 * @index: of the device
 *
 * Return: its name and how much of it is done, "stream 42%", allocated; NULL: nothing is.
 */
char *sysfs_job(const char *root, u32 index);

/* Whether a device is in a list, as the functions below make them. */
bool sysfs_list_has(const u32 *list, size_t nr, u32 index);

/**
 * sysfs_parse_name() - the number in "qcowN" or "/dev/qcowN"
 * @text: the name
 * @index: result
 *
 * Return: false for any other text.
 */
bool sysfs_parse_name(const char *text, u32 *index);

/**
 * sysfs_parse_node() - the number in "/dev/qcowN" or "/dev/qcowNpM"
 * @node: of a disk or a partition
 * @index: result
 *
 * Return: false for any other text, or NULL.
 */
bool sysfs_parse_node(const char *node, u32 *index);

/**
 * sysfs_file_id() - a file as the driver's attributes image_id and data_file_id show it
 * @st: of a regular file or a block device
 *
 * Return: the text, allocated.
 */
char *sysfs_file_id(const struct stat *st);

/**
 * sysfs_find_image_writer() - the device that has an image to write to
 * @image: path of the image, which may be on a block device, also one of the driver's
 * @index: result, where there is one
 * @found: result, whether
 *
 * Return: 0 or QC_SYSTEM.
 */
int sysfs_find_image_writer(const char *image, u32 *index, bool *found);

/**
 * sysfs_find_writer() - the device that a name stands for, or that has the image to write to
 * @what: name of a device, which needs no node, or path of an image
 * @index: result, where there is one
 * @found: result, whether
 *
 * Return: 0 or QC_SYSTEM.
 */
int sysfs_find_writer(const char *what, u32 *index, bool *found);

/**
 * sysfs_choose_writer() - of the devices that have an image, the one that writes to it
 * @what: as the user named them
 * @list: from sysfs_find() or sysfs_lookup(); gets that device in front
 * @nr: of them; of one alone it does not matter
 * @cannot: what a device that is read-only cannot, for messages
 *
 * Return: 0, QC_UNSUPPORTED: there is none, or QC_SYSTEM.
 */
int sysfs_choose_writer(const char *what, u32 *list, size_t nr, const char *cannot);

/**
 * sysfs_find_value() - the devices whose attribute has a value
 * @root: as sysfs_devices()
 * @attr: name below /sys/block/qcowN
 * @value: the value
 * @list: result, device numbers; the caller frees it, also after an error
 * @nr: of them
 *
 * Return: 0, also when there is none, or QC_SYSTEM.
 */
int sysfs_find_value(const char *root, const char *attr, const char *value, u32 **list,
		     size_t *nr);

/**
 * sysfs_lookup() - the devices that an argument stands for, if there are any
 * @root: as sysfs_devices()
 * @what: name of a device or of an image; the names of no other images are looked at, which may
 *        be where no server answers
 * @list: result, device numbers; several when an image is attached several times; the caller
 *        frees it, also after an error
 * @nr: of them
 *
 * Return: 0, also when there is none, or QC_SYSTEM.
 */
int sysfs_lookup(const char *root, const char *what, u32 **list, size_t *nr);

/**
 * sysfs_find() - the same, and there has to be one
 * @root: as sysfs_devices()
 * @what: as sysfs_lookup()
 * @list: likewise
 * @nr: likewise
 *
 * Return: 0, QC_NOT_FOUND or QC_SYSTEM.
 */
int sysfs_find(const char *root, const char *what, u32 **list, size_t *nr);

/**
 * sysfs_find_attached() - the device that is to be changed, or none: a file that is not attached
 * @what: name of a device or of an image
 * @cannot: as sysfs_choose_writer()
 * @index: result, where there is one; it may be read-only
 * @found: result, whether
 *
 * Return: 0; QC_NOT_FOUND: neither device nor file; or as sysfs_choose_writer().
 */
int sysfs_find_attached(const char *what, const char *cannot, u32 *index, bool *found);

/* events.c: what the kernel tells of devices */

struct events;

/**
 * struct event - something has happened to a device
 * @index: of the device
 * @name: attach, detach, resize, read-only, read-write, or the name of an operation: overlay,
 *        commit, stream, rebase, snapshot, compact; allocated
 */
struct event {
	u32 index;
	char *name;
};

/* Begin to listen. Return: for events_close(), or NULL after a message. */
struct events *events_open(void);
void events_close(struct events *events);

/**
 * events_next() - wait for an event
 * @events: from events_open()
 * @event: result
 *
 * Return: 0 or QC_SYSTEM.
 */
int events_next(struct events *events, struct event *event);

/* figures.c: what is counted for a device */

enum figure {
	FIGURE_READS,
	FIGURE_READ_SECTORS,
	FIGURE_READ_MS,
	FIGURE_WRITES,
	FIGURE_WRITE_SECTORS,
	FIGURE_WRITE_MS,
	FIGURE_IN_FLIGHT,
	FIGURE_DISCARDS,
	FIGURE_FLUSHES,
	FIGURE_MISSES,
	FIGURE_ALLOCATED,
	FIGURE_COPIED,
	FIGURE_DECOMPRESSED,
	FIGURE_COMMITS,
	NR_FIGURES,
};

/**
 * struct figures - what has been counted for a device until an instant
 * @index: of the device
 * @attached_ns: when it was attached, by CLOCK_MONOTONIC
 * @taken_ns: the instant, likewise
 * @v: by enum figure; of what is in flight, how much that is
 */
struct figures {
	u32 index;
	u64 attached_ns;
	u64 taken_ns;
	u64 v[NR_FIGURES];
};

/* Nanoseconds of CLOCK_MONOTONIC. */
u64 figures_now(void);

/**
 * figures_read() - read them now
 * @root: as sysfs_devices()
 * @index: of the device
 * @f: result
 *
 * Return: false: the device is gone.
 */
bool figures_read(const char *root, u32 index, struct figures *f);

/* files.c: the files of an attached image, or of one that this process has open */

/**
 * struct attached_file - a file of a device, as a name in a directory
 * @path: as the driver tells it; empty: the device has no such file
 * @id: likewise, sysfs_file_id()
 * @dir: the directory that @path is in, open for reading, or -1
 * @base: last part of @path
 * @fd: the file, open for reading, or -1
 * @st: of it
 */
struct attached_file {
	char *path;
	char *id;
	int dir;
	const char *base;
	int fd;
	struct stat st;
};

/* Nothing is open; attached_close() is valid from now on. */
void attached_init(struct attached_file *file);

/* As after attached_init() afterwards. */
void attached_close(struct attached_file *file);

/**
 * attached_open() - find a file of a device by its path
 * @file: result, after attached_init()
 * @index: of the device
 * @attr: "image" or "data_file"
 * @done: what is to happen to it, for a message: "deleted"
 *
 * Return: 0, also when the device has no such file; QC_NOT_FOUND: the path does not lead to
 * that file, or not any more; QC_POLICY: it is a block device; QC_SYSTEM.
 */
int attached_open(struct attached_file *file, u32 index, const char *attr, const char *done);

/**
 * attached_take() - find a file by its path that this process has open
 * @file: result, after attached_init()
 * @fd: the file; its locks stay while @file has it
 * @name: for messages
 * @done: as for attached_open()
 *
 * Return: 0; QC_NOT_FOUND: no name leads to it any more; QC_POLICY, QC_SYSTEM.
 */
int attached_take(struct attached_file *file, int fd, const char *name, const char *done);

/**
 * attached_chain() - open the image of a device once more, and its data file
 * @chain: result, that layer alone, with no locks; chain_close() it also after an error
 * @index: of the device
 * @path: of the image, as the driver tells it
 * @write: to write to it
 *
 * Return: enum qc_exit; QC_NOT_FOUND: the path does not lead to the file that the device has.
 */
int attached_chain(struct chain *chain, u32 index, const char *path, bool write);

/**
 * attached_path() - the image of a device, by its path
 * @what: a device of the driver, or anything else
 * @path: result, allocated; NULL: @what is no such device
 *
 * Return: 0; QC_NOT_FOUND: the path does not lead to that file, or not any more; QC_SYSTEM.
 */
int attached_path(const char *what, char **path);

/* Whether the name still leads to the file that the device has, or has had. */
bool attached_check(const struct attached_file *file);

/* doomed.c: files that are removed when nothing has them any more */

/**
 * struct doomed - what is to be removed
 * @files: an image; its data file, or nothing
 */
struct doomed {
	struct attached_file files[2];
};

/* Nothing is open; doomed_close() is valid from now on. */
void doomed_init(struct doomed *d);
void doomed_close(struct doomed *d);

/**
 * doomed_open() - find the image of devices, and its data file
 * @d: result, after doomed_init()
 * @list: the devices, which all have the same image
 * @nr: of them
 *
 * Return: as attached_open(); QC_BUSY: another device has it, too.
 */
int doomed_open(struct doomed *d, const u32 *list, size_t nr);

/**
 * doomed_take() - the same of an image that is not attached
 * @d: result, after doomed_init()
 * @img: the image, with the locks of a writer
 *
 * Return: as attached_take().
 */
int doomed_take(struct doomed *d, const struct image *img);

/**
 * doomed_delete() - remove them, unless something has gone wrong
 * @d: after doomed_open() or doomed_take()
 * @err: what that has come to
 * @done: what has been done, for a message: "detached"
 *
 * Return: enum qc_exit, @err if that is not 0.
 */
int doomed_delete(const struct doomed *d, int err, const char *done);

/* busy.c */

/**
 * busy_check_mounts() - whether a file system on a device may be written to
 * @index: of the device
 *
 * One that has written nothing yet keeps the device open no other than one that cannot. Prints
 * where it is mounted, in this mount namespace.
 *
 * Return: 0 or QC_BUSY.
 */
int busy_check_mounts(u32 index);

/**
 * busy_explain() - print what keeps a device busy
 * @index: of the device
 */
void busy_explain(u32 index);

#endif /* QCOWCTL_DRIVER_H */
