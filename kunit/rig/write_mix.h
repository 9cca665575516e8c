/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Images with clusters of all kinds, and their guest's view of them.
 */
#ifndef _QCOW_KUNIT_WRITE_MIX_H
#define _QCOW_KUNIT_WRITE_MIX_H

#include <linux/types.h>

struct guest_model;
struct image_builder;

/**
 * write_mix() - fill an empty image
 * @b: the image; nothing can be added afterwards
 * @m: its guest, which knows of the backing image already
 * @backing: bytes of that
 *
 * Data clusters, clusters of zeros with space and without, clusters and L2 tables that a
 * snapshot has, too, as far as the version has them and counts are wide enough.
 */
void write_mix(struct image_builder *b, struct guest_model *m, u64 backing);

#endif /* _QCOW_KUNIT_WRITE_MIX_H */
