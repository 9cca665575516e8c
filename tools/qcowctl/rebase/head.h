/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Other names in the header of an image that exists. Pure: from the first cluster to the first
 * cluster.
 *
 * One sector of a disk is written as a whole or not at all. So the first sector, which has the
 * place and the length of the backing file's name, is the switch: behind it, nothing that the old
 * header needs may change. Header extensions have to follow each other from the end of the fixed
 * part on, and the name has to be in the first cluster; what varies is where in the list the
 * backing file's format is, and where behind the list the name is. Clusters of 512 bytes have
 * nothing behind the first sector.
 */
#ifndef QCOWCTL_REBASE_HEAD_H
#define QCOWCTL_REBASE_HEAD_H

#include <qcow/header.h>

/* What is written at once. */
#define HEAD_SWITCH_BYTES	512U

/**
 * struct head - the first cluster of an image of version 2 or 3
 * @h: the header that it has
 * @buf: the cluster
 * @bytes: at @buf
 */
struct head {
	struct qcow_header h;
	unsigned char *buf;
	size_t bytes;
};

/**
 * struct head_names - what the header is to have
 * @backing: name of the backing file, or NULL: it has none
 * @format: its format; without a backing file it has none
 * @features: feature name table, or NULL: none
 */
struct head_names {
	const char *backing;
	const char *format;
	const struct qcow_ext *features;
};

/**
 * head_rename() - lay out a first cluster with other names
 * @old: the cluster
 * @names: the names
 * @new: result; its @buf is the caller's, of the same length
 * @rep: says why not
 *
 * Once what differs behind HEAD_SWITCH_BYTES is durable, the old header still holds; to write these
 * makes the new one valid. Without a backing file, a format may stay where it is.
 *
 * The feature name table, which is for messages only, takes most of the room: what does not fit
 * with it may do so first without it, and then with it behind what is new.
 *
 * Return: 0; -EINVAL: a name that is too long; -ENOSPC: there is no room for the names beside the
 * old ones.
 */
int head_rename(const struct head *old, const struct head_names *names, struct head *new,
		struct qcow_report *rep);

#endif /* QCOWCTL_REBASE_HEAD_H */
