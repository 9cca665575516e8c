/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Control interface of the qcow block driver: ioctls on /dev/qcow-control.
 *
 * Every argument is an extensible structure: @size is the size that the caller was
 * compiled with. A kernel that knows less accepts a longer structure as long as what it
 * does not know is zero (else -E2BIG), and one that knows more takes what is missing as
 * zero. Unknown flags are refused with -EINVAL.
 *
 * When a call fails, the kernel writes a text that says why, NUL terminated, several lines
 * at most, into the caller's message buffer (it may be absent).
 *
 * All calls need CAP_SYS_ADMIN in the initial user namespace.
 */
#ifndef _UAPI_LINUX_QCOW_H
#define _UAPI_LINUX_QCOW_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define QCOW_CONTROL_NODE	"qcow-control"

/* Layers of one chain, and bytes of one message, at most. */
#define QCOW_MAX_LAYERS		4096
#define QCOW_MAX_MESSAGE	65536

/* Device number: let the driver choose. */
#define QCOW_INDEX_ANY		0xffffffffU

/**
 * enum qcow_layer_format - how the bytes of one layer are to be read
 * @QCOW_FORMAT_RAW: as they are; a backing file only
 * @QCOW_FORMAT_QCOW: QCOW version 1, 2 or 3, as the header says
 */
enum qcow_layer_format {
	QCOW_FORMAT_RAW = 0,
	QCOW_FORMAT_QCOW = 1,
};

/**
 * struct qcow_layer - one layer of a backing chain, as open descriptors
 * @image_fd: the image, a regular file or a block device; image locks taken on this
 *            descriptor stay as long as the image is attached
 * @data_fd: its external data file, or -1
 * @format: enum qcow_layer_format
 * @flags: 0
 *
 * The descriptors must be readable, and, where the layer is to be written, writable and open
 * with O_LARGEFILE. The driver takes references of its own; the caller may close them when the
 * call returns.
 */
struct qcow_layer {
	__s32 image_fd;
	__s32 data_fd;
	__u32 format;
	__u32 flags;
};

/* struct qcow_attach: flags */
#define QCOW_ATTACH_READ_ONLY	(1U << 0)	/* no byte of the image changes */
#define QCOW_ATTACH_SNAPSHOT	(1U << 1)	/* the snapshot, not the active state */
#define QCOW_ATTACH_NO_PARTSCAN	(1U << 2)	/* do not look for partitions; they can be added */
#define QCOW_ATTACH_DIRECT	(1U << 3)	/* direct I/O or fail */
#define QCOW_ATTACH_BUFFERED	(1U << 4)	/* never direct I/O */
#define QCOW_ATTACH_BESIDE	(1U << 5)	/* the snapshot, of what a device writes to */
#define QCOW_ATTACH_DROP_BITMAPS (1U << 6)	/* bitmaps that cannot be kept true may be lost */
#define QCOW_ATTACH_DETECT_ZEROES (1U << 7)	/* writes of zeros are as REQ_OP_WRITE_ZEROES */
#define QCOW_ATTACH_UNMAP_ZEROES (1U << 8)	/* and give their space back; with the former */
#define QCOW_ATTACH_COMPRESS	(1U << 9)	/* clusters written as a whole are compressed */
#define QCOW_ATTACH_NO_DISCARD	(1U << 10)	/* no discards, and zeros keep their space */

/**
 * struct qcow_attach - argument of QCOW_ATTACH
 * @size: sizeof(struct qcow_attach)
 * @flags: QCOW_ATTACH_*
 * @layers: address of an array of struct qcow_layer, the active image first, each
 *          following one the backing of the one before
 * @nr_layers: its length, 1 to QCOW_MAX_LAYERS
 * @index: in: the number N of the wanted /dev/qcowN, or QCOW_INDEX_ANY; out: the number
 * @snapshot: with QCOW_ATTACH_SNAPSHOT, position in the active image's snapshot table
 * @nr_queues: hardware queues, 0: one per CPU
 * @queue_depth: requests in flight per queue, 0: 128
 * @message_size: bytes at @message, 0: no message wanted
 * @message: address of a buffer for the message
 * @cache_bytes: limit of the L2 cache of each layer, 0: 32 MiB; a layer that other devices
 *               share has the largest that was asked for
 * @logical_block_size: of the disk, bytes: 512, or 4096 where the size of the image is a multiple
 *                      of that; 0: 512
 * @reserved: 0
 * @digests: address of an array of @nr_layers __u64, what the caller has read of each header,
 *           or 0. Each is the FNV-1a hash of 64 bits of the first bytes of the file, up to the
 *           end of the header extensions (version 1: of the header), then of the name of the
 *           backing file; or 0: not to be compared. When the kernel reads something else, the
 *           layers may be the wrong ones: -ESTALE
 * @keys: address of an array of @nr_layers __s32, or 0. Each is the serial number of a key of the
 *        kernel that the caller may search, of type "logon", "user", "encrypted" or "trusted". Its
 *        payload is the key that the data of the layer are encrypted with: of LUKS the volume key,
 *        else 16 bytes. 0: the layer is not encrypted, or another device has it open
 *
 * The driver copies the keys: they may be invalidated when the call returns. -ENOKEY: a layer is
 * encrypted, and no key was given; -EKEYREJECTED: the key is of another type or length, or another
 * device has opened the layer with another one.
 *
 * On success the device node exists and partitions have been scanned. A caller that is killed
 * leaves no device behind.
 */
struct qcow_attach {
	__u32 size;
	__u32 flags;
	__aligned_u64 layers;
	__u32 nr_layers;
	__u32 index;
	__u32 snapshot;
	__u32 nr_queues;
	__u32 queue_depth;
	__u32 message_size;
	__aligned_u64 message;
	__aligned_u64 cache_bytes;
	__u32 logical_block_size;
	__u32 reserved;
	__aligned_u64 digests;
	__aligned_u64 keys;
};

/**
 * struct qcow_call - how the arguments of all calls but QCOW_ATTACH begin
 * @size: of the argument
 * @flags: of the call
 * @index: what it is about: the number of the device, where there is one
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 */
struct qcow_call {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
};

/* struct qcow_detach: flags */
#define QCOW_DETACH_LAZY	(1U << 0)	/* at the last close, when it is busy now */

/**
 * struct qcow_detach - argument of QCOW_DETACH
 * @size: sizeof(struct qcow_detach)
 * @flags: QCOW_DETACH_*
 * @index: the number of the device
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 *
 * -EBUSY while a process has the device or a partition of it open (a mount counts), or something
 * that takes long is running on it (see struct qcow_wait). Other operations are waited for.
 */
struct qcow_detach {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
};

/* struct qcow_resize: flags */
#define QCOW_RESIZE_SHRINK	(1U << 0)	/* @bytes may be less than the present size */

/**
 * struct qcow_resize - argument of QCOW_RESIZE
 * @size: sizeof(struct qcow_resize)
 * @flags: QCOW_RESIZE_*
 * @index: the number of the device
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 * @bytes: the new size, a multiple of the logical block size
 *
 * The device may be open and mounted while it grows; what is new reads as zeros. It is made smaller
 * only when no process has it open and nothing is allocated in what goes. Persistent bitmaps get
 * the size, too. When the call fails the size is the old one. One operation at a time runs on a
 * device: -EBUSY.
 */
struct qcow_resize {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
	__aligned_u64 bytes;
};

/**
 * enum qcow_snapshot_action - what becomes of an internal snapshot
 * @QCOW_SNAPSHOT_CREATE: the active state is kept as one
 * @QCOW_SNAPSHOT_APPLY: the active state becomes what it holds; what was active is lost
 * @QCOW_SNAPSHOT_DELETE: it goes away
 */
enum qcow_snapshot_action {
	QCOW_SNAPSHOT_CREATE = 0,
	QCOW_SNAPSHOT_APPLY = 1,
	QCOW_SNAPSHOT_DELETE = 2,
};

/* struct qcow_change_snapshot: flags */
#define QCOW_SNAPSHOT_FORCE	(1U << 0)	/* apply it though the device is open */

/* Block devices whose file systems are frozen, and bytes of an id or a name, at most. */
#define QCOW_MAX_FREEZE		4096
#define QCOW_MAX_SNAPSHOT_TEXT	65535

/**
 * struct qcow_change_snapshot - argument of QCOW_CHANGE_SNAPSHOT
 * @size: sizeof(struct qcow_change_snapshot)
 * @flags: QCOW_SNAPSHOT_*
 * @index: the number of the device
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 * @action: enum qcow_snapshot_action
 * @nr_freeze: descriptors at @freeze, at most QCOW_MAX_FREEZE
 * @freeze: address of an array of __s32, open block devices: the disk or partitions of it. Their
 *          file systems are frozen while the state is taken
 * @id: address of the snapshot's id, as it is in the table
 * @name: address of the name of one that is created
 * @id_len: bytes at @id
 * @name_len: bytes at @name
 * @date_sec: the time to be kept with one that is created, UTC
 * @date_nsec: sub-second part
 *
 * When the call fails the image is as before, unless the log says that it is read-only from then
 * on. A power cut finds all of it done or nothing. One operation at a time runs on a device:
 * -EBUSY.
 */
struct qcow_change_snapshot {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
	__u32 action;
	__u32 nr_freeze;
	__aligned_u64 freeze;
	__aligned_u64 id;
	__aligned_u64 name;
	__u32 id_len;
	__u32 name_len;
	__u32 date_sec;
	__u32 date_nsec;
};

/**
 * struct qcow_overlay - argument of QCOW_OVERLAY
 * @size: sizeof(struct qcow_overlay)
 * @flags: 0
 * @index: the number of the device
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 * @overlay_fd: an empty image as long as the device, open for reading and writing, with image locks
 *              as for QCOW_ATTACH; what it has for a backing file is not looked at. It has been
 *              flushed, and its directory, too
 * @image_fd: the active image, opened once more, for reading only; image locks taken on this
 *            descriptor stay when those of the one that the device has had go
 * @data_fd: its external data file, likewise, or -1
 * @nr_freeze: descriptors at @freeze, at most QCOW_MAX_FREEZE
 * @freeze: address of an array of __s32, open block devices: the disk or partitions of it. Their
 *          file systems are frozen until the overlay is there
 * @key: as struct qcow_attach has it, of the overlay
 * @reserved: 0
 *
 * The overlay takes the place of the active image, which becomes a read-only layer below it; other
 * devices and programs may read it from now on. The device may be open and mounted. When the call
 * fails all is as before. One operation at a time runs on a device: -EBUSY.
 */
struct qcow_overlay {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
	__s32 overlay_fd;
	__s32 image_fd;
	__s32 data_fd;
	__u32 nr_freeze;
	__aligned_u64 freeze;
	__s32 key;
	__u32 reserved;
};

/* struct qcow_set_access: flags */
#define QCOW_ACCESS_READ_ONLY	(1U << 0)	/* else the device can be written to */

/**
 * struct qcow_set_access - argument of QCOW_SET_ACCESS
 * @size: sizeof(struct qcow_set_access)
 * @flags: QCOW_ACCESS_*
 * @index: the number of the device
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 * @image_fd: the active image, opened once more: for reading only if the device is to be read-only,
 *            else as for QCOW_ATTACH. Image locks taken on this descriptor stay when those of
 *            the one that the device has had go
 * @data_fd: its external data file, likewise, or -1
 * @nr_freeze: as struct qcow_overlay has it; for QCOW_ACCESS_READ_ONLY
 * @reserved: 0
 * @freeze: likewise; a file system that has something to write then is one that writes
 *
 * The device may be open and mounted. It is made read-only only if no process has it open for
 * writing or has had since it was opened first (-EBUSY); then its image is as after a detach, and
 * may be attached a second time. It can be written to afterwards where an attach would find nothing
 * against that. When the call fails all is as before; where nothing is to change, that succeeds.
 * One operation at a time runs on a device: -EBUSY.
 */
struct qcow_set_access {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
	__s32 image_fd;
	__s32 data_fd;
	__u32 nr_freeze;
	__u32 reserved;
	__aligned_u64 freeze;
};

/* struct qcow_rebase: flags */
#define QCOW_REBASE_NAMES_ONLY	(1U << 0)	/* the device goes on with the chain that it has */
#define QCOW_REBASE_NO_COMPARE	(1U << 1)	/* what other layers have is copied as it is */

/* Bytes of a name or a format, at most. */
#define QCOW_MAX_BACKING_TEXT	1023

/**
 * struct qcow_rebase - argument of QCOW_REBASE
 * @size: sizeof(struct qcow_rebase)
 * @flags: QCOW_REBASE_*
 * @index: the number of the device
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 * @layers: address of an array of struct qcow_layer: the new backing file, each following one the
 *          backing of the one before
 * @digests: as struct qcow_attach has it, of @layers, or 0
 * @name: address of the name of the backing file, as it is to be in the header
 * @format: address of its format; version 1 stores none
 * @name_len: bytes at @name, at most QCOW_MAX_BACKING_TEXT; 0: no backing file from now on
 * @format_len: bytes at @format, likewise; 0 without a name
 * @nr_layers: length of @layers, at most QCOW_MAX_LAYERS - 1; 0 with QCOW_REBASE_NAMES_ONLY and
 *             without a name
 * @reserved: 0
 * @rate: bytes that it may copy in a second; 0: as many as it can
 * @keys: as struct qcow_attach has it, of @layers, or 0
 *
 * What is read from the device stays the same: where the old and the new backing file differ, the
 * active image gets what the old one has, before its header names the new one, and the device reads
 * from that. With QCOW_REBASE_NAMES_ONLY only the header changes. The device may be open and
 * mounted. A power cut finds the old names or the new ones. When the call fails the names are the
 * old ones, and the image may have more of its own; -ENAMETOOLONG: the header has no room for the
 * names beside the old ones. One operation at a time runs on a device: -EBUSY.
 */
struct qcow_rebase {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
	__aligned_u64 layers;
	__aligned_u64 digests;
	__aligned_u64 name;
	__aligned_u64 format;
	__u32 name_len;
	__u32 format_len;
	__u32 nr_layers;
	__u32 reserved;
	__aligned_u64 rate;
	__aligned_u64 keys;
};

#define QCOW_WAIT_CANCEL	(1U << 0)	/* have it end soon */
#define QCOW_WAIT_DETACH	(1U << 1)	/* wait for a detach that has begun, and no more */

/**
 * struct qcow_wait - argument of QCOW_WAIT
 * @size: sizeof(struct qcow_wait)
 * @flags: QCOW_WAIT_*
 * @index: the number of the device
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 *
 * Waits for the end of the operation that is running on the device, if one is. With
 * QCOW_WAIT_CANCEL an operation that takes long is cancelled, whose own call then fails, as a rule
 * with -ECANCELED; -ENOENT: none is running, or it has come to its end. With QCOW_WAIT_DETACH, and
 * without the former, the call waits until a device that is just going, as after the last close of
 * one that is detached lazily, has let go of its files; it does not fail where there is none.
 */
struct qcow_wait {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
};

/**
 * struct qcow_commit_backing - argument of QCOW_COMMIT_BACKING
 * @size: sizeof(struct qcow_commit_backing)
 * @flags: 0
 * @index: the number of the device
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 * @image_fd: the backing file of the active image, opened once more as for QCOW_ATTACH, to be
 *            written to. Image locks taken on this descriptor stay
 * @data_fd: its external data file, likewise, or -1
 * @rate: bytes that it may copy in a second; 0: as many as it can
 * @top_fd: the active image, open for reading: the device has to have that one; or -1
 * @reserved: 0
 *
 * What the active image has is copied into its backing file, which gets the size of the disk; then
 * the device goes on with that, and the image is empty on disk: what it had is leaked in it. The
 * device may be open and mounted. A power cut finds the disk as it is by the name of the image, and
 * after the call also by that of the backing file. When the call fails the image is the one that it
 * was, and has all that it had; only when it cannot be made empty it takes no writes any more, and
 * both have it together. Refused where the backing file is longer than the disk (-EINVAL), or below
 * other devices (-EBUSY), and where the image has snapshots (-EOPNOTSUPP). One operation at a time
 * runs on a device: -EBUSY.
 *
 * On a raw backing file, which may be the longer one, the device keeps the image. That drops what
 * has been copied, and has afterwards what has been written meanwhile, or nothing. When the call
 * fails, or power does, each has a part, and the disk is found by the name of the image.
 */
struct qcow_commit_backing {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
	__s32 image_fd;
	__s32 data_fd;
	__aligned_u64 rate;
	__s32 top_fd;
	__u32 reserved;
};

/**
 * enum qcow_bitmap_action - what becomes of a persistent dirty bitmap
 * @QCOW_BITMAP_ADD: there is a new one, which records from now on and says that nothing has changed
 * @QCOW_BITMAP_REMOVE: it goes away
 * @QCOW_BITMAP_CLEAR: it says that nothing has changed
 * @QCOW_BITMAP_ENABLE: it records what is written from now on
 * @QCOW_BITMAP_DISABLE: it does not; it says what has been written until now
 * @QCOW_BITMAP_MERGE: what another one says has changed, it says, too
 */
enum qcow_bitmap_action {
	QCOW_BITMAP_ADD = 0,
	QCOW_BITMAP_REMOVE = 1,
	QCOW_BITMAP_CLEAR = 2,
	QCOW_BITMAP_ENABLE = 3,
	QCOW_BITMAP_DISABLE = 4,
	QCOW_BITMAP_MERGE = 5,
};

/* Bytes of a bitmap's name, and ranges that one call finds, at most. */
#define QCOW_MAX_BITMAP_TEXT	1023
#define QCOW_MAX_BITMAP_RANGES	65536U

/**
 * struct qcow_change_bitmap - argument of QCOW_CHANGE_BITMAP
 * @size: sizeof(struct qcow_change_bitmap)
 * @flags: 0
 * @index: the number of the device
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 * @name: address of the name of the bitmap
 * @source: address of the name of another one, for QCOW_BITMAP_MERGE
 * @granularity: guest bytes that a bit of a new one stands for, 0: as QEMU has it
 * @name_len: bytes at @name, at most QCOW_MAX_BITMAP_TEXT
 * @source_len: bytes at @source, likewise
 * @action: enum qcow_bitmap_action
 * @reserved: 0
 *
 * The device may be open and mounted, and is not read-only. A bitmap that records is kept true in
 * memory, and stored when the device is detached or its image becomes read-only; a power cut before
 * that leaves it inconsistent. One that does not record is on disk when the call returns. When the
 * call fails all is as before: -EEXIST: there is one of that name; -ENOENT: there is none;
 * -EUCLEAN: it is inconsistent, it can only be removed; -EOPNOTSUPP: the image can have none. One
 * operation at a time runs on a device: -EBUSY.
 */
struct qcow_change_bitmap {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
	__aligned_u64 name;
	__aligned_u64 source;
	__aligned_u64 granularity;
	__u32 name_len;
	__u32 source_len;
	__u32 action;
	__u32 reserved;
};

/**
 * struct qcow_bitmap_range - what has changed
 * @start: first guest byte, a multiple of the granularity
 * @len: bytes; the last range may end with the disk
 */
struct qcow_bitmap_range {
	__aligned_u64 start;
	__aligned_u64 len;
};

/**
 * struct qcow_map_bitmap - argument of QCOW_MAP_BITMAP
 * @size: sizeof(struct qcow_map_bitmap)
 * @flags: 0
 * @index: the number of the device
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 * @name: address of the name of the bitmap
 * @ranges: address of an array of struct qcow_bitmap_range
 * @start: in: guest byte to look from; out: where to go on, the size of the disk after the last one
 * @granularity: out: guest bytes that a bit stands for
 * @name_len: bytes at @name, at most QCOW_MAX_BITMAP_TEXT
 * @nr_ranges: in: length of @ranges; out: how many have been found
 *
 * What a bitmap of a device that is written to says has changed, in the order of the disk; ranges
 * are as long as they can be, but where one call ends and the next begins. What a bitmap records
 * meanwhile may be among it. -ENOENT: there is no such bitmap; -EUCLEAN: it is inconsistent;
 * -EROFS: the device is read-only, and its file says it.
 */
struct qcow_map_bitmap {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
	__aligned_u64 name;
	__aligned_u64 ranges;
	__aligned_u64 start;
	__aligned_u64 granularity;
	__u32 name_len;
	__u32 nr_ranges;
};

/**
 * struct qcow_open_metadata - argument of QCOW_OPEN_METADATA
 * @size: sizeof(struct qcow_open_metadata)
 * @flags: 0
 * @index: the number of the device
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 * @rate: bytes that may be read in a second; 0: as many as one can
 * @bytes: out: length of the image
 * @fd: out: a descriptor, closed on exec
 * @reserved: 0
 *
 * What is read from the descriptor, with pread() and the like, is the image as a detach would have
 * left it when it was opened, as far as its metadata goes: header, tables, counts, bitmaps. Guest
 * data may be that of now. The device may be open and mounted; its requests wait for those that are
 * under way, for a commit, and for what has been discarded to be given back. It is an operation
 * that takes long, until the descriptor is closed: another one on the device is -EBUSY meanwhile.
 * A read fails with -ESTALE when more has been overwritten since than the driver keeps, and with
 * -ECANCELED after QCOW_WAIT_CANCEL. Of a device that is read-only, or whose file takes no writes
 * any more, it is what the file has. Refused for a snapshot beside the device that writes to its
 * image (-EOPNOTSUPP).
 */
struct qcow_open_metadata {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
	__aligned_u64 rate;
	__aligned_u64 bytes;
	__s32 fd;
	__u32 reserved;
};

/* Ranges that one call frees, and the reference count of a cluster in one, at most. */
#define QCOW_MAX_LEAKS			65536U
#define QCOW_MAX_LEAK_REFERENCES	64

/**
 * struct qcow_leak - clusters that nothing refers to, though their reference count is not 0
 * @start: host offset of the first byte
 * @len: bytes, whole clusters
 */
struct qcow_leak {
	__aligned_u64 start;
	__aligned_u64 len;
};

/**
 * struct qcow_free_leaks - argument of QCOW_FREE_LEAKS
 * @size: sizeof(struct qcow_free_leaks)
 * @flags: 0
 * @fd: a descriptor that QCOW_OPEN_METADATA has opened
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 * @leaks: address of an array of struct qcow_leak, in ascending order
 * @nr_leaks: length of @leaks, at most QCOW_MAX_LEAKS
 * @reserved: 0
 *
 * The clusters become free, and their space goes back to the file system, as of those that a guest
 * discards. The caller has found by reading all of the metadata that nothing refers to them: what
 * the driver does not have in memory it cannot verify. A later call on the descriptor begins behind
 * the end of the one before. -EUCLEAN: one is in use for all that the driver knows; -ERANGE: a
 * count is more than QCOW_MAX_LEAK_REFERENCES; that one and those behind it stay as they are.
 * -EOPNOTSUPP: version 1 has no reference counts; -ESTALE: what the descriptor shows is lost.
 */
struct qcow_free_leaks {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 message_size;
	__aligned_u64 message;
	__aligned_u64 leaks;
	__u32 nr_leaks;
	__u32 reserved;
};

/**
 * struct qcow_compact - argument of QCOW_COMPACT
 * @size: sizeof(struct qcow_compact)
 * @flags: 0
 * @index: the number of the device
 * @message_size: bytes at @message
 * @message: address of a buffer for the message
 * @rate: bytes that it may copy in a second; 0: as many as it can
 *
 * Space that the image does not need goes back to the host: what lies at its end moves to where it
 * is free further down, free clusters are punched, and the file is cut. What snapshots have stays
 * where it is. The device may be open and mounted. Counts of free clusters are trusted: an image
 * that QCOW_OPEN_METADATA shows to be corrupt is not to be compacted. When the call fails some of
 * it may be done; -EOPNOTSUPP: version 1. One operation at a time runs on a device: -EBUSY.
 */
struct qcow_compact {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 message_size;
	__aligned_u64 message;
	__aligned_u64 rate;
};

#define QCOW_IOCTL_TYPE		0xC3
#define QCOW_ATTACH		_IOWR(QCOW_IOCTL_TYPE, 0x01, struct qcow_attach)
#define QCOW_DETACH		_IOW(QCOW_IOCTL_TYPE, 0x02, struct qcow_detach)
#define QCOW_RESIZE		_IOW(QCOW_IOCTL_TYPE, 0x03, struct qcow_resize)
#define QCOW_CHANGE_SNAPSHOT	_IOW(QCOW_IOCTL_TYPE, 0x04, struct qcow_change_snapshot)
#define QCOW_OVERLAY		_IOW(QCOW_IOCTL_TYPE, 0x05, struct qcow_overlay)
#define QCOW_SET_ACCESS		_IOW(QCOW_IOCTL_TYPE, 0x06, struct qcow_set_access)
#define QCOW_REBASE		_IOW(QCOW_IOCTL_TYPE, 0x07, struct qcow_rebase)
#define QCOW_WAIT		_IOW(QCOW_IOCTL_TYPE, 0x08, struct qcow_wait)
#define QCOW_COMMIT_BACKING	_IOW(QCOW_IOCTL_TYPE, 0x09, struct qcow_commit_backing)
#define QCOW_CHANGE_BITMAP	_IOW(QCOW_IOCTL_TYPE, 0x0a, struct qcow_change_bitmap)
#define QCOW_MAP_BITMAP		_IOWR(QCOW_IOCTL_TYPE, 0x0b, struct qcow_map_bitmap)
#define QCOW_OPEN_METADATA	_IOWR(QCOW_IOCTL_TYPE, 0x0c, struct qcow_open_metadata)
#define QCOW_FREE_LEAKS		_IOW(QCOW_IOCTL_TYPE, 0x0d, struct qcow_free_leaks)
#define QCOW_COMPACT		_IOW(QCOW_IOCTL_TYPE, 0x0e, struct qcow_compact)

#endif /* _UAPI_LINUX_QCOW_H */
