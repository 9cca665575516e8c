// SPDX-License-Identifier: GPL-2.0
/*
 * Which host clusters are free. Clusters are reserved in batches, so that most allocations
 * touch no reference count; those of a batch that is not used up are leaked by a power cut
 * and given back by a detach.
 *
 * Clusters come from those that are known to be free, lowest first; from a look at some more of
 * the counts, which goes on where the last one ended; from the end of the image. When that cannot
 * grow the look at the counts goes on to its end, a piece in each turn of the worker.
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
#include "meta/writeback.h"
#include "store/store.h"
#include "trace.h"

/* Bytes that are reserved at once, and a cluster at least. */
#define BATCH_BYTES	SZ_4M

/* The file grows by so much at least, or by a sixteenth. */
#define GROW_BYTES	SZ_4M
#define GROW_MAX_BYTES	SZ_64M

/* Bytes of counts that a search for free clusters reads in one turn of the worker. */
#define SCAN_BYTES	SZ_16K

/* Runs of free clusters that are remembered; more are found again by their counts. */
#define FREE_RUNS	32768

/* Bits of a host offset in an entry of a table. */
#define HOST_BITS	56

/* Reserved clusters that are made free at once, with counts in few slices. */
#define GIVE_BACK_CLUSTERS	256

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

void qcow_space_run_add(struct list_head *list, const struct qcow_run *run)
{
	run_insert(list, run_alloc(__GFP_NOFAIL), run);
}

/* Cut up to @max clusters off the first run that has @min in front of @below; false: none has. */
static bool run_cut(struct list_head *list, u64 min, u64 max, u64 below, struct qcow_run *run)
{
	struct qcow_space_run *entry;

	list_for_each_entry(entry, list, node) {
		if (entry->run.nr < min || entry->run.first >= below ||
		    below - entry->run.first < min)
			continue;
		*run = entry->run;
		run->nr = min3(run->nr, max, below - run->first);
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

void qcow_space_runs_free(struct list_head *list)
{
	struct qcow_space_run *entry, *next;

	list_for_each_entry_safe(entry, next, list, node)
		kfree(entry);
	INIT_LIST_HEAD(list);
}

/* Nothing refers to them and their count is 0; @own: freed by this attach. */
static void space_add_free(struct qcow_space *space, const struct qcow_run *run, bool own)
{
	if (!qcow_freemap_add(&space->free, run, own))
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

/* The store ends at cluster @end. What has not been in it before cluster @first takes no space. */
static int space_lengthen(struct qcow_space *space, u64 first, u64 end)
{
	struct qcow_store *store = space->image->store;
	int err;

	if (end > space->limit)
		return -EFBIG;
	err = qcow_store_resize(store, end << cluster_bits(space), first << cluster_bits(space));
	if (!err)
		WRITE_ONCE(space->image->geo.file_bytes, store->bytes);
	return err;
}

/* The store reaches to cluster @end, and further where it can. @first as above. */
static int space_extend(struct qcow_space *space, u64 first, u64 end)
{
	const struct qcow_store *store = space->image->store;
	u64 more;
	int err;

	if (end <= store->bytes >> cluster_bits(space))
		return 0;
	more = store->bytes + clamp_t(u64, store->bytes / 16, GROW_BYTES, GROW_MAX_BYTES);
	more = max(end, DIV_ROUND_UP_ULL(more, 1U << cluster_bits(space)));
	err = space_lengthen(space, first, more);
	if (err && more > end)
		err = space_lengthen(space, first, end);
	return err;
}

int qcow_space_extend(struct qcow_space *space, struct qcow_store *store, u64 host, u64 end)
{
	u64 last;
	int err;

	if (likely(end <= store->bytes))
		return 0;
	if (store != space->image->store)
		return qcow_store_resize(store, end, host);
	last = DIV_ROUND_UP_ULL(end, 1U << cluster_bits(space));
	err = space_extend(space, host >> cluster_bits(space), last);
	if (!err)
		space->keep = max(space->keep, last);
	return err;
}

/* Refcount blocks for clusters that have none; @used: these are used, too. */
static int space_grow(struct qcow_space *space, const struct qcow_growth *growth, bool used)
{
	u64 end = used ? qcow_growth_end(growth) : qcow_growth_metadata_end(growth);
	struct qcow_run old;
	int err;

	err = space_check_free(space, growth->first, end - growth->first);
	if (!err)
		err = space_extend(space, growth->first, qcow_growth_end(growth));
	if (!err)
		err = qcow_refcounts_grow(&space->counts, growth, used, &old);
	if (err)
		return err;
	space->scanned = min3(space->scanned, space->end, growth->covers);
	space->end = max(space->end, end);
	qcow_reclaim_drop_range(&space_meta(space)->reclaim, old.first << cluster_bits(space),
				old.nr << cluster_bits(space));
	return 0;
}

/* More clusters in one piece than a refcount block counts: behind all blocks for them. */
static int space_append_long(struct qcow_space *space, u64 nr, struct qcow_run *run)
{
	struct qcow_growth growth;
	int err;

	err = qcow_refcounts_plan(&space->counts, space->end, nr, &growth);
	if (!err)
		err = space_grow(space, &growth, true);
	*run = (struct qcow_run) { .first = qcow_growth_metadata_end(&growth), .nr = nr };
	return err;
}

/* The end is further on, at @to; the @nr clusters there are for other allocations. */
static int space_skip(struct qcow_space *space, u64 nr, u64 to)
{
	struct qcow_run run = {
		.first = space->end, .nr = nr, .zero = space->end >= space->zero_from,
	};
	int err = 0;

	/* What is passed over takes no space: counts may say anything. */
	if (to > space->image->store->bytes >> cluster_bits(space))
		err = space_lengthen(space, nr ? space->end : to, to);
	if (err)
		return err;
	space_add_free(space, &run, false);
	space->end = to;
	return 0;
}

/*
 * How many clusters are free at the end, up to @want, and counted. 0: less than @min, and the end
 * has moved to where there are no refcount blocks. Clusters behind the end of the file are in use
 * where a power cut has lost its growth and not the counts.
 */
static int space_find_end(struct qcow_space *space, u64 min, u64 want, u64 *nr)
{
	struct qcow_refcounts *counts = &space->counts;
	u64 found, next, pos;
	int err;

	*nr = 0;
	while (*nr < want && qcow_refcounts_covered(counts, space->end + *nr)) {
		pos = space->end + *nr;
		err = qcow_refcounts_find(counts, &pos, U64_MAX, &found, &next);
		if (err)
			return err;
		if (found && pos == space->end + *nr) {
			*nr = min(*nr + found, want);
			continue;
		}
		if (*nr >= min)
			return 0;
		err = space_skip(space, *nr, found ? pos : next);
		*nr = 0;
		if (!err && !space->budget)
			err = -EAGAIN;
		if (err)
			return err;
		space->budget--;
	}
	if (*nr >= min)
		return 0;
	err = space_skip(space, *nr, space->end + *nr);
	*nr = 0;
	return err;
}

/* Free and counted clusters at the end: refcount blocks are made for them. */
static int space_cover_end(struct qcow_space *space, u64 min, u64 want, u64 *nr)
{
	struct qcow_growth growth;
	int err;

	err = space_find_end(space, min, want, nr);
	if (err || *nr)
		return err;
	err = qcow_refcounts_plan(&space->counts, space->end, min, &growth);
	if (!err)
		err = space_grow(space, &growth, false);
	return err ?: space_find_end(space, min, want, nr);
}

/* Clusters behind the last one in use: @want if counts and file reach so far, else @min or more. */
static int space_append(struct qcow_space *space, u64 min, u64 want, struct qcow_run *run)
{
	int err = 0;

	if (space->counted)
		err = space_cover_end(space, min, want, &want);
	if (err)
		return err;
	err = space_extend(space, space->end, space->end + want);
	if (err && want > min) {
		want = min;
		err = space_extend(space, space->end, space->end + want);
	}
	if (err)
		return err;
	*run = (struct qcow_run) {
		.first = space->end, .nr = want, .zero = space->end >= space->zero_from,
	};
	space->end += want;
	return 0;
}

/* In the stead of others that are behind it, and so are found again. */
static bool space_note_free(struct qcow_space *space, const struct qcow_run *run)
{
	while (!qcow_freemap_add(&space->free, run, false)) {
		if (!qcow_freemap_evict(&space->free, run->first + run->nr))
			return false;
	}
	return true;
}

/* Look at some more counts, in front of @below, until there are so many; @run->nr 0: not so far. */
static int space_scan(struct qcow_space *space, u64 min, u64 want, u64 below, struct qcow_run *run)
{
	u64 next;
	int err;

	run->nr = 0;
	for (; space->budget && space->scanned < min(space->end, below); space->budget--) {
		struct qcow_run found = {
			.first = qcow_refcounts_next_covered(&space->counts, space->scanned),
		};

		if (found.first >= space->end) {
			space->scanned = space->end;
			break;
		}
		err = qcow_refcounts_find(&space->counts, &found.first, space->end, &found.nr,
					  &next);
		if (err)
			return err;
		space->scanned = next;
		if (!found.nr)
			continue;
		if (!space_note_free(space, &found)) {
			space->scanned = found.first;
			return space->full ? -ENOMEM : 0;
		}
		if (qcow_freemap_take(&space->free, min, want, below, run))
			break;
	}
	return 0;
}

/* Clusters in front of the end that have no refcount block get one. */
static int space_cover_hole(struct qcow_space *space, u64 min)
{
	struct qcow_growth growth;
	int err;

	err = qcow_refcounts_plan(&space->counts, 0, min, &growth);
	if (err || growth.table_clusters || qcow_growth_end(&growth) > space->end)
		return err ?: -ENOSPC;
	return space_grow(space, &growth, false);
}

static bool space_is_searching(const struct qcow_space *space)
{
	return space->counted && space->scanned < space->end;
}

/* Clusters with a count of 0 in front of @below; U64_MAX: wherever they come from. */
static int space_find(struct qcow_space *space, u64 min, u64 want, u64 below, struct qcow_run *run)
{
	int err, hole = -ENOSPC;

	if (qcow_freemap_take(&space->free, min, want, below, run))
		return 0;
	if (space->counted) {
		err = space_scan(space, min, want, below, run);
		if (err || run->nr)
			return err;
	}
	if (below != U64_MAX)
		return space->scanned < min(space->end, below) ? -EAGAIN : -ENOSPC;
	if (space->full && space_is_searching(space))
		return -EAGAIN;
	err = space_append(space, min, want, run);
	space->full = qcow_space_is_full(err);
	if (!space->full)
		return err;
	if (space_is_searching(space))
		return -EAGAIN;
	if (space->counted)
		hole = space_cover_hole(space, min);
	if (!qcow_space_is_full(hole))
		return hole ?: -EAGAIN;
	return err;
}

/* Reserve a batch in @entry, which is consumed if that works. */
static int space_refill(struct qcow_space *space, u64 min, u64 max, u64 below,
			struct qcow_space_run *entry)
{
	u64 want = max(max, batch_clusters(space));
	struct qcow_run run;
	int err;

	if (space->counted)
		want = max(min, min(want, qcow_refcounts_batch(&space->counts)));
	err = space_find(space, min, want, below, &run);
	if (err)
		return err;
	/* The file may end within the last one. */
	err = space_extend(space, run.first, run.first + run.nr);
	if (!err)
		err = space_check_free(space, run.first, run.nr);
	if (!err && space->counted)
		err = qcow_refcounts_set_used(&space->counts, run.first, run.nr);
	if (!err)
		run_insert(&space->reserved, entry, &run);
	else if (err != -EUCLEAN)
		space_add_free(space, &run, false);
	return err;
}

static int space_alloc_reserved(struct qcow_space *space, u64 min, u64 max, u64 below,
				struct qcow_run *run)
{
	struct qcow_space_run *entry;
	int err;

	if (run_cut(&space->reserved, min, max, below, run))
		return 0;
	if (space->counted && min > qcow_refcounts_max_run(&space->counts))
		return below == U64_MAX ? space_append_long(space, min, run) : -ENOSPC;
	/* Once they are counted, memory for them must not be what is missing. */
	entry = run_alloc(0);
	err = entry ? space_refill(space, min, max, below, entry) : -ENOMEM;
	if (err)
		kfree(entry);
	else
		run_cut(&space->reserved, min, max, below, run);
	return err;
}

/* What is left of a window is reserved for any stream. Return: whether that is something. */
static bool space_close_window(struct qcow_space *space, struct qcow_window *window)
{
	struct qcow_run run;
	bool some = false;

	while (qcow_window_drain(window, &run)) {
		qcow_space_run_add(&space->reserved, &run);
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

/* What is reserved is free again, as far as counts may be changed. Whether that is something. */
static bool space_give_back(struct qcow_space *space)
{
	struct qcow_run run;
	bool some = false;

	while (qcow_writeback_has_room(space->image->cache) &&
	       run_cut(&space->reserved, 1, GIVE_BACK_CLUSTERS, U64_MAX, &run)) {
		if (qcow_space_free(space, &run))
			break;
		some = true;
	}
	return some;
}

static int space_alloc(struct qcow_space *space, u64 min, u64 max, struct qcow_run *run)
{
	int err = space_alloc_reserved(space, min, max, U64_MAX, run);

	if (!err || !(err == -EAGAIN || qcow_space_is_full(err)))
		return err;
	if (space_close_windows(space))
		err = space_alloc_reserved(space, min, max, U64_MAX, run);
	/* What is reserved may be in pieces, and with what is beside it not. */
	if (qcow_space_is_full(err) && min > 1 && space_give_back(space))
		err = space_alloc_reserved(space, min, max, U64_MAX, run);
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
	err = space_alloc_reserved(space, guest - begin + 1, windows->nr, U64_MAX, &run);
	if (err)
		return err == -EAGAIN || err == -ENOMEM || qcow_space_is_full(err) ? 0 : err;
	window = qcow_windows_replace(windows, begin);
	space_close_window(space, window);
	qcow_window_open(window, begin, &run);
	return 0;
}

/* An allocation has succeeded, unless @err. */
static int space_account(struct qcow_space *space, enum qcow_use use, const struct qcow_run *run,
			 int err)
{
	if (err)
		return err;
	if (use == QCOW_USE_DATA)
		WRITE_ONCE(space->allocated, space->allocated + run->nr);
	trace_qcow_alloc(space, run, use == QCOW_USE_DATA);
	return 0;
}

static int space_alloc_guest(struct qcow_space *space, u64 guest, u64 max, struct qcow_run *run)
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

int qcow_space_alloc_guest(struct qcow_space *space, u64 guest, u64 max, struct qcow_run *run)
{
	return space_account(space, QCOW_USE_DATA, run, space_alloc_guest(space, guest, max, run));
}

int qcow_space_alloc(struct qcow_space *space, enum qcow_use use, u64 nr, struct qcow_run *run)
{
	return space_account(space, use, run, space_alloc(space, nr, nr, run));
}

int qcow_space_alloc_below(struct qcow_space *space, enum qcow_use use, u64 below, u64 nr,
			   struct qcow_run *run)
{
	return space_account(space, use, run, space_alloc_reserved(space, nr, nr, below, run));
}

void qcow_space_release(struct qcow_space *space, u64 first, u64 nr)
{
	struct qcow_run run = { .first = first, .nr = nr };

	qcow_space_run_add(&space->reserved, &run);
}

void qcow_space_release_runs(struct qcow_space *space, struct list_head *list)
{
	const struct qcow_space_run *entry;

	list_for_each_entry(entry, list, node)
		qcow_space_release(space, entry->run.first, entry->run.nr);
	qcow_space_runs_free(list);
}

/* No compressed data comes into a cluster any more that is on its way to be free. */
static void space_add_unused(struct qcow_space *space, const struct qcow_run *run,
			     struct list_head *unused)
{
	u64 cluster = space->next_byte >> cluster_bits(space);

	if (cluster >= run->first && cluster - run->first < run->nr)
		qcow_space_close_bytes(space);
	qcow_space_run_add(unused, run);
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
			space_add_unused(space, &run, unused);
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
	/* Behind the end they are found by their counts. */
	if (run->first < space->end) {
		struct qcow_run within = *run;

		within.nr = min(run->nr, space->end - run->first);
		space_add_free(space, &within, true);
	}
	space->news = true;
	return 0;
}

const struct list_head *qcow_space_reserved(struct qcow_space *space)
{
	space_close_windows(space);
	return &space->reserved;
}

void qcow_space_unreserve(struct qcow_space *space, struct list_head *unused)
{
	space_close_windows(space);
	list_splice_tail_init(&space->reserved, unused);
}

int qcow_space_next_free(struct qcow_space *space, u64 *from, u64 *used, struct qcow_run *run)
{
	u64 first, begin, next;
	int err;

	*run = (struct qcow_run) {};
	begin = min(qcow_refcounts_next_covered(&space->counts, *from), space->end);
	*from = begin;
	if (begin == space->end)
		return 0;
	first = begin;
	err = qcow_refcounts_find(&space->counts, &first, space->end, &run->nr, &next);
	if (err)
		return err;
	run->first = first;
	*used += next - begin - run->nr;
	*from = next;
	/* So they need not be looked for later. */
	if (qcow_freemap_add(&space->free, run, false) && space->scanned >= begin)
		space->scanned = max(space->scanned, next);
	return 0;
}

/* Most of many blocks may have no count left. */
static int space_find_last(struct qcow_space *space, u64 *end)
{
	u64 to;
	int err;

	*end = space->end;
	do {
		to = *end;
		err = qcow_refcounts_end(&space->counts, to, end);
	} while (!err && *end < to);
	return err;
}

int qcow_space_cut(struct qcow_space *space)
{
	struct qcow_store *store = space->image->store;
	u64 end;
	int err;

	err = space_find_last(space, &end);
	if (err)
		return err;
	if (end << cluster_bits(space) < store->bytes &&
	    qcow_store_resize(store, end << cluster_bits(space), 0))
		return 0;
	qcow_freemap_cut(&space->free, end);
	space->end = end;
	space->keep = end;
	space->scanned = min(space->scanned, end);
	if (store->bytes == end << cluster_bits(space)) {
		WRITE_ONCE(space->image->geo.file_bytes, store->bytes);
		space->zero_from = min(space->zero_from, end);
	}
	return 0;
}

void qcow_space_trim(struct qcow_space *space)
{
	struct qcow_store *store = space->image->store;
	u64 end = qcow_freemap_end(&space->free, max(space->end, space->keep), space->keep);

	if (end << cluster_bits(space) < store->bytes)
		qcow_store_resize(store, end << cluster_bits(space), 0);
}

void qcow_space_begin_turn(struct qcow_space *space)
{
	if (space->counted)
		space->budget = qcow_refcounts_slices(&space->counts, SCAN_BYTES);
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

	INIT_LIST_HEAD(&space->reserved);
	qcow_windows_init(&space->windows, image->geo.cluster_bits);
	space->image = image;
	space->overlap = overlap;
	space->counted = image->header.version > 1;
	/* Version 1 has no counts to find them again. */
	qcow_freemap_init(&space->free, space->counted ? FREE_RUNS : U32_MAX);
	space->limit = BIT_ULL(HOST_BITS - cluster_bits(space));
	store_end = min(store_end, space->limit);
	space->zero_from = store_end;
	space->keep = store_end;
	space->end = store_end;
	if (!space->counted)
		return space_open_v1(space, rep);
	err = qcow_refcounts_open(&space->counts, image, overlap, rep);
	if (err)
		return err;
	err = qcow_refcounts_end(&space->counts, store_end, &space->end);
	if (err)
		qcow_refcounts_close(&space->counts);
	return err;
}

void qcow_space_close(struct qcow_space *space)
{
	if (space->counted)
		qcow_refcounts_close(&space->counts);
	qcow_freemap_destroy(&space->free);
	qcow_space_runs_free(&space->reserved);
}
