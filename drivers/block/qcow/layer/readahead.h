/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reading L2 slices of one image before they are needed, for readers who go forward.
 */
#ifndef _QCOW_AHEAD_H
#define _QCOW_AHEAD_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct qcow_image;

/**
 * struct qcow_ahead - what is read ahead next
 * @work: reads it
 * @first: number of the slice to begin with
 *
 * With several streams at a time one may lose its turn; its next miss gives it another.
 */
struct qcow_ahead {
	struct work_struct work;
	u64 first;
};

void qcow_ahead_init(struct qcow_ahead *ahead);

/**
 * qcow_ahead_miss() - a slice was not in the cache and has been read
 * @image: whose
 * @idx: number of the slice
 *
 * When those before it are in the cache, those behind it will be wanted, too.
 *
 * Context: any.
 */
void qcow_ahead_miss(struct qcow_image *image, u64 idx);

/* A slice that is marked, with which a window begins, is used for the first time. */
void qcow_ahead_hit(struct qcow_image *image, u64 idx);

/* Nothing is being read any more. Nobody may read from the image meanwhile. May sleep. */
void qcow_ahead_stop(struct qcow_ahead *ahead);

#endif /* _QCOW_AHEAD_H */
