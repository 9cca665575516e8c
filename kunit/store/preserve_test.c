// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of what keeps metadata as it was.
 */
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "rig/ram_store.h"
#include "store/batch.h"
#include "store/preserve.h"

#define BYTES	(SZ_64K + SZ_512)

/**
 * struct fixture - a store that is written to, and what it had
 * @test: that runs
 * @disk: the memory of the store
 * @store: of it
 * @preserve: of that
 * @before: what it had
 * @buf: memory for I/O
 */
struct fixture {
	struct kunit *test;
	struct ram_disk *disk;
	struct qcow_store *store;
	struct qcow_preserve *preserve;
	u8 *before;
	u8 *buf;
};

static void fixture_end(void *data)
{
	struct fixture *f = data;

	qcow_preserve_destroy(f->preserve);
	qcow_store_destroy(f->store);
}

static struct fixture *fixture_create(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	f->disk = ram_disk_create(test, SZ_128K);
	f->disk->bytes = BYTES;
	f->before = kunit_kzalloc(test, SZ_128K, GFP_KERNEL);
	f->buf = kunit_kzalloc(test, SZ_128K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->before);
	KUNIT_ASSERT_NOT_NULL(test, f->buf);
	for (i = 0; i < BYTES; i++)
		f->before[i] = i / SZ_512 + 1;
	memcpy(f->disk->data, f->before, BYTES);
	f->store = ram_store_create(test, f->disk);
	f->preserve = qcow_preserve_create(f->store);
	KUNIT_ASSERT_NOT_NULL(test, f->preserve);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, fixture_end, f));
	return f;
}

static int put(struct fixture *f, u8 byte, u64 pos, size_t len)
{
	memset(f->buf, byte, len);
	return qcow_store_write(f->store, f->buf, pos, len);
}

static void expect_as_before(struct fixture *f)
{
	memset(f->buf, 0, SZ_128K);
	KUNIT_EXPECT_EQ(f->test, 0, qcow_preserve_read(f->preserve, f->buf, 0, BYTES));
	KUNIT_EXPECT_EQ(f->test, 0, memcmp(f->buf, f->before, BYTES));
}

static void reads_what_was_there(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	qcow_preserve_begin(f->preserve);
	KUNIT_EXPECT_EQ(test, 0, put(f, 0xee, SZ_512, SZ_512));
	KUNIT_EXPECT_EQ(test, 0, put(f, 0xed, SZ_4K + SZ_512, SZ_16K));
	KUNIT_EXPECT_EQ(test, 0, put(f, 0xec, SZ_4K, SZ_8K));
	KUNIT_EXPECT_EQ(test, 0, put(f, 0xeb, SZ_64K, SZ_512));
	KUNIT_EXPECT_EQ(test, 0, qcow_store_zero(f->store, SZ_32K, SZ_8K));
	expect_as_before(f);
	KUNIT_EXPECT_EQ(test, 0, qcow_store_read(f->store, f->buf, SZ_512, SZ_512));
	KUNIT_EXPECT_NULL(test, memchr_inv(f->buf, 0xee, SZ_512));
	/* Parts of what has been kept and of what has not, not at the border of a page. */
	KUNIT_EXPECT_EQ(test, 0, qcow_preserve_read(f->preserve, f->buf, 700, SZ_32K));
	KUNIT_EXPECT_EQ(test, 0, memcmp(f->buf, f->before + 700, SZ_32K));
}

static void writes_of_a_batch_are_kept(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct qcow_batch *batch = kunit_kzalloc(test, sizeof(*batch), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, batch);
	qcow_preserve_begin(f->preserve);
	memset(f->buf, 0xee, SZ_64K);
	qcow_batch_begin(batch);
	for (i = 0; i < 16; i++)
		qcow_batch_write(batch, f->store, f->buf + i * SZ_4K, i * SZ_4K, SZ_4K);
	KUNIT_EXPECT_EQ(test, 0, qcow_batch_end(batch));
	expect_as_before(f);
}

static void store_that_grows(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	qcow_preserve_begin(f->preserve);
	KUNIT_EXPECT_EQ(test, (u64)BYTES, f->preserve->bytes);
	KUNIT_EXPECT_EQ(test, 0, qcow_store_resize(f->store, SZ_128K, BYTES));
	KUNIT_EXPECT_EQ(test, 0, put(f, 0xee, SZ_64K, SZ_32K));
	expect_as_before(f);
	/* What is behind the end is nobody's. */
	KUNIT_EXPECT_EQ(test, 1U, f->preserve->nr);
}

static void what_is_used_for_something_else(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	qcow_preserve_begin(f->preserve);
	qcow_preserve_keep(f->store, SZ_8K, SZ_8K);
	memset(f->disk->data + SZ_8K, 0xee, SZ_8K);
	expect_as_before(f);
	/* As often as it may be. */
	qcow_preserve_keep(f->store, SZ_8K, SZ_8K);
	qcow_preserve_keep(f->store, 0, 0);
	expect_as_before(f);
}

static void changed_in_what_is_kept(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	u8 *byte = qcow_preserve_byte(f->preserve, SZ_4K + 7);

	KUNIT_ASSERT_NOT_NULL(test, byte);
	KUNIT_EXPECT_EQ(test, f->before[SZ_4K + 7], *byte);
	*byte = 0xaa;
	f->before[SZ_4K + 7] = 0xaa;
	qcow_preserve_begin(f->preserve);
	expect_as_before(f);
	KUNIT_EXPECT_EQ(test, 0, put(f, 0xee, SZ_4K, SZ_4K));
	expect_as_before(f);
}

static void what_cannot_be_kept_is_lost(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	qcow_preserve_begin(f->preserve);
	expect_as_before(f);
	ram_disk_fail(f->disk, 1, -EIO);
	/* The write is another matter. */
	KUNIT_EXPECT_EQ(test, 0, put(f, 0xee, 0, SZ_4K));
	ram_disk_fail(f->disk, 0, 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(f->disk->data, 0xee, SZ_4K));
	KUNIT_EXPECT_EQ(test, -ESTALE, qcow_preserve_read(f->preserve, f->buf, 0, SZ_512));
	KUNIT_EXPECT_EQ(test, -ESTALE, qcow_preserve_read(f->preserve, f->buf, SZ_32K, SZ_512));
}

static void nothing_is_kept_afterwards(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	KUNIT_EXPECT_EQ(test, 0, put(f, 0xee, 0, SZ_4K));
	KUNIT_EXPECT_EQ(test, 0U, f->preserve->nr);
	qcow_preserve_begin(f->preserve);
	qcow_preserve_end(f->preserve);
	KUNIT_EXPECT_EQ(test, 0, put(f, 0xed, 0, SZ_4K));
	KUNIT_EXPECT_EQ(test, 0U, f->preserve->nr);
}

static struct kunit_case preserve_cases[] = {
	KUNIT_CASE(reads_what_was_there),
	KUNIT_CASE(writes_of_a_batch_are_kept),
	KUNIT_CASE(store_that_grows),
	KUNIT_CASE(what_is_used_for_something_else),
	KUNIT_CASE(changed_in_what_is_kept),
	KUNIT_CASE(what_cannot_be_kept_is_lost),
	KUNIT_CASE(nothing_is_kept_afterwards),
	{}
};

static struct kunit_suite preserve_suite = {
	.name = "qcow_preserve",
	.test_cases = preserve_cases,
};

kunit_test_suite(preserve_suite);
