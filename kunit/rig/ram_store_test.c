// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the RAM store: that it loses what a disk may lose and keeps what one must keep,
 * and fails the calls that it is told to.
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "store/store.h"
#include "rig/ram_store.h"

#define NR_SEEDS	128
#define SECTORS		8
#define BYTES		(SECTORS * SECTOR_SIZE)

struct fixture {
	struct kunit *test;
	struct ram_disk *disk;
	struct qcow_store *store;
	u8 *buf;
};

static void fixture_close(void *data)
{
	struct fixture *f = data;

	qcow_store_destroy(f->store);
}

/* A disk of sixteen sectors, the first half of it in use and full of 'a'. */
static struct fixture *fixture_create(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	f->buf = kunit_kzalloc(test, roundup_pow_of_two(BYTES), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->buf);
	f->disk = ram_disk_create(test, 2 * BYTES);
	f->disk->bytes = BYTES;
	memset(f->disk->data, 'a', BYTES);
	f->store = ram_store_create(test, f->disk);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, fixture_close, f));
	return f;
}

/* As at first, whatever a cut has left. */
static void reset(struct fixture *f)
{
	KUNIT_ASSERT_EQ(f->test, 0, f->store->ops->flush(f->store));
	f->disk->bytes = BYTES;
	f->store->bytes = BYTES;
	memset(f->disk->data, 'a', BYTES);
	memset(f->disk->data + BYTES, 0, BYTES);
}

static int put(struct fixture *f, char c, u64 pos, size_t len)
{
	ssize_t ret;

	memset(f->buf, c, len);
	ret = f->store->ops->write(f->store, f->buf, pos, len);
	if (ret < 0)
		return ret;
	KUNIT_EXPECT_EQ(f->test, (ssize_t)len, ret);
	return 0;
}

static int get(struct fixture *f, u64 pos, size_t len)
{
	return min_t(ssize_t, f->store->ops->read(f->store, f->buf, pos, len), 0);
}

/* Sectors of @c in the first half; every sector has to be of one byte. */
static unsigned int count(struct fixture *f, char c)
{
	unsigned int i, nr = 0;

	for (i = 0; i < SECTORS; i++) {
		const u8 *sector = f->disk->data + i * SECTOR_SIZE;

		KUNIT_EXPECT_NULL(f->test, memchr_inv(sector, sector[0], SECTOR_SIZE));
		nr += sector[0] == c;
	}
	return nr;
}

static void unflushed_write_is_kept_lost_or_torn(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	unsigned int kept = 0, lost = 0, torn = 0;
	u64 seed;

	for (seed = 0; seed < NR_SEEDS; seed++) {
		unsigned int nr;

		reset(f);
		KUNIT_ASSERT_EQ(test, 0, put(f, 'b', 0, BYTES));
		KUNIT_ASSERT_EQ(test, SECTORS, count(f, 'b'));
		KUNIT_ASSERT_EQ(test, 1, f->disk->nr_pending);
		ram_disk_cut(f->disk, seed);
		KUNIT_ASSERT_EQ(test, 0, f->disk->nr_pending);
		nr = count(f, 'b');
		KUNIT_ASSERT_EQ(test, SECTORS, nr + count(f, 'a'));
		kept += nr == SECTORS;
		lost += nr == 0;
		torn += nr > 0 && nr < SECTORS;
	}
	KUNIT_EXPECT_GT(test, kept, NR_SEEDS / 8);
	KUNIT_EXPECT_GT(test, lost, NR_SEEDS / 8);
	KUNIT_EXPECT_GT(test, torn, NR_SEEDS / 8);
}

static void flushed_write_stays(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	u64 seed;

	for (seed = 0; seed < NR_SEEDS; seed++) {
		reset(f);
		KUNIT_ASSERT_EQ(test, 0, put(f, 'b', 0, BYTES));
		KUNIT_ASSERT_EQ(test, 0, f->store->ops->flush(f->store));
		KUNIT_ASSERT_EQ(test, 0, f->disk->nr_pending);
		KUNIT_ASSERT_EQ(test, 0, put(f, 'c', 0, SECTOR_SIZE));
		ram_disk_cut(f->disk, seed);
		KUNIT_ASSERT_EQ(test, SECTORS, count(f, 'b') + count(f, 'c'));
		KUNIT_ASSERT_GE(test, count(f, 'b'), SECTORS - 1);
	}
}

static void same_seed_same_cut(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	u8 *first = kunit_kzalloc(test, BYTES, GFP_KERNEL);
	u64 seed;

	KUNIT_ASSERT_NOT_NULL(test, first);
	for (seed = 0; seed < 2 * NR_SEEDS; seed++) {
		reset(f);
		KUNIT_ASSERT_EQ(test, 0, put(f, 'b', 0, BYTES));
		KUNIT_ASSERT_EQ(test, 0, put(f, 'c', SECTOR_SIZE, BYTES - SECTOR_SIZE));
		ram_disk_cut(f->disk, seed / 2);
		if (seed & 1)
			KUNIT_ASSERT_MEMEQ(test, first, f->disk->data, BYTES);
		memcpy(first, f->disk->data, BYTES);
	}
}

/* Of two writes to one sector the first may be all that is left, but never comes after. */
static void cut_keeps_the_order(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	unsigned int nr[3] = {};
	u64 seed;

	for (seed = 0; seed < NR_SEEDS; seed++) {
		reset(f);
		KUNIT_ASSERT_EQ(test, 0, put(f, 'b', 0, SECTOR_SIZE));
		KUNIT_ASSERT_EQ(test, 0, put(f, 'c', 0, SECTOR_SIZE));
		ram_disk_cut(f->disk, seed);
		KUNIT_ASSERT_GE(test, f->disk->data[0], 'a');
		KUNIT_ASSERT_LE(test, f->disk->data[0], 'c');
		nr[f->disk->data[0] - 'a']++;
	}
	/* The later write has been made in half of the cases, whatever became of the earlier. */
	KUNIT_EXPECT_GT(test, nr[0], NR_SEEDS / 8);
	KUNIT_EXPECT_GT(test, nr[1], NR_SEEDS / 8);
	KUNIT_EXPECT_GT(test, nr[2], NR_SEEDS / 3);
}

static void unflushed_punch_is_undone(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	unsigned int lost = 0, kept = 0;
	u64 seed;

	for (seed = 0; seed < NR_SEEDS; seed++) {
		reset(f);
		KUNIT_ASSERT_EQ(test, 0, f->store->ops->punch(f->store, 0, BYTES));
		KUNIT_ASSERT_EQ(test, SECTORS, count(f, 0));
		ram_disk_cut(f->disk, seed);
		KUNIT_ASSERT_EQ(test, SECTORS, count(f, 0) + count(f, 'a'));
		kept += count(f, 0) == SECTORS;
		lost += count(f, 0) == 0;
	}
	KUNIT_EXPECT_GT(test, kept, 0);
	KUNIT_EXPECT_GT(test, lost, 0);
}

/* What was written behind an end that did not come to be is gone. */
static void unflushed_growth_is_kept_or_lost(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	unsigned int lost = 0, zero = 0, full = 0;
	u64 seed;

	for (seed = 0; seed < NR_SEEDS; seed++) {
		const u8 *added = f->disk->data + BYTES;

		reset(f);
		KUNIT_ASSERT_EQ(test, 0, f->store->ops->resize(f->store, BYTES + SECTOR_SIZE, 0));
		KUNIT_ASSERT_EQ(test, (u64)BYTES + SECTOR_SIZE, f->store->bytes);
		KUNIT_ASSERT_EQ(test, 0, put(f, 'b', BYTES, SECTOR_SIZE));
		ram_disk_cut(f->disk, seed);
		KUNIT_ASSERT_EQ(test, SECTORS, count(f, 'a'));
		KUNIT_ASSERT_NULL(test, memchr_inv(added, added[0], SECTOR_SIZE));
		if (f->disk->bytes == BYTES) {
			lost++;
			KUNIT_ASSERT_EQ(test, 0, added[0]);
			continue;
		}
		KUNIT_ASSERT_EQ(test, (u64)BYTES + SECTOR_SIZE, f->disk->bytes);
		zero += added[0] == 0;
		full += added[0] == 'b';
	}
	KUNIT_EXPECT_GT(test, lost, NR_SEEDS / 8);
	KUNIT_EXPECT_GT(test, zero, NR_SEEDS / 16);
	KUNIT_EXPECT_GT(test, full, NR_SEEDS / 16);
	KUNIT_EXPECT_EQ(test, NR_SEEDS, lost + zero + full);
}

static void unflushed_truncation_brings_bytes_back(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	unsigned int lost = 0;
	u64 seed;

	for (seed = 0; seed < NR_SEEDS; seed++) {
		reset(f);
		KUNIT_ASSERT_EQ(test, 0, f->store->ops->resize(f->store, SECTOR_SIZE, 0));
		KUNIT_ASSERT_EQ(test, SECTORS - 1, count(f, 0));
		ram_disk_cut(f->disk, seed);
		lost += f->disk->bytes == BYTES;
		KUNIT_ASSERT_EQ(test, f->disk->bytes == BYTES ? SECTORS : 1, count(f, 'a'));
	}
	KUNIT_EXPECT_GT(test, lost, NR_SEEDS / 8);
	KUNIT_EXPECT_LT(test, lost, NR_SEEDS * 7 / 8);
}

static void what_is_added_reads_as_zeros(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	memset(f->disk->data + BYTES, 'x', BYTES);
	KUNIT_EXPECT_EQ(test, 0, f->store->ops->resize(f->store, 2 * BYTES, 0));
	KUNIT_EXPECT_EQ(test, 0, get(f, BYTES, BYTES));
	KUNIT_EXPECT_NULL(test, memchr_inv(f->buf, 0, BYTES));
	KUNIT_EXPECT_EQ(test, -ENOSPC, f->store->ops->resize(f->store, 2 * BYTES + 1, 0));
	KUNIT_EXPECT_EQ(test, 2ULL * BYTES, f->store->bytes);
}

/* The calls of call() in order, one of a kind. */
enum { CALL_READ, CALL_WRITE, CALL_FLUSH, CALL_RESIZE, CALL_PUNCH, NR_CALLS };

static int call(struct fixture *f, unsigned int kind)
{
	switch (kind) {
	case CALL_READ:
		return get(f, 0, BYTES);
	case CALL_WRITE:
		return put(f, 'b', 0, SECTOR_SIZE);
	case CALL_FLUSH:
		return f->store->ops->flush(f->store);
	case CALL_RESIZE:
		return f->store->ops->resize(f->store, BYTES + SECTOR_SIZE, 0);
	default:
		return f->store->ops->punch(f->store, SECTOR_SIZE, SECTOR_SIZE);
	}
}

static void nth_call_fails(struct kunit *test)
{
	unsigned int nth, kind;

	for (nth = 0; nth <= NR_CALLS; nth++) {
		struct fixture *f = fixture_create(test);

		ram_disk_fail_call(f->disk, nth, -ENOMEM);
		for (kind = 0; kind < NR_CALLS; kind++)
			KUNIT_EXPECT_EQ(test, kind + 1 == nth ? -ENOMEM : 0, call(f, kind));
		KUNIT_EXPECT_EQ(test, NR_CALLS, atomic_read(&f->disk->calls));
		KUNIT_EXPECT_EQ(test, NR_CALLS - 1, atomic_read(&f->disk->changes));
	}
}

static void nth_change_fails(struct kunit *test)
{
	unsigned int nth, kind;

	for (nth = 1; nth < NR_CALLS; nth++) {
		struct fixture *f = fixture_create(test);

		ram_disk_fail_change(f->disk, nth, -EIO);
		for (kind = 0; kind < NR_CALLS; kind++)
			KUNIT_EXPECT_EQ(test, kind == nth ? -EIO : 0, call(f, kind));
	}
}

static void nth_read_fails(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	ram_disk_fail(f->disk, 2, -EIO);
	KUNIT_EXPECT_EQ(test, 0, get(f, 0, BYTES));
	KUNIT_EXPECT_EQ(test, 0, put(f, 'b', 0, BYTES));
	KUNIT_EXPECT_EQ(test, -EIO, get(f, 0, BYTES));
	KUNIT_EXPECT_EQ(test, 0, get(f, 0, BYTES));
}

static void failed_call_changes_nothing(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	unsigned int kind;

	for (kind = CALL_WRITE; kind < NR_CALLS; kind++) {
		ram_disk_fail_call(f->disk, 1, -EIO);
		KUNIT_EXPECT_EQ(test, -EIO, call(f, kind));
		KUNIT_EXPECT_EQ(test, SECTORS, count(f, 'a'));
		KUNIT_EXPECT_EQ(test, (u64)BYTES, f->disk->bytes);
		KUNIT_EXPECT_EQ(test, (u64)BYTES, f->store->bytes);
		KUNIT_EXPECT_EQ(test, 0, f->disk->nr_pending);
	}
}

static void failed_flush_leaves_all_unflushed(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	KUNIT_EXPECT_EQ(test, 0, put(f, 'b', 0, BYTES));
	ram_disk_fail_change(f->disk, 1, -EIO);
	KUNIT_EXPECT_EQ(test, -EIO, f->store->ops->flush(f->store));
	KUNIT_EXPECT_EQ(test, 1, f->disk->nr_pending);
}

static void calls_are_counted(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	unsigned int kind;

	for (kind = 0; kind < NR_CALLS; kind++)
		KUNIT_EXPECT_EQ(test, 0, call(f, kind));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->reads));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->writes));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->flushes));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->resizes));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->punches));
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&f->disk->submits));
}

static void power_off_fails_all_until_the_cut(struct kunit *test)
{
	unsigned int nth, kind;

	for (nth = 1; nth < NR_CALLS; nth++) {
		struct fixture *f = fixture_create(test);

		ram_disk_power_off_at(f->disk, nth);
		for (kind = 0; kind < NR_CALLS; kind++)
			KUNIT_EXPECT_EQ(test, kind < nth ? 0 : -EIO, call(f, kind));
		for (kind = 0; kind < NR_CALLS; kind++)
			KUNIT_EXPECT_EQ(test, -EIO, call(f, kind));
		ram_disk_cut(f->disk, nth);
		f->store->bytes = f->disk->bytes;
		for (kind = 0; kind < NR_CALLS; kind++)
			KUNIT_EXPECT_EQ(test, 0, call(f, kind));
	}
}

/* The write with which the power goes fails, and may be on the disk all the same. */
static void write_at_power_off_may_be_there(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	unsigned int kept = 0, lost = 0, torn = 0;
	u64 seed;

	for (seed = 0; seed < NR_SEEDS; seed++) {
		unsigned int nr;

		reset(f);
		ram_disk_power_off_at(f->disk, 1);
		KUNIT_ASSERT_EQ(test, -EIO, put(f, 'b', 0, BYTES));
		KUNIT_ASSERT_EQ(test, -EIO, put(f, 'c', 0, BYTES));
		KUNIT_ASSERT_EQ(test, SECTORS, count(f, 'a'));
		ram_disk_cut(f->disk, seed);
		nr = count(f, 'b');
		KUNIT_ASSERT_EQ(test, SECTORS, nr + count(f, 'a'));
		kept += nr == SECTORS;
		lost += nr == 0;
		torn += nr > 0 && nr < SECTORS;
	}
	KUNIT_EXPECT_GT(test, kept, 0);
	KUNIT_EXPECT_GT(test, lost, 0);
	KUNIT_EXPECT_GT(test, torn, 0);
}

/* A submitted I/O over two pieces of memory. */
struct submitted {
	struct qcow_io io;
	struct bio_vec bvecs[2];
	struct completion done;
	int err;
};

static void submitted_complete(struct qcow_io *io, int err)
{
	struct submitted *s = container_of(io, struct submitted, io);

	s->err = err;
	complete(&s->done);
}

static void submit(struct fixture *f, struct submitted *s, bool write)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		u8 *half = f->buf + i * BYTES / 2;

		bvec_set_page(&s->bvecs[i], virt_to_page(half), BYTES / 2, offset_in_page(half));
	}
	init_completion(&s->done);
	s->io = (struct qcow_io) {
		.store = f->store, .len = BYTES, .write = write, .complete = submitted_complete,
	};
	iov_iter_bvec(&s->io.iter, write ? ITER_SOURCE : ITER_DEST, s->bvecs, 2, BYTES);
	f->store->ops->submit(f->store, &s->io);
}

static int submit_and_wait(struct fixture *f, bool write)
{
	struct submitted *s = kunit_kzalloc(f->test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(f->test, s);
	submit(f, s, write);
	wait_for_completion(&s->done);
	KUNIT_EXPECT_EQ(f->test, s->err ? 0 : BYTES, s->io.done);
	return s->err;
}

static void submitted_io(struct kunit *test, bool inline_submit)
{
	struct fixture *f = fixture_create(test);

	f->disk->inline_submit = inline_submit;
	memset(f->buf, 'b', BYTES);
	KUNIT_EXPECT_EQ(test, 0, submit_and_wait(f, true));
	KUNIT_EXPECT_EQ(test, SECTORS, count(f, 'b'));
	KUNIT_EXPECT_EQ(test, 1, f->disk->nr_pending);

	memset(f->buf, 0, BYTES);
	KUNIT_EXPECT_EQ(test, 0, submit_and_wait(f, false));
	KUNIT_EXPECT_NULL(test, memchr_inv(f->buf, 'b', BYTES));

	ram_disk_fail_change(f->disk, 1, -ENOSPC);
	KUNIT_EXPECT_EQ(test, 0, submit_and_wait(f, false));
	KUNIT_EXPECT_EQ(test, -ENOSPC, submit_and_wait(f, true));
	KUNIT_EXPECT_EQ(test, 4, atomic_read(&f->disk->submits));
	KUNIT_EXPECT_EQ(test, 2, atomic_read(&f->disk->reads));
	KUNIT_EXPECT_EQ(test, 2, atomic_read(&f->disk->writes));
}

static void submit_completes_from_a_worker(struct kunit *test)
{
	submitted_io(test, false);
}

static void submit_completes_inline(struct kunit *test)
{
	submitted_io(test, true);
}

static void cut_waits_for_what_is_held(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct submitted *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	memset(f->buf, 'b', BYTES);
	ram_disk_hold(f->disk);
	submit(f, s, true);
	KUNIT_EXPECT_FALSE(test, try_wait_for_completion(&s->done));
	KUNIT_EXPECT_EQ(test, SECTORS, count(f, 'a'));
	ram_disk_cut(f->disk, 1);
	KUNIT_EXPECT_TRUE(test, try_wait_for_completion(&s->done));
	KUNIT_EXPECT_EQ(test, -EIO, s->err);
	KUNIT_EXPECT_EQ(test, SECTORS, count(f, 'a') + count(f, 'b'));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(unflushed_write_is_kept_lost_or_torn),
	KUNIT_CASE(flushed_write_stays),
	KUNIT_CASE(same_seed_same_cut),
	KUNIT_CASE(cut_keeps_the_order),
	KUNIT_CASE(unflushed_punch_is_undone),
	KUNIT_CASE(unflushed_growth_is_kept_or_lost),
	KUNIT_CASE(unflushed_truncation_brings_bytes_back),
	KUNIT_CASE(what_is_added_reads_as_zeros),
	KUNIT_CASE(nth_call_fails),
	KUNIT_CASE(nth_change_fails),
	KUNIT_CASE(nth_read_fails),
	KUNIT_CASE(failed_call_changes_nothing),
	KUNIT_CASE(failed_flush_leaves_all_unflushed),
	KUNIT_CASE(calls_are_counted),
	KUNIT_CASE(power_off_fails_all_until_the_cut),
	KUNIT_CASE(write_at_power_off_may_be_there),
	KUNIT_CASE(submit_completes_from_a_worker),
	KUNIT_CASE(submit_completes_inline),
	KUNIT_CASE(cut_waits_for_what_is_held),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_ram_store",
	.test_cases = cases,
};

kunit_test_suite(suite);
