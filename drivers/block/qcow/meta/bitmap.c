// SPDX-License-Identifier: GPL-2.0
/*
 * Persistent bitmaps in memory: loaded at attach, marked on disk before the first write, recorded
 * in by requests.
 *
 * To be marked the directory is written whole in its place, and differs from what is there in the
 * flags of entries alone: a power cut leaves some bitmaps marked, which loses what they say and
 * nothing else. All else of it changes by a directory in another place (bitmap_store.c).
 *
 * A request that has written records that when it ends. Until then its submitter cannot know that
 * it has: whoever looks at the bits first, and then at the disk, misses nothing.
 */
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "meta/bitmap.h"
#include "meta/overlap.h"
#include "meta/track.h"
#include "meta/worker.h"
#include "store/store.h"

/*
 * All bitmaps of one image. Three of a disk of 40 TiB with QEMU's granularity have less; there are
 * a thousand at most, as each that records costs every write.
 */
#define MAX_MEMORY	((u64)SZ_256M)
#define LEAST_MEMORY	((u64)SZ_256K)

/* Slices of counts that an attach reads. */
#define CHECK_SLICES	32

/* Requests are in sectors. */
#define MIN_GRANULARITY_BITS	9

/* Read all of a range; a kvfree()able buffer in @result. */
static int bitmaps_read(struct qcow_image *image, u64 host, size_t len, void **result)
{
	void *buf = kvmalloc(len, GFP_KERNEL_ACCOUNT);
	int err;

	if (!buf)
		return -ENOMEM;
	err = qcow_store_read(image->store, buf, host, len);
	if (err)
		kvfree(buf);
	else
		*result = buf;
	return err;
}

struct qcow_dirty_bitmap *qcow_bitmaps_find(const struct qcow_bitmaps *bitmaps, const char *name,
					    u32 len)
{
	struct qcow_dirty_bitmap *bitmap;

	list_for_each_entry(bitmap, &bitmaps->list, node) {
		if (bitmap->entry.name_len == len && !memcmp(bitmap->entry.name, name, len))
			return bitmap;
	}
	return NULL;
}

struct qcow_dirty_bitmap *qcow_bitmap_create(const struct qcow_bitmap *entry)
{
	struct qcow_dirty_bitmap *bitmap = kzalloc(sizeof(*bitmap), GFP_KERNEL_ACCOUNT);

	if (!bitmap)
		return NULL;
	bitmap->text = kvmalloc((size_t)entry->extra_len + entry->name_len, GFP_KERNEL_ACCOUNT);
	if (!bitmap->text) {
		kfree(bitmap);
		return NULL;
	}
	INIT_LIST_HEAD(&bitmap->node);
	bitmap->entry = *entry;
	if (entry->extra_len)
		memcpy(bitmap->text, entry->extra, entry->extra_len);
	memcpy(bitmap->text + entry->extra_len, entry->name, entry->name_len);
	bitmap->entry.extra = bitmap->text;
	bitmap->entry.name = bitmap->text + entry->extra_len;
	return bitmap;
}

u64 qcow_bitmap_memory(u64 disk_bytes, u32 granularity_bits, u64 table_entries)
{
	return max(LEAST_MEMORY, qcow_track_memory(disk_bytes, granularity_bits) +
				 2 * table_entries * sizeof(__be64));
}

int qcow_bitmaps_check_memory(const struct qcow_dirty_bitmap *bitmap, u64 memory,
			      struct qcow_report *rep)
{
	const struct qcow_bitmap *e = &bitmap->entry;

	if (memory <= MAX_MEMORY)
		return 0;
	qcow_report(rep,
		    "bitmap \"%.*s\": all bitmaps would take %llu bytes of memory, at most %llu",
		    (int)e->name_len, e->name, memory, MAX_MEMORY);
	return -EFBIG;
}

int qcow_bitmap_create_bits(struct qcow_bitmaps *bitmaps, struct qcow_dirty_bitmap *bitmap,
			    u64 disk_bytes, struct qcow_report *rep)
{
	const struct qcow_bitmap *e = &bitmap->entry;
	u64 memory;
	int err;

	if (e->granularity_bits < MIN_GRANULARITY_BITS) {
		qcow_report(rep, "bitmap \"%.*s\": granularity_bits %u, at least %u are supported",
			    (int)e->name_len, e->name, e->granularity_bits, MIN_GRANULARITY_BITS);
		return -EOPNOTSUPP;
	}
	memory = bitmaps->memory + qcow_bitmap_memory(disk_bytes, e->granularity_bits,
						      e->table_entries);
	err = qcow_bitmaps_check_memory(bitmap, memory, rep);
	if (err)
		return err;
	bitmap->track = qcow_track_create_parts(disk_bytes, e->granularity_bits);
	if (!bitmap->track)
		return -ENOMEM;
	bitmap->memory = memory - bitmaps->memory;
	bitmaps->memory = memory;
	return 0;
}

void qcow_bitmap_forget_bits(struct qcow_bitmaps *bitmaps, struct qcow_dirty_bitmap *bitmap)
{
	bitmaps->memory -= bitmap->memory;
	bitmap->memory = 0;
	qcow_track_destroy(bitmap->track);
	kvfree(bitmap->table);
	bitmap->track = NULL;
	bitmap->table = NULL;
}

void qcow_bitmap_destroy(struct qcow_bitmaps *bitmaps, struct qcow_dirty_bitmap *bitmap)
{
	list_del(&bitmap->node);
	qcow_bitmap_forget_bits(bitmaps, bitmap);
	kvfree(bitmap->next);
	kvfree(bitmap->text);
	kfree(bitmap);
}

/**
 * struct table_check - whether clusters are a bitmap's alone
 * @meta: of the image
 * @seen: what bitmaps have that are known
 * @budget: as qcow_refcounts_check() has it
 */
struct table_check {
	struct qcow_meta *meta;
	struct qcow_overlap seen;
	u32 budget;
};

static int check_own(struct table_check *c, u64 host, u64 len)
{
	if (qcow_overlap_hit(&c->meta->overlap, host, len) ||
	    qcow_overlap_hit(&c->seen, host, len))
		return -EUCLEAN;
	return qcow_refcounts_check(&c->meta->space.counts, "bitmap", host, len, &c->budget,
				    NULL) ?: qcow_overlap_add(&c->seen, host, len);
}

/* Call @func for the table and all that it leads to. */
static int walk_table(struct table_check *c, const struct qcow_bitmap *e, const __be64 *table,
		      int (*func)(struct table_check *c, u64 host, u64 len))
{
	u32 bits = c->meta->image->geo.cluster_bits;
	u64 host;
	bool ones;
	u32 i;
	int err = func(c, e->table_offset, e->table_entries * sizeof(__be64));

	for (i = 0; i < e->table_entries && !err; i++) {
		err = qcow_image_go_on() ?:
			qcow_bitmap_decode(bits, be64_to_cpu(table[i]), &host, &ones);
		if (!err && host)
			err = func(c, host, BIT_ULL(bits));
	}
	return err;
}

static int note_seen(struct table_check *c, u64 host, u64 len)
{
	return qcow_overlap_add(&c->seen, host, len);
}

/* What is freed with them later must be nothing else. */
static int check_table(struct qcow_meta *meta, const struct qcow_bitmap *e, const __be64 *table)
{
	struct table_check c = { .meta = meta, .budget = CHECK_SLICES };
	const struct qcow_dirty_bitmap *other;
	int err = 0;

	qcow_overlap_init(&c.seen, meta->image->geo.cluster_bits);
	list_for_each_entry(other, &meta->bitmaps.list, node) {
		if (!err && other->table)
			err = walk_table(&c, &other->entry, other->table, note_seen);
	}
	if (!err)
		err = walk_table(&c, e, table, check_own);
	qcow_overlap_destroy(&c.seen);
	return err;
}

int qcow_bitmap_load_table(struct qcow_meta *meta, const struct qcow_bitmap *entry, __be64 **table)
{
	void *buf;
	int err;

	err = bitmaps_read(meta->image, entry->table_offset,
			   entry->table_entries * sizeof(__be64), &buf);
	if (err)
		return err;
	err = check_table(meta, entry, buf);
	if (err)
		kvfree(buf);
	else
		*table = buf;
	return err;
}

/* The bits of one entry of the table. @buf: a cluster. */
static int bitmap_load_cluster(struct qcow_dirty_bitmap *bitmap, struct qcow_image *image, u32 i,
			       u8 *buf)
{
	size_t bytes = qcow_cluster_bytes(&image->geo);
	u64 host;
	bool ones;
	int err = qcow_bitmap_decode(image->geo.cluster_bits, be64_to_cpu(bitmap->table[i]),
				     &host, &ones);

	if (err || (!host && !ones))
		return err;
	if (ones)
		memset(buf, 0xff, bytes);
	else
		err = qcow_store_read(image->store, buf, host, bytes);
	if (!err)
		qcow_track_set(bitmap->track, i * bytes, buf, bytes);
	return err;
}

static int bitmap_load_bits(struct qcow_dirty_bitmap *bitmap, struct qcow_image *image)
{
	u8 *buf = kvmalloc(qcow_cluster_bytes(&image->geo), GFP_KERNEL);
	int err = buf ? 0 : -ENOMEM;
	u32 i;

	for (i = 0; i < bitmap->entry.table_entries && !err; i++)
		err = qcow_image_go_on() ?: bitmap_load_cluster(bitmap, image, i, buf);
	kvfree(buf);
	return err;
}

/* Its table and its bits. Return: 0; or an error, with a text in @rep. */
static int bitmap_load(struct qcow_meta *meta, struct qcow_dirty_bitmap *bitmap,
		       struct qcow_report *rep)
{
	struct qcow_image *image = meta->image;
	const struct qcow_bitmap *e = &bitmap->entry;
	u64 entries = qcow_bitmap_table_entries(image->header.size, e->granularity_bits,
						image->geo.cluster_bits);
	int err;

	if (e->table_entries != entries) {
		qcow_report(rep, "bitmap \"%.*s\": bitmap_table_size %u, must be %llu",
			    (int)e->name_len, e->name, e->table_entries, entries);
		return -EUCLEAN;
	}
	err = qcow_bitmap_create_bits(&meta->bitmaps, bitmap, image->header.size, rep);
	if (err)
		return err;
	err = qcow_bitmap_load_table(meta, e, &bitmap->table);
	if (!err)
		err = bitmap_load_bits(bitmap, image);
	if (err)
		qcow_report(rep, "bitmap \"%.*s\": cannot be read: error %d", (int)e->name_len,
			    e->name, err);
	return err;
}

/* May it be used at all? */
static int bitmap_check_extra(const struct qcow_bitmap *e, struct qcow_report *rep)
{
	if (!e->extra_len || e->flags & QCOW_BITMAP_EXTRA_COMPATIBLE)
		return 0;
	qcow_report(rep, "bitmap \"%.*s\": extra data of %u bytes", (int)e->name_len, e->name,
		    e->extra_len);
	return -EOPNOTSUPP;
}

static int bitmaps_add(struct qcow_meta *meta, const struct qcow_bitmap *entry, bool drop,
		       struct qcow_report *rep)
{
	struct qcow_bitmaps *bitmaps = &meta->bitmaps;
	struct qcow_dirty_bitmap *bitmap;
	int err = qcow_image_go_on();

	if (err)
		return err;
	bitmap = qcow_bitmap_create(entry);
	if (!bitmap)
		return -ENOMEM;
	err = entry->flags & QCOW_BITMAP_IN_USE ? 0 :
	      bitmap_check_extra(entry, rep) ?: bitmap_load(meta, bitmap, rep);
	list_add_tail(&bitmap->node, &bitmaps->list);
	if (!err)
		return 0;
	qcow_bitmap_forget_bits(bitmaps, bitmap);
	if (err == -ENOMEM || err == -EINTR)
		return err;
	/* What does not record stays as it is, and what is written does not make it wrong. */
	if (!(entry->flags & QCOW_BITMAP_AUTO))
		return 0;
	bitmap->entry.flags |= QCOW_BITMAP_IN_USE;
	return drop ? 0 : err;
}

static void bitmaps_clear(struct qcow_bitmaps *bitmaps)
{
	struct qcow_dirty_bitmap *bitmap, *next;

	list_for_each_entry_safe(bitmap, next, &bitmaps->list, node)
		qcow_bitmap_destroy(bitmaps, bitmap);
}

static int bitmaps_walk(struct qcow_meta *meta, const struct qcow_bitmaps_dir *dir,
			const void *buf, bool drop, struct qcow_report *rep)
{
	struct qcow_image *image = meta->image;
	struct qcow_bitmap entry;
	size_t pos = 0;
	u32 idx = 0;
	int ret;

	do {
		ret = qcow_bitmap_next(&image->header, dir, image->store->bytes, buf, &pos, &idx,
				       &entry, rep);
		if (ret > 0)
			ret = bitmaps_add(meta, &entry, drop, rep) ?: 1;
	} while (ret > 0);
	return ret;
}

/* Where the directory is. */
static int bitmaps_find_dir(struct qcow_image *image, struct qcow_bitmaps_dir *dir,
			    struct qcow_report *rep)
{
	u64 file_bytes = image->store->bytes;
	size_t len = min_t(u64, qcow_cluster_bytes(&image->geo), file_bytes);
	void *head;
	int err;

	err = bitmaps_read(image, 0, len, &head);
	if (err)
		return err;
	err = qcow_bitmaps_find_dir(&image->header, head, len, file_bytes, dir, rep);
	kvfree(head);
	return err;
}

static int bitmaps_load(struct qcow_meta *meta, bool drop, struct qcow_report *rep)
{
	struct qcow_overlap *overlap = &meta->overlap;
	struct qcow_image *image = meta->image;
	u32 budget = CHECK_SLICES;
	struct qcow_bitmaps_dir dir;
	void *buf;
	int err;

	err = bitmaps_find_dir(image, &dir, rep);
	if (err)
		return err;
	if (qcow_overlap_hit(overlap, dir.host_offset, dir.bytes)) {
		qcow_report(rep, "bitmap directory at 0x%llx lies over other metadata",
			    dir.host_offset);
		return -EUCLEAN;
	}
	err = qcow_refcounts_check(&meta->space.counts, "bitmap directory", dir.host_offset,
				   dir.bytes, &budget, rep);
	if (err)
		return err;
	/* No bitmap is to have it. */
	err = qcow_overlap_add(overlap, dir.host_offset, dir.bytes);
	if (err)
		return err;
	meta->bitmaps.host = dir.host_offset;
	meta->bitmaps.bytes = dir.bytes;
	err = bitmaps_read(image, dir.host_offset, dir.bytes, &buf);
	if (err) {
		qcow_report(rep, "bitmap directory at 0x%llx: cannot be read: error %d",
			    dir.host_offset, err);
		return err;
	}
	err = bitmaps_walk(meta, &dir, buf, drop, rep);
	kvfree(buf);
	return err;
}

int qcow_bitmaps_open(struct qcow_meta *meta, bool drop, struct qcow_report *rep)
{
	struct qcow_bitmaps *bitmaps = &meta->bitmaps;
	int err;

	INIT_LIST_HEAD(&bitmaps->list);
	if (!(meta->image->header.autoclear & QCOW_AUTOCLEAR_BITMAPS))
		return 0;
	err = bitmaps_load(meta, drop, rep);
	if (!err) {
		qcow_bitmaps_publish(bitmaps);
		return 0;
	}
	/* Its clusters are leaked by the first write. */
	if (bitmaps->bytes)
		qcow_overlap_del(&meta->overlap, bitmaps->host, bitmaps->bytes);
	qcow_bitmaps_close(bitmaps);
	if (err == -ENOMEM || err == -EINTR)
		return err;
	if (drop) {
		qcow_report(rep, "the first write loses the persistent bitmaps");
		return 0;
	}
	qcow_report(rep, "a persistent bitmap cannot be kept true");
	return -EOPNOTSUPP;
}

void qcow_bitmaps_close(struct qcow_bitmaps *bitmaps)
{
	qcow_bitmaps_stop(bitmaps);
	bitmaps_clear(bitmaps);
	bitmaps->bytes = 0;
}

void qcow_bitmaps_stop(struct qcow_bitmaps *bitmaps)
{
	kvfree(rcu_replace_pointer(bitmaps->recorders, NULL, true));
}

static bool is_recording(const struct qcow_dirty_bitmap *bitmap)
{
	return bitmap->track && bitmap->entry.flags & QCOW_BITMAP_AUTO;
}

void qcow_bitmaps_publish(struct qcow_bitmaps *bitmaps)
{
	struct qcow_recorders *recorders = NULL;
	struct qcow_dirty_bitmap *bitmap;
	unsigned int nr = 0;

	list_for_each_entry(bitmap, &bitmaps->list, node)
		nr += is_recording(bitmap);
	if (nr) {
		recorders = kvzalloc(struct_size(recorders, tracks, nr),
				     GFP_KERNEL | __GFP_NOFAIL);
		recorders->nr = nr;
		nr = 0;
		list_for_each_entry(bitmap, &bitmaps->list, node)
			if (is_recording(bitmap))
				recorders->tracks[nr++] = bitmap->track;
	}
	recorders = rcu_replace_pointer(bitmaps->recorders, recorders, true);
	if (recorders)
		synchronize_rcu();
	kvfree(recorders);
}

void qcow_bitmaps_record_all(struct qcow_bitmaps *bitmaps, u64 guest, u64 len)
{
	const struct qcow_recorders *recorders;
	unsigned int i;

	rcu_read_lock();
	recorders = rcu_dereference(bitmaps->recorders);
	for (i = 0; recorders && i < recorders->nr; i++)
		qcow_track_mark(recorders->tracks[i], guest, len);
	rcu_read_unlock();
}

u64 qcow_bitmaps_dir_bytes(const struct qcow_bitmaps *bitmaps, u32 *nr)
{
	const struct qcow_dirty_bitmap *bitmap;
	u64 bytes = 0;

	*nr = 0;
	list_for_each_entry(bitmap, &bitmaps->list, node) {
		bytes += qcow_bitmap_entry_bytes(&bitmap->entry);
		++*nr;
	}
	return bytes;
}

void qcow_bitmaps_put_dir(const struct qcow_bitmaps *bitmaps, bool stored, void *buf)
{
	const struct qcow_dirty_bitmap *bitmap;
	size_t pos = 0;

	list_for_each_entry(bitmap, &bitmaps->list, node) {
		struct qcow_bitmap entry = bitmap->entry;

		if (bitmap->next) {
			entry.table_offset = bitmap->next_offset;
			entry.table_entries = bitmap->next_entries;
		}
		if (is_recording(bitmap) && !stored)
			entry.flags |= QCOW_BITMAP_IN_USE;
		qcow_bitmap_put(&entry, buf + pos);
		pos += qcow_bitmap_entry_bytes(&entry);
	}
}

/* Whether a write makes what is on disk of one untrue. */
static bool bitmaps_need_mark(const struct qcow_bitmaps *bitmaps)
{
	const struct qcow_dirty_bitmap *bitmap;

	list_for_each_entry(bitmap, &bitmaps->list, node) {
		if (bitmap->entry.flags & QCOW_BITMAP_AUTO)
			return true;
	}
	return false;
}

int qcow_bitmaps_mark(struct qcow_bitmaps *bitmaps, struct qcow_image *image)
{
	void *buf;
	int err;

	if (!bitmaps_need_mark(bitmaps))
		return 0;
	buf = kvmalloc(bitmaps->bytes, GFP_NOIO);
	if (!buf)
		return -ENOMEM;
	qcow_bitmaps_put_dir(bitmaps, false, buf);
	err = qcow_store_write(image->store, buf, bitmaps->host, bitmaps->bytes);
	if (!err)
		err = qcow_store_flush(image->store);
	kvfree(buf);
	return err;
}
