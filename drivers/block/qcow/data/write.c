// SPDX-License-Identifier: GPL-2.0
/*
 * Writes: in place where the image has a cluster for itself, straight from the submitter's
 * context; else to clusters that are new or hold zeros, with what is beside the written bytes
 * copied along. To copy up what is below is to write no bytes, beside which all is copied, and only
 * where the image has nothing. To copy down is to write, with a fill, what another image has. To
 * move a cluster is to write all that it has elsewhere.
 *
 *   submitter: write_run ---> in place ----------------------------------> store --> end
 *        |        ^   \
 *   slice missing |    \---> metadata worker: write_plan --+-> merge ----> store --+
 *        v        |                 ^                      |                       |
 *   workqueue: write_run            | parked               +-> fill (workqueue,    |
 *                                   |                          copy-on-write) -----+
 *                                   |                                              v
 *                                   +-- waiters <-- metadata worker: write_link <--+ --> end
 *
 * States of a request, named for what it waits for: mapped inline; a slice to be read (parked
 * on it, or its work item reads); the metadata worker (posted, or parked: behind another change,
 * for room, for a commit, for space); data (its fragments are in the store or in a fill); linked
 * and ended. Several of its fragments may be in the later states while the rest of it is planned.
 */
#include <linux/align.h>
#include <linux/blk-mq.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "data/compress.h"
#include "data/cow.h"
#include "data/crypt.h"
#include "data/request.h"
#include "device.h"
#include "layer/image.h"
#include "message.h"
#include "meta/worker.h"
#include "trace.h"

/* Bytes that a fill moves at once. */
#define FILL_BYTES	SZ_256K

/* Bytes that one work copies up, unless a cluster is more: others do the same meanwhile. */
#define COPY_UP_BYTES	((u64)SZ_1M)

/* Whether the next @len bytes can go to @host as they are. */
static bool write_fits(const struct qcow_request *req, u64 host, u64 len)
{
	return qcow_fragment_fits(req->dev->chain->data, &req->iter, host, len);
}

/* Data where other tables say that metadata is: one of them is wrong, so nothing is written. */
static bool write_hits_metadata(struct qcow_meta *meta, u64 host, u64 len)
{
	if (meta->image->geo.data_file || !qcow_overlap_hit(&meta->overlap, host, len))
		return false;
	qcow_message(meta->image, "data cluster at 0x%llx: lies over metadata", host);
	return true;
}

/* Bytes that can be dealt with at once: all that is left of a request without memory. */
static u64 write_at_hand(const struct qcow_request *req)
{
	u64 len = iov_iter_count(&req->iter);

	if (qcow_own_copies(req->own))
		return req->end - req->pos;
	return req->compression ? qcow_compress_alike(req->compression, req->pos, len) : len;
}

/* The next cluster, if it is to be stored compressed. */
static const struct qcow_compressed *write_compressed(const struct qcow_request *req, u64 guest)
{
	return req->compression ? qcow_compress_find(req->compression, guest) : NULL;
}

/*
 * Whether the first bytes stay where they are; @ext becomes so short that this is true of all of
 * it. Compressed data of an image with snapshots may be theirs, too: that is not in its entry.
 */
static bool write_stays(const struct qcow_meta *meta, struct qcow_extent *ext)
{
	if (ext->kind == QCOW_EXTENT_COMPRESSED)
		return ext->host < meta->move_from || meta->image->header.nr_snapshots;
	if (!ext->allocated || ext->shared)
		return true;
	if (ext->host >= meta->move_from)
		return false;
	ext->len = min(ext->len, meta->move_from - ext->host);
	return true;
}

/* Nothing of the request goes where the image has something, if it brings nothing. */
static bool write_passes(const struct qcow_request *req, struct qcow_extent *ext)
{
	if (req->own == QCOW_OWN_MOVE)
		return write_stays(req->dev->meta, ext);
	return qcow_own_copies_up(req->own) && ext->kind != QCOW_EXTENT_HOLE;
}

static void in_place_complete(struct qcow_io *io, int err)
{
	qcow_fragment_end(container_of(io, struct qcow_fragment, io), err);
}

/*
 * Whether the bytes can be written where they are mapped to, without a change of metadata. On a
 * store with larger blocks than sectors two writes may meet in a block, and are kept apart as
 * changes are. So are a write and a move.
 */
static bool is_in_place(const struct qcow_request *req, const struct qcow_extent *ext)
{
	return ext->kind == QCOW_EXTENT_DATA && !ext->shared && !qcow_own_copies(req->own) &&
		req->dev->chain->data->align <= SECTOR_SIZE &&
		ext->host + ext->len <= req->dev->meta->move_from &&
		write_fits(req, ext->host, ext->len);
}

static int write_in_place(struct qcow_request *req, const struct qcow_extent *ext)
{
	u64 len = qcow_crypt_piece(req->dev->chain, ext->len);
	struct qcow_fragment *frag;
	bool last;

	if (unlikely(write_hits_metadata(req->dev->meta, ext->host, len)))
		return -EUCLEAN;
	frag = qcow_fragment_get(req);
	if (unlikely(!frag))
		return QCOW_STEP_GONE;
	trace_qcow_map(req, len, QCOW_EXTENT_DATA, req->dev->chain, ext->host);
	last = qcow_fragment_take(frag, len);
	frag->fill = false;
	frag->io.complete = in_place_complete;
	qcow_fragment_prepare(frag, req->dev->chain->data, ext->host, true);
	qcow_fragment_submit_write(frag);
	return last ? QCOW_STEP_GONE : QCOW_STEP_DONE;
}

/**
 * struct plan - where bytes go that cannot be written in place
 * @host: of the first byte
 * @len: how many
 * @fill: what is beside them in their (sub)clusters has to be written, too
 * @pass: nowhere: they are passed over
 */
struct plan {
	u64 host;
	u64 len;
	bool fill;
	bool pass;
};

/* The (sub)clusters around the bytes get a new mapping. */
static void plan_remap(struct qcow_change *change, u64 guest, const struct plan *p, u64 granule)
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
static int plan_own(struct qcow_meta *meta, struct qcow_change *change, u64 guest,
		    const struct qcow_extent *ext, struct plan *p)
{
	const struct qcow_geometry *g = &meta->image->geo;

	p->host = ext->host;
	p->len = ext->len;
	if (write_hits_metadata(meta, p->host, p->len))
		return -EUCLEAN;
	if (ext->kind == QCOW_EXTENT_DATA)
		return qcow_space_extend(&meta->space, meta->image->data, p->host,
					 p->host + p->len);

	plan_remap(change, guest, p, 1ULL << g->subcluster_bits);
	p->fill = has_beside(change, guest, p);
	return qcow_space_extend(&meta->space, meta->image->data, change->host,
				 change->host + change->len);
}

/* In a data file every guest byte has its place. */
static int plan_place_in_data_file(struct qcow_meta *meta, u64 guest, struct plan *p, bool *zero)
{
	u64 mask = qcow_cluster_bytes(&meta->image->geo) - 1;

	p->host = guest;
	*zero = (guest & ~mask) >= READ_ONCE(meta->image->data->bytes);
	return qcow_space_extend(&meta->space, meta->image->data, guest,
				 ((guest + p->len - 1) | mask) + 1);
}

static int plan_place(struct qcow_meta *meta, struct qcow_change *change, u64 guest, struct plan *p,
		      bool *zero)
{
	const struct qcow_geometry *g = &meta->image->geo;
	u64 head = guest & (qcow_cluster_bytes(g) - 1);
	struct qcow_run run;
	int err;

	if (g->data_file)
		return plan_place_in_data_file(meta, guest, p, zero);
	err = qcow_space_alloc_guest(&meta->space, guest >> g->cluster_bits,
				     ((head + p->len - 1) >> g->cluster_bits) + 1, &run);
	if (err)
		return err;
	change->fresh = run.first;
	change->nr_fresh = run.nr;
	p->host = (run.first << g->cluster_bits) + head;
	p->len = min(p->len, (run.nr << g->cluster_bits) - head);
	*zero = run.zero;
	return 0;
}

/* New clusters: for bytes that have none, or in the place of one that must be kept. */
static int plan_new(struct qcow_meta *meta, struct qcow_change *change, u64 guest,
		    const struct qcow_extent *ext, struct plan *p)
{
	const struct qcow_geometry *g = &meta->image->geo;
	u64 cluster = qcow_cluster_bytes(g);
	bool zero;
	int err;

	p->len = ext->len;
	change->whole = ext->kind == QCOW_EXTENT_COMPRESSED || ext->shared;
	if (change->whole) {
		p->len = min(p->len, cluster - (guest & (cluster - 1)));
		err = qcow_change_freed(meta, guest, ext, &change->freed);
		if (err)
			return err;
	}
	err = plan_place(meta, change, guest, p, &zero);
	if (err)
		return err;
	plan_remap(change, guest, p, change->whole ? cluster : 1ULL << g->subcluster_bits);
	/* What is zeros in the file is decrypted to something else. */
	zero &= !meta->image->crypt;
	p->fill = has_beside(change, guest, p) &&
		  !(zero && !change->whole && beside_is_zero(meta->image, change, ext));
	return 0;
}

/* One cluster, which gets bytes among other compressed data. */
static int plan_compressed(struct qcow_meta *meta, struct qcow_change *change, u64 guest,
			   const struct qcow_compressed *compressed, struct plan *p)
{
	u64 cluster = qcow_cluster_bytes(&meta->image->geo);
	struct qcow_extent ext;
	int err;

	err = qcow_change_map(meta, change, guest, cluster, &ext);
	if (!err)
		err = qcow_space_alloc_bytes(&meta->space, compressed->len, U64_MAX,
					     &change->host);
	if (err)
		return err;
	change->guest = guest;
	change->len = cluster;
	change->compressed_len = compressed->len;
	*p = (struct plan) { .host = change->host, .len = cluster };
	return qcow_change_freed(meta, guest, &ext, &change->freed);
}

/* Room for what a compressed cluster has, in whole blocks of the store. */
static int place_compressed(struct qcow_meta *meta, struct qcow_change *change,
			    const struct qcow_extent *ext, u64 below)
{
	u64 len = ALIGN(ext->compressed_len, SECTOR_SIZE);
	int err;

	/* It would take much more space; or its field has no room for the length. */
	if (meta->image->store->align > SECTOR_SIZE ||
	    len > qcow_cluster_bytes(&meta->image->geo))
		return -EOVERFLOW;
	err = qcow_space_alloc_bytes(&meta->space, len, below, &change->host);
	if (!err)
		change->compressed_len = len;
	return err;
}

static int place_moved(struct qcow_meta *meta, struct qcow_change *change,
		       const struct qcow_extent *ext)
{
	u32 bits = meta->image->geo.cluster_bits;
	u64 below = meta->move_from >> bits;
	struct qcow_run run;
	int err;

	if (ext->kind == QCOW_EXTENT_COMPRESSED)
		return place_compressed(meta, change, ext, below);
	err = qcow_space_alloc_below(&meta->space, QCOW_USE_DATA, below, 1, &run);
	if (err)
		return err;
	change->fresh = run.first;
	change->nr_fresh = 1;
	change->host = run.first << bits;
	return 0;
}

/* One cluster, which stays where it is if there is no room further down. */
static int plan_move(struct qcow_meta *meta, struct qcow_change *change, u64 guest, u64 len,
		     const struct qcow_extent *ext, struct plan *p)
{
	u64 cluster = qcow_cluster_bytes(&meta->image->geo);
	u64 head = guest & (cluster - 1);
	int err = place_moved(meta, change, ext);

	p->len = min(len, cluster - head);
	p->pass = err == -EOVERFLOW || qcow_space_is_full(err);
	if (err)
		return p->pass ? 0 : err;
	p->host = change->host + head;
	change->guest = guest - head;
	change->len = cluster;
	qcow_change_moves(meta, change, ext->kind == QCOW_EXTENT_COMPRESSED ? ext->host :
				ext->host - head);
	return qcow_change_freed(meta, guest, ext, &change->freed);
}

static int make_plan(struct qcow_meta *meta, struct qcow_change *change,
		     const struct qcow_request *req, u64 len, struct plan *p)
{
	u64 guest = req->pos;
	const struct qcow_compressed *compressed = write_compressed(req, guest);
	struct qcow_extent ext;
	int err;

	if (compressed) {
		err = plan_compressed(meta, change, guest, compressed, p);
		/* What it has now may need no space. */
		if (err != -EOVERFLOW && !qcow_space_is_full(err))
			return err;
	}
	*p = (struct plan) {};
	err = qcow_change_map(meta, change, guest, len, &ext);
	if (err)
		return err;
	if (write_passes(req, &ext)) {
		p->len = ext.len;
		p->pass = true;
		return 0;
	}
	if (req->own == QCOW_OWN_MOVE)
		return plan_move(meta, change, guest, len, &ext, p);
	/* In version 1 a cluster may lie where no block begins, and share one with others. */
	if (ext.allocated && !IS_ALIGNED(ext.host ^ guest, max_t(u32, meta->image->data->align,
								 SECTOR_SIZE)))
		ext.shared = true;
	if (ext.kind != QCOW_EXTENT_COMPRESSED && ext.allocated && !ext.shared)
		err = plan_own(meta, change, guest, &ext, p);
	else
		err = plan_new(meta, change, guest, &ext, p);
	p->fill |= qcow_own_copies_up(req->own);
	return err;
}

/* What the request brings from @guest on: what is in its memory, or in another image. */
static int fill_bring(const struct qcow_fragment *frag, u64 guest, void *buf, u64 len)
{
	struct qcow_image *source = frag->req->dev->source;
	struct iov_iter iter = frag->io.iter;
	struct qcow_epoch *epoch;
	int err;

	if (!qcow_own_copies_down(frag->req->own)) {
		iov_iter_advance(&iter, guest - frag->guest);
		return copy_from_iter(buf, len, &iter) == len ? 0 : -EFAULT;
	}
	epoch = qcow_inflight_enter(source->inflight);
	err = qcow_cow_read(source, guest, buf, len);
	qcow_inflight_leave(epoch);
	return err;
}

/* The bytes from @pos on, @len of them, as they will be: the request's, or what is there. */
static int fill_gather(struct qcow_fragment *frag, u64 pos, void *buf, u64 len)
{
	u64 brought = qcow_own_copies_up(frag->req->own) ? 0 : frag->io.len;
	u64 begin = clamp(frag->guest, pos, pos + len);
	u64 end = clamp(frag->guest + brought, pos, pos + len);
	struct qcow_meta *meta = frag->req->dev->meta;
	int err;

	err = qcow_cow_read(meta->image, pos, buf, begin - pos);
	if (!err)
		err = qcow_cow_read(meta->image, end, buf + (end - pos), pos + len - end);
	frag->change.copied += len - (end - begin);
	if (err || begin == end)
		return err;
	return fill_bring(frag, begin, buf + (begin - pos), end - begin);
}

/*
 * For the cgroup that the request came from, but for parts of blocks: commits wait for the lock
 * under which those are written, and must not wait for a cgroup that is throttled.
 */
static int fill_write_part(struct qcow_fragment *frag, void *buf, u64 guest, u64 host, u64 len)
{
	bool whole = IS_ALIGNED(host | len, frag->io.store->align);
	struct qcow_identity identity;
	int err;

	qcow_identity_assume(&identity, whole ? frag->io.origin : NULL);
	if (frag->change.compressed_len)
		err = qcow_store_write_data(frag->io.store, buf, host, len);
	else
		err = qcow_data_write(frag->req->dev->chain, guest, host, buf, len);
	qcow_identity_drop(&identity);
	return err;
}

/*
 * Have the bytes from @pos on share space with the file that they are in. Return: how many do, 0:
 * they have to be copied.
 */
static u64 fill_clone(const struct qcow_fragment *frag, u64 pos, u64 host, u64 len)
{
	struct qcow_image *top = frag->req->dev->meta->image, *source = frag->req->dev->source;
	u64 end = frag->guest + frag->io.len, done;
	struct qcow_epoch *epoch;

	if (frag->req->own == QCOW_OWN_CLONE_UP && pos < top->size)
		return qcow_cow_share(top, pos, top, host, min(len, top->size - pos));
	if (frag->req->own != QCOW_OWN_CLONE_DOWN || pos < frag->guest || pos >= end)
		return 0;
	epoch = qcow_inflight_enter(source->inflight);
	done = qcow_cow_share(source, pos, top, host, min(len, end - pos));
	qcow_inflight_leave(epoch);
	return done;
}

/* Write the bytes through a buffer, with all that the change maps where that is wanted. */
static int fill_write(struct qcow_fragment *frag)
{
	const struct qcow_change *change = &frag->change;
	u64 pos = frag->fill ? change->guest : frag->guest;
	u64 host = frag->fill ? change->host : frag->io.pos;
	u64 left = frag->fill ? change->len : frag->io.len;
	u64 size = min_t(u64, left, FILL_BYTES);
	void *buf;
	int err = 0;

	buf = kvmalloc(roundup_pow_of_two(size), GFP_NOIO);
	if (!buf)
		return -ENOMEM;
	while (!err && left) {
		u64 part = fill_clone(frag, pos, host, left);

		if (!part) {
			part = min(left, size);
			err = fill_gather(frag, pos, buf, part);
			if (!err)
				err = fill_write_part(frag, buf, pos, host, part);
		}
		pos += part;
		host += part;
		left -= part;
	}
	kvfree(buf);
	return err;
}

/* Zeros without space have none where they go either, and read as the same there. */
static bool fill_move_hole(const struct qcow_fragment *frag, u64 len)
{
	const struct qcow_change *change = &frag->change;
	struct qcow_store *store = frag->io.store;
	bool is_hole;

	return !frag->req->dev->chain->crypt &&
		qcow_store_extent(store, change->from, len, &is_hole) == len && is_hole &&
		!qcow_store_wipe(store, change->host, len);
}

static int fill_move_read(const struct qcow_fragment *frag, u64 pos, void *buf, u64 len)
{
	const struct qcow_change *change = &frag->change;
	u64 from = change->from + pos;

	if (change->compressed_len)
		return qcow_store_read_padded(frag->io.store, buf, from, len);
	return qcow_data_read(frag->req->dev->chain, change->guest + pos, from, buf, len);
}

/* Write all that a cluster has where it goes, whatever its entry says of that. */
static int fill_move(struct qcow_fragment *frag)
{
	const struct qcow_change *change = &frag->change;
	u64 len = change->compressed_len ?: change->len;
	u64 size = min_t(u64, len, FILL_BYTES), pos, part;
	void *buf;
	int err = 0;

	if (fill_move_hole(frag, len))
		return 0;
	buf = kvmalloc(roundup_pow_of_two(size), GFP_NOIO);
	if (!buf)
		return -ENOMEM;
	for (pos = 0; pos < len && !err; pos += part) {
		part = min(len - pos, size);
		err = fill_move_read(frag, pos, buf, part);
		if (!err)
			err = fill_write_part(frag, buf, change->guest + pos, change->host + pos,
					      part);
	}
	kvfree(buf);
	return err;
}

/* The data of a change has been written: the metadata worker goes on. */
static void change_complete(struct qcow_io *io, int err)
{
	struct qcow_fragment *frag = container_of(io, struct qcow_fragment, io);

	frag->change.err = err;
	qcow_meta_post(frag->req->dev->meta, &frag->change.msg);
}

static void fill_work(struct work_struct *work)
{
	struct qcow_fragment *frag = container_of(work, struct qcow_fragment, io.work);
	unsigned int noio = memalloc_noio_save();
	int err = frag->change.from ? fill_move(frag) : fill_write(frag);

	memalloc_noio_restore(noio);
	change_complete(&frag->io, err);
}

static void compressed_work(struct work_struct *work)
{
	struct qcow_fragment *frag = container_of(work, struct qcow_fragment, io.work);
	const struct qcow_compressed *compressed = write_compressed(frag->req, frag->guest);
	unsigned int noio = memalloc_noio_save();
	struct qcow_identity identity;
	int err;

	qcow_identity_assume(&identity, frag->io.origin);
	err = qcow_store_write_data(frag->io.store, compressed->buf, frag->io.pos,
				    compressed->len);
	qcow_identity_drop(&identity);
	qcow_compress_drop(frag->req->compression, frag->guest);
	memalloc_noio_restore(noio);
	change_complete(&frag->io, err);
}

/* In the metadata worker: put the new entries in place, or undo the change. */
static void write_link(struct qcow_meta_msg *msg)
{
	struct qcow_fragment *frag = container_of(msg, struct qcow_fragment, change.msg);
	int err = frag->change.err;

	qcow_change_end(frag->req->dev->meta, &frag->change, err);
	qcow_fragment_end(frag, err);
}

static int submit_change(struct qcow_request *req, struct qcow_fragment *frag,
			 const struct plan *p)
{
	bool compressed = frag->change.compressed_len && !frag->change.from;
	bool direct = !p->fill && !compressed && !qcow_own_copies(req->own) &&
		      write_fits(req, p->host, p->len);
	bool last;

	trace_qcow_map(req, p->len, frag->change.compressed_len ? QCOW_EXTENT_COMPRESSED :
		       QCOW_EXTENT_DATA, req->dev->chain, p->host);
	last = qcow_fragment_take(frag, p->len);
	frag->fill = p->fill;
	frag->change.msg = (struct qcow_meta_msg) { .run = write_link, .urgent = true };
	frag->io.complete = change_complete;
	qcow_fragment_prepare(frag, req->dev->chain->data, p->host, true);
	if (direct)
		qcow_fragment_merge_write(frag);
	else
		qcow_fragment_queue(frag, compressed ? compressed_work : fill_work);
	return last ? QCOW_STEP_GONE : QCOW_STEP_DONE;
}

/* Bytes that one fragment may have. */
static u64 plan_bytes(const struct qcow_request *req)
{
	u64 cluster = qcow_cluster_bytes(&req->dev->chain->geo);
	u64 len = write_at_hand(req), piece;

	if (req->own == QCOW_OWN_MOVE)
		piece = cluster;
	else if (req->own == QCOW_OWN_COPY_UP || req->own == QCOW_OWN_COPY_DOWN)
		piece = max(COPY_UP_BYTES, cluster);
	else
		return qcow_crypt_piece(req->dev->chain, len);
	return min(len, round_down(req->pos, piece) + piece - req->pos);
}

/* In the metadata worker: one piece of a request, in one slice, to where it is to be. */
static int plan_step(struct qcow_request *req)
{
	struct qcow_meta *meta = req->dev->meta;
	u64 len = plan_bytes(req);
	struct qcow_fragment *frag;
	struct plan p;
	int err;

	frag = qcow_fragment_get(req);
	if (!frag)
		return QCOW_STEP_GONE;
	err = qcow_change_begin(meta, &frag->change, req->pos, &len, true, &req->msg);
	if (err)
		goto cancel;
	err = make_plan(meta, &frag->change, req, len, &p);
	if (!err && !p.pass)
		return submit_change(req, frag, &p);

	qcow_change_end(meta, &frag->change, err);
	if (!err)
		req->pos += p.len;
cancel:
	qcow_fragment_cancel(frag);
	if (err == -EINPROGRESS || qcow_request_await_space(req, err))
		return QCOW_STEP_GONE;
	return err;
}

/* In the metadata worker: all of the memory at hand. */
static void write_plan(struct qcow_meta_msg *msg)
{
	struct qcow_request *req = container_of(msg, struct qcow_request, msg);
	int ret = qcow_meta_begin(req->dev->meta);

	qcow_request_resume(req);
	while (!ret) {
		ret = plan_step(req);
		if (ret == QCOW_STEP_GONE)
			return;
		if (ret || req->pos == req->end)
			break;
		/* A slice that has to be read is not read here, where other requests wait. */
		if (!write_at_hand(req) || !qcow_request_has_slice(req)) {
			queue_work(req->dev->wq, &req->work);
			return;
		}
	}
	qcow_write_end(req, ret);
}

/* The next bytes: in place, or by the metadata worker. */
static int write_step(struct qcow_request *req, bool may_wait)
{
	struct qcow_meta *meta = req->dev->meta;
	u64 len = write_at_hand(req);
	struct qcow_extent ext;
	int err;

	if (may_wait)
		err = qcow_map_top_wait(meta->image, req->pos, len, &req->waiter, &ext);
	else
		err = qcow_map_top_try(meta->image, req->pos, len, &ext);
	if (err == -EINPROGRESS)
		return QCOW_STEP_GONE;
	if (err == -EAGAIN) {
		queue_work(req->dev->wq, &req->work);
		return QCOW_STEP_GONE;
	}
	if (err)
		return err;
	if (write_passes(req, &ext)) {
		req->pos += ext.len;
		return QCOW_STEP_DONE;
	}
	if (qcow_meta_begun(meta) && is_in_place(req, &ext) && !write_compressed(req, req->pos))
		return write_in_place(req, &ext);

	req->msg = (struct qcow_meta_msg) { .run = write_plan, .guest = req->pos };
	qcow_meta_post(meta, &req->msg);
	return QCOW_STEP_GONE;
}

int qcow_write_step(struct qcow_request *req)
{
	return write_step(req, true);
}

void qcow_write_end(struct qcow_request *req, int err)
{
	if (err)
		qcow_request_fail(req, req->pos, req->end - req->pos, err);
	if (err == -EUCLEAN)
		qcow_meta_corrupt(req->dev->meta);
	qcow_request_put(req);
}

static void write_run(struct qcow_request *req, bool may_wait)
{
	int ret = 0;

	if (unlikely(req->uncompressed)) {
		if (!may_wait) {
			queue_work(req->dev->wq, &req->work);
			return;
		}
		req->uncompressed = false;
		if (qcow_compress_start(req))
			return;
	}
	while (!ret && req->pos < req->end) {
		if (READ_ONCE(req->dev->meta->failed)) {
			ret = -EIO;
			break;
		}
		if (!write_at_hand(req))
			qcow_request_next_bio(req);
		ret = write_step(req, may_wait);
		if (ret == QCOW_STEP_GONE)
			return;
	}
	qcow_write_end(req, ret);
}

void qcow_request_write(struct qcow_request *req, struct request *rq)
{
	const struct qcow_device *dev = req->dev;

	req->uncompressed = dev->compress && !qcow_own_copies(req->own) &&
			    qcow_compress_wants(dev->chain, (u64)blk_rq_pos(rq) << SECTOR_SHIFT,
						blk_rq_bytes(rq));
	qcow_request_start(req, rq, write_run);
}
