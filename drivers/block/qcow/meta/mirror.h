/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tables of the active state as they are to be once a snapshot has all of it, too, or one that
 * has had some of it is gone: made beside those in use, while requests go on changing these.
 *
 * Context of all functions: the metadata worker; they may sleep and do I/O, GFP_NOIO.
 */
#ifndef _QCOW_META_MIRROR_H
#define _QCOW_META_MIRROR_H

#include <linux/types.h>

struct qcow_report;
struct qcow_shadow;

/**
 * enum qcow_mirror_aim - what the new tables differ in
 * @QCOW_MIRROR_SHARE: another state has the tables in use, too: one reference more to all that
 *                     they refer to, and no flags
 * @QCOW_MIRROR_REFRESH: flags are what the new counts say, references stay as they are
 */
enum qcow_mirror_aim {
	QCOW_MIRROR_SHARE,
	QCOW_MIRROR_REFRESH,
};

/**
 * struct qcow_mirror - new tables on their way
 * @shadow: counts, and clusters for the tables
 * @aim: what they differ in
 * @rep: says what is wrong
 * @l1: entries of the new L1 table
 * @entries: that it has
 * @beyond: entries of the L1 table in use behind those in memory, which no request changes
 * @copies: where the copy of each L2 table is; 0: there is none yet
 * @flagged: a bit for each L2 table: an entry in use has a flag that is to be another
 * @marks: a bit for each slice: it is not as in the copy, or has not been copied
 * @slices: how many
 * @next: slice to go on with
 * @passed: slices that have been copied since the first one
 * @passes: how often the last one has been passed
 * @changes: of counts in this step, each of clusters that follow each other
 * @is_scattered: the last one has made so many that slices are copied one by one
 * @now: memory for some slices as they are now
 * @then: as they were when they were copied
 * @new: what of @now is not in @then
 */
struct qcow_mirror {
	struct qcow_shadow *shadow;
	enum qcow_mirror_aim aim;
	struct qcow_report *rep;
	__be64 *l1;
	u32 entries;
	__be64 *beyond;
	u64 *copies;
	unsigned long *flagged;
	unsigned long *marks;
	u64 slices;
	u64 next;
	u64 passed;
	unsigned int passes;
	unsigned int changes;
	bool is_scattered;
	__be64 *now;
	__be64 *then;
	__be64 *new;
};

/**
 * qcow_mirror_begin() - begin: nothing has been copied
 * @mirror: result
 * @shadow: begun
 * @aim: what the tables are for
 * @rep: says what is wrong
 *
 * From now on the image's tables tell the mirror which slices change.
 *
 * Return: 0; then qcow_mirror_end(). -ENOMEM, -EIO, ...
 */
int qcow_mirror_begin(struct qcow_mirror *mirror, struct qcow_shadow *shadow,
		      enum qcow_mirror_aim aim, struct qcow_report *rep);

/**
 * qcow_mirror_step() - copy some slices that are not as in the copy
 * @mirror: the mirror; for QCOW_MIRROR_REFRESH all counts are as they are to be but for what
 *          requests change
 *
 * Return: 1: few are left, or they become no fewer; 0: more are; -EUCLEAN (a table is corrupt),
 * -ERANGE (a count can be no larger), -EINTR, -ENOSPC, -ENOMEM, -EIO, ...
 */
int qcow_mirror_step(struct qcow_mirror *mirror);

/**
 * qcow_mirror_finish() - copy all that are left
 * @mirror: the mirror; the tables in use do not change any more
 * @l1: result: the entries of the new L1 table, to be kvfree()d by the caller
 *
 * Return: 0, or as qcow_mirror_step().
 */
int qcow_mirror_finish(struct qcow_mirror *mirror, __be64 **l1);

/* That table is in use: copies that it does not refer to are free again. */
void qcow_mirror_release(struct qcow_mirror *mirror);

/* Free it; no slice is told any more. Also of one that has not begun, zeroed. */
void qcow_mirror_end(struct qcow_mirror *mirror);

#endif /* _QCOW_META_MIRROR_H */
