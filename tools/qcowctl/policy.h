/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which files an image may make us open.
 *
 * A name that stands in an image is not trusted: it is opened only inside the directory of
 * the image that holds it or a directory that the user allowed, and no symbolic link leads
 * out of there.
 */
#ifndef QCOWCTL_POLICY_H
#define QCOWCTL_POLICY_H

#include "image.h"

/**
 * struct policy - directories that the user allowed, beside those of the images
 */
struct policy {
	struct place *allowed;
	size_t nr;
};

/* --allow-backing DIR */
int policy_allow(struct policy *policy, const char *dir);
void policy_free(struct policy *policy);

/* Open a file that the user named: as it is. Fills name, fd, dir, st and bytes. */
int policy_open_named(struct image *img, const char *name, bool write);

/**
 * policy_open_backing() - open the backing file that @by names
 * @policy: further directories
 * @by: image that holds the name
 * @img: fills name, fd, dir, st and bytes
 */
int policy_open_backing(const struct policy *policy, const struct image *by, struct image *img);

/* Open the external data file that @img names, fill its data_path, data_fd and data_st. */
int policy_open_data(const struct policy *policy, struct image *img, bool write);

/**
 * policy_combine() - a name in an image as QEMU composes it, for messages
 * @by: name of the image that holds it
 * @name: absolute, relative, or with a protocol
 */
char *policy_combine(const char *by, const char *name);

#endif /* QCOWCTL_POLICY_H */
