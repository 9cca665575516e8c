// SPDX-License-Identifier: GPL-2.0
/*
 * Opens the key slots of a chain, one layer after the other. A volume key is in the memory of this
 * process only until the kernel has it.
 */
#include "crypt/keyring.h"
#include "crypt/keys.h"

static void add_source(struct key_sources *sources, struct key_source source)
{
	sources->list = qc_grow(sources->list, sources->nr + 1, sizeof(*sources->list));
	sources->list[sources->nr++] = source;
}

int key_sources_add_file(struct key_sources *sources, const char *file)
{
	size_t i;

	for (i = 0; i < sources->nr; i++)
		if (sources->list[i].file && !strcmp(sources->list[i].file, "-") &&
		    !strcmp(file, "-"))
			return qc_fail(QC_USAGE, "--key-file",
				       "standard input cannot be two passphrases");
	add_source(sources, (struct key_source) { .file = file });
	return 0;
}

int key_sources_add_name(struct key_sources *sources, const char *name)
{
	int err = keyring_check_name(name);

	if (!err)
		add_source(sources, (struct key_source) { .name = name });
	return err;
}

void key_sources_free(struct key_sources *sources)
{
	free(sources->list);
	*sources = (struct key_sources) { 0 };
}

int layer_key_put(const struct image *img, u32 layer, const struct passphrase *p, s32 *serial)
{
	struct volume_key key;
	int err = volume_key_open(&key, img, p);

	*serial = 0;
	if (!err)
		err = keyring_put(&key, layer, img->name, serial);
	volume_key_free(&key);
	return err;
}

/* A volume key that the user has in the kernel. */
static int find_key(const struct image *img, const char *name, s32 *serial)
{
	int err = keyring_find(name, serial);
	u8 *key;
	long len;

	if (err)
		return err;
	key = secret_alloc(QCOW_LUKS_MAX_KEY_BYTES);
	len = keyring_read(name, *serial, key, QCOW_LUKS_MAX_KEY_BYTES);
	if (len >= 0)
		err = volume_key_check(img, key, len, name);
	secret_free(key);
	return err;
}

/* @p: what has been read from @source, or nothing yet. */
static int open_layer(struct layer_keys *keys, u32 layer, const struct image *img,
		      const struct key_source *source, struct passphrase *p)
{
	int err = 0;

	if (source->name)
		return find_key(img, source->name, &keys->serials[layer]);
	if (!p->bytes)
		err = passphrase_read(p, source->file, img->name);
	if (!err)
		err = layer_key_put(img, layer, p, &keys->serials[layer]);
	keys->put[layer] = !err;
	return err;
}

static u32 count_encrypted(const struct image *images, u32 nr)
{
	u32 i, encrypted = 0;

	for (i = 0; i < nr; i++)
		encrypted += image_is_encrypted(&images[i]);
	return encrypted;
}

static int open_layers(struct layer_keys *keys, const struct image *images,
		       const struct key_sources *sources)
{
	const struct key_source ask = { 0 }, *source = &ask;
	struct passphrase p = { 0 };
	size_t used = 0;
	int err = 0;
	u32 i;

	for (i = 0; !err && i < keys->nr; i++) {
		if (!image_is_encrypted(&images[i]))
			continue;
		/* The last source is also for all that remain; a question is for one layer. */
		if (used < sources->nr || !sources->nr)
			passphrase_free(&p);
		if (used < sources->nr)
			source = &sources->list[used++];
		err = open_layer(keys, i, &images[i], source, &p);
	}
	passphrase_free(&p);
	return err;
}

int layer_keys_open(struct layer_keys *keys, const struct image *images, u32 nr,
		    const struct key_sources *sources)
{
	u32 encrypted = count_encrypted(images, nr);

	*keys = (struct layer_keys) { 0 };
	if (sources->nr > encrypted)
		return qc_fail(QC_USAGE, images[0].name,
			       "more keys are given (%zu) than it has encrypted layers (%u)",
			       sources->nr, encrypted);
	if (!encrypted)
		return 0;
	keys->serials = qc_alloc(nr * sizeof(*keys->serials));
	keys->put = qc_alloc(nr * sizeof(*keys->put));
	keys->nr = nr;
	return open_layers(keys, images, sources);
}

void layer_keys_close(struct layer_keys *keys)
{
	u32 i;

	for (i = 0; i < keys->nr; i++)
		if (keys->put[i])
			keyring_drop(keys->serials[i]);
	free(keys->put);
	free(keys->serials);
	*keys = (struct layer_keys) { 0 };
}
