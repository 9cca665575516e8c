/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Keys of encrypted layers, from the kernel's keyrings.
 */
#ifndef _QCOW_KEYS_H
#define _QCOW_KEYS_H

#include <linux/types.h>

struct qcow_report;
struct qcow_volume_key;

/**
 * qcow_keys_get() - copy the payload of keys
 * @serials: numbers of keys; 0: none
 * @nr: of them
 * @rep: says what is wrong with one
 *
 * Context: process context of a task that may search the keys; may sleep.
 * Return: as many, those without a key of no length, for qcow_keys_put(); or ERR_PTR:
 * -EKEYREJECTED: the type or the length of one; -ENOKEY, -EACCES, -EKEYEXPIRED, ... as keyctl(2);
 * -ENOMEM.
 */
struct qcow_volume_key *qcow_keys_get(const s32 *serials, u32 nr, struct qcow_report *rep);

/**
 * qcow_keys_put() - wipe and free them
 * @keys: from qcow_keys_get(), or NULL
 * @nr: of them
 */
void qcow_keys_put(struct qcow_volume_key *keys, u32 nr);

/* The key of layer @nr: of @keys, which may be NULL; NULL: it has none. */
const struct qcow_volume_key *qcow_keys_of(const struct qcow_volume_key *keys, u32 nr);

#endif /* _QCOW_KEYS_H */
