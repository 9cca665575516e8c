/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The header of a new image, from numbers to bytes: the counterpart of qcow_header_parse().
 * Pure: into the caller's buffer. What goes in is not validated except that it has to fit;
 * qcow_header_parse() on the result is the proof.
 */
#ifndef QCOWCTL_CREATE_ENCODE_H
#define QCOWCTL_CREATE_ENCODE_H

#include <qcow/luks.h>

/* A new version 3 header has all fields that are known. */
#define ENCODE_V3_HEADER_BYTES		sizeof(struct qcow_disk_header)

/* As in QEMU, smaller clusters have no room for the feature name table. */
#define ENCODE_FEATURES_CLUSTER_BITS	13

/**
 * struct encode_names - what a header holds behind its fields, each or NULL
 * @backing: name of the backing file
 * @backing_format: its format
 * @data_file: name of the external data file
 * @luks: where the LUKS header is
 */
struct encode_names {
	const char *backing;
	const char *backing_format;
	const char *data_file;
	const struct qcow_luks_place *luks;
};

/**
 * encode_names() - lay out extensions and names of a new header
 * @h: version, cluster_bits and length; gets backing_offset and backing_len
 * @names: the text
 * @buf: zeroed but for the fixed part; written from @h->length on
 * @len: bytes at @buf: one cluster (2, 3), or header and name (1)
 * @end: result, bytes of @buf that are used
 * @rep: says what does not fit
 *
 * Version 1 has the backing file's name behind the header and nothing else; 2 and 3 have
 * the extensions for backing format, data file, LUKS header and, in version 3 from 8 KiB
 * clusters on, feature names, then the end mark, then the name. Call encode_header() after it: it
 * changes @h.
 *
 * Return: 0; -EINVAL: a name that is too long; -ENOSPC: it does not fit @len.
 */
int encode_names(struct qcow_header *h, const struct encode_names *names, void *buf, size_t len,
		 size_t *end, struct qcow_report *rep);

/**
 * encode_header() - the fixed part of a header
 * @h: the header
 * @buf: gets the fields that the version has, @h->length bytes at most; the bytes behind
 *       them are not changed
 */
void encode_header(const struct qcow_header *h, void *buf);

#endif /* QCOWCTL_CREATE_ENCODE_H */
