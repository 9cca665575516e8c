// SPDX-License-Identifier: GPL-2.0
/*
 * What a file is that is no QCOW image. Only for the message: nothing is ever done because of
 * what a file looks like.
 */
#include "image/image.h"

/**
 * struct magic - how a file begins
 * @name: for people
 * @at: where the bytes are
 * @len: of them
 * @bytes: the bytes
 */
struct magic {
	const char *name;
	size_t at;
	size_t len;
	const char *bytes;
};

#define MAGIC(_name, _at, _bytes) \
	{ .name = _name, .at = _at, .len = sizeof(_bytes) - 1, .bytes = _bytes }

static const struct magic magics[] = {
	MAGIC("VMDK", 0, "KDMV"),
	MAGIC("VMDK", 0, "COWD"),
	MAGIC("VMDK (a description of other files)", 0, "# Disk DescriptorFile"),
	MAGIC("VDI", 64, "\x7f\x10\xda\xbe"),
	MAGIC("VHD", 0, "conectix"),
	MAGIC("VHDX", 0, "vhdxfile"),
	MAGIC("QED", 0, "QED\0"),
	MAGIC("Parallels", 0, "WithoutFreeSpace"),
	MAGIC("Parallels", 0, "WithouFreSpacExt"),
	MAGIC("LUKS", 0, "LUKS\xba\xbe"),
	MAGIC("gzip", 0, "\x1f\x8b"),
	MAGIC("bzip2", 0, "BZh"),
	MAGIC("xz", 0, "\3757zXZ\0"),
	MAGIC("zstd", 0, "\x28\xb5\x2f\xfd"),
	MAGIC("lz4", 0, "\x04\x22\x4d\x18"),
	MAGIC("ZIP", 0, "PK\x03\x04"),
	MAGIC("7-Zip", 0, "7z\xbc\xaf\x27\x1c"),
	MAGIC("tar (OVA)", 257, "ustar"),
	MAGIC("HTML", 0, "<!DOCTYPE"),
	MAGIC("HTML", 0, "<html"),
	MAGIC("a raw disk", 510, "\x55\xaa"),
};

int image_not_qcow(const struct image *img, size_t len, int code)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(magics); i++) {
		const struct magic *m = &magics[i];

		if (m->at + m->len <= len && !memcmp(img->head + m->at, m->bytes, m->len))
			return qc_fail(code, img->name, "not a QCOW image, it looks like %s",
				       m->name);
	}
	return qc_fail(code, img->name, "not a QCOW image");
}
