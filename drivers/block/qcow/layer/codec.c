// SPDX-License-Identifier: GPL-2.0
/*
 * The compression method of each compression type of a header.
 */
#include <linux/kernel.h>
#include <qcow/ondisk.h>

#include "layer/codec.h"

static const struct qcow_codec *const codecs[] = {
	[QCOW_COMPRESSION_ZLIB] = &qcow_codec_zlib,
	[QCOW_COMPRESSION_ZSTD] = &qcow_codec_zstd,
};

static_assert(ARRAY_SIZE(codecs) == QCOW_NR_CODECS);

const struct qcow_codec *qcow_codec_get(u32 type)
{
	return codecs[type];
}
