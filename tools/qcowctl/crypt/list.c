// SPDX-License-Identifier: GPL-2.0
/*
 * The list of key slots. Writes nothing, takes no lock, needs no passphrase.
 */
#include <json-c/json.h>

#include "crypt/crypt.h"
#include "crypt/keyslots.h"
#include "image/info.h"

static void print_table(const struct qcow_luks *luks)
{
	unsigned int i;

	printf("%-5s %-8s %11s %11s\n", "SLOT", "STATE", "ITERATIONS", "KEY OFFSET");
	for (i = 0; i < QCOW_LUKS_SLOTS; i++) {
		const struct qcow_luks_slot *slot = &luks->slots[i];

		printf("%-5u %-8s %11u %11llu\n", i, slot->active ? "active" : "inactive",
		       slot->active ? slot->iterations : 0, slot->key_offset);
	}
}

static int print_json(const struct qcow_luks *luks)
{
	struct json_object *list = info_key_slots(luks);
	const char *text = json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_NOSLASHESCAPE);
	bool ok = text && qc_put_json(text);

	json_object_put(list);
	return ok ? 0 : qc_fail(QC_SYSTEM, "key", "cannot print");
}

int key_list(const char *image, bool json)
{
	const struct chain_options opts = { .top_only = true, .no_data = true };
	struct keyslots k;
	struct chain chain;
	int err;

	err = chain_open(&chain, image, &opts);
	if (!err)
		err = keyslots_read(&k, &chain.images[0]);
	if (!err && json)
		err = print_json(&k.luks);
	else if (!err)
		print_table(&k.luks);
	chain_close(&chain);
	return err;
}
