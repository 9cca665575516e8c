// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a device: attach builds the chain, the queue and the disk and publishes it
 * last; detach takes it away when no task has it open. What a request does is in queue.c and
 * request.c.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/hdreg.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include <qcow/report.h>

#include "compat.h"
#include "data/compress.h"
#include "data/crypt.h"
#include "data/request.h"
#include "device.h"
#include "files.h"
#include "keys.h"
#include "layer/cache.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "layer/workspace.h"
#include "meta/worker.h"
#include "meta/writeback.h"
#include "store/store.h"

/* One request discards so much at most: a worker is busy with it. */
#define MAX_DISCARD_BYTES	SZ_1G

/* Numbers that are taken; the device once it is published, a reserved entry before. */
static DEFINE_XARRAY_ALLOC(qcow_devices);

/* Requests of a device without a name, which come one after the other. */
#define INNER_QUEUE_DEPTH	4

/* A geometry has so many sectors a track, heads, and cylinders at most. */
#define GEO_SECTORS		63
#define GEO_HEADS		255
#define GEO_MAX_CYLINDERS	U16_MAX
/* What a BIOS reaches with as many heads as an IDE disk can have. */
#define GEO_IDE_HEADS		16
#define GEO_IDE_CYLINDERS	1024

/* Held from the look-up of a device to the decision that this caller detaches it. */
static DEFINE_MUTEX(detach_lock);

/* Where tasks wait for an operation, attach or detach to end; how many have, of all devices. */
static DECLARE_WAIT_QUEUE_HEAD(operation_wait);
static atomic_t operations_ended = ATOMIC_INIT(0);

/* Runs lazy detaches; its end is the end of the module's code in them. */
static struct workqueue_struct *detach_wq;

static void operation_ended(void)
{
	atomic_inc(&operations_ended);
	wake_up_all(&operation_wait);
}

static int disk_open(struct gendisk *disk, blk_mode_t mode)
{
	struct qcow_device *dev = disk->private_data;

	lockdep_assert_held(&disk->open_mutex);
	if (dev->detaching)
		return -ENXIO;
	if (dev->shut || (dev->no_writers && mode & BLK_OPEN_WRITE))
		return -EBUSY;
	if (mode & BLK_OPEN_WRITE)
		WRITE_ONCE(dev->written, true);
	return 0;
}

/* What a lazy detach waits for has ended, or some of it. */
static void lazy_detach_locked(struct qcow_device *dev)
{
	lockdep_assert_held(&dev->disk->open_mutex);
	if (dev->lazy && !dev->detaching && !dev->progress.what && !disk_openers(dev->disk)) {
		dev->detaching = true;
		queue_work(detach_wq, &dev->detach_work);
	}
}

static void disk_release(struct gendisk *disk)
{
	struct qcow_device *dev = disk->private_data;

	if (!disk_openers(disk))
		WRITE_ONCE(dev->written, false);
	lazy_detach_locked(dev);
}

static void disk_free(struct gendisk *disk)
{
	kfree(disk->private_data);
}

/*
 * No image has a geometry, and nothing in the kernel uses one: it is for boot loaders, partition
 * tables of DOS and guests, which compare it with what firmware says. So it is what firmware
 * translates: 16 heads of 63 sectors, as QEMU's IDE disks have, while that makes at most 1024
 * cylinders (504 MiB), then 255 heads, as fdisk assumes. What is beyond 65535 cylinders (502 GiB)
 * no geometry tells. The block layer has filled in where a partition starts.
 */
static int disk_getgeo(struct gendisk *disk, struct hd_geometry *geo)
{
	sector_t sectors = get_capacity(disk);

	geo->sectors = GEO_SECTORS;
	geo->heads = GEO_IDE_HEADS;
	if (sectors > GEO_IDE_CYLINDERS * GEO_IDE_HEADS * GEO_SECTORS)
		geo->heads = GEO_HEADS;
	sector_div(sectors, geo->heads * geo->sectors);
	geo->cylinders = clamp_t(sector_t, sectors, 1, GEO_MAX_CYLINDERS);
	return 0;
}

QCOW_DISK_OPEN(disk_open)
QCOW_DISK_RELEASE(disk_release)
QCOW_DISK_GETGEO(disk_getgeo)

static const struct block_device_operations disk_ops = {
	.owner = THIS_MODULE,
	.open = QCOW_DISK_OPEN_OP(disk_open),
	.release = QCOW_DISK_RELEASE_OP(disk_release),
	.getgeo = QCOW_DISK_GETGEO_OP(disk_getgeo),
	.free_disk = disk_free,
};

static enum qcow_direct wanted_direct(const struct qcow_attach *args)
{
	if (args->flags & QCOW_ATTACH_DIRECT)
		return QCOW_DIRECT_ON;
	if (args->flags & QCOW_ATTACH_BUFFERED)
		return QCOW_DIRECT_OFF;
	return QCOW_DIRECT_AUTO;
}

/* A file that one of two devices writes to, or is to, and the other has in its chain. */
static struct file *find_conflict(struct file **files, unsigned int nr_files, bool writable,
				  struct qcow_device *other)
{
	struct file *found = NULL;
	unsigned int i, j, written;

	down_read(&other->chain_lock);
	/* What is written to is in the first layer, or two: an image and its data file. */
	written = other->track ? 4 : 2;
	for (i = 0; i < nr_files && !found; i++) {
		for (j = 0; j < other->nr_files && !found; j++) {
			if (!(writable && i < 2) && !(other->meta && j < written))
				continue;
			if (files[i] && other->files[j] &&
			    qcow_files_inode(files[i]) == qcow_files_inode(other->files[j]))
				found = files[i];
		}
	}
	up_read(&other->chain_lock);
	return found;
}

void qcow_device_report_busy(struct file **files, unsigned int nr_files, bool writable,
			     const struct qcow_device *but, struct qcow_report *rep)
{
	struct qcow_device *other;
	struct file *file = NULL;
	unsigned long index;

	mutex_lock(&detach_lock);
	xa_for_each(&qcow_devices, index, other) {
		if (other == but)
			continue;
		file = find_conflict(files, nr_files, writable, other);
		if (file) {
			qcow_report(rep, "%pD is in use by %s", file, other->name);
			break;
		}
	}
	mutex_unlock(&detach_lock);
	if (!file)
		qcow_report(rep, "a file of the chain is just being attached or detached");
}

/* Why a snapshot cannot be opened beside the device that writes to it. */
static void report_beside(struct file *image, int err, struct qcow_report *rep)
{
	if (err == -EBUSY)
		qcow_report(rep, "the snapshots of %pD are just being changed", image);
	else if (err == -ENOENT)
		qcow_report(rep, "no device writes to %pD", image);
}

static void report_depth(unsigned int depth, struct qcow_report *rep)
{
	if (depth)
		qcow_report(rep, "this is layer %u of the backing chain", depth);
}

static void files_put(struct qcow_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->nr_files; i++) {
		if (dev->files[i])
			fput(dev->files[i]);
	}
	kvfree(dev->files);
}

/* A file that is its own backing file, however long the detour. @last: in @files. */
static int check_loop(struct file **files, unsigned int last, struct qcow_report *rep)
{
	unsigned int i;

	for (i = 0; i < last; i++) {
		if (files[i] && qcow_files_inode(files[i]) == qcow_files_inode(files[last])) {
			qcow_report(rep, "the backing chain has this file already");
			return -ELOOP;
		}
	}
	return 0;
}

int qcow_device_get_files(struct file **files, unsigned int depth, const struct qcow_layer *layer,
			  bool writable, struct qcow_report *rep)
{
	int err = qcow_files_get(&files[2 * depth], layer->image_fd, writable, rep);

	if (!err)
		err = check_loop(files, 2 * depth, rep);
	if (!err && layer->data_fd >= 0) {
		err = qcow_files_get(&files[2 * depth + 1], layer->data_fd, writable, rep);
		if (!err)
			err = check_loop(files, 2 * depth + 1, rep);
	}
	if (err)
		report_depth(depth, rep);
	return err;
}

/* The files are the device's from here on, whatever becomes of the descriptors. */
static int files_get(struct qcow_device *dev, const struct qcow_attach *args,
		     const struct qcow_layer *layers, struct qcow_report *rep)
{
	bool writable = !(args->flags & QCOW_ATTACH_READ_ONLY);
	unsigned int i;
	int err = 0;

	dev->files = kvcalloc(2 * args->nr_layers, sizeof(*dev->files), GFP_KERNEL);
	if (!dev->files)
		return -ENOMEM;
	dev->nr_files = 2 * args->nr_layers;
	for (i = 0; i < args->nr_layers && !err; i++)
		err = qcow_device_get_files(dev->files, i, &layers[i], writable && !i, rep);
	return err;
}

/* How layer @nr of @layers is opened, as far as they say it. */
static struct qcow_image_params image_params(const struct qcow_layers *layers, unsigned int nr)
{
	return (struct qcow_image_params) {
		.raw = layers->fds[nr].format == QCOW_FORMAT_RAW,
		.snapshot = QCOW_ACTIVE_STATE,
		.digest = layers->digests ? layers->digests[nr] : 0,
		.key = qcow_keys_of(layers->keys, nr),
	};
}

/* Layers from the last one up: the layer below is a part of the identity of each. */
int qcow_device_open_below(const struct qcow_device *dev, const struct qcow_below *below,
			   struct qcow_image **image, struct qcow_report *rep)
{
	unsigned int depth = below->nr_layers;

	*image = NULL;
	for (; depth; depth--) {
		struct qcow_open_layer layer = {
			.image = below->files[2 * depth],
			.data = below->files[2 * depth + 1],
			.p = {
				.image = image_params(below->layers, below->skip + depth - 1),
				.direct = below->direct,
				.backing = *image,
			},
		};
		struct qcow_image *next;

		layer.p.image.cache_bytes = below->cache_bytes;
		layer.p.image.l1_bytes_below = *image ? (*image)->l1_bytes : 0;
		next = qcow_files_open_layer(&layer, dev->name, rep);
		if (IS_ERR(next)) {
			if (next == ERR_PTR(-EBUSY))
				qcow_device_report_busy(below->files, 2 * (below->nr_layers + 1),
							below->top_writable, below->but, rep);
			report_depth(depth, rep);
			qcow_layer_put(*image);
			*image = NULL;
			return PTR_ERR(next);
		}
		*image = next;
	}
	return 0;
}

/* @backing: its reference is the layer's when this succeeds. */
static struct qcow_image *open_top(struct qcow_device *dev, const struct qcow_attach *args,
				   const struct qcow_layers *layers, struct qcow_image *backing,
				   struct qcow_report *rep)
{
	bool writable = !(args->flags & QCOW_ATTACH_READ_ONLY);
	struct qcow_open_layer layer = {
		.image = dev->files[0],
		.data = dev->files[1],
		.p = {
			.image = image_params(layers, 0),
			.direct = wanted_direct(args),
			.backing = backing,
			.beside = args->flags & QCOW_ATTACH_BESIDE,
			.wq = dev->wq,
		},
	};
	struct qcow_image *image;

	layer.p.image.writable = writable;
	if (args->flags & QCOW_ATTACH_SNAPSHOT)
		layer.p.image.snapshot = args->snapshot;
	layer.p.image.cache_bytes = args->cache_bytes ?: QCOW_CACHE_DEFAULT_BYTES;
	layer.p.image.l1_bytes_below = backing ? backing->l1_bytes : 0;
	image = qcow_files_open_layer(&layer, dev->name, rep);
	if (!IS_ERR(image))
		return image;
	if (args->flags & QCOW_ATTACH_BESIDE)
		report_beside(dev->files[0], PTR_ERR(image), rep);
	else if (PTR_ERR(image) == -EBUSY)
		qcow_device_report_busy(dev->files, dev->nr_files, writable, NULL, rep);
	return image;
}

/* @data: struct qcow_layers. */
static int chain_open(struct qcow_device *dev, const struct qcow_attach *args, void *data,
		      struct qcow_report *rep)
{
	const struct qcow_layers *layers = data;
	struct qcow_image *image, *backing;
	int err;

	err = files_get(dev, args, layers->fds, rep);
	if (!err)
		err = qcow_files_read_id(dev->files[0], &dev->ids[0]);
	if (!err)
		err = qcow_files_read_id(dev->files[1], &dev->ids[1]);
	if (!err) {
		const struct qcow_below below = {
			.files = dev->files,
			.layers = layers,
			.skip = 1,
			.nr_layers = args->nr_layers - 1,
			.top_writable = !(args->flags & QCOW_ATTACH_READ_ONLY),
			.cache_bytes = args->cache_bytes ?: QCOW_CACHE_DEFAULT_BYTES,
			.direct = wanted_direct(args),
		};

		err = qcow_device_open_below(dev, &below, &backing, rep);
	}
	if (err)
		return err;
	image = open_top(dev, args, layers, backing, rep);
	if (IS_ERR(image)) {
		qcow_layer_put(backing);
		return PTR_ERR(image);
	}
	dev->chain = image;
	return 0;
}

static enum qcow_zeroes wanted_zeroes(const struct qcow_attach *args)
{
	if (!(args->flags & QCOW_ATTACH_DETECT_ZEROES))
		return QCOW_ZEROES_WRITE;
	return args->flags & QCOW_ATTACH_UNMAP_ZEROES ? QCOW_ZEROES_UNMAP : QCOW_ZEROES_KEEP;
}

static int meta_open(struct qcow_device *dev, const struct qcow_attach *args,
		     struct qcow_report *rep)
{
	struct qcow_meta *meta;

	if (args->flags & QCOW_ATTACH_READ_ONLY)
		return 0;
	meta = qcow_meta_create(dev->chain, args->flags & QCOW_ATTACH_DROP_BITMAPS, rep);
	if (IS_ERR(meta))
		return PTR_ERR(meta);
	dev->meta = meta;
	return 0;
}

unsigned int qcow_device_depth(const struct qcow_image *image)
{
	unsigned int depth = 0;

	for (; image; image = image->backing)
		depth++;
	return depth;
}

u32 qcow_device_mem_align(const struct qcow_image *image)
{
	u32 align = SECTOR_SIZE;

	for (; image; image = image->backing)
		align = max3(align, image->store->mem_align, image->data->mem_align);
	return align;
}

static int tags_create(struct qcow_device *dev, unsigned int nr_queues, unsigned int depth)
{
	struct blk_mq_tag_set *set = &dev->tag_set;

	set->ops = &qcow_queue_ops;
	set->nr_hw_queues = nr_queues;
	set->queue_depth = depth;
	set->numa_node = NUMA_NO_NODE;
	set->cmd_size = sizeof(struct qcow_request);
	/* submit_bio_noacct() may sleep, as far as might_sleep() can tell. */
	set->flags = BLK_MQ_F_SHOULD_MERGE | BLK_MQ_F_BLOCKING | BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	set->driver_data = dev;
	return blk_mq_alloc_tag_set(set);
}

static int disk_create(struct qcow_device *dev, const struct qcow_attach *args,
		       struct qcow_report *rep)
{
	struct qcow_image *top = dev->chain;
	u32 block_bytes = args->logical_block_size ?: SECTOR_SIZE;
	struct queue_limits lim = {
		.logical_block_size = block_bytes,
		.physical_block_size = max(block_bytes, top->data->align),
		.io_min = max(block_bytes, top->data->align),
		.io_opt = max_t(u32, block_bytes, qcow_cluster_bytes(&top->geo)),
		.max_hw_sectors = SZ_4M >> SECTOR_SHIFT,
		.max_segments = 1024,
		.max_segment_size = UINT_MAX,
		.dma_alignment = qcow_device_mem_align(top) - 1,
		/* Also of a disk that is read-only: what stands on it takes over what it finds. */
		.discard_granularity = max_t(u32, block_bytes, qcow_cluster_bytes(&top->geo)),
		.max_write_zeroes_sectors = MAX_DISCARD_BYTES >> SECTOR_SHIFT,
	};
	struct gendisk *disk;
	int err;

	if (!IS_ALIGNED(top->size, block_bytes)) {
		qcow_report(rep, "size %llu: no multiple of the logical block size %u", top->size,
			    block_bytes);
		return -EINVAL;
	}
	qcow_limits_write_cache(&lim);
	/* Version 1 and 2 cannot hide what is below, as QEMU does not either. */
	if (!dev->keep_space && (top->geo.version > 2 || !top->backing))
		lim.max_hw_discard_sectors = MAX_DISCARD_BYTES >> SECTOR_SHIFT;
	err = tags_create(dev, min(args->nr_queues ?: num_possible_cpus(), nr_cpu_ids),
			  args->queue_depth ?: QCOW_DEFAULT_QUEUE_DEPTH);
	if (err)
		return err;
	disk = blk_mq_alloc_disk(&dev->tag_set, &lim, dev);
	if (IS_ERR(disk)) {
		blk_mq_free_tag_set(&dev->tag_set);
		return PTR_ERR(disk);
	}
	strscpy(disk->disk_name, dev->name, sizeof(disk->disk_name));
	disk->fops = &disk_ops;
	disk->private_data = dev;
	/* No major of our own: the block layer's extended one, which LVM accepts. */
	if (args->flags & QCOW_ATTACH_NO_PARTSCAN)
		set_bit(GD_SUPPRESS_PART_SCAN, &disk->state);
	set_capacity(disk, top->size >> SECTOR_SHIFT);
	set_disk_ro(disk, !dev->meta);
	qcow_disk_write_cache(disk);
	dev->disk = disk;
	dev->queue = disk->queue;
	return 0;
}

static int inner_create_queue(struct qcow_device *inner)
{
	int err = tags_create(inner, 1, INNER_QUEUE_DEPTH);

	if (err)
		return err;
	inner->queue = qcow_mq_alloc_queue(&inner->tag_set);
	if (!IS_ERR(inner->queue))
		return 0;
	blk_mq_free_tag_set(&inner->tag_set);
	return PTR_ERR(inner->queue);
}

struct qcow_device *qcow_device_create_inner(const struct qcow_device *dev,
					     struct qcow_image *chain, struct qcow_meta *meta,
					     struct qcow_report *rep)
{
	struct qcow_device *inner = kzalloc(sizeof(*inner), GFP_KERNEL);
	int err = -ENOMEM;

	if (inner) {
		spin_lock_init(&inner->error_lock);
		memcpy(inner->name, dev->name, sizeof(inner->name));
		inner->chain = chain;
		inner->meta = meta;
		inner->wq = dev->wq;
		inner->submit_wq = dev->submit_wq;
		inner->submit_local_wq = dev->submit_local_wq;
		err = inner_create_queue(inner);
	}
	if (!err)
		return inner;
	qcow_report(rep, "%s: cannot make a queue for its backing file: error %d", dev->name, err);
	kfree(inner);
	return ERR_PTR(err);
}

void qcow_device_destroy_inner(struct qcow_device *inner)
{
	blk_mq_destroy_queue(inner->queue);
	blk_put_queue(inner->queue);
	blk_mq_free_tag_set(&inner->tag_set);
	kfree(inner);
}

static void queues_destroy(struct qcow_device *dev)
{
	if (dev->submit_local_wq)
		destroy_workqueue(dev->submit_local_wq);
	if (dev->submit_wq)
		destroy_workqueue(dev->submit_wq);
	if (dev->wq)
		destroy_workqueue(dev->wq);
}

/* All but the disk: the metadata worker, the chain and its files, the workqueues. */
static int device_teardown(struct qcow_device *dev)
{
	int err = 0;

	qcow_decompress_ahead_stop(&dev->decompress_ahead);
	if (dev->meta)
		err = qcow_meta_destroy(dev->meta);
	qcow_layer_put(dev->chain);
	files_put(dev);
	queues_destroy(dev);
	return err;
}

static void index_free(unsigned int index)
{
	xa_erase(&qcow_devices, index);
	operation_ended();
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
	/* What a work item has let go of is closed by another one; who waits wants it closed. */
	flush_delayed_fput();
	index_free(index);
	module_put(THIS_MODULE);
	return err;
}

static void detach_work(struct work_struct *work)
{
	struct qcow_device *dev = container_of(work, struct qcow_device, detach_work);

	/* It is not found any more, its number stays taken until it is gone. */
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

static int queues_create(struct qcow_device *dev)
{
	dev->wq = alloc_workqueue("%s", WQ_UNBOUND | WQ_MEM_RECLAIM, 0, dev->name);
	dev->submit_wq = alloc_workqueue("%s-submit", WQ_UNBOUND | WQ_MEM_RECLAIM, 0, dev->name);
	dev->submit_local_wq = alloc_workqueue("%s-local", WQ_PERCPU | WQ_MEM_RECLAIM, 0,
					       dev->name);
	if (dev->wq && dev->submit_wq && dev->submit_local_wq)
		return 0;
	queues_destroy(dev);
	return -ENOMEM;
}

int qcow_device_attach(const struct qcow_attach *args, struct qcow_layers *layers,
		       struct qcow_report *rep)
{
	return qcow_device_create(args, chain_open, layers, rep);
}

/* A path may have any bytes but a zero: in the log they are escaped. */
static void log_attached(const struct qcow_device *dev)
{
	char *path = kstrdup_quotable_file(dev->nr_files ? dev->files[0] : NULL, GFP_KERNEL);

	pr_info("%s: version %u, %llu bytes, %u layer%s: %s\n", dev->name,
		dev->chain->header.version, dev->chain->size, dev->depth,
		dev->depth == 1 ? "" : "s", path ?: "?");
	kfree(path);
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
	init_rwsem(&dev->chain_lock);
	init_waitqueue_head(&dev->progress.wait);
	INIT_WORK(&dev->detach_work, detach_work);
	dev->zeroes = wanted_zeroes(args);
	dev->compress = args->flags & QCOW_ATTACH_COMPRESS;
	dev->keep_space = args->flags & QCOW_ATTACH_NO_DISCARD;

	err = index_reserve(dev, args->index, rep);
	if (err)
		goto err_free;
	index = dev->index;
	err = queues_create(dev);
	if (err)
		goto err_index;
	err = open(dev, args, data, rep);
	qcow_decompress_ahead_init(&dev->decompress_ahead, dev->chain);
	dev->depth = qcow_device_depth(dev->chain);
	if (!err && dev->compress)
		err = qcow_compress_prepare(dev->chain, rep);
	if (!err)
		err = meta_open(dev, args, rep);
	if (err)
		goto err_setup;
	err = disk_create(dev, args, rep);
	if (err)
		goto err_setup;

	dev->attached_ns = ktime_get_ns();
	err = device_add_disk(NULL, dev->disk, qcow_sysfs_groups);
	if (err)
		goto err_disk;
	if (dev->meta)
		qcow_image_attached(dev->chain, disk_devt(dev->disk));
	log_attached(dev);

	/* An attached image keeps the module; the open control node holds it until then. */
	__module_get(THIS_MODULE);
	xa_store(&qcow_devices, index, dev, GFP_KERNEL);
	operation_ended();
	/* Its partitions may not have been read; and no caller is left that wants it. */
	if (fatal_signal_pending(current)) {
		qcow_device_detach(index, true, rep);
		return -EINTR;
	}
	return index;

err_disk:
	/* Never added: the queue still needs its tags, and disk_free() is not called. */
	put_disk(dev->disk);
	blk_mq_free_tag_set(&dev->tag_set);
err_setup:
	device_teardown(dev);
err_index:
	index_free(index);
err_free:
	kfree(dev);
	return err;
}

/*
 * Decide under open_mutex, which excludes opens, whether this caller detaches, and when. -EAGAIN:
 * when the operation has ended.
 */
static int detach_begin(struct qcow_device *dev, bool lazy, struct qcow_report *rep)
{
	int err = 0;

	lockdep_assert_held(&detach_lock);
	mutex_lock(&dev->disk->open_mutex);
	if (dev->detaching) {
		err = -ENXIO;
	} else if (!dev->progress.what && !disk_openers(dev->disk)) {
		dev->detaching = true;
	} else if (lazy) {
		dev->lazy = true;
		err = -EINPROGRESS;
	} else if (disk_openers(dev->disk)) {
		qcow_report(rep, "%s is open", dev->name);
		err = -EBUSY;
	} else if (READ_ONCE(dev->progress.total)) {
		qcow_report(rep, "%s: %s is running on it", dev->name, dev->progress.what);
		err = -EBUSY;
	} else {
		err = -EAGAIN;
	}
	mutex_unlock(&dev->disk->open_mutex);
	return err;
}

/* @diskseq: of the device that is meant; 0: any, whose is told. Return: the device or ERR_PTR. */
static struct qcow_device *detach_claim(unsigned int index, u64 *diskseq, bool lazy,
					struct qcow_report *rep)
{
	struct qcow_device *dev;
	int err = -ENXIO;

	mutex_lock(&detach_lock);
	dev = xa_load(&qcow_devices, index);
	if (dev && (!*diskseq || *diskseq == dev->disk->diskseq)) {
		*diskseq = dev->disk->diskseq;
		err = detach_begin(dev, lazy, rep);
	}
	if (!err)
		xa_store(&qcow_devices, index, XA_ZERO_ENTRY, GFP_KERNEL);
	mutex_unlock(&detach_lock);
	return err ? ERR_PTR(err) : dev;
}

int qcow_device_detach(unsigned int index, bool lazy, struct qcow_report *rep)
{
	struct qcow_device *dev;
	u64 diskseq = 0;
	int err, ended;

	do {
		ended = atomic_read(&operations_ended);
		dev = detach_claim(index, &diskseq, lazy, rep);
		err = PTR_ERR_OR_ZERO(dev);
		/* It keeps the device no longer than it takes. */
		if (err == -EAGAIN && wait_event_killable(operation_wait,
							  atomic_read(&operations_ended) != ended))
			err = -EINTR;
	} while (err == -EAGAIN);

	if (err == -ENXIO)
		qcow_report(rep, "qcow%u is not attached", index);
	if (err)
		return err;

	err = device_remove(dev);
	if (err)
		qcow_report(rep,
			    "qcow%u is detached, and what was written last, or bitmaps, may be lost",
			    index);
	return err;
}

/* @rate: of one that takes long; NULL: it does not. */
static int operation_begin(struct qcow_device *dev, const char *what, const u64 *rate,
			   struct qcow_report *rep)
{
	int err = 0;

	lockdep_assert_held(&detach_lock);
	mutex_lock(&dev->disk->open_mutex);
	if (dev->detaching) {
		err = -ENXIO;
	} else if (dev->progress.what) {
		qcow_report(rep, "%s: %s is running on it", dev->name, dev->progress.what);
		err = -EBUSY;
	} else {
		qcow_progress_begin(&dev->progress, what,
				    rate ? max(dev->chain->size, 1ULL) : 0, rate ? *rate : 0);
	}
	mutex_unlock(&dev->disk->open_mutex);
	return err;
}

static struct qcow_device *operation_get(unsigned int index, const char *what, const u64 *rate,
					 struct qcow_report *rep)
{
	struct qcow_device *dev;
	int err = -ENXIO;

	mutex_lock(&detach_lock);
	dev = xa_load(&qcow_devices, index);
	if (dev)
		err = operation_begin(dev, what, rate, rep);
	mutex_unlock(&detach_lock);
	if (err == -ENXIO)
		qcow_report(rep, "qcow%u is not attached", index);
	return err ? ERR_PTR(err) : dev;
}

struct qcow_device *qcow_device_get(unsigned int index, const char *what, struct qcow_report *rep)
{
	return operation_get(index, what, NULL, rep);
}

struct qcow_device *qcow_device_get_job(unsigned int index, const char *what, u64 rate,
					struct qcow_report *rep)
{
	return operation_get(index, what, &rate, rep);
}

int qcow_device_finish_job(struct qcow_device *dev)
{
	int err = 0;

	mutex_lock(&dev->disk->open_mutex);
	if (READ_ONCE(dev->progress.cancelled))
		err = -ECANCELED;
	else
		WRITE_ONCE(dev->progress.total, 0);
	mutex_unlock(&dev->disk->open_mutex);
	return err;
}

int qcow_device_shut(struct qcow_device *dev, struct qcow_report *rep)
{
	int err = 0;

	mutex_lock(&dev->disk->open_mutex);
	if (disk_openers(dev->disk)) {
		qcow_report(rep, "%s is open", dev->name);
		err = -EBUSY;
	} else {
		dev->shut = true;
	}
	mutex_unlock(&dev->disk->open_mutex);
	return err;
}

int qcow_device_stop_writers(struct qcow_device *dev, struct qcow_report *rep)
{
	struct gendisk *disk = dev->disk;
	struct block_device *bdev;
	unsigned long partition;
	int err = 0;

	mutex_lock(&disk->open_mutex);
	/* What a file system has in the page cache of its device is seen when it is written. */
	if (!READ_ONCE(dev->written)) {
		xa_for_each(&disk->part_tbl, partition, bdev)
			sync_blockdev(bdev);
	}
	if (READ_ONCE(dev->written)) {
		qcow_report(rep, "%s is open for writing, or has been since it was opened",
			    dev->name);
		err = -EBUSY;
	} else {
		dev->no_writers = true;
	}
	mutex_unlock(&disk->open_mutex);
	return err;
}

/* Tell user space what an operation has done. */
static void announce(struct gendisk *disk, const char *what)
{
	char event[32], *env[2] = { event };

	snprintf(event, sizeof(event), "QCOW_EVENT=%s", what);
	kobject_uevent_env(&disk_to_dev(disk)->kobj, KOBJ_CHANGE, env);
}

void qcow_device_put(struct qcow_device *dev)
{
	struct gendisk *disk = dev->disk;
	const char *what;

	/* With open_mutex dropped a detach may take the device, and its disk, away. */
	get_device(disk_to_dev(disk));
	mutex_lock(&disk->open_mutex);
	what = dev->progress.announced ? dev->progress.what : NULL;
	qcow_progress_end(&dev->progress);
	dev->shut = false;
	dev->no_writers = false;
	lazy_detach_locked(dev);
	mutex_unlock(&disk->open_mutex);
	/* Who hears of it may open the disk, and begin another operation. */
	if (what)
		announce(disk, what);
	put_device(disk_to_dev(disk));
	operation_ended();
}

/**
 * struct running - an operation that is waited for
 * @diskseq: of its device; 0: not known yet
 * @nr: of the operation
 */
struct running {
	u64 diskseq;
	u64 nr;
};

/* Whether it is running still; at first, which one that is. Return: 0; -ENOENT: it is not. */
static int running_look(struct running *running, unsigned int index, bool cancel)
{
	struct qcow_device *dev;
	int err = -ENOENT;

	mutex_lock(&detach_lock);
	dev = xa_load(&qcow_devices, index);
	if (!dev && !running->diskseq)
		err = -ENXIO;
	if (!dev || (running->diskseq && running->diskseq != dev->disk->diskseq))
		goto unlock;
	mutex_lock(&dev->disk->open_mutex);
	if (!running->diskseq)
		*running = (struct running) { dev->disk->diskseq, dev->progress.nr };
	if (dev->progress.what && dev->progress.nr == running->nr &&
	    (!cancel || READ_ONCE(dev->progress.total))) {
		err = 0;
		if (cancel)
			qcow_progress_cancel(&dev->progress);
	}
	mutex_unlock(&dev->disk->open_mutex);
unlock:
	mutex_unlock(&detach_lock);
	return err;
}

int qcow_device_wait(unsigned int index, bool cancel, struct qcow_report *rep)
{
	struct running running = {};
	int err, ended = atomic_read(&operations_ended);

	err = running_look(&running, index, cancel);
	if (err == -ENXIO)
		qcow_report(rep, "qcow%u is not attached", index);
	if (err == -ENOENT && cancel)
		qcow_report(rep, "qcow%u: no job is running on it", index);
	if (err)
		return err == -ENOENT && !cancel ? 0 : err;
	do {
		if (wait_event_state(operation_wait, atomic_read(&operations_ended) != ended,
				     (TASK_KILLABLE | TASK_FREEZABLE)))
			return -EINTR;
		ended = atomic_read(&operations_ended);
	} while (!running_look(&running, index, false));
	return 0;
}

/* A number that is taken without a device is that of one which is being detached, or attached. */
static bool is_detaching(unsigned int index)
{
	XA_STATE(xas, &qcow_devices, index);
	struct qcow_device *dev;
	bool detaching;

	mutex_lock(&detach_lock);
	xa_lock(&qcow_devices);
	dev = xas_load(&xas);
	xa_unlock(&qcow_devices);
	detaching = xa_is_zero(dev) || (dev && READ_ONCE(dev->detaching));
	mutex_unlock(&detach_lock);
	return detaching;
}

int qcow_device_wait_detach(unsigned int index)
{
	int ended;

	do {
		ended = atomic_read(&operations_ended);
		if (!is_detaching(index))
			return 0;
	} while (!wait_event_state(operation_wait, atomic_read(&operations_ended) != ended,
				   (TASK_KILLABLE | TASK_FREEZABLE)));
	return -EINTR;
}

int qcow_device_module_init(void)
{
	int err;

	err = qcow_cache_module_init();
	if (err)
		return err;
	err = qcow_workspaces_module_init();
	if (err)
		goto err_cache;
	err = qcow_writeback_module_init();
	if (err)
		goto err_workspaces;
	err = qcow_request_module_init();
	if (err)
		goto err_writeback;
	err = qcow_compress_module_init();
	if (err)
		goto err_request;
	err = qcow_crypt_module_init();
	if (err)
		goto err_compress;
	qcow_discard_module_init();
	detach_wq = alloc_workqueue("qcow_detach", WQ_PERCPU, 0);
	if (detach_wq)
		return 0;

	err = -ENOMEM;
	qcow_crypt_module_exit();
err_compress:
	qcow_compress_module_exit();
err_request:
	qcow_request_module_exit();
err_writeback:
	qcow_writeback_module_exit();
err_workspaces:
	qcow_workspaces_module_exit();
err_cache:
	qcow_cache_module_exit();
	return err;
}

void qcow_device_module_exit(void)
{
	destroy_workqueue(detach_wq);
	qcow_crypt_module_exit();
	qcow_compress_module_exit();
	qcow_request_module_exit();
	qcow_writeback_module_exit();
	qcow_workspaces_module_exit();
	qcow_cache_module_exit();
}
