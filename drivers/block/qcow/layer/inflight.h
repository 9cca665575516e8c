/* SPDX-License-Identifier: GPL-2.0 */
/*
 * I/O in flight by age, so that one can learn when all that was mapped before a moment has
 * ended: only then may host clusters that were freed before it be used again.
 */
#ifndef _QCOW_INFLIGHT_H
#define _QCOW_INFLIGHT_H

#include <linux/percpu-refcount.h>
#include <linux/types.h>

struct qcow_inflight;

/**
 * struct qcow_epoch - the I/Os that began between two moments
 * @ref: one for each
 * @inflight: whose
 */
struct qcow_epoch {
	struct percpu_ref ref;
	struct qcow_inflight *inflight;
};

/**
 * struct qcow_inflight - all I/O of a device
 * @epochs: two; I/O enters one while the other one drains or is empty
 * @now: the one that I/O enters
 * @drained: called when all I/O of the other one has ended; any context
 */
struct qcow_inflight {
	struct qcow_epoch epochs[2];
	struct qcow_epoch *now;
	void (*drained)(struct qcow_inflight *inflight);
};

/**
 * qcow_inflight_init() - nothing is in flight
 * @inflight: the memory
 * @drained: see there
 *
 * Return: 0 or -ENOMEM.
 */
int qcow_inflight_init(struct qcow_inflight *inflight,
		       void (*drained)(struct qcow_inflight *inflight));
void qcow_inflight_destroy(struct qcow_inflight *inflight);

/**
 * qcow_inflight_enter() - an I/O begins, before it looks at any table
 * @inflight: of the device; NULL: it is not written to
 *
 * Writes to memory of this CPU alone. Context: any.
 * Return: for qcow_inflight_leave(); NULL where @inflight is.
 */
struct qcow_epoch *qcow_inflight_enter(struct qcow_inflight *inflight);

/* It has ended. Context: any. */
static inline void qcow_inflight_leave(struct qcow_epoch *epoch)
{
	if (epoch)
		percpu_ref_put(&epoch->ref);
}

/**
 * qcow_inflight_drain() - learn when all that is in flight now has ended
 * @inflight: of the device
 *
 * Calls @inflight->drained then, once; not to be called again before that.
 *
 * Context: process context, may sleep.
 */
void qcow_inflight_drain(struct qcow_inflight *inflight);

#endif /* _QCOW_INFLIGHT_H */
