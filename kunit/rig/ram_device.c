// SPDX-License-Identifier: GPL-2.0
/*
 * A real qcow device over disks in memory.
 */

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <qcow/report.h>

#include "device.h"
#include "layer/cache.h"
#include "live/operation.h"
#include "meta/job.h"
#include "meta/snapshot.h"
#include "rig/ram_device.h"
#include "rig/ram_store.h"
#include "store/store.h"

#define DEVICE_MODE	(BLK_OPEN_READ | BLK_OPEN_WRITE)

int ram_device_suite_init(struct kunit_suite *suite)
{
	return qcow_device_module_init();
}

void ram_device_suite_exit(struct kunit_suite *suite)
{
	qcow_device_module_exit();
}

static int open_stores(const struct qcow_layer_params *p, struct workqueue_struct *wq,
		       struct qcow_store **store, struct qcow_store **data,
		       struct qcow_report *rep)
{
	*store = ram_store_try(container_of(p, struct ram_layer, p)->disk);
	return *store ? 0 : -ENOMEM;
}

struct ram_layer ram_layer(const struct ram_device *dev, struct ram_disk *disk, bool writable)
{
	return (struct ram_layer) {
		.disk = disk,
		.p = {
			.image = {
				.name = dev->qcow->name,
				.writable = writable,
				.snapshot = QCOW_ACTIVE_STATE,
				.cache_bytes = dev->cache_bytes ?: QCOW_CACHE_DEFAULT_BYTES,
				.key = disk->key,
			},
			.file = { .id = disk, .bytes = disk->bytes },
			.wq = dev->qcow->wq,
			.open = open_stores,
		},
	};
}

static struct qcow_image *open_layer(struct ram_device *ram, struct ram_disk *disk,
				     struct qcow_image *backing, struct qcow_report *rep)
{
	bool writable = disk == ram->disk;
	struct ram_layer layer = ram_layer(ram, disk, writable);

	if (!writable)
		layer.p.image.name = "kunit";
	layer.p.image.raw = !writable;
	layer.p.backing = backing;
	return qcow_layer_get(&layer.p, rep);
}

static int open_chain(struct qcow_device *dev, const struct qcow_attach *args, void *data,
		      struct qcow_report *rep)
{
	struct qcow_image *image, *backing = NULL;
	struct ram_device *ram = data;

	ram->qcow = dev;
	if (ram->backing) {
		backing = open_layer(ram, ram->backing, NULL, rep);
		if (IS_ERR(backing))
			return PTR_ERR(backing);
	}
	image = open_layer(ram, ram->disk, backing, rep);
	if (IS_ERR(image)) {
		qcow_layer_put(backing);
		return PTR_ERR(image);
	}
	dev->chain = image;
	return 0;
}

int ram_device_open(struct ram_device *dev)
{
	dev->file = bdev_file_open_by_dev(disk_devt(dev->qcow->disk), DEVICE_MODE, NULL, NULL);
	if (IS_ERR(dev->file))
		return PTR_ERR(dev->file);
	dev->bdev = file_bdev(dev->file);
	return 0;
}

int ram_device_attach(struct ram_device *dev)
{
	struct qcow_attach args = {
		.index = QCOW_INDEX_ANY,
		.flags = QCOW_ATTACH_NO_PARTSCAN | (dev->compress ? QCOW_ATTACH_COMPRESS : 0),
		.cache_bytes = dev->cache_bytes,
	};
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	int err;

	dev->index = qcow_device_create(&args, open_chain, dev, &rep);
	if (dev->index < 0) {
		pr_err("attach: error %d: %s", dev->index, text);
		return dev->index;
	}
	err = ram_device_open(dev);
	if (err)
		qcow_device_detach(dev->index, false, NULL);
	dev->attached = !err;
	return err;
}

void ram_device_close(struct ram_device *dev)
{
	/* In a kernel thread fput() leaves the rest to a work item. */
	__fput_sync(dev->file);
}

static int do_nothing(struct qcow_job *job)
{
	return 0;
}

int ram_device_reclaim(struct ram_device *dev)
{
	struct qcow_job reclaimed = { .step = do_nothing, .idle = true };

	return qcow_job_run(dev->qcow->meta, &reclaimed);
}

int ram_device_detach(struct ram_device *dev)
{
	dev->attached = false;
	ram_device_close(dev);
	return qcow_device_detach(dev->index, false, NULL);
}

int ram_device_rw(struct ram_device *dev, blk_opf_t opf, u32 sector, void *buf, u32 nr)
{
	struct bio *bio = bio_alloc(dev->bdev, 1, opf, GFP_KERNEL);
	int err;

	bio->bi_iter.bi_sector = sector;
	__bio_add_page(bio, virt_to_page(buf), nr << SECTOR_SHIFT, offset_in_page(buf));
	err = submit_bio_wait(bio);
	bio_put(bio);
	return err;
}

int ram_device_zero(struct ram_device *dev, blk_opf_t opf, u32 sector, u32 nr)
{
	struct bio *bio = bio_alloc(dev->bdev, 0, opf, GFP_KERNEL);
	int err;

	bio->bi_iter.bi_sector = sector;
	bio->bi_iter.bi_size = nr << SECTOR_SHIFT;
	err = submit_bio_wait(bio);
	bio_put(bio);
	return err;
}

int ram_device_flush(struct ram_device *dev)
{
	return blkdev_issue_flush(dev->bdev);
}

int ram_device_snapshot(struct ram_device *dev, enum qcow_snapshot_action action, u32 id,
			char *text, size_t len)
{
	struct qcow_report rep = { .buf = text, .size = len };
	char digits[12];
	struct qcow_snapshot_change change = {
		.action = action, .id = digits, .name = "kunit", .name_len = 5, .date_sec = 1,
		.id_len = snprintf(digits, sizeof(digits), "%u", id),
	};

	text[0] = 0;
	return qcow_device_snapshot(dev->index, &change, &(struct qcow_freeze) {}, true, &rep);
}
