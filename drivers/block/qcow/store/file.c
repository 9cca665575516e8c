// SPDX-License-Identifier: GPL-2.0
/*
 * A store in a regular file (or, buffered, in a block device): asynchronous direct I/O
 * through the file system, without blocking where the file system can; what would block becomes a
 * work item of its own.
 */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/falloc.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>

#include "compat.h"
#include "inject.h"
#include "store/store.h"

static bool is_regular(const struct file *file)
{
	return S_ISREG(file_inode(file)->i_mode);
}

/* The times of the file are due at the next flush. */
static void file_touch(struct qcow_store *store)
{
	if (!READ_ONCE(store->touched))
		WRITE_ONCE(store->touched, true);
}

static ssize_t file_throttled_write(struct kiocb *iocb, struct iov_iter *iter)
{
	unsigned int flags = current->flags;
	ssize_t ret;

	/*
	 * Dirty pages of the device above become clean by these writes. Only what is dirty below
	 * may slow them down.
	 */
	if (!(iocb->ki_flags & IOCB_DIRECT))
		current->flags |= PF_LOCAL_THROTTLE;
	ret = vfs_iocb_iter_write(iocb->ki_filp, iocb, iter);
	current_restore_flags(flags, PF_LOCAL_THROTTLE);
	return ret;
}

static ssize_t file_try(struct kiocb *iocb, struct iov_iter *iter)
{
	if (iocb->ki_flags & IOCB_WRITE)
		return file_throttled_write(iocb, iter);
	return vfs_iocb_iter_read(iocb->ki_filp, iocb, iter);
}

/*
 * One transfer. Page cache that it fills is charged to the memory cgroup of the request; one that
 * is at its limit must not decide what becomes of a block that may be anybody's.
 */
static ssize_t file_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	struct iov_iter again = *iter;
	struct mem_cgroup *memcg;
	ssize_t ret;

	ret = file_try(iocb, iter);
	if (likely(ret != -ENOMEM))
		return ret;
	memcg = set_active_memcg(NULL);
	ret = file_try(iocb, &again);
	set_active_memcg(memcg);
	return ret;
}

static void file_describe_buffer(struct bio_vec *bvecs, unsigned int direction, const void *buf,
				 size_t len, struct iov_iter *iter)
{
	unsigned int nr;

	len = qcow_store_describe(bvecs, &nr, buf, len);
	iov_iter_bvec(iter, direction, bvecs, nr, len);
}

static ssize_t file_read(struct qcow_store *store, void *buf, u64 pos, size_t len)
{
	struct bio_vec bvecs[QCOW_SYNC_PAGES];
	struct iov_iter iter;
	struct kiocb iocb;

	file_describe_buffer(bvecs, ITER_DEST, buf, qcow_inject_short(len, store->align), &iter);
	init_sync_kiocb(&iocb, store->file);
	iocb.ki_pos = pos;
	iocb.ki_flags = store->direct ? IOCB_DIRECT : 0;
	return file_iter(&iocb, &iter);
}

static ssize_t file_write(struct qcow_store *store, const void *buf, u64 pos, size_t len)
{
	bool direct = store->direct;
	struct bio_vec bvecs[QCOW_SYNC_PAGES];
	size_t whole = round_down(len, store->align);
	struct iov_iter iter;
	struct kiocb iocb;
	ssize_t ret;

	/* Direct I/O would make a file longer that ends within a block: the page cache does not. */
	if (direct && whole)
		len = whole;
	else
		direct = false;

	len = qcow_inject_short(len, store->align);
	file_describe_buffer(bvecs, ITER_SOURCE, buf, len, &iter);
	init_sync_kiocb(&iocb, store->file);
	iocb.ki_pos = pos;
	/* Not those that the file was opened with: where to write is not up to O_APPEND. */
	iocb.ki_flags = IOCB_WRITE | (direct ? IOCB_DIRECT : 0);
	file_touch(store);
	ret = file_iter(&iocb, &iter);
	return ret ?: -EIO;
}

static void file_work(struct work_struct *work);

static void file_queue(struct qcow_io *io)
{
	INIT_WORK(&io->work, file_work);
	queue_work(io->store->wq, &io->work);
}

/* The outcome of one attempt: done, or on with what is left, in a worker that may block. */
static void file_advance(struct qcow_io *io, ssize_t ret)
{
	bool nowait = io->iocb.ki_flags & IOCB_NOWAIT;

	if (ret > 0) {
		io->done += ret;
		if (io->done >= io->len)
			io->complete(io, 0);
		else
			file_queue(io);
	} else if (!ret) {
		io->complete(io, io->write ? -EIO : -ENODATA);
	} else if (nowait && (ret == -EAGAIN || ret == -EOPNOTSUPP)) {
		/* The device below has no such thing as not waiting. */
		if (ret == -EOPNOTSUPP)
			WRITE_ONCE(io->store->nowait, false);
		file_queue(io);
	} else {
		io->complete(io, ret);
	}
}

/* The file system may read the iocb until it has both returned and completed it. */
static void file_put(struct qcow_io *io)
{
	if (atomic_dec_and_test(&io->users))
		file_advance(io, io->ret);
}

static void file_complete(struct kiocb *iocb, long ret)
{
	struct qcow_io *io = container_of(iocb, struct qcow_io, iocb);

	/* What returned at once has ended its write itself. */
	if (io->write)
		kiocb_end_write(iocb);
	io->ret = ret;
	file_put(io);
}

static ssize_t file_transfer(struct qcow_io *io, struct iov_iter *iter)
{
	if ((io->iocb.ki_flags & IOCB_NOWAIT) && qcow_inject(QCOW_INJECT_AGAIN))
		return -EAGAIN;
	if (io->write)
		file_touch(io->store);
	return file_iter(&io->iocb, iter);
}

static void file_start(struct qcow_io *io, int flags)
{
	struct qcow_identity identity;
	struct iov_iter iter = io->iter;
	ssize_t ret;

	iov_iter_advance(&iter, io->done);
	iov_iter_truncate(&iter, qcow_inject_short(io->len - io->done, io->store->align));

	io->iocb = (struct kiocb) {
		.ki_filp = io->store->file,
		.ki_pos = io->pos + io->done,
		.ki_complete = file_complete,
		.ki_flags = flags | (io->store->direct ? IOCB_DIRECT : 0) |
			    (io->write ? IOCB_WRITE : 0),
		.ki_ioprio = io->origin ? io->origin->bi_ioprio : 0,
	};
	atomic_set(&io->users, 2);
	qcow_identity_assume(&identity, io->origin);
	ret = file_transfer(io, &iter);
	qcow_identity_drop(&identity);
	if (ret == -EIOCBQUEUED) {
		/* The completion drops the other reference. */
		qcow_inject_sleep();
		file_put(io);
	} else {
		file_advance(io, ret);
	}
}

static void file_work(struct work_struct *work)
{
	unsigned int noio = memalloc_noio_save();

	file_start(container_of(work, struct qcow_io, work), 0);
	memalloc_noio_restore(noio);
}

static bool file_is_frozen(const struct file *file)
{
	return READ_ONCE(file_inode(file)->i_sb->s_writers.frozen) != SB_UNFROZEN;
}

/* Whether @io may be tried without waiting; a write to the page cache always waits. */
static bool file_may_try(const struct qcow_store *store, const struct qcow_io *io)
{
	if (!READ_ONCE(store->nowait))
		return false;
	return !io->write || (store->direct && !file_is_frozen(store->file));
}

static void file_submit(struct qcow_store *store, struct qcow_io *io)
{
	if (file_may_try(store, io))
		file_start(io, IOCB_NOWAIT);
	else
		file_queue(io);
}

static void file_flush_times(struct qcow_store *store)
{
	if (!READ_ONCE(store->touched) || !is_regular(store->file))
		return;
	WRITE_ONCE(store->touched, false);
	file_start_write(store->file);
	/* Without them the data is worth as much. */
	file_update_time(store->file);
	file_end_write(store->file);
}

/* The size matters as much as the data does, the times do not. */
static int file_flush(struct qcow_store *store)
{
	file_flush_times(store);
	return vfs_fsync_range(store->file, 0, LLONG_MAX, 1);
}

static int file_extend(struct qcow_store *store, u64 from, u64 to)
{
	struct file *file = store->file;
	int err = -EOPNOTSUPP;

	from = max(from, store->bytes);
	if (!store->sparse && from < to)
		err = vfs_fallocate(file, 0, from, to - from);
	if (!err)
		return 0;
	if (err == -EOPNOTSUPP)
		return vfs_truncate(&file->f_path, to);
	/* Some of it may be there already, with the length of the file or behind its end. */
	vfs_truncate(&file->f_path, store->bytes);
	return err;
}

static int file_resize(struct qcow_store *store, u64 bytes, u64 from)
{
	struct file *file = store->file;
	const struct cred *cred;
	int err;

	if (!is_regular(file))
		return bytes > store->bytes ? -ENOSPC : 0;
	/* The opener of the file has shown a right to write to it. */
	cred = override_creds(file->f_cred);
	if (bytes > store->bytes)
		err = file_extend(store, from, bytes);
	else
		err = vfs_truncate(&file->f_path, bytes);
	revert_creds(cred);
	if (!err)
		WRITE_ONCE(store->bytes, bytes);
	return err;
}

/* Where data or a hole begins. The position of the descriptor stays where it is. */
static loff_t file_seek(struct file *file, u64 pos, int whence)
{
	loff_t position = file->f_pos;
	loff_t found = vfs_llseek(file, pos, whence);

	file->f_pos = position;
	return found;
}

/*
 * Whether all of the range has space. File systems wait for direct I/O in flight in fallocate(),
 * not in a search for a hole.
 */
static bool file_has_space(struct file *file, u64 pos, u64 len)
{
	loff_t hole = file_seek(file, pos, SEEK_HOLE);

	return hole >= 0 && hole >= pos + len;
}

static int file_reserve(struct qcow_store *store, u64 pos, u64 len)
{
	int err = 0;

	if (is_regular(store->file) && !file_has_space(store->file, pos, len))
		err = vfs_fallocate(store->file, FALLOC_FL_KEEP_SIZE, pos, len);
	return err == -EOPNOTSUPP ? 0 : err;
}

static int file_punch(struct qcow_store *store, u64 pos, u64 len)
{
	struct file *file = store->file;

	/* Any byte is aligned in the page cache of a device, but a device punches whole blocks. */
	if (!is_regular(file) &&
	    !IS_ALIGNED(pos | len, bdev_logical_block_size(I_BDEV(file->f_mapping->host))))
		return -EOPNOTSUPP;
	return vfs_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos, len);
}

static u64 file_extent(struct qcow_store *store, u64 pos, u64 len, bool *is_hole)
{
	struct file *file = store->file;
	loff_t data, end = 0;

	*is_hole = false;
	/* Not every file system takes what is in the page cache alone for data. */
	if (!is_regular(file) || filemap_write_and_wait(file->f_mapping))
		return len;
	data = file_seek(file, pos, SEEK_DATA);
	*is_hole = data == -ENXIO || data > (loff_t)pos;
	if (data == (loff_t)pos)
		end = file_seek(file, pos, SEEK_HOLE);
	else if (data > (loff_t)pos)
		end = data;
	return end > (loff_t)pos ? min_t(u64, len, end - pos) : len;
}

static bool file_can_clone(struct qcow_store *store, struct qcow_store *from)
{
	return is_regular(store->file) && is_regular(from->file) &&
		file_inode(store->file)->i_sb == file_inode(from->file)->i_sb &&
		store->file->f_op->remap_file_range;
}

static u64 file_clone(struct qcow_store *store, u64 pos, struct qcow_store *from, u64 from_pos,
		      u64 len)
{
	u64 block = i_blocksize(file_inode(store->file));
	loff_t cloned;

	len = round_down(len, block);
	if (!len || !IS_ALIGNED(pos | from_pos, block))
		return 0;
	file_touch(store);
	cloned = vfs_clone_file_range(from->file, from_pos, store->file, pos, len, 0);
	if (cloned == -EOPNOTSUPP)
		WRITE_ONCE(store->no_clones, true);
	return max(cloned, 0LL);
}

const struct qcow_store_ops qcow_store_file_ops = {
	.name = "file",
	.read = file_read,
	.write = file_write,
	.submit = file_submit,
	.flush = file_flush,
	.resize = file_resize,
	.reserve = file_reserve,
	.punch = file_punch,
	.extent = file_extent,
	.can_clone = file_can_clone,
	.clone = file_clone,
};
