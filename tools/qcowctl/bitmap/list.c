// SPDX-License-Identifier: GPL-2.0
/*
 * The bitmap directory in memory: what it has, and what it is to have. Names and extra data are in
 * the directory as it was read, or, of a new one, in the arguments.
 */
#include <errno.h>

#include "bitmap/internal.h"

static int read_directory(struct bitmaps *maps, struct qcow_report *rep)
{
	const struct image *img = maps->img;
	struct qcow_bitmap bitmap;
	size_t pos = 0;
	u32 idx = 0;
	int ret;

	ret = qcow_bitmaps_find_dir(&img->h, img->head, img->head_len, img->bytes, &maps->dir, rep);
	if (ret)
		return image_exit_code(ret);
	maps->raw = qc_alloc(maps->dir.bytes);
	ret = image_pread(img->fd, maps->raw, maps->dir.bytes, maps->dir.host_offset);
	if (ret)
		return qc_fail_errno(image_exit_code(ret), -ret, img->name,
				     "cannot read the bitmap directory");
	maps->list = qc_alloc(maps->dir.nr * sizeof(*maps->list));
	while ((ret = qcow_bitmap_next(&img->h, &maps->dir, img->bytes, maps->raw, &pos, &idx,
				       &bitmap, rep)) > 0)
		maps->list[maps->nr++] = (struct bitmap){
			.b = bitmap, .stored = true, .old_flags = bitmap.flags,
		};
	return image_exit_code(ret);
}

int bitmaps_read(const struct image *img, struct bitmaps *maps)
{
	int err;

	QC_REPORT(rep);
	*maps = (struct bitmaps){ .img = img };
	if (img->h.version < 3)
		return qc_fail(QC_UNSUPPORTED, img->name, "version %u has no bitmaps",
			       img->h.version);
	if (!(img->h.autoclear & QCOW_AUTOCLEAR_BITMAPS))
		return 0;
	err = read_directory(maps, &rep);
	if (err)
		qc_lines(img->name, rep.buf);
	return err;
}

void bitmaps_free(struct bitmaps *maps)
{
	u32 i;

	for (i = 0; i < maps->nr; i++)
		bits_destroy(maps->list[i].bits);
	free(maps->list);
	free(maps->raw);
}

int bitmap_check_idle(const struct image *img)
{
	struct bitmaps maps;
	u32 i;
	int err;

	if (!(img->h.autoclear & QCOW_AUTOCLEAR_BITMAPS))
		return 0;
	err = bitmaps_read(img, &maps);
	for (i = 0; !err && i < maps.nr; i++) {
		const struct qcow_bitmap *b = &maps.list[i].b;

		if ((b->flags & (QCOW_BITMAP_AUTO | QCOW_BITMAP_IN_USE)) != QCOW_BITMAP_AUTO)
			continue;
		err = qc_fail(QC_UNSUPPORTED, img->name,
			      "has a bitmap that records, '%.*s', which would miss what is written",
			      (int)b->name_len, b->name);
		qc_hint("qcowctl bitmap --disable, or --remove");
	}
	bitmaps_free(&maps);
	return err;
}

struct bitmap *bitmaps_lookup(const struct bitmaps *maps, const char *name)
{
	size_t len = strlen(name);
	u32 i;

	for (i = 0; i < maps->nr; i++) {
		struct bitmap *bitmap = &maps->list[i];

		if (!bitmap->removed && bitmap->b.name_len == len &&
		    !memcmp(bitmap->b.name, name, len))
			return bitmap;
	}
	return NULL;
}

int bitmaps_find(const struct bitmaps *maps, const char *name, struct bitmap **bitmap)
{
	u32 i;

	*bitmap = bitmaps_lookup(maps, name);
	if (*bitmap)
		return 0;
	qc_fail(0, maps->img->name, "no bitmap with the name '%s'", name);
	for (i = 0; i < maps->nr; i++)
		if (!maps->list[i].removed)
			qc_fail(0, maps->img->name, "has bitmap '%.*s'",
				(int)maps->list[i].b.name_len, maps->list[i].b.name);
	return QC_NOT_FOUND;
}

static void hint_remove(const struct image *img, const char *name)
{
	char *image = qc_quote(img->name), *bitmap = qc_quote(name);

	qc_hint("qcowctl bitmap --remove %s %s", image, bitmap);
	free(bitmap);
	free(image);
}

int bitmaps_check_usable(const struct image *img, const struct qcow_bitmap *b)
{
	if (!b->extra_len || b->flags & QCOW_BITMAP_EXTRA_COMPATIBLE)
		return 0;
	return qc_fail(QC_UNSUPPORTED, img->name,
		       "bitmap '%.*s' has %u bytes of extra data of an unknown kind",
		       (int)b->name_len, b->name, b->extra_len);
}

int bitmaps_find_usable(const struct bitmaps *maps, const char *name, struct bitmap **bitmap)
{
	const struct image *img = maps->img;
	const struct qcow_bitmap *b;
	int err = bitmaps_find(maps, name, bitmap);

	if (err)
		return err;
	b = &(*bitmap)->b;
	if (b->flags & QCOW_BITMAP_IN_USE) {
		qc_fail(0, img->name, "bitmap '%s' is inconsistent, it can only be removed", name);
		hint_remove(img, name);
		return QC_BAD_IMAGE;
	}
	return bitmaps_check_usable(img, b);
}

static u64 directory_bytes(const struct bitmaps *maps, u32 *nr)
{
	u64 bytes = 0;
	u32 i;

	*nr = 0;
	for (i = 0; i < maps->nr; i++) {
		if (maps->list[i].removed)
			continue;
		bytes += qcow_bitmap_entry_bytes(&maps->list[i].b);
		++*nr;
	}
	return bytes;
}

static int check_granularity(const struct image *img, u64 granularity)
{
	u64 bytes = bits_disk_bytes(img);
	int err;

	QC_REPORT(rep);
	if (!bytes)
		return qc_fail(QC_UNSUPPORTED, img->name, "a disk of 0 bytes has no bitmaps");
	err = qcow_bitmap_check_granularity(granularity, bytes, img->h.cluster_bits, &rep);
	if (!err)
		return 0;
	qc_lines(img->name, rep.buf);
	if (err == -EFBIG)
		qc_hint("a larger --granularity");
	return QC_USAGE;
}

int bitmaps_add(struct bitmaps *maps, const char *name, u64 granularity)
{
	const struct image *img = maps->img;
	struct bitmap bitmap = {
		.b = { .flags = QCOW_BITMAP_AUTO, .name = name, .name_len = strlen(name) },
	};
	u64 bytes;
	u32 nr;
	int err;

	if (!granularity)
		granularity = qcow_bitmap_default_granularity(img->h.cluster_bits);
	err = check_granularity(img, granularity);
	if (err)
		return err;
	bitmap.b.granularity_bits = __builtin_ctzll(granularity);
	bitmap.bits = bits_create(img, bitmap.b.granularity_bits, bits_disk_bytes(img));
	maps->list = qc_grow(maps->list, maps->nr + 1, sizeof(*maps->list));
	maps->list[maps->nr++] = bitmap;
	bytes = directory_bytes(maps, &nr);
	if (nr <= QCOW_MAX_BITMAPS && bytes <= QCOW_MAX_BITMAP_DIR_BYTES)
		return 0;
	return qc_fail(QC_UNSUPPORTED, img->name,
		       "has %u bitmaps, and no room for another in their directory", nr - 1);
}

void bitmaps_encode(const struct bitmaps *maps, unsigned char **buf,
		    struct qcow_bitmaps_dir *dir)
{
	unsigned char *to;
	u32 i;

	*dir = (struct qcow_bitmaps_dir){ 0 };
	dir->bytes = directory_bytes(maps, &dir->nr);
	*buf = dir->nr ? qc_alloc(dir->bytes) : NULL;
	for (i = 0, to = *buf; i < maps->nr; i++) {
		const struct bitmap *bitmap = &maps->list[i];

		if (bitmap->removed)
			continue;
		qcow_bitmap_put(&bitmap->b, to);
		to += qcow_bitmap_entry_bytes(&bitmap->b);
	}
}
