// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the joining of writes, on a store that only notes what it is asked for.
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include "data/join.h"
#include "store/store.h"

#define MAX_IOS		16
#define MAX_CALLS	32

/**
 * struct fixture - a joiner and what it does
 * @test: that runs
 * @store: notes
 * @joiner: of @store
 * @ios: writes
 * @bvecs: their memory, two pieces each
 * @ended: calls of their completion
 * @errs: its errors
 * @come: of @ios, those that come while the first is being submitted
 * @nr_come: how many
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
	struct qcow_joiner joiner;
	struct qcow_io ios[MAX_IOS];
	struct bio_vec bvecs[MAX_IOS][2];
	unsigned int ended[MAX_IOS];
	int errs[MAX_IOS];
	unsigned int come[MAX_IOS];
	unsigned int nr_come;
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
	bool joined = io < f->ios || io >= f->ios + MAX_IOS;
	unsigned int i;

	if (f->nr < MAX_CALLS) {
		f->pos[f->nr] = io->pos;
		f->len[f->nr] = io->len;
		f->segs[f->nr] = io->iter.nr_segs;
	}
	expect_memory(f, io);
	if (!f->nr++) {
		for (i = 0; i < f->nr_come; i++)
			qcow_join_submit(&f->joiner, &f->ios[f->come[i]]);
	}
	io->complete(io, joined ? f->fail : 0);
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
	qcow_joiner_init(&f->joiner, &f->store, system_unbound_wq);
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

/* Write number 0 goes down; the others come meanwhile, in this order. */
static void run(struct fixture *f, unsigned int nr, const unsigned int *order)
{
	unsigned int i;

	memcpy(f->come, order, nr * sizeof(*order));
	f->nr_come = nr;
	qcow_join_submit(&f->joiner, &f->ios[0]);
	flush_work(&f->joiner.work);
	for (i = 0; i <= nr; i++)
		KUNIT_EXPECT_EQ_MSG(f->test, 1, f->ended[i], "write %u", i);
	KUNIT_EXPECT_TRUE(f->test, f->in_order);
	KUNIT_EXPECT_FALSE(f->test, f->joiner.busy);
}

static void expect_call(struct fixture *f, unsigned int nr, u64 pos, u32 len)
{
	KUNIT_EXPECT_EQ_MSG(f->test, pos, f->pos[nr], "call %u", nr);
	KUNIT_EXPECT_EQ_MSG(f->test, len, f->len[nr], "call %u", nr);
}

static void one_goes_as_it_is(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	io_init(f, 0, SZ_64K, SZ_4K);
	run(f, 0, NULL);
	KUNIT_EXPECT_EQ(test, 1, f->nr);
	expect_call(f, 0, SZ_64K, SZ_4K);
}

static void neighbours_are_joined(struct kunit *test)
{
	static const unsigned int order[] = { 3, 1, 4, 2 };
	struct fixture *f = fixture_create(test);

	io_init(f, 0, SZ_1M, SZ_4K);
	io_init(f, 1, 0, SZ_4K);
	io_init(f, 2, SZ_4K, SZ_8K);
	io_init(f, 3, SZ_4K + SZ_8K, SZ_4K);
	io_init(f, 4, SZ_64K, SECTOR_SIZE);
	run(f, 4, order);
	KUNIT_EXPECT_EQ(test, 3, f->nr);
	expect_call(f, 1, 0, SZ_16K);
	KUNIT_EXPECT_EQ(test, 6, f->segs[1]);
	expect_call(f, 2, SZ_64K, SECTOR_SIZE);
}

static void not_without_end(struct kunit *test)
{
	static const unsigned int order[] = { 1, 2, 3 };
	struct fixture *f = fixture_create(test);

	io_init(f, 0, SZ_16M, SZ_4K);
	io_init(f, 1, 0, SZ_512K);
	io_init(f, 2, SZ_512K, SZ_512K);
	io_init(f, 3, SZ_1M, SZ_4K);
	run(f, 3, order);
	KUNIT_EXPECT_EQ(test, 3, f->nr);
	expect_call(f, 1, 0, SZ_1M);
	expect_call(f, 2, SZ_1M, SZ_4K);
}

/* Each of those that failed together is tried by itself, and has its own outcome. */
static void failed_ones_go_alone(struct kunit *test)
{
	static const unsigned int order[] = { 1, 2, 3 };
	struct fixture *f = fixture_create(test);

	f->fail = -EIO;
	io_init(f, 0, SZ_1M, SZ_4K);
	io_init(f, 1, 0, SZ_4K);
	io_init(f, 2, SZ_4K, SZ_4K);
	io_init(f, 3, SZ_8K, SZ_4K);
	run(f, 3, order);
	KUNIT_EXPECT_EQ(test, 5, f->nr);
	expect_call(f, 1, 0, SZ_8K + SZ_4K);
	expect_call(f, 2, 0, SZ_4K);
	expect_call(f, 3, SZ_4K, SZ_4K);
	expect_call(f, 4, SZ_8K, SZ_4K);
	KUNIT_EXPECT_EQ(test, 0, f->errs[2]);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(one_goes_as_it_is),
	KUNIT_CASE(neighbours_are_joined),
	KUNIT_CASE(not_without_end),
	KUNIT_CASE(failed_ones_go_alone),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_join",
	.test_cases = cases,
};

kunit_test_suite(suite);
