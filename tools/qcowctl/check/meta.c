// SPDX-License-Identifier: GPL-2.0
/*
 * What the header refers to, without the refcount structure: L1 tables, the snapshot table,
 * the LUKS header, bitmaps. Unlike snapshots_read(), count_snapshots() continues after
 * a corrupt snapshot.
 */
#include <errno.h>

#include <qcow/luks.h>

#include "check/internal.h"

/* Version 3 requires the 64-bit sizes of a snapshot. */
#define V3_SNAPSHOT_EXTRA	offsetof(struct qcow_disk_snapshot_extra, icount)

static int count_snapshot(struct check *c, u32 idx, const struct qcow_disk_snapshot *disk)
{
	u64 host = be64_to_cpu(disk->l1_offset);
	u32 entries = be32_to_cpu(disk->l1_entries);
	u32 extra = be32_to_cpu(disk->extra_len);

	if (extra > QCOW_MAX_SNAPSHOT_EXTRA)
		check_corrupt(c, 1, "snapshot table entry %u: %u bytes of extra data, at most %u",
			      idx, extra, QCOW_MAX_SNAPSHOT_EXTRA);
	if (c->img->h.version >= 3 && extra < V3_SNAPSHOT_EXTRA)
		check_corrupt(c, 1, "snapshot table entry %u: %u bytes of extra data, at least %zu",
			      idx, extra, V3_SNAPSHOT_EXTRA);
	if (!IS_ALIGNED(host, check_cluster_bytes(c)) ||
	    entries > QCOW_MAX_L1_BYTES / sizeof(__be64)) {
		check_corrupt(c, 1, "snapshot table entry %u: L1 table of %u entries at 0x%llx",
			      idx, entries, host);
		c->res.lost++;
		return 0;
	}
	return check_walk_l1(c, host, entries, false);
}

static int count_snapshots(struct check *c)
{
	const struct qcow_header *h = &c->img->h;
	struct qcow_disk_snapshot disk;
	u64 pos = h->snapshots_offset, end = pos;
	u32 i;
	int err = 0;

	if (h->nr_snapshots && c->g.data_file)
		check_corrupt(c, 1, "%u snapshots with an external data file", h->nr_snapshots);
	c->snapshots_kept = h->nr_snapshots;
	for (i = 0; !err && i < h->nr_snapshots; i++) {
		pos = round_up(end, 8);
		if (pos > c->img->bytes || c->img->bytes - pos < sizeof(disk)) {
			check_corrupt(c, 1, "snapshot table entry %u: beyond the end of the file",
				      i);
			c->snapshots_kept = i;
			c->res.lost++;
			break;
		}
		err = check_read(c, &disk, sizeof(disk), pos);
		if (err)
			return err;
		end = pos + sizeof(disk) + be32_to_cpu(disk.extra_len) +
		      be16_to_cpu(disk.id_len) + be16_to_cpu(disk.name_len);
		err = count_snapshot(c, i, &disk);
	}
	if (!err)
		check_count_meta(c, "snapshot table", h->snapshots_offset,
				 end - h->snapshots_offset);
	return err;
}

static void count_crypto(struct check *c)
{
	QC_REPORT(rep);
	const struct image *img = c->img;
	struct qcow_luks_place place;

	if (img->h.crypt_method != QCOW_CRYPT_LUKS)
		return;
	/* One that is beyond the end of the file is found by the run. */
	if (!qcow_luks_find(&img->h, img->head, img->head_len, S64_MAX, &place, &rep)) {
		check_count_meta(c, "LUKS header", place.host_offset, place.bytes);
		return;
	}
	check_corrupt(c, 1, "%.*s", (int)strcspn(rep.buf, "\n"), rep.buf);
	c->res.lost++;
}

int check_meta(struct check *c)
{
	const struct qcow_header *h = &c->img->h;
	int err;

	check_count_meta(c, "header", 0, check_cluster_bytes(c));
	err = check_walk_l1(c, h->l1_offset, h->l1_entries, true);
	if (!err)
		err = count_snapshots(c);
	if (err)
		return err;
	count_crypto(c);
	check_bitmaps(c);
	return 0;
}
