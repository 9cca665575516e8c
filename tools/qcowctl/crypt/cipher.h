/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sectors of 512 bytes, encrypted with the ciphers that QEMU offers.
 */
#ifndef QCOWCTL_CIPHER_H
#define QCOWCTL_CIPHER_H

#include <stdbool.h>
#include <stddef.h>

#include <qcow/types.h>

#define CIPHER_SECTOR_BYTES	512

struct cipher;

/**
 * cipher_open() - make a cipher ready
 * @name: "aes", "serpent", "twofish", "cast5"
 * @mode: "xts-plain64", "cbc-essiv:sha256", ...
 * @key: the key, in memory for secrets
 * @key_bytes: its length; XTS has two of half the length
 *
 * Return: the cipher, or NULL: it is not known, or not with a key of that length.
 */
struct cipher *cipher_open(const char *name, const char *mode, const void *key,
			   size_t key_bytes);

/**
 * cipher_close() - wipe its keys
 * @cipher: the cipher, or NULL
 */
void cipher_close(struct cipher *cipher);

/**
 * cipher_encrypt() - encrypt sectors in place
 * @cipher: the cipher
 * @buf: the sectors
 * @bytes: of whole sectors
 * @sector: number of the first one
 */
void cipher_encrypt(struct cipher *cipher, void *buf, size_t bytes, u64 sector);

/* The same, the other way. */
void cipher_decrypt(struct cipher *cipher, void *buf, size_t bytes, u64 sector);

#endif /* QCOWCTL_CIPHER_H */
