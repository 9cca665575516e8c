/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The writable side of a device: all that its active image has beyond what reading needs.
 */
#ifndef _QCOW_WRITER_H
#define _QCOW_WRITER_H

#include <linux/mutex.h>
#include <linux/semaphore.h>
#include <linux/types.h>

#include "meta/commit.h"
#include "meta/overlap.h"
#include "layer/inflight.h"
#include "data/join.h"
#include "meta/l1.h"
#include "meta/ranges.h"
#include "meta/space.h"

struct qcow_image;
struct qcow_report;
struct workqueue_struct;

/**
 * struct qcow_writer - the writable side of one image
 * @image: the active image
 * @wq: for what has to block
 * @guard: where its metadata is
 * @space: its host clusters
 * @l1: its L1 table
 * @slots: changes of mappings that may begin
 * @ranges: guest clusters whose mapping is being changed
 * @joiner: writes to new clusters
 * @inflight: I/O of the device by age
 * @commit: makes durable
 * @begin_lock: @begun
 * @begun: the header says that the image has been written to
 * @failed: nothing is written any more: the image is corrupt, or its store has lost writes
 */
struct qcow_writer {
	struct qcow_image *image;
	struct workqueue_struct *wq;
	struct qcow_guard guard;
	struct qcow_space space;
	struct qcow_l1 l1;
	struct semaphore slots;
	struct qcow_ranges ranges;
	struct qcow_joiner joiner;
	struct qcow_inflight inflight;
	struct qcow_commit commit;
	struct mutex begin_lock;	/* @begun */
	bool begun;
	bool failed;
};

/**
 * qcow_writer_create() - prepare an image for writing
 * @image: opened as writable
 * @wq: of the device
 * @rep: says what is wrong
 *
 * Changes nothing on disk.
 *
 * Context: process context, may sleep.
 * Return: the writer or ERR_PTR: -EUCLEAN (metadata that lies over other metadata), ...
 */
struct qcow_writer *qcow_writer_create(struct qcow_image *image, struct workqueue_struct *wq,
				       struct qcow_report *rep);

/*
 * Make all durable, give back what was set aside, and free it. No I/O is under way. May sleep.
 * Return: 0 or -errno: what was written since the last flush may be lost.
 */
int qcow_writer_destroy(struct qcow_writer *w);

/**
 * qcow_writer_begin() - before the first write
 * @w: the writer
 *
 * Clears the autoclear feature bits: what they stand for (bitmaps) is true no longer.
 *
 * Context: process context, may sleep.
 * Return: 0 or -errno: nothing may be written.
 */
int qcow_writer_begin(struct qcow_writer *w);

/* Whether that has been done. Context: any. */
static inline bool qcow_writer_begun(const struct qcow_writer *w)
{
	/* Pairs with smp_store_release() in qcow_writer_begin(): so is the header. */
	return smp_load_acquire(&w->begun);
}

/* Nothing is written from now on. Context: any. */
void qcow_writer_fail(struct qcow_writer *w);

/* The same because metadata proved wrong; version 3 gets its corrupt bit. May sleep. */
void qcow_writer_corrupt(struct qcow_writer *w);

#endif /* _QCOW_WRITER_H */
