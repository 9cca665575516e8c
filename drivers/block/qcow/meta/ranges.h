/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest clusters whose mapping is being changed: one at a time changes each, whoever comes
 * next waits for it, and who changes others does not.
 */
#ifndef _QCOW_RANGES_H
#define _QCOW_RANGES_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct qcow_waiter;

/**
 * struct qcow_range - guest clusters that somebody has
 * @node: among those that are taken
 * @first: number of the first cluster
 * @last: number of the last cluster
 * @waiters: those who want one of them
 */
struct qcow_range {
	struct list_head node;
	u64 first;
	u64 last;
	struct list_head waiters;
};

struct qcow_ranges {
	spinlock_t lock;	/* @taken and all waiters */
	struct list_head taken;
};

void qcow_ranges_init(struct qcow_ranges *ranges);

/**
 * qcow_range_take() - have clusters for oneself
 * @ranges: of the image
 * @range: @first and @last; @last may come out smaller when what follows is taken
 * @waiter: parked when @first is taken
 *
 * Context: process context, does not sleep.
 * Return: 0, or -EINPROGRESS: @waiter will be woken, try again then.
 */
int qcow_range_take(struct qcow_ranges *ranges, struct qcow_range *range,
		    struct qcow_waiter *waiter);

/* Wakes who waits. Context: any. */
void qcow_range_drop(struct qcow_ranges *ranges, struct qcow_range *range);

#endif /* _QCOW_RANGES_H */
