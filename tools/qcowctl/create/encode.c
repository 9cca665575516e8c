// SPDX-License-Identifier: GPL-2.0
/*
 * Header and header extensions as they are on disk.
 */
#include "create/encode.h"

/* The feature name table of a new image. */
static const struct {
	u8 type;
	u8 bit;
	const char *name;
} features[] = {
	{ .type = QCOW_FEATURE_INCOMPATIBLE, .bit = 0, .name = "dirty" },
	{ .type = QCOW_FEATURE_INCOMPATIBLE, .bit = 1, .name = "corrupt" },
	{ .type = QCOW_FEATURE_INCOMPATIBLE, .bit = 2, .name = "external data file" },
	{ .type = QCOW_FEATURE_INCOMPATIBLE, .bit = 3, .name = "compression type" },
	{ .type = QCOW_FEATURE_INCOMPATIBLE, .bit = 4, .name = "extended L2 entries" },
	{ .type = QCOW_FEATURE_COMPATIBLE, .bit = 0, .name = "lazy refcounts" },
	{ .type = QCOW_FEATURE_AUTOCLEAR, .bit = 0, .name = "bitmaps" },
	{ .type = QCOW_FEATURE_AUTOCLEAR, .bit = 1, .name = "raw external data" },
};

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
	disk->crypt_method = cpu_to_be32(h->crypt_method);
	qcow_header_put(h, disk);
}

static void encode_v3(const struct qcow_header *h, struct qcow_disk_header *disk)
{
	disk->refcount_order = cpu_to_be32(h->refcount_order);
	disk->header_length = cpu_to_be32(h->length);
	disk->compression_type = h->compression_type;
}

void encode_header(const struct qcow_header *h, void *buf)
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
 * struct cursor - the position in the buffer that a header is laid out in
 * @buf: where the header begins
 * @pos: the next byte
 * @len: bytes at @buf
 */
struct cursor {
	void *buf;
	size_t pos;
	size_t len;
};

/* The next @bytes of the buffer, or NULL. */
static void *reserve(struct cursor *cur, size_t bytes)
{
	void *p = cur->buf + cur->pos;

	if (cur->pos > cur->len || bytes > cur->len - cur->pos)
		return NULL;
	cur->pos += bytes;
	return p;
}

/* An extension's @len bytes of data, or NULL; its padding is zero already. */
static void *put_ext(struct cursor *cur, u32 type, u32 len)
{
	struct qcow_disk_ext *ext = reserve(cur, sizeof(*ext) + round_up((size_t)len, 8));

	if (!ext)
		return NULL;
	ext->type = cpu_to_be32(type);
	ext->len = cpu_to_be32(len);
	return ext + 1;
}

static int put_text_ext(struct cursor *cur, u32 type, const char *text)
{
	size_t len;
	void *data;

	if (!text)
		return 0;
	len = strlen(text);
	data = put_ext(cur, type, len);
	if (!data)
		return -ENOSPC;
	memcpy(data, text, len);
	return 0;
}

static int put_luks(struct cursor *cur, const struct qcow_luks_place *place)
{
	struct qcow_disk_crypto_header *disk;

	if (!place)
		return 0;
	disk = put_ext(cur, QCOW_EXT_CRYPTO_HEADER, sizeof(*disk));
	if (!disk)
		return -ENOSPC;
	disk->host_offset = cpu_to_be64(place->host_offset);
	disk->bytes = cpu_to_be64(place->bytes);
	return 0;
}

/* All known features, whether the image has them or not. */
static int put_feature_names(struct cursor *cur)
{
	struct qcow_disk_feature_name *entry;
	size_t i;

	entry = put_ext(cur, QCOW_EXT_FEATURE_NAMES, ARRAY_SIZE(features) * sizeof(*entry));
	if (!entry)
		return -ENOSPC;
	for (i = 0; i < ARRAY_SIZE(features); i++, entry++) {
		entry->type = features[i].type;
		entry->bit = features[i].bit;
		memcpy(entry->name, features[i].name, strlen(features[i].name));
	}
	return 0;
}

static int put_backing(struct qcow_header *h, struct cursor *cur, const char *name)
{
	size_t len;
	void *to;

	h->backing_offset = 0;
	h->backing_len = 0;
	if (!name)
		return 0;
	len = strlen(name);
	h->backing_offset = cur->pos;
	h->backing_len = len;
	to = reserve(cur, len);
	if (!to)
		return -ENOSPC;
	memcpy(to, name, len);
	return 0;
}

static int put_extensions(const struct qcow_header *h, struct cursor *cur,
			  const struct encode_names *names)
{
	int err;

	err = put_text_ext(cur, QCOW_EXT_BACKING_FORMAT, names->backing_format);
	if (!err)
		err = put_text_ext(cur, QCOW_EXT_DATA_FILE, names->data_file);
	if (!err)
		err = put_luks(cur, names->luks);
	if (!err && h->version > 2 && h->cluster_bits >= ENCODE_FEATURES_CLUSTER_BITS)
		err = put_feature_names(cur);
	if (!err && !put_ext(cur, QCOW_EXT_END, 0))
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

int encode_names(struct qcow_header *h, const struct encode_names *names, void *buf, size_t len,
		 size_t *end, struct qcow_report *rep)
{
	struct cursor cur = { .buf = buf, .pos = h->length, .len = len };
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
		err = put_extensions(h, &cur, names);
	if (!err)
		err = put_backing(h, &cur, names->backing);
	if (err)
		qcow_report(rep, "the names in the header do not fit its %zu bytes", len);
	*end = cur.pos;
	return err;
}
