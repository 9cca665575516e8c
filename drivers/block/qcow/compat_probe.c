// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel has that older or newer ones have not. Kbuild compiles this file, and links it
 * to nothing. For the compiler each probe is a file of its own: one in which it finds no error
 * defines QCOW_HAVE_ and the name of that file, for compat.[ch]. (So what is to be refused must not
 * come out of a macro: the error would be in the file that defines it.)
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/shrinker.h>
#include <linux/workqueue.h>

#line 1 "ALLOC_QUEUE"
void *alloc_queue = &blk_mq_alloc_queue;

#line 1 "BDEV_FREEZE"
void *freeze = &bdev_freeze;

#line 1 "BI_OFFSET"
unsigned int offset(struct bvec_iter *it)
{
	return it->bi_offset;
}

#line 1 "BLK_MODE"
blk_mode_t mode;

#line 1 "DISK_LIMITS"
struct gendisk *alloc_disk(struct blk_mq_tag_set *set, struct queue_limits *lim)
{
	return blk_mq_alloc_disk(set, lim, NULL);
}

#line 1 "FEATURES"
blk_features_t features = BLK_FEAT_WRITE_CACHE;

#line 1 "FREEZE_MEMFLAGS"
void *freeze_queue = &blk_mq_freeze_queue_nomemsave;

#line 1 "GETGEO_DISK"
_Static_assert(__same_type(((const struct block_device_operations *)NULL)->getgeo,
			   int (*)(struct gendisk *, struct hd_geometry *)));

#line 1 "INIT_REQUEST_INT"
_Static_assert(__same_type(((struct blk_mq_ops *)NULL)->init_request,
			   int (*)(struct blk_mq_tag_set *, struct request *, unsigned int, int)));

#line 1 "IOCB_FREEZE"
void *write_started = &file_write_started;

#line 1 "RQ_LIST"
_Static_assert(__same_type(((struct blk_mq_ops *)NULL)->queue_rqs, void (*)(struct rq_list *)));

#line 1 "SHOULD_MERGE"
int should_merge = BLK_MQ_F_SHOULD_MERGE;

#line 1 "SHRINKER_ALLOC"
void *alloc_shrinker = &shrinker_alloc;

#line 1 "WQ_PERCPU"
int percpu = WQ_PERCPU;
