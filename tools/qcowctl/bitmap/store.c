// SPDX-License-Identifier: GPL-2.0
/*
 * Bitmaps that have changed in memory become the image's.
 *
 * Directory, tables and bits that change get new clusters, as all that a change makes (shadow/);
 * those of other bitmaps stay where they are, and so do their entries, with extra data that this
 * program does not know. A new directory needs a new place in the header extension, and new counts
 * need a new place of the refcount table in the fixed part of the header: both are in the first
 * sector, and so is the bit which says that there are bitmaps. One write of it makes all of the new
 * state valid.
 *
 *   state      refcount table  directory  first cluster behind the first sector
 *   before     old             old        old
 *   prepared   old             old        as the plan has it; the old sector does not need it
 *   after      new             new        the same
 *   complete   new             new        with the feature names again, where they were in the way
 *
 * A cut finds the image in one of these states. Clusters that only one of both sides needs have a
 * count of 0 on the other, so there is no leak either. Feature names are for messages only: without
 * them, which a cut before the last step leaves, the image is the same.
 */
#include <errno.h>

#include "bitmap/internal.h"
#include "shadow/shadow.h"

/* Of a table, a directory or bits that are needed no more. */
static int drop_range(struct shadow *s, u64 host, u64 bytes)
{
	u64 idx = host >> s->c.g.cluster_bits, nr = shadow_clusters(s, bytes);
	int err = 0;

	for (; nr-- && !err; idx++) {
		/* The counts agree, but that of what is over the cluster is in them. */
		if (!check_counts_once(&s->c, idx))
			return qc_fail(QC_BAD_IMAGE, s->c.img->name,
				       "is corrupt: something else is over a bitmap at 0x%llx",
				       idx << s->c.g.cluster_bits);
		err = shadow_count_add(s, idx, -1);
	}
	return err;
}

static int drop_bits(struct shadow *s, u64 entry)
{
	u64 host;
	bool ones;

	/* The check has found nothing wrong with it. */
	if (qcow_bitmap_decode(s->c.g.cluster_bits, entry, &host, &ones))
		return qc_fail(QC_BAD_IMAGE, s->c.img->name,
			       "bitmap table entry 0x%llx: has changed meanwhile", entry);
	return host ? drop_range(s, host, check_cluster_bytes(&s->c)) : 0;
}

static int drop_table(struct shadow *s, const struct qcow_bitmap *b)
{
	u64 bytes = b->table_entries * (u64)sizeof(__be64), i;
	__be64 *table = check_alloc(bytes, 1);
	int err = check_read(&s->c, table, bytes, b->table_offset) ? QC_SYSTEM : 0;

	for (i = 0; !err && i < b->table_entries; i++)
		err = drop_bits(s, be64_to_cpu(table[i]));
	free(table);
	return err ? err : drop_range(s, b->table_offset, bytes);
}

/* A cluster in which nothing has changed has none. */
static int write_cluster(struct shadow *s, const u8 *buf, __be64 *entry)
{
	u64 bytes = check_cluster_bytes(&s->c), host;
	int err;

	if (qc_is_zero(buf, bytes))
		return 0;
	err = space_take(s, 1, &host);
	if (!err && check_write(&s->c, buf, bytes, host))
		err = QC_SYSTEM;
	*entry = cpu_to_be64(host);
	return err;
}

static int write_bits(struct shadow *s, struct bitmap *bitmap)
{
	const struct bits *bits = bitmap->bits;
	__be64 *table = check_alloc(bits->clusters, sizeof(*table));
	u64 i;
	int err = 0;

	for (i = 0; !err && i < bits->clusters; i++)
		err = write_cluster(s, bits->raw + (i << bits->cluster_bits), &table[i]);
	if (!err)
		err = shadow_write_new(s, table, bits->clusters * sizeof(*table),
				       &bitmap->b.table_offset);
	bitmap->b.table_entries = bits->clusters;
	free(table);
	return err;
}

static int store_bitmap(struct shadow *s, struct bitmap *bitmap)
{
	bool drops = bitmap->stored && (bitmap->removed || bitmap->bits);
	int err = drops ? drop_table(s, &bitmap->b) : 0;

	return err || bitmap->removed || !bitmap->bits ? err : write_bits(s, bitmap);
}

static int store_directory(struct shadow *s, const struct bitmaps *maps,
			   struct qcow_bitmaps_dir *dir)
{
	unsigned char *buf;
	int err = 0;

	if (maps->dir.nr)
		err = drop_range(s, maps->dir.host_offset, maps->dir.bytes);
	bitmaps_encode(maps, &buf, dir);
	if (!err)
		err = shadow_write_new(s, buf, dir->bytes, &dir->host_offset);
	free(buf);
	return err;
}

static int plan_heads(struct shadow *s, struct bitmap_heads *heads,
		      const struct qcow_bitmaps_dir *dir)
{
	int err;

	QC_REPORT(rep);
	err = qcow_bitmaps_plan(heads->list, dir, &heads->nr, &rep);
	if (!err)
		return 0;
	qc_lines(s->c.img->name, rep.buf);
	return err == -ENAMETOOLONG ? QC_UNSUPPORTED : QC_BAD_IMAGE;
}

int bitmaps_write(struct shadow *s, struct bitmaps *maps, struct bitmap_heads *heads)
{
	struct qcow_bitmaps_dir dir;
	int err = shadow_read_heads(s, heads->list);
	u32 i;

	for (i = 0; !err && i < maps->nr; i++)
		err = store_bitmap(s, &maps->list[i]);
	if (!err)
		err = store_directory(s, maps, &dir);
	return err ? err : plan_heads(s, heads, &dir);
}

/* Size and places of tables are new in each of them. */
static void put_header(const struct shadow *s, struct qcow_head *head)
{
	head->h.size = s->h.size;
	head->h.l1_offset = s->h.l1_offset;
	head->h.l1_entries = s->h.l1_entries;
	head->h.refcount_table_offset = s->h.refcount_table_offset;
	head->h.refcount_table_clusters = s->h.refcount_table_clusters;
	qcow_header_put(&head->h, head->buf);
}

int bitmaps_switch(struct shadow *s, struct bitmap_heads *heads, const char *what)
{
	unsigned int i;
	int err = 0;

	for (i = 1; i < heads->nr; i++)
		put_header(s, &heads->list[i]);
	for (i = 1; !err && i < heads->nr; i++)
		err = shadow_write_head(s, &heads->list[i - 1], &heads->list[i], what);
	return err ? err : shadow_release(s);
}

int bitmaps_store(struct shadow *s, struct bitmaps *maps)
{
	struct bitmap_heads heads = { .nr = 0 };
	int err = space_create(s);

	if (!err)
		err = bitmaps_write(s, maps, &heads);
	if (!err)
		err = space_write(s);
	if (!err)
		err = shadow_sync(s, "the new bitmaps");
	if (err)
		space_release(s, false);
	else
		err = bitmaps_switch(s, &heads, "bitmaps");
	free(heads.list[0].buf);
	return err;
}
