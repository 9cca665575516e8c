/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Copy-on-write reads: what a guest range holds, read through the whole chain into memory, to be
 * written to a new cluster.
 */
#ifndef _QCOW_COW_H
#define _QCOW_COW_H

#include <linux/types.h>

struct qcow_image;

/**
 * qcow_cow_read() - the guest's bytes
 * @top: the active image
 * @guest: first byte; what lies beyond the image's size reads as zeros
 * @buf: memory, not on the stack
 * @len: bytes
 *
 * Context: process context, may sleep; GFP_NOIO. No slice and no decompressed cluster is
 * held but changeable ones.
 * Return: 0; -EIO, -EUCLEAN, -ENOMEM.
 */
int qcow_cow_read(struct qcow_image *top, u64 guest, void *buf, u64 len);

/**
 * qcow_cow_can_share() - whether two layers may share space
 * @image: one that is written to
 * @from: another
 *
 * Context: any.
 * Return: false: qcow_cow_share() would do nothing.
 */
bool qcow_cow_can_share(const struct qcow_image *image, const struct qcow_image *from);

/**
 * qcow_cow_share() - have an image share the space of the guest's bytes
 * @top: the active image
 * @guest: first byte, inside of it
 * @image: gets them, unless its file has them anyway
 * @host: where
 * @len: bytes
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: bytes from @guest on that are shared; 0: they have to be copied.
 */
u64 qcow_cow_share(struct qcow_image *top, u64 guest, const struct qcow_image *image, u64 host,
		   u64 len);

#endif /* _QCOW_COW_H */
