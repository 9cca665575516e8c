// SPDX-License-Identifier: GPL-2.0
/*
 * Readahead of slices, in windows: the next window is read as soon as the one that has been read
 * is used. A miss right behind two slices that are cached begins the first one.
 */
#include <linux/minmax.h>
#include <linux/sched/mm.h>
#include <qcow/l2.h>

#include "layer/readahead.h"
#include "layer/cache.h"
#include "layer/image.h"
#include "layer/inflight.h"

#define WINDOW	QCOW_CACHE_READAHEAD_SLICES

static void readahead_start(struct qcow_image *image, u64 first)
{
	WRITE_ONCE(image->readahead.first, first);
	/* Not the device's queue: no request has to wait for this, and it may wait for memory. */
	queue_work(system_unbound_wq, &image->readahead.work);
}

void qcow_readahead_miss(struct qcow_image *image, u64 idx)
{
	/* Of slices met at random, with many times as many on disk, two in a row are rare. */
	if (idx > 1 && qcow_cache_has(&image->l2, idx - 1) && qcow_cache_has(&image->l2, idx - 2))
		readahead_start(image, idx + 1);
}

void qcow_readahead_hit(struct qcow_image *image, u64 idx)
{
	readahead_start(image, idx + WINDOW);
}

/* What is left of the window that @first is in, and the next one if @first is within. */
static void readahead_window(struct qcow_image *image, u64 first)
{
	u64 per_table = 1ULL << (image->geo.l2_bits - image->geo.slice_bits);
	u64 end = min(round_up(first, WINDOW) + WINDOW,
		      READ_ONCE(image->l1_entries) * per_table);
	u64 idx, nr;

	for (idx = first; idx < end; idx += nr) {
		nr = 1;
		if (qcow_cache_has(&image->l2, idx))
			continue;
		/* Where the next table is, only its L1 entry knows. */
		nr = min3(end - idx, round_up(idx + 1, WINDOW) - idx,
			  per_table - (idx & (per_table - 1)));
		qcow_cache_readahead(image->cache, &image->l2, idx, nr,
				     IS_ALIGNED(idx, WINDOW));
	}
}

static void readahead_work(struct work_struct *work)
{
	struct qcow_readahead *readahead = container_of(work, struct qcow_readahead, work);
	struct qcow_image *image = container_of(readahead, struct qcow_image, readahead);
	unsigned int noio = memalloc_noio_save();
	struct qcow_epoch *epoch;

	/* A table that moves stays where it is, too, until this has ended. */
	epoch = qcow_inflight_enter(image->inflight);
	readahead_window(image, READ_ONCE(readahead->first));
	qcow_inflight_leave(epoch);
	memalloc_noio_restore(noio);
}

void qcow_readahead_init(struct qcow_readahead *readahead)
{
	INIT_WORK(&readahead->work, readahead_work);
}

void qcow_readahead_stop(struct qcow_readahead *readahead)
{
	cancel_work_sync(&readahead->work);
}
