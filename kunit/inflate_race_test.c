// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the cache of decompressed clusters with several threads, and without memory.
 */

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/shrinker.h>
#include <linux/sizes.h>

#include "layer/cache.h"
#include "data/inflate_impl.h"
#include "inflate_fixture.h"
#include "ram_store.h"

/* A thread that loads one cluster. */
struct loader {
	struct inflate_fixture *f;
	u32 n;
	int err;
	bool right;
	struct completion done;
};

static int loader_run(void *data)
{
	struct loader *l = data;
	struct qcow_inflated *c;

	l->err = inflate_load(l->f, l->n, NULL, &c);
	l->right = !l->err && inflate_content_is(l->f, c, l->n);
	if (!l->err)
		qcow_inflated_put(l->f->inf, c);
	complete(&l->done);
	return 0;
}

static void loader_start(struct loader *l, struct inflate_fixture *f, u32 n)
{
	struct task_struct *task;

	l->f = f;
	l->n = n;
	init_completion(&l->done);
	task = kthread_run(loader_run, l, "qcow-inflate");
	KUNIT_ASSERT_FALSE(f->test, IS_ERR(task));
}

static void loader_expect(struct loader *l, int err)
{
	wait_for_completion(&l->done);
	KUNIT_EXPECT_EQ(l->f->test, err, l->err);
	KUNIT_EXPECT_EQ(l->f->test, !err, l->right);
}

/* Until so many readers have come to the closed gate. */
static void wait_for_reads(struct inflate_fixture *f, int nr)
{
	unsigned int ms;

	for (ms = 0; atomic_read(&f->disk->reads) < nr && ms < 10000; ms++)
		usleep_range(500, 1000);
	KUNIT_EXPECT_EQ(f->test, nr, atomic_read(&f->disk->reads));
}

static void concurrent_loads_decompress_once(struct kunit *test)
{
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_32K);
	struct loader l[6];
	unsigned int i;

	ram_disk_hold(f->disk);
	for (i = 0; i < ARRAY_SIZE(l); i++)
		loader_start(&l[i], f, 7);
	wait_for_reads(f, 1);
	KUNIT_EXPECT_FALSE(test, inflate_cached(f, 7));
	msleep(20);
	ram_disk_release(f->disk);
	for (i = 0; i < ARRAY_SIZE(l); i++)
		loader_expect(&l[i], 0);
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->reads));
	KUNIT_EXPECT_EQ(test, (u64)SZ_4K, qcow_inflate_bytes(f->inf));
}

static void different_clusters_do_not_wait(struct kunit *test)
{
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_32K);
	struct loader l[6];
	unsigned int i;

	ram_disk_hold(f->disk);
	for (i = 0; i < ARRAY_SIZE(l); i++)
		loader_start(&l[i], f, i);
	wait_for_reads(f, ARRAY_SIZE(l));
	ram_disk_release(f->disk);
	for (i = 0; i < ARRAY_SIZE(l); i++)
		loader_expect(&l[i], 0);
}

static void joined_load_retries_after_failure(struct kunit *test)
{
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_32K);
	struct loader a, b;

	ram_disk_hold(f->disk);
	ram_disk_fail(f->disk, 1, -EIO);
	loader_start(&a, f, 1);
	wait_for_reads(f, 1);
	loader_start(&b, f, 1);
	msleep(20);
	ram_disk_release(f->disk);
	loader_expect(&a, -EIO);
	loader_expect(&b, 0);
	KUNIT_EXPECT_EQ(test, 2, atomic_read(&f->disk->reads));
}

struct test_waiter {
	struct qcow_waiter waiter;
	atomic_t woken;
	struct completion done;
};

static void test_wake(struct qcow_waiter *waiter)
{
	struct test_waiter *w = container_of(waiter, struct test_waiter, waiter);

	might_sleep();
	atomic_inc(&w->woken);
	complete(&w->done);
}

/* Park behind a load that ends with @err; then look again. */
static void park(struct kunit *test, int err)
{
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_32K);
	struct qcow_inflated *c;
	struct test_waiter w[2];
	struct loader l;
	unsigned int i;

	ram_disk_hold(f->disk);
	ram_disk_fail(f->disk, err ? 1 : 0, err);
	loader_start(&l, f, 3);
	wait_for_reads(f, 1);
	for (i = 0; i < ARRAY_SIZE(w); i++) {
		w[i].waiter.wake = test_wake;
		atomic_set(&w[i].woken, 0);
		init_completion(&w[i].done);
		KUNIT_EXPECT_EQ(test, -EINPROGRESS, inflate_load(f, 3, &w[i].waiter, &c));
		KUNIT_EXPECT_EQ(test, 0, atomic_read(&w[i].woken));
	}
	ram_disk_release(f->disk);
	for (i = 0; i < ARRAY_SIZE(w); i++)
		wait_for_completion(&w[i].done);
	loader_expect(&l, err);

	KUNIT_ASSERT_EQ(test, 0, inflate_load(f, 3, &w[0].waiter, &c));
	KUNIT_EXPECT_TRUE(test, inflate_content_is(f, c, 3));
	qcow_inflated_put(f->inf, c);
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

static void reserve_serves_one_after_the_other(struct kunit *test)
{
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_32K);
	struct qcow_inflated *held;
	struct loader l;
	u32 n;

	inflate_load_and_put(f, 0);
	qcow_inflate_starve(f->inf, true);
	for (n = 1; n < NR_CLUSTERS; n++) {
		inflate_load_and_put(f, n);
		/* Found until the next one needs its memory; cluster 0 has memory of its own. */
		KUNIT_EXPECT_TRUE(test, inflate_cached(f, n));
		KUNIT_EXPECT_EQ(test, n == 1, inflate_cached(f, n - 1));
	}

	/* Whoever needs it waits for who has it, and for nothing else. */
	KUNIT_ASSERT_EQ(test, 0, inflate_load(f, 3, NULL, &held));
	loader_start(&l, f, 4);
	msleep(20);
	KUNIT_EXPECT_FALSE(test, completion_done(&l.done));
	KUNIT_EXPECT_TRUE(test, inflate_content_is(f, held, 3));
	qcow_inflated_put(f->inf, held);
	loader_expect(&l, 0);

	/* A failure gives it back as well. */
	ram_disk_fail(f->disk, 1, -EIO);
	KUNIT_EXPECT_EQ(test, -EIO, inflate_load(f, 5, NULL, &held));
	inflate_load_and_put(f, 5);

	qcow_inflate_starve(f->inf, false);
	for (n = 6; n < NR_CLUSTERS; n++)
		inflate_load_and_put(f, n);
	KUNIT_EXPECT_EQ(test, (u64)SZ_32K, qcow_inflate_bytes(f->inf));
}

static void reserve_grows_while_it_is_in_use(struct kunit *test)
{
	struct qcow_inflate *inf = inflate_create(test, SZ_1M);
	struct inflate_fixture *f = inflate_fixture_create(test, inf, QCOW_COMPRESSION_ZLIB, 12);
	struct inflate_fixture *larger;
	struct qcow_inflated *held;
	struct loader l;

	larger = inflate_fixture_create(test, inf, QCOW_COMPRESSION_ZSTD, 16);
	inflate_load_and_put(f, 0);
	qcow_inflate_starve(inf, true);
	KUNIT_ASSERT_EQ(test, 0, inflate_load(f, 1, NULL, &held));
	loader_start(&l, larger, 1);
	msleep(20);
	KUNIT_EXPECT_TRUE(test, inflate_content_is(f, held, 1));
	qcow_inflated_put(inf, held);
	loader_expect(&l, 0);
	inflate_load_and_put(f, 2);
	KUNIT_EXPECT_TRUE(test, inflate_cached(f, 0));
}

#define STRESS_THREADS	4
#define STRESS_ROUNDS	1500

struct stress {
	struct inflate_fixture *f;
	struct rnd_state rnd;
	unsigned int wrong;
	struct completion done;
};

static int stress_run(void *data)
{
	struct stress *s = data;
	struct qcow_inflated *c;
	unsigned int i;
	u32 n;

	for (i = 0; i < STRESS_ROUNDS; i++) {
		n = prandom_u32_state(&s->rnd) % NR_CLUSTERS;
		c = qcow_inflate_find(s->f->inf, &s->f->image, inflate_host(s->f, n));
		if (!c && inflate_load(s->f, n, NULL, &c)) {
			s->wrong++;
			continue;
		}
		s->wrong += !inflate_content_is(s->f, c, n);
		qcow_inflated_put(s->f->inf, c);
	}
	complete(&s->done);
	return 0;
}

static void disturb(struct inflate_fixture *f, struct rnd_state *rnd)
{
	struct shrinker *shrinker = f->inf->shrinker;
	struct shrink_control sc = { .gfp_mask = GFP_NOIO, .nr_to_scan = 2 };

	qcow_inflate_starve(f->inf, prandom_u32_state(rnd) & 1);
	if (prandom_u32_state(rnd) & 1)
		shrinker->scan_objects(shrinker, &sc);
	usleep_range(500, 1000);
}

static void concurrent_loads_under_pressure(struct kunit *test)
{
	u64 seed = get_random_u64();
	struct inflate_fixture *f = inflate_fixture_4k(test, SZ_32K);
	struct stress s[STRESS_THREADS];
	struct task_struct *task;
	struct rnd_state rnd;
	unsigned int i;

	kunit_info(test, "seed 0x%llx", seed);
	prandom_seed_state(&rnd, seed);
	for (i = 0; i < ARRAY_SIZE(s); i++) {
		s[i].f = f;
		s[i].wrong = 0;
		prandom_seed_state(&s[i].rnd, seed + i + 1);
		init_completion(&s[i].done);
		task = kthread_run(stress_run, &s[i], "qcow-stress");
		KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	}
	for (i = 0; i < ARRAY_SIZE(s); i++) {
		while (!completion_done(&s[i].done))
			disturb(f, &rnd);
		KUNIT_EXPECT_EQ(test, 0U, s[i].wrong);
	}
	qcow_inflate_starve(f->inf, false);
	inflate_load_and_put(f, 0);
	KUNIT_EXPECT_LE(test, qcow_inflate_bytes(f->inf), (u64)SZ_32K);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(concurrent_loads_decompress_once),
	KUNIT_CASE(different_clusters_do_not_wait),
	KUNIT_CASE(joined_load_retries_after_failure),
	KUNIT_CASE(waiters_are_woken_by_success),
	KUNIT_CASE(waiters_are_woken_by_failure),
	KUNIT_CASE(reserve_serves_one_after_the_other),
	KUNIT_CASE(reserve_grows_while_it_is_in_use),
	KUNIT_CASE(concurrent_loads_under_pressure),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_inflate_race",
	.test_cases = cases,
};

kunit_test_suite(suite);
