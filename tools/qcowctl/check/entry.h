/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What one L2 entry refers to. Pure. qcow_l2_map() ends at the first flaw; this decoder finds
 * all of them, and what the entry seems to refer to.
 */
#ifndef QCOWCTL_CHECK_ENTRY_H
#define QCOWCTL_CHECK_ENTRY_H

#include <qcow/l2.h>

/**
 * enum entry_kind - what an L2 entry is
 * @ENTRY_NONE: no host space belongs to it
 * @ENTRY_CLUSTER: a cluster, of data or of preallocated zeros
 * @ENTRY_COMPRESSED: compressed data
 */
enum entry_kind {
	ENTRY_NONE,
	ENTRY_CLUSTER,
	ENTRY_COMPRESSED,
};

/**
 * enum entry_flaw - what may be wrong with an entry, each a corruption of its own
 * @ENTRY_NR_FLAWS: how many there are
 */
enum entry_flaw {
	ENTRY_RESERVED = 1U << 0,
	ENTRY_UNALIGNED = 1U << 1,
	ENTRY_COMPRESSED_COPIED = 1U << 2,
	ENTRY_COMPRESSED_DATA_FILE = 1U << 3,
	ENTRY_COMPRESSED_BITMAP = 1U << 4,
	ENTRY_COMPRESSED_EMPTY = 1U << 5,
	ENTRY_BITMAP_BOTH = 1U << 6,
	ENTRY_BITMAP_UNALLOCATED = 1U << 7,
	ENTRY_NR_FLAWS = 8,
};

/**
 * struct entry_ref - a decoded L2 entry
 * @kind: what the entry is
 * @flaws: bits of enum entry_flaw
 * @copied: the COPIED flag is set
 * @has_data: the guest sees bytes of the cluster, not only zeros
 * @host_offset: where the range begins that it refers to
 * @bytes: length of that range, 0: there is no range that could be counted
 */
struct entry_ref {
	enum entry_kind kind;
	u32 flaws;
	bool copied;
	bool has_data;
	u64 host_offset;
	u64 bytes;
};

/**
 * check_entry_decode() - decode an L2 entry
 * @g: the geometry, of any version
 * @entry: first word, CPU order
 * @bitmap: second word with subclusters, else 0
 * @ref: result
 */
void check_entry_decode(const struct qcow_geometry *g, u64 entry, u64 bitmap,
			struct entry_ref *ref);

/**
 * check_entry_flaw() - text for a flaw
 * @bit: log2 of one of enum entry_flaw
 *
 * Return: the text.
 */
const char *check_entry_flaw(unsigned int bit);

/**
 * check_entry_zero() - change an entry so that it reads as zeros without host space
 * @g: the geometry
 * @entry: first word, CPU order
 * @bitmap: second word with subclusters, else 0
 */
void check_entry_zero(const struct qcow_geometry *g, u64 *entry, u64 *bitmap);

#endif /* QCOWCTL_CHECK_ENTRY_H */
