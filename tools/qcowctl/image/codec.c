// SPDX-License-Identifier: GPL-2.0
/*
 * Decompresses one cluster.
 */
#include <zlib.h>
#include <zstd.h>

#include "image/image.h"

/* QEMU deflates with a window of 4 KiB. */
#define DEFLATE_WINDOW	12

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
