// SPDX-License-Identifier: GPL-2.0
/*
 * Which host clusters are free. Clusters are reserved in batches, so that most allocations
 * touch no reference count; those of a batch that is not used up are leaked by a power cut
 * and given back by a detach.
 */
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "message.h"
#include "meta/overlap.h"
#include "meta/space.h"
#include "meta/v1.h"
#include "meta/worker.h"
#include "store/store.h"

/* Bytes that are reserved at once, and a cluster at least. */
#define BATCH_BYTES	SZ_4M

/* The file grows by so much at least, or by a sixteenth. */
#define GROW_BYTES	SZ_4M
#define GROW_MAX_BYTES	SZ_64M

/* Slices of counts that one search for free clusters reads at most. */
#define SCAN_SLICES	4

static struct qcow_meta *space_meta(struct qcow_space *space)
{
	return container_of(space, struct qcow_meta, space);
}

static u32 cluster_bits(const struct qcow_space *space)
{
	return space->image->geo.cluster_bits;
}

static u64 batch_clusters(const struct qcow_space *space)
{
	return max_t(u64, BATCH_BYTES >> cluster_bits(space), 1);
}

static struct qcow_space_run *run_alloc(gfp_t gfp)
{
	return kmalloc(sizeof(struct qcow_space_run), GFP_NOIO | gfp);
}

/* Insert a run, merged with the last one where it continues that; @entry is consumed. */
static void run_insert(struct list_head *list, struct qcow_space_run *entry,
		       const struct qcow_run *run)
{
	struct qcow_space_run *last;

	if (!list_empty(list)) {
		last = list_last_entry(list, struct qcow_space_run, node);
		if (last->run.first + last->run.nr == run->first && last->run.zero == run->zero) {
			last->run.nr += run->nr;
			kfree(entry);
			return;
		}
	}
	entry->run = *run;
	list_add_tail(&entry->node, list);
}

/* The same, if there is memory for it. */
static bool run_try_insert(struct list_head *list, const struct qcow_run *run)
{
	struct qcow_space_run *entry = run_alloc(0);

	if (entry)
		run_insert(list, entry, run);
	return entry;
}

/* Cut up to @max clusters off the first run that has @min; false: none has. */
static bool run_cut(struct list_head *list, u64 min, u64 max, struct qcow_run *run)
{
	struct qcow_space_run *entry;

	list_for_each_entry(entry, list, node) {
		if (entry->run.nr < min)
			continue;
		*run = entry->run;
		run->nr = min(run->nr, max);
		entry->run.first += run->nr;
		entry->run.nr -= run->nr;
		if (!entry->run.nr) {
			list_del(&entry->node);
			kfree(entry);
		}
		return true;
	}
	return false;
}

static void runs_drop(struct list_head *list)
{
	struct qcow_space_run *entry, *next;

	list_for_each_entry_safe(entry, next, list, node)
		kfree(entry);
	INIT_LIST_HEAD(list);
}

/* Nothing refers to it and its count is 0. Without memory it is found again later. */
static void space_add_free(struct qcow_space *space, const struct qcow_run *run)
{
	if (!run_try_insert(&space->free, run))
		space->scanned = min(space->scanned, run->first);
}

/* Metadata in clusters that are free: the counts are wrong, or the metadata is. */
static int space_check_free(struct qcow_space *space, u64 first, u64 nr)
{
	if (!qcow_overlap_hit(space->overlap, first << cluster_bits(space),
			      nr << cluster_bits(space)))
		return 0;
	qcow_message(space->image, "cluster 0x%llx: counted as free, and holds metadata",
		     first << cluster_bits(space));
	return -EUCLEAN;
}

/* The store reaches to cluster @end; more than that where it can. */
static int space_extend(struct qcow_space *space, u64 end)
{
	struct qcow_store *store = space->image->store;
	u64 bytes = end << cluster_bits(space);
	u64 more;
	int err;

	if (bytes <= store->bytes)
		return 0;
	more = clamp_t(u64, store->bytes / 16, GROW_BYTES, GROW_MAX_BYTES);
	more = round_up(max(bytes, store->bytes + more), 1ULL << cluster_bits(space));
	err = qcow_store_resize(store, more, 0);
	if (err && more > bytes)
		err = qcow_store_resize(store, bytes, 0);
	if (!err)
		WRITE_ONCE(space->image->geo.file_bytes, store->bytes);
	return err;
}

int qcow_space_extend(struct qcow_space *space, struct qcow_store *store, u64 end)
{
	if (likely(end <= store->bytes))
		return 0;
	if (store == space->image->store)
		return space_extend(space, DIV_ROUND_UP_ULL(end, 1U << cluster_bits(space)));
	return qcow_store_resize(store, end, 0);
}

/* Clusters behind the last one in use: @want if counts and file reach so far, else @min or more. */
static int space_append(struct qcow_space *space, u64 min, u64 want, struct qcow_run *run)
{
	struct qcow_run old;
	u64 covered, used;
	int err;

	if (space->counted && min > qcow_refcounts_max_run(&space->counts)) {
		qcow_message(space->image,
			     "%llu clusters in one piece: a refcount block counts %llu at most",
			     min, qcow_refcounts_max_run(&space->counts));
		return -ENOSPC;
	}
	while (space->counted) {
		covered = qcow_refcounts_covered(&space->counts, space->end);
		if (covered >= min) {
			want = min(want, covered);
			break;
		}
		if (covered) {
			/* Too few for this allocation: they are for later ones. */
			*run = (struct qcow_run) { .first = space->end, .nr = covered };
			run->zero = space->end >= space->zero_from;
			space_add_free(space, run);
			space->end += covered;
		}
		used = qcow_refcounts_extend_clusters(&space->counts, space->end);
		err = space_check_free(space, space->end, used);
		if (!err)
			err = space_extend(space, space->end + used);
		if (err)
			return err;
		err = qcow_refcounts_extend(&space->counts, space->end, &used, &old);
		if (err)
			return err;
		space->end += used;
		qcow_reclaim_drop_range(&space_meta(space)->reclaim,
					old.first << cluster_bits(space),
					old.nr << cluster_bits(space));
	}
	err = space_extend(space, space->end + want);
	if (err && want > min) {
		want = min;
		err = space_extend(space, space->end + want);
	}
	if (err)
		return err;
	*run = (struct qcow_run) {
		.first = space->end, .nr = want, .zero = space->end >= space->zero_from,
	};
	space->end += want;
	return 0;
}

/* Read some more counts, to find clusters that were free before this attach. */
static int space_scan(struct qcow_space *space)
{
	unsigned int slices;
	int err;

	for (slices = 0; slices < SCAN_SLICES && space->scanned < space->end; slices++) {
		struct qcow_run run = { .first = space->scanned };
		u64 next;

		err = qcow_refcounts_find(&space->counts, &run.first, space->end, &run.nr, &next);
		if (err)
			return err;
		space->scanned = next;
		if (run.nr) {
			if (!run_try_insert(&space->free, &run))
				space->scanned = run.first;
			return 0;
		}
	}
	return 0;
}

/* Clusters with a count of 0, wherever they come from. */
static int space_find(struct qcow_space *space, u64 min, u64 want, struct qcow_run *run)
{
	int err;

	if (run_cut(&space->free, min, want, run))
		return 0;
	/* What is in the list must not be found a second time. */
	if (space->counted && list_empty(&space->free)) {
		err = space_scan(space);
		if (err)
			return err;
		if (run_cut(&space->free, min, want, run))
			return 0;
	}
	return space_append(space, min, want, run);
}

/* Reserve a batch in @entry, which is consumed if that works. */
static int space_refill(struct qcow_space *space, u64 min, u64 max, struct qcow_space_run *entry)
{
	u64 want = max(max, batch_clusters(space));
	struct qcow_run run;
	int err;

	if (space->counted)
		want = max(min, min(want, qcow_refcounts_batch(&space->counts)));
	err = space_find(space, min, want, &run);
	if (err)
		return err;
	/* Free clusters may lie behind the end: counted there, and cut off. */
	err = space_extend(space, run.first + run.nr);
	if (err) {
		space_add_free(space, &run);
		return err;
	}
	err = space_check_free(space, run.first, run.nr);
	if (!err && space->counted)
		err = qcow_refcounts_set_used(&space->counts, run.first, run.nr);
	if (!err)
		run_insert(&space->reserved, entry, &run);
	else if (err != -EUCLEAN)
		space_add_free(space, &run);
	return err;
}

static int space_alloc_reserved(struct qcow_space *space, u64 min, u64 max, struct qcow_run *run)
{
	struct qcow_space_run *entry;
	int err;

	if (run_cut(&space->reserved, min, max, run))
		return 0;
	/* Once they are counted, memory for them must not be what is missing. */
	entry = run_alloc(0);
	err = entry ? space_refill(space, min, max, entry) : -ENOMEM;
	if (err)
		kfree(entry);
	else
		run_cut(&space->reserved, min, max, run);
	return err;
}

/* What is left of a window is reserved for any stream. Return: whether that is something. */
static bool space_close_window(struct qcow_space *space, struct qcow_window *window)
{
	struct qcow_run run;
	bool some = false;

	while (qcow_window_drain(window, &run)) {
		run_insert(&space->reserved, run_alloc(__GFP_NOFAIL), &run);
		some = true;
	}
	return some;
}

static bool space_close_windows(struct qcow_space *space)
{
	bool some = false;
	unsigned int i;

	for (i = 0; i < QCOW_WINDOWS; i++)
		some |= space_close_window(space, &space->windows.window[i]);
	return some;
}

static int space_alloc(struct qcow_space *space, u64 min, u64 max, struct qcow_run *run)
{
	int err = space_alloc_reserved(space, min, max, run);

	if (err == -ENOSPC && space_close_windows(space))
		err = space_alloc_reserved(space, min, max, run);
	return err;
}

/* A window for the stream that @guest continues, if it does and there is room. */
static int space_open_window(struct qcow_space *space, u64 guest, u64 max)
{
	struct qcow_windows *windows = &space->windows;
	struct qcow_window *window;
	struct qcow_run run;
	u64 begin;
	int err;

	if (!qcow_windows_expect(windows, guest, max, &begin))
		return 0;
	if (space->counted && guest - begin >= qcow_refcounts_max_run(&space->counts))
		return 0;
	err = space_alloc_reserved(space, guest - begin + 1, windows->nr, &run);
	if (err)
		return err == -ENOSPC ? 0 : err;
	window = qcow_windows_replace(windows, begin);
	space_close_window(space, window);
	qcow_window_open(window, begin, &run);
	return 0;
}

int qcow_space_alloc_guest(struct qcow_space *space, u64 guest, u64 max, struct qcow_run *run)
{
	struct qcow_windows *windows = &space->windows;
	int err;

	if (qcow_windows_alloc(windows, guest, max, run))
		return 0;
	err = space_open_window(space, guest, max);
	if (err || qcow_windows_alloc(windows, guest, max, run))
		return err;
	err = space_alloc(space, 1, max, run);
	if (!err)
		qcow_windows_note(windows, guest + run->nr);
	return err;
}

int qcow_space_alloc(struct qcow_space *space, u64 nr, struct qcow_run *run)
{
	return space_alloc(space, nr, nr, run);
}

void qcow_space_release(struct qcow_space *space, u64 first, u64 nr)
{
	struct qcow_run run = { .first = first, .nr = nr };

	run_insert(&space->reserved, run_alloc(__GFP_NOFAIL), &run);
}

int qcow_space_unref(struct qcow_space *space, u64 host, u64 len, struct list_head *unused)
{
	u64 last = (host + len - 1) >> cluster_bits(space);
	struct qcow_run run = { .first = host >> cluster_bits(space) };
	int err = 0, ret;

	for (; run.first <= last; run.first += run.nr) {
		u64 count = 1;

		run.nr = last - run.first + 1;
		ret = !space->counted ? 0 :
			qcow_refcounts_get(&space->counts, run.first, run.nr, &count, &run.nr);
		if (!ret && count == 1)
			run_insert(unused, run_alloc(__GFP_NOFAIL), &run);
		else if (!ret)
			ret = qcow_refcounts_dec(&space->counts, run.first, run.nr);
		err = err ?: ret;
	}
	return err;
}

int qcow_space_free(struct qcow_space *space, const struct qcow_run *run)
{
	int err = 0;

	if (space->counted)
		err = qcow_refcounts_dec(&space->counts, run->first, run->nr);
	if (err)
		return err;
	/* A table that a snapshot has shared may have been there. */
	qcow_overlap_del(space->overlap, run->first << cluster_bits(space),
			 run->nr << cluster_bits(space));
	space_add_free(space, run);
	return 0;
}

void qcow_space_unreserve(struct qcow_space *space, struct list_head *unused)
{
	space_close_windows(space);
	list_splice_tail_init(&space->reserved, unused);
}

/* Clusters at the end that are free: the image ends before them. */
static void space_lower_end(struct qcow_space *space)
{
	struct qcow_space_run *entry;
	bool lower;

	do {
		lower = false;
		list_for_each_entry(entry, &space->free, node) {
			if (entry->run.nr && entry->run.first + entry->run.nr == space->end) {
				space->end = entry->run.first;
				entry->run.nr = 0;
				lower = true;
			}
		}
	} while (lower);
}

void qcow_space_trim(struct qcow_space *space)
{
	struct qcow_store *store = space->image->store;

	space_lower_end(space);
	if (space->end << cluster_bits(space) < store->bytes)
		qcow_store_resize(store, space->end << cluster_bits(space), 0);
}

/* A file of version 1 ends where the image does. */
static int space_open_v1(struct qcow_space *space, struct qcow_report *rep)
{
	const struct file *file = space->image->store->file;
	u64 end;
	int err;

	if (!file || !S_ISBLK(file_inode(file)->i_mode))
		return 0;
	err = qcow_v1_end(space->image, &end, rep);
	space->end = DIV_ROUND_UP_ULL(end, 1U << cluster_bits(space));
	return err;
}

int qcow_space_open(struct qcow_space *space, struct qcow_image *image,
		    struct qcow_overlap *overlap, struct qcow_report *rep)
{
	struct qcow_store *store = image->store;
	u64 store_end = DIV_ROUND_UP_ULL(store->bytes, 1U << image->geo.cluster_bits);
	int err;

	INIT_LIST_HEAD(&space->free);
	INIT_LIST_HEAD(&space->reserved);
	qcow_windows_init(&space->windows, image->geo.cluster_bits);
	space->image = image;
	space->overlap = overlap;
	space->counted = image->header.version > 1;
	/* What a window does not use becomes a gap, which only moving clusters could fill. */
	if (!space->counted)
		space->windows.nr = 0;
	space->zero_from = store_end;
	space->end = store_end;
	if (!space->counted)
		return space_open_v1(space, rep);
	err = qcow_refcounts_open(&space->counts, image, overlap, rep);
	if (err)
		return err;
	err = qcow_refcounts_end(&space->counts, &space->end);
	if (err)
		qcow_refcounts_close(&space->counts);
	return err;
}

void qcow_space_close(struct qcow_space *space)
{
	if (space->counted)
		qcow_refcounts_close(&space->counts);
	runs_drop(&space->free);
	runs_drop(&space->reserved);
}
