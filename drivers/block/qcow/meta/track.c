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
#include <linux/sched.h>
#include <linux/slab.h>

#include "meta/track.h"

#define MIN_BITS	12U
#define MAX_PARTS_BITS	27

static u64 track_parts(u64 bytes, u32 bits)
{
	return (bytes >> bits) + !!(bytes & (BIT_ULL(bits) - 1));
}

u64 qcow_track_memory(u64 bytes, u32 bits)
{
	return round_up(track_parts(bytes, bits), BITS_PER_LONG) / BITS_PER_BYTE;
}

struct qcow_track *qcow_track_create_parts(u64 bytes, u32 bits)
{
	unsigned long nr = track_parts(bytes, bits);
	struct qcow_track *track = kvzalloc(struct_size(track, map, BITS_TO_LONGS(nr)),
					    GFP_KERNEL_ACCOUNT);

	if (!track)
		return NULL;
	track->bits = bits;
	track->nr = nr;
	return track;
}

struct qcow_track *qcow_track_create(u64 bytes)
{
	u32 bits = max_t(int, MIN_BITS, (bytes ? ilog2(bytes) + 1 : 0) - MAX_PARTS_BITS);

	return qcow_track_create_parts(bytes, bits);
}

void qcow_track_destroy(struct qcow_track *track)
{
	kvfree(track);
}

/* What is taken meanwhile is marked again. */
static void mark_word(unsigned long *word)
{
	if (READ_ONCE(*word) != ~0UL)
		WRITE_ONCE(*word, ~0UL);
}

void qcow_track_mark(struct qcow_track *track, u64 guest, u64 len)
{
	unsigned long i, end;

	if (!len)
		return;
	end = min_t(u64, track->nr, ((guest + len - 1) >> track->bits) + 1);
	/* Pairs with test_and_clear_bit() in qcow_track_take(): it is written before the bit is. */
	smp_mb();
	for (i = guest >> track->bits; i < end;) {
		if (IS_ALIGNED(i, BITS_PER_LONG) && end - i >= BITS_PER_LONG) {
			mark_word(&track->map[i / BITS_PER_LONG]);
			i += BITS_PER_LONG;
		} else {
			if (!test_bit(i, track->map))
				set_bit(i, track->map);
			i++;
		}
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

bool qcow_track_next(const struct qcow_track *track, u64 *guest, u64 *len)
{
	unsigned long first = find_next_bit(track->map, track->nr, *guest >> track->bits);
	unsigned long end;

	if (first >= track->nr)
		return false;
	/* It may have been cleared since. */
	end = max(first + 1, find_next_zero_bit(track->map, track->nr, first));
	*guest = (u64)first << track->bits;
	*len = (u64)(end - first) << track->bits;
	return true;
}

void qcow_track_clear(struct qcow_track *track)
{
	unsigned long i;

	for (i = 0; i < BITS_TO_LONGS(track->nr); i++)
		WRITE_ONCE(track->map[i], 0);
}

void qcow_track_merge(struct qcow_track *track, const struct qcow_track *from)
{
	u64 guest = 0, len;

	while (qcow_track_next(from, &guest, &len)) {
		qcow_track_mark(track, guest, len);
		guest += len;
		cond_resched();
	}
}

void qcow_track_get(const struct qcow_track *track, size_t pos, u8 *buf, size_t len)
{
	size_t i, there = DIV_ROUND_UP(track->nr, BITS_PER_BYTE);

	for (i = 0; i < len; i++, pos++)
		buf[i] = pos < there ? READ_ONCE(track->map[pos / sizeof(long)]) >>
				       pos % sizeof(long) * BITS_PER_BYTE : 0;
}

void qcow_track_set(struct qcow_track *track, size_t pos, const u8 *buf, size_t len)
{
	size_t i, there = DIV_ROUND_UP(track->nr, BITS_PER_BYTE);

	for (i = 0; i < len && pos < there; i++, pos++)
		track->map[pos / sizeof(long)] |= (unsigned long)buf[i] <<
						  pos % sizeof(long) * BITS_PER_BYTE;
	if (pos == there && track->nr % BITS_PER_LONG)
		track->map[track->nr / BITS_PER_LONG] &= BITMAP_LAST_WORD_MASK(track->nr);
}

u64 qcow_track_bytes(const struct qcow_track *track)
{
	return (u64)bitmap_weight(track->map, track->nr) << track->bits;
}
