// SPDX-License-Identifier: GPL-2.0
/*
 * Opens and checks an image, makes all ready for the size beside what is in use, and writes the
 * header.
 *
 * To grow: what would show in the new range becomes zeros (grow.c). To shrink, only the header
 * changes; nothing may be allocated in what goes. Bitmaps get the size in both (bitmap/resize.c).
 */
#include <signal.h>

#include "bitmap/bitmap.h"
#include "resize/grow.h"
#include "resize/resize.h"
#include "shadow/shadow.h"

/**
 * struct resizing - an image being resized
 * @s: the new state
 * @chain: the image, and what is below it
 * @size: before and afterwards
 * @bitmaps: of the size afterwards, or NULL
 */
struct resizing {
	struct shadow s;
	struct chain chain;
	struct growth size;
	struct bitmap_resize *bitmaps;
};

static struct image *top_image(const struct resizing *r)
{
	return &r->chain.images[0];
}

int resize_new_size(const struct resize_size *size, const char *name, u64 now, u64 *bytes)
{
	bool wrong = false;

	*bytes = size->bytes;
	if (size->sign == '+')
		wrong = check_add_overflow(now, size->bytes, bytes);
	else if (size->sign == '-')
		wrong = check_sub_overflow(now, size->bytes, bytes);
	if (wrong)
		return qc_fail(QC_USAGE, name, "has %llu bytes, and cannot have %llu %s", now,
			       size->bytes, size->sign == '+' ? "more" : "less");
	if (*bytes >= now || size->shrink)
		return 0;
	qc_fail(0, name, "new size %llu is less than the present one, %llu", *bytes, now);
	qc_hint("--shrink, if nothing that is in use is to go");
	return QC_USAGE;
}

/* Those of the new bitmaps. */
static int write_counts(struct resizing *r)
{
	int err = space_write(&r->s);

	return err ? err : shadow_sync(&r->s, "the new bitmaps");
}

static int grow(struct resizing *r)
{
	struct edit edit = { 0 };
	struct growth *g = &r->size;
	int err = r->s.h.version == 1 ? 0 : space_create(&r->s);

	g->edit = &edit;
	g->reader = reader_open(&r->chain);
	g->backing_end = growth_backing_end(&r->chain);
	if (!err)
		err = edit_begin(&edit, &r->s, g->l1_entries);
	if (!err)
		err = growth_data_file(g);
	if (!err)
		err = growth_zeros(g, round_down(g->from, qcow_cluster_bytes(&r->s.c.g)), g->to);
	if (!err)
		err = bitmap_resize_write(r->bitmaps, &r->s);
	if (!err)
		err = edit_finish(&edit);
	/* With a new table their counts have been written. */
	if (!err && r->bitmaps && !edit.l1_changed)
		err = write_counts(r);
	reader_close(g->reader);
	edit_end(&edit);
	return err;
}

/* That nothing has space in what goes; entries that say zeros may stay. */
static int check_unused(struct resizing *r)
{
	struct chain top = { .images = r->chain.images, .nr = 1 };
	struct extents *ext = extents_open(&top);
	struct guest_range range;
	int err;

	extents_seek(ext, r->size.to);
	while (extents_next(ext, &range, &err) && !err) {
		if (!range.has_offset && range.kind != QCOW_EXTENT_COMPRESSED)
			continue;
		err = qc_fail(QC_BAD_IMAGE, top_image(r)->name,
			      "new size is %llu, and guest offset %llu is in use", r->size.to,
			      range.guest_start);
		break;
	}
	extents_close(ext);
	return err;
}

static int shrink(struct resizing *r)
{
	int err = check_unused(r);

	if (err || !r->bitmaps)
		return err;
	err = space_create(&r->s);
	if (!err)
		err = bitmap_resize_write(r->bitmaps, &r->s);
	return err ? err : write_counts(r);
}

/* The header has the size. */
static int switch_size(struct resizing *r)
{
	int err;

	if (r->bitmaps)
		return bitmap_resize_switch(r->bitmaps, &r->s);
	/* A program that writes to an image clears the autoclear bits that it does not know. */
	r->s.h.autoclear &= QCOW_AUTOCLEAR_RAW_DATA_FILE;
	err = shadow_switch(&r->s, "size");
	return err || r->s.h.version == 1 ? err : shadow_release(&r->s);
}

static int commit(struct resizing *r)
{
	int err = switch_size(r);

	/* That it is longer does no harm. */
	if (!err && r->size.to < r->size.from)
		(void)growth_set_data_file(&r->size, r->size.to);
	return err;
}

static int resize(struct resizing *r, bool may_shrink)
{
	int err = growth_check(&r->size, may_shrink);

	if (err || r->size.to == r->size.from)
		return err;
	err = bitmap_resize_begin(top_image(r), r->size.to, &r->bitmaps);
	if (err)
		return err;
	r->s.h.size = r->size.to;
	err = shadow_check(&r->s);
	if (err)
		return err;
	err = r->size.to > r->size.from ? grow(r) : shrink(r);
	if (!err)
		return commit(r);
	if (r->s.h.version > 1)
		space_release(&r->s, false);
	return err;
}

static int open_image(struct resizing *r, const char *name, struct chain_options *opts)
{
	int err = chain_open(&r->chain, name, opts);

	r->s.c.img = top_image(r);
	r->size.s = &r->s;
	if (err)
		return err;
	r->s.h = r->s.c.img->h;
	r->size.from = round_down(r->s.h.size, 512ULL);
	return 0;
}

/* Only to grow needs what is below the image. */
static int find_direction(const char *name, const struct resize_size *size,
			  struct chain_options *opts)
{
	struct chain_options look = { .top_only = true, .no_data = true };
	struct resizing r = { 0 };
	int err = open_image(&r, name, &look);

	if (!err)
		err = resize_new_size(size, name, r.size.from, &r.size.to);
	opts->top_only = r.size.to <= r.size.from;
	chain_close(&r.chain);
	return err;
}

int resize_image(const char *name, const struct resize_size *size, struct chain_options *opts,
		 u64 *from, u64 *to)
{
	struct resizing r = { .s.c.quiet = true };
	int err = find_direction(name, size, opts);

	if (err)
		return err;
	/* A limit of a file's length is an error as a full disk is. */
	signal(SIGXFSZ, SIG_IGN);
	opts->write = true;
	opts->lock = IMAGE_LOCK_WRITE;
	err = open_image(&r, name, opts);
	if (!err)
		err = resize_new_size(size, name, r.size.from, &r.size.to);
	if (!err && opts->top_only && r.size.to > r.size.from)
		err = qc_fail(QC_BUSY, name, "has got another size meanwhile");
	if (!err)
		err = resize(&r, size->shrink);
	*from = r.size.from;
	*to = r.size.to;
	bitmap_resize_end(r.bitmaps);
	space_destroy(&r.s);
	check_reset(&r.s.c);
	chain_close(&r.chain);
	return err;
}
