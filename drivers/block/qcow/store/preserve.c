// SPDX-License-Identifier: GPL-2.0
/*
 * What is about to be overwritten is read and kept first. A reader reads the store, and then looks
 * for what has been kept: what he does not find there had not been overwritten when he read it.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/minmax.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "store/preserve.h"

/* 256 MiB: the L2 tables of two terabytes in clusters of 64 KiB. */
#define MAX_PAGES	(SZ_256M >> PAGE_SHIFT)

struct qcow_preserve *qcow_preserve_create(struct qcow_store *store)
{
	struct qcow_preserve *preserve = kzalloc(sizeof(*preserve), GFP_KERNEL);

	if (!preserve)
		return NULL;
	preserve->store = store;
	xa_init(&preserve->pages);
	return preserve;
}

void qcow_preserve_begin(struct qcow_preserve *preserve)
{
	struct qcow_store *store = preserve->store;

	mutex_lock(&store->preserve_lock);
	WARN_ON_ONCE(store->preserve);
	preserve->bytes = READ_ONCE(store->bytes);
	WRITE_ONCE(store->preserve, preserve);
	mutex_unlock(&store->preserve_lock);
}

void qcow_preserve_end(struct qcow_preserve *preserve)
{
	struct qcow_store *store = preserve->store;

	mutex_lock(&store->preserve_lock);
	WRITE_ONCE(store->preserve, NULL);
	mutex_unlock(&store->preserve_lock);
}

void qcow_preserve_destroy(struct qcow_preserve *preserve)
{
	unsigned long nr;
	void *page;

	if (!preserve)
		return;
	qcow_preserve_end(preserve);
	xa_for_each(&preserve->pages, nr, page)
		free_page((unsigned long)page);
	xa_destroy(&preserve->pages);
	kfree(preserve);
}

/* Return: the page, or NULL: it could not be kept. */
static void *preserve_page(struct qcow_preserve *preserve, u64 nr)
{
	const gfp_t gfp = GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN;
	void *page = xa_load(&preserve->pages, nr);

	if (page)
		return page;
	if (preserve->nr == MAX_PAGES)
		return NULL;
	page = (void *)__get_free_page(gfp);
	if (!page)
		return NULL;
	if (qcow_store_read_padded(preserve->store, page, nr << PAGE_SHIFT, PAGE_SIZE) ||
	    xa_err(xa_store(&preserve->pages, nr, page, gfp))) {
		free_page((unsigned long)page);
		return NULL;
	}
	preserve->nr++;
	return page;
}

void __qcow_preserve_keep(struct qcow_store *store, u64 pos, u64 len)
{
	struct qcow_preserve *preserve;
	unsigned int noio;
	u64 nr;

	noio = memalloc_noio_save();
	mutex_lock(&store->preserve_lock);
	preserve = store->preserve;
	if (!preserve || preserve->lost || !len)
		goto unlock;
	for (nr = pos >> PAGE_SHIFT; nr <= (pos + len - 1) >> PAGE_SHIFT; nr++) {
		if (nr << PAGE_SHIFT >= preserve->bytes)
			break;
		if (!preserve_page(preserve, nr)) {
			WRITE_ONCE(preserve->lost, true);
			break;
		}
	}
unlock:
	mutex_unlock(&store->preserve_lock);
	memalloc_noio_restore(noio);
	/* There before anything is overwritten. Pairs with smp_rmb() in qcow_preserve_read(). */
	smp_wmb();
}

u8 *qcow_preserve_byte(struct qcow_preserve *preserve, u64 pos)
{
	u8 *page = preserve_page(preserve, pos >> PAGE_SHIFT);

	return page ? page + offset_in_page(pos) : NULL;
}

/* Of a range in one page what has been kept. */
static void read_kept(struct qcow_preserve *preserve, void *buf, u64 pos, size_t len)
{
	const void *page = xa_load(&preserve->pages, pos >> PAGE_SHIFT);

	if (page)
		memcpy(buf, page + offset_in_page(pos), len);
}

int qcow_preserve_read(struct qcow_preserve *preserve, void *buf, u64 pos, size_t len)
{
	size_t done, part;
	int err;

	err = qcow_store_read_padded(preserve->store, buf, pos, len);
	if (err)
		return err;
	/* What is there, then what was kept. Pairs with smp_wmb() in __qcow_preserve_keep(). */
	smp_rmb();
	for (done = 0; done < len; done += part) {
		part = min(len - done, PAGE_SIZE - offset_in_page(pos + done));
		read_kept(preserve, buf + done, pos + done, part);
	}
	return READ_ONCE(preserve->lost) ? -ESTALE : 0;
}
