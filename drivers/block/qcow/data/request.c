// SPDX-License-Identifier: GPL-2.0
/*
 * What all requests have in common: their memory, the fragments that they fall into, and
 * their outcome. read.c, write.c and discard.c say what becomes of each fragment.
 */
#include <linux/blk-mq.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "device.h"
#include "inject.h"
#include "layer/image.h"
#include "data/compress.h"
#include "data/request.h"
#include "data/submit.h"
#include "meta/track.h"
#include "meta/worker.h"
#include "trace.h"

static struct kmem_cache *fragment_slab;

/* It has written, or may have. */
static void request_record(const struct qcow_request *req, const struct request *rq)
{
	struct qcow_device *dev = req->dev;
	u64 guest = (u64)blk_rq_pos(rq) << SECTOR_SHIFT;

	if (unlikely(dev->track))
		qcow_track_mark(dev->track, guest, blk_rq_bytes(rq));
	if (dev->meta && !qcow_own_keeps_disk(req->own))
		qcow_bitmaps_record(&dev->meta->bitmaps, guest, blk_rq_bytes(rq));
}

void qcow_request_put(struct qcow_request *req)
{
	struct request *rq = blk_mq_rq_from_pdu(req);

	if (!atomic_dec_and_test(&req->refs))
		return;
	if (op_is_write(req_op(rq)))
		request_record(req, rq);
	if (req->is_listed)
		qcow_submitter_end_listed(rq->mq_hctx->driver_data);
	if (req->is_handed)
		qcow_submitter_end_handed(rq->mq_hctx->driver_data);
	qcow_inflight_leave(req->epoch);
	blk_mq_complete_request(rq);
}

void qcow_request_fail(struct qcow_request *req, u64 guest, u64 len, int err)
{
	unsigned long flags;

	trace_qcow_error(req, guest, len, err);
	/* To the submitter of a request a corrupt or truncated image is an I/O error. */
	if (err == -EUCLEAN || err == -ENODATA)
		err = -EIO;

	spin_lock_irqsave(&req->dev->error_lock, flags);
	if (!req->bad_end) {
		req->status = errno_to_blk_status(err);
		req->bad_start = guest;
		req->bad_end = guest + len;
	} else {
		req->bad_start = min(req->bad_start, guest);
		req->bad_end = max(req->bad_end, guest + len);
	}
	spin_unlock_irqrestore(&req->dev->error_lock, flags);
}

void qcow_request_complete(struct request *rq)
{
	struct qcow_request *req = blk_mq_rq_to_pdu(rq);
	u64 start = (u64)blk_rq_pos(rq) << SECTOR_SHIFT;
	u64 bad_start = req->bad_start;
	u64 bad_end = req->bad_end;

	kfree(req->bvecs);
	if (unlikely(req->compression))
		qcow_compress_free(req->compression);
	if (likely(!bad_end)) {
		blk_mq_end_request(rq, BLK_STS_OK);
		return;
	}

	/* Bios that were merged with the one that fails belong to other submitters. */
	if (bad_start > start)
		blk_update_request(rq, BLK_STS_OK, bad_start - start);
	if (blk_update_request(rq, req->status, bad_end - bad_start))
		blk_mq_end_request(rq, BLK_STS_OK);
	else
		__blk_mq_end_request(rq, req->status);
}

/*
 * Waiting for memory here could be for ever: the fragments in flight may be bios that are
 * submitted when the caller returns, or work items behind this one.
 */
struct qcow_fragment *qcow_fragment_get(struct qcow_request *req)
{
	struct qcow_fragment *frag;

	/* Pairs with atomic_xchg() in fragment_free(): the last use of it is over. */
	if (atomic_read_acquire(&req->first_state) != QCOW_FIRST_FREE) {
		frag = qcow_inject(QCOW_INJECT_NOMEM) ? NULL :
			kmem_cache_alloc(fragment_slab, GFP_NOWAIT | __GFP_NOWARN);
		if (frag)
			goto out;
		if (atomic_cmpxchg(&req->first_state, QCOW_FIRST_BUSY, QCOW_FIRST_WANTED) ==
		    QCOW_FIRST_BUSY)
			return NULL;
	}
	atomic_set(&req->first_state, QCOW_FIRST_BUSY);
	frag = &req->first;
out:
	frag->req = req;
	return frag;
}

static void fragment_free(struct qcow_fragment *frag)
{
	struct qcow_request *req = frag->req;

	if (frag != &req->first) {
		kmem_cache_free(fragment_slab, frag);
		return;
	}
	/* With its last fragment a request needs no other. */
	if (frag->guest + frag->io.len == req->end)
		return;
	if (atomic_xchg(&req->first_state, QCOW_FIRST_FREE) == QCOW_FIRST_WANTED)
		queue_work(req->dev->wq, &req->work);
}

void qcow_fragment_cancel(struct qcow_fragment *frag)
{
	/* Where it could be the last one of its request, it is not. */
	frag->guest = 0;
	frag->io.len = 0;
	fragment_free(frag);
}

void qcow_fragment_end(struct qcow_fragment *frag, int err)
{
	struct qcow_request *req = frag->req;

	if (unlikely(err))
		qcow_request_fail(req, frag->guest, frag->io.len, err);
	qcow_inflight_leave(frag->epoch);
	fragment_free(frag);
	qcow_request_put(req);
}

bool qcow_fragment_take(struct qcow_fragment *frag, u32 len)
{
	struct qcow_request *req = frag->req;
	bool last = req->pos + len == req->end;

	frag->guest = req->pos;
	frag->io.iter = req->iter;
	frag->io.len = len;
	frag->epoch = NULL;
	if (!last) {
		atomic_inc(&req->refs);
		frag->epoch = qcow_inflight_join(req->epoch);
		qcow_request_skip(req, len);
	}
	return last;
}

void qcow_fragment_queue(struct qcow_fragment *frag, work_func_t func)
{
	INIT_WORK(&frag->io.work, func);
	queue_work(frag->req->dev->wq, &frag->io.work);
}

/*
 * Direct I/O on a disk with larger sectors asks for segments of memory of whole ones; those
 * of a request are of 512 bytes.
 */
static bool fragment_is_aligned(const struct iov_iter *iter, size_t len, u32 align)
{
	const struct bio_vec *bvec = iter->bvec;
	size_t skip = iter->iov_offset;

	if (!IS_ALIGNED(skip, align))
		return false;
	for (; len; bvec++) {
		size_t part = min_t(size_t, len, bvec->bv_len - skip);

		if (!IS_ALIGNED(part, align))
			return false;
		len -= part;
		skip = 0;
	}
	return true;
}

bool qcow_fragment_fits(const struct qcow_store *store, const struct iov_iter *iter, u64 host,
			u64 len)
{
	if (!IS_ALIGNED(host | len, store->align) || host + len > READ_ONCE(store->bytes))
		return false;
	return likely(store->align <= SECTOR_SIZE) || fragment_is_aligned(iter, len, store->align);
}

void qcow_fragment_prepare(struct qcow_fragment *frag, struct qcow_store *store, u64 host,
			   bool write)
{
	frag->io.store = store;
	frag->io.pos = host;
	frag->io.done = 0;
	frag->io.write = write;
	/* The bios of a request are of one cgroup and have one priority, or they are not merged. */
	frag->io.origin = blk_mq_rq_from_pdu(frag->req)->bio;
}

void qcow_fragment_submit(struct qcow_fragment *frag)
{
	struct qcow_request *req = frag->req;
	struct request *rq = blk_mq_rq_from_pdu(req);
	struct qcow_submitter *submitter = rq->mq_hctx->driver_data;

	if (req->in_queue_rq) {
		if (req->is_listed || !qcow_submitter_begin_listed(submitter, rq, frag->io.store)) {
			if (!req->is_handed)
				qcow_submitter_begin_handed(submitter);
			req->is_handed = true;
			qcow_submitter_add(submitter, &frag->io.waiting);
			return;
		}
		req->is_listed = true;
	}
	qcow_store_submit(&frag->io);
}

void qcow_request_next_bio(struct qcow_request *req)
{
	struct bio *bio = req->bio;
	struct bvec_iter it;
	struct bio_vec bvec;
	unsigned int nr = 0;

	bio_for_each_bvec(bvec, bio, it)
		nr++;
	iov_iter_bvec(&req->iter, req->direction,
		      __bvec_iter_bvec(bio->bi_io_vec, bio->bi_iter), nr, bio->bi_iter.bi_size);
	req->iter.iov_offset = bio->bi_iter.bi_offset;
	req->bio = bio->bi_next;
}

bool qcow_request_has_slice(const struct qcow_request *req)
{
	struct qcow_image *image = req->dev->chain;
	u64 idx = qcow_slice_idx(&image->geo, req->pos);

	return !image->l1[qcow_slice_l1_idx(&image->geo, idx)] ||
		qcow_cache_has(&image->l2, idx);
}

bool qcow_request_await_space(struct qcow_request *req, int err)
{
	if (!qcow_meta_await_space(req->dev->meta, &req->msg, err))
		return false;
	qcow_inflight_leave(req->epoch);
	req->epoch = NULL;
	return true;
}

void qcow_request_resume(struct qcow_request *req)
{
	if (!req->epoch)
		req->epoch = qcow_inflight_enter(&req->dev->meta->inflight);
}

static void request_work(struct work_struct *work)
{
	struct qcow_request *req = container_of(work, struct qcow_request, work);
	unsigned int noio = memalloc_noio_save();
	struct blk_plug plug;

	req->in_queue_rq = false;
	blk_start_plug(&plug);
	req->run(req, true);
	blk_finish_plug(&plug);
	memalloc_noio_restore(noio);
}

static void request_wake(struct qcow_waiter *waiter)
{
	struct qcow_request *req = container_of(waiter, struct qcow_request, waiter);

	queue_work(req->dev->wq, &req->work);
}

/*
 * Describe a request's memory in one table, so that an extent over several bios is one I/O.
 * Without memory for the table it is served bio by bio.
 */
static void request_memory(struct qcow_request *req, struct request *rq)
{
	struct req_iterator it;
	struct bio_vec bvec;
	unsigned int nr = 0;

	req->bio = rq->bio;
	req->bvecs = NULL;
	if (rq->bio != rq->biotail && !qcow_inject(QCOW_INJECT_NOMEM)) {
		rq_for_each_bvec(bvec, rq, it)
			nr++;
		req->bvecs = kmalloc_array(nr, sizeof(bvec), GFP_NOWAIT | __GFP_NOWARN);
	}
	if (!req->bvecs) {
		qcow_request_next_bio(req);
		return;
	}

	nr = 0;
	rq_for_each_bvec(bvec, rq, it)
		req->bvecs[nr++] = bvec;
	iov_iter_bvec(&req->iter, req->direction, req->bvecs, nr, blk_rq_bytes(rq));
}

void qcow_request_start(struct qcow_request *req, struct request *rq,
			void (*run)(struct qcow_request *req, bool may_wait))
{
	atomic_set(&req->refs, 1);
	req->pos = (u64)blk_rq_pos(rq) << SECTOR_SHIFT;
	req->end = req->pos + blk_rq_bytes(rq);
	req->bad_end = 0;
	req->direction = op_is_write(req_op(rq)) ? ITER_SOURCE : ITER_DEST;
	atomic_set(&req->first_state, QCOW_FIRST_FREE);
	INIT_WORK(&req->work, request_work);
	req->waiter.wake = request_wake;
	req->run = run;
	req->in_queue_rq = true;
	req->is_listed = false;
	req->is_handed = false;
	req->bvecs = NULL;
	req->compression = NULL;
	req->iter = (struct iov_iter) {};
	/* Before any table is read. */
	req->epoch = req->dev->meta ? qcow_inflight_enter(&req->dev->meta->inflight) : NULL;
	if (rq->bio && bio_has_data(rq->bio))
		request_memory(req, rq);
	run(req, false);
}

int qcow_request_module_init(void)
{
	fragment_slab = KMEM_CACHE(qcow_fragment, 0);
	return fragment_slab ? 0 : -ENOMEM;
}

void qcow_request_module_exit(void)
{
	kmem_cache_destroy(fragment_slab);
}
