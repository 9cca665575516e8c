// SPDX-License-Identifier: GPL-2.0
/*
 * A descriptor through which a program in user space looks at the metadata of an image while the
 * device is in use. The queue is frozen for an instant only; from then on what is overwritten is
 * kept (meta/view.c). Of a device that writes nothing the metadata is what its file has.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <qcow/report.h>
#include <uapi/linux/qcow.h>

#include "device.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "live/metadata.h"
#include "live/operation.h"
#include "meta/commit.h"
#include "meta/view.h"
#include "meta/worker.h"
#include "progress.h"
#include "store/preserve.h"

/* So much is read at once. */
#define PIECE_BYTES	SZ_256K

/**
 * struct metadata - an open descriptor
 * @dev: from qcow_device_get_job()
 * @store: what is read
 * @bytes: its length
 * @preserve: as it was; NULL: it does not change
 * @lock: one call at a time
 * @freed_to: host offset in front of which leaks have been freed
 */
struct metadata {
	struct qcow_device *dev;
	struct qcow_store *store;
	u64 bytes;
	struct qcow_preserve *preserve;
	struct mutex lock;	/* @freed_to, the pace */
	u64 freed_to;
};

static int metadata_read_piece(const struct metadata *m, void *buf, u64 pos, size_t len)
{
	return m->preserve ? qcow_preserve_read(m->preserve, buf, pos, len) :
		qcow_store_read_padded(m->store, buf, pos, len);
}

/* Tables are read in the order in which they lie, as a rule: a place says how far that is. */
static int metadata_step(const struct metadata *m, u64 pos, size_t len)
{
	u64 total = READ_ONCE(m->dev->progress.total);

	return qcow_progress_step(&m->dev->progress,
				  mul_u64_u64_div_u64(pos, total, m->bytes), len);
}

static ssize_t metadata_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct metadata *m = iocb->ki_filp->private_data;
	size_t len = min_t(size_t, iov_iter_count(to), PIECE_BYTES);
	u64 pos = iocb->ki_pos;
	void *buf;
	int err;

	if (pos >= m->bytes || !len)
		return 0;
	len = min_t(u64, len, m->bytes - pos);
	if (mutex_lock_killable(&m->lock))
		return -EINTR;
	err = metadata_step(m, pos, len);
	mutex_unlock(&m->lock);
	if (err)
		return err;
	buf = kvmalloc(len, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	err = metadata_read_piece(m, buf, pos, len);
	if (!err) {
		len = copy_to_iter(buf, len, to);
		err = len ? 0 : -EFAULT;
	}
	kvfree(buf);
	if (err)
		return err;
	iocb->ki_pos += len;
	return len;
}

static int metadata_release(struct inode *inode, struct file *file)
{
	struct metadata *m = file->private_data;

	qcow_preserve_destroy(m->preserve);
	qcow_device_put(m->dev);
	kfree(m);
	return 0;
}

static const struct file_operations metadata_fops = {
	.owner = THIS_MODULE,
	.read_iter = metadata_read,
	.llseek = noop_llseek,
	.release = metadata_release,
};

/* In a pause as short as can be. */
static int metadata_preserve(struct metadata *m)
{
	struct qcow_meta *meta = m->dev->meta;
	unsigned int noio;
	int err;

	m->preserve = qcow_preserve_create(m->store);
	if (!m->preserve)
		return -ENOMEM;
	/* What can be written before is not written in the pause. */
	err = qcow_commit_wait(meta);
	if (err)
		return err;
	noio = qcow_device_quiesce(m->dev);
	err = qcow_view_begin(meta, m->preserve);
	qcow_device_resume(m->dev, noio);
	return err;
}

static int metadata_begin(struct metadata *m, struct qcow_report *rep)
{
	struct qcow_meta *meta = m->dev->meta;
	int err = 0;

	if (!meta && qcow_layer_is_beside(m->dev->chain)) {
		qcow_report(rep, "%s: another device writes to its image", m->dev->name);
		return -EOPNOTSUPP;
	}
	if (meta)
		err = metadata_preserve(m);
	if (err) {
		qcow_preserve_destroy(m->preserve);
		m->preserve = NULL;
	}
	/* Nothing can be written any more, and so it does not change. */
	if (err && READ_ONCE(meta->failed))
		err = 0;
	if (err)
		qcow_report(rep, "its metadata cannot be kept as it is: error %d", err);
	m->bytes = m->preserve ? m->preserve->bytes : READ_ONCE(m->store->bytes);
	return err;
}

static struct file *metadata_open(struct qcow_device *dev, u64 *bytes, struct qcow_report *rep)
{
	struct metadata *m = kzalloc(sizeof(*m), GFP_KERNEL);
	struct file *file;
	int err;

	if (!m)
		return ERR_PTR(-ENOMEM);
	m->dev = dev;
	m->store = dev->chain->store;
	mutex_init(&m->lock);
	err = metadata_begin(m, rep);
	if (err)
		goto err_free;
	file = anon_inode_getfile("[qcow-metadata]", &metadata_fops, m, O_RDONLY | O_CLOEXEC);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto err_end;
	}
	file->f_mode |= FMODE_PREAD;
	*bytes = m->bytes;
	return file;

err_end:
	qcow_preserve_destroy(m->preserve);
err_free:
	kfree(m);
	return ERR_PTR(err);
}

struct file *qcow_device_open_metadata(struct qcow_open_metadata *args, struct qcow_report *rep)
{
	struct qcow_device *dev = qcow_device_get_job(args->index, "check", args->rate, rep);
	struct file *file;

	if (IS_ERR(dev))
		return ERR_CAST(dev);
	file = metadata_open(dev, &args->bytes, rep);
	if (IS_ERR(file))
		qcow_device_put(dev);
	return file;
}

/* @from: they lie behind that; result: behind the last one. */
static int check_leaks(const struct qcow_image *image, const struct qcow_leak *leaks, u32 nr,
		       u64 *from, struct qcow_report *rep)
{
	u64 mask = (1ULL << image->geo.cluster_bits) - 1;
	u64 end;
	u32 i;

	for (i = 0; i < nr; i++, *from = end) {
		if (!check_add_overflow(leaks[i].start, leaks[i].len, &end) && leaks[i].len &&
		    !((leaks[i].start | leaks[i].len) & mask) && leaks[i].start >= *from)
			continue;
		qcow_report(rep, "range %u, %llu bytes at 0x%llx: must be whole clusters, in order",
			    i, leaks[i].len, leaks[i].start);
		return -EINVAL;
	}
	return 0;
}

static int free_leaks(struct metadata *m, const struct qcow_leak *leaks, u32 nr,
		      struct qcow_report *rep)
{
	u64 from = m->freed_to;
	int err;

	err = check_leaks(m->dev->chain, leaks, nr, &from, rep);
	if (err)
		return err;
	/* A page that is lost may have been read before. */
	if (!m->preserve || READ_ONCE(m->preserve->lost))
		return -ESTALE;
	m->freed_to = from;
	return qcow_view_free_leaks(m->dev->meta, leaks, nr, rep);
}

int qcow_metadata_free_leaks(struct file *file, const struct qcow_leak *leaks, u32 nr,
			     struct qcow_report *rep)
{
	struct metadata *m = file->private_data;
	int err;

	if (file->f_op != &metadata_fops) {
		qcow_report(rep, "the descriptor is not of QCOW_OPEN_METADATA");
		return -EBADF;
	}
	err = qcow_device_check_writable(m->dev, rep);
	if (err)
		return err;
	if (m->dev->chain->header.version == 1) {
		qcow_report(rep, "version 1 has no reference counts");
		return -EOPNOTSUPP;
	}
	if (mutex_lock_killable(&m->lock))
		return -EINTR;
	err = free_leaks(m, leaks, nr, rep);
	mutex_unlock(&m->lock);
	return err;
}
