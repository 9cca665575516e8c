/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sharing the requests of a hardware queue with an idle CPU, while the one that submits them
 * has work for two.
 */
#ifndef _QCOW_SHARE_H
#define _QCOW_SHARE_H

#include <linux/atomic.h>
#include <linux/llist.h>
#include <linux/workqueue.h>

/* Of @nr: there is no help. */
#define QCOW_SHARE_AWAY		(-1)

/**
 * struct qcow_share - requests of one hardware queue that another CPU serves
 * @serve: serves one of them
 * @work: looks for some and serves them
 * @waiting: handed over, @work has not looked
 * @nr: handed over and not served, QCOW_SHARE_AWAY while @work does not look
 * @bytes: of the last request that was not handed over
 * @skip: pages that requests move before @work is called
 * @pause: what @skip began with
 * @cpu: where it looks, the last time or the next
 * @busy: no, that had other things to do
 * @task: who submitted the last one that was handed over; only compared
 * @nvcsw: how often it had waited for anything by then
 * @run: how many have been handed over since it last waited
 * @useless: it waits for them; until @work is called again
 *
 * From @bytes on all is a guess, which may lose a race.
 */
struct qcow_share {
	void (*serve)(struct llist_node *node);
	struct work_struct work;
	struct llist_head waiting;
	atomic_t nr;
	unsigned int bytes;
	unsigned int skip;
	unsigned int pause;
	int cpu;
	bool busy;
	const void *task;
	unsigned long nvcsw;
	unsigned int run;
	bool useless;
};

/**
 * qcow_share_init() - prepare for one hardware queue
 * @share: the memory, zeroed
 * @serve: serves a request, in process context; called by its workers
 */
void qcow_share_init(struct qcow_share *share, void (*serve)(struct llist_node *node));

/**
 * qcow_share_offer() - let another CPU serve a request, if that is of use
 * @share: of its hardware queue
 * @node: of the request
 * @bytes: that it moves
 *
 * Context: process context, where the request is submitted; does not sleep.
 * Return: whether it is served there; else the caller serves it.
 */
bool qcow_share_offer(struct qcow_share *share, struct llist_node *node, unsigned int bytes);

/* Nothing is on its way any more and nothing is offered. May sleep. */
void qcow_share_destroy(struct qcow_share *share);

int qcow_share_module_init(void);
void qcow_share_module_exit(void);

#endif /* _QCOW_SHARE_H */
