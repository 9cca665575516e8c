// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/block/qcowN/qcow/: what an attached image is and what it uses, one value a file,
 * read-only. Documentation/admin-guide.rst describes every file.
 */
#include <linux/blk-mq.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/sysfs.h>

#include "data/compress.h"
#include "device.h"
#include "layer/decompress.h"
#include "layer/cache.h"
#include "layer/image.h"
#include "layer/layer.h"
#include "meta/worker.h"
#include "store/store.h"

static struct qcow_device *to_device(struct device *dev)
{
	return dev_to_disk(dev)->private_data;
}

/* One line with the path of a file as its opener sees it now; empty without a file. */
static ssize_t emit_path_locked(char *buf, const struct qcow_device *qdev, unsigned int nr)
{
	char *path;
	size_t len;

	lockdep_assert_held(&qdev->chain_lock);
	if (nr >= qdev->nr_files || !qdev->files[nr])
		return sysfs_emit(buf, "\n");

	/* file_path() works from the end of its buffer; one byte stays for the line feed. */
	path = file_path(qdev->files[nr], buf, PAGE_SIZE - 1);
	if (IS_ERR(path))
		return PTR_ERR(path);
	len = strlen(path);
	memmove(buf, path, len);
	buf[len] = '\n';
	return len + 1;
}

/* Empty without a file. */
static ssize_t emit_id_locked(char *buf, const struct qcow_device *qdev, unsigned int nr)
{
	const struct qcow_file_id *id = &qdev->ids[nr];

	lockdep_assert_held(&qdev->chain_lock);
	if (nr >= qdev->nr_files || !qdev->files[nr])
		return sysfs_emit(buf, "\n");
	if (S_ISBLK(file_inode(qdev->files[nr])->i_mode))
		return sysfs_emit(buf, "%u:%u\n", MAJOR(id->dev), MINOR(id->dev));
	return sysfs_emit(buf, "%u:%u:%llu\n", MAJOR(id->dev), MINOR(id->dev), id->ino);
}

/* What @emit says of a file of a device. */
static ssize_t emit_file(struct device *dev, unsigned int nr, char *buf,
			 ssize_t (*emit)(char *buf, const struct qcow_device *qdev,
					 unsigned int nr))
{
	struct qcow_device *qdev = to_device(dev);
	ssize_t ret;

	down_read(&qdev->chain_lock);
	ret = emit(buf, qdev, nr);
	up_read(&qdev->chain_lock);
	return ret;
}

static ssize_t image_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return emit_file(dev, 0, buf, emit_path_locked);
}
static DEVICE_ATTR_RO(image);

static ssize_t data_file_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return emit_file(dev, 1, buf, emit_path_locked);
}
static DEVICE_ATTR_RO(data_file);

static ssize_t backing_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return emit_file(dev, 2, buf, emit_path_locked);
}
static DEVICE_ATTR_RO(backing);

static ssize_t image_id_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return emit_file(dev, 0, buf, emit_id_locked);
}
static DEVICE_ATTR_RO(image_id);

static ssize_t data_file_id_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return emit_file(dev, 1, buf, emit_id_locked);
}
static DEVICE_ATTR_RO(data_file_id);

/**
 * struct chain_figures - what all layers of a chain have in memory
 * @limit: bytes that their slices may take
 * @used: bytes that these take
 * @misses: slices read
 * @evictions: slices dropped
 * @inflated: bytes of decompressed clusters
 * @decompressed: clusters that have been decompressed
 */
struct chain_figures {
	u64 limit;
	u64 used;
	u64 misses;
	u64 evictions;
	u64 inflated;
	u64 decompressed;
};

static struct chain_figures chain_figures(const struct qcow_device *qdev)
{
	struct chain_figures sum = {};
	const struct qcow_image *image;

	for (image = qdev->chain; image; image = image->backing) {
		if (image->raw)
			continue;
		sum.limit += READ_ONCE(image->cache->limit);
		sum.used += atomic64_read(&image->cache->bytes);
		sum.misses += atomic64_read(&image->cache->misses);
		sum.evictions += atomic64_read(&image->cache->evictions);
		sum.inflated += qcow_decompress_bytes(image);
		sum.decompressed += qcow_decompress_count(image);
	}
	return sum;
}

/**
 * struct writer_figures - what has been done since the active image is written to
 * @allocated: clusters for data
 * @copied: bytes, beside those of requests
 * @commits: of metadata
 */
struct writer_figures {
	u64 allocated;
	u64 copied;
	u64 commits;
};

/* The metadata worker counts, alone; of a device that is read-only there is none. */
static struct writer_figures writer_figures(const struct qcow_device *qdev)
{
	const struct qcow_meta *meta = qdev->meta;

	if (!meta)
		return (struct writer_figures) {};
	return (struct writer_figures) {
		.allocated = READ_ONCE(meta->space.allocated),
		.copied = READ_ONCE(meta->copied),
		.commits = READ_ONCE(meta->commit.seq),
	};
}

/* QEMU's words for it. */
static const char *zeroes_name(const struct qcow_device *dev)
{
	static const char * const names[] = {
		[QCOW_ZEROES_WRITE] = "off",
		[QCOW_ZEROES_KEEP] = "on",
		[QCOW_ZEROES_UNMAP] = "unmap",
	};

	return names[dev->zeroes];
}

static const char *compress_name(const struct qcow_device *dev)
{
	const char *method = dev->compress ? qcow_compress_method(dev->chain) : NULL;

	return method ?: "off";
}

/* QEMU's words for it. */
static const char *backing_format_name(const struct qcow_device *dev)
{
	const struct qcow_image *backing = dev->chain->backing;

	if (!backing)
		return "";
	if (backing->raw)
		return "raw";
	return backing->header.version == 1 ? "qcow" : "qcow2";
}

static const char *encryption_name(const struct qcow_image *image)
{
	static const char * const names[] = {
		[QCOW_CRYPT_NONE] = "none",
		[QCOW_CRYPT_AES] = "aes",
		[QCOW_CRYPT_LUKS] = "luks",
	};

	return names[image->header.crypt_method];
}

#define QCOW_ATTR(_name, _type, _value)							\
static ssize_t _name##_show(struct device *dev, struct device_attribute *attr,		\
			    char *buf)							\
{											\
	struct qcow_device *qdev = to_device(dev);					\
	ssize_t ret;									\
											\
	down_read(&qdev->chain_lock);							\
	ret = sysfs_emit(buf, _type "\n", _value);					\
	up_read(&qdev->chain_lock);							\
	return ret;									\
}											\
static DEVICE_ATTR_RO(_name)

QCOW_ATTR(store, "%s", qdev->chain->store->ops->name);
QCOW_ATTR(version, "%u", qdev->chain->header.version);
QCOW_ATTR(cluster_size, "%llu", qcow_cluster_bytes(&qdev->chain->geo));
/* As far as a line of sysfs goes. */
QCOW_ATTR(snapshot_id, "%s", qdev->chain->snapshot_id ?: "");
QCOW_ATTR(snapshot_name, "%s", qdev->chain->snapshot_name ?: "");
QCOW_ATTR(backing_format, "%s", backing_format_name(qdev));
QCOW_ATTR(depth, "%u", qdev->depth);
QCOW_ATTR(direct_io, "%d", qdev->chain->data->direct);
QCOW_ATTR(detect_zeroes, "%s", zeroes_name(qdev));
QCOW_ATTR(encryption, "%s", encryption_name(qdev->chain));
QCOW_ATTR(compress, "%s", compress_name(qdev));
QCOW_ATTR(lazy, "%d", qdev->lazy);
QCOW_ATTR(attached_ns, "%llu", qdev->attached_ns);
QCOW_ATTR(nr_queues, "%u", qdev->tag_set.map[HCTX_TYPE_DEFAULT].nr_queues);
QCOW_ATTR(queue_depth, "%u", qdev->tag_set.queue_depth);
QCOW_ATTR(shared_layers, "%u", qcow_layer_shared(qdev->chain));
QCOW_ATTR(cache_limit, "%llu", chain_figures(qdev).limit);
QCOW_ATTR(cache_used, "%llu", chain_figures(qdev).used);
QCOW_ATTR(cache_misses, "%llu", chain_figures(qdev).misses);
QCOW_ATTR(cache_evictions, "%llu", chain_figures(qdev).evictions);
QCOW_ATTR(inflated_bytes, "%llu", chain_figures(qdev).inflated);
QCOW_ATTR(decompressed, "%llu", chain_figures(qdev).decompressed);
QCOW_ATTR(allocated, "%llu", writer_figures(qdev).allocated);
QCOW_ATTR(copied_bytes, "%llu", writer_figures(qdev).copied);
QCOW_ATTR(commits, "%llu", writer_figures(qdev).commits);
QCOW_ATTR(job, "%s", qcow_progress_job(&qdev->progress));
QCOW_ATTR(job_total, "%llu", READ_ONCE(qdev->progress.total));
QCOW_ATTR(job_done, "%llu", READ_ONCE(qdev->progress.done));

static struct attribute *qcow_attrs[] = {
	&dev_attr_image.attr,
	&dev_attr_image_id.attr,
	&dev_attr_version.attr,
	&dev_attr_cluster_size.attr,
	&dev_attr_snapshot_id.attr,
	&dev_attr_snapshot_name.attr,
	&dev_attr_depth.attr,
	&dev_attr_shared_layers.attr,
	&dev_attr_backing.attr,
	&dev_attr_backing_format.attr,
	&dev_attr_data_file.attr,
	&dev_attr_data_file_id.attr,
	&dev_attr_store.attr,
	&dev_attr_direct_io.attr,
	&dev_attr_detect_zeroes.attr,
	&dev_attr_compress.attr,
	&dev_attr_encryption.attr,
	&dev_attr_lazy.attr,
	&dev_attr_attached_ns.attr,
	&dev_attr_nr_queues.attr,
	&dev_attr_queue_depth.attr,
	&dev_attr_cache_limit.attr,
	&dev_attr_cache_used.attr,
	&dev_attr_cache_misses.attr,
	&dev_attr_cache_evictions.attr,
	&dev_attr_inflated_bytes.attr,
	&dev_attr_decompressed.attr,
	&dev_attr_allocated.attr,
	&dev_attr_copied_bytes.attr,
	&dev_attr_commits.attr,
	&dev_attr_job.attr,
	&dev_attr_job_total.attr,
	&dev_attr_job_done.attr,
	NULL,
};

static const struct attribute_group qcow_group = {
	.name = "qcow",
	.attrs = qcow_attrs,
};

const struct attribute_group *qcow_sysfs_groups[] = {
	&qcow_group,
	NULL,
};
