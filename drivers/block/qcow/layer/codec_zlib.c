// SPDX-License-Identifier: GPL-2.0
/*
 * zlib: a raw deflate stream without header and checksum, in every version of the format.
 * Does no I/O and keeps no state.
 */
#include <linux/errno.h>
#include <linux/kconfig.h>

#include "layer/codec.h"

#if IS_REACHABLE(CONFIG_ZLIB_INFLATE)

#include <linux/zlib.h>

/* Raw deflate, window of 4 KiB: what QEMU writes, and the most that it reads. */
#define WINDOW_BITS	(-12)

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

const struct qcow_codec qcow_codec_zlib = {
	.name = "zlib",
	.workspace_bytes = zlib_workspace_bytes,
	.decompress = zlib_decompress,
};

#else

const struct qcow_codec qcow_codec_zlib = {
	.name = "zlib",
	.missing = "CONFIG_ZLIB_INFLATE",
};

#endif
