// SPDX-License-Identifier: GPL-2.0
/*
 * The table of internal snapshots.
 */
#include <errno.h>

#include "image/image.h"

#define FIRST_READ 4096U

/* Read more of the table; -ENODATA at the end of the file and at the limit. */
static int table_grow(const struct image *img, struct snapshots *snaps)
{
	u64 left, len = snaps->raw_bytes ? (u64)snaps->raw_bytes * 2 : FIRST_READ;
	int err;

	if (img->h.snapshots_offset >= img->bytes)
		return -ENODATA;
	left = img->bytes - img->h.snapshots_offset;
	len = min_t(u64, len, min_t(u64, left, QCOW_MAX_SNAPSHOT_TABLE_BYTES));
	if (len <= snaps->raw_bytes)
		return -ENODATA;

	snaps->raw = qc_grow(snaps->raw, len, 1);
	err = image_pread(img->fd, snaps->raw + snaps->raw_bytes, len - snaps->raw_bytes,
			  img->h.snapshots_offset + snaps->raw_bytes);
	if (err)
		return err;
	snaps->raw_bytes = len;
	return 0;
}

static void snapshots_add(struct snapshots *snaps, const struct qcow_snapshot *s, size_t at,
			  size_t bytes)
{
	struct snapshot *snap;

	snaps->list = qc_grow(snaps->list, snaps->nr + 1, sizeof(*snaps->list));
	snap = &snaps->list[snaps->nr++];
	snap->s = *s;
	snap->id = qc_strndup(s->id, s->id_len);
	snap->name = qc_strndup(s->name, s->name_len);
	snap->at = at;
	snap->bytes = bytes;
	/* Both point into the buffer of the table, which moves. */
	snap->s.id = NULL;
	snap->s.name = NULL;
}

int snapshots_read(const struct image *img, struct snapshots *snaps)
{
	QC_REPORT(rep);
	struct qcow_snapshot s;
	size_t pos = 0, at = 0;
	u32 idx = 0;
	int ret;

	memset(snaps, 0, sizeof(*snaps));
	if (img->raw || !img->h.nr_snapshots)
		return 0;

	ret = table_grow(img, snaps);
	while (!ret) {
		ret = qcow_snapshot_next(&img->h, S64_MAX, snaps->raw, snaps->raw_bytes, &pos, &idx,
					 &s, &rep);
		if (ret == 1) {
			snapshots_add(snaps, &s, at, pos - at);
			at = pos;
			ret = 0;
		} else if (ret == -EAGAIN) {
			ret = table_grow(img, snaps);
		} else {
			break;
		}
	}
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
	free(snaps->raw);
	memset(snaps, 0, sizeof(*snaps));
}

int snapshots_new_id(const struct image *img, const struct snapshots *snaps, char **id)
{
	u64 highest = 0;
	u32 i;

	if (snaps->nr == QCOW_MAX_SNAPSHOTS)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "has %u snapshots, more are not supported", snaps->nr);
	for (i = 0; i < snaps->nr; i++) {
		const struct qcow_snapshot snap = {
			.id = snaps->list[i].id, .id_len = strlen(snaps->list[i].id),
		};

		highest = max(highest, qcow_snapshot_id_number(&snap));
	}
	if (highest == U64_MAX)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "has a snapshot with the highest id, there is none for another");
	*id = qc_printf("%llu", highest + 1);
	return 0;
}

static bool find_key(const struct snapshots *snaps, const char *what, enum snapshot_key key,
		     u32 *index)
{
	u32 i;

	for (i = 0; i < snaps->nr; i++) {
		const struct snapshot *snap = &snaps->list[i];

		if (!strcmp(key == SNAPSHOT_ID ? snap->id : snap->name, what)) {
			*index = i;
			return true;
		}
	}
	return false;
}

int snapshots_lookup(const struct image *img, const struct snapshots *snaps, const char *what,
		     enum snapshot_key first, u32 *index)
{
	u32 i;

	if (find_key(snaps, what, first, index) ||
	    find_key(snaps, what, first == SNAPSHOT_ID ? SNAPSHOT_NAME : SNAPSHOT_ID, index))
		return 0;
	qc_fail(0, img->name, "no snapshot with the id or name '%s'", what);
	for (i = 0; i < snaps->nr; i++)
		qc_fail(0, img->name, "has snapshot %s '%s'", snaps->list[i].id,
			snaps->list[i].name);
	return QC_NOT_FOUND;
}

int snapshots_find(const struct image *img, const char *what, u32 *index)
{
	struct snapshots snaps;
	int err;

	err = snapshots_read(img, &snaps);
	/* One that stands before what cannot be read is found. */
	if (!err)
		err = snapshots_lookup(img, &snaps, what, SNAPSHOT_ID, index);
	else if (find_key(&snaps, what, SNAPSHOT_ID, index) ||
		 find_key(&snaps, what, SNAPSHOT_NAME, index))
		err = 0;
	snapshots_free(&snaps);
	return err;
}
