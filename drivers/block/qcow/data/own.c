// SPDX-License-Identifier: GPL-2.0
/*
 * Requests of the driver on its own device. They have no memory; a queue that is frozen waits for
 * them as for others.
 */
#include <linux/blk-mq.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "data/request.h"
#include "device.h"

/* What one request has at most; a multiple of any cluster size. */
#define OWN_BYTES	((u64)SZ_1G)

static int own_execute(struct qcow_device *dev, enum qcow_own own, u64 guest, u32 len)
{
	struct qcow_request *req;
	struct request *rq;
	blk_status_t status;

	rq = blk_mq_alloc_request(dev->queue, REQ_OP_DRV_OUT, 0);
	if (IS_ERR(rq))
		return PTR_ERR(rq);
	req = blk_mq_rq_to_pdu(rq);
	req->own = own;
	rq->__sector = guest >> SECTOR_SHIFT;
	rq->__data_len = len;
	status = blk_execute_rq(rq, false);
	blk_mq_free_request(rq);
	return blk_status_to_errno(status);
}

int qcow_request_own(struct qcow_device *dev, enum qcow_own own, u64 guest, u64 len)
{
	u64 end = guest + len;
	int err = 0;

	for (; guest < end && !err; guest += len) {
		/* What is not wanted any more goes all the same. */
		if (own != QCOW_OWN_DROP_BEHIND && fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		len = min(end, round_down(guest, OWN_BYTES) + OWN_BYTES) - guest;
		err = own_execute(dev, own, guest, len);
	}
	return err;
}
