/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another backing file, or another bitmap directory, in the header of an image that exists. Pure:
 * from the first cluster to the first cluster.
 *
 * One sector of a disk is written as a whole or not at all. So the first sector, which has the
 * place and the length of the backing file's name, is the switch: behind it, nothing that the old
 * header needs may change. Header extensions have to follow each other from the end of the fixed
 * part on, and the name has to be in the first cluster; what varies is where in the list the
 * extension is that changes, and where behind the list the name is. Clusters of 512 bytes have
 * nothing behind the first sector.
 */
#ifndef _QCOW_HEAD_H
#define _QCOW_HEAD_H

#include <qcow/header.h>
#include <qcow/types.h>

struct qcow_bitmaps_dir;
struct qcow_report;

/* What is written at once. */
#define QCOW_HEAD_SWITCH_BYTES	512U

/* Headers on the way: that of now, one without feature names, the new one. */
#define QCOW_MAX_HEADS		3

/**
 * struct qcow_head - the first cluster of an image of version 2 or 3
 * @h: the header that it has
 * @buf: the cluster
 * @bytes: at @buf
 */
struct qcow_head {
	struct qcow_header h;
	unsigned char *buf;
	size_t bytes;
};

/**
 * struct qcow_backing_names - what the header is to have
 * @backing: name of the backing file, or NULL: it has none
 * @format: its format; without a backing file it has none
 */
struct qcow_backing_names {
	const char *backing;
	const char *format;
};

/* Whether a name is not too long for any version; NULL: none. Return: 0 or -EINVAL. */
int qcow_backing_check_name(const char *name, struct qcow_report *rep);

/**
 * qcow_backing_plan() - lay out a first cluster with another backing file
 * @heads: QCOW_MAX_HEADS of them: the present one first; the others have a @buf of as many bytes
 * @names: what it is to have
 * @nr: result: of @heads, the present one and those that follow it, at least 2
 * @rep: says why not
 *
 * Each head is written in two steps. Once what differs behind the first sector
 * (qcow_head_behind()) is durable, the one before still holds; to write the first sector makes it
 * valid. Without a backing file, a format may stay where it is.
 *
 * The feature name table, which is for messages only, takes most of the room: what does not fit
 * with it goes first without it, and then with it behind what is new. So all but the table is there
 * with the second of @heads.
 *
 * Return: 0; -EINVAL: a name that is too long; -ENAMETOOLONG: there is no room for the names beside
 * the old ones.
 */
int qcow_backing_plan(struct qcow_head *heads, const struct qcow_backing_names *names,
		      unsigned int *nr, struct qcow_report *rep);

/**
 * qcow_bitmaps_plan() - lay out a first cluster with another bitmap directory
 * @heads: as for qcow_backing_plan(), of version 3
 * @dir: where the directory is; @dir->nr 0: there are no bitmaps any more
 * @nr: as for qcow_backing_plan()
 * @rep: says why not
 *
 * Heads are written as those of qcow_backing_plan(). The autoclear bit comes and goes with the
 * extension.
 *
 * Return: 0; -ENAMETOOLONG: there is no room for the extension.
 */
int qcow_bitmaps_plan(struct qcow_head *heads, const struct qcow_bitmaps_dir *dir,
		      unsigned int *nr, struct qcow_report *rep);

/**
 * qcow_head_behind() - what differs behind the first sector
 * @old: a head
 * @new: the next one, of as many bytes
 * @from: result: the first byte that differs
 *
 * Return: bytes from there to the last one that differs; 0: none does.
 */
size_t qcow_head_behind(const struct qcow_head *old, const struct qcow_head *new, size_t *from);

#endif /* _QCOW_HEAD_H */
