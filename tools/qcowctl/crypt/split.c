// SPDX-License-Identifier: GPL-2.0
/*
 * All stripes but the last are random. Each is added to what came of those before it and mixed by
 * the hash; the last is what is then missing to the key.
 */
#include <gcrypt.h>

#include <qcow/ondisk.h>

#include "crypt/secret.h"
#include "crypt/split.h"

/* Each part of the length of a digest becomes the digest of its number and itself. */
static void mix(int hash, u8 *block, size_t bytes)
{
	size_t digest_bytes = gcry_md_get_algo_dlen(hash), at, len;
	u8 *digest = secret_alloc(digest_bytes);
	__be32 number;

	for (at = 0; at < bytes; at += len) {
		gcry_buffer_t parts[] = {
			{ .data = &number, .len = sizeof(number) },
			{ .data = block, .off = at },
		};

		number = cpu_to_be32((u32)(at / digest_bytes));
		len = min(digest_bytes, bytes - at);
		parts[1].len = len;
		gcry_md_hash_buffers(hash, 0, digest, parts, ARRAY_SIZE(parts));
		memcpy(block + at, digest, len);
	}
	secret_free(digest);
}

static void add(u8 *to, const u8 *from, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		to[i] ^= from[i];
}

/* @sum: zeros; what comes of all stripes but the last. */
static void sum_up(int hash, const u8 *stripes, size_t bytes, u8 *sum)
{
	u32 i;

	for (i = 0; i < QCOW_LUKS_STRIPES - 1; i++) {
		add(sum, stripes + i * bytes, bytes);
		mix(hash, sum, bytes);
	}
}

void split_make(int hash, const u8 *key, size_t bytes, u8 *stripes)
{
	size_t random_bytes = (QCOW_LUKS_STRIPES - 1) * bytes;
	u8 *last = stripes + random_bytes;

	gcry_randomize(stripes, random_bytes, GCRY_STRONG_RANDOM);
	memset(last, 0, bytes);
	sum_up(hash, stripes, bytes, last);
	add(last, key, bytes);
}

void split_merge(int hash, const u8 *stripes, size_t bytes, u8 *key)
{
	memset(key, 0, bytes);
	sum_up(hash, stripes, bytes, key);
	add(key, stripes + (QCOW_LUKS_STRIPES - 1) * bytes, bytes);
}
