// SPDX-License-Identifier: GPL-2.0
/*
 * A store on a block device: a request's pages go down in a bio of their own, to another
 * sector; nothing is copied or allocated. store.c chooses it, request.c submits.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/sched/mm.h>

#include "store/store.h"

static ssize_t bdev_read(struct qcow_store *store, void *buf, u64 pos, size_t len)
{
	return qcow_store_file_ops.read(store, buf, pos, len);
}

static ssize_t bdev_write(struct qcow_store *store, const void *buf, u64 pos, size_t len)
{
	return qcow_store_file_ops.write(store, buf, pos, len);
}

static void bdev_work(struct work_struct *work);

static void bdev_endio(struct bio *bio)
{
	struct qcow_io *io = container_of(bio, struct qcow_io, bio);
	int err = blk_status_to_errno(bio->bi_status);

	bio_uninit(bio);
	if (unlikely(io->poll) && bio->bi_status == BLK_STS_NOTSUPP) {
		WRITE_ONCE(io->store->polls, false);
		io->poll = false;
		INIT_WORK(&io->work, bdev_work);
		queue_work(io->store->wq, &io->work);
		return;
	}
	io->done = err ? 0 : io->len;
	io->complete(io, err);
}

static struct block_device *store_bdev(const struct qcow_store *store)
{
	return I_BDEV(store->file->f_mapping->host);
}

static void bdev_submit(struct qcow_store *store, struct qcow_io *io)
{
	/* As direct I/O has it: such a write is not made to wait for others (see blk-wbt.c). */
	blk_opf_t opf = io->write ? REQ_OP_WRITE | REQ_SYNC | REQ_IDLE : REQ_OP_READ;
	struct bio *bio = &io->bio;

	/* The table belongs to the request: the bio is a clone as far as anybody below cares. */
	bio_init(bio, store_bdev(store), (struct bio_vec *)io->iter.bvec, io->iter.nr_segs, opf);
	bio->bi_vcnt = io->iter.nr_segs;
	bio->bi_iter.bi_bvec_done = io->iter.iov_offset;
	bio->bi_iter.bi_size = io->len;
	bio->bi_iter.bi_sector = io->pos >> SECTOR_SHIFT;
	bio->bi_end_io = bdev_endio;
	bio_set_flag(bio, BIO_CLONED);
	if (unlikely(io->poll)) {
		bio->bi_opf |= REQ_POLLED;
		/* Pairs with smp_load_acquire() in qcow_store_poll(). */
		smp_store_release(&io->polled, true);
	}
	submit_bio_noacct(bio);
}

/* Once more: what is below cannot be polled any more. */
static void bdev_work(struct work_struct *work)
{
	struct qcow_io *io = container_of(work, struct qcow_io, work);
	unsigned int noio = memalloc_noio_save();

	bdev_submit(io->store, io);
	memalloc_noio_restore(noio);
}

static int bdev_poll(struct qcow_io *io, struct io_comp_batch *iob)
{
	return bio_poll(&io->bio, iob, BLK_POLL_ONESHOT);
}

static int bdev_flush(struct qcow_store *store)
{
	return blkdev_issue_flush(store_bdev(store));
}

static int bdev_resize(struct qcow_store *store, u64 bytes)
{
	return bytes > store->bytes ? -ENOSPC : 0;
}

/* Whether that unmaps blocks is the device's business; it is at least quick. */
static int bdev_punch(struct qcow_store *store, u64 pos, u64 len)
{
	return blkdev_issue_zeroout(store_bdev(store), pos >> SECTOR_SHIFT, len >> SECTOR_SHIFT,
				    GFP_NOIO, BLKDEV_ZERO_NOFALLBACK);
}

const struct qcow_store_ops qcow_store_bdev_ops = {
	.name = "bdev",
	.read = bdev_read,
	.write = bdev_write,
	.submit = bdev_submit,
	.poll = bdev_poll,
	.flush = bdev_flush,
	.resize = bdev_resize,
	.punch = bdev_punch,
};
