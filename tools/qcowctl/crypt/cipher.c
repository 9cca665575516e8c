// SPDX-License-Identifier: GPL-2.0
/*
 * Ciphers by the names that LUKS and dm-crypt have for them, from libgcrypt. Each sector begins
 * anew, with an initialisation vector from its number: as it is (plain: 32 bits of it), or
 * encrypted with a hash of the key (essiv).
 */
#include <gcrypt.h>

#include <qcow/luks.h>

#include "crypt/cipher.h"
#include "crypt/secret.h"

/* Of all ciphers and hashes. */
#define MAX_BLOCK_BYTES		16
#define MAX_DIGEST_BYTES	64

/**
 * struct cipher - a cipher with its key
 * @data: for the sectors
 * @essiv: for initialisation vectors, or NULL
 * @block_bytes: length of those
 * @sector_mask: what they have of the number of a sector
 */
struct cipher {
	gcry_cipher_hd_t data;
	gcry_cipher_hd_t essiv;
	size_t block_bytes;
	u64 sector_mask;
};

static const struct {
	const char *name;
	size_t key_bytes;
	int algo;
} algos[] = {
	{ "aes", 16, GCRY_CIPHER_AES128 },
	{ "aes", 24, GCRY_CIPHER_AES192 },
	{ "aes", 32, GCRY_CIPHER_AES256 },
	{ "serpent", 16, GCRY_CIPHER_SERPENT128 },
	{ "serpent", 24, GCRY_CIPHER_SERPENT192 },
	{ "serpent", 32, GCRY_CIPHER_SERPENT256 },
	{ "twofish", 16, GCRY_CIPHER_TWOFISH128 },
	{ "twofish", 32, GCRY_CIPHER_TWOFISH },
	{ "cast5", 16, GCRY_CIPHER_CAST5 },
};

/* Return: GCRY_CIPHER_NONE: there is none. */
static int find_algo(const char *name, size_t key_bytes)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(algos); i++)
		if (!strcmp(algos[i].name, name) && algos[i].key_bytes == key_bytes)
			return algos[i].algo;
	return GCRY_CIPHER_NONE;
}

static bool open_handle(gcry_cipher_hd_t *handle, int algo, int mode, const void *key,
			size_t key_bytes)
{
	return algo != GCRY_CIPHER_NONE &&
	       !gcry_cipher_open(handle, algo, mode, GCRY_CIPHER_SECURE) &&
	       !gcry_cipher_setkey(*handle, key, key_bytes);
}

static bool open_data(struct cipher *c, const char *name, const char *chain, const void *key,
		      size_t key_bytes)
{
	bool xts = !strcmp(chain, "xts");
	int algo = find_algo(name, xts ? key_bytes / 2 : key_bytes);

	c->block_bytes = gcry_cipher_get_algo_blklen(algo);
	return (xts || !strcmp(chain, "cbc")) && !(xts && key_bytes & 1) &&
	       open_handle(&c->data, algo, xts ? GCRY_CIPHER_MODE_XTS : GCRY_CIPHER_MODE_CBC, key,
			   key_bytes);
}

static bool open_essiv(struct cipher *c, const char *name, const char *hash_name,
		       const void *key, size_t key_bytes)
{
	int hash = gcry_md_map_name(hash_name);
	size_t bytes = gcry_md_get_algo_dlen(hash);
	u8 *digest;
	bool ok;

	if (!bytes || bytes > MAX_DIGEST_BYTES)
		return false;
	digest = secret_alloc(bytes);
	gcry_md_hash_buffer(hash, digest, key, key_bytes);
	ok = open_handle(&c->essiv, find_algo(name, bytes), GCRY_CIPHER_MODE_ECB, digest, bytes);
	secret_free(digest);
	return ok;
}

static bool open_iv(struct cipher *c, const char *name, const struct qcow_luks_mode *mode,
		    const void *key, size_t key_bytes)
{
	c->sector_mask = U64_MAX;
	if (!strcmp(mode->ivgen, "essiv"))
		return open_essiv(c, name, mode->ivgen_hash, key, key_bytes);
	if (!strcmp(mode->ivgen, "plain"))
		c->sector_mask = U32_MAX;
	else if (strcmp(mode->ivgen, "plain64"))
		return false;
	return !*mode->ivgen_hash;
}

struct cipher *cipher_open(const char *name, const char *mode, const void *key, size_t key_bytes)
{
	struct cipher *c = qc_alloc(sizeof(*c));
	struct qcow_luks_mode parts;

	qcow_luks_split_mode(mode, &parts);
	if (open_data(c, name, parts.chain, key, key_bytes) &&
	    open_iv(c, name, &parts, key, key_bytes))
		return c;
	cipher_close(c);
	return NULL;
}

void cipher_close(struct cipher *c)
{
	if (!c)
		return;
	gcry_cipher_close(c->data);
	gcry_cipher_close(c->essiv);
	free(c);
}

static void set_iv(struct cipher *c, u64 sector)
{
	u8 iv[MAX_BLOCK_BYTES] = { 0 };
	size_t i;

	for (i = 0; i < sizeof(sector); i++)
		iv[i] = (sector & c->sector_mask) >> (8 * i);
	if (c->essiv)
		gcry_cipher_encrypt(c->essiv, iv, c->block_bytes, NULL, 0);
	gcry_cipher_setiv(c->data, iv, c->block_bytes);
}

void cipher_encrypt(struct cipher *c, void *buf, size_t bytes, u64 sector)
{
	size_t at;

	for (at = 0; at < bytes; at += CIPHER_SECTOR_BYTES) {
		set_iv(c, sector++);
		gcry_cipher_encrypt(c->data, buf + at, CIPHER_SECTOR_BYTES, NULL, 0);
	}
}

void cipher_decrypt(struct cipher *c, void *buf, size_t bytes, u64 sector)
{
	size_t at;

	for (at = 0; at < bytes; at += CIPHER_SECTOR_BYTES) {
		set_iv(c, sector++);
		gcry_cipher_decrypt(c->data, buf + at, CIPHER_SECTOR_BYTES, NULL, 0);
	}
}
