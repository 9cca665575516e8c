// SPDX-License-Identifier: GPL-2.0
/*
 * Decompressing ahead: each of the next clusters in a work item of its own, so that they are
 * decompressed on several CPUs.
 */
#include <linux/blkdev.h>
#include <linux/minmax.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>

#include "layer/image.h"
#include "layer/decompress.h"
#include "layer/decompress_ahead.h"
#include "layer/inflight.h"
#include "inject.h"
#include "layer/map.h"

/* At most a quarter of the cache of decompressed clusters. */
#define AHEAD_BYTES	(QCOW_DECOMPRESS_BYTES / 4)

static void ahead_load(struct qcow_decompress_ahead *ahead, u64 guest)
{
	struct qcow_cluster *cluster;
	struct qcow_mapping map;

	if (guest >= ahead->top->size || qcow_map_try(ahead->top, guest, SECTOR_SIZE, &map) ||
	    map.ext.kind != QCOW_EXTENT_COMPRESSED)
		return;
	/* A write drops the cluster, and a commit makes that durable. */
	qcow_inject_sleep();
	if (!qcow_decompress_load(map.image, &map.ext, NULL, &cluster))
		qcow_decompress_put(cluster);
}

static void ahead_work(struct work_struct *work)
{
	struct qcow_decompress_slot *slot = container_of(work, struct qcow_decompress_slot, work);
	unsigned int noio = memalloc_noio_save();
	struct qcow_epoch *epoch;

	/* Until this has ended, the space that the cluster is in is not used again. */
	epoch = qcow_inflight_enter(slot->ahead->top->inflight);
	ahead_load(slot->ahead, READ_ONCE(slot->guest));
	qcow_inflight_leave(epoch);
	memalloc_noio_restore(noio);
}

static void ahead_start(struct qcow_decompress_slot *slot, u64 guest)
{
	if (READ_ONCE(slot->guest) == guest)
		return;
	WRITE_ONCE(slot->guest, guest);
	/* Not the device's queue: no request has to wait for this. */
	queue_work(system_unbound_wq, &slot->work);
}

void qcow_decompress_ahead_note(struct qcow_decompress_ahead *ahead,
				const struct qcow_mapping *map, u64 guest)
{
	u32 bits = map->image->geo.cluster_bits;
	u64 cluster = guest >> bits;
	bool forward = guest == READ_ONCE(ahead->next);
	unsigned int i, nr;

	WRITE_ONCE(ahead->next, guest + map->ext.len);
	if (!forward || guest & (BIT_ULL(bits) - 1))
		return;
	nr = clamp_t(unsigned int, AHEAD_BYTES >> bits, 1, QCOW_DECOMPRESS_AHEAD);
	for (i = 1; i <= nr; i++)
		ahead_start(&ahead->slots[(cluster + i) % QCOW_DECOMPRESS_AHEAD],
			    (cluster + i) << bits);
}

void qcow_decompress_ahead_init(struct qcow_decompress_ahead *ahead, struct qcow_image *top)
{
	unsigned int i;

	ahead->top = top;
	ahead->next = 0;
	for (i = 0; i < QCOW_DECOMPRESS_AHEAD; i++) {
		INIT_WORK(&ahead->slots[i].work, ahead_work);
		ahead->slots[i].ahead = ahead;
		ahead->slots[i].guest = 0;
	}
}

void qcow_decompress_ahead_stop(struct qcow_decompress_ahead *ahead)
{
	unsigned int i;

	for (i = 0; i < QCOW_DECOMPRESS_AHEAD; i++)
		cancel_work_sync(&ahead->slots[i].work);
}
