// SPDX-License-Identifier: GPL-2.0
/*
 * The parts of a description that header extensions point to: the directory of persistent
 * bitmaps, the LUKS header.
 */
#include <errno.h>

#include <qcow/luks.h>

#include "image/info.h"

static void add_text(struct json_object *obj, const char *key, const char *text)
{
	json_object_object_add(obj, key, info_string(text, strlen(text)));
}

static void add_u64(struct json_object *obj, const char *key, u64 value)
{
	json_object_object_add(obj, key, json_object_new_uint64(value));
}

static struct json_object *bitmap_tree(const struct qcow_disk_bitmap *e, const char *name)
{
	struct json_object *obj = json_object_new_object(), *flags = json_object_new_array();
	u32 bits = be32_to_cpu(e->flags);

	if (bits & QCOW_BITMAP_IN_USE)
		json_object_array_add(flags, json_object_new_string("in-use"));
	if (bits & QCOW_BITMAP_AUTO)
		json_object_array_add(flags, json_object_new_string("auto"));
	json_object_object_add(obj, "name", info_string(name, be16_to_cpu(e->name_len)));
	add_u64(obj, "granularity", 1ULL << e->granularity_bits);
	json_object_object_add(obj, "flags", flags);
	return obj;
}

/* Length of the entry at @at, 0: it does not fit the directory. */
static size_t bitmap_entry_bytes(const unsigned char *dir, size_t len, size_t at)
{
	struct qcow_disk_bitmap e;
	u64 bytes;

	if (len - at < sizeof(e))
		return 0;
	memcpy(&e, dir + at, sizeof(e));
	bytes = round_up(sizeof(e) + (u64)be32_to_cpu(e.extra_len) + be16_to_cpu(e.name_len),
			 8ULL);
	if (bytes > len - at || e.granularity_bits > 63)
		return 0;
	return bytes;
}

static struct json_object *bitmap_list(const unsigned char *dir, size_t len, u32 nr)
{
	struct json_object *list = json_object_new_array();
	size_t at = 0, bytes;
	struct qcow_disk_bitmap e;

	for (; nr; nr--, at += bytes) {
		bytes = bitmap_entry_bytes(dir, len, at);
		if (!bytes) {
			json_object_put(list);
			return NULL;
		}
		memcpy(&e, dir + at, sizeof(e));
		json_object_array_add(list, bitmap_tree(&e, (const char *)dir + at + sizeof(e) +
							be32_to_cpu(e.extra_len)));
	}
	return list;
}

struct json_object *info_bitmaps(const struct image *img, int *err)
{
	struct json_object *list = NULL;
	struct qcow_disk_bitmaps b;
	struct qcow_ext ext;
	unsigned char *dir;
	u64 bytes, offset;

	*err = 0;
	if (!(img->h.autoclear & QCOW_AUTOCLEAR_BITMAPS) ||
	    !image_find_ext(img, QCOW_EXT_BITMAPS, &ext) || ext.len < sizeof(b))
		return NULL;
	memcpy(&b, ext.data, sizeof(b));
	if (!b.nr)
		return NULL;
	bytes = be64_to_cpu(b.dir_bytes);
	offset = be64_to_cpu(b.dir_offset);
	if (be32_to_cpu(b.nr) > QCOW_MAX_BITMAPS || bytes > QCOW_MAX_BITMAP_DIR_BYTES ||
	    offset > img->bytes || bytes > img->bytes - offset) {
		*err = qc_fail(QC_BAD_IMAGE, img->name,
			       "bitmap directory of %u entries, %llu bytes at 0x%llx is over a limit or beyond the end of the file",
			       be32_to_cpu(b.nr), bytes, offset);
		return NULL;
	}
	dir = qc_alloc(bytes);
	*err = image_pread(img->fd, dir, bytes, offset);
	if (*err)
		*err = qc_fail_errno(image_exit_code(*err), -*err, img->name,
				     "cannot read the bitmap directory");
	else
		list = bitmap_list(dir, bytes, be32_to_cpu(b.nr));
	free(dir);
	if (!list && !*err)
		*err = qc_fail(QC_BAD_IMAGE, img->name, "the bitmap directory is damaged");
	return list;
}

/* QEMU has mode, IV generator and its hash one by one. */
static void add_mode(struct json_object *obj, const struct qcow_luks *luks)
{
	struct qcow_luks_mode mode;

	qcow_luks_split_mode(luks->mode, &mode);
	add_text(obj, "cipher-mode", mode.chain);
	if (*mode.ivgen)
		add_text(obj, "ivgen-alg", mode.ivgen);
	if (*mode.ivgen_hash)
		add_text(obj, "ivgen-hash-alg", mode.ivgen_hash);
}

/* QEMU names a cipher with the length of one key; XTS has two. */
static void add_cipher(struct json_object *obj, const struct qcow_luks *luks)
{
	u32 bits = luks->key_bytes * 8;
	char *name;

	if (!strncmp(luks->mode, "xts", 3))
		bits /= 2;
	name = qc_printf("%s-%u", luks->cipher, bits);
	add_text(obj, "cipher-alg", name);
	free(name);
}

struct json_object *info_key_slots(const struct qcow_luks *luks)
{
	struct json_object *list = json_object_new_array();
	unsigned int i;

	for (i = 0; i < QCOW_LUKS_SLOTS; i++) {
		const struct qcow_luks_slot *slot = &luks->slots[i];
		struct json_object *obj = json_object_new_object();

		json_object_object_add(obj, "active", json_object_new_boolean(slot->active));
		if (slot->active) {
			add_u64(obj, "iters", slot->iterations);
			add_u64(obj, "stripes", QCOW_LUKS_STRIPES);
		}
		add_u64(obj, "key-offset", slot->key_offset);
		json_object_array_add(list, obj);
	}
	return list;
}

static void add_luks(struct json_object *obj, const struct qcow_luks *luks)
{
	add_cipher(obj, luks);
	add_mode(obj, luks);
	add_text(obj, "hash-alg", luks->hash);
	add_text(obj, "uuid", luks->uuid);
	add_u64(obj, "payload-offset", luks->payload_offset);
	add_u64(obj, "master-key-iters", luks->digest_iterations);
	json_object_object_add(obj, "slots", info_key_slots(luks));
}

struct json_object *info_encryption(const struct image *img, int *err)
{
	bool is_luks = img->h.crypt_method == QCOW_CRYPT_LUKS;
	struct qcow_luks_place place;
	struct json_object *obj;
	struct qcow_luks luks;

	*err = 0;
	if (img->h.crypt_method == QCOW_CRYPT_NONE)
		return NULL;
	obj = json_object_new_object();
	add_text(obj, "format", is_luks ? "luks" : "aes");
	if (!is_luks)
		return obj;
	*err = image_read_luks(img, &place, &luks);
	if (!*err)
		add_luks(obj, &luks);
	return obj;
}
