/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Preallocation windows. A guest may write several streams at once, and the requests of one may
 * arrive in any order: each stream has a window of host clusters, one for every guest cluster
 * that comes next. All of it is the metadata worker's.
 */
#ifndef _QCOW_META_WINDOW_H
#define _QCOW_META_WINDOW_H

#include <linux/types.h>

/* Windows at a time, and places where the next one may begin. */
#define QCOW_WINDOWS		8
#define QCOW_STREAM_ENDS	16

/**
 * struct qcow_run - host clusters one after the other
 * @first: number of the first one
 * @nr: how many
 * @zero: they read as zeros
 */
struct qcow_run {
	u64 first;
	u64 nr;
	bool zero;
};

/**
 * struct qcow_window - host clusters for the guest clusters of one stream
 * @guest: the guest cluster that the first of @run is for
 * @run: at most 64
 * @left: a bit for each that has not been allocated
 * @used: the value of @allocs when it was used last
 */
struct qcow_window {
	u64 guest;
	struct qcow_run run;
	u64 left;
	u64 used;
};

/**
 * struct qcow_windows - the windows of one image
 * @nr: clusters of a window; 0: clusters are so large that there are none
 * @window: some are empty, or used up and still say where their stream goes on
 * @ends: guest clusters behind what was written last, outside of windows
 * @next: the end to be replaced next
 * @allocs: allocations so far
 */
struct qcow_windows {
	u64 nr;
	struct qcow_window window[QCOW_WINDOWS];
	u64 ends[QCOW_STREAM_ENDS];
	unsigned int next;
	u64 allocs;
};

void qcow_windows_init(struct qcow_windows *windows, u32 cluster_bits);

/**
 * qcow_windows_alloc() - allocate clusters out of a window
 * @windows: of the image
 * @guest: the first guest cluster
 * @max: at most so many
 * @run: result
 *
 * Return: whether there are any.
 */
bool qcow_windows_alloc(struct qcow_windows *windows, u64 guest, u64 max, struct qcow_run *run);

/**
 * qcow_windows_expect() - whether a guest cluster that no window has continues a stream
 * @windows: of the image
 * @guest: the first guest cluster
 * @max: of so many
 * @begin: result: the guest cluster that a window for it begins with
 *
 * Return: so it does, and is less than a window.
 */
bool qcow_windows_expect(const struct qcow_windows *windows, u64 guest, u64 max, u64 *begin);

/* Guest clusters before @end have been given host clusters that no window had. */
void qcow_windows_note(struct qcow_windows *windows, u64 end);

/*
 * The window that one which begins with the guest cluster @begin takes the place of: if it is
 * used up the one before it, else that which was not used for the longest time.
 */
struct qcow_window *qcow_windows_replace(struct qcow_windows *windows, u64 begin);

/* Begin anew with @run, which is for @guest and what follows; nothing is left in @window. */
void qcow_window_open(struct qcow_window *window, u64 guest, const struct qcow_run *run);

/* Take the first clusters that are left out of the window. False: none is. */
bool qcow_window_drain(struct qcow_window *window, struct qcow_run *run);

#endif /* _QCOW_META_WINDOW_H */
