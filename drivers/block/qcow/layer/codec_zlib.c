// SPDX-License-Identifier: GPL-2.0
/*
 * zlib: a raw deflate stream without header and checksum, in every version of the format.
 * Does no I/O and keeps no state.
 */
#include <linux/errno.h>
#include <linux/kconfig.h>
#include <linux/zlib.h>

#include "layer/codec.h"

/* Raw deflate, window of 4 KiB: what QEMU writes, and the most that it reads. */
#define WINDOW_BITS	(-12)

#if IS_REACHABLE(CONFIG_ZLIB_INFLATE)

static size_t zlib_workspace_bytes(void)
{
	return zlib_inflate_workspacesize();
}

static int zlib_decompress(void *workspace, const void *src, size_t src_len, void *dst,
			   size_t dst_len)
{
	struct z_stream_s stream = {
		.next_in = src,
		.avail_in = src_len,
		.next_out = dst,
		.avail_out = dst_len,
		.workspace = workspace,
	};
	int ret;

	if (zlib_inflateInit2(&stream, WINDOW_BITS) != Z_OK)
		return -EUCLEAN;

	/*
	 * Whether the stream ends with the cluster is of no importance: where it stops for
	 * want of room it has given all that is asked for.
	 */
	ret = zlib_inflate(&stream, Z_FINISH);
	if ((ret != Z_STREAM_END && ret != Z_BUF_ERROR) || stream.avail_out)
		return -EUCLEAN;
	return 0;
}

#endif

#if IS_REACHABLE(CONFIG_ZLIB_DEFLATE)

static size_t zlib_compress_workspace_bytes(void)
{
	return zlib_deflate_workspacesize(WINDOW_BITS, MAX_MEM_LEVEL);
}

static size_t zlib_compress(void *workspace, const void *src, size_t src_len, void *dst,
			    size_t dst_len)
{
	struct z_stream_s stream = {
		.next_in = src,
		.avail_in = src_len,
		.next_out = dst,
		.avail_out = dst_len,
		.workspace = workspace,
	};

	if (zlib_deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS,
			      MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return 0;
	return zlib_deflate(&stream, Z_FINISH) == Z_STREAM_END ? stream.total_out : 0;
}

#endif

const struct qcow_codec qcow_codec_zlib = {
	.name = "zlib",
#if IS_REACHABLE(CONFIG_ZLIB_INFLATE)
	.workspace_bytes = zlib_workspace_bytes,
	.decompress = zlib_decompress,
#else
	.missing = "CONFIG_ZLIB_INFLATE",
#endif
#if IS_REACHABLE(CONFIG_ZLIB_DEFLATE)
	.compress_workspace_bytes = zlib_compress_workspace_bytes,
	.compress = zlib_compress,
#else
	.compress_missing = "CONFIG_ZLIB_DEFLATE",
#endif
};
