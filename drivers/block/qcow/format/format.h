/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Internal to the format code.
 */
#ifndef _QCOW_FORMAT_H
#define _QCOW_FORMAT_H

#include <qcow/header.h>

/**
 * struct qcow_table - offset and length of a table, as the image states them
 * @name: for messages
 * @host_offset: of the table, bytes
 * @entries: of the table
 * @entry_bytes: length of an entry
 * @max_bytes: limit of the table's length
 */
struct qcow_table {
	const char *name;
	u64 host_offset;
	u64 entries;
	u32 entry_bytes;
	u64 max_bytes;
};

/**
 * qcow_header_check_table() - refuse a table that is too long or at a wrong offset
 * @h: version, cluster size and length of the header are validated
 * @table: the table; without entries only its alignment matters
 * @file_bytes: length of the file
 * @rep: says what is wrong
 *
 * Return: 0; -EFBIG: too many entries; -EINVAL: not on a cluster border (2, 3), or over the
 * header; -EUCLEAN: beyond the end of the file.
 */
int qcow_header_check_table(const struct qcow_header *h, const struct qcow_table *table,
			    u64 file_bytes, struct qcow_report *rep);

/**
 * qcow_header_check_size() - refuse a virtual size that no L1 table can map
 * @h: version, cluster_bits and l2_bits are validated
 * @size: virtual size of the image or of a snapshot, bytes
 * @l1_entries: result, entries that @size needs
 * @rep: says what is wrong
 *
 * Return: 0; -EFBIG.
 */
int qcow_header_check_size(const struct qcow_header *h, u64 size, u32 *l1_entries,
			   struct qcow_report *rep);

/* Limit of the length of an L1 table. */
static inline u32 qcow_header_max_l1_bytes(const struct qcow_header *h)
{
	return h->version == 1 ? QCOW_V1_MAX_L1_BYTES : QCOW_MAX_L1_BYTES;
}

/**
 * qcow_ext_end() - where the header extensions end
 * @h: only cluster_bits, backing_offset and length are used
 * @buf: the first bytes of the file
 * @len: bytes at @buf
 *
 * Return: bytes from the start of the file; 0: not within @len.
 */
size_t qcow_ext_end(const struct qcow_header *h, const void *buf, size_t len);

#endif /* _QCOW_FORMAT_H */
