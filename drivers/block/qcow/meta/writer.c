// SPDX-License-Identifier: GPL-2.0
/*
 * Setting up and taking down the writable side of an image. Called by device.c; what is
 * written is in write.c and discard.c.
 */
#include <linux/err.h>
#include <linux/slab.h>
#include <qcow/report.h>

#include "meta/writeback.h"
#include "meta/header.h"
#include "layer/image.h"
#include "message.h"
#include "store/store.h"
#include "meta/writer.h"

/* Granules of version 1, whose tables need not lie at cluster borders. */
#define V1_GUARD_BITS	9

static int guard_add(struct qcow_writer *w, const char *what, u64 host, u64 len,
		     struct qcow_report *rep)
{
	if (!len)
		return 0;
	if (qcow_guard_hit(&w->guard, host, len)) {
		qcow_report(rep, "%s at 0x%llx lies over other metadata", what, host);
		return -EUCLEAN;
	}
	return qcow_guard_add(&w->guard, host, len);
}

/* The tables of the active state; version 1 has its L1 table behind the header. */
static int guard_tables(struct qcow_writer *w, struct qcow_report *rep)
{
	const struct qcow_image *image = w->image;
	const struct qcow_geometry *g = &image->geo;
	const struct qcow_header *h = &image->header;
	u64 l1_bytes = (u64)h->l1_entries * sizeof(__be64);
	u64 table_bytes = 1ULL << (g->l2_bits + g->entry_bits);
	struct qcow_flaw flaw;
	u64 table;
	u32 i;
	int err;

	if (h->version == 1) {
		err = qcow_guard_add(&w->guard, 0, h->length);
		if (!err)
			err = qcow_guard_add(&w->guard, h->l1_offset, l1_bytes);
	} else {
		err = qcow_guard_add(&w->guard, 0, 1);
		if (!err)
			err = guard_add(w, "L1 table", h->l1_offset, l1_bytes, rep);
	}
	for (i = 0; i < image->l1_entries && !err; i++) {
		err = qcow_l1_decode(g, be64_to_cpu(image->l1[i]), &table, &flaw);
		if (err)
			qcow_report(rep, "L1 entry %u, 0x%llx: %s 0x%llx", i, flaw.entry,
				    flaw.what, flaw.value);
		else if (table)
			err = guard_add(w, "L2 table", table, table_bytes, rep);
	}
	return err;
}

static void drained(struct qcow_inflight *inflight)
{
	qcow_commit_drained(&container_of(inflight, struct qcow_writer, inflight)->commit);
}

static int check_image(const struct qcow_image *image, struct qcow_report *rep)
{
	if (image->data->align > 1U << image->geo.cluster_bits) {
		qcow_report(rep,
			    "clusters of %u bytes on a store with blocks of %u: attach it read-only, or with buffered I/O",
			    1U << image->geo.cluster_bits, image->data->align);
		return -EOPNOTSUPP;
	}
	return 0;
}

struct qcow_writer *qcow_writer_create(struct qcow_image *image, struct workqueue_struct *wq,
				       struct qcow_report *rep)
{
	bool v1 = image->header.version == 1;
	struct qcow_writer *w;
	int err;

	err = check_image(image, rep);
	if (err)
		return ERR_PTR(err);
	w = kzalloc(sizeof(*w), GFP_KERNEL);
	if (!w)
		return ERR_PTR(-ENOMEM);
	w->image = image;
	w->wq = wq;
	mutex_init(&w->begin_lock);
	sema_init(&w->slots, qcow_dirty_slots(image->cache));
	qcow_ranges_init(&w->ranges);
	qcow_joiner_init(&w->joiner, image->data, wq);
	qcow_guard_init(&w->guard, v1 ? V1_GUARD_BITS : image->geo.cluster_bits);
	qcow_l1_init(&w->l1, image, &w->guard, &w->space);

	err = guard_tables(w, rep);
	if (err)
		goto err_guard;
	err = qcow_image_guard_snapshots(image, &w->guard, rep);
	if (err)
		goto err_guard;
	err = qcow_space_open(&w->space, image, &w->guard, rep);
	if (err)
		goto err_guard;
	err = qcow_inflight_init(&w->inflight, drained);
	if (err)
		goto err_space;
	err = qcow_commit_init(&w->commit, w);
	if (err)
		goto err_inflight;
	image->inflight = &w->inflight;
	return w;

err_inflight:
	qcow_inflight_destroy(&w->inflight);
err_space:
	qcow_space_close(&w->space);
err_guard:
	qcow_guard_destroy(&w->guard);
	kfree(w);
	return ERR_PTR(err);
}

/* All that was written is durable; then the counts of what is not needed after all. */
static int settle(struct qcow_writer *w)
{
	int err;

	err = qcow_commit_wait(&w->commit);
	if (err)
		return err;
	qcow_commit_wait_idle(&w->commit);
	qcow_space_return(&w->space);
	err = qcow_commit_wait(&w->commit);
	if (err)
		return err;
	qcow_space_trim(&w->space);
	return qcow_store_flush(w->image->store);
}

int qcow_writer_destroy(struct qcow_writer *w)
{
	int err = 0;

	/* A failed write gives its clusters back after its request has ended. */
	flush_workqueue(w->wq);
	qcow_ahead_stop(&w->image->ahead);
	w->image->inflight = NULL;
	if (w->begun)
		err = settle(w);
	if (err)
		qcow_message(w->image, "detach: what was written last may be lost: error %d", err);
	qcow_commit_wait_idle(&w->commit);
	qcow_commit_destroy(&w->commit);
	qcow_inflight_destroy(&w->inflight);
	qcow_dirty_drop(w->image->cache, &w->image->l2);
	qcow_space_close(&w->space);
	qcow_l1_destroy(&w->l1);
	qcow_guard_destroy(&w->guard);
	kfree(w);
	return err;
}

/* What features stand for that this driver does not keep true. */
static int clear_autoclear(struct qcow_image *image)
{
	u64 keep = image->geo.data_file ? QCOW_AUTOCLEAR_RAW_DATA_FILE : 0;

	if (!(image->header.autoclear & ~keep))
		return 0;
	return qcow_header_set_autoclear(image, image->header.autoclear & keep);
}

int qcow_writer_begin(struct qcow_writer *w)
{
	int err = 0;

	if (qcow_writer_begun(w))
		return 0;
	mutex_lock(&w->begin_lock);
	if (!w->begun) {
		err = clear_autoclear(w->image);
		if (!err) {
			/* Pairs with smp_load_acquire() in qcow_writer_begun(). */
			smp_store_release(&w->begun, true);
		}
	}
	mutex_unlock(&w->begin_lock);
	return err;
}

void qcow_writer_fail(struct qcow_writer *w)
{
	WRITE_ONCE(w->failed, true);
}

void qcow_writer_corrupt(struct qcow_writer *w)
{
	struct qcow_image *image = w->image;

	mutex_lock(&w->begin_lock);
	if (!w->failed) {
		qcow_writer_fail(w);
		pr_err("%s: the image is corrupt, it is read-only from now on\n", image->name);
		if (image->header.version > 2)
			qcow_header_set_incompatible(image, image->header.incompatible |
						     QCOW_INCOMPAT_CORRUPT);
	}
	mutex_unlock(&w->begin_lock);
}
