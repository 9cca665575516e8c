// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the compression methods: what qemu-img and other tools write, and what broken
 * and hostile images hold.
 *
 * The fixtures are compressed from bytes of i % 61 for i below the size in the name:
 *   P='import sys, zlib; d = bytes(i % 61 for i in range(SIZE))'
 *   python3 -c "$P; c = zlib.compressobj(9, 8, -12, 9)
 *   sys.stdout.buffer.write(c.compress(d) + c.flush())" | xxd -i
 *   python3 -c "$P; sys.stdout.buffer.write(d)" | zstd -19 --no-check | xxd -i
 * zstd_512 with --stream-size=512, zstd_64k with --check in place of --no-check.
 */

#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <qcow/ondisk.h>

#include "layer/codec.h"

static const u8 zlib_512[] = {
	0x63, 0x60, 0x64, 0x62, 0x66, 0x61, 0x65, 0x63, 0xe7, 0xe0, 0xe4, 0xe2,
	0xe6, 0xe1, 0xe5, 0xe3, 0x17, 0x10, 0x14, 0x12, 0x16, 0x11, 0x15, 0x13,
	0x97, 0x90, 0x94, 0x92, 0x96, 0x91, 0x95, 0x93, 0x57, 0x50, 0x54, 0x52,
	0x56, 0x51, 0x55, 0x53, 0xd7, 0xd0, 0xd4, 0xd2, 0xd6, 0xd1, 0xd5, 0xd3,
	0x37, 0x30, 0x34, 0x32, 0x36, 0x31, 0x35, 0x33, 0xb7, 0xb0, 0xb4, 0xb2,
	0xb6, 0x61, 0x18, 0xd5, 0x3c, 0xd4, 0x35, 0x03, 0x00,
};

static const u8 zlib_4k[] = {
	0xed, 0xcb, 0x55, 0x16, 0x82, 0x50, 0x00, 0x05, 0xc0, 0x47, 0xa7, 0x48,
	0x09, 0x48, 0x4b, 0x5b, 0x94, 0x8a, 0x82, 0xec, 0x7f, 0x5d, 0xac, 0x83,
	0x73, 0xee, 0xfc, 0x0f, 0xa1, 0x68, 0x86, 0xe5, 0x78, 0x41, 0x94, 0x64,
	0x45, 0x3d, 0x68, 0x47, 0xdd, 0x30, 0x2d, 0xfb, 0xe4, 0xb8, 0xde, 0xd9,
	0x0f, 0xc2, 0x28, 0x4e, 0xd2, 0x4b, 0x96, 0x17, 0x65, 0x55, 0x37, 0xd7,
	0xdb, 0xfd, 0xf1, 0x6c, 0xbb, 0x7e, 0x18, 0x5f, 0xef, 0xcf, 0xf4, 0xfd,
	0xcd, 0xcb, 0x7f, 0x25, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8,
	0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0x7b, 0xc8, 0x1b,
};

static const u8 zstd_512[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x00, 0x01, 0x35, 0x02, 0x00, 0xd4, 0x03,
	0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b,
	0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
	0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23,
	0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f,
	0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b,
	0x3c, 0x01, 0x00, 0x0d, 0x0c, 0xa8, 0x01, 0x0a,
};

static const u8 zstd_4k[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68, 0x35, 0x02, 0x00, 0xd4, 0x03, 0x00,
	0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c,
	0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
	0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24,
	0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30,
	0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c,
	0x01, 0x00, 0x0d, 0x7c, 0xc0, 0x0f, 0x50,
};

static const u8 zstd_64k[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x68, 0x3d, 0x02, 0x00, 0xd4, 0x03, 0x00,
	0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c,
	0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
	0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24,
	0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30,
	0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c,
	0x01, 0x00, 0x0d, 0xfc, 0x07, 0xf4, 0x00, 0x05, 0xea, 0xad, 0xd2, 0x1f,
};

/* A stored block that is not the last one. */
static const u8 zlib_open[] = {
	0x00, 0x04, 0x00, 0xfb, 0xff, 0x00, 0x01, 0x02, 0x03,
};

static const u8 zlib_open_then_bad[] = {
	0x00, 0x04, 0x00, 0xfb, 0xff, 0x00, 0x01, 0x02, 0x03, 0x07,
};

static const u8 zlib_two[] = {
	0x00, 0x04, 0x00, 0xfb, 0xff, 0x00, 0x01, 0x02, 0x03, 0x00, 0x04, 0x00,
	0xfb, 0xff, 0x00, 0x01, 0x02, 0x03,
};

static const u8 zlib_bad_type[] = { 0x07 };
static const u8 zlib_bad_distance[] = { 0x03, 0x02, 0x00 };

static const u8 zlib_with_header[] = {
	0x78, 0xda, 0x63, 0x60, 0x64, 0x62, 0x66, 0x61,
};

static const u8 zlib_empty[] = {
	0x00, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00,
	0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0xff, 0xff,
};

/* Frame header with a content size of one byte, then the block header and the block. */
static const u8 zstd_raw[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x04, 0x21, 0x00, 0x00, 0x00, 0x01, 0x02,
	0x03,
};

static const u8 zstd_two[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x04, 0x21, 0x00, 0x00, 0x00, 0x01, 0x02,
	0x03, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x04, 0x21, 0x00, 0x00, 0x00, 0x01,
	0x02, 0x03,
};

static const u8 zstd_empty[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00, 0x28, 0xb5, 0x2f,
	0xfd, 0x20, 0x00, 0x01, 0x00, 0x00,
};

static const u8 zstd_empty_first[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00, 0x28, 0xb5, 0x2f,
	0xfd, 0x20, 0x00, 0x01, 0x00, 0x00, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x04,
	0x21, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03,
};

static const u8 zstd_skippable_first[] = {
	0x50, 0x2a, 0x4d, 0x18, 0x03, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x28,
	0xb5, 0x2f, 0xfd, 0x20, 0x04, 0x21, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03,
};

static const u8 zstd_skippable_huge[] = {
	0x50, 0x2a, 0x4d, 0x18, 0xf8, 0xff, 0xff, 0xff, 0x01, 0x02, 0x03,
};

static const u8 zstd_dictionary[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x21, 0x05, 0x04, 0x21, 0x00, 0x00, 0x00, 0x01,
	0x02, 0x03,
};

static const u8 zstd_bad_type[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x04, 0x27, 0x00, 0x00, 0x00, 0x01, 0x02,
	0x03,
};

static const u8 zstd_wrong_size[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x05, 0x21, 0x00, 0x00, 0x00, 0x01, 0x02,
	0x03,
};

/* One run of 128 KiB, the most that a block may have. */
static const u8 zstd_run[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x03, 0x00, 0x10, 0x00,
};

/**
 * struct codec_case - one call
 * @name: of the case
 * @type: QCOW_COMPRESSION_*
 * @src: compressed data
 * @src_len: bytes of it
 * @padding: bytes that follow it in the sector
 * @pad: their value
 * @dst_len: of the cluster
 * @period: the output starts again after so many bytes; 0: it does not
 * @err: expected
 */
struct codec_case {
	const char *name;
	u32 type;
	const u8 *src;
	size_t src_len;
	size_t padding;
	u8 pad;
	size_t dst_len;
	size_t period;
	int err;
};

#define SRC(type_, array)	.type = QCOW_COMPRESSION_ ## type_, .src = (array),	\
				.src_len = sizeof(array)
#define CUT(type_, array, n)	.type = QCOW_COMPRESSION_ ## type_, .src = (array),	\
				.src_len = sizeof(array) - (n)
#define NONE(type_)		.type = QCOW_COMPRESSION_ ## type_

static const struct codec_case cases[] = {
	{ "zlib 512", SRC(ZLIB, zlib_512), .dst_len = SZ_512 },
	{ "zlib 4K", SRC(ZLIB, zlib_4k), .dst_len = SZ_4K },
	{ "zlib padded with zeros", SRC(ZLIB, zlib_4k), .padding = 511, .dst_len = SZ_4K },
	{ "zlib padded with garbage", SRC(ZLIB, zlib_4k), .padding = SZ_4K, .pad = 0xff,
	  .dst_len = SZ_4K },
	{ "zlib longer than the cluster", SRC(ZLIB, zlib_4k), .dst_len = SZ_512 },
	{ "zlib shorter than the cluster", SRC(ZLIB, zlib_512), .dst_len = 513, .err = -EUCLEAN },
	{ "zlib much shorter", SRC(ZLIB, zlib_4k), .padding = 511, .dst_len = SZ_64K,
	  .err = -EUCLEAN },
	{ "zlib truncated", CUT(ZLIB, zlib_4k, 20), .dst_len = SZ_4K, .err = -EUCLEAN },
	{ "zlib truncated, padded", CUT(ZLIB, zlib_4k, 20), .padding = 400, .pad = 0xff,
	  .dst_len = SZ_4K, .err = -EUCLEAN },
	{ "zlib without end", SRC(ZLIB, zlib_open), .dst_len = 4 },
	{ "zlib without end, short", SRC(ZLIB, zlib_open), .dst_len = 5, .err = -EUCLEAN },
	{ "zlib two blocks", SRC(ZLIB, zlib_two), .dst_len = 8, .period = 4 },
	{ "zlib full, then a bad block", SRC(ZLIB, zlib_open_then_bad), .dst_len = 4,
	  .err = -EUCLEAN },
	{ "zlib bad block type", SRC(ZLIB, zlib_bad_type), .dst_len = SZ_512, .err = -EUCLEAN },
	{ "zlib distance too far", SRC(ZLIB, zlib_bad_distance), .dst_len = SZ_512,
	  .err = -EUCLEAN },
	{ "zlib with zlib header", SRC(ZLIB, zlib_with_header), .dst_len = SZ_512,
	  .err = -EUCLEAN },
	{ "zlib empty blocks", SRC(ZLIB, zlib_empty), .dst_len = SZ_512, .err = -EUCLEAN },
	{ "zlib garbage", NONE(ZLIB), .padding = SZ_4K, .pad = 0xa7, .dst_len = SZ_64K,
	  .err = -EUCLEAN },
	{ "zlib zeros", NONE(ZLIB), .padding = SZ_64K, .dst_len = SZ_64K, .err = -EUCLEAN },
	{ "zlib ones", NONE(ZLIB), .padding = SZ_64K, .pad = 0xff, .dst_len = SZ_64K,
	  .err = -EUCLEAN },
	{ "zlib nothing", NONE(ZLIB), .dst_len = SZ_512, .err = -EUCLEAN },
	{ "zlib given zstd", SRC(ZLIB, zstd_512), .dst_len = SZ_512, .err = -EUCLEAN },

	{ "zstd 512", SRC(ZSTD, zstd_512), .dst_len = SZ_512 },
	{ "zstd 4K of unknown size", SRC(ZSTD, zstd_4k), .dst_len = SZ_4K },
	{ "zstd 64K with checksum", SRC(ZSTD, zstd_64k), .dst_len = SZ_64K },
	{ "zstd padded with zeros", SRC(ZSTD, zstd_4k), .padding = 511, .dst_len = SZ_4K },
	{ "zstd padded with garbage", SRC(ZSTD, zstd_4k), .padding = SZ_4K, .pad = 0xff,
	  .dst_len = SZ_4K },
	{ "zstd longer than the cluster", SRC(ZSTD, zstd_4k), .padding = 100, .dst_len = SZ_512,
	  .err = -EUCLEAN },
	{ "zstd one byte longer", SRC(ZSTD, zstd_512), .dst_len = 511, .err = -EUCLEAN },
	{ "zstd one byte shorter", SRC(ZSTD, zstd_512), .dst_len = 513, .err = -EUCLEAN },
	{ "zstd shorter, padded", SRC(ZSTD, zstd_512), .padding = 600, .dst_len = SZ_4K,
	  .err = -EUCLEAN },
	{ "zstd truncated", CUT(ZSTD, zstd_4k, 1), .dst_len = SZ_4K, .err = -EUCLEAN },
	{ "zstd truncated, padded", CUT(ZSTD, zstd_4k, 10), .padding = 400, .dst_len = SZ_4K,
	  .err = -EUCLEAN },
	{ "zstd truncated header", CUT(ZSTD, zstd_raw, 8), .dst_len = 4, .err = -EUCLEAN },
	{ "zstd wrong checksum", CUT(ZSTD, zstd_64k, 4), .padding = 4, .dst_len = SZ_64K,
	  .err = -EUCLEAN },
	{ "zstd raw block", SRC(ZSTD, zstd_raw), .dst_len = 4 },
	{ "zstd two frames", SRC(ZSTD, zstd_two), .padding = 3, .dst_len = 8, .period = 4 },
	{ "zstd second frame cut", CUT(ZSTD, zstd_two, 1), .dst_len = 8, .err = -EUCLEAN },
	{ "zstd full after the first frame", SRC(ZSTD, zstd_two), .dst_len = 4 },
	{ "zstd second frame too long", SRC(ZSTD, zstd_two), .dst_len = 7, .err = -EUCLEAN },
	{ "zstd empty frames", SRC(ZSTD, zstd_empty), .dst_len = 4, .err = -EUCLEAN },
	{ "zstd empty frames first", SRC(ZSTD, zstd_empty_first), .dst_len = 4 },
	{ "zstd skippable frame first", SRC(ZSTD, zstd_skippable_first), .dst_len = 4 },
	{ "zstd huge skippable frame", SRC(ZSTD, zstd_skippable_huge), .padding = SZ_4K,
	  .dst_len = 4, .err = -EUCLEAN },
	{ "zstd run", SRC(ZSTD, zstd_run), .padding = 501, .dst_len = SZ_128K, .period = 1 },
	{ "zstd run too long", SRC(ZSTD, zstd_run), .padding = 501, .dst_len = SZ_64K,
	  .err = -EUCLEAN },
	{ "zstd asks for a dictionary", SRC(ZSTD, zstd_dictionary), .dst_len = 4,
	  .err = -EUCLEAN },
	{ "zstd bad block type", SRC(ZSTD, zstd_bad_type), .dst_len = 4, .err = -EUCLEAN },
	{ "zstd wrong content size", SRC(ZSTD, zstd_wrong_size), .dst_len = 4, .err = -EUCLEAN },
	{ "zstd garbage", NONE(ZSTD), .padding = SZ_4K, .pad = 0xa7, .dst_len = SZ_64K,
	  .err = -EUCLEAN },
	{ "zstd zeros", NONE(ZSTD), .padding = SZ_64K, .dst_len = SZ_64K, .err = -EUCLEAN },
	{ "zstd nothing", NONE(ZSTD), .dst_len = SZ_512, .err = -EUCLEAN },
	{ "zstd given zlib", SRC(ZSTD, zlib_512), .dst_len = SZ_512, .err = -EUCLEAN },
};

static void case_desc(const struct codec_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(codec, cases, case_desc);

/* Bytes after the cluster that must stay as they are. */
#define GUARD	64

static void *filled(struct kunit *test, size_t len, u8 value)
{
	void *buf = kunit_kmalloc(test, len, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	return memset(buf, value, len);
}

/* Offset of the first byte of the output that is wrong, or @c->dst_len. */
static size_t first_wrong(const struct codec_case *c, const u8 *dst)
{
	size_t period = c->period ?: c->dst_len;
	size_t i;

	for (i = 0; i < c->dst_len; i++) {
		if (dst[i] != i % period % 61)
			break;
	}
	return i;
}

static void decompress(struct kunit *test)
{
	const struct codec_case *c = test->param_value;
	const struct qcow_codec *codec = qcow_codec_get(c->type);
	void *workspace;
	u8 *src, *dst;

	if (codec->missing)
		kunit_skip(test, "the kernel is without %s", codec->missing);

	/* What an earlier use left in it must not matter. */
	workspace = filled(test, codec->workspace_bytes(), 0xa5);
	/* Of exactly this length, so that KASAN sees a read beyond it. */
	src = filled(test, c->src_len + c->padding, c->pad);
	if (c->src_len)
		memcpy(src, c->src, c->src_len);
	dst = filled(test, c->dst_len + GUARD, 0x5a);

	KUNIT_EXPECT_EQ(test, c->err, codec->decompress(workspace, src, c->src_len + c->padding,
							dst, c->dst_len));
	if (!c->err)
		KUNIT_EXPECT_EQ(test, c->dst_len, first_wrong(c, dst));
	KUNIT_EXPECT_NULL(test, memchr_inv(dst + c->dst_len, 0x5a, GUARD));
}

/* Whatever happened to a cluster before, the next one in the same workspace is right. */
static void workspace_is_reusable(struct kunit *test)
{
	void *workspace[QCOW_NR_CODECS] = {};
	unsigned int i, round;

	for (i = 0; i < QCOW_NR_CODECS; i++) {
		if (!qcow_codec_get(i)->missing)
			workspace[i] = filled(test, qcow_codec_get(i)->workspace_bytes(), 0);
	}

	for (round = 0; round < 2; round++) {
		for (i = 0; i < ARRAY_SIZE(cases); i++) {
			const struct codec_case *c = &cases[i];
			u8 *src, *dst;
			int err;

			if (!workspace[c->type])
				continue;
			src = filled(test, c->src_len + c->padding, c->pad);
			if (c->src_len)
				memcpy(src, c->src, c->src_len);
			dst = filled(test, c->dst_len, 0);
			err = qcow_codec_get(c->type)->decompress(workspace[c->type], src,
								  c->src_len + c->padding,
								  dst, c->dst_len);
			KUNIT_EXPECT_EQ_MSG(test, c->err, err, "%s", c->name);
			if (!err)
				KUNIT_EXPECT_EQ_MSG(test, c->dst_len, first_wrong(c, dst), "%s",
						    c->name);
			kunit_kfree(test, dst);
			kunit_kfree(test, src);
		}
	}
}

/**
 * struct compress_case - what is compressed
 * @name: of the case
 * @type: QCOW_COMPRESSION_*
 * @len: bytes
 * @noise: one byte of so many cannot be foretold; 0: none
 */
struct compress_case {
	const char *name;
	u32 type;
	size_t len;
	u32 noise;
};

static const struct compress_case compress_cases[] = {
	{ "zlib, 512", QCOW_COMPRESSION_ZLIB, 512, 0 },
	{ "zlib, 64k, some noise", QCOW_COMPRESSION_ZLIB, SZ_64K, 8 },
	{ "zlib, 64k, noise", QCOW_COMPRESSION_ZLIB, SZ_64K, 1 },
	{ "zlib, 2M, some noise", QCOW_COMPRESSION_ZLIB, SZ_2M, 32 },
	{ "zstd, 512", QCOW_COMPRESSION_ZSTD, 512, 0 },
	{ "zstd, 64k, some noise", QCOW_COMPRESSION_ZSTD, SZ_64K, 8 },
	{ "zstd, 64k, noise", QCOW_COMPRESSION_ZSTD, SZ_64K, 1 },
	{ "zstd, 2M, some noise", QCOW_COMPRESSION_ZSTD, SZ_2M, 32 },
};

static void compress_desc(const struct compress_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(compress, compress_cases, compress_desc);

static u8 *compressible(struct kunit *test, const struct compress_case *c)
{
	u8 *src = filled(test, c->len, 0);
	struct rnd_state rnd;
	size_t i;

	prandom_seed_state(&rnd, c->len);
	for (i = 0; i < c->len; i++)
		src[i] = c->noise && !(i % c->noise) ? prandom_u32_state(&rnd) : i % 61;
	return src;
}

/* In a workspace that has been used, to a place where there is no byte more. */
static size_t compress_guarded(struct kunit *test, const struct compress_case *c, const u8 *src,
			       size_t room, u8 **dst)
{
	const struct qcow_codec *codec = qcow_codec_get(c->type);
	size_t len;

	*dst = filled(test, room + GUARD, 0x5a);
	len = codec->compress(filled(test, codec->compress_workspace_bytes(), 0xa5), src, c->len,
			      *dst, room);
	KUNIT_EXPECT_LE(test, len, room);
	KUNIT_EXPECT_NULL(test, memchr_inv(*dst + room, 0x5a, GUARD));
	return len;
}

static void compress(struct kunit *test)
{
	const struct compress_case *c = test->param_value;
	const struct qcow_codec *codec = qcow_codec_get(c->type);
	u8 *src, *dst, *again;
	size_t len;

	if (codec->compress_missing)
		kunit_skip(test, "the kernel is without %s", codec->compress_missing);
	src = compressible(test, c);
	len = compress_guarded(test, c, src, c->len - 1, &dst);
	if (c->noise == 1) {
		KUNIT_EXPECT_EQ(test, 0, len);
		return;
	}
	KUNIT_ASSERT_NE(test, 0, len);
	KUNIT_EXPECT_LT(test, len, c->len / 2);

	again = filled(test, c->len, 0);
	KUNIT_EXPECT_EQ(test, 0, codec->decompress(filled(test, codec->workspace_bytes(), 0),
						   dst, len, again, c->len));
	KUNIT_EXPECT_MEMEQ(test, src, again, c->len);
	KUNIT_EXPECT_EQ(test, 0, compress_guarded(test, c, src, len - 1, &dst));
}

static void names_are_those_of_qemu_img(struct kunit *test)
{
	KUNIT_EXPECT_STREQ(test, "zlib", qcow_codec_get(QCOW_COMPRESSION_ZLIB)->name);
	KUNIT_EXPECT_STREQ(test, "zstd", qcow_codec_get(QCOW_COMPRESSION_ZSTD)->name);
}

static struct kunit_case codec_cases[] = {
	KUNIT_CASE_PARAM(decompress, codec_gen_params),
	KUNIT_CASE(workspace_is_reusable),
	KUNIT_CASE_PARAM(compress, compress_gen_params),
	KUNIT_CASE(names_are_those_of_qemu_img),
	{}
};

static struct kunit_suite codec_suite = {
	.name = "qcow_codec",
	.test_cases = codec_cases,
};

kunit_test_suite(codec_suite);
