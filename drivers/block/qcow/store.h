/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A store holds the bytes of one layer: a regular file, a block device, or memory in
 * tests. It knows nothing of the format and nothing of requests.
 */
#ifndef _QCOW_STORE_H
#define _QCOW_STORE_H

#include <linux/bio.h>
#include <linux/fs.h>
#include <linux/types.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

struct qcow_report;
struct qcow_store;

/**
 * struct qcow_io - one contiguous host range on its way to or from memory
 * @store: where
 * @pos: host offset of the first byte
 * @iter: the memory; at least @len bytes
 * @len: bytes
 * @done: bytes transferred so far, of an I/O that came back short
 * @complete: called once, from any context, with the status; owns the io again
 * @work: for whoever has to continue in process context
 * @iocb: of a file store in flight
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
	void (*complete)(struct qcow_io *io, int err);
	struct work_struct work;
	union {
		struct kiocb iocb;
		struct bio bio;
	};
};

/**
 * struct qcow_store_ops - one kind of store
 * @name: as sysfs shows it
 * @read: read @len bytes at @pos, both multiples of @align, into @buf, which is aligned
 *        likewise and not on the stack. Sleeps. Return: bytes read, 0 at the end of the
 *        store, fewer than @len possible; -errno.
 * @submit_read: start to read @io; does not wait for it and may be called where a request
 *               is being submitted (no GFP_KERNEL allocation, no wait for other I/O of
 *               the same device). @io->pos and @io->len are multiples of @align and inside
 *               the store. @io->complete may run before it returns.
 */
struct qcow_store_ops {
	const char *name;
	ssize_t (*read)(struct qcow_store *store, void *buf, u64 pos, size_t len);
	void (*submit_read)(struct qcow_store *store, struct qcow_io *io);
};

/**
 * struct qcow_store - one open file or device; immutable but for what ops keep for themselves
 * @ops: its kind
 * @file: reference held; NULL in tests
 * @bytes: length when it was opened
 * @align: positions, lengths and metadata buffers are multiples of this; a power of two,
 *         at least 512 for direct I/O, 1 for buffered
 * @mem_align: what the layer below asks of the memory of direct I/O
 * @direct: I/O bypasses the page cache
 * @nowait: @ops may try without blocking first; cleared once the layer below refuses to
 * @wq: runs what has to block
 */
struct qcow_store {
	const struct qcow_store_ops *ops;
	struct file *file;
	u64 bytes;
	u32 align;
	u32 mem_align;
	bool direct;
	bool nowait;
	struct workqueue_struct *wq;
};

enum qcow_direct {
	QCOW_DIRECT_AUTO,
	QCOW_DIRECT_ON,
	QCOW_DIRECT_OFF,
};

/**
 * qcow_store_open() - make a store of an open descriptor
 * @fd: of the calling process, a regular file or a block device, readable
 * @direct: whether to use direct I/O
 * @wq: a WQ_MEM_RECLAIM workqueue that lives longer than the store
 * @rep: says why not
 *
 * Context: process context, may sleep.
 * Return: the store, or ERR_PTR: -EBADF, -EINVAL (kind of file), -EOPNOTSUPP (no direct
 * I/O there), or what opening brought.
 */
struct qcow_store *qcow_store_open(int fd, enum qcow_direct direct, struct workqueue_struct *wq,
				   struct qcow_report *rep);
void qcow_store_destroy(struct qcow_store *store);

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

extern const struct qcow_store_ops qcow_store_file_ops;
extern const struct qcow_store_ops qcow_store_bdev_ops;

#endif /* _QCOW_STORE_H */
