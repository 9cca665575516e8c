/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Grace periods of I/O: a grace period is over when all I/O has ended that was in flight when it
 * began. Host clusters that were freed before it may be used again then: no I/O that was mapped
 * before is under way to them.
 */
#ifndef _QCOW_INFLIGHT_H
#define _QCOW_INFLIGHT_H

#include <linux/percpu-refcount.h>
#include <linux/types.h>

struct qcow_inflight;

/**
 * struct qcow_epoch - I/Os that began between the starts of two grace periods
 * @ref: one for each of them
 * @inflight: the one that it is a part of
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
 * qcow_inflight_enter() - an I/O begins, before it reads any table
 * @inflight: of the device; NULL: it is not written to
 *
 * Writes to memory of this CPU alone. Context: any.
 * Return: for qcow_inflight_leave(); NULL where @inflight is.
 */
struct qcow_epoch *qcow_inflight_enter(struct qcow_inflight *inflight);

/* A part of an I/O, which may end later and has its own qcow_inflight_leave(). Context: any. */
static inline struct qcow_epoch *qcow_inflight_join(struct qcow_epoch *epoch)
{
	if (epoch)
		percpu_ref_get(&epoch->ref);
	return epoch;
}

/* The I/O has ended. Context: any. */
static inline void qcow_inflight_leave(struct qcow_epoch *epoch)
{
	if (epoch)
		percpu_ref_put(&epoch->ref);
}

/**
 * qcow_inflight_drain() - begin a grace period: all I/O in flight now has to end
 * @inflight: of the device
 *
 * Calls @inflight->drained then, once; not to be called again before that.
 *
 * Context: process context, may sleep.
 */
void qcow_inflight_drain(struct qcow_inflight *inflight);

#endif /* _QCOW_INFLIGHT_H */
