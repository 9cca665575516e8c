/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Decompressing clusters of one device before they are read, for sequential readers.
 */
#ifndef _QCOW_DECOMPRESS_AHEAD_H
#define _QCOW_DECOMPRESS_AHEAD_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct qcow_image;
struct qcow_decompress_ahead;
struct qcow_mapping;

/* Clusters ahead of a reader, unless they are large. */
#define QCOW_DECOMPRESS_AHEAD	4

/**
 * struct qcow_decompress_slot - one of the clusters ahead
 * @work: decompresses it
 * @ahead: the device's
 * @guest: where it begins
 */
struct qcow_decompress_slot {
	struct work_struct work;
	struct qcow_decompress_ahead *ahead;
	u64 guest;
};

/**
 * struct qcow_decompress_ahead - what is ahead of the last reader
 * @top: of the chain
 * @next: guest byte behind the last read of a compressed cluster
 * @slots: cluster N's is slot N modulo their number
 *
 * Several sequential readers at a time look like random reads together: then nothing is
 * decompressed ahead.
 */
struct qcow_decompress_ahead {
	struct qcow_image *top;
	u64 next;
	struct qcow_decompress_slot slots[QCOW_DECOMPRESS_AHEAD];
};

void qcow_decompress_ahead_init(struct qcow_decompress_ahead *ahead, struct qcow_image *top);

/**
 * qcow_decompress_ahead_note() - a part of a compressed cluster is read
 * @ahead: of the device
 * @map: its source
 * @guest: its first byte
 *
 * A reader that comes to a new cluster from the end of the one before will come to the next ones.
 *
 * Context: any.
 */
void qcow_decompress_ahead_note(struct qcow_decompress_ahead *ahead,
				const struct qcow_mapping *map, u64 guest);

/* Nothing is being decompressed any more. No request may be under way. May sleep. */
void qcow_decompress_ahead_stop(struct qcow_decompress_ahead *ahead);

#endif /* _QCOW_DECOMPRESS_AHEAD_H */
