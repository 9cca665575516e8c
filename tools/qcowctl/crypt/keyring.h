/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Keys in the kernel: those that this process puts there, for the driver to copy, and those that
 * the user has there.
 */
#ifndef QCOWCTL_KEYRING_H
#define QCOWCTL_KEYRING_H

#include "crypt/keyslots.h"

/**
 * keyring_put() - have the kernel keep a volume key for a while
 * @key: the key
 * @layer: whose key it is; no two that are there at a time may have the same
 * @image: name of the image, for messages
 * @serial: result, its number, for the driver; 0 after an error; keyring_drop() it
 *
 * It is of the type "logon", which no process can read, and in a keyring that only this process
 * has: no other one finds it, and it ends with the process.
 *
 * Return: 0 or QC_SYSTEM.
 */
int keyring_put(const struct volume_key *key, u32 layer, const char *image, s32 *serial);

/**
 * keyring_drop() - have the kernel forget a key at once
 * @serial: from keyring_put(); 0: there is none
 */
void keyring_drop(s32 serial);

/**
 * keyring_check_name() - whether a text is the name of a key that the driver takes
 * @name: "TYPE:DESCRIPTION", with a type out of user, logon, encrypted, trusted
 *
 * Return: 0 or QC_USAGE.
 */
int keyring_check_name(const char *name);

/**
 * keyring_find() - find a key of the user's
 * @name: as keyring_check_name() takes it
 * @serial: result, its number, for the driver; it stays as it is, and is not to be dropped
 *
 * Looked for in the keyrings of process, session and user. Return: 0; QC_NOT_FOUND.
 */
int keyring_find(const char *name, s32 *serial);

/**
 * keyring_read() - read what a key holds
 * @name: of the key
 * @serial: from keyring_find()
 * @buf: result, in memory for secrets
 * @max: room at @buf
 *
 * Return: its length, which may be more than @max; -1, without a message: it cannot be read, by its
 * type or by its permissions.
 */
long keyring_read(const char *name, s32 serial, u8 *buf, size_t max);

#endif /* QCOWCTL_KEYRING_H */
