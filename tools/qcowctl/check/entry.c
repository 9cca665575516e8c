// SPDX-License-Identifier: GPL-2.0
/*
 * What one L2 entry refers to. Reads nothing and knows no reference counts.
 */
#include "check/entry.h"

static const char *const flaw_names[ENTRY_NR_FLAWS] = {
	"reserved bits are set",
	"the host offset is not at a cluster border",
	"the COPIED flag is set for a compressed cluster",
	"compressed cluster with an external data file",
	"compressed cluster with a subcluster bitmap",
	"compressed cluster of no bytes",
	"subclusters are both allocated and zero",
	"subclusters are allocated without a host cluster",
};

const char *check_entry_flaw(unsigned int bit)
{
	return flaw_names[bit];
}

static void decode_compressed(const struct qcow_geometry *g, u64 entry, u64 bitmap,
			      struct entry_ref *ref)
{
	u64 host = entry & (BIT_ULL(g->csize_shift) - 1);
	u32 size = (entry >> g->csize_shift) & g->csize_mask;

	ref->kind = ENTRY_COMPRESSED;
	ref->has_data = true;
	ref->host_offset = host & GENMASK_ULL(55, 0);
	if (host != ref->host_offset)
		ref->flaws |= ENTRY_RESERVED;
	if (ref->copied)
		ref->flaws |= ENTRY_COMPRESSED_COPIED;
	if (g->data_file)
		ref->flaws |= ENTRY_COMPRESSED_DATA_FILE;
	else if (bitmap)
		ref->flaws |= ENTRY_COMPRESSED_BITMAP;
	else if (g->csize_sectors)
		ref->bytes = (size + 1ULL) * 512 - (host & 511);
	else if (size)
		ref->bytes = size;
	else
		ref->flaws |= ENTRY_COMPRESSED_EMPTY;
}

void check_entry_decode(const struct qcow_geometry *g, u64 entry, u64 bitmap,
			struct entry_ref *ref)
{
	u64 host = entry & g->offset_mask;
	u32 alloc = (u32)bitmap, zero = bitmap >> 32;

	memset(ref, 0, sizeof(*ref));
	ref->copied = entry & g->copied;
	if (entry & g->compressed) {
		decode_compressed(g, entry, bitmap, ref);
		return;
	}
	if (entry & g->reserved)
		ref->flaws |= ENTRY_RESERVED;
	/* In an external data file 0 is a valid host offset. */
	if (!host && !(g->data_file && ref->copied && !(entry & g->zero))) {
		if (alloc)
			ref->flaws |= ENTRY_BITMAP_UNALLOCATED;
		return;
	}
	ref->kind = ENTRY_CLUSTER;
	ref->has_data = g->extended_l2 ? alloc : !(entry & g->zero);
	ref->host_offset = host;
	ref->bytes = qcow_cluster_bytes(g);
	if (alloc & zero)
		ref->flaws |= ENTRY_BITMAP_BOTH;
	if (host & g->host_align_mask)
		ref->flaws |= ENTRY_UNALIGNED;
}

void check_entry_zero(const struct qcow_geometry *g, u64 *entry, u64 *bitmap)
{
	*entry = g->extended_l2 ? 0 : g->zero;
	/* Allocated subclusters become zero, others still read from the backing file. */
	*bitmap = g->extended_l2 ? (*bitmap | *bitmap << 32) & GENMASK_ULL(63, 32) : 0;
}
