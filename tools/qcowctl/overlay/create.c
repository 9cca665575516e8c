// SPDX-License-Identifier: GPL-2.0
/*
 * The file of an overlay.
 */
#include <sys/stat.h>
#include <unistd.h>

#include <qcow/luks.h>

#include "create/create.h"
#include "crypt/secret.h"
#include "image/image.h"
#include "overlay/internal.h"

/* Direct I/O takes whole blocks, of a page at most, and a cluster is written by itself. */
#define LEAST_CLUSTER_BITS	12

/* As the overlay names it: so that both can move together where they are in one directory. */
static char *backing_name(const char *path, const char *name)
{
	char *dir = path_dirname(path), *own = path_dirname(name);
	const char *last = strrchr(path, '/') + 1;
	char *backing;
	struct stat a, b;

	if (stat(dir, &a) || stat(own, &b) || !image_same_file(&a, &b))
		backing = qc_strdup(path);
	else
		backing = qc_printf("%s%s", path_has_protocol(last) ? "./" : "", last);
	free(own);
	free(dir);
	return backing;
}

/* By the same ciphers, if the image has some that are known by name. */
static int set_encryption(struct create_options *opts, const struct image *img)
{
	struct qcow_luks_place place;
	struct qcow_luks_mode mode;
	struct qcow_luks luks;
	char *alg;
	int err;

	create_options_set(opts, OPT_ENCRYPT_FORMAT, "luks");
	if (img->h.crypt_method != QCOW_CRYPT_LUKS)
		return 0;
	err = image_read_luks(img, &place, &luks);
	if (err)
		return err;
	qcow_luks_split_mode(luks.mode, &mode);
	alg = qc_printf("%s-%u", luks.cipher, luks.key_bytes * (strcmp(mode.chain, "xts") ? 8 : 4));
	create_options_set(opts, OPT_ENCRYPT_CIPHER_ALG, alg);
	create_options_set(opts, OPT_ENCRYPT_CIPHER_MODE, mode.chain);
	create_options_set(opts, OPT_ENCRYPT_IVGEN_ALG, mode.ivgen);
	if (*mode.ivgen_hash)
		create_options_set(opts, OPT_ENCRYPT_IVGEN_HASH_ALG, mode.ivgen_hash);
	create_options_set(opts, OPT_ENCRYPT_HASH_ALG, luks.hash);
	free(alg);
	return 0;
}

int overlay_create_file(const struct overlay_spec *spec, const char *name, int *made)
{
	const struct image *img = spec->img;
	/* Users who may not read the image may not read what is written from now on. */
	struct create_options opts = {
		.exclusive = true, .like = &img->st, .passphrase = spec->passphrase,
	};
	char *backing = backing_name(spec->path, name);
	char *size = qc_printf("%llu", spec->bytes);
	char *cluster = qc_printf("%llu", 1ULL << img->h.cluster_bits);
	int err = 0;

	create_options_set(&opts, OPT_BACKING_FILE, backing);
	create_options_set(&opts, OPT_BACKING_FMT, image_format(img));
	create_options_set(&opts, OPT_SIZE, size);
	if (img->h.cluster_bits >= LEAST_CLUSTER_BITS)
		create_options_set(&opts, OPT_CLUSTER_SIZE, cluster);
	if (img->h.incompatible & QCOW_INCOMPAT_EXTENDED_L2)
		create_options_set(&opts, OPT_EXTENDED_L2, "on");
	if (spec->compression_type)
		create_options_set(&opts, OPT_COMPRESSION_TYPE, spec->compression_type);
	if (spec->passphrase && spec->passphrase->bytes)
		err = set_encryption(&opts, img);
	if (!err)
		err = create_image(name, &opts, true, made);
	create_options_free(&opts);
	free(cluster);
	free(size);
	free(backing);
	return err;
}

void overlay_remove_file(const char *name, const struct stat *made)
{
	struct stat st;

	if (name && !lstat(name, &st) && image_same_file(&st, made))
		unlink(name);
}
