/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of compact/ share.
 *
 * An image is compacted in passes. Each makes a new state beside the one in use (shadow/) and makes
 * it valid; what the old one needed is free for the next pass. First there are passes that store
 * data in compressed form, if that is asked for; then passes that move what is at the end of the
 * file to where it is free further down:
 *
 *   survey.c    what is where, and which table refers to what
 *   plan.c      what moves where; in memory
 *   move.c      moves it: copies data, writes the tables that refer to it
 *   compress.c  data in compressed form
 *   compact.c   the order of it all
 *
 * What moves is a unit: clusters in a row that must stay so, as those of one table or those of
 * compressed clusters that lie across a border. Most units are one cluster.
 *
 * Functions return 0, or enum qc_exit after a message, unless their comment states something
 * else.
 */
#ifndef QCOWCTL_COMPACT_INTERNAL_H
#define QCOWCTL_COMPACT_INTERNAL_H

#include <qcow/bitmap.h>

#include "compact/compact.h"
#include "shadow/shadow.h"

/**
 * enum cluster_flag - what a cluster is
 * @CLUSTER_FREE: it is in no use, and what is written to it harms nothing
 * @CLUSTER_USED: there are references to it
 * @CLUSTER_FIXED: it does not move, or the counts (shadow/) move it
 * @CLUSTER_TABLE: of a table that is written anew where it moves
 * @CLUSTER_JOINED: it is of one unit with the next one
 */
enum cluster_flag {
	CLUSTER_FREE = 1U << 0,
	CLUSTER_USED = 1U << 1,
	CLUSTER_FIXED = 1U << 2,
	CLUSTER_TABLE = 1U << 3,
	CLUSTER_JOINED = 1U << 4,
};

/**
 * struct table - a table other than an L2 table
 * @first: its first cluster
 * @nr: clusters; 0: there is none
 * @highest: the last one of the clusters that it refers to, also by way of other tables
 */
struct table {
	u64 first;
	u64 nr;
	u64 highest;
};

/**
 * struct survey - what is where
 * @flags: for each cluster, enum cluster_flag
 * @room: of @flags: the clusters of the file, and as many as all tables have
 * @end: the cluster behind the last one in use
 * @used: clusters in use
 * @compressed: there is compressed data
 * @l2_highest: for each L2 table of the check, as in struct table
 * @snaps: the snapshot table
 * @l1: active L1 table, and behind it those of the snapshots
 * @snapshot_table: the snapshot table's place
 * @dir: the bitmap directory; @dir.nr 0: there is none
 * @dir_raw: what it has
 * @dir_table: its place
 * @bitmaps: for each bitmap, its table
 */
struct survey {
	u8 *flags;
	u64 room;
	u64 end;
	u64 used;
	bool compressed;
	u64 *l2_highest;
	struct snapshots snaps;
	struct table *l1;
	struct table snapshot_table;
	struct qcow_bitmaps_dir dir;
	unsigned char *dir_raw;
	struct table dir_table;
	struct table *bitmaps;
};

/**
 * struct move - clusters in a row that move together
 * @from: the first of them
 * @to: where it goes
 * @nr: how many
 * @is_table: they are of tables that are written anew; else they are copied
 */
struct move {
	u64 from;
	u64 to;
	u64 nr;
	bool is_table;
};

/* Rows of as many clusters or more are looked for from the same place on. */
#define PLAN_LENGTHS	64

/**
 * struct plan - what moves where
 * @target: units from this cluster on move in front of it
 * @strict: all data behind the target has to move
 * @flags: as those of the survey, as it will be
 * @cursor: for each length, no row of so many free clusters begins before
 * @moves: sorted by @from once the plan is complete
 * @nr: of them
 * @room: moves that there is memory for
 * @copied: clusters of data that move
 * @limit: how many of them there may be
 */
struct plan {
	u64 target;
	bool strict;
	u8 *flags;
	u64 cursor[PLAN_LENGTHS];
	struct move *moves;
	size_t nr;
	size_t room;
	u64 copied;
	u64 limit;
};

/**
 * struct pass - one pass over an image
 * @s: the new state
 * @opts: as the user gave them
 * @survey: what is where before
 * @plan: what moves where
 * @dir: where the bitmap directory is afterwards
 * @type: compression type afterwards
 * @err: of a walk, enum qc_exit
 */
struct pass {
	struct shadow s;
	struct compact_options *opts;
	struct survey survey;
	struct plan plan;
	struct qcow_bitmaps_dir dir;
	u32 type;
	int err;
};

static inline struct pass *pass_of(struct check *c)
{
	return (struct pass *)((char *)c - offsetof(struct pass, s.c));
}

/* compact.c */

/* Say how much has been given back. @old: of the file, before; @new: and after. */
void compact_print(const char *name, const struct stat *old, const struct stat *new);

/* Whether that is wanted: lines of JSON stay alone. */
static inline bool compact_prints(const struct compact_options *opts)
{
	return !opts->quiet && opts->progress.form != PROGRESS_JSON;
}

/* survey.c */

/**
 * survey_make() - find out what is where
 * @p: the pass, after shadow_check(); survey_free() it in any case
 */
int survey_make(struct pass *p);
void survey_free(struct pass *p);

/* plan.c */

/**
 * plan_make() - decide what moves where, so that the file can end as early as possible
 * @p: the pass, after survey_make(); plan_free() it in any case
 *
 * Return: whether that gains something.
 */
bool plan_make(struct pass *p);
void plan_free(struct pass *p);

/**
 * plan_find() - where a cluster is afterwards
 * @plan: the plan
 * @cluster_idx: of the cluster
 *
 * Return: its place, the same one if it does not move.
 */
u64 plan_find(const struct plan *plan, u64 cluster_idx);

/* move.c */

/**
 * move_all() - carry out a plan, but for the counts that are not those of clusters that move
 * @p: the pass, after space_create(); its header gets new places
 */
int move_all(struct pass *p);

/* compress.c */

/**
 * compress_some() - store data of the active state in compressed form
 * @p: the pass, after space_create()
 * @guest: where to begin; result: where to go on, behind the end of the disk: nowhere
 * @changed: result: something has been stored
 *
 * So much that what is new does not make the file much longer.
 */
int compress_some(struct pass *p, u64 *guest, bool *changed);

#endif /* QCOWCTL_COMPACT_INTERNAL_H */
