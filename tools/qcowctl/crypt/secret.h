/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory for keys and passphrases: not swapped, not in a core dump, wiped when it is freed. And
 * passphrases, which come from a file, a terminal or an agent: never from the command line, where
 * other users see them.
 */
#ifndef QCOWCTL_SECRET_H
#define QCOWCTL_SECRET_H

#include "qcowctl.h"

/**
 * secret_begin() - make libgcrypt ready, before it is used for anything
 *
 * May be called again. Where memory may not be locked libgcrypt warns.
 */
void secret_begin(void);

/**
 * secret_alloc() - allocate memory for a secret
 * @bytes: how much
 *
 * Return: zeroed memory for secret_free(); without memory the process ends with QC_SYSTEM.
 */
void *secret_alloc(size_t bytes);

/**
 * secret_free() - wipe and free it
 * @secret: from secret_alloc(), or NULL
 */
void secret_free(void *secret);

/* Longer ones are refused. */
#define PASSPHRASE_MAX_BYTES	8192

/**
 * struct passphrase - what opens a key slot
 * @bytes: any bytes, in memory for secrets; passphrase_free() it
 * @len: of them
 */
struct passphrase {
	char *bytes;
	size_t len;
};

/**
 * passphrase_read() - get the passphrase of an image
 * @p: result; passphrase_free() it in any case
 * @file: all bytes of it are the passphrase, a line feed at its end as well; "-": standard input;
 *        NULL: a line from the terminal, without echo, or where standard input is none, from
 *        systemd-ask-password
 * @image: its name, for who is asked
 *
 * May block. Return: 0; QC_NOT_FOUND: no such file; QC_USAGE: it is too long; QC_SYSTEM.
 */
int passphrase_read(struct passphrase *p, const char *file, const char *image);

/**
 * passphrase_read_new() - the same for a new key slot
 * @p: as passphrase_read()
 * @file: likewise; who is asked is asked twice
 * @image: likewise
 *
 * Return: as passphrase_read(); QC_USAGE: it is empty, or no UTF-8, which QEMU does not take.
 */
int passphrase_read_new(struct passphrase *p, const char *file, const char *image);

/**
 * passphrase_free() - wipe and free it
 * @p: the passphrase; as without one afterwards
 */
void passphrase_free(struct passphrase *p);

#endif /* QCOWCTL_SECRET_H */
