// SPDX-License-Identifier: GPL-2.0
/*
 * What a passphrase opens: test_crypt IMAGE KEY-FILE HOST-OFFSET SECTOR prints the name of the
 * cipher and the first byte of the sector there, decrypted, when all its bytes are the same.
 */
#include "crypt/cipher.h"
#include "crypt/keyslots.h"

static int print_sector(const struct image *img, const struct volume_key *key, u64 host, u64 sector)
{
	unsigned char buf[CIPHER_SECTOR_BYTES];
	struct cipher *cipher;
	char *mode = strchr(key->cipher, '-');
	char *name = qc_strndup(key->cipher, mode - key->cipher);

	cipher = cipher_open(name, mode + 1, key->bytes, key->len);
	free(name);
	if (!cipher || image_pread(img->fd, buf, sizeof(buf), host))
		return QC_SYSTEM;
	cipher_decrypt(cipher, buf, sizeof(buf), sector);
	cipher_close(cipher);
	if (memcmp(buf, buf + 1, sizeof(buf) - 1))
		return QC_BAD_IMAGE;
	printf("%s %u\n", key->cipher, buf[0]);
	return 0;
}

int main(int argc, char **argv)
{
	const struct chain_options opts = { .top_only = true, .no_data = true };
	struct passphrase p = { 0 };
	struct volume_key key = { 0 };
	struct chain chain;
	int err;

	if (argc != 5)
		return QC_USAGE;
	err = chain_open(&chain, argv[1], &opts);
	if (!err)
		err = passphrase_read(&p, argv[2], argv[1]);
	if (!err)
		err = volume_key_open(&key, &chain.images[0], &p);
	if (!err)
		err = print_sector(&chain.images[0], &key, strtoull(argv[3], NULL, 0),
				   strtoull(argv[4], NULL, 0));
	volume_key_free(&key);
	passphrase_free(&p);
	chain_close(&chain);
	return err;
}
