// SPDX-License-Identifier: GPL-2.0
/*
 * A store on a block device: a request's pages go down in a bio of their own, to another
 * sector; nothing is copied or allocated. store.c chooses it, request.c submits.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/sched.h>

#include "compat.h"
#include "store.h"

static ssize_t bdev_read(struct qcow_store *store, void *buf, u64 pos, size_t len)
{
	return qcow_store_file_ops.read(store, buf, pos, len);
}

static void bdev_endio(struct bio *bio)
{
	struct qcow_io *io = container_of(bio, struct qcow_io, bio);
	int err = blk_status_to_errno(bio->bi_status);

	bio_uninit(bio);
	io->done = err ? 0 : io->len;
	io->complete(io, err);
}

static void bdev_submit_read(struct qcow_store *store, struct qcow_io *io)
{
	struct block_device *bdev = I_BDEV(store->file->f_mapping->host);
	struct bio *bio = &io->bio;
	struct blk_plug *plug;

	/* The table belongs to the request: the bio is a clone as far as anybody below cares. */
	bio_init(bio, bdev, (struct bio_vec *)io->iter.bvec, io->iter.nr_segs, REQ_OP_READ);
	bio->bi_vcnt = io->iter.nr_segs;
	bio->bi_iter.bi_bvec_done = io->iter.iov_offset;
	bio->bi_iter.bi_size = io->len;
	bio->bi_iter.bi_sector = io->pos >> SECTOR_SHIFT;
	bio->bi_end_io = bdev_endio;
	bio_set_flag(bio, BIO_CLONED);

	/*
	 * The submitter's plug may be the one that is being flushed. What is added to it now
	 * makes it count requests that are on its list no more; see also task_context_begin().
	 */
	blk_plug_invalidate_ts();
	plug = current->plug;
	current->plug = NULL;
	submit_bio_noacct(bio);
	current->plug = plug;
}

const struct qcow_store_ops qcow_store_bdev_ops = {
	.name = "bdev",
	.read = bdev_read,
	.submit_read = bdev_submit_read,
};
