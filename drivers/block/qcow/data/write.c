// SPDX-License-Identifier: GPL-2.0
/*
 * Writes: in place where the image has a cluster for itself, straight from the submitter's
 * context; else, in a worker, to clusters that are new or hold zeros, with what is beside
 * the written bytes copied along. Called by queue.c and discard.c.
 *
 *   qcow_request_write -> write_run -+-> write_in_place -> store -------> write_complete
 *        (submitter)         ^       +-> write_change -+-> join -> store >   "      links
 *   request_work ------------+           (worker)      +-> write_filled, links
 */
#include <linux/blk-mq.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "meta/change.h"
#include "data/cow.h"
#include "device.h"
#include "layer/image.h"
#include "inject.h"
#include "message.h"
#include "data/request.h"
#include "meta/writer.h"

/* Bytes that write_filled() moves at once. */
#define FILL_BYTES	(256U << 10)

static void write_complete(struct qcow_io *io, int err)
{
	struct qcow_fragment *frag = container_of(io, struct qcow_fragment, io);

	if (frag->change)
		qcow_change_end(frag->change, err);
	qcow_fragment_end(frag, err);
}

/* Whether the next @len bytes can go to @host as they are. */
static bool fits(const struct qcow_request *req, u64 host, u64 len)
{
	return qcow_fragment_fits(req->dev->chain->data, &req->iter, host, len);
}

static int submit(struct qcow_request *req, struct qcow_fragment *frag, u64 host, u64 len)
{
	struct qcow_device *dev = req->dev;
	bool last = qcow_fragment_take(frag, len);

	frag->io.complete = write_complete;
	qcow_fragment_aim(frag, dev->chain->data, host, true);
	if (frag->change)
		qcow_join_submit(&dev->writer->joiner, &frag->io);
	else
		qcow_store_submit(&frag->io);
	return last ? QCOW_GONE : 0;
}

/* Data where the tables say that metadata is: whichever lies, nothing is written there. */
static bool hits_metadata(struct qcow_writer *w, u64 host, u64 len)
{
	if (w->image->geo.data_file || !qcow_guard_hit(&w->guard, host, len))
		return false;
	qcow_message(w->image, "data cluster at 0x%llx: lies over metadata", host);
	return true;
}

/*
 * To a cluster that is this image's alone, no waiting. On a store with larger blocks than
 * sectors two writes may meet in a block: there, clusters are taken for each.
 */
static int write_in_place(struct qcow_request *req)
{
	struct qcow_writer *w = req->dev->writer;
	struct qcow_fragment *frag;
	struct qcow_extent ext;
	int err;

	err = qcow_map_top_try(w->image, req->pos, iov_iter_count(&req->iter), &ext);
	if (err)
		return err;
	if (ext.kind != QCOW_EXTENT_DATA || ext.shared ||
	    w->image->data->align > SECTOR_SIZE || !fits(req, ext.host, ext.len))
		return -EAGAIN;
	if (unlikely(hits_metadata(w, ext.host, ext.len)))
		return -EUCLEAN;
	frag = qcow_fragment_get(req);
	if (unlikely(!frag))
		return QCOW_GONE;
	return submit(req, frag, ext.host, ext.len);
}

/**
 * struct plan - where bytes go that cannot be written in place
 * @host: of the first byte
 * @len: how many
 * @fill: what is beside them in their (sub)clusters has to be written, too
 */
struct plan {
	u64 host;
	u64 len;
	bool fill;
};

/* The (sub)clusters around the bytes get a new mapping. */
static void remap(struct qcow_change *change, u64 guest, const struct plan *p, u64 granule)
{
	u64 head = guest & (granule - 1);

	change->guest = guest - head;
	change->len = round_up(guest + p->len, granule) - change->guest;
	change->host = p->host - head;
}

/* Whether what is beside the written bytes reads as zeros now. */
static bool beside_is_zero(const struct qcow_image *image, const struct qcow_change *change,
			   const struct qcow_extent *ext)
{
	if (ext->kind == QCOW_EXTENT_ZERO)
		return true;
	return ext->kind == QCOW_EXTENT_HOLE &&
		(!image->backing || change->guest >= image->backing->size);
}

static bool has_beside(const struct qcow_change *change, u64 guest, const struct plan *p)
{
	return change->guest != guest || change->len != p->len;
}

/* The cluster is there and this image's alone; @ext says what its bytes are. */
static int plan_own(struct qcow_writer *w, struct qcow_change *change, u64 guest,
		    const struct qcow_extent *ext, struct plan *p)
{
	const struct qcow_geometry *g = &w->image->geo;

	p->host = ext->host;
	p->len = ext->len;
	if (hits_metadata(w, p->host, p->len))
		return -EUCLEAN;
	if (ext->kind == QCOW_EXTENT_DATA)
		return qcow_space_reach(&w->space, w->image->data, p->host + p->len);

	remap(change, guest, p, 1ULL << g->subcluster_bits);
	p->fill = has_beside(change, guest, p);
	return qcow_space_reach(&w->space, w->image->data, change->host + change->len);
}

/* In a data file every guest byte has its place. */
static int place_in_data_file(struct qcow_writer *w, u64 guest, struct plan *p, bool *zero)
{
	u64 mask = qcow_cluster_bytes(&w->image->geo) - 1;

	p->host = guest;
	*zero = (guest & ~mask) >= READ_ONCE(w->image->data->bytes);
	return qcow_space_reach(&w->space, w->image->data, ((guest + p->len - 1) | mask) + 1);
}

static int place(struct qcow_writer *w, struct qcow_change *change, u64 guest, struct plan *p,
		 bool *zero)
{
	const struct qcow_geometry *g = &w->image->geo;
	u64 head = guest & (qcow_cluster_bytes(g) - 1);
	struct qcow_run run;
	int err;

	if (g->data_file)
		return place_in_data_file(w, guest, p, zero);
	err = qcow_space_take_for(&w->space, guest >> g->cluster_bits,
				  ((head + p->len - 1) >> g->cluster_bits) + 1, &run);
	if (err)
		return err;
	change->first = run.first;
	change->nr = run.nr;
	p->host = (run.first << g->cluster_bits) + head;
	p->len = min(p->len, (run.nr << g->cluster_bits) - head);
	*zero = run.zero;
	return 0;
}

/* New clusters: for bytes that have none, or in the place of one that must be kept. */
static int plan_new(struct qcow_writer *w, struct qcow_change *change, u64 guest,
		    const struct qcow_extent *ext, struct plan *p)
{
	const struct qcow_geometry *g = &w->image->geo;
	u64 cluster = qcow_cluster_bytes(g);
	bool zero;
	int err;

	p->len = ext->len;
	change->whole = ext->kind == QCOW_EXTENT_COMPRESSED || ext->shared;
	if (change->whole) {
		p->len = min(p->len, cluster - (guest & (cluster - 1)));
		err = qcow_change_freed(change, guest, ext, &change->freed);
		if (err)
			return err;
	}
	err = place(w, change, guest, p, &zero);
	if (err)
		return err;
	remap(change, guest, p, change->whole ? cluster : 1ULL << g->subcluster_bits);
	p->fill = has_beside(change, guest, p) &&
		  !(zero && !change->whole && beside_is_zero(w->image, change, ext));
	return 0;
}

static int make_plan(struct qcow_writer *w, struct qcow_change *change, u64 guest, u64 len,
		     struct plan *p)
{
	struct qcow_extent ext;
	int err;

	*p = (struct plan) {};
	err = qcow_change_map(change, guest, len, &ext);
	if (err)
		return err;
	/* In version 1 a cluster may lie where no block begins, and share one with others. */
	if (ext.allocated && !IS_ALIGNED(ext.host ^ guest, max_t(u32, w->image->data->align,
								 SECTOR_SIZE)))
		ext.shared = true;
	if (ext.kind != QCOW_EXTENT_COMPRESSED && ext.allocated && !ext.shared)
		return plan_own(w, change, guest, &ext, p);
	return plan_new(w, change, guest, &ext, p);
}

/* The bytes from @pos on, @len of them, as they will be: the request's, or what is there. */
static int gather(struct qcow_request *req, const struct plan *p, u64 pos, void *buf, u64 len)
{
	u64 begin = clamp(req->pos, pos, pos + len);
	u64 end = clamp(req->pos + p->len, pos, pos + len);
	struct qcow_writer *w = req->dev->writer;
	struct iov_iter iter = req->iter;
	int err;

	err = qcow_cow_read(w->image, pos, buf, begin - pos);
	if (!err)
		err = qcow_cow_read(w->image, end, buf + (end - pos), pos + len - end);
	if (err || begin == end)
		return err;
	iov_iter_advance(&iter, begin - req->pos);
	return copy_from_iter(buf + (begin - pos), end - begin, &iter) == end - begin ?
		0 : -EFAULT;
}

/* Write all of it here, through a buffer. */
static int write_filled(struct qcow_request *req, struct qcow_change *change,
			const struct plan *p)
{
	u64 pos = p->fill ? change->guest : req->pos;
	u64 host = p->fill ? change->host : p->host;
	u64 left = p->fill ? change->len : p->len;
	u64 size = min_t(u64, left, FILL_BYTES);
	void *buf;
	int err = 0;

	buf = kvmalloc(roundup_pow_of_two(size), GFP_NOIO);
	if (!buf)
		err = -ENOMEM;
	while (!err && left) {
		u64 part = min(left, size);

		err = gather(req, p, pos, buf, part);
		if (!err)
			err = qcow_store_write(req->dev->chain->data, buf, host, part);
		pos += part;
		host += part;
		left -= part;
	}
	kvfree(buf);
	qcow_inject_pause();
	qcow_change_end(change, err);
	if (!err)
		qcow_request_skip(req, p->len);
	return err;
}

/* Take clusters, plan, and write. */
static int write_change(struct qcow_request *req)
{
	struct qcow_writer *w = req->dev->writer;
	u64 len = iov_iter_count(&req->iter);
	struct qcow_fragment *frag = NULL;
	struct qcow_change *change;
	struct plan p;
	int err;

	change = qcow_change_begin(w, req->pos, &len, true, &req->waiter);
	if (IS_ERR(change))
		return PTR_ERR(change);
	err = make_plan(w, change, req->pos, len, &p);
	qcow_inject_pause();
	if (err) {
		qcow_change_end(change, err);
		return err;
	}
	if (!p.fill && fits(req, p.host, p.len))
		frag = qcow_fragment_try(req);
	if (!frag)
		return write_filled(req, change, &p);
	frag->change = change;
	return submit(req, frag, p.host, p.len);
}

int qcow_write_step(struct qcow_request *req)
{
	int err = write_in_place(req);

	return err < 0 ? write_change(req) : err;
}

void qcow_write_end(struct qcow_request *req, int err)
{
	if (err)
		qcow_request_fail(req, req->pos, req->end - req->pos, err);
	if (err == -EUCLEAN)
		qcow_writer_corrupt(req->dev->writer);
	qcow_request_put(req);
}

static void write_run(struct qcow_request *req, bool may_wait)
{
	struct qcow_writer *w = req->dev->writer;
	int ret = 0;

	if (may_wait) {
		ret = qcow_writer_begin(w);
	} else if (!qcow_writer_begun(w)) {
		queue_work(req->dev->wq, &req->work);
		return;
	}

	while (!ret && req->pos < req->end) {
		if (READ_ONCE(w->failed)) {
			ret = -EIO;
			break;
		}
		if (!iov_iter_count(&req->iter))
			qcow_request_next_bio(req);
		ret = may_wait ? qcow_write_step(req) : write_in_place(req);
		if (ret == QCOW_GONE || ret == -EINPROGRESS)
			return;
		if (ret < 0 && !may_wait) {
			queue_work(req->dev->wq, &req->work);
			return;
		}
	}
	qcow_write_end(req, ret);
}

void qcow_request_write(struct qcow_request *req, struct request *rq)
{
	qcow_request_start(req, rq, write_run);
}
