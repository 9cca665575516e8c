/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the pure format code share with each other and with nobody else.
 */
#ifndef _QCOW_FORMAT_H
#define _QCOW_FORMAT_H

#include <qcow/header.h>

/**
 * struct qcow_table - a table whose place and length an image states
 * @name: for messages
 * @host_offset: where it begins, bytes
 * @entries: how many
 * @entry_bytes: of each
 * @max_bytes: the most it may have
 */
struct qcow_table {
	const char *name;
	u64 host_offset;
	u64 entries;
	u32 entry_bytes;
	u64 max_bytes;
};

/**
 * qcow_header_check_table() - refuse a table that is too long or lies in a wrong place
 * @h: version, cluster size and length of the header are validated
 * @table: the table; without entries only its alignment matters
 * @file_bytes: length of the file
 * @rep: says what is wrong
 *
 * Return: 0; -EFBIG: too many entries; -EINVAL: not on a cluster border (2, 3), over the
 * header, or beyond the end of the file.
 */
int qcow_header_check_table(const struct qcow_header *h, const struct qcow_table *table,
			    u64 file_bytes, struct qcow_report *rep);

/**
 * qcow_header_check_size() - refuse a virtual size that no L1 table can map
 * @h: version, cluster_bits and l2_bits are validated
 * @size: virtual size of the image or of a snapshot, bytes
 * @l1_entries: how many it needs
 * @rep: says what is wrong
 *
 * Return: 0; -EFBIG.
 */
int qcow_header_check_size(const struct qcow_header *h, u64 size, u32 *l1_entries,
			   struct qcow_report *rep);

/* The most that an L1 table of this image may have. */
static inline u32 qcow_header_max_l1_bytes(const struct qcow_header *h)
{
	return h->version == 1 ? QCOW_V1_MAX_L1_BYTES : QCOW_MAX_L1_BYTES;
}

/**
 * qcow_ext_end() - where the header extensions end
 * @h: cluster size, backing file's offset and length of the header; all else is not looked at
 * @buf: the first bytes of the file
 * @len: how many
 *
 * Return: bytes from the start of the file; 0: not within @len.
 */
size_t qcow_ext_end(const struct qcow_header *h, const void *buf, size_t len);

#endif /* _QCOW_FORMAT_H */
