// SPDX-License-Identifier: GPL-2.0
/*
 * Persistent bitmaps: where their directory may be, each field of its entries, what is marked.
 */
#include <kunit/test.h>
#include <qcow/bitmap.h>

#define CLUSTER		512
#define START		QCOW_V3_HEADER_BYTES
#define DIR		(4ULL * CLUSTER)
#define CLUSTERS	8192ULL
#define FILE_BYTES	(CLUSTERS * CLUSTER)

static const struct qcow_header base = {
	.version = 3, .cluster_bits = 9, .l2_bits = 6, .length = START,
	.autoclear = QCOW_AUTOCLEAR_BITMAPS,
};

struct dir_case {
	const char *name;
	u32 type;
	u32 nr;
	u32 reserved;
	u64 bytes;
	u64 offset;
	int err;
	const char *says;
};

static const struct dir_case dir_cases[] = {
	{ .name = "good", .nr = 2, .bytes = 64, .offset = DIR },
	{ .name = "no extension", .type = 0x1badf00d, .err = -EINVAL, .says = "no header ext" },
	{ .name = "no bitmap", .nr = 0, .bytes = 64, .offset = DIR, .err = -EINVAL,
	  .says = "0 bitmaps" },
	{ .name = "65535", .nr = 65535, .bytes = 65535 * 24, .offset = DIR },
	{ .name = "65536", .nr = 65536, .bytes = 65536 * 24, .offset = DIR, .err = -EINVAL,
	  .says = "65536 bitmaps" },
	{ .name = "too short", .nr = 2, .bytes = 47, .offset = DIR, .err = -EINVAL,
	  .says = "47 bytes is too short for 2" },
	{ .name = "just long enough", .nr = 2, .bytes = 48, .offset = DIR },
	{ .name = "reserved", .nr = 1, .reserved = 1, .bytes = 64, .offset = DIR, .err = -EINVAL,
	  .says = "reserved field 0x1" },
	{ .name = "not aligned", .nr = 1, .bytes = 64, .offset = DIR + 8, .err = -EINVAL,
	  .says = "bitmap directory offset 0x808" },
	{ .name = "over the header", .nr = 1, .bytes = 64, .offset = 0, .err = -EINVAL,
	  .says = "over the header" },
	{ .name = "to the end", .nr = 1, .bytes = CLUSTER, .offset = FILE_BYTES - CLUSTER },
	{ .name = "beyond the end", .nr = 1, .bytes = CLUSTER + 1, .offset = FILE_BYTES - CLUSTER,
	  .err = -EUCLEAN, .says = "beyond the file's end" },
	{ .name = "overflow", .nr = 1, .bytes = 64, .offset = 0xfffffffffffffe00ULL,
	  .err = -EINVAL, .says = "beyond the file's end" },
	{ .name = "too long", .nr = 1, .bytes = QCOW_MAX_BITMAP_DIR_BYTES + 1, .offset = DIR,
	  .err = -EFBIG, .says = "entries, at most" },
};

static void dir_desc(const struct dir_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(dir, dir_cases, dir_desc);

static void directory_is_where_it_may_be(struct kunit *test)
{
	const struct dir_case *c = test->param_value;
	struct qcow_disk_ext ext = {
		.type = cpu_to_be32(c->type ?: QCOW_EXT_BITMAPS),
		.len = cpu_to_be32(sizeof(struct qcow_disk_bitmaps)),
	};
	struct qcow_disk_bitmaps disk = {
		.nr = cpu_to_be32(c->nr), .reserved = cpu_to_be32(c->reserved),
		.dir_bytes = cpu_to_be64(c->bytes), .dir_offset = cpu_to_be64(c->offset),
	};
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_bitmaps_dir dir = {};
	u8 *buf = kunit_kzalloc(test, CLUSTER, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	memcpy(buf + START, &ext, sizeof(ext));
	memcpy(buf + START + sizeof(ext), &disk, sizeof(disk));
	KUNIT_ASSERT_EQ_MSG(test, c->err, qcow_bitmaps_find_dir(&base, buf, CLUSTER, FILE_BYTES,
								&dir, &rep), "%s", text);
	if (c->err) {
		KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, c->says), "%s", text);
		return;
	}
	KUNIT_EXPECT_EQ(test, dir.nr, c->nr);
	KUNIT_EXPECT_EQ(test, dir.bytes, c->bytes);
	KUNIT_EXPECT_EQ(test, dir.host_offset, c->offset);
}

#define BUF_BYTES	2048

static u8 *directory(struct kunit *test)
{
	u8 *buf = kunit_kzalloc(test, BUF_BYTES, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	return buf;
}

/* A good entry. */
static struct qcow_disk_bitmap *put_entry(u8 *buf, size_t at, u32 flags)
{
	struct qcow_disk_bitmap *disk = (void *)(buf + at);

	*disk = (struct qcow_disk_bitmap) {
		.table_offset = cpu_to_be64(8 * CLUSTER),
		.table_entries = cpu_to_be32(4),
		.flags = cpu_to_be32(flags),
		.type = QCOW_BITMAP_DIRTY_TRACKING,
		.granularity_bits = 16,
		.name_len = cpu_to_be16(3),
	};
	return disk;
}

/* Extra data and name of an entry; returns where the next one goes. */
static size_t put_texts(u8 *buf, size_t at)
{
	const struct qcow_disk_bitmap *disk = (void *)(buf + at);
	u32 extra_len = be32_to_cpu(disk->extra_len);
	u32 name_len = be16_to_cpu(disk->name_len);

	at += sizeof(*disk);
	if (extra_len < BUF_BYTES) {
		memset(buf + at, 'e', extra_len);
		memset(buf + at + extra_len, 'n', name_len);
	}
	return round_up(at + (u64)extra_len + name_len, 8);
}

/**
 * struct entry_case - a directory with one entry
 * @name: of the case
 * @at: a field of the entry, in layout
 * @width: its bytes, 0: none
 * @value: what it is
 * @cut: bytes that the directory is too short
 * @more: bytes that it is too long
 * @says: what is wrong with it, NULL: nothing
 */
struct entry_case {
	const char *name;
	const void *at;
	size_t width;
	u64 value;
	u64 cut;
	u64 more;
	const char *says;
};

static const struct qcow_disk_bitmap layout;

#define FIELD(place, to)	.at = &(place), .width = sizeof(place), .value = (to)

static const struct entry_case entry_cases[] = {
	{ .name = "good" },
	{ .name = "extra data", FIELD(layout.extra_len, 13) },
	{ .name = "all flags", FIELD(layout.flags, 7) },
	{ .name = "reserved flag", FIELD(layout.flags, 8), .says = "reserved flags 0x8" },
	{ .name = "type 0", FIELD(layout.type, 0), .says = "type 0x0" },
	{ .name = "type 2", FIELD(layout.type, 2), .says = "type 0x2" },
	{ .name = "granularity 0", FIELD(layout.granularity_bits, 0) },
	{ .name = "granularity 63", FIELD(layout.granularity_bits, 63) },
	{ .name = "granularity 64", FIELD(layout.granularity_bits, 64),
	  .says = "granularity_bits 0x40" },
	{ .name = "no name", FIELD(layout.name_len, 0), .says = "name_size 0x0" },
	{ .name = "name of 1023", FIELD(layout.name_len, 1023) },
	{ .name = "name of 1024", FIELD(layout.name_len, 1024), .says = "name_size 0x400" },
	{ .name = "no table", FIELD(layout.table_entries, 0), .says = "bitmap_table_size 0x0" },
	{ .name = "table over the header", FIELD(layout.table_offset, 0),
	  .says = "over the header" },
	{ .name = "table not aligned", FIELD(layout.table_offset, 8 * CLUSTER + 8),
	  .says = "no multiple of the cluster size" },
	{ .name = "table to the end",
	  FIELD(layout.table_entries, (FILE_BYTES - 8 * CLUSTER) / 8) },
	{ .name = "table beyond the end",
	  FIELD(layout.table_entries, (FILE_BYTES - 8 * CLUSTER) / 8 + 1),
	  .says = "beyond the file's end" },
	{ .name = "long table", FIELD(layout.table_entries, QCOW_MAX_BITMAP_TABLE_ENTRIES + 1),
	  .says = "at most 134217728" },
	{ .name = "cut in the entry", .cut = 9, .says = "the directory ends before it" },
	{ .name = "cut in the name", .cut = 1, .says = "the directory ends within it" },
	{ .name = "extra data beyond all", FIELD(layout.extra_len, U32_MAX), .cut = 1ULL << 32,
	  .says = "the directory ends within it" },
	{ .name = "more", .more = 8, .says = "bytes that are left: 0x8" },
};

static void entry_desc(const struct entry_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(entry, entry_cases, entry_desc);

static void each_field_is_checked(struct kunit *test)
{
	const struct entry_case *c = test->param_value;
	__be64 value = cpu_to_be64(c->value);
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_bitmaps_dir dir = { .host_offset = DIR, .nr = 1 };
	struct qcow_disk_bitmap *disk;
	struct qcow_bitmap bitmap;
	u8 *buf = directory(test);
	size_t pos = 0;
	u32 idx = 0;
	int ret;

	disk = put_entry(buf, 0, QCOW_BITMAP_AUTO);
	if (c->at)
		memcpy(buf + (c->at - (const void *)&layout),
		       (u8 *)&value + sizeof(value) - c->width, c->width);
	dir.bytes = put_texts(buf, 0) - c->cut + c->more;
	ret = qcow_bitmap_next(&base, &dir, FILE_BYTES, buf, &pos, &idx, &bitmap, &rep);
	if (ret == 1) {
		KUNIT_EXPECT_EQ(test, bitmap.table_offset, be64_to_cpu(disk->table_offset));
		KUNIT_EXPECT_EQ(test, bitmap.table_entries, be32_to_cpu(disk->table_entries));
		KUNIT_EXPECT_EQ(test, bitmap.flags, be32_to_cpu(disk->flags));
		KUNIT_EXPECT_EQ(test, bitmap.granularity_bits, disk->granularity_bits);
		KUNIT_EXPECT_EQ(test, bitmap.name_len, be16_to_cpu(disk->name_len));
		KUNIT_EXPECT_EQ(test, bitmap.name[0], 'n');
		KUNIT_EXPECT_EQ(test, bitmap.name[bitmap.name_len - 1], 'n');
		ret = qcow_bitmap_next(&base, &dir, FILE_BYTES, buf, &pos, &idx, &bitmap, &rep);
	}
	if (!c->says) {
		KUNIT_EXPECT_EQ_MSG(test, ret, 0, "%s", text);
		return;
	}
	KUNIT_EXPECT_LT(test, ret, 0);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, c->says), "%s", text);
}

/* Enabled ones, once; what is beside their flags stays. */
static void enabled_ones_are_marked(struct kunit *test)
{
	static const u32 flags[] = { 2, 0, 3, 1, 6 };
	static const u32 marked[] = { 3, 0, 3, 1, 7 };
	struct qcow_bitmaps_dir dir = { .host_offset = DIR, .nr = ARRAY_SIZE(flags) };
	struct qcow_bitmap bitmap;
	u8 *buf = directory(test);
	u8 *was = directory(test);
	unsigned int i, changed = 0;
	size_t pos = 0;
	u32 idx = 0;

	for (i = 0; i < dir.nr; i++) {
		put_entry(buf, dir.bytes, flags[i])->extra_len = cpu_to_be32(5 * i);
		dir.bytes = put_texts(buf, dir.bytes);
	}
	memcpy(was, buf, BUF_BYTES);
	KUNIT_EXPECT_EQ(test, 2, qcow_bitmap_mark_in_use(&dir, buf));
	for (i = 0; i < dir.nr; i++) {
		KUNIT_ASSERT_EQ(test, 1, qcow_bitmap_next(&base, &dir, FILE_BYTES, buf, &pos, &idx,
							  &bitmap, NULL));
		KUNIT_EXPECT_EQ(test, bitmap.flags, marked[i]);
	}
	for (i = 0; i < BUF_BYTES; i++)
		changed += buf[i] != was[i];
	KUNIT_EXPECT_EQ(test, changed, 2);
	KUNIT_EXPECT_EQ(test, 0, qcow_bitmap_mark_in_use(&dir, buf));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(directory_is_where_it_may_be, dir_gen_params),
	KUNIT_CASE_PARAM(each_field_is_checked, entry_gen_params),
	KUNIT_CASE(enabled_ones_are_marked),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_format_bitmap",
	.test_cases = cases,
};

kunit_test_suite(suite);
