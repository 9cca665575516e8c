// SPDX-License-Identifier: GPL-2.0
/*
 * What is where, and how far up in the file each table refers to: with that, a plan knows which
 * tables have to be written anew without another look at any of them.
 *
 * Bitmaps stay as they are where the header has no room to change the place of their directory.
 */
#include <qcow/head.h>

#include "compact/internal.h"

/* Two bytes of memory for each, which is looked at many times. */
#define MOST_CLUSTERS	BIT_ULL(28)

/* For refcount blocks that a plan needs beside the clusters of tables. */
#define SPARE_CLUSTERS	64

static u64 cluster_of(const struct pass *p, u64 host_offset)
{
	return host_offset >> p->s.c.g.cluster_bits;
}

static void mark(struct pass *p, u64 first, u64 nr, u8 flags)
{
	for (; nr && first < p->survey.end; nr--, first++)
		p->survey.flags[first] |= flags;
}

static void join(struct pass *p, u64 first, u64 nr)
{
	if (nr)
		mark(p, first, nr - 1, CLUSTER_JOINED);
}

static struct table table_at(struct pass *p, u64 host_offset, u64 bytes)
{
	struct table t = {
		.first = cluster_of(p, host_offset), .nr = shadow_clusters(&p->s, bytes),
	};

	join(p, t.first, t.nr);
	mark(p, t.first, t.nr, CLUSTER_TABLE);
	return t;
}

static void refer(struct table *t, const struct table *to)
{
	if (to->nr)
		t->highest = max(t->highest, max(to->highest, to->first));
}

/* What a plan makes longer at most: all tables, and as many refcount blocks. */
static u64 tables_room(const struct pass *p)
{
	const struct check *c = &p->s.c;
	u64 nr = c->l2.nr + c->table_entries, bytes = 0;
	size_t i;

	for (i = 0; i < c->nr_meta; i++)
		bytes += c->meta[i].bytes;
	return nr + (bytes >> c->g.cluster_bits) + c->nr_meta + SPARE_CLUSTERS;
}

static int mark_use(struct pass *p)
{
	const struct image *img = p->s.c.img;
	struct survey *v = &p->survey;
	struct check *c = &p->s.c;
	u64 most = U64_MAX, i;

	if (!S_ISREG(img->st.st_mode))
		most = img->bytes >> c->g.cluster_bits;
	v->end = check_last_used(c, false) + 1;
	if (v->end > MOST_CLUSTERS)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "reaches to cluster %llu, with at most %llu it is compacted", v->end,
			       MOST_CLUSTERS);
	v->room = v->end + tables_room(p);
	v->flags = check_alloc(v->room, 1);
	for (i = 0; i < v->room; i++) {
		if (check_counts_get(c, &c->refs, i)) {
			v->flags[i] = CLUSTER_USED;
			v->used++;
		} else if (i < most && !check_disk_count(c, i)) {
			v->flags[i] = CLUSTER_FREE;
		}
	}
	return 0;
}

static void mark_fixed(struct pass *p)
{
	const struct qcow_header *h = &p->s.c.img->h;
	u64 host;
	u32 i;

	mark(p, 0, 1, CLUSTER_FIXED);
	mark(p, cluster_of(p, h->refcount_table_offset), h->refcount_table_clusters,
	     CLUSTER_FIXED);
	for (i = 0; i < p->s.c.table_entries; i++) {
		host = check_block_offset(&p->s.c, i);
		if (host)
			mark(p, cluster_of(p, host), 1, CLUSTER_FIXED);
	}
}

static void look_at_l2(struct check *c, const struct l2_ref *ref, __be64 *entries)
{
	struct pass *p = pass_of(c);
	u64 *highest = &p->survey.l2_highest[ref - c->l2.list];
	u64 nr = BIT_ULL(c->g.l2_bits), i, entry, bitmap, first, last;
	struct entry_ref e;

	for (i = 0; i < nr && !c->g.data_file; i++) {
		if (!check_l2_entry(c, entries, i, &entry, &bitmap))
			continue;
		check_entry_decode(&c->g, entry, bitmap, &e);
		if (!e.bytes)
			continue;
		first = cluster_of(p, e.host_offset);
		last = cluster_of(p, e.host_offset + e.bytes - 1);
		join(p, first, last - first + 1);
		*highest = max(*highest, last);
		p->survey.compressed |= e.kind == ENTRY_COMPRESSED;
	}
}

static int look_at_l2s(struct pass *p)
{
	struct check *c = &p->s.c;
	u64 errors = c->res.errors;
	size_t i;

	check_l2_sort(c);
	p->survey.l2_highest = check_alloc(c->l2.nr, sizeof(u64));
	for (i = 0; i < c->l2.nr; i++) {
		const struct l2_ref *ref = &c->l2.list[i];

		/* The counts agree, but that of what is over the table is in them. */
		if (!check_l2_unshared(c, ref))
			return qc_fail(QC_BAD_IMAGE, c->img->name,
				       "is corrupt: something else is over the L2 table at 0x%llx",
				       ref->host_offset);
		mark(p, cluster_of(p, ref->host_offset), 1, CLUSTER_TABLE);
	}
	check_walk_l2(c, look_at_l2);
	return c->res.errors != errors ? QC_SYSTEM : 0;
}

static int look_at_l1(struct pass *p, u64 host_offset, u64 entries, struct table *t)
{
	const struct check *c = &p->s.c;
	u64 bytes = entries * sizeof(__be64), i;
	__be64 *l1 = check_alloc(entries, sizeof(*l1));
	int err = 0;

	*t = table_at(p, host_offset, bytes);
	if (bytes && check_read(&p->s.c, l1, bytes, host_offset))
		err = QC_SYSTEM;
	for (i = 0; !err && i < entries; i++) {
		u64 host = be64_to_cpu(l1[i]) & c->g.l1_offset_mask;
		const struct l2_ref *ref;

		if (!host)
			continue;
		ref = check_l2_find(c, be64_to_cpu(l1[i]));
		if (!ref) {
			err = QC_BAD_IMAGE;
			break;
		}
		t->highest = max(t->highest, p->survey.l2_highest[ref - c->l2.list]);
		t->highest = max(t->highest, cluster_of(p, host));
	}
	free(l1);
	return err;
}

static int look_at_l1s(struct pass *p)
{
	const struct image *img = p->s.c.img;
	struct survey *v = &p->survey;
	const struct snapshot *last;
	int err = snapshots_read(img, &v->snaps);
	u32 i;

	v->l1 = check_alloc(v->snaps.nr + 1, sizeof(*v->l1));
	if (!err)
		err = look_at_l1(p, img->h.l1_offset, img->h.l1_entries, &v->l1[0]);
	for (i = 0; !err && i < v->snaps.nr; i++)
		err = look_at_l1(p, v->snaps.list[i].s.l1_offset, v->snaps.list[i].s.l1_entries,
				 &v->l1[i + 1]);
	if (err || !v->snaps.nr)
		return err;
	last = &v->snaps.list[v->snaps.nr - 1];
	v->snapshot_table = table_at(p, img->h.snapshots_offset, last->at + last->bytes);
	for (i = 0; i < v->snaps.nr; i++)
		refer(&v->snapshot_table, &v->l1[i + 1]);
	return 0;
}

static int look_at_bitmap(struct pass *p, const struct qcow_bitmap *b, struct table *t, u8 flags)
{
	u64 bytes = b->table_entries * (u64)sizeof(__be64), i;
	__be64 *entries = check_alloc(bytes, 1);
	int err = check_read(&p->s.c, entries, bytes, b->table_offset) ? QC_SYSTEM : 0;

	*t = table_at(p, b->table_offset, bytes);
	mark(p, t->first, t->nr, flags);
	for (i = 0; !err && i < b->table_entries; i++) {
		u64 host = be64_to_cpu(entries[i]) & QCOW_BITMAP_TABLE_OFFSET;

		if (!host)
			continue;
		mark(p, cluster_of(p, host), 1, flags);
		t->highest = max(t->highest, cluster_of(p, host));
	}
	free(entries);
	return err;
}

/* Whether the header can have the directory anywhere else: all bits of its place are others. */
static int can_move_dir(struct pass *p, bool *can)
{
	struct qcow_bitmaps_dir dir = p->survey.dir;
	struct qcow_head heads[QCOW_MAX_HEADS];
	unsigned int nr;
	int err = shadow_read_heads(&p->s, heads);

	dir.host_offset ^= GENMASK_ULL(55, p->s.c.g.cluster_bits);
	*can = !err && !qcow_bitmaps_plan(heads, &dir, &nr, NULL);
	free(heads[0].buf);
	return err;
}

static int look_at_bitmaps(struct pass *p)
{
	const struct image *img = p->s.c.img;
	struct survey *v = &p->survey;
	struct qcow_bitmap b;
	bool can_move = true;
	size_t pos = 0;
	u32 i = 0;
	u8 fixed;
	int ret;

	QC_REPORT(rep);
	if (!(img->h.autoclear & QCOW_AUTOCLEAR_BITMAPS))
		return 0;
	ret = qcow_bitmaps_find_dir(&img->h, img->head, img->head_len, img->bytes, &v->dir, &rep);
	if (ret) {
		qc_lines(img->name, rep.buf);
		return image_exit_code(ret);
	}
	v->dir_raw = check_alloc(v->dir.bytes, 1);
	if (check_read(&p->s.c, v->dir_raw, v->dir.bytes, v->dir.host_offset) ||
	    can_move_dir(p, &can_move))
		return QC_SYSTEM;
	fixed = can_move ? 0 : CLUSTER_FIXED;
	v->dir_table = table_at(p, v->dir.host_offset, v->dir.bytes);
	mark(p, v->dir_table.first, v->dir_table.nr, fixed);
	v->bitmaps = check_alloc(v->dir.nr, sizeof(*v->bitmaps));
	while ((ret = qcow_bitmap_next(&img->h, &v->dir, img->bytes, v->dir_raw, &pos, &i, &b,
				       &rep)) > 0) {
		int err = look_at_bitmap(p, &b, &v->bitmaps[i - 1], fixed);

		if (err)
			return err;
		refer(&v->dir_table, &v->bitmaps[i - 1]);
	}
	qc_lines(img->name, rep.buf);
	return image_exit_code(ret);
}

int survey_make(struct pass *p)
{
	int err = mark_use(p);

	if (err)
		return err;
	mark_fixed(p);
	err = look_at_l2s(p);
	if (!err)
		err = look_at_l1s(p);
	return err ? err : look_at_bitmaps(p);
}

void survey_free(struct pass *p)
{
	struct survey *v = &p->survey;

	free(v->flags);
	free(v->l2_highest);
	free(v->l1);
	free(v->dir_raw);
	free(v->bitmaps);
	snapshots_free(&v->snaps);
}
