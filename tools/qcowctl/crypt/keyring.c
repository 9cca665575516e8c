// SPDX-License-Identifier: GPL-2.0
/*
 * Keyrings of the kernel. The driver gets the number of a key, and copies what it holds if this
 * process may search for it: that is so for what its own keyrings lead to.
 */
#include <errno.h>

#include <keyutils.h>

#include "crypt/keyring.h"

int keyring_put(const struct volume_key *key, u32 layer, const char *image, s32 *serial)
{
	char *description = qc_printf("qcow:%u", layer);
	key_serial_t put = add_key("logon", description, key->bytes, key->len,
				   KEY_SPEC_PROCESS_KEYRING);
	int err = 0;

	*serial = put < 0 ? 0 : put;
	if (put < 0)
		err = qc_fail_errno(QC_SYSTEM, errno, image,
				    "cannot put its key into a keyring of the kernel");
	free(description);
	return err;
}

void keyring_drop(s32 serial)
{
	/* If it fails, the key goes with the process. */
	if (serial)
		(void)keyctl_invalidate(serial);
}

int keyring_check_name(const char *name)
{
	static const char *const types[] = { "user:", "logon:", "encrypted:", "trusted:" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		if (!strncmp(name, types[i], strlen(types[i])) && name[strlen(types[i])])
			return 0;
	return qc_fail(QC_USAGE, "--key-description",
		       "'%s' is not TYPE:DESCRIPTION with a type out of user, logon, encrypted, trusted",
		       name);
}

int keyring_find(const char *name, s32 *serial)
{
	const char *description = strchr(name, ':') + 1;
	char *type = qc_strndup(name, description - 1 - name);
	key_serial_t found = request_key(type, description, NULL, 0);

	/* A session need not lead to the keyring of its user: only what is linked is ours then. */
	if (found < 0 && errno == ENOKEY)
		found = keyctl_search(KEY_SPEC_USER_KEYRING, type, description,
				      KEY_SPEC_PROCESS_KEYRING);
	free(type);
	*serial = found < 0 ? 0 : found;
	if (*serial)
		return 0;
	return qc_fail_errno(QC_NOT_FOUND, errno, name, "cannot find this key");
}

long keyring_read(const char *name, s32 serial, u8 *buf, size_t max)
{
	/* What encrypted and trusted keys let read is not what they hold. */
	if (strncmp(name, "user:", strlen("user:")))
		return -1;
	return keyctl_read(serial, (char *)buf, max);
}
