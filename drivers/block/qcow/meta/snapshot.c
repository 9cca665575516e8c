// SPDX-License-Identifier: GPL-2.0
/*
 * Internal snapshots. One is an L1 table, and a count for each reference from what that leads to:
 *
 *          references               the active state's L1 table
 *   create + the active state's     a new one; the snapshot has the old one
 *   delete - the snapshot's         a new one, whose flags are what the counts have become
 *   apply  + the snapshot's         a new one with the snapshot's entries
 *          - the active state's
 *
 * Where a flag of an entry of the active state is not what its new count says, its L2 table is
 * made anew, too. L2 tables of snapshots stay as they are: no flag there is ever looked at.
 *
 * To create or to delete one, counts and tables are made while the device is in use
 * (meta/mirror.c). What has changed since is done again with its queue frozen, so that the pause
 * depends on the slices that requests change while a step or a commit runs, not on how many
 * clusters there are. Requests that change many all the time, each in another slice, make it
 * longer: there, no pass leaves few, and after some the pause begins with what there is.
 *
 * The tables of one that is deleted are changed by no request, so its references are dropped first.
 * A cluster that has none left then gets no other, and is found by walking the same tables once
 * more. What a request drops later, and only the snapshot had besides, is free with the new counts;
 * its space is given back to the store when it has been used and is freed again.
 *
 * Where copying fails for lack of space, or requests need what it has taken, or counts are too
 * narrow for the references of both tables that come and go meanwhile, all of it is done again in
 * the pause.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <qcow/header.h>
#include <qcow/l2.h>
#include <qcow/report.h>

#include "format/format.h"
#include "layer/decompress.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "message.h"
#include "meta/flags.h"
#include "meta/header.h"
#include "meta/job.h"
#include "meta/mirror.h"
#include "meta/overlap.h"
#include "meta/references.h"
#include "meta/resize.h"
#include "meta/shadow.h"
#include "meta/snapshot.h"
#include "meta/worker.h"
#include "meta/writeback.h"
#include "store/store.h"

/* References that a step comes by, and more until the end of a slice. */
#define STEP_REFERENCES	512

/**
 * struct snapshot_table - the snapshot table
 * @buf: the table
 * @bytes: that it has
 * @begin: where the entry of the snapshot at hand is
 * @end: behind it
 * @snap: that entry
 * @found: there is one
 */
struct snapshot_table {
	void *buf;
	u64 bytes;
	u64 begin;
	u64 end;
	struct qcow_snapshot snap;
	bool found;
};

/**
 * struct snapshot_drop - references of a snapshot that is deleted
 * @l1: its L1 table, or NULL: it has not been read
 * @entries: of it
 * @is_counted: all have been dropped, and what has none left is looked for
 * @next: number of the slice of its L2 tables to go on with
 * @slice: memory for one
 * @nr: references that this step has come by
 */
struct snapshot_drop {
	__be64 *l1;
	u32 entries;
	bool is_counted;
	u64 next;
	__be64 *slice;
	unsigned int nr;
};

/**
 * struct qcow_snapshot_job - a change on its way
 * @work: what the worker is to do of it
 * @meta: of the image
 * @change: what is to be done
 * @rep: says what is wrong
 * @is_begun: there is a shadow
 * @shadow: counts and clusters
 * @mirror: to create or delete a snapshot: tables
 * @drop: to delete one
 * @next: the header
 * @table: the snapshot table
 * @l1: entries of the new L1 table of the active state
 * @l1_entries: how many
 * @l2: to apply one: memory for an L2 table
 * @l2_host: where the one in @l2 is
 */
struct qcow_snapshot_job {
	struct qcow_job work;
	struct qcow_meta *meta;
	const struct qcow_snapshot_change *change;
	struct qcow_report *rep;
	bool is_begun;
	struct qcow_shadow shadow;
	struct qcow_mirror mirror;
	struct snapshot_drop drop;
	struct qcow_header next;
	struct snapshot_table table;
	__be64 *l1;
	u32 l1_entries;
	__be64 *l2;
	u64 l2_host;
};

static int snapshot_flaw(struct qcow_snapshot_job *job, const struct qcow_flaw *flaw, u64 table)
{
	qcow_report(job->rep, "table at 0x%llx, entry 0x%llx: %s 0x%llx", table, flaw->entry,
		    flaw->what, flaw->value);
	return -EUCLEAN;
}

/* Call a function for all that the L2 table at hand refers to. */
static int snapshot_walk_l2(struct qcow_snapshot_job *job,
			    int (*func)(const struct qcow_reference *ref, void *data))
{
	const struct qcow_geometry *g = &job->meta->image->geo;
	struct qcow_flaw flaw;
	int err;

	err = qcow_references_walk(g, job->l2, qcow_cluster_bytes(g), func, job, &flaw);
	return err && flaw.what ? snapshot_flaw(job, &flaw, job->l2_host) : err;
}

/* Read the L2 table of an L1 entry; @job->l2_host 0: it has none. */
static int snapshot_read_l2(struct qcow_snapshot_job *job, u64 entry)
{
	struct qcow_image *image = job->meta->image;
	struct qcow_flaw flaw;
	int err;

	if (qcow_l1_decode(&image->geo, entry, &job->l2_host, &flaw))
		return snapshot_flaw(job, &flaw, job->l2_host);
	if (!job->l2_host)
		return 0;
	err = qcow_store_read(image->store, job->l2, job->l2_host,
			      qcow_cluster_bytes(&image->geo));
	if (err)
		qcow_report(job->rep, "L2 table at 0x%llx: cannot be read: error %d",
			    job->l2_host, err);
	return err;
}

static int snapshot_ref(const struct qcow_reference *ref, void *data)
{
	struct qcow_snapshot_job *job = data;

	return qcow_shadow_ref(&job->shadow, ref->host, ref->len);
}

static int snapshot_forget(const struct qcow_reference *ref, void *data)
{
	struct qcow_snapshot_job *job = data;

	return qcow_shadow_forget(&job->shadow, ref->host, ref->len);
}

static int snapshot_reap(const struct qcow_reference *ref, void *data)
{
	struct qcow_snapshot_job *job = data;

	return qcow_shadow_reap(&job->shadow, ref->host, ref->len);
}

static int snapshot_walk_l1(struct qcow_snapshot_job *job, const __be64 *l1, u32 entries,
			    int (*func)(const struct qcow_reference *ref, void *data))
{
	struct qcow_reference table = { .len = qcow_cluster_bytes(&job->meta->image->geo) };
	int err = 0;
	u32 i;

	for (i = 0; i < entries && !err; i++) {
		err = snapshot_read_l2(job, be64_to_cpu(l1[i]));
		if (err || !job->l2_host)
			continue;
		table.host = job->l2_host;
		err = func(&table, job);
		if (!err)
			err = snapshot_walk_l2(job, func);
	}
	return err;
}

/* The entry for the L2 table at hand, of the active state. */
static int snapshot_refresh_l2(struct qcow_snapshot_job *job, __be64 *entry)
{
	const struct qcow_geometry *g = &job->meta->image->geo;
	bool is_changed = false;
	struct qcow_flaw flaw;
	unsigned int nr = 0;
	int err;

	err = qcow_flags_refresh(&job->shadow, job->l2, qcow_cluster_bytes(g), &nr, &is_changed,
				 &flaw, job->rep);
	if (err)
		return flaw.what ? snapshot_flaw(job, &flaw, job->l2_host) : err;
	if (is_changed) {
		err = qcow_shadow_unref(&job->shadow, job->l2_host, qcow_cluster_bytes(g));
		if (!err)
			err = qcow_shadow_put(&job->shadow, job->l2, qcow_cluster_bytes(g),
					      &job->l2_host);
	} else {
		/* It may be that of the snapshot. */
		err = qcow_shadow_guard(&job->shadow, job->l2_host, qcow_cluster_bytes(g));
	}
	return err ?: qcow_flags_l1_entry(&job->shadow, job->l2_host, entry);
}

static int snapshot_refresh(struct qcow_snapshot_job *job)
{
	int err = 0;
	u32 i;

	for (i = 0; i < job->l1_entries && !err; i++) {
		err = snapshot_read_l2(job, be64_to_cpu(job->l1[i]));
		if (!err && job->l2_host)
			err = snapshot_refresh_l2(job, &job->l1[i]);
	}
	return err;
}

/* An L1 table in memory, with zeros behind it up to @entries; kvfree()able. */
static int snapshot_read_l1(struct qcow_snapshot_job *job, u64 host, u32 there, u32 entries,
			    __be64 **result)
{
	__be64 *l1 = kvcalloc(max(entries, 1U), sizeof(*l1), GFP_NOIO);
	int err;

	if (!l1)
		return -ENOMEM;
	err = qcow_store_read(job->meta->image->store, l1, host, there * sizeof(*l1));
	if (err) {
		qcow_report(job->rep, "L1 table at 0x%llx: cannot be read: error %d", host, err);
		kvfree(l1);
		return err;
	}
	*result = l1;
	return 0;
}

static int snapshot_drop(const struct qcow_reference *ref, void *data)
{
	struct qcow_snapshot_job *job = data;

	job->drop.nr++;
	return job->drop.is_counted ? snapshot_reap(ref, job) : snapshot_forget(ref, job);
}

/* The next slice, and with the first one of a table the table. */
static int snapshot_drop_slice(struct qcow_snapshot_job *job)
{
	struct qcow_image *image = job->meta->image;
	const struct qcow_geometry *g = &image->geo;
	struct snapshot_drop *drop = &job->drop;
	u64 l1_idx = qcow_slice_l1_idx(g, drop->next);
	u64 in_table = qcow_slice_in_table(g, drop->next);
	struct qcow_reference whole = { .len = qcow_cluster_bytes(g) };
	struct qcow_flaw flaw = {};
	u64 table;
	int err;

	if (qcow_l1_decode(g, be64_to_cpu(drop->l1[l1_idx]), &table, &flaw))
		return snapshot_flaw(job, &flaw, job->table.snap.l1_offset);
	if (!table) {
		drop->next = (l1_idx + 1) << (g->l2_bits - g->slice_bits);
		return 0;
	}
	err = qcow_store_read(image->store, drop->slice, table + in_table, qcow_slice_bytes(g));
	if (err) {
		qcow_report(job->rep, "L2 table at 0x%llx: cannot be read: error %d", table, err);
		return err;
	}
	whole.host = table;
	if (!in_table)
		err = snapshot_drop(&whole, job);
	if (!err)
		err = qcow_references_walk(g, drop->slice, qcow_slice_bytes(g), snapshot_drop, job,
					   &flaw);
	drop->next++;
	return err && flaw.what ? snapshot_flaw(job, &flaw, table) : err;
}

/* Return: 1: all references have been dropped; 0: there is more to do; or -errno. */
static int snapshot_drop_some(struct qcow_snapshot_job *job)
{
	struct snapshot_drop *drop = &job->drop;
	const struct qcow_geometry *g = &job->meta->image->geo;
	int err = 0;

	drop->nr = 0;
	while (qcow_slice_l1_idx(g, drop->next) < drop->entries) {
		if (drop->nr >= STEP_REFERENCES)
			return 0;
		err = snapshot_drop_slice(job);
		if (err)
			return err;
	}
	if (drop->is_counted)
		return 1;
	drop->is_counted = true;
	drop->next = 0;
	return 0;
}

static int snapshot_begin_drop(struct qcow_snapshot_job *job)
{
	const struct qcow_snapshot *snap = &job->table.snap;
	struct snapshot_drop *drop = &job->drop;

	drop->entries = snap->l1_entries;
	drop->is_counted = false;
	drop->next = 0;
	if (!drop->slice)
		drop->slice = kvmalloc(qcow_slice_bytes(&job->meta->image->geo), GFP_NOIO);
	if (!drop->slice)
		return -ENOMEM;
	return drop->l1 ? 0 : snapshot_read_l1(job, snap->l1_offset, snap->l1_entries,
					       snap->l1_entries, &drop->l1);
}

static int snapshot_get_bytes(const struct qcow_snapshot *snap, u32 position, void *data)
{
	return 0;
}

static bool is_wanted(const struct qcow_snapshot_job *job, const struct qcow_snapshot *snap)
{
	return snap->id_len == job->change->id_len &&
	       !memcmp(snap->id, job->change->id, snap->id_len);
}

/* Read the table, and find the snapshot in it. */
static int snapshot_read_table(struct qcow_snapshot_job *job)
{
	struct qcow_image *image = job->meta->image;
	struct snapshot_table *t = &job->table;
	struct qcow_snapshot snap;
	size_t pos = 0;
	u32 idx = 0;
	int err;

	/* It does not change while the job is under way. */
	if (t->buf)
		return 0;
	err = qcow_image_walk_snapshots(image, snapshot_get_bytes, NULL, &t->bytes, job->rep);
	if (err || !t->bytes)
		return err;
	t->buf = kvmalloc(t->bytes, GFP_NOIO);
	if (!t->buf)
		return -ENOMEM;
	err = qcow_store_read_padded(image->store, t->buf, image->header.snapshots_offset,
				     t->bytes);
	if (err)
		return err;
	while (!t->found) {
		t->begin = pos;
		err = qcow_snapshot_next(&image->header, image->store->bytes, t->buf, t->bytes,
					 &pos, &idx, &snap, job->rep);
		if (err <= 0)
			return err == -EAGAIN ? -EUCLEAN : err;
		t->found = is_wanted(job, &snap);
		t->end = pos;
		t->snap = snap;
	}
	return 0;
}

/* A new snapshot table in the place of the old one. */
static int snapshot_put_table(struct qcow_snapshot_job *job, const void *buf, u64 bytes, u32 nr)
{
	int err;

	err = qcow_shadow_unref(&job->shadow, job->next.snapshots_offset, job->table.bytes);
	job->next.nr_snapshots = nr;
	job->next.snapshots_offset = 0;
	if (err || !nr)
		return err;
	return qcow_shadow_put(&job->shadow, buf, bytes, &job->next.snapshots_offset);
}

/* A new L1 table of the active state. */
static int snapshot_put_l1(struct qcow_snapshot_job *job)
{
	job->next.l1_entries = job->l1_entries;
	if (!job->l1_entries)
		return 0;
	return qcow_shadow_put(&job->shadow, job->l1, qcow_l1_bytes(job->l1_entries),
			       &job->next.l1_offset);
}

/* The entry of one that is created. */
static struct qcow_snapshot snapshot_entry(const struct qcow_snapshot_job *job)
{
	const struct qcow_snapshot_change *c = job->change;
	const struct qcow_header *h = &job->meta->image->header;

	return (struct qcow_snapshot) {
		.id = c->id, .id_len = c->id_len, .name = c->name, .name_len = c->name_len,
		.date_sec = c->date_sec, .date_nsec = c->date_nsec, .icount = U64_MAX,
		.l1_offset = h->l1_offset, .l1_entries = h->l1_entries, .disk_bytes = h->size,
	};
}

static int snapshot_check_room(struct qcow_snapshot_job *job)
{
	const struct qcow_header *h = &job->meta->image->header;
	struct qcow_snapshot snap = snapshot_entry(job);

	if (h->nr_snapshots < QCOW_MAX_SNAPSHOTS &&
	    job->table.bytes + qcow_snapshot_bytes(&snap) <= QCOW_MAX_SNAPSHOT_TABLE_BYTES)
		return 0;
	qcow_report(job->rep, "nr_snapshots %u, their table has %llu bytes: no room for another",
		    h->nr_snapshots, job->table.bytes);
	return -EFBIG;
}

static int snapshot_append(struct qcow_snapshot_job *job)
{
	const struct qcow_header *h = &job->meta->image->header;
	const struct snapshot_table *t = &job->table;
	struct qcow_snapshot snap = snapshot_entry(job);
	u64 bytes = round_up(t->bytes + qcow_snapshot_bytes(&snap), 8);
	void *buf = kvzalloc(bytes, GFP_NOIO);
	int err;

	if (!buf)
		return -ENOMEM;
	if (t->bytes)
		memcpy(buf, t->buf, t->bytes);
	qcow_snapshot_put(&snap, buf + t->bytes);
	err = snapshot_put_table(job, buf, bytes, h->nr_snapshots + 1);
	kvfree(buf);
	return err;
}

static int snapshot_adopt_mirror(struct qcow_snapshot_job *job)
{
	job->l1_entries = job->mirror.entries;
	kvfree(job->l1);
	job->l1 = NULL;
	return qcow_mirror_finish(&job->mirror, &job->l1);
}

static int snapshot_create(struct qcow_snapshot_job *job)
{
	return snapshot_adopt_mirror(job) ?: snapshot_append(job);
}

static int snapshot_remove(struct qcow_snapshot_job *job)
{
	const struct snapshot_table *t = &job->table;
	u64 bytes = t->bytes - (t->end - t->begin);
	void *buf = kvmalloc(t->bytes, GFP_NOIO);
	int err;

	if (!buf)
		return -ENOMEM;
	memcpy(buf, t->buf, t->begin);
	memcpy(buf + t->begin, t->buf + t->end, t->bytes - t->end);
	err = snapshot_put_table(job, buf, bytes, job->meta->image->header.nr_snapshots - 1);
	kvfree(buf);
	return err;
}

static int snapshot_delete(struct qcow_snapshot_job *job)
{
	const struct qcow_header *h = &job->meta->image->header;
	const struct qcow_snapshot *snap = &job->table.snap;
	int err;

	do {
		err = snapshot_drop_some(job);
	} while (!err);
	if (err > 0)
		err = snapshot_adopt_mirror(job);
	if (!err)
		err = qcow_shadow_unref(&job->shadow, snap->l1_offset,
					qcow_l1_bytes(snap->l1_entries));
	if (!err)
		err = qcow_shadow_unref(&job->shadow, h->l1_offset, qcow_l1_bytes(h->l1_entries));
	if (err)
		return err;
	return snapshot_remove(job);
}

/* With the snapshot the disk gets another size. */
static int snapshot_check_size(struct qcow_snapshot_job *job)
{
	struct qcow_image *image = job->meta->image;
	const struct qcow_header *h = &image->header;
	const struct qcow_snapshot *snap = &job->table.snap;
	u32 entries;

	/* Requests may be on their way to what goes. */
	if (snap->disk_bytes < h->size && !job->change->is_shut) {
		qcow_report(job->rep, "the device is open, has %llu bytes, and the snapshot %llu",
			    h->size, snap->disk_bytes);
		return -EBUSY;
	}
	return qcow_resize_check(image, snap->disk_bytes, job->change->block_bytes, true, &entries,
				 job->rep);
}

static int snapshot_apply(struct qcow_snapshot_job *job)
{
	const struct qcow_header *h = &job->meta->image->header;
	const struct qcow_snapshot *snap = &job->table.snap;
	__be64 *old;
	u32 needed;
	int err;

	job->l2 = kvmalloc(qcow_cluster_bytes(&job->meta->image->geo), GFP_NOIO);
	if (!job->l2)
		return -ENOMEM;
	err = qcow_header_check_size(h, snap->disk_bytes, &needed, job->rep);
	if (!err && snap->disk_bytes != h->size)
		err = snapshot_check_size(job);
	if (err)
		return err;
	job->next.size = snap->disk_bytes;
	job->l1_entries = max(needed, snap->l1_entries);
	err = snapshot_read_l1(job, snap->l1_offset, snap->l1_entries, job->l1_entries, &job->l1);
	if (!err)
		err = snapshot_read_l1(job, h->l1_offset, h->l1_entries, h->l1_entries, &old);
	if (err)
		return err;
	/*
	 * In this order: no count is higher on its way than before or in the end, which may be as
	 * high as its bits allow. What is unused can be told when all is counted.
	 */
	err = snapshot_walk_l1(job, old, h->l1_entries, snapshot_forget);
	if (!err)
		err = qcow_shadow_forget(&job->shadow, h->l1_offset, qcow_l1_bytes(h->l1_entries));
	if (!err)
		err = snapshot_walk_l1(job, job->l1, job->l1_entries, snapshot_ref);
	if (!err)
		err = snapshot_walk_l1(job, old, h->l1_entries, snapshot_reap);
	kvfree(old);
	return err ?: qcow_shadow_reap(&job->shadow, h->l1_offset, qcow_l1_bytes(h->l1_entries));
}

static int snapshot_check(struct qcow_snapshot_job *job)
{
	const struct qcow_snapshot_change *c = job->change;
	const struct qcow_image *image = job->meta->image;

	if (image->header.version < 2) {
		qcow_report(job->rep, "version 1 has no snapshots");
		return -EOPNOTSUPP;
	}
	if (image->geo.data_file) {
		qcow_report(job->rep, "the data is in an external file, which has no snapshots");
		return -EOPNOTSUPP;
	}
	if (c->action == QCOW_SNAPSHOT_CREATE && job->table.found) {
		qcow_report(job->rep, "snapshot %.*s: there is one already", (int)c->id_len, c->id);
		return -EEXIST;
	}
	if (c->action != QCOW_SNAPSHOT_CREATE && !job->table.found) {
		qcow_report(job->rep, "snapshot %.*s: there is none", (int)c->id_len, c->id);
		return -ENOENT;
	}
	/* They say what has changed since some time, of a disk of this size. */
	if (c->action == QCOW_SNAPSHOT_APPLY && qcow_bitmaps_kept(&job->meta->bitmaps)) {
		qcow_report(job->rep, "the image has bitmaps, which would not fit what is applied");
		return -EOPNOTSUPP;
	}
	return c->action == QCOW_SNAPSHOT_CREATE ? snapshot_check_room(job) : 0;
}

static int snapshot_check_unused(struct qcow_snapshot_job *job)
{
	const struct qcow_snapshot_change *c = job->change;

	if (c->action != QCOW_SNAPSHOT_DELETE ||
	    !qcow_layer_has_snapshot(job->meta->image, c->id, c->id_len))
		return 0;
	qcow_report(job->rep, "snapshot %.*s is attached", (int)c->id_len, c->id);
	return -EBUSY;
}

/* Counts that proved wrong since the change began are not to be built upon. */
static int snapshot_check_failed(struct qcow_snapshot_job *job)
{
	if (READ_ONCE(job->meta->failed)) {
		qcow_report(job->rep, "the image has become read-only after an error");
		return -EIO;
	}
	return job->is_begun && job->shadow.is_given_up ? -ENOSPC : 0;
}

/* With the queue frozen, and a commit: a table that has changed could not be written. */
static int snapshot_check_durable(struct qcow_snapshot_job *job)
{
	if (qcow_commit_has_tables(job->meta))
		return 0;
	qcow_report(job->rep, "what has been written cannot be made durable");
	return -EIO;
}

static int snapshot_make(struct qcow_snapshot_job *job)
{
	int err;

	if (job->change->action == QCOW_SNAPSHOT_CREATE)
		err = snapshot_create(job);
	else if (job->change->action == QCOW_SNAPSHOT_APPLY)
		err = snapshot_apply(job) ?: snapshot_refresh(job);
	else
		err = snapshot_delete(job);
	return err ?: snapshot_put_l1(job);
}

/* What there is of tables in memory is that of the new active state. */
static void snapshot_adopt(struct qcow_snapshot_job *job, __be64 *l1, u32 entries)
{
	struct qcow_meta *meta = job->meta;
	struct qcow_image *image = meta->image;

	qcow_cache_drop(image->cache, &image->l2);
	qcow_decompress_clear(image);
	memcpy(l1, job->l1, qcow_l1_bytes(min(entries, job->l1_entries)));
	image->l1_bytes += qcow_l1_bytes(entries) - qcow_l1_bytes(image->l1_entries);
	kvfree(image->l1);
	image->l1 = l1;
	image->l1_entries = entries;
	qcow_image_set_size(image, round_down(image->header.size, SECTOR_SIZE));
	/* What the table on disk has behind that stays as it is. */
	meta->l1.disk_entries = min(image->header.l1_entries, entries);
}

/* Return: 0, or an error; the shadow is gone. */
static int snapshot_switch(struct qcow_snapshot_job *job)
{
	const struct qcow_image *image = job->meta->image;
	__be64 *l1 = NULL;
	u32 entries = 0;
	int err;

	err = qcow_header_check_size(&job->next, job->next.size, &entries, job->rep);
	/* It does not become shorter: the L2 tables behind are known as such. */
	entries = max(entries, image->l1_entries);
	if (!err)
		err = qcow_image_check_l1_bytes(image, entries, job->rep);
	if (!err) {
		l1 = kvcalloc(max(entries, 1U), sizeof(*l1), GFP_NOIO);
		err = l1 ? 0 : -ENOMEM;
	}
	if (err) {
		qcow_shadow_abort(&job->shadow);
		return err;
	}
	err = qcow_shadow_switch(&job->shadow, &job->next);
	if (err)
		kvfree(l1);
	else
		snapshot_adopt(job, l1, entries);
	return err;
}

static void snapshot_abort(struct qcow_snapshot_job *job)
{
	if (!job->is_begun)
		return;
	qcow_mirror_end(&job->mirror);
	qcow_shadow_abort(&job->shadow);
	job->is_begun = false;
}

static int snapshot_begin(struct qcow_snapshot_job *job)
{
	int err;

	err = snapshot_read_table(job);
	if (!err)
		err = snapshot_check(job) ?: snapshot_check_unused(job);
	if (!err)
		err = qcow_meta_begin(job->meta);
	if (!err)
		err = qcow_shadow_begin(&job->shadow, job->meta, &job->work.cancelled);
	if (err)
		return err;
	job->is_begun = true;
	if (job->change->action == QCOW_SNAPSHOT_DELETE)
		err = snapshot_begin_drop(job);
	if (!err && job->change->action != QCOW_SNAPSHOT_APPLY)
		err = qcow_mirror_begin(&job->mirror, &job->shadow,
					job->change->action == QCOW_SNAPSHOT_CREATE ?
					QCOW_MIRROR_SHARE : QCOW_MIRROR_REFRESH, job->rep);
	if (err)
		snapshot_abort(job);
	return err;
}

/* Return: 1: few slices that have changed are left; 0: more is to be done; or -errno. */
static int snapshot_go_on(struct qcow_snapshot_job *job)
{
	int ret = 1;

	if (job->change->action == QCOW_SNAPSHOT_DELETE)
		ret = snapshot_drop_some(job);
	return ret > 0 ? qcow_mirror_step(&job->mirror) : ret;
}

/* Beside requests: drop references, copy tables until few that have changed are left. */
static int snapshot_mirror_step(struct qcow_job *work)
{
	struct qcow_snapshot_job *job = container_of(work, struct qcow_snapshot_job, work);
	int err = snapshot_check_failed(job);

	if (err)
		return err;
	if (!job->is_begun) {
		err = snapshot_begin(job);
		if (err)
			return err;
		job->shadow.is_live = true;
	}
	if (!qcow_writeback_has_room(work->meta->image->cache))
		return qcow_job_await_room(work);
	err = snapshot_go_on(job);
	if (err < 0)
		return err;
	return err ? 0 : qcow_job_await_turn(work);
}

static int snapshot_finish_step(struct qcow_job *work)
{
	struct qcow_snapshot_job *job = container_of(work, struct qcow_snapshot_job, work);
	struct qcow_meta *meta = job->meta;
	int err = snapshot_check_failed(job);

	if (err)
		return err;
	/* One that makes counts durable which a reclaim has changed. */
	if (qcow_commit_is_running(&meta->commit))
		return qcow_job_await_commit(work);
	/* It may have been attached meanwhile. */
	err = snapshot_check_durable(job) ?: snapshot_check_unused(job);
	if (!err && !job->is_begun)
		err = snapshot_begin(job);
	if (err)
		return err;
	job->shadow.is_live = false;
	/* The new table is long enough. */
	qcow_l1_release_longer(meta);
	job->next = meta->image->header;
	err = snapshot_make(job);
	if (err) {
		snapshot_abort(job);
		return err;
	}
	job->is_begun = false;
	err = snapshot_switch(job);
	if (!err && job->mirror.shadow)
		qcow_mirror_release(&job->mirror);
	qcow_mirror_end(&job->mirror);
	return err;
}

static int snapshot_abort_step(struct qcow_job *work)
{
	snapshot_abort(container_of(work, struct qcow_snapshot_job, work));
	return 0;
}

/* @idle: when neither a commit nor a reclaim is under way. */
static int snapshot_work(struct qcow_snapshot_job *job, int (*step)(struct qcow_job *work),
			 bool idle)
{
	job->work.step = step;
	job->work.idle = idle;
	return qcow_job_run(job->meta, &job->work);
}

/*
 * In the pause nothing comes and goes, and what has been freed is free. Counts of one bit have no
 * room for a snapshot's reference even then.
 */
static bool snapshot_may_retry(const struct qcow_snapshot_job *job, int err)
{
	return (err == -ERANGE && job->meta->image->header.refcount_order) ||
		qcow_space_is_full(err);
}

struct qcow_snapshot_job *qcow_snapshot_begin(struct qcow_meta *meta,
					      const struct qcow_snapshot_change *change,
					      struct qcow_report *rep)
{
	struct qcow_snapshot_job *job = kzalloc(sizeof(*job), GFP_KERNEL);

	if (!job)
		return ERR_PTR(-ENOMEM);
	job->meta = meta;
	job->change = change;
	job->rep = rep;
	return job;
}

static int snapshot_mirror(struct qcow_snapshot_job *job)
{
	int err = snapshot_work(job, snapshot_mirror_step, false);

	/* What is durable now is not written in the pause. */
	if (!err)
		err = qcow_commit_wait(job->meta);
	if (!err)
		err = snapshot_work(job, snapshot_mirror_step, false);
	if (!err || !job->is_begun)
		return err;
	snapshot_work(job, snapshot_abort_step, false);
	return snapshot_may_retry(job, err) ? 0 : err;
}

int qcow_snapshot_prepare(struct qcow_snapshot_job *job)
{
	return job->change->action == QCOW_SNAPSHOT_APPLY ? 0 : snapshot_mirror(job);
}

int qcow_snapshot_catch_up(struct qcow_snapshot_job *job)
{
	return job->is_begun ? snapshot_mirror(job) : 0;
}

int qcow_snapshot_finish(struct qcow_snapshot_job *job)
{
	bool is_mirrored = job->is_begun;
	int err = snapshot_work(job, snapshot_finish_step, !is_mirrored);

	if (is_mirrored && snapshot_may_retry(job, err)) {
		snapshot_work(job, snapshot_abort_step, false);
		err = snapshot_work(job, snapshot_finish_step, true);
	}
	return err;
}

void qcow_snapshot_end(struct qcow_snapshot_job *job)
{
	if (job->is_begun)
		snapshot_work(job, snapshot_abort_step, false);
	kvfree(job->table.buf);
	kvfree(job->drop.l1);
	kvfree(job->drop.slice);
	kvfree(job->l1);
	kvfree(job->l2);
	kfree(job);
}
