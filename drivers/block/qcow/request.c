// SPDX-License-Identifier: GPL-2.0
/*
 * Reads: walk a request's guest range through map.c and turn every extent into zeros, one
 * I/O of a store, or a copy out of a decompressed cluster or of bytes that no I/O can bring
 * straight in. Called by queue.c; does not know what maps and stores look like inside.
 *
 *   qcow_request_read -> request_run -+-> zeros
 *        (submitter)        ^         +-> fragment_submit -> store ----+-> request_put
 *                           |         +-> fragment_inflate (worker) ---+
 *   request_work, slice ----+         +-> fragment_copy (worker) ------+
 *   missing (worker)
 */
#include <linux/blk-mq.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "device.h"
#include "image.h"
#include "inflate.h"
#include "message.h"
#include "request.h"

/* Bytes that fragment_copy() moves at once. */
#define COPY_BYTES		(64U << 10)

static struct kmem_cache *fragment_slab;

static void request_put(struct qcow_request *req)
{
	if (atomic_dec_and_test(&req->refs))
		blk_mq_complete_request(blk_mq_rq_from_pdu(req));
}

/* Note that @len bytes at @guest could not be had; the others still may. */
static void request_fail(struct qcow_request *req, u64 guest, u64 len, int err)
{
	unsigned long flags;

	/* A corrupt or truncated image is an I/O error to who reads the device. */
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
	if (likely(!bad_end)) {
		blk_mq_end_request(rq, BLK_STS_OK);
		return;
	}

	/* Bios that were merged with the one that fails are somebody else's. */
	if (bad_start > start)
		blk_update_request(rq, BLK_STS_OK, bad_start - start);
	if (blk_update_request(rq, req->status, bad_end - bad_start))
		blk_mq_end_request(rq, BLK_STS_OK);
	else
		__blk_mq_end_request(rq, req->status);
}

/*
 * NULL: there is no memory, and the request goes on when its first fragment has ended, perhaps
 * at once. Waiting here could be for ever: the fragments in flight may be bios that are
 * submitted when the caller returns, or work items behind this one.
 */
static struct qcow_fragment *fragment_get(struct qcow_request *req)
{
	struct qcow_fragment *frag;

	/* Pairs with atomic_xchg() in fragment_free(): the last use of it is over. */
	if (atomic_read_acquire(&req->first_state) != QCOW_FIRST_FREE) {
		frag = kmem_cache_alloc(fragment_slab, GFP_NOWAIT | __GFP_NOWARN);
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
	/* With the last fragment of a request nobody can want another. */
	if (frag->guest + frag->io.len == req->end)
		return;
	if (atomic_xchg(&req->first_state, QCOW_FIRST_FREE) == QCOW_FIRST_WANTED)
		queue_work(req->dev->wq, &req->work);
}

static void fragment_end(struct qcow_fragment *frag, int err)
{
	struct qcow_request *req = frag->req;

	if (unlikely(err))
		request_fail(req, frag->guest, frag->io.len, err);
	fragment_free(frag);
	request_put(req);
}

static void fragment_complete(struct qcow_io *io, int err)
{
	fragment_end(container_of(io, struct qcow_fragment, io), err);
}

/*
 * Bytes that no I/O can bring straight in: misaligned ones, and the last cluster of a file
 * that ends within it, which reads as zeros from there on.
 */
static int copy_bytes(struct qcow_fragment *frag, void *buf)
{
	struct qcow_store *store = frag->map.image->data;
	struct iov_iter iter = frag->io.iter;
	u64 bytes = READ_ONCE(store->bytes);
	u64 pos = frag->io.pos;
	u64 left = frag->io.len;

	while (left) {
		u64 part = min_t(u64, left, COPY_BYTES);
		u64 there = pos < bytes ? min(part, bytes - pos) : 0;
		int err = there ? qcow_store_read(store, buf, pos, there) : 0;

		if (err)
			return err;
		memset(buf + there, 0, part - there);
		if (copy_to_iter(buf, part, &iter) != part)
			return -EFAULT;
		pos += part;
		left -= part;
	}
	return 0;
}

static void fragment_copy(struct work_struct *work)
{
	struct qcow_fragment *frag = container_of(work, struct qcow_fragment, io.work);
	unsigned int noio = memalloc_noio_save();
	void *buf = kvmalloc(COPY_BYTES, GFP_NOIO);
	int err = buf ? copy_bytes(frag, buf) : -ENOMEM;

	kvfree(buf);
	memalloc_noio_restore(noio);
	fragment_end(frag, err);
}

/* Copy a fragment out of its decompressed cluster. */
static void fragment_take(struct qcow_fragment *frag, struct qcow_inflated *cluster)
{
	u64 mask = qcow_cluster_bytes(&frag->map.image->geo) - 1;
	struct iov_iter iter = frag->io.iter;
	size_t copied;

	copied = copy_to_iter(cluster->data + (frag->guest & mask), frag->io.len, &iter);
	qcow_inflated_put(frag->req->dev->inflate, cluster);
	fragment_end(frag, copied == frag->io.len ? 0 : -EFAULT);
}

static void fragment_inflate(struct work_struct *work)
{
	struct qcow_fragment *frag = container_of(work, struct qcow_fragment, io.work);
	struct qcow_inflated *cluster;
	int err;

	err = qcow_inflate_load(frag->req->dev->inflate, frag->map.image, &frag->map.ext,
				&frag->waiter, &cluster);
	if (err == -EINPROGRESS)
		return;
	if (err)
		fragment_end(frag, err);
	else
		fragment_take(frag, cluster);
}

static void fragment_wake(struct qcow_waiter *waiter)
{
	struct qcow_fragment *frag = container_of(waiter, struct qcow_fragment, waiter);

	queue_work(frag->req->dev->wq, &frag->io.work);
}

static void fragment_queue(struct qcow_fragment *frag, work_func_t func)
{
	INIT_WORK(&frag->io.work, func);
	queue_work(frag->req->dev->wq, &frag->io.work);
}

static void submit_compressed(struct qcow_fragment *frag)
{
	struct qcow_inflated *cluster;

	cluster = qcow_inflate_find(frag->req->dev->inflate, frag->map.image, frag->map.ext.host);
	if (cluster) {
		fragment_take(frag, cluster);
		return;
	}
	frag->waiter.wake = fragment_wake;
	fragment_queue(frag, fragment_inflate);
}

/*
 * Direct I/O on a disk with larger sectors asks for segments of memory of whole ones; those
 * of a request are of 512 bytes.
 */
static bool segments_aligned(const struct iov_iter *iter, size_t len, u32 align)
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

/* Whether one I/O can bring the bytes straight in. */
static bool io_fits(const struct qcow_store *store, const struct qcow_io *io)
{
	if (!IS_ALIGNED(io->pos | io->len, store->align) ||
	    io->pos + io->len > READ_ONCE(store->bytes))
		return false;
	return likely(store->align <= SECTOR_SIZE) ||
		segments_aligned(&io->iter, io->len, store->align);
}

static void submit_data(struct qcow_fragment *frag)
{
	struct qcow_store *store = frag->map.image->data;
	struct qcow_io *io = &frag->io;

	io->store = store;
	io->pos = frag->map.ext.host;
	io->done = 0;
	io->write = false;
	io->complete = fragment_complete;

	if (likely(io_fits(store, io)))
		store->ops->submit(store, io);
	else
		fragment_queue(frag, fragment_copy);
}

/*
 * Take over the request's own reference with the last fragment: most have just one. True when
 * the request is not the caller's any more: that was the last, or it goes on elsewhere.
 */
static bool request_fragment(struct qcow_request *req, const struct qcow_mapping *map)
{
	struct qcow_fragment *frag = fragment_get(req);
	u32 len = map->ext.len;
	bool last = req->pos + len == req->end;

	if (unlikely(!frag))
		return true;
	frag->map = *map;
	frag->guest = req->pos;
	frag->io.iter = req->iter;
	frag->io.len = len;
	if (!last) {
		atomic_inc(&req->refs);
		iov_iter_advance(&req->iter, len);
		req->pos += len;
	}

	if (map->ext.kind == QCOW_EXTENT_COMPRESSED)
		submit_compressed(frag);
	else
		submit_data(frag);
	return last;
}

static void request_skip(struct qcow_request *req, u64 len)
{
	iov_iter_advance(&req->iter, len);
	req->pos += len;
}

/* What one entry or one slice maps fails; what follows may be whole. */
static void request_bad(struct qcow_request *req, u64 len, int err)
{
	request_fail(req, req->pos, len, err);
	request_skip(req, len);
}

/* Memory of the next bio, for a request that has no table for all of them. */
static void request_next_bio(struct qcow_request *req)
{
	struct bio *bio = req->bio;
	struct bvec_iter it;
	struct bio_vec bvec;
	unsigned int nr = 0;

	bio_for_each_bvec(bvec, bio, it)
		nr++;
	iov_iter_bvec(&req->iter, ITER_DEST, __bvec_iter_bvec(bio->bi_io_vec, bio->bi_iter), nr,
		      bio->bi_iter.bi_size);
	req->iter.iov_offset = bio->bi_iter.bi_bvec_done;
	req->bio = bio->bi_next;
}

static int request_map(struct qcow_request *req, bool may_wait, struct qcow_mapping *map)
{
	struct qcow_image *top = req->dev->chain;
	u64 len = iov_iter_count(&req->iter);

	if (may_wait)
		return qcow_map_wait(top, req->pos, len, &req->waiter, map);
	return qcow_map_try(top, req->pos, len, map);
}

static void request_run(struct qcow_request *req, bool may_wait)
{
	struct qcow_mapping map;
	int err;

	while (req->pos < req->end) {
		if (!iov_iter_count(&req->iter))
			request_next_bio(req);

		err = request_map(req, may_wait, &map);
		if (err == -EAGAIN) {
			queue_work(req->dev->wq, &req->work);
			return;
		}
		if (err == -EINPROGRESS)
			return;
		if (unlikely(err)) {
			request_bad(req, map.ext.len, err);
		} else if (map.ext.kind == QCOW_EXTENT_ZERO) {
			iov_iter_zero(map.ext.len, &req->iter);
			req->pos += map.ext.len;
		} else if (request_fragment(req, &map)) {
			return;
		}
	}
	request_put(req);
}

static void request_work(struct work_struct *work)
{
	unsigned int noio = memalloc_noio_save();

	request_run(container_of(work, struct qcow_request, work), true);
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
	if (rq->bio != rq->biotail) {
		rq_for_each_bvec(bvec, rq, it)
			nr++;
		req->bvecs = kmalloc_array(nr, sizeof(bvec), GFP_NOWAIT | __GFP_NOWARN);
	}
	if (!req->bvecs) {
		request_next_bio(req);
		return;
	}

	nr = 0;
	rq_for_each_bvec(bvec, rq, it)
		req->bvecs[nr++] = bvec;
	iov_iter_bvec(&req->iter, ITER_DEST, req->bvecs, nr, blk_rq_bytes(rq));
}

void qcow_request_read(struct qcow_request *req)
{
	struct request *rq = blk_mq_rq_from_pdu(req);

	atomic_set(&req->refs, 1);
	req->pos = (u64)blk_rq_pos(rq) << SECTOR_SHIFT;
	req->end = req->pos + blk_rq_bytes(rq);
	req->bad_end = 0;
	atomic_set(&req->first_state, QCOW_FIRST_FREE);
	INIT_WORK(&req->work, request_work);
	req->waiter.wake = request_wake;
	request_memory(req, rq);
	request_run(req, false);
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
