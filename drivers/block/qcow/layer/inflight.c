// SPDX-License-Identifier: GPL-2.0
/*
 * I/O in flight: two per-CPU counts. I/O that begins is counted in one; to drain, that one is
 * killed and the other one, which is empty, takes its place. When the killed count comes to zero
 * the grace period is over.
 */
#include <linux/rcupdate.h>

#include "layer/inflight.h"
#include "inject.h"

static void epoch_release(struct percpu_ref *ref)
{
	struct qcow_epoch *epoch = container_of(ref, struct qcow_epoch, ref);

	epoch->inflight->drained(epoch->inflight);
}

int qcow_inflight_init(struct qcow_inflight *inflight,
		       void (*drained)(struct qcow_inflight *inflight))
{
	unsigned int i;
	int err;

	inflight->drained = drained;
	inflight->now = &inflight->epochs[0];
	for (i = 0; i < ARRAY_SIZE(inflight->epochs); i++) {
		inflight->epochs[i].inflight = inflight;
		err = percpu_ref_init(&inflight->epochs[i].ref, epoch_release,
				      PERCPU_REF_ALLOW_REINIT | (i ? PERCPU_REF_INIT_DEAD : 0),
				      GFP_KERNEL);
		if (err) {
			if (i)
				percpu_ref_exit(&inflight->epochs[0].ref);
			return err;
		}
	}
	return 0;
}

void qcow_inflight_destroy(struct qcow_inflight *inflight)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(inflight->epochs); i++)
		percpu_ref_exit(&inflight->epochs[i].ref);
}

struct qcow_epoch *qcow_inflight_enter(struct qcow_inflight *inflight)
{
	struct qcow_epoch *epoch;

	if (!inflight)
		return NULL;
	rcu_read_lock();
	do {
		/* Tables are read after it. Pairs with the release in qcow_inflight_drain(). */
		epoch = smp_load_acquire(&inflight->now);
		/* It may be killed, and the other one current. */
		qcow_inject_spin();
	} while (unlikely(!percpu_ref_tryget_live(&epoch->ref)));
	rcu_read_unlock();
	return epoch;
}

void qcow_inflight_drain(struct qcow_inflight *inflight)
{
	struct qcow_epoch *old = inflight->now;
	struct qcow_epoch *next = &inflight->epochs[old == &inflight->epochs[0]];

	/* It has drained, or has never been used. */
	percpu_ref_reinit(&next->ref);
	/* A thread that sees the old one dead sees this. */
	smp_store_release(&inflight->now, next);
	percpu_ref_kill(&old->ref);
}
