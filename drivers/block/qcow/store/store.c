// SPDX-License-Identifier: GPL-2.0
/*
 * Stores in general: choosing one for a descriptor, I/O of any alignment, and the cgroup that I/O
 * in a worker is for. What is special to files and to block devices is in file.c and bdev.c.
 */
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/magic.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <qcow/report.h>

#include "compat.h"
#include "store/preserve.h"
#include "store/store.h"

/* Most bytes that one read or write through a buffer moves. */
#define BOUNCE_BYTES	(64U << 10)

/* Alignments that direct I/O is tried with, when the file system states none that works. */
static const u32 direct_aligns[] = { 512, 4096 };

/* Try direct I/O: 0: it is possible. */
static int store_probe_direct(struct qcow_store *store, u32 align)
{
	ssize_t ret;
	void *buf;

	buf = kzalloc(max_t(u32, align, 512), GFP_KERNEL);
	if (!buf)
		return -ENOMEM;

	store->align = align;
	store->direct = true;
	ret = store->ops->read(store, buf, 0, align);
	kfree(buf);
	return min(ret, 0);
}

/* Whether an error of that tells of this task, and nothing of the file. */
static bool store_is_callers(int err)
{
	return err == -ENOMEM || err == -EINTR;
}

/* Alignment that the file system or device states; 0: none, direct I/O is not supported. */
static u32 store_stated_align(struct qcow_store *store)
{
	struct file *file = store->file;
	struct inode *inode = file_inode(file);
	struct kstat stat;

	if (!(file->f_mode & FMODE_CAN_ODIRECT))
		return 0;
	if (S_ISBLK(inode->i_mode)) {
		store->mem_align = bdev_dma_alignment(I_BDEV(file->f_mapping->host)) + 1;
		return bdev_logical_block_size(I_BDEV(file->f_mapping->host));
	}
	/* It takes O_DIRECT, and reads from the page cache all the same. */
	if (inode->i_sb->s_magic == TMPFS_MAGIC)
		return 0;

	if (!vfs_getattr(&file->f_path, &stat, STATX_DIOALIGN, AT_STATX_DONT_SYNC) &&
	    (stat.result_mask & STATX_DIOALIGN)) {
		store->mem_align = stat.dio_mem_align;
		return stat.dio_offset_align;
	}
	if (inode->i_sb->s_bdev)
		return bdev_logical_block_size(inode->i_sb->s_bdev);
	return 512;
}

static int store_open_direct(struct qcow_store *store)
{
	u32 stated = store_stated_align(store);
	unsigned int i;
	int err;

	if (!stated || stated > PAGE_SIZE)
		return -EOPNOTSUPP;
	err = store_probe_direct(store, max_t(u32, stated, 512));
	for (i = 0; i < ARRAY_SIZE(direct_aligns) && err && !store_is_callers(err); i++) {
		if (direct_aligns[i] > stated)
			err = store_probe_direct(store, direct_aligns[i]);
	}
	return err;
}

static int store_choose_mode(struct qcow_store *store, enum qcow_direct direct,
			     struct qcow_report *rep)
{
	int err = -EOPNOTSUPP;

	if (direct != QCOW_DIRECT_OFF)
		err = store_open_direct(store);
	/* All that share the layer would have to do with the page cache. */
	if (!err || store_is_callers(err))
		return err;
	if (direct == QCOW_DIRECT_ON) {
		qcow_report(rep, "direct I/O is not possible on the file system of %pD",
			    store->file);
		return -EOPNOTSUPP;
	}
	if (direct == QCOW_DIRECT_AUTO)
		qcow_report(rep, "no direct I/O on the file system of %pD, using the page cache",
			    store->file);

	/* A remapped bio would pass by the page cache, so a file's path serves both. */
	store->ops = &qcow_store_file_ops;
	store->direct = false;
	store->align = 1;
	/* A read of its cache waits for the device's inode lock, IOCB_NOWAIT or not. */
	if (S_ISBLK(file_inode(store->file)->i_mode))
		store->nowait = false;
	return 0;
}

int qcow_store_check(const struct file *file, bool writable, struct qcow_report *rep)
{
	umode_t mode = file_inode(file)->i_mode;

	if (!(S_ISREG(mode) || S_ISBLK(mode)) || !file->f_op->read_iter) {
		qcow_report(rep, "%pD is neither a regular file nor a block device", file);
		return -EINVAL;
	}
	if (!(file->f_mode & FMODE_READ)) {
		qcow_report(rep, "%pD is not open for reading", file);
		return -EBADF;
	}
	if (!writable)
		return 0;
	if (!(file->f_mode & FMODE_WRITE)) {
		qcow_report(rep, "%pD is not open for writing", file);
		return -EBADF;
	}
	if (!(file->f_flags & O_LARGEFILE)) {
		qcow_report(rep, "%pD is open for its first 2 GiB only", file);
		return -EBADF;
	}
	/* An append-only file can be opened in no other way. */
	if (file->f_flags & O_APPEND) {
		qcow_report(rep, "%pD is open for appending only", file);
		return -EBADF;
	}
	if (!file->f_op->write_iter) {
		qcow_report(rep, "%pD is on a file system that the driver cannot write to", file);
		return -EINVAL;
	}
	return 0;
}

struct qcow_store *qcow_store_open(struct file *file, bool writable, enum qcow_direct direct,
				   struct workqueue_struct *wq, struct qcow_report *rep)
{
	struct qcow_store *store;
	int err;

	store = kzalloc(sizeof(*store), GFP_KERNEL);
	if (!store)
		return ERR_PTR(-ENOMEM);
	store->ops = &qcow_store_file_ops;
	if (S_ISBLK(file_inode(file)->i_mode))
		store->ops = &qcow_store_bdev_ops;
	store->file = get_file(file);
	store->bytes = i_size_read(file->f_mapping->host);
	store->writable = writable;
	store->mem_align = 1;
	store->nowait = file->f_mode & FMODE_NOWAIT;
	store->wq = wq;
	mutex_init(&store->rmw_lock);
	mutex_init(&store->preserve_lock);

	/* What was written through the page cache must be what direct I/O reads. */
	err = filemap_write_and_wait(file->f_mapping);
	if (!err)
		err = store_choose_mode(store, direct, rep);
	if (err)
		goto err_store;
	/*
	 * Every write would have to drop its part first, and to leave that to a worker. And what a
	 * device writes in bios passes by what is there of the disk.
	 */
	if (store->direct ? writable : store->ops == &qcow_store_bdev_ops)
		invalidate_mapping_pages(file->f_mapping, 0, -1);
	return store;

err_store:
	fput(file);
	kfree(store);
	return ERR_PTR(err);
}

void qcow_store_attached(struct qcow_store *store)
{
	struct file *file = store->file;

	if (!file || !S_ISREG(file_inode(file)->i_mode))
		return;
	spin_lock(&file->f_lock);
	store->no_times = !(file->f_mode & FMODE_NOCMTIME);
	file->f_mode |= FMODE_NOCMTIME;
	spin_unlock(&file->f_lock);
}

/* The descriptor may be open elsewhere. */
static void store_restore_times(struct qcow_store *store)
{
	if (!store->no_times)
		return;
	spin_lock(&store->file->f_lock);
	store->file->f_mode &= ~FMODE_NOCMTIME;
	spin_unlock(&store->file->f_lock);
}

void qcow_store_destroy(struct qcow_store *store)
{
	store_restore_times(store);
	/* Bios have passed by what others have in the page cache of the device. */
	if (store->writable && store->ops == &qcow_store_bdev_ops)
		invalidate_bdev(I_BDEV(store->file->f_mapping->host));
	if (store->file)
		fput(store->file);
	kfree(store);
}

/* Room for what @len bytes anywhere touch, or for as much of it as is moved at once. */
static void *store_bounce_alloc(const struct qcow_store *store, size_t len)
{
	size_t need = round_up(min_t(size_t, len, BOUNCE_BYTES), store->align) + store->align;

	/* Only powers of two are aligned in every kmalloc(). */
	return kvmalloc(roundup_pow_of_two(min_t(size_t, need, BOUNCE_BYTES)), GFP_NOIO);
}

size_t qcow_store_describe(struct bio_vec *bvecs, unsigned int *nr, const void *buf, size_t len)
{
	size_t filled = 0;

	/* Other memory is in one piece. */
	if (!is_vmalloc_addr(buf)) {
		filled = min_t(size_t, len, QCOW_SYNC_BYTES);
		bvec_set_page(bvecs, virt_to_page(buf), filled, offset_in_page(buf));
		*nr = 1;
		return filled;
	}
	for (*nr = 0; *nr < QCOW_SYNC_PAGES && filled < len; ++*nr) {
		const void *addr = buf + filled;
		size_t part = min_t(size_t, len - filled, PAGE_SIZE - offset_in_page(addr));

		bvec_set_page(&bvecs[*nr], vmalloc_to_page(addr), part, offset_in_page(addr));
		filled += part;
	}
	return filled;
}

static bool store_aligned(const struct qcow_store *store, const void *buf, u64 pos, size_t len)
{
	u64 mem = (unsigned long)buf;

	return IS_ALIGNED(pos | len | mem, store->align);
}

/* One read through @bounce: the aligned range around as much of the wanted one as fits. */
static ssize_t store_read_bounced(struct qcow_store *store, void *bounce, void *buf, u64 pos,
				  size_t len)
{
	u64 start = round_down(pos, store->align);
	size_t head = pos - start;
	size_t want = min_t(size_t, round_up(head + len, store->align), BOUNCE_BYTES);
	ssize_t ret;

	ret = store->ops->read(store, bounce, start, want);
	if (ret < 0)
		return ret;
	if (ret <= head)
		return 0;
	ret = min_t(size_t, ret - head, len);
	memcpy(buf, bounce + head, ret);
	return ret;
}

int qcow_store_read(struct qcow_store *store, void *buf, u64 pos, size_t len)
{
	unsigned int noio = memalloc_noio_save();
	void *bounce = NULL;
	ssize_t ret = 0;

	if (!store_aligned(store, buf, pos, len)) {
		bounce = store_bounce_alloc(store, len);
		if (!bounce) {
			ret = -ENOMEM;
			goto out;
		}
	}

	while (len) {
		if (bounce)
			ret = store_read_bounced(store, bounce, buf, pos, len);
		else
			ret = store->ops->read(store, buf, pos, len);
		if (ret <= 0)
			break;
		ret = min_t(size_t, ret, len);
		buf += ret;
		pos += ret;
		len -= ret;
		/* A short read left an odd position: the end of the store, or nearly. */
		if (len && !bounce && !store_aligned(store, buf, pos, len)) {
			ret = -ENODATA;
			goto out;
		}
	}
	if (len && !ret)
		ret = -ENODATA;
out:
	kvfree(bounce);
	memalloc_noio_restore(noio);
	return ret < 0 ? ret : 0;
}

int qcow_store_read_padded(struct qcow_store *store, void *buf, u64 pos, size_t len)
{
	u64 bytes = READ_ONCE(store->bytes);
	size_t there = pos < bytes ? min_t(u64, len, bytes - pos) : 0;

	memset(buf + there, 0, len - there);
	return there ? qcow_store_read(store, buf, pos, there) : 0;
}

static int store_check_write(const struct qcow_store *store, u64 pos, u64 len)
{
	u64 end;

	if (!store->writable)
		return -EROFS;
	if (check_add_overflow(pos, len, &end) || end > READ_ONCE(store->bytes))
		return -ENODATA;
	return 0;
}

/* All of @buf, which is as the store wants it. */
static int store_write_whole(struct qcow_store *store, const void *buf, u64 pos, size_t len)
{
	while (len) {
		ssize_t ret = store->ops->write(store, buf, pos, len);

		if (ret < 0)
			return ret;
		/* What is left of a block that was not finished starts with the block. */
		if (ret < len)
			ret = round_down(ret, store->align);
		if (!ret)
			return -EIO;
		buf += ret;
		pos += ret;
		len -= ret;
	}
	return 0;
}

/* A block that a write changes only in part; beyond the end of the store are zeros. */
static int read_block(struct qcow_store *store, void *buf, u64 pos)
{
	ssize_t ret = store->ops->read(store, buf, pos, store->align);

	if (ret < 0)
		return ret;
	if (pos + ret < READ_ONCE(store->bytes) && ret < store->align)
		return -ENODATA;
	memset(buf + ret, 0, store->align - ret);
	return 0;
}

/* One write through @bounce, of the blocks around as much of @buf as fits. */
static ssize_t store_write_bounced(struct qcow_store *store, void *bounce, const void *buf, u64 pos,
				   size_t len)
{
	u64 start = round_down(pos, store->align);
	size_t head = pos - start;
	size_t end = len < BOUNCE_BYTES - head ? head + len : BOUNCE_BYTES;
	size_t last = round_down(end - 1, store->align);
	size_t whole = last + store->align;
	int err = 0;

	if (head)
		err = read_block(store, bounce, start);
	if (!err && end < whole && (last || !head))
		err = read_block(store, bounce + last, start + last);
	if (err)
		return err;

	memcpy(bounce + head, buf, end - head);
	err = store_write_whole(store, bounce, start,
				min_t(u64, whole, READ_ONCE(store->bytes) - start));
	return err ?: end - head;
}

static int store_write_any(struct qcow_store *store, const void *buf, u64 pos, size_t len)
{
	ssize_t ret = 0;
	void *bounce;

	if (store_aligned(store, buf, pos, len))
		return store_write_whole(store, buf, pos, len);

	bounce = store_bounce_alloc(store, len);
	if (!bounce)
		return -ENOMEM;
	mutex_lock(&store->rmw_lock);
	while (len) {
		ret = store_write_bounced(store, bounce, buf, pos, len);
		if (ret < 0)
			break;
		buf += ret;
		pos += ret;
		len -= ret;
	}
	mutex_unlock(&store->rmw_lock);
	kvfree(bounce);
	return ret < 0 ? ret : 0;
}

int qcow_store_write(struct qcow_store *store, const void *buf, u64 pos, size_t len)
{
	qcow_preserve_keep(store, pos, len);
	return qcow_store_write_data(store, buf, pos, len);
}

int qcow_store_write_data(struct qcow_store *store, const void *buf, u64 pos, size_t len)
{
	unsigned int noio;
	int err;

	err = store_check_write(store, pos, len);
	if (err)
		return err;
	noio = memalloc_noio_save();
	err = store_write_any(store, buf, pos, len);
	memalloc_noio_restore(noio);
	return err;
}

int qcow_store_zero(struct qcow_store *store, u64 pos, u64 len)
{
	size_t room = roundup_pow_of_two(clamp_t(u64, len, store->align, BOUNCE_BYTES));
	unsigned int noio;
	void *zeros;
	int err;

	err = store_check_write(store, pos, len);
	if (err)
		return err;

	noio = memalloc_noio_save();
	qcow_preserve_keep(store, pos, len);
	zeros = kvzalloc(room, GFP_NOIO);
	if (!zeros)
		err = -ENOMEM;
	while (len && !err) {
		size_t part = min_t(u64, len, room);

		err = store_write_any(store, zeros, pos, part);
		pos += part;
		len -= part;
	}
	kvfree(zeros);
	memalloc_noio_restore(noio);
	return err;
}

int qcow_store_flush(struct qcow_store *store)
{
	unsigned int noio = memalloc_noio_save();
	int err = READ_ONCE(store->lost);

	if (!err)
		err = store->ops->flush(store);
	if (err)
		WRITE_ONCE(store->lost, err);
	memalloc_noio_restore(noio);
	return err;
}

int qcow_store_reserve(struct qcow_store *store, u64 pos, u64 len)
{
	unsigned int noio;
	int err;

	if (!store->ops->reserve)
		return 0;
	noio = memalloc_noio_save();
	err = store->ops->reserve(store, pos, len);
	memalloc_noio_restore(noio);
	return err;
}

int qcow_store_resize(struct qcow_store *store, u64 bytes, u64 from)
{
	unsigned int noio;
	int err;

	if (!store->writable)
		return -EROFS;
	if (bytes > LLONG_MAX)
		return -EFBIG;
	if (bytes == store->bytes)
		return 0;

	noio = memalloc_noio_save();
	err = store->ops->resize(store, bytes, from);
	memalloc_noio_restore(noio);
	return err;
}

int qcow_store_punch(struct qcow_store *store, u64 pos, u64 len)
{
	u64 start, end;
	unsigned int noio;
	int err;

	err = store_check_write(store, pos, len);
	if (err)
		return err;
	start = round_up(pos, store->align);
	end = round_down(pos + len, store->align);
	if (start >= end)
		return 0;

	noio = memalloc_noio_save();
	err = store->ops->punch(store, start, end - start);
	memalloc_noio_restore(noio);
	return err;
}

u64 qcow_store_extent(struct qcow_store *store, u64 pos, u64 len, bool *is_hole)
{
	if (store->ops->extent)
		return store->ops->extent(store, pos, len, is_hole);
	*is_hole = false;
	return len;
}

bool qcow_store_can_clone(struct qcow_store *store, struct qcow_store *from)
{
	return store->ops == from->ops && store->ops->can_clone && !READ_ONCE(store->no_clones) &&
		store->ops->can_clone(store, from);
}

u64 qcow_store_clone(struct qcow_store *store, u64 pos, struct qcow_store *from, u64 from_pos,
		     u64 len)
{
	unsigned int noio;
	u64 cloned;

	if (!qcow_store_can_clone(store, from) || store_check_write(store, pos, len) ||
	    from_pos >= from->bytes)
		return 0;
	noio = memalloc_noio_save();
	cloned = store->ops->clone(store, pos, from, from_pos, min(len, from->bytes - from_pos));
	memalloc_noio_restore(noio);
	return cloned;
}

int qcow_store_wipe(struct qcow_store *store, u64 pos, u64 len)
{
	u64 end = pos + len;
	u64 begin_whole = min(round_up(pos, store->align), end);
	u64 end_whole = max(round_down(end, store->align), begin_whole);
	int err = qcow_store_punch(store, pos, len);

	if (!err && pos < begin_whole)
		err = qcow_store_zero(store, pos, begin_whole - pos);
	if (!err && end_whole < end)
		err = qcow_store_zero(store, end_whole, end - end_whole);
	return err;
}

#ifdef CONFIG_MEMCG
static void identity_assume_memcg(struct qcow_identity *identity)
{
	identity->memcg_css = cgroup_get_e_css(identity->css->cgroup, &memory_cgrp_subsys);
	identity->memcg = set_active_memcg(mem_cgroup_from_css(identity->memcg_css));
}

static void identity_drop_memcg(const struct qcow_identity *identity)
{
	set_active_memcg(identity->memcg);
	css_put(identity->memcg_css);
}
#else
static void identity_assume_memcg(struct qcow_identity *identity)
{
}

static void identity_drop_memcg(const struct qcow_identity *identity)
{
}
#endif

void qcow_identity_assume(struct qcow_identity *identity, struct bio *origin)
{
	identity->css = origin ? bio_blkcg_css(origin) : NULL;
	if (!identity->css || identity->css == blkcg_root_css) {
		identity->css = NULL;
		return;
	}
	kthread_associate_blkcg(identity->css);
	identity_assume_memcg(identity);
}

void qcow_identity_drop(const struct qcow_identity *identity)
{
	if (!identity->css)
		return;
	identity_drop_memcg(identity);
	kthread_associate_blkcg(NULL);
}
