// SPDX-License-Identifier: GPL-2.0
/*
 * Carries out a plan: copies data to their new places and writes tables there, with the new places
 * of what they refer to. Counts go with the clusters, so that COPIED flags stay as they are.
 */
#include <errno.h>
#include <unistd.h>

#include "compact/internal.h"

#define PIECE_BYTES	1048576U

/**
 * struct copy - data being copied
 * @p: the pass
 * @buf: a piece of it
 * @sparse: the file may have holes
 * @done: bytes so far
 * @total: of them
 */
struct copy {
	struct pass *p;
	unsigned char *buf;
	bool sparse;
	u64 done;
	u64 total;
};

static int move_counts(struct pass *p)
{
	const struct plan *plan = &p->plan;
	struct check *c = &p->s.c;
	size_t i;
	u64 k;
	int err = 0;

	for (i = 0; !err && i < plan->nr; i++) {
		const struct move *m = &plan->moves[i];

		for (k = 0; !err && k < m->nr; k++) {
			u64 count = check_counts_get(c, &c->refs, m->from + k);

			err = space_put(&p->s, m->to + k, count);
			space_set(&p->s, m->from + k, 0);
		}
	}
	return err;
}

/* How much of a range is a hole of the file, from its beginning on, or else has data. */
static u64 same_bytes(const struct copy *copy, u64 from, u64 bytes, bool *is_hole)
{
	int fd = copy->p->s.c.img->fd;
	off_t data = copy->sparse ? lseek(fd, from, SEEK_DATA) : (off_t)from, hole;

	*is_hole = (data < 0 && errno == ENXIO) || data > (off_t)from;
	if (*is_hole)
		return data < 0 ? bytes : min(bytes, (u64)data - from);
	hole = copy->sparse ? lseek(fd, from, SEEK_HOLE) : -1;
	bytes = hole > (off_t)from ? min(bytes, (u64)hole - from) : bytes;
	return min_t(u64, bytes, PIECE_BYTES);
}

/* What was a hole is one afterwards: a cluster of zeros may have no space. */
static int copy_range(struct copy *copy, u64 from, u64 to, u64 bytes)
{
	struct progress *progress = &copy->p->opts->progress;
	struct check *c = &copy->p->s.c;
	bool is_hole;
	u64 len;

	for (; bytes; bytes -= len, from += len, to += len) {
		len = same_bytes(copy, from, bytes, &is_hole);
		if (is_hole && !image_punch(c->img->fd, to, len)) {
			is_hole = false;
			len = min_t(u64, len, PIECE_BYTES);
		}
		if (!is_hole && (check_read(c, copy->buf, len, from) ||
				 check_write(c, copy->buf, len, to)))
			return QC_SYSTEM;
		if (!is_hole)
			progress_copied(progress, len);
		copy->done += len;
		progress_step(progress, copy->done, copy->total);
	}
	return 0;
}

static int copy_data(struct pass *p)
{
	u32 bits = p->s.c.g.cluster_bits;
	struct copy copy = {
		.p = p, .buf = check_alloc(1, PIECE_BYTES),
		.sparse = S_ISREG(p->s.c.img->st.st_mode), .total = p->plan.copied << bits,
	};
	size_t i;
	int err = 0;

	progress_begin(&p->opts->progress, "moving");
	for (i = 0; !err && i < p->plan.nr; i++) {
		const struct move *m = &p->plan.moves[i];

		if (!m->is_table)
			err = copy_range(&copy, m->from << bits, m->to << bits, m->nr << bits);
	}
	progress_clear(&p->opts->progress);
	free(copy.buf);
	return err;
}

static u64 find_host(const struct pass *p, u64 host)
{
	u32 bits = p->s.c.g.cluster_bits;

	return plan_find(&p->plan, host >> bits) << bits | (host & (BIT_ULL(bits) - 1));
}

static void move_entry(struct pass *p, __be64 *entries, u64 idx)
{
	struct check *c = &p->s.c;
	u64 entry, bitmap, host;
	struct entry_ref e;

	if (!check_l2_entry(c, entries, idx, &entry, &bitmap))
		return;
	check_entry_decode(&c->g, entry, bitmap, &e);
	if (!e.bytes)
		return;
	host = find_host(p, e.host_offset);
	if (host != e.host_offset)
		qcow_l2_put(&c->g, entries, idx, entry ^ e.host_offset ^ host, bitmap);
}

/* A walk has all tables; those that stay refer to nothing that moves. */
static void move_l2(struct check *c, const struct l2_ref *ref, __be64 *entries)
{
	struct pass *p = pass_of(c);
	u64 host = find_host(p, ref->host_offset), nr = BIT_ULL(c->g.l2_bits), i;

	if (p->err || host == ref->host_offset)
		return;
	for (i = 0; i < nr && !c->g.data_file; i++)
		move_entry(p, entries, i);
	if (check_write(c, entries, check_l2_bytes(c), host))
		p->err = QC_SYSTEM;
}

static int move_l2s(struct pass *p)
{
	u64 errors = p->s.c.res.errors;

	check_walk_l2(&p->s.c, move_l2);
	return p->err ? p->err : p->s.c.res.errors != errors ? QC_SYSTEM : 0;
}

/* Of entries that have a host offset in them. */
static int move_table(struct pass *p, u64 *host_offset, u64 nr, u64 mask)
{
	u64 host = find_host(p, *host_offset), bytes = nr * sizeof(__be64), entry, at, i;
	__be64 *table;
	int err;

	if (!nr || host == *host_offset)
		return 0;
	table = check_alloc(nr, sizeof(*table));
	err = check_read(&p->s.c, table, bytes, *host_offset) ? QC_SYSTEM : 0;
	for (i = 0; i < nr; i++) {
		entry = be64_to_cpu(table[i]);
		at = entry & mask;
		if (at)
			table[i] = cpu_to_be64(entry ^ at ^ find_host(p, at));
	}
	if (!err)
		err = shadow_write_table(&p->s, table, bytes, host);
	free(table);
	*host_offset = host;
	return err;
}

static int move_snapshots(struct pass *p)
{
	const struct snapshots *snaps = &p->survey.snaps;
	u64 mask = p->s.c.g.l1_offset_mask, host, bytes;
	const struct snapshot *last;
	unsigned char *table;
	u32 i;
	int err = 0;

	if (!snaps->nr)
		return 0;
	last = &snaps->list[snaps->nr - 1];
	bytes = last->at + last->bytes;
	table = check_alloc(bytes, 1);
	memcpy(table, snaps->raw, min_t(u64, bytes, snaps->raw_bytes));
	for (i = 0; !err && i < snaps->nr; i++) {
		struct qcow_disk_snapshot *disk = (void *)(table + snaps->list[i].at);

		host = snaps->list[i].s.l1_offset;
		err = move_table(p, &host, snaps->list[i].s.l1_entries, mask);
		disk->l1_offset = cpu_to_be64(host);
	}
	host = find_host(p, p->s.h.snapshots_offset);
	if (!err && host != p->s.h.snapshots_offset)
		err = shadow_write_table(&p->s, table, bytes, host);
	p->s.h.snapshots_offset = host;
	free(table);
	return err;
}

static int move_bitmaps(struct pass *p)
{
	const struct qcow_bitmaps_dir *dir = &p->survey.dir;
	unsigned char *raw = p->survey.dir_raw;
	struct qcow_bitmap b;
	u64 host;
	u32 i;
	int err = 0;

	p->dir = *dir;
	for (i = 0; !err && i < dir->nr; i++) {
		struct qcow_disk_bitmap *disk = (void *)raw;

		host = be64_to_cpu(disk->table_offset);
		err = move_table(p, &host, be32_to_cpu(disk->table_entries),
				 QCOW_BITMAP_TABLE_OFFSET);
		disk->table_offset = cpu_to_be64(host);
		b.extra_len = be32_to_cpu(disk->extra_len);
		b.name_len = be16_to_cpu(disk->name_len);
		raw += qcow_bitmap_entry_bytes(&b);
	}
	if (err || !dir->nr)
		return err;
	p->dir.host_offset = find_host(p, dir->host_offset);
	if (p->dir.host_offset == dir->host_offset)
		return 0;
	return shadow_write_table(&p->s, p->survey.dir_raw, dir->bytes, p->dir.host_offset);
}

int move_all(struct pass *p)
{
	struct qcow_header *h = &p->s.h;
	int err = move_counts(p);

	if (!err)
		err = copy_data(p);
	if (!err)
		err = move_l2s(p);
	if (!err)
		err = move_table(p, &h->l1_offset, h->l1_entries, p->s.c.g.l1_offset_mask);
	if (!err)
		err = move_snapshots(p);
	return err ? err : move_bitmaps(p);
}
