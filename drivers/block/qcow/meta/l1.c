// SPDX-License-Identifier: GPL-2.0
/*
 * L1 entries and the making of L2 tables. A new table is in the file before its entry is set,
 * and durable before the commit writes the entry. A longer L1 table is written whole, with its
 * counts durable, before the header refers to it; entries that have changed and are not written
 * yet go to the new one.
 *
 * A table is filled by a work item of its own, so that those of several guest ranges are filled at
 * the same time and changes elsewhere go on:
 *
 *   worker: space allocated, first change parked --> work item: filled --> worker: entry set,
 *           (further changes of the same table           |                 changes run again
 *            are parked with it)                         +-- error ------> worker: space given
 *                                                                          back, changes told
 */
#include <linux/bitmap.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <qcow/l2.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "message.h"
#include "meta/header.h"
#include "meta/job.h"
#include "meta/l1.h"
#include "meta/worker.h"
#include "store/store.h"

#define SECTOR_ENTRIES	(SECTOR_SIZE / sizeof(__be64))

/* Bytes of a shared table that are copied at once. */
#define COPY_BYTES	(64U << 10)

/**
 * struct l1_sector - entries that are written together
 * @node: among what has changed, or on the batch of a commit
 * @idx: of the sector in the table
 * @nr: entries in @copy
 * @host: where @copy is written to
 * @copy: what the commit writes
 */
struct l1_sector {
	struct list_head node;
	u32 idx;
	u32 nr;
	u64 host;
	__be64 copy[SECTOR_ENTRIES];
};

/**
 * struct l1_fill - an L2 table that is being filled
 * @msg: to the worker: filled
 * @work: fills it
 * @node: among those of the image
 * @waiters: messages parked until it is there, at least one
 * @meta: the metadata
 * @l1_idx: of its entry
 * @entry_host: where the entry is in the file
 * @from: host offset of the table that it is a copy of; 0: zeros
 * @run: its clusters
 * @sector: for the entry
 * @err: of filling it
 */
struct l1_fill {
	struct qcow_meta_msg msg;
	struct work_struct work;
	struct list_head node;
	struct list_head waiters;
	struct qcow_meta *meta;
	u64 l1_idx;
	u64 entry_host;
	u64 from;
	struct qcow_run run;
	struct l1_sector *sector;
	int err;
};

static u64 table_bytes(const struct qcow_image *image)
{
	return 1ULL << (image->geo.l2_bits + image->geo.entry_bits);
}

static u64 bytes_to_clusters(const struct qcow_image *image, u64 bytes)
{
	return DIV_ROUND_UP_ULL(bytes, 1U << image->geo.cluster_bits);
}

/* Set an entry; the next commit writes its sector. @sector is consumed. */
static void l1_set_entry(struct qcow_meta *meta, u64 l1_idx, u64 entry, struct l1_sector *sector)
{
	struct qcow_image *image = meta->image;
	u32 slice_shift = image->geo.l2_bits - image->geo.slice_bits;
	struct l1_sector *other;

	/* Pairs with smp_load_acquire() in map_stretch(): the file reaches to the table. */
	smp_store_release(&image->l1[l1_idx], cpu_to_be64(entry));
	if (image->l2.marks)
		bitmap_set(image->l2.marks, l1_idx << slice_shift, 1U << slice_shift);

	sector->idx = l1_idx / SECTOR_ENTRIES;
	list_for_each_entry(other, &meta->l1.changed, node) {
		if (other->idx == sector->idx) {
			kfree(sector);
			return;
		}
	}
	list_add_tail(&sector->node, &meta->l1.changed);
}

static int l1_copy_table(struct qcow_image *image, u64 from, u64 to)
{
	size_t part = min_t(u64, table_bytes(image), COPY_BYTES);
	void *buf = kvmalloc(part, GFP_NOIO);
	u64 pos;
	int err = 0;

	if (!buf)
		return -ENOMEM;
	for (pos = 0; pos < table_bytes(image) && !err; pos += part) {
		err = qcow_store_read(image->store, buf, from + pos, part);
		if (!err)
			err = qcow_store_write(image->store, buf, to + pos, part);
	}
	kvfree(buf);
	return err;
}

/*
 * Fill new clusters: with what @from has, or with zeros, also where they read as such: a commit
 * must not be the first to find that there is no space for them.
 */
static int l1_fill_table(struct qcow_image *image, const struct qcow_run *run, u64 from)
{
	u64 host = run->first << image->geo.cluster_bits;

	if (from)
		return l1_copy_table(image, from, host);
	return qcow_store_zero(image->store, host, run->nr << image->geo.cluster_bits);
}

/* Changes that have waited for a table run again, or hear that it could not be made. */
static void l1_unpark(struct qcow_meta *meta, struct l1_fill *fill, int err)
{
	struct qcow_meta_msg *msg;

	list_for_each_entry(msg, &fill->waiters, node)
		msg->err = err;
	list_splice_tail(&fill->waiters, &meta->later);
}

/* In the worker: the table is in the file. */
static void l1_fill_end(struct qcow_meta_msg *msg)
{
	struct l1_fill *fill = container_of(msg, struct l1_fill, msg);
	struct qcow_meta *meta = fill->meta;
	struct qcow_image *image = meta->image;
	u64 host = fill->run.first << image->geo.cluster_bits;
	int err = fill->err;

	if (!err)
		err = qcow_overlap_add(&meta->overlap, host, table_bytes(image));
	if (!err) {
		l1_set_entry(meta, fill->l1_idx, qcow_l1_encode(&image->geo, host), fill->sector);
		/* A snapshot has the old table still: nothing else may be written there. */
		if (fill->from)
			qcow_reclaim_drop_range(&meta->reclaim, fill->from, table_bytes(image));
	} else {
		qcow_space_release(&meta->space, fill->run.first, fill->run.nr);
		kfree(fill->sector);
	}
	l1_unpark(meta, fill, err);
	list_del(&fill->node);
	kfree(fill);
}

static void l1_fill_work(struct work_struct *work)
{
	struct l1_fill *fill = container_of(work, struct l1_fill, work);
	struct qcow_image *image = fill->meta->image;
	unsigned int noio = memalloc_noio_save();

	/* The L1 table may lie in a hole of the file. */
	fill->err = qcow_store_reserve(image->store, fill->entry_host, sizeof(__be64));
	if (!fill->err)
		fill->err = l1_fill_table(image, &fill->run, fill->from);
	memalloc_noio_restore(noio);
	qcow_meta_post(fill->meta, &fill->msg);
}

/* Have a table made, a copy of @from where that is not 0. */
static int l1_start_fill(struct qcow_meta *meta, u64 l1_idx, u64 from, struct qcow_meta_msg *waiter)
{
	struct qcow_image *image = meta->image;
	struct l1_fill *fill;
	int err = -ENOMEM;

	fill = kzalloc(sizeof(*fill), GFP_NOIO);
	if (!fill)
		return -ENOMEM;
	fill->sector = kzalloc(sizeof(*fill->sector), GFP_NOIO);
	if (fill->sector)
		err = qcow_space_alloc(&meta->space, QCOW_USE_METADATA,
				       bytes_to_clusters(image, table_bytes(image)),
				       &fill->run);
	if (err) {
		kfree(fill->sector);
		kfree(fill);
		return err;
	}
	fill->meta = meta;
	fill->l1_idx = l1_idx;
	fill->entry_host = image->header.l1_offset + l1_idx * sizeof(__be64);
	fill->from = from;
	fill->msg = (struct qcow_meta_msg) { .run = l1_fill_end, .urgent = true };
	INIT_WORK(&fill->work, l1_fill_work);
	INIT_LIST_HEAD(&fill->waiters);
	list_add_tail(&waiter->node, &fill->waiters);
	list_add_tail(&fill->node, &meta->l1.fills);
	queue_work(meta->io_wq, &fill->work);
	return -EINPROGRESS;
}

static struct l1_fill *l1_find_fill(struct qcow_meta *meta, u64 l1_idx)
{
	struct l1_fill *fill;

	list_for_each_entry(fill, &meta->l1.fills, node) {
		if (fill->l1_idx == l1_idx)
			return fill;
	}
	return NULL;
}

void qcow_l1_release_longer(struct qcow_meta *meta)
{
	struct qcow_l1 *l1 = &meta->l1;

	if (l1->state == QCOW_L1_FITS)
		return;
	qcow_space_release(&meta->space, l1->longer.first, l1->longer.nr);
	l1->state = QCOW_L1_FITS;
}

/* Put a table with the same entries, and zeros behind them, into new clusters, durable. */
static int l1_write_table(struct qcow_meta *meta, u64 host, u64 new_bytes)
{
	struct qcow_image *image = meta->image;
	u64 old_bytes = (u64)meta->l1.disk_entries * sizeof(__be64);
	void *buf = kvzalloc(new_bytes, GFP_NOIO);
	int err = buf ? 0 : -ENOMEM;

	if (!err && old_bytes)
		err = qcow_store_read(image->store, buf, image->header.l1_offset, old_bytes);
	if (!err)
		err = qcow_store_write(image->store, buf, host, new_bytes);
	kvfree(buf);
	return err ?: qcow_store_flush(image->store);
}

/* The table of version 1 may share its first sector with the header, and its last one, too. */
static void l1_drop_table(struct qcow_meta *meta, u64 host, u64 bytes)
{
	const struct qcow_image *image = meta->image;
	u64 granule = 1ULL << meta->overlap.bits;
	u64 begin = round_up(host, granule);
	u64 end = host + bytes;

	if (image->header.version > 1) {
		qcow_overlap_del(&meta->overlap, host, bytes);
		qcow_reclaim_drop_range(&meta->reclaim, host, bytes);
		return;
	}
	if (begin < round_down(end, granule))
		qcow_overlap_del(&meta->overlap, begin, round_down(end, granule) - begin);
	begin = round_up(host, qcow_cluster_bytes(&image->geo));
	end = round_down(end, qcow_cluster_bytes(&image->geo));
	if (begin < end)
		qcow_reclaim_drop_range(&meta->reclaim, begin, end - begin);
}

static int l1_replace_table(struct qcow_meta *meta)
{
	struct qcow_image *image = meta->image;
	struct qcow_l1 *l1 = &meta->l1;
	u64 host = l1->longer.first << image->geo.cluster_bits;
	u64 bytes = (u64)image->l1_entries * sizeof(__be64);
	u64 old_host = image->header.l1_offset;
	u64 old_bytes = (u64)image->header.l1_entries * sizeof(__be64);
	int err;

	err = l1_write_table(meta, host, l1->longer.nr << image->geo.cluster_bits);
	if (!err)
		err = qcow_overlap_add(&meta->overlap, host, bytes);
	if (err) {
		qcow_l1_release_longer(meta);
		return err;
	}
	err = qcow_header_set_l1(image, host, image->l1_entries);
	if (err) {
		if (!qcow_header_restore(meta)) {
			qcow_overlap_del(&meta->overlap, host, bytes);
			qcow_l1_release_longer(meta);
		}
		return err;
	}
	l1_drop_table(meta, old_host, old_bytes);
	l1->disk_entries = image->l1_entries;
	l1->state = QCOW_L1_FITS;
	return 0;
}

/* The table on disk is too short for the image. */
static int l1_grow_table(struct qcow_meta *meta)
{
	u64 nr = bytes_to_clusters(meta->image, (u64)meta->image->l1_entries * sizeof(__be64));
	struct qcow_l1 *l1 = &meta->l1;
	int err;

	/* The image has grown again; a commit that is running may find the other ones counted. */
	if (l1->state != QCOW_L1_FITS && l1->longer.nr < nr) {
		if (qcow_commit_is_running(&meta->commit))
			return -EBUSY;
		qcow_l1_release_longer(meta);
	}
	if (l1->state == QCOW_L1_FITS) {
		err = qcow_space_alloc(&meta->space, QCOW_USE_METADATA, nr, &l1->longer);
		if (err)
			return err;
		l1->state = QCOW_L1_COUNTED;
	}
	/* A commit that is running may write to the old table. */
	if (l1->state == QCOW_L1_COUNTED || qcow_commit_is_running(&meta->commit))
		return -EBUSY;
	return l1_replace_table(meta);
}

static bool is_own(const struct qcow_geometry *g, u64 entry)
{
	return (entry & g->copied) == g->copied;
}

int qcow_l1_table(struct qcow_meta *meta, u64 l1_idx, u64 *table, struct qcow_meta_msg *msg)
{
	struct qcow_image *image = meta->image;
	u64 entry = be64_to_cpu(image->l1[l1_idx]);
	struct l1_fill *fill;
	struct qcow_flaw flaw;
	u64 from;
	int err;

	err = qcow_l1_decode(&image->geo, entry, &from, &flaw);
	if (err) {
		qcow_message_flaw(image, &flaw);
		return err;
	}
	if (from && is_own(&image->geo, entry)) {
		*table = from;
		return 0;
	}
	fill = l1_find_fill(meta, l1_idx);
	if (fill) {
		list_add_tail(&msg->node, &fill->waiters);
		return -EINPROGRESS;
	}
	if (l1_idx >= meta->l1.disk_entries) {
		err = l1_grow_table(meta);
		if (err)
			return err;
	}
	return l1_start_fill(meta, l1_idx, from, msg);
}

int qcow_l1_fit(struct qcow_meta *meta)
{
	return meta->l1.disk_entries < meta->image->l1_entries ? l1_grow_table(meta) : 0;
}

/* Tables that are there for a larger size: another writer has left them. */
static int l1_adopt_table(struct qcow_meta *meta, u32 l1_idx, u64 entry, struct qcow_report *rep)
{
	const struct qcow_image *image = meta->image;
	struct qcow_flaw flaw;
	u64 table;
	int err;

	err = qcow_l1_decode(&image->geo, entry, &table, &flaw);
	if (err) {
		qcow_report(rep, "L1 entry %u, 0x%llx: %s 0x%llx", l1_idx, flaw.entry, flaw.what,
			    flaw.value);
		return err;
	}
	if (!table)
		return 0;
	if (qcow_overlap_hit(&meta->overlap, table, table_bytes(image))) {
		qcow_report(rep, "L1 entry %u: L2 table at 0x%llx lies over other metadata", l1_idx,
			    table);
		return -EUCLEAN;
	}
	return qcow_overlap_add(&meta->overlap, table, table_bytes(image));
}

/* Entries from @first to @end, which have been adopted, are not used after all. */
static void l1_disown(struct qcow_meta *meta, const __be64 *l1, u32 first, u32 end)
{
	const struct qcow_image *image = meta->image;
	struct qcow_flaw flaw;
	u64 table;
	u32 i;

	for (i = first; i < end; i++) {
		if (!qcow_l1_decode(&image->geo, be64_to_cpu(l1[i]), &table, &flaw) && table)
			qcow_overlap_del(&meta->overlap, table, table_bytes(image));
	}
}

/* Entries from @first to @end of the table on disk, which those in memory do not reach. */
static int l1_adopt(struct qcow_meta *meta, __be64 *l1, u32 first, u32 end,
		    struct qcow_report *rep)
{
	struct qcow_image *image = meta->image;
	u32 i;
	int err;

	if (first >= end)
		return 0;
	err = qcow_store_read(image->store, l1 + first,
			      image->header.l1_offset + (u64)first * sizeof(*l1),
			      (u64)(end - first) * sizeof(*l1));
	if (err) {
		qcow_report(rep, "L1 table at 0x%llx: cannot be read: error %d",
			    image->header.l1_offset, err);
		return err;
	}
	for (i = first; i < end; i++) {
		err = l1_adopt_table(meta, i, be64_to_cpu(l1[i]), rep);
		if (err) {
			l1_disown(meta, l1, first, i);
			return err;
		}
	}
	return 0;
}

int qcow_l1_lengthen(struct qcow_meta *meta, u32 entries, __be64 **l1, struct qcow_report *rep)
{
	struct qcow_image *image = meta->image;
	u32 there = min(image->header.l1_entries, entries);
	int err;

	err = l1_adopt(meta, *l1, image->l1_entries, there, rep);
	if (err)
		return err;
	if (image->l1_entries)
		memcpy(*l1, image->l1, (u64)image->l1_entries * sizeof(**l1));
	image->l1_bytes += (u64)(entries - image->l1_entries) * sizeof(**l1);
	meta->l1.disk_entries = max(meta->l1.disk_entries, there);
	*l1 = qcow_image_replace_l1(image, *l1, entries);
	return 0;
}

int qcow_l1_move_table(struct qcow_meta *meta, u64 l1_idx, u64 from, u64 to)
{
	struct qcow_image *image = meta->image;
	struct l1_sector *sector = kzalloc(sizeof(*sector), GFP_NOIO);
	int err;

	if (!sector)
		return -ENOMEM;
	err = l1_copy_table(image, from, to);
	if (!err)
		err = qcow_overlap_add(&meta->overlap, to, table_bytes(image));
	if (err) {
		kfree(sector);
		return err;
	}
	qcow_overlap_del(&meta->overlap, from, table_bytes(image));
	l1_set_entry(meta, l1_idx, qcow_l1_encode(&image->geo, to), sector);
	return 0;
}

int qcow_l1_move(struct qcow_meta *meta, u64 to)
{
	struct qcow_image *image = meta->image;
	u64 bytes = (u64)meta->l1.disk_entries * sizeof(__be64);
	u64 from = image->header.l1_offset;
	int err;

	err = l1_write_table(meta, to,
			     bytes_to_clusters(image, bytes) << image->geo.cluster_bits);
	if (!err)
		err = qcow_overlap_add(&meta->overlap, to, bytes);
	if (err)
		return err;
	err = qcow_header_set_l1(image, to, meta->l1.disk_entries);
	if (!err)
		qcow_overlap_del(&meta->overlap, from, bytes);
	else if (!qcow_header_restore(meta))
		qcow_overlap_del(&meta->overlap, to, bytes);
	return err;
}

/**
 * struct l1_wipe - a table that is wiped
 * @job: does it
 * @zeros: as long as the table is on disk
 */
struct l1_wipe {
	struct qcow_job job;
	void *zeros;
};

static u64 disk_bytes(const struct qcow_meta *meta)
{
	return (u64)meta->l1.disk_entries * sizeof(__be64);
}

static int l1_wipe_step(struct qcow_job *job)
{
	const struct l1_wipe *wipe = container_of(job, struct l1_wipe, job);
	struct qcow_meta *meta = job->meta;
	struct qcow_store *store = meta->image->store;
	int err = qcow_meta_begin(meta);

	if (err)
		return err;
	err = qcow_store_write(store, wipe->zeros, meta->image->header.l1_offset,
			       disk_bytes(meta));
	if (!err)
		err = qcow_store_flush(store);
	/* What would be written to tables that nothing leads to any more would be lost. */
	if (err)
		qcow_meta_fail(meta);
	return err;
}

int qcow_l1_wipe(struct qcow_meta *meta)
{
	struct l1_wipe wipe = {
		.job.step = l1_wipe_step,
		.zeros = kvzalloc(max(disk_bytes(meta), 1ULL), GFP_NOIO),
	};
	int err;

	if (!wipe.zeros)
		return -ENOMEM;
	err = qcow_job_run(meta, &wipe.job);
	kvfree(wipe.zeros);
	return err;
}

bool qcow_l1_collect(struct qcow_meta *meta, struct list_head *batch)
{
	const struct qcow_image *image = meta->image;
	struct l1_sector *sector;

	list_splice_init(&meta->l1.changed, batch);
	list_for_each_entry(sector, batch, node) {
		u32 first = sector->idx * SECTOR_ENTRIES;

		sector->nr = min_t(u32, SECTOR_ENTRIES, meta->l1.disk_entries - first);
		sector->host = image->header.l1_offset + first * sizeof(__be64);
		memcpy(sector->copy, &image->l1[first], sector->nr * sizeof(__be64));
	}
	return meta->l1.state == QCOW_L1_COUNTED;
}

int qcow_l1_write(struct qcow_image *image, struct list_head *batch)
{
	struct l1_sector *sector;
	int err;

	list_for_each_entry(sector, batch, node) {
		err = qcow_store_write(image->store, sector->copy, sector->host,
				       sector->nr * sizeof(__be64));
		if (err)
			return err;
	}
	return 0;
}

void qcow_l1_finish(struct qcow_meta *meta, struct list_head *batch, bool counted, int err)
{
	struct l1_sector *sector, *next;

	if (err) {
		/* Two of the same sector do no harm. */
		list_splice_init(batch, &meta->l1.changed);
		return;
	}
	if (counted)
		meta->l1.state = QCOW_L1_DURABLE;
	list_for_each_entry_safe(sector, next, batch, node) {
		list_del(&sector->node);
		kfree(sector);
	}
}

void qcow_l1_init(struct qcow_l1 *l1, const struct qcow_image *image)
{
	INIT_LIST_HEAD(&l1->changed);
	INIT_LIST_HEAD(&l1->fills);
	/* Version 1 has no field for it: the table is as long as the size needs. */
	l1->disk_entries = min(image->header.l1_entries, image->l1_entries);
	l1->state = QCOW_L1_FITS;
}

void qcow_l1_destroy(struct qcow_l1 *l1)
{
	struct l1_sector *sector, *next;

	list_for_each_entry_safe(sector, next, &l1->changed, node)
		kfree(sector);
}
