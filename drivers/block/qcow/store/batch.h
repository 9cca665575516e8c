/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Writes of metadata that are in flight together: a disk serves some of them at the same time, or
 * in an order of its own.
 */
#ifndef _QCOW_STORE_BATCH_H
#define _QCOW_STORE_BATCH_H

#include <linux/blkdev.h>
#include <linux/bvec.h>
#include <linux/completion.h>

#include "store/store.h"

/* So many writes at most. */
#define QCOW_BATCH_WRITES	16

struct qcow_batch;

/**
 * struct qcow_batch_write - one of them
 * @io: the write
 * @bvec: its memory
 * @batch: that it belongs to
 */
struct qcow_batch_write {
	struct qcow_io io;
	struct bio_vec bvec;
	struct qcow_batch *batch;
};

/**
 * struct qcow_batch - writes in flight together, and all memory that they need
 * @writes: memory for them; the first @nr are in use
 * @nr: number of writes that have been submitted
 * @left: of these not yet ended, and 1 until qcow_batch_wait()
 * @ended: all have
 * @err: the first error
 * @plug: makes one batch of them for the disk below
 *
 * @left and @err change in completions, all else is the submitter's.
 */
struct qcow_batch {
	struct qcow_batch_write writes[QCOW_BATCH_WRITES];
	unsigned int nr;
	atomic_t left;
	struct completion ended;
	int err;
	struct blk_plug plug;
};

/* Begin a batch. Context: process context; the same task does the rest. */
void qcow_batch_begin(struct qcow_batch *batch);

/**
 * qcow_batch_write() - write some bytes; waits where the batch is full, or they are not aligned
 * @batch: the batch
 * @store: where
 * @buf: as for qcow_store_write(); stays until qcow_batch_end()
 * @pos: host offset
 * @len: bytes
 *
 * After an error nothing more is written.
 */
void qcow_batch_write(struct qcow_batch *batch, struct qcow_store *store, void *buf, u64 pos,
		      size_t len);

/* Wait for all writes. Return: 0 or the first error. */
int qcow_batch_end(struct qcow_batch *batch);

#endif /* _QCOW_STORE_BATCH_H */
