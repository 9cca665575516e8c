// SPDX-License-Identifier: GPL-2.0
/*
 * A random guest. Each sector is written by one thread at a time, so that its versions have
 * an order; clusters are shared at will.
 */

#include <linux/blk_types.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/minmax.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "rig/guest_load.h"
#include "rig/guest_model.h"
#include "rig/ram_device.h"

/* Bytes that one operation reads or writes at most. */
#define MAX_BYTES	SZ_256K

/**
 * struct worker - one thread
 * @load: of the guest
 * @rnd: its own
 * @buf: MAX_BYTES
 * @promise: a word for each sector
 * @done: it has ended
 */
struct worker {
	struct guest_load *load;
	struct rnd_state rnd;
	void *buf;
	u32 *promise;
	struct completion done;
};

static u32 below(struct worker *t, u32 limit)
{
	return prandom_u32_state(&t->rnd) % limit;
}

/* Some sectors: few, about a cluster, or whole clusters, in a place that is used often. */
static void choose(struct worker *t, u32 *first, u32 *nr)
{
	struct guest_load *load = t->load;
	u32 cluster = load->cluster;
	u32 sectors = load->model->nr;

	*first = below(t, below(t, 4) ? sectors / 4 : sectors);
	switch (below(t, 4)) {
	case 0:
		*nr = below(t, 8) + 1;
		break;
	case 1:
		*nr = below(t, 2 * cluster) + 1;
		break;
	case 2:
		*first = round_down(*first, cluster);
		*nr = cluster * (below(t, 3) + 1);
		break;
	default:
		*nr = below(t, 4 * cluster + 16) + 1;
		break;
	}
	*nr = min3(*nr, sectors - *first, MAX_BYTES / SECTOR_SIZE);
}

static int do_flush(struct worker *t)
{
	return guest_load_flush(t->load, t->promise);
}

static int do_read(struct worker *t, u32 first, u32 nr)
{
	struct guest_model *m = t->load->model;
	int err;

	err = ram_device_rw(t->load->dev, REQ_OP_READ, first, t->buf, nr);
	if (err)
		return err;
	return guest_model_check(m, m->acked, first, nr, t->buf, t->load->text,
				 sizeof(t->load->text));
}

static int do_write(struct worker *t, u32 first, u32 nr)
{
	struct guest_model *m = t->load->model;
	blk_opf_t opf = REQ_OP_WRITE | (below(t, 16) ? 0 : REQ_FUA);
	int err;

	guest_model_write(m, first, nr, GUEST_STAMP, t->buf);
	err = ram_device_rw(t->load->dev, opf | REQ_SYNC, first, t->buf, nr);
	if (!err)
		guest_model_written(m, first, nr, GUEST_STAMP, opf & REQ_FUA);
	return err;
}

static int do_zeroes(struct worker *t, u32 first, u32 nr)
{
	struct guest_model *m = t->load->model;
	blk_opf_t opf = REQ_OP_WRITE_ZEROES | (below(t, 2) ? REQ_NOUNMAP : 0);
	int err;

	guest_model_write(m, first, nr, GUEST_ZERO, NULL);
	err = ram_device_zero(t->load->dev, opf, first, nr);
	if (!err)
		guest_model_written(m, first, nr, GUEST_ZERO, false);
	return err;
}

int guest_load_discard(struct guest_load *load, u32 first, u32 nr)
{
	struct guest_model *m = load->model;
	u32 begin = min(round_up(first, load->cluster), first + nr);
	u32 end = first + nr == m->nr ? m->nr : max(begin, round_down(first + nr, load->cluster));
	int err;

	guest_model_write(m, first, nr, GUEST_HINT, NULL);
	err = ram_device_zero(load->dev, REQ_OP_DISCARD, first, nr);
	if (!err && begin < end)
		guest_model_written(m, begin, end - begin, GUEST_ZERO, false);
	return err;
}

static int one_operation(struct worker *t)
{
	struct guest_model *m = t->load->model;
	u32 dice = below(t, 100);
	u32 first, nr;
	int err;

	if (dice < 12)
		return do_flush(t);
	choose(t, &first, &nr);
	nr = guest_model_claim(m, first, nr);
	if (dice < 20)
		err = do_read(t, first, nr);
	else if (dice < 75)
		err = do_write(t, first, nr);
	else if (dice < 88 || !t->load->discards)
		err = do_zeroes(t, first, nr);
	else
		err = guest_load_discard(t->load, first, nr);
	guest_model_release(m, first, nr);
	return err;
}

static int worker_run(void *data)
{
	struct worker *t = data;
	struct guest_load *load = t->load;
	unsigned int i;
	int err = 0;

	for (i = 0; i < load->ops && !READ_ONCE(load->stop) && !err; i++)
		err = one_operation(t);
	if (err) {
		if (atomic_inc_return(&load->errors) == 1)
			load->err = err;
		if (!load->may_fail || err == -EUCLEAN)
			WRITE_ONCE(load->stop, true);
	}
	complete(&t->done);
	return 0;
}

static int worker_start(struct worker *t, struct guest_load *load, unsigned int nr)
{
	struct task_struct *task;

	t->load = load;
	init_completion(&t->done);
	prandom_seed_state(&t->rnd, load->seed + 1 + nr);
	t->buf = kmalloc(MAX_BYTES, GFP_KERNEL);
	t->promise = kvmalloc_array(load->model->nr, sizeof(u32), GFP_KERNEL);
	if (!t->buf || !t->promise)
		return -ENOMEM;
	task = kthread_run(worker_run, t, "guest-%u", nr);
	return PTR_ERR_OR_ZERO(task);
}

static void worker_free(struct worker *t)
{
	kfree(t->buf);
	kvfree(t->promise);
}

int guest_load_run(struct guest_load *load)
{
	struct worker workers[GUEST_MAX_THREADS] = {};
	unsigned int i, started;
	int err = 0;

	load->stop = false;
	load->err = 0;
	atomic_set(&load->errors, 0);
	for (started = 0; started < load->threads && !err; started++)
		err = worker_start(&workers[started], load, started);
	if (err) {
		started--;
		WRITE_ONCE(load->stop, true);
	}
	for (i = 0; i < started; i++)
		wait_for_completion(&workers[i].done);
	for (i = 0; i < load->threads; i++)
		worker_free(&workers[i]);
	return err ?: load->err;
}

int guest_load_fill(struct guest_load *load, u32 first, u32 nr)
{
	void *buf = kmalloc(MAX_BYTES, GFP_KERNEL);
	u32 end = first + nr;
	int err = buf ? 0 : -ENOMEM;

	for (; first < end && !err; first += nr) {
		nr = min(end - first, MAX_BYTES / SECTOR_SIZE);
		guest_model_write(load->model, first, nr, GUEST_STAMP, buf);
		err = ram_device_rw(load->dev, REQ_OP_WRITE, first, buf, nr);
		if (!err)
			guest_model_written(load->model, first, nr, GUEST_STAMP, false);
	}
	kfree(buf);
	return err;
}

int guest_load_flush(struct guest_load *load, u32 *promise)
{
	int err;

	guest_model_flush(load->model, promise);
	err = ram_device_flush(load->dev);
	if (!err)
		guest_model_flushed(load->model, promise);
	return err;
}
