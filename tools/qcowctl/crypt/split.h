/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The anti-forensic split of LUKS: a key as QCOW_LUKS_STRIPES stripes, all of which are needed. A
 * part that is left of the key material on a disk which keeps old sectors gives nothing away.
 */
#ifndef QCOWCTL_SPLIT_H
#define QCOWCTL_SPLIT_H

#include <stddef.h>

#include <qcow/types.h>

/**
 * split_make() - split a key
 * @hash: libgcrypt's number
 * @key: the key
 * @bytes: its length, at most QCOW_LUKS_MAX_KEY_BYTES
 * @stripes: result, QCOW_LUKS_STRIPES times as long, in memory for secrets
 */
void split_make(int hash, const u8 *key, size_t bytes, u8 *stripes);

/**
 * split_merge() - get it back
 * @hash: as split_make()
 * @stripes: all of them, in memory for secrets
 * @bytes: as split_make()
 * @key: result, in memory for secrets
 */
void split_merge(int hash, const u8 *stripes, size_t bytes, u8 *key);

#endif /* QCOWCTL_SPLIT_H */
