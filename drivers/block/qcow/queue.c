// SPDX-License-Identifier: GPL-2.0
/*
 * The blk-mq side of a device: takes requests, answers what needs no mapping, hands reads
 * to request.c from the submitter's own context. Does not know where data is.
 */
#include <linux/blk-mq.h>

#include "device.h"
#include "request.h"

static blk_status_t queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd)
{
	struct request *rq = bd->rq;

	/* The disk is read-only; the block layer lets a stray write through with a warning. */
	if (req_op(rq) != REQ_OP_READ)
		return BLK_STS_NOTSUPP;

	blk_mq_start_request(rq);
	qcow_request_read(blk_mq_rq_to_pdu(rq));
	return BLK_STS_OK;
}

static int queue_init_request(struct blk_mq_tag_set *set, struct request *rq,
			      unsigned int hctx_idx, unsigned int numa_node)
{
	struct qcow_request *req = blk_mq_rq_to_pdu(rq);

	req->dev = set->driver_data;
	return 0;
}

const struct blk_mq_ops qcow_queue_ops = {
	.queue_rq = queue_rq,
	.init_request = queue_init_request,
	.complete = qcow_request_complete,
};
