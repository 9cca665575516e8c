// SPDX-License-Identifier: GPL-2.0
/*
 * What an image has, moved into its backing file, the base, when no other program has either open.
 *
 *   both checked; nothing is written before
 *   base    what the image has is copied: beside what is in use (shadow/), or over it in version 1,
 *           a raw file and an external data file; durable
 *           one write of the header makes it valid, with the size; what is not needed is freed
 *   image   made empty by another such write, or removed
 *
 * Until the image is empty it covers all that has changed below it, and what is new below it is
 * zeros as it was: at every step the same is read through it.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "bitmap/bitmap.h"
#include "commit/commit.h"
#include "commit/copy.h"
#include "driver/driver.h"

/**
 * struct committing - an image being committed
 * @chain: the image, the base, and what is below it
 * @top: new state of the image
 * @base: new state of the base, unless it is raw
 * @size: of the base
 * @doomed: what is removed
 * @opts: how
 */
struct committing {
	struct chain chain;
	struct shadow top;
	struct shadow base;
	struct growth size;
	struct doomed doomed;
	struct commit_options *opts;
};

static struct image *top_image(const struct committing *c)
{
	return &c->chain.images[0];
}

static struct image *base_image(const struct committing *c)
{
	return &c->chain.images[1];
}

static int check_top(const struct committing *c)
{
	const struct image *img = top_image(c);

	if (c->chain.nr < 2)
		return qc_fail(QC_NOT_FOUND, img->name, "has no backing file");
	if (img->h.nr_snapshots)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "has %u snapshots, which would not be what they are with another backing file",
			       img->h.nr_snapshots);
	return shadow_check_marks(img);
}

static int check_raw_base(const struct committing *c)
{
	const struct image *img = base_image(c);

	if (S_ISREG(img->st.st_mode) || c->size.to <= c->size.from)
		return 0;
	return qc_fail(QC_SYSTEM, img->name, "is a device of %llu bytes, the image has %llu",
		       c->size.from, c->size.to);
}

static int check_base(struct committing *c)
{
	const struct image *img = base_image(c);
	int err;

	if (img->raw)
		return check_raw_base(c);
	/* Their snapshots would show what is written to the data file. */
	if (img->data_fd >= 0 && img->h.nr_snapshots)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "has %u snapshots and an external data file",
			       img->h.nr_snapshots);
	if (c->size.to > c->size.from && img->h.autoclear & QCOW_AUTOCLEAR_BITMAPS)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "has persistent bitmaps, and is to get another size: resize it before");
	err = shadow_check_marks(img);
	if (!err && c->size.to > c->size.from)
		err = growth_check(&c->size, false);
	return err ? err : bitmap_check_idle(img);
}

/* A base that is longer stays so. */
static void set_sizes(struct committing *c)
{
	const struct image *img = base_image(c);

	c->size.s = &c->base;
	c->size.from = img->raw ? round_up(img->bytes, 512ULL) : round_down(img->h.size, 512ULL);
	c->size.to = max(c->size.from, round_down(top_image(c)->h.size, 512ULL));
}

static int open_images(struct committing *c, const char *name)
{
	struct chain_options *chain = &c->opts->chain;
	int err;

	/* A limit of the file's length is an error as a full disk is. */
	signal(SIGXFSZ, SIG_IGN);
	chain->write = true;
	chain->write_backing = true;
	chain->lock = IMAGE_LOCK_WRITE;
	err = chain_open(&c->chain, name, chain);
	if (!err)
		err = check_top(c);
	if (!err)
		err = chain_check_readable(&c->chain, "not committed");
	if (err)
		return err;
	c->top.c.img = top_image(c);
	c->top.h = c->top.c.img->h;
	c->base.c.img = base_image(c);
	c->base.h = c->base.c.img->h;
	set_sizes(c);
	return check_base(c);
}

static void close_images(struct committing *c)
{
	space_destroy(&c->base);
	check_reset(&c->base.c);
	space_destroy(&c->top);
	check_reset(&c->top.c);
	chain_close(&c->chain);
}

static int write_raw(struct committing *c)
{
	const struct image *img = base_image(c);

	if (c->size.to > c->size.from && ftruncate(img->fd, c->size.to))
		return qc_fail_errno(QC_SYSTEM, errno, img->name, "cannot make it %llu bytes long",
				     c->size.to);
	return copy_down_raw(&c->chain, &c->opts->progress);
}

static int write_base(struct committing *c)
{
	struct shadow *s = &c->base;
	bool changed;
	int err;

	s->h.size = max(s->h.size, c->size.to);
	err = copy_down_image(&c->chain, &c->size, &c->opts->progress, &changed);
	if (!err && changed)
		return shadow_switch_contents(s, "contents");
	if (err && s->h.version > 1)
		space_release(s, false);
	return err;
}

/* @again: it is empty, and its table is to move to the beginning of the file. */
static int write_empty(struct shadow *s, bool again, bool *changed)
{
	struct edit edit = { 0 };
	int err = s->h.version == 1 ? 0 : space_create(s);

	if (!err)
		err = edit_begin(&edit, s, 0);
	if (!err)
		err = edit_empty(&edit);
	edit.l1_changed |= again;
	*changed = edit.l1_changed;
	if (!err)
		err = edit_finish(&edit);
	edit_end(&edit);
	return err;
}

/* Clusters that nothing refers to any more. */
static int release_v1(struct shadow *s)
{
	struct image *img = s->c.img;
	int err = image_stat(img->fd, img->name, &img->st, &img->bytes);

	if (err)
		return err;
	check_set_up(&s->c);
	s->c.repair = REPAIR_LEAKS;
	return check_v1(&s->c) || s->c.res.errors ? QC_SYSTEM : 0;
}

static int empty_once(struct shadow *s, bool again, bool *changed)
{
	int err = write_empty(s, again, changed);

	if (!err && *changed)
		return s->h.version == 1 ? release_v1(s) : shadow_switch_contents(s, "contents");
	if (err && s->h.version > 1)
		space_release(s, false);
	return err;
}

/*
 * The new tables are behind all that it has had. Once that is free they move to the beginning, so
 * that the file becomes short.
 */
static int shorten(const struct committing *c)
{
	struct image *img = top_image(c);
	struct shadow s = { .c = { .img = img, .quiet = true }, .h = c->top.h };
	bool changed;
	int err = image_stat(img->fd, img->name, &img->st, &img->bytes);

	img->h = s.h;
	if (!err)
		err = shadow_check(&s);
	if (!err)
		err = empty_once(&s, true, &changed);
	space_destroy(&s);
	check_reset(&s.c);
	return err;
}

static int empty_top(struct committing *c)
{
	const struct image *img = top_image(c);
	bool changed;
	int err = empty_once(&c->top, false, &changed);

	if (err || !changed)
		return err;
	/* No entry leads there any more. A file system that cannot do it keeps what there is. */
	if (img->data_fd >= 0)
		(void)image_punch(img->data_fd, 0,
				  round_up(img->h.size, qcow_cluster_bytes(&c->top.c.g)));
	return img->h.version == 1 ? 0 : shorten(c);
}

static int finish_top(struct committing *c)
{
	int err;

	if (c->opts->drop)
		return doomed_delete(&c->doomed, 0, "committed");
	err = empty_top(c);
	if (err)
		qc_fail(0, top_image(c)->name, "is committed, and may not be empty");
	return err;
}

static int run(struct committing *c)
{
	bool raw = base_image(c)->raw;
	int err = shadow_check(&c->top);

	if (!err && !raw)
		err = shadow_check(&c->base);
	if (!err)
		err = raw ? write_raw(c) : write_base(c);
	return err ? err : finish_top(c);
}

int commit_image(const char *name, struct commit_options *opts)
{
	struct committing c = {
		.top.c.quiet = true, .base.c.quiet = true, .opts = opts,
	};
	int err;

	doomed_init(&c.doomed);
	err = open_images(&c, name);
	if (!err && opts->drop)
		err = doomed_take(&c.doomed, top_image(&c));
	if (!err)
		err = run(&c);
	doomed_close(&c.doomed);
	close_images(&c);
	return err;
}
