// SPDX-License-Identifier: GPL-2.0
/*
 * Keys of encrypted layers. They are looked up by number, and their types told by name: so this
 * module needs no other for types that nobody uses.
 */
#include <keys/encrypted-type.h>
#include <keys/trusted-type.h>
#include <keys/user-type.h>
#include <linux/err.h>
#include <linux/key-type.h>
#include <linux/key.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <qcow/report.h>

#include "keys.h"
#include "layer/crypt.h"

/* Return: bytes at @payload; 0: there is none. */
static u32 user_payload(const struct key *key, const void **payload)
{
	const struct user_key_payload *user = user_key_payload_locked(key);

	*payload = user ? user->data : NULL;
	return user ? user->datalen : 0;
}

static u32 encrypted_payload(const struct key *key, const void **payload)
{
	const struct encrypted_key_payload *encrypted = dereference_key_locked(key);

	*payload = encrypted ? encrypted->decrypted_data : NULL;
	return encrypted ? encrypted->decrypted_datalen : 0;
}

static u32 trusted_payload(const struct key *key, const void **payload)
{
	const struct trusted_key_payload *trusted = dereference_key_locked(key);

	*payload = trusted ? trusted->key : NULL;
	return trusted ? trusted->key_len : 0;
}

static const struct {
	const char *name;
	u32 (*payload)(const struct key *key, const void **payload);
} types[] = {
	{ "logon", user_payload },
	{ "user", user_payload },
	{ "encrypted", encrypted_payload },
	{ "trusted", trusted_payload },
};

/* Under @key->sem. */
static int copy_payload(const struct key *key, struct qcow_volume_key *copy,
			struct qcow_report *rep)
{
	const void *payload = NULL;
	unsigned int i;
	u32 len = 0;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		if (!strcmp(types[i].name, key->type->name))
			break;
	}
	if (i == ARRAY_SIZE(types)) {
		qcow_report(rep,
			    "key %d: type \"%s\", must be \"logon\", \"user\", \"encrypted\" or \"trusted\"",
			    key->serial, key->type->name);
		return -EKEYREJECTED;
	}
	len = types[i].payload(key, &payload);
	if (!len || len > sizeof(copy->bytes)) {
		qcow_report(rep, "key %d: %u bytes, must be 1 to %zu", key->serial, len,
			    sizeof(copy->bytes));
		return -EKEYREJECTED;
	}
	copy->len = len;
	memcpy(copy->bytes, payload, len);
	return 0;
}

static int read_key(s32 serial, struct qcow_volume_key *copy, struct qcow_report *rep)
{
	key_ref_t ref = ERR_PTR(-EINVAL);
	struct key *key;
	int err;

	/* Numbers below 0 stand for keyrings, which are made where there is none. */
	if (serial > 0)
		ref = lookup_user_key(serial, 0, KEY_NEED_SEARCH);
	if (IS_ERR(ref)) {
		qcow_report(rep, "key %d: it cannot be had: error %ld", serial, PTR_ERR(ref));
		return PTR_ERR(ref);
	}
	key = key_ref_to_ptr(ref);
	down_read(&key->sem);
	/* It may have been revoked meanwhile. */
	err = key_validate(key);
	if (err)
		qcow_report(rep, "key %d: it cannot be had: error %d", serial, err);
	else
		err = copy_payload(key, copy, rep);
	up_read(&key->sem);
	key_put(key);
	return err;
}

struct qcow_volume_key *qcow_keys_get(const s32 *serials, u32 nr, struct qcow_report *rep)
{
	struct qcow_volume_key *keys = kvcalloc(nr, sizeof(*keys), GFP_KERNEL);
	int err = 0;
	u32 i;

	if (!keys)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < nr && !err; i++) {
		if (serials[i])
			err = read_key(serials[i], &keys[i], rep);
	}
	if (err) {
		qcow_keys_put(keys, nr);
		return ERR_PTR(err);
	}
	return keys;
}

void qcow_keys_put(struct qcow_volume_key *keys, u32 nr)
{
	kvfree_sensitive(keys, array_size(nr, sizeof(*keys)));
}

const struct qcow_volume_key *qcow_keys_of(const struct qcow_volume_key *keys, u32 nr)
{
	return keys && keys[nr].len ? &keys[nr] : NULL;
}
