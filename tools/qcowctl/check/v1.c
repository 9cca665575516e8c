// SPDX-License-Identifier: GPL-2.0
/*
 * Version 1. There are no reference counts: the check is that no two entries refer to the same
 * bytes, and none beyond the end of the file. Clusters that nothing refers to are leaked; a
 * repair moves others into them, cuts off the end of the file, and extends a file that has been cut
 * off.
 */
#include <errno.h>
#include <unistd.h>

#include "check/internal.h"

/**
 * struct used - bytes of the file that something refers to
 * @start: host offset of the first
 * @end: host offset behind the last
 */
struct used {
	u64 start;
	u64 end;
};

/**
 * struct used_list - all of them
 * @list: in the order in which they were found, sorted by compare_ranges()
 * @nr: of them
 * @room: entries that @list has memory for
 */
struct used_list {
	struct used *list;
	size_t nr;
	size_t room;
};

/* A global, as the callback of check_walk_l2() has no context of its own; there is one image. */
static struct used_list used;
static struct v1_gaps gaps;

/* A range that continues the one before extends it. */
static void add_used(struct check *c, u64 start, u64 bytes, const char *what)
{
	u64 end;

	if (!bytes)
		return;
	if (check_add_overflow(start, bytes, &end) || start >= c->img->bytes ||
	    (end > c->img->bytes && end - c->img->bytes >= check_cluster_bytes(c))) {
		check_corrupt(c, 1, "%s of %llu bytes at 0x%llx, beyond the end of the file", what,
			      bytes, start);
		check_note_beyond(c, start, bytes);
		c->res.lost++;
		return;
	}
	c->first_used = min(c->first_used, start);
	if (used.nr && used.list[used.nr - 1].end == start) {
		used.list[used.nr - 1].end = end;
		return;
	}
	if (used.nr == used.room) {
		used.room = used.room ? used.room * 2 : 1024;
		used.list = check_grow(used.list, used.room, sizeof(*used.list));
	}
	used.list[used.nr++] = (struct used){ .start = start, .end = end };
}

static void note_l1_entry(struct check *c, u64 idx, u64 entry)
{
	u64 host = entry & c->g.l1_offset_mask;
	struct qcow_flaw flaw;
	u64 table;

	if (qcow_l1_decode(&c->g, entry, &table, &flaw)) {
		if (!(entry & c->g.l1_reserved))
			check_note_beyond(c, host, check_l2_bytes(c));
		check_corrupt(c, 1, "L1 entry %llu: 0x%llx: %s", idx, entry, flaw.what);
		c->res.lost++;
	} else if (host) {
		check_l2_record(c, host, true);
	}
}

static int count_l1(struct check *c)
{
	const struct qcow_header *h = &c->img->h;
	u32 piece = min(h->l1_entries, 128U << 10), done, nr, i;
	__be64 *l1;
	int err = 0;

	add_used(c, h->l1_offset, h->l1_entries * sizeof(*l1), "L1 table");
	check_note_beyond(c, h->l1_offset, h->l1_entries * sizeof(*l1));
	if (c->res.lost)
		return 0;
	l1 = check_alloc(piece, sizeof(*l1));
	for (done = 0; !err && done < h->l1_entries; done += nr) {
		nr = min(h->l1_entries - done, piece);
		err = check_read(c, l1, nr * sizeof(*l1), h->l1_offset + (u64)done * sizeof(*l1));
		for (i = 0; !err && i < nr; i++)
			if (l1[i])
				note_l1_entry(c, done + i, be64_to_cpu(l1[i]));
	}
	free(l1);
	return err;
}

/* Tables that overlap another one are not walked, so that no byte is read twice. */
static void drop_overlapping_tables(struct check *c)
{
	struct l2_refs *l2 = &c->l2;
	size_t i, to = 0;
	u64 end = 0;

	check_l2_sort(c);
	for (i = 0; i < l2->nr; i++) {
		struct l2_ref ref = l2->list[i];

		if (ref.active > 1)
			check_corrupt(c, ref.active - 1, "L2 table 0x%llx: %u L1 entries have it",
				      ref.host_offset, ref.active);
		if (ref.host_offset < end) {
			check_corrupt(c, 1, "L2 table 0x%llx: over another L2 table",
				      ref.host_offset);
			c->res.lost++;
			continue;
		}
		end = ref.host_offset + check_l2_bytes(c);
		add_used(c, ref.host_offset, check_l2_bytes(c), "L2 table");
		ref.active = 1;
		l2->list[to++] = ref;
	}
	l2->nr = to;
}

static void count_table(struct check *c, const struct l2_ref *ref, __be64 *entries)
{
	u64 nr = BIT_ULL(c->g.l2_bits), expected = 0, i, entry, bitmap;
	struct entry_ref e;

	for (i = 0; i < nr; i++) {
		if (!check_l2_entry(c, entries, i, &entry, &bitmap))
			continue;
		check_entry_decode(&c->g, entry, bitmap, &e);
		if (e.flaws)
			check_entry_flaws(c, ref, i, entry, e.flaws);
		if (!e.bytes)
			continue;
		check_statistics(c, ref, &e, &expected);
		add_used(c, e.host_offset, e.bytes,
			 e.kind == ENTRY_COMPRESSED ? "compressed cluster" : "cluster");
	}
}

static int compare_used(const void *a, const void *b)
{
	const struct used *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static void add_gap(u64 first, u64 nr)
{
	if (gaps.nr == gaps.room) {
		gaps.room = gaps.room ? gaps.room * 2 : 1024;
		gaps.list = check_grow(gaps.list, gaps.room, sizeof(*gaps.list));
	}
	gaps.list[gaps.nr++] = (struct v1_gap){ .first = first, .nr = nr };
}

/* Whole clusters only: less is padding up to a cluster border. */
static u64 count_gap(struct check *c, u64 start, u64 end)
{
	u64 bytes = check_cluster_bytes(c);
	u64 first = DIV_ROUND_UP_ULL(start, bytes), last = end / bytes;

	/* Of a device the driver knows them, and uses them again. */
	if (last <= first || c->is_attached)
		return 0;
	check_message(c, "%llu clusters at 0x%llx: nothing refers to them", last - first,
		      first * bytes);
	c->res.leaks += last - first;
	add_gap(first, last - first);
	return last - first;
}

/* Find overlaps and gaps. Return: leaked clusters behind the last range. */
static u64 compare_ranges(struct check *c)
{
	u64 end = 0;
	size_t i;

	qsort(used.list, used.nr, sizeof(*used.list), compare_used);
	for (i = 0; i < used.nr; i++) {
		const struct used *u = &used.list[i];

		if (u->start < end)
			check_corrupt(c, 1, "bytes 0x%llx to 0x%llx are used twice", u->start,
				      min(end, u->end));
		else
			count_gap(c, end, u->start);
		end = max(end, u->end);
	}
	c->res.image_end = round_up(end, 512ULL);
	return S_ISREG(c->img->st.st_mode) ? count_gap(c, end, c->img->bytes) : 0;
}

static int truncate_tail(struct check *c, u64 clusters)
{
	u64 end = round_up(c->res.image_end, check_cluster_bytes(c));

	if (ftruncate(c->img->fd, end)) {
		int err = -errno;

		check_error(c, err, "cannot cut off the end of the file");
		return err;
	}
	c->res.leaks -= clusters;
	return check_sync(c);
}

/* @tail: leaked clusters at the end of the file. */
static int run(struct check *c, u64 *tail)
{
	const struct qcow_header *h = &c->img->h;
	int err;

	check_reset(c);
	memset(&used, 0, sizeof(used));
	gaps.nr = 0;
	c->res.total = DIV_ROUND_UP_ULL(c->g.size, check_cluster_bytes(c));
	progress_begin(&c->progress, "checking");
	add_used(c, 0, h->length, "header");
	add_used(c, h->backing_offset, h->backing_len, "backing file's name");
	c->first_used = U64_MAX;
	err = count_l1(c);
	if (!err) {
		drop_overlapping_tables(c);
		check_walk_l2(c, count_table);
		*tail = compare_ranges(c);
	}
	progress_clear(&c->progress);
	check_message_end(c);
	free(used.list);
	return err;
}

/*
 * The image ends before the cluster that has as many before it as are in use; before so many fewer,
 * where these are to be room for tables.
 */
static int fill_gaps(struct check *c, u64 tail, u64 *unplaced)
{
	u64 end = DIV_ROUND_UP_ULL(c->res.image_end, check_cluster_bytes(c));
	u64 target = end - (c->res.leaks - tail);
	size_t i, nr = 0;

	target -= min(target, *unplaced);
	for (i = 0; i < gaps.nr && gaps.list[i].first < target; i++, nr++)
		gaps.list[i].nr = min(gaps.list[i].nr, target - gaps.list[i].first);
	gaps.nr = nr;
	return check_v1_pack(c, &gaps, target, unplaced);
}

static int give_back(struct check *c, u64 tail)
{
	u64 leaks = c->res.leaks, fixed = c->res.corruptions_fixed, unplaced = 0;
	bool quiet = c->quiet;
	unsigned int pass;
	int err = 0;

	if (c->res.lost || c->res.errors) {
		check_message(c, "an entry cannot be followed: the end of the file is not cut off");
		return 0;
	}
	/* What two entries refer to cannot be moved. */
	c->quiet = true;
	for (pass = 0; pass < 3 && !err && c->res.leaks > tail && !c->res.corruptions; pass++) {
		if (pass != 1)
			unplaced = 0;
		err = fill_gaps(c, tail, &unplaced);
		if (!err)
			err = run(c, &tail);
	}
	c->quiet = quiet;
	if (!err && tail)
		err = truncate_tail(c, tail);
	c->res.corruptions_fixed = fixed;
	c->res.leaks_fixed = leaks - c->res.leaks;
	return err;
}

int check_v1(struct check *c)
{
	u64 tail, corruptions;
	int err = run(c, &tail);

	corruptions = c->res.corruptions;
	while (!err && c->repair == REPAIR_ALL) {
		err = check_extend(c);
		if (err <= 0)
			break;
		err = run(c, &tail);
		c->res.corruptions_fixed = corruptions - min(corruptions, c->res.corruptions);
	}
	if (!err && c->res.leaks && c->repair != REPAIR_NONE)
		err = give_back(c, tail);
	free(gaps.list);
	memset(&gaps, 0, sizeof(gaps));
	return err;
}
