// SPDX-License-Identifier: GPL-2.0
/*
 * The snapshot table: entries of every age, its end, what it refuses; entries that are made.
 */
#include <kunit/test.h>
#include <qcow/header.h>

#define BUF_BYTES	8192
#define TABLE		0x10000ULL
#define FILE_BYTES	BIT_ULL(40)

static const struct qcow_header base = {
	.version = 3, .cluster_bits = 16, .l2_bits = 13, .size = 12345 * 512, .length = 112,
	.nr_snapshots = 3, .snapshots_offset = TABLE,
};

static const struct qcow_disk_snapshot_extra full_extra = {
	.vm_state_bytes = cpu_to_be64(0x123456789ULL),
	.disk_bytes = cpu_to_be64(1ULL << 30),
	.icount = cpu_to_be64(77),
};

/**
 * struct entry - a snapshot to be
 * @l1_offset: of its L1 table
 * @l1_entries: of it
 * @extra_len: bytes of extra data, the first of them full_extra
 * @id: its id
 * @name: its name
 */
struct entry {
	u64 l1_offset;
	u32 l1_entries;
	u32 extra_len;
	const char *id;
	const char *name;
};

static size_t put_entry(u8 *buf, size_t at, const struct entry *entry)
{
	struct qcow_disk_snapshot disk = {
		.l1_offset = cpu_to_be64(entry->l1_offset),
		.l1_entries = cpu_to_be32(entry->l1_entries),
		.id_len = cpu_to_be16(strlen(entry->id)),
		.name_len = cpu_to_be16(strlen(entry->name)),
		.date_sec = cpu_to_be32(1700000000),
		.date_nsec = cpu_to_be32(5),
		.vm_clock_nsec = cpu_to_be64(6),
		.vm_state_bytes = cpu_to_be32(42),
		.extra_len = cpu_to_be32(entry->extra_len),
	};

	memcpy(buf + at, &disk, sizeof(disk));
	at += sizeof(disk);
	memcpy(buf + at, &full_extra, min_t(size_t, entry->extra_len, sizeof(full_extra)));
	at += entry->extra_len;
	memcpy(buf + at, entry->id, strlen(entry->id));
	at += strlen(entry->id);
	memcpy(buf + at, entry->name, strlen(entry->name));
	return at + strlen(entry->name);
}

static u8 *table(struct kunit *test)
{
	u8 *buf = kunit_kzalloc(test, BUF_BYTES, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	return buf;
}

static void walk_meets_all(struct kunit *test)
{
	const struct entry first = {
		.l1_offset = 0x20000, .l1_entries = 1, .extra_len = 24, .id = "1", .name = "one",
	};
	const struct entry second = {
		.l1_offset = 0x30000, .l1_entries = 2, .extra_len = 16, .id = "22", .name = "",
	};
	const struct entry third = { .id = "", .name = "three" };
	struct qcow_snapshot snap;
	u8 *buf = table(test);
	size_t pos = 0, end;
	u32 idx = 0;

	end = put_entry(buf, 0, &first);
	end = put_entry(buf, round_up(end, 8), &second);
	end = put_entry(buf, round_up(end, 8), &third);

	KUNIT_ASSERT_EQ(test, 1, qcow_snapshot_next(&base, FILE_BYTES, buf, end, &pos, &idx,
						    &snap, NULL));
	KUNIT_EXPECT_EQ(test, snap.l1_offset, 0x20000);
	KUNIT_EXPECT_EQ(test, snap.l1_entries, 1);
	KUNIT_EXPECT_EQ(test, snap.date_sec, 1700000000);
	KUNIT_EXPECT_EQ(test, snap.date_nsec, 5);
	KUNIT_EXPECT_EQ(test, snap.vm_clock_nsec, 6);
	KUNIT_EXPECT_EQ(test, snap.id_len, 1);
	KUNIT_EXPECT_EQ(test, memcmp(snap.id, "1", 1), 0);
	KUNIT_EXPECT_EQ(test, snap.name_len, 3);
	KUNIT_EXPECT_EQ(test, memcmp(snap.name, "one", 3), 0);
	KUNIT_EXPECT_EQ(test, idx, 1);

	KUNIT_ASSERT_EQ(test, 1, qcow_snapshot_next(&base, FILE_BYTES, buf, end, &pos, &idx,
						    &snap, NULL));
	KUNIT_EXPECT_EQ(test, snap.l1_entries, 2);
	KUNIT_EXPECT_EQ(test, snap.name_len, 0);

	/* Its end is the end of the bytes, without padding. */
	KUNIT_ASSERT_EQ(test, 1, qcow_snapshot_next(&base, FILE_BYTES, buf, end, &pos, &idx,
						    &snap, NULL));
	KUNIT_EXPECT_EQ(test, snap.id_len, 0);
	KUNIT_EXPECT_EQ(test, memcmp(snap.name, "three", 5), 0);
	KUNIT_EXPECT_EQ(test, 0, qcow_snapshot_next(&base, FILE_BYTES, buf, end, &pos, &idx,
						    &snap, NULL));
	KUNIT_EXPECT_EQ(test, idx, 3);
}

struct extra_case {
	const char *name;
	u32 extra_len;
	int ret;
	u64 vm_state_bytes;
	u64 disk_bytes;
	u64 icount;
};

static const struct extra_case extra_cases[] = {
	{ .name = "none", .extra_len = 0, .ret = 1, .vm_state_bytes = 42,
	  .disk_bytes = 12345 * 512, .icount = U64_MAX },
	{ .name = "7", .extra_len = 7, .ret = 1, .vm_state_bytes = 42,
	  .disk_bytes = 12345 * 512, .icount = U64_MAX },
	{ .name = "8", .extra_len = 8, .ret = 1, .vm_state_bytes = 0x123456789,
	  .disk_bytes = 12345 * 512, .icount = U64_MAX },
	{ .name = "15", .extra_len = 15, .ret = 1, .vm_state_bytes = 0x123456789,
	  .disk_bytes = 12345 * 512, .icount = U64_MAX },
	{ .name = "16", .extra_len = 16, .ret = 1, .vm_state_bytes = 0x123456789,
	  .disk_bytes = 1 << 30, .icount = U64_MAX },
	{ .name = "23", .extra_len = 23, .ret = 1, .vm_state_bytes = 0x123456789,
	  .disk_bytes = 1 << 30, .icount = U64_MAX },
	{ .name = "24", .extra_len = 24, .ret = 1, .vm_state_bytes = 0x123456789,
	  .disk_bytes = 1 << 30, .icount = 77 },
	{ .name = "1023", .extra_len = 1023, .ret = 1, .vm_state_bytes = 0x123456789,
	  .disk_bytes = 1 << 30, .icount = 77 },
	{ .name = "1024", .extra_len = 1024, .ret = 1, .vm_state_bytes = 0x123456789,
	  .disk_bytes = 1 << 30, .icount = 77 },
	{ .name = "1025", .extra_len = 1025, .ret = -EFBIG },
	{ .name = "overflowing", .extra_len = 0xffffffff, .ret = -EFBIG },
};

static void extra_desc(const struct extra_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(extra, extra_cases, extra_desc);

static void extra_data_of_every_age(struct kunit *test)
{
	const struct extra_case *c = test->param_value;
	struct entry entry = { .extra_len = min(c->extra_len, 2000U), .id = "i", .name = "n" };
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_disk_snapshot *disk;
	struct qcow_snapshot snap;
	u8 *buf = table(test);
	size_t pos = 0;
	u32 idx = 0;

	put_entry(buf, 0, &entry);
	disk = (struct qcow_disk_snapshot *)buf;
	disk->extra_len = cpu_to_be32(c->extra_len);
	KUNIT_ASSERT_EQ(test, c->ret, qcow_snapshot_next(&base, FILE_BYTES, buf, BUF_BYTES, &pos,
							 &idx, &snap, &rep));
	if (c->ret < 0) {
		KUNIT_EXPECT_NOT_NULL(test, strstr(text, "snapshot table entry 0"));
		KUNIT_EXPECT_NOT_NULL(test, strstr(text, "extra data"));
		return;
	}
	KUNIT_EXPECT_EQ(test, snap.vm_state_bytes, c->vm_state_bytes);
	KUNIT_EXPECT_EQ(test, snap.disk_bytes, c->disk_bytes);
	KUNIT_EXPECT_EQ(test, snap.icount, c->icount);
	KUNIT_EXPECT_EQ(test, snap.id[0], 'i');
	KUNIT_EXPECT_EQ(test, snap.name[0], 'n');
}

/* Whatever is missing, the same call with more bytes goes on. */
static void walk_asks_for_more(struct kunit *test)
{
	const struct entry entry = { .extra_len = 16, .id = "12", .name = "abc" };
	struct qcow_snapshot snap;
	u8 *buf = table(test);
	size_t pos = 0, len, end;
	u32 idx = 0;

	end = put_entry(buf, 0, &entry);
	for (len = 0; len < end; len++)
		KUNIT_ASSERT_EQ(test, -EAGAIN, qcow_snapshot_next(&base, FILE_BYTES, buf, len,
								  &pos, &idx, &snap, NULL));
	KUNIT_EXPECT_EQ(test, pos, 0);
	KUNIT_EXPECT_EQ(test, idx, 0);
	KUNIT_EXPECT_EQ(test, 1, qcow_snapshot_next(&base, FILE_BYTES, buf, len, &pos, &idx,
						    &snap, NULL));
}

/**
 * struct refuse_case - an entry and what the walk says of it
 * @name: of the case
 * @entry: the entry
 * @disk_bytes: virtual size in its extra data, 0: as in full_extra
 * @file_bytes: length of the file, 0: FILE_BYTES
 * @pos: where the walk is
 * @ret: of the step
 * @says: part of the message
 */
struct refuse_case {
	const char *name;
	struct entry entry;
	u64 disk_bytes;
	u64 file_bytes;
	size_t pos;
	int ret;
	const char *says;
};

#define ENTRY(...) { .extra_len = 16, .id = "1", .name = "a", __VA_ARGS__ }
#define ENTRY_BYTES	(40 + 16 + 2)

static const struct refuse_case refuse_cases[] = {
	{ .name = "L1 unaligned", .entry = ENTRY(.l1_offset = 0x20200, .l1_entries = 1),
	  .ret = -EINVAL, .says = "L1 table offset 0x20200" },
	{ .name = "L1 over the header", .entry = ENTRY(.l1_offset = 0, .l1_entries = 1),
	  .ret = -EINVAL, .says = "L1 table offset 0x0" },
	{ .name = "L1 of nothing", .entry = ENTRY(.l1_offset = 0), .ret = 1 },
	{ .name = "L1 below the limit",
	  .entry = ENTRY(.l1_offset = 0x20000, .l1_entries = 4194303), .ret = 1 },
	{ .name = "L1 at the limit",
	  .entry = ENTRY(.l1_offset = 0x20000, .l1_entries = 4194304), .ret = 1 },
	{ .name = "L1 above the limit",
	  .entry = ENTRY(.l1_offset = 0x20000, .l1_entries = 4194305),
	  .ret = -EFBIG, .says = "L1 table has 4194305 entries" },
	{ .name = "L1 at the end", .entry = ENTRY(.l1_offset = 0x20000, .l1_entries = 2),
	  .file_bytes = 0x20010, .ret = 1 },
	{ .name = "L1 beyond the end", .entry = ENTRY(.l1_offset = 0x20000, .l1_entries = 2),
	  .file_bytes = 0x2000f, .ret = -EUCLEAN, .says = "L1 table offset 0x20000" },
	{ .name = "size at the limit", .entry = ENTRY(), .disk_bytes = 1ULL << 51, .ret = 1 },
	{ .name = "size above the limit", .entry = ENTRY(), .disk_bytes = (1ULL << 51) + 1,
	  .ret = -EFBIG, .says = "size 2251799813685249" },
	{ .name = "size overflows", .entry = ENTRY(), .disk_bytes = U64_MAX,
	  .ret = -EFBIG, .says = "size is 18446744073709551615" },
	{ .name = "ends with the file", .entry = ENTRY(), .file_bytes = TABLE + ENTRY_BYTES,
	  .ret = 1 },
	{ .name = "one byte beyond the file", .entry = ENTRY(),
	  .file_bytes = TABLE + ENTRY_BYTES - 1, .ret = -EUCLEAN,
	  .says = "snapshot table entry 0 reaches beyond the end" },
	{ .name = "head beyond the file", .entry = ENTRY(), .file_bytes = TABLE + 39,
	  .ret = -EUCLEAN, .says = "snapshot table entry 0 reaches beyond the end" },
	{ .name = "table beyond the file", .entry = ENTRY(), .file_bytes = TABLE - 1,
	  .ret = -EUCLEAN, .says = "snapshot table entry 0 reaches beyond the end" },
	{ .name = "below the table's limit", .entry = ENTRY(), .ret = -EAGAIN,
	  .pos = QCOW_MAX_SNAPSHOT_TABLE_BYTES - 48 },
	{ .name = "at the table's limit", .entry = ENTRY(), .ret = -EAGAIN,
	  .pos = QCOW_MAX_SNAPSHOT_TABLE_BYTES - 40 },
	{ .name = "above the table's limit", .entry = ENTRY(), .ret = -EFBIG,
	  .pos = QCOW_MAX_SNAPSHOT_TABLE_BYTES - 32, .says = "snapshot table has 67108872 bytes" },
};

static void refuse_desc(const struct refuse_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(refuse, refuse_cases, refuse_desc);

static void walk_judges(struct kunit *test)
{
	const struct refuse_case *c = test->param_value;
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_disk_snapshot_extra *extra;
	struct qcow_snapshot snap;
	u8 *buf = table(test);
	size_t pos = c->pos;
	u32 idx = 0;

	put_entry(buf, 0, &c->entry);
	extra = (struct qcow_disk_snapshot_extra *)(buf + sizeof(struct qcow_disk_snapshot));
	if (c->disk_bytes)
		extra->disk_bytes = cpu_to_be64(c->disk_bytes);
	KUNIT_EXPECT_EQ(test, c->ret, qcow_snapshot_next(&base, c->file_bytes ?: FILE_BYTES, buf,
							 BUF_BYTES, &pos, &idx, &snap, &rep));
	if (c->says)
		KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, c->says), "it says: %s", text);
	else
		KUNIT_EXPECT_STREQ(test, text, "");
	if (c->ret < 0)
		KUNIT_EXPECT_EQ(test, idx, 0);
}

static void check_same(struct kunit *test, const struct qcow_snapshot *a,
		       const struct qcow_snapshot *b)
{
	KUNIT_EXPECT_EQ(test, a->l1_offset, b->l1_offset);
	KUNIT_EXPECT_EQ(test, a->l1_entries, b->l1_entries);
	KUNIT_EXPECT_EQ(test, a->disk_bytes, b->disk_bytes);
	KUNIT_EXPECT_EQ(test, a->vm_state_bytes, b->vm_state_bytes);
	KUNIT_EXPECT_EQ(test, a->date_sec, b->date_sec);
	KUNIT_EXPECT_EQ(test, a->date_nsec, b->date_nsec);
	KUNIT_EXPECT_EQ(test, a->vm_clock_nsec, b->vm_clock_nsec);
	KUNIT_EXPECT_EQ(test, a->icount, b->icount);
	KUNIT_ASSERT_EQ(test, a->id_len, b->id_len);
	KUNIT_EXPECT_EQ(test, 0, memcmp(a->id, b->id, a->id_len));
	KUNIT_ASSERT_EQ(test, a->name_len, b->name_len);
	KUNIT_EXPECT_EQ(test, 0, memcmp(a->name, b->name, a->name_len));
}

/* What was put is what the walk meets, and nothing behind it changes. */
static void put_is_met(struct kunit *test)
{
	const struct qcow_snapshot snaps[] = {
		{ .l1_offset = 0x20000, .l1_entries = 3, .disk_bytes = 5 << 20,
		  .vm_state_bytes = 0x1ffffffffULL, .date_sec = 0xf0000001, .date_nsec = 999999999,
		  .vm_clock_nsec = 0x8000000000000001ULL, .icount = 0x123456789abULL, .id = "12",
		  .id_len = 2, .name = "before the change", .name_len = 17 },
		{ .disk_bytes = 512, .icount = U64_MAX, .id = "", .name = "" },
		{ .l1_offset = 0x30000, .l1_entries = 1, .vm_state_bytes = U32_MAX, .id = "x",
		  .id_len = 1, .name = "n", .name_len = 1 },
	};
	struct qcow_snapshot snap;
	u8 *buf = table(test);
	size_t pos = 0, end = 0, i;
	u32 idx = 0;

	for (i = 0; i < ARRAY_SIZE(snaps); i++) {
		end = round_up(end, 8);
		buf[end + qcow_snapshot_bytes(&snaps[i])] = 0x5a;
		qcow_snapshot_put(&snaps[i], buf + end);
		end += qcow_snapshot_bytes(&snaps[i]);
		KUNIT_EXPECT_EQ(test, buf[end], 0x5a);
	}
	for (i = 0; i < ARRAY_SIZE(snaps); i++) {
		KUNIT_ASSERT_EQ(test, 1, qcow_snapshot_next(&base, FILE_BYTES, buf, end, &pos,
							    &idx, &snap, NULL));
		check_same(test, &snap, &snaps[i]);
	}
	KUNIT_EXPECT_EQ(test, round_up(end, 8), pos);
}

/* A program that reads no extra data must not take a part of a VM state for the whole. */
static void put_long_vm_state(struct kunit *test)
{
	struct qcow_snapshot snap = { .vm_state_bytes = U32_MAX, .id = "", .name = "" };
	const struct qcow_disk_snapshot *disk;
	u8 *buf = table(test);

	disk = (const struct qcow_disk_snapshot *)buf;
	qcow_snapshot_put(&snap, buf);
	KUNIT_EXPECT_EQ(test, be32_to_cpu(disk->vm_state_bytes), U32_MAX);
	snap.vm_state_bytes++;
	qcow_snapshot_put(&snap, buf);
	KUNIT_EXPECT_EQ(test, be32_to_cpu(disk->vm_state_bytes), 0);
}

struct id_case {
	const char *name;
	const char *id;
	u64 number;
};

static const struct id_case id_cases[] = {
	{ .name = "empty", .id = "", .number = 0 },
	{ .name = "number", .id = "10", .number = 10 },
	{ .name = "text", .id = "x1", .number = 0 },
	{ .name = "number and text", .id = "7x9", .number = 7 },
	{ .name = "zeros", .id = "0012", .number = 12 },
	{ .name = "below the largest", .id = "18446744073709551614", .number = U64_MAX - 1 },
	{ .name = "largest", .id = "18446744073709551615", .number = U64_MAX },
	{ .name = "above the largest", .id = "18446744073709551616", .number = U64_MAX },
	{ .name = "far above", .id = "99999999999999999999999", .number = U64_MAX },
};

static void id_desc(const struct id_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(id, id_cases, id_desc);

static void id_has_a_number(struct kunit *test)
{
	const struct id_case *c = test->param_value;
	const struct qcow_snapshot snap = { .id = c->id, .id_len = strlen(c->id) };

	KUNIT_EXPECT_EQ(test, c->number, qcow_snapshot_id_number(&snap));
}

static struct kunit_case snapshot_cases[] = {
	KUNIT_CASE(walk_meets_all),
	KUNIT_CASE_PARAM(extra_data_of_every_age, extra_gen_params),
	KUNIT_CASE(walk_asks_for_more),
	KUNIT_CASE_PARAM(walk_judges, refuse_gen_params),
	KUNIT_CASE(put_is_met),
	KUNIT_CASE(put_long_vm_state),
	KUNIT_CASE_PARAM(id_has_a_number, id_gen_params),
	{}
};

static struct kunit_suite snapshot_suite = {
	.name = "qcow_format_snapshot",
	.test_cases = snapshot_cases,
};

kunit_test_suite(snapshot_suite);
