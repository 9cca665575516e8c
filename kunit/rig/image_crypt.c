// SPDX-License-Identifier: GPL-2.0
/*
 * Encryption of images in memory.
 */
#include <crypto/skcipher.h>
#include <kunit/test.h>
#include <linux/err.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/unaligned.h>
#include <qcow/ondisk.h>

#include "layer/crypt.h"
#include "rig/image_builder.h"
#include "rig/image_crypt.h"
#include "rig/ram_store.h"

/* From the beginning of the LUKS header; a slot's key material has 128,000 bytes. */
#define SLOT_AT(nr)	(SZ_4K + (nr) * SZ_128K)
#define HEADER_BYTES	SLOT_AT(QCOW_LUKS_SLOTS)

#define V2_HEADER_BYTES	72

static const struct qcow_volume_key luks_key = {
	.len = 32, .bytes = "0123456789abcdefFEDCBA9876543210",
};

static const struct qcow_volume_key aes_key = {
	.len = 16, .bytes = "0123456789abcdef",
};

#define ITERATIONS	3

/* hashlib.pbkdf2_hmac("sha256", luks_key, bytes(32), 3, 20) of Python */
static const u8 digest[] = {
	0xf8, 0x20, 0xd9, 0xdc, 0x72, 0x2a, 0xf8, 0x44, 0x26, 0xa7,
	0x3c, 0xed, 0xf5, 0x96, 0x63, 0x1c, 0x80, 0xa7, 0x46, 0xf8,
};

const struct qcow_volume_key *image_crypt_key(u32 crypt_method)
{
	if (crypt_method == QCOW_CRYPT_NONE)
		return NULL;
	return crypt_method == QCOW_CRYPT_AES ? &aes_key : &luks_key;
}

u64 image_crypt_header_bytes(const struct image_builder *b)
{
	return b->shape.crypt_method == QCOW_CRYPT_LUKS ? HEADER_BYTES : 0;
}

static void put_luks(struct qcow_disk_luks *luks)
{
	unsigned int i;

	/* What no test may change. */
	memset(luks, 0x5a, HEADER_BYTES);
	memset(luks, 0, sizeof(*luks));
	memcpy(luks->magic, QCOW_LUKS_MAGIC, sizeof(luks->magic));
	luks->version = cpu_to_be16(1);
	strscpy(luks->cipher, "aes", sizeof(luks->cipher));
	strscpy(luks->mode, "xts-plain64", sizeof(luks->mode));
	strscpy(luks->hash, "sha256", sizeof(luks->hash));
	luks->payload_sector = cpu_to_be32(HEADER_BYTES / SECTOR_SIZE);
	luks->key_bytes = cpu_to_be32(luks_key.len);
	luks->digest_iterations = cpu_to_be32(ITERATIONS);
	memcpy(luks->digest, digest, sizeof(digest));
	for (i = 0; i < QCOW_LUKS_SLOTS; i++) {
		luks->slots[i].active = cpu_to_be32(QCOW_LUKS_INACTIVE);
		luks->slots[i].key_sector = cpu_to_be32(SLOT_AT(i) / SECTOR_SIZE);
		luks->slots[i].stripes = cpu_to_be32(QCOW_LUKS_STRIPES);
	}
}

/* The first header extension. */
static struct qcow_disk_ext *crypto_ext(const struct image_builder *b)
{
	return (void *)b->disk->data +
		(b->shape.version == 2 ? V2_HEADER_BYTES : QCOW_V3_HEADER_BYTES);
}

u64 image_crypt_header_at(const struct image_builder *b)
{
	const struct qcow_disk_crypto_header *place = (void *)(crypto_ext(b) + 1);

	return image_crypt_header_bytes(b) ? be64_to_cpu(place->host_offset) : 0;
}

void image_crypt_begin(struct image_builder *b)
{
	struct qcow_disk_ext *ext = crypto_ext(b);
	struct qcow_disk_crypto_header *place = (void *)(ext + 1);
	u64 host;

	b->disk->key = image_crypt_key(b->shape.crypt_method);
	if (b->shape.crypt_method != QCOW_CRYPT_LUKS)
		return;
	host = image_build_alloc(b, HEADER_BYTES);
	ext->type = cpu_to_be32(QCOW_EXT_CRYPTO_HEADER);
	ext->len = cpu_to_be32(sizeof(*place));
	place->host_offset = cpu_to_be64(host);
	place->bytes = cpu_to_be64(HEADER_BYTES);
	put_luks((void *)b->disk->data + host);
}

void crypt_sector(struct kunit *test, const char *name, const struct qcow_volume_key *key,
		  const u8 *iv, void *sector)
{
	struct crypto_skcipher *tfm = crypto_alloc_skcipher(name, 0, CRYPTO_ALG_ASYNC);
	struct skcipher_request *request;
	struct scatterlist sg;
	u8 copy[16];

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, tfm);
	KUNIT_ASSERT_EQ(test, 0, crypto_skcipher_setkey(tfm, key->bytes, key->len));
	request = skcipher_request_alloc(tfm, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, request);
	memcpy(copy, iv, sizeof(copy));
	sg_init_one(&sg, sector, SECTOR_SIZE);
	skcipher_request_set_callback(request, 0, NULL, NULL);
	skcipher_request_set_crypt(request, &sg, &sg, SECTOR_SIZE, copy);
	KUNIT_EXPECT_EQ(test, 0, crypto_skcipher_encrypt(request));
	skcipher_request_free(request);
	crypto_free_skcipher(tfm);
}

/* Of version 1 a sector may lie in two pages, and memory of a disk is in no one piece. */
void image_crypt_data(struct image_builder *b, u64 guest, u64 host, u64 len)
{
	bool aes = b->shape.crypt_method == QCOW_CRYPT_AES;
	u64 pos;
	u8 *sector;

	if (!b->disk->key)
		return;
	sector = kmalloc(SECTOR_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(b->test, sector);
	for (pos = 0; pos < len; pos += SECTOR_SIZE) {
		u8 iv[16] = {};

		put_unaligned_le64(((aes ? guest : host) + pos) / SECTOR_SIZE, iv);
		memcpy(sector, b->disk->data + host + pos, SECTOR_SIZE);
		crypt_sector(b->test, aes ? "cbc(aes)" : "xts(aes)", b->disk->key, iv, sector);
		memcpy(b->disk->data + host + pos, sector, SECTOR_SIZE);
	}
	kfree(sector);
}
