/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Parts of the description of an image that header extensions point to.
 */
#ifndef QCOWCTL_INFO_H
#define QCOWCTL_INFO_H

#include <json-c/json.h>

#include "image/image.h"

/**
 * info_bitmaps() - describe the persistent bitmaps
 * @img: the image
 * @err: result, enum qc_exit
 *
 * Return: a list; NULL: the image has no bitmaps, or there is an error.
 */
struct json_object *info_bitmaps(const struct image *img, int *err);

/**
 * info_encryption() - describe the encryption, as far as it can be told without a key
 * @img: the image
 * @err: result, enum qc_exit
 *
 * Return: an object, after an error with the format alone; NULL: the image is not encrypted.
 */
struct json_object *info_encryption(const struct image *img, int *err);

/**
 * info_key_slots() - describe the key slots of a LUKS header, with the keys of qemu-img info
 * @luks: the header
 *
 * Return: a list.
 */
struct json_object *info_key_slots(const struct qcow_luks *luks);

#endif /* QCOWCTL_INFO_H */
