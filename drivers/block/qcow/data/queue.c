// SPDX-License-Identifier: GPL-2.0
/*
 * The blk-mq side of a device: takes requests and hands them on from the submitter's own
 * context. Does not know where data is.
 */
#include <linux/blk-mq.h>
#include <linux/slab.h>

#include "data/below.h"
#include "compat.h"
#include "device.h"
#include "layer/image.h"
#include "data/poll.h"
#include "data/request.h"
#include "data/share.h"
#include "meta/worker.h"

/**
 * struct queue - what a hardware queue has
 * @share: its requests that another CPU serves
 * @poll: those that whoever submitted them looks for
 */
struct queue {
	struct qcow_share share;
	struct qcow_poll poll;
};

static void flush_done(struct qcow_flush *flush, int err)
{
	struct qcow_request *req = container_of(flush, struct qcow_request, flush);

	blk_mq_end_request(blk_mq_rq_from_pdu(req), errno_to_blk_status(err));
}

static void serve(struct request *rq)
{
	struct qcow_request *req = blk_mq_rq_to_pdu(rq);

	if (req_op(rq) == REQ_OP_READ)
		qcow_request_read(req, rq);
	else
		qcow_request_write(req, rq);
}

static void serve_node(struct llist_node *node)
{
	serve(blk_mq_rq_from_pdu(container_of(node, struct qcow_request, share)));
}

/* Whether another CPU serves it; whoever looks for its end has nothing else to do. */
static bool offer(struct queue *queue, struct request *rq)
{
	struct qcow_request *req = blk_mq_rq_to_pdu(rq);

	return !req->poll && qcow_share_offer(&queue->share, &req->share, blk_rq_bytes(rq));
}

/* Begin with a request, whichever CPU serves it. */
static blk_status_t start(struct request *rq)
{
	struct qcow_request *req = blk_mq_rq_to_pdu(rq);
	struct queue *queue = rq->mq_hctx->driver_data;

	/* The block layer lets a stray write through to a read-only disk, with a warning. */
	if (req_op(rq) != REQ_OP_READ && !req->dev->meta)
		return BLK_STS_NOTSUPP;

	req->poll = rq->mq_hctx->type == HCTX_TYPE_POLL ? &queue->poll : NULL;
	blk_mq_start_request(rq);
	switch (req_op(rq)) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
		if (!offer(queue, rq))
			serve(rq);
		return BLK_STS_OK;
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
		qcow_request_discard(req, rq);
		return BLK_STS_OK;
	case REQ_OP_FLUSH:
		req->flush.done = flush_done;
		qcow_commit_flush(req->dev->meta, &req->flush);
		return BLK_STS_OK;
	default:
		return BLK_STS_NOTSUPP;
	}
}

/* It may need more than one I/O. */
static bool is_large(const struct request *rq)
{
	const struct qcow_device *dev = rq->q->queuedata;

	return blk_rq_bytes(rq) > qcow_cluster_bytes(&dev->chain->geo);
}

static blk_status_t queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd)
{
	struct qcow_below below;
	blk_status_t ret;

	qcow_below_begin(&below, is_large(bd->rq));
	ret = start(bd->rq);
	qcow_below_end(&below);
	return ret;
}

/* What the submitter has collected; the disks below get it in one go as well. */
static void queue_rqs(qcow_rq_list *list)
{
	struct request *rq = rq_list_peek(list);
	struct qcow_below below;

	qcow_below_begin(&below, rq->rq_next || is_large(rq));
	while ((rq = rq_list_pop(list))) {
		blk_status_t ret = start(rq);

		if (unlikely(ret))
			blk_mq_end_request(rq, ret);
	}
	qcow_below_end(&below);
}

static int queue_init_request(struct blk_mq_tag_set *set, struct request *rq,
			      unsigned int hctx_idx, unsigned int numa_node)
{
	struct qcow_request *req = blk_mq_rq_to_pdu(rq);

	req->dev = set->driver_data;
	INIT_LIST_HEAD(&req->polling);
	return 0;
}

static int queue_init_hctx(struct blk_mq_hw_ctx *hctx, void *data, unsigned int hctx_idx)
{
	struct queue *queue;

	queue = kzalloc_node(sizeof(*queue), GFP_KERNEL, hctx->numa_node);
	if (!queue)
		return -ENOMEM;
	qcow_share_init(&queue->share, serve_node);
	qcow_poll_init(&queue->poll);
	hctx->driver_data = queue;
	return 0;
}

static void queue_exit_hctx(struct blk_mq_hw_ctx *hctx, unsigned int hctx_idx)
{
	struct queue *queue = hctx->driver_data;

	qcow_share_destroy(&queue->share);
	kfree(queue);
}

/* Where there are queues to poll they are the second half; none is for reads alone. */
static void queue_map(struct blk_mq_tag_set *set)
{
	struct blk_mq_queue_map *usual = &set->map[HCTX_TYPE_DEFAULT];
	struct blk_mq_queue_map *poll = &set->map[HCTX_TYPE_POLL];

	if (set->nr_maps > HCTX_TYPE_POLL) {
		usual->nr_queues = set->nr_hw_queues / 2;
		set->map[HCTX_TYPE_READ].nr_queues = 0;
		poll->nr_queues = usual->nr_queues;
		poll->queue_offset = usual->nr_queues;
		blk_mq_map_queues(poll);
	}
	blk_mq_map_queues(usual);
}

static int queue_poll(struct blk_mq_hw_ctx *hctx, struct io_comp_batch *iob)
{
	struct queue *queue = hctx->driver_data;

	return qcow_poll_look(&queue->poll, iob);
}

const struct blk_mq_ops qcow_queue_ops = {
	.queue_rq = queue_rq,
	.queue_rqs = queue_rqs,
	.init_hctx = queue_init_hctx,
	.exit_hctx = queue_exit_hctx,
	.init_request = queue_init_request,
	.map_queues = queue_map,
	.poll = queue_poll,
	.complete = qcow_request_complete,
};
