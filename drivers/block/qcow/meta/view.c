// SPDX-License-Identifier: GPL-2.0
/*
 * Looking at metadata that changes. When neither requests nor a commit nor reclaiming are under way
 * the tables on disk are right, but for clusters that are set aside: they are counted, and nothing
 * refers to them. From then on the store keeps what is overwritten (store/preserve.c), and counts
 * of what is set aside are changed where it is kept.
 *
 * A cluster that is leaked at one instant stays so: nothing allocates what has a count, compressed
 * data comes only into clusters that have got some since, and nothing but a repair drops a
 * reference that there is not.
 */
#include <qcow/refcount.h>
#include <qcow/report.h>
#include <uapi/linux/qcow.h>

#include "layer/image.h"
#include "meta/job.h"
#include "meta/view.h"
#include "meta/worker.h"
#include "store/preserve.h"

/* Leaks of which a step has so many clusters freed. */
#define STEP_CLUSTERS	256

/**
 * struct view_job - an instant that is waited for
 * @job: comes when neither a commit nor a reclaim is under way
 * @preserve: begins then
 * @is_due: something is not durable yet: a commit is wanted
 */
struct view_job {
	struct qcow_job job;
	struct qcow_preserve *preserve;
	bool is_due;
};

/* A count of 1 that nothing refers to is 0. */
static int view_hide_count(const struct qcow_refcounts *counts, struct qcow_preserve *preserve,
			   u64 cluster)
{
	u64 host, idx;
	u8 *byte;
	int err;

	err = qcow_refcounts_locate(counts, cluster, &host, &idx);
	if (err)
		return err;
	byte = qcow_preserve_byte(preserve, host);
	if (!byte)
		return -ENOMEM;
	qcow_refcount_set(byte, counts->order, idx, 0);
	return 0;
}

static int view_hide_reserved(struct qcow_space *space, struct qcow_preserve *preserve)
{
	const struct qcow_space_run *entry;
	int err = 0;
	u64 i;

	if (!space->counted)
		return 0;
	list_for_each_entry(entry, qcow_space_reserved(space), node) {
		for (i = 0; i < entry->run.nr && !err; i++)
			err = view_hide_count(&space->counts, preserve, entry->run.first + i);
	}
	return err;
}

static int view_step(struct qcow_job *job)
{
	struct view_job *view = container_of(job, struct view_job, job);
	struct qcow_meta *meta = job->meta;
	int err;

	/* Of a resize that has failed: they are counted, too. */
	qcow_l1_release_longer(meta);
	view->is_due = qcow_commit_is_due(meta);
	if (view->is_due)
		return 0;
	qcow_space_close_bytes(&meta->space);
	err = view_hide_reserved(&meta->space, view->preserve);
	if (!err)
		qcow_preserve_begin(view->preserve);
	return err;
}

/* Make durable, wait for what is reclaimed by that, and again as long as that makes changes. */
int qcow_view_begin(struct qcow_meta *meta, struct qcow_preserve *preserve)
{
	struct view_job view = { .preserve = preserve };
	int err;

	do {
		view.job = (struct qcow_job) { .step = view_step, .idle = true };
		err = qcow_commit_wait(meta);
		if (!err)
			err = qcow_job_run(meta, &view.job);
	} while (!err && view.is_due);
	return err;
}

/**
 * struct view_leaks - leaks on their way
 * @job: frees them
 * @leaks: they
 * @nr: of them
 * @next: the first that has not been dropped as a whole
 * @done: bytes of that one that have been
 * @rep: says what is wrong
 */
struct view_leaks {
	struct qcow_job job;
	const struct qcow_leak *leaks;
	u32 nr;
	u32 next;
	u64 done;
	struct qcow_report *rep;
};

static bool is_reserved(struct qcow_space *space, u64 first, u64 nr)
{
	const struct qcow_space_run *entry;

	list_for_each_entry(entry, qcow_space_reserved(space), node) {
		if (first < entry->run.first + entry->run.nr && entry->run.first < first + nr)
			return true;
	}
	return false;
}

/* The first clusters of a range, which have one count. */
static int leak_check(struct view_leaks *l, u64 host, u64 *len, u64 *count)
{
	struct qcow_meta *meta = l->job.meta;
	u32 bits = meta->image->geo.cluster_bits;
	u64 nr;
	int err;

	err = qcow_refcounts_get(&meta->space.counts, host >> bits, *len >> bits, count, &nr);
	if (err)
		return err;
	*len = nr << bits;
	if (!*count || qcow_overlap_hit(&meta->overlap, host, *len) ||
	    is_reserved(&meta->space, host >> bits, nr)) {
		qcow_report(l->rep, "%llu bytes at 0x%llx: they are not leaked", *len, host);
		return -EUCLEAN;
	}
	if (*count > QCOW_MAX_LEAK_REFERENCES) {
		qcow_report(l->rep, "%llu bytes at 0x%llx: a count of %llu", *len, host, *count);
		return -ERANGE;
	}
	return 0;
}

static int leaks_step(struct qcow_job *job)
{
	struct view_leaks *l = container_of(job, struct view_leaks, job);
	u64 most = (u64)STEP_CLUSTERS << job->meta->image->geo.cluster_bits;
	u64 host, len, count;
	int err;

	if (READ_ONCE(job->cancelled))
		return -EINTR;
	err = qcow_meta_begin(job->meta);
	if (err || l->next == l->nr)
		return err;
	len = min(l->leaks[l->next].len - l->done, most);
	host = l->leaks[l->next].start + l->done;
	err = leak_check(l, host, &len, &count);
	if (err)
		return err;
	/* One reference after the other, as if there had been entries. */
	while (count--)
		qcow_reclaim_drop_leak(&job->meta->reclaim, host, len);
	l->done += len;
	if (l->done == l->leaks[l->next].len) {
		l->next++;
		l->done = 0;
	}
	return qcow_job_await_turn(job);
}

int qcow_view_free_leaks(struct qcow_meta *meta, const struct qcow_leak *leaks, u32 nr,
			 struct qcow_report *rep)
{
	struct view_leaks l = {
		.job = { .step = leaks_step }, .leaks = leaks, .nr = nr, .rep = rep,
	};

	return qcow_job_run(meta, &l.job);
}
