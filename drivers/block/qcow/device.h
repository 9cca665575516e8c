/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An attached image: the chain, the disk and all that serves it, from attach to detach.
 */
#ifndef _QCOW_DEVICE_H
#define _QCOW_DEVICE_H

#include <linux/blk-mq.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <uapi/linux/qcow.h>

#include "files.h"
#include "layer/decompress_ahead.h"
#include "progress.h"

struct file;
struct qcow_image;
struct qcow_report;
struct qcow_meta;
struct qcow_track;
struct qcow_volume_key;

#define QCOW_DEFAULT_QUEUE_DEPTH	128
#define QCOW_MAX_QUEUE_DEPTH		4096

/**
 * enum qcow_zeroes - what becomes of a write whose bytes are all zero
 * @QCOW_ZEROES_WRITE: it is not looked for them
 * @QCOW_ZEROES_KEEP: REQ_OP_WRITE_ZEROES that keeps the space which it has
 * @QCOW_ZEROES_UNMAP: one that gives it back
 */
enum qcow_zeroes {
	QCOW_ZEROES_WRITE,
	QCOW_ZEROES_KEEP,
	QCOW_ZEROES_UNMAP,
};

/**
 * struct qcow_device - one attached image
 * @index: N of /dev/qcowN
 * @name: "qcowN"
 * @chain_lock: that, and all down to @ids and @meta, for readers beside the queue: operations
 *              change them while the queue is frozen
 * @chain: the active image, its backing images behind it; those that are read-only are shared
 *         with other devices
 * @depth: layers of @chain
 * @files: what the device was attached with, of each layer an image and a data file or NULL;
 *         a shared layer may have been opened with other descriptors of the same files
 * @nr_files: of @files; 0 where the layers are no files, in tests
 * @ids: of the first two of @files, taken when they came: the server of a file system that has
 *       to be asked may be gone later
 * @decompress_ahead: compressed clusters that are likely to be read next
 * @meta: the metadata worker of the active image; NULL: read-only
 * @track: where requests are noted that have written, while the layer below the active image is
 *         written to as well, or NULL; it changes in a pause
 * @zeroes: what becomes of a write of zeros
 * @keep_space: nothing that is written or discarded gives space of the active image back
 * @compress: whole clusters that are written are stored compressed, where the active image can
 *            have such
 * @source: of a device without a name, made to copy to @chain: what it reads is copied; else NULL
 * @wq: mapping that has to read, decompression, ciphers, I/O that has to block
 * @submit_wq: I/O that queue_rq() may not submit. Its work items wait for tags and memory of the
 *             disks below and for locks of the file systems there, which may be on other devices of
 *             this driver: so each has a queue, and a rescuer, of its own
 * @submit_local_wq: the same, on the CPU that submits
 * @error_lock: the bad range of every request
 * @attached_ns: ktime_get_ns() when it was attached
 * @tag_set: of the queue
 * @disk: the disk; a device without a name has none
 * @queue: of @disk, or its own
 * @detaching: no more opens; set once, under @disk->open_mutex
 * @lazy: detach at the last close; under @disk->open_mutex
 * @progress: of the live operation that is running on it, if one is: it keeps the device
 * @shut: and it cannot be opened meanwhile; likewise
 * @no_writers: and it cannot be opened for writing meanwhile; likewise
 * @written: since no task had it open it has been opened for writing, or written to: the block
 *           layer does not tell when the last one that may write closes it
 * @detach_work: detaches after the last close
 */
struct qcow_device {
	unsigned int index;
	char name[DISK_NAME_LEN];
	struct rw_semaphore chain_lock;	/* the group below, and @meta; see above */
	struct qcow_image *chain;
	unsigned int depth;
	struct file **files;
	unsigned int nr_files;
	struct qcow_file_id ids[2];
	struct qcow_decompress_ahead decompress_ahead;
	struct qcow_meta *meta;
	struct qcow_track *track;
	enum qcow_zeroes zeroes;
	bool keep_space;
	bool compress;
	struct qcow_image *source;
	struct workqueue_struct *wq;
	struct workqueue_struct *submit_wq;
	struct workqueue_struct *submit_local_wq;
	spinlock_t error_lock;	/* bad_start, bad_end and status of every request */
	u64 attached_ns;
	struct blk_mq_tag_set tag_set;
	struct gendisk *disk;
	struct request_queue *queue;
	struct qcow_progress progress;
	bool detaching;
	bool lazy;
	bool shut;
	bool no_writers;
	bool written;
	struct work_struct detach_work;
};

/**
 * struct qcow_layers - layers as they have been handed over, each above the next one
 * @fds: their descriptors, and how they are read
 * @digests: of their headers, as many, 0: not to be compared; or NULL
 * @keys: what their data are encrypted with, as many, as qcow_keys_of() has them; or NULL
 */
struct qcow_layers {
	struct qcow_layer *fds;
	u64 *digests;
	struct qcow_volume_key *keys;
};

/**
 * qcow_device_attach() - make a disk of a chain of open descriptors
 * @args: checked by the caller: sizes, flags and counts are sane
 * @layers: @args->nr_layers of them
 * @rep: says what is wrong
 *
 * Publishing the disk is the last step.
 *
 * Context: process context of the owner of the descriptors.
 * Return: the device's index, or -errno: -EEXIST (that number is taken), -ELOOP (a file is
 * twice in the chain), what qcow_layer_get() brings, -ENOMEM, -EINTR: the task is being killed,
 * and the device is gone or goes with the last close.
 */
int qcow_device_attach(const struct qcow_attach *args, struct qcow_layers *layers,
		       struct qcow_report *rep);

/*
 * Opens the layers: sets @dev->chain, with a reference for qcow_layer_put(), unless it fails. The
 * stores of a layer that is written to use @dev->wq.
 */
typedef int qcow_chain_open_fn(struct qcow_device *dev, const struct qcow_attach *args,
			       void *data, struct qcow_report *rep);

/* The same as qcow_device_attach(), of layers that @open opens; tests have them in memory. */
int qcow_device_create(const struct qcow_attach *args, qcow_chain_open_fn *open, void *data,
		       struct qcow_report *rep);

/**
 * qcow_device_detach() - remove the disk and let go of the files
 * @index: of the device
 * @lazy: when it is busy, at the last close, or with the end of an operation
 * @rep: says what is wrong
 *
 * One that is not open waits for the operation that is running on it to end, as the loop driver's
 * does, unless it is one that takes long.
 *
 * Return: 0; -ENXIO: no such device; -EBUSY: open, or an operation that takes long is running;
 * -EINPROGRESS: @lazy and still busy; -EINTR: the task is being killed; -EIO, -ENOSPC, ...: it is
 * detached, and what was written since its last flush may be lost.
 */
int qcow_device_detach(unsigned int index, bool lazy, struct qcow_report *rep);

/**
 * qcow_device_get() - begin a live operation on a device
 * @index: of the device
 * @what: name of the operation, which stays
 * @rep: says what is wrong
 *
 * A device has one operation at a time, and is not detached before qcow_device_put().
 *
 * Context: process context, may sleep.
 * Return: the device or ERR_PTR: -ENXIO: no such device; -EBUSY: another operation is running.
 */
struct qcow_device *qcow_device_get(unsigned int index, const char *what, struct qcow_report *rep);

/**
 * qcow_device_get_job() - the same, and it takes long
 * @index: of the device
 * @what: as for qcow_device_get()
 * @rate: bytes that it may copy in a second; 0: as many as it can
 * @rep: says what is wrong
 *
 * It goes through all of the disk, as qcow_progress_step() is told, and can be cancelled until
 * qcow_device_finish_job(). A detach is refused meanwhile.
 *
 * Context: process context, may sleep.
 * Return: as qcow_device_get().
 */
struct qcow_device *qcow_device_get_job(unsigned int index, const char *what, u64 rate,
					struct qcow_report *rep);

/**
 * qcow_device_finish_job() - come to the end of something that takes long
 * @dev: from qcow_device_get_job()
 *
 * What follows does not take long.
 *
 * Context: process context, may sleep; not while the queue is frozen.
 * Return: 0; -ECANCELED.
 */
int qcow_device_finish_job(struct qcow_device *dev);

/**
 * qcow_device_shut() - have a device that is not open, and is not until the operation has ended
 * @dev: from qcow_device_get()
 * @rep: says that it is open
 *
 * Context: process context, may sleep.
 * Return: 0 or -EBUSY.
 */
int qcow_device_shut(struct qcow_device *dev, struct qcow_report *rep);

/**
 * qcow_device_stop_writers() - have a device that no task writes to, until the operation has ended
 * @dev: from qcow_device_get()
 * @rep: says that one may
 *
 * Open for reading it can be, and a file system that is mounted read-only may be mounted to write
 * again: that is seen in @dev->written.
 *
 * Context: process context, may sleep.
 * Return: 0 or -EBUSY.
 */
int qcow_device_stop_writers(struct qcow_device *dev, struct qcow_report *rep);

/* The operation has ended. A detach that waits for that begins. */
void qcow_device_put(struct qcow_device *dev);

/**
 * qcow_device_wait() - wait for the end of the operation that is running on a device
 * @index: of the device
 * @cancel: have it end soon, if it takes long
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: 0: it has ended, or, unless @cancel, none was running; -ENXIO: no such device; -ENOENT:
 * none that could be cancelled is running; -EINTR: the task is being killed.
 */
int qcow_device_wait(unsigned int index, bool cancel, struct qcow_report *rep);

/**
 * qcow_device_wait_detach() - wait for a detach that has begun
 * @index: of the device, which may be gone
 *
 * Afterwards the driver has no file of it any more. One that is being attached is waited for, too.
 *
 * Context: process context, may sleep.
 * Return: 0; -EINTR: the task is being killed.
 */
int qcow_device_wait_detach(unsigned int index);

/**
 * qcow_device_get_files() - the files of a layer
 * @files: an image and a data file, or NULL, of each layer, of those above already
 * @depth: of this one; its files are set, also after an error
 * @layer: descriptors
 * @writable: the layer is to be written to
 * @rep: says what is wrong
 *
 * Context: process context of the owner of the descriptors.
 * Return: 0; -ELOOP: a file is among those above; as qcow_files_get().
 */
int qcow_device_get_files(struct file **files, unsigned int depth, const struct qcow_layer *layer,
			  bool writable, struct qcow_report *rep);

/**
 * struct qcow_below - the layers below the active image
 * @files: as struct qcow_device has it, the first two those of the active image
 * @layers: @nr_layers of them, behind the first @skip
 * @skip: as above
 * @nr_layers: how many
 * @top_writable: the active image is to be opened, too, and written to
 * @but: a device that may have files of them, or NULL
 * @cache_bytes: limit of the cache of each
 * @direct: whether to use direct I/O
 */
struct qcow_below {
	struct file **files;
	const struct qcow_layers *layers;
	unsigned int skip;
	unsigned int nr_layers;
	bool top_writable;
	const struct qcow_device *but;
	u64 cache_bytes;
	enum qcow_direct direct;
};

/**
 * qcow_device_open_below() - open the layers below the active image
 * @dev: the device; it need not be published
 * @below: which
 * @image: result: the first of them with a reference for qcow_layer_put(), or NULL: there is none
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: 0 or as qcow_layer_get().
 */
int qcow_device_open_below(const struct qcow_device *dev, const struct qcow_below *below,
			   struct qcow_image **image, struct qcow_report *rep);

/**
 * qcow_device_report_busy() - say which device keeps a file from being used
 * @files: images and data files by turns, the first two of a layer that is written to
 * @nr_files: of them
 * @writable: whether they are
 * @but: a device that does not count, or NULL
 * @rep: says it
 *
 * Context: process context, may sleep.
 */
void qcow_device_report_busy(struct file **files, unsigned int nr_files, bool writable,
			     const struct qcow_device *but, struct qcow_report *rep);

/* Layers of a chain; 0: NULL. */
unsigned int qcow_device_depth(const struct qcow_image *image);

/* What the stores of a chain ask of the memory of a request: aligned to so many bytes. */
u32 qcow_device_mem_align(const struct qcow_image *image);

/**
 * qcow_device_create_inner() - a device without a name, for requests of the driver's own
 * @dev: the device that it works for; its queues of work are those of this one
 * @chain: what it writes to; the caller's
 * @meta: the metadata worker of that; the caller's
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: for qcow_device_destroy_inner(), or ERR_PTR(-ENOMEM).
 */
struct qcow_device *qcow_device_create_inner(const struct qcow_device *dev,
					     struct qcow_image *chain, struct qcow_meta *meta,
					     struct qcow_report *rep);

/* No request of it is under way. Context: process context, may sleep. */
void qcow_device_destroy_inner(struct qcow_device *inner);

/* Devices, and all that they are made of; once per module. */
int qcow_device_module_init(void);
void qcow_device_module_exit(void);

/* blk-mq's side, queue.c */
extern const struct blk_mq_ops qcow_queue_ops;

/* /sys/block/qcowN/qcow/, sysfs.c */
extern const struct attribute_group *qcow_sysfs_groups[];

#endif /* _QCOW_DEVICE_H */
