/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What L2 entries refer to, as reference counts see it. Pure.
 */
#ifndef _QCOW_META_REFERENCES_H
#define _QCOW_META_REFERENCES_H

#include <linux/types.h>

struct qcow_flaw;
struct qcow_geometry;

/**
 * struct qcow_reference - clusters that follow each other in an L2 table and in the file
 * @idx: of the first entry
 * @host: what it refers to
 * @len: bytes
 * @flagged: the entries have a flag that says whether their count is one
 * @shared: it is not set
 */
struct qcow_reference {
	u64 idx;
	u64 host;
	u64 len;
	bool flagged;
	bool shared;
};

/**
 * qcow_references_walk() - call a function for all that some slices refer to
 * @g: the geometry
 * @entries: the slices, one after the other; @func may change flags of entries
 * @bytes: that they have
 * @func: the function; other than 0: the walk ends with it
 * @data: for @func
 * @flaw: filled when an entry is wrong; @flaw->what is NULL otherwise
 *
 * Return: 0; -EUCLEAN: an entry is wrong; what @func returned.
 */
int qcow_references_walk(const struct qcow_geometry *g, const __be64 *entries, u64 bytes,
			 int (*func)(const struct qcow_reference *ref, void *data), void *data,
			 struct qcow_flaw *flaw);

/**
 * qcow_references_subtract() - leave those that differ
 * @g: the geometry
 * @a: slices
 * @b: as many slices of the same place; entries that refer to the same as those of @a become
 *     none in both
 * @bytes: that they have
 */
void qcow_references_subtract(const struct qcow_geometry *g, __be64 *a, __be64 *b, u64 bytes);

#endif /* _QCOW_META_REFERENCES_H */
