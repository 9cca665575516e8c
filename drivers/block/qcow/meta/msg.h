/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages to the metadata worker.
 */
#ifndef _QCOW_META_MSG_H
#define _QCOW_META_MSG_H

#include <linux/list.h>
#include <linux/llist.h>
#include <linux/types.h>

/**
 * struct qcow_meta_msg - a function that the metadata worker runs
 * @posted: while it is on its way to the worker
 * @node: while the worker has it: received, or parked
 * @run: the function; the message is its caller's again when it is called, and may be gone
 *       when it returns
 * @urgent: run it before what is not: something has ended, or is waited for already
 * @guest: first guest byte that it is about; messages that are not urgent run in this order
 * @err: of the commit or the L2 table that it was parked for, which has failed: there is no use in
 *       trying again
 */
struct qcow_meta_msg {
	union {
		struct llist_node posted;
		struct list_head node;
	};
	void (*run)(struct qcow_meta_msg *msg);
	bool urgent;
	u64 guest;
	int err;
};

#endif /* _QCOW_META_MSG_H */
