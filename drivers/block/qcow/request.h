/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One block layer request on its way through the chain: mapped piece by piece, each piece
 * a fragment with one source. Does not know how blk-mq hands requests over (queue.c does).
 */
#ifndef _QCOW_REQUEST_H
#define _QCOW_REQUEST_H

#include <linux/atomic.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "cache.h"
#include "map.h"
#include "store.h"

struct qcow_device;
struct qcow_request;

/**
 * struct qcow_fragment - a part of a request that one I/O or one copy serves
 * @io: memory, and host range while the store reads straight into it
 * @req: the request; a reference is held until the fragment ends
 * @map: its source
 * @guest: its first guest byte
 * @waiter: parked until a cluster that somebody else decompresses is there
 */
struct qcow_fragment {
	struct qcow_io io;
	struct qcow_request *req;
	struct qcow_mapping map;
	u64 guest;
	struct qcow_waiter waiter;
};

/**
 * enum qcow_first - where a request's own fragment is
 * @QCOW_FIRST_FREE: here; only who maps the request gives it out
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
 * @refs: fragments in flight, and whoever is mapping the rest
 * @pos: guest byte that is mapped next
 * @end: guest byte after the request
 * @iter: memory from @pos on, to the end of what @bio or @bvecs describes
 * @bio: the bio that @iter walks, where there is no table of all of them
 * @bvecs: one table for the memory of all bios, allocated, or NULL
 * @waiter: parked until a slice that somebody else reads is there
 * @work: goes on mapping in process context
 * @status: of the bytes from @bad_start to @bad_end, under @dev->error_lock; the first error
 * @bad_start: first guest byte that failed
 * @bad_end: guest byte after the last one that failed; 0: none did
 * @first_state: enum qcow_first
 * @first: most requests need just one; without memory for more, they use it again and again
 */
struct qcow_request {
	struct qcow_device *dev;
	atomic_t refs;
	u64 pos;
	u64 end;
	struct iov_iter iter;
	struct bio *bio;
	struct bio_vec *bvecs;
	struct qcow_waiter waiter;
	struct work_struct work;
	blk_status_t status;
	u64 bad_start;
	u64 bad_end;
	atomic_t first_state;
	struct qcow_fragment first;
};

/**
 * qcow_request_read() - start to serve a read
 * @req: data of a started request; @dev is set
 *
 * Maps and submits as far as it can without waiting; the rest goes on in the device's
 * workqueue. Ends with blk_mq_complete_request(), perhaps before it returns.
 *
 * Context: process context, where the request is submitted.
 */
void qcow_request_read(struct qcow_request *req);

/* blk_mq_ops.complete: hands the outcome to the block layer, byte range by byte range. */
void qcow_request_complete(struct request *rq);

int qcow_request_module_init(void);
void qcow_request_module_exit(void);

#endif /* _QCOW_REQUEST_H */
