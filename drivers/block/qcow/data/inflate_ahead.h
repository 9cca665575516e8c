/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Decompressing clusters of one device before they are read, for readers who go forward.
 */
#ifndef _QCOW_INFLATE_AHEAD_H
#define _QCOW_INFLATE_AHEAD_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct qcow_image;
struct qcow_inflate_ahead;
struct qcow_mapping;

/* Clusters ahead of a reader, unless they are large. */
#define QCOW_INFLATE_AHEAD	4

/**
 * struct qcow_inflate_slot - one of the clusters ahead
 * @work: decompresses it
 * @ahead: whose
 * @guest: where it begins
 */
struct qcow_inflate_slot {
	struct work_struct work;
	struct qcow_inflate_ahead *ahead;
	u64 guest;
};

/**
 * struct qcow_inflate_ahead - what is ahead of the last reader
 * @top: of the chain
 * @next: guest byte behind the last read of a compressed cluster
 * @slots: cluster N's is slot N modulo their number
 *
 * Readers who do not know of each other may make each other seem to go to and fro: then
 * nothing is decompressed ahead.
 */
struct qcow_inflate_ahead {
	struct qcow_image *top;
	u64 next;
	struct qcow_inflate_slot slots[QCOW_INFLATE_AHEAD];
};

void qcow_inflate_ahead_init(struct qcow_inflate_ahead *ahead, struct qcow_image *top);

/**
 * qcow_inflate_ahead_note() - a part of a compressed cluster is read
 * @ahead: of the device
 * @map: its source
 * @guest: its first byte
 *
 * Who comes to a new cluster from the end of the one before it will come to the next ones.
 *
 * Context: any.
 */
void qcow_inflate_ahead_note(struct qcow_inflate_ahead *ahead, const struct qcow_mapping *map,
			     u64 guest);

/* Nothing is being decompressed any more. Nobody may read meanwhile. May sleep. */
void qcow_inflate_ahead_stop(struct qcow_inflate_ahead *ahead);

#endif /* _QCOW_INFLATE_AHEAD_H */
