/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The key slots of a LUKS header: each has the volume key, split into stripes and encrypted with a
 * key that a passphrase gives. Writes nothing.
 */
#ifndef QCOWCTL_KEYSLOTS_H
#define QCOWCTL_KEYSLOTS_H

#include <qcow/luks.h>

#include "crypt/secret.h"
#include "image/image.h"

/**
 * struct keyslots - a LUKS header whose cipher and hash are known
 * @name: of the image, for messages
 * @place: where the header is
 * @luks: what it says
 * @hash: libgcrypt's number of its hash
 */
struct keyslots {
	const char *name;
	struct qcow_luks_place place;
	struct qcow_luks luks;
	int hash;
};

/**
 * keyslots_read() - read the LUKS header of an image
 * @k: result
 * @img: the image, whose name has to stay
 *
 * Return: 0; QC_UNSUPPORTED: not encrypted with LUKS, or with a hash that is not known;
 * QC_BAD_IMAGE, QC_SYSTEM.
 */
int keyslots_read(struct keyslots *k, const struct image *img);

/**
 * keyslots_open() - get the volume key out of a key slot
 * @k: the header
 * @img: the image
 * @nr: of the slot, which is active
 * @p: the passphrase
 * @key: result, @k->luks.key_bytes in memory for secrets
 *
 * Takes as long as the iterations of the slot. Return: 0; QC_WRONG_KEY, without a message: the
 * passphrase is not that of the slot; QC_UNSUPPORTED: a cipher that is not known; QC_SYSTEM.
 */
int keyslots_open(const struct keyslots *k, const struct image *img, unsigned int nr,
		  const struct passphrase *p, u8 *key);

/**
 * keyslots_open_any() - get the volume key out of the first slot that a passphrase opens
 * @k: the header
 * @img: the image
 * @p: the passphrase
 * @key: as keyslots_open()
 * @nr: result, of the slot
 *
 * Return: as keyslots_open(), QC_WRONG_KEY after a message.
 */
int keyslots_open_any(const struct keyslots *k, const struct image *img,
		      const struct passphrase *p, u8 *key, unsigned int *nr);

/**
 * keyslots_fill() - put the volume key into a key slot
 * @k: the header; salt and iterations of the slot change, it stays as active as it is
 * @nr: of the slot
 * @p: its passphrase
 * @key: the volume key
 * @msec: how long opening it is to take on this machine
 * @material: result, qcow_luks_material_bytes() for the image, in memory for secrets
 *
 * Return: 0; QC_UNSUPPORTED: a cipher that is not known; QC_SYSTEM.
 */
int keyslots_fill(struct keyslots *k, unsigned int nr, const struct passphrase *p, const u8 *key,
		  u32 msec, u8 *material);

/* libgcrypt's number of a hash, 0: it is not known. */
int keyslots_find_hash(const char *name);

/**
 * keyslots_plan() - where key material is, as QEMU has it
 * @luks: with the length of the key; gets the offsets of slots and payload
 */
void keyslots_plan(struct qcow_luks *luks);

/**
 * keyslots_create() - make a LUKS header with one key, slot 0, for a new volume key
 * @k: result
 * @name: of the image, for messages; has to stay
 * @luks: cipher, mode, hash, length of the key, offsets
 * @p: the passphrase
 * @msec: as keyslots_fill()
 * @material: likewise
 *
 * Return: as keyslots_fill().
 */
int keyslots_create(struct keyslots *k, const char *name, const struct qcow_luks *luks,
		    const struct passphrase *p, u32 msec, u8 *material);

/**
 * keyslots_nr_active() - how many slots have a key
 * @k: the header
 */
unsigned int keyslots_nr_active(const struct keyslots *k);

/**
 * struct volume_key - what data are encrypted with
 * @cipher: as dm-crypt names it: "aes-xts-plain64"
 * @bytes: the key, in memory for secrets
 * @len: bytes at it
 */
struct volume_key {
	char *cipher;
	u8 *bytes;
	u32 len;
};

/**
 * volume_key_open() - get the volume key of an encrypted image
 * @key: result; volume_key_free() it in any case
 * @img: the image, with a crypt_method
 * @p: the passphrase; with AES its first 16 bytes are the key, and no wrong one is found out
 *
 * Return: as keyslots_open_any().
 */
int volume_key_open(struct volume_key *key, const struct image *img, const struct passphrase *p);

/**
 * volume_key_check() - whether a key is the volume key of an encrypted image
 * @img: the image, with a crypt_method
 * @key: the key, in memory for secrets, at most QCOW_LUKS_MAX_KEY_BYTES
 * @len: its length
 * @name: of the key, for messages
 *
 * With AES only the length is known. Return: 0; QC_WRONG_KEY: it is not; or as keyslots_read().
 */
int volume_key_check(const struct image *img, const u8 *key, size_t len, const char *name);

/**
 * volume_key_free() - wipe and free it
 * @key: the key; as without one afterwards
 */
void volume_key_free(struct volume_key *key);

#endif /* QCOWCTL_KEYSLOTS_H */
