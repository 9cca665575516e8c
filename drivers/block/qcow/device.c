// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a device: attach builds the chain, the queue and the disk and publishes it
 * last; detach takes it away when nobody has it open. ctl.c calls; what a request does is
 * in queue.c and request.c.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/xarray.h>
#include <qcow/report.h>

#include "compat.h"
#include "device.h"
#include "meta/writeback.h"
#include "layer/image.h"
#include "data/inflate.h"
#include "inject.h"
#include "data/request.h"
#include "store/store.h"
#include "meta/worker.h"

/* One request discards so much at most: a worker is busy with it. */
#define MAX_DISCARD_BYTES	SZ_1G

/* Numbers that are taken; the device once it is published, a reserved entry before. */
static DEFINE_XARRAY_ALLOC(qcow_devices);

/* Between looking a device up and deciding that this caller detaches it. */
static DEFINE_MUTEX(detach_lock);

/* Runs lazy detaches; its end is the end of the module's code in them. */
static struct workqueue_struct *detach_wq;

static int disk_open(struct gendisk *disk, blk_mode_t mode)
{
	struct qcow_device *dev = disk->private_data;

	lockdep_assert_held(&disk->open_mutex);
	return dev->detaching ? -ENXIO : 0;
}

static void disk_release(struct gendisk *disk)
{
	struct qcow_device *dev = disk->private_data;

	lockdep_assert_held(&disk->open_mutex);
	if (dev->lazy && !dev->detaching && !disk_openers(disk)) {
		dev->detaching = true;
		queue_work(detach_wq, &dev->detach_work);
	}
}

static void disk_free(struct gendisk *disk)
{
	kfree(disk->private_data);
}

QCOW_DISK_OPEN(disk_open)
QCOW_DISK_RELEASE(disk_release)

static const struct block_device_operations disk_ops = {
	.owner = THIS_MODULE,
	.open = QCOW_DISK_OPEN_OP(disk_open),
	.release = QCOW_DISK_RELEASE_OP(disk_release),
	.free_disk = disk_free,
};

static void chain_close(struct qcow_image *image)
{
	while (image) {
		struct qcow_image *backing = image->backing;

		qcow_image_close(image);
		image = backing;
	}
}

static struct qcow_image *layer_open(struct qcow_device *dev, const struct qcow_attach *args,
				     const struct qcow_layer *layer, unsigned int depth,
				     struct qcow_report *rep)
{
	enum qcow_direct direct = QCOW_DIRECT_AUTO;
	struct qcow_image_params params = {
		.name = dev->name,
		.layer = depth,
		.raw = layer->format == QCOW_FORMAT_RAW,
		.writable = !depth && !(args->flags & QCOW_ATTACH_READ_ONLY),
		.snapshot = depth ? QCOW_ACTIVE_STATE : dev->snapshot,
		.cache = &dev->cache,
	};
	struct qcow_store *store, *data = NULL;

	if (args->flags & QCOW_ATTACH_DIRECT)
		direct = QCOW_DIRECT_ON;
	else if (args->flags & QCOW_ATTACH_BUFFERED)
		direct = QCOW_DIRECT_OFF;

	store = qcow_store_open(layer->image_fd, params.writable, direct, dev->wq, rep);
	if (IS_ERR(store))
		return ERR_CAST(store);
	if (layer->data_fd >= 0) {
		data = qcow_store_open(layer->data_fd, params.writable, direct, dev->wq, rep);
		if (IS_ERR(data)) {
			qcow_store_destroy(store);
			return ERR_CAST(data);
		}
	}
	return qcow_image_open(&params, store, data, rep);
}

/* A file that is its own backing file, however long the detour. */
static bool chain_has_inode(const struct qcow_image *image, const struct qcow_image *added)
{
	for (; image; image = image->backing) {
		if (file_inode(image->store->file) == file_inode(added->store->file))
			return true;
	}
	return false;
}

/* Layers of open descriptors, @data: struct qcow_layer. */
static int chain_open(struct qcow_device *dev, const struct qcow_attach *args, void *data,
		      struct qcow_report *rep)
{
	const struct qcow_layer *layers = data;
	struct qcow_image **next = &dev->chain;
	struct qcow_image *image;

	for (dev->depth = 0; dev->depth < args->nr_layers; dev->depth++) {
		image = layer_open(dev, args, &layers[dev->depth], dev->depth, rep);
		if (IS_ERR(image)) {
			if (dev->depth)
				qcow_report(rep, "this is layer %u of the backing chain",
					    dev->depth);
			return PTR_ERR(image);
		}
		if (chain_has_inode(dev->chain, image)) {
			qcow_report(rep, "layer %u: the backing chain has this file already",
				    dev->depth);
			qcow_image_close(image);
			return -ELOOP;
		}
		*next = image;
		next = &image->backing;
	}
	return 0;
}

static int meta_open(struct qcow_device *dev, const struct qcow_attach *args,
		     struct qcow_report *rep)
{
	struct qcow_meta *meta;

	if (args->flags & QCOW_ATTACH_READ_ONLY)
		return 0;
	meta = qcow_meta_create(dev->chain, dev->inflate, rep);
	if (IS_ERR(meta))
		return PTR_ERR(meta);
	dev->meta = meta;
	return 0;
}

static u32 chain_mem_align(const struct qcow_image *image)
{
	u32 align = SECTOR_SIZE;

	for (; image; image = image->backing)
		align = max3(align, image->store->mem_align, image->data->mem_align);
	return align;
}

static int disk_create(struct qcow_device *dev, const struct qcow_attach *args)
{
	struct qcow_image *top = dev->chain;
	struct queue_limits lim = {
		.logical_block_size = SECTOR_SIZE,
		.physical_block_size = max_t(u32, SECTOR_SIZE, top->data->align),
		.io_min = max_t(u32, SECTOR_SIZE, top->data->align),
		.io_opt = qcow_cluster_bytes(&top->geo),
		.max_hw_sectors = SZ_4M >> SECTOR_SHIFT,
		.max_segments = 1024,
		.max_segment_size = UINT_MAX,
		.dma_alignment = chain_mem_align(top) - 1,
	};
	struct blk_mq_tag_set *set = &dev->tag_set;
	struct gendisk *disk;
	int err;

	if (dev->meta) {
		qcow_limits_write_cache(&lim);
		lim.discard_granularity = qcow_cluster_bytes(&top->geo);
		/* Version 1 and 2 cannot hide what is below, as QEMU does not either. */
		if (top->geo.version > 2 || !top->backing)
			lim.max_hw_discard_sectors = MAX_DISCARD_BYTES >> SECTOR_SHIFT;
		lim.max_write_zeroes_sectors = MAX_DISCARD_BYTES >> SECTOR_SHIFT;
	}
	set->ops = &qcow_queue_ops;
	set->nr_hw_queues = min(args->nr_queues ?: num_possible_cpus(), nr_cpu_ids);
	set->queue_depth = args->queue_depth ?: QCOW_DEFAULT_QUEUE_DEPTH;
	set->numa_node = NUMA_NO_NODE;
	set->cmd_size = sizeof(struct qcow_request);
	/* submit_bio_noacct() may sleep, as far as might_sleep() can tell. */
	set->flags = BLK_MQ_F_SHOULD_MERGE | BLK_MQ_F_BLOCKING | BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	set->driver_data = dev;
	err = blk_mq_alloc_tag_set(set);
	if (err)
		return err;

	disk = blk_mq_alloc_disk(set, &lim, dev);
	if (IS_ERR(disk)) {
		blk_mq_free_tag_set(set);
		return PTR_ERR(disk);
	}
	strscpy(disk->disk_name, dev->name, sizeof(disk->disk_name));
	disk->fops = &disk_ops;
	disk->private_data = dev;
	/* No major of our own: the block layer's extended one, which LVM accepts. */
	if (args->flags & QCOW_ATTACH_NO_PARTSCAN)
		disk->flags |= GENHD_FL_NO_PART;
	set_capacity(disk, top->size >> SECTOR_SHIFT);
	set_disk_ro(disk, !dev->meta);
	if (dev->meta)
		qcow_disk_write_cache(disk);
	dev->disk = disk;
	return 0;
}

/* All but the disk, in the reverse order of device_setup(), chain_open() and meta_open(). */
static int device_teardown(struct qcow_device *dev)
{
	int err = 0;

	qcow_inflate_ahead_stop(&dev->inflate_ahead);
	if (dev->meta)
		err = qcow_meta_destroy(dev->meta);
	chain_close(dev->chain);
	qcow_inflate_destroy(dev->inflate);
	qcow_cache_destroy(&dev->cache);
	destroy_workqueue(dev->submit_wq);
	destroy_workqueue(dev->wq);
	return err;
}

static int device_setup(struct qcow_device *dev, const struct qcow_attach *args)
{
	int err = -ENOMEM;

	dev->wq = alloc_workqueue("%s", WQ_UNBOUND | WQ_MEM_RECLAIM, 0, dev->name);
	if (!dev->wq)
		return err;
	dev->submit_wq = alloc_workqueue("%s-submit", WQ_PERCPU | WQ_MEM_RECLAIM, 0, dev->name);
	if (!dev->submit_wq)
		goto err_wq;
	err = qcow_cache_init(&dev->cache, args->cache_bytes ?: QCOW_CACHE_DEFAULT_BYTES);
	if (err)
		goto err_submit_wq;
	dev->inflate = qcow_inflate_create(qcow_inject_limit(QCOW_INFLATE_BYTES));
	if (IS_ERR(dev->inflate)) {
		err = PTR_ERR(dev->inflate);
		goto err_cache;
	}
	return 0;

err_cache:
	qcow_cache_destroy(&dev->cache);
err_submit_wq:
	destroy_workqueue(dev->submit_wq);
err_wq:
	destroy_workqueue(dev->wq);
	return err;
}

static int device_remove(struct qcow_device *dev)
{
	struct gendisk *disk = dev->disk;
	unsigned int index = dev->index;
	int err;

	pr_info("%s: detached\n", dev->name);
	del_gendisk(disk);
	blk_mq_free_tag_set(&dev->tag_set);
	err = device_teardown(dev);
	/* The last reference to the disk frees the device. */
	put_disk(disk);
	xa_erase(&qcow_devices, index);
	module_put(THIS_MODULE);
	return err;
}

static void detach_work(struct work_struct *work)
{
	struct qcow_device *dev = container_of(work, struct qcow_device, detach_work);

	/* Nobody finds it any more, its number stays taken until it is gone. */
	mutex_lock(&detach_lock);
	xa_store(&qcow_devices, dev->index, XA_ZERO_ENTRY, GFP_KERNEL);
	mutex_unlock(&detach_lock);
	device_remove(dev);
}

static int index_reserve(struct qcow_device *dev, u32 wanted, struct qcow_report *rep)
{
	int err;

	if (wanted == QCOW_INDEX_ANY) {
		err = xa_alloc(&qcow_devices, &dev->index, XA_ZERO_ENTRY,
			       XA_LIMIT(0, MINORMASK), GFP_KERNEL);
	} else {
		dev->index = wanted;
		err = xa_insert(&qcow_devices, wanted, XA_ZERO_ENTRY, GFP_KERNEL);
		if (err == -EBUSY) {
			qcow_report(rep, "qcow%u is attached already", wanted);
			err = -EEXIST;
		}
	}
	snprintf(dev->name, sizeof(dev->name), "qcow%u", dev->index);
	return err;
}

int qcow_device_attach(const struct qcow_attach *args, struct qcow_layer *layers,
		       struct qcow_report *rep)
{
	return qcow_device_create(args, chain_open, layers, rep);
}

int qcow_device_create(const struct qcow_attach *args, qcow_chain_open_fn *open, void *data,
		       struct qcow_report *rep)
{
	struct qcow_device *dev;
	unsigned int index;
	int err;

	if ((args->flags & QCOW_ATTACH_SNAPSHOT) && args->snapshot == QCOW_ACTIVE_STATE) {
		qcow_report(rep, "snapshot %u: no image has so many", args->snapshot);
		return -EINVAL;
	}

	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return -ENOMEM;
	spin_lock_init(&dev->error_lock);
	INIT_WORK(&dev->detach_work, detach_work);
	dev->snapshot = args->flags & QCOW_ATTACH_SNAPSHOT ? args->snapshot : QCOW_ACTIVE_STATE;

	err = index_reserve(dev, args->index, rep);
	if (err)
		goto err_free;
	index = dev->index;
	err = device_setup(dev, args);
	if (err)
		goto err_index;
	err = open(dev, args, data, rep);
	qcow_inflate_ahead_init(&dev->inflate_ahead, dev->chain, dev->inflate);
	if (!err)
		err = meta_open(dev, args, rep);
	if (err)
		goto err_setup;
	err = disk_create(dev, args);
	if (err)
		goto err_setup;

	err = device_add_disk(NULL, dev->disk, qcow_sysfs_groups);
	if (err)
		goto err_disk;
	if (dev->meta) {
		qcow_store_attached(dev->chain->store);
		if (dev->chain->data != dev->chain->store)
			qcow_store_attached(dev->chain->data);
	}
	pr_info("%s: version %u, %llu bytes, %u layer%s\n", dev->name, dev->chain->header.version,
		dev->chain->size, dev->depth, dev->depth == 1 ? "" : "s");

	/* An attached image keeps the module; ctl.c holds it until then. */
	__module_get(THIS_MODULE);
	xa_store(&qcow_devices, index, dev, GFP_KERNEL);
	return index;

err_disk:
	/* Never added: the queue still needs its tags, and disk_free() is not called. */
	put_disk(dev->disk);
	blk_mq_free_tag_set(&dev->tag_set);
err_setup:
	device_teardown(dev);
err_index:
	xa_erase(&qcow_devices, index);
err_free:
	kfree(dev);
	return err;
}

/* Decide under open_mutex, where opens are, who detaches and when. */
static int detach_begin(struct qcow_device *dev, bool lazy)
{
	int err = 0;

	lockdep_assert_held(&detach_lock);
	mutex_lock(&dev->disk->open_mutex);
	if (dev->detaching) {
		err = -ENXIO;
	} else if (!disk_openers(dev->disk)) {
		dev->detaching = true;
	} else if (lazy) {
		dev->lazy = true;
		err = -EINPROGRESS;
	} else {
		err = -EBUSY;
	}
	mutex_unlock(&dev->disk->open_mutex);
	return err;
}

int qcow_device_detach(unsigned int index, bool lazy, struct qcow_report *rep)
{
	struct qcow_device *dev;
	int err = -ENXIO;

	mutex_lock(&detach_lock);
	dev = xa_load(&qcow_devices, index);
	if (dev)
		err = detach_begin(dev, lazy);
	if (!err)
		xa_store(&qcow_devices, index, XA_ZERO_ENTRY, GFP_KERNEL);
	mutex_unlock(&detach_lock);

	if (err == -ENXIO)
		qcow_report(rep, "qcow%u is not attached", index);
	else if (err == -EBUSY)
		qcow_report(rep, "qcow%u is open", index);
	if (err)
		return err;

	err = device_remove(dev);
	if (err)
		qcow_report(rep, "qcow%u is detached, and what was written last may be lost",
			    index);
	return err;
}

int qcow_device_module_init(void)
{
	int err;

	err = qcow_cache_module_init();
	if (err)
		return err;
	err = qcow_writeback_module_init();
	if (err)
		goto err_cache;
	err = qcow_request_module_init();
	if (err)
		goto err_writeback;
	qcow_discard_module_init();
	detach_wq = alloc_workqueue("qcow_detach", WQ_PERCPU, 0);
	if (detach_wq)
		return 0;

	err = -ENOMEM;
	qcow_request_module_exit();
err_writeback:
	qcow_writeback_module_exit();
err_cache:
	qcow_cache_module_exit();
	return err;
}

void qcow_device_module_exit(void)
{
	destroy_workqueue(detach_wq);
	qcow_request_module_exit();
	qcow_writeback_module_exit();
	qcow_cache_module_exit();
}
