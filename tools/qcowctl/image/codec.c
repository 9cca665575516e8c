// SPDX-License-Identifier: GPL-2.0
/*
 * Decompresses and compresses one cluster, as QEMU does it.
 */
#include <zlib.h>
#include <zstd.h>

#include "image/image.h"

/* QEMU deflates with a window of 4 KiB, and with the most memory. */
#define DEFLATE_WINDOW	12
#define DEFLATE_MEMORY	9

static bool decompress_zlib(const void *in, size_t in_len, void *out, size_t out_len)
{
	z_stream strm = {
		.next_in = (void *)in, .avail_in = in_len, .next_out = out, .avail_out = out_len,
	};
	int ret;

	if (inflateInit2(&strm, -DEFLATE_WINDOW) != Z_OK)
		return false;
	ret = inflate(&strm, Z_FINISH);
	inflateEnd(&strm);
	/* What follows the stream in its last sector is not part of it. */
	return (ret == Z_STREAM_END || ret == Z_BUF_ERROR) && !strm.avail_out;
}

static bool decompress_zstd(const void *in, size_t in_len, void *out, size_t out_len)
{
	ZSTD_inBuffer from = { .src = in, .size = in_len };
	ZSTD_outBuffer to = { .dst = out, .size = out_len };
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	size_t before;

	while (ctx && to.pos < to.size) {
		before = from.pos + to.pos;
		if (ZSTD_isError(ZSTD_decompressStream(ctx, &to, &from)) ||
		    from.pos + to.pos == before)
			break;
	}
	ZSTD_freeDCtx(ctx);
	return to.pos == to.size;
}

bool codec_decompress(u32 type, const void *in, size_t in_len, void *out, size_t out_len)
{
	return type == QCOW_COMPRESSION_ZSTD ? decompress_zstd(in, in_len, out, out_len) :
					       decompress_zlib(in, in_len, out, out_len);
}

static size_t compress_zlib(const void *in, size_t in_len, void *out, size_t out_len)
{
	z_stream strm = {
		.next_in = (void *)in, .avail_in = in_len, .next_out = out, .avail_out = out_len,
	};
	int ret;

	if (deflateInit2(&strm, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -DEFLATE_WINDOW, DEFLATE_MEMORY,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return 0;
	ret = deflate(&strm, Z_FINISH);
	deflateEnd(&strm);
	return ret == Z_STREAM_END ? out_len - strm.avail_out : 0;
}

static size_t compress_zstd(const void *in, size_t in_len, void *out, size_t out_len)
{
	size_t len = ZSTD_compress(out, out_len, in, in_len, ZSTD_CLEVEL_DEFAULT);

	return ZSTD_isError(len) ? 0 : len;
}

size_t codec_compress(u32 type, const void *in, size_t in_len, void *out, size_t out_len)
{
	return type == QCOW_COMPRESSION_ZSTD ? compress_zstd(in, in_len, out, out_len) :
					       compress_zlib(in, in_len, out, out_len);
}
