// SPDX-License-Identifier: GPL-2.0
/*
 * What would show in the new range of an image becomes zeros. That is what the backing file has
 * there, and what a larger size has left: entries beyond the old one, the end of its last cluster,
 * the end of a raw data file.
 */
#include <errno.h>
#include <unistd.h>

#include "resize/grow.h"

static int check_snapshots(const struct image *img, struct qcow_report *rep)
{
	struct snapshots snaps;
	int err = snapshots_read(img, &snaps);
	u32 i;

	for (i = 0; !err && i < snaps.nr; i++)
		err = image_exit_code(qcow_snapshot_check_resize(&snaps.list[i].s, i, rep));
	snapshots_free(&snaps);
	return err;
}

static int check_data_file(const struct growth *g)
{
	const struct image *img = g->s->c.img;
	struct stat st;
	u64 bytes;
	int err;

	if (img->data_fd < 0 || !S_ISBLK(img->data_st.st_mode))
		return 0;
	err = image_stat(img->data_fd, img->data_path, &st, &bytes);
	if (err || g->to <= bytes)
		return err;
	return qc_fail(QC_SYSTEM, img->name,
		       "new size is %llu, and the external data file is a device of %llu bytes",
		       g->to, bytes);
}

int growth_check(struct growth *g, bool shrink)
{
	const struct image *img = g->s->c.img;
	int err;

	/* Zeros behind the old end are data, too. */
	if (img->h.crypt_method != QCOW_CRYPT_NONE)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "crypt_method %u: encrypted images are resized when they are attached",
			       img->h.crypt_method);
	QC_REPORT(rep);
	err = qcow_header_check_resize(&img->h, g->to, 512, shrink, &g->l1_entries, &rep);
	if (err == -EINVAL || err == -EFBIG)
		err = QC_USAGE;
	else if (err)
		err = image_exit_code(err);
	else
		err = check_snapshots(img, &rep);
	qc_lines(img->name, rep.buf);
	if (img->h.incompatible & (QCOW_INCOMPAT_DIRTY | QCOW_INCOMPAT_CORRUPT))
		shadow_hint_check(img);
	return err ? err : check_data_file(g);
}

u64 growth_backing_end(const struct chain *chain)
{
	const struct image *backing = &chain->images[1];

	if (chain->nr < 2)
		return 0;
	return backing->raw ? round_up(backing->bytes, 512ULL) :
			      round_down(backing->h.size, 512ULL);
}

/* Zeros in a range of the data file, which the guest does not see before the switch. */
static int zero_data_file(const struct image *img, u64 from, u64 end)
{
	int err = image_zero(img->data_fd, from, end);

	if (!err)
		return 0;
	return qc_fail_errno(QC_SYSTEM, -err, img->data_path, "cannot write zeros");
}

/* It is as long as the guest reaches: made so before the header says it, or afterwards. */
int growth_set_data_file(const struct growth *g, u64 bytes)
{
	const struct image *img = g->s->c.img;

	if (img->data_fd < 0 || !S_ISREG(img->data_st.st_mode) || !ftruncate(img->data_fd, bytes))
		return 0;
	return qc_fail_errno(QC_SYSTEM, errno, img->data_path, "cannot make it %llu bytes long",
			     bytes);
}

int growth_data_file(const struct growth *g)
{
	const struct image *img = g->s->c.img;
	struct stat st;
	u64 bytes;
	int err;

	if (img->data_fd < 0)
		return 0;
	err = image_stat(img->data_fd, img->data_path, &st, &bytes);
	/* Clusters that no entry maps are to read as zeros there, too. */
	if (!err && bytes > g->from && img->h.autoclear & QCOW_AUTOCLEAR_RAW_DATA_FILE)
		err = zero_data_file(img, g->from, min(bytes, g->to));
	if (!err && bytes < g->to)
		err = growth_set_data_file(g, g->to);
	return err;
}

/* The cluster with the end of the old size in it: what is behind that becomes zeros. */
static int zero_tail(struct growth *g, u64 guest)
{
	const struct qcow_geometry *geo = &g->s->c.g;
	u64 entry, bitmap;
	unsigned char *buf;
	int err = edit_get(g->edit, guest, &entry, &bitmap);

	if (err || (!entry && !bitmap && g->backing_end <= g->from))
		return err;
	if (!(entry & geo->compressed) && entry & geo->zero)
		return 0;
	buf = check_alloc(1, qcow_cluster_bytes(geo));
	err = reader_read(g->reader, guest, g->from - guest, buf);
	if (!err)
		err = edit_data(g->edit, guest, buf);
	free(buf);
	return err;
}

/* A cluster of the new range. */
static int zero_cluster(struct growth *g, u64 guest)
{
	u64 entry, bitmap;
	int err;

	if (guest < g->from)
		return zero_tail(g, guest);
	if (guest < g->backing_end)
		return edit_zero(g->edit, guest);
	err = edit_get(g->edit, guest, &entry, &bitmap);
	return err || (!entry && !bitmap) ? err : edit_hole(g->edit, guest);
}

int growth_zeros(struct growth *g, u64 guest, u64 end)
{
	u64 bytes = qcow_cluster_bytes(&g->s->c.g);
	int err = 0;

	while (!err) {
		if (guest >= g->backing_end)
			guest = max(guest, round_down(edit_skip(g->edit, guest), bytes));
		if (guest >= end)
			break;
		err = zero_cluster(g, guest);
		guest += bytes;
	}
	return err;
}
