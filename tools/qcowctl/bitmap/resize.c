// SPDX-License-Identifier: GPL-2.0
/*
 * Bitmaps of an image that gets another size: as long as the disk then, in the same switch. What is
 * new of the disk has not changed. An inconsistent one stays as it is; one that cannot be read
 * cannot get the size.
 */
#include "bitmap/internal.h"
#include "shadow/shadow.h"

/**
 * struct bitmap_resize - bitmaps on their way
 * @maps: of the image
 * @bytes: that the bits of all so far take
 * @heads: first clusters that lead to the new ones
 */
struct bitmap_resize {
	struct bitmaps maps;
	u64 bytes;
	struct bitmap_heads heads;
};

/* All are in memory at once. */
static int check_memory(struct bitmap_resize *r, const struct qcow_bitmap *b, u64 bytes)
{
	const struct image *img = r->maps.img;
	u64 disk = max(bytes, bits_disk_bytes(img));

	r->bytes += qcow_bitmap_table_entries(disk, b->granularity_bits, img->h.cluster_bits) <<
		    img->h.cluster_bits;
	if (r->bytes <= QCOW_MAX_BITMAP_DATA_BYTES)
		return 0;
	return qc_fail(QC_UNSUPPORTED, img->name, "its bitmaps would have more than %u bytes",
		       QCOW_MAX_BITMAP_DATA_BYTES);
}

static int load(struct bitmap_resize *r, struct bitmap *bitmap, u64 bytes)
{
	const struct image *img = r->maps.img;
	const struct qcow_bitmap *b = &bitmap->b;
	struct bits *bits;
	int err;

	if (b->flags & QCOW_BITMAP_IN_USE)
		return 0;
	err = bitmaps_check_usable(img, b);
	if (!err)
		err = check_memory(r, b, bytes);
	if (!err)
		err = bits_load(img, b, &bitmap->bits);
	if (err)
		return err;
	bits = bits_create(img, b->granularity_bits, bytes);
	if (!bits)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "bitmap '%.*s' would have more than %u bytes", (int)b->name_len,
			       b->name, QCOW_MAX_BITMAP_DATA_BYTES);
	bits_copy(bits, bitmap->bits);
	bits_destroy(bitmap->bits);
	bitmap->bits = bits;
	return 0;
}

int bitmap_resize_begin(const struct image *img, u64 bytes, struct bitmap_resize **result)
{
	struct bitmap_resize *r;
	u32 i;
	int err;

	*result = NULL;
	if (!(img->h.autoclear & QCOW_AUTOCLEAR_BITMAPS))
		return 0;
	r = qc_alloc(sizeof(*r));
	*result = r;
	err = bitmaps_read(img, &r->maps);
	for (i = 0; !err && i < r->maps.nr; i++)
		err = load(r, &r->maps.list[i], bytes);
	return err;
}

int bitmap_resize_write(struct bitmap_resize *r, struct shadow *s)
{
	return r ? bitmaps_write(s, &r->maps, &r->heads) : 0;
}

int bitmap_resize_switch(struct bitmap_resize *r, struct shadow *s)
{
	return bitmaps_switch(s, &r->heads, "size");
}

void bitmap_resize_end(struct bitmap_resize *r)
{
	if (!r)
		return;
	bitmaps_free(&r->maps);
	free(r->heads.list[0].buf);
	free(r);
}
