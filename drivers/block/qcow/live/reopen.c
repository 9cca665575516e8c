// SPDX-License-Identifier: GPL-2.0
/*
 * The files of an image of a device, opened once more.
 *
 * Access and locks belong to an open file, so a device that gets others needs other open files.
 * User space opens them; they are good only if they are the files that the device has.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <qcow/report.h>

#include "device.h"
#include "layer/cache.h"
#include "layer/image.h"
#include "live/operation.h"
#include "live/reopen.h"
#include "store/store.h"

/* @what: of the device. */
static int get_again(struct file **file, int fd, const struct file *what,
		     const struct qcow_device *dev, bool writable, struct qcow_report *rep)
{
	int err = qcow_files_get(file, fd, writable, rep);

	if (err)
		return err;
	if (qcow_files_inode(*file) != qcow_files_inode(what)) {
		qcow_report(rep, "%pD is not %pD, which %s has", *file, what, dev->name);
		return -EINVAL;
	}
	if (!writable && (*file)->f_mode & FMODE_WRITE) {
		qcow_report(rep, "%pD is open for writing, and will only be read", *file);
		return -EBADF;
	}
	return 0;
}

int qcow_reopen_get(struct qcow_open_layer *layer, const struct qcow_device *dev,
		    unsigned int depth, s32 image_fd, s32 data_fd, bool writable,
		    struct qcow_report *rep)
{
	const struct file *image = dev->files[2 * depth], *data = dev->files[2 * depth + 1];
	int err = get_again(&layer->image, image_fd, image, dev, writable, rep);

	if (err)
		return err;
	if (data && data_fd < 0) {
		qcow_report(rep, "%pD has an external data file, and none was given", image);
		return -EINVAL;
	}
	if (!data && data_fd >= 0) {
		qcow_report(rep, "%pD has no external data file, and one was given", image);
		return -EINVAL;
	}
	return data ? get_again(&layer->data, data_fd, data, dev, writable, rep) : 0;
}

int qcow_reopen_check_top(const struct qcow_device *dev, s32 fd, struct qcow_report *rep)
{
	struct file *file = NULL;
	int err;

	if (fd < 0)
		return 0;
	err = get_again(&file, fd, dev->files[0], dev, false, rep);
	if (file)
		fput(file);
	return err;
}

void qcow_reopen_put(struct qcow_open_layer *layer)
{
	if (layer->data)
		fput(layer->data);
	if (layer->image)
		fput(layer->image);
}

/* Memory was made for what the present store asks; a file system may tell another story now. */
static int check_store(const struct qcow_store *store, const struct qcow_store *again,
		       struct qcow_report *rep)
{
	if (again->direct == store->direct && again->align == store->align &&
	    again->mem_align == store->mem_align)
		return 0;
	qcow_report(rep,
		    "opened again it takes I/O aligned to %u bytes and memory to %u, not %u and %u",
		    again->align, again->mem_align, store->align, store->mem_align);
	return -EOPNOTSUPP;
}

int qcow_reopen_check_stores(const struct qcow_image *image, const struct qcow_store *store,
			     const struct qcow_store *data, struct qcow_report *rep)
{
	int err = check_store(image->store, store, rep);

	return err || !data ? err : check_store(image->data, data, rep);
}

int qcow_reopen_to_read(struct qcow_open_layer *layer, const struct qcow_image *image,
			struct qcow_reopened *again, struct qcow_report *rep)
{
	char *name = qcow_files_name(layer->image);
	int err;

	if (!name)
		return -ENOMEM;
	layer->p.image.name = name;
	layer->p.direct = qcow_layer_direct(image);
	layer->p.open = qcow_files_open_stores;
	err = qcow_layer_reopen(&layer->p, again, rep);
	if (!err)
		err = qcow_reopen_check_stores(image, again->store, again->data, rep);
	kfree(name);
	return err;
}

struct qcow_image *qcow_reopen_to_write(struct qcow_open_layer *layer, struct qcow_device *dev,
					const struct qcow_image *old, struct qcow_image *backing,
					struct qcow_report *rep)
{
	struct file *files[] = { layer->image, layer->data };
	struct qcow_image *image;

	layer->p = (struct qcow_layer_params) {
		.image = {
			.raw = old->raw,
			.writable = true,
			.snapshot = QCOW_ACTIVE_STATE,
			.digest = old->digest,
			.key = qcow_image_key(old),
			.cache_bytes = max_t(u64, READ_ONCE(old->cache->limit),
					     QCOW_CACHE_MIN_WRITE_BYTES),
			.l1_bytes_below = old->backing ? old->backing->l1_bytes : 0,
		},
		.direct = qcow_layer_direct(old),
		.backing = backing,
		.instead = old,
		.wq = dev->wq,
	};
	image = qcow_files_open_layer(layer, dev->name, rep);
	if (image == ERR_PTR(-EBUSY))
		qcow_device_report_busy(files, ARRAY_SIZE(files), true, dev, rep);
	return image;
}

void qcow_reopen_end_writing(struct qcow_device *dev, struct qcow_image *image,
			     struct qcow_reopened *again)
{
	unsigned int noio = qcow_device_quiesce(dev);

	/* Of a layer below the active image the quiescing has not stopped it. */
	qcow_readahead_stop(&image->readahead);
	qcow_layer_end_writing(image, again);
	qcow_device_resume(dev, noio);
}

/**
 * struct renewal - a header that is read again
 * @work: reads it: a file system may refuse that to a task that is being killed
 * @image: of that
 * @err: how it has ended
 */
struct renewal {
	struct work_struct work;
	struct qcow_image *image;
	int err;
};

static void renew_work(struct work_struct *work)
{
	struct renewal *renewal = container_of(work, struct renewal, work);

	renewal->err = qcow_image_renew_digest(renewal->image, NULL);
}

static int renew_digest(const struct qcow_device *dev, struct qcow_image *image)
{
	struct renewal renewal = { .image = image };

	if (image->raw)
		return 0;
	INIT_WORK_ONSTACK(&renewal.work, renew_work);
	queue_work(dev->wq, &renewal.work);
	flush_work(&renewal.work);
	destroy_work_on_stack(&renewal.work);
	return renewal.err;
}

/* Its digest, length and times are those of the last write. */
void qcow_reopen_share(const struct qcow_device *dev, struct qcow_image *image,
		       struct qcow_open_layer *layer)
{
	int err = qcow_files_read_state(layer);

	if (!err)
		err = renew_digest(dev, image);
	if (!err)
		qcow_layer_share(image, &layer->p.file, &layer->p.data);
	else
		pr_warn("%s: no other device can have %pD until the detach: error %d\n", dev->name,
			layer->image, err);
}
