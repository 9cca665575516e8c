/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The cipher that the data of a layer are encrypted with, and nothing else of it: sectors of 512
 * bytes, each with an initialization vector that its number gives. With LUKS that is its number in
 * the file, with AES its number on the disk.
 */
#ifndef _QCOW_CRYPT_H
#define _QCOW_CRYPT_H

#include <linux/blk_types.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <qcow/luks.h>

struct crypto_skcipher;
struct iov_iter;
struct qcow_report;

/* Bytes of a buffer for what is encrypted where there is no memory. */
#define QCOW_CRYPT_BUFFER_BYTES	SZ_16K

/**
 * struct qcow_volume_key - what data are encrypted with
 * @len: bytes of it
 * @bytes: they
 */
struct qcow_volume_key {
	u32 len;
	u8 bytes[QCOW_LUKS_MAX_KEY_BYTES];
};

/**
 * struct qcow_crypt - a cipher with its key
 * @tfm: the cipher
 * @by_host: sectors are numbered by where they are in the file
 * @sector_mask: bits of a number that count
 * @key: the key
 * @runs: of struct crypt_run
 * @buffers: of QCOW_CRYPT_BUFFER_BYTES, for data/crypt.c, as all that follows
 * @lock: @bounced and @waiting
 * @bounced: bytes of writes that have been or are being encrypted
 * @waiting: writes that are not, by struct qcow_io.node
 */
struct qcow_crypt {
	struct crypto_skcipher *tfm;
	bool by_host;
	u64 sector_mask;
	struct qcow_volume_key key;
	mempool_t runs;
	mempool_t buffers;
	spinlock_t lock;	/* @bounced and @waiting */
	u64 bounced;
	struct list_head waiting;
};

/**
 * qcow_crypt_open_aes() - the cipher of QCOW_CRYPT_AES
 * @key: 16 bytes
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: for qcow_crypt_close(), or ERR_PTR: -EKEYREJECTED: the length of @key; -EOPNOTSUPP: this
 * kernel is without it; -ENOMEM.
 */
struct qcow_crypt *qcow_crypt_open_aes(const struct qcow_volume_key *key, struct qcow_report *rep);

/**
 * qcow_crypt_open_luks() - the cipher that a LUKS header states
 * @luks: the header
 * @key: of the length that it states; qcow_luks_check_key() says whether it is the right one
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: as qcow_crypt_open_aes(); -EOPNOTSUPP also: a cipher that QEMU does not offer.
 */
struct qcow_crypt *qcow_crypt_open_luks(const struct qcow_luks *luks,
					const struct qcow_volume_key *key, struct qcow_report *rep);

/**
 * qcow_crypt_close() - wipe the key and free the cipher
 * @crypt: the cipher, or NULL
 */
void qcow_crypt_close(struct qcow_crypt *crypt);

/* The kernel's name of a hash that LUKS names; NULL: it is none that QEMU offers. */
const char *qcow_crypt_hash(const char *name);

/* Whether @key is that of @crypt. */
bool qcow_crypt_has_key(const struct qcow_crypt *crypt, const struct qcow_volume_key *key);

/* The number of the sector at @guest of the disk and @host of the file. */
static inline u64 qcow_crypt_sector(const struct qcow_crypt *crypt, u64 guest, u64 host)
{
	return (crypt->by_host ? host : guest) >> SECTOR_SHIFT;
}

enum qcow_crypt_direction {
	QCOW_DECRYPT,
	QCOW_ENCRYPT,
};

/**
 * qcow_crypt_iter() - encrypt or decrypt sectors in place
 * @crypt: the cipher
 * @direction: which
 * @iter: of bio_vecs; no sector lies in two of them
 * @len: bytes of it, whole sectors
 * @sector: number of the first
 *
 * Context: process context, may sleep; GFP_NOIO, which fails only if the cipher itself does.
 * Return: 0; -EIO: a sector lies in two pieces; what the cipher returned.
 */
int qcow_crypt_iter(struct qcow_crypt *crypt, enum qcow_crypt_direction direction,
		    const struct iov_iter *iter, u64 len, u64 sector);

/* The same of @len bytes at @buf, memory of any kind but the stack. */
int qcow_crypt_buffer(struct qcow_crypt *crypt, enum qcow_crypt_direction direction, void *buf,
		      u64 len, u64 sector);

#endif /* _QCOW_CRYPT_H */
