// SPDX-License-Identifier: GPL-2.0
/*
 * Space of an image in use that goes back to the host. As many clusters as have a count fit in
 * front of a place that is found by going through the counts: what lies behind it moves in front of
 * it. Data is moved by requests (data/write.c). Tables are moved here, in pauses: L2 tables as a
 * new one takes the place of one that is shared, in the order of any commit; refcount blocks and
 * the L1 table by shadow paging. What one pause moves is little.
 *
 * What is left behind the place in the end, as snapshots have it, too, or as the guest has written
 * there meanwhile, keeps the file that long.
 *
 * To move what snapshots share was considered: all tables that refer to a cluster would have to
 * change at the same instant. qcowctl does that, of an image that is not attached.
 */
#include <linux/mm.h>
#include <linux/sizes.h>
#include <qcow/l2.h>

#include "layer/image.h"
#include "message.h"
#include "meta/commit.h"
#include "meta/compact.h"
#include "meta/job.h"
#include "meta/shadow.h"
#include "meta/worker.h"
#include "store/store.h"

/* Bytes of tables that are moved in one pause. */
#define PAUSE_BYTES	SZ_1M

/* Runs of clusters that are looked at in one step, and steps of which a call has so many. */
#define STEP_RUNS	16
#define WALK_STEPS	64

/* So often the search for room for a table goes on in a pause. */
#define FEW_TURNS	64

/**
 * struct compact_job - a step of a compaction
 * @job: has it done
 * @walk: that goes on, or NULL
 * @steps: of the walk
 * @below: cluster that all is to lie in front of
 * @l1_idx: L1 entry to go on with
 * @more: there is more to be done
 */
struct compact_job {
	struct qcow_job job;
	struct qcow_compact_walk *walk;
	unsigned int steps;
	u64 below;
	u32 l1_idx;
	bool more;
};

static struct compact_job *to_compact(struct qcow_job *job)
{
	return container_of(job, struct compact_job, job);
}

static u64 cluster_of(const struct qcow_meta *meta, u64 host)
{
	return host >> meta->image->geo.cluster_bits;
}

static int is_reclaiming_step(struct qcow_job *job)
{
	to_compact(job)->more = qcow_reclaim_is_busy(&job->meta->reclaim);
	return 0;
}

int qcow_compact_is_reclaiming(struct qcow_meta *meta, bool *busy)
{
	struct compact_job c = { .job.step = is_reclaiming_step };
	int err = qcow_job_run(meta, &c.job);

	*busy = c.more;
	return err;
}

/* Neither a commit nor a reclaim is under way. */
static int settle_step(struct qcow_job *job)
{
	struct qcow_meta *meta = job->meta;
	int err = qcow_meta_begin(meta);

	if (err)
		return err;
	qcow_l1_release_longer(meta);
	qcow_space_close_bytes(&meta->space);
	to_compact(job)->more = qcow_commit_is_due(meta) ||
				!list_empty(qcow_space_reserved(&meta->space));
	qcow_reclaim_reserved(meta);
	return READ_ONCE(job->cancelled) ? -EINTR : 0;
}

int qcow_compact_settle(struct qcow_meta *meta)
{
	struct compact_job c;
	int err;

	do {
		c = (struct compact_job) { .job = { .step = settle_step, .idle = true } };
		err = qcow_commit_wait(meta) ?: qcow_job_run(meta, &c.job);
	} while (!err && c.more);
	return err;
}

/* Go on in the next turn, or in another call. */
static int walk_go_on(struct qcow_job *job)
{
	struct compact_job *c = to_compact(job);

	c->walk->more = c->walk->from < job->meta->space.end;
	if (READ_ONCE(job->cancelled))
		return -EINTR;
	return c->walk->more && ++c->steps < WALK_STEPS ? qcow_job_await_turn(job) : 0;
}

/*
 * What is a hole already is not punched: that would wait for I/O in flight. Return: 1: it has been;
 * 0: it is a hole; or -errno.
 */
static int punch_run(struct qcow_store *store, u64 host, u64 len)
{
	bool is_hole;
	u64 part;

	for (; len; host += part, len -= part) {
		part = qcow_store_extent(store, host, len, &is_hole);
		if (!is_hole)
			return qcow_store_punch(store, host, len) ?: 1;
	}
	return 0;
}

static int walk_step(struct qcow_job *job)
{
	struct qcow_compact_walk *walk = to_compact(job)->walk;
	struct qcow_image *image = job->meta->image;
	u32 bits = image->geo.cluster_bits;
	int err = qcow_meta_begin(job->meta), ret = 0;
	struct qcow_run run;
	unsigned int i;

	/* A turn of the worker has time for one punch. */
	for (i = 0; i < STEP_RUNS && !ret && !err; i++) {
		err = qcow_space_next_free(&job->meta->space, &walk->from, &walk->used, &run);
		if (!err && run.nr && !walk->is_kept)
			ret = punch_run(image->store, run.first << bits, run.nr << bits);
	}
	/* Space that cannot be given back stays free in the image. */
	walk->is_kept |= ret < 0;
	return err ?: walk_go_on(job);
}

int qcow_compact_walk(struct qcow_meta *meta, struct qcow_compact_walk *walk)
{
	struct compact_job c = { .job.step = walk_step, .walk = walk };

	return qcow_job_run(meta, &c.job);
}

/* No commit writes tables, and none has to. Return: 0; -EINPROGRESS: not yet; -EIO. */
static int await_tables(struct qcow_job *job)
{
	int err = qcow_meta_begin(job->meta);

	if (err)
		return err;
	/* One that makes counts durable which a reclaim has changed. */
	if (qcow_commit_is_running(&job->meta->commit))
		return qcow_job_await_commit(job);
	return qcow_commit_has_tables(job->meta) ? 0 : -EIO;
}

/* Return: 0; -ENOSPC: there is no room; others. */
static int move_table(struct qcow_meta *meta, u32 l1_idx, u64 table, u64 below)
{
	unsigned int turns = 0;
	struct qcow_run run;
	int err;

	do {
		if (turns++ == FEW_TURNS)
			return -ENOSPC;
		qcow_space_begin_turn(&meta->space);
		err = qcow_space_alloc_below(&meta->space, QCOW_USE_METADATA, below, 1, &run);
	} while (err == -EAGAIN);
	if (err)
		return err;
	err = qcow_l1_move_table(meta, l1_idx, table, run.first << meta->image->geo.cluster_bits);
	if (err)
		qcow_space_release(&meta->space, run.first, run.nr);
	else
		qcow_reclaim_drop_range(&meta->reclaim, table,
					qcow_cluster_bytes(&meta->image->geo));
	return err;
}

/* Where the table of an entry is, if it is to be moved, and can be; else 0. */
static u64 table_to_move(const struct qcow_meta *meta, u32 l1_idx, u64 below)
{
	const struct qcow_geometry *g = &meta->image->geo;
	u64 entry = be64_to_cpu(meta->image->l1[l1_idx]);
	struct qcow_flaw flaw;
	u64 table;

	if (!(entry & g->copied) || qcow_l1_decode(g, entry, &table, &flaw) ||
	    cluster_of(meta, table) < below)
		return 0;
	return table;
}

static int tables_step(struct qcow_job *job)
{
	struct compact_job *c = to_compact(job);
	struct qcow_meta *meta = job->meta;
	u64 left = PAUSE_BYTES, table;
	int err = await_tables(job);

	for (; c->l1_idx < meta->image->l1_entries && left && !err; c->l1_idx++) {
		table = table_to_move(meta, c->l1_idx, c->below);
		if (!table)
			continue;
		err = move_table(meta, c->l1_idx, table, c->below);
		left -= min(left, qcow_cluster_bytes(&meta->image->geo));
	}
	if (!qcow_space_is_full(err))
		return err;
	c->l1_idx = meta->image->l1_entries;
	return 0;
}

int qcow_compact_tables(struct qcow_meta *meta, u64 below, u32 *l1_idx)
{
	struct compact_job c = {
		.job.step = tables_step, .below = cluster_of(meta, below), .l1_idx = *l1_idx,
	};
	int err = qcow_job_run(meta, &c.job);

	*l1_idx = c.l1_idx;
	return err;
}

/* Refcount blocks that lie high get a place of their own. @moved: result: bytes of them. */
static int shadow_blocks(struct qcow_shadow *shadow, u64 *moved)
{
	struct qcow_meta *meta = shadow->meta;
	struct qcow_refcounts *counts = &meta->space.counts;
	u64 nr = qcow_refcounts_max_run(counts) + 1, cluster = 0, host, idx;
	int err = 0;

	while (!err && *moved < PAUSE_BYTES) {
		cluster = qcow_refcounts_next_covered(counts, cluster);
		if (cluster == U64_MAX)
			break;
		err = qcow_refcounts_locate(counts, cluster, &host, &idx);
		if (!err && cluster_of(meta, host) >= shadow->below) {
			err = qcow_shadow_own_block(shadow, cluster);
			*moved += qcow_cluster_bytes(&meta->image->geo);
		}
		cluster += nr;
	}
	return err;
}

/* All of it, also what the image's size does not need. */
static int shadow_l1(struct qcow_shadow *shadow, struct qcow_header *next)
{
	const struct qcow_image *image = shadow->meta->image;
	u64 bytes = qcow_l1_bytes(next->l1_entries);
	void *l1 = kvmalloc(bytes, GFP_NOIO);
	int err = l1 ? 0 : -ENOMEM;

	if (!err)
		err = qcow_store_read_padded(image->store, l1, next->l1_offset, bytes);
	if (!err)
		err = qcow_shadow_put(shadow, l1, bytes, &next->l1_offset);
	kvfree(l1);
	return err;
}

/* Return: 1: it has been changed, 0: it stays as it is, or -errno. */
static int make_shadow(struct qcow_shadow *shadow, struct qcow_header *next, bool *more)
{
	const struct qcow_meta *meta = shadow->meta;
	u64 moved = 0;
	int err;

	err = shadow_blocks(shadow, &moved);
	*more = moved >= PAUSE_BYTES;
	if (!err && next->l1_entries && cluster_of(meta, next->l1_offset) >= shadow->below)
		err = shadow_l1(shadow, next);
	if (err)
		return err;
	return moved || next->l1_offset != meta->image->header.l1_offset ||
		cluster_of(meta, next->refcount_table_offset) >= shadow->below;
}

static int counts_switch(struct qcow_shadow *shadow, struct qcow_header *next)
{
	struct qcow_meta *meta = shadow->meta;
	u64 old = meta->image->header.l1_offset;
	int err = qcow_shadow_switch(shadow, next);

	if (!err && next->l1_offset != old)
		qcow_reclaim_drop_range(&meta->reclaim, old, qcow_l1_bytes(next->l1_entries));
	return err;
}

static int counts_step(struct qcow_job *job)
{
	struct compact_job *c = to_compact(job);
	struct qcow_meta *meta = job->meta;
	struct qcow_header next = meta->image->header;
	struct qcow_shadow shadow;
	int ret;

	ret = await_tables(job) ?: qcow_shadow_begin(&shadow, meta, &job->cancelled);
	if (ret)
		return ret;
	shadow.below = c->below;
	ret = make_shadow(&shadow, &next, &c->more);
	if (ret > 0) {
		ret = counts_switch(&shadow, &next);
	} else {
		qcow_shadow_abort(&shadow);
		c->more = false;
	}
	if (!qcow_space_is_full(ret))
		return ret;
	/* There is no room. */
	c->more = false;
	return 0;
}

int qcow_compact_counts(struct qcow_meta *meta, u64 below, bool *more)
{
	struct compact_job c = { .job.step = counts_step, .below = cluster_of(meta, below) };
	int err = qcow_job_run(meta, &c.job);

	*more = c.more;
	return err;
}

static int cut_step(struct qcow_job *job)
{
	return qcow_meta_begin(job->meta) ?: qcow_space_cut(&job->meta->space);
}

int qcow_compact_cut(struct qcow_meta *meta)
{
	struct qcow_job job = { .step = cut_step };

	return qcow_compact_settle(meta) ?: qcow_job_run(meta, &job);
}
