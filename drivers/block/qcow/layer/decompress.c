// SPDX-License-Identifier: GPL-2.0
/*
 * Clusters as entries of a fill cache: buffers, reading, decompressing. An image gets its cache
 * with the first compressed cluster that is read; from then on one cluster and one buffer for
 * compressed data are set aside, so that no load has to fail for want of memory.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <qcow/l2.h>

#include "compat.h"
#include "layer/codec.h"
#include "layer/decompress.h"
#include "layer/workspace.h"
#include "inject.h"
#include "layer/image.h"
#include "message.h"
#include "store/store.h"
#include "trace.h"

/**
 * struct span - what to read of the store for one cluster
 * @start: host offset, aligned for the store
 * @len: bytes to read
 * @head: bytes from @start to the compressed data
 * @compressed_len: bytes to hand to the method
 * @buffer: bytes of memory that all this needs
 */
struct span {
	u64 start;
	size_t len;
	size_t head;
	size_t compressed_len;
	size_t buffer;
};

static struct qcow_cluster *to_cluster(struct qcow_cached *cached)
{
	return container_of(cached, struct qcow_cluster, cached);
}

/* The aligned range around @len bytes of compressed data from @host on. */
static void decompress_span(const struct qcow_store *store, u64 host, u32 len, struct span *span)
{
	u64 bytes = READ_ONCE(store->bytes);
	u64 end = round_up(min_t(u64, host + len, bytes), store->align);

	span->start = round_down(host, store->align);
	span->len = min(end, bytes) - span->start;
	span->head = host - span->start;
	span->compressed_len = len;
	span->buffer = PAGE_ALIGN(span->head + len + store->align);
}

/* Memory that the largest span of an image may need. */
static size_t max_buffer(const struct qcow_image *image)
{
	size_t len = image->geo.csize_mask;

	if (image->geo.csize_sectors)
		len = (len + 1) * SECTOR_SIZE;
	return PAGE_ALIGN(len + 2 * image->store->align);
}

static void cluster_free(struct qcow_cached *cached)
{
	struct qcow_cluster *cluster = to_cluster(cached);

	kvfree(cluster->src);
	kvfree(cluster->data);
	kfree(cluster);
}

/* Without a span: for any cluster of the image. */
static struct qcow_cached *cluster_alloc(void *owner, const void *arg, gfp_t gfp)
{
	const struct qcow_image *image = owner;
	const struct span *span = arg;
	struct qcow_cluster *cluster = kzalloc(sizeof(*cluster), gfp);

	if (!cluster)
		return NULL;
	cluster->data = qcow_workspace_buffer(qcow_cluster_bytes(&image->geo), gfp);
	cluster->src = qcow_workspace_buffer(span ? span->buffer : max_buffer(image), gfp);
	if (!cluster->data || !cluster->src) {
		cluster_free(&cluster->cached);
		return NULL;
	}
	return &cluster->cached;
}

static int cluster_decompress(struct qcow_cluster *cluster, const struct span *span)
{
	struct qcow_image *image = cluster->cached.cache->owner;
	u32 type = image->header.compression_type;
	const struct qcow_codec *codec = qcow_codec_get(type);
	size_t end = span->head + span->compressed_len;
	struct qcow_workspaces *pool = qcow_workspaces_of(type, QCOW_DECOMPRESS);
	struct qcow_workspace *workspace;
	int err;

	err = qcow_store_read(image->store, cluster->src, span->start, span->len);
	if (err)
		return err;
	if (span->len < end)
		memset(cluster->src + span->len, 0, end - span->len);

	workspace = qcow_workspaces_get(pool);
	trace_qcow_decompress_begin(image->store, cluster->cached.idx, span->compressed_len);
	err = codec->decompress(workspace->memory, cluster->src + span->head,
				span->compressed_len, cluster->data,
				qcow_cluster_bytes(&image->geo));
	trace_qcow_decompress_end(image->store, cluster->cached.idx, err);
	qcow_workspaces_put(pool, workspace);
	if (err)
		qcow_message(image, "compressed cluster at 0x%llx: no valid %s data in %zu bytes",
			     cluster->cached.idx, codec->name, span->compressed_len);
	return err;
}

static int cluster_fill(struct qcow_cached *cached, const void *arg)
{
	struct qcow_cluster *cluster = to_cluster(cached);
	int err = cluster_decompress(cluster, arg);

	if (!err)
		atomic64_inc(&cached->cache->misses);
	if (cached->state != QCOW_CACHED_PRIVATE) {
		kvfree(cluster->src);
		cluster->src = NULL;
	}
	return err;
}

const struct qcow_cache_ops qcow_cluster_ops = {
	.alloc = cluster_alloc,
	.fill = cluster_fill,
	.free = cluster_free,
};

static int decompress_create_cache(struct qcow_image *image)
{
	u64 limit = max_t(u64, qcow_inject_limit(QCOW_DECOMPRESS_BYTES),
			  4 * qcow_cluster_bytes(&image->geo));
	unsigned int noio = memalloc_noio_save();
	struct qcow_cache *cache;
	int err = 0;

	mutex_lock(&image->clusters_lock);
	if (!image->clusters) {
		cache = qcow_cache_create(&qcow_cluster_ops, image, limit, "qcow-clusters");
		if (!cache)
			err = -ENOMEM;
		/* Pairs with smp_load_acquire() in decompress_cache(). */
		smp_store_release(&image->clusters, cache);
	}
	mutex_unlock(&image->clusters_lock);
	memalloc_noio_restore(noio);
	return err;
}

static struct qcow_cache *decompress_cache(const struct qcow_image *image)
{
	/* Pairs with smp_store_release() in decompress_create_cache(). */
	return smp_load_acquire(&image->clusters);
}

/* Everything that loads of this image rely on; what can fail for want of memory is here. */
static int decompress_prepare(struct qcow_image *image, const struct qcow_extent *ext,
			      struct span *span)
{
	u32 type = image->header.compression_type;
	const struct qcow_codec *codec = qcow_codec_get(type);
	int err;

	if (codec->missing) {
		qcow_message(image, "compressed cluster at 0x%llx: %s needs a kernel with %s",
			     ext->host, codec->name, codec->missing);
		return -EOPNOTSUPP;
	}
	if (ext->host >= READ_ONCE(image->store->bytes)) {
		qcow_message(image, "compressed cluster at 0x%llx: beyond the end of the file",
			     ext->host);
		return -EUCLEAN;
	}

	decompress_span(image->store, ext->host, ext->compressed_len, span);
	err = qcow_workspaces_fill(qcow_workspaces_of(type, QCOW_DECOMPRESS), false);
	if (!err && !decompress_cache(image))
		err = decompress_create_cache(image);
	return err;
}

int qcow_decompress_load(struct qcow_image *image, const struct qcow_extent *ext,
			 struct qcow_waiter *waiter, struct qcow_cluster **cluster)
{
	struct qcow_cached *cached;
	struct span span;
	struct qcow_key key = {
		.index = &image->cluster_index,
		.idx = ext->host,
		.cost = qcow_cluster_bytes(&image->geo),
		.arg = &span,
	};
	int err;

	err = decompress_prepare(image, ext, &span);
	if (err)
		return err;
	err = qcow_cache_get(decompress_cache(image), &key, waiter, false, &cached);
	if (!err)
		*cluster = to_cluster(cached);
	return err;
}

struct qcow_cluster *qcow_decompress_find(struct qcow_image *image, u64 host)
{
	struct qcow_cache *cache = decompress_cache(image);
	struct qcow_cached *cached;

	if (!cache || qcow_inject(QCOW_INJECT_MISS))
		return NULL;
	cached = qcow_cache_find(cache, &image->cluster_index, host);
	return cached ? to_cluster(cached) : NULL;
}

void qcow_decompress_forget(struct qcow_image *image, u64 host)
{
	struct qcow_cache *cache = decompress_cache(image);

	if (cache)
		qcow_cache_forget(cache, &image->cluster_index, host);
}

void qcow_decompress_clear(struct qcow_image *image)
{
	struct qcow_cache *cache = decompress_cache(image);

	if (cache)
		qcow_cache_clear(cache, &image->cluster_index);
}

u64 qcow_decompress_count(const struct qcow_image *image)
{
	struct qcow_cache *cache = decompress_cache(image);

	return cache ? atomic64_read(&cache->misses) : 0;
}

u64 qcow_decompress_bytes(const struct qcow_image *image)
{
	struct qcow_cache *cache = decompress_cache(image);

	return cache ? atomic64_read(&cache->bytes) : 0;
}
