/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One block layer request on its way through the chain: mapped piece by piece, each piece
 * a fragment with one source.
 */
#ifndef _QCOW_REQUEST_H
#define _QCOW_REQUEST_H

#include <linux/atomic.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "layer/cache.h"
#include "meta/change.h"
#include "meta/commit.h"
#include "layer/map.h"
#include "store/store.h"

struct request;
struct qcow_bounce;
struct qcow_compression;
struct qcow_device;
struct qcow_epoch;
struct qcow_request;

/**
 * enum qcow_own - what a request of the driver on its own device does
 * @QCOW_OWN_NONE: it is one of the block layer
 * @QCOW_OWN_ZERO: make a range read as zeros
 * @QCOW_OWN_ZERO_BEHIND: the same behind the disk
 * @QCOW_OWN_DROP_BEHIND: only drop what whole clusters of it have, as a discard does
 * @QCOW_OWN_DROP_COPIED: the same, where the layer below has a copy: the disk stays as it is
 * @QCOW_OWN_ZERO_HOLES: whole clusters that the active image does not have at all become zeros of
 *                       its own, from version 3 on
 * @QCOW_OWN_COPY_UP: what the active image does not have of whole clusters becomes its own, as it
 *                    reads now
 * @QCOW_OWN_CLONE_UP: the same, of what most probably can be shared with files of other layers
 * @QCOW_OWN_COPY_DOWN: write what another image reads there, @source of the device
 * @QCOW_OWN_CLONE_DOWN: the same, likewise
 * @QCOW_OWN_MOVE: what lies at @move_from of the metadata or behind it goes in front of that, as
 *                 far as there is room
 *
 * What leads behind the end the block layer would refuse, and for the others it has no name.
 */
enum qcow_own {
	QCOW_OWN_NONE,
	QCOW_OWN_ZERO,
	QCOW_OWN_ZERO_BEHIND,
	QCOW_OWN_DROP_BEHIND,
	QCOW_OWN_DROP_COPIED,
	QCOW_OWN_ZERO_HOLES,
	QCOW_OWN_COPY_UP,
	QCOW_OWN_CLONE_UP,
	QCOW_OWN_COPY_DOWN,
	QCOW_OWN_CLONE_DOWN,
	QCOW_OWN_MOVE,
};

/* What layers below have is to become the active image's own: a write that brings no bytes. */
static inline bool qcow_own_copies_up(enum qcow_own own)
{
	return own == QCOW_OWN_COPY_UP || own == QCOW_OWN_CLONE_UP;
}

/* A write whose bytes are another image's. */
static inline bool qcow_own_copies_down(enum qcow_own own)
{
	return own == QCOW_OWN_COPY_DOWN || own == QCOW_OWN_CLONE_DOWN;
}

/* What the disk reads as stays the same: only what is behind it changes, or layers do. */
static inline bool qcow_own_keeps_disk(enum qcow_own own)
{
	switch (own) {
	case QCOW_OWN_ZERO_BEHIND:
	case QCOW_OWN_DROP_BEHIND:
	case QCOW_OWN_DROP_COPIED:
	case QCOW_OWN_ZERO_HOLES:
	case QCOW_OWN_MOVE:
		return true;
	default:
		return qcow_own_copies_up(own);
	}
}

/* A write that has no memory: a work reads what it writes. */
static inline bool qcow_own_copies(enum qcow_own own)
{
	return qcow_own_copies_up(own) || qcow_own_copies_down(own) || own == QCOW_OWN_MOVE;
}

/**
 * struct qcow_fragment - a part of a request that one I/O or one copy serves
 * @io: memory, and host range while the store reads straight into it
 * @req: the request; a reference is held until the fragment ends
 * @epoch: in which it was mapped; NULL: that of the request, whose reference it has
 * @map: its source, of a read
 * @guest: its first guest byte
 * @waiter: parked until a cluster that another request decompresses is there
 * @change: of a write that changes the mapping: ends when the data has been written
 * @fill: of such a write: what is beside its bytes in their (sub)clusters is written as well
 * @bounce: of a write that is encrypted: what is written, or NULL
 * @written: likewise, called with @io when it is
 * @merges: likewise, it is written by the merge of the metadata worker
 */
struct qcow_fragment {
	struct qcow_io io;
	struct qcow_request *req;
	struct qcow_epoch *epoch;
	struct qcow_mapping map;
	u64 guest;
	struct qcow_waiter waiter;
	struct qcow_change change;
	bool fill;
	struct qcow_bounce *bounce;
	void (*written)(struct qcow_io *io, int err);
	bool merges;
};

/**
 * enum qcow_first - where a request's own fragment is
 * @QCOW_FIRST_FREE: here; only the thread that maps the request gives it out
 * @QCOW_FIRST_BUSY: given out
 * @QCOW_FIRST_WANTED: given out, and the request goes on when it comes back: there is no
 *                     memory for another
 */
enum qcow_first {
	QCOW_FIRST_FREE,
	QCOW_FIRST_BUSY,
	QCOW_FIRST_WANTED,
};

/**
 * struct qcow_request - per-request data of blk-mq
 * @dev: the device
 * @own: set before it is started
 * @refs: fragments in flight, and the thread that maps the rest
 * @pos: guest byte that is mapped next
 * @end: guest byte after the request
 * @iter: memory from @pos on, to the end of what @bio or @bvecs describes
 * @bio: the bio that @iter walks, where there is no table of all of them
 * @bvecs: one table for the memory of all bios, allocated, or NULL
 * @compression: what has become of its whole clusters, or NULL
 * @direction: ITER_SOURCE or ITER_DEST
 * @waiter: parked until a slice that another thread reads is there
 * @run: maps the rest, as far as it can be mapped without waiting, or to the end
 * @work: calls @run in process context
 * @msg: hands it to the metadata worker
 * @uncompressed: its whole clusters are still to be compressed
 * @in_queue_rq: the block layer's task maps it, whose I/O is submitted as submit.c says
 * @is_listed: that task has submitted I/O of it
 * @is_handed: that task has handed I/O of it to a worker
 * @epoch: of a writable device, or NULL; also while the request waits for space
 * @flush: of a flush
 * @status: of the bytes from @bad_start to @bad_end, under @dev->error_lock; the first error
 * @bad_start: first guest byte that failed
 * @bad_end: guest byte after the last one that failed; 0: none did
 * @first_state: enum qcow_first
 * @first: most requests need just one; without memory for more, they use it again and again
 */
struct qcow_request {
	struct qcow_device *dev;
	enum qcow_own own;
	atomic_t refs;
	u64 pos;
	u64 end;
	struct iov_iter iter;
	struct bio *bio;
	struct bio_vec *bvecs;
	struct qcow_compression *compression;
	unsigned int direction;
	struct qcow_waiter waiter;
	void (*run)(struct qcow_request *req, bool may_wait);
	struct work_struct work;
	struct qcow_meta_msg msg;
	bool uncompressed;
	bool in_queue_rq;
	bool is_listed;
	bool is_handed;
	struct qcow_epoch *epoch;
	struct qcow_flush flush;
	blk_status_t status;
	u64 bad_start;
	u64 bad_end;
	atomic_t first_state;
	struct qcow_fragment first;
};

/**
 * qcow_request_read() - start to serve a read
 * @req: data of a started request; @dev is set
 * @rq: the request
 *
 * Maps and submits as far as it can without waiting; the rest goes on in the device's
 * workqueue. Ends with blk_mq_complete_request(), perhaps before it returns.
 *
 * Context: process context, where the request is submitted.
 */
void qcow_request_read(struct qcow_request *req, struct request *rq);

/* The same for a write, and for a discard, write-zeroes, or a write of zeros. */
void qcow_request_write(struct qcow_request *req, struct request *rq);
void qcow_request_discard(struct qcow_request *req, struct request *rq);

/* The same for a request of the driver's own to a raw image. */
void qcow_request_raw(struct qcow_request *req, struct request *rq);

/* Whether all that a write has is zero. Context: any. */
bool qcow_request_is_zero(struct request *rq);

/**
 * qcow_request_own() - have the driver do something to a guest range
 * @dev: the device; its image reaches to the range, or will
 * @own: what
 * @guest: first byte, a multiple of 512; for QCOW_OWN_ZERO_HOLES, QCOW_OWN_MOVE and those that
 *         copy up of the cluster size
 * @len: bytes, likewise, or to the end of the image
 *
 * Context: process context, may sleep.
 * Return: 0, -EIO, -ENOSPC, ...: of any part of it; -EINTR: the task is being killed, and some of
 * it may be done.
 */
int qcow_request_own(struct qcow_device *dev, enum qcow_own own, u64 guest, u64 len);

/* blk_mq_ops.complete: hands the outcome to the block layer, byte range by byte range. */
void qcow_request_complete(struct request *rq);

/* Memory of zeros to write from. */
void qcow_discard_module_init(void);

int qcow_request_module_init(void);
void qcow_request_module_exit(void);

/*
 * What follows is for read.c, write.c and discard.c.
 */

/* Fill @req and let @run begin with it. */
void qcow_request_start(struct qcow_request *req, struct request *rq,
			void (*run)(struct qcow_request *req, bool may_wait));

/* Drop a reference; with the last one the request is over. Context: any. */
void qcow_request_put(struct qcow_request *req);

/* @len bytes at @guest failed; the others still may succeed. Context: any. */
void qcow_request_fail(struct qcow_request *req, u64 guest, u64 len, int err);

/* The next @len bytes are done with. */
static inline void qcow_request_skip(struct qcow_request *req, u64 len)
{
	iov_iter_advance(&req->iter, len);
	req->pos += len;
}

/* Go on with the memory of the next bio, for a request that has no table for all of them. */
void qcow_request_next_bio(struct qcow_request *req);

/**
 * qcow_fragment_get() - a fragment, wherever one is mapped
 * @req: the request
 *
 * Return: the fragment, or NULL: there is no memory, and the request is not the caller's
 * any more: it goes on when its first fragment has ended, perhaps at once.
 */
struct qcow_fragment *qcow_fragment_get(struct qcow_request *req);

/* Give a fragment back that has not been taken yet; the request's reference stays. */
void qcow_fragment_cancel(struct qcow_fragment *frag);

/**
 * qcow_fragment_take() - let a fragment have the next bytes of its request
 * @frag: the fragment
 * @len: how many
 *
 * With the last bytes it takes over the caller's reference, too: most requests have just
 * one fragment.
 *
 * Return: whether these were the last ones; then the request is gone when the fragment ends.
 */
bool qcow_fragment_take(struct qcow_fragment *frag, u32 len);

/* Whether one I/O of @store can move @len bytes of @iter straight from or to @host. */
bool qcow_fragment_fits(const struct qcow_store *store, const struct iov_iter *iter, u64 host,
			u64 len);

/* Fill in what its I/O still needs, but for @frag->io.complete. */
void qcow_fragment_prepare(struct qcow_fragment *frag, struct qcow_store *store, u64 host,
			   bool write);

/* Submit its I/O, here or in a worker. Context: the one that maps the request. */
void qcow_fragment_submit(struct qcow_fragment *frag);

/* Call @func with @frag->io.work from a worker. */
void qcow_fragment_queue(struct qcow_fragment *frag, work_func_t func);

/* It has ended. Context: any. */
void qcow_fragment_end(struct qcow_fragment *frag, int err);

/**
 * enum qcow_step - which thread has a request after a step of it
 * @QCOW_STEP_DONE: the caller: the next bytes have been dealt with
 * @QCOW_STEP_GONE: not the caller any more: it has ended, or goes on elsewhere
 *
 * A step that failed returns -errno instead, and the caller has the request.
 */
enum qcow_step {
	QCOW_STEP_DONE,
	QCOW_STEP_GONE,
};

/**
 * qcow_write_step() - write the next bytes of a request from its memory, in a worker
 * @req: the request; not failed, not at its end, with memory at hand
 *
 * What needs new clusters is left to the metadata worker, which has the request run again when
 * all of the memory at hand is on its way.
 *
 * Context: the device's workqueue.
 * Return: enum qcow_step, or -errno.
 */
int qcow_write_step(struct qcow_request *req);

/*
 * Whether the slice of the next bytes need not be read: it is cached, or there is none. Context:
 * the metadata worker, before the end of the request.
 */
bool qcow_request_has_slice(const struct qcow_request *req);

/**
 * qcow_request_await_space() - have a request that has found no space go on when there is some
 * @req: the request; its @msg is run again then
 * @err: what it has met
 *
 * Space that is reclaimed waits for all I/O that was mapped before it was dropped; so the request
 * leaves that I/O, and maps anew when it goes on.
 *
 * Context: the metadata worker.
 * Return: whether it waits; else @err is the outcome: it is no lack of space, or nothing is on its
 * way back.
 */
bool qcow_request_await_space(struct qcow_request *req, int err);

/* It goes on, if it had waited: it is I/O in flight again. Context: the metadata worker. */
void qcow_request_resume(struct qcow_request *req);

/* Nothing more of a write or discard is to come: with @err other than 0 the rest fails. */
void qcow_write_end(struct qcow_request *req, int err);

#endif /* _QCOW_REQUEST_H */
