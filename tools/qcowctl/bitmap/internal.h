/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of bitmap/ share.
 *
 *   list.c      the directory in memory
 *   bits.c      the bits of one bitmap in memory
 *   change.c    actions on both, and what comes before and after
 *   store.c     the new state in the image
 *   resize.c    bitmaps of a disk of another size
 *   attached.c  the same, by the driver
 *   map.c       what a bitmap says, printed
 *
 * Functions return 0, or enum qc_exit after a message, unless their comment states something
 * else.
 */
#ifndef QCOWCTL_BITMAP_INTERNAL_H
#define QCOWCTL_BITMAP_INTERNAL_H

#include <qcow/bitmap.h>
#include <qcow/head.h>
#include <qcow/ondisk.h>

#include "bitmap/bitmap.h"
#include "image/image.h"

struct shadow;

/* bits.c */

/**
 * struct bits - what a bitmap says
 * @raw: the bits, in a byte the lowest first; those behind the last one are 0
 * @clusters: bytes at @raw, in clusters of the image
 * @cluster_bits: of the image
 * @granularity_bits: log2 of the guest bytes that a bit stands for
 * @nr: how many bits
 * @disk_bytes: of the disk
 */
struct bits {
	u8 *raw;
	u64 clusters;
	u32 cluster_bits;
	u32 granularity_bits;
	u64 nr;
	u64 disk_bytes;
};

/* Bytes of the disk that an image is. */
u64 bits_disk_bytes(const struct image *img);

/**
 * bits_create() - make bits that say that nothing has changed
 * @img: the image that the bitmap is of
 * @granularity_bits: of the bitmap
 * @bytes: of the disk
 *
 * Return: the bits; NULL: there would be more than QCOW_MAX_BITMAP_DATA_BYTES.
 */
struct bits *bits_create(const struct image *img, u32 granularity_bits, u64 bytes);
void bits_destroy(struct bits *bits);

/**
 * bits_load() - read the bits of a bitmap
 * @img: the image
 * @bitmap: usable, see bitmaps_find_usable()
 * @result: the bits, or NULL; bits_destroy() it also after an error
 *
 * Return: 0, QC_BAD_IMAGE, QC_UNSUPPORTED or QC_SYSTEM.
 */
int bits_load(const struct image *img, const struct qcow_bitmap *bitmap, struct bits **result);

/**
 * bits_next() - find what has changed
 * @bits: the bits
 * @pos: the first bit to look at, 0 to begin; then the one behind the range
 * @range: result, as long as it can be
 *
 * Return: false: nothing from there on.
 */
bool bits_next(const struct bits *bits, u64 *pos, struct qcow_bitmap_range *range);

/**
 * bits_merge() - have bits say as well what others say
 * @bits: get it
 * @other: of a disk of the same size, with any granularity
 */
void bits_merge(struct bits *bits, const struct bits *other);

/**
 * bits_copy() - have bits say what others say, as far as they reach
 * @bits: get it
 * @other: of a disk of any size, with the same granularity, of the same image
 */
void bits_copy(struct bits *bits, const struct bits *other);

/* list.c */

/**
 * struct bitmap - an entry of the directory
 * @b: what it is to say
 * @bits: what the bitmap is to say, NULL: what its table has
 * @stored: it is in the image, and @b has its table
 * @old_flags: that it has there
 * @removed: it goes away
 */
struct bitmap {
	struct qcow_bitmap b;
	struct bits *bits;
	bool stored;
	u32 old_flags;
	bool removed;
};

/**
 * struct bitmaps - all bitmaps of an image
 * @img: the image
 * @dir: where the directory is, with @nr 0: there is none
 * @raw: the directory
 * @list: its entries, and new ones behind them
 * @nr: of them
 */
struct bitmaps {
	const struct image *img;
	struct qcow_bitmaps_dir dir;
	unsigned char *raw;
	struct bitmap *list;
	u32 nr;
};

/**
 * bitmaps_read() - read the bitmap directory
 * @img: the image, with a validated header; stays open until bitmaps_free()
 * @maps: result; bitmaps_free() it also after an error
 *
 * Return: 0; QC_UNSUPPORTED: the version has no bitmaps; QC_BAD_IMAGE, QC_SYSTEM.
 */
int bitmaps_read(const struct image *img, struct bitmaps *maps);
void bitmaps_free(struct bitmaps *maps);

/**
 * bitmaps_lookup() - find a bitmap
 * @maps: the bitmaps
 * @name: of it
 *
 * Return: the first of that name, NULL: there is none.
 */
struct bitmap *bitmaps_lookup(const struct bitmaps *maps, const char *name);

/**
 * bitmaps_find() - the same, and there has to be one
 * @maps: the bitmaps
 * @name: of it
 * @bitmap: result
 *
 * Return: 0 or QC_NOT_FOUND.
 */
int bitmaps_find(const struct bitmaps *maps, const char *name, struct bitmap **bitmap);

/**
 * bitmaps_find_usable() - the same, and what it says has to be true
 * @maps: the bitmaps
 * @name: of it
 * @bitmap: result
 *
 * Return: 0; QC_NOT_FOUND; QC_BAD_IMAGE: it is inconsistent; QC_UNSUPPORTED: it has extra data
 * without which it must not be used.
 */
int bitmaps_find_usable(const struct bitmaps *maps, const char *name, struct bitmap **bitmap);

/**
 * bitmaps_check_usable() - refuse one whose extra data is not understood
 * @img: the image
 * @b: a bitmap that is not inconsistent
 *
 * Return: 0 or QC_UNSUPPORTED.
 */
int bitmaps_check_usable(const struct image *img, const struct qcow_bitmap *b);

/**
 * bitmaps_add() - a new bitmap, which records
 * @maps: the bitmaps
 * @name: which no other has; stays valid
 * @granularity: guest bytes that a bit stands for, 0: as QEMU has it
 *
 * Return: 0; QC_USAGE: no such granularity; QC_UNSUPPORTED: no room for another, or no disk.
 */
int bitmaps_add(struct bitmaps *maps, const char *name, u64 granularity);

/**
 * bitmaps_encode() - the directory as it is to be
 * @maps: the bitmaps
 * @buf: result, allocated; NULL: there is none
 * @dir: result, without its place
 */
void bitmaps_encode(const struct bitmaps *maps, unsigned char **buf,
		    struct qcow_bitmaps_dir *dir);

/* store.c */

/**
 * bitmaps_store() - make bitmaps valid that have changed in memory
 * @s: the new state, after shadow_check(), in which nothing has changed yet
 * @maps: of the image of @s
 */
int bitmaps_store(struct shadow *s, struct bitmaps *maps);

/**
 * struct bitmap_heads - first clusters that lead to new bitmaps
 * @list: the present one, and those that are written one after the other; the first one's @buf is
 *        allocated
 * @nr: of them
 */
struct bitmap_heads {
	struct qcow_head list[QCOW_MAX_HEADS];
	unsigned int nr;
};

/**
 * bitmaps_write() - write what has changed in memory to new clusters
 * @s: the new state, after space_create()
 * @maps: of the image of @s
 * @heads: result; the @buf of the first is to be freed, also after an error
 */
int bitmaps_write(struct shadow *s, struct bitmaps *maps, struct bitmap_heads *heads);

/**
 * bitmaps_switch() - as shadow_switch() and shadow_release(), with new bitmaps
 * @s: the new state, which is durable
 * @heads: from bitmaps_write()
 * @what: as for shadow_switch()
 */
int bitmaps_switch(struct shadow *s, struct bitmap_heads *heads, const char *what);

#endif /* QCOWCTL_BITMAP_INTERNAL_H */
