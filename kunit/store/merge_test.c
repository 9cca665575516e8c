// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the merging of writes, on a store that only notes what it is asked for.
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include "store/merge.h"
#include "store/store.h"

#define MAX_IOS		16
#define MAX_CALLS	32

/**
 * struct fixture - a queue of writes and what it does
 * @test: that runs
 * @store: notes
 * @merge: of @store
 * @ios: writes
 * @bvecs: their memory, two pieces each
 * @ended: calls of their completion
 * @errs: its errors
 * @fail: the error of every call of more than one write
 * @pos: of each call
 * @len: of each call
 * @segs: pieces of memory of each call
 * @in_order: the memory of each call was that of its writes, one after the other
 * @nr: of calls
 */
struct fixture {
	struct kunit *test;
	struct qcow_store store;
	struct qcow_merge merge;
	struct qcow_io ios[MAX_IOS];
	struct bio_vec bvecs[MAX_IOS][2];
	unsigned int ended[MAX_IOS];
	int errs[MAX_IOS];
	int fail;
	u64 pos[MAX_CALLS];
	u32 len[MAX_CALLS];
	unsigned int segs[MAX_CALLS];
	bool in_order;
	unsigned int nr;
};

static struct fixture *fixture_of(struct qcow_store *store)
{
	return container_of(store, struct fixture, store);
}

/* The memory is that of the writes: any page will do, its offset tells whose it is. */
static void expect_memory(struct fixture *f, const struct qcow_io *io)
{
	struct iov_iter iter = io->iter;
	u64 pos = io->pos;
	unsigned int i;

	if (iov_iter_count(&iter) < io->len)
		f->in_order = false;
	for (i = 0; i < MAX_IOS; i++) {
		const struct qcow_io *part = &f->ios[i];
		size_t at;

		if (part->pos != pos || !part->len || pos >= io->pos + io->len)
			continue;
		for (at = 0; at < part->len; at += SECTOR_SIZE) {
			const struct bio_vec *want = &f->bvecs[i][at >= f->bvecs[i][0].bv_len];
			u32 skip = want == f->bvecs[i] ? at : at - f->bvecs[i][0].bv_len;

			if (iter.bvec->bv_page != want->bv_page ||
			    iter.bvec->bv_offset + iter.iov_offset != want->bv_offset + skip)
				f->in_order = false;
			iov_iter_advance(&iter, SECTOR_SIZE);
		}
		pos += part->len;
		i = -1;
	}
	if (pos != io->pos + io->len)
		f->in_order = false;
}

static void note(struct qcow_store *store, struct qcow_io *io)
{
	struct fixture *f = fixture_of(store);
	bool merged = io < f->ios || io >= f->ios + MAX_IOS;

	if (f->nr < MAX_CALLS) {
		f->pos[f->nr] = io->pos;
		f->len[f->nr] = io->len;
		f->segs[f->nr] = io->iter.nr_segs;
	}
	expect_memory(f, io);
	f->nr++;
	io->complete(io, merged ? f->fail : 0);
}

static const struct qcow_store_ops note_ops = { .name = "note", .submit = note };

static void ended(struct qcow_io *io, int err)
{
	struct fixture *f = fixture_of(io->store);
	unsigned int i = io - f->ios;

	f->ended[i]++;
	f->errs[i] = err;
}

static struct fixture *fixture_create(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	f->store.ops = &note_ops;
	f->in_order = true;
	qcow_merge_init(&f->merge, &f->store, system_unbound_wq);
	return f;
}

/* A write of @len bytes at @pos in two pieces of memory, the first a sector long. */
static void io_init(struct fixture *f, unsigned int i, u64 pos, u32 len)
{
	struct qcow_io *io = &f->ios[i];

	bvec_set_page(&f->bvecs[i][0], ZERO_PAGE(0), SECTOR_SIZE, i * SECTOR_SIZE);
	bvec_set_page(&f->bvecs[i][1], ZERO_PAGE(0), SZ_1M, (i + MAX_IOS) * SECTOR_SIZE);
	*io = (struct qcow_io) {
		.store = &f->store, .pos = pos, .len = len, .write = true, .complete = ended,
	};
	/* More memory than is written, as a fragment of a longer request has. */
	iov_iter_bvec(&io->iter, ITER_SOURCE, f->bvecs[i], 2, SECTOR_SIZE + SZ_1M);
}

/* Writes are added in this order, and go down. */
static void run(struct fixture *f, unsigned int nr, const unsigned int *order)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		qcow_merge_add(&f->merge, &f->ios[order[i]]);
	qcow_merge_kick(&f->merge);
	/* The parts of one that fails queue it again. */
	while (flush_work(&f->merge.work))
		;
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ_MSG(f->test, 1, f->ended[order[i]], "write %u", order[i]);
	KUNIT_EXPECT_TRUE(f->test, f->in_order);
}

static void expect_call(struct fixture *f, unsigned int nr, u64 pos, u32 len)
{
	KUNIT_EXPECT_EQ_MSG(f->test, pos, f->pos[nr], "call %u", nr);
	KUNIT_EXPECT_EQ_MSG(f->test, len, f->len[nr], "call %u", nr);
}

static void one_goes_as_it_is(struct kunit *test)
{
	static const unsigned int order[] = { 0 };
	struct fixture *f = fixture_create(test);

	io_init(f, 0, SZ_64K, SZ_4K);
	run(f, 1, order);
	KUNIT_EXPECT_EQ(test, 1, f->nr);
	expect_call(f, 0, SZ_64K, SZ_4K);
}

static void neighbours_are_merged(struct kunit *test)
{
	static const unsigned int order[] = { 0, 3, 1, 4, 2 };
	struct fixture *f = fixture_create(test);

	io_init(f, 0, SZ_1M, SZ_4K);
	io_init(f, 1, 0, SZ_4K);
	io_init(f, 2, SZ_4K, SZ_8K);
	io_init(f, 3, SZ_4K + SZ_8K, SZ_4K);
	io_init(f, 4, SZ_64K, SECTOR_SIZE);
	run(f, 5, order);
	KUNIT_EXPECT_EQ(test, 3, f->nr);
	expect_call(f, 0, 0, SZ_16K);
	KUNIT_EXPECT_EQ(test, 6, f->segs[0]);
	expect_call(f, 1, SZ_64K, SECTOR_SIZE);
	expect_call(f, 2, SZ_1M, SZ_4K);
}

static void not_without_end(struct kunit *test)
{
	static const unsigned int order[] = { 0, 1, 2 };
	struct fixture *f = fixture_create(test);

	io_init(f, 0, 0, SZ_512K);
	io_init(f, 1, SZ_512K, SZ_512K);
	io_init(f, 2, SZ_1M, SZ_4K);
	run(f, 3, order);
	KUNIT_EXPECT_EQ(test, 2, f->nr);
	expect_call(f, 0, 0, SZ_1M);
	expect_call(f, 1, SZ_1M, SZ_4K);
}

/* Each of those that failed together is tried by itself, and has its own outcome. */
static void failed_ones_go_alone(struct kunit *test)
{
	static const unsigned int order[] = { 0, 1, 2, 3 };
	struct fixture *f = fixture_create(test);

	f->fail = -EIO;
	io_init(f, 0, SZ_1M, SZ_4K);
	io_init(f, 1, 0, SZ_4K);
	io_init(f, 2, SZ_4K, SZ_4K);
	io_init(f, 3, SZ_8K, SZ_4K);
	run(f, 4, order);
	KUNIT_EXPECT_EQ(test, 5, f->nr);
	expect_call(f, 0, 0, SZ_8K + SZ_4K);
	expect_call(f, 1, SZ_1M, SZ_4K);
	expect_call(f, 2, 0, SZ_4K);
	expect_call(f, 3, SZ_4K, SZ_4K);
	expect_call(f, 4, SZ_8K, SZ_4K);
	KUNIT_EXPECT_EQ(test, 0, f->errs[2]);
}

#define ROUNDS	700

/**
 * struct adder - a thread that adds a write again as soon as it has ended
 * @work: the thread
 * @f: the fixture
 * @nr: of its write
 */
struct adder {
	struct work_struct work;
	struct fixture *f;
	unsigned int nr;
};

static void adder_work(struct work_struct *work)
{
	struct adder *adder = container_of(work, struct adder, work);
	struct fixture *f = adder->f;
	unsigned int round;

	for (round = 1; round <= ROUNDS; round++) {
		qcow_merge_add(&f->merge, &f->ios[adder->nr]);
		qcow_merge_kick(&f->merge);
		while (READ_ONCE(f->ended[adder->nr]) < round)
			cond_resched();
	}
}

/* None is lost and none is written twice, whatever comes while others go down. */
static void threads_add_at_once(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct adder adders[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(adders); i++) {
		io_init(f, i, i * SZ_4K, SZ_4K);
		adders[i] = (struct adder) { .f = f, .nr = i };
		INIT_WORK_ONSTACK(&adders[i].work, adder_work);
		queue_work(system_unbound_wq, &adders[i].work);
	}
	for (i = 0; i < ARRAY_SIZE(adders); i++) {
		flush_work(&adders[i].work);
		destroy_work_on_stack(&adders[i].work);
		KUNIT_EXPECT_EQ(test, ROUNDS, f->ended[i]);
	}
	flush_work(&f->merge.work);
	KUNIT_EXPECT_TRUE(test, f->in_order);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->merge.waiting));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(one_goes_as_it_is),
	KUNIT_CASE(neighbours_are_merged),
	KUNIT_CASE(not_without_end),
	KUNIT_CASE(failed_ones_go_alone),
	KUNIT_CASE(threads_add_at_once),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_merge",
	.test_cases = cases,
};

kunit_test_suite(suite);
