// SPDX-License-Identifier: GPL-2.0
/*
 * Another size for an image that is in use.
 *
 * An image whose L1 table is longer than its size needs, or whose L2 tables have entries beyond it,
 * is a good one of that size. So all is made ready first, in steps each of which any commit might
 * have made: zeros in the new range, where something else would show; a longer L1 table. The size
 * follows in a write of its own, with all of that durable: a power cut finds the old one or the
 * new one. The same write leads to bitmaps of that length, where there are any.
 *
 * The L1 table in memory is replaced under readers (qcow_image_replace_l1()); they come to the new
 * entries only when the disk has the new size, since no request reaches beyond it.
 *
 * A queue that is frozen meanwhile was considered: it would have to wait for all that is in
 * flight, and readahead is no request.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <qcow/l2.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "meta/bitmap_store.h"
#include "meta/header.h"
#include "meta/job.h"
#include "meta/resize.h"
#include "meta/worker.h"
#include "store/store.h"

/**
 * struct resize_job - a step of a resize
 * @job: has it done
 * @resizing: what is resized to what
 * @l1: for the longer table; afterwards that of the shorter one, or NULL
 * @rep: says why not
 */
struct resize_job {
	struct qcow_job job;
	struct qcow_resizing *resizing;
	__be64 *l1;
	struct qcow_report *rep;
};

static int resize_check_snapshot(const struct qcow_snapshot *snap, u32 position, void *data)
{
	return qcow_snapshot_check_resize(snap, position, data);
}

int qcow_resize_check(struct qcow_image *image, u64 bytes, u32 block_bytes, bool shrink,
		      u32 *l1_entries, struct qcow_report *rep)
{
	u64 table_bytes;
	int err;

	err = qcow_header_check_resize(&image->header, bytes, block_bytes, shrink, l1_entries,
				       rep);
	if (err || !image->header.nr_snapshots)
		return err;
	return qcow_image_walk_snapshots(image, resize_check_snapshot, rep, &table_bytes, rep);
}

/* Guest bytes that a table maps which is there, and lies beyond the old size or reaches beyond. */
static u64 resize_tables_end(const struct qcow_image *image, const struct qcow_resizing *resizing)
{
	u32 shift = image->geo.cluster_bits + image->geo.l2_bits;
	u32 idx = resizing->l1_entries;

	while (idx > resizing->from >> shift) {
		if (image->l1[--idx])
			return ((u64)idx + 1) << shift;
	}
	return 0;
}

static void resize_find_zeros(const struct qcow_image *image, struct qcow_resizing *resizing)
{
	u64 end = resize_tables_end(image, resizing);

	if (image->backing)
		end = max(end, image->backing->size);
	if (image->geo.data_file)
		end = max(end, READ_ONCE(image->data->bytes));
	/* A whole cluster is an entry, a part of one has to be written. */
	end = round_up(min(end, resizing->to), qcow_cluster_bytes(&image->geo));
	resizing->zero_end = clamp(end, resizing->from, max(resizing->from, resizing->to));
}

static int begin_step(struct qcow_job *job)
{
	struct resize_job *resize = container_of(job, struct resize_job, job);
	struct qcow_resizing *resizing = resize->resizing;
	struct qcow_meta *meta = job->meta;
	struct qcow_image *image = meta->image;
	int err;

	err = qcow_meta_begin(meta);
	if (!err && resize->l1)
		err = qcow_l1_lengthen(meta, resizing->l1_entries, &resize->l1, resize->rep);
	if (err)
		return err;
	resize_find_zeros(image, resizing);
	if (resizing->to > resizing->from)
		qcow_image_set_size(image, resizing->to);
	return 0;
}

int qcow_resize_begin(struct qcow_meta *meta, struct qcow_resizing *resizing,
		      struct qcow_report *rep)
{
	struct resize_job resize = {
		.job.step = begin_step, .resizing = resizing, .rep = rep,
	};
	struct qcow_image *image = meta->image;
	int err;

	resizing->from = image->size;
	/* Only a resize changes how many there are. */
	if (resizing->l1_entries > image->l1_entries) {
		err = qcow_image_check_l1_bytes(image, resizing->l1_entries, rep);
		if (err)
			return err;
		resize.l1 = kvcalloc(resizing->l1_entries, sizeof(*resize.l1), GFP_KERNEL_ACCOUNT);
		if (!resize.l1)
			return -ENOMEM;
	}
	err = qcow_job_run(meta, &resize.job);
	/* Readers may be in the shorter table still. */
	if (resize.l1)
		synchronize_rcu();
	kvfree(resize.l1);
	return err;
}

/* It is as long as the guest reaches: made so before the header says it, or afterwards. */
static int resize_data_file(struct qcow_image *image, u64 bytes, bool longer)
{
	struct qcow_store *data = image->data;
	int err;

	if (!image->geo.data_file || (longer ? bytes <= data->bytes : bytes >= data->bytes))
		return 0;
	err = qcow_store_resize(data, bytes, bytes);
	return err ?: qcow_store_flush(data);
}

/* In the worker, again after each wait: all but the header is ready for the size. */
static int ready_step(struct qcow_job *job)
{
	struct resize_job *resize = container_of(job, struct resize_job, job);
	struct qcow_resizing *resizing = resize->resizing;
	struct qcow_meta *meta = job->meta;
	int err;

	if (READ_ONCE(meta->failed))
		return -EIO;
	err = resizing->to > resizing->from ? qcow_l1_fit(meta) : 0;
	if (err == -EBUSY)
		return qcow_job_await_commit(job);
	if (err)
		return qcow_job_await_space(job, err);
	return resize_data_file(meta->image, resizing->to, true);
}

/* The header has the size, unless bitmaps have been stored with it. */
static int size_step(struct qcow_job *job)
{
	struct resize_job *resize = container_of(job, struct resize_job, job);
	struct qcow_image *image = job->meta->image;
	u64 bytes = resize->resizing->to;
	int err = image->header.size == bytes ? 0 : qcow_header_set_size(image, bytes);

	if (err)
		return err;
	qcow_image_set_size(image, bytes);
	/* That it is longer for a while does no harm. */
	resize_data_file(image, bytes, false);
	return 0;
}

int qcow_resize_commit(struct qcow_meta *meta, struct qcow_resizing *resizing,
		       struct qcow_report *rep)
{
	const struct qcow_bitmaps_change change = { .disk_bytes = resizing->to };
	struct resize_job resize = { .job.step = ready_step, .resizing = resizing };
	/* The zeros, and what has been dropped for them. */
	int err = qcow_commit_wait(meta);

	if (!err)
		err = qcow_job_run(meta, &resize.job);
	if (err)
		return err;
	resizing->is_tried = true;
	if (qcow_bitmaps_kept(&meta->bitmaps))
		err = qcow_bitmaps_store(meta, &change, rep);
	resize.job.step = size_step;
	return err ?: qcow_job_run(meta, &resize.job);
}

static int undo_step(struct qcow_job *job)
{
	struct resize_job *resize = container_of(job, struct resize_job, job);

	qcow_image_set_size(job->meta->image, resize->resizing->from);
	return 0;
}

void qcow_resize_undo(struct qcow_meta *meta, struct qcow_resizing *resizing)
{
	struct resize_job resize = { .job.step = undo_step, .resizing = resizing };

	qcow_job_run(meta, &resize.job);
}
