/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What shows in an image that gets larger: zeros.
 */
#ifndef QCOWCTL_RESIZE_GROW_H
#define QCOWCTL_RESIZE_GROW_H

#include "image/image.h"
#include "shadow/shadow.h"

/**
 * struct growth - an image that gets another size
 * @s: its new state
 * @from: size before
 * @to: size afterwards
 * @l1_entries: that @to needs
 * @backing_end: what the backing file has ends there
 * @edit: the mapping
 * @reader: reads the guest's bytes as they are before
 */
struct growth {
	struct shadow *s;
	u64 from;
	u64 to;
	u32 l1_entries;
	u64 backing_end;
	struct edit *edit;
	struct reader *reader;
};

/**
 * growth_check() - whether the image can get the size, as header, snapshots and data file tell
 * @g: with @s, @from and @to; gets @l1_entries
 * @shrink: @to may be less than @from
 *
 * Return: 0, QC_USAGE, QC_UNSUPPORTED, QC_BAD_IMAGE or QC_SYSTEM.
 */
int growth_check(struct growth *g, bool shrink);

/**
 * growth_backing_end() - where ends what lies below an image
 * @chain: the image, and what is below it
 *
 * Return: guest offset, 0: there is nothing.
 */
u64 growth_backing_end(const struct chain *chain);

/**
 * growth_data_file() - make the external data file ready for the size, if there is one
 * @g: after growth_check(), with @to more than @from
 *
 * Return: 0 or QC_SYSTEM.
 */
int growth_data_file(const struct growth *g);

/**
 * growth_set_data_file() - make the external data file so long, if it is a regular file
 * @g: the image
 * @bytes: length
 *
 * Return: 0 or QC_SYSTEM.
 */
int growth_set_data_file(const struct growth *g, u64 bytes);

/**
 * growth_zeros() - have what is new read as zeros
 * @g: complete
 * @guest: where a cluster begins, that with @from in it or one behind; ranges come in their order
 * @end: where to end, at most @to
 *
 * Return: 0 or enum qc_exit.
 */
int growth_zeros(struct growth *g, u64 guest, u64 end);

#endif /* QCOWCTL_RESIZE_GROW_H */
