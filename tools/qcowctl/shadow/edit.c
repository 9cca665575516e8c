// SPDX-License-Identifier: GPL-2.0
/*
 * The active mapping, changed cluster by cluster. One L2 table is in memory at a time.
 *
 * Version 2 and 3: a table that has changed gets a new place, and so does the L1 table: nothing of
 * it is valid before the switch. A table that a snapshot has as well keeps a reference less; what
 * both tables refer to had one from each of them before.
 *
 * Version 1 has no counts, no snapshots and no flags, so that tables change in place, once what
 * they refer to is durable. The caller changes only what reads the same before the switch.
 */
#include <errno.h>
#include <unistd.h>

#include "shadow/shadow.h"

#define NO_TABLE	U32_MAX

static bool in_place(const struct edit *e)
{
	return e->s->h.version == 1;
}

static u32 l1_shift(const struct edit *e)
{
	return e->s->c.g.cluster_bits + e->s->c.g.l2_bits;
}

static u64 entry_idx(const struct edit *e, u64 guest)
{
	return (guest >> e->s->c.g.cluster_bits) & (BIT_ULL(e->s->c.g.l2_bits) - 1);
}

int edit_begin(struct edit *e, struct shadow *s, u32 l1_entries)
{
	const struct qcow_header *h = &s->c.img->h;

	memset(e, 0, sizeof(*e));
	e->s = s;
	e->idx = NO_TABLE;
	e->entries = max(l1_entries, h->l1_entries);
	e->l1_changed = e->entries > h->l1_entries;
	e->l1 = check_alloc(e->entries, sizeof(*e->l1));
	e->table = check_alloc(check_l2_bytes(&s->c), 1);
	if (in_place(e))
		e->end = round_up(s->c.res.image_end, check_cluster_bytes(&s->c));
	if (!h->l1_entries)
		return 0;
	return check_read(&s->c, e->l1, h->l1_entries * sizeof(*e->l1), h->l1_offset) ?
	       QC_SYSTEM : 0;
}

void edit_end(struct edit *e)
{
	free(e->l1);
	free(e->table);
}

static int take_v1(struct edit *e, u64 bytes, u64 *host_offset)
{
	const struct image *img = e->s->c.img;
	u64 end = round_up(e->end + bytes, check_cluster_bytes(&e->s->c));

	if (!S_ISREG(img->st.st_mode) && end > img->bytes)
		return qc_fail(QC_SYSTEM, img->name, "no room for %llu bytes at 0x%llx", bytes,
			       e->end);
	*host_offset = e->end;
	e->end = end;
	return 0;
}

static int write_table(struct edit *e, const void *table, u64 bytes, u64 *host_offset)
{
	unsigned char *buf;
	u64 room;
	int err;

	if (!in_place(e))
		return shadow_write_new(e->s, table, bytes, host_offset);
	err = take_v1(e, bytes, host_offset);
	if (err)
		return err;
	/* As QEMU reads a file in sectors, it ends at the end of one. */
	room = round_up(bytes, 512ULL);
	buf = check_alloc(room, 1);
	memcpy(buf, table, bytes);
	err = check_write(&e->s->c, buf, room, *host_offset) ? QC_SYSTEM : 0;
	free(buf);
	return err;
}

/* Write the table in memory, if it has changed. */
static int flush(struct edit *e)
{
	const struct qcow_geometry *g = &e->s->c.g;
	u64 bytes = check_l2_bytes(&e->s->c), host;
	int err = 0;

	if (!e->changed)
		return 0;
	host = be64_to_cpu(e->l1[e->idx]) & g->l1_offset_mask;
	e->changed = false;
	if (in_place(e)) {
		err = shadow_sync(e->s, "new clusters");
		if (!err && host)
			return check_write(&e->s->c, e->table, bytes, host) ? QC_SYSTEM : 0;
	} else {
		err = shadow_count_range(e->s, host, host ? bytes : 0, -1);
	}
	if (!err)
		err = write_table(e, e->table, bytes, &host);
	e->l1[e->idx] = cpu_to_be64(qcow_l1_encode(g, host));
	e->l1_changed = true;
	return err;
}

static int load(struct edit *e, u64 guest)
{
	struct check *c = &e->s->c;
	u32 idx = guest >> l1_shift(e);
	u64 host;
	int err;

	if (e->idx == idx)
		return 0;
	err = flush(e);
	if (err)
		return err;
	e->idx = idx;
	host = be64_to_cpu(e->l1[idx]) & c->g.l1_offset_mask;
	if (host)
		return check_read(c, e->table, check_l2_bytes(c), host) ? QC_SYSTEM : 0;
	memset(e->table, 0, check_l2_bytes(c));
	return 0;
}

u64 edit_skip(const struct edit *e, u64 guest)
{
	u64 idx = guest >> l1_shift(e);

	while (idx < e->entries && !e->l1[idx] && idx != e->idx)
		idx++;
	return max(guest, idx << l1_shift(e));
}

int edit_get(struct edit *e, u64 guest, u64 *entry, u64 *bitmap)
{
	int err = load(e, guest);

	if (!err)
		check_l2_entry(&e->s->c, e->table, entry_idx(e, guest), entry, bitmap);
	return err;
}

/* Replace an entry, and drop what it refers to. */
static int put(struct edit *e, u64 guest, u64 entry, u64 bitmap)
{
	const struct qcow_geometry *g = &e->s->c.g;
	u64 old, old_bitmap;
	struct entry_ref ref;
	int err = edit_get(e, guest, &old, &old_bitmap);

	bitmap = g->extended_l2 ? bitmap : 0;
	if (err || (old == entry && old_bitmap == bitmap))
		return err;
	check_entry_decode(g, old, old_bitmap, &ref);
	if (!in_place(e) && !g->data_file)
		err = shadow_count_range(e->s, ref.host_offset, ref.bytes, -1);
	qcow_l2_put(g, e->table, entry_idx(e, guest), entry, bitmap);
	e->changed = true;
	return err;
}

int edit_entry(struct edit *e, u64 guest, u64 entry)
{
	return put(e, guest, entry, 0);
}

/* Where a cluster ends that the external data file has; that is no longer than the disk. */
static u64 data_file_end(const struct edit *e, u64 guest)
{
	return min(guest + check_cluster_bytes(&e->s->c), round_up(e->s->h.size, 512ULL));
}

static int write_data_file(struct edit *e, const void *buf, u64 guest)
{
	const struct image *img = e->s->c.img;
	u64 bytes = data_file_end(e, guest) - guest;
	int err = image_pwrite(img->data_fd, buf, bytes, guest);

	if (!err)
		return 0;
	return qc_fail_errno(QC_SYSTEM, -err, img->data_path, "cannot write %llu bytes at %llu",
			     bytes, guest);
}

/* A raw data file has what the guest sees, also where an entry says zeros, or there is none. */
static int zero_raw_data_file(struct edit *e, u64 guest)
{
	const struct image *img = e->s->c.img;
	int err;

	if (!(img->h.autoclear & QCOW_AUTOCLEAR_RAW_DATA_FILE))
		return 0;
	err = image_zero(img->data_fd, guest, data_file_end(e, guest));
	if (!err)
		return 0;
	return qc_fail_errno(QC_SYSTEM, -err, img->data_path, "cannot write zeros at %llu", guest);
}

/* Where data go: in version 1, over those that are there. */
static int take_data(struct edit *e, u64 guest, u64 *host_offset)
{
	struct entry_ref ref;
	u64 entry, bitmap;
	int err;

	if (!in_place(e))
		return space_take(e->s, 1, host_offset);
	err = edit_get(e, guest, &entry, &bitmap);
	if (err)
		return err;
	check_entry_decode(&e->s->c.g, entry, bitmap, &ref);
	*host_offset = ref.host_offset;
	if (ref.kind == ENTRY_CLUSTER)
		return 0;
	return take_v1(e, check_cluster_bytes(&e->s->c), host_offset);
}

int edit_data(struct edit *e, u64 guest, const void *buf)
{
	struct check *c = &e->s->c;
	u64 host = guest;
	int err;

	if (c->g.data_file) {
		err = write_data_file(e, buf, guest);
	} else {
		err = take_data(e, guest, &host);
		if (!err && check_write(c, buf, check_cluster_bytes(c), host))
			err = QC_SYSTEM;
	}
	return err ? err : put(e, guest, qcow_l2_encode_data(&c->g, host), QCOW_L2_ALL_ALLOCATED);
}

/* Zeros without an entry for them. */
static int zero_data(struct edit *e, u64 guest)
{
	void *zeros = check_alloc(1, check_cluster_bytes(&e->s->c));
	int err = edit_data(e, guest, zeros);

	free(zeros);
	return err;
}

int edit_zero(struct edit *e, u64 guest)
{
	const struct qcow_geometry *g = &e->s->c.g;
	int err;

	if (e->s->h.version < 3)
		return zero_data(e, guest);
	err = zero_raw_data_file(e, guest);
	return err ? err : put(e, guest, g->zero, ~(u64)QCOW_L2_ALL_ALLOCATED);
}

int edit_hole(struct edit *e, u64 guest)
{
	u64 entry, bitmap;
	struct entry_ref ref;
	int err = edit_get(e, guest, &entry, &bitmap);

	if (err)
		return err;
	check_entry_decode(&e->s->c.g, entry, bitmap, &ref);
	/* Else the cluster would be a gap. */
	if (in_place(e) && ref.kind == ENTRY_CLUSTER)
		return zero_data(e, guest);
	err = zero_raw_data_file(e, guest);
	return err ? err : put(e, guest, 0, 0);
}

/* Of the table in memory. */
static int drop_clusters(struct edit *e)
{
	const struct qcow_geometry *g = &e->s->c.g;
	u64 entry, bitmap, idx;
	struct entry_ref ref;
	int err = 0;

	for (idx = 0; !err && idx < BIT_ULL(g->l2_bits); idx++) {
		if (!check_l2_entry(&e->s->c, e->table, idx, &entry, &bitmap))
			continue;
		check_entry_decode(g, entry, bitmap, &ref);
		err = shadow_count_range(e->s, ref.host_offset, ref.bytes, -1);
	}
	return err;
}

static int drop_table(struct edit *e, u32 idx)
{
	const struct qcow_geometry *g = &e->s->c.g;
	u64 host = be64_to_cpu(e->l1[idx]) & g->l1_offset_mask;
	int err = load(e, (u64)idx << l1_shift(e));

	if (!err && !g->data_file)
		err = drop_clusters(e);
	return err ? err : shadow_count_range(e->s, host, check_l2_bytes(&e->s->c), -1);
}

int edit_empty(struct edit *e)
{
	u32 idx;
	int err = 0;

	for (idx = 0; !err && idx < e->entries; idx++) {
		if (!e->l1[idx])
			continue;
		if (!in_place(e))
			err = drop_table(e, idx);
		e->l1[idx] = 0;
		e->l1_changed = true;
	}
	return err;
}

static int finish_v1(struct edit *e)
{
	const struct qcow_header *old = &e->s->c.img->h;
	u64 bytes = e->entries * sizeof(*e->l1);
	int err = shadow_sync(e->s, "new tables");

	if (!err && e->entries > old->l1_entries)
		err = write_table(e, e->l1, bytes, &e->s->h.l1_offset);
	else if (!err && check_write(&e->s->c, e->l1, bytes, old->l1_offset))
		err = QC_SYSTEM;
	return err ? err : shadow_sync(e->s, "the L1 table");
}

static int finish_shadow(struct edit *e)
{
	const struct qcow_header *old = &e->s->c.img->h;
	int err;

	err = shadow_count_range(e->s, old->l1_offset, old->l1_entries * sizeof(*e->l1), -1);
	if (!err)
		err = shadow_write_new(e->s, e->l1, e->entries * sizeof(*e->l1),
				       &e->s->h.l1_offset);
	e->s->h.l1_entries = e->entries;
	if (!err)
		err = space_write(e->s);
	return err ? err : shadow_sync(e->s, "the new tables");
}

int edit_finish(struct edit *e)
{
	const struct image *img = e->s->c.img;
	int err = flush(e);

	if (!err && img->data_fd >= 0 && fsync(img->data_fd))
		err = qc_fail_errno(QC_SYSTEM, errno, img->data_path,
				    "cannot make its data durable");
	if (err)
		return err;
	if (e->l1_changed)
		return in_place(e) ? finish_v1(e) : finish_shadow(e);
	return in_place(e) ? shadow_sync(e->s, "new clusters") : 0;
}
