// SPDX-License-Identifier: GPL-2.0
/*
 * The table of internal snapshots.
 */
#include <errno.h>

#include "image/image.h"

#define FIRST_READ 4096U

struct table {
	unsigned char *buf;
	size_t len;
};

/* Read more of the table; -ENODATA at the end of the file and at the limit. */
static int table_grow(const struct image *img, struct table *t)
{
	u64 left, len = t->len ? (u64)t->len * 2 : FIRST_READ;
	int err;

	if (img->h.snapshots_offset >= img->bytes)
		return -ENODATA;
	left = img->bytes - img->h.snapshots_offset;
	len = min_t(u64, len, min_t(u64, left, QCOW_MAX_SNAPSHOT_TABLE_BYTES));
	if (len <= t->len)
		return -ENODATA;

	t->buf = qc_grow(t->buf, len, 1);
	err = image_pread(img->fd, t->buf + t->len, len - t->len,
			  img->h.snapshots_offset + t->len);
	if (err)
		return err;
	t->len = len;
	return 0;
}

static void snapshots_add(struct snapshots *snaps, const struct qcow_snapshot *s)
{
	struct snapshot *snap;

	snaps->list = qc_grow(snaps->list, snaps->nr + 1, sizeof(*snaps->list));
	snap = &snaps->list[snaps->nr++];
	snap->s = *s;
	snap->id = qc_strndup(s->id, s->id_len);
	snap->name = qc_strndup(s->name, s->name_len);
	/* Both point into the buffer of the table. */
	snap->s.id = NULL;
	snap->s.name = NULL;
}

int snapshots_read(const struct image *img, struct snapshots *snaps)
{
	QC_REPORT(rep);
	struct qcow_snapshot s;
	struct table t = { 0 };
	size_t pos = 0;
	u32 idx = 0;
	int ret;

	memset(snaps, 0, sizeof(*snaps));
	if (img->raw || !img->h.nr_snapshots)
		return 0;

	ret = table_grow(img, &t);
	while (!ret) {
		ret = qcow_snapshot_next(&img->h, S64_MAX, t.buf, t.len, &pos, &idx, &s, &rep);
		if (ret == 1) {
			snapshots_add(snaps, &s);
			ret = 0;
		} else if (ret == -EAGAIN) {
			ret = table_grow(img, &t);
		} else {
			break;
		}
	}
	free(t.buf);
	if (!ret)
		return 0;

	if (ret == -ENODATA)
		qc_fail(0, img->name, "the snapshot table ends before snapshot %u of %u", idx + 1,
			img->h.nr_snapshots);
	else if (!qc_lines(img->name, rep.buf))
		qc_fail_errno(0, -ret, img->name, "cannot read the snapshot table");
	return image_exit_code(ret);
}

void snapshots_free(struct snapshots *snaps)
{
	u32 i;

	for (i = 0; i < snaps->nr; i++) {
		free(snaps->list[i].id);
		free(snaps->list[i].name);
	}
	free(snaps->list);
	memset(snaps, 0, sizeof(*snaps));
}

int snapshots_find(const struct image *img, const char *what, u32 *index)
{
	struct snapshots snaps;
	bool found = false;
	u32 i;
	int err;

	err = snapshots_read(img, &snaps);
	for (i = 0; i < snaps.nr && !found; i++)
		if (!strcmp(snaps.list[i].id, what)) {
			*index = i;
			found = true;
		}
	for (i = 0; i < snaps.nr && !found; i++)
		if (!strcmp(snaps.list[i].name, what)) {
			*index = i;
			found = true;
		}
	if (!found && !err) {
		err = QC_NOT_FOUND;
		qc_fail(0, img->name, "no snapshot with the id or name '%s'", what);
		for (i = 0; i < snaps.nr; i++)
			qc_fail(0, img->name, "has snapshot %s '%s'", snaps.list[i].id,
				snaps.list[i].name);
	}
	snapshots_free(&snaps);
	return found ? QC_OK : err;
}
