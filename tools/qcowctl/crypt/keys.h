/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The keys of the encrypted layers of a chain, for the driver: where the user says that they are
 * from, and their numbers in the kernel.
 */
#ifndef QCOWCTL_KEYS_H
#define QCOWCTL_KEYS_H

#include "crypt/secret.h"
#include "image/image.h"

/**
 * struct key_source - where a key is from
 * @file: the passphrase, as passphrase_read(), or NULL
 * @name: the volume key itself, as keyring_check_name(), or NULL
 */
struct key_source {
	const char *file;
	const char *name;
};

/**
 * struct key_sources - what the user has named, for the layers from the top down
 * @list: the last one is also for all layers that remain; key_sources_free() it
 * @nr: of them; 0: passphrases are asked for
 */
struct key_sources {
	struct key_source *list;
	size_t nr;
};

/**
 * key_sources_add_file() - the argument of --key-file
 * @sources: what has been named before
 * @file: the argument; has to stay valid
 *
 * Return: 0 or QC_USAGE.
 */
int key_sources_add_file(struct key_sources *sources, const char *file);

/* The same for --key-description and @name. */
int key_sources_add_name(struct key_sources *sources, const char *name);

void key_sources_free(struct key_sources *sources);

/**
 * struct layer_keys - the keys of some layers
 * @serials: for each layer the number of its key in the kernel, or 0: it is not encrypted; NULL:
 *           none is
 * @put: for each whether this process has put it there
 * @nr: of the layers, 0: none is encrypted
 */
struct layer_keys {
	s32 *serials;
	bool *put;
	u32 nr;
};

/**
 * layer_keys_open() - get the keys of layers, and have the kernel keep them for a while
 * @keys: result; layer_keys_close() it also after an error
 * @images: the layers, with validated headers; at least one where there are sources
 * @nr: of them
 * @sources: where they are from
 *
 * A wrong key is found out, as far as a volume key can be read. May block.
 *
 * Return: 0; QC_USAGE: there are more sources than encrypted layers; QC_WRONG_KEY; as
 * passphrase_read(), keyring_find() and volume_key_open().
 */
int layer_keys_open(struct layer_keys *keys, const struct image *images, u32 nr,
		    const struct key_sources *sources);

/**
 * layer_keys_close() - have the kernel forget those that this process has put there
 * @keys: the keys
 */
void layer_keys_close(struct layer_keys *keys);

/**
 * layer_key_put() - open a key slot, and have the kernel keep the volume key
 * @img: an encrypted image
 * @layer: as keyring_put()
 * @p: the passphrase
 * @serial: as keyring_put()
 *
 * Return: as volume_key_open() and keyring_put().
 */
int layer_key_put(const struct image *img, u32 layer, const struct passphrase *p, s32 *serial);

#endif /* QCOWCTL_KEYS_H */
