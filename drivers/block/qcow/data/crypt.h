/* SPDX-License-Identifier: GPL-2.0 */
/*
 * I/O of guest data that may be encrypted: what is read is decrypted where it has been read to,
 * what is written is encrypted in other memory than the guest's, both in workers.
 */
#ifndef _QCOW_DATA_CRYPT_H
#define _QCOW_DATA_CRYPT_H

#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include "layer/image.h"

struct qcow_fragment;

/* Once per module. Return: 0 or -ENOMEM. */
int qcow_crypt_module_init(void);
void qcow_crypt_module_exit(void);

/* Bytes of data that one fragment may have, of @len: several CPUs share what is encrypted. */
static inline u64 qcow_crypt_piece(const struct qcow_image *image, u64 len)
{
	return image->crypt ? min_t(u64, len, SZ_256K) : len;
}

/**
 * qcow_data_read() - read guest data that are in a data cluster
 * @image: the layer that has them
 * @guest: first byte on the disk, of a sector
 * @host: and in the file; behind its end are zeros, as if they had been written there
 * @buf: memory of any kind but the stack
 * @len: bytes, whole sectors
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0; -ENOMEM, -EIO, ...
 */
int qcow_data_read(const struct qcow_image *image, u64 guest, u64 host, void *buf, u64 len);

/**
 * qcow_data_write() - write guest data to a data cluster
 * @image: the active image
 * @guest: as qcow_data_read()
 * @host: inside the file
 * @buf: what is at it is encrypted there
 * @len: as qcow_data_read()
 *
 * Context: as qcow_data_read().
 * Return: as qcow_store_write_data().
 */
int qcow_data_write(const struct qcow_image *image, u64 guest, u64 host, void *buf, u64 len);

/**
 * qcow_fragment_submit_read() - read a fragment from a data cluster
 * @frag: prepared but for @frag->io.complete
 *
 * It ends with the read, or when it is decrypted. Context: the one that maps the request.
 */
void qcow_fragment_submit_read(struct qcow_fragment *frag);

/**
 * qcow_fragment_submit_write() - write a fragment to a data cluster
 * @frag: prepared
 *
 * Context: the one that maps the request.
 */
void qcow_fragment_submit_write(struct qcow_fragment *frag);

/**
 * qcow_fragment_merge_write() - write a fragment to a new cluster, merged with others
 * @frag: prepared
 *
 * Context: the metadata worker, which kicks the merge when it has planned all that is waiting.
 */
void qcow_fragment_merge_write(struct qcow_fragment *frag);

#endif /* _QCOW_DATA_CRYPT_H */
