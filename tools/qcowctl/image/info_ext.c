// SPDX-License-Identifier: GPL-2.0
/*
 * The parts of a description that header extensions point to: the directory of persistent
 * bitmaps, the LUKS header.
 */
#include <errno.h>

#include "image/info.h"

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

/* LUKS1 header, from its published specification. */
struct luks_slot {
	__be32 active;
	__be32 iterations;
	u8 salt[32];
	__be32 key_sector;
	__be32 stripes;
} __packed;

#define LUKS_SLOTS		8
#define LUKS_SLOT_ACTIVE	0x00ac71f3U

struct luks_header {
	char magic[6];
	__be16 version;
	char cipher_name[32];
	char cipher_mode[32];
	char hash[32];
	__be32 payload_sector;
	__be32 key_bytes;
	u8 digest[20];
	u8 digest_salt[32];
	__be32 digest_iterations;
	char uuid[40];
	struct luks_slot slots[LUKS_SLOTS];
} __packed;
static_assert(sizeof(struct luks_header) == 592);

static void add_field(struct json_object *obj, const char *key, const char *field, size_t size)
{
	json_object_object_add(obj, key, info_string(field, strnlen(field, size)));
}

/* "xts-plain64", "cbc-essiv:sha256": mode, IV generator, its hash. */
static void add_mode(struct json_object *obj, const struct luks_header *l)
{
	char mode[sizeof(l->cipher_mode) + 1] = "";
	char *iv, *hash;

	memcpy(mode, l->cipher_mode, sizeof(l->cipher_mode));
	iv = strchr(mode, '-');
	if (iv)
		*iv++ = '\0';
	hash = iv ? strchr(iv, ':') : NULL;
	if (hash)
		*hash++ = '\0';
	add_field(obj, "cipher-mode", mode, strlen(mode));
	if (iv)
		add_field(obj, "ivgen-alg", iv, strlen(iv));
	if (hash)
		add_field(obj, "ivgen-hash-alg", hash, strlen(hash));
}

/* QEMU names a cipher with the length of one key; XTS has two. */
static void add_cipher(struct json_object *obj, const struct luks_header *l)
{
	u32 bits = be32_to_cpu(l->key_bytes) * 8;
	char *name;

	if (!strncmp(l->cipher_mode, "xts", 3))
		bits /= 2;
	name = qc_printf("%.*s-%u", (int)strnlen(l->cipher_name, sizeof(l->cipher_name)),
			 l->cipher_name, bits);
	json_object_object_add(obj, "cipher-alg", info_string(name, strlen(name)));
	free(name);
}

static struct json_object *slot_list(const struct luks_header *l)
{
	struct json_object *list = json_object_new_array();
	unsigned int i;

	for (i = 0; i < LUKS_SLOTS; i++) {
		const struct luks_slot *s = &l->slots[i];
		struct json_object *obj = json_object_new_object();
		bool active = be32_to_cpu(s->active) == LUKS_SLOT_ACTIVE;

		json_object_object_add(obj, "active", json_object_new_boolean(active));
		if (active) {
			add_u64(obj, "iters", be32_to_cpu(s->iterations));
			add_u64(obj, "stripes", be32_to_cpu(s->stripes));
		}
		add_u64(obj, "key-offset", be32_to_cpu(s->key_sector) * 512ULL);
		json_object_array_add(list, obj);
	}
	return list;
}

static void add_luks(struct json_object *obj, const struct luks_header *l)
{
	add_cipher(obj, l);
	add_mode(obj, l);
	add_field(obj, "hash-alg", l->hash, sizeof(l->hash));
	add_field(obj, "uuid", l->uuid, sizeof(l->uuid));
	add_u64(obj, "payload-offset", be32_to_cpu(l->payload_sector) * 512ULL);
	add_u64(obj, "master-key-iters", be32_to_cpu(l->digest_iterations));
	json_object_object_add(obj, "slots", slot_list(l));
}

struct json_object *info_encryption(const struct image *img, int *err)
{
	struct json_object *obj;
	struct luks_header l;
	struct qcow_ext ext;
	__be64 offset;

	*err = 0;
	if (img->h.crypt_method == QCOW_CRYPT_NONE)
		return NULL;
	obj = json_object_new_object();
	if (img->h.crypt_method == QCOW_CRYPT_AES) {
		json_object_object_add(obj, "format", json_object_new_string("aes"));
		return obj;
	}
	json_object_object_add(obj, "format", json_object_new_string("luks"));
	if (!image_find_ext(img, QCOW_EXT_CRYPTO_HEADER, &ext) || ext.len < sizeof(offset))
		return obj;
	memcpy(&offset, ext.data, sizeof(offset));
	if (be64_to_cpu(offset) >= img->bytes ||
	    image_pread(img->fd, &l, sizeof(l), be64_to_cpu(offset)) ||
	    memcmp(l.magic, "LUKS\xba\xbe", 6) || be16_to_cpu(l.version) != 1) {
		*err = qc_fail(QC_BAD_IMAGE, img->name, "no LUKS header at 0x%llx",
			       be64_to_cpu(offset));
		return obj;
	}
	add_luks(obj, &l);
	return obj;
}
