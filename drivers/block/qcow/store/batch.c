// SPDX-License-Identifier: GPL-2.0
/*
 * Writes of metadata that are in flight together.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "store/batch.h"
#include "store/preserve.h"

static void batch_start(struct qcow_batch *batch)
{
	batch->nr = 0;
	atomic_set(&batch->left, 1);
	reinit_completion(&batch->ended);
	blk_start_plug(&batch->plug);
}

void qcow_batch_begin(struct qcow_batch *batch)
{
	batch->err = 0;
	init_completion(&batch->ended);
	batch_start(batch);
}

static void batch_put(struct qcow_batch *batch)
{
	if (atomic_dec_and_test(&batch->left))
		complete(&batch->ended);
}

static void batch_complete(struct qcow_io *io, int err)
{
	struct qcow_batch *batch = container_of(io, struct qcow_batch_write, io)->batch;

	if (err)
		cmpxchg(&batch->err, 0, err);
	batch_put(batch);
}

static void batch_wait(struct qcow_batch *batch)
{
	blk_finish_plug(&batch->plug);
	batch_put(batch);
	wait_for_completion(&batch->ended);
}

/* What one I/O of the store can be: whole blocks in one page. */
static bool batch_fits(const struct qcow_store *store, const void *buf, u64 pos, size_t len)
{
	return store->writable && IS_ALIGNED(pos | len | (unsigned long)buf, store->align) &&
		pos + len <= READ_ONCE(store->bytes) && !is_vmalloc_addr(buf) &&
		offset_in_page(buf) + len <= PAGE_SIZE;
}

static void batch_submit(struct qcow_batch *batch, struct qcow_store *store, void *buf, u64 pos,
			 size_t len)
{
	struct qcow_batch_write *write = &batch->writes[batch->nr++];
	unsigned int noio = memalloc_noio_save();

	write->batch = batch;
	bvec_set_page(&write->bvec, virt_to_page(buf), len, offset_in_page(buf));
	write->io = (struct qcow_io) {
		.store = store, .pos = pos, .len = len, .write = true,
		.complete = batch_complete,
	};
	iov_iter_bvec(&write->io.iter, ITER_SOURCE, &write->bvec, 1, len);
	atomic_inc(&batch->left);
	qcow_store_submit(&write->io);
	memalloc_noio_restore(noio);
}

void qcow_batch_write(struct qcow_batch *batch, struct qcow_store *store, void *buf, u64 pos,
		      size_t len)
{
	int err;

	if (READ_ONCE(batch->err))
		return;
	if (batch_fits(store, buf, pos, len)) {
		if (batch->nr == QCOW_BATCH_WRITES) {
			batch_wait(batch);
			batch_start(batch);
		}
		qcow_preserve_keep(store, pos, len);
		batch_submit(batch, store, buf, pos, len);
		return;
	}
	err = qcow_store_write(store, buf, pos, len);
	if (err)
		cmpxchg(&batch->err, 0, err);
}

int qcow_batch_end(struct qcow_batch *batch)
{
	batch_wait(batch);
	return batch->err;
}
