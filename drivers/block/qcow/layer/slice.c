// SPDX-License-Identifier: GPL-2.0
/*
 * Slices of metadata tables, as entries of a cache: their memory, reading them, and finding
 * them without a lock.
 */

#include <linux/log2.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <qcow/l2.h>

#include "layer/cache.h"
#include "inject.h"
#include "store/store.h"
#include "trace.h"

#define QCOW_SLICE_MIN_BYTES	512U
#define QCOW_SLICE_CLASSES	4

static struct kmem_cache *slice_slab;
static struct kmem_cache *entry_slabs[QCOW_SLICE_CLASSES];

static struct kmem_cache *entry_slab(u32 bytes)
{
	return entry_slabs[ilog2(bytes) - ilog2(QCOW_SLICE_MIN_BYTES)];
}

static struct qcow_slice *to_slice(struct qcow_cached *cached)
{
	return container_of(cached, struct qcow_slice, cached);
}

void *qcow_cache_alloc_entries(u32 bytes, gfp_t gfp)
{
	return kmem_cache_alloc(entry_slab(bytes), gfp);
}

void qcow_cache_free_entries(void *entries, u32 bytes)
{
	kmem_cache_free(entry_slab(bytes), entries);
}

/* Without tables: of the largest class, for any. */
static struct qcow_cached *slice_alloc(void *owner, const void *arg, gfp_t gfp)
{
	const struct qcow_tables *tables = arg;
	struct qcow_slice *slice = kmem_cache_zalloc(slice_slab, gfp);

	if (!slice)
		return NULL;
	slice->bytes = tables ? tables->slice_bytes : QCOW_SLICE_BYTES;
	slice->entries = qcow_cache_alloc_entries(slice->bytes, gfp);
	if (!slice->entries) {
		kmem_cache_free(slice_slab, slice);
		return NULL;
	}
	seqcount_init(&slice->seq);
	return &slice->cached;
}

static void slice_free(struct qcow_cached *cached)
{
	struct qcow_slice *slice = to_slice(cached);

	qcow_cache_free_entries(slice->entries, slice->bytes);
	kmem_cache_free(slice_slab, slice);
}

/* One that is private has been another slice before. */
static void slice_init(struct qcow_slice *slice, const struct qcow_tables *tables)
{
	slice->tables = (struct qcow_tables *)tables;
	slice->idx = slice->cached.idx;
	slice->charge = slice->cached.charge;
	slice->readahead = false;
	slice->reserved = false;
}

/*
 * A slice that is not private is in its index by now. A thread that moves the table from here
 * on waits for this before it changes an entry; one that has done so before has set the entry
 * above, too.
 */
static int slice_locate(struct qcow_slice *slice, const struct qcow_tables *tables, u64 *host)
{
	int err = tables->locate(tables, slice->idx, host);

	qcow_inject_sleep();
	return err;
}

static int slice_fill(struct qcow_cached *cached, const void *arg)
{
	struct qcow_slice *slice = to_slice(cached);
	const struct qcow_tables *tables = arg;
	u64 host;
	int err;

	slice_init(slice, tables);
	err = slice_locate(slice, tables, &host);
	if (err)
		return err;
	atomic64_inc(&cached->cache->misses);
	trace_qcow_miss(tables->store, host, tables->slice_bytes);
	/* Of an image that is written to, no table is beyond the end. */
	return qcow_store_read_padded(tables->store, slice->entries, host, tables->slice_bytes);
}

const struct qcow_cache_ops qcow_slice_ops = {
	.alloc = slice_alloc,
	.fill = slice_fill,
	.free = slice_free,
	.lockless = true,
};

/* The limit on L1 tables keeps slice numbers below 1 << 32, an xarray index anywhere. */
static struct qcow_key slice_key(struct qcow_tables *tables, u64 idx)
{
	return (struct qcow_key) {
		.index = &tables->slices,
		.idx = idx,
		.cost = tables->slice_bytes + sizeof(struct qcow_slice),
		.arg = tables,
	};
}

struct qcow_slice *qcow_cache_lookup(struct qcow_tables *tables, u64 idx)
{
	XA_STATE(xas, &tables->slices, idx);
	struct qcow_slice *slice;
	struct qcow_cached *cached;
	enum qcow_cached_state state;

	/* As xa_load(), within the caller's RCU section. */
	do {
		cached = xas_load(&xas);
	} while (xas_retry(&xas, cached));
	if (!cached)
		return NULL;

	slice = to_slice(cached);
	/* Pairs with smp_store_release() in entry_ready_locked(): the entries have been read. */
	state = smp_load_acquire(&slice->cached.state);
	if (state != QCOW_CACHED_READY && state != QCOW_CACHED_HELD)
		return NULL;
	if (!READ_ONCE(slice->cached.referenced))
		WRITE_ONCE(slice->cached.referenced, true);
	return slice;
}

static int slice_load(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
		      struct qcow_waiter *waiter, bool wait, struct qcow_slice **slice)
{
	struct qcow_key key = slice_key(tables, idx);
	struct qcow_cached *cached;
	int err;

	err = qcow_cache_get(cache, &key, waiter, wait, &cached);
	if (!err)
		*slice = to_slice(cached);
	return err;
}

int qcow_cache_load(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
		    struct qcow_waiter *waiter, struct qcow_slice **slice)
{
	return slice_load(cache, tables, idx, waiter, false, slice);
}

int qcow_cache_load_wait(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
			 struct qcow_waiter *waiter, struct qcow_slice **slice)
{
	return slice_load(cache, tables, idx, waiter, true, slice);
}

/* Several slices, the later ones right behind the first. */
static int slice_read_row(struct qcow_slice **slices, unsigned int nr,
			  const struct qcow_tables *tables)
{
	size_t bytes = nr * tables->slice_bytes;
	unsigned int i;
	void *buf;
	u64 host;
	int err;

	err = slice_locate(slices[0], tables, &host);
	if (err)
		return err;
	buf = kmalloc(bytes, GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!buf)
		return -ENOMEM;
	atomic64_add(nr, &slices[0]->cached.cache->misses);
	trace_qcow_miss(tables->store, host, bytes);
	err = qcow_store_read_padded(tables->store, buf, host, bytes);
	for (i = 0; i < nr && !err; i++)
		memcpy(slices[i]->entries, buf + i * tables->slice_bytes, tables->slice_bytes);
	kfree(buf);
	return err;
}

void qcow_cache_readahead(struct qcow_cache *cache, struct qcow_tables *tables, u64 idx,
			  unsigned int nr, bool mark)
{
	struct qcow_slice *slices[QCOW_CACHE_READAHEAD_SLICES];
	unsigned int i, begun = 0;
	struct qcow_cached *cached;
	struct qcow_key key;
	int err;

	for (; begun < nr; begun++) {
		key = slice_key(tables, idx + begun);
		if (qcow_cache_begin(cache, &key, false, &cached))
			break;
		slices[begun] = to_slice(cached);
		slice_init(slices[begun], tables);
	}
	if (!begun)
		return;
	slices[0]->readahead = mark;
	err = slice_read_row(slices, begun, tables);
	for (i = 0; i < begun; i++) {
		qcow_cache_publish(&slices[i]->cached, err);
		qcow_slice_put(cache, slices[i]);
	}
}

int qcow_cache_module_init(void)
{
	static const char * const names[QCOW_SLICE_CLASSES] = {
		"qcow_slice_512", "qcow_slice_1k", "qcow_slice_2k", "qcow_slice_4k",
	};
	unsigned int i;

	slice_slab = KMEM_CACHE(qcow_slice, SLAB_HWCACHE_ALIGN | SLAB_RECLAIM_ACCOUNT);
	if (!slice_slab)
		return -ENOMEM;
	for (i = 0; i < QCOW_SLICE_CLASSES; i++) {
		u32 bytes = QCOW_SLICE_MIN_BYTES << i;

		/* Aligned to their size: direct I/O goes straight into them. */
		entry_slabs[i] = kmem_cache_create(names[i], bytes, bytes,
						   SLAB_RECLAIM_ACCOUNT, NULL);
		if (!entry_slabs[i]) {
			qcow_cache_module_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

void qcow_cache_module_exit(void)
{
	unsigned int i;

	/* Slices of caches that are gone may be on their way through RCU. */
	rcu_barrier();
	for (i = 0; i < QCOW_SLICE_CLASSES; i++) {
		kmem_cache_destroy(entry_slabs[i]);
		entry_slabs[i] = NULL;
	}
	kmem_cache_destroy(slice_slab);
	slice_slab = NULL;
}
