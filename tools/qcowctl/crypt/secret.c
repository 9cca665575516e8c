// SPDX-License-Identifier: GPL-2.0
/*
 * Memory for secrets is libgcrypt's: one pool, locked, wiped piece by piece.
 */
#include <sys/prctl.h>

#include <gcrypt.h>

#include "crypt/secret.h"

/* The key material of one slot, 256,000 bytes at most, and all that is small. */
#define POOL_BYTES	(512U << 10)

void secret_begin(void)
{
	if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
		return;
	prctl(PR_SET_DUMPABLE, 0);
	if (!gcry_check_version(GCRYPT_VERSION)) {
		qc_fail(0, NULL, "libgcrypt is older than %s", GCRYPT_VERSION);
		exit(QC_SYSTEM);
	}
	gcry_control(GCRYCTL_INIT_SECMEM, POOL_BYTES, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

void *secret_alloc(size_t bytes)
{
	void *secret;

	secret_begin();
	secret = gcry_calloc_secure(1, bytes);
	if (secret)
		return secret;
	qc_fail(0, NULL, "no memory for a key");
	exit(QC_SYSTEM);
}

void secret_free(void *secret)
{
	gcry_free(secret);
}
