// SPDX-License-Identifier: GPL-2.0
/*
 * L1 entries and the making of L2 tables. A new table is in the file before its entry is
 * set, and durable before the commit writes the entry. Called by write.c, discard.c and
 * commit.c.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <qcow/l2.h>

#include "meta/overlap.h"
#include "meta/header.h"
#include "layer/image.h"
#include "meta/l1.h"
#include "message.h"
#include "meta/space.h"
#include "store/store.h"

#define SECTOR_ENTRIES	(SECTOR_SIZE / sizeof(__be64))

/* Bytes of a shared table that are copied at once. */
#define COPY_BYTES	(64U << 10)

/**
 * struct l1_sector - entries that are written together
 * @node: on the dirty list or on a batch of the commit's
 * @idx: of the sector in the table
 * @copy: what the commit writes
 */
struct l1_sector {
	struct list_head node;
	u32 idx;
	__be64 copy[SECTOR_ENTRIES];
};

static u64 table_bytes(const struct qcow_l1 *l1)
{
	return 1ULL << (l1->image->geo.l2_bits + l1->image->geo.entry_bits);
}

static u32 cluster_bits(const struct qcow_l1 *l1)
{
	return l1->image->geo.cluster_bits;
}

static u64 clusters_of(const struct qcow_l1 *l1, u64 bytes)
{
	return DIV_ROUND_UP_ULL(bytes, 1U << cluster_bits(l1));
}

/* Set an entry, noting that @sector has to be written. */
static void set_entry(struct qcow_l1 *l1, u64 l1_idx, u64 entry, struct l1_sector *sector)
{
	struct l1_sector *other;

	sector->idx = l1_idx / SECTOR_ENTRIES;

	spin_lock(&l1->dirty_lock);
	/* Pairs with smp_load_acquire() in map_stretch(): the file reaches to the table. */
	smp_store_release(&l1->image->l1[l1_idx], cpu_to_be64(entry));
	list_for_each_entry(other, &l1->dirty, node) {
		if (other->idx == sector->idx) {
			spin_unlock(&l1->dirty_lock);
			kfree(sector);
			return;
		}
	}
	list_add_tail(&sector->node, &l1->dirty);
	spin_unlock(&l1->dirty_lock);
}

static int copy_table(struct qcow_l1 *l1, u64 from, u64 to)
{
	size_t part = min_t(u64, table_bytes(l1), COPY_BYTES);
	void *buf = kvmalloc(part, GFP_NOIO);
	u64 pos;
	int err = 0;

	if (!buf)
		return -ENOMEM;
	for (pos = 0; pos < table_bytes(l1) && !err; pos += part) {
		err = qcow_store_read(l1->image->store, buf, from + pos, part);
		if (!err)
			err = qcow_store_write(l1->image->store, buf, to + pos, part);
	}
	kvfree(buf);
	return err;
}

/*
 * Fill new clusters: with what @from has, or with zeros, also where they read as such: a commit
 * must not be the first to find that there is no space for them.
 */
static int fill_table(struct qcow_l1 *l1, const struct qcow_run *run, u64 from)
{
	u64 host = run->first << cluster_bits(l1);

	if (from)
		return copy_table(l1, from, host);
	return qcow_store_zero(l1->image->store, host, run->nr << cluster_bits(l1));
}

static int make_table(struct qcow_l1 *l1, u64 l1_idx, u64 from, u64 *table)
{
	u64 nr = clusters_of(l1, table_bytes(l1));
	struct l1_sector *sector;
	struct qcow_run run;
	int err;

	sector = kzalloc(sizeof(*sector), GFP_NOIO);
	if (!sector)
		return -ENOMEM;
	/* The table may lie in a hole of the file. */
	err = qcow_store_reserve(l1->image->store,
				 l1->image->header.l1_offset + l1_idx * sizeof(__be64),
				 sizeof(__be64));
	if (!err)
		err = qcow_space_take(l1->space, nr, &run);
	if (err)
		goto free_sector;
	err = fill_table(l1, &run, from);
	if (!err)
		err = qcow_guard_add(l1->guard, run.first << cluster_bits(l1), table_bytes(l1));
	if (err)
		goto untake;

	*table = run.first << cluster_bits(l1);
	set_entry(l1, l1_idx, qcow_l1_encode(&l1->image->geo, *table), sector);
	return 0;

untake:
	qcow_space_untake(l1->space, run.first, run.nr);
free_sector:
	kfree(sector);
	return err;
}

/* Put a table with the same entries into the new clusters, durable. */
static int write_longer(struct qcow_l1 *l1, u64 host, u64 nr)
{
	u64 bytes = (u64)l1->disk_entries * sizeof(__be64);
	void *buf = kvzalloc(nr << cluster_bits(l1), GFP_NOIO);
	int err = buf ? 0 : -ENOMEM;

	if (!err && bytes)
		err = qcow_store_read(l1->image->store, buf, l1->image->header.l1_offset, bytes);
	if (!err)
		err = qcow_store_write(l1->image->store, buf, host, nr << cluster_bits(l1));
	kvfree(buf);
	return err ?: qcow_store_flush(l1->image->store);
}

/*
 * The table on disk is too short for the image: a longer one. Its entries and, by a commit,
 * its counts are durable before the header refers to it. What is not written yet goes to the
 * new one.
 */
static int grow_table(struct qcow_l1 *l1, bool committed, struct qcow_old_table *old)
{
	u64 bytes = (u64)l1->image->l1_entries * sizeof(__be64);
	u64 nr = clusters_of(l1, bytes);
	u64 host;
	int err;

	if (!l1->longer.nr) {
		err = qcow_space_take(l1->space, nr, &l1->longer);
		return err ?: -EAGAIN;
	}
	if (!committed)
		return -EAGAIN;
	host = l1->longer.first << cluster_bits(l1);
	err = write_longer(l1, host, nr);
	if (!err)
		err = qcow_guard_add(l1->guard, host, bytes);
	if (err) {
		qcow_space_untake(l1->space, l1->longer.first, nr);
		l1->longer.nr = 0;
		return err;
	}
	/* After an error the header may refer to them: they stay where they are. */
	old->host = l1->image->header.l1_offset;
	old->len = (u64)l1->disk_entries * sizeof(__be64);
	err = qcow_header_set_l1(l1->image, host, l1->image->l1_entries);
	if (err) {
		old->len = 0;
		return err;
	}
	qcow_guard_del(l1->guard, old->host, old->len);
	l1->disk_entries = l1->image->l1_entries;
	l1->longer.nr = 0;
	return 0;
}

static bool is_own(const struct qcow_l1 *l1, u64 entry)
{
	u64 copied = l1->image->geo.copied;

	return (entry & copied) == copied;
}

static int table_locked(struct qcow_l1 *l1, u64 l1_idx, bool committed, u64 *table,
			struct qcow_old_table *old)
{
	u64 entry = be64_to_cpu(l1->image->l1[l1_idx]);
	struct qcow_flaw flaw;
	u64 from;
	int err;

	err = qcow_l1_decode(&l1->image->geo, entry, &from, &flaw);
	if (err) {
		qcow_message_flaw(l1->image, &flaw);
		return err;
	}
	if (from && is_own(l1, entry)) {
		*table = from;
		return 0;
	}
	if (l1_idx >= l1->disk_entries)
		return grow_table(l1, committed, old) ?: -EAGAIN;
	err = make_table(l1, l1_idx, from, table);
	if (!err && from) {
		old->host = from;
		old->len = table_bytes(l1);
		/* A snapshot has it still: it is guarded on. */
	}
	return err;
}

int qcow_l1_table(struct qcow_l1 *l1, u64 l1_idx, bool committed, u64 *table,
		  struct qcow_old_table *old)
{
	int err;

	*old = (struct qcow_old_table) {};
	mutex_lock(&l1->lock);
	err = table_locked(l1, l1_idx, committed, table, old);
	mutex_unlock(&l1->lock);
	return err;
}

void qcow_l1_collect(struct qcow_l1 *l1, struct list_head *batch)
{
	struct l1_sector *sector;

	spin_lock(&l1->dirty_lock);
	list_splice_init(&l1->dirty, batch);
	list_for_each_entry(sector, batch, node) {
		u32 first = sector->idx * SECTOR_ENTRIES;
		u32 nr = min_t(u32, SECTOR_ENTRIES, l1->image->l1_entries - first);

		memcpy(sector->copy, &l1->image->l1[first], nr * sizeof(__be64));
	}
	spin_unlock(&l1->dirty_lock);
}

int qcow_l1_write(struct qcow_l1 *l1, struct list_head *batch)
{
	struct l1_sector *sector;
	int err = 0;

	/* A table that is growing moves, and that of version 1 begins in the header's sector. */
	mutex_lock(&l1->lock);
	mutex_lock(&l1->image->header_lock);
	list_for_each_entry(sector, batch, node) {
		u32 first = sector->idx * SECTOR_ENTRIES;
		u32 nr = min_t(u32, SECTOR_ENTRIES, l1->disk_entries - first);

		err = qcow_store_write(l1->image->store, sector->copy,
				       l1->image->header.l1_offset + first * sizeof(__be64),
				       nr * sizeof(__be64));
		if (err)
			break;
	}
	mutex_unlock(&l1->image->header_lock);
	mutex_unlock(&l1->lock);
	return err;
}

void qcow_l1_finish(struct qcow_l1 *l1, struct list_head *batch, int err)
{
	struct l1_sector *sector, *next;

	if (err) {
		/* Two of the same sector do no harm. */
		spin_lock(&l1->dirty_lock);
		list_splice_init(batch, &l1->dirty);
		spin_unlock(&l1->dirty_lock);
		return;
	}
	list_for_each_entry_safe(sector, next, batch, node) {
		list_del(&sector->node);
		kfree(sector);
	}
}

void qcow_l1_init(struct qcow_l1 *l1, struct qcow_image *image, struct qcow_guard *guard,
		  struct qcow_space *space)
{
	mutex_init(&l1->lock);
	spin_lock_init(&l1->dirty_lock);
	INIT_LIST_HEAD(&l1->dirty);
	l1->image = image;
	l1->guard = guard;
	l1->space = space;
	/* Version 1 has no field for it: the table is as long as the size needs. */
	l1->disk_entries = min(image->header.l1_entries, image->l1_entries);
}

void qcow_l1_destroy(struct qcow_l1 *l1)
{
	LIST_HEAD(batch);

	list_splice_init(&l1->dirty, &batch);
	qcow_l1_finish(l1, &batch, 0);
}
