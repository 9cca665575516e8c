// SPDX-License-Identifier: GPL-2.0
/*
 * The name of the backing file in the header of the active image.
 *
 * Versions 2 and 3 have it in the first cluster (qcow/head.h). What is new is written where the
 * header that holds needs nothing; the write of the first sector makes it valid.
 *
 * Version 1 has it anywhere. One that fits into the space of the old one, in the first sector, goes
 * there in one write with the fields that tell its length; else it gets clusters of its own, and
 * then the fields lead to it. What the old one had is a gap until the detach fills it.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <qcow/head.h>
#include <qcow/ondisk.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "meta/backing.h"
#include "meta/header.h"
#include "meta/job.h"
#include "meta/worker.h"
#include "store/store.h"

/**
 * struct backing_job - the names on their way
 * @job: has it done
 * @names: they
 * @write: else they are only laid out
 * @rep: says why not
 */
struct backing_job {
	struct qcow_job job;
	const struct qcow_backing_names *names;
	bool write;
	struct qcow_report *rep;
};

static int backing_set_heads(struct qcow_meta *meta, struct backing_job *b)
{
	struct qcow_head heads[QCOW_MAX_HEADS];
	unsigned int nr;
	int err;

	err = qcow_header_read_heads(meta->image, heads);
	if (err)
		return err;
	err = qcow_backing_plan(heads, b->names, &nr, b->rep);
	if (!err && b->write)
		err = qcow_header_write_heads(meta, heads, nr);
	kvfree(heads[0].buf);
	return err;
}

/* The fields of version 1, and @name behind them where it is not NULL. */
static int backing_set_fields_v1(struct qcow_meta *meta, u64 host, const char *name, u32 len)
{
	struct qcow_image *image = meta->image;
	size_t bytes = name ? host + len : sizeof(struct qcow_v1_disk_header);
	struct qcow_v1_disk_header *disk;
	unsigned char *old, *new;
	int err;

	old = kmalloc(2 * bytes, GFP_NOIO);
	if (!old)
		return -ENOMEM;
	new = old + bytes;
	err = qcow_store_read(image->store, old, 0, bytes);
	if (err)
		goto out;
	memcpy(new, old, bytes);
	disk = (struct qcow_v1_disk_header *)new;
	disk->backing_offset = cpu_to_be64(host);
	disk->backing_size = cpu_to_be32(len);
	if (name)
		memcpy(new + host, name, len);
	err = qcow_header_switch(meta, old, new, 0, bytes);
	if (!err) {
		image->header.backing_offset = host;
		image->header.backing_len = len;
	}
out:
	kfree(old);
	return err;
}

/* @buf: the name and zeros, @bytes of whole clusters that nothing refers to at @host. */
static int backing_put_v1(struct qcow_meta *meta, const void *buf, u64 host, u64 bytes, u32 len)
{
	int err = qcow_overlap_add(&meta->overlap, host, bytes);

	if (err)
		return err;
	err = qcow_store_write(meta->image->store, buf, host, bytes);
	if (!err)
		err = qcow_store_flush(meta->image->store);
	if (!err)
		err = backing_set_fields_v1(meta, host, NULL, len);
	if (err)
		qcow_overlap_del(&meta->overlap, host, bytes);
	return err;
}

/* Clusters for a name. */
static int backing_set_apart_v1(struct qcow_meta *meta, const char *name, u32 len)
{
	const struct qcow_geometry *g = &meta->image->geo;
	u64 bytes = round_up(len, qcow_cluster_bytes(g));
	struct qcow_run run;
	void *buf;
	int err;

	buf = kvzalloc(bytes, GFP_NOIO);
	if (!buf)
		return -ENOMEM;
	memcpy(buf, name, len);
	err = qcow_space_alloc(&meta->space, QCOW_USE_METADATA, bytes >> g->cluster_bits, &run);
	if (!err) {
		err = backing_put_v1(meta, buf, run.first << g->cluster_bits, bytes, len);
		if (err)
			qcow_space_release(&meta->space, run.first, run.nr);
	}
	kvfree(buf);
	return err;
}

int qcow_backing_move(struct qcow_meta *meta, u64 host)
{
	const struct qcow_header *h = &meta->image->header;
	u64 bytes = round_up(h->backing_len, qcow_cluster_bytes(&meta->image->geo));
	u64 old = h->backing_offset;
	void *buf;
	int err;

	buf = kvzalloc(bytes, GFP_NOIO);
	if (!buf)
		return -ENOMEM;
	err = qcow_store_read(meta->image->store, buf, old, h->backing_len);
	if (!err)
		err = backing_put_v1(meta, buf, host, bytes, h->backing_len);
	if (!err)
		qcow_overlap_del(&meta->overlap, old, bytes);
	kvfree(buf);
	return err;
}

static int backing_set_v1(struct qcow_meta *meta, struct backing_job *b)
{
	const struct qcow_header *h = &meta->image->header;
	const char *name = b->names->backing;
	size_t len = name ? strlen(name) : 0;
	int err = qcow_backing_check_name(name, b->rep);

	if (err || !b->write)
		return err;
	if (!len)
		return backing_set_fields_v1(meta, 0, NULL, 0);
	/* Where there is something between, commits may write to it at the same time. */
	if (len <= h->backing_len && h->backing_offset == h->length &&
	    h->backing_offset + len <= QCOW_HEAD_SWITCH_BYTES)
		return backing_set_fields_v1(meta, h->backing_offset, name, len);
	return backing_set_apart_v1(meta, name, len);
}

/* In the worker, again after each wait. */
static int backing_step(struct qcow_job *job)
{
	struct backing_job *b = container_of(job, struct backing_job, job);
	struct qcow_meta *meta = job->meta;
	int err = 0;

	if (READ_ONCE(meta->failed))
		return -EIO;
	if (b->write)
		err = qcow_meta_begin(meta);
	if (err)
		return err;
	if (meta->image->geo.version > 1)
		return backing_set_heads(meta, b);
	err = backing_set_v1(meta, b);
	return qcow_job_await_space(job, err);
}

static int backing_run(struct qcow_meta *meta, struct backing_job *b)
{
	struct qcow_image *image = meta->image;

	if (b->names->backing && qcow_image_raw_data(image)) {
		qcow_report(b->rep,
			    "the image has a raw external data file, and can have no backing file");
		return -EOPNOTSUPP;
	}
	if (b->names->backing && !b->names->format && image->geo.version > 1) {
		qcow_report(b->rep, "the format of the backing file is not stated");
		return -EINVAL;
	}
	b->job.step = backing_step;
	return qcow_job_run(meta, &b->job);
}

int qcow_backing_check(struct qcow_meta *meta, const struct qcow_backing_names *names,
		       struct qcow_report *rep)
{
	struct backing_job b = { .names = names, .rep = rep };

	return backing_run(meta, &b);
}

int qcow_backing_set(struct qcow_meta *meta, const struct qcow_backing_names *names,
		     struct qcow_report *rep)
{
	struct backing_job b = { .names = names, .write = true, .rep = rep };

	return backing_run(meta, &b);
}
