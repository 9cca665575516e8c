// SPDX-License-Identifier: GPL-2.0
/*
 * Encrypted guest data.
 *
 *   read:   queue_rq() --> store --> work: decrypt, in the request's memory --> end
 *   write:  queue_rq(), metadata worker --> work: encrypt, in bounce memory --> store --> end
 *
 * A write waits, without a work, while others that are encrypted have the memory for that. A work
 * waits for the cipher and for the run that is set aside, whose holder waits for the cipher alone;
 * one that encrypts also for the buffer that is set aside, whose holder waits for the cipher and the
 * store, and for what submitting to the store waits for. No work waits for one that has not begun.
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

/* Of pages that are in one piece, where there are such at once. */
#define BOUNCE_ORDER	get_order(SZ_64K)
#define PIECE_GFP	(GFP_NOWAIT | __GFP_COMP | __GFP_NOMEMALLOC | __GFP_NOWARN)

/* Of single pages; where there are none, there is another way. */
#define PAGE_GFP	(GFP_NOIO | __GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN)

/* Of writes that are encrypted, in memory at a time; others wait. */
#define BOUNCE_BYTES	SZ_32M

/**
 * struct qcow_bounce - memory that has what is written of a fragment
 * @nr: pieces
 * @bvecs: the pieces, each whole pages
 */
struct qcow_bounce {
	unsigned int nr;
	struct bio_vec bvecs[];
};

/* Of all devices: what has been read is not decrypted behind writes that wait for a disk. */
static struct workqueue_struct *decrypt_wq;

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

static void decrypt_queue(struct qcow_fragment *frag)
{
	INIT_WORK(&frag->io.work, decrypt_work);
	queue_work(decrypt_wq, &frag->io.work);
}

static void read_complete(struct qcow_io *io, int err)
{
	struct qcow_fragment *frag = container_of(io, struct qcow_fragment, io);

	if (!err && frag->map.image->crypt)
		decrypt_queue(frag);
	else
		qcow_fragment_end(frag, err);
}

void qcow_fragment_submit_read(struct qcow_fragment *frag)
{
	frag->io.complete = read_complete;
	qcow_fragment_submit(frag);
}

static void encrypt_work(struct work_struct *work);

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
	unsigned int order = min_t(unsigned int, get_order(len), BOUNCE_ORDER);
	struct page *page = NULL;

	if (qcow_inject(QCOW_INJECT_NOMEM))
		return 0;
	/* Half of it may be more than is needed. */
	if (PAGE_SIZE << order > PAGE_ALIGN(len))
		order--;
	if (order)
		page = alloc_pages(PIECE_GFP, order);
	if (!page) {
		order = 0;
		page = alloc_page(PAGE_GFP);
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

	bounce = kmalloc(struct_size(bounce, bvecs, DIV_ROUND_UP(len, PAGE_SIZE)), PAGE_GFP);
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

/* Under @crypt->lock. */
static bool encrypt_fits(const struct qcow_crypt *crypt, const struct qcow_fragment *frag)
{
	return !crypt->bounced || crypt->bounced + frag->io.len <= BOUNCE_BYTES;
}

static void encrypt_queue_locked(struct qcow_crypt *crypt, struct qcow_fragment *frag)
{
	lockdep_assert_held(&crypt->lock);
	crypt->bounced += frag->io.len;
	qcow_fragment_queue(frag, encrypt_work);
}

/* One that has been encrypted is written: its memory is that of those that wait. */
static void encrypt_next(struct qcow_crypt *crypt, const struct qcow_fragment *done)
{
	struct qcow_fragment *frag, *next;
	unsigned long flags;

	spin_lock_irqsave(&crypt->lock, flags);
	crypt->bounced -= done->io.len;
	list_for_each_entry_safe(frag, next, &crypt->waiting, io.node) {
		if (!encrypt_fits(crypt, frag))
			break;
		list_del(&frag->io.node);
		encrypt_queue_locked(crypt, frag);
	}
	spin_unlock_irqrestore(&crypt->lock, flags);
}

static void encrypted_complete(struct qcow_io *io, int err)
{
	struct qcow_fragment *frag = container_of(io, struct qcow_fragment, io);

	if (frag->bounce)
		bounce_free(frag->bounce);
	encrypt_next(frag->req->dev->chain->crypt, frag);
	frag->written(io, err);
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

/* Have the I/O of @frag write what has been encrypted. */
static int encrypt_bounced(struct qcow_fragment *frag)
{
	struct qcow_crypt *crypt = frag->req->dev->chain->crypt;
	struct qcow_bounce *bounce = frag->bounce;
	struct iov_iter iter;
	int err = bounce_fill(bounce, frag->io.iter, frag->io.len);

	if (err)
		return err;
	iov_iter_bvec(&iter, ITER_SOURCE, bounce->bvecs, bounce->nr, frag->io.len);
	frag->io.iter = iter;
	return qcow_crypt_iter(crypt, QCOW_ENCRYPT, &iter, frag->io.len,
			       qcow_crypt_sector(crypt, frag->guest, frag->io.pos));
}

static void encrypt_submit(struct qcow_fragment *frag)
{
	struct qcow_merge *merge = &frag->req->dev->meta->merge;

	if (!frag->merges) {
		qcow_store_submit(&frag->io);
		return;
	}
	/* The write may end, and its device go, before the merge is kicked. */
	rcu_read_lock();
	qcow_merge_add(merge, &frag->io);
	qcow_merge_kick(merge);
	rcu_read_unlock();
}

static void encrypt_work(struct work_struct *work)
{
	struct qcow_fragment *frag = container_of(work, struct qcow_fragment, io.work);
	unsigned int noio = memalloc_noio_save();
	int err;

	frag->bounce = bounce_create(frag->io.len);
	err = frag->bounce ? encrypt_bounced(frag) : write_buffered(frag);
	if (err || !frag->bounce)
		encrypted_complete(&frag->io, err);
	else
		encrypt_submit(frag);
	memalloc_noio_restore(noio);
}

static void encrypt(struct qcow_fragment *frag, bool merges)
{
	struct qcow_crypt *crypt = frag->req->dev->chain->crypt;
	unsigned long flags;

	frag->merges = merges;
	frag->bounce = NULL;
	frag->written = frag->io.complete;
	frag->io.complete = encrypted_complete;
	spin_lock_irqsave(&crypt->lock, flags);
	if (list_empty(&crypt->waiting) && encrypt_fits(crypt, frag))
		encrypt_queue_locked(crypt, frag);
	else
		list_add_tail(&frag->io.node, &crypt->waiting);
	spin_unlock_irqrestore(&crypt->lock, flags);
}

void qcow_fragment_submit_write(struct qcow_fragment *frag)
{
	if (frag->req->dev->chain->crypt)
		encrypt(frag, false);
	else
		qcow_fragment_submit(frag);
}

void qcow_fragment_merge_write(struct qcow_fragment *frag)
{
	if (frag->req->dev->chain->crypt)
		encrypt(frag, true);
	else
		qcow_merge_add(&frag->req->dev->meta->merge, &frag->io);
}

int qcow_crypt_module_init(void)
{
	decrypt_wq = alloc_workqueue("qcow_decrypt", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return decrypt_wq ? 0 : -ENOMEM;
}

void qcow_crypt_module_exit(void)
{
	destroy_workqueue(decrypt_wq);
}
