// SPDX-License-Identifier: GPL-2.0
/*
 * The blk-mq side of a device: requests are mapped where the block layer hands them over, and
 * submitted there or by a worker (submit.c).
 */
#include <linux/blk-mq.h>
#include <linux/slab.h>

#include "compat.h"
#include "device.h"
#include "layer/image.h"
#include "data/request.h"
#include "data/submit.h"
#include "meta/worker.h"

/* One that came through a descriptor open for reading only, as a file system's may. */
static void queue_note_write(struct qcow_device *dev, struct request *rq)
{
	if (op_is_write(req_op(rq)) && !READ_ONCE(dev->written) && !blk_rq_is_passthrough(rq))
		WRITE_ONCE(dev->written, true);
}

static void queue_flush_done(struct qcow_flush *flush, int err)
{
	struct qcow_request *req = container_of(flush, struct qcow_request, flush);

	blk_mq_end_request(blk_mq_rq_from_pdu(req), errno_to_blk_status(err));
}

static struct qcow_submitter *submitter_of(const struct request *rq)
{
	return rq->mq_hctx->driver_data;
}

/* Map a request and submit what can be submitted here; the rest waits for a kick. */
static blk_status_t queue_start(struct request *rq)
{
	struct qcow_request *req = blk_mq_rq_to_pdu(rq);

	/* The block layer lets a stray write through to a read-only disk, with a warning. */
	if (op_is_write(req_op(rq)) && !req->dev->meta && !blk_rq_is_passthrough(rq))
		return BLK_STS_NOTSUPP;
	/* A partition may reach beyond a disk that has become smaller. */
	if (unlikely(blk_rq_pos(rq) + blk_rq_sectors(rq) >
		     READ_ONCE(req->dev->chain->size) >> SECTOR_SHIFT) &&
	    !blk_rq_is_passthrough(rq) && blk_rq_sectors(rq))
		return BLK_STS_IOERR;

	queue_note_write(req->dev, rq);
	if (!blk_rq_is_passthrough(rq))
		req->own = QCOW_OWN_NONE;
	blk_mq_start_request(rq);
	switch (req_op(rq)) {
	case REQ_OP_READ:
		qcow_request_read(req, rq);
		return BLK_STS_OK;
	case REQ_OP_WRITE:
		if (req->dev->zeroes != QCOW_ZEROES_WRITE && qcow_request_is_zero(rq))
			qcow_request_discard(req, rq);
		else
			qcow_request_write(req, rq);
		return BLK_STS_OK;
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
		qcow_request_discard(req, rq);
		return BLK_STS_OK;
	case REQ_OP_DRV_OUT:
		if (req->dev->chain->raw)
			qcow_request_raw(req, rq);
		else if (qcow_own_copies(req->own))
			qcow_request_write(req, rq);
		else
			qcow_request_discard(req, rq);
		return BLK_STS_OK;
	case REQ_OP_FLUSH:
		req->flush.done = queue_flush_done;
		/* Of a device that is read-only all is durable. */
		if (req->dev->meta)
			qcow_commit_flush(req->dev->meta, &req->flush);
		else
			queue_flush_done(&req->flush, 0);
		return BLK_STS_OK;
	default:
		return BLK_STS_NOTSUPP;
	}
}

static blk_status_t queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd)
{
	blk_status_t ret = queue_start(bd->rq);

	if (bd->last)
		qcow_submitter_kick(hctx->driver_data);
	return ret;
}

static void queue_commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	qcow_submitter_kick(hctx->driver_data);
}

/* All of a plug, as a rule for one hardware queue. */
static void queue_rqs(qcow_rq_list *list)
{
	struct qcow_submitter *submitter = NULL;
	struct request *rq;

	while ((rq = rq_list_pop(list))) {
		blk_status_t ret;

		if (submitter && submitter != submitter_of(rq))
			qcow_submitter_kick(submitter);
		submitter = submitter_of(rq);
		ret = queue_start(rq);
		if (unlikely(ret))
			blk_mq_end_request(rq, ret);
	}
	qcow_submitter_kick(submitter);
}

static int queue_init_request(struct blk_mq_tag_set *set, struct request *rq,
			      unsigned int hctx_idx, qcow_request_node numa_node)
{
	struct qcow_request *req = blk_mq_rq_to_pdu(rq);

	req->dev = set->driver_data;
	return 0;
}

static int queue_init_hctx(struct blk_mq_hw_ctx *hctx, void *data, unsigned int hctx_idx)
{
	struct qcow_device *dev = data;
	struct qcow_submitter *submitter;

	submitter = kzalloc_node(sizeof(*submitter), GFP_KERNEL, hctx->numa_node);
	if (!submitter)
		return -ENOMEM;
	qcow_submitter_init(submitter, dev);
	hctx->driver_data = submitter;
	return 0;
}

static void queue_exit_hctx(struct blk_mq_hw_ctx *hctx, unsigned int hctx_idx)
{
	qcow_submitter_destroy(hctx->driver_data);
	kfree(hctx->driver_data);
}

const struct blk_mq_ops qcow_queue_ops = {
	.queue_rq = queue_rq,
	.queue_rqs = queue_rqs,
	.commit_rqs = queue_commit_rqs,
	.init_hctx = queue_init_hctx,
	.exit_hctx = queue_exit_hctx,
	.init_request = queue_init_request,
	.complete = qcow_request_complete,
};
