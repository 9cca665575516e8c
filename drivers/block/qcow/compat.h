/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the newest kernel means, on older ones, from what compat_probe.c finds in the target's
 * headers. The only place, with compat.c, that knows of a difference between kernels.
 */
#ifndef _QCOW_COMPAT_H
#define _QCOW_COMPAT_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/shrinker.h>
#include <linux/workqueue.h>

/*
 * open and release take a gendisk. QCOW_DISK_OPEN(fn) makes what an older block layer calls
 * around fn, QCOW_DISK_OPEN_OP(fn) is what block_device_operations gets; likewise release.
 */
#ifdef QCOW_HAVE_BLK_MODE
#define QCOW_DISK_OPEN(fn)
#define QCOW_DISK_RELEASE(fn)
#define QCOW_DISK_OPEN_OP(fn)		fn
#define QCOW_DISK_RELEASE_OP(fn)	fn
#else
typedef fmode_t blk_mode_t;
#define BLK_OPEN_WRITE	FMODE_WRITE

#define QCOW_DISK_OPEN(fn)						\
static int fn##_bdev(struct block_device *bdev, fmode_t mode)		\
{									\
	return fn(bdev->bd_disk, mode);					\
}
#define QCOW_DISK_RELEASE(fn)						\
static void fn##_disk(struct gendisk *disk, fmode_t mode)		\
{									\
	fn(disk);							\
}
#define QCOW_DISK_OPEN_OP(fn)		fn##_bdev
#define QCOW_DISK_RELEASE_OP(fn)	fn##_disk
#endif

/* getgeo takes a gendisk; QCOW_DISK_GETGEO(fn) and QCOW_DISK_GETGEO_OP(fn) as above. */
#ifdef QCOW_HAVE_GETGEO_DISK
#define QCOW_DISK_GETGEO(fn)
#define QCOW_DISK_GETGEO_OP(fn)		fn
#else
#define QCOW_DISK_GETGEO(fn)						\
static int fn##_bdev(struct block_device *bdev, struct hd_geometry *geo)	\
{									\
	return fn(bdev->bd_disk, geo);					\
}
#define QCOW_DISK_GETGEO_OP(fn)		fn##_bdev
#endif

#ifndef QCOW_HAVE_DISK_LIMITS
/* Every disk of ours is non-rotational, as all are on 6.12 that do not say otherwise. */
struct gendisk *qcow_disk_set_limits(struct gendisk *disk, const struct queue_limits *lim);

static inline struct gendisk *qcow_disk_alloc(struct blk_mq_tag_set *set, void *queuedata)
{
	return blk_mq_alloc_disk(set, queuedata);
}

#undef blk_mq_alloc_disk
#define blk_mq_alloc_disk(set, lim, queuedata) \
	qcow_disk_set_limits(qcow_disk_alloc(set, queuedata), lim)
#endif

/* A disk that has a write cache has it in its limits, or gets it afterwards. */
#ifdef QCOW_HAVE_FEATURES
static inline void qcow_limits_write_cache(struct queue_limits *lim)
{
	lim->features |= BLK_FEAT_WRITE_CACHE;
}

static inline void qcow_disk_write_cache(struct gendisk *disk)
{
}
#else
static inline void qcow_limits_write_cache(struct queue_limits *lim)
{
}

static inline void qcow_disk_write_cache(struct gendisk *disk)
{
	blk_queue_write_cache(disk->queue, true, false);
}
#endif

/* 6.9: a queue without a disk has limits and data, too; none are needed here. */
#ifdef QCOW_HAVE_ALLOC_QUEUE
static inline struct request_queue *qcow_mq_alloc_queue(struct blk_mq_tag_set *set)
{
	return blk_mq_alloc_queue(set, NULL, NULL);
}
#else
#define qcow_mq_alloc_queue(set) blk_mq_init_queue(set)
#endif

/* Several requests; rq_list_peek() and rq_list_pop() take a pointer to either. */
#ifdef QCOW_HAVE_RQ_LIST
typedef struct rq_list qcow_rq_list;
#else
typedef struct request *qcow_rq_list;
#endif

/* Freezing the file system on a block device, counted. */
#ifndef QCOW_HAVE_BDEV_FREEZE
#define bdev_freeze(bdev)	freeze_bdev(bdev)
#define bdev_thaw(bdev)		thaw_bdev(bdev)
#endif

/* No request is under way, and none begins. The caller allocates without I/O meanwhile. */
#ifdef QCOW_HAVE_FREEZE_MEMFLAGS
static inline void qcow_freeze_queue(struct request_queue *q)
{
	blk_mq_freeze_queue_nomemsave(q);
}

static inline void qcow_unfreeze_queue(struct request_queue *q)
{
	blk_mq_unfreeze_queue_nomemrestore(q);
}
#else
static inline void qcow_freeze_queue(struct request_queue *q)
{
	blk_mq_freeze_queue(q);
}

static inline void qcow_unfreeze_queue(struct request_queue *q)
{
	blk_mq_unfreeze_queue(q);
}
#endif

/* Where a bio begins in its first bio_vec, in bytes. */
#ifndef QCOW_HAVE_BI_OFFSET
#define bi_offset	bi_bvec_done
#endif

/* Of a tag set: its requests are merged. Later kernels merge those of all. */
#ifndef QCOW_HAVE_SHOULD_MERGE
#define BLK_MQ_F_SHOULD_MERGE	0
#endif

/* A NUMA node, as init_request takes it. */
#ifdef QCOW_HAVE_INIT_REQUEST_INT
typedef int qcow_request_node;
#else
typedef unsigned int qcow_request_node;
#endif

/* Of a workqueue that is not WQ_UNBOUND. */
#ifndef QCOW_HAVE_WQ_PERCPU
#define WQ_PERCPU	0
#endif

/* The file system cannot be frozen until a write that vfs_iocb_iter_write() has queued ends. */
#ifndef QCOW_HAVE_IOCB_FREEZE
static inline ssize_t qcow_vfs_iocb_iter_write(struct file *file, struct kiocb *iocb,
					       struct iov_iter *iter)
{
	ssize_t ret;

	kiocb_start_write(iocb);
	ret = vfs_iocb_iter_write(file, iocb, iter);
	if (ret != -EIOCBQUEUED)
		kiocb_end_write(iocb);
	return ret;
}

#define vfs_iocb_iter_write	qcow_vfs_iocb_iter_write
#endif

typedef unsigned long (*qcow_shrink_fn)(struct shrinker *shrinker, struct shrink_control *sc);

/**
 * qcow_shrinker_create() - make and register a shrinker
 * @name: as debugfs shows it
 * @count: objects that could be freed
 * @scan: free some
 * @data: for qcow_shrinker_data()
 *
 * Context: process context, may sleep.
 * Return: the shrinker, which may be called at once, or NULL: no memory.
 */
struct shrinker *qcow_shrinker_create(const char *name, qcow_shrink_fn count,
				      qcow_shrink_fn scan, void *data);
void *qcow_shrinker_data(struct shrinker *shrinker);

/* Waits until it is called no more. @shrinker may be NULL. */
void qcow_shrinker_destroy(struct shrinker *shrinker);

#endif /* _QCOW_COMPAT_H */
