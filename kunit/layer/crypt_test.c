// SPDX-License-Identifier: GPL-2.0
/*
 * Ciphers: what they make of a sector, which are taken, and the images that have them.
 */
#include <crypto/aes.h>
#include <crypto/sha2.h>
#include <crypto/skcipher.h>
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/bvec.h>
#include <linux/err.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uio.h>
#include <linux/unaligned.h>
#include <linux/vmalloc.h>
#include <qcow/ondisk.h>

#include "layer/cache.h"
#include "layer/crypt.h"
#include "layer/image.h"
#include "rig/image_builder.h"
#include "rig/image_crypt.h"
#include "rig/ram_store.h"

/* More than the requests that are in flight at once, and no multiple of them. */
#define SECTORS		43
#define BYTES		(SECTORS * SECTOR_SIZE)

static const struct qcow_volume_key key = {
	.len = 64, .bytes = "0123456789abcdefFEDCBA9876543210ABCDEFghijklmnopzyxwvu!#$%&/()=",
};

/**
 * struct cipher_case - a cipher
 * @name: of the case
 * @cipher: as LUKS calls it
 * @mode: likewise
 * @key_bytes: of its key
 * @kernel: what encrypts a sector when it is given the initialization vector
 * @essiv: the vector is the encrypted number
 * @first: number of the first sector
 * @mask: bits of a number that count
 */
struct cipher_case {
	const char *name;
	const char *cipher;
	const char *mode;
	u32 key_bytes;
	const char *kernel;
	bool essiv;
	u64 first;
	u64 mask;
};

static const struct cipher_case cipher_cases[] = {
	{ .name = "xts, 128", .cipher = "aes", .mode = "xts-plain64", .key_bytes = 32,
	  .kernel = "xts(aes)", .mask = U64_MAX },
	{ .name = "xts, 256", .cipher = "aes", .mode = "xts-plain64", .key_bytes = 64,
	  .kernel = "xts(aes)", .first = U32_MAX - 3, .mask = U64_MAX },
	{ .name = "32 bits of a number", .cipher = "aes", .mode = "xts-plain", .key_bytes = 64,
	  .kernel = "xts(aes)", .first = U32_MAX - 3, .mask = U32_MAX },
	{ .name = "cbc", .cipher = "aes", .mode = "cbc-plain64", .key_bytes = 16,
	  .kernel = "cbc(aes)", .first = 5, .mask = U64_MAX },
	{ .name = "essiv", .cipher = "aes", .mode = "cbc-essiv:sha256", .key_bytes = 32,
	  .kernel = "cbc(aes)", .essiv = true, .first = 1ULL << 40, .mask = U64_MAX },
};

static void cipher_desc(const struct cipher_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(cipher, cipher_cases, cipher_desc);

KUNIT_DEFINE_ACTION_WRAPPER(close_action, qcow_crypt_close, struct qcow_crypt *);

static void luks_of(const struct cipher_case *c, struct qcow_luks *luks)
{
	*luks = (struct qcow_luks) { .key_bytes = c->key_bytes };
	strscpy(luks->cipher, c->cipher, sizeof(luks->cipher));
	strscpy(luks->mode, c->mode, sizeof(luks->mode));
}

static struct qcow_crypt *crypt_create(struct kunit *test, const struct cipher_case *c)
{
	struct qcow_luks *luks = kunit_kzalloc(test, sizeof(*luks), GFP_KERNEL);
	struct qcow_volume_key short_key = key;
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_crypt *crypt;

	KUNIT_ASSERT_NOT_NULL(test, luks);
	luks_of(c, luks);
	short_key.len = c->key_bytes;
	crypt = qcow_crypt_open_luks(luks, &short_key, &rep);
	KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, crypt, "%s", text);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, close_action, crypt));
	return crypt;
}

KUNIT_DEFINE_ACTION_WRAPPER(vfree_action, vfree, const void *);

/* Memory in single pages, filled. */
static u8 *sectors_create(struct kunit *test)
{
	u8 *buf = vmalloc(BYTES);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, vfree_action, buf));
	for (i = 0; i < BYTES; i++)
		buf[i] = i * 7 + i / SECTOR_SIZE;
	return buf;
}

/* What the initialization vector of a sector is. */
static void make_iv(struct kunit *test, const struct cipher_case *c, u64 sector, u8 *iv)
{
	struct crypto_aes_ctx *aes;
	u8 hash[SHA256_DIGEST_SIZE];

	memset(iv, 0, AES_BLOCK_SIZE);
	put_unaligned_le64(sector, iv);
	if (!c->essiv)
		return;
	aes = kunit_kzalloc(test, sizeof(*aes), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, aes);
	sha256(key.bytes, c->key_bytes, hash);
	KUNIT_ASSERT_EQ(test, 0, aes_expandkey(aes, hash, sizeof(hash)));
	aes_encrypt(aes, iv, iv);
	kunit_kfree(test, aes);
}

static void expect_encrypted(struct kunit *test, const struct cipher_case *c, const u8 *plain,
			     const u8 *encrypted)
{
	struct qcow_volume_key short_key = key;
	u8 *sector = kunit_kzalloc(test, SECTOR_SIZE, GFP_KERNEL);
	u8 iv[AES_BLOCK_SIZE];
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, sector);
	short_key.len = c->key_bytes;
	for (i = 0; i < SECTORS; i++) {
		make_iv(test, c, (c->first + i) & c->mask, iv);
		memcpy(sector, plain + i * SECTOR_SIZE, SECTOR_SIZE);
		crypt_sector(test, c->kernel, &short_key, iv, sector);
		KUNIT_EXPECT_MEMEQ(test, sector, encrypted + i * SECTOR_SIZE, SECTOR_SIZE);
	}
}

static void sectors_are_encrypted(struct kunit *test)
{
	const struct cipher_case *c = test->param_value;
	struct qcow_crypt *crypt = crypt_create(test, c);
	u8 *plain = sectors_create(test), *buf = sectors_create(test);

	KUNIT_EXPECT_EQ(test, 0, qcow_crypt_buffer(crypt, QCOW_ENCRYPT, buf, BYTES, c->first));
	expect_encrypted(test, c, plain, buf);
	KUNIT_EXPECT_EQ(test, 0, qcow_crypt_buffer(crypt, QCOW_DECRYPT, buf, BYTES, c->first));
	KUNIT_EXPECT_MEMEQ(test, plain, buf, BYTES);
}

/* One for the same, which is found first, and ends its requests from a work item. */
static void make_asynchronous(struct kunit *test, const char *name)
{
	struct crypto_skcipher *tfm = crypto_alloc_skcipher(name, 0, CRYPTO_ALG_ASYNC);
	char other[CRYPTO_MAX_ALG_NAME + sizeof("cryptd()")];

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, tfm);
	snprintf(other, sizeof(other), "cryptd(%s)", crypto_skcipher_driver_name(tfm));
	crypto_free_skcipher(tfm);
	tfm = crypto_alloc_skcipher(other, 0, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, tfm);
	crypto_free_skcipher(tfm);
}

static void others_are_waited_for(struct kunit *test)
{
	/* No image of other tests has it: the other one stays. */
	const struct cipher_case *c = &cipher_cases[ARRAY_SIZE(cipher_cases) - 1];
	u8 *plain = sectors_create(test), *buf = sectors_create(test);
	struct qcow_crypt *crypt;

	make_asynchronous(test, "essiv(cbc(aes),sha256)");
	crypt = crypt_create(test, c);
	KUNIT_ASSERT_TRUE(test, str_has_prefix(crypto_skcipher_driver_name(crypt->tfm), "cryptd("));
	KUNIT_EXPECT_EQ(test, 0, qcow_crypt_buffer(crypt, QCOW_ENCRYPT, buf, BYTES, c->first));
	expect_encrypted(test, c, plain, buf);
	KUNIT_EXPECT_EQ(test, 0, qcow_crypt_buffer(crypt, QCOW_DECRYPT, buf, BYTES, c->first));
	KUNIT_EXPECT_MEMEQ(test, plain, buf, BYTES);
}

static void pieces_have_whole_sectors(struct kunit *test)
{
	const struct cipher_case *c = &cipher_cases[0];
	struct qcow_crypt *crypt = crypt_create(test, c);
	u8 *plain = sectors_create(test);
	u8 *buf = kunit_kmalloc(test, BYTES + SECTOR_SIZE, GFP_KERNEL);
	struct bio_vec bvecs[3];
	struct iov_iter iter;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	memcpy(buf + SECTOR_SIZE, plain, BYTES);
	bvec_set_virt(&bvecs[0], buf, 4 * SECTOR_SIZE);
	bvec_set_virt(&bvecs[1], buf + 4 * SECTOR_SIZE, 20 * SECTOR_SIZE);
	bvec_set_virt(&bvecs[2], buf + 24 * SECTOR_SIZE, BYTES - 23 * SECTOR_SIZE);
	iov_iter_bvec(&iter, ITER_DEST, bvecs, 3, BYTES + SECTOR_SIZE);
	iov_iter_advance(&iter, SECTOR_SIZE);
	KUNIT_EXPECT_EQ(test, 0, qcow_crypt_iter(crypt, QCOW_ENCRYPT, &iter, BYTES, c->first));
	expect_encrypted(test, c, plain, buf + SECTOR_SIZE);

	bvec_set_virt(&bvecs[0], buf, 4 * SECTOR_SIZE - 256);
	bvec_set_virt(&bvecs[1], buf + 4 * SECTOR_SIZE - 256, BYTES);
	iov_iter_bvec(&iter, ITER_DEST, bvecs, 2, BYTES);
	KUNIT_EXPECT_EQ(test, -EIO, qcow_crypt_iter(crypt, QCOW_ENCRYPT, &iter, BYTES, 0));
}

/**
 * struct refused_case - what is no cipher
 * @name: of the case
 * @cipher: as LUKS calls it
 * @mode: likewise
 * @key_bytes: that the header states
 * @given: bytes of the key; 0: as many
 * @err: result
 * @says: part of the message
 */
struct refused_case {
	const char *name;
	const char *cipher;
	const char *mode;
	u32 key_bytes;
	u32 given;
	int err;
	const char *says;
};

static const struct refused_case refused_cases[] = {
	{ .name = "no cipher", .cipher = "rot13", .mode = "xts-plain64", .key_bytes = 32,
	  .err = -EOPNOTSUPP, .says = "rot13-xts-plain64 is not supported" },
	{ .name = "a name that builds something", .cipher = "aes)),cmac(aes", .mode = "xts-plain64",
	  .key_bytes = 32, .err = -EOPNOTSUPP, .says = "is not supported" },
	{ .name = "no chain", .cipher = "aes", .mode = "ecb", .key_bytes = 32,
	  .err = -EOPNOTSUPP, .says = "aes-ecb is not supported" },
	{ .name = "a chain of streams", .cipher = "aes", .mode = "ctr-plain64", .key_bytes = 32,
	  .err = -EOPNOTSUPP, .says = "aes-ctr-plain64 is not supported" },
	{ .name = "no vector", .cipher = "aes", .mode = "cbc", .key_bytes = 32,
	  .err = -EOPNOTSUPP, .says = "aes-cbc is not supported" },
	{ .name = "a vector of none", .cipher = "aes", .mode = "cbc-null", .key_bytes = 32,
	  .err = -EOPNOTSUPP, .says = "aes-cbc-null is not supported" },
	{ .name = "no hash", .cipher = "aes", .mode = "cbc-essiv", .key_bytes = 32,
	  .err = -EOPNOTSUPP, .says = "aes-cbc-essiv is not supported" },
	{ .name = "a hash of none", .cipher = "aes", .mode = "cbc-essiv:crc32", .key_bytes = 32,
	  .err = -EOPNOTSUPP, .says = "aes-cbc-essiv:crc32 is not supported" },
	{ .name = "a hash that is no key", .cipher = "aes", .mode = "cbc-essiv:sha224",
	  .key_bytes = 32, .err = -EKEYREJECTED, .says = "does not take it" },
	{ .name = "half a key", .cipher = "aes", .mode = "xts-plain64", .key_bytes = 64,
	  .given = 32, .err = -EKEYREJECTED, .says = "key of 32 bytes: the image has one of 64" },
	{ .name = "a header with half a key", .cipher = "aes", .mode = "xts-plain64",
	  .key_bytes = 16, .err = -EKEYREJECTED, .says = "key of 16 bytes" },
	{ .name = "not in this kernel", .cipher = "cast5", .mode = "cbc-plain64", .key_bytes = 16,
	  .err = -EOPNOTSUPP, .says = "cipher cbc(cast5): this kernel is without it" },
};

static void refused_desc(const struct refused_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(refused, refused_cases, refused_desc);

static void others_are_refused(struct kunit *test)
{
	const struct refused_case *c = test->param_value;
	const struct cipher_case luks_case = {
		.cipher = c->cipher, .mode = c->mode, .key_bytes = c->key_bytes,
	};
	struct qcow_luks *luks = kunit_kzalloc(test, sizeof(*luks), GFP_KERNEL);
	struct qcow_volume_key given = key;
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };

	KUNIT_ASSERT_NOT_NULL(test, luks);
	luks_of(&luks_case, luks);
	given.len = c->given ?: c->key_bytes;
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(c->err), qcow_crypt_open_luks(luks, &given, &rep));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, c->says), "%s", text);
}

static void expect_open(struct kunit *test, struct image_builder *b,
			const struct qcow_volume_key *given, int err, const char *says)
{
	struct qcow_image_params p = {
		.name = "kunit", .snapshot = QCOW_ACTIVE_STATE, .cache_bytes = SZ_64K,
		.key = given,
	};
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_image *image;

	image = qcow_image_open(&p, ram_store_create(test, b->disk), NULL, &rep);
	KUNIT_EXPECT_EQ(test, err, PTR_ERR_OR_ZERO(image));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, says), "%s", text);
	if (!IS_ERR(image))
		qcow_image_close(image);
}

static void images_want_their_key(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 12, .size = SZ_1M };
	struct image_builder *b = image_build(test, &shape);
	struct qcow_volume_key wrong;

	expect_open(test, b, NULL, 0, "");
	expect_open(test, b, &key, -EINVAL, "the image is not encrypted");
	shape.version = 1;
	shape.crypt_method = QCOW_CRYPT_AES;
	b = image_build(test, &shape);
	expect_open(test, b, NULL, -ENOKEY, "crypt_method 1 (AES): the image is encrypted");
	expect_open(test, b, &key, -EKEYREJECTED, "key of 64 bytes: the image has one of 16");
	expect_open(test, b, b->disk->key, 0, "");
	shape.version = 2;
	shape.crypt_method = QCOW_CRYPT_LUKS;
	shape.room = SZ_2M;
	b = image_build(test, &shape);
	expect_open(test, b, NULL, -ENOKEY, "crypt_method 2 (LUKS): the image is encrypted");
	expect_open(test, b, b->disk->key, 0, "");
	wrong = *b->disk->key;
	wrong.bytes[0]++;
	expect_open(test, b, &wrong, -EKEYREJECTED, "is not the volume key of the image");
	b->disk->bytes = b->end - image_crypt_header_bytes(b);
	expect_open(test, b, b->disk->key, -EINVAL, "LUKS header");
}

static int suite_init(struct kunit_suite *suite)
{
	return qcow_cache_module_init();
}

static void suite_exit(struct kunit_suite *suite)
{
	qcow_cache_module_exit();
}

static struct kunit_case cases[] = {
	/* Before another test has a cipher of this name made, which would be preferred. */
	KUNIT_CASE(others_are_waited_for),
	KUNIT_CASE_PARAM(sectors_are_encrypted, cipher_gen_params),
	KUNIT_CASE(pieces_have_whole_sectors),
	KUNIT_CASE_PARAM(others_are_refused, refused_gen_params),
	KUNIT_CASE(images_want_their_key),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_crypt",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
