/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Encryption of images in memory, for tests, by the kernel's cipher sector after sector: it shares
 * nothing with the code under test.
 */
#ifndef _QCOW_KUNIT_IMAGE_CRYPT_H
#define _QCOW_KUNIT_IMAGE_CRYPT_H

#include <linux/types.h>

struct image_builder;
struct kunit;
struct qcow_volume_key;

/* What images are encrypted with: of AES with the first half of it. */
const struct qcow_volume_key *image_crypt_key(u32 crypt_method);

/* Of an image that is being built: the key, and with LUKS a header without key slots in use. */
void image_crypt_begin(struct image_builder *b);

/* Bytes that its LUKS header has, and where it is: nothing changes it. */
u64 image_crypt_header_bytes(const struct image_builder *b);
u64 image_crypt_header_at(const struct image_builder *b);

/* Encrypt the guest bytes that lie at a host offset, whole sectors. Nothing, if it has no key. */
void image_crypt_data(struct image_builder *b, u64 guest, u64 host, u64 len);

/**
 * crypt_sector() - encrypt one sector in place
 * @test: fails if that fails
 * @name: of the cipher in the kernel
 * @key: of it
 * @iv: initialization vector, of 16 bytes
 * @sector: physically contiguous
 */
void crypt_sector(struct kunit *test, const char *name, const struct qcow_volume_key *key,
		  const u8 *iv, void *sector);

#endif /* _QCOW_KUNIT_IMAGE_CRYPT_H */
