/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Flags of table entries (COPIED) as new reference counts have them.
 */
#ifndef _QCOW_META_FLAGS_H
#define _QCOW_META_FLAGS_H

#include <linux/types.h>

struct qcow_flaw;
struct qcow_report;
struct qcow_shadow;

/**
 * qcow_flags_refresh() - have each flag of L2 entries say what the count does
 * @shadow: the new counts
 * @entries: slices of an L2 table, one after the other
 * @bytes: that they have
 * @nr: result, added to: references that have been looked at
 * @changed: result: a flag is not what it was; else as it was
 * @flaw: filled when an entry is wrong; @flaw->what is NULL otherwise
 * @rep: says which cluster is referred to and has no count
 *
 * Context: the metadata worker; may sleep and do I/O, GFP_NOIO.
 * Return: 0; -EUCLEAN: that, or an entry is wrong; -EINTR, -EIO, ...
 */
int qcow_flags_refresh(struct qcow_shadow *shadow, __be64 *entries, u64 bytes, unsigned int *nr,
		       bool *changed, struct qcow_flaw *flaw, struct qcow_report *rep);

/**
 * qcow_flags_l1_entry() - the L1 entry that leads to an L2 table
 * @shadow: the new counts
 * @table: where it is
 * @entry: result
 *
 * Context: as qcow_flags_refresh().
 * Return: 0, -EINTR, -EIO, ...
 */
int qcow_flags_l1_entry(struct qcow_shadow *shadow, u64 table, __be64 *entry);

#endif /* _QCOW_META_FLAGS_H */
