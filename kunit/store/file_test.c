// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the file store over a file of tmpfs, so through the page cache; direct I/O is for
 * tests in a VM with a file system.
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/shmem_fs.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <qcow/report.h>

#include "store/store.h"

#define BYTES	(SZ_64K + 100)

struct fixture {
	struct kunit *test;
	struct file *file;
	struct qcow_store *store;
	u8 *buf;
	char text[128];
};

static void fixture_close(void *data)
{
	struct fixture *f = data;

	if (!IS_ERR_OR_NULL(f->store))
		qcow_store_destroy(f->store);
	if (!IS_ERR_OR_NULL(f->file))
		fput(f->file);
}

static struct qcow_store *open_store(struct fixture *f, struct file *file, bool writable,
				     enum qcow_direct direct)
{
	struct qcow_report rep = { .buf = f->text, .size = sizeof(f->text) };
	int err;

	f->text[0] = '\0';
	err = qcow_store_check(file, writable, &rep);
	return err ? ERR_PTR(err) : qcow_store_open(file, writable, direct, system_unbound_wq,
						    &rep);
}

static struct fixture *fixture_create(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, fixture_close, f));
	f->buf = kunit_kzalloc(test, SZ_128K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->buf);
	f->file = shmem_file_setup("qcow-kunit", BYTES, VM_NORESERVE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f->file);
	f->file->f_flags |= O_LARGEFILE;
	f->store = open_store(f, f->file, true, QCOW_DIRECT_OFF);
	KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, f->store, "%s", f->text);
	return f;
}

static loff_t file_bytes(const struct fixture *f)
{
	return i_size_read(file_inode(f->file));
}

static void expect_bytes(struct fixture *f, u64 pos, size_t len, u8 byte)
{
	memset(f->buf, ~byte, len);
	KUNIT_EXPECT_EQ(f->test, 0, qcow_store_read(f->store, f->buf, pos, len));
	KUNIT_EXPECT_NULL(f->test, memchr_inv(f->buf, byte, len));
}

static int put(struct fixture *f, u8 byte, u64 pos, size_t len)
{
	memset(f->buf, byte, len);
	return qcow_store_write(f->store, f->buf, pos, len);
}

static void write_is_read_back(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	KUNIT_EXPECT_EQ(test, 0, put(f, 'a', 0, BYTES));
	KUNIT_EXPECT_EQ(test, 0, put(f, 'b', 4095, 2));
	KUNIT_EXPECT_EQ(test, 0, put(f, 'c', BYTES - 1, 1));
	KUNIT_EXPECT_EQ(test, 0, qcow_store_flush(f->store));
	expect_bytes(f, 0, 4095, 'a');
	expect_bytes(f, 4095, 2, 'b');
	expect_bytes(f, 4097, BYTES - 1 - 4097, 'a');
	expect_bytes(f, BYTES - 1, 1, 'c');
	KUNIT_EXPECT_EQ(test, -ENODATA, put(f, 'd', BYTES - 1, 2));
	KUNIT_EXPECT_EQ(test, (loff_t)BYTES, file_bytes(f));
}

static void resize_changes_the_file(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	KUNIT_EXPECT_EQ(test, 0, put(f, 'a', 0, BYTES));
	KUNIT_EXPECT_EQ(test, 0, qcow_store_resize(f->store, 2 * BYTES, 0));
	KUNIT_EXPECT_EQ(test, 2ULL * BYTES, f->store->bytes);
	KUNIT_EXPECT_EQ(test, 2LL * BYTES, file_bytes(f));
	expect_bytes(f, BYTES, BYTES, 0);
	/* Reserved: a file of tmpfs has pages only where it has bytes or they were asked for. */
	KUNIT_EXPECT_GE(test, (u64)file_inode(f->file)->i_blocks << SECTOR_SHIFT, 2ULL * BYTES);

	KUNIT_EXPECT_EQ(test, 0, qcow_store_resize(f->store, 100, 0));
	KUNIT_EXPECT_EQ(test, 100ULL, f->store->bytes);
	KUNIT_EXPECT_EQ(test, 100LL, file_bytes(f));
	KUNIT_EXPECT_EQ(test, 0, qcow_store_resize(f->store, BYTES, 0));
	expect_bytes(f, 0, 100, 'a');
	expect_bytes(f, 100, BYTES - 100, 0);
}

/* What lies between the old end and what will be written may be of any length. */
static void resize_takes_space_from_there_on(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	blkcnt_t before = file_inode(f->file)->i_blocks;

	KUNIT_EXPECT_EQ(test, 0, qcow_store_resize(f->store, SZ_1G, SZ_1G - SZ_64K));
	KUNIT_EXPECT_EQ(test, (loff_t)SZ_1G, file_bytes(f));
	KUNIT_EXPECT_EQ(test, (u64)before + (SZ_64K >> SECTOR_SHIFT),
			(u64)file_inode(f->file)->i_blocks);
	KUNIT_EXPECT_EQ(test, 0, put(f, 'a', SZ_1G - SZ_64K, SZ_64K));
	expect_bytes(f, SZ_1G - SZ_128K, SZ_64K, 0);
	KUNIT_EXPECT_EQ(test, 0, qcow_store_resize(f->store, SZ_1G + SZ_4K, SZ_1G + SZ_4K));
	expect_bytes(f, SZ_1G, SZ_4K, 0);
}

static void refused_resize_changes_nothing(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	KUNIT_EXPECT_EQ(test, 0, put(f, 'a', 0, BYTES));
	SHMEM_I(file_inode(f->file))->seals |= F_SEAL_GROW;
	KUNIT_EXPECT_EQ(test, -EPERM, qcow_store_resize(f->store, BYTES + 1, 0));
	KUNIT_EXPECT_EQ(test, -EFBIG, qcow_store_resize(f->store, 1ULL << 63, 0));
	KUNIT_EXPECT_EQ(test, (u64)BYTES, f->store->bytes);
	KUNIT_EXPECT_EQ(test, (loff_t)BYTES, file_bytes(f));
	expect_bytes(f, 0, BYTES, 'a');
}

static void punch_gives_space_back(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	blkcnt_t before;

	KUNIT_EXPECT_EQ(test, 0, put(f, 'a', 0, BYTES));
	before = file_inode(f->file)->i_blocks;
	KUNIT_EXPECT_EQ(test, 0, qcow_store_punch(f->store, 1000, SZ_32K));
	KUNIT_EXPECT_LT(test, (u64)file_inode(f->file)->i_blocks, (u64)before);
	expect_bytes(f, 0, 1000, 'a');
	expect_bytes(f, 1000, SZ_32K, 0);
	expect_bytes(f, 1000 + SZ_32K, BYTES - 1000 - SZ_32K, 'a');
	KUNIT_EXPECT_EQ(test, 0, qcow_store_zero(f->store, BYTES - 50, 50));
	expect_bytes(f, BYTES - 50, 50, 0);
	KUNIT_EXPECT_EQ(test, (loff_t)BYTES, file_bytes(f));
}

struct submitted {
	struct qcow_io io;
	struct bio_vec bvec;
	struct completion done;
	struct task_struct *task;
	int err;
};

static void submitted_complete(struct qcow_io *io, int err)
{
	struct submitted *s = container_of(io, struct submitted, io);

	s->err = err;
	s->task = current;
	complete(&s->done);
}

static void submit_and_wait(struct fixture *f, struct submitted *s, bool write, u64 pos, u32 len)
{
	bvec_set_page(&s->bvec, virt_to_page(f->buf), len, offset_in_page(f->buf));
	init_completion(&s->done);
	s->io = (struct qcow_io) {
		.store = f->store, .pos = pos, .len = len, .write = write,
		.complete = submitted_complete,
	};
	iov_iter_bvec(&s->io.iter, write ? ITER_SOURCE : ITER_DEST, &s->bvec, 1, len);
	f->store->ops->submit(f->store, &s->io);
	wait_for_completion(&s->done);
}

/* To write to the page cache is to wait, which the submitter must not. */
static void submitted_write_goes_to_a_worker(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct submitted *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	memset(f->buf, 'a', SZ_32K);
	submit_and_wait(f, s, true, SZ_4K, SZ_32K);
	KUNIT_EXPECT_EQ(test, 0, s->err);
	KUNIT_EXPECT_EQ(test, SZ_32K, s->io.done);
	KUNIT_EXPECT_PTR_NE(test, current, s->task);
	expect_bytes(f, 0, SZ_4K, 0);
	expect_bytes(f, SZ_4K, SZ_32K, 'a');
	expect_bytes(f, SZ_4K + SZ_32K, BYTES - SZ_4K - SZ_32K, 0);

	memset(f->buf, 0, SZ_32K);
	submit_and_wait(f, s, false, SZ_4K, SZ_32K);
	KUNIT_EXPECT_EQ(test, 0, s->err);
	KUNIT_EXPECT_NULL(test, memchr_inv(f->buf, 'a', SZ_32K));
}

/* A file that was cut short behind the driver's back. */
static void submitted_read_beyond_the_end(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct submitted *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	KUNIT_ASSERT_EQ(test, 0, vfs_truncate(&f->file->f_path, SZ_4K));
	submit_and_wait(f, s, false, 0, SZ_8K);
	KUNIT_EXPECT_EQ(test, -ENODATA, s->err);
}

static void writable_store_wants_a_writable_file(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct qcow_store *store;
	struct file *file;

	file = dentry_open(&f->file->f_path, O_RDONLY | O_LARGEFILE, current_cred());
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	store = open_store(f, file, true, QCOW_DIRECT_OFF);
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EBADF), store);
	KUNIT_EXPECT_NOT_NULL(test, strstr(f->text, "is not open for writing"));
	store = open_store(f, file, false, QCOW_DIRECT_OFF);
	fput(file);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, store);
	KUNIT_EXPECT_FALSE(test, store->writable);
	KUNIT_EXPECT_EQ(test, -EROFS, qcow_store_write(store, f->buf, 0, 1));
	qcow_store_destroy(store);
}

static void append_only_file_is_refused(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	struct qcow_store *store;
	struct file *file;

	file = dentry_open(&f->file->f_path, O_RDWR | O_LARGEFILE | O_APPEND,
			   current_cred());
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	store = open_store(f, file, true, QCOW_DIRECT_OFF);
	fput(file);
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EBADF), store);
	KUNIT_EXPECT_NOT_NULL(test, strstr(f->text, "is open for appending only"));
}

/* A 32 bit process may have opened it like that; no write would get beyond 2 GiB. */
static void small_file_is_refused(struct kunit *test)
{
	struct fixture *f = fixture_create(test);

	f->file->f_flags &= ~O_LARGEFILE;
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EBADF),
			    open_store(f, f->file, true, QCOW_DIRECT_OFF));
	KUNIT_EXPECT_NOT_NULL(test, strstr(f->text, "is open for its first 2 GiB only"));
}

/* Nothing of a descriptor changes before the end of an attach, and nothing stays after it. */
static void descriptor_is_given_back(struct kunit *test)
{
	struct fixture *f = fixture_create(test);
	unsigned int flags = f->file->f_flags;
	unsigned int mode = (__force unsigned int)f->file->f_mode;
	unsigned int no_times = (__force unsigned int)FMODE_NOCMTIME;
	struct qcow_store *store;

	KUNIT_EXPECT_FALSE(test, mode & no_times);
	store = open_store(f, f->file, true, QCOW_DIRECT_OFF);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, store);
	KUNIT_EXPECT_EQ(test, mode, (__force unsigned int)f->file->f_mode);
	qcow_store_attached(store);
	KUNIT_EXPECT_EQ(test, mode | no_times, (__force unsigned int)f->file->f_mode);
	qcow_store_destroy(store);
	KUNIT_EXPECT_EQ(test, mode, (__force unsigned int)f->file->f_mode);
	KUNIT_EXPECT_EQ(test, flags, f->file->f_flags);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(write_is_read_back),
	KUNIT_CASE(resize_changes_the_file),
	KUNIT_CASE(resize_takes_space_from_there_on),
	KUNIT_CASE(refused_resize_changes_nothing),
	KUNIT_CASE(punch_gives_space_back),
	KUNIT_CASE(submitted_write_goes_to_a_worker),
	KUNIT_CASE(submitted_read_beyond_the_end),
	KUNIT_CASE(writable_store_wants_a_writable_file),
	KUNIT_CASE(append_only_file_is_refused),
	KUNIT_CASE(small_file_is_refused),
	KUNIT_CASE(descriptor_is_given_back),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_store_file",
	.test_cases = cases,
};

kunit_test_suite(suite);
