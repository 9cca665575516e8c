// SPDX-License-Identifier: GPL-2.0
/*
 * Storing persistent bitmaps. Nothing that the directory leads to is written over: what is to be
 * different goes to free clusters, and then the header leads to another directory.
 *
 *   bits, tables, directory ---> a commit ---> header ---> what the old ones had is dropped
 *   to new clusters              has their     (format/head.c)
 *                                counts
 *
 * A power cut before the header is written leaks the new clusters, one afterwards the old ones.
 *
 * A bitmap is as long as the disk. So when that gets another size those that do not record are
 * stored with it: the header, which leads to them, has the size, too. Those that record are marked
 * as inconsistent, of whatever length, until the image is not written to any more.
 */
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <qcow/head.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "meta/bitmap_store.h"
#include "meta/header.h"
#include "meta/job.h"
#include "meta/track.h"
#include "meta/worker.h"
#include "meta/writeback.h"
#include "store/store.h"

/* Bytes of bits that a step looks at; most of them it writes at worst. */
#define STEP_BYTES	SZ_1M

/**
 * struct bitmaps_store - bitmaps on their way
 * @job: has it done
 * @meta: of the image
 * @change: what is to be stored
 * @rep: says why not
 * @removed: the table of the bitmap that goes, where that is not known, or NULL
 * @is_begun: it has been looked for
 * @at: the bitmap that is being written, or NULL: the directory is the next
 * @next: entry of its table
 * @buf: a cluster
 * @taken: new clusters, struct qcow_space_run
 * @dir: the new directory
 * @is_written: all but the header has been written
 * @is_counted: a commit has been asked for since
 */
struct bitmaps_store {
	struct qcow_job job;
	struct qcow_meta *meta;
	const struct qcow_bitmaps_change *change;
	struct qcow_report *rep;
	__be64 *removed;
	bool is_begun;
	struct qcow_dirty_bitmap *at;
	u32 next;
	u8 *buf;
	struct list_head taken;
	struct qcow_bitmaps_dir dir;
	bool is_written;
	bool is_counted;
};

/* Those that record are written only when all are, or when they have no table at all. */
static bool is_to_be_written(const struct bitmaps_store *s, const struct qcow_dirty_bitmap *bitmap)
{
	if (!bitmap->track)
		return false;
	if (!bitmap->entry.table_offset)
		return true;
	if (bitmap->entry.flags & QCOW_BITMAP_AUTO)
		return s->change->all;
	return bitmap->is_stale || s->change->disk_bytes;
}

/* That the image has, or will have. */
static u64 disk_bytes(const struct bitmaps_store *s)
{
	return s->change->disk_bytes ?: s->meta->image->header.size;
}

/* Behind @bitmap, NULL: from the beginning on; or NULL. */
static struct qcow_dirty_bitmap *find_next(struct bitmaps_store *s,
					   struct qcow_dirty_bitmap *bitmap)
{
	bitmap = list_prepare_entry(bitmap, &s->meta->bitmaps.list, node);
	list_for_each_entry_continue(bitmap, &s->meta->bitmaps.list, node) {
		if (is_to_be_written(s, bitmap))
			return bitmap;
	}
	return NULL;
}

/* @buf at a cluster, and zeros up to the end of the last one. */
static int store_write(struct bitmaps_store *s, const void *buf, u64 bytes, u64 host)
{
	struct qcow_image *image = s->meta->image;
	size_t cluster = qcow_cluster_bytes(&image->geo);
	u64 whole = round_down(bytes, cluster), rest = bytes - whole;
	int err;

	err = whole ? qcow_store_write(image->store, buf, host, whole) : 0;
	if (err || !rest)
		return err;
	memcpy(s->buf, buf + whole, rest);
	memset(s->buf + rest, 0, cluster - rest);
	return qcow_store_write(image->store, s->buf, host + whole, cluster);
}

/* The same in new clusters. @buf may be @s->buf where it is a whole one. */
static int store_put(struct bitmaps_store *s, const void *buf, u64 bytes, u64 *host)
{
	u32 bits = s->meta->image->geo.cluster_bits;
	struct qcow_run run;
	int err;

	err = qcow_space_alloc(&s->meta->space, QCOW_USE_METADATA,
			       (bytes + BIT_ULL(bits) - 1) >> bits, &run);
	if (err)
		return err;
	*host = run.first << bits;
	err = store_write(s, buf, bytes, *host);
	if (err)
		qcow_space_release(&s->meta->space, run.first, run.nr);
	else
		qcow_space_run_add(&s->taken, &run);
	return err;
}

/* One entry of the table, and what it leads to. */
static int store_entry(struct bitmaps_store *s)
{
	struct qcow_image *image = s->meta->image;
	size_t bytes = qcow_cluster_bytes(&image->geo);
	struct qcow_dirty_bitmap *bitmap = s->at;
	u64 entry = 0;
	int err;

	qcow_track_get(s->change->disk_bytes ? bitmap->resized : bitmap->track,
		       (size_t)s->next * bytes, s->buf, bytes);
	if (!memchr_inv(s->buf, 0, bytes)) {
		bitmap->next[s->next++] = 0;
		return 0;
	}
	if (!memchr_inv(s->buf, 0xff, bytes)) {
		bitmap->next[s->next++] = cpu_to_be64(QCOW_BITMAP_TABLE_ONES);
		return 0;
	}
	err = store_put(s, s->buf, bytes, &entry);
	if (!err)
		bitmap->next[s->next++] = cpu_to_be64(entry);
	return err;
}

/* The table of the bitmap at hand, whose bits have been written. */
static int store_table(struct bitmaps_store *s)
{
	struct qcow_dirty_bitmap *bitmap = s->at;
	int err;

	err = store_put(s, bitmap->next, bitmap->next_entries * sizeof(__be64),
			&bitmap->next_offset);
	if (err)
		return err;
	s->at = find_next(s, bitmap);
	s->next = 0;
	return 0;
}

/* The next table of the bitmap at hand. */
static int store_begin_table(struct bitmaps_store *s)
{
	struct qcow_dirty_bitmap *bitmap = s->at;

	if (bitmap->next)
		return 0;
	bitmap->next_entries = qcow_bitmap_table_entries(disk_bytes(s),
							 bitmap->entry.granularity_bits,
							 s->meta->image->geo.cluster_bits);
	bitmap->next = kvcalloc(bitmap->next_entries, sizeof(__be64), GFP_NOIO);
	return bitmap->next ? 0 : -ENOMEM;
}

/* Some of the bitmap at hand. */
static int store_bitmap(struct bitmaps_store *s)
{
	struct qcow_image *image = s->meta->image;
	struct qcow_dirty_bitmap *bitmap = s->at;
	u64 bytes = 0;
	int err = store_begin_table(s);

	if (err)
		return err;
	while (s->next < bitmap->next_entries) {
		/* Counts of new clusters are changed in slices that stay until a commit. */
		if (bytes >= STEP_BYTES || !qcow_writeback_has_room(image->cache))
			return 0;
		err = store_entry(s);
		if (err)
			return err;
		bytes += qcow_cluster_bytes(&image->geo);
		cond_resched();
	}
	return store_table(s);
}

/* Without any there is no directory. */
static int store_dir(struct bitmaps_store *s)
{
	struct qcow_bitmaps *bitmaps = &s->meta->bitmaps;
	void *buf;
	int err;

	s->dir.bytes = qcow_bitmaps_dir_bytes(bitmaps, &s->dir.nr);
	if (!s->dir.nr)
		return 0;
	buf = kvmalloc(s->dir.bytes, GFP_NOIO);
	if (!buf)
		return -ENOMEM;
	qcow_bitmaps_put_dir(bitmaps, s->change->all, buf);
	err = store_put(s, buf, s->dir.bytes, &s->dir.host_offset);
	kvfree(buf);
	return err;
}

/* The header leads to the new directory, and has the size that goes with it. */
static int store_switch(struct bitmaps_store *s)
{
	struct qcow_head heads[QCOW_MAX_HEADS];
	unsigned int nr, i;
	int err;

	err = qcow_header_read_heads(s->meta->image, heads);
	if (err)
		return err;
	err = qcow_bitmaps_plan(heads, &s->dir, &nr, s->rep);
	for (i = 1; i < nr && !err; i++) {
		heads[i].h.size = disk_bytes(s);
		qcow_header_put(&heads[i].h, heads[i].buf);
	}
	if (!err)
		err = qcow_header_write_heads(s->meta, heads, nr);
	kvfree(heads[0].buf);
	return err;
}

static void drop_clusters(struct qcow_meta *meta, const struct qcow_bitmap *entry,
			  const __be64 *table)
{
	u32 bits = meta->image->geo.cluster_bits;
	u64 host;
	bool ones;
	u32 i;

	if (!table)
		return;
	for (i = 0; i < entry->table_entries; i++) {
		if (!qcow_bitmap_decode(bits, be64_to_cpu(table[i]), &host, &ones) && host)
			qcow_reclaim_drop_range(&meta->reclaim, host, BIT_ULL(bits));
	}
	qcow_reclaim_drop_range(&meta->reclaim, entry->table_offset,
				entry->table_entries * sizeof(__be64));
}

/* What has been stored is what is on disk. */
static void adopt(struct bitmaps_store *s)
{
	struct qcow_meta *meta = s->meta;
	const struct qcow_dirty_bitmap *removed = s->change->removed;
	struct qcow_bitmaps *bitmaps = &meta->bitmaps;
	struct qcow_dirty_bitmap *bitmap;

	if (removed)
		drop_clusters(meta, &removed->entry, removed->table ?: s->removed);
	list_for_each_entry(bitmap, &bitmaps->list, node) {
		if (!bitmap->next)
			continue;
		drop_clusters(meta, &bitmap->entry, bitmap->table);
		kvfree(bitmap->table);
		bitmap->table = bitmap->next;
		bitmap->entry.table_offset = bitmap->next_offset;
		bitmap->entry.table_entries = bitmap->next_entries;
		bitmap->next = NULL;
		bitmap->is_stale = false;
	}
	if (bitmaps->bytes) {
		qcow_overlap_del(&meta->overlap, bitmaps->host, bitmaps->bytes);
		qcow_reclaim_drop_range(&meta->reclaim, bitmaps->host, bitmaps->bytes);
	}
	bitmaps->host = s->dir.host_offset;
	bitmaps->bytes = s->dir.bytes;
}

static int store_finish(struct bitmaps_store *s)
{
	struct qcow_meta *meta = s->meta;
	int err = 0;

	if (s->dir.nr)
		err = qcow_overlap_add(&meta->overlap, s->dir.host_offset, s->dir.bytes);
	if (err)
		return err;
	err = store_switch(s);
	if (err) {
		if (s->dir.nr)
			qcow_overlap_del(&meta->overlap, s->dir.host_offset, s->dir.bytes);
		return err;
	}
	adopt(s);
	qcow_space_runs_free(&s->taken);
	return 0;
}

/* What cannot be read of a bitmap that goes is leaked. */
static void store_begin(struct bitmaps_store *s)
{
	const struct qcow_dirty_bitmap *removed = s->change->removed;
	u32 most = QCOW_MAX_BITMAP_DATA_BYTES >> s->meta->image->geo.cluster_bits;

	if (removed && !removed->table && !s->is_begun && removed->entry.table_entries <= most)
		qcow_bitmap_load_table(s->meta, &removed->entry, &s->removed);
	s->is_begun = true;
}

/* In the worker, again after each wait. */
static int store_step(struct qcow_job *job)
{
	struct bitmaps_store *s = container_of(job, struct bitmaps_store, job);
	struct qcow_meta *meta = s->meta;
	int err;

	if (READ_ONCE(meta->failed))
		return -EIO;
	if (READ_ONCE(job->cancelled) && !s->change->all)
		return -EINTR;
	store_begin(s);
	if (!s->is_written && !qcow_writeback_has_room(meta->image->cache))
		return qcow_job_await_room(job);
	if (s->at) {
		err = store_bitmap(s);
		return err ? qcow_job_await_space(job, err) : qcow_job_await_turn(job);
	}
	if (!s->is_written) {
		err = store_dir(s);
		if (err)
			return qcow_job_await_space(job, err);
		s->is_written = true;
	}
	if (!s->is_counted) {
		/* One that is running may have begun without the new counts. */
		s->is_counted = !qcow_commit_is_running(&meta->commit);
		return qcow_job_await_commit(job);
	}
	return store_finish(s);
}

/* Nothing refers to what has been written. */
static int give_up_step(struct qcow_job *job)
{
	struct bitmaps_store *s = container_of(job, struct bitmaps_store, job);
	struct qcow_dirty_bitmap *bitmap;

	qcow_space_release_runs(&s->meta->space, &s->taken);
	list_for_each_entry(bitmap, &s->meta->bitmaps.list, node) {
		kvfree(bitmap->next);
		bitmap->next = NULL;
	}
	return 0;
}

int qcow_bitmaps_store(struct qcow_meta *meta, const struct qcow_bitmaps_change *change,
		       struct qcow_report *rep)
{
	struct bitmaps_store s = {
		.meta = meta, .change = change, .rep = rep,
		.taken = LIST_HEAD_INIT(s.taken),
	};
	int err;

	s.buf = kvmalloc(qcow_cluster_bytes(&meta->image->geo), GFP_KERNEL);
	if (!s.buf)
		return -ENOMEM;
	s.at = find_next(&s, NULL);
	s.job.step = store_step;
	err = qcow_job_run(meta, &s.job);
	if (err) {
		s.job.step = give_up_step;
		qcow_job_run(meta, &s.job);
	}
	kvfree(s.removed);
	kvfree(s.buf);
	return err;
}
