// SPDX-License-Identifier: GPL-2.0
/*
 * The LUKS header: where it may be, each of its fields, and that what is written is read again.
 */
#include <kunit/test.h>
#include <qcow/luks.h>

#define CLUSTER		512
#define START		QCOW_V3_HEADER_BYTES
#define FILE_BYTES	(64ULL << 20)
#define L1		(8ULL * CLUSTER)
#define REFCOUNTS	(2ULL * CLUSTER)
#define SNAPSHOTS	(32ULL * CLUSTER)

static const struct qcow_header base = {
	.version = 3, .cluster_bits = 9, .l2_bits = 6, .length = START,
	.crypt_method = QCOW_CRYPT_LUKS,
	.l1_offset = L1, .l1_entries = 65,
	.refcount_table_offset = REFCOUNTS, .refcount_table_clusters = 2,
	.snapshots_offset = SNAPSHOTS, .nr_snapshots = 13,
};

/**
 * struct place_case - a header extension
 * @name: of the case
 * @type: of the extension, 0: that of the LUKS header
 * @offset: what it states
 * @bytes: what it states
 * @err: result
 * @says: part of the message
 */
struct place_case {
	const char *name;
	u32 type;
	u64 offset;
	u64 bytes;
	int err;
	const char *says;
};

static const struct place_case place_cases[] = {
	{ .name = "good", .offset = 64 * CLUSTER, .bytes = 2068480 },
	{ .name = "no extension", .type = 7, .err = -EINVAL, .says = "no header extension" },
	{ .name = "shortest", .offset = 64 * CLUSTER, .bytes = 1024 },
	{ .name = "too short", .offset = 64 * CLUSTER, .bytes = 1023, .err = -EINVAL,
	  .says = "1023 bytes, at least 1024" },
	{ .name = "longest", .offset = 64 * CLUSTER, .bytes = QCOW_MAX_CRYPTO_HEADER_BYTES },
	{ .name = "too long", .offset = 64 * CLUSTER, .bytes = QCOW_MAX_CRYPTO_HEADER_BYTES + 1,
	  .err = -EFBIG, .says = "at most 16777216" },
	{ .name = "not aligned", .offset = 64 * CLUSTER + 8, .bytes = 1024, .err = -EINVAL,
	  .says = "LUKS header offset 0x8008 is no multiple" },
	{ .name = "over the header", .offset = 0, .bytes = 1024, .err = -EINVAL,
	  .says = "over the header" },
	{ .name = "to the end", .offset = FILE_BYTES - 1024, .bytes = 1024 },
	{ .name = "beyond the end", .offset = FILE_BYTES - 1024, .bytes = 1025, .err = -EUCLEAN,
	  .says = "beyond the file's end" },
	{ .name = "overflow", .offset = 0xfffffffffffffe00ULL, .bytes = 1024, .err = -EINVAL,
	  .says = "beyond the file's end" },
	{ .name = "before the L1 table", .offset = L1 - 1024, .bytes = 1024 },
	{ .name = "into the L1 table", .offset = L1 - 1024, .bytes = 1025, .err = -EINVAL,
	  .says = "over the L1 table at 0x1000" },
	{ .name = "behind the L1 table", .offset = L1 + 2 * CLUSTER, .bytes = 1024 },
	{ .name = "over the L1 table's end", .offset = L1 + CLUSTER, .bytes = 1024,
	  .err = -EINVAL, .says = "over the L1 table" },
	{ .name = "refcount table", .offset = REFCOUNTS + CLUSTER, .bytes = 1024, .err = -EINVAL,
	  .says = "over the refcount table at 0x400" },
	{ .name = "behind the refcount table", .offset = REFCOUNTS + 2 * CLUSTER, .bytes = 1024 },
	{ .name = "snapshot table", .offset = SNAPSHOTS + CLUSTER, .bytes = 1024, .err = -EINVAL,
	  .says = "over the snapshot table at 0x4000" },
};

static void place_desc(const struct place_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(place, place_cases, place_desc);

static void header_is_where_it_may_be(struct kunit *test)
{
	const struct place_case *c = test->param_value;
	struct qcow_disk_ext ext = {
		.type = cpu_to_be32(c->type ?: QCOW_EXT_CRYPTO_HEADER),
		.len = cpu_to_be32(sizeof(struct qcow_disk_crypto_header)),
	};
	struct qcow_disk_crypto_header disk = {
		.host_offset = cpu_to_be64(c->offset), .bytes = cpu_to_be64(c->bytes),
	};
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_luks_place place = {};
	u8 *buf = kunit_kzalloc(test, CLUSTER, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	memcpy(buf + START, &ext, sizeof(ext));
	memcpy(buf + START + sizeof(ext), &disk, sizeof(disk));
	KUNIT_ASSERT_EQ_MSG(test, c->err, qcow_luks_find(&base, buf, CLUSTER, FILE_BYTES, &place,
							 &rep), "%s", text);
	if (c->err) {
		KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, c->says), "%s", text);
		return;
	}
	KUNIT_EXPECT_EQ(test, place.host_offset, c->offset);
	KUNIT_EXPECT_EQ(test, place.bytes, c->bytes);
}

#define KEY_BYTES	64
#define MATERIAL	(KEY_BYTES * QCOW_LUKS_STRIPES)
#define SLOT(nr)	(4096 + (nr) * 258048ULL)
#define HEADER_BYTES	SLOT(8)

/* As QEMU makes one, with two keys. */
static void fill(struct qcow_luks *luks)
{
	unsigned int i;

	*luks = (struct qcow_luks) {
		.cipher = "aes", .mode = "xts-plain64", .hash = "sha256",
		.payload_offset = HEADER_BYTES, .key_bytes = KEY_BYTES,
		.digest_iterations = 1000, .uuid = "81c72568-9720-4000-ad4e-987d47ef82d6",
	};
	memset(luks->digest, 1, sizeof(luks->digest));
	memset(luks->digest_salt, 2, sizeof(luks->digest_salt));
	for (i = 0; i < QCOW_LUKS_SLOTS; i++)
		luks->slots[i].key_offset = SLOT(i);
	for (i = 0; i < QCOW_LUKS_SLOTS; i += 7) {
		luks->slots[i].active = true;
		luks->slots[i].iterations = 32833;
		memset(luks->slots[i].salt, i, sizeof(luks->slots[i].salt));
	}
}

/**
 * struct field_case - a header with one field that is another
 * @name: of the case
 * @at: the field, in layout
 * @width: its bytes, 0: none
 * @value: of a number of 2 or 4 bytes; of text, what each byte is
 * @bytes: of the whole header, 0: as many as are needed
 * @says: what is wrong, NULL: nothing
 * @err: then, 0: -EINVAL
 */
struct field_case {
	const char *name;
	const void *at;
	size_t width;
	u32 value;
	u64 bytes;
	const char *says;
	int err;
};

static const struct qcow_disk_luks layout;

#define FIELD(place, to)	.at = &(place), .width = sizeof(place), .value = (to)

static const struct field_case field_cases[] = {
	{ .name = "good" },
	{ .name = "magic", FIELD(layout.magic, 'L'), .says = "magic" },
	{ .name = "version 0", FIELD(layout.version, 0), .says = "version 0",
	  .err = -EOPNOTSUPP },
	{ .name = "version 2", FIELD(layout.version, 2), .says = "version 2",
	  .err = -EOPNOTSUPP },
	{ .name = "cipher without an end", FIELD(layout.cipher, 'a'), .says = "cipher-name" },
	{ .name = "no cipher", FIELD(layout.cipher, 0), .says = "cipher-name" },
	{ .name = "cipher with a blank", FIELD(layout.cipher[1], ' '), .says = "cipher-name" },
	{ .name = "mode without an end", FIELD(layout.mode, 'x'), .says = "cipher-mode" },
	{ .name = "mode no ASCII", FIELD(layout.mode[1], 0xe4), .says = "cipher-mode" },
	{ .name = "hash without an end", FIELD(layout.hash, 's'), .says = "hash-spec" },
	{ .name = "hash control character", FIELD(layout.hash[0], 27), .says = "hash-spec" },
	{ .name = "key of 0 bytes", FIELD(layout.key_bytes, 0), .says = "key-bytes is 0" },
	{ .name = "key of 1 byte", FIELD(layout.key_bytes, 1) },
	{ .name = "key of 65 bytes", FIELD(layout.key_bytes, 65), .says = "key-bytes is 65" },
	{ .name = "key of 4 GiB", FIELD(layout.key_bytes, 0xffffffff), .says = "key-bytes" },
	{ .name = "no digest iterations", FIELD(layout.digest_iterations, 0),
	  .says = "mk-digest-iter is 0" },
	{ .name = "most digest iterations", FIELD(layout.digest_iterations, 0xffffffff) },
	{ .name = "payload over slot 7", FIELD(layout.payload_sector,
	  (SLOT(7) + MATERIAL) / 512 - 1), .says = "slot 7: key-material-offset 0x1ba000" },
	{ .name = "payload behind slot 7", FIELD(layout.payload_sector,
	  (SLOT(7) + MATERIAL) / 512) },
	{ .name = "just as long as needed", .bytes = SLOT(7) + MATERIAL },
	{ .name = "too short", .bytes = SLOT(7) + MATERIAL - 1,
	  .says = "slot 7: key-material-offset" },
	{ .name = "neither active nor not", FIELD(layout.slots[1].active, 1),
	  .says = "slot 1: active 0x1" },
	{ .name = "active without iterations", FIELD(layout.slots[1].active, QCOW_LUKS_ACTIVE),
	  .says = "slot 1: iterations" },
	{ .name = "most iterations", FIELD(layout.slots[0].iterations, 0xffffffff) },
	{ .name = "3999 stripes", FIELD(layout.slots[7].stripes, 3999),
	  .says = "slot 7: stripes 0xf9f" },
	{ .name = "most stripes", FIELD(layout.slots[3].stripes, 0xffffffff),
	  .says = "slot 3: stripes" },
	{ .name = "slot over the header", FIELD(layout.slots[2].key_sector, 1),
	  .says = "slot 2: key-material-offset 0x200 lies over the LUKS header" },
	{ .name = "slot behind the header", FIELD(layout.slots[0].key_sector, 2) },
	{ .name = "slot behind all", FIELD(layout.slots[2].key_sector, 0xffffffff),
	  .says = "slot 2: key-material-offset 0x1fffffffe00 reaches beyond" },
	{ .name = "slot over the next", FIELD(layout.slots[1].key_sector,
	  (SLOT(2) - MATERIAL) / 512 + 1), .says = "slot 2: key-material-offset" },
	{ .name = "slot up to the next", FIELD(layout.slots[1].key_sector,
	  (SLOT(2) - MATERIAL) / 512) },
	{ .name = "slot over the last", FIELD(layout.slots[1].key_sector, SLOT(0) / 512 + 499),
	  .says = "slot 1: key-material-offset" },
	{ .name = "uuid without an end", FIELD(layout.uuid, 0xff) },
};

static void field_desc(const struct field_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(field, field_cases, field_desc);

static void put_field(const struct field_case *c, u8 *buf)
{
	__be32 be32 = cpu_to_be32(c->value);
	__be16 be16 = cpu_to_be16((u16)c->value);
	size_t at = c->width ? c->at - (const void *)&layout : 0;

	if (c->width == sizeof(be32))
		memcpy(buf + at, &be32, sizeof(be32));
	else if (c->width == sizeof(be16))
		memcpy(buf + at, &be16, sizeof(be16));
	else
		memset(buf + at, c->value, c->width);
}

static void fields_are_judged(struct kunit *test)
{
	const struct field_case *c = test->param_value;
	struct qcow_luks *luks = kunit_kzalloc(test, sizeof(*luks), GFP_KERNEL);
	u8 *buf = kunit_kzalloc(test, sizeof(struct qcow_disk_luks), GFP_KERNEL);
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	int err = c->says ? c->err ?: -EINVAL : 0;

	KUNIT_ASSERT_NOT_NULL(test, luks);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	fill(luks);
	qcow_luks_put(luks, buf);
	put_field(c, buf);
	KUNIT_EXPECT_EQ_MSG(test, err, qcow_luks_parse(luks, buf, c->bytes ?: HEADER_BYTES, &rep),
			    "%s", text);
	if (c->says)
		KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, c->says), "%s", text);
	else
		KUNIT_EXPECT_STREQ(test, text, "");
}

static void what_is_put_is_parsed(struct kunit *test)
{
	struct qcow_luks *luks = kunit_kzalloc(test, 2 * sizeof(*luks), GFP_KERNEL);
	u8 *buf = kunit_kzalloc(test, sizeof(struct qcow_disk_luks), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, luks);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	fill(&luks[0]);
	qcow_luks_put(&luks[0], buf);
	KUNIT_ASSERT_EQ(test, 0, qcow_luks_parse(&luks[1], buf, HEADER_BYTES, NULL));
	KUNIT_EXPECT_STREQ(test, luks[1].cipher, "aes");
	KUNIT_EXPECT_STREQ(test, luks[1].mode, "xts-plain64");
	KUNIT_EXPECT_STREQ(test, luks[1].hash, "sha256");
	KUNIT_EXPECT_STREQ(test, luks[1].uuid, luks[0].uuid);
	KUNIT_EXPECT_EQ(test, luks[1].payload_offset, HEADER_BYTES);
	KUNIT_EXPECT_EQ(test, luks[1].digest_iterations, 1000);
	KUNIT_EXPECT_EQ(test, luks[1].digest[19], 1);
	KUNIT_EXPECT_EQ(test, luks[1].digest_salt[31], 2);
	KUNIT_EXPECT_EQ(test, luks[1].slots[7].active, true);
	KUNIT_EXPECT_EQ(test, luks[1].slots[6].active, false);
	KUNIT_EXPECT_EQ(test, luks[1].slots[7].iterations, 32833);
	KUNIT_EXPECT_EQ(test, luks[1].slots[7].salt[31], 7);
	KUNIT_EXPECT_EQ(test, luks[1].slots[7].key_offset, SLOT(7));
}

static void expect_split(struct kunit *test, const char *text, const char *chain,
			 const char *ivgen, const char *hash)
{
	struct qcow_luks_mode mode;

	qcow_luks_split_mode(text, &mode);
	KUNIT_EXPECT_STREQ(test, mode.chain, chain);
	KUNIT_EXPECT_STREQ(test, mode.ivgen, ivgen);
	KUNIT_EXPECT_STREQ(test, mode.ivgen_hash, hash);
}

static void mode_has_three_parts(struct kunit *test)
{
	expect_split(test, "xts-plain64", "xts", "plain64", "");
	expect_split(test, "cbc-essiv:sha256", "cbc", "essiv", "sha256");
	expect_split(test, "ecb", "ecb", "", "");
	expect_split(test, "-:", "", "", "");
	expect_split(test, "a-b-c:d:e", "a", "b-c", "d:e");
	expect_split(test, "0123456789012345678901234567890", "0123456789012345678901234567890", "",
		     "");
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(header_is_where_it_may_be, place_gen_params),
	KUNIT_CASE_PARAM(fields_are_judged, field_gen_params),
	KUNIT_CASE(what_is_put_is_parsed),
	KUNIT_CASE(mode_has_three_parts),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_format_luks",
	.test_cases = cases,
};

kunit_test_suite(suite);
