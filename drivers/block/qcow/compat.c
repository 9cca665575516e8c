// SPDX-License-Identifier: GPL-2.0
/*
 * What the newest kernel means, on older ones. Nothing of the driver's own is in here.
 */

#include <linux/slab.h>

#include "compat.h"

#ifdef QCOW_HAVE_SHRINKER_ALLOC

struct shrinker *qcow_shrinker_create(const char *name, qcow_shrink_fn count,
				      qcow_shrink_fn scan, void *data)
{
	struct shrinker *shrinker = shrinker_alloc(0, "%s", name);

	if (!shrinker)
		return NULL;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker->private_data = data;
	shrinker_register(shrinker);
	return shrinker;
}

void *qcow_shrinker_data(struct shrinker *shrinker)
{
	return shrinker->private_data;
}

void qcow_shrinker_destroy(struct shrinker *shrinker)
{
	shrinker_free(shrinker);
}

#else

struct shrinker_with_data {
	struct shrinker shrinker;
	void *data;
};

static struct shrinker_with_data *with_data(struct shrinker *shrinker)
{
	return container_of(shrinker, struct shrinker_with_data, shrinker);
}

struct shrinker *qcow_shrinker_create(const char *name, qcow_shrink_fn count,
				      qcow_shrink_fn scan, void *data)
{
	struct shrinker_with_data *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return NULL;
	s->shrinker.count_objects = count;
	s->shrinker.scan_objects = scan;
	s->shrinker.seeks = DEFAULT_SEEKS;
	s->data = data;
	if (register_shrinker(&s->shrinker, "%s", name)) {
		kfree(s);
		return NULL;
	}
	return &s->shrinker;
}

void *qcow_shrinker_data(struct shrinker *shrinker)
{
	return with_data(shrinker)->data;
}

void qcow_shrinker_destroy(struct shrinker *shrinker)
{
	if (!shrinker)
		return;
	unregister_shrinker(shrinker);
	kfree(with_data(shrinker));
}

#endif

#ifndef QCOW_HAVE_DISK_LIMITS

struct gendisk *qcow_disk_set_limits(struct gendisk *disk, const struct queue_limits *lim)
{
	struct request_queue *q;

	if (IS_ERR(disk))
		return disk;
	q = disk->queue;
	blk_queue_logical_block_size(q, lim->logical_block_size);
	blk_queue_physical_block_size(q, lim->physical_block_size);
	blk_queue_io_min(q, lim->io_min);
	blk_queue_io_opt(q, lim->io_opt);
	blk_queue_max_hw_sectors(q, lim->max_hw_sectors);
	blk_queue_max_segments(q, lim->max_segments);
	blk_queue_max_segment_size(q, lim->max_segment_size);
	blk_queue_dma_alignment(q, lim->dma_alignment);
	q->limits.discard_granularity = lim->discard_granularity;
	blk_queue_max_discard_sectors(q, lim->max_hw_discard_sectors);
	blk_queue_max_write_zeroes_sectors(q, lim->max_write_zeroes_sectors);
	blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	return disk;
}

#endif
