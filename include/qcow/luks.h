/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The LUKS header of an encrypted image: where it is, and what it says, from bytes that the caller
 * has read and to bytes that it writes. Knows no key and no cipher.
 */
#ifndef _QCOW_LUKS_H
#define _QCOW_LUKS_H

#include <qcow/header.h>

/**
 * struct qcow_luks_place - where the LUKS header is
 * @host_offset: bytes
 * @bytes: its length, with the key material of all slots
 */
struct qcow_luks_place {
	u64 host_offset;
	u64 bytes;
};

/**
 * qcow_luks_find() - the LUKS header that the header extension states
 * @h: the header, with QCOW_CRYPT_LUKS
 * @buf: the first bytes of the file, as for qcow_header_parse()
 * @len: bytes at @buf
 * @file_bytes: length of the file, as for qcow_header_parse()
 * @place: result; it lies over no table whose place is in the image's header
 * @rep: says what is wrong
 *
 * Return: 0; -EINVAL, -EFBIG; -EUCLEAN: beyond the end of the file.
 */
int qcow_luks_find(const struct qcow_header *h, const void *buf, size_t len, u64 file_bytes,
		   struct qcow_luks_place *place, struct qcow_report *rep);

/**
 * struct qcow_luks_slot - a key slot, CPU order
 * @active: it has a key
 * @iterations: of PBKDF2, not 0 where it is active
 * @salt: of PBKDF2
 * @key_offset: of its key material, bytes from the beginning of the LUKS header
 */
struct qcow_luks_slot {
	bool active;
	u32 iterations;
	u8 salt[sizeof_field(struct qcow_disk_luks_slot, salt)];
	u64 key_offset;
};

/**
 * struct qcow_luks - a validated LUKS header, CPU order; all text is printable ASCII but @uuid
 * @cipher: "aes"
 * @mode: "xts-plain64", "cbc-essiv:sha256"
 * @hash: of PBKDF2 and of the split of the key material
 * @payload_offset: where key material ends, bytes
 * @key_bytes: of the volume key, 1 to QCOW_LUKS_MAX_KEY_BYTES
 * @digest: of the volume key, from PBKDF2
 * @digest_salt: of that
 * @digest_iterations: of that, not 0
 * @uuid: any bytes, the last is NUL
 * @slots: the key slots, whose material overlaps with nothing
 */
struct qcow_luks {
	char cipher[sizeof_field(struct qcow_disk_luks, cipher)];
	char mode[sizeof_field(struct qcow_disk_luks, mode)];
	char hash[sizeof_field(struct qcow_disk_luks, hash)];
	u64 payload_offset;
	u32 key_bytes;
	u8 digest[sizeof_field(struct qcow_disk_luks, digest)];
	u8 digest_salt[sizeof_field(struct qcow_disk_luks, digest_salt)];
	u32 digest_iterations;
	char uuid[sizeof_field(struct qcow_disk_luks, uuid) + 1];
	struct qcow_luks_slot slots[QCOW_LUKS_SLOTS];
};

/* Bytes of the key material of a slot, with what pads it to a sector. */
static inline u32 qcow_luks_material_bytes(const struct qcow_luks *luks)
{
	return round_up(luks->key_bytes * QCOW_LUKS_STRIPES, 512);
}

/**
 * qcow_luks_parse() - decode and validate
 * @luks: result
 * @buf: the first sizeof(struct qcow_disk_luks) bytes
 * @bytes: length of all of it, from qcow_luks_find()
 * @rep: says which field is wrong, with its value
 *
 * How long PBKDF2 takes is not limited: the caller has to be one that can be interrupted.
 *
 * Return: 0; -EINVAL; -EOPNOTSUPP: another version.
 */
int qcow_luks_parse(struct qcow_luks *luks, const void *buf, u64 bytes, struct qcow_report *rep);

/**
 * qcow_luks_put() - write the header
 * @luks: what it says; offsets are multiples of 512
 * @buf: sizeof(struct qcow_disk_luks) bytes
 */
void qcow_luks_put(const struct qcow_luks *luks, void *buf);

/**
 * struct qcow_luks_mode - the parts of a cipher's mode
 * @chain: "xts", "cbc"
 * @ivgen: "plain64", "essiv", or empty
 * @ivgen_hash: "sha256", or empty
 */
struct qcow_luks_mode {
	char chain[sizeof_field(struct qcow_luks, mode)];
	char ivgen[sizeof_field(struct qcow_luks, mode)];
	char ivgen_hash[sizeof_field(struct qcow_luks, mode)];
};

/* Split "chain-ivgen:hash"; of the last two either may be missing. */
void qcow_luks_split_mode(const char *text, struct qcow_luks_mode *mode);

#endif /* _QCOW_LUKS_H */
