// SPDX-License-Identifier: GPL-2.0
/*
 * The LUKS1 header of an encrypted image, in clusters of its own. What it has is what a file with
 * LUKS has in front of its data: a header of two sectors, and the key material of eight slots.
 */
#include <qcow/luks.h>

#include "format/format.h"

#define SECTOR_BYTES	512

/* The header without key material, in whole sectors. */
#define HEADER_BYTES	round_up((u64)sizeof(struct qcow_disk_luks), SECTOR_BYTES)

static bool overlap(u64 a, u64 a_bytes, u64 b, u64 b_bytes)
{
	return a < b + b_bytes && b < a + a_bytes;
}

/* Of two that the header has placed inside the file. */
static int check_apart(const struct qcow_luks_place *place, const char *name, u64 host_offset,
		       u64 bytes, struct qcow_report *rep)
{
	if (!bytes || !overlap(place->host_offset, place->bytes, host_offset, bytes))
		return 0;
	qcow_report(rep, "LUKS header offset 0x%llx and %llu bytes lie over the %s at 0x%llx",
		    place->host_offset, place->bytes, name, host_offset);
	return -EINVAL;
}

static int check_place(const struct qcow_header *h, u64 file_bytes,
		       const struct qcow_luks_place *place, struct qcow_report *rep)
{
	const struct qcow_table table = {
		.name = "LUKS header",
		.host_offset = place->host_offset,
		.entries = place->bytes,
		.entry_bytes = 1,
		.max_bytes = QCOW_MAX_CRYPTO_HEADER_BYTES,
	};
	int err;

	if (place->bytes < HEADER_BYTES) {
		qcow_report(rep, "LUKS header has %llu bytes, at least %llu are needed",
			    place->bytes, HEADER_BYTES);
		return -EINVAL;
	}
	err = qcow_header_check_table(h, &table, file_bytes, rep);
	if (!err)
		err = check_apart(place, "L1 table", h->l1_offset,
				  h->l1_entries * (u64)sizeof(__be64), rep);
	if (!err)
		err = check_apart(place, "refcount table", h->refcount_table_offset,
				  (u64)h->refcount_table_clusters << h->cluster_bits, rep);
	if (!err)
		err = check_apart(place, "snapshot table", h->snapshots_offset,
				  h->nr_snapshots * (u64)sizeof(struct qcow_disk_snapshot), rep);
	return err;
}

int qcow_luks_find(const struct qcow_header *h, const void *buf, size_t len, u64 file_bytes,
		   struct qcow_luks_place *place, struct qcow_report *rep)
{
	const struct qcow_disk_crypto_header *disk;
	struct qcow_ext ext;
	size_t pos = 0;
	int ret;

	do {
		ret = qcow_ext_next(h, buf, len, &pos, &ext, rep);
	} while (ret > 0 && ext.type != QCOW_EXT_CRYPTO_HEADER);
	if (ret <= 0) {
		qcow_report(rep, "crypt_method %u: no header extension \"crypto header\"",
			    h->crypt_method);
		return -EINVAL;
	}
	disk = ext.data;
	place->host_offset = be64_to_cpu(disk->host_offset);
	place->bytes = be64_to_cpu(disk->bytes);
	return check_place(h, file_bytes, place, rep);
}

/* A field of text: printable, not empty, ended by a NUL. @len: bytes of the field. */
static int decode_name(char *to, const char *from, size_t len, const char *field,
		       struct qcow_report *rep)
{
	size_t i = 0;

	while (i < len && from[i] > ' ' && from[i] <= '~')
		i++;
	if (!i || i == len || from[i]) {
		qcow_report(rep, "LUKS header: %s is no name, byte %zu", field, i);
		return -EINVAL;
	}
	memset(to, 0, len);
	memcpy(to, from, i);
	return 0;
}

static int decode_names(struct qcow_luks *luks, const struct qcow_disk_luks *disk,
			struct qcow_report *rep)
{
	int err = decode_name(luks->cipher, disk->cipher, sizeof(disk->cipher), "cipher-name", rep);

	if (!err)
		err = decode_name(luks->mode, disk->mode, sizeof(disk->mode), "cipher-mode", rep);
	if (!err)
		err = decode_name(luks->hash, disk->hash, sizeof(disk->hash), "hash-spec", rep);
	memcpy(luks->uuid, disk->uuid, sizeof(disk->uuid));
	luks->uuid[sizeof(disk->uuid)] = '\0';
	return err;
}

static int check_number(const char *field, u32 value, u32 lowest, u32 highest,
			struct qcow_report *rep)
{
	if (value >= lowest && value <= highest)
		return 0;
	qcow_report(rep, "LUKS header: %s is %u, must be %u to %u", field, value, lowest, highest);
	return -EINVAL;
}

static int decode_numbers(struct qcow_luks *luks, const struct qcow_disk_luks *disk,
			  struct qcow_report *rep)
{
	int err;

	luks->payload_offset = be32_to_cpu(disk->payload_sector) * (u64)SECTOR_BYTES;
	luks->key_bytes = be32_to_cpu(disk->key_bytes);
	luks->digest_iterations = be32_to_cpu(disk->digest_iterations);
	memcpy(luks->digest, disk->digest, sizeof(luks->digest));
	memcpy(luks->digest_salt, disk->digest_salt, sizeof(luks->digest_salt));
	err = check_number("key-bytes", luks->key_bytes, 1, QCOW_LUKS_MAX_KEY_BYTES, rep);
	if (!err)
		err = check_number("mk-digest-iter", luks->digest_iterations, 1, U32_MAX, rep);
	return err;
}

static int bad_slot(struct qcow_report *rep, unsigned int nr, const char *field, u64 value,
		    const char *what)
{
	qcow_report(rep, "LUKS key slot %u: %s 0x%llx %s", nr, field, value, what);
	return -EINVAL;
}

/* @limit: where key material has to end. */
static int decode_slot(struct qcow_luks *luks, unsigned int nr,
		       const struct qcow_disk_luks_slot *disk, u64 limit, struct qcow_report *rep)
{
	struct qcow_luks_slot *slot = &luks->slots[nr];
	u32 bytes = qcow_luks_material_bytes(luks);
	u32 active = be32_to_cpu(disk->active);
	unsigned int i;

	slot->active = active == QCOW_LUKS_ACTIVE;
	slot->iterations = be32_to_cpu(disk->iterations);
	slot->key_offset = be32_to_cpu(disk->key_sector) * (u64)SECTOR_BYTES;
	memcpy(slot->salt, disk->salt, sizeof(slot->salt));
	if (!slot->active && active != QCOW_LUKS_INACTIVE)
		return bad_slot(rep, nr, "active", active, "is neither yes nor no");
	if (slot->active && !slot->iterations)
		return bad_slot(rep, nr, "iterations", 0, "are none");
	if (be32_to_cpu(disk->stripes) != QCOW_LUKS_STRIPES)
		return bad_slot(rep, nr, "stripes", be32_to_cpu(disk->stripes), "are not 4000");
	if (slot->key_offset < HEADER_BYTES)
		return bad_slot(rep, nr, "key-material-offset", slot->key_offset,
				"lies over the LUKS header");
	if (slot->key_offset + bytes > limit)
		return bad_slot(rep, nr, "key-material-offset", slot->key_offset,
				"reaches beyond the key material's end");
	for (i = 0; i < nr; i++)
		if (overlap(slot->key_offset, bytes, luks->slots[i].key_offset, bytes))
			return bad_slot(rep, nr, "key-material-offset", slot->key_offset,
					"lies over that of another slot");
	return 0;
}

int qcow_luks_parse(struct qcow_luks *luks, const void *buf, u64 bytes, struct qcow_report *rep)
{
	const struct qcow_disk_luks *disk = buf;
	u32 version = be16_to_cpu(disk->version);
	unsigned int i;
	int err;

	if (memcmp(disk->magic, QCOW_LUKS_MAGIC, sizeof(disk->magic))) {
		qcow_report(rep, "LUKS header: magic is missing");
		return -EINVAL;
	}
	if (version != 1) {
		qcow_report(rep, "LUKS header: version %u, only 1 is supported", version);
		return -EOPNOTSUPP;
	}
	err = decode_names(luks, disk, rep);
	if (!err)
		err = decode_numbers(luks, disk, rep);
	for (i = 0; !err && i < QCOW_LUKS_SLOTS; i++)
		err = decode_slot(luks, i, &disk->slots[i], min(luks->payload_offset, bytes), rep);
	return err;
}

static void put_slot(const struct qcow_luks_slot *slot, struct qcow_disk_luks_slot *disk)
{
	disk->active = cpu_to_be32(slot->active ? QCOW_LUKS_ACTIVE : QCOW_LUKS_INACTIVE);
	disk->iterations = cpu_to_be32(slot->iterations);
	disk->key_sector = cpu_to_be32((u32)(slot->key_offset / SECTOR_BYTES));
	disk->stripes = cpu_to_be32(QCOW_LUKS_STRIPES);
	memcpy(disk->salt, slot->salt, sizeof(disk->salt));
}

void qcow_luks_put(const struct qcow_luks *luks, void *buf)
{
	struct qcow_disk_luks *disk = buf;
	unsigned int i;

	memcpy(disk->magic, QCOW_LUKS_MAGIC, sizeof(disk->magic));
	disk->version = cpu_to_be16(1);
	memcpy(disk->cipher, luks->cipher, sizeof(disk->cipher));
	memcpy(disk->mode, luks->mode, sizeof(disk->mode));
	memcpy(disk->hash, luks->hash, sizeof(disk->hash));
	disk->payload_sector = cpu_to_be32((u32)(luks->payload_offset / SECTOR_BYTES));
	disk->key_bytes = cpu_to_be32(luks->key_bytes);
	memcpy(disk->digest, luks->digest, sizeof(disk->digest));
	memcpy(disk->digest_salt, luks->digest_salt, sizeof(disk->digest_salt));
	disk->digest_iterations = cpu_to_be32(luks->digest_iterations);
	memcpy(disk->uuid, luks->uuid, sizeof(disk->uuid));
	for (i = 0; i < QCOW_LUKS_SLOTS; i++)
		put_slot(&luks->slots[i], &disk->slots[i]);
}

/* Up to @end, or else all of it; behind it. */
static const char *take_part(char *to, const char *from, char end)
{
	while (*from && *from != end)
		*to++ = *from++;
	*to = '\0';
	return *from ? from + 1 : from;
}

void qcow_luks_split_mode(const char *text, struct qcow_luks_mode *mode)
{
	text = take_part(mode->chain, text, '-');
	text = take_part(mode->ivgen, text, ':');
	take_part(mode->ivgen_hash, text, '\0');
}
