// SPDX-License-Identifier: GPL-2.0
/*
 * The digest of a volume key in the LUKS header: PBKDF2 (RFC 8018) of the key itself.
 */
#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <qcow/luks.h>
#include <qcow/report.h>

#include "layer/crypt.h"
#include "layer/image.h"
#include "layer/luks_key.h"

/* Iterations without a look at the task. */
#define FEW_ITERATIONS	1024

/* Block @nr, from 1 on, of what PBKDF2 gives: @bytes, as many as the hash has. */
static int derive_block(struct crypto_shash *tfm, const struct qcow_luks *luks, u32 nr, u8 *block,
			unsigned int bytes)
{
	SHASH_DESC_ON_STACK(desc, tfm);
	u8 u[HASH_MAX_DIGESTSIZE];
	__be32 number = cpu_to_be32(nr);
	u32 i;
	int err;

	desc->tfm = tfm;
	err = crypto_shash_init(desc) ?:
		crypto_shash_update(desc, luks->digest_salt, sizeof(luks->digest_salt)) ?:
		crypto_shash_finup(desc, (u8 *)&number, sizeof(number), u);
	memcpy(block, u, bytes);
	for (i = 1; i < luks->digest_iterations && !err; i++) {
		err = crypto_shash_digest(desc, u, bytes, u);
		crypto_xor(block, u, bytes);
		if (!err && !(i % FEW_ITERATIONS))
			err = qcow_image_go_on();
	}
	shash_desc_zero(desc);
	return err;
}

static int derive(struct crypto_shash *tfm, const struct qcow_luks *luks, u8 *digest)
{
	unsigned int bytes = crypto_shash_digestsize(tfm), done = 0;
	u8 block[HASH_MAX_DIGESTSIZE];
	u32 nr = 1;
	int err = 0;

	for (; done < sizeof(luks->digest) && !err; done += bytes) {
		err = derive_block(tfm, luks, nr++, block, bytes);
		memcpy(digest + done, block, min_t(size_t, bytes, sizeof(luks->digest) - done));
	}
	return err;
}

static struct crypto_shash *alloc_hmac(const struct qcow_luks *luks, struct qcow_report *rep)
{
	const char *hash = qcow_crypt_hash(luks->hash);
	struct crypto_shash *tfm = ERR_PTR(-ENOENT);
	char name[CRYPTO_MAX_ALG_NAME];

	if (hash) {
		snprintf(name, sizeof(name), "hmac(%s)", hash);
		tfm = crypto_alloc_shash(name, 0, 0);
	}
	if (!IS_ERR(tfm) || tfm == ERR_PTR(-ENOMEM) || tfm == ERR_PTR(-EINTR))
		return tfm;
	qcow_report(rep, "LUKS header: hash %s: this kernel is without it: error %ld", luks->hash,
		    PTR_ERR(tfm));
	return ERR_PTR(-EOPNOTSUPP);
}

int qcow_luks_check_key(const struct qcow_luks *luks, const struct qcow_volume_key *key,
			struct qcow_report *rep)
{
	struct crypto_shash *tfm = alloc_hmac(luks, rep);
	u8 digest[sizeof(luks->digest)];
	int err;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	err = crypto_shash_setkey(tfm, key->bytes, key->len) ?: derive(tfm, luks, digest);
	crypto_free_shash(tfm);
	if (err || !crypto_memneq(digest, luks->digest, sizeof(digest)))
		return err;
	qcow_report(rep, "the key is not the volume key of the image");
	return -EKEYREJECTED;
}
