/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Writes of whole clusters that are stored compressed: they are compressed on all CPUs before the
 * metadata worker gives them room.
 */
#ifndef _QCOW_COMPRESS_H
#define _QCOW_COMPRESS_H

#include <linux/types.h>

struct qcow_compression;
struct qcow_image;
struct qcow_report;
struct qcow_request;

/**
 * struct qcow_compressed - one cluster of a write
 * @buf: its compressed data, with zeros up to the end of a block of the store; NULL: it has not
 *       become smaller
 * @len: bytes at @buf, less than a cluster
 */
struct qcow_compressed {
	void *buf;
	u32 len;
};

/* The queue of all images. */
int qcow_compress_module_init(void);
void qcow_compress_module_exit(void);

/**
 * qcow_compress_prepare() - have what it takes to compress clusters of an image
 * @image: the active image
 * @rep: says why they cannot be stored compressed
 *
 * Context: process context, may sleep.
 * Return: 0, -EOPNOTSUPP or -ENOMEM.
 */
int qcow_compress_prepare(const struct qcow_image *image, struct qcow_report *rep);

/* The method, as qemu-img calls it; NULL: clusters of the image cannot be stored compressed. */
const char *qcow_compress_method(const struct qcow_image *image);

/* Whether there is a whole cluster in @len bytes from @guest on, and it can be. Context: any. */
bool qcow_compress_wants(const struct qcow_image *image, u64 guest, u64 len);

/**
 * qcow_compress_start() - compress the whole clusters of a write
 * @req: the request; qcow_compress_wants(), and none of it has been mapped
 *
 * For want of memory, and of a request whose memory is described bio by bio, all stay as they are.
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: whether that goes on elsewhere, and has the request run again when it has ended; then
 * @req->compression is set.
 */
bool qcow_compress_start(struct qcow_request *req);

/* What has become of the cluster at @guest; NULL: it is none, or has not become smaller. */
const struct qcow_compressed *qcow_compress_find(const struct qcow_compression *compression,
						 u64 guest);

/*
 * How many of @len bytes from @guest on are stored alike: one compressed cluster, or all up to the
 * next one.
 */
u64 qcow_compress_alike(const struct qcow_compression *compression, u64 guest, u64 len);

/* Nobody wants the data at @guest any more. Context: process context, may sleep. */
void qcow_compress_drop(struct qcow_compression *compression, u64 guest);

/* Nothing of the request is under way any more. Context: any. */
void qcow_compress_free(struct qcow_compression *compression);

#endif /* _QCOW_COMPRESS_H */
