/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A store holds the bytes of one layer: a regular file, a block device, or memory in
 * tests.
 */
#ifndef _QCOW_STORE_H
#define _QCOW_STORE_H

#include <linux/bio.h>
#include <linux/fs.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

/* Pages that one synchronous transfer describes on the stack, and bytes of memory in one piece. */
#define QCOW_SYNC_PAGES	16
#define QCOW_SYNC_BYTES	SZ_1M

struct cgroup_subsys_state;
struct mem_cgroup;
struct qcow_preserve;
struct qcow_report;
struct qcow_store;

/**
 * struct qcow_io - one contiguous host range on its way to or from memory
 * @store: where
 * @pos: host offset of the first byte
 * @iter: the memory; at least @len bytes
 * @len: bytes
 * @done: bytes transferred so far, of an I/O that came back short
 * @write: from memory to the store
 * @origin: the bio that it is part of: its cgroup, I/O priority and hints go down with it, and it
 *          stays until @complete; NULL: it is the driver's own, metadata
 * @complete: called once, from any context, with the status; owns the io again
 * @work: for a store that has to go on in process context
 * @node: before it is submitted, instead of @work
 * @waiting: likewise
 * @iocb: of a file store in flight
 * @ret: what became of it
 * @users: the thread that submits @iocb and its completion, while they may use it
 * @bio: of a block device store in flight
 *
 * Everything up to @complete is the submitter's to fill; the memory that @iter describes
 * stays until @complete.
 */
struct qcow_io {
	struct qcow_store *store;
	u64 pos;
	struct iov_iter iter;
	u32 len;
	u32 done;
	bool write;
	struct bio *origin;
	void (*complete)(struct qcow_io *io, int err);
	union {
		struct work_struct work;
		struct list_head node;
		struct llist_node waiting;
	};
	union {
		struct {
			struct kiocb iocb;
			ssize_t ret;
			atomic_t users;
		};
		struct bio bio;
	};
};

/**
 * struct qcow_store_ops - one kind of store
 * @name: as sysfs shows it
 * @remaps: @submit makes one bio of the I/O and does no more than to submit that
 * @read: read @len bytes at @pos, both multiples of @align, into @buf, which is aligned
 *        likewise and not on the stack. Sleeps. Return: bytes read, 0 at the end of the
 *        store, fewer than @len possible; -errno.
 * @write: write likewise, inside the store; it never grows by a write. Where the store
 *         ends within a block, so may @len. Return: bytes written, fewer than @len possible
 *         but never 0; -errno. In a worker, as all calls that change the store: a process has
 *         signals and limits.
 * @submit: start to read or write @io; does not wait for it. @io->pos and @io->len are multiples of
 *          @align and inside the store. @io->complete may run before it returns. Runs in a worker
 *          under memalloc_noio_save(), or, where @remaps, in queue_rq() while current->bio_list is
 *          set. May wait for tags and memory of the disks below, and for short locks of a file
 *          system, never for other I/O of the device.
 * @flush: all that had been written when it was called survives a power cut when it
 *         returns 0, and the length of the store too. Sleeps.
 * @resize: make the store @bytes long. What is new reads as zeros; what of it is not in front of
 *          @from has its space reserved, where the file system can: later writes do not meet
 *          -ENOSPC. A store that cannot change its length answers -ENOSPC to a longer one and 0
 *          to a shorter one. Sleeps.
 * @reserve: a later write to the range, which is inside the store, does not meet -ENOSPC, as
 *           far as the file system can promise that; NULL: there is nothing to do. Sleeps.
 * @punch: the range, multiples of @align, reads as zeros from now on and its space goes
 *         back to the file system or the device; -EOPNOTSUPP where there is no such thing or
 *         it would not read as zeros. Sleeps.
 * @extent: how many bytes of the range are alike, a hole, which reads as zeros, or none; NULL: of
 *          holes nothing is known. Sleeps.
 * @can_clone: whether @clone may do something, of two stores of the same kind; NULL: it may not
 * @clone: have the file system share what @from has at @from_pos, multiples of @align, with the
 *         range. Return: bytes, 0: it does not. Sleeps, and may wait for I/O in flight.
 */
struct qcow_store_ops {
	const char *name;
	bool remaps;
	ssize_t (*read)(struct qcow_store *store, void *buf, u64 pos, size_t len);
	ssize_t (*write)(struct qcow_store *store, const void *buf, u64 pos, size_t len);
	void (*submit)(struct qcow_store *store, struct qcow_io *io);
	int (*flush)(struct qcow_store *store);
	int (*resize)(struct qcow_store *store, u64 bytes, u64 from);
	int (*reserve)(struct qcow_store *store, u64 pos, u64 len);
	int (*punch)(struct qcow_store *store, u64 pos, u64 len);
	u64 (*extent)(struct qcow_store *store, u64 pos, u64 len, bool *is_hole);
	bool (*can_clone)(struct qcow_store *store, struct qcow_store *from);
	u64 (*clone)(struct qcow_store *store, u64 pos, struct qcow_store *from, u64 from_pos,
		     u64 len);
};

/**
 * struct qcow_store - one open file or device
 * @ops: its kind
 * @file: reference held; NULL in tests
 * @bytes: its length; changed by qcow_store_resize() alone, read at any time
 * @writable: may be written to
 * @lost: the error of a flush that failed: what had been written may be gone, and no later
 *        flush can say that it is there
 * @touched: written to since the file's times were updated
 * @sparse: space for what it grows by is not reserved: most of it may never be written
 * @align: positions, lengths and metadata buffers are multiples of this; a power of two,
 *         at least 512 for direct I/O, 1 for buffered
 * @mem_align: what the layer below asks of the memory of direct I/O
 * @direct: I/O bypasses the page cache
 * @nowait: @ops may try without blocking first; cleared once the layer below refuses to
 * @no_clones: the file system has refused to share space
 * @no_times: the file's times are left to flushes, with FMODE_NOCMTIME
 * @wq: runs what has to block
 * @rmw_lock: a block that is read, changed in part and written back
 * @preserve: keeps metadata as it was, or NULL
 * @preserve_lock: while it does
 */
struct qcow_store {
	const struct qcow_store_ops *ops;
	struct file *file;
	u64 bytes;
	bool writable;
	int lost;
	bool touched;
	bool sparse;
	u32 align;
	u32 mem_align;
	bool direct;
	bool nowait;
	bool no_clones;
	bool no_times;
	struct workqueue_struct *wq;
	struct mutex rmw_lock;	/* unaligned writes */
	struct qcow_preserve *preserve;
	struct mutex preserve_lock;	/* @preserve, and what it keeps */
};

enum qcow_direct {
	QCOW_DIRECT_AUTO,
	QCOW_DIRECT_ON,
	QCOW_DIRECT_OFF,
};

/**
 * qcow_store_check() - whether an open file is good for what it is meant for
 * @file: the file
 * @writable: it will be written to
 * @rep: says why not
 *
 * Context: any.
 * Return: 0; -EBADF: not open for reading, or for writing; -EINVAL: its kind.
 */
int qcow_store_check(const struct file *file, bool writable, struct qcow_report *rep);

/**
 * qcow_store_open() - make a store of an open file
 * @file: qcow_store_check() has passed it; the store takes a reference
 * @writable: it will be written to
 * @direct: whether to use direct I/O
 * @wq: a WQ_MEM_RECLAIM workqueue that lives longer than the store
 * @rep: says why not
 *
 * Context: process context, may sleep.
 * Return: the store, or ERR_PTR: -EOPNOTSUPP (no direct I/O there), -ENOMEM, what writing
 * back the page cache brought.
 */
struct qcow_store *qcow_store_open(struct file *file, bool writable, enum qcow_direct direct,
				   struct workqueue_struct *wq, struct qcow_report *rep);
void qcow_store_destroy(struct qcow_store *store);

/**
 * qcow_store_attached() - take over the descriptor of a store that is written to
 * @store: the store; nothing of the attach can fail any more
 *
 * From now on until qcow_store_destroy() a write through the descriptor does not update the
 * file's times, which could not be done without waiting; a flush does.
 */
void qcow_store_attached(struct qcow_store *store);

/**
 * qcow_store_read() - read metadata or compressed data, any position and length
 * @store: the store
 * @buf: at least @len bytes, not on the stack
 * @pos: host offset
 * @len: bytes
 *
 * Reads straight into @buf when everything is aligned (buffers from the slice slabs are),
 * else through a buffer of its own.
 *
 * Context: process context, may sleep; allocates with GFP_NOIO.
 * Return: 0; -ENODATA when the store ends before @pos + @len; -ENOMEM, -EIO, ...
 */
int qcow_store_read(struct qcow_store *store, void *buf, u64 pos, size_t len);

/* The same, and behind the end of the store are zeros. */
int qcow_store_read_padded(struct qcow_store *store, void *buf, u64 pos, size_t len);

/**
 * qcow_store_write() - write metadata, any position and length inside the store
 * @store: the store
 * @buf: at least @len bytes, not on the stack
 * @pos: host offset
 * @len: bytes
 *
 * What is not aligned is read, changed and written back through a buffer, one such write after
 * the other: the parts of a block may belong to different callers, each of which writes to its own.
 *
 * Context: process context, may sleep; allocates with GFP_NOIO.
 * Return: 0; -ENODATA beyond the end of the store; -ENOMEM, -EIO, -ENOSPC, ...
 */
int qcow_store_write(struct qcow_store *store, const void *buf, u64 pos, size_t len);

/* The same of guest data, which nobody keeps as it was (store/preserve.h). */
int qcow_store_write_data(struct qcow_store *store, const void *buf, u64 pos, size_t len);

/* Start @io, as qcow_store_ops.submit. */
static inline void qcow_store_submit(struct qcow_io *io)
{
	io->store->ops->submit(io->store, io);
}

/**
 * struct qcow_identity - for which cgroup a worker acts
 * @css: block cgroup; NULL: the root, which needs no association
 * @memcg_css: memory cgroup, reference held
 * @memcg: that the worker had before
 */
struct qcow_identity {
	struct cgroup_subsys_state *css;
	struct cgroup_subsys_state *memcg_css;
	struct mem_cgroup *memcg;
};

/**
 * qcow_identity_assume() - act for the cgroup that a bio came from
 * @identity: result, for qcow_identity_drop()
 * @origin: the bio, which stays until then; NULL: the driver's own I/O
 *
 * I/O submitted and page cache filled meanwhile is that cgroup's. No metadata of the image is
 * read or written meanwhile: a cgroup that is throttled would throttle all others with it.
 *
 * Context: a worker.
 */
void qcow_identity_assume(struct qcow_identity *identity, struct bio *origin);
void qcow_identity_drop(const struct qcow_identity *identity);

/**
 * qcow_store_zero() - write zeros, any position and length inside the store
 * @store: the store
 * @pos: host offset
 * @len: bytes
 *
 * Never punches: the space is there for later writes. Otherwise as qcow_store_write().
 */
int qcow_store_zero(struct qcow_store *store, u64 pos, u64 len);

/**
 * qcow_store_flush() - make all that has been written durable
 * @store: the store
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0 or -errno: what had been written may be lost; from then on, always that.
 */
int qcow_store_flush(struct qcow_store *store);

/**
 * qcow_store_resize() - change the length
 * @store: the store; @store->bytes is @bytes afterwards where it was not refused
 * @bytes: new length
 * @from: what is new takes no space in front of this host offset
 *
 * Context: process context, may sleep; GFP_NOIO. The caller excludes other resizes.
 * Return: 0; -ENOSPC, -EFBIG, ...: nothing has changed.
 */
int qcow_store_resize(struct qcow_store *store, u64 bytes, u64 from);

/**
 * qcow_store_reserve() - have space for what is inside the store and may be a hole
 * @store: the store
 * @pos: host offset
 * @len: bytes
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0; -ENOSPC, ...
 */
int qcow_store_reserve(struct qcow_store *store, u64 pos, u64 len);

/**
 * qcow_store_punch() - give a range's space back, as qcow_store_ops.punch
 * @store: the store
 * @pos: host offset; only the aligned blocks inside the range are given back
 * @len: bytes
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0: the aligned blocks inside read as zeros; -EOPNOTSUPP; others.
 */
int qcow_store_punch(struct qcow_store *store, u64 pos, u64 len);

/**
 * qcow_store_extent() - find holes
 * @store: the store
 * @pos: first byte
 * @len: bytes, at least one; behind the end of the store is a hole
 * @is_hole: result: the first bytes of the range have no space, and read as zeros
 *
 * Context: process context, may sleep.
 * Return: how many bytes they are; @len, and no hole, where the store does not tell.
 */
u64 qcow_store_extent(struct qcow_store *store, u64 pos, u64 len, bool *is_hole);

/**
 * qcow_store_can_clone() - whether two stores may share space
 * @store: one that is written to
 * @from: another
 *
 * Context: any.
 * Return: false: qcow_store_clone() would do nothing.
 */
bool qcow_store_can_clone(struct qcow_store *store, struct qcow_store *from);

/**
 * qcow_store_clone() - have a range read as one of another store, and share its space
 * @store: the store
 * @pos: host offset; the range is inside the store, and nobody reads or writes it meanwhile
 * @from: the other one; what is written there meanwhile may be in the range or not
 * @from_pos: host offset there
 * @len: bytes
 *
 * A later write to one of both takes space, as the file system gives it.
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: bytes from @pos on that are shared, fewer than @len possible; 0: they have to be copied,
 * whatever the reason.
 */
u64 qcow_store_clone(struct qcow_store *store, u64 pos, struct qcow_store *from, u64 from_pos,
		     u64 len);

/**
 * qcow_store_wipe() - have a range read as zeros, and give its space back
 * @store: the store
 * @pos: first byte
 * @len: bytes, within the store
 *
 * Context: process context, GFP_NOIO.
 * Return: 0; -EOPNOTSUPP: it can only be written to; errors as qcow_store_zero().
 */
int qcow_store_wipe(struct qcow_store *store, u64 pos, u64 len);

/**
 * qcow_store_describe() - the pages of a buffer, for a store's synchronous transfers
 * @bvecs: QCOW_SYNC_PAGES of them; gets as much of @buf as they hold
 * @nr: how many are filled
 * @buf: kernel memory of any kind but the stack
 * @len: its bytes
 *
 * Context: any.
 * Return: bytes described, at most @len.
 */
size_t qcow_store_describe(struct bio_vec *bvecs, unsigned int *nr, const void *buf, size_t len);

extern const struct qcow_store_ops qcow_store_file_ops;
extern const struct qcow_store_ops qcow_store_bdev_ops;

#endif /* _QCOW_STORE_H */
