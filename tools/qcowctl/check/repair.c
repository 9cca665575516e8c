// SPDX-License-Identifier: GPL-2.0
/*
 * Repairs what a run has found. Power may fail at any write, so the order is: what is beyond the
 * end of the file; entries that drop a reference and COPIED flags that are cleared; then counts;
 * then COPIED flags that are set; the dirty and corrupt bits last. Each step is durable before the
 * next. Cannot repair metadata that overlaps, entries far beyond the end of the file, or reserved
 * bits.
 */
#include <errno.h>
#include <unistd.h>

#include "check/internal.h"

int check_write(struct check *c, const void *buf, size_t len, u64 host_offset)
{
	int err = image_pwrite(c->img->fd, buf, len, host_offset);

	if (err)
		check_error(c, err, "cannot write %zu bytes at 0x%llx", len, host_offset);
	return err;
}

int check_sync(struct check *c)
{
	int err = fsync(c->img->fd) ? -errno : 0;

	if (err)
		check_error(c, err, "cannot make the repair durable");
	return err;
}

static int write_feature_bits(struct check *c, size_t at, u64 bits)
{
	__be64 disk = cpu_to_be64(bits);
	int err = check_write(c, &disk, sizeof(disk), at);

	return err ? err : check_sync(c);
}

int check_mark_clean(struct check *c)
{
	struct qcow_header *h = &c->img->h;
	u64 bits = h->incompatible & ~(QCOW_INCOMPAT_DIRTY | QCOW_INCOMPAT_CORRUPT);

	if (bits == h->incompatible)
		return 0;
	h->incompatible = bits;
	return write_feature_bits(c, offsetof(struct qcow_disk_header, incompatible_features),
				  bits);
}

/* A program that writes to an image clears the autoclear bits that it does not know. */
static int clear_autoclear(struct check *c)
{
	struct qcow_header *h = &c->img->h;
	u64 bits = h->autoclear & (QCOW_AUTOCLEAR_BITMAPS | QCOW_AUTOCLEAR_RAW_DATA_FILE);

	if (bits == h->autoclear)
		return 0;
	h->autoclear = bits;
	return write_feature_bits(c, offsetof(struct qcow_disk_header, autoclear_features), bits);
}

static void put_entry(const struct check *c, __be64 *entries, u64 idx, u64 entry, u64 bitmap)
{
	if (c->g.extended_l2) {
		entries[2 * idx] = cpu_to_be64(entry);
		entries[2 * idx + 1] = cpu_to_be64(bitmap);
	} else {
		entries[idx] = cpu_to_be64(entry);
	}
}

static void write_table(struct check *c, const struct l2_ref *ref, const __be64 *entries,
			u64 changed)
{
	int err;

	if (!changed || c->fix.err)
		return;
	if (!check_l2_unshared(c, ref)) {
		check_message(c, "L2 table 0x%llx: not repaired, something else is over it",
			      ref->host_offset);
		return;
	}
	err = check_write(c, entries, check_l2_bytes(c), ref->host_offset);
	c->fix.err = err;
	if (!err)
		c->fix.changed += changed;
}

/* A zero cluster with an unaligned preallocated cluster becomes one without. */
static void zero_table(struct check *c, const struct l2_ref *ref, __be64 *entries)
{
	u64 nr = BIT_ULL(c->g.l2_bits), changed = 0, i, entry, bitmap;
	struct entry_ref e;

	for (i = 0; i < nr; i++) {
		if (!check_l2_entry(c, entries, i, &entry, &bitmap))
			continue;
		check_entry_decode(&c->g, entry, bitmap, &e);
		if (e.kind != ENTRY_CLUSTER || !(e.flaws & ENTRY_UNALIGNED) || e.has_data)
			continue;
		check_entry_zero(&c->g, &entry, &bitmap);
		put_entry(c, entries, i, entry, bitmap);
		changed++;
	}
	write_table(c, ref, entries, changed);
}

/* Whether a COPIED flag is wrong in the direction that this walk repairs. */
static bool wrong_flag(const struct check *c, bool copied, u64 count)
{
	return copied != (count == 1) && copied != c->fix.set;
}

static void flag_table(struct check *c, const struct l2_ref *ref, __be64 *entries)
{
	u64 nr = BIT_ULL(c->g.l2_bits), changed = 0, i, entry, bitmap, count = 1;
	struct entry_ref e;

	if (!ref->active)
		return;
	for (i = 0; i < nr; i++) {
		if (!check_l2_entry(c, entries, i, &entry, &bitmap))
			continue;
		check_entry_decode(&c->g, entry, bitmap, &e);
		if (e.kind != ENTRY_CLUSTER)
			continue;
		if (!c->g.data_file)
			count = check_counts_get(c, &c->refs,
						 e.host_offset >> c->g.cluster_bits);
		if (!wrong_flag(c, e.copied, count))
			continue;
		put_entry(c, entries, i, entry ^ c->g.copied, bitmap);
		changed++;
	}
	write_table(c, ref, entries, changed);
}

/* Nothing but the header refers to the active L1 table. */
static bool l1_unshared(const struct check *c)
{
	const struct qcow_header *h = &c->img->h;
	u64 first = h->l1_offset >> c->g.cluster_bits;
	u64 nr = DIV_ROUND_UP_ULL(h->l1_entries * sizeof(__be64), check_cluster_bytes(c));

	while (nr--)
		if (!check_counts_once(c, first + nr))
			return false;
	return true;
}

static int flag_l1(struct check *c)
{
	const struct qcow_header *h = &c->img->h;
	u64 bytes = h->l1_entries * sizeof(__be64), i;
	__be64 *l1;
	int err;

	if (!h->l1_entries || !l1_unshared(c))
		return 0;
	l1 = check_alloc(bytes, 1);
	err = check_read(c, l1, bytes, h->l1_offset);
	for (i = 0; !err && i < h->l1_entries; i++) {
		u64 entry = be64_to_cpu(l1[i]);
		u64 host = entry & c->g.l1_offset_mask;
		u64 count = 0;

		if (host)
			count = check_counts_get(c, &c->refs, host >> c->g.cluster_bits);
		if (!wrong_flag(c, entry & c->g.copied, count))
			continue;
		l1[i] = cpu_to_be64(entry ^ c->g.copied);
		err = check_write(c, &l1[i], sizeof(*l1), h->l1_offset + i * sizeof(*l1));
		c->fix.changed++;
	}
	free(l1);
	return err;
}

static int fix_flags(struct check *c, bool set)
{
	int err;

	memset(&c->fix, 0, sizeof(c->fix));
	c->fix.set = set;
	progress_begin(&c->progress, "repairing");
	check_walk_l2(c, flag_table);
	err = c->fix.err ? c->fix.err : flag_l1(c);
	if (err || !c->fix.changed)
		return err;
	return check_sync(c);
}

/*
 * Write the counts in memory to one block. Clusters behind the end of the file have none, unless an
 * entry that cannot be followed refers to them: as the file grows, they would be leaked.
 */
static int fix_block(struct check *c, u64 idx)
{
	u64 block_end = (idx + 1) << c->block_bits;
	u64 end = c->res.lost ? min(c->clusters, block_end) : block_end, i;
	u64 host = check_block_offset(c, idx), disk, refs;
	unsigned char *block = c->disk.raw + (idx << c->g.cluster_bits);
	bool changed = false;

	for (i = idx << c->block_bits; i < end; i++) {
		disk = check_counts_get(c, &c->disk, i);
		refs = check_counts_get(c, &c->refs, i);
		if (disk == refs || (disk < refs && c->repair != REPAIR_ALL))
			continue;
		check_counts_set(c, &c->disk, i, refs);
		changed = true;
	}
	if (!changed || !host)
		return 0;
	return check_write(c, block, check_cluster_bytes(c), host);
}

static int fix_counts(struct check *c)
{
	int err = 0;
	u64 i;

	for (i = 0; !err && i < c->refs.nr_blocks; i++)
		if (check_block_differs(c, i))
			err = fix_block(c, i);
	return err ? err : check_sync(c);
}

/* After a step that has changed what refers to what. */
static int run_again(struct check *c)
{
	bool quiet = c->quiet;
	int err;

	c->quiet = true;
	err = check_run(c);
	c->quiet = quiet;
	return err;
}

/* Snapshots whose entry in the table is beyond the end of the file are gone. */
static int drop_snapshots(struct check *c)
{
	__be32 nr = cpu_to_be32(c->snapshots_kept);
	int err;

	if (c->snapshots_kept == c->img->h.nr_snapshots)
		return 0;
	err = check_write(c, &nr, sizeof(nr), offsetof(struct qcow_disk_header, nr_snapshots));
	if (err)
		return err;
	c->img->h.nr_snapshots = c->snapshots_kept;
	err = check_sync(c);
	return err ? err : run_again(c);
}

int check_extend(struct check *c)
{
	u64 bytes = round_up(c->beyond, check_cluster_bytes(c));
	int err;

	if (!c->beyond || !S_ISREG(c->img->st.st_mode))
		return 0;
	if (ftruncate(c->img->fd, bytes)) {
		check_message(c, "cannot make the file %llu bytes long: %s", bytes,
			      strerror(errno));
		return 0;
	}
	c->img->bytes = bytes;
	c->g.file_bytes = bytes;
	err = check_sync(c);
	return err ? err : 1;
}

/* A table that is read now may refer to more. */
static int extend(struct check *c)
{
	int ret;

	do {
		ret = check_extend(c);
		if (ret > 0)
			ret = run_again(c) ?: 1;
	} while (ret > 0);
	return ret;
}

static int zero_entries(struct check *c)
{
	int err;

	memset(&c->fix, 0, sizeof(c->fix));
	progress_begin(&c->progress, "repairing");
	check_walk_l2(c, zero_table);
	if (c->fix.err || !c->fix.changed)
		return c->fix.err;
	err = check_sync(c);
	if (err)
		return err;
	/* These entries no longer refer to clusters. */
	return run_again(c);
}

static int repair_all(struct check *c)
{
	int err = drop_snapshots(c);

	if (!err)
		err = extend(c);
	if (!err)
		err = zero_entries(c);
	if (!err)
		err = fix_flags(c, false);
	if (!err)
		err = c->rebuild ? check_rebuild(c) : fix_counts(c);
	if (!err)
		err = fix_flags(c, true);
	return err;
}

/* Whether what looks leaked is. */
static bool leaks_are_known(struct check *c)
{
	if (c->rebuild) {
		check_message(c, "the refcount structure is broken: only -r all repairs it");
		return false;
	}
	if (c->res.lost) {
		check_message(c, "%llu entries cannot be followed: what looks leaked may be theirs",
			      c->res.lost);
		check_message(c, "only -r all frees it");
		return false;
	}
	return true;
}

static int repair_leaks(struct check *c)
{
	bool only_flags = c->res.corruptions == c->res.copied_flags;
	int err;

	/* COPIED flags are known to be wrong only where counts are right. */
	err = only_flags ? fix_flags(c, false) : 0;
	if (!err)
		err = fix_counts(c);
	if (!err && only_flags)
		err = fix_flags(c, true);
	return err;
}

int check_repair(struct check *c)
{
	int err = c->is_attached ? 0 : clear_autoclear(c);

	if (!err && c->repair == REPAIR_ALL)
		err = repair_all(c);
	else if (!err && leaks_are_known(c))
		err = c->is_attached ? check_free_leaks(c) : repair_leaks(c);
	progress_clear(&c->progress);
	check_message_end(c);
	return err;
}
