// SPDX-License-Identifier: GPL-2.0
/*
 * Changing header fields in place; each is durable when the function returns. Commits may write
 * to the same block of the store meanwhile (an L1 table of version 1 begins there):
 * qcow_store_write() keeps such writes apart.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <qcow/head.h>
#include <qcow/ondisk.h>

#include "layer/image.h"
#include "message.h"
#include "meta/header.h"
#include "meta/worker.h"
#include "store/store.h"

static int header_write_flush(struct qcow_image *image, const void *buf, u64 pos, size_t len)
{
	int err = qcow_store_write(image->store, buf, pos, len);

	return err ?: qcow_store_flush(image->store);
}

int qcow_header_switch(struct qcow_meta *meta, const void *old, const void *new, u64 pos,
		       size_t len)
{
	int err = header_write_flush(meta->image, new, pos, len);

	if (!err)
		return 0;
	/* It may be there all the same. */
	if (header_write_flush(meta->image, old, pos, len)) {
		qcow_message(meta->image, "header: cannot be written: error %d", err);
		qcow_meta_fail(meta);
	}
	return err;
}

static int header_write_head(struct qcow_meta *meta, const struct qcow_head *old,
			     const struct qcow_head *new)
{
	size_t from, len;
	int err = 0;

	if (!memcmp(old->buf, new->buf, old->bytes))
		return 0;
	len = qcow_head_behind(old, new, &from);
	if (len)
		err = header_write_flush(meta->image, new->buf + from, from, len);
	if (!err)
		err = qcow_header_switch(meta, old->buf, new->buf, 0, QCOW_HEAD_SWITCH_BYTES);
	if (!err)
		meta->image->header = new->h;
	return err;
}

int qcow_header_read_heads(struct qcow_image *image, struct qcow_head *heads)
{
	size_t bytes = qcow_cluster_bytes(&image->geo);
	unsigned char *buf = kvmalloc_array(QCOW_MAX_HEADS, bytes, GFP_NOIO);
	unsigned int i;
	int err;

	if (!buf)
		return -ENOMEM;
	for (i = 0; i < QCOW_MAX_HEADS; i++)
		heads[i] = (struct qcow_head) { .buf = buf + i * bytes, .bytes = bytes };
	heads[0].h = image->header;
	err = qcow_store_read_padded(image->store, buf, 0, bytes);
	if (err)
		kvfree(buf);
	return err;
}

int qcow_header_write_heads(struct qcow_meta *meta, const struct qcow_head *heads, unsigned int nr)
{
	unsigned int i;
	int err;

	err = header_write_head(meta, &heads[0], &heads[1]);
	if (err)
		return err;
	for (i = 2; i < nr && !err; i++)
		err = header_write_head(meta, &heads[i - 1], &heads[i]);
	if (err)
		qcow_message(meta->image,
			     "header: has no feature name table any more: error %d", err);
	return 0;
}

static int header_write(struct qcow_image *image, size_t offset, const void *field, size_t len)
{
	void *buf = kmemdup(field, len, GFP_NOIO);
	int err;

	if (!buf)
		return -ENOMEM;
	err = header_write_flush(image, buf, offset, len);
	kfree(buf);
	return err;
}

int qcow_header_set_refcount_table(struct qcow_image *image, u64 host, u32 clusters)
{
	struct {
		__be64 offset;
		__be32 clusters;
	} __packed fields = { cpu_to_be64(host), cpu_to_be32(clusters) };
	int err;

	static_assert(offsetof(struct qcow_disk_header, refcount_table_clusters) ==
		      offsetof(struct qcow_disk_header, refcount_table_offset) + sizeof(__be64));
	err = header_write(image, offsetof(struct qcow_disk_header, refcount_table_offset),
			   &fields, sizeof(fields));
	if (err)
		return err;
	image->header.refcount_table_offset = host;
	image->header.refcount_table_clusters = clusters;
	return 0;
}

static int header_write_l1_v1(struct qcow_image *image, u64 host)
{
	__be64 field = cpu_to_be64(host);

	return header_write(image, offsetof(struct qcow_v1_disk_header, l1_offset), &field,
			    sizeof(field));
}

static int header_write_l1(struct qcow_image *image, u64 host, u32 entries)
{
	struct {
		__be32 entries;
		__be64 offset;
	} __packed fields = { cpu_to_be32(entries), cpu_to_be64(host) };

	static_assert(offsetof(struct qcow_disk_header, l1_offset) ==
		      offsetof(struct qcow_disk_header, l1_entries) + sizeof(__be32));
	return header_write(image, offsetof(struct qcow_disk_header, l1_entries), &fields,
			    sizeof(fields));
}

int qcow_header_set_l1(struct qcow_image *image, u64 host, u32 entries)
{
	int err = image->header.version == 1 ? header_write_l1_v1(image, host) :
					       header_write_l1(image, host, entries);

	if (err)
		return err;
	image->header.l1_offset = host;
	image->header.l1_entries = entries;
	return 0;
}

int qcow_header_set(struct qcow_image *image, const struct qcow_header *next)
{
	size_t len = next->version > 2 ? QCOW_V3_HEADER_BYTES : QCOW_V2_HEADER_BYTES;
	void *buf = kmalloc(len, GFP_NOIO);
	int err;

	if (!buf)
		return -ENOMEM;
	err = qcow_store_read(image->store, buf, 0, len);
	if (!err) {
		qcow_header_put(next, buf);
		err = header_write(image, 0, buf, len);
	}
	kfree(buf);
	if (!err)
		image->header = *next;
	return err;
}

int qcow_header_restore(struct qcow_meta *meta)
{
	struct qcow_image *image = meta->image;
	const struct qcow_header *h = &image->header;
	int err = h->version == 1 ? header_write_l1_v1(image, h->l1_offset) :
				    qcow_header_set(image, h);

	if (!err)
		return 0;
	qcow_message(image, "header: cannot be written: error %d", err);
	qcow_meta_fail(meta);
	return err;
}

int qcow_header_set_size(struct qcow_image *image, u64 bytes)
{
	size_t offset = image->header.version == 1 ? offsetof(struct qcow_v1_disk_header, size) :
						     offsetof(struct qcow_disk_header, size);
	__be64 field = cpu_to_be64(bytes);
	int err = header_write(image, offset, &field, sizeof(field));

	if (!err)
		image->header.size = bytes;
	return err;
}

int qcow_header_set_incompatible(struct qcow_image *image, u64 features)
{
	__be64 field = cpu_to_be64(features);
	int err = header_write(image, offsetof(struct qcow_disk_header, incompatible_features),
			       &field, sizeof(field));

	if (!err)
		image->header.incompatible = features;
	return err;
}

int qcow_header_set_autoclear(struct qcow_image *image, u64 features)
{
	__be64 field = cpu_to_be64(features);
	int err = header_write(image, offsetof(struct qcow_disk_header, autoclear_features),
			       &field, sizeof(field));

	if (!err)
		image->header.autoclear = features;
	return err;
}
