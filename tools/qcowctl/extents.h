/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every guest byte of a chain is, range after range.
 */
#ifndef QCOWCTL_EXTENTS_H
#define QCOWCTL_EXTENTS_H

#include "chain.h"

/**
 * struct range - one guest range as qemu-img map describes it
 * @guest_start: first byte
 * @len: bytes
 * @depth: layer that decides, 0: the active image
 * @kind: data, zero, hole (in no layer), compressed
 * @present: a layer of the chain has it
 * @has_offset: it has a place in that layer's file
 * @host_offset: where
 */
struct range {
	u64 guest_start;
	u64 len;
	u32 depth;
	enum qcow_extent_kind kind;
	bool present;
	bool has_offset;
	u64 host_offset;
};

struct extents;

/* To walk over an open chain. */
struct extents *extents_open(const struct chain *chain);
void extents_close(struct extents *ext);

/**
 * extents_next() - the next range
 * @ext: the walk
 * @range: result; neighbours of the same kind may come separately
 * @err: exit code after a message, when a table is damaged or cannot be read
 *
 * Return: false at the end and after an error.
 */
bool extents_next(struct extents *ext, struct range *range, int *err);

/* Make @range longer by @next if it goes on there. */
bool range_join(struct range *range, const struct range *next);

#endif /* QCOWCTL_EXTENTS_H */
