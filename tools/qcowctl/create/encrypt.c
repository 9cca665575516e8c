// SPDX-License-Identifier: GPL-2.0
/*
 * The encryption of a new image: its options, which have QEMU's names and defaults, and its LUKS
 * header. With AES nothing is stored of the key, so none is asked for.
 */
#include "create/internal.h"
#include "crypt/cipher.h"
#include "crypt/crypt.h"
#include "crypt/keyslots.h"

static const char *value(const struct create_options *opts, enum create_opt opt,
			 const char *without)
{
	return opts->value[opt] ? opts->value[opt] : without;
}

/* "aes-256": the cipher, and the length of a key, of which XTS has two. */
static int parse_alg(const char *text, bool xts, struct qcow_luks *luks)
{
	const char *dash = strrchr(text, '-');
	size_t len = dash ? dash - text : 0;
	u32 bits;

	if (!len || len >= sizeof(luks->cipher) || qc_parse_u32(dash + 1, 256, &bits))
		return qc_fail(QC_USAGE, "encrypt.cipher-alg", "'%s' is no cipher, such as aes-256",
			       text);
	memcpy(luks->cipher, text, len);
	luks->key_bytes = bits / 8 * (xts ? 2 : 1);
	return 0;
}

static int parse_mode(const struct create_options *opts, struct qcow_luks *luks)
{
	const char *chain = value(opts, OPT_ENCRYPT_CIPHER_MODE, "xts");
	const char *ivgen = value(opts, OPT_ENCRYPT_IVGEN_ALG, "plain64");
	bool essiv = !strcmp(ivgen, "essiv");
	const char *hash = value(opts, OPT_ENCRYPT_IVGEN_HASH_ALG, essiv ? "sha256" : "");
	int len = snprintf(luks->mode, sizeof(luks->mode), "%s-%s%s%s", chain, ivgen,
			   *hash ? ":" : "", hash);

	if (len >= (int)sizeof(luks->mode))
		return qc_fail(QC_USAGE, "encrypt.cipher-mode", "'%s-%s%s%s' is too long", chain,
			       ivgen, *hash ? ":" : "", hash);
	return parse_alg(value(opts, OPT_ENCRYPT_CIPHER_ALG, "aes-256"), !strcmp(chain, "xts"),
			 luks);
}

/* That there is such a cipher, and such a hash. */
static int check_known(const struct qcow_luks *luks)
{
	u8 *key = secret_alloc(QCOW_LUKS_MAX_KEY_BYTES);
	struct cipher *cipher = cipher_open(luks->cipher, luks->mode, key, luks->key_bytes);
	bool known = cipher;

	cipher_close(cipher);
	secret_free(key);
	if (!known)
		return qc_fail(QC_USAGE, "encrypt.cipher-alg",
			       "%s-%s with a key of %u bytes is not supported", luks->cipher,
			       luks->mode, luks->key_bytes);
	if (keyslots_find_hash(luks->hash))
		return 0;
	return qc_fail(QC_USAGE, "encrypt.hash-alg", "'%s' is not known", luks->hash);
}

static int resolve_luks(const struct create_options *opts, struct create_spec *spec)
{
	const char *hash = value(opts, OPT_ENCRYPT_HASH_ALG, "sha256");
	const char *msec = opts->value[OPT_ENCRYPT_ITER_TIME];
	int err = parse_mode(opts, &spec->luks);

	if (err)
		return err;
	spec->iter_msec = CRYPT_ITER_MSEC;
	if (msec && (qc_parse_u32(msec, U32_MAX, &spec->iter_msec) || !spec->iter_msec))
		return qc_fail(QC_USAGE, "encrypt.iter-time", "'%s' is no number of milliseconds",
			       msec);
	if (strlen(hash) >= sizeof(spec->luks.hash))
		return qc_fail(QC_USAGE, "encrypt.hash-alg", "'%s' is too long", hash);
	memcpy(spec->luks.hash, hash, strlen(hash) + 1);
	keyslots_plan(&spec->luks);
	return check_known(&spec->luks);
}

int encrypt_resolve(const struct create_options *opts, struct create_spec *spec)
{
	const char *format = opts->value[OPT_ENCRYPT_FORMAT];
	bool luks;

	if (!format)
		return 0;
	luks = !strcmp(format, "luks");
	if (!luks && strcmp(format, "aes"))
		return qc_fail(QC_USAGE, "encrypt.format", "'%s' is neither luks nor aes", format);
	if (luks && spec->version == 1)
		return qc_fail(QC_USAGE, "encrypt.format", "'luks': version 1 has aes only");
	if (spec->preallocation != PREALLOC_OFF || spec->data_file_raw)
		return qc_fail(QC_USAGE, "encrypt.format",
			       "'%s': what is preallocated would not read as zeros", format);
	spec->crypt_method = luks ? QCOW_CRYPT_LUKS : QCOW_CRYPT_AES;
	return luks ? resolve_luks(opts, spec) : 0;
}

int encrypt_make(const struct create_spec *spec, const struct create_options *opts,
		 const char *name, size_t *bytes, unsigned char **content)
{
	size_t header_bytes = spec->luks.slots[0].key_offset;
	size_t material_bytes = qcow_luks_material_bytes(&spec->luks);
	const struct passphrase *p = opts->passphrase;
	struct passphrase read = { 0 };
	struct keyslots k;
	u8 *material = secret_alloc(material_bytes);
	int err = 0;

	if (!p) {
		err = passphrase_read_new(&read, opts->key_file, name);
		p = &read;
	}
	if (!err)
		err = keyslots_create(&k, name, &spec->luks, p, spec->iter_msec, material);
	passphrase_free(&read);
	if (!err) {
		*bytes = header_bytes + material_bytes;
		*content = qc_alloc(*bytes);
		qcow_luks_put(&k.luks, *content);
		memcpy(*content + header_bytes, material, material_bytes);
	}
	secret_free(material);
	return err;
}
