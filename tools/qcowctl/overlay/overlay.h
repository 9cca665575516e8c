/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Overlays on the image of a device in use: made here, put on top by the driver. And such on an
 * image that no device has, for an attach.
 *
 * All functions may block; those that return int return enum qc_exit.
 */
#ifndef QCOWCTL_OVERLAY_H
#define QCOWCTL_OVERLAY_H

#include "crypt/secret.h"
#include "image/image.h"

/**
 * struct overlay_base - the image of a device, which is to become the base of overlays
 * @index: of the device
 * @device: its node
 * @path: of the image, as the driver tells it
 * @bytes: size of the device
 * @chain: the image alone, opened once more, to be read, and its data file
 * @passphrase: that overlays are encrypted with; without bytes: they are not encrypted
 */
struct overlay_base {
	u32 index;
	char *device;
	char *path;
	u64 bytes;
	struct chain chain;
	struct passphrase passphrase;
};

/**
 * overlay_open_base() - find a device, and open its image once more
 * @base: result; overlay_close_base() it also after an error
 * @what: the device, or the image
 */
int overlay_open_base(struct overlay_base *base, const char *what);
void overlay_close_base(struct overlay_base *base);

/**
 * overlay_encrypt() - get the passphrase of the overlays
 * @base: gets it
 * @key_file: as passphrase_read_new(); NULL: one is asked for where the image is encrypted, else
 *            the overlays are not encrypted
 * @name: of an overlay, for who is asked
 *
 * Return: as passphrase_read_new().
 */
int overlay_encrypt(struct overlay_base *base, const char *key_file, const char *name);

/**
 * overlay_create() - make an empty overlay
 * @base: what is below it
 * @name: of the file, which must not exist, and be neither on the device itself nor among the nodes
 *        of devices
 * @top: result, open to be written to and locked; image_close() it also after an error
 *
 * It has the size of the device, the clusters of the image, where these are no smaller than a page,
 * the ciphers of the image, if both are encrypted with LUKS, and, as soon as it has its name, its
 * owner and mode; and it is on stable storage. After an error there is no such file.
 */
int overlay_create(const struct overlay_base *base, const char *name, struct image *top);

/* Remove what overlay_create() has made. */
void overlay_remove(const struct image *top);

/**
 * overlay_put() - have an overlay take the place of the image
 * @base: the image
 * @top: the overlay
 * @no_freeze: do not freeze file systems on the device meanwhile
 *
 * Return: after an error all is as before.
 */
int overlay_put(const struct overlay_base *base, const struct image *top, bool no_freeze);

/**
 * overlay_key() - have the kernel keep the volume key of an overlay for a while
 * @base: has the passphrase
 * @top: the overlay
 * @serial: result, its number; 0: it is not encrypted; keyring_drop() it
 *
 * Return: as layer_key_put().
 */
int overlay_key(const struct overlay_base *base, const struct image *top, s32 *serial);

/**
 * struct overlay_file - an overlay that is attached in place of its image
 * @name: of the file; allocated
 * @dir: the directory that has been made for it, or NULL; allocated
 * @st: which file it is
 */
struct overlay_file {
	char *name;
	char *dir;
	struct stat st;
};

/**
 * overlay_make() - make an empty overlay on an image that is not attached
 * @file: result; overlay_file_free() it also after an error
 * @image: name of the image
 * @name: of the file, which must not exist; NULL: one below $TMPDIR, or /var/tmp, that no other
 *        user can open, for the caller to remove
 * @compression_type: of the overlay, or NULL
 * @opts: how the image is opened, but for the lock and what is written to
 *
 * An encrypted image is refused: what is written would not be encrypted.
 *
 * Return: enum qc_exit; after an error there is no such file.
 */
int overlay_make(struct overlay_file *file, const char *image, const char *name,
		 const char *compression_type, const struct chain_options *opts);

/* Remove what overlay_make() has made. */
void overlay_file_remove(const struct overlay_file *file);
void overlay_file_free(struct overlay_file *file);

#endif /* QCOWCTL_OVERLAY_H */
