// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the L2 cache. Slices are numbered blocks of a RAM disk: the first word of each
 * is its own number, so that a slice of the wrong place is seen.
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/shrinker.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "layer/cache.h"
#include "store/store.h"
#include "rig/image_builder.h"
#include "rig/parked.h"
#include "rig/ram_store.h"

#define NR_SLICES	256

/* Tables that are nothing but slices. */
struct fixture {
	struct kunit *test;
	struct qcow_cache *cache;
	struct ram_disk *disk;
	struct qcow_tables tables;
	bool located_unseen;
};

static void fixture_close(void *data)
{
	struct fixture *f = data;

	qcow_cache_drop(f->cache, &f->tables);
	qcow_store_destroy(f->tables.store);
}

static int locate(const struct qcow_tables *tables, u64 idx, u64 *host)
{
	struct fixture *f = container_of(tables, struct fixture, tables);

	if (!xa_load(&f->tables.slices, idx))
		f->located_unseen = true;
	*host = idx * tables->slice_bytes;
	return 0;
}

static struct fixture *fixture_create(struct kunit *test, struct qcow_cache *cache,
				      unsigned int slice_bits)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	f->cache = cache;
	f->disk = ram_disk_create(test, (u64)NR_SLICES << (slice_bits + 3));
	for (i = 0; i < NR_SLICES; i++)
		*(__be64 *)(f->disk->data + ((u64)i << (slice_bits + 3))) = cpu_to_be64(i);
	qcow_tables_init(&f->tables, ram_store_create(test, f->disk), 1U << (slice_bits + 3),
			 locate);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, fixture_close, f));
	return f;
}

static u32 slice_cost(const struct fixture *f)
{
	return f->tables.slice_bytes + sizeof(struct qcow_slice);
}

static int load(struct fixture *f, u64 idx, struct qcow_waiter *waiter, struct qcow_slice **slice)
{
	return qcow_cache_load(f->cache, &f->tables, idx, waiter, slice);
}

static void load_and_put(struct fixture *f, u64 idx)
{
	struct qcow_slice *slice;

	KUNIT_ASSERT_EQ(f->test, 0, load(f, idx, NULL, &slice));
	KUNIT_EXPECT_EQ(f->test, be64_to_cpu(slice->entries[0]), idx);
	qcow_slice_put(f->cache, slice);
	KUNIT_EXPECT_LE(f->test, (u64)atomic64_read(&f->cache->bytes), f->cache->limit);
}

/* Whether a look-up finds it; marks it as used. */
static bool cached(struct fixture *f, u64 idx)
{
	struct qcow_slice *slice;
	bool right;

	rcu_read_lock();
	slice = qcow_cache_lookup(&f->tables, idx);
	right = !slice || be64_to_cpu(slice->entries[0]) == idx;
	rcu_read_unlock();
	KUNIT_EXPECT_TRUE(f->test, right);
	return slice;
}

/* The same without marking it. */
static bool present(struct fixture *f, u64 idx)
{
	return xa_load(&f->tables.slices, idx);
}

static void absent_is_not_found(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_1M), 9);

	KUNIT_EXPECT_FALSE(test, cached(f, 0));
	KUNIT_EXPECT_FALSE(test, cached(f, U32_MAX));
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&f->disk->reads));
}

static void slice_is_read_once(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_1M), 9);

	load_and_put(f, 7);
	load_and_put(f, 7);
	KUNIT_EXPECT_TRUE(test, cached(f, 7));
	KUNIT_EXPECT_FALSE(test, cached(f, 6));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->reads));
	KUNIT_EXPECT_EQ(test, 1LL, atomic64_read(&f->cache->misses));
	KUNIT_EXPECT_EQ(test, slice_cost(f), atomic64_read(&f->cache->bytes));
}

/* A thread that moves the table finds the slice then, and waits for it. */
static void slice_is_located_when_it_can_be_found(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_1M), 9);

	load_and_put(f, 7);
	KUNIT_EXPECT_FALSE(test, f->located_unseen);
}

static void slices_of_every_size(struct kunit *test)
{
	struct qcow_cache *cache = image_cache_create(test, SZ_64K);
	unsigned int slice_bits, i;

	for (slice_bits = 6; slice_bits <= 9; slice_bits++) {
		struct fixture *f = fixture_create(test, cache, slice_bits);
		struct qcow_slice *slice;

		KUNIT_ASSERT_EQ(test, 0, load(f, 1, NULL, &slice));
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)slice->entries, 8 << slice_bits));
		qcow_slice_put(cache, slice);
		for (i = 0; i < NR_SLICES; i++)
			load_and_put(f, i);
	}
}

static void limit_is_never_exceeded(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_64K), 9);
	unsigned int i;

	for (i = 0; i < 2 * NR_SLICES; i++)
		load_and_put(f, i % NR_SLICES);
	KUNIT_EXPECT_GT(test, atomic64_read(&f->cache->evictions), 0LL);
	KUNIT_EXPECT_LE(test, f->cache->live, f->cache->limit);
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, f->cache->live, atomic64_read(&f->cache->bytes));
	/* Room is back: what is read now is kept. */
	load_and_put(f, 3);
	KUNIT_EXPECT_TRUE(test, cached(f, 3));
}

static void held_slices_leave_room_for_nothing(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_64K), 9);
	unsigned int fit = SZ_64K / slice_cost(f), i;
	struct qcow_slice *held[SZ_64K / SZ_4K];
	struct qcow_slice *slice;

	for (i = 0; i < fit; i++)
		KUNIT_ASSERT_EQ(test, 0, load(f, i, NULL, &held[i]));
	/* More than the limit: read, correct, and not kept. */
	KUNIT_ASSERT_EQ(test, 0, load(f, 100, NULL, &slice));
	KUNIT_EXPECT_EQ(test, 100ULL, be64_to_cpu(slice->entries[0]));
	KUNIT_EXPECT_FALSE(test, present(f, 100));
	KUNIT_EXPECT_LE(test, atomic64_read(&f->cache->bytes), SZ_64K);
	qcow_slice_put(f->cache, slice);
	/* Eviction has not pulled a slice from under its holder. */
	for (i = 0; i < fit; i++) {
		KUNIT_EXPECT_EQ(test, i, be64_to_cpu(held[i]->entries[0]));
		qcow_slice_put(f->cache, held[i]);
	}
}

static void used_slices_get_a_second_chance(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_64K), 9);
	unsigned int next = 0;

	while (!atomic64_read(&f->cache->evictions)) {
		load_and_put(f, next++);
		KUNIT_ASSERT_TRUE(test, next == 1 || cached(f, 1));
		KUNIT_ASSERT_LT(test, next, NR_SLICES);
	}
	KUNIT_EXPECT_FALSE(test, present(f, 0));
	KUNIT_EXPECT_TRUE(test, present(f, 1));

	rcu_barrier();
	load_and_put(f, next);
	KUNIT_EXPECT_TRUE(test, present(f, 1));
	KUNIT_EXPECT_FALSE(test, present(f, 2));
}

static void failed_read_leaves_nothing(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_64K), 9);
	struct qcow_slice *slice;

	ram_disk_fail(f->disk, 1, -EIO);
	KUNIT_EXPECT_EQ(test, -EIO, load(f, 5, NULL, &slice));
	KUNIT_EXPECT_FALSE(test, present(f, 5));
	KUNIT_EXPECT_EQ(test, 0ULL, f->cache->live);
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, 0LL, atomic64_read(&f->cache->bytes));
	load_and_put(f, 5);
	KUNIT_EXPECT_TRUE(test, cached(f, 5));

	/* Beyond the end of the store. */
	KUNIT_ASSERT_EQ(test, 0, load(f, NR_SLICES, NULL, &slice));
	KUNIT_EXPECT_NULL(test, memchr_inv(slice->entries, 0, f->tables.slice_bytes));
	qcow_slice_put(f->cache, slice);
}

static void no_room_reads_a_private_slice(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, 0), 6);
	struct qcow_slice *slice;

	load_and_put(f, 9);
	ram_disk_fail(f->disk, 1, -EIO);
	KUNIT_EXPECT_EQ(test, -EIO, load(f, 9, NULL, &slice));
	load_and_put(f, 9);
	KUNIT_EXPECT_FALSE(test, cached(f, 9));
	KUNIT_EXPECT_EQ(test, 0LL, atomic64_read(&f->cache->bytes));
}

static void dropped_tables_leave_the_others(struct kunit *test)
{
	struct qcow_cache *cache = image_cache_create(test, SZ_1M);
	struct fixture *a = fixture_create(test, cache, 9);
	struct fixture *b = fixture_create(test, cache, 6);

	load_and_put(a, 0);
	load_and_put(a, 200);
	load_and_put(b, 0);
	qcow_cache_drop(cache, &a->tables);
	KUNIT_EXPECT_FALSE(test, present(a, 0));
	KUNIT_EXPECT_FALSE(test, present(a, 200));
	KUNIT_EXPECT_TRUE(test, cached(b, 0));
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, slice_cost(b), atomic64_read(&cache->bytes));
}

static void shrinker_gives_slices_back(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_1M), 9);
	struct shrinker *shrinker = f->cache->shrinker;
	struct shrink_control sc = { .gfp_mask = GFP_KERNEL };
	unsigned int i;

	sc.nr_to_scan = 1;
	KUNIT_EXPECT_EQ(test, 0UL, shrinker->count_objects(shrinker, &sc));
	KUNIT_EXPECT_EQ(test, SHRINK_STOP, shrinker->scan_objects(shrinker, &sc));

	for (i = 0; i < 20; i++)
		load_and_put(f, i);
	KUNIT_EXPECT_TRUE(test, cached(f, 0));
	KUNIT_EXPECT_EQ(test, 20UL, shrinker->count_objects(shrinker, &sc));

	/* Slice 0 has been used, so ten steps free nine. */
	sc.nr_to_scan = 10;
	KUNIT_EXPECT_EQ(test, 9UL, shrinker->scan_objects(shrinker, &sc));
	KUNIT_EXPECT_EQ(test, 11UL, shrinker->count_objects(shrinker, &sc));
	KUNIT_EXPECT_TRUE(test, present(f, 0));
	KUNIT_EXPECT_FALSE(test, present(f, 1));

	sc.nr_to_scan = 128;
	KUNIT_EXPECT_EQ(test, 11UL, shrinker->scan_objects(shrinker, &sc));
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, 0LL, atomic64_read(&f->cache->bytes));
}

/* A thread that loads one slice. */
struct loader {
	struct fixture *f;
	u64 idx;
	int err;
	u64 found;
	struct completion done;
};

static int loader_run(void *data)
{
	struct loader *l = data;
	struct qcow_slice *slice;

	l->err = load(l->f, l->idx, NULL, &slice);
	if (!l->err) {
		l->found = be64_to_cpu(slice->entries[0]);
		qcow_slice_put(l->f->cache, slice);
	}
	complete(&l->done);
	return 0;
}

static void loader_start(struct loader *l, struct fixture *f, u64 idx)
{
	struct task_struct *task;

	l->f = f;
	l->idx = idx;
	init_completion(&l->done);
	task = kthread_run(loader_run, l, "qcow-load");
	KUNIT_ASSERT_FALSE(f->test, IS_ERR(task));
}

/* Until a reader stands before the closed gate. */
static void wait_for_reads(struct fixture *f, int nr)
{
	unsigned int naps;

	for (naps = 0; atomic_read(&f->disk->reads) < nr && naps < 500; naps++)
		msleep(20);
	KUNIT_EXPECT_EQ(f->test, nr, atomic_read(&f->disk->reads));
}

static void concurrent_loads_read_once(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_64K), 9);
	struct loader l[4];
	unsigned int i;

	ram_disk_hold(f->disk);
	for (i = 0; i < ARRAY_SIZE(l); i++)
		loader_start(&l[i], f, 42);
	wait_for_reads(f, 1);
	KUNIT_EXPECT_FALSE(test, cached(f, 42));
	msleep(20);
	ram_disk_release(f->disk);
	for (i = 0; i < ARRAY_SIZE(l); i++) {
		wait_for_completion(&l[i].done);
		KUNIT_EXPECT_EQ(test, 0, l[i].err);
		KUNIT_EXPECT_EQ(test, 42ULL, l[i].found);
	}
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->reads));
}

static void joined_load_retries_after_failure(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_64K), 9);
	struct loader a, b;

	ram_disk_hold(f->disk);
	ram_disk_fail(f->disk, 1, -EIO);
	loader_start(&a, f, 1);
	wait_for_reads(f, 1);
	loader_start(&b, f, 1);
	msleep(20);
	ram_disk_release(f->disk);
	wait_for_completion(&a.done);
	wait_for_completion(&b.done);
	KUNIT_EXPECT_EQ(test, -EIO, a.err);
	KUNIT_EXPECT_EQ(test, 0, b.err);
	KUNIT_EXPECT_EQ(test, 2, atomic_read(&f->disk->reads));
}

/* Park behind a read that ends with @err; then try again. */
static void park(struct kunit *test, int err)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_64K), 9);
	struct parked w[2];
	struct qcow_slice *slice;
	struct loader l;
	unsigned int i;

	ram_disk_hold(f->disk);
	ram_disk_fail(f->disk, err ? 1 : 0, err);
	loader_start(&l, f, 3);
	wait_for_reads(f, 1);
	for (i = 0; i < ARRAY_SIZE(w); i++) {
		parked_init(&w[i]);
		KUNIT_EXPECT_EQ(test, -EINPROGRESS, load(f, 3, &w[i].waiter, &slice));
		KUNIT_EXPECT_EQ(test, 0, atomic_read(&w[i].woken));
	}
	ram_disk_release(f->disk);
	for (i = 0; i < ARRAY_SIZE(w); i++)
		wait_for_completion(&w[i].done);
	wait_for_completion(&l.done);
	KUNIT_EXPECT_EQ(test, err, l.err);
	KUNIT_EXPECT_EQ(test, !err, cached(f, 3));

	KUNIT_ASSERT_EQ(test, 0, load(f, 3, &w[0].waiter, &slice));
	qcow_slice_put(f->cache, slice);
	KUNIT_EXPECT_EQ(test, err ? 2 : 1, atomic_read(&f->disk->reads));
	for (i = 0; i < ARRAY_SIZE(w); i++)
		KUNIT_EXPECT_EQ(test, 1, atomic_read(&w[i].woken));
}

static void waiters_are_woken_by_success(struct kunit *test)
{
	park(test, 0);
}

static void waiters_are_woken_by_failure(struct kunit *test)
{
	park(test, -EIO);
}

static void without_memory_slices_are_private(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_64K), 6);
	struct loader l[3];
	struct qcow_slice *slice;
	unsigned int i;

	load_and_put(f, 0);
	WRITE_ONCE(f->cache->starved, true);
	KUNIT_ASSERT_EQ(test, 0, load(f, 1, NULL, &slice));
	KUNIT_EXPECT_EQ(test, QCOW_CACHED_PRIVATE, slice->cached.state);
	/* It is the only one; each thread gets it in turn. */
	for (i = 0; i < ARRAY_SIZE(l); i++)
		loader_start(&l[i], f, 2 + i);
	msleep(20);
	for (i = 0; i < ARRAY_SIZE(l); i++)
		KUNIT_EXPECT_FALSE(test, completion_done(&l[i].done));
	KUNIT_EXPECT_EQ(test, 1ULL, be64_to_cpu(slice->entries[0]));
	qcow_slice_put(f->cache, slice);
	for (i = 0; i < ARRAY_SIZE(l); i++) {
		wait_for_completion(&l[i].done);
		KUNIT_EXPECT_EQ(test, 0, l[i].err);
		KUNIT_EXPECT_EQ(test, 2ULL + i, l[i].found);
		KUNIT_EXPECT_FALSE(test, present(f, 2 + i));
	}
	KUNIT_EXPECT_TRUE(test, cached(f, 0));
	WRITE_ONCE(f->cache->starved, false);
}

static bool hold(struct fixture *f, struct qcow_slice *slice)
{
	bool held;

	spin_lock(&f->cache->lock);
	held = qcow_cache_hold_locked(f->cache, slice);
	spin_unlock(&f->cache->lock);
	return held;
}

static void held_slices_are_not_evicted(struct kunit *test)
{
	struct fixture *f = fixture_create(test, image_cache_create(test, SZ_64K), 9);
	struct shrinker *shrinker = f->cache->shrinker;
	struct shrink_control sc = { .gfp_mask = GFP_KERNEL, .nr_to_scan = NR_SLICES };
	struct qcow_slice *slice;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, load(f, 7, NULL, &slice));
	KUNIT_EXPECT_TRUE(test, hold(f, slice));
	KUNIT_EXPECT_FALSE(test, hold(f, slice));
	KUNIT_EXPECT_EQ(test, QCOW_CACHED_HELD, slice->cached.state);
	for (i = 0; i < NR_SLICES; i++)
		load_and_put(f, i);
	shrinker->scan_objects(shrinker, &sc);
	KUNIT_EXPECT_TRUE(test, cached(f, 7));

	spin_lock(&f->cache->lock);
	qcow_cache_release_locked(f->cache, slice);
	spin_unlock(&f->cache->lock);
	KUNIT_EXPECT_EQ(test, QCOW_CACHED_READY, slice->cached.state);
	shrinker->scan_objects(shrinker, &sc);
	KUNIT_EXPECT_FALSE(test, cached(f, 7));
	KUNIT_EXPECT_EQ(test, QCOW_CACHED_GONE, slice->cached.state);
	KUNIT_EXPECT_EQ(test, 7ULL, be64_to_cpu(slice->entries[0]));
	KUNIT_EXPECT_FALSE(test, hold(f, slice));
	qcow_slice_put(f->cache, slice);
}

/* A thread that charges. */
struct charger {
	struct qcow_cache *cache;
	u32 cost;
	struct completion done;
};

static int charger_run(void *data)
{
	struct charger *c = data;

	qcow_cache_charge_wait(c->cache, c->cost);
	complete(&c->done);
	return 0;
}

static void charge_that_waits_comes_first(struct kunit *test)
{
	struct qcow_cache *cache = image_cache_create(test, SZ_64K);
	struct fixture *f = fixture_create(test, cache, 9);
	struct charger c = { .cache = cache, .cost = SZ_32K };
	struct task_struct *task;
	unsigned int naps;

	KUNIT_ASSERT_TRUE(test, qcow_cache_charge(cache, SZ_32K));
	KUNIT_ASSERT_TRUE(test, qcow_cache_charge(cache, SZ_16K));
	init_completion(&c.done);
	task = kthread_run(charger_run, &c, "qcow-charge");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	for (naps = 0; !READ_ONCE(cache->wanted) && naps < 500; naps++)
		msleep(20);
	KUNIT_EXPECT_EQ(test, (u64)SZ_32K, cache->wanted);

	/* There are 16 KiB, and no other charge gets any of them. */
	KUNIT_EXPECT_FALSE(test, qcow_cache_charge(cache, SZ_4K));
	load_and_put(f, 3);
	KUNIT_EXPECT_FALSE(test, present(f, 3));
	KUNIT_EXPECT_FALSE(test, completion_done(&c.done));

	qcow_cache_uncharge(cache, SZ_16K);
	wait_for_completion(&c.done);
	KUNIT_EXPECT_EQ(test, 0ULL, cache->wanted);
	KUNIT_EXPECT_EQ(test, (s64)SZ_64K, atomic64_read(&cache->bytes));
	qcow_cache_uncharge(cache, SZ_32K);
	qcow_cache_uncharge(cache, SZ_32K);
}

/* What is cached makes way, and what is on its way through RCU is waited for. */
static void charge_evicts_and_waits_for_rcu(struct kunit *test)
{
	struct qcow_cache *cache = image_cache_create(test, SZ_64K);
	struct fixture *f = fixture_create(test, cache, 9);
	struct qcow_slice *held[4];
	unsigned int i;

	for (i = 0; i < NR_SLICES; i++)
		load_and_put(f, i);
	for (i = 0; i < 100; i++) {
		qcow_cache_charge_wait(cache, SZ_32K);
		qcow_cache_charge_wait(cache, SZ_16K);
		KUNIT_EXPECT_LE(test, atomic64_read(&cache->bytes), (s64)SZ_64K);
		qcow_cache_uncharge(cache, SZ_32K + SZ_16K);
		load_and_put(f, i);
	}

	/* Several at a time, none of them private. */
	for (i = 0; i < ARRAY_SIZE(held); i++) {
		KUNIT_ASSERT_EQ(test, 0, qcow_cache_load_wait(cache, &f->tables, i, NULL,
							      &held[i]));
		KUNIT_EXPECT_NE(test, QCOW_CACHED_PRIVATE, held[i]->cached.state);
		KUNIT_EXPECT_EQ(test, (u64)i, be64_to_cpu(held[i]->entries[0]));
	}
	for (i = 0; i < ARRAY_SIZE(held); i++)
		qcow_slice_put(cache, held[i]);
}

#define STRESS_THREADS	4
#define STRESS_ROUNDS	3000

/* A thread that loads and looks up at random in two kinds of tables. */
struct stress {
	struct fixture *f[2];
	struct rnd_state rnd;
	unsigned int wrong;
	struct completion done;
};

static void stress_one(struct stress *s)
{
	struct fixture *f = s->f[prandom_u32_state(&s->rnd) & 1];
	u64 idx = prandom_u32_state(&s->rnd) % NR_SLICES;
	struct shrink_control sc = { .gfp_mask = GFP_KERNEL, .nr_to_scan = 4 };
	struct qcow_slice *slice;

	rcu_read_lock();
	slice = qcow_cache_lookup(&f->tables, idx);
	s->wrong += slice && be64_to_cpu(slice->entries[0]) != idx;
	rcu_read_unlock();

	if (!(idx & 7)) {
		qcow_cache_charge_wait(f->cache, SZ_8K);
		qcow_cache_uncharge(f->cache, SZ_8K);
	}
	if (load(f, idx, NULL, &slice)) {
		s->wrong++;
		return;
	}
	s->wrong += be64_to_cpu(slice->entries[0]) != idx;
	s->wrong += (u64)atomic64_read(&f->cache->bytes) > f->cache->limit;
	if (idx == 0)
		f->cache->shrinker->scan_objects(f->cache->shrinker, &sc);
	qcow_slice_put(f->cache, slice);
}

static int stress_run(void *data)
{
	struct stress *s = data;
	unsigned int i;

	for (i = 0; i < STRESS_ROUNDS; i++) {
		stress_one(s);
		cond_resched();
	}
	complete(&s->done);
	return 0;
}

static void concurrent_loads_under_pressure(struct kunit *test)
{
	struct qcow_cache *cache = image_cache_create(test, SZ_256K);
	struct fixture *a = fixture_create(test, cache, 9);
	struct fixture *b = fixture_create(test, cache, 6);
	struct stress *s = kunit_kcalloc(test, STRESS_THREADS, sizeof(*s), GFP_KERNEL);
	struct task_struct *task;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, s);
	for (i = 0; i < STRESS_THREADS; i++) {
		s[i].f[0] = a;
		s[i].f[1] = b;
		prandom_seed_state(&s[i].rnd, i + 1);
		init_completion(&s[i].done);
		task = kthread_run(stress_run, &s[i], "qcow-stress");
		KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	}
	for (i = 0; i < STRESS_THREADS; i++) {
		wait_for_completion(&s[i].done);
		KUNIT_EXPECT_EQ(test, 0, s[i].wrong);
	}
	kunit_info(test, "%lld misses, %lld evictions", atomic64_read(&cache->misses),
		   atomic64_read(&cache->evictions));
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, cache->live, atomic64_read(&cache->bytes));
}

static int suite_init(struct kunit_suite *suite)
{
	return qcow_cache_module_init();
}

static void suite_exit(struct kunit_suite *suite)
{
	qcow_cache_module_exit();
}

static struct kunit_case cases[] = {
	KUNIT_CASE(absent_is_not_found),
	KUNIT_CASE(slice_is_read_once),
	KUNIT_CASE(slice_is_located_when_it_can_be_found),
	KUNIT_CASE(slices_of_every_size),
	KUNIT_CASE(limit_is_never_exceeded),
	KUNIT_CASE(held_slices_leave_room_for_nothing),
	KUNIT_CASE(used_slices_get_a_second_chance),
	KUNIT_CASE(failed_read_leaves_nothing),
	KUNIT_CASE(no_room_reads_a_private_slice),
	KUNIT_CASE(dropped_tables_leave_the_others),
	KUNIT_CASE(shrinker_gives_slices_back),
	KUNIT_CASE(concurrent_loads_read_once),
	KUNIT_CASE(joined_load_retries_after_failure),
	KUNIT_CASE(waiters_are_woken_by_success),
	KUNIT_CASE(waiters_are_woken_by_failure),
	KUNIT_CASE(without_memory_slices_are_private),
	KUNIT_CASE(held_slices_are_not_evicted),
	KUNIT_CASE(charge_that_waits_comes_first),
	KUNIT_CASE(charge_evicts_and_waits_for_rcu),
	KUNIT_CASE(concurrent_loads_under_pressure),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_cache",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
