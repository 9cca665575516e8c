/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A task on its way from the device to what is below it, with requests of its own or of
 * others: what it carries for the file system above must not reach the one below.
 */
#ifndef _QCOW_BELOW_H
#define _QCOW_BELOW_H

#include <linux/blkdev.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>

#include "compat.h"

/**
 * struct qcow_below - what is set aside meanwhile
 * @bio_list: bios submitted below would wait there for the one being submitted now, and the
 *            file system may wait for a block of its own metadata
 * @plug: is being flushed: what is added to it now makes it count requests that are on its
 *        list no more
 * @journal_info: the transaction of the file system above
 * @noio: allocations below must not write back to the one above
 * @batch: collects what goes to the disks below, and is handed to them when the task comes
 *         back, or sleeps
 */
struct qcow_below {
	struct bio_list *bio_list;
	struct blk_plug *plug;
	void *journal_info;
	unsigned int noio;
	struct blk_plug batch;
};

/**
 * qcow_below_begin() - set it aside
 * @below: result
 * @batch: there is more than one I/O to come
 *
 * Context: task context.
 */
static inline void qcow_below_begin(struct qcow_below *below, bool batch)
{
	below->bio_list = current->bio_list;
	/*
	 * A task that the scheduler finds without a plug must not have the time noted in one. When
	 * it is preempted here that is undone already, which KCSAN takes for a race.
	 */
	blk_plug_invalidate_ts();
	below->plug = current->plug;
	below->journal_info = current->journal_info;
	below->noio = memalloc_noio_save();
	current->bio_list = NULL;
	current->plug = NULL;
	current->journal_info = NULL;
	if (batch)
		blk_start_plug(&below->batch);
}

static inline void qcow_below_end(struct qcow_below *below)
{
	if (current->plug)
		blk_finish_plug(&below->batch);
	memalloc_noio_restore(below->noio);
	current->journal_info = below->journal_info;
	current->plug = below->plug;
	current->bio_list = below->bio_list;
}

#endif /* _QCOW_BELOW_H */
