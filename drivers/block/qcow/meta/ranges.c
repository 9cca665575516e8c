// SPDX-License-Identifier: GPL-2.0
/*
 * Who changes which guest clusters. Called by write.c and discard.c.
 */
#include <linux/errno.h>
#include <linux/minmax.h>

#include "layer/cache.h"
#include "meta/ranges.h"

void qcow_ranges_init(struct qcow_ranges *ranges)
{
	spin_lock_init(&ranges->lock);
	INIT_LIST_HEAD(&ranges->taken);
}

int qcow_range_take(struct qcow_ranges *ranges, struct qcow_range *range,
		    struct qcow_waiter *waiter)
{
	struct qcow_range *other;
	unsigned long flags;
	int err = 0;

	INIT_LIST_HEAD(&range->waiters);
	spin_lock_irqsave(&ranges->lock, flags);
	list_for_each_entry(other, &ranges->taken, node) {
		if (other->first <= range->first && range->first <= other->last) {
			list_add_tail(&waiter->node, &other->waiters);
			err = -EINPROGRESS;
			break;
		}
		if (other->first > range->first)
			range->last = min(range->last, other->first - 1);
	}
	if (!err)
		list_add_tail(&range->node, &ranges->taken);
	spin_unlock_irqrestore(&ranges->lock, flags);
	return err;
}

void qcow_range_drop(struct qcow_ranges *ranges, struct qcow_range *range)
{
	struct qcow_waiter *waiter, *next;
	unsigned long flags;
	LIST_HEAD(waiters);

	spin_lock_irqsave(&ranges->lock, flags);
	list_del(&range->node);
	list_splice_init(&range->waiters, &waiters);
	spin_unlock_irqrestore(&ranges->lock, flags);

	list_for_each_entry_safe(waiter, next, &waiters, node) {
		list_del_init(&waiter->node);
		waiter->wake(waiter);
	}
}
