// SPDX-License-Identifier: GPL-2.0
/*
 * Persistent bitmaps: their directory, from bytes that the caller has read and to bytes that it
 * writes, and their tables.
 *
 * A bitmap that is enabled has to show all changes of the data. A program that changes the data and
 * not the bitmap says so with the flag in_use of its entry: the bitmap is inconsistent from then
 * on, and can be removed. One that does not know bitmaps clears their autoclear bit, which loses
 * them all and leaks their clusters.
 */
#include <qcow/bitmap.h>

#include "format/format.h"

int qcow_bitmaps_find_dir(const struct qcow_header *h, const void *buf, size_t len, u64 file_bytes,
			  struct qcow_bitmaps_dir *dir, struct qcow_report *rep)
{
	const struct qcow_disk_bitmaps *disk;
	struct qcow_table table = {
		.name = "bitmap directory", .entry_bytes = 1,
		.max_bytes = QCOW_MAX_BITMAP_DIR_BYTES,
	};
	struct qcow_ext ext;
	size_t pos = 0;
	int ret;

	do {
		ret = qcow_ext_next(h, buf, len, &pos, &ext, rep);
	} while (ret > 0 && ext.type != QCOW_EXT_BITMAPS);
	if (ret <= 0) {
		qcow_report(rep, "autoclear_features 0x%llx: no header extension \"bitmaps\"",
			    h->autoclear);
		return -EINVAL;
	}
	disk = ext.data;
	dir->nr = be32_to_cpu(disk->nr);
	dir->bytes = be64_to_cpu(disk->dir_bytes);
	dir->host_offset = be64_to_cpu(disk->dir_offset);
	if (!dir->nr || dir->nr > QCOW_MAX_BITMAPS) {
		qcow_report(rep, "%u bitmaps, must be 1 to %u", dir->nr, QCOW_MAX_BITMAPS);
		return -EINVAL;
	}
	if (disk->reserved) {
		qcow_report(rep, "header extension \"bitmaps\": reserved field 0x%x",
			    be32_to_cpu(disk->reserved));
		return -EINVAL;
	}
	if (dir->bytes < dir->nr * (u64)sizeof(struct qcow_disk_bitmap)) {
		qcow_report(rep, "bitmap directory of %llu bytes is too short for %u bitmaps",
			    dir->bytes, dir->nr);
		return -EINVAL;
	}
	table.host_offset = dir->host_offset;
	table.entries = dir->bytes;
	return qcow_header_check_table(h, &table, file_bytes, rep);
}

static int bad_entry(struct qcow_report *rep, u32 idx, const char *what, u64 value)
{
	qcow_report(rep, "bitmap directory entry %u: %s 0x%llx", idx, what, value);
	return -EINVAL;
}

static int bad_bitmap(struct qcow_report *rep, const struct qcow_bitmap *bitmap, const char *what,
		      u64 value)
{
	qcow_report(rep, "bitmap \"%.*s\": %s 0x%llx", (int)bitmap->name_len, bitmap->name, what,
		    value);
	return -EINVAL;
}

static int check_bitmap(const struct qcow_header *h, const struct qcow_disk_bitmap *disk,
			const struct qcow_bitmap *bitmap, u64 file_bytes, u32 idx,
			struct qcow_report *rep)
{
	const struct qcow_table table = {
		.name = "bitmap table",
		.host_offset = bitmap->table_offset,
		.entries = bitmap->table_entries,
		.entry_bytes = sizeof(__be64),
		.max_bytes = QCOW_MAX_BITMAP_TABLE_ENTRIES * (u64)sizeof(__be64),
	};

	if (!bitmap->name_len || bitmap->name_len > QCOW_MAX_BITMAP_NAME)
		return bad_entry(rep, idx, "name_size", bitmap->name_len);
	if (bitmap->flags & ~QCOW_BITMAP_KNOWN)
		return bad_bitmap(rep, bitmap, "reserved flags", bitmap->flags);
	if (disk->type != QCOW_BITMAP_DIRTY_TRACKING)
		return bad_bitmap(rep, bitmap, "type", disk->type);
	if (bitmap->granularity_bits > QCOW_MAX_GRANULARITY_BITS)
		return bad_bitmap(rep, bitmap, "granularity_bits", bitmap->granularity_bits);
	if (!bitmap->table_entries)
		return bad_bitmap(rep, bitmap, "bitmap_table_size", 0);
	return qcow_header_check_table(h, &table, file_bytes, rep);
}

/* Bytes of an entry, with its extra data, its name and what pads it. */
static u64 entry_bytes(const struct qcow_disk_bitmap *disk)
{
	return round_up(sizeof(*disk) + (u64)be32_to_cpu(disk->extra_len) +
			be16_to_cpu(disk->name_len), 8);
}

int qcow_bitmap_next(const struct qcow_header *h, const struct qcow_bitmaps_dir *dir,
		     u64 file_bytes, const void *buf, size_t *pos, u32 *idx,
		     struct qcow_bitmap *bitmap, struct qcow_report *rep)
{
	const struct qcow_disk_bitmap *disk = buf + *pos;
	u64 left = dir->bytes - *pos;
	u64 bytes;
	int err;

	if (*idx == dir->nr)
		return left ? bad_entry(rep, *idx, "none, and bytes that are left:", left) : 0;
	if (left < sizeof(*disk))
		return bad_entry(rep, *idx, "the directory ends before it, bytes left:", left);
	bytes = entry_bytes(disk);
	if (left < bytes)
		return bad_entry(rep, *idx, "the directory ends within it, bytes:", bytes);
	*bitmap = (struct qcow_bitmap) {
		.table_offset = be64_to_cpu(disk->table_offset),
		.table_entries = be32_to_cpu(disk->table_entries),
		.flags = be32_to_cpu(disk->flags),
		.granularity_bits = disk->granularity_bits,
		.extra = disk + 1,
		.extra_len = be32_to_cpu(disk->extra_len),
		.name = (const char *)(disk + 1) + be32_to_cpu(disk->extra_len),
		.name_len = be16_to_cpu(disk->name_len),
	};
	err = check_bitmap(h, disk, bitmap, file_bytes, *idx, rep);
	if (err)
		return err;
	*pos += bytes;
	(*idx)++;
	return 1;
}

u32 qcow_bitmap_mark_in_use(const struct qcow_bitmaps_dir *dir, void *buf)
{
	size_t pos = 0;
	u32 marked = 0;
	u32 i;

	for (i = 0; i < dir->nr; i++) {
		struct qcow_disk_bitmap *disk = buf + pos;
		u32 flags = be32_to_cpu(disk->flags);

		if (flags & QCOW_BITMAP_AUTO && !(flags & QCOW_BITMAP_IN_USE)) {
			disk->flags = cpu_to_be32(flags | QCOW_BITMAP_IN_USE);
			marked++;
		}
		pos += entry_bytes(disk);
	}
	return marked;
}

u64 qcow_bitmap_entry_bytes(const struct qcow_bitmap *bitmap)
{
	return round_up(sizeof(struct qcow_disk_bitmap) + (u64)bitmap->extra_len +
			bitmap->name_len, 8);
}

void qcow_bitmap_put(const struct qcow_bitmap *bitmap, void *buf)
{
	struct qcow_disk_bitmap *disk = buf;
	u8 *behind = buf + sizeof(*disk);

	memset(buf, 0, qcow_bitmap_entry_bytes(bitmap));
	*disk = (struct qcow_disk_bitmap) {
		.table_offset = cpu_to_be64(bitmap->table_offset),
		.table_entries = cpu_to_be32(bitmap->table_entries),
		.flags = cpu_to_be32(bitmap->flags),
		.type = QCOW_BITMAP_DIRTY_TRACKING,
		.granularity_bits = bitmap->granularity_bits,
		.name_len = cpu_to_be16((u16)bitmap->name_len),
		.extra_len = cpu_to_be32(bitmap->extra_len),
	};
	if (bitmap->extra_len)
		memcpy(behind, bitmap->extra, bitmap->extra_len);
	memcpy(behind + bitmap->extra_len, bitmap->name, bitmap->name_len);
}

/* Of a number that may be near to the largest one. */
static u64 shift_up(u64 value, u32 bits)
{
	return (value >> bits) + !!(value & (BIT_ULL(bits) - 1));
}

u64 qcow_bitmap_table_entries(u64 disk_bytes, u32 granularity_bits, u32 cluster_bits)
{
	return shift_up(shift_up(disk_bytes, granularity_bits), cluster_bits + 3);
}

int qcow_bitmap_decode(u32 cluster_bits, u64 entry, u64 *host, bool *ones)
{
	*host = entry & QCOW_BITMAP_TABLE_OFFSET;
	*ones = entry & QCOW_BITMAP_TABLE_ONES;
	if (entry & QCOW_BITMAP_TABLE_RESERVED || *host & (BIT_ULL(cluster_bits) - 1) ||
	    (*host && *ones))
		return -EUCLEAN;
	return 0;
}

int qcow_bitmap_check_granularity(u64 bytes, u64 disk_bytes, u32 cluster_bits,
				  struct qcow_report *rep)
{
	u32 bits = QCOW_MIN_NEW_GRANULARITY_BITS;
	u64 entries;

	while (bits < QCOW_MAX_NEW_GRANULARITY_BITS && BIT_ULL(bits) < bytes)
		bits++;
	if (BIT_ULL(bits) != bytes) {
		qcow_report(rep, "granularity of %llu bytes, not a power of 2 from %llu to %llu",
			    bytes, BIT_ULL(QCOW_MIN_NEW_GRANULARITY_BITS),
			    BIT_ULL(QCOW_MAX_NEW_GRANULARITY_BITS));
		return -EINVAL;
	}
	entries = qcow_bitmap_table_entries(disk_bytes, bits, cluster_bits);
	if (entries > QCOW_MAX_BITMAP_DATA_BYTES >> cluster_bits) {
		qcow_report(rep, "granularity of %llu bytes: a bitmap of %llu bytes takes over %u",
			    bytes, disk_bytes, QCOW_MAX_BITMAP_DATA_BYTES);
		return -EFBIG;
	}
	return 0;
}

u32 qcow_bitmap_default_granularity(u32 cluster_bits)
{
	return 1U << min_t(u32, max_t(u32, cluster_bits, 12), 16);
}
