// SPDX-License-Identifier: GPL-2.0
/*
 * Where the name and the format of another backing file go in a header that exists, or the place of
 * another bitmap directory: every layout is tried until one leaves alone what the old header needs.
 */
#include <qcow/bitmap.h>
#include <qcow/head.h>
#include <qcow/ondisk.h>
#include <qcow/report.h>

/**
 * enum format_place - where in the list of extensions the backing file's format goes
 * @FORMAT_FIRST: before all others, as in a new image
 * @FORMAT_SAME: where it is
 * @FORMAT_LAST: behind all others
 * @FORMAT_NONE: it goes
 * @FORMAT_KEPT: it stays as it is
 */
enum format_place {
	FORMAT_FIRST,
	FORMAT_SAME,
	FORMAT_LAST,
	FORMAT_NONE,
	FORMAT_KEPT,
};

/**
 * enum bitmaps_place - where in the list of extensions that of the bitmaps goes
 * @BITMAPS_FIRST: before all others, so that the next directory changes the first sector alone
 * @BITMAPS_SAME: where it is
 * @BITMAPS_NONE: it goes
 * @BITMAPS_KEPT: it stays as it is
 */
enum bitmaps_place {
	BITMAPS_FIRST,
	BITMAPS_SAME,
	BITMAPS_NONE,
	BITMAPS_KEPT,
};

/**
 * struct places - of the extensions that a change is about
 * @format: the backing file's format
 * @bitmaps: the bitmaps
 */
struct places {
	enum format_place format;
	enum bitmaps_place bitmaps;
};

/**
 * struct content - what a header is to have
 * @name: name of the backing file, not NUL terminated, or NULL: it has none
 * @name_len: bytes at @name
 * @keeps_name: the name is as it is, and best stays where it is
 * @spare: bytes that are to be free before the name, of what the list gets with the next head
 * @format: its format, where it changes
 * @features: feature name table, or NULL: none
 * @bitmaps: data of the extension of the bitmaps, where it changes
 * @autoclear: feature bits
 * @places: to be tried, in this order
 * @nr_places: how many
 */
struct content {
	const void *name;
	size_t name_len;
	bool keeps_name;
	size_t spare;
	const char *format;
	const struct qcow_ext *features;
	const struct qcow_disk_bitmaps *bitmaps;
	u64 autoclear;
	const struct places *places;
	size_t nr_places;
};

/**
 * struct layout - a header being laid out
 * @old: the one that is there
 * @new: the other one
 * @pos: the next byte of it
 * @content: what it is to have
 */
struct layout {
	const struct qcow_head *old;
	struct qcow_head *new;
	size_t pos;
	const struct content *content;
};

static bool put_ext(struct layout *l, u32 type, const void *data, u32 len)
{
	size_t bytes = sizeof(struct qcow_disk_ext) + round_up((size_t)len, 8);
	struct qcow_disk_ext *ext = (void *)(l->new->buf + l->pos);

	if (bytes > l->new->bytes - l->pos)
		return false;
	memset(ext, 0, bytes);
	ext->type = cpu_to_be32(type);
	ext->len = cpu_to_be32(len);
	if (len)
		memcpy(ext + 1, data, len);
	l->pos += bytes;
	return true;
}

static bool put_format(struct layout *l)
{
	const char *format = l->content->format;

	return put_ext(l, QCOW_EXT_BACKING_FORMAT, format, strlen(format));
}

static bool put_features(struct layout *l)
{
	const struct qcow_ext *ext = l->content->features;

	return !ext || put_ext(l, ext->type, ext->data, ext->len);
}

static bool put_bitmaps(struct layout *l)
{
	return put_ext(l, QCOW_EXT_BITMAPS, l->content->bitmaps, sizeof(*l->content->bitmaps));
}

/* One of the old extensions, as it is, anew, or not. */
static bool put_old(struct layout *l, const struct qcow_ext *ext, const struct places *at)
{
	if (ext->type == QCOW_EXT_BACKING_FORMAT && at->format != FORMAT_KEPT)
		return at->format != FORMAT_SAME || put_format(l);
	if (ext->type == QCOW_EXT_BITMAPS && at->bitmaps != BITMAPS_KEPT)
		return at->bitmaps != BITMAPS_SAME || put_bitmaps(l);
	if (ext->type == QCOW_EXT_FEATURE_NAMES)
		return put_features(l);
	return put_ext(l, ext->type, ext->data, ext->len);
}

static bool find_ext(const struct qcow_head *head, u32 type, struct qcow_ext *ext)
{
	size_t pos = 0;

	while (qcow_ext_next(&head->h, head->buf, head->bytes, &pos, ext, NULL) == 1) {
		if (ext->type == type)
			return true;
	}
	return false;
}

/* What is to be put in the place of an old one has one. */
static bool has_places(const struct qcow_head *old, const struct places *at)
{
	struct qcow_ext ext;

	return (at->format != FORMAT_SAME || find_ext(old, QCOW_EXT_BACKING_FORMAT, &ext)) &&
	       (at->bitmaps != BITMAPS_SAME || find_ext(old, QCOW_EXT_BITMAPS, &ext));
}

/* The old cluster with all extensions and the end mark laid out anew. */
static bool put_extensions(struct layout *l, const struct places *at)
{
	const struct qcow_head *old = l->old;
	struct qcow_ext ext;
	size_t pos = 0;
	bool fits;

	memcpy(l->new->buf, old->buf, old->bytes);
	l->new->h = old->h;
	l->pos = old->h.length;
	fits = (at->format != FORMAT_FIRST || put_format(l)) &&
	       (at->bitmaps != BITMAPS_FIRST || put_bitmaps(l));
	while (fits && qcow_ext_next(&old->h, old->buf, old->bytes, &pos, &ext, NULL) == 1)
		fits = put_old(l, &ext, at);
	if (fits && !find_ext(old, QCOW_EXT_FEATURE_NAMES, &ext))
		fits = put_features(l);
	if (fits && at->format == FORMAT_LAST)
		fits = put_format(l);
	return fits && put_ext(l, QCOW_EXT_END, NULL, 0);
}

/* The header states the place of the name, behind @at. */
static bool put_backing(struct layout *l, size_t at)
{
	struct qcow_disk_header *disk = (void *)l->new->buf;
	const struct content *content = l->content;
	size_t len = content->name_len;

	if (at > l->new->bytes || len > l->new->bytes - at)
		return false;
	if (content->name)
		memcpy(l->new->buf + at, content->name, len);
	else
		at = 0;
	disk->backing_offset = cpu_to_be64((u64)at);
	disk->backing_size = cpu_to_be32((u32)len);
	l->new->h.backing_offset = at;
	l->new->h.backing_len = len;
	return true;
}

/* Behind the last extension of the old header. */
static size_t ext_end(const struct qcow_head *old)
{
	struct qcow_ext ext;
	size_t pos = 0, end = old->h.length;

	while (qcow_ext_next(&old->h, old->buf, old->bytes, &pos, &ext, NULL) == 1)
		end = pos;
	/* The end mark. */
	return min(end + sizeof(struct qcow_disk_ext), old->bytes);
}

static bool same_behind_switch(const struct layout *l, size_t from, size_t end)
{
	from = max_t(size_t, from, QCOW_HEAD_SWITCH_BYTES);
	return end <= from || !memcmp(l->old->buf + from, l->new->buf + from, end - from);
}

static bool leaves_old(const struct layout *l)
{
	const struct qcow_header *h = &l->old->h;

	return same_behind_switch(l, 0, ext_end(l->old)) &&
	       same_behind_switch(l, h->backing_offset, h->backing_offset + h->backing_len);
}

/* @behind: bytes that the name leaves free at the front, or 0: it comes at once. */
static bool lay_out(struct layout *l, const struct places *at, size_t behind)
{
	return put_extensions(l, at) &&
		put_backing(l, max(l->pos + l->content->spare, behind)) && leaves_old(l);
}

static bool try_places(struct layout *l)
{
	const struct content *content = l->content;
	const struct qcow_header *h = &l->old->h;
	size_t behind = max_t(u64, ext_end(l->old), h->backing_offset + h->backing_len);
	size_t i;

	for (i = 0; i < content->nr_places; i++) {
		const struct places *at = &content->places[i];

		if (!has_places(l->old, at))
			continue;
		if (lay_out(l, at, content->keeps_name ? h->backing_offset : 0) ||
		    lay_out(l, at, 0) || lay_out(l, at, behind))
			return true;
	}
	return false;
}

static bool lay_out_content(const struct qcow_head *old, const struct content *content,
			    struct qcow_head *new)
{
	struct layout l = { .old = old, .new = new, .content = content };

	if (!try_places(&l))
		return false;
	new->h.autoclear = content->autoclear;
	qcow_header_put(&new->h, new->buf);
	return true;
}

/* First without the feature names, which come back behind what is new. */
static bool plan_twice(struct qcow_head *heads, struct content *content,
		       const struct qcow_ext *features, size_t spare)
{
	bool fits;

	content->features = NULL;
	content->spare = spare;
	fits = lay_out_content(&heads[0], content, &heads[1]);
	content->features = features;
	content->spare = 0;
	return fits && lay_out_content(&heads[1], content, &heads[2]);
}

/* As qcow_backing_plan() states. Return: whether there is room. */
static bool plan(struct qcow_head *heads, struct content *content, unsigned int *nr)
{
	struct qcow_ext features;
	bool fits;

	content->features = find_ext(&heads[0], QCOW_EXT_FEATURE_NAMES, &features) ?
			    &features : NULL;
	*nr = 2;
	fits = lay_out_content(&heads[0], content, &heads[1]);
	if (fits || !content->features)
		return fits;
	*nr = 3;
	return plan_twice(heads, content, &features, 0) ||
		plan_twice(heads, content, &features,
			   sizeof(struct qcow_disk_ext) + round_up((size_t)features.len, 8));
}

int qcow_backing_check_name(const char *name, struct qcow_report *rep)
{
	size_t len = name ? strlen(name) : 0;

	if (len <= QCOW_MAX_BACKING_NAME)
		return 0;
	qcow_report(rep, "backing file name has %zu bytes, at most %u are supported", len,
		    QCOW_MAX_BACKING_NAME);
	return -EINVAL;
}

/* That what was laid out is a header. */
static int check_head(const struct qcow_head *new, struct qcow_report *rep)
{
	struct qcow_header h;

	return qcow_header_parse(&h, new->buf, new->bytes, S64_MAX, rep);
}

int qcow_backing_plan(struct qcow_head *heads, const struct qcow_backing_names *names,
		      unsigned int *nr, struct qcow_report *rep)
{
	static const struct places stated[] = {
		{ FORMAT_FIRST, BITMAPS_KEPT }, { FORMAT_SAME, BITMAPS_KEPT },
		{ FORMAT_LAST, BITMAPS_KEPT },
	};
	static const struct places absent[] = {
		{ FORMAT_NONE, BITMAPS_KEPT }, { FORMAT_KEPT, BITMAPS_KEPT },
	};
	struct content content = {
		.name = names->backing,
		.name_len = names->backing ? strlen(names->backing) : 0,
		.format = names->format,
		.places = names->backing ? stated : absent,
		.nr_places = names->backing ? ARRAY_SIZE(stated) : ARRAY_SIZE(absent),
		/* A program that writes to an image clears those that it does not know. */
		.autoclear = heads[0].h.autoclear &
			     (QCOW_AUTOCLEAR_BITMAPS | QCOW_AUTOCLEAR_RAW_DATA_FILE),
	};
	int err = qcow_backing_check_name(names->backing, rep);

	if (err)
		return err;
	if (!plan(heads, &content, nr)) {
		qcow_report(rep,
			    "the first cluster, %zu bytes, has no room for a backing file name of %zu bytes beside the old one",
			    heads[0].bytes, content.name_len);
		return -ENAMETOOLONG;
	}
	return check_head(&heads[*nr - 1], rep);
}

int qcow_bitmaps_plan(struct qcow_head *heads, const struct qcow_bitmaps_dir *dir,
		      unsigned int *nr, struct qcow_report *rep)
{
	static const struct places stated[] = {
		{ FORMAT_KEPT, BITMAPS_SAME }, { FORMAT_KEPT, BITMAPS_FIRST },
	};
	static const struct places absent[] = { { FORMAT_KEPT, BITMAPS_NONE } };
	const struct qcow_disk_bitmaps bitmaps = {
		.nr = cpu_to_be32(dir->nr),
		.dir_bytes = cpu_to_be64(dir->bytes),
		.dir_offset = cpu_to_be64(dir->host_offset),
	};
	const struct qcow_head *old = &heads[0];
	struct content content = {
		.name = old->h.backing_offset ? old->buf + old->h.backing_offset : NULL,
		.name_len = old->h.backing_len,
		.keeps_name = true,
		.bitmaps = &bitmaps,
		.places = dir->nr ? stated : absent,
		.nr_places = dir->nr ? ARRAY_SIZE(stated) : ARRAY_SIZE(absent),
		.autoclear = (old->h.autoclear & QCOW_AUTOCLEAR_RAW_DATA_FILE) |
			     (dir->nr ? QCOW_AUTOCLEAR_BITMAPS : 0),
	};

	if (!plan(heads, &content, nr)) {
		qcow_report(rep,
			    "the first cluster, %zu bytes, has no room for the header extension \"bitmaps\"",
			    old->bytes);
		return -ENAMETOOLONG;
	}
	return check_head(&heads[*nr - 1], rep);
}

size_t qcow_head_behind(const struct qcow_head *old, const struct qcow_head *new, size_t *from)
{
	size_t end = old->bytes;

	*from = QCOW_HEAD_SWITCH_BYTES;
	while (end > *from && old->buf[end - 1] == new->buf[end - 1])
		end--;
	while (*from < end && old->buf[*from] == new->buf[*from])
		++*from;
	return end > *from ? end - *from : 0;
}
