// SPDX-License-Identifier: GPL-2.0
/*
 * A store on a block device: a request's pages go down in a bio of their own, to another
 * sector; nothing is copied or allocated.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>

#include "compat.h"
#include "store/store.h"

/* What a bio below has of the one above; a flush and FUA are the commit's. */
#define INHERITED	(REQ_SYNC | REQ_META | REQ_PRIO | REQ_BACKGROUND | REQ_SWAP)

/*
 * As direct I/O has it: such a write is not throttled by blk-wbt.c. The device's own queue has
 * done that already, and a worker would wait there with reads behind it.
 */
#define WRITE_FLAGS	(REQ_OP_WRITE | REQ_SYNC | REQ_IDLE)

static struct block_device *store_bdev(const struct qcow_store *store)
{
	return I_BDEV(store->file->f_mapping->host);
}

static ssize_t bdev_transfer(struct qcow_store *store, const void *buf, u64 pos, size_t len,
			     blk_opf_t opf)
{
	struct bio_vec bvecs[QCOW_SYNC_PAGES];
	unsigned int nr;
	struct bio bio;
	ssize_t ret;

	bio_init(&bio, store_bdev(store), bvecs, QCOW_SYNC_PAGES, opf | REQ_META | REQ_PRIO);
	len = qcow_store_describe(bvecs, &nr, buf, len);
	bio.bi_vcnt = nr;
	bio.bi_iter.bi_sector = pos >> SECTOR_SHIFT;
	bio.bi_iter.bi_size = len;
	ret = submit_bio_wait(&bio);
	bio_uninit(&bio);
	return ret ?: len;
}

static ssize_t bdev_read(struct qcow_store *store, void *buf, u64 pos, size_t len)
{
	if (pos >= store->bytes)
		return 0;
	return bdev_transfer(store, buf, pos, min_t(u64, len, store->bytes - pos),
			     REQ_OP_READ | REQ_SYNC);
}

static ssize_t bdev_write(struct qcow_store *store, const void *buf, u64 pos, size_t len)
{
	return bdev_transfer(store, buf, pos, len, WRITE_FLAGS);
}

static void bdev_endio(struct bio *bio)
{
	struct qcow_io *io = container_of(bio, struct qcow_io, bio);
	int err = blk_status_to_errno(bio->bi_status);

	bio_uninit(bio);
	io->done = err ? 0 : io->len;
	io->complete(io, err);
}

static int bdev_init_bio(struct bio *bio, struct block_device *bdev, struct qcow_io *io)
{
	blk_opf_t opf = io->write ? WRITE_FLAGS : REQ_OP_READ;
	int err = 0;

	if (io->origin)
		err = bio_init_clone(bdev, bio, io->origin, GFP_NOWAIT);
	else
		bio_init(bio, bdev, NULL, 0, REQ_META | REQ_PRIO);
	bio->bi_opf = opf | (bio->bi_opf & INHERITED);
	return err;
}

static void bdev_submit(struct qcow_store *store, struct qcow_io *io)
{
	struct bio *bio = &io->bio;
	int err = bdev_init_bio(bio, store_bdev(store), io);

	if (unlikely(err)) {
		io->complete(io, err);
		return;
	}
	/* All bios of a request go down as one; the table is the request's, as a clone's is. */
	bio->bi_io_vec = (struct bio_vec *)io->iter.bvec;
	bio->bi_iter = (struct bvec_iter) {
		.bi_sector = io->pos >> SECTOR_SHIFT,
		.bi_size = io->len,
		.bi_offset = io->iter.iov_offset,
	};
	bio->bi_end_io = bdev_endio;
	bio_set_flag(bio, BIO_CLONED);
	submit_bio_noacct(bio);
}

static int bdev_flush(struct qcow_store *store)
{
	return blkdev_issue_flush(store_bdev(store));
}

static int bdev_resize(struct qcow_store *store, u64 bytes, u64 from)
{
	return bytes > store->bytes ? -ENOSPC : 0;
}

/* The device may unmap the blocks or not; without a fallback to writing it is quick. */
static int bdev_punch(struct qcow_store *store, u64 pos, u64 len)
{
	return blkdev_issue_zeroout(store_bdev(store), pos >> SECTOR_SHIFT, len >> SECTOR_SHIFT,
				    GFP_NOIO, BLKDEV_ZERO_NOFALLBACK);
}

const struct qcow_store_ops qcow_store_bdev_ops = {
	.name = "bdev",
	.remaps = true,
	.read = bdev_read,
	.write = bdev_write,
	.submit = bdev_submit,
	.flush = bdev_flush,
	.resize = bdev_resize,
	.punch = bdev_punch,
};
