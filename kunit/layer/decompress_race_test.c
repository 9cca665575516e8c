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
#include "layer/decompress.h"
#include "layer/codec.h"
#include "layer/workspace.h"
#include "rig/cluster_fixture.h"
#include "rig/parked.h"
#include "rig/ram_store.h"

/* A thread that loads one cluster. */
struct loader {
	struct cluster_fixture *f;
	u32 n;
	int err;
	bool right;
	struct completion done;
};

static int loader_run(void *data)
{
	struct loader *l = data;
	struct qcow_cluster *c;

	l->err = cluster_load(l->f, l->n, NULL, &c);
	l->right = !l->err && cluster_content_is(l->f, c, l->n);
	if (!l->err)
		qcow_decompress_put(c);
	complete(&l->done);
	return 0;
}

static void loader_start(struct loader *l, struct cluster_fixture *f, u32 n)
{
	struct task_struct *task;

	l->f = f;
	l->n = n;
	init_completion(&l->done);
	task = kthread_run(loader_run, l, "qcow-load");
	KUNIT_ASSERT_FALSE(f->test, IS_ERR(task));
}

static void loader_expect(struct loader *l, int err)
{
	wait_for_completion(&l->done);
	KUNIT_EXPECT_EQ(l->f->test, err, l->err);
	KUNIT_EXPECT_EQ(l->f->test, !err, l->right);
}

/* Until so many readers have come to the closed gate. */
static void wait_for_reads(struct cluster_fixture *f, int nr)
{
	unsigned int ms;

	for (ms = 0; atomic_read(&f->disk->reads) < nr && ms < 10000; ms++)
		usleep_range(500, 1000);
	KUNIT_EXPECT_EQ(f->test, nr, atomic_read(&f->disk->reads));
}

static void concurrent_loads_decompress_once(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);
	struct loader l[6];
	unsigned int i;

	ram_disk_hold(f->disk);
	for (i = 0; i < ARRAY_SIZE(l); i++)
		loader_start(&l[i], f, 7);
	wait_for_reads(f, 1);
	KUNIT_EXPECT_FALSE(test, cluster_cached(f, 7));
	msleep(20);
	ram_disk_release(f->disk);
	for (i = 0; i < ARRAY_SIZE(l); i++)
		loader_expect(&l[i], 0);
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->reads));
	KUNIT_EXPECT_EQ(test, (u64)SZ_4K, qcow_decompress_bytes(&f->image));
}

static void different_clusters_do_not_wait(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);
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
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);
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

/* Park behind a load that ends with @err; then try again. */
static void park(struct kunit *test, int err)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);
	struct qcow_cluster *c;
	struct parked w[2];
	struct loader l;
	unsigned int i;

	ram_disk_hold(f->disk);
	ram_disk_fail(f->disk, err ? 1 : 0, err);
	loader_start(&l, f, 3);
	wait_for_reads(f, 1);
	for (i = 0; i < ARRAY_SIZE(w); i++) {
		parked_init(&w[i]);
		KUNIT_EXPECT_EQ(test, -EINPROGRESS, cluster_load(f, 3, &w[i].waiter, &c));
		KUNIT_EXPECT_EQ(test, 0, atomic_read(&w[i].woken));
	}
	ram_disk_release(f->disk);
	for (i = 0; i < ARRAY_SIZE(w); i++)
		wait_for_completion(&w[i].done);
	loader_expect(&l, err);

	KUNIT_ASSERT_EQ(test, 0, cluster_load(f, 3, &w[0].waiter, &c));
	KUNIT_EXPECT_TRUE(test, cluster_content_is(f, c, 3));
	qcow_decompress_put(c);
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

/* Two entries of a broken image refer to it: one of them is dropped while the other is read. */
static void forgotten_while_it_is_filled(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);
	struct qcow_cluster *c;
	struct parked w;
	struct loader l;
	int err;

	for (err = 0; err >= -EIO; err -= EIO) {
		atomic_set(&f->disk->reads, 0);
		parked_init(&w);
		ram_disk_hold(f->disk);
		ram_disk_fail(f->disk, err ? 1 : 0, err);
		loader_start(&l, f, 3);
		wait_for_reads(f, 1);
		KUNIT_EXPECT_EQ(test, -EINPROGRESS, cluster_load(f, 3, &w.waiter, &c));
		qcow_decompress_forget(&f->image, cluster_host(f, 3));
		ram_disk_release(f->disk);
		wait_for_completion(&w.done);
		loader_expect(&l, err);
		KUNIT_EXPECT_FALSE(test, cluster_cached(f, 3));
		KUNIT_EXPECT_EQ(test, 0ULL, qcow_decompress_bytes(&f->image));

		cluster_load_and_put(f, 3);
		KUNIT_EXPECT_EQ(test, 2, atomic_read(&f->disk->reads));
		qcow_decompress_forget(&f->image, cluster_host(f, 3));
	}
}

/* From now on there is no memory but what has been set aside, or there is again. */
static void starve(struct cluster_fixture *f, bool starved)
{
	WRITE_ONCE(f->image.clusters->starved, starved);
}

static void without_memory_one_after_the_other(struct kunit *test)
{
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);
	struct qcow_cluster *held;
	struct loader l[3];
	unsigned int i;
	u32 n;

	cluster_load_and_put(f, 0);
	starve(f, true);
	for (n = 1; n < NR_CLUSTERS; n++) {
		cluster_load_and_put(f, n);
		/* It was one caller's own; cluster 0 has memory of its own. */
		KUNIT_EXPECT_FALSE(test, cluster_cached(f, n));
		KUNIT_EXPECT_TRUE(test, cluster_cached(f, 0));
	}

	/* Threads that need it wait for the one that has it, and for nothing else. */
	KUNIT_ASSERT_EQ(test, 0, cluster_load(f, 3, NULL, &held));
	for (i = 0; i < ARRAY_SIZE(l); i++)
		loader_start(&l[i], f, 4 + i);
	msleep(20);
	for (i = 0; i < ARRAY_SIZE(l); i++)
		KUNIT_EXPECT_FALSE(test, completion_done(&l[i].done));
	KUNIT_EXPECT_TRUE(test, cluster_content_is(f, held, 3));
	qcow_decompress_put(held);
	for (i = 0; i < ARRAY_SIZE(l); i++)
		loader_expect(&l[i], 0);

	/* A failure gives it back as well. */
	ram_disk_fail(f->disk, 1, -EIO);
	KUNIT_EXPECT_EQ(test, -EIO, cluster_load(f, 5, NULL, &held));
	cluster_load_and_put(f, 5);

	starve(f, false);
	for (n = 6; n < NR_CLUSTERS; n++)
		cluster_load_and_put(f, n);
	KUNIT_EXPECT_EQ(test, (u64)SZ_32K, qcow_decompress_bytes(&f->image));
}

#define STRESS_THREADS	4
#define STRESS_ROUNDS	1500

struct stress {
	struct cluster_fixture *f;
	struct rnd_state rnd;
	unsigned int wrong;
	struct completion done;
};

static int stress_run(void *data)
{
	struct stress *s = data;
	struct qcow_cluster *c;
	unsigned int i;
	u32 n;

	for (i = 0; i < STRESS_ROUNDS; i++) {
		n = prandom_u32_state(&s->rnd) % NR_CLUSTERS;
		c = qcow_decompress_find(&s->f->image, cluster_host(s->f, n));
		if (!c && cluster_load(s->f, n, NULL, &c)) {
			s->wrong++;
			continue;
		}
		s->wrong += !cluster_content_is(s->f, c, n);
		qcow_decompress_put(c);
	}
	complete(&s->done);
	return 0;
}

static void disturb(struct cluster_fixture *f, struct rnd_state *rnd)
{
	struct shrinker *shrinker = f->image.clusters->shrinker;
	struct shrink_control sc = { .gfp_mask = GFP_NOIO, .nr_to_scan = 2 };

	starve(f, prandom_u32_state(rnd) & 1);
	if (prandom_u32_state(rnd) & 1)
		shrinker->scan_objects(shrinker, &sc);
	usleep_range(500, 1000);
}

static void concurrent_loads_under_pressure(struct kunit *test)
{
	u64 seed = get_random_u64();
	struct cluster_fixture *f = cluster_fixture_4k(test, SZ_32K);
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
	starve(f, false);
	cluster_load_and_put(f, 0);
	KUNIT_EXPECT_LE(test, qcow_decompress_bytes(&f->image), (u64)SZ_32K);
}

/* A thread that works in one workspace after the other. */
struct ws_user {
	struct qcow_workspaces *pool;
	unsigned int shared;
	struct completion done;
};

static int user_run(void *data)
{
	struct ws_user *u = data;
	struct qcow_workspace *workspace;
	unsigned int i;

	for (i = 0; i < 2000; i++) {
		workspace = qcow_workspaces_get(u->pool);
		WRITE_ONCE(workspace->memory[0], (unsigned long)u >> 6);
		cond_resched();
		u->shared += READ_ONCE(workspace->memory[0]) != (u8)((unsigned long)u >> 6);
		qcow_workspaces_put(u->pool, workspace);
		if (!(i % 64))
			qcow_workspaces_trim(u->pool, 1);
	}
	complete(&u->done);
	return 0;
}

static void workspaces_have_one_user_each(struct kunit *test)
{
	struct qcow_workspaces pool;
	struct task_struct *task;
	struct ws_user u[5] = {};
	unsigned int i;

	qcow_workspaces_init(&pool, SZ_4K);
	KUNIT_ASSERT_EQ(test, 0, qcow_workspaces_fill(&pool, false));
	/* Fewer than threads, so that these wait for each other. */
	pool.max = 2;
	for (i = 0; i < ARRAY_SIZE(u); i++) {
		u[i].pool = &pool;
		init_completion(&u[i].done);
		task = kthread_run(user_run, &u[i], "qcow-user");
		KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	}
	for (i = 0; i < ARRAY_SIZE(u); i++) {
		wait_for_completion(&u[i].done);
		KUNIT_EXPECT_EQ(test, 0U, u[i].shared);
	}
	KUNIT_EXPECT_LE(test, pool.nr, 2U);
	qcow_workspaces_destroy(&pool);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(concurrent_loads_decompress_once),
	KUNIT_CASE(different_clusters_do_not_wait),
	KUNIT_CASE(joined_load_retries_after_failure),
	KUNIT_CASE(waiters_are_woken_by_success),
	KUNIT_CASE(waiters_are_woken_by_failure),
	KUNIT_CASE(forgotten_while_it_is_filled),
	KUNIT_CASE(without_memory_one_after_the_other),
	KUNIT_CASE(workspaces_have_one_user_each),
	KUNIT_CASE(concurrent_loads_under_pressure),
	{}
};

static int suite_init(struct kunit_suite *suite)
{
	return qcow_workspaces_module_init();
}

static void suite_exit(struct kunit_suite *suite)
{
	qcow_workspaces_module_exit();
}

static struct kunit_suite suite = {
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.name = "qcow_decompress_race",
	.test_cases = cases,
};

kunit_test_suite(suite);
