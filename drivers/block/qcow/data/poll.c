// SPDX-License-Identifier: GPL-2.0
/*
 * Polling passed down: who polls a hardware queue polls the disks below it. One I/O is asked at
 * a time, as the disk that it is on looks for all that are on the same queue. Called by queue.c
 * and request.c.
 *
 * The memory of an I/O in a store may be another one's a moment later, even one of another kind
 * of store, so its request is held while it is looked at.
 */
#include "data/poll.h"
#include "data/request.h"

void qcow_poll_init(struct qcow_poll *poll)
{
	spin_lock_init(&poll->lock);
	INIT_LIST_HEAD(&poll->requests);
}

void qcow_poll_add(struct qcow_request *req)
{
	unsigned long flags;

	spin_lock_irqsave(&req->poll->lock, flags);
	list_add_tail(&req->polling, &req->poll->requests);
	spin_unlock_irqrestore(&req->poll->lock, flags);
}

void qcow_poll_remove(struct qcow_request *req)
{
	unsigned long flags;

	spin_lock_irqsave(&req->poll->lock, flags);
	list_del_init(&req->polling);
	spin_unlock_irqrestore(&req->poll->lock, flags);
}

/* The one whose turn it is, with a reference. */
static struct qcow_request *take_turn(struct qcow_poll *poll)
{
	struct qcow_request *req;
	unsigned long flags;

	spin_lock_irqsave(&poll->lock, flags);
	req = list_first_entry_or_null(&poll->requests, struct qcow_request, polling);
	if (req) {
		list_move_tail(&req->polling, &poll->requests);
		atomic_inc(&req->refs);
	}
	spin_unlock_irqrestore(&poll->lock, flags);
	return req;
}

int qcow_poll_look(struct qcow_poll *poll, struct io_comp_batch *iob)
{
	struct qcow_request *req = take_turn(poll);
	int nr;

	if (!req)
		return 0;
	nr = qcow_store_poll(&req->first.io, iob);
	qcow_request_put(req);
	return nr;
}
