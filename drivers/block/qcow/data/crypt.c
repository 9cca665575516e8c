// SPDX-License-Identifier: GPL-2.0
/*
 * Encrypted guest data.
 *
 *   read:   queue_rq() --> store --> workqueue: decrypt, in the request's memory --> end
 *   write:  queue_rq(), metadata worker --> workqueue: encrypt, in bounce memory --> store --> end
 *
 * A work waits for the cipher, for the one run or buffer that is kept for where there is no memory,
 * and with that buffer for the store; who has them waits for nothing else.
 */
#include <linux/blk-mq.h>
#include <linux/bvec.h>
#include <linux/gfp.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "data/crypt.h"
#include "data/request.h"
#include "device.h"
#include "inject.h"
#include "layer/crypt.h"
#include "layer/image.h"
#include "meta/worker.h"
#include "store/merge.h"
#include "store/store.h"

/* Of pages that are in one piece, where there are such. */
#define BOUNCE_ORDER	4

/* What there is without waiting for I/O; where there is nothing, there is another way. */
#define BOUNCE_GFP	(GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN)

/**
 * struct qcow_bounce - memory that has what is written of a fragment
 * @complete: of the fragment's I/O
 * @nr: pieces
 * @bvecs: the pieces, each whole pages
 */
struct qcow_bounce {
	void (*complete)(struct qcow_io *io, int err);
	unsigned int nr;
	struct bio_vec bvecs[];
};

int qcow_data_read(const struct qcow_image *image, u64 guest, u64 host, void *buf, u64 len)
{
	int err = qcow_store_read_padded(image->data, buf, host, len);

	if (err || !image->crypt)
		return err;
	return qcow_crypt_buffer(image->crypt, QCOW_DECRYPT, buf, len,
				 qcow_crypt_sector(image->crypt, guest, host));
}

int qcow_data_write(const struct qcow_image *image, u64 guest, u64 host, void *buf, u64 len)
{
	int err = 0;

	if (image->crypt)
		err = qcow_crypt_buffer(image->crypt, QCOW_ENCRYPT, buf, len,
					qcow_crypt_sector(image->crypt, guest, host));
	return err ?: qcow_store_write_data(image->data, buf, host, len);
}

static void decrypt_work(struct work_struct *work)
{
	struct qcow_fragment *frag = container_of(work, struct qcow_fragment, io.work);
	struct qcow_crypt *crypt = frag->map.image->crypt;
	unsigned int noio = memalloc_noio_save();
	int err;

	err = qcow_crypt_iter(crypt, QCOW_DECRYPT, &frag->io.iter, frag->io.len,
			      qcow_crypt_sector(crypt, frag->guest, frag->io.pos));
	memalloc_noio_restore(noio);
	qcow_fragment_end(frag, err);
}

static void read_complete(struct qcow_io *io, int err)
{
	struct qcow_fragment *frag = container_of(io, struct qcow_fragment, io);

	if (!err && frag->map.image->crypt)
		qcow_fragment_queue(frag, decrypt_work);
	else
		qcow_fragment_end(frag, err);
}

void qcow_fragment_submit_read(struct qcow_fragment *frag)
{
	frag->io.complete = read_complete;
	qcow_fragment_submit(frag);
}

static void bounce_free(struct qcow_bounce *bounce)
{
	while (bounce->nr--) {
		struct bio_vec *bvec = &bounce->bvecs[bounce->nr];

		__free_pages(bvec->bv_page, get_order(bvec->bv_len));
	}
	kfree(bounce);
}

/* One more piece. Return: its bytes, 0: no memory. */
static size_t bounce_grow(struct qcow_bounce *bounce, size_t len)
{
	unsigned int order = min(get_order(len), BOUNCE_ORDER);
	struct page *page;

	if (qcow_inject(QCOW_INJECT_NOMEM))
		return 0;
	/* Half of it may be more than is needed. */
	if (PAGE_SIZE << order > PAGE_ALIGN(len))
		order--;
	page = alloc_pages(BOUNCE_GFP | (order ? __GFP_COMP : 0), order);
	if (!page) {
		order = 0;
		page = alloc_page(BOUNCE_GFP);
	}
	if (!page)
		return 0;
	bvec_set_page(&bounce->bvecs[bounce->nr++], page, PAGE_SIZE << order, 0);
	return PAGE_SIZE << order;
}

static struct qcow_bounce *bounce_create(size_t len)
{
	struct qcow_bounce *bounce;
	size_t got;

	bounce = kmalloc(struct_size(bounce, bvecs, DIV_ROUND_UP(len, PAGE_SIZE)), BOUNCE_GFP);
	if (!bounce)
		return NULL;
	bounce->nr = 0;
	for (; len; len -= min(got, len)) {
		got = bounce_grow(bounce, len);
		if (!got) {
			bounce_free(bounce);
			return NULL;
		}
	}
	return bounce;
}

static int bounce_fill(const struct qcow_bounce *bounce, struct iov_iter iter, size_t len)
{
	const struct bio_vec *bvec;

	for (bvec = bounce->bvecs; len; bvec++) {
		size_t part = min_t(size_t, len, bvec->bv_len);

		if (copy_from_iter(page_address(bvec->bv_page), part, &iter) != part)
			return -EFAULT;
		len -= part;
	}
	return 0;
}

static void bounced_complete(struct qcow_io *io, int err)
{
	struct qcow_fragment *frag = container_of(io, struct qcow_fragment, io);
	struct qcow_bounce *bounce = frag->bounce;
	void (*complete)(struct qcow_io *io, int err) = bounce->complete;

	bounce_free(bounce);
	complete(io, err);
}

/* Write through the buffer that is kept for that: there is no other memory. */
static int write_buffered(struct qcow_fragment *frag)
{
	const struct qcow_image *image = frag->req->dev->chain;
	struct iov_iter iter = frag->io.iter;
	struct qcow_identity identity;
	u64 pos, part;
	int err = 0;
	void *buf;

	buf = mempool_alloc(&image->crypt->buffers, GFP_NOIO);
	qcow_identity_assume(&identity, frag->io.origin);
	for (pos = 0; pos < frag->io.len && !err; pos += part) {
		part = min_t(u64, frag->io.len - pos, QCOW_CRYPT_BUFFER_BYTES);
		if (copy_from_iter(buf, part, &iter) != part)
			err = -EFAULT;
		else
			err = qcow_data_write(image, frag->guest + pos, frag->io.pos + pos, buf,
					      part);
	}
	qcow_identity_drop(&identity);
	mempool_free(buf, &image->crypt->buffers);
	return err;
}

/* Have the I/O of @frag write what has been encrypted. False: it has ended. */
static bool encrypt_fragment(struct qcow_fragment *frag)
{
	struct qcow_crypt *crypt = frag->req->dev->chain->crypt;
	struct qcow_bounce *bounce = bounce_create(frag->io.len);
	struct iov_iter iter;
	int err;

	if (!bounce) {
		frag->io.complete(&frag->io, write_buffered(frag));
		return false;
	}
	iov_iter_bvec(&iter, ITER_SOURCE, bounce->bvecs, bounce->nr, frag->io.len);
	err = bounce_fill(bounce, frag->io.iter, frag->io.len);
	if (!err)
		err = qcow_crypt_iter(crypt, QCOW_ENCRYPT, &iter, frag->io.len,
				      qcow_crypt_sector(crypt, frag->guest, frag->io.pos));
	if (err) {
		bounce_free(bounce);
		frag->io.complete(&frag->io, err);
		return false;
	}
	bounce->complete = frag->io.complete;
	frag->bounce = bounce;
	frag->io.iter = iter;
	frag->io.complete = bounced_complete;
	return true;
}

static void encrypt_work(struct work_struct *work)
{
	struct qcow_fragment *frag = container_of(work, struct qcow_fragment, io.work);
	unsigned int noio = memalloc_noio_save();

	if (encrypt_fragment(frag))
		qcow_store_submit(&frag->io);
	memalloc_noio_restore(noio);
}

static void encrypt_merged_work(struct work_struct *work)
{
	struct qcow_fragment *frag = container_of(work, struct qcow_fragment, io.work);
	struct qcow_merge *merge = &frag->req->dev->meta->merge;
	unsigned int noio = memalloc_noio_save();

	if (encrypt_fragment(frag)) {
		/* The write may end, and its device go, before this is woken. */
		rcu_read_lock();
		qcow_merge_add(merge, &frag->io);
		qcow_merge_kick(merge);
		rcu_read_unlock();
	}
	memalloc_noio_restore(noio);
}

void qcow_fragment_submit_write(struct qcow_fragment *frag)
{
	if (frag->req->dev->chain->crypt)
		qcow_fragment_queue(frag, encrypt_work);
	else
		qcow_fragment_submit(frag);
}

void qcow_fragment_merge_write(struct qcow_fragment *frag)
{
	if (frag->req->dev->chain->crypt)
		qcow_fragment_queue(frag, encrypt_merged_work);
	else
		qcow_merge_add(&frag->req->dev->meta->merge, &frag->io);
}
