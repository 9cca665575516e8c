// SPDX-License-Identifier: GPL-2.0
/*
 * From table entries to extents, and entries of new clusters. Does not read tables, does not
 * know about backing files. The data path maps every request here, without a lock.
 */
#include <qcow/l2.h>

u64 qcow_l1_needed(const struct qcow_geometry *g)
{
	u32 shift = g->cluster_bits + g->l2_bits;

	return (g->size >> shift) + !!(g->size & (BIT_ULL(shift) - 1));
}

static int flaw_at(struct qcow_flaw *flaw, const char *table, u64 entry, const char *what,
		   u64 value)
{
	flaw->table = table;
	flaw->entry = entry;
	flaw->what = what;
	flaw->value = value;
	return -EUCLEAN;
}

int qcow_l1_decode(const struct qcow_geometry *g, u64 entry, u64 *table, struct qcow_flaw *flaw)
{
	static const char l1[] = "L1 entry";
	u64 host = entry & g->l1_offset_mask;
	u64 table_bytes = 1ULL << (g->l2_bits + g->entry_bits);
	u64 file_bytes = READ_ONCE(g->file_bytes);

	*table = 0;
	if (entry & g->l1_reserved)
		return flaw_at(flaw, l1, entry, "reserved bits", entry & g->l1_reserved);
	if (!host)
		return 0;

	if (g->version != 1 && !IS_ALIGNED(host, table_bytes))
		return flaw_at(flaw, l1, entry, "L2 table not at a cluster border", host);
	if (host < g->metadata_end)
		return flaw_at(flaw, l1, entry, "L2 table over the header", host);
	if (host > file_bytes || table_bytes > file_bytes - host)
		return flaw_at(flaw, l1, entry, "L2 table beyond the end of the file", host);
	*table = host;
	return 0;
}

static int map_compressed(const struct qcow_geometry *g, u64 entry, struct qcow_extent *ext,
			  struct qcow_flaw *flaw)
{
	static const char l2[] = "L2 entry";
	u64 host = entry & (BIT_ULL(g->csize_shift) - 1);
	u32 bytes = (entry >> g->csize_shift) & g->csize_mask;

	if (g->data_file)
		return flaw_at(flaw, l2, entry, "compressed cluster with an external data file",
			       host);
	/* Small clusters leave the field more bits than a host offset may have. */
	if (host & ~GENMASK_ULL(55, 0))
		return flaw_at(flaw, l2, entry, "reserved bits", host & ~GENMASK_ULL(55, 0));
	if (g->csize_sectors)
		bytes = (bytes + 1) * 512 - (host & 511);
	else if (!bytes)
		return flaw_at(flaw, l2, entry, "compressed cluster of no bytes", host);

	ext->kind = QCOW_EXTENT_COMPRESSED;
	ext->allocated = true;
	ext->shared = false;
	ext->host = host;
	ext->compressed_len = bytes;
	return 0;
}

static int check_standard(const struct qcow_geometry *g, u64 entry, struct qcow_flaw *flaw)
{
	static const char l2[] = "L2 entry";
	u64 host = entry & g->offset_mask;

	if (unlikely(entry & g->reserved))
		return flaw_at(flaw, l2, entry, "reserved bits", entry & g->reserved);
	if (unlikely(host & g->host_align_mask))
		return flaw_at(flaw, l2, entry, "unaligned host offset", host);
	return 0;
}

/* An entry that describes one whole cluster. */
static int map_standard(const struct qcow_geometry *g, u64 entry, u64 in_cluster,
			struct qcow_extent *ext, struct qcow_flaw *flaw)
{
	u64 host = entry & g->offset_mask;
	int err;

	ext->len = qcow_cluster_bytes(g) - in_cluster;
	if (entry & g->compressed)
		return map_compressed(g, entry, ext, flaw);
	err = check_standard(g, entry, flaw);
	if (unlikely(err))
		return err;

	ext->kind = QCOW_EXTENT_DATA;
	ext->allocated = true;
	if (unlikely(!host)) {
		/* In an external data file 0 is a valid host offset. */
		ext->allocated = g->data_file && (entry & g->copied) && !(entry & g->zero);
		if (!ext->allocated)
			ext->kind = QCOW_EXTENT_HOLE;
	}
	if (entry & g->zero)
		ext->kind = QCOW_EXTENT_ZERO;
	ext->shared = ext->allocated && (entry & g->copied) != g->copied;
	ext->host = ext->allocated ? host + in_cluster : 0;
	ext->compressed_len = 0;
	return 0;
}

/* Number of consecutive bits that are set from @from on. */
static u32 count_ones(u32 bits, u32 from)
{
	return __ffs64(~((u64)bits >> from));
}

static int check_bitmap(u64 bitmap, bool allocated, struct qcow_flaw *flaw)
{
	static const char l2[] = "L2 subcluster bitmap";
	u32 both = (u32)bitmap & (u32)(bitmap >> 32);

	if (unlikely(both))
		return flaw_at(flaw, l2, bitmap, "subclusters both allocated and zero", both);
	if (unlikely(!allocated && (u32)bitmap))
		return flaw_at(flaw, l2, bitmap, "subclusters allocated without a host cluster",
			       (u32)bitmap);
	return 0;
}

/* An entry with a subcluster bitmap: the subclusters of one kind from @in_cluster on. */
static int map_extended(const struct qcow_geometry *g, u64 entry, u64 bitmap, u64 in_cluster,
			struct qcow_extent *ext, struct qcow_flaw *flaw)
{
	u64 host = entry & g->offset_mask;
	u32 sub = in_cluster >> g->subcluster_bits;
	u32 alloc = (u32)bitmap;
	u32 zero = bitmap >> 32;
	u32 alike;
	int err;

	if (entry & g->compressed) {
		if (bitmap)
			return flaw_at(flaw, "L2 subcluster bitmap", bitmap,
				       "subclusters of a compressed cluster", bitmap);
		ext->len = qcow_cluster_bytes(g) - in_cluster;
		return map_compressed(g, entry, ext, flaw);
	}
	err = check_standard(g, entry, flaw);
	if (unlikely(err))
		return err;
	ext->allocated = host || (g->data_file && (entry & g->copied));
	err = check_bitmap(bitmap, ext->allocated, flaw);
	if (unlikely(err))
		return err;

	if (alloc & BIT_ULL(sub)) {
		ext->kind = QCOW_EXTENT_DATA;
		alike = alloc;
	} else if (zero & BIT_ULL(sub)) {
		ext->kind = QCOW_EXTENT_ZERO;
		alike = zero;
	} else {
		ext->kind = QCOW_EXTENT_HOLE;
		alike = ~(alloc | zero);
	}
	sub += count_ones(alike, sub);
	ext->len = ((u64)sub << g->subcluster_bits) - in_cluster;
	ext->shared = ext->allocated && (entry & g->copied) != g->copied;
	ext->host = ext->allocated ? host + in_cluster : 0;
	ext->compressed_len = 0;
	return 0;
}

/* The extent of one entry from @in_slice on, at most to the end of the cluster. */
static __always_inline int map_entry(const struct qcow_geometry *g, const __be64 *entries,
				     u64 in_slice, struct qcow_extent *ext,
				     struct qcow_flaw *flaw)
{
	u64 in_cluster = in_slice & (qcow_cluster_bytes(g) - 1);
	size_t idx = in_slice >> g->cluster_bits;

	if (likely(!g->extended_l2))
		return map_standard(g, be64_to_cpu(READ_ONCE(entries[idx])), in_cluster, ext,
				    flaw);
	return map_extended(g, be64_to_cpu(READ_ONCE(entries[2 * idx])),
			    be64_to_cpu(READ_ONCE(entries[2 * idx + 1])), in_cluster, ext, flaw);
}

int qcow_l2_map(const struct qcow_geometry *g, const __be64 *entries, u64 in_slice, u64 max,
		struct qcow_extent *ext, struct qcow_flaw *flaw)
{
	u64 end = 1ULL << (g->cluster_bits + g->slice_bits);
	struct qcow_extent next;
	struct qcow_flaw ignored;
	int err;

	err = map_entry(g, entries, in_slice, ext, flaw);
	if (unlikely(err))
		return err;

	while (ext->len < max && in_slice + ext->len < end &&
	       ext->kind != QCOW_EXTENT_COMPRESSED) {
		err = map_entry(g, entries, in_slice + ext->len, &next, &ignored);
		if (err || !qcow_extent_continues(ext, &next))
			break;
		ext->len += next.len;
	}
	ext->len = min(ext->len, max);
	return 0;
}

void qcow_l2_put(const struct qcow_geometry *g, __be64 *entries, u32 idx, u64 entry, u64 bitmap)
{
	if (!g->extended_l2) {
		WRITE_ONCE(entries[idx], cpu_to_be64(entry));
		return;
	}
	WRITE_ONCE(entries[2 * idx], cpu_to_be64(entry));
	WRITE_ONCE(entries[2 * idx + 1], cpu_to_be64(bitmap));
}
