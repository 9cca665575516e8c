// SPDX-License-Identifier: GPL-2.0
/*
 * Discard, write-zeroes and writes of zeros: whole clusters by their entries, in the metadata
 * worker; what is beside them, but for a discard, by writing zeros.
 *
 *   submitter --> workqueue: discard_run --+--> zeros written as any write --+
 *                      ^  ^                +--> metadata worker: zero_plan --+--> end
 *                      |  |                                |                 |
 *                      |  +-- a slice has to be read ------+                 |
 *                      +-- more to do ---------------------------------------+
 */
#include <linux/blk-mq.h>
#include <linux/bvec.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <qcow/l2.h>

#include "data/request.h"
#include "device.h"
#include "layer/image.h"
#include "meta/worker.h"
#include "meta/writeback.h"

/* Pages of zeros that one write describes. */
#define ZERO_PAGES	16

/* Clusters that the metadata worker sets in one go; then other messages have their turn. */
#define ZERO_CLUSTERS	1024

static struct bio_vec zero_bvecs[ZERO_PAGES];

/**
 * struct discard_effect - what a request does to clusters
 * @zeroes: they read as zeros afterwards; else that is up to the driver
 * @keep: and have their space still
 * @mark: an entry has to say so: there is something below
 * @holes: only to clusters that the image does not have at all
 * @entries: only to the entries: what a data file has stays, also for those on disk
 */
struct discard_effect {
	bool zeroes;
	bool keep;
	bool mark;
	bool holes;
	bool entries;
};

bool qcow_request_is_zero(struct request *rq)
{
	struct req_iterator it;
	struct bio_vec bvec;

	rq_for_each_segment(bvec, rq, it) {
		void *data = bvec_kmap_local(&bvec);
		bool is_zero = !memchr_inv(data, 0, bvec.bv_len);

		kunmap_local(data);
		if (!is_zero)
			return false;
	}
	return true;
}

/* Whether something below shows where the image has nothing, now or after a rebase. */
static bool discard_shows_below(const struct qcow_image *image, u64 guest)
{
	return (image->backing && guest < image->backing->size) ||
	       guest < READ_ONCE(image->next_below_bytes);
}

static struct discard_effect discard_effect(struct qcow_request *req)
{
	const struct request *rq = blk_mq_rq_from_pdu(req);
	const struct qcow_image *image = req->dev->chain;
	bool keep = rq->cmd_flags & REQ_NOUNMAP || req->dev->keep_space;

	/* A write of zeros. */
	if (req_op(rq) == REQ_OP_WRITE)
		keep = req->dev->zeroes == QCOW_ZEROES_KEEP;
	if (req->own == QCOW_OWN_DROP_BEHIND)
		return (struct discard_effect) {};
	if (req->own == QCOW_OWN_DROP_COPIED)
		return (struct discard_effect) { .entries = true };
	if (req->own == QCOW_OWN_ZERO_HOLES)
		return (struct discard_effect) { .mark = true, .holes = true, .entries = true };
	return (struct discard_effect) {
		.zeroes = req_op(rq) != REQ_OP_DISCARD,
		.keep = keep,
		.mark = discard_shows_below(image, req->pos),
	};
}

/* Write zeros over the next @len bytes, where there is something else. */
static int discard_write_zeros(struct qcow_request *req, u64 len)
{
	struct qcow_mapping map;
	int err;

	err = qcow_map_wait(req->dev->chain, req->pos, len, &req->waiter, &map);
	if (err == -EINPROGRESS)
		return QCOW_STEP_GONE;
	if (err)
		return err;
	if (map.ext.kind == QCOW_EXTENT_ZERO) {
		req->pos += map.ext.len;
		return QCOW_STEP_DONE;
	}
	iov_iter_bvec(&req->iter, ITER_SOURCE, zero_bvecs, ZERO_PAGES,
		      min_t(u64, map.ext.len, ZERO_PAGES * PAGE_SIZE));
	return qcow_write_step(req);
}

/* Host space that a cluster has had, merged with what was dropped before it. */
static void discard_note_freed(struct qcow_meta *meta, struct qcow_freed **pending,
			       struct qcow_freed *freed)
{
	struct qcow_freed *last = *pending;

	if (last && !last->compressed && !freed->compressed &&
	    last->host + last->len == freed->host) {
		last->len += freed->len;
		kfree(freed);
		return;
	}
	if (last)
		qcow_reclaim_drop(&meta->reclaim, last);
	*pending = freed;
}

/* The entry of a cluster that reads as zeros, and keeps @host if that is not 0. */
static void discard_set_zero(struct qcow_meta *meta, struct qcow_slice *slice, u64 cluster,
			     bool mark, bool keep, u64 host)
{
	const struct qcow_geometry *g = &meta->image->geo;
	u32 idx = cluster & ((1U << g->slice_bits) - 1);
	u64 entry = keep ? qcow_l2_encode_data(g, host) : 0;
	u64 bitmap = 0;

	if (mark || keep) {
		if (g->extended_l2)
			bitmap = GENMASK_ULL(63, 32);
		else
			entry |= g->zero;
	}
	qcow_writeback_begin(slice);
	qcow_l2_put(g, slice->entries, idx, entry, bitmap);
	qcow_writeback_end(slice);
}

static int zero_cluster(struct qcow_meta *meta, struct qcow_change *change, u64 guest,
			const struct discard_effect *effect, struct qcow_freed **pending)
{
	const struct qcow_geometry *g = &meta->image->geo;
	struct qcow_freed *freed = NULL;
	struct qcow_extent ext;
	bool keep;
	int err;

	err = qcow_change_map(meta, change, guest, qcow_cluster_bytes(g), &ext);
	if (err)
		return err;
	if (ext.kind == QCOW_EXTENT_HOLE && !ext.allocated && !effect->mark &&
	    ext.len >= qcow_cluster_bytes(g))
		return 0;
	if (effect->holes && (ext.kind != QCOW_EXTENT_HOLE || ext.allocated ||
			      ext.len < qcow_cluster_bytes(g)))
		return 0;
	keep = effect->keep && ext.allocated && !ext.shared && ext.kind != QCOW_EXTENT_COMPRESSED;
	if (!keep) {
		err = qcow_change_freed(meta, guest, &ext, &freed);
		if (err)
			return err;
	}
	discard_set_zero(meta, change->slice, guest >> g->cluster_bits, effect->mark, keep,
			 ext.host);
	if (freed)
		discard_note_freed(meta, pending, freed);
	return 0;
}

/*
 * Every guest byte has its place in a data file, so space in it is given back at once: its
 * entries lead to zeros then, those of a commit that does not come as well. What is encrypted keeps
 * its space: there they would lead to garbage. -EOPNOTSUPP: a raw image that cannot be made to read
 * as zeros but by writing.
 */
static int discard_data_file(struct qcow_image *image, u64 pos, u64 len)
{
	struct qcow_store *data = image->data;
	u64 end = min(pos + len, READ_ONCE(data->bytes));

	if (pos >= end || image->crypt)
		return 0;
	if (qcow_image_raw_data(image))
		return qcow_store_wipe(data, pos, end - pos);
	qcow_store_punch(data, pos, end - pos);
	return 0;
}

/*
 * Whether entries can say it. Version 1 and 2 have none for zeros over a backing file, and
 * none that keeps its space; a raw image keeps its space only when it is written to.
 */
static bool discard_by_entries(const struct qcow_image *image, const struct discard_effect *effect)
{
	if (effect->keep && qcow_image_raw_data(image))
		return false;
	return image->geo.version > 2 || !(effect->mark || effect->keep);
}

/* Bytes at @pos that are whole clusters; the one at the end of the image need not be full. */
static u64 whole_clusters(const struct qcow_request *req)
{
	const struct qcow_image *image = req->dev->chain;
	u64 mask = qcow_cluster_bytes(&image->geo) - 1;

	if (req->pos & mask)
		return 0;
	if (req->end == READ_ONCE(image->size))
		return req->end - req->pos;
	return (req->end & ~mask) - req->pos;
}

/* In the metadata worker: whole clusters of one slice, at most @len bytes. */
static int zero_step(struct qcow_request *req, u64 len, const struct discard_effect *effect)
{
	struct qcow_meta *meta = req->dev->meta;
	u64 cluster = qcow_cluster_bytes(&meta->image->geo);
	struct qcow_freed *pending = NULL;
	struct qcow_change change;
	u64 pos;
	int err;

	err = qcow_change_begin(meta, &change, req->pos, &len, effect->mark, &req->msg);
	if (err)
		return err == -EINPROGRESS ? QCOW_STEP_GONE : err;
	for (pos = req->pos; change.slice && pos < req->pos + len && !err; pos += cluster)
		err = zero_cluster(meta, &change, pos, effect, &pending);
	if (pending)
		qcow_reclaim_drop(&meta->reclaim, pending);
	qcow_change_end(meta, &change, 0);
	if (!err)
		req->pos += len;
	return err;
}

/* The guest byte behind all that the slice of @guest maps. */
static u64 discard_slice_end(const struct qcow_image *image, u64 guest)
{
	return qcow_slice_guest(&image->geo, qcow_slice_idx(&image->geo, guest) + 1);
}

/* In the metadata worker: as many whole clusters as may be done in one go. */
static void zero_plan(struct qcow_meta_msg *msg)
{
	struct qcow_request *req = container_of(msg, struct qcow_request, msg);
	struct qcow_meta *meta = req->dev->meta;
	u64 most = (u64)ZERO_CLUSTERS << meta->image->geo.cluster_bits;
	u64 stop = req->pos + min(whole_clusters(req), most);
	int ret = qcow_meta_begin(meta);

	qcow_request_resume(req);
	/* No more of a data file than has been given back. */
	if (meta->image->geo.data_file)
		stop = min(stop, discard_slice_end(meta->image, req->pos));
	while (!ret && req->pos < stop) {
		struct discard_effect effect = discard_effect(req);

		ret = zero_step(req, stop - req->pos, &effect);
		if (ret == QCOW_STEP_GONE)
			return;
		if (!ret && req->pos < stop && !qcow_request_has_slice(req))
			break;
	}
	if (ret && qcow_request_await_space(req, ret))
		return;
	if (ret || req->pos == req->end)
		qcow_write_end(req, ret);
	else
		queue_work(req->dev->wq, &req->work);
}

/*
 * Whole clusters. What has to wait is done here, where only this request waits: the slice that
 * the metadata worker needs next is read, and space in a data file given back.
 */
static int zero_clusters(struct qcow_request *req, u64 len, const struct discard_effect *effect)
{
	struct qcow_meta *meta = req->dev->meta;
	struct qcow_extent ext;
	int err;

	err = qcow_map_top_wait(meta->image, req->pos, len, &req->waiter, &ext);
	if (err == -EINPROGRESS)
		return QCOW_STEP_GONE;
	if (err)
		return err;
	if (meta->image->geo.data_file && !effect->keep && !effect->entries) {
		u64 in_slice = discard_slice_end(meta->image, req->pos) - req->pos;

		err = discard_data_file(meta->image, req->pos, min(len, in_slice));
		if (err)
			return err;
	}
	req->msg = (struct qcow_meta_msg) { .run = zero_plan, .guest = req->pos };
	qcow_meta_post(meta, &req->msg);
	return QCOW_STEP_GONE;
}

static int discard_step(struct qcow_request *req)
{
	const struct qcow_image *image = req->dev->chain;
	u64 mask = qcow_cluster_bytes(&image->geo) - 1;
	struct discard_effect effect = discard_effect(req);
	u64 len = whole_clusters(req);
	int err;

	if (len && discard_by_entries(image, &effect)) {
		err = zero_clusters(req, len, &effect);
		if (err != -EOPNOTSUPP)
			return err;
	}
	if (!len)
		len = min(req->end, (req->pos | mask) + 1) - req->pos;
	if (effect.zeroes)
		return discard_write_zeros(req, len);
	req->pos += len;
	return QCOW_STEP_DONE;
}

static void discard_run(struct qcow_request *req, bool may_wait)
{
	int ret = 0;

	if (!may_wait) {
		queue_work(req->dev->wq, &req->work);
		return;
	}
	while (!ret && req->pos < req->end) {
		ret = READ_ONCE(req->dev->meta->failed) ? -EIO : discard_step(req);
		if (ret == QCOW_STEP_GONE)
			return;
	}
	qcow_write_end(req, ret);
}

void qcow_request_discard(struct qcow_request *req, struct request *rq)
{
	qcow_request_start(req, rq, discard_run);
}

void qcow_discard_module_init(void)
{
	unsigned int i;

	for (i = 0; i < ZERO_PAGES; i++)
		bvec_set_page(&zero_bvecs[i], ZERO_PAGE(0), PAGE_SIZE, 0);
}
