// SPDX-License-Identifier: GPL-2.0
/*
 * The header of a new image: what is encoded is what the parser decodes, and names that do
 * not fit are refused at n-1, n and n+1.
 */
#include <kunit/test.h>

#include "create/encode.h"

#define BUF_BYTES	16384
#define FILE_BYTES	BIT_ULL(40)

static const struct qcow_header v1 = {
	.version = 1, .cluster_bits = 12, .l2_bits = 9, .size = BIT_ULL(30), .l1_offset = 0x800,
	.l1_entries = 512, .mtime = 0x12345678, .length = 48,
};

static const struct qcow_header v2 = {
	.version = 2, .cluster_bits = 14, .l2_bits = 11, .size = BIT_ULL(30),
	.l1_offset = 0x30000, .l1_entries = 32, .refcount_table_offset = 0x40000,
	.refcount_table_clusters = 2, .refcount_order = 4, .nr_snapshots = 3,
	.snapshots_offset = 0x50000, .length = 72,
};

static const struct qcow_header v3 = {
	.version = 3, .cluster_bits = 14, .l2_bits = 10, .size = BIT_ULL(30),
	.l1_offset = 0x30000, .l1_entries = 64, .compression_type = QCOW_COMPRESSION_ZSTD,
	.refcount_table_offset = 0x40000, .refcount_table_clusters = 1, .refcount_order = 6,
	.incompatible = QCOW_INCOMPAT_COMPRESSION | QCOW_INCOMPAT_EXTENDED_L2 |
			QCOW_INCOMPAT_DATA_FILE,
	.compatible = QCOW_COMPAT_LAZY_REFCOUNTS, .autoclear = QCOW_AUTOCLEAR_RAW_DATA_FILE,
	.length = 112,
};

/* The shortest version 3 header, before there was a compression type. */
static const struct qcow_header v3_short = {
	.version = 3, .cluster_bits = 9, .l2_bits = 6, .size = BIT_ULL(20), .l1_offset = 0x400,
	.l1_entries = 32, .refcount_table_offset = 0x200, .refcount_table_clusters = 1,
	.refcount_order = 0, .length = 104,
};

struct header_case {
	const char *name;
	const struct qcow_header *h;
	struct encode_names names;
};

static const struct header_case header_cases[] = {
	{ .name = "v1", .h = &v1 },
	{ .name = "v1 backing", .h = &v1, .names = { .backing = "base" } },
	{ .name = "v2", .h = &v2 },
	{ .name = "v2 backing", .h = &v2,
	  .names = { .backing = "base", .backing_format = "raw" } },
	{ .name = "v3", .h = &v3, .names = { .data_file = "data" } },
	{ .name = "v3 all names", .h = &v3,
	  .names = { .backing = "base", .backing_format = "qcow2", .data_file = "data" } },
	{ .name = "v3 short", .h = &v3_short },
	{ .name = "v3 short backing", .h = &v3_short,
	  .names = { .backing = "base", .backing_format = "qcow2" } },
};

static void header_desc(const struct header_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(header, header_cases, header_desc);

/* What there is room for: version 1 has its L1 table behind the name. */
static size_t room(const struct qcow_header *h)
{
	return h->version == 1 ? h->l1_offset : (size_t)1 << h->cluster_bits;
}

static void header_parses_again(struct kunit *test)
{
	const struct header_case *c = test->param_value;
	u8 *buf = kunit_kzalloc(test, BUF_BYTES, GFP_KERNEL);
	struct qcow_header h = *c->h, got;
	size_t end = 0;
	int err;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	err = encode_names(&h, &c->names, buf, room(&h), &end, NULL);
	KUNIT_ASSERT_EQ(test, err, 0);
	encode_header(&h, buf);
	err = qcow_header_parse(&got, buf, room(&h), FILE_BYTES, NULL);
	KUNIT_ASSERT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, memcmp(&h, &got, sizeof(h)), 0);
	KUNIT_EXPECT_EQ(test, got.backing_len, c->names.backing ? 4 : 0);
	if (c->names.backing) {
		KUNIT_EXPECT_EQ(test, memcmp(buf + h.backing_offset, "base", 4), 0);
		KUNIT_EXPECT_EQ(test, end, h.backing_offset + 4);
	}
}

/* The text of an extension is this, or it is not there. */
static void expect_ext(struct kunit *test, const struct qcow_header *h, const u8 *buf, u32 type,
		       const char *text)
{
	struct qcow_ext ext;
	size_t pos = 0;

	while (qcow_ext_next(h, buf, room(h), &pos, &ext, NULL) > 0) {
		if (ext.type != type)
			continue;
		KUNIT_ASSERT_NOT_NULL(test, text);
		KUNIT_EXPECT_EQ(test, ext.len, strlen(text));
		KUNIT_EXPECT_EQ(test, memcmp(ext.data, text, strlen(text)), 0);
		return;
	}
	KUNIT_EXPECT_NULL(test, text);
}

static void extensions_are_found_again(struct kunit *test)
{
	const struct header_case *c = test->param_value;
	u8 *buf = kunit_kzalloc(test, BUF_BYTES, GFP_KERNEL);
	struct qcow_header h = *c->h;
	char name[47];
	size_t end;
	int err;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	err = encode_names(&h, &c->names, buf, room(&h), &end, NULL);
	KUNIT_ASSERT_EQ(test, err, 0);
	if (h.version == 1)
		return;
	expect_ext(test, &h, buf, QCOW_EXT_BACKING_FORMAT, c->names.backing_format);
	expect_ext(test, &h, buf, QCOW_EXT_DATA_FILE, c->names.data_file);

	qcow_ext_feature_name(&h, buf, room(&h), QCOW_FEATURE_INCOMPATIBLE, 4, name);
	KUNIT_EXPECT_STREQ(test, name, h.length == 112 ? "extended L2 entries" : "");
	qcow_ext_feature_name(&h, buf, room(&h), QCOW_FEATURE_AUTOCLEAR, 1, name);
	KUNIT_EXPECT_STREQ(test, name, h.length == 112 ? "raw external data" : "");
}

/* A field changes, what follows the header does not. */
static void fixed_part_leaves_the_rest(struct kunit *test)
{
	const struct header_case *c = test->param_value;
	u8 *buf = kunit_kzalloc(test, BUF_BYTES, GFP_KERNEL);
	size_t i;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	memset(buf, 0xa5, BUF_BYTES);
	encode_header(c->h, buf);
	for (i = c->h->length; i < BUF_BYTES; i++)
		if (buf[i] != 0xa5)
			break;
	KUNIT_EXPECT_EQ(test, i, BUF_BYTES);
}

static void feature_names_begin_at_8k(struct kunit *test)
{
	u8 *buf = kunit_kzalloc(test, BUF_BYTES, GFP_KERNEL);
	const struct encode_names none = {};
	struct qcow_header h = v3;
	u32 bits;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (bits = 12; bits <= 13; bits++) {
		size_t end = 0;

		h.cluster_bits = bits;
		KUNIT_EXPECT_EQ(test, encode_names(&h, &none, buf, 1 << bits, &end,
						   NULL), 0);
		/* Header and end mark; eight names and the extension's head. */
		KUNIT_EXPECT_EQ(test, end, bits == 12 ? 120 : 120 + 8 + 8 * 48);
	}
}

struct name_case {
	const char *name;
	size_t backing;
	size_t format;
	size_t data_file;
	size_t len;
	int err;
};

/* 112 bytes of header, 8 of end mark; the name is not padded. */
static const struct name_case name_cases[] = {
	{ .name = "backing 1022", .backing = 1022, .len = 4096 },
	{ .name = "backing 1023", .backing = 1023, .len = 4096 },
	{ .name = "backing 1024", .backing = 1024, .len = 4096, .err = -EINVAL },
	{ .name = "format 14", .backing = 1, .format = 14, .len = 4096 },
	{ .name = "format 15", .backing = 1, .format = 15, .len = 4096 },
	{ .name = "format 16", .backing = 1, .format = 16, .len = 4096, .err = -EINVAL },
	{ .name = "data file 1022", .data_file = 1022, .len = 4096 },
	{ .name = "data file 1023", .data_file = 1023, .len = 4096 },
	{ .name = "data file 1024", .data_file = 1024, .len = 4096, .err = -EINVAL },
	{ .name = "one left", .backing = 391, .len = 512 },
	{ .name = "none left", .backing = 392, .len = 512 },
	{ .name = "one too many", .backing = 393, .len = 512, .err = -ENOSPC },
	{ .name = "extension fills", .data_file = 384, .len = 512 },
	{ .name = "extension too long", .data_file = 385, .len = 512, .err = -ENOSPC },
	{ .name = "no end mark", .len = 119, .err = -ENOSPC },
	{ .name = "end mark", .len = 120 },
};

static void name_desc(const struct name_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(name, name_cases, name_desc);

static const char *text_of(struct kunit *test, size_t len)
{
	char *text = kunit_kzalloc(test, 1025, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, text);
	memset(text, 'x', len);
	return len ? text : NULL;
}

static void names_fit_or_are_refused(struct kunit *test)
{
	const struct name_case *c = test->param_value;
	u8 *buf = kunit_kzalloc(test, 4096, GFP_KERNEL);
	struct qcow_header h = v3;
	const struct encode_names names = {
		.backing = text_of(test, c->backing),
		.backing_format = text_of(test, c->format),
		.data_file = text_of(test, c->data_file),
	};
	char text[128] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	size_t end;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	h.cluster_bits = 12;
	KUNIT_EXPECT_EQ(test, encode_names(&h, &names, buf, c->len, &end, &rep),
			c->err);
	KUNIT_EXPECT_EQ(test, !text[0], !c->err);
}

static void all_known_features_have_names(struct kunit *test)
{
	const struct encode_names none = {};
	u8 *buf = kunit_kzalloc(test, BUF_BYTES, GFP_KERNEL);
	struct qcow_header h = v3;
	char name[47];
	size_t end;
	int bit;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_ASSERT_EQ(test, encode_names(&h, &none, buf, room(&h), &end, NULL), 0);
	for (bit = 0; bit < 64; bit++) {
		qcow_ext_feature_name(&h, buf, room(&h), QCOW_FEATURE_INCOMPATIBLE, bit, name);
		KUNIT_EXPECT_EQ(test, !!name[0], !!(QCOW_INCOMPAT_KNOWN & BIT_ULL(bit)));
	}
}

static struct kunit_case encode_cases[] = {
	KUNIT_CASE_PARAM(header_parses_again, header_gen_params),
	KUNIT_CASE_PARAM(extensions_are_found_again, header_gen_params),
	KUNIT_CASE_PARAM(fixed_part_leaves_the_rest, header_gen_params),
	KUNIT_CASE(feature_names_begin_at_8k),
	KUNIT_CASE_PARAM(names_fit_or_are_refused, name_gen_params),
	KUNIT_CASE(all_known_features_have_names),
	{}
};

static struct kunit_suite encode_suite = {
	.name = "qcowctl_encode",
	.test_cases = encode_cases,
};

kunit_test_suite(encode_suite);
