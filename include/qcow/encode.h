/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From numbers to the format as it stands on disk: the counterpart of header.h and l2.h.
 * Pure: into a caller's buffer. What goes in is not validated, but for what has to fit;
 * qcow_header_parse() on the result is the proof.
 */
#ifndef _QCOW_ENCODE_H
#define _QCOW_ENCODE_H

#include <qcow/header.h>
#include <qcow/l2.h>
#include <qcow/ondisk.h>
#include <qcow/report.h>
#include <qcow/types.h>

/* What a new version 3 header has: all fields that are known. */
#define QCOW_V3_FULL_HEADER_BYTES	sizeof(struct qcow_disk_header)

/* From this cluster size on a header has the feature name table, as in QEMU: it is long. */
#define QCOW_FEATURE_NAMES_CLUSTER_BITS	13

/**
 * qcow_header_encode() - the fixed part of a header
 * @h: the header
 * @buf: gets exactly @h->length bytes' worth of the fields that the version has (48, 72,
 *       104 or 112 bytes); what comes after them is not touched
 *
 * Extensions and names stay where they are in @buf: good for changing a field of an image
 * that exists. Context: any.
 */
void qcow_header_encode(const struct qcow_header *h, void *buf);

/**
 * struct qcow_header_names - text that the header carries, each or NULL
 * @backing: name of the backing file
 * @backing_format: its format
 * @data_file: name of the external data file
 */
struct qcow_header_names {
	const char *backing;
	const char *backing_format;
	const char *data_file;
};

/**
 * qcow_header_encode_names() - lay out extensions and names of a new header
 * @h: version, cluster_bits and length; gets backing_offset and backing_len
 * @names: the text
 * @buf: zeroed but for the fixed part; written from @h->length on
 * @len: bytes at @buf: one cluster (2, 3), or header and name (1)
 * @end: bytes of @buf that are used
 * @rep: says what does not fit
 *
 * Version 1 has the backing file's name behind the header and nothing else; 2 and 3 have
 * the extensions for backing format, data file and, in version 3 from 8 KiB clusters on,
 * feature names, then the end mark, then the name. Call qcow_header_encode() after it: it
 * changes @h. Context: any.
 *
 * Return: 0; -EINVAL: a name that is too long; -ENOSPC: it does not fit @len.
 */
int qcow_header_encode_names(struct qcow_header *h, const struct qcow_header_names *names,
			     void *buf, size_t len, size_t *end, struct qcow_report *rep);

/**
 * qcow_l1_encode() - the L1 entry for a table
 * @g: the geometry
 * @table: host offset of an L2 table whose reference count is one
 *
 * Return: the entry, CPU order.
 */
static inline u64 qcow_l1_encode(const struct qcow_geometry *g, u64 table)
{
	return table | g->copied;
}

/**
 * qcow_l2_encode_data() - the L2 entry for a standard cluster
 * @g: the geometry
 * @host: offset of a data cluster whose reference count is one
 *
 * With subclusters, which of them hold data is in the entry's second word.
 *
 * Return: the entry, CPU order.
 */
static inline u64 qcow_l2_encode_data(const struct qcow_geometry *g, u64 host)
{
	return host | g->copied;
}

/* Second word of an extended entry: all subclusters hold data. */
#define QCOW_L2_ALL_ALLOCATED		GENMASK_ULL(31, 0)

/**
 * qcow_l2_put() - store an entry in an L2 table or a slice of it
 * @g: the geometry
 * @entries: the table or slice
 * @idx: of the entry in it
 * @entry: first word, CPU order
 * @bitmap: second word; only stored with extended L2 entries
 *
 * Context: any; the caller keeps other writers away. Readers see each word whole.
 */
void qcow_l2_put(const struct qcow_geometry *g, __be64 *entries, u32 idx, u64 entry, u64 bitmap);

#endif /* _QCOW_ENCODE_H */
