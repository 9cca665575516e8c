// SPDX-License-Identifier: GPL-2.0
/*
 * A bit for each part of a disk, set when a write has ended. The one that copies a part clears its
 * bit first: what is written later sets it again.
 */
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "data/track.h"

#define MIN_BITS	12U
#define MAX_PARTS_BITS	27

struct qcow_track *qcow_track_create(u64 bytes)
{
	u32 bits = max_t(int, MIN_BITS, (bytes ? ilog2(bytes) + 1 : 0) - MAX_PARTS_BITS);
	unsigned long nr = (bytes >> bits) + !!(bytes & (BIT_ULL(bits) - 1));
	struct qcow_track *track = kvzalloc(struct_size(track, map, BITS_TO_LONGS(nr)),
					    GFP_KERNEL);

	if (!track)
		return NULL;
	track->bits = bits;
	track->nr = nr;
	return track;
}

void qcow_track_destroy(struct qcow_track *track)
{
	kvfree(track);
}

void qcow_track_mark(struct qcow_track *track, u64 guest, u64 len)
{
	unsigned long i, end;

	if (!len)
		return;
	end = min_t(u64, track->nr, ((guest + len - 1) >> track->bits) + 1);
	/* Pairs with test_and_clear_bit() in qcow_track_take(): it is written before the bit is. */
	smp_mb();
	for (i = guest >> track->bits; i < end; i++) {
		if (!test_bit(i, track->map))
			set_bit(i, track->map);
	}
}

bool qcow_track_take(struct qcow_track *track, u64 *guest, u64 *len)
{
	unsigned long most = max(*len >> track->bits, 1ULL), first, i;

	first = find_next_bit(track->map, track->nr, *guest >> track->bits);
	if (first >= track->nr)
		return false;
	for (i = first; i < track->nr && i - first < most; i++) {
		if (!test_and_clear_bit(i, track->map))
			break;
	}
	*guest = (u64)first << track->bits;
	*len = (u64)(i - first) << track->bits;
	return true;
}

u64 qcow_track_bytes(const struct qcow_track *track)
{
	return (u64)bitmap_weight(track->map, track->nr) << track->bits;
}
