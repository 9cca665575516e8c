// SPDX-License-Identifier: GPL-2.0
/*
 * Headers, extensions and table entries as they stand on disk. Does not decide where
 * things are and does not write them. Called by qcowctl create.
 */
#include <qcow/encode.h>

static void encode_v1(const struct qcow_header *h, struct qcow_v1_disk_header *disk)
{
	memset(disk, 0, sizeof(*disk));
	disk->magic = cpu_to_be32(QCOW_MAGIC);
	disk->version = cpu_to_be32(h->version);
	disk->backing_offset = cpu_to_be64(h->backing_offset);
	disk->backing_size = cpu_to_be32(h->backing_len);
	disk->mtime = cpu_to_be32(h->mtime);
	disk->size = cpu_to_be64(h->size);
	disk->cluster_bits = h->cluster_bits;
	disk->l2_bits = h->l2_bits;
	disk->crypt_method = cpu_to_be32(h->crypt_method);
	disk->l1_offset = cpu_to_be64(h->l1_offset);
}

static void encode_v2(const struct qcow_header *h, struct qcow_disk_header *disk)
{
	disk->magic = cpu_to_be32(QCOW_MAGIC);
	disk->version = cpu_to_be32(h->version);
	disk->backing_offset = cpu_to_be64(h->backing_offset);
	disk->backing_size = cpu_to_be32(h->backing_len);
	disk->cluster_bits = cpu_to_be32(h->cluster_bits);
	disk->size = cpu_to_be64(h->size);
	disk->crypt_method = cpu_to_be32(h->crypt_method);
	disk->l1_entries = cpu_to_be32(h->l1_entries);
	disk->l1_offset = cpu_to_be64(h->l1_offset);
	disk->refcount_table_offset = cpu_to_be64(h->refcount_table_offset);
	disk->refcount_table_clusters = cpu_to_be32(h->refcount_table_clusters);
	disk->nr_snapshots = cpu_to_be32(h->nr_snapshots);
	disk->snapshots_offset = cpu_to_be64(h->snapshots_offset);
}

static void encode_v3(const struct qcow_header *h, struct qcow_disk_header *disk)
{
	disk->incompatible_features = cpu_to_be64(h->incompatible);
	disk->compatible_features = cpu_to_be64(h->compatible);
	disk->autoclear_features = cpu_to_be64(h->autoclear);
	disk->refcount_order = cpu_to_be32(h->refcount_order);
	disk->header_length = cpu_to_be32(h->length);
	disk->compression_type = h->compression_type;
}

void qcow_header_encode(const struct qcow_header *h, void *buf)
{
	struct qcow_disk_header disk = {};

	if (h->version == 1) {
		encode_v1(h, buf);
		return;
	}
	encode_v2(h, &disk);
	if (h->version > 2)
		encode_v3(h, &disk);
	memcpy(buf, &disk, min_t(size_t, h->length, sizeof(disk)));
}

/**
 * struct area - what is left of the buffer that a header is laid out in
 * @buf: where the header begins
 * @pos: the next byte
 * @len: bytes at @buf
 */
struct area {
	void *buf;
	size_t pos;
	size_t len;
};

/* Room for @bytes, or NULL. */
static void *take(struct area *area, size_t bytes)
{
	void *p = area->buf + area->pos;

	if (area->pos > area->len || bytes > area->len - area->pos)
		return NULL;
	area->pos += bytes;
	return p;
}

/* Room for the @len bytes of an extension's data, or NULL; its padding is zero already. */
static void *put_ext(struct area *area, u32 type, u32 len)
{
	struct qcow_disk_ext *ext = take(area, sizeof(*ext) + round_up((size_t)len, 8));

	if (!ext)
		return NULL;
	ext->type = cpu_to_be32(type);
	ext->len = cpu_to_be32(len);
	return ext + 1;
}

static int put_text_ext(struct area *area, u32 type, const char *text)
{
	size_t len;
	void *data;

	if (!text)
		return 0;
	len = strlen(text);
	data = put_ext(area, type, len);
	if (!data)
		return -ENOSPC;
	memcpy(data, text, len);
	return 0;
}

/* Every feature that this code knows, whether the image has it or not. */
static int put_feature_names(struct area *area)
{
	struct qcow_disk_feature_name *entry;
	u32 nr = 0;
	u32 i;

	for (i = 0; i < 3 * 64; i++)
		nr += !!qcow_ext_known_feature(i / 64, i % 64);
	entry = put_ext(area, QCOW_EXT_FEATURE_NAMES, nr * sizeof(*entry));
	if (!entry)
		return -ENOSPC;

	for (i = 0; i < 3 * 64; i++) {
		const char *name = qcow_ext_known_feature(i / 64, i % 64);

		if (!name)
			continue;
		entry->type = i / 64;
		entry->bit = i % 64;
		memcpy(entry->name, name, min(strlen(name), sizeof(entry->name)));
		entry++;
	}
	return 0;
}

static int put_backing(struct qcow_header *h, struct area *area, const char *name)
{
	size_t len;
	void *to;

	h->backing_offset = 0;
	h->backing_len = 0;
	if (!name)
		return 0;
	len = strlen(name);
	h->backing_offset = area->pos;
	h->backing_len = len;
	to = take(area, len);
	if (!to)
		return -ENOSPC;
	memcpy(to, name, len);
	return 0;
}

static int put_extensions(const struct qcow_header *h, struct area *area,
			  const struct qcow_header_names *names)
{
	int err;

	err = put_text_ext(area, QCOW_EXT_BACKING_FORMAT, names->backing_format);
	if (!err)
		err = put_text_ext(area, QCOW_EXT_DATA_FILE, names->data_file);
	if (!err && h->version > 2 && h->cluster_bits >= QCOW_FEATURE_NAMES_CLUSTER_BITS)
		err = put_feature_names(area);
	if (!err && !put_ext(area, QCOW_EXT_END, 0))
		err = -ENOSPC;
	return err;
}

static int check_name(const char *name, const char *what, size_t max, struct qcow_report *rep)
{
	size_t len = name ? strlen(name) : 0;

	if (len <= max)
		return 0;
	qcow_report(rep, "%s has %zu bytes, at most %zu are supported", what, len, max);
	return -EINVAL;
}

int qcow_header_encode_names(struct qcow_header *h, const struct qcow_header_names *names,
			     void *buf, size_t len, size_t *end, struct qcow_report *rep)
{
	struct area area = { .buf = buf, .pos = h->length, .len = len };
	int err;

	err = check_name(names->backing, "backing file name", QCOW_MAX_BACKING_NAME, rep);
	if (!err)
		err = check_name(names->backing_format, "backing format",
				 QCOW_MAX_BACKING_FORMAT, rep);
	if (!err)
		err = check_name(names->data_file, "data file name", QCOW_MAX_BACKING_NAME, rep);
	if (err)
		return err;

	if (h->version > 1)
		err = put_extensions(h, &area, names);
	if (!err)
		err = put_backing(h, &area, names->backing);
	if (err)
		qcow_report(rep, "the names in the header do not fit its %zu bytes", len);
	*end = area.pos;
	return err;
}

void qcow_l2_put(const struct qcow_geometry *g, __be64 *entries, u32 idx, u64 entry, u64 bitmap)
{
	if (!g->extended_l2) {
		WRITE_ONCE(entries[idx], cpu_to_be64(entry));
		return;
	}
	WRITE_ONCE(entries[2 * idx], cpu_to_be64(entry));
	WRITE_ONCE(entries[2 * idx + 1], cpu_to_be64(bitmap));
}
