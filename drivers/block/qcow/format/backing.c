// SPDX-License-Identifier: GPL-2.0
/*
 * Where the name and the format of a backing file go in a header that exists: every layout is tried
 * until one leaves alone what the old header needs.
 */
#include <qcow/backing.h>
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
 * struct layout - a header being laid out
 * @old: the one that is there
 * @new: the other one
 * @pos: the next byte of it
 * @names: what it is to have
 */
struct layout {
	const struct qcow_head *old;
	struct qcow_head *new;
	size_t pos;
	const struct qcow_backing_names *names;
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
	const char *format = l->names->format;

	return put_ext(l, QCOW_EXT_BACKING_FORMAT, format, strlen(format));
}

static bool put_features(struct layout *l)
{
	const struct qcow_ext *ext = l->names->features;

	return !ext || put_ext(l, ext->type, ext->data, ext->len);
}

/* The old cluster with all extensions and the end mark laid out anew. */
static bool put_extensions(struct layout *l, enum format_place place)
{
	const struct qcow_head *old = l->old;
	bool fits, format = place != FORMAT_SAME, features = false;
	struct qcow_ext ext;
	size_t pos = 0;

	memcpy(l->new->buf, old->buf, old->bytes);
	l->new->h = old->h;
	l->pos = old->h.length;
	fits = place != FORMAT_FIRST || put_format(l);
	while (fits && qcow_ext_next(&old->h, old->buf, old->bytes, &pos, &ext, NULL) == 1) {
		if (ext.type == QCOW_EXT_FEATURE_NAMES) {
			fits = features || put_features(l);
			features = true;
		} else if (ext.type != QCOW_EXT_BACKING_FORMAT || place == FORMAT_KEPT) {
			fits = put_ext(l, ext.type, ext.data, ext.len);
		} else if (place == FORMAT_SAME) {
			fits = put_format(l);
			format = true;
		}
	}
	if (fits && !features)
		fits = put_features(l);
	if (fits && place == FORMAT_LAST)
		fits = put_format(l);
	return fits && format && put_ext(l, QCOW_EXT_END, NULL, 0);
}

/* The header states the place of the name, behind @at. */
static bool put_backing(struct layout *l, size_t at)
{
	struct qcow_disk_header *disk = (void *)l->new->buf;
	const char *name = l->names->backing;
	size_t len = name ? strlen(name) : 0;

	if (at > l->new->bytes || len > l->new->bytes - at)
		return false;
	if (name)
		memcpy(l->new->buf + at, name, len);
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

/* @behind: bytes that the name leaves free for the old one, or 0: it comes at once. */
static bool lay_out(struct layout *l, enum format_place place, size_t behind)
{
	return put_extensions(l, place) && put_backing(l, max(l->pos, behind)) && leaves_old(l);
}

static bool try_places(struct layout *l, const enum format_place *places, size_t nr)
{
	const struct qcow_header *h = &l->old->h;
	size_t behind = max_t(u64, ext_end(l->old), h->backing_offset + h->backing_len);
	size_t i;

	for (i = 0; i < nr; i++)
		if (lay_out(l, places[i], 0) || lay_out(l, places[i], behind))
			return true;
	return false;
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

static int lay_out_names(const struct qcow_head *old, const struct qcow_backing_names *names,
			 struct qcow_head *new, struct qcow_report *rep)
{
	static const enum format_place stated[] = { FORMAT_FIRST, FORMAT_SAME, FORMAT_LAST };
	static const enum format_place absent[] = { FORMAT_NONE, FORMAT_KEPT };
	struct layout l = { .old = old, .new = new, .names = names };
	size_t len = names->backing ? strlen(names->backing) : 0;
	bool fits;

	if (names->backing)
		fits = try_places(&l, stated, ARRAY_SIZE(stated));
	else
		fits = try_places(&l, absent, ARRAY_SIZE(absent));
	if (!fits) {
		qcow_report(rep,
			    "the first cluster, %zu bytes, has no room for a backing file name of %zu bytes beside the old one",
			    old->bytes, len);
		return -ENAMETOOLONG;
	}
	/* A program that writes to an image clears the autoclear bits that it does not know. */
	new->h.autoclear &= QCOW_AUTOCLEAR_BITMAPS | QCOW_AUTOCLEAR_RAW_DATA_FILE;
	qcow_header_put(&new->h, new->buf);
	return 0;
}

/* That what was laid out is a header. */
static int check_head(const struct qcow_head *new, struct qcow_report *rep)
{
	struct qcow_header h;

	return qcow_header_parse(&h, new->buf, new->bytes, S64_MAX, rep);
}

static bool find_features(const struct qcow_head *head, struct qcow_ext *ext)
{
	size_t pos = 0;

	while (qcow_ext_next(&head->h, head->buf, head->bytes, &pos, ext, NULL) == 1) {
		if (ext->type == QCOW_EXT_FEATURE_NAMES)
			return true;
	}
	return false;
}

int qcow_backing_plan(struct qcow_head *heads, struct qcow_backing_names names, unsigned int *nr,
		      struct qcow_report *rep)
{
	struct qcow_ext features;
	int err = qcow_backing_check_name(names.backing, rep);

	if (err)
		return err;
	names.features = find_features(&heads[0], &features) ? &features : NULL;
	*nr = 2;
	err = lay_out_names(&heads[0], &names, &heads[1], names.features ? NULL : rep);
	if (err && names.features) {
		*nr = 3;
		names.features = NULL;
		err = lay_out_names(&heads[0], &names, &heads[1], rep);
		names.features = &features;
		if (!err)
			err = lay_out_names(&heads[1], &names, &heads[2], rep);
	}
	return err ?: check_head(&heads[*nr - 1], rep);
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
