// SPDX-License-Identifier: GPL-2.0
/*
 * Header extensions: where the walk ends, what it refuses, names out of the feature table.
 */
#include <kunit/test.h>
#include <qcow/header.h>

#define CLUSTER		512
#define START		QCOW_V2_HEADER_BYTES
#define ROOM		(CLUSTER - START)

static const struct qcow_header base = {
	.version = 2, .cluster_bits = 9, .l2_bits = 6, .length = START,
};

static void put_be32(u8 *to, u32 value)
{
	to[0] = value >> 24;
	to[1] = value >> 16;
	to[2] = value >> 8;
	to[3] = value;
}

/* One extension without data; returns where the next one goes. */
static size_t put_ext(u8 *buf, size_t at, u32 type, u32 len)
{
	put_be32(buf + at, type);
	put_be32(buf + at + 4, len);
	return at + 8 + round_up(len, 8);
}

static u8 *image(struct kunit *test)
{
	u8 *buf = kunit_kzalloc(test, CLUSTER, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	return buf;
}

static void walk_meets_all(struct kunit *test)
{
	u8 *buf = image(test);
	struct qcow_ext ext;
	size_t at, pos = 0;

	at = put_ext(buf, START, QCOW_EXT_BACKING_FORMAT, 5);
	memcpy(buf + START + 8, "qcow2", 5);
	at = put_ext(buf, at, 0xdeadbeef, 0);
	at = put_ext(buf, at, QCOW_EXT_DATA_FILE, 8);
	put_ext(buf, at, QCOW_EXT_END, 0);

	KUNIT_ASSERT_EQ(test, 1, qcow_ext_next(&base, buf, CLUSTER, &pos, &ext, NULL));
	KUNIT_EXPECT_EQ(test, ext.type, QCOW_EXT_BACKING_FORMAT);
	KUNIT_EXPECT_EQ(test, ext.len, 5);
	KUNIT_EXPECT_PTR_EQ(test, ext.data, (const void *)(buf + START + 8));
	KUNIT_ASSERT_EQ(test, 1, qcow_ext_next(&base, buf, CLUSTER, &pos, &ext, NULL));
	KUNIT_EXPECT_EQ(test, ext.type, 0xdeadbeefU);
	KUNIT_EXPECT_EQ(test, ext.len, 0);
	KUNIT_ASSERT_EQ(test, 1, qcow_ext_next(&base, buf, CLUSTER, &pos, &ext, NULL));
	KUNIT_EXPECT_EQ(test, ext.type, QCOW_EXT_DATA_FILE);
	KUNIT_EXPECT_EQ(test, ext.len, 8);
	KUNIT_EXPECT_EQ(test, 0, qcow_ext_next(&base, buf, CLUSTER, &pos, &ext, NULL));
	KUNIT_EXPECT_EQ(test, 0, qcow_ext_next(&base, buf, CLUSTER, &pos, &ext, NULL));
}

/**
 * struct walk_case - one extension and how the walk goes
 * @name: of the case
 * @version: of the header, 0: 2
 * @type: of the extension
 * @len: of the extension
 * @crypt_method: in the header
 * @backing_offset: in the header
 * @see: bytes of the file that are there, 0: a cluster
 * @ret: of the first step
 * @says: part of the message
 */
struct walk_case {
	const char *name;
	u32 version;
	u32 type;
	u32 len;
	u32 crypt_method;
	u64 backing_offset;
	size_t see;
	int ret;
	const char *says;
};

static const struct walk_case walk_cases[] = {
	{ .name = "end at once" },
	{ .name = "end ignores its length", .type = QCOW_EXT_END, .len = 0xffffffff },
	{ .name = "version 1 has none", .version = 1, .type = 7 },
	{ .name = "file ends with the header", .type = 7, .see = START },
	{ .name = "file ends after 1", .type = 7, .see = START + 1 },
	{ .name = "file ends after 7", .type = 7, .see = START + 7 },
	{ .name = "just there", .type = 7, .see = START + 8, .ret = 1 },
	{ .name = "below the cluster's end", .type = 7, .len = ROOM - 9, .ret = 1 },
	{ .name = "to the cluster's end", .type = 7, .len = ROOM - 8, .ret = 1 },
	{ .name = "beyond the cluster", .type = 7, .len = ROOM - 7, .ret = -EINVAL,
	  .says = "header extension 0x00000007 at 0x48 has 433 bytes" },
	{ .name = "length overflows", .type = 7, .len = 0xffffffff, .ret = -EINVAL,
	  .says = "has 4294967295 bytes" },
	{ .name = "to the file's end", .type = 7, .len = 12, .see = START + 20, .ret = 1 },
	{ .name = "beyond the file", .type = 7, .len = 13, .see = START + 20 },
	{ .name = "beyond file and cluster", .type = 7, .len = ROOM - 7, .see = START + 20,
	  .ret = -EINVAL, .says = "header extension 0x00000007 at 0x48 has 433 bytes" },
	{ .name = "name at once", .type = 7, .backing_offset = START },
	{ .name = "name cuts the head", .type = 7, .backing_offset = START + 4,
	  .ret = -EINVAL, .says = "cut off after 4 bytes" },
	{ .name = "to the name", .type = 7, .len = 9, .backing_offset = START + 17, .ret = 1 },
	{ .name = "into the name", .type = 7, .len = 10, .backing_offset = START + 17,
	  .ret = -EINVAL, .says = "only 9 are left" },
	{ .name = "backing format 14", .type = QCOW_EXT_BACKING_FORMAT, .len = 14, .ret = 1 },
	{ .name = "backing format 15", .type = QCOW_EXT_BACKING_FORMAT, .len = 15, .ret = 1 },
	{ .name = "backing format 16", .type = QCOW_EXT_BACKING_FORMAT, .len = 16,
	  .ret = -EINVAL, .says = "\"backing format\" has 16 bytes" },
	{ .name = "bitmaps 23", .type = QCOW_EXT_BITMAPS, .len = 23, .ret = -EINVAL,
	  .says = "\"bitmaps\" has 23 bytes" },
	{ .name = "bitmaps 24", .type = QCOW_EXT_BITMAPS, .len = 24, .ret = 1 },
	{ .name = "bitmaps 25", .type = QCOW_EXT_BITMAPS, .len = 25, .ret = -EINVAL,
	  .says = "\"bitmaps\" has 25 bytes" },
	{ .name = "crypto header 15", .type = QCOW_EXT_CRYPTO_HEADER, .len = 15,
	  .crypt_method = 2, .ret = -EINVAL, .says = "\"crypto header\" has 15 bytes" },
	{ .name = "crypto header 16", .type = QCOW_EXT_CRYPTO_HEADER, .len = 16,
	  .crypt_method = 2, .ret = 1 },
	{ .name = "crypto header 17", .type = QCOW_EXT_CRYPTO_HEADER, .len = 17,
	  .crypt_method = 2, .ret = -EINVAL, .says = "\"crypto header\" has 17 bytes" },
	{ .name = "crypto header without luks", .type = QCOW_EXT_CRYPTO_HEADER, .len = 16,
	  .crypt_method = 1, .ret = -EINVAL, .says = "crypt_method 1" },
};

static void walk_desc(const struct walk_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(walk, walk_cases, walk_desc);

static void walk_judges(struct kunit *test)
{
	const struct walk_case *c = test->param_value;
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_header h = base;
	u8 *buf = image(test);
	struct qcow_ext ext;
	size_t pos = 0;

	h.version = c->version ?: 2;
	h.crypt_method = c->crypt_method;
	h.backing_offset = c->backing_offset;
	put_ext(buf, START, c->type, c->len);
	KUNIT_EXPECT_EQ(test, c->ret,
			qcow_ext_next(&h, buf, c->see ?: CLUSTER, &pos, &ext, &rep));
	if (c->ret > 0)
		KUNIT_EXPECT_EQ(test, ext.len, c->len);
	if (c->says)
		KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, c->says), "it says: %s", text);
	else
		KUNIT_EXPECT_STREQ(test, text, "");
}

struct name_case {
	const char *name;
	u8 type;
	u8 bit;
	const char *expect;
};

/* Names as put_names() writes them. */
static const struct name_case name_cases[] = {
	{ .name = "first", .type = 0, .bit = 5, .expect = "first" },
	{ .name = "of another type", .type = 1, .bit = 5, .expect = "second" },
	{ .name = "unprintable", .type = 2, .bit = 63, .expect = "a?b?" },
	{ .name = "full length", .type = 0, .bit = 6,
	  .expect = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" },
	{ .name = "not there", .type = 0, .bit = 7, .expect = "" },
	{ .name = "in a cut entry", .type = 0, .bit = 8, .expect = "" },
};

static void name_desc(const struct name_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(name, name_cases, name_desc);

static void put_names(u8 *buf)
{
	struct qcow_disk_feature_name entry[] = {
		{ .type = 0, .bit = 5, .name = "first" },
		{ .type = 1, .bit = 5, .name = "second" },
		{ .type = 2, .bit = 63, .name = "a\033b\377" },
		{ .type = 0, .bit = 6 },
		{ .type = 0, .bit = 8, .name = "cut" },
	};
	size_t at = put_ext(buf, START, 0x1234, 3);

	memset(entry[3].name, 'x', sizeof(entry[3].name));
	put_ext(buf, at, QCOW_EXT_FEATURE_NAMES, sizeof(entry) - 1);
	memcpy(buf + at + 8, entry, sizeof(entry));
}

static void names_come_from_table(struct kunit *test)
{
	const struct name_case *c = test->param_value;
	u8 *buf = image(test);
	char name[48];

	put_names(buf);
	memset(name, 'z', sizeof(name));
	qcow_ext_feature_name(&base, buf, CLUSTER, c->type, c->bit, name);
	KUNIT_EXPECT_STREQ(test, name, c->expect);
	KUNIT_EXPECT_EQ(test, name[47], 'z');
}

static struct kunit_case ext_cases[] = {
	KUNIT_CASE(walk_meets_all),
	KUNIT_CASE_PARAM(walk_judges, walk_gen_params),
	KUNIT_CASE_PARAM(names_come_from_table, name_gen_params),
	{}
};

static struct kunit_suite ext_suite = {
	.name = "qcow_format_ext",
	.test_cases = ext_cases,
};

kunit_test_suite(ext_suite);
