// SPDX-License-Identifier: GPL-2.0
/*
 * Header extensions. They are returned in place; only the feature name table is interpreted.
 */
#include <qcow/header.h>

#include "format/format.h"

/* Extensions with a limit in QEMU; all others may have any length. */
static const struct ext_rule {
	u32 type;
	u32 min_len;
	u32 max_len;
	const char *name;
} ext_rules[] = {
	{ .type = QCOW_EXT_BACKING_FORMAT, .min_len = 0, .max_len = QCOW_MAX_BACKING_FORMAT,
	  .name = "backing format" },
	{ .type = QCOW_EXT_BITMAPS, .min_len = 24, .max_len = 24, .name = "bitmaps" },
	{ .type = QCOW_EXT_CRYPTO_HEADER, .min_len = 16, .max_len = 16, .name = "crypto header" },
};

/* Extensions end at the backing file's name, else with the first cluster. */
static u64 ext_limit(const struct qcow_header *h)
{
	return h->backing_offset ?: 1ULL << h->cluster_bits;
}

/* Length of an extension with its padding. */
static u64 ext_bytes(const struct qcow_disk_ext *disk)
{
	return sizeof(*disk) + round_up((u64)be32_to_cpu(disk->len), 8);
}

size_t qcow_ext_end(const struct qcow_header *h, const void *buf, size_t len)
{
	u64 limit = ext_limit(h);
	const struct qcow_disk_ext *disk;
	u64 pos = h->length;

	while (pos < limit) {
		if (pos + sizeof(*disk) > len)
			return 0;
		disk = buf + pos;
		if (be32_to_cpu(disk->type) == QCOW_EXT_END)
			return pos + sizeof(*disk);
		pos += ext_bytes(disk);
	}
	return pos <= len ? pos : 0;
}

static int check_ext(const struct qcow_header *h, const struct qcow_ext *ext,
		     struct qcow_report *rep)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ext_rules); i++) {
		const struct ext_rule *rule = &ext_rules[i];

		if (rule->type != ext->type)
			continue;
		if (ext->len < rule->min_len || ext->len > rule->max_len) {
			qcow_report(rep, "header extension \"%s\" has %u bytes, must be %u to %u",
				    rule->name, ext->len, rule->min_len, rule->max_len);
			return -EINVAL;
		}
	}
	if (ext->type == QCOW_EXT_CRYPTO_HEADER && h->crypt_method != QCOW_CRYPT_LUKS) {
		qcow_report(rep, "header extension \"crypto header\" with crypt_method %u",
			    h->crypt_method);
		return -EINVAL;
	}
	return 0;
}

int qcow_ext_next(const struct qcow_header *h, const void *buf, size_t len, size_t *pos,
		  struct qcow_ext *ext, struct qcow_report *rep)
{
	const struct qcow_disk_ext *disk;
	size_t limit, left;
	int err;

	if (h->version == 1)
		return 0;
	limit = ext_limit(h);
	if (!*pos)
		*pos = h->length;
	if (*pos >= limit)
		return 0;

	left = limit - *pos;
	disk = buf + *pos;
	if (left < sizeof(*disk)) {
		qcow_report(rep, "header extension at 0x%zx is cut off after %zu bytes", *pos,
			    left);
		return -EINVAL;
	}
	if (*pos + sizeof(*disk) > len)
		return 0;
	left -= sizeof(*disk);
	ext->type = be32_to_cpu(disk->type);
	ext->len = be32_to_cpu(disk->len);
	ext->data = disk + 1;
	if (ext->type == QCOW_EXT_END) {
		*pos = limit;
		return 0;
	}
	if (ext->len > left) {
		qcow_report(rep, "header extension 0x%08x at 0x%zx has %u bytes, only %zu are left",
			    ext->type, *pos, ext->len, left);
		return -EINVAL;
	}
	if (*pos + sizeof(*disk) + ext->len > len)
		return 0;
	err = check_ext(h, ext, rep);
	if (err)
		return err;

	*pos += ext_bytes(disk);
	return 1;
}

/* Bytes that a terminal could interpret are replaced. */
static void copy_printable(char *to, const char *from, size_t len)
{
	size_t i;

	for (i = 0; i < len && from[i]; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[i] = '\0';
}

void qcow_ext_feature_name(const struct qcow_header *h, const void *buf, size_t len, u8 type,
			   u8 bit, char *name)
{
	const struct qcow_disk_feature_name *entry;
	struct qcow_ext ext;
	size_t pos = 0;
	u32 i;

	name[0] = '\0';
	while (qcow_ext_next(h, buf, len, &pos, &ext, NULL) > 0) {
		if (ext.type != QCOW_EXT_FEATURE_NAMES)
			continue;
		entry = ext.data;
		for (i = 0; i < ext.len / sizeof(*entry); i++, entry++) {
			if (entry->type != type || entry->bit != bit)
				continue;
			copy_printable(name, entry->name, sizeof(entry->name));
			return;
		}
	}
}
