/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reading L2 slices of one image before they are needed, for sequential readers.
 */
#ifndef _QCOW_READAHEAD_H
#define _QCOW_READAHEAD_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct qcow_image;

/**
 * struct qcow_readahead - what is read ahead next
 * @work: reads it
 * @first: number of the slice to begin with
 *
 * With several streams at a time one may lose its turn; its next miss gives it another.
 */
struct qcow_readahead {
	struct work_struct work;
	u64 first;
};

void qcow_readahead_init(struct qcow_readahead *readahead);

/**
 * qcow_readahead_miss() - a slice was not in the cache and has been read
 * @image: the image
 * @idx: number of the slice
 *
 * When those before it are in the cache, those behind it will be wanted, too.
 *
 * Context: any.
 */
void qcow_readahead_miss(struct qcow_image *image, u64 idx);

/* A slice that is marked, with which a window begins, is used for the first time. */
void qcow_readahead_hit(struct qcow_image *image, u64 idx);

/* Wait for what is being read. No other thread reads from the image. May sleep. */
void qcow_readahead_stop(struct qcow_readahead *readahead);

#endif /* _QCOW_READAHEAD_H */
