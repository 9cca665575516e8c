// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints, and what they look up while they are on.
 */
#include <linux/blk-mq.h>
#include <linux/fs.h>
#include <linux/list.h>

#include "data/request.h"
#include "device.h"
#include "layer/image.h"
#include "layer/map.h"
#include "meta/worker.h"
#include "store/store.h"
#include "trace.h"

/* Of a device without a name 0:0. */
static dev_t trace_dev(const struct qcow_request *req)
{
	return req->dev->disk ? disk_devt(req->dev->disk) : 0;
}

static enum qcow_trace_op trace_op(const struct qcow_request *req)
{
	switch (req_op(blk_mq_rq_from_pdu((void *)req))) {
	case REQ_OP_READ:
		return QCOW_TRACE_READ;
	case REQ_OP_WRITE:
		return QCOW_TRACE_WRITE;
	case REQ_OP_DISCARD:
		return QCOW_TRACE_DISCARD;
	case REQ_OP_WRITE_ZEROES:
		return QCOW_TRACE_WRITE_ZEROES;
	default:
		return QCOW_TRACE_OWN;
	}
}

/* The place of a layer in its chain, or -1. */
static int trace_layer(const struct qcow_image *top, const struct qcow_image *image)
{
	int layer = 0;

	for (; top && top != image; top = top->backing)
		layer++;
	return top ? layer : -1;
}

static size_t trace_count(const struct list_head *list)
{
	const struct list_head *pos;
	size_t nr = 0;

	list_for_each(pos, list)
		nr++;
	return nr;
}

/* Of a block device itself, as sysfs has it; stores in tests have no file. */
static dev_t trace_file_dev(const struct qcow_store *store)
{
	const struct inode *inode = store->file ? file_inode(store->file) : NULL;

	if (!inode)
		return 0;
	return S_ISBLK(inode->i_mode) ? inode->i_rdev : inode->i_sb->s_dev;
}

static ino_t trace_file_ino(const struct qcow_store *store)
{
	const struct inode *inode = store->file ? file_inode(store->file) : NULL;

	return inode && !S_ISBLK(inode->i_mode) ? inode->i_ino : 0;
}

#define CREATE_TRACE_POINTS
#include "trace.h"
