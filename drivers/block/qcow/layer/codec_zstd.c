// SPDX-License-Identifier: GPL-2.0
/*
 * zstd: frames, as a rule one, followed by padding up to the end of a sector. Does no I/O
 * and keeps no state.
 */
#include <linux/errno.h>
#include <linux/kconfig.h>
#include <linux/sizes.h>
#include <linux/zstd.h>

#include "layer/codec.h"

#if IS_REACHABLE(CONFIG_ZSTD_DECOMPRESS)

static size_t zstd_workspace_bytes(void)
{
	return zstd_dctx_workspace_bound();
}

static int zstd_decompress(void *workspace, const void *src, size_t src_len, void *dst,
			   size_t dst_len)
{
	zstd_dctx *dctx = zstd_init_dctx(workspace, zstd_dctx_workspace_bound());

	if (!dctx)
		return -EUCLEAN;

	/*
	 * Frame by frame into the cluster itself, which spares the window that a stream
	 * needs. A frame takes at least its header, so this ends. Padding after the frame
	 * that completes the cluster is never read.
	 */
	while (dst_len) {
		size_t frame = zstd_find_frame_compressed_size(src, src_len);
		size_t out;

		if (zstd_is_error(frame))
			return -EUCLEAN;
		out = zstd_decompress_dctx(dctx, dst, dst_len, src, frame);
		if (zstd_is_error(out))
			return -EUCLEAN;
		src += frame;
		src_len -= frame;
		dst += out;
		dst_len -= out;
	}
	return 0;
}

#endif

#if IS_REACHABLE(CONFIG_ZSTD_COMPRESS)

/* What the library and QEMU do by default. */
#define LEVEL	3

/* Of the largest cluster there is; of a smaller one it is less. */
static size_t zstd_compress_workspace_bytes(void)
{
	zstd_parameters params = zstd_get_params(LEVEL, SZ_2M);

	return zstd_cctx_workspace_bound(&params.cParams);
}

static size_t zstd_compress(void *workspace, const void *src, size_t src_len, void *dst,
			    size_t dst_len)
{
	zstd_cctx *cctx = zstd_init_cctx(workspace, zstd_compress_workspace_bytes());
	zstd_parameters params = zstd_get_params(LEVEL, src_len);
	size_t bytes;

	if (!cctx)
		return 0;
	bytes = zstd_compress_cctx(cctx, dst, dst_len, src, src_len, &params);
	return zstd_is_error(bytes) ? 0 : bytes;
}

#endif

const struct qcow_codec qcow_codec_zstd = {
	.name = "zstd",
#if IS_REACHABLE(CONFIG_ZSTD_DECOMPRESS)
	.workspace_bytes = zstd_workspace_bytes,
	.decompress = zstd_decompress,
#else
	.missing = "CONFIG_ZSTD_DECOMPRESS",
#endif
#if IS_REACHABLE(CONFIG_ZSTD_COMPRESS)
	.compress_workspace_bytes = zstd_compress_workspace_bytes,
	.compress = zstd_compress,
#else
	.compress_missing = "CONFIG_ZSTD_COMPRESS",
#endif
};
