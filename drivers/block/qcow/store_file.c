// SPDX-License-Identifier: GPL-2.0
/*
 * A store in a regular file (or, buffered, in a block device): asynchronous direct I/O
 * through the file system's own read_iter, without blocking where the file system can.
 * Does not know where in an image it reads. store.c chooses it, request.c submits.
 */
#include <linux/blkdev.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/task_stack.h>

#include "compat.h"
#include "store.h"

/* Pages that one metadata read describes on the stack. */
#define READ_PAGES	16

/* A file system and the devices below it need this much of a stack. */
#define STACK_ROOM	(THREAD_SIZE / 2)

/**
 * struct task_context - what a submitter's task carries that must not reach the file below
 * @bio_list: bios submitted below would wait there for the one being submitted now, and the
 *            file system may wait for a block of its own metadata
 * @plug: is being flushed, and its requests are for another queue
 * @journal_info: the transaction of the file system above
 * @noio: allocations below must not write back to the one above
 */
struct task_context {
	struct bio_list *bio_list;
	struct blk_plug *plug;
	void *journal_info;
	unsigned int noio;
};

/*
 * The submitter may hold locks of the file system above, and the one below takes its own of the
 * same classes (ext4 waits for i_data_sem even with IOCB_NOWAIT). Nothing below ever waits for
 * what is above, but lockdep, which has never heard of layers, would say so; the same reads in a
 * worker are under its eyes.
 */
static void task_context_begin(struct task_context *ctx)
{
	lockdep_off();
	ctx->bio_list = current->bio_list;
	/* A task that the scheduler finds without a plug must not have the time noted in one. */
	blk_plug_invalidate_ts();
	ctx->plug = current->plug;
	ctx->journal_info = current->journal_info;
	ctx->noio = memalloc_noio_save();
	current->bio_list = NULL;
	current->plug = NULL;
	current->journal_info = NULL;
}

static void task_context_end(const struct task_context *ctx)
{
	memalloc_noio_restore(ctx->noio);
	current->journal_info = ctx->journal_info;
	current->plug = ctx->plug;
	current->bio_list = ctx->bio_list;
	lockdep_on();
}

/* Devices may be stacked on images on devices; below some depth a fresh stack is taken. */
static bool stack_has_room(void)
{
	return current_stack_pointer - (unsigned long)task_stack_page(current) > STACK_ROOM;
}

static ssize_t file_read(struct qcow_store *store, void *buf, u64 pos, size_t len)
{
	struct bio_vec bvecs[READ_PAGES];
	struct iov_iter iter;
	struct kiocb iocb;
	size_t filled = 0;
	unsigned int nr;

	for (nr = 0; nr < READ_PAGES && filled < len; nr++) {
		void *addr = buf + filled;
		struct page *page = is_vmalloc_addr(addr) ? vmalloc_to_page(addr) :
							     virt_to_page(addr);
		size_t part = min_t(size_t, len - filled, PAGE_SIZE - offset_in_page(addr));

		bvec_set_page(&bvecs[nr], page, part, offset_in_page(addr));
		filled += part;
	}

	init_sync_kiocb(&iocb, store->file);
	iocb.ki_pos = pos;
	iocb.ki_flags = store->direct ? IOCB_DIRECT : 0;
	iov_iter_bvec(&iter, ITER_DEST, bvecs, nr, filled);
	return store->file->f_op->read_iter(&iocb, &iter);
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
		io->complete(io, -ENODATA);
	} else if (nowait && (ret == -EAGAIN || ret == -EOPNOTSUPP)) {
		/* The device below has no such thing as not waiting. */
		if (ret == -EOPNOTSUPP)
			WRITE_ONCE(io->store->nowait, false);
		file_queue(io);
	} else {
		io->complete(io, ret);
	}
}

static void file_complete(struct kiocb *iocb, long ret)
{
	file_advance(container_of(iocb, struct qcow_io, iocb), ret);
}

static void file_start(struct qcow_io *io, int flags)
{
	struct iov_iter iter = io->iter;
	struct file *file = io->store->file;
	ssize_t ret;

	iov_iter_advance(&iter, io->done);
	iov_iter_truncate(&iter, io->len - io->done);

	io->iocb = (struct kiocb) {
		.ki_filp = file,
		.ki_pos = io->pos + io->done,
		.ki_complete = file_complete,
		.ki_flags = flags | (io->store->direct ? IOCB_DIRECT : 0),
	};
	ret = file->f_op->read_iter(&io->iocb, &iter);
	if (ret != -EIOCBQUEUED)
		file_advance(io, ret);
}

static void file_work(struct work_struct *work)
{
	unsigned int noio = memalloc_noio_save();

	file_start(container_of(work, struct qcow_io, work), 0);
	memalloc_noio_restore(noio);
}

/*
 * Without waiting; of the page cache only what is there. To read ahead would take a lock of the
 * mapping below while the submitter holds that of the one above.
 */
static void file_submit_read(struct qcow_store *store, struct qcow_io *io)
{
	struct task_context ctx;

	if (!READ_ONCE(store->nowait) || !stack_has_room()) {
		file_queue(io);
		return;
	}
	task_context_begin(&ctx);
	file_start(io, IOCB_NOWAIT | (store->direct ? 0 : IOCB_NOIO));
	task_context_end(&ctx);
}

const struct qcow_store_ops qcow_store_file_ops = {
	.name = "file",
	.read = file_read,
	.submit_read = file_submit_read,
};
