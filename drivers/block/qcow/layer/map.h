/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From guest ranges to where their bytes are, through one image and through its chain.
 * A mapping is a plain value; I/O loops consume it.
 */
#ifndef _QCOW_MAP_H
#define _QCOW_MAP_H

#include <linux/types.h>
#include <qcow/l2.h>

struct qcow_flaw;
struct qcow_image;
struct qcow_slice;
struct qcow_waiter;

/**
 * struct qcow_mapping - one contiguous guest range and its source
 * @ext: what it is, never a HOLE: what no layer has reads as ZERO
 * @image: the layer that has it (undefined for ZERO)
 *
 * DATA may reach beyond the end of @image->data: in a raw layer whose length is no multiple
 * of 512, and in the cluster that straddles the end. What lies beyond reads as zeros, and
 * the reader clears it. A cluster that begins at or beyond the end is never part of an extent: it
 * is ZERO, with a line in the log, or, to write to it, corrupt; in a raw external data file it is
 * always ZERO.
 */
struct qcow_mapping {
	struct qcow_extent ext;
	struct qcow_image *image;
};

/**
 * qcow_map_try() - map through the chain from memory alone
 * @top: the active image
 * @guest: first byte, below @top->size
 * @len: bytes wanted, at least 1
 * @map: result: at least 1, at most @len bytes from @guest on
 *
 * Neighbours that continue each other are one mapping, across slices and L2 tables as far
 * as those are in memory. What an image does not have at all (beyond its size, beyond its
 * L1 table, an empty L1 entry) costs no look-up.
 *
 * Context: any that may take rcu_read_lock(); does not sleep, takes no lock.
 * Return: 0; -EAGAIN: a slice is not cached, call qcow_map_wait(); -EUCLEAN: the entry is
 * corrupt, named in the log (rate-limited); @map->ext.len, at most @len, is what cannot be
 * had for that.
 */
int qcow_map_try(struct qcow_image *top, u64 guest, u64 len, struct qcow_mapping *map);

/**
 * qcow_map_wait() - the same, reading slices that are not cached
 * @top: the active image
 * @guest: first byte
 * @len: bytes wanted
 * @waiter: parked instead of waiting for another thread's read, or NULL
 * @map: result
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0; -EINPROGRESS: @waiter will be woken, call again then; -EUCLEAN; -EIO and
 * others from the store: a slice that cannot be read, with all that it maps in
 * @map->ext.len.
 */
int qcow_map_wait(struct qcow_image *top, u64 guest, u64 len, struct qcow_waiter *waiter,
		  struct qcow_mapping *map);

/**
 * qcow_map_top_try() - what the active image itself has, from memory alone
 * @top: the active image
 * @guest: first byte, below @top->size
 * @len: bytes wanted, not beyond @top->size
 * @ext: result, a HOLE among others
 *
 * Context and return: as qcow_map_try().
 */
int qcow_map_top_try(struct qcow_image *top, u64 guest, u64 len, struct qcow_extent *ext);

/**
 * qcow_map_top_wait() - the same, reading a slice that is not cached
 * @top: the active image
 * @guest: first byte, below @top->size
 * @len: bytes wanted, not beyond @top->size
 * @waiter: parked instead of waiting for another thread's read, or NULL
 * @ext: result, a HOLE among others
 *
 * Context and return: as qcow_map_wait().
 */
int qcow_map_top_wait(struct qcow_image *top, u64 guest, u64 len, struct qcow_waiter *waiter,
		      struct qcow_extent *ext);

/**
 * qcow_slice_map() - qcow_l2_map() on a slice that may be changed meanwhile
 * @g: the geometry
 * @slice: of an L2 table
 * @guest: first byte, mapped by @slice
 * @max: bytes wanted
 * @ext: result
 * @flaw: filled when the first entry is wrong
 *
 * Return: as qcow_l2_map().
 */
int qcow_slice_map(const struct qcow_geometry *g, const struct qcow_slice *slice, u64 guest,
		   u64 max, struct qcow_extent *ext, struct qcow_flaw *flaw);

#endif /* _QCOW_MAP_H */
