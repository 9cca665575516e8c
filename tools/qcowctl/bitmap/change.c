// SPDX-License-Identifier: GPL-2.0
/*
 * Changes a bitmap of an image: opens and checks it, carries all actions out in memory, and writes
 * what has come of them. So an action that fails leaves the image as it was, whatever came before.
 */
#include <signal.h>

#include "bitmap/internal.h"
#include "shadow/shadow.h"

/**
 * struct change - bitmaps being changed
 * @s: the new state
 * @chain: the image alone
 * @source: the image with the bitmaps that are merged, where it is another one
 * @job: what is to become of the bitmap
 * @maps: the bitmaps of the image
 * @source_maps: those of the other one
 */
struct change {
	struct shadow s;
	struct chain chain;
	struct chain source;
	const struct bitmap_job *job;
	struct bitmaps maps;
	struct bitmaps source_maps;
};

static int add(struct change *ch)
{
	const char *name = ch->job->name;

	if (bitmaps_lookup(&ch->maps, name))
		return qc_fail(QC_USAGE, ch->maps.img->name, "has a bitmap '%s' already", name);
	return bitmaps_add(&ch->maps, name, ch->job->granularity);
}

static int remove_bitmap(struct change *ch)
{
	struct bitmap *bitmap;
	int err = bitmaps_find(&ch->maps, ch->job->name, &bitmap);

	if (!err)
		bitmap->removed = true;
	return err;
}

static int clear(struct change *ch, struct bitmap *bitmap)
{
	const struct image *img = ch->maps.img;

	bits_destroy(bitmap->bits);
	bitmap->bits = bits_create(img, bitmap->b.granularity_bits, bits_disk_bytes(img));
	if (bitmap->bits)
		return 0;
	return qc_fail(QC_UNSUPPORTED, img->name, "bitmap '%s' has more than %u bytes",
		       ch->job->name, QCOW_MAX_BITMAP_DATA_BYTES);
}

static int merge_bits(struct bitmap *bitmap, const struct bits *bits, const struct image *img)
{
	if (bits->disk_bytes != bitmap->bits->disk_bytes)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "is a disk of %llu bytes, that of the other bitmap has %llu",
			       bitmap->bits->disk_bytes, bits->disk_bytes);
	bits_merge(bitmap->bits, bits);
	return 0;
}

static int merge(struct change *ch, struct bitmap *bitmap, const char *name)
{
	const struct bitmaps *maps = ch->source.nr ? &ch->source_maps : &ch->maps;
	struct bitmap *source;
	struct bits *read = NULL;
	int err = bitmaps_find_usable(maps, name, &source);

	if (!err && !bitmap->bits)
		err = bits_load(ch->maps.img, &bitmap->b, &bitmap->bits);
	if (!err && !source->bits)
		err = bits_load(maps->img, &source->b, &read);
	if (!err)
		err = merge_bits(bitmap, read ? read : source->bits, ch->maps.img);
	bits_destroy(read);
	return err;
}

static int change_usable(struct change *ch, const struct bitmap_action *action)
{
	struct bitmap *bitmap;
	int err = bitmaps_find_usable(&ch->maps, ch->job->name, &bitmap);

	if (err)
		return err;
	switch (action->verb) {
	case QCOW_BITMAP_ENABLE:
		bitmap->b.flags |= QCOW_BITMAP_AUTO;
		return 0;
	case QCOW_BITMAP_DISABLE:
		bitmap->b.flags &= ~QCOW_BITMAP_AUTO;
		return 0;
	case QCOW_BITMAP_CLEAR:
		return clear(ch, bitmap);
	default:
		return merge(ch, bitmap, action->source);
	}
}

static int act(struct change *ch, const struct bitmap_action *action)
{
	switch (action->verb) {
	case QCOW_BITMAP_ADD:
		return add(ch);
	case QCOW_BITMAP_REMOVE:
		return remove_bitmap(ch);
	default:
		return change_usable(ch, action);
	}
}

static bool has_changed(const struct bitmaps *maps)
{
	u32 i;

	for (i = 0; i < maps->nr; i++) {
		const struct bitmap *bitmap = &maps->list[i];

		if (bitmap->removed ? bitmap->stored :
		    bitmap->bits || bitmap->b.flags != bitmap->old_flags)
			return true;
	}
	return false;
}

static int open_source(struct change *ch)
{
	const struct chain_options opts = {
		.lock = IMAGE_LOCK_READ, .top_only = true, .no_data = true,
	};
	int err = chain_open(&ch->source, ch->job->source_file, &opts);

	return err ? err : bitmaps_read(&ch->source.images[0], &ch->source_maps);
}

static int open_image(struct change *ch, const char *name)
{
	const struct chain_options opts = {
		.write = true, .lock = IMAGE_LOCK_WRITE, .top_only = true, .no_data = true,
	};
	int err = chain_open(&ch->chain, name, &opts);

	ch->s.c.img = &ch->chain.images[0];
	if (err)
		return err;
	ch->s.h = ch->s.c.img->h;
	err = bitmaps_read(ch->s.c.img, &ch->maps);
	return err ? err : shadow_check_marks(ch->s.c.img);
}

static int change(struct change *ch, const char *name)
{
	int err = open_image(ch, name);
	size_t i;

	if (!err && ch->job->source_file)
		err = open_source(ch);
	for (i = 0; !err && i < ch->job->nr; i++)
		err = act(ch, &ch->job->actions[i]);
	if (err || !has_changed(&ch->maps))
		return err;
	err = shadow_check(&ch->s);
	return err ? err : bitmaps_store(&ch->s, &ch->maps);
}

int bitmap_change(const char *image, const struct bitmap_job *job)
{
	struct change ch = { .s.c.quiet = true, .job = job };
	int err;

	/* A limit of the file's length is an error as a full disk is. */
	signal(SIGXFSZ, SIG_IGN);
	err = change(&ch, image);
	bitmaps_free(&ch.source_maps);
	bitmaps_free(&ch.maps);
	space_destroy(&ch.s);
	check_reset(&ch.s.c);
	chain_close(&ch.source);
	chain_close(&ch.chain);
	return err;
}
