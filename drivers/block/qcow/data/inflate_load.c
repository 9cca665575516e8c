// SPDX-License-Identifier: GPL-2.0
/*
 * Making a decompressed cluster: buffers, reading, decompressing, and the reserve for when
 * there is no memory. Does not know who else is looking for the cluster: inflate.c does.
 * request.c calls.
 */
#include <linux/completion.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <qcow/l2.h>

#include "layer/cache.h"
#include "layer/image.h"
#include "data/inflate_impl.h"
#include "inject.h"
#include "message.h"
#include "store/store.h"

/**
 * struct load - the buffers of one load
 * @cluster: where to, not in the cache yet
 * @src: memory for the compressed data
 */
struct load {
	struct qcow_inflated *cluster;
	void *src;
};

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

static void reserve_wait(struct qcow_inflate *inf)
{
	wait_event(inf->reserve.returned, qcow_inflate_reserve_take(inf));
}

/* Make the reserve large enough for every cluster of an image. */
static int reserve_cover(struct qcow_inflate *inf, size_t cluster_bytes, size_t src_bytes)
{
	struct qcow_inflate_reserve *r = &inf->reserve;
	void *data, *src;
	int err = 0;

	if (READ_ONCE(r->cluster_bytes) >= cluster_bytes && READ_ONCE(r->src_bytes) >= src_bytes)
		return 0;

	mutex_lock(&r->growing);
	cluster_bytes = max(cluster_bytes, r->cluster_bytes);
	src_bytes = max(src_bytes, r->src_bytes);
	data = qcow_inflate_alloc(cluster_bytes, false);
	src = qcow_inflate_alloc(src_bytes, false);
	if (!data || !src) {
		err = -ENOMEM;
		goto out;
	}

	reserve_wait(inf);
	swap(r->cluster.data, data);
	swap(r->src, src);
	spin_lock(&inf->lock);
	inf->limit = max_t(u64, inf->limit, 4 * cluster_bytes);
	spin_unlock(&inf->lock);
	WRITE_ONCE(r->cluster_bytes, cluster_bytes);
	WRITE_ONCE(r->src_bytes, src_bytes);
	qcow_inflate_reserve_return(inf);
out:
	mutex_unlock(&r->growing);
	kvfree(src);
	kvfree(data);
	return err;
}

static void *try_alloc(struct qcow_inflate *inf, size_t bytes)
{
	if (READ_ONCE(inf->starved) || qcow_inject(QCOW_INJECT_NOMEM))
		return NULL;
	return qcow_inflate_alloc(bytes, true);
}

static struct qcow_inflated *alloc_cluster(struct qcow_inflate *inf, u32 bytes)
{
	struct qcow_inflated *c;

	c = kzalloc(sizeof(*c), GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!c)
		return NULL;
	c->data = try_alloc(inf, bytes);
	if (!c->data) {
		kfree(c);
		return NULL;
	}
	return c;
}

static void load_free(struct qcow_inflate *inf, struct load *load)
{
	/* The cluster first would give the reserve, and with it @src, to the next load. */
	if (!qcow_inflate_is_reserve(inf, load->cluster))
		kvfree(load->src);
	qcow_inflate_free(inf, load->cluster);
}

/* Buffers for one cluster of @bytes; waits for the reserve when there is no memory. */
static void load_alloc(struct qcow_inflate *inf, struct load *load, u32 bytes, size_t src_bytes)
{
	load->cluster = qcow_inflate_make_room(inf, bytes);
	if (!load->cluster)
		load->cluster = alloc_cluster(inf, bytes);
	if (load->cluster) {
		load->src = try_alloc(inf, src_bytes);
		if (load->src)
			return;
		qcow_inflate_free(inf, load->cluster);
	}

	reserve_wait(inf);
	load->cluster = &inf->reserve.cluster;
	load->src = inf->reserve.src;
}

/* The aligned range around @len bytes of compressed data from @host on. */
static void find_span(const struct qcow_store *store, u64 host, u32 len, struct span *span)
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

static int read_and_decompress(struct qcow_inflate *inf, struct load *load,
			       const struct span *span)
{
	struct qcow_inflated *c = load->cluster;
	struct qcow_image *image = c->image;
	u32 type = image->header.compression_type;
	const struct qcow_codec *codec = qcow_codec_get(type);
	struct qcow_workspace *workspace;
	size_t end = span->head + span->compressed_len;
	int err;

	err = qcow_store_read(image->store, load->src, span->start, span->len);
	if (err)
		return err;
	if (span->len < end)
		memset(load->src + span->len, 0, end - span->len);

	workspace = qcow_workspaces_get(&inf->workspaces[type]);
	err = codec->decompress(workspace->memory, load->src + span->head, span->compressed_len,
				c->data, c->bytes);
	qcow_workspaces_put(&inf->workspaces[type], workspace);
	if (err)
		qcow_message(image, "compressed cluster at 0x%llx: no valid %s data in %zu bytes",
			     c->host, codec->name, span->compressed_len);
	return err;
}

static int load_run(struct qcow_inflate *inf, struct load *load, const struct span *span)
{
	struct qcow_inflated *c = load->cluster;
	bool reserve = qcow_inflate_is_reserve(inf, c);
	int err;

	err = read_and_decompress(inf, load, span);
	qcow_inject_pause();
	qcow_inflate_publish(inf, c, err);
	qcow_inject_pause();
	if (err)
		load_free(inf, load);
	else if (!reserve)
		kvfree(load->src);
	return err;
}

/* Everything that loads of this image rely on; what can fail for want of memory is here. */
static int prepare(struct qcow_inflate *inf, const struct qcow_image *image,
		   const struct qcow_extent *ext, struct span *span)
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

	find_span(image->store, ext->host, ext->compressed_len, span);
	err = qcow_workspaces_fill(&inf->workspaces[type]);
	if (err)
		return err;
	return reserve_cover(inf, qcow_cluster_bytes(&image->geo),
			     max(max_buffer(image), span->buffer));
}

/* Somebody who waits in qcow_inflate_load() itself. */
struct sleeper {
	struct qcow_waiter waiter;
	struct completion woken;
};

static void wake_sleeper(struct qcow_waiter *waiter)
{
	complete(&container_of(waiter, struct sleeper, waiter)->woken);
}

/* One look, and a load if it is missing. -EINPROGRESS: parked. */
static int find_or_load(struct qcow_inflate *inf, struct qcow_image *image,
			const struct qcow_extent *ext, struct qcow_waiter *waiter,
			struct qcow_inflated **cluster)
{
	struct load load;
	struct span span;
	int err;

	err = qcow_inflate_join(inf, image, ext->host, waiter, NULL, cluster);
	if (err != -ENOENT)
		return err;
	err = prepare(inf, image, ext, &span);
	if (err)
		return err;

	load_alloc(inf, &load, qcow_cluster_bytes(&image->geo), span.buffer);
	load.cluster->image = image;
	load.cluster->host = ext->host;
	load.cluster->bytes = qcow_cluster_bytes(&image->geo);

	qcow_inject_pause();
	/* Somebody may have entered it since. */
	err = qcow_inflate_join(inf, image, ext->host, waiter, load.cluster, cluster);
	if (err != -ENOENT) {
		load_free(inf, &load);
		return err;
	}
	err = load_run(inf, &load, &span);
	if (!err)
		*cluster = load.cluster;
	return err;
}

int qcow_inflate_load(struct qcow_inflate *inf, struct qcow_image *image,
		      const struct qcow_extent *ext, struct qcow_waiter *waiter,
		      struct qcow_inflated **cluster)
{
	struct sleeper sleeper;
	int err;

	if (waiter)
		return find_or_load(inf, image, ext, waiter, cluster);

	sleeper.waiter.wake = wake_sleeper;
	for (;;) {
		init_completion(&sleeper.woken);
		err = find_or_load(inf, image, ext, &sleeper.waiter, cluster);
		if (err != -EINPROGRESS)
			return err;
		wait_for_completion(&sleeper.woken);
	}
}

