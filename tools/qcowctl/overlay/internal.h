/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Within overlay/: the file of an overlay, whatever it is for.
 */
#ifndef QCOWCTL_OVERLAY_INTERNAL_H
#define QCOWCTL_OVERLAY_INTERNAL_H

#include "image/image.h"

struct passphrase;

/**
 * struct overlay_spec - an empty overlay
 * @img: what is below it
 * @path: absolute name of that
 * @bytes: size of the disk
 * @passphrase: it is encrypted with this one, unless that is NULL or has no bytes
 * @compression_type: of it, or NULL
 */
struct overlay_spec {
	const struct image *img;
	const char *path;
	u64 bytes;
	const struct passphrase *passphrase;
	const char *compression_type;
};

/**
 * overlay_create_file() - make it, as overlay_create() says
 * @spec: what it is
 * @name: of the file
 * @made: result, as create_image()
 *
 * May block. Return: as create_image().
 */
int overlay_create_file(const struct overlay_spec *spec, const char *name, int *made);

/* Remove it, if what has the name is still that file. @name: or NULL; @made: which file it is. */
void overlay_remove_file(const char *name, const struct stat *made);

#endif /* QCOWCTL_OVERLAY_INTERNAL_H */
