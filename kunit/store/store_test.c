// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of stores in general: writes, zeros and holes of any alignment over the RAM store,
 * against a copy in plain memory.
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "store/batch.h"
#include "store/store.h"
#include "rig/ram_store.h"

#define ROOM	SZ_512K
#define BYTES	(SZ_256K + 100)		/* the last block is not whole */

struct fixture {
	struct kunit *test;
	struct ram_disk *disk;
	struct qcow_store *store;
	struct rnd_state rnd;
	u8 *model;
	u8 *buf;
};

static void fixture_close(void *data)
{
	struct fixture *f = data;

	qcow_store_destroy(f->store);
}

static u8 *buffer(struct kunit *test, size_t bytes)
{
	u8 *buf = kunit_kmalloc(test, roundup_pow_of_two(bytes), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	return buf;
}

static struct fixture *fixture_create(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	f->model = buffer(test, ROOM);
	f->buf = buffer(test, ROOM);
	f->disk = ram_disk_create(test, ROOM);
	f->disk->bytes = BYTES;
	prandom_seed_state(&f->rnd, 1);
	prandom_bytes_state(&f->rnd, f->disk->data, BYTES);
	memcpy(f->model, f->disk->data, ROOM);
	f->store = ram_store_create(test, f->disk);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, fixture_close, f));
	return f;
}

/* Not a byte beside what was meant has changed; what is beyond the end has stayed zero. */
static void expect_model(struct fixture *f)
{
	KUNIT_EXPECT_EQ(f->test, 0, memcmp(f->model, f->disk->data, ROOM));
}

/* From an address that is as odd as the position where @odd. */
static int write_random(struct fixture *f, u64 pos, size_t len, bool odd)
{
	u8 *buf = f->buf + (odd ? 1 : 0);
	int err;

	prandom_bytes_state(&f->rnd, buf, len);
	err = qcow_store_write(f->store, buf, pos, len);
	if (!err)
		memcpy(f->model + pos, buf, len);
	return err;
}

static int zero(struct fixture *f, u64 pos, size_t len)
{
	int err = qcow_store_zero(f->store, pos, len);

	if (!err)
		memset(f->model + pos, 0, len);
	return err;
}

struct byte_range {
	const char *name;
	u64 pos;
	size_t len;
};

static const struct byte_range ranges[] = {
	{ .name = "nothing", .pos = 512, .len = 0 },
	{ .name = "one block", .pos = 512, .len = 512 },
	{ .name = "one byte at the start", .pos = 0, .len = 1 },
	{ .name = "one byte at the start of a block", .pos = 1024, .len = 1 },
	{ .name = "one byte at the end of a block", .pos = 1023, .len = 1 },
	{ .name = "within a block", .pos = 700, .len = 100 },
	{ .name = "one byte of two blocks each", .pos = 1023, .len = 2 },
	{ .name = "a block but for its first byte", .pos = 513, .len = 511 },
	{ .name = "a block but for its last byte", .pos = 512, .len = 511 },
	{ .name = "a block and the byte before", .pos = 511, .len = 513 },
	{ .name = "a block and the byte after", .pos = 512, .len = 513 },
	{ .name = "a block and a byte at either side", .pos = 511, .len = 514 },
	{ .name = "what a buffer holds", .pos = 4096, .len = SZ_64K },
	{ .name = "a byte less, odd", .pos = 4097, .len = SZ_64K - 1 },
	{ .name = "as much, odd", .pos = 4097, .len = SZ_64K },
	{ .name = "as much, from the last byte of a block", .pos = 4095, .len = SZ_64K },
	{ .name = "a byte more than a buffer holds", .pos = 4096, .len = SZ_64K + 1 },
	{ .name = "several buffers", .pos = 333, .len = 200000 },
	{ .name = "the last block, which is short", .pos = SZ_256K, .len = 100 },
	{ .name = "part of the last block", .pos = SZ_256K + 1, .len = 50 },
	{ .name = "the last byte", .pos = BYTES - 1, .len = 1 },
	{ .name = "up to the end", .pos = SZ_256K - 512, .len = 612 },
	{ .name = "all", .pos = 0, .len = BYTES },
};

static void range_describe(const struct byte_range *range, char *desc)
{
	strscpy(desc, range->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(ranges, ranges, range_describe);

static void write_changes_its_range(struct kunit *test)
{
	const struct byte_range *range = test->param_value;
	struct fixture *f = fixture_create(test);

	KUNIT_EXPECT_EQ(test, 0, write_random(f, range->pos, range->len, false));
	expect_model(f);
	KUNIT_EXPECT_EQ(test, 0, write_random(f, range->pos, range->len, true));
	expect_model(f);
}

static void short_writes_go_on(struct kunit *test)
{
	const struct byte_range *range = test->param_value;
	struct fixture *f = fixture_create(test);

	f->disk->max_bytes = 1024;
	KUNIT_EXPECT_EQ(test, 0, write_random(f, range->pos, range->len, false));
	expect_model(f);
	/* A block that was not finished is begun again. */
	f->disk->max_bytes = 700;
	KUNIT_EXPECT_EQ(test, 0, write_random(f, range->pos, range->len, true));
	expect_model(f);
}

static void zero_changes_its_range(struct kunit *test)
{
	const struct byte_range *range = test->param_value;
	struct fixture *f = fixture_create(test);

	KUNIT_EXPECT_EQ(test, 0, zero(f, range->pos, range->len));
	expect_model(f);
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&f->disk->punches));
}

static void punch_takes_whole_blocks_inside(struct kunit *test)
{
	const struct byte_range *range = test->param_value;
	struct fixture *f = fixture_create(test);
	u64 start = round_up(range->pos, 512);
	u64 end = round_down(range->pos + range->len, 512);

	KUNIT_EXPECT_EQ(test, 0, qcow_store_punch(f->store, range->pos, range->len));
	if (start < end)
		memset(f->model + start, 0, end - start);
	expect_model(f);
	KUNIT_EXPECT_EQ(test, start < end, atomic_read(&f->disk->calls));
}

static void wipe_changes_its_range(struct kunit *test)
{
	const struct byte_range *range = test->param_value;
	struct fixture *f = fixture_create(test);

	KUNIT_EXPECT_EQ(test, 0, qcow_store_wipe(f->store, range->pos, range->len));
	memset(f->model + range->pos, 0, range->len);
	expect_model(f);
}

static void punch_that_is_not_possible(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	f->disk->no_punch = true;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, qcow_store_punch(f->store, 0, SZ_4K));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, qcow_store_wipe(f->store, 100, SZ_4K));
	expect_model(f);
}

static void aligned_write_is_one_call(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	KUNIT_EXPECT_EQ(test, 0, write_random(f, SZ_4K, SZ_128K, false));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->calls));
}

static void odd_write_reads_only_its_ends(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	KUNIT_EXPECT_EQ(test, 0, write_random(f, 1000, 10000, true));
	KUNIT_EXPECT_EQ(test, 2, atomic_read(&f->disk->reads));
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&f->disk->writes));
	KUNIT_EXPECT_EQ(test, 0, write_random(f, 512, 5120, true));
	KUNIT_EXPECT_EQ(test, 2, atomic_read(&f->disk->reads));
}

static void nothing_beyond_the_end(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	KUNIT_EXPECT_EQ(test, 0, write_random(f, BYTES - 512, 512, false));
	KUNIT_EXPECT_EQ(test, -ENODATA, write_random(f, BYTES - 511, 512, false));
	KUNIT_EXPECT_EQ(test, -ENODATA, write_random(f, BYTES, 1, false));
	KUNIT_EXPECT_EQ(test, 0, write_random(f, BYTES, 0, false));
	KUNIT_EXPECT_EQ(test, -ENODATA, qcow_store_write(f->store, f->buf, U64_MAX, 2));
	KUNIT_EXPECT_EQ(test, -ENODATA, qcow_store_zero(f->store, BYTES - 511, 512));
	KUNIT_EXPECT_EQ(test, -ENODATA, qcow_store_zero(f->store, 1, U64_MAX));
	KUNIT_EXPECT_EQ(test, -ENODATA, qcow_store_punch(f->store, BYTES - 511, 512));
	expect_model(f);
	KUNIT_EXPECT_EQ(test, (u64)BYTES, f->disk->bytes);
}

static void read_only_store_takes_nothing(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	f->store->writable = false;
	KUNIT_EXPECT_EQ(test, -EROFS, qcow_store_write(f->store, f->buf, 0, 512));
	KUNIT_EXPECT_EQ(test, -EROFS, qcow_store_zero(f->store, 0, 512));
	KUNIT_EXPECT_EQ(test, -EROFS, qcow_store_punch(f->store, 0, 512));
	KUNIT_EXPECT_EQ(test, -EROFS, qcow_store_resize(f->store, 512, 0));
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&f->disk->calls));
	expect_model(f);
}

static void resize_changes_the_length(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	KUNIT_EXPECT_EQ(test, 0, qcow_store_resize(f->store, BYTES, 0));
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&f->disk->calls));
	KUNIT_EXPECT_EQ(test, -ENOSPC, qcow_store_resize(f->store, ROOM + 1, 0));
	KUNIT_EXPECT_EQ(test, -EFBIG, qcow_store_resize(f->store, 1ULL << 63, 0));
	KUNIT_EXPECT_EQ(test, (u64)BYTES, f->store->bytes);

	KUNIT_EXPECT_EQ(test, 0, qcow_store_resize(f->store, ROOM, 0));
	KUNIT_EXPECT_EQ(test, (u64)ROOM, f->store->bytes);
	KUNIT_EXPECT_EQ(test, 0, write_random(f, BYTES - 1, ROOM - BYTES + 1, false));
	expect_model(f);
	KUNIT_EXPECT_EQ(test, 0, qcow_store_resize(f->store, SZ_4K, 0));
	KUNIT_EXPECT_EQ(test, (u64)SZ_4K, f->store->bytes);
	KUNIT_EXPECT_EQ(test, -ENODATA, write_random(f, SZ_4K, 1, false));
}

/* Every call of an odd write over two buffers fails once; what stands is old or new. */
static void every_failure_is_told(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	int nth, err = -EIO;

	for (nth = 1; err == -EIO && nth < 100; nth++) {
		ram_disk_fail_call(f->disk, nth, -EIO);
		err = write_random(f, 1000, SZ_64K, true);
	}
	KUNIT_EXPECT_EQ(test, 0, err);
	/* Two blocks read and two writes, and the attempt in which none failed. */
	KUNIT_EXPECT_EQ(test, 6, nth);
	expect_model(f);

	ram_disk_fail_call(f->disk, 1, -EIO);
	KUNIT_EXPECT_EQ(test, -EIO, qcow_store_punch(f->store, 0, SZ_4K));
	ram_disk_fail_call(f->disk, 1, -EIO);
	KUNIT_EXPECT_EQ(test, -EIO, qcow_store_resize(f->store, ROOM, 0));
	KUNIT_EXPECT_EQ(test, (u64)BYTES, f->store->bytes);

	/* What a flush that failed has lost, no later one brings back. */
	ram_disk_fail_call(f->disk, 1, -EIO);
	KUNIT_EXPECT_EQ(test, -EIO, qcow_store_flush(f->store));
	KUNIT_EXPECT_EQ(test, -EIO, qcow_store_flush(f->store));
	expect_model(f);
}

static void random_ranges(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	u32 seed = get_random_u32();
	unsigned int i;

	kunit_info(test, "seed %u", seed);
	prandom_seed_state(&f->rnd, seed);
	for (i = 0; i < 500; i++) {
		u32 r = prandom_u32_state(&f->rnd);
		u64 pos = prandom_u32_state(&f->rnd) % BYTES;
		size_t len = prandom_u32_state(&f->rnd) % (BYTES - pos + 1);

		if (r & 4)
			len = min_t(size_t, len, 2000);
		f->disk->no_punch = r & 8;
		f->disk->max_bytes = r & 16 ? 512 << (r >> 29) : 0;
		if (r & 3)
			KUNIT_ASSERT_EQ(test, 0, write_random(f, pos, len, r & 32));
		else
			KUNIT_ASSERT_EQ(test, 0, zero(f, pos, len));
		KUNIT_ASSERT_EQ(test, 0, memcmp(f->model, f->disk->data, ROOM));
		if (!(r >> 28))
			KUNIT_ASSERT_EQ(test, 0, qcow_store_flush(f->store));
	}
}

/**
 * struct owner - a writer of one part of a block
 * @work: writes
 * @store: to it
 * @pos: where its part begins
 * @buf: what it writes
 * @lost: how often its part was not as it had left it
 */
struct owner {
	struct work_struct work;
	struct qcow_store *store;
	u64 pos;
	u8 buf[16];
	unsigned int lost;
};

static void owner_work(struct work_struct *work)
{
	struct owner *owner = container_of(work, struct owner, work);
	u8 *seen = kzalloc(sizeof(owner->buf), GFP_KERNEL);
	unsigned int i;

	for (i = 0; seen && i < 500; i++) {
		if (qcow_store_read(owner->store, seen, owner->pos, sizeof(owner->buf)) ||
		    memcmp(seen, owner->buf, sizeof(owner->buf)))
			owner->lost++;
		memset(owner->buf, i, sizeof(owner->buf));
		if (qcow_store_write(owner->store, owner->buf, owner->pos, sizeof(owner->buf)))
			owner->lost++;
	}
	kfree(seen);
}

static void two_owners_of_a_block(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct owner *owners = kunit_kcalloc(test, 2, sizeof(*owners), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, owners);
	memset(f->disk->data, 0, 512);
	for (i = 0; i < 2; i++) {
		owners[i].store = f->store;
		owners[i].pos = 100 * (i + 1);
		INIT_WORK(&owners[i].work, owner_work);
		queue_work(system_unbound_wq, &owners[i].work);
	}
	for (i = 0; i < 2; i++) {
		flush_work(&owners[i].work);
		KUNIT_EXPECT_EQ(test, 0, owners[i].lost);
	}
}

/* @nr writes of a page each, from @pos on; @f->model has them at once. */
static void batch_write(struct fixture *f, struct qcow_batch *batch, u64 pos, unsigned int nr)
{
	prandom_bytes_state(&f->rnd, f->buf, nr * SZ_4K);
	memcpy(f->model + pos, f->buf, nr * SZ_4K);
	while (nr--)
		qcow_batch_write(batch, f->store, f->buf + nr * SZ_4K, pos + nr * SZ_4K, SZ_4K);
}

static struct qcow_batch *batch_create(struct kunit *test)
{
	struct qcow_batch *batch = kunit_kzalloc(test, sizeof(*batch), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, batch);
	return batch;
}

static void batch_is_in_flight_together(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct qcow_batch *batch = batch_create(test);

	ram_disk_hold(f->disk);
	qcow_batch_begin(batch);
	batch_write(f, batch, SZ_8K, QCOW_BATCH_WRITES);
	KUNIT_EXPECT_EQ(test, QCOW_BATCH_WRITES, atomic_read(&f->disk->submits));
	ram_disk_release(f->disk);
	KUNIT_EXPECT_EQ(test, 0, qcow_batch_end(batch));
	expect_model(f);
}

static void batch_takes_any_number(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct qcow_batch *batch = batch_create(test);
	unsigned int nr = 2 * QCOW_BATCH_WRITES + 1;

	qcow_batch_begin(batch);
	KUNIT_EXPECT_EQ(test, 0, qcow_batch_end(batch));
	qcow_batch_begin(batch);
	batch_write(f, batch, 0, nr);
	KUNIT_EXPECT_EQ(test, 0, qcow_batch_end(batch));
	expect_model(f);
	KUNIT_EXPECT_EQ(test, nr, atomic_read(&f->disk->submits));
}

static void batch_takes_what_is_not_aligned(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct qcow_batch *batch = batch_create(test);

	prandom_bytes_state(&f->rnd, f->buf, SZ_64K);
	memcpy(f->model + 1000, f->buf, 3000);
	memcpy(f->model + SZ_16K, f->buf + SZ_8K, SZ_16K);
	memcpy(f->model + SZ_64K, f->buf + SZ_32K + 1, 512);
	qcow_batch_begin(batch);
	qcow_batch_write(batch, f->store, f->buf, 1000, 3000);
	qcow_batch_write(batch, f->store, f->buf + SZ_8K, SZ_16K, SZ_16K);
	qcow_batch_write(batch, f->store, f->buf + SZ_32K + 1, SZ_64K, 512);
	KUNIT_EXPECT_EQ(test, 0, qcow_batch_end(batch));
	expect_model(f);
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&f->disk->submits));
}

static void batch_ends_with_an_error(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct qcow_batch *batch = batch_create(test);

	qcow_batch_begin(batch);
	qcow_batch_write(batch, f->store, f->buf, BYTES - 511, 512);
	qcow_batch_write(batch, f->store, f->buf, 0, 512);
	KUNIT_EXPECT_EQ(test, -ENODATA, qcow_batch_end(batch));
	expect_model(f);

	f->disk->inline_submit = true;
	ram_disk_fail_change(f->disk, 2, -EIO);
	memcpy(f->model, f->buf, SZ_4K);
	qcow_batch_begin(batch);
	qcow_batch_write(batch, f->store, f->buf, 0, SZ_4K);
	qcow_batch_write(batch, f->store, f->buf + SZ_4K, SZ_4K, SZ_4K);
	qcow_batch_write(batch, f->store, f->buf + SZ_8K, SZ_8K, SZ_4K);
	KUNIT_EXPECT_EQ(test, -EIO, qcow_batch_end(batch));
	expect_model(f);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(write_changes_its_range, ranges_gen_params),
	KUNIT_CASE_PARAM(short_writes_go_on, ranges_gen_params),
	KUNIT_CASE_PARAM(zero_changes_its_range, ranges_gen_params),
	KUNIT_CASE_PARAM(punch_takes_whole_blocks_inside, ranges_gen_params),
	KUNIT_CASE_PARAM(wipe_changes_its_range, ranges_gen_params),
	KUNIT_CASE(punch_that_is_not_possible),
	KUNIT_CASE(aligned_write_is_one_call),
	KUNIT_CASE(odd_write_reads_only_its_ends),
	KUNIT_CASE(nothing_beyond_the_end),
	KUNIT_CASE(read_only_store_takes_nothing),
	KUNIT_CASE(resize_changes_the_length),
	KUNIT_CASE(every_failure_is_told),
	KUNIT_CASE(random_ranges),
	KUNIT_CASE(two_owners_of_a_block),
	KUNIT_CASE(batch_is_in_flight_together),
	KUNIT_CASE(batch_takes_any_number),
	KUNIT_CASE(batch_takes_what_is_not_aligned),
	KUNIT_CASE(batch_ends_with_an_error),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_store",
	.test_cases = cases,
};

kunit_test_suite(suite);
