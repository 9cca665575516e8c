/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What qcowctl info knows about one image, as the JSON tree of qemu-img info; the text for
 * people is made from the same tree.
 */
#ifndef QCOWCTL_INFO_H
#define QCOWCTL_INFO_H

#include <json-c/json.h>

#include "image.h"

/* The tree of one image; NULL after a message and with *err filled. */
struct json_object *info_image(const struct image *img, int *err);

/* Text for people. */
void info_print(struct json_object *info);

/* A string that came out of an image: bytes that are no UTF-8 are replaced. */
struct json_object *info_string(const char *s, size_t len);

/* Persistent bitmaps; NULL: none. *err is filled after a message. */
struct json_object *info_bitmaps(const struct image *img, int *err);

/* Encryption, as far as it can be told without a key; NULL: none. */
struct json_object *info_encryption(const struct image *img, int *err);

#endif /* QCOWCTL_INFO_H */
