// SPDX-License-Identifier: GPL-2.0
/*
 * Keys from the kernel's keyrings.
 */
#include <keys/user-type.h>
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/key-type.h>
#include <linux/key.h>
#include <linux/keyctl.h>
#include <linux/string.h>
#include <qcow/report.h>

#include "keys.h"
#include "layer/crypt.h"

#define PAYLOAD "0123456789abcdefFEDCBA98765432100123456789abcdefFEDCBA9876543210+"

KUNIT_DEFINE_ACTION_WRAPPER(put_action, key_put, struct key *);

static struct key *key_create_one(struct kunit *test, struct key_type *type, u32 len)
{
	struct key *key = key_alloc(type, "kunit:one", GLOBAL_ROOT_UID, GLOBAL_ROOT_GID,
				    current_cred(), KEY_POS_ALL | KEY_USR_ALL,
				    KEY_ALLOC_NOT_IN_QUOTA, NULL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, key);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_action, key));
	KUNIT_ASSERT_EQ(test, 0, key_instantiate_and_link(key, PAYLOAD, len, NULL, NULL));
	return key;
}

static void payload_is_copied(struct kunit *test)
{
	s32 serials[] = {
		0, key_create_one(test, &key_type_logon, 64)->serial,
		key_create_one(test, &key_type_user, 16)->serial,
	};
	struct qcow_volume_key *keys = qcow_keys_get(serials, ARRAY_SIZE(serials), NULL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, keys);
	KUNIT_EXPECT_NULL(test, qcow_keys_of(keys, 0));
	KUNIT_EXPECT_PTR_EQ(test, qcow_keys_of(keys, 1), &keys[1]);
	KUNIT_EXPECT_EQ(test, keys[1].len, 64);
	KUNIT_EXPECT_MEMEQ(test, keys[1].bytes, PAYLOAD, 64);
	KUNIT_EXPECT_EQ(test, keys[2].len, 16);
	KUNIT_EXPECT_MEMEQ(test, keys[2].bytes, PAYLOAD, 16);
	qcow_keys_put(keys, ARRAY_SIZE(serials));
	KUNIT_EXPECT_NULL(test, qcow_keys_of(NULL, 5));
}

static void expect_refused(struct kunit *test, s32 serial, int err, const char *says)
{
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };

	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(err), qcow_keys_get(&serial, 1, &rep));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, says), "%s", text);
}

static void others_are_refused(struct kunit *test)
{
	struct key *revoked = key_create_one(test, &key_type_user, 32);
	struct key *ring = keyring_alloc("kunit", GLOBAL_ROOT_UID, GLOBAL_ROOT_GID, current_cred(),
					 KEY_POS_ALL | KEY_USR_ALL, KEY_ALLOC_NOT_IN_QUOTA, NULL,
					 NULL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ring);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_action, ring));
	expect_refused(test, ring->serial, -EKEYREJECTED, "type \"keyring\", must be");
	expect_refused(test, key_create_one(test, &key_type_user, 65)->serial, -EKEYREJECTED,
		       "65 bytes, must be 1 to 64");
	key_revoke(revoked);
	expect_refused(test, revoked->serial, -EKEYREVOKED, "cannot be had");
	expect_refused(test, S32_MAX, -ENOKEY, "cannot be had");
	/* The keyring of the session, which would be made. */
	expect_refused(test, KEY_SPEC_SESSION_KEYRING, -EINVAL, "cannot be had");
}

static struct kunit_case cases[] = {
	KUNIT_CASE(payload_is_copied),
	KUNIT_CASE(others_are_refused),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_keys",
	.test_cases = cases,
};

kunit_test_suite(suite);
