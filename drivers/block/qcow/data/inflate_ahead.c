// SPDX-License-Identifier: GPL-2.0
/*
 * Decompressing ahead: each of the next clusters in a work of its own, so that all CPUs have
 * some. Does not know who reads.
 */
#include <linux/blkdev.h>
#include <linux/minmax.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>

#include "layer/image.h"
#include "data/inflate.h"
#include "data/inflate_ahead.h"
#include "layer/inflight.h"
#include "inject.h"
#include "layer/map.h"

/* A fourth of what is kept, at least. */
#define AHEAD_BYTES	(QCOW_INFLATE_BYTES / 4)

static void load(struct qcow_inflate_ahead *ahead, u64 guest)
{
	struct qcow_inflate *inflate;
	struct qcow_inflated *cluster;
	struct qcow_mapping map;

	if (guest >= ahead->top->size || qcow_map_try(ahead->top, guest, SECTOR_SIZE, &map) ||
	    map.ext.kind != QCOW_EXTENT_COMPRESSED)
		return;
	qcow_inject_pause();
	inflate = map.image->inflate;
	if (!qcow_inflate_load(inflate, map.image, &map.ext, NULL, &cluster))
		qcow_inflated_put(inflate, cluster);
}

static void slot_work(struct work_struct *work)
{
	struct qcow_inflate_slot *slot = container_of(work, struct qcow_inflate_slot, work);
	unsigned int noio = memalloc_noio_save();
	struct qcow_epoch *epoch;

	/* Until this has ended, nobody else gets the space that the cluster is in. */
	epoch = qcow_inflight_enter(slot->ahead->top->inflight);
	load(slot->ahead, READ_ONCE(slot->guest));
	qcow_inflight_leave(epoch);
	memalloc_noio_restore(noio);
}

static void start(struct qcow_inflate_slot *slot, u64 guest)
{
	if (READ_ONCE(slot->guest) == guest)
		return;
	WRITE_ONCE(slot->guest, guest);
	/* Not the device's queue: no request has to wait for this. */
	queue_work(system_unbound_wq, &slot->work);
}

void qcow_inflate_ahead_note(struct qcow_inflate_ahead *ahead, const struct qcow_mapping *map,
			     u64 guest)
{
	u32 bits = map->image->geo.cluster_bits;
	u64 cluster = guest >> bits;
	bool forward = guest == READ_ONCE(ahead->next);
	unsigned int i, nr;

	WRITE_ONCE(ahead->next, guest + map->ext.len);
	if (!forward || guest & (BIT_ULL(bits) - 1))
		return;
	nr = clamp_t(unsigned int, AHEAD_BYTES >> bits, 1, QCOW_INFLATE_AHEAD);
	for (i = 1; i <= nr; i++)
		start(&ahead->slots[(cluster + i) % QCOW_INFLATE_AHEAD], (cluster + i) << bits);
}

void qcow_inflate_ahead_init(struct qcow_inflate_ahead *ahead, struct qcow_image *top)
{
	unsigned int i;

	ahead->top = top;
	ahead->next = 0;
	for (i = 0; i < QCOW_INFLATE_AHEAD; i++) {
		INIT_WORK(&ahead->slots[i].work, slot_work);
		ahead->slots[i].ahead = ahead;
		ahead->slots[i].guest = 0;
	}
}

void qcow_inflate_ahead_stop(struct qcow_inflate_ahead *ahead)
{
	unsigned int i;

	for (i = 0; i < QCOW_INFLATE_AHEAD; i++)
		cancel_work_sync(&ahead->slots[i].work);
}
