// SPDX-License-Identifier: GPL-2.0
/*
 * Opens and fills key slots. libcryptsetup is not used: for ciphers other than AES it wants a loop
 * device and dm-crypt, which takes root, and it has an order of its own in which it writes.
 */
#include <errno.h>
#include <time.h>

#include <gcrypt.h>

#include "crypt/cipher.h"
#include "crypt/keyslots.h"
#include "crypt/split.h"

/* The specification of LUKS has no fewer. */
#define MIN_ITERATIONS		1000

#define NSEC_PER_MSEC		1000000ULL
/* PBKDF2 that takes so long can be measured. */
#define MEASURE_MSEC		50

/* Of a new one in iterations, an eighth of what a slot takes, as in QEMU. */
#define DIGEST_SHARE		8

/* Where key material begins, and its borders. */
#define MATERIAL_ALIGN		4096

#define AES_KEY_BYTES		16

int keyslots_find_hash(const char *name)
{
	secret_begin();
	return gcry_md_map_name(name);
}

static int find_hash(struct keyslots *k)
{
	k->hash = keyslots_find_hash(k->luks.hash);
	if (k->hash)
		return 0;
	return qc_fail(QC_UNSUPPORTED, k->name, "LUKS header: hash-spec %s is not known",
		       k->luks.hash);
}

int keyslots_read(struct keyslots *k, const struct image *img)
{
	int err;

	if (img->raw || img->h.crypt_method != QCOW_CRYPT_LUKS)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "is not encrypted with LUKS, it has no key slots");
	k->name = img->name;
	err = image_read_luks(img, &k->place, &k->luks);
	return err ? err : find_hash(k);
}

/* Return: 0 or QC_SYSTEM. */
static int derive(const struct keyslots *k, const void *from, size_t from_len, const u8 *salt,
		  u32 iterations, void *to, size_t to_len)
{
	gcry_error_t err = gcry_kdf_derive(from, from_len, GCRY_KDF_PBKDF2, k->hash, salt,
					   sizeof(k->luks.digest_salt), iterations, to_len, to);

	if (!err)
		return 0;
	return qc_fail(QC_SYSTEM, k->name, "PBKDF2 with %s: %s", k->luks.hash, gcry_strerror(err));
}

static int open_cipher(const struct keyslots *k, const u8 *key, struct cipher **cipher)
{
	const struct qcow_luks *luks = &k->luks;

	*cipher = cipher_open(luks->cipher, luks->mode, key, luks->key_bytes);
	if (*cipher)
		return 0;
	return qc_fail(QC_UNSUPPORTED, k->name,
		       "LUKS header: cipher %s-%s with a key of %u bytes is not supported",
		       luks->cipher, luks->mode, luks->key_bytes);
}

/* The cipher of the key material of a slot. */
static int open_slot_cipher(const struct keyslots *k, unsigned int nr, const struct passphrase *p,
			    struct cipher **cipher)
{
	const struct qcow_luks_slot *slot = &k->luks.slots[nr];
	u8 *key = secret_alloc(k->luks.key_bytes);
	int err = derive(k, p->bytes, p->len, slot->salt, slot->iterations, key,
			 k->luks.key_bytes);

	if (!err)
		err = open_cipher(k, key, cipher);
	secret_free(key);
	return err;
}

static int digest_key(const struct keyslots *k, const u8 *key, u8 *digest)
{
	return derive(k, key, k->luks.key_bytes, k->luks.digest_salt, k->luks.digest_iterations,
		      digest, sizeof(k->luks.digest));
}

static int check_key(const struct keyslots *k, const u8 *key)
{
	u8 digest[sizeof(k->luks.digest)];
	int err = digest_key(k, key, digest);

	if (err)
		return err;
	return memcmp(digest, k->luks.digest, sizeof(digest)) ? QC_WRONG_KEY : 0;
}

int keyslots_open(const struct keyslots *k, const struct image *img, unsigned int nr,
		  const struct passphrase *p, u8 *key)
{
	size_t bytes = qcow_luks_material_bytes(&k->luks);
	u8 *material = secret_alloc(bytes);
	struct cipher *cipher = NULL;
	int err;

	err = image_pread(img->fd, material, bytes,
			  k->place.host_offset + k->luks.slots[nr].key_offset);
	if (err)
		err = qc_fail_errno(image_exit_code(err), -err, img->name,
				    "cannot read key slot %u", nr);
	else
		err = open_slot_cipher(k, nr, p, &cipher);
	if (!err) {
		cipher_decrypt(cipher, material, bytes, 0);
		split_merge(k->hash, material, k->luks.key_bytes, key);
		err = check_key(k, key);
	}
	cipher_close(cipher);
	secret_free(material);
	return err;
}

int keyslots_open_any(const struct keyslots *k, const struct image *img,
		      const struct passphrase *p, u8 *key, unsigned int *nr)
{
	int err = QC_WRONG_KEY;

	for (*nr = 0; *nr < QCOW_LUKS_SLOTS; ++*nr) {
		if (!k->luks.slots[*nr].active)
			continue;
		err = keyslots_open(k, img, *nr, p, key);
		if (err != QC_WRONG_KEY)
			return err;
	}
	return qc_fail(QC_WRONG_KEY, img->name, "the passphrase opens no key slot");
}

unsigned int keyslots_nr_active(const struct keyslots *k)
{
	unsigned int i, nr = 0;

	for (i = 0; i < QCOW_LUKS_SLOTS; i++)
		nr += k->luks.slots[i].active;
	return nr;
}

static u64 cpu_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* How many iterations take @msec of CPU time, for a result of @bytes. */
static int measure(const struct keyslots *k, u32 bytes, u32 msec, u32 *iterations)
{
	u8 salt[sizeof(k->luks.digest_salt)] = { 0 };
	u8 *key = secret_alloc(bytes);
	u32 tried = MIN_ITERATIONS;
	u64 begin, nsec = 0, wanted;
	int err = 0;

	while (!err && nsec < MEASURE_MSEC * NSEC_PER_MSEC) {
		tried *= 2;
		begin = cpu_nsec();
		err = derive(k, salt, sizeof(salt), salt, tried, key, bytes);
		nsec = cpu_nsec() - begin;
	}
	secret_free(key);
	if (err)
		return err;
	wanted = (u64)((double)tried * msec * NSEC_PER_MSEC / nsec);
	*iterations = min_t(u64, max_t(u64, wanted, MIN_ITERATIONS), U32_MAX);
	return 0;
}

int keyslots_fill(struct keyslots *k, unsigned int nr, const struct passphrase *p, const u8 *key,
		  u32 msec, u8 *material)
{
	struct qcow_luks_slot *slot = &k->luks.slots[nr];
	struct cipher *cipher;
	int err = measure(k, k->luks.key_bytes, msec, &slot->iterations);

	if (err)
		return err;
	gcry_randomize(slot->salt, sizeof(slot->salt), GCRY_STRONG_RANDOM);
	err = open_slot_cipher(k, nr, p, &cipher);
	if (err)
		return err;
	split_make(k->hash, key, k->luks.key_bytes, material);
	cipher_encrypt(cipher, material, qcow_luks_material_bytes(&k->luks), 0);
	cipher_close(cipher);
	return 0;
}

void keyslots_plan(struct qcow_luks *luks)
{
	u64 bytes = round_up((u64)qcow_luks_material_bytes(luks), MATERIAL_ALIGN);
	unsigned int i;

	for (i = 0; i < QCOW_LUKS_SLOTS; i++)
		luks->slots[i].key_offset = MATERIAL_ALIGN + i * bytes;
	luks->payload_offset = MATERIAL_ALIGN + QCOW_LUKS_SLOTS * bytes;
}

/* Random, of version 4. */
static void make_uuid(char *text, size_t len)
{
	u8 b[16];

	gcry_create_nonce(b, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(text, len,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
		 b[12], b[13], b[14], b[15]);
}

static int make_digest(struct keyslots *k, const u8 *key, u32 msec)
{
	struct qcow_luks *luks = &k->luks;
	int err = measure(k, sizeof(luks->digest), max_t(u32, msec / DIGEST_SHARE, 1),
			  &luks->digest_iterations);

	gcry_randomize(luks->digest_salt, sizeof(luks->digest_salt), GCRY_STRONG_RANDOM);
	return err ? err : digest_key(k, key, luks->digest);
}

int keyslots_create(struct keyslots *k, const char *name, const struct qcow_luks *luks,
		    const struct passphrase *p, u32 msec, u8 *material)
{
	u8 *key = secret_alloc(luks->key_bytes);
	int err;

	*k = (struct keyslots) { .name = name, .luks = *luks };
	gcry_randomize(key, luks->key_bytes, GCRY_VERY_STRONG_RANDOM);
	make_uuid(k->luks.uuid, sizeof(k->luks.uuid));
	err = find_hash(k);
	if (!err)
		err = make_digest(k, key, msec);
	if (!err)
		err = keyslots_fill(k, 0, p, key, msec, material);
	k->luks.slots[0].active = !err;
	secret_free(key);
	return err;
}

static int open_luks(struct volume_key *key, const struct image *img, const struct passphrase *p)
{
	struct keyslots k;
	unsigned int nr;
	int err = keyslots_read(&k, img);

	if (err)
		return err;
	key->len = k.luks.key_bytes;
	key->bytes = secret_alloc(key->len);
	key->cipher = qc_printf("%s-%s", k.luks.cipher, k.luks.mode);
	return keyslots_open_any(&k, img, p, key->bytes, &nr);
}

int volume_key_open(struct volume_key *key, const struct image *img, const struct passphrase *p)
{
	memset(key, 0, sizeof(*key));
	if (img->h.crypt_method != QCOW_CRYPT_AES)
		return open_luks(key, img, p);
	key->len = AES_KEY_BYTES;
	key->bytes = secret_alloc(key->len);
	key->cipher = qc_strdup("aes-cbc-plain64");
	memcpy(key->bytes, p->bytes, min_t(size_t, p->len, AES_KEY_BYTES));
	return 0;
}

static int check_length(const struct image *img, size_t len, size_t wanted, const char *name)
{
	if (len == wanted)
		return 0;
	return qc_fail(QC_WRONG_KEY, img->name,
		       "the key '%s' has %zu bytes, its volume key has %zu", name, len, wanted);
}

int volume_key_check(const struct image *img, const u8 *key, size_t len, const char *name)
{
	struct keyslots k;
	int err;

	if (img->h.crypt_method == QCOW_CRYPT_AES)
		return check_length(img, len, AES_KEY_BYTES, name);
	err = keyslots_read(&k, img);
	if (!err)
		err = check_length(img, len, k.luks.key_bytes, name);
	if (err)
		return err;
	err = check_key(&k, key);
	if (err == QC_WRONG_KEY)
		qc_fail(0, img->name, "the key '%s' is not its volume key", name);
	return err;
}

void volume_key_free(struct volume_key *key)
{
	secret_free(key->bytes);
	free(key->cipher);
	memset(key, 0, sizeof(*key));
}
