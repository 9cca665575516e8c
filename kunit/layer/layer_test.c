// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the list of layers: what is shared, what is refused, and threads that come at the
 * same time.
 */

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <qcow/ondisk.h>
#include <qcow/report.h>

#include "layer/cache.h"
#include "layer/crypt.h"
#include "layer/layer.h"
#include "rig/image_builder.h"
#include "rig/image_crypt.h"
#include "rig/ram_store.h"

/**
 * struct source - files of a layer, and how to open them
 * @p: the parameters
 * @disk: the image
 * @data: its data file, or NULL
 * @opens: how often it has been opened
 * @fail: what opening it the next time fails with, or 0
 * @said: what qcow_layer_get() said last
 */
struct source {
	struct qcow_layer_params p;
	struct ram_disk *disk;
	struct ram_disk *data;
	atomic_t opens;
	int fail;
	char said[256];
};

static int open_source(const struct qcow_layer_params *p, struct workqueue_struct *wq,
		       struct qcow_store **store, struct qcow_store **data,
		       struct qcow_report *rep)
{
	struct source *s = container_of(p, struct source, p);
	int err;

	atomic_inc(&s->opens);
	err = xchg(&s->fail, 0);
	if (err)
		return err;
	*store = ram_store_try(s->disk);
	if (!*store)
		return -ENOMEM;
	if (s->data)
		*data = ram_store_try(s->data);
	return 0;
}

static struct source *source_create(struct kunit *test, const struct image_shape *shape)
{
	struct source *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->disk = image_build(test, shape)->disk;
	s->p = (struct qcow_layer_params) {
		.image = {
			.name = "kunit", .snapshot = QCOW_ACTIVE_STATE, .cache_bytes = SZ_64K,
		},
		.file = { .id = s->disk, .bytes = s->disk->bytes, .mtime = { 1, 2 } },
		.open = open_source,
	};
	return s;
}

static struct source *plain_source(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = SZ_1M };

	return source_create(test, &shape);
}

static struct qcow_image *get(struct source *s)
{
	struct qcow_report rep = { .buf = s->said, .size = sizeof(s->said) };

	s->said[0] = '\0';
	return qcow_layer_get(&s->p, &rep);
}

static struct qcow_image *expect_layer(struct kunit *test, struct source *s)
{
	struct qcow_image *layer = get(s);

	KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, layer, "%s", s->said);
	return layer;
}

static void expect_error(struct kunit *test, struct source *s, int err)
{
	struct qcow_image *layer = get(s);

	KUNIT_EXPECT_EQ(test, err, PTR_ERR_OR_ZERO(layer));
	if (!IS_ERR(layer))
		qcow_layer_put(layer);
}

static void layer_is_read_once(struct kunit *test)
{
	struct source *s = plain_source(test);
	struct qcow_image *first = expect_layer(test, s);
	int reads = atomic_read(&s->disk->reads);
	unsigned int i;

	KUNIT_EXPECT_GT(test, reads, 0);
	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_PTR_EQ(test, first, expect_layer(test, s));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&s->opens));
	KUNIT_EXPECT_EQ(test, reads, atomic_read(&s->disk->reads));
	for (i = 0; i < 101; i++)
		qcow_layer_put(first);

	/* The last user has closed it. */
	qcow_layer_put(expect_layer(test, s));
	KUNIT_EXPECT_EQ(test, 2, atomic_read(&s->opens));
}

static void chains_share_from_the_bottom_up(struct kunit *test)
{
	struct source *base = plain_source(test), *middle = plain_source(test);
	struct source *over = plain_source(test);
	struct qcow_image *one, *two, *three;

	middle->p.backing = expect_layer(test, base);
	one = expect_layer(test, middle);
	KUNIT_EXPECT_EQ(test, 0U, qcow_layer_shared(one));
	middle->p.backing = expect_layer(test, base);
	two = expect_layer(test, middle);
	KUNIT_EXPECT_PTR_EQ(test, one, two);
	KUNIT_EXPECT_EQ(test, 2U, qcow_layer_shared(one));

	/* Over something else it is another layer. */
	middle->p.backing = NULL;
	three = expect_layer(test, middle);
	KUNIT_EXPECT_PTR_NE(test, one, three);
	KUNIT_EXPECT_EQ(test, 0U, qcow_layer_shared(three));
	qcow_layer_put(three);

	over->p.image.writable = true;
	over->p.backing = two;
	two = expect_layer(test, over);
	KUNIT_EXPECT_EQ(test, 2U, qcow_layer_shared(two));
	qcow_layer_put(one);
	KUNIT_EXPECT_EQ(test, 0U, qcow_layer_shared(two));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&base->opens));

	/* What is below goes with the last layer above. */
	qcow_layer_put(two);
	qcow_layer_put(expect_layer(test, base));
	KUNIT_EXPECT_EQ(test, 2, atomic_read(&base->opens));
}

static void other_states_and_modes_are_other_layers(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = SZ_1M };
	struct source *s = plain_source(test);
	struct image_builder *b = image_build(test, &shape);
	struct qcow_image *layers[4];
	unsigned int i;

	image_build_snapshot(b, b->l1_offset, 1, SZ_512K, 3);
	s->disk = b->disk;
	s->p.file.bytes = b->disk->bytes;
	layers[0] = expect_layer(test, s);

	s->p.image.snapshot = 0;
	layers[1] = expect_layer(test, s);
	s->p.image.snapshot = QCOW_ACTIVE_STATE;
	s->p.direct = QCOW_DIRECT_OFF;
	layers[2] = expect_layer(test, s);
	s->p.image.raw = true;
	layers[3] = expect_layer(test, s);
	for (i = 0; i < ARRAY_SIZE(layers); i++) {
		KUNIT_EXPECT_EQ(test, 0U, qcow_layer_shared(layers[i]));
		qcow_layer_put(layers[i]);
	}
}

static void cache_grows_with_its_users(struct kunit *test)
{
	struct source *s = plain_source(test);
	struct qcow_image *layer = expect_layer(test, s);

	KUNIT_EXPECT_EQ(test, (u64)SZ_64K, layer->cache->limit);
	s->p.image.cache_bytes = SZ_1M;
	expect_layer(test, s);
	KUNIT_EXPECT_EQ(test, (u64)SZ_1M, layer->cache->limit);
	s->p.image.cache_bytes = SZ_64K;
	expect_layer(test, s);
	KUNIT_EXPECT_EQ(test, (u64)SZ_1M, layer->cache->limit);
	qcow_layer_put(layer);
	qcow_layer_put(layer);
	qcow_layer_put(layer);
}

static void writer_is_alone(struct kunit *test)
{
	struct source *s = plain_source(test);
	struct qcow_image *layer;

	s->p.image.writable = true;
	layer = expect_layer(test, s);
	expect_error(test, s, -EBUSY);
	s->p.image.writable = false;
	expect_error(test, s, -EBUSY);
	qcow_layer_put(layer);

	layer = expect_layer(test, s);
	s->p.image.writable = true;
	expect_error(test, s, -EBUSY);
	qcow_layer_put(layer);
	qcow_layer_put(expect_layer(test, s));
}

static void data_file_counts_as_well(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = SZ_1M,
				     .incompatible = QCOW_INCOMPAT_DATA_FILE };
	struct source *a = source_create(test, &shape), *b = source_create(test, &shape);
	struct qcow_image *layer, *other;

	a->data = ram_disk_create(test, SZ_1M);
	a->p.data.id = a->data;
	b->data = a->data;
	b->p.data.id = a->data;

	/* Two images may read one data file. */
	layer = expect_layer(test, a);
	other = expect_layer(test, b);
	KUNIT_EXPECT_PTR_NE(test, layer, other);
	qcow_layer_put(other);
	b->p.image.writable = true;
	expect_error(test, b, -EBUSY);
	qcow_layer_put(layer);

	layer = expect_layer(test, b);
	expect_error(test, a, -EBUSY);
	qcow_layer_put(layer);

	layer = expect_layer(test, a);
	a->p.data.bytes++;
	expect_error(test, a, -ESTALE);
	qcow_layer_put(layer);
}

static void change_is_noticed(struct kunit *test)
{
	struct source *s = plain_source(test);
	struct qcow_image *layer = expect_layer(test, s);

	s->p.file.mtime.tv_nsec++;
	expect_error(test, s, -ESTALE);
	KUNIT_EXPECT_NOT_NULL(test, strstr(s->said, "has changed"));
	s->p.file.mtime.tv_nsec--;
	s->p.file.bytes += SZ_64K;
	expect_error(test, s, -ESTALE);
	s->p.file.bytes -= SZ_64K;
	qcow_layer_put(expect_layer(test, s));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&s->opens));

	/* When its users have gone, what there is now is read. */
	s->p.file.bytes += SZ_64K;
	qcow_layer_put(layer);
	qcow_layer_put(expect_layer(test, s));
}

static void other_header_is_noticed(struct kunit *test)
{
	struct source *s = plain_source(test);
	struct qcow_image *layer = expect_layer(test, s);

	s->p.image.digest = layer->digest;
	qcow_layer_put(expect_layer(test, s));
	s->p.image.digest++;
	expect_error(test, s, -ESTALE);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(s->said, "header"), "%s", s->said);
	qcow_layer_put(layer);
}

/* Without a key the layer is had as it is open. */
static void other_key_is_noticed(struct kunit *test)
{
	struct image_shape shape = {
		.version = 3, .cluster_bits = 16, .size = SZ_1M, .room = SZ_2M,
		.crypt_method = QCOW_CRYPT_LUKS,
	};
	struct source *s = source_create(test, &shape), *plain = plain_source(test);
	const struct qcow_volume_key *key = image_crypt_key(QCOW_CRYPT_LUKS);
	struct qcow_volume_key other = *key;
	struct qcow_image *layer;

	expect_error(test, s, -ENOKEY);
	s->p.image.key = key;
	layer = expect_layer(test, s);
	qcow_layer_put(expect_layer(test, s));
	other.bytes[other.len - 1]++;
	s->p.image.key = &other;
	expect_error(test, s, -EKEYREJECTED);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(s->said, "another key"), "%s", s->said);
	s->p.image.key = NULL;
	qcow_layer_put(expect_layer(test, s));
	qcow_layer_put(layer);
	expect_error(test, s, -ENOKEY);

	layer = expect_layer(test, plain);
	plain->p.image.key = key;
	expect_error(test, plain, -EINVAL);
	qcow_layer_put(layer);
}

static void direct_io_is_not_pretended(struct kunit *test)
{
	struct source *s = plain_source(test);
	struct qcow_image *layer = expect_layer(test, s);

	layer->store->direct = false;
	s->p.direct = QCOW_DIRECT_ON;
	expect_error(test, s, -EOPNOTSUPP);
	qcow_layer_put(layer);
}

/* A thread that gets a layer. */
struct getter {
	struct source *s;
	struct qcow_image *layer;
	struct task_struct *task;
	struct completion done;
};

static int getter_run(void *data)
{
	struct getter *g = data;

	allow_signal(SIGKILL);
	g->layer = qcow_layer_get(&g->s->p, NULL);
	complete(&g->done);
	return 0;
}

static void getter_start(struct kunit *test, struct getter *g, struct source *s)
{
	g->s = s;
	init_completion(&g->done);
	g->task = kthread_run(getter_run, g, "qcow-get");
	KUNIT_ASSERT_FALSE(test, IS_ERR(g->task));
}

/* Until a thread that opens the layer stands before the closed gate. */
static void wait_for_reads(struct kunit *test, struct source *s, int nr)
{
	unsigned int naps;

	for (naps = 0; atomic_read(&s->disk->reads) < nr && naps < 500; naps++)
		msleep(20);
	KUNIT_ASSERT_EQ(test, nr, atomic_read(&s->disk->reads));
}

static void getters_wait_for_the_first(struct kunit *test)
{
	struct source *s = plain_source(test);
	struct getter g[4];
	unsigned int i;

	ram_disk_hold(s->disk);
	getter_start(test, &g[0], s);
	wait_for_reads(test, s, 1);
	/* One that is to be written to does not wait. */
	s->p.image.writable = true;
	expect_error(test, s, -EBUSY);
	s->p.image.writable = false;
	for (i = 1; i < ARRAY_SIZE(g); i++)
		getter_start(test, &g[i], s);
	msleep(20);
	for (i = 0; i < ARRAY_SIZE(g); i++)
		KUNIT_EXPECT_FALSE(test, completion_done(&g[i].done));
	ram_disk_release(s->disk);
	for (i = 0; i < ARRAY_SIZE(g); i++) {
		wait_for_completion(&g[i].done);
		KUNIT_EXPECT_PTR_EQ(test, g[0].layer, g[i].layer);
		KUNIT_ASSERT_FALSE(test, IS_ERR(g[i].layer));
	}
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&s->opens));
	for (i = 0; i < ARRAY_SIZE(g); i++)
		qcow_layer_put(g[i].layer);
}

static void getters_try_themselves_after_a_failure(struct kunit *test)
{
	struct source *s = plain_source(test);
	struct getter g[4];
	unsigned int i, failed = 0;

	ram_disk_hold(s->disk);
	ram_disk_fail(s->disk, 1, -EIO);
	for (i = 0; i < ARRAY_SIZE(g); i++)
		getter_start(test, &g[i], s);
	wait_for_reads(test, s, 1);
	msleep(20);
	ram_disk_release(s->disk);
	for (i = 0; i < ARRAY_SIZE(g); i++) {
		wait_for_completion(&g[i].done);
		if (!IS_ERR(g[i].layer)) {
			qcow_layer_put(g[i].layer);
			continue;
		}
		KUNIT_EXPECT_EQ(test, -EIO, PTR_ERR(g[i].layer));
		failed++;
	}
	KUNIT_EXPECT_EQ(test, 1U, failed);

	s->fail = -ENOMEM;
	expect_error(test, s, -ENOMEM);
	qcow_layer_put(expect_layer(test, s));
}

static void getter_that_is_killed_gives_up(struct kunit *test)
{
	struct source *s = plain_source(test);
	struct getter first, second;

	ram_disk_hold(s->disk);
	getter_start(test, &first, s);
	wait_for_reads(test, s, 1);
	getter_start(test, &second, s);
	msleep(20);
	KUNIT_EXPECT_FALSE(test, completion_done(&second.done));
	send_sig(SIGKILL, second.task, 1);
	wait_for_completion(&second.done);
	KUNIT_EXPECT_EQ(test, -EINTR, PTR_ERR_OR_ZERO(second.layer));
	KUNIT_EXPECT_FALSE(test, completion_done(&first.done));
	ram_disk_release(s->disk);
	wait_for_completion(&first.done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(first.layer));
	qcow_layer_put(first.layer);
}

#define STRESS_THREADS	4
#define STRESS_ROUNDS	300

/* A thread that builds chains of two layers and takes them apart. */
struct stress {
	struct source base;
	struct source over;
	struct rnd_state rnd;
	unsigned int wrong;
	unsigned int busy;
	struct completion done;
};

static int stress_run(void *data)
{
	struct stress *s = data;
	struct qcow_image *layer;
	unsigned int i;

	for (i = 0; i < STRESS_ROUNDS; i++) {
		s->over.p.backing = qcow_layer_get(&s->base.p, NULL);
		if (IS_ERR(s->over.p.backing)) {
			s->wrong++;
			continue;
		}
		s->over.p.image.writable = !(prandom_u32_state(&s->rnd) & 3);
		layer = qcow_layer_get(&s->over.p, NULL);
		if (IS_ERR(layer)) {
			s->wrong += PTR_ERR(layer) != -EBUSY;
			s->busy++;
			qcow_layer_put(s->over.p.backing);
			continue;
		}
		s->wrong += layer->size != SZ_1M || layer->backing->size != SZ_1M;
		if (prandom_u32_state(&s->rnd) & 1)
			cond_resched();
		qcow_layer_put(layer);
	}
	complete(&s->done);
	return 0;
}

/* The last put of a layer comes beside the next get of it, again and again. */
static void layers_come_and_go(struct kunit *test)
{
	struct stress *s = kunit_kcalloc(test, STRESS_THREADS, sizeof(*s), GFP_KERNEL);
	struct source *base = plain_source(test), *over = plain_source(test);
	u32 seed = get_random_u32();
	struct task_struct *task;
	unsigned int i, busy = 0, opens = 0;

	KUNIT_ASSERT_NOT_NULL(test, s);
	kunit_info(test, "seed %u", seed);
	for (i = 0; i < STRESS_THREADS; i++) {
		s[i].base = *base;
		s[i].over = *over;
		prandom_seed_state(&s[i].rnd, seed + i);
		init_completion(&s[i].done);
		task = kthread_run(stress_run, &s[i], "qcow-stress");
		KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	}
	for (i = 0; i < STRESS_THREADS; i++) {
		wait_for_completion(&s[i].done);
		KUNIT_EXPECT_EQ(test, 0U, s[i].wrong);
		busy += s[i].busy;
		opens += atomic_read(&s[i].base.opens);
	}
	kunit_info(test, "the base was opened %u times, %u were busy", opens, busy);
	KUNIT_EXPECT_LT(test, opens, (unsigned int)STRESS_THREADS * STRESS_ROUNDS);
	/* None of them is left. */
	over->p.image.writable = true;
	qcow_layer_put(expect_layer(test, over));
	base->p.image.writable = true;
	qcow_layer_put(expect_layer(test, base));
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
	KUNIT_CASE(layer_is_read_once),
	KUNIT_CASE(chains_share_from_the_bottom_up),
	KUNIT_CASE(other_states_and_modes_are_other_layers),
	KUNIT_CASE(cache_grows_with_its_users),
	KUNIT_CASE(writer_is_alone),
	KUNIT_CASE(data_file_counts_as_well),
	KUNIT_CASE(change_is_noticed),
	KUNIT_CASE(other_header_is_noticed),
	KUNIT_CASE(other_key_is_noticed),
	KUNIT_CASE(direct_io_is_not_pretended),
	KUNIT_CASE(getters_wait_for_the_first),
	KUNIT_CASE(getters_try_themselves_after_a_failure),
	KUNIT_CASE(getter_that_is_killed_gives_up),
	KUNIT_CASE(layers_come_and_go),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_layer",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
