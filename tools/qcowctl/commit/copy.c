// SPDX-License-Identifier: GPL-2.0
/*
 * Walks over the mapping of an image, and writes what is in it to its backing file, the base: to a
 * raw one just that, else whole clusters of the base, with what is beside it there. Data and tables
 * are written where reading the image does not need them: the image covers all that changes.
 *
 * Clusters of the base are changed in the order of the disk, so those that are new in one that
 * grows are made zeros on the way.
 */
#include <errno.h>
#include <unistd.h>

#include "commit/copy.h"

/* A raw file is written in pieces of that, or of a cluster of the image. */
#define RAW_BYTES	65536U

/**
 * struct copying - the walk
 * @alone: the image
 * @below: the base, and what is below it
 * @top: mapping of @alone
 * @all: reads the image
 * @base: reads the base
 * @buf: a cluster of the base
 * @bytes: of that
 * @end: of the disk that the image is
 * @base_end: of that the base is in the end
 * @size: of the base
 * @progress: of all this
 * @changed: something has been written
 */
struct copying {
	struct chain alone;
	struct chain below;
	struct extents *top;
	struct reader *all;
	struct reader *base;
	unsigned char *buf;
	size_t bytes;
	u64 end;
	u64 base_end;
	struct growth *size;
	struct progress *progress;
	bool changed;
};

static void begin(struct copying *c, const struct chain *chain, size_t bytes)
{
	c->alone = (struct chain){ .images = chain->images, .nr = 1 };
	c->below = (struct chain){ .images = chain->images + 1, .nr = chain->nr - 1 };
	c->top = extents_open(&c->alone);
	c->all = reader_open(chain);
	c->base = reader_open(&c->below);
	c->buf = check_alloc(1, bytes);
	c->bytes = bytes;
	c->end = round_down(chain->images[0].h.size, 512ULL);
	progress_begin(c->progress, "commit");
}

static int end(struct copying *c, int err)
{
	if (!err)
		progress_step(c->progress, c->end, c->end);
	progress_clear(c->progress);
	extents_close(c->top);
	reader_close(c->all);
	reader_close(c->base);
	free(c->buf);
	return err;
}

/* What the image has at a guest offset. Return: false at its end, or after an error. */
static bool look(struct copying *c, u64 guest, struct guest_range *range, int *err)
{
	extents_seek(c->top, guest);
	progress_step(c->progress, guest, c->end);
	return extents_next(c->top, range, err) && !*err;
}

/* A cluster of the base. */
static int put_zeros(struct copying *c, u64 guest)
{
	struct growth *size = c->size;

	return guest < size->backing_end ? edit_zero(size->edit, guest) :
					   edit_hole(size->edit, guest);
}

/* The same: with what the image has, and what is beside that. */
static int put_data(struct copying *c, u64 guest)
{
	u64 behind = guest + c->bytes;
	int err = reader_read(c->all, guest, c->bytes, c->buf);

	/* Behind the image the base keeps what it has. */
	if (!err && behind > c->end && c->base_end > c->end)
		err = reader_read(c->base, c->end, behind - c->end, c->buf + (c->end - guest));
	if (err)
		return err;
	progress_copied(c->progress, c->bytes);
	return qc_is_zero(c->buf, c->bytes) ? put_zeros(c, guest) :
					   edit_data(c->size->edit, guest, c->buf);
}

/* @range begins in the cluster. */
static int put_cluster(struct copying *c, u64 guest, const struct guest_range *range)
{
	u64 behind = min(guest + c->bytes, c->base_end);

	c->changed = true;
	if (range->zero && range->guest_start == guest && guest + range->len >= behind)
		return put_zeros(c, guest);
	return put_data(c, guest);
}

/* Clusters that the image has something of are left out: they are written as a whole. */
static int grow_beside(struct copying *c, const struct guest_range *range)
{
	struct growth *size = c->size;
	u64 guest = round_down(max(range->guest_start, size->from), c->bytes);
	u64 behind = range->guest_start + range->len;

	if (behind < c->end)
		behind = round_down(behind, c->bytes);
	return guest < behind ? growth_zeros(size, guest, behind) : 0;
}

static int walk(struct copying *c)
{
	struct guest_range range;
	u64 guest = 0;
	int err = 0;

	while (!err && look(c, guest, &range, &err)) {
		if (range.present) {
			guest = round_down(guest, c->bytes);
			err = put_cluster(c, guest, &range);
			guest += c->bytes;
		} else {
			if (c->size->to > c->size->from)
				err = grow_beside(c, &range);
			guest += range.len;
		}
	}
	return err;
}

int copy_down_image(const struct chain *chain, struct growth *size, struct progress *progress,
		    bool *changed)
{
	struct copying c = { .size = size, .base_end = size->to, .progress = progress };
	struct shadow *s = size->s;
	bool grows = size->to > size->from;
	struct edit edit = { 0 };
	int err = s->h.version == 1 ? 0 : space_create(s);

	begin(&c, chain, check_cluster_bytes(&s->c));
	size->edit = &edit;
	size->reader = c.base;
	size->backing_end = growth_backing_end(&c.below);
	if (!err)
		err = edit_begin(&edit, s, size->l1_entries);
	if (!err && grows)
		err = growth_data_file(size);
	if (!err)
		err = walk(&c);
	if (!err)
		err = edit_finish(&edit);
	edit_end(&edit);
	*changed = c.changed || grows;
	return end(&c, err);
}

static int put_raw(struct copying *c, u64 guest, size_t bytes)
{
	const struct image *base = c->below.images;
	int err = reader_read(c->all, guest, bytes, c->buf);

	if (err)
		return err;
	progress_copied(c->progress, bytes);
	err = image_pwrite(base->fd, c->buf, bytes, guest);
	if (!err)
		return 0;
	return qc_fail_errno(QC_SYSTEM, -err, base->name, "cannot write %zu bytes at %llu", bytes,
			     guest);
}

static int put_raw_zeros(struct copying *c, u64 guest, u64 bytes)
{
	const struct image *base = c->below.images;
	int err = image_zero(base->fd, guest, guest + bytes);

	if (!err)
		return 0;
	return qc_fail_errno(QC_SYSTEM, -err, base->name, "cannot write zeros at %llu", guest);
}

int copy_down_raw(const struct chain *chain, struct progress *progress)
{
	size_t bytes = max_t(size_t, RAW_BYTES, 1ULL << chain->images[0].h.cluster_bits);
	const struct image *base = &chain->images[1];
	struct copying c = { .progress = progress };
	struct guest_range range;
	u64 guest = 0, len;
	int err = 0;

	begin(&c, chain, bytes);
	while (!err && look(&c, guest, &range, &err)) {
		len = range.len;
		if (range.present && range.zero) {
			err = put_raw_zeros(&c, guest, len);
		} else if (range.present) {
			len = min_t(u64, len, bytes);
			err = put_raw(&c, guest, len);
		}
		guest += len;
	}
	if (!err && fsync(base->fd))
		err = qc_fail_errno(QC_SYSTEM, errno, base->name, "cannot make it durable");
	return end(&c, err);
}
