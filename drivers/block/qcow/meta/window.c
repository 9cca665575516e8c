// SPDX-License-Identifier: GPL-2.0
/*
 * A write that follows something that was just written gets a window; behind its end begins the
 * next one. Writes at random get none.
 */
#include <linux/bitops.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/sizes.h>

#include "meta/window.h"

/* A window is so large at most: what a power cut leaks. */
#define WINDOW_BYTES	SZ_1M

/* @nr bits from @bit on. */
static u64 window_bits(unsigned int bit, u64 nr)
{
	return GENMASK_ULL(bit + nr - 1, bit);
}

/* Cut clusters off from @bit on, which is left: as many as follow it, up to @max. */
static void window_cut(struct qcow_window *window, unsigned int bit, u64 max, struct qcow_run *run)
{
	u64 used = ~(window->left >> bit);

	max = min(max, window->run.nr - bit);
	*run = (struct qcow_run) {
		.first = window->run.first + bit,
		.nr = min_t(u64, max, used ? __ffs64(used) : BITS_PER_LONG_LONG),
		.zero = window->run.zero,
	};
	window->left &= ~window_bits(bit, run->nr);
}

void qcow_windows_init(struct qcow_windows *windows, u32 cluster_bits)
{
	unsigned int i;

	*windows = (struct qcow_windows) {
		.nr = min_t(u64, WINDOW_BYTES >> cluster_bits, BITS_PER_LONG_LONG),
	};
	for (i = 0; i < QCOW_STREAM_ENDS; i++)
		windows->ends[i] = U64_MAX;
}

bool qcow_windows_alloc(struct qcow_windows *windows, u64 guest, u64 max, struct qcow_run *run)
{
	struct qcow_window *window;

	for (window = windows->window; window < windows->window + QCOW_WINDOWS; window++) {
		u64 bit = guest - window->guest;

		if (bit >= window->run.nr || !(window->left & BIT_ULL(bit)))
			continue;
		window_cut(window, bit, max, run);
		window->used = ++windows->allocs;
		return true;
	}
	return false;
}

bool qcow_windows_expect(const struct qcow_windows *windows, u64 guest, u64 max, u64 *begin)
{
	unsigned int i;

	if (max >= windows->nr)
		return false;
	for (i = 0; i < QCOW_WINDOWS; i++) {
		const struct qcow_window *window = &windows->window[i];
		u64 end = window->guest + window->run.nr;

		if (window->run.nr && guest >= end && guest - end < windows->nr) {
			*begin = end;
			return true;
		}
	}
	for (i = 0; i < QCOW_STREAM_ENDS; i++) {
		if (windows->ends[i] == guest) {
			*begin = guest;
			return true;
		}
	}
	return false;
}

void qcow_windows_note(struct qcow_windows *windows, u64 end)
{
	windows->ends[windows->next] = end;
	windows->next = (windows->next + 1) % QCOW_STREAM_ENDS;
}

struct qcow_window *qcow_windows_replace(struct qcow_windows *windows, u64 begin)
{
	struct qcow_window *window, *oldest = windows->window;

	for (window = windows->window; window < windows->window + QCOW_WINDOWS; window++) {
		/* Where its stream goes on is in the new one. */
		if (!window->left && window->guest + window->run.nr == begin)
			return window;
		if (window->used < oldest->used)
			oldest = window;
	}
	return oldest;
}

void qcow_window_open(struct qcow_window *window, u64 guest, const struct qcow_run *run)
{
	window->guest = guest;
	window->run = *run;
	window->left = window_bits(0, run->nr);
}

bool qcow_window_drain(struct qcow_window *window, struct qcow_run *run)
{
	if (!window->left)
		return false;
	window_cut(window, __ffs64(window->left), window->run.nr, run);
	return true;
}
