// SPDX-License-Identifier: GPL-2.0
/*
 * Reference counts on disk. Changed counts are written by the commit; new blocks and tables
 * are durable before anything refers to them.
 */
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <qcow/refcount.h>
#include <qcow/report.h>

#include "meta/writeback.h"
#include "meta/header.h"
#include "meta/overlap.h"
#include "layer/image.h"
#include "message.h"
#include "meta/refcount.h"
#include "meta/worker.h"
#include "store/batch.h"
#include "store/store.h"

/* Slices that are changed at once, of a cache that may be small. */
#define BATCH_SLICES	4

/* Blocks without any count that qcow_refcounts_end() reads before it gives up. */
#define EMPTY_BLOCKS	16

/* The part of the cache that changed counts of a shadow may take. */
#define SHADOW_SHARE	16

/* Entries of the refcount table that are written whole or not at all. */
#define SECTOR_ENTRIES	((u64)SECTOR_SIZE / sizeof(__be64))

static u32 cluster_bits(const struct qcow_refcounts *rc)
{
	return rc->image->geo.cluster_bits;
}

static u64 block_of(const struct qcow_refcounts *rc, u64 cluster)
{
	return qcow_refcount_table_idx(cluster_bits(rc), rc->order, cluster);
}

/* Clusters that one block counts. */
static u64 block_clusters(const struct qcow_refcounts *rc)
{
	return BIT_ULL(qcow_refcount_block_bits(cluster_bits(rc), rc->order));
}

/* Clusters that one slice counts. */
static u64 slice_clusters(const struct qcow_refcounts *rc)
{
	return ((u64)rc->tables.slice_bytes << 3) >> rc->order;
}

u64 qcow_refcounts_max_run(const struct qcow_refcounts *rc)
{
	return block_clusters(rc) - 1;
}

u64 qcow_refcounts_batch(const struct qcow_refcounts *rc)
{
	return BATCH_SLICES * slice_clusters(rc);
}

u32 qcow_refcounts_slices(const struct qcow_refcounts *rc, u32 bytes)
{
	return max(bytes / rc->tables.slice_bytes, 1U);
}

/* Clusters of a refcount table with so many entries. */
static u64 table_clusters(const struct qcow_refcounts *rc, u64 entries)
{
	return DIV_ROUND_UP_ULL(entries * sizeof(*rc->table), 1U << cluster_bits(rc));
}

static int refcount_decode(const struct qcow_refcounts *rc, u64 entry, u64 *block,
			   struct qcow_flaw *flaw)
{
	return qcow_refcount_table_decode(cluster_bits(rc), rc->image->store->bytes, entry, block,
					  flaw);
}

/* Where the slice with the count of @cluster is; 0: it has no block. */
static int slice_host(const struct qcow_refcounts *rc, u64 cluster, u64 *host)
{
	u64 idx = block_of(rc, cluster);
	struct qcow_flaw flaw;
	u64 block;
	int err;

	*host = 0;
	if (idx >= rc->entries)
		return 0;
	err = refcount_decode(rc, be64_to_cpu(rc->table[idx]), &block, &flaw);
	if (err) {
		qcow_message_flaw(rc->image, &flaw);
		return err;
	}
	if (block) {
		u64 in_block = cluster & (block_clusters(rc) - 1);

		*host = block + div64_u64(in_block, slice_clusters(rc)) * rc->tables.slice_bytes;
	}
	return 0;
}

static int refcount_locate_slice(const struct qcow_tables *tables, u64 idx, u64 *host)
{
	const struct qcow_refcounts *rc = container_of(tables, struct qcow_refcounts, tables);
	int err = slice_host(rc, idx * slice_clusters(rc), host);

	return err || *host ? err : -ENODATA;
}

int qcow_refcounts_locate(const struct qcow_refcounts *rc, u64 cluster, u64 *host, u64 *idx)
{
	int err = slice_host(rc, cluster, host);

	*idx = cluster & (block_clusters(rc) - 1);
	*idx -= div64_u64(*idx, slice_clusters(rc)) * slice_clusters(rc);
	*host += *idx << rc->order >> 3;
	/* Of counts that share a byte. */
	*idx &= rc->order < 3 ? (8 >> rc->order) - 1 : 0;
	return err;
}

u64 qcow_refcounts_covered(const struct qcow_refcounts *rc, u64 cluster)
{
	u64 idx = block_of(rc, cluster);

	if (idx >= rc->entries || !rc->table[idx])
		return 0;
	return (idx + 1) * block_clusters(rc) - cluster;
}

u64 qcow_refcounts_next_covered(const struct qcow_refcounts *rc, u64 cluster)
{
	u64 idx = block_of(rc, cluster);

	if (qcow_refcounts_covered(rc, cluster))
		return cluster;
	while (++idx < rc->entries) {
		if (rc->table[idx])
			return idx * block_clusters(rc);
	}
	return U64_MAX;
}

static u64 slice_idx(const struct qcow_refcounts *rc, u64 cluster)
{
	return div64_u64(cluster, slice_clusters(rc));
}

/* The slice with the count of @cluster, to read; NULL: it has no block. */
static int refcount_load(struct qcow_refcounts *rc, u64 cluster, struct qcow_slice **slice)
{
	u64 host;
	int err = slice_host(rc, cluster, &host);

	*slice = NULL;
	if (err || !host)
		return err;
	return qcow_cache_load(rc->image->cache, &rc->tables, slice_idx(rc, cluster), NULL,
			       slice);
}

/* The same to change. Where there is no block all counts are 0, and are never changed. */
static int refcount_load_pinned(struct qcow_refcounts *rc, u64 cluster, struct qcow_slice **slice)
{
	u64 host;
	int err = slice_host(rc, cluster, &host);

	if (!err && !host) {
		qcow_message(rc->image, "cluster 0x%llx: in use, and no refcount block counts it",
			     cluster << cluster_bits(rc));
		err = -EUCLEAN;
	}
	if (err)
		return err;
	rc->unwritten++;
	return qcow_writeback_load(rc->image->cache, &rc->tables, slice_idx(rc, cluster), host,
				   slice);
}

int qcow_refcounts_find(struct qcow_refcounts *rc, u64 *from, u64 to, u64 *nr, u64 *next)
{
	u64 begin = *from & ~(slice_clusters(rc) - 1);
	u64 end = min(begin + slice_clusters(rc), to);
	struct qcow_slice *slice;
	u64 pos = *from;
	int err;

	*nr = 0;
	*next = end;
	err = refcount_load(rc, *from, &slice);
	if (err || !slice)
		return err;

	while (pos < end && qcow_refcount_get(slice->entries, rc->order, pos - begin))
		pos++;
	*from = pos;
	while (pos < end && !qcow_refcount_get(slice->entries, rc->order, pos - begin))
		pos++;
	*nr = pos - *from;
	*next = pos;
	qcow_slice_put(rc->image->cache, slice);
	return 0;
}

/* The cluster behind the last one in use that block @idx counts; 0: there is none. */
static int refcount_block_end(struct qcow_refcounts *rc, u64 idx, u64 *end)
{
	u64 first = idx * block_clusters(rc);
	u64 begin = first + block_clusters(rc);
	struct qcow_slice *slice;
	int err;

	*end = 0;
	while (begin > first && !*end) {
		u64 in_slice = slice_clusters(rc);

		begin -= in_slice;
		err = qcow_image_go_on() ?: refcount_load(rc, begin, &slice);
		if (err || !slice)
			return err;
		while (in_slice && !qcow_refcount_get(slice->entries, rc->order, in_slice - 1))
			in_slice--;
		if (in_slice)
			*end = begin + in_slice;
		qcow_slice_put(rc->image->cache, slice);
	}
	return 0;
}

int qcow_refcounts_end(struct qcow_refcounts *rc, u64 to, u64 *end)
{
	u64 idx = min(block_of(rc, to) + 1, rc->entries);
	unsigned int empty = 0;
	int err = 0;

	*end = 0;
	while (idx--) {
		if (!rc->table[idx])
			continue;
		err = refcount_block_end(rc, idx, end);
		if (err || *end)
			break;
		if (++empty == EMPTY_BLOCKS) {
			*end = idx * block_clusters(rc);
			break;
		}
	}
	*end = min(*end, to);
	return err;
}

static void refcount_put_range(struct qcow_refcounts *rc, struct qcow_slice *slice, u64 cluster,
			       u64 nr, u64 count)
{
	u64 idx = cluster & (slice_clusters(rc) - 1);

	qcow_writeback_begin(slice);
	while (nr--)
		qcow_refcount_set(slice->entries, rc->order, idx++, count);
	qcow_writeback_end(slice);
}

/* Clusters from @cluster on, at most @nr, whose counts are in one slice. */
static u64 in_slice(const struct qcow_refcounts *rc, u64 cluster, u64 nr)
{
	return min(nr, slice_clusters(rc) - (cluster & (slice_clusters(rc) - 1)));
}

/* Whether a count can change so; the log says why not. */
static int refcount_check_change(const struct qcow_refcounts *rc, u64 cluster, u64 count,
				 bool more)
{
	if (!count) {
		qcow_message(rc->image, "cluster 0x%llx: %s, and its reference count is 0",
			     cluster << cluster_bits(rc), more ? "referred to" : "freed");
		return -EUCLEAN;
	}
	if (more && count == qcow_refcount_max(rc->order)) {
		qcow_message(rc->image,
			     "cluster 0x%llx: its reference count is %llu, refcount_order %u has room for no more",
			     cluster << cluster_bits(rc), count, rc->order);
		return -ERANGE;
	}
	return 0;
}

/*
 * One reference more or less, of clusters whose counts are in one slice, up to the first one that
 * cannot change so. @fresh: it may be the first reference. Return: how many have changed.
 */
static u64 refcount_change_range(struct qcow_refcounts *rc, struct qcow_slice *slice, u64 cluster,
				 u64 nr, bool more, bool fresh, int *err)
{
	u64 idx = cluster & (slice_clusters(rc) - 1);
	u64 done;

	*err = 0;
	for (done = 0; done < nr; done++) {
		u64 count = qcow_refcount_get(slice->entries, rc->order, idx + done);

		if (count || !fresh)
			*err = refcount_check_change(rc, cluster + done, count, more);
		if (*err)
			break;
		refcount_put_range(rc, slice, cluster + done, 1, more ? count + 1 : count - 1);
	}
	return done;
}

/*
 * A shadow that has a block of its own has the same changes made there. Its counts may be larger,
 * by references that it has and the tables in use have not.
 */
static void refcount_follow(struct qcow_refcounts *rc, u64 cluster, u64 nr, bool more)
{
	struct qcow_refcounts *shadow = rc->shadow;
	struct qcow_slice *slice;
	int err;

	if (!shadow || shadow->follow_err || !nr || !qcow_refcounts_covered(shadow, cluster))
		return;
	err = refcount_load_pinned(shadow, cluster, &slice);
	if (err) {
		shadow->follow_err = err;
		return;
	}
	refcount_change_range(shadow, slice, cluster, nr, more, more, &err);
	qcow_writeback_put(slice);
	shadow->follow_err = err ?: qcow_refcounts_write_some(shadow);
}

static int refcount_use_in_slice(struct qcow_refcounts *rc, u64 cluster, u64 nr)
{
	u64 idx = cluster & (slice_clusters(rc) - 1);
	struct qcow_slice *slice;
	u64 i;
	int err;

	err = refcount_load_pinned(rc, cluster, &slice);
	if (err)
		return err;
	for (i = 0; i < nr; i++) {
		if (qcow_refcount_get(slice->entries, rc->order, idx + i)) {
			qcow_message(rc->image, "cluster 0x%llx: in use, and was free before",
				     (cluster + i) << cluster_bits(rc));
			qcow_writeback_put(slice);
			return -EUCLEAN;
		}
	}
	refcount_put_range(rc, slice, cluster, nr, 1);
	qcow_writeback_put(slice);
	refcount_follow(rc, cluster, nr, true);
	return 0;
}

int qcow_refcounts_set_used(struct qcow_refcounts *rc, u64 cluster, u64 nr)
{
	u64 done;
	int err = 0;

	for (done = 0; done < nr && !err; ) {
		u64 part = in_slice(rc, cluster + done, nr - done);

		err = refcount_use_in_slice(rc, cluster + done, part);
		if (!err)
			done += part;
	}
	if (err && done)
		qcow_refcounts_dec(rc, cluster, done);
	return err;
}

int qcow_refcounts_get(struct qcow_refcounts *rc, u64 cluster, u64 max, u64 *count, u64 *nr)
{
	u64 idx = cluster & (slice_clusters(rc) - 1);
	u64 end = idx + in_slice(rc, cluster, max);
	struct qcow_slice *slice;
	u64 pos;
	int err;

	*count = 0;
	*nr = end - idx;
	err = refcount_load(rc, cluster, &slice);
	if (err || !slice)
		return err;
	*count = qcow_refcount_get(slice->entries, rc->order, idx);
	for (pos = idx + 1; pos < end; pos++) {
		if (qcow_refcount_get(slice->entries, rc->order, pos) != *count)
			break;
	}
	*nr = pos - idx;
	qcow_slice_put(rc->image->cache, slice);
	return 0;
}

/* One reference more or less, of clusters whose counts are in one slice. */
static int refcount_change_in_slice(struct qcow_refcounts *rc, u64 cluster, u64 nr, bool more)
{
	struct qcow_slice *slice;
	u64 done;
	int err;

	err = refcount_load_pinned(rc, cluster, &slice);
	if (err)
		return err;
	done = refcount_change_range(rc, slice, cluster, nr, more, false, &err);
	qcow_writeback_put(slice);
	refcount_follow(rc, cluster, done, more);
	return err;
}

static int refcount_change(struct qcow_refcounts *rc, u64 cluster, u64 nr, bool more)
{
	int err = 0;

	while (nr && !err) {
		u64 part = in_slice(rc, cluster, nr);

		err = refcount_change_in_slice(rc, cluster, part, more);
		cluster += part;
		nr -= part;
	}
	return err;
}

int qcow_refcounts_dec(struct qcow_refcounts *rc, u64 cluster, u64 nr)
{
	return refcount_change(rc, cluster, nr, false);
}

int qcow_refcounts_inc(struct qcow_refcounts *rc, u64 cluster, u64 nr)
{
	return refcount_change(rc, cluster, nr, true);
}

int qcow_refcounts_write(struct qcow_refcounts *rc, struct qcow_batch *writes)
{
	LIST_HEAD(batch);
	int err;

	qcow_writeback_collect(&rc->tables, &batch);
	err = qcow_writeback_write(&rc->tables, &batch, writes);
	qcow_writeback_finish(rc->image->cache, &rc->tables, &batch, err);
	rc->unwritten = 0;
	return err;
}

/* Bytes of the cache that a change takes, with the copy that is written. */
static u64 change_bytes(const struct qcow_refcounts *rc)
{
	return 2 * rc->tables.slice_bytes + sizeof(struct qcow_slice) +
		sizeof(struct qcow_writeback);
}

int qcow_refcounts_write_some(struct qcow_refcounts *shadow)
{
	const struct qcow_cache *cache = shadow->image->cache;

	if (shadow->unwritten * change_bytes(shadow) <= cache->limit / SHADOW_SHARE &&
	    qcow_writeback_has_room(cache))
		return 0;
	return qcow_refcounts_write(shadow, shadow->writes);
}

int qcow_refcounts_begin_shadow(struct qcow_refcounts *rc, struct qcow_refcounts *shadow)
{
	*shadow = (struct qcow_refcounts) {
		.image = rc->image, .overlap = rc->overlap, .order = rc->order,
	};
	qcow_tables_init(&shadow->tables, rc->image->store, rc->tables.slice_bytes,
			 refcount_locate_slice);
	shadow->writes = kmalloc(sizeof(*shadow->writes), GFP_NOIO);
	if (!shadow->writes)
		return -ENOMEM;
	rc->shadow = shadow;
	return 0;
}

/* The counts as they are now, those that are not written yet too. */
static int refcount_gather_block(struct qcow_refcounts *rc, u64 cluster, void *buf)
{
	u64 end = cluster + block_clusters(rc);
	struct qcow_slice *slice;
	int err;

	for (; cluster < end; cluster += slice_clusters(rc)) {
		err = refcount_load(rc, cluster, &slice);
		if (err || !slice)
			return err ?: -EUCLEAN;
		memcpy(buf, slice->entries, rc->tables.slice_bytes);
		buf += rc->tables.slice_bytes;
		qcow_slice_put(rc->image->cache, slice);
	}
	return 0;
}

/* The table of a shadow is as long as that in use. */
static int refcount_lengthen_shadow(struct qcow_refcounts *rc)
{
	struct qcow_refcounts *shadow = rc->shadow;
	__be64 *table;

	if (shadow->entries == rc->entries)
		return 0;
	table = kvcalloc(rc->entries, sizeof(*table), GFP_NOIO);
	if (!table)
		return -ENOMEM;
	if (shadow->entries)
		memcpy(table, shadow->table, shadow->entries * sizeof(*table));
	kvfree(shadow->table);
	shadow->table = table;
	shadow->entries = rc->entries;
	return 0;
}

int qcow_refcounts_copy_block(struct qcow_refcounts *rc, u64 cluster, u64 host)
{
	u64 first = cluster & ~(block_clusters(rc) - 1);
	u64 bytes = 1ULL << cluster_bits(rc);
	void *buf = kvmalloc(bytes, GFP_NOIO);
	int err = buf ? 0 : -ENOMEM;

	if (!err)
		err = refcount_lengthen_shadow(rc);
	if (!err)
		err = refcount_gather_block(rc, first, buf);
	if (!err)
		err = qcow_store_write(rc->image->store, buf, host, bytes);
	kvfree(buf);
	if (!err)
		rc->shadow->table[block_of(rc, cluster)] =
			cpu_to_be64(qcow_refcount_table_encode(host));
	return err;
}

int qcow_refcounts_write_table(struct qcow_refcounts *rc, u64 host, u64 clusters)
{
	struct qcow_refcounts *shadow = rc->shadow;
	u64 bytes = clusters << cluster_bits(rc);
	__be64 *table = kvzalloc(bytes, GFP_NOIO);
	u64 idx;

	if (!table)
		return -ENOMEM;
	memcpy(table, rc->table, rc->entries * sizeof(*table));
	for (idx = 0; idx < shadow->entries; idx++) {
		if (shadow->table[idx])
			table[idx] = shadow->table[idx];
	}
	swap(shadow->table, table);
	shadow->entries = bytes / sizeof(*table);
	kvfree(table);
	return qcow_store_write(rc->image->store, shadow->table, host, bytes);
}

void qcow_refcounts_use_shadow(struct qcow_refcounts *rc,
			       void (*old)(struct qcow_refcounts *rc, u64 host))
{
	struct qcow_refcounts *shadow = rc->shadow;
	u64 idx;

	/* All has been written, and is read again from where it is now. */
	qcow_cache_drop(rc->image->cache, &rc->tables);
	for (idx = 0; idx < rc->entries; idx++) {
		if (rc->table[idx] != shadow->table[idx])
			old(rc, be64_to_cpu(rc->table[idx]) & QCOW_REFCOUNT_TABLE_OFFSET);
	}
	swap(rc->table, shadow->table);
	rc->entries = shadow->entries;
	qcow_refcounts_end_shadow(rc);
}

void qcow_refcounts_end_shadow(struct qcow_refcounts *rc)
{
	struct qcow_refcounts *shadow = rc->shadow;

	rc->shadow = NULL;
	qcow_writeback_drop(rc->image->cache, &shadow->tables);
	qcow_cache_drop(rc->image->cache, &shadow->tables);
	kvfree(shadow->table);
	kfree(shadow->writes);
}

/* Behind the last block that is there already and @growth would make; 0: there is none. */
static u64 refcount_growth_meets(const struct qcow_refcounts *rc, const struct qcow_growth *growth)
{
	u64 idx = block_of(rc, growth->first);
	u64 end = min(idx + growth->blocks, rc->entries);

	for (; end > idx; end--) {
		if (rc->table[end - 1])
			return end;
	}
	return 0;
}

/* A new table has half as many entries more, if there may be so many. */
static u64 refcount_more_entries(const struct qcow_refcounts *rc)
{
	return min(rc->entries + rc->entries / 2,
		   (u64)QCOW_MAX_REFCOUNT_TABLE_BYTES / sizeof(*rc->table));
}

/* What is needed at @growth->first for @growth->nr clusters. */
static void refcount_size_growth(const struct qcow_refcounts *rc, struct qcow_growth *growth)
{
	u64 idx = block_of(rc, growth->first);
	u64 blocks;

	growth->blocks = 1;
	do {
		blocks = growth->blocks;
		growth->table_clusters = 0;
		if (idx + blocks > rc->entries)
			growth->table_clusters =
				table_clusters(rc, max(idx + blocks, refcount_more_entries(rc)));
		growth->blocks = block_of(rc, qcow_growth_end(growth) - 1) - idx + 1;
	} while (growth->blocks != blocks);
	growth->covers = idx * block_clusters(rc);
	growth->entries = (growth->table_clusters << cluster_bits(rc)) / sizeof(*rc->table);
}

int qcow_refcounts_plan(const struct qcow_refcounts *rc, u64 from, u64 nr,
			struct qcow_growth *growth)
{
	u64 idx;

	*growth = (struct qcow_growth) { .first = from, .nr = nr };
	refcount_size_growth(rc, growth);
	while ((idx = refcount_growth_meets(rc, growth))) {
		growth->first = idx * block_clusters(rc);
		refcount_size_growth(rc, growth);
	}
	return growth->table_clusters << cluster_bits(rc) > QCOW_MAX_REFCOUNT_TABLE_BYTES ?
		-EFBIG : 0;
}

/* Block number @nr, which counts the clusters up to @end as used. */
static int refcount_write_block(struct qcow_refcounts *rc, void *buf,
				const struct qcow_growth *growth, u64 nr, u64 end)
{
	u64 first = (block_of(rc, growth->first) + nr) * block_clusters(rc);
	u64 begin = max(first, growth->first);

	memset(buf, 0, 1U << cluster_bits(rc));
	for (end = min(first + block_clusters(rc), end); begin < end; begin++)
		qcow_refcount_set(buf, rc->order, begin - first, 1);
	return qcow_store_write(rc->image->store, buf, (growth->first + nr) << cluster_bits(rc),
				1U << cluster_bits(rc));
}

static int refcount_write_blocks(struct qcow_refcounts *rc, const struct qcow_growth *growth,
				 bool used)
{
	u64 end = used ? qcow_growth_end(growth) : qcow_growth_metadata_end(growth);
	void *buf = kvmalloc(1U << cluster_bits(rc), GFP_NOIO);
	int err = 0;
	u64 nr;

	if (!buf)
		return -ENOMEM;
	for (nr = 0; nr < growth->blocks && !err; nr++)
		err = refcount_write_block(rc, buf, growth, nr, end);
	kvfree(buf);
	return err ?: qcow_store_flush(rc->image->store);
}

static void refcount_fill_entries(const struct qcow_refcounts *rc, __be64 *table,
				  const struct qcow_growth *growth)
{
	u64 i;

	for (i = 0; i < growth->blocks; i++)
		table[i] = cpu_to_be64(qcow_refcount_table_encode((growth->first + i) <<
								  cluster_bits(rc)));
}

/*
 * There is room in the table. What counts a block comes before it: a sector of the table is
 * durable before the next one is written.
 */
static int refcount_link_blocks(struct qcow_refcounts *rc, const struct qcow_growth *growth)
{
	u64 idx = block_of(rc, growth->first);
	u64 end = idx + growth->blocks;
	__be64 *entries, *linked;
	u64 host, part;
	int err = 0;

	entries = kvmalloc_array(growth->blocks, sizeof(*entries), GFP_NOIO);
	if (!entries)
		return -ENOMEM;
	refcount_fill_entries(rc, entries, growth);
	for (linked = entries; idx < end; idx += part, linked += part) {
		part = min(SECTOR_ENTRIES - (idx & (SECTOR_ENTRIES - 1)), end - idx);
		host = rc->image->header.refcount_table_offset + idx * sizeof(*entries);
		err = qcow_store_write(rc->image->store, linked, host, part * sizeof(*entries));
		if (!err && idx + part < end)
			err = qcow_store_flush(rc->image->store);
		if (err)
			break;
		memcpy(&rc->table[idx], linked, part * sizeof(*entries));
	}
	kvfree(entries);
	return err;
}

static int refcount_move_table(struct qcow_refcounts *rc, const struct qcow_growth *growth,
			       struct qcow_run *old)
{
	const struct qcow_header *h = &rc->image->header;
	struct qcow_run replaced = {
		.first = h->refcount_table_offset >> cluster_bits(rc),
		.nr = h->refcount_table_clusters,
	};
	u64 host = (growth->first + growth->blocks) << cluster_bits(rc);
	__be64 *table;
	int err;

	table = kvcalloc(growth->entries, sizeof(*table), GFP_NOIO);
	if (!table)
		return -ENOMEM;
	memcpy(table, rc->table, rc->entries * sizeof(*table));
	refcount_fill_entries(rc, table + block_of(rc, growth->first), growth);
	err = qcow_store_write(rc->image->store, table, host, growth->entries * sizeof(*table));
	if (!err)
		err = qcow_store_flush(rc->image->store);
	if (err)
		goto free_table;
	err = qcow_header_set_refcount_table(rc->image, host, growth->table_clusters);
	if (err) {
		qcow_header_restore(container_of(rc, struct qcow_meta, space.counts));
		goto free_table;
	}
	swap(rc->table, table);
	kvfree(table);
	rc->entries = growth->entries;
	qcow_overlap_del(rc->overlap, replaced.first << cluster_bits(rc),
			 replaced.nr << cluster_bits(rc));
	*old = replaced;
	return 0;

free_table:
	kvfree(table);
	return err;
}

int qcow_refcounts_grow(struct qcow_refcounts *rc, const struct qcow_growth *growth, bool used,
			struct qcow_run *old)
{
	u64 host = growth->first << cluster_bits(rc);
	u64 bytes = (growth->blocks + growth->table_clusters) << cluster_bits(rc);
	int err;

	*old = (struct qcow_run) {};
	err = refcount_write_blocks(rc, growth, used);
	if (!err)
		err = qcow_overlap_add(rc->overlap, host, bytes);
	if (!err && growth->entries)
		err = refcount_move_table(rc, growth, old);
	else if (!err)
		err = refcount_link_blocks(rc, growth);
	if (err && !qcow_refcounts_covered(rc, growth->first))
		qcow_overlap_del(rc->overlap, host, bytes);
	return err;
}

int qcow_refcounts_check(struct qcow_refcounts *rc, const char *what, u64 host, u64 len,
			 u32 *budget, struct qcow_report *rep)
{
	u64 cluster = host >> cluster_bits(rc);
	u64 end = ((host + len - 1) >> cluster_bits(rc)) + 1;
	u64 count, nr;
	int err;

	for (; len && cluster < end; cluster += nr) {
		nr = in_slice(rc, cluster, end - cluster);
		if (!qcow_cache_has(&rc->tables, slice_idx(rc, cluster))) {
			if (!*budget)
				continue;
			--*budget;
		}
		err = qcow_refcounts_get(rc, cluster, nr, &count, &nr);
		if (!err && count)
			continue;
		if (err)
			qcow_report(rep, "%s at 0x%llx: no reference count: error %d", what, host,
				    err);
		else
			qcow_report(rep, "%s at 0x%llx: its reference count is 0", what, host);
		return err ?: -EUCLEAN;
	}
	return 0;
}

int qcow_refcounts_check_own(struct qcow_refcounts *rc, u32 *budget, struct qcow_report *rep)
{
	const struct qcow_header *h = &rc->image->header;
	struct qcow_flaw flaw;
	u64 idx, block;
	int err;

	err = qcow_refcounts_check(rc, "refcount table", h->refcount_table_offset,
				   (u64)h->refcount_table_clusters << h->cluster_bits, budget,
				   rep);
	for (idx = 0; idx < rc->entries && !err; idx++) {
		/* Wrong entries have been refused before. */
		err = qcow_image_go_on() ?:
			refcount_decode(rc, be64_to_cpu(rc->table[idx]), &block, &flaw);
		if (!err && block)
			err = qcow_refcounts_check(rc, "refcount block", block,
						   1U << h->cluster_bits, budget, rep);
	}
	return err;
}

static int refcount_overlap_blocks(struct qcow_refcounts *rc, struct qcow_report *rep)
{
	struct qcow_flaw flaw;
	u64 idx, block;
	int err;

	for (idx = 0; idx < rc->entries; idx++) {
		if (!rc->table[idx])
			continue;
		err = qcow_image_go_on();
		if (err)
			return err;
		err = refcount_decode(rc, be64_to_cpu(rc->table[idx]), &block, &flaw);
		if (err) {
			qcow_report(rep, "refcount table entry %llu, 0x%llx: %s 0x%llx", idx,
				    flaw.entry, flaw.what, flaw.value);
			return err;
		}
		if (block && qcow_overlap_hit(rc->overlap, block, 1U << cluster_bits(rc))) {
			qcow_report(rep,
				    "refcount table entry %llu, 0x%llx: the block lies over other metadata",
				    idx, block);
			return -EUCLEAN;
		}
		err = block ? qcow_overlap_add(rc->overlap, block, 1U << cluster_bits(rc)) : 0;
		if (err)
			return err;
	}
	return 0;
}

int qcow_refcounts_open(struct qcow_refcounts *rc, struct qcow_image *image,
			struct qcow_overlap *overlap, struct qcow_report *rep)
{
	const struct qcow_header *h = &image->header;
	size_t bytes = (size_t)h->refcount_table_clusters << h->cluster_bits;
	int err;

	rc->image = image;
	rc->overlap = overlap;
	rc->order = h->refcount_order;
	rc->entries = bytes / sizeof(*rc->table);
	qcow_tables_init(&rc->tables, image->store,
			 min_t(u32, QCOW_SLICE_BYTES, 1U << h->cluster_bits),
			 refcount_locate_slice);
	rc->table = kvmalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!rc->table)
		return -ENOMEM;
	err = qcow_store_read(image->store, rc->table, h->refcount_table_offset, bytes);
	if (err) {
		qcow_report(rep, "refcount table at %llu: cannot be read: error %d",
			    h->refcount_table_offset, err);
		goto free_table;
	}
	err = qcow_overlap_add(overlap, h->refcount_table_offset, bytes);
	if (!err)
		err = refcount_overlap_blocks(rc, rep);
	if (!err)
		return 0;

free_table:
	kvfree(rc->table);
	rc->table = NULL;
	return err;
}

void qcow_refcounts_close(struct qcow_refcounts *rc)
{
	if (!rc->table)
		return;
	qcow_writeback_drop(rc->image->cache, &rc->tables);
	qcow_cache_drop(rc->image->cache, &rc->tables);
	kvfree(rc->table);
}
