// SPDX-License-Identifier: GPL-2.0
/*
 * Checks an image in memory: each cluster has the owners that its reference count allows,
 * none lies over another or beyond the end.
 */

#include <kunit/test.h>
#include <linux/blk_types.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/string.h>
#include <qcow/ondisk.h>

#include "rig/image_fsck.h"
#include "rig/ram_store.h"

#define COPIED		BIT_ULL(63)
#define COMPRESSED	BIT_ULL(62)
#define V1_COMPRESSED	BIT_ULL(63)
#define ZERO		BIT_ULL(0)
#define HOST_MASK	GENMASK_ULL(55, 9)
#define SECTOR_BITS	9

/* What is found more than once in the same image without harm. */
static const char data[] = "data cluster";
static const char compressed[] = "compressed cluster";
static const char l2_table[] = "L2 table";

/**
 * struct table - an L1 table
 * @host: where
 * @entries: how many
 * @l2_entries: of the L2 tables
 * @entry_bytes: of their entries
 * @copied: its flags can be relied on
 */
struct table {
	u64 host;
	u64 entries;
	u64 l2_entries;
	u32 entry_bytes;
	bool copied;
};

struct image_fsck *image_fsck_create(struct kunit *test, struct ram_disk *disk)
{
	struct image_fsck *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->disk = disk;
	f->nr_owners = disk->room >> SECTOR_BITS;
	f->owners = kunit_kcalloc(test, f->nr_owners, sizeof(*f->owners), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->owners);
	return f;
}

static __printf(2, 3) int bad(struct image_fsck *f, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, args);
	va_end(args);
	return -EUCLEAN;
}

static u64 word(const struct image_fsck *f, u64 host)
{
	return be64_to_cpup((__be64 *)(f->disk->data + host));
}

/* Only what is found by two L1 tables, or is a part of a cluster, may be found twice. */
static bool may_share(const struct image_fsck *f, const struct fsck_owner *owner,
		      const char *what)
{
	if (owner->what != what)
		return false;
	return what == compressed || ((what == data || what == l2_table) &&
				      owner->pass != f->pass);
}

static int claim(struct image_fsck *f, const char *what, u64 host, u64 len)
{
	u64 unit = 1ULL << f->unit_bits;
	u64 end = host + len;
	u64 i;

	if (what != compressed && host & (unit - 1))
		return bad(f, "%s at 0x%llx: not aligned", what, host);
	if (end > round_up(f->disk->bytes, what == data ? unit : SECTOR_SIZE))
		return bad(f, "%s at 0x%llx: the file ends at 0x%llx", what, host,
			   f->disk->bytes);
	for (i = host >> f->unit_bits; i < round_up(end, unit) >> f->unit_bits; i++) {
		struct fsck_owner *owner = &f->owners[i];

		if (owner->what && !may_share(f, owner, what))
			return bad(f, "%s at 0x%llx: lies over %s", what, host, owner->what);
		owner->what = what;
		owner->pass = f->pass;
		owner->refs++;
	}
	f->end = max(f->end, end);
	return 0;
}

static u64 clusters(const struct image_fsck *f, u64 bytes)
{
	return round_up(bytes, 1ULL << f->cluster_bits);
}

static u64 field(const u8 *p, u32 order, u64 idx)
{
	u64 count = 0;
	u32 i;

	if (order < 3)
		return p[(idx << order) / 8] >> ((idx << order) % 8) & ((1 << (1 << order)) - 1);
	for (i = 0; i < 1U << (order - 3); i++)
		count = count << 8 | p[(idx << (order - 3)) + i];
	return count;
}

static const struct qcow_disk_header *header_of(const struct image_fsck *f)
{
	return (const void *)f->disk->data;
}

static u64 counts_in_block(const struct image_fsck *f)
{
	return 8ULL << f->cluster_bits >> f->order;
}

/* The block that counts a cluster, 0: there is none. */
static u64 block_of(const struct image_fsck *f, u64 cluster)
{
	u64 table = be64_to_cpu(header_of(f)->refcount_table_offset);
	u64 bytes = (u64)be32_to_cpu(header_of(f)->refcount_table_clusters) << f->cluster_bits;
	u64 idx = div64_u64(cluster, counts_in_block(f));

	return idx < bytes / sizeof(__be64) ? word(f, table + idx * sizeof(__be64)) : 0;
}

static u64 count_of(const struct image_fsck *f, u64 cluster)
{
	u64 block = block_of(f, cluster);

	return block ? field(f->disk->data + block, f->order,
			     cluster & (counts_in_block(f) - 1)) : 0;
}

static int check_copied(struct image_fsck *f, const struct table *t, const char *what, u64 entry,
			u64 host)
{
	bool copied = entry & COPIED;
	u64 count;

	if (f->version == 1 || !t->copied)
		return 0;
	count = count_of(f, host >> f->cluster_bits);
	if (copied ? count == 1 : count != 1)
		return 0;
	return bad(f, "%s entry 0x%llx: the count is %llu", what, entry, count);
}

static int check_compressed(struct image_fsck *f, u64 entry)
{
	u32 shift = 62 - (f->cluster_bits - 8);
	u64 host = entry & (BIT_ULL(shift) - 1);
	u64 sectors = (entry & (COMPRESSED - 1)) >> shift;

	return claim(f, compressed, host, (sectors + 1) * SECTOR_SIZE - host % SECTOR_SIZE);
}

static int check_l2_entry(struct image_fsck *f, const struct table *t, u64 where)
{
	u64 entry = word(f, where);
	u64 bitmap = t->entry_bytes == 16 ? word(f, where + 8) : 0;
	u64 host = entry & HOST_MASK;
	int err;

	if (f->version == 1) {
		if (entry & V1_COMPRESSED)
			return bad(f, "compressed entry 0x%llx", entry);
		return entry ? claim(f, data, entry, 1ULL << f->cluster_bits) : 0;
	}
	if (entry & COMPRESSED)
		return check_compressed(f, entry);
	if (entry & ~(HOST_MASK | COPIED | (f->version > 2 && t->entry_bytes == 8 ? ZERO : 0)))
		return bad(f, "L2 entry 0x%llx: reserved bits", entry);
	if ((bitmap & (bitmap >> 32) & U32_MAX) || ((bitmap & U32_MAX) && !host))
		return bad(f, "L2 entry 0x%llx: bitmap 0x%llx", entry, bitmap);
	if (!host)
		return entry & COPIED ? bad(f, "L2 entry 0x%llx: of nothing", entry) : 0;
	err = claim(f, data, host, 1ULL << f->cluster_bits);
	return err ?: check_copied(f, t, "L2", entry, host);
}

static int check_l2(struct image_fsck *f, const struct table *t, u64 host)
{
	u64 i;
	int err = claim(f, l2_table, host, t->l2_entries * t->entry_bytes);

	for (i = 0; i < t->l2_entries && !err; i++)
		err = check_l2_entry(f, t, host + i * t->entry_bytes);
	return err;
}

static int check_l1(struct image_fsck *f, const struct table *t)
{
	u64 i;
	int err = 0;

	f->pass++;
	for (i = 0; i < t->entries && !err; i++) {
		u64 entry = word(f, t->host + i * sizeof(__be64));
		u64 host = entry & ~COPIED;

		if (!entry)
			continue;
		err = check_copied(f, t, "L1", entry, host);
		if (!err)
			err = check_l2(f, t, host);
	}
	return err;
}

static int check_blocks(struct image_fsck *f)
{
	u64 table = be64_to_cpu(header_of(f)->refcount_table_offset);
	u64 bytes = (u64)be32_to_cpu(header_of(f)->refcount_table_clusters) << f->cluster_bits;
	u64 i;
	int err = claim(f, "refcount table", table, bytes);

	for (i = 0; i < bytes / sizeof(__be64) && !err; i++) {
		u64 block = word(f, table + i * sizeof(__be64));

		if (block)
			err = claim(f, "refcount block", block, 1ULL << f->cluster_bits);
	}
	return err;
}

/* One snapshot, without VM state. Return: 0 and where the next one is in @pos, or -EUCLEAN. */
static int check_snapshot(struct image_fsck *f, struct table *t, u64 *pos)
{
	const struct qcow_disk_snapshot *s = (const void *)(f->disk->data + *pos);
	int err;

	t->host = be64_to_cpu(s->l1_offset);
	t->entries = be32_to_cpu(s->l1_entries);
	t->copied = false;
	*pos = round_up(*pos + sizeof(*s) + be32_to_cpu(s->extra_len) + be16_to_cpu(s->id_len) +
			be16_to_cpu(s->name_len), 8);
	err = claim(f, "L1 table of a snapshot", t->host, clusters(f, t->entries * sizeof(__be64)));
	return err ?: check_l1(f, t);
}

static int check_snapshots(struct image_fsck *f, struct table *t)
{
	u64 begin = be64_to_cpu(header_of(f)->snapshots_offset);
	u32 nr = be32_to_cpu(header_of(f)->nr_snapshots);
	u64 pos = begin;
	int err = 0;

	while (nr-- && !err)
		err = check_snapshot(f, t, &pos);
	if (!err && pos > begin)
		err = claim(f, "snapshot table", begin, clusters(f, pos - begin));
	return err;
}

/* One bitmap. Return: 0 and where the next entry is in @pos, or -EUCLEAN. */
static int check_bitmap(struct image_fsck *f, u64 *pos)
{
	const struct qcow_disk_bitmap *b = (const void *)(f->disk->data + *pos);
	u64 table = be64_to_cpu(b->table_offset), entry, i;
	u32 entries = be32_to_cpu(b->table_entries);
	int err = claim(f, "bitmap table", table, clusters(f, entries * sizeof(__be64)));

	for (i = 0; i < entries && !err; i++) {
		entry = word(f, table + i * sizeof(__be64));
		if (entry & ~(u64)HOST_MASK && entry != 1)
			return bad(f, "bitmap table entry 0x%llx", entry);
		if (entry & HOST_MASK)
			err = claim(f, "bitmap", entry, 1ULL << f->cluster_bits);
	}
	*pos = round_up(*pos + sizeof(*b) + be32_to_cpu(b->extra_len) + be16_to_cpu(b->name_len),
			8);
	return err;
}

const struct qcow_disk_bitmaps *image_fsck_find_bitmaps(const struct ram_disk *disk)
{
	const struct qcow_disk_header *h = (const void *)disk->data;
	const struct qcow_disk_ext *ext;
	u64 pos;

	if (be32_to_cpu(h->version) < 3 ||
	    !(be64_to_cpu(h->autoclear_features) & QCOW_AUTOCLEAR_BITMAPS))
		return NULL;
	pos = be32_to_cpu(h->header_length);
	do {
		ext = (const void *)(disk->data + pos);
		if (be32_to_cpu(ext->type) == QCOW_EXT_BITMAPS)
			return (const void *)(ext + 1);
		pos += sizeof(*ext) + round_up(be32_to_cpu(ext->len), 8);
	} while (ext->type);
	return NULL;
}

static int check_bitmaps(struct image_fsck *f)
{
	const struct qcow_disk_bitmaps *bitmaps = image_fsck_find_bitmaps(f->disk);
	u64 begin, pos;
	u32 nr;
	int err = 0;

	if (!bitmaps) {
		if (f->version > 2 && be64_to_cpu(header_of(f)->autoclear_features) &
		    QCOW_AUTOCLEAR_BITMAPS)
			return bad(f, "no header extension of bitmaps");
		return 0;
	}
	nr = be32_to_cpu(bitmaps->nr);
	begin = be64_to_cpu(bitmaps->dir_offset);
	pos = begin;
	if (!nr)
		return bad(f, "a bitmap directory without bitmaps");
	while (nr-- && !err)
		err = check_bitmap(f, &pos);
	if (!err && pos != begin + be64_to_cpu(bitmaps->dir_bytes))
		return bad(f, "the bitmap directory ends at 0x%llx", pos);
	return err ?: claim(f, "bitmap directory", begin, clusters(f, pos - begin));
}

static int check_count(struct image_fsck *f, u64 cluster)
{
	const struct fsck_owner *owner = &f->owners[cluster];
	u64 count = count_of(f, cluster);

	if (count < owner->refs)
		return bad(f, "%s at 0x%llx: %u references, the count is %llu", owner->what,
			   cluster << f->cluster_bits, owner->refs, count);
	if (count > owner->refs)
		f->leaked += 1ULL << f->cluster_bits;
	return 0;
}

/* Clusters beyond the end of the file may be counted, too: its growth may be lost. */
static int check_counts(struct image_fsck *f)
{
	u64 max = f->disk->room >> f->cluster_bits;
	u64 i = 0;
	int err = 0;

	while (i < max && !err) {
		if (i >= f->nr && !block_of(f, i))
			i = round_up(i + 1, counts_in_block(f));
		else
			err = check_count(f, i++);
	}
	return err;
}

static int check_counted(struct image_fsck *f)
{
	const struct qcow_disk_header *h = header_of(f);
	bool extended = f->version > 2 && be64_to_cpu(h->incompatible_features) &
			QCOW_INCOMPAT_EXTENDED_L2;
	struct table t = {
		.host = be64_to_cpu(h->l1_offset), .entries = be32_to_cpu(h->l1_entries),
		.entry_bytes = extended ? 16 : 8, .copied = true,
	};
	int err;

	f->cluster_bits = be32_to_cpu(h->cluster_bits);
	f->unit_bits = f->cluster_bits;
	f->order = f->version > 2 ? be32_to_cpu(h->refcount_order) : 4;
	f->nr = clusters(f, f->disk->bytes) >> f->unit_bits;
	t.l2_entries = (1ULL << f->cluster_bits) / t.entry_bytes;

	err = claim(f, "header", 0, 1ULL << f->cluster_bits);
	if (!err)
		err = check_blocks(f);
	if (!err)
		err = claim(f, "L1 table", t.host, clusters(f, t.entries * sizeof(__be64)));
	if (!err)
		err = check_l1(f, &t);
	if (!err)
		err = check_snapshots(f, &t);
	if (!err)
		err = check_bitmaps(f);
	return err ?: check_counts(f);
}

/* Clusters of version 1 that nothing refers to, down to the end of the file. */
static void count_gaps(struct image_fsck *f)
{
	u64 units = 1ULL << (f->cluster_bits - f->unit_bits);
	u64 i, empty;

	for (i = 0; i + units <= f->nr; i += units) {
		for (empty = 0; empty < units && !f->owners[i + empty].what; empty++)
			;
		if (empty == units)
			f->leaked += 1ULL << f->cluster_bits;
	}
}

static int check_v1(struct image_fsck *f)
{
	const struct qcow_v1_disk_header *h = (const void *)f->disk->data;
	u64 bytes = be64_to_cpu(h->size), name = be64_to_cpu(h->backing_offset);
	struct table t = {
		.host = be64_to_cpu(h->l1_offset), .l2_entries = 1ULL << h->l2_bits,
		.entry_bytes = 8,
	};
	int err = 0;

	f->cluster_bits = h->cluster_bits;
	f->unit_bits = SECTOR_BITS;
	f->nr = round_up(f->disk->bytes, SECTOR_SIZE) >> f->unit_bits;
	t.entries = round_up(bytes, t.l2_entries << f->cluster_bits) >>
		    (h->l2_bits + h->cluster_bits);
	if (t.host >= SECTOR_SIZE)
		err = claim(f, "header", 0, sizeof(*h));
	if (!err)
		err = claim(f, "L1 table", round_down(t.host, SECTOR_SIZE),
			    t.host % SECTOR_SIZE + t.entries * sizeof(__be64));
	if (!err && name >= SECTOR_SIZE)
		err = claim(f, "backing file's name", name, be32_to_cpu(h->backing_size));
	if (!err)
		err = check_l1(f, &t);
	if (!err)
		count_gaps(f);
	return err;
}

int image_fsck(struct image_fsck *f)
{
	memset(f->owners, 0, f->nr_owners * sizeof(*f->owners));
	f->version = be32_to_cpu(header_of(f)->version);
	f->pass = 0;
	f->leaked = 0;
	f->end = 0;
	return f->version == 1 ? check_v1(f) : check_counted(f);
}
