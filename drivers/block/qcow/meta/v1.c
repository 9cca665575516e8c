// SPDX-License-Identifier: GPL-2.0
/*
 * The end of a version 1 image: a file ends with it, a block device does not.
 */
#include <linux/minmax.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "layer/map.h"
#include "meta/v1.h"

/* The end of what one slice refers to. */
static int v1_slice_end(struct qcow_image *image, const struct qcow_slice *slice, u64 *end,
			struct qcow_report *rep)
{
	const struct qcow_geometry *g = &image->geo;
	u64 guest = qcow_slice_guest(g, slice->idx);
	u64 last = qcow_slice_guest(g, slice->idx + 1);
	struct qcow_extent ext;
	struct qcow_flaw flaw;
	int err;

	for (; guest < last; guest += ext.len) {
		err = qcow_slice_map(g, slice, guest, last - guest, &ext, &flaw);
		if (err) {
			qcow_report(rep, "%s 0x%llx: %s 0x%llx", flaw.table, flaw.entry,
				    flaw.what, flaw.value);
			return err;
		}
		if (ext.kind == QCOW_EXTENT_COMPRESSED)
			*end = max(*end, ext.host + ext.compressed_len);
		else if (ext.allocated)
			*end = max(*end, ext.host + ext.len);
	}
	return 0;
}

/* The end of a table and of what it refers to. */
static int v1_table_end(struct qcow_image *image, u64 l1_idx, u64 table, u64 *end,
			struct qcow_report *rep)
{
	const struct qcow_geometry *g = &image->geo;
	u64 slices = 1ULL << (g->l2_bits - g->slice_bits);
	struct qcow_slice *slice;
	u64 i;
	int err;

	*end = max(*end, table + slices * qcow_slice_bytes(g));
	for (i = 0; i < slices; i++) {
		err = qcow_image_go_on();
		if (err)
			return err;
		err = qcow_cache_load(image->cache, &image->l2, l1_idx * slices + i, NULL,
				      &slice);
		if (err) {
			qcow_report(rep, "L2 table at 0x%llx: cannot be read: error %d", table,
				    err);
			return err;
		}
		err = v1_slice_end(image, slice, end, rep);
		qcow_slice_put(image->cache, slice);
		if (err)
			return err;
	}
	return 0;
}

int qcow_v1_end(struct qcow_image *image, u64 *end, struct qcow_report *rep)
{
	const struct qcow_header *h = &image->header;
	struct qcow_flaw flaw;
	u64 table;
	u32 i;
	int err;

	*end = max(h->l1_offset + (u64)h->l1_entries * sizeof(__be64),
		   h->backing_offset + h->backing_len);
	for (i = 0; i < image->l1_entries; i++) {
		/* The attach has refused wrong entries before. */
		err = qcow_l1_decode(&image->geo, be64_to_cpu(image->l1[i]), &table, &flaw);
		if (!err && table)
			err = v1_table_end(image, i, table, end, rep);
		if (err)
			return err;
	}
	return 0;
}
