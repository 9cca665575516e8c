/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Something that is parked behind a load, and counts how often it is woken.
 */
#ifndef _QCOW_KUNIT_PARKED_H
#define _QCOW_KUNIT_PARKED_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/kernel.h>

#include "layer/cache.h"

/**
 * struct parked - what is parked
 * @waiter: to be handed to the load
 * @woken: how often it has been
 * @done: it has been
 */
struct parked {
	struct qcow_waiter waiter;
	atomic_t woken;
	struct completion done;
};

static inline void parked_wake(struct qcow_waiter *waiter)
{
	struct parked *parked = container_of(waiter, struct parked, waiter);

	might_sleep();
	atomic_inc(&parked->woken);
	complete(&parked->done);
}

static inline void parked_init(struct parked *parked)
{
	parked->waiter.wake = parked_wake;
	atomic_set(&parked->woken, 0);
	init_completion(&parked->done);
}

#endif /* _QCOW_KUNIT_PARKED_H */
