/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Compression methods of the format, each behind one const table.
 */
#ifndef _QCOW_CODEC_H
#define _QCOW_CODEC_H

#include <linux/types.h>

/* Methods there are; a compression type below this indexes tables of them. */
#define QCOW_NR_CODECS	2

/**
 * struct qcow_codec - one method
 * @name: as qemu-img calls it
 * @missing: NULL, or the kernel option that this kernel is without; then there is no more
 *           than the names
 * @workspace_bytes: memory that one decompression needs
 * @decompress: @src_len bytes at @src, of which the tail may be padding, to exactly
 *              @dst_len bytes at @dst. Accepts what QEMU accepts. May use @workspace,
 *              aligned as for any type, as it likes; finds there nothing of an earlier
 *              call. Does not sleep, does not allocate. Return: 0, or -EUCLEAN: not valid
 *              data, or fewer bytes; @dst is undefined then, but nothing beyond
 *              @dst_len is touched.
 * @compress_missing: NULL, or the kernel option that this kernel cannot compress without
 * @compress_workspace_bytes: memory that one compression needs
 * @compress: @src_len bytes at @src to at most @dst_len at @dst, as QEMU does it by default. May
 *            use @workspace likewise. Does not sleep, does not allocate. Return: bytes at @dst;
 *            0: there is no room for them
 */
struct qcow_codec {
	const char *name;
	const char *missing;
	size_t (*workspace_bytes)(void);
	int (*decompress)(void *workspace, const void *src, size_t src_len, void *dst,
			  size_t dst_len);
	const char *compress_missing;
	size_t (*compress_workspace_bytes)(void);
	size_t (*compress)(void *workspace, const void *src, size_t src_len, void *dst,
			   size_t dst_len);
};

extern const struct qcow_codec qcow_codec_zlib;
extern const struct qcow_codec qcow_codec_zstd;

/**
 * qcow_codec_get() - the method of a compression type
 * @type: QCOW_COMPRESSION_*, validated
 *
 * Return: the method, never NULL; see its @missing.
 */
const struct qcow_codec *qcow_codec_get(u32 type);

#endif /* _QCOW_CODEC_H */
