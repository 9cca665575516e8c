// SPDX-License-Identifier: GPL-2.0
/*
 * A write is compressed in front of everything else that is done with it: no metadata is needed for
 * that. Its clusters are independent of each other, so as many work items as there are CPUs take
 * one after the other. The last one has the request go on, which then is planned (write.c) as
 * others are, but that a compressed cluster gets bytes instead of a host cluster.
 *
 * Compressed data fills whole blocks of the store: two clusters in one block would have to be read
 * and written back one after the other.
 */
#include <linux/align.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <qcow/report.h>

#include "data/compress.h"
#include "data/request.h"
#include "device.h"
#include "layer/codec.h"
#include "layer/image.h"
#include "layer/workspace.h"

/* Work items of one request; a request rarely has more clusters of the default size. */
#define COMPRESS_WORKS	16

/**
 * struct qcow_compression - the whole clusters of a write
 * @req: the request
 * @iter: memory from the first of them on
 * @bits: log2 of the cluster size
 * @first: number of the first guest cluster
 * @nr: how many
 * @next: the one that is compressed next
 * @running: work items that have not ended
 * @works: the work items
 * @clusters: what has become of them
 */
struct qcow_compression {
	struct qcow_request *req;
	struct iov_iter iter;
	u32 bits;
	u64 first;
	u32 nr;
	atomic_t next;
	atomic_t running;
	struct compress_work {
		struct work_struct work;
		struct qcow_compression *compression;
	} works[COMPRESS_WORKS];
	struct qcow_compressed clusters[];
};

/*
 * Of all images, as many items at a time as there are workspaces: a CPU. They wait for no I/O, and
 * for memory only as far as they need not have it; what is behind them waits for nothing else.
 */
static struct workqueue_struct *compress_wq;

static const struct qcow_codec *compress_codec(const struct qcow_image *image)
{
	return qcow_codec_get(image->header.compression_type);
}

static struct qcow_workspaces *compress_workspaces(const struct qcow_image *image)
{
	return qcow_workspaces_of(image->header.compression_type, QCOW_COMPRESS);
}

/* Bytes that compressed data may have: whole blocks of the store, and less than a cluster. */
static u32 compress_room(const struct qcow_image *image)
{
	return round_down(qcow_cluster_bytes(&image->geo) - 1, image->store->align);
}

/* Return: NULL, or why clusters of the image cannot be stored compressed. */
static const char *compress_obstacle(const struct qcow_image *image)
{
	if (image->geo.version == 1)
		return "version 1: clusters are not compressed when they are written";
	if (image->geo.data_file)
		return "clusters of an external data file cannot be compressed";
	if (image->crypt)
		return "clusters of an encrypted image are not compressed";
	if (!compress_room(image))
		return "a cluster is no larger than a block of the store: it cannot be compressed";
	return compress_codec(image)->missing ?: compress_codec(image)->compress_missing;
}

const char *qcow_compress_method(const struct qcow_image *image)
{
	return compress_obstacle(image) ? NULL : compress_codec(image)->name;
}

int qcow_compress_prepare(const struct qcow_image *image, struct qcow_report *rep)
{
	const char *obstacle = compress_obstacle(image);

	if (!obstacle)
		return qcow_workspaces_fill(compress_workspaces(image), false);
	if (strstarts(obstacle, "CONFIG_"))
		qcow_report(rep, "compression by %s needs a kernel with %s",
			    compress_codec(image)->name, obstacle);
	else
		qcow_report(rep, "%s", obstacle);
	return -EOPNOTSUPP;
}

bool qcow_compress_wants(const struct qcow_image *image, u64 guest, u64 len)
{
	u32 bits = image->geo.cluster_bits;

	return DIV_ROUND_UP_ULL(guest, 1U << bits) < (guest + len) >> bits &&
		!compress_obstacle(image);
}

static void *compress_buffer(size_t bytes)
{
	return qcow_workspace_buffer(PAGE_ALIGN(bytes), __GFP_NORETRY | __GFP_NOWARN);
}

/* @src, @dst: memory for a cluster. */
static void compress_cluster(struct qcow_compression *compression, u32 nr, void *src, void *dst)
{
	const struct qcow_image *image = compression->req->dev->chain;
	size_t bytes = qcow_cluster_bytes(&image->geo), len;
	struct iov_iter iter = compression->iter;
	struct qcow_workspace *workspace;
	struct qcow_compressed cluster;

	iov_iter_advance(&iter, (size_t)nr << compression->bits);
	if (copy_from_iter(src, bytes, &iter) != bytes)
		return;
	workspace = qcow_workspaces_get(compress_workspaces(image));
	len = compress_codec(image)->compress(workspace->memory, src, bytes, dst,
					      compress_room(image));
	qcow_workspaces_put(compress_workspaces(image), workspace);
	if (!len)
		return;
	cluster.len = round_up(len, image->store->align);
	cluster.buf = compress_buffer(cluster.len);
	if (!cluster.buf)
		return;
	memcpy(cluster.buf, dst, len);
	memset(cluster.buf + len, 0, cluster.len - len);
	compression->clusters[nr] = cluster;
}

static void compress_all(struct qcow_compression *compression)
{
	const struct qcow_image *image = compression->req->dev->chain;
	size_t bytes = qcow_cluster_bytes(&image->geo);
	u32 nr = atomic_fetch_inc(&compression->next);
	void *memory;

	if (nr >= compression->nr || qcow_workspaces_fill(compress_workspaces(image), true))
		return;
	memory = compress_buffer(2 * bytes);
	for (; memory && nr < compression->nr; nr = atomic_fetch_inc(&compression->next)) {
		compress_cluster(compression, nr, memory, memory + bytes);
		cond_resched();
	}
	kvfree(memory);
}

static void compress_work(struct work_struct *work)
{
	struct qcow_compression *compression =
		container_of(work, struct compress_work, work)->compression;
	struct qcow_request *req = compression->req;
	unsigned int noio = memalloc_noio_save();

	compress_all(compression);
	memalloc_noio_restore(noio);
	if (atomic_dec_and_test(&compression->running))
		queue_work(req->dev->wq, &req->work);
}

bool qcow_compress_start(struct qcow_request *req)
{
	u32 bits = req->dev->chain->geo.cluster_bits;
	u64 first = DIV_ROUND_UP_ULL(req->pos, 1U << bits), end = req->end >> bits;
	struct qcow_compression *compression;
	u32 nr, works, i;

	if (iov_iter_count(&req->iter) != req->end - req->pos)
		return false;
	nr = end - first;
	compression = kzalloc(struct_size(compression, clusters, nr),
			      GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!compression)
		return false;
	compression->req = req;
	compression->iter = req->iter;
	iov_iter_advance(&compression->iter, (first << bits) - req->pos);
	compression->bits = bits;
	compression->first = first;
	compression->nr = nr;
	req->compression = compression;

	works = min3(nr, num_online_cpus(), (u32)COMPRESS_WORKS);
	atomic_set(&compression->running, works);
	for (i = 0; i < works; i++) {
		compression->works[i].compression = compression;
		INIT_WORK(&compression->works[i].work, compress_work);
		queue_work(compress_wq, &compression->works[i].work);
	}
	return true;
}

const struct qcow_compressed *qcow_compress_find(const struct qcow_compression *compression,
						 u64 guest)
{
	u64 nr = (guest >> compression->bits) - compression->first;

	if (guest & ((1ULL << compression->bits) - 1) || nr >= compression->nr ||
	    !compression->clusters[nr].buf)
		return NULL;
	return &compression->clusters[nr];
}

u64 qcow_compress_alike(const struct qcow_compression *compression, u64 guest, u64 len)
{
	u64 cluster = 1ULL << compression->bits, next;

	if (qcow_compress_find(compression, guest))
		return min(len, cluster);
	for (next = round_down(guest, cluster) + cluster; next < guest + len; next += cluster) {
		if (qcow_compress_find(compression, next))
			return next - guest;
	}
	return len;
}

void qcow_compress_drop(struct qcow_compression *compression, u64 guest)
{
	struct qcow_compressed *cluster;

	cluster = &compression->clusters[(guest >> compression->bits) - compression->first];
	kvfree(cluster->buf);
	cluster->buf = NULL;
}

static void compress_free_work(struct work_struct *work)
{
	struct qcow_compression *compression =
		container_of(work, struct compress_work, work)->compression;
	u32 i;

	/* Those that have not been written. */
	for (i = 0; i < compression->nr; i++)
		kvfree(compression->clusters[i].buf);
	kfree(compression);
}

void qcow_compress_free(struct qcow_compression *compression)
{
	INIT_WORK(&compression->works[0].work, compress_free_work);
	queue_work(compress_wq, &compression->works[0].work);
}

int qcow_compress_module_init(void)
{
	compress_wq = alloc_workqueue("qcow_compress", WQ_UNBOUND | WQ_MEM_RECLAIM,
				      num_online_cpus());
	return compress_wq ? 0 : -ENOMEM;
}

void qcow_compress_module_exit(void)
{
	destroy_workqueue(compress_wq);
}
