/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests whose submitters do not wait to be told that they are over, but look: what is below
 * may not tell anybody either, so it is looked at in turn.
 */
#ifndef _QCOW_POLL_H
#define _QCOW_POLL_H

#include <linux/list.h>
#include <linux/spinlock.h>

struct io_comp_batch;
struct qcow_request;

/**
 * struct qcow_poll - those of one hardware queue
 * @lock: any context
 * @requests: that are one I/O which is under way, by their @polling; the next one to look at
 *            is the first
 */
struct qcow_poll {
	spinlock_t lock;	/* @requests */
	struct list_head requests;
};

void qcow_poll_init(struct qcow_poll *poll);

/* @req, which has a @poll, is about to be submitted as one I/O. Context: any. */
void qcow_poll_add(struct qcow_request *req);

/* It has ended, or never was. Context: any. */
void qcow_poll_remove(struct qcow_request *req);

/**
 * qcow_poll_look() - see whether what is below is done with anything
 * @poll: of the hardware queue
 * @iob: collects requests of the disk below that the caller ends afterwards; or NULL
 *
 * Context: process context, may be under rcu_read_lock(); does not sleep.
 * Return: as blk_mq_ops.poll: how many, or a negative number: looking again is of no use.
 */
int qcow_poll_look(struct qcow_poll *poll, struct io_comp_batch *iob);

#endif /* _QCOW_POLL_H */
