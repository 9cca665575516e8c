// SPDX-License-Identifier: GPL-2.0
/*
 * Compares two chains with the same image on top, cluster by cluster. Ranges that the image has, or
 * that read as zeros in both, are left out without a look at what is in them.
 */
#include "rebase/copy.h"

/**
 * struct side - one of the chains
 * @ext: its mapping
 * @reader: its bytes
 * @buf: a cluster of it
 * @range: where the comparison is
 */
struct side {
	struct extents *ext;
	struct reader *reader;
	unsigned char *buf;
	struct guest_range range;
};

/**
 * struct comparison - both of them
 * @edit: the mapping of the image
 * @now: on the old backing file
 * @next: on the new one
 * @bytes: of a cluster
 * @shared: depth in @now from which on layers are in @next, too, whose bytes are the same; 0: there
 *          are none that are known to be
 * @no_compare: what is not is copied without a look at @next
 * @progress: of all this
 * @size: of the image
 */
struct comparison {
	struct edit edit;
	struct side now;
	struct side next;
	size_t bytes;
	u32 shared;
	bool no_compare;
	struct progress *progress;
	u64 size;
};

static void open_side(struct side *side, const struct chain *chain, size_t bytes)
{
	side->ext = extents_open(chain);
	side->reader = reader_open(chain);
	side->buf = check_alloc(1, bytes);
}

static void close_side(struct side *side)
{
	extents_close(side->ext);
	reader_close(side->reader);
	free(side->buf);
}

/* The range at a guest offset. Return: false at the end of the image. */
static bool look(struct side *side, u64 guest)
{
	int err;

	extents_seek(side->ext, guest);
	return extents_next(side->ext, &side->range, &err);
}

static int compare_cluster(struct comparison *cmp, u64 guest)
{
	int err = reader_read(cmp->now.reader, guest, cmp->bytes, cmp->now.buf);

	if (!err && !cmp->no_compare)
		err = reader_read(cmp->next.reader, guest, cmp->bytes, cmp->next.buf);
	if (err || (!cmp->no_compare && !memcmp(cmp->now.buf, cmp->next.buf, cmp->bytes)))
		return err;
	progress_copied(cmp->progress, cmp->bytes);
	if (qc_is_zero(cmp->now.buf, cmp->bytes))
		return edit_zero(&cmp->edit, guest);
	return edit_data(&cmp->edit, guest, cmp->now.buf);
}

/* Bytes from a guest offset on that need no look: the image has them, or both are zeros. */
static u64 same_bytes(const struct comparison *cmp)
{
	const struct guest_range *now = &cmp->now.range, *next = &cmp->next.range;

	if (now->damaged || next->damaged)
		return 0;
	if (!now->depth && now->present)
		return now->len;
	if (cmp->shared && now->present && now->depth >= cmp->shared)
		return now->len;
	return now->zero && next->zero ? min(now->len, next->len) : 0;
}

static int compare(struct comparison *cmp)
{
	u64 guest = 0, same;
	int err = 0;

	while (!err && look(&cmp->now, guest) && look(&cmp->next, guest)) {
		progress_step(cmp->progress, guest, cmp->size);
		same = same_bytes(cmp);
		if (same) {
			guest += same;
			continue;
		}
		guest = round_down(guest, cmp->bytes);
		err = compare_cluster(cmp, guest);
		guest += cmp->bytes;
	}
	return err;
}

/* Depth in @now from which on it has the files below the image in @next; 0: it has not. */
static u32 shared_depth(const struct chain *now, const struct chain *next)
{
	u32 depth, i;

	if (next->nr < 2 || now->nr < next->nr)
		return 0;
	depth = now->nr - next->nr + 1;
	for (i = 1; i < next->nr; i++)
		if (!image_same_file(&now->images[depth + i - 1].st, &next->images[i].st))
			return 0;
	return depth;
}

int copy_differences(struct shadow *s, const struct chain *now, const struct chain *next,
		     struct rebase_options *opts, bool *changed)
{
	struct comparison cmp = {
		.bytes = check_cluster_bytes(&s->c),
		.shared = shared_depth(now, next),
		.no_compare = opts->no_compare,
		.progress = &opts->progress,
		.size = s->h.size,
	};
	int err = s->h.version == 1 ? 0 : space_create(s);

	progress_begin(cmp.progress, opts->job);
	open_side(&cmp.now, now, cmp.bytes);
	open_side(&cmp.next, next, cmp.bytes);
	if (!err)
		err = edit_begin(&cmp.edit, s, 0);
	if (!err)
		err = compare(&cmp);
	if (!err)
		err = edit_finish(&cmp.edit);
	if (!err)
		progress_step(cmp.progress, cmp.size, cmp.size);
	progress_clear(cmp.progress);
	*changed = cmp.edit.l1_changed || s->h.version == 1;
	close_side(&cmp.now);
	close_side(&cmp.next);
	edit_end(&cmp.edit);
	return err;
}
