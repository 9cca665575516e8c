// SPDX-License-Identifier: GPL-2.0
/*
 * The image of a device in use becomes shorter: what lies at its end moves to where it is free
 * further down.
 *
 *   queue frozen:  what is set aside becomes free
 *   the counts are gone through: what is free is punched, and where the file could end is known
 *   queue frozen, several times:  tables that lie behind that are moved
 *   queue frozen:  from now on nothing is written in place behind it
 *   data that lies there is moved, cluster by cluster, while the device is in use (data/write.c)
 *   queue frozen:  the file is cut
 *
 * Each cluster changes its place as a write changes it that needs a new one: a power cut finds the
 * old place or the new one. A request that writes to what has not been moved yet goes by the
 * worker, and waits for that cluster alone if it is just being moved.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <qcow/report.h>
#include <uapi/linux/qcow.h>

#include "device.h"
#include "layer/image.h"
#include "layer/map.h"
#include "live/compact.h"
#include "live/copy_run.h"
#include "live/operation.h"
#include "meta/commit.h"
#include "meta/compact.h"
#include "meta/worker.h"

/* Clusters that one request moves: the worker plans all of them in one go. */
#define MOVE_CLUSTERS	256

/* So much is moved until a commit has what was there before given back. */
#define COMMIT_BYTES	((u64)SZ_64M)

/* What is reclaimed is waited for so long before the queue is frozen: milliseconds, so often. */
#define RECLAIM_MS	20
#define RECLAIM_TRIES	500

/**
 * struct compaction - a compaction on its way
 * @dev: the device
 * @below: host offset that all is to lie in front of
 * @l1_idx: L1 entry whose L2 table is moved next
 * @more: there are more counts to be moved
 * @rep: says what is wrong
 */
struct compaction {
	struct qcow_device *dev;
	u64 below;
	u32 l1_idx;
	bool more;
	struct qcow_report *rep;
};

/* Whether the operation goes on. Return: 0, -EINTR, -ECANCELED. */
static int go_on(struct qcow_device *dev)
{
	return qcow_progress_step(&dev->progress, READ_ONCE(dev->progress.done), 0);
}

/* @end: result: host offset behind all that is in use. */
static int walk_counts(struct compaction *c, u64 *end)
{
	u32 bits = c->dev->chain->geo.cluster_bits;
	struct qcow_compact_walk walk = {};
	int err;

	do {
		err = go_on(c->dev) ?: qcow_compact_walk(c->dev->meta, &walk);
	} while (!err && walk.more);
	c->below = walk.used << bits;
	*end = walk.from << bits;
	return err;
}

/* Whether some of what an extent has lies behind the place. */
static bool is_to_move(const struct compaction *c, const struct qcow_extent *ext)
{
	if (ext->kind == QCOW_EXTENT_COMPRESSED)
		return ext->host >= c->below;
	return ext->allocated && !ext->shared && ext->host + ext->len > c->below;
}

static int move_range(struct compaction *c, struct qcow_copy_run *run, u64 guest, u64 len,
		      u64 *moved)
{
	int err = qcow_copy_run_add(run, QCOW_OWN_MOVE, guest, len);

	*moved += len;
	if (err || *moved < COMMIT_BYTES)
		return err;
	*moved = 0;
	return qcow_copy_run_flush(run) ?: qcow_commit_wait(c->dev->meta);
}

static int move_data(struct compaction *c)
{
	struct qcow_image *image = c->dev->chain;
	u64 cluster = qcow_cluster_bytes(&image->geo);
	u64 guest, next, moved = 0;
	struct qcow_copy_run run;
	struct qcow_extent ext;
	int err = 0;

	qcow_copy_run_begin(&run, c->dev, &c->dev->progress, c->rep);
	run.copy_bytes = min(run.copy_bytes, MOVE_CLUSTERS * cluster);
	for (guest = 0; guest < image->size && !err; guest = next) {
		err = qcow_map_top_wait(image, guest,
					min(image->size - guest, QCOW_COPY_LOOK_BYTES), NULL,
					&ext);
		if (err) {
			qcow_report(c->rep, "guest offset %llu: cannot be looked up: error %d",
				    guest, err);
			return err;
		}
		next = guest + ext.len;
		if (is_to_move(c, &ext)) {
			/* With all subclusters of the first one and the last one. */
			guest = round_down(guest, cluster);
			next = min(round_up(next, cluster), image->size);
			err = move_range(c, &run, guest, next - guest, &moved);
		}
		if (!err)
			err = qcow_copy_run_step(&run, next);
	}
	return err ?: qcow_copy_run_flush(&run);
}

/* From now on nothing is written in place from there on. */
static void set_place(struct qcow_device *dev, u64 from)
{
	unsigned int noio = qcow_device_quiesce(dev);

	dev->meta->move_from = from;
	qcow_device_resume(dev, noio);
}

/* Do it while no request is under way, and all is durable. */
static int in_pause(struct compaction *c, int (*func)(struct compaction *c))
{
	unsigned int noio;
	int err;

	/* What can be written before is not written in the pause. */
	err = go_on(c->dev) ?: qcow_commit_wait(c->dev->meta);
	if (err)
		return err;
	noio = qcow_device_quiesce(c->dev);
	err = qcow_commit_wait(c->dev->meta) ?: func(c);
	qcow_device_resume(c->dev, noio);
	return err;
}

static int settle_in_pause(struct compaction *c)
{
	return qcow_compact_settle(c->dev->meta);
}

static int cut_in_pause(struct compaction *c)
{
	return qcow_compact_cut(c->dev->meta);
}

static int move_some_tables(struct compaction *c)
{
	return qcow_compact_tables(c->dev->meta, c->below, &c->l1_idx);
}

static int move_some_counts(struct compaction *c)
{
	return qcow_compact_counts(c->dev->meta, c->below, &c->more);
}

/* What file systems have discarded just before is not to be reclaimed in a pause. */
static int await_reclaim(struct compaction *c)
{
	bool busy = true;
	unsigned int i;
	int err;

	err = qcow_commit_wait(c->dev->meta);
	for (i = 0; i < RECLAIM_TRIES && busy && !err; i++) {
		err = go_on(c->dev) ?: qcow_compact_is_reclaiming(c->dev->meta, &busy);
		if (!err && busy)
			msleep(RECLAIM_MS);
	}
	return err;
}

static int settle(struct compaction *c)
{
	return await_reclaim(c) ?: in_pause(c, settle_in_pause);
}

static int move_tables(struct compaction *c)
{
	int err;

	do {
		err = in_pause(c, move_some_tables);
	} while (!err && c->l1_idx < c->dev->chain->l1_entries);
	do {
		err = err ?: in_pause(c, move_some_counts);
	} while (!err && c->more);
	/* Where they have been there is room for data. */
	return err ?: settle(c);
}

static int move_all(struct compaction *c)
{
	u64 end;
	int err;

	err = walk_counts(c, &end);
	if (err || c->below == end)
		return err;
	err = move_tables(c);
	/* In a data file every guest byte has its place. */
	if (err || c->dev->chain->geo.data_file)
		return err;
	set_place(c->dev, c->below);
	err = move_data(c);
	set_place(c->dev, U64_MAX);
	return err;
}

static int compact(struct qcow_device *dev, struct qcow_report *rep)
{
	struct compaction c = { .dev = dev, .rep = rep };
	int err;

	err = qcow_device_check_writable(dev, rep);
	if (err)
		return err;
	if (dev->chain->header.version == 1) {
		qcow_report(rep, "version 1 is compacted when it is detached");
		return -EOPNOTSUPP;
	}
	err = settle(&c);
	if (!err)
		err = move_all(&c);
	if (!err)
		err = await_reclaim(&c);
	if (!err)
		err = qcow_device_finish_job(dev);
	if (!err)
		err = in_pause(&c, cut_in_pause);
	if (err == -ECANCELED)
		qcow_report(rep, "%s: %s has been cancelled", dev->name, dev->progress.what);
	return err;
}

int qcow_device_compact(const struct qcow_compact *args, struct qcow_report *rep)
{
	struct qcow_device *dev = qcow_device_get_job(args->index, "compact", args->rate, rep);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = compact(dev, rep);
	if (!err)
		qcow_device_announce(dev);
	qcow_device_put(dev);
	return err;
}
