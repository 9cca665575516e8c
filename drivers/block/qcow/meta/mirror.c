// SPDX-License-Identifier: GPL-2.0
/*
 * New tables for the active state. To share (QCOW_MIRROR_SHARE): none of its clusters is its alone
 * any more, a snapshot gets the tables in use, so here are copies without the flags that say
 * "alone", and a reference to all that they refer to.
 *
 * All slices are marked in the beginning, and again whenever a request changes one
 * (meta/writeback.c) or an L1 entry (meta/l1.c). A step takes some that are marked:
 *
 *   1 what the slice refers to now and its copy does not: one reference more
 *   2 what the copy refers to and the slice does not any more: one less
 *   3 the slice is written to the copy, and is not marked
 *
 * So counts and copies agree with each other after each step, and with the tables in use once
 * nothing is marked. Steps run between requests until few slices are left; these are for the pause.
 * A step takes more slices than requests in flight mark meanwhile, as a rule; where they mark more,
 * there is an end nevertheless.
 *
 * An L2 table without such flags is as its copy: the new L1 table refers to it as well as the
 * snapshot's (as QEMU does it), with one more reference, and the copy is released in the end. It is
 * needed until then: requests may change the table.
 *
 * To refresh (QCOW_MIRROR_REFRESH): references stay, and a table is copied only once a flag in it
 * has to be another; then all of its slices are marked again. The table in use is unused in the
 * end.
 *
 * Considered and rejected: following each change of a slice at once. Its I/O would be waited for by
 * requests, and could not fail without failing them.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <qcow/l2.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "meta/flags.h"
#include "meta/mirror.h"
#include "meta/overlap.h"
#include "meta/references.h"
#include "meta/shadow.h"
#include "meta/worker.h"
#include "store/store.h"

/* Neighbours that are copied at once. */
#define PIECE_BYTES	(64U << 10)

/* Slices that a step copies: more than most devices have requests in flight. */
#define STEP_SLICES	64

/* Changes of counts after which it ends: each may be of counts that have to be read and copied. */
#define STEP_CHANGES	512

/* So many in a pass are few, and after so many passes they become no fewer. */
#define FEW_SLICES	32
#define MAX_PASSES	16

static struct qcow_image *mirror_image(const struct qcow_mirror *m)
{
	return m->shadow->meta->image;
}

static u64 table_slices(const struct qcow_geometry *g)
{
	return 1ULL << (g->l2_bits - g->slice_bits);
}

static int mirror_alloc(struct qcow_mirror *m)
{
	m->slices = m->entries * table_slices(&mirror_image(m)->geo);
	m->l1 = kvcalloc(max(m->entries, 1U), sizeof(*m->l1), GFP_NOIO);
	m->copies = kvcalloc(max(m->entries, 1U), sizeof(*m->copies), GFP_NOIO);
	m->flagged = kvcalloc(BITS_TO_LONGS(m->entries) + 1, sizeof(long), GFP_NOIO);
	m->marks = kvcalloc(BITS_TO_LONGS(m->slices) + 1, sizeof(long), GFP_NOIO);
	m->now = kvmalloc(PIECE_BYTES, GFP_NOIO);
	m->then = kvmalloc(PIECE_BYTES, GFP_NOIO);
	m->new = kvmalloc(PIECE_BYTES, GFP_NOIO);
	return m->l1 && m->copies && m->flagged && m->marks && m->now && m->then && m->new ?
		0 : -ENOMEM;
}

/* The L1 table on disk may be longer than the size needs: up to the last entry in use. */
static int mirror_read_beyond(struct qcow_mirror *m)
{
	const struct qcow_image *image = mirror_image(m);
	u64 host = image->header.l1_offset + qcow_l1_bytes(image->l1_entries);
	u32 nr;
	int err;

	m->entries = image->l1_entries;
	if (image->header.l1_entries <= image->l1_entries)
		return 0;
	nr = image->header.l1_entries - image->l1_entries;
	m->beyond = kvmalloc(qcow_l1_bytes(nr), GFP_NOIO);
	if (!m->beyond)
		return -ENOMEM;
	err = qcow_store_read(image->store, m->beyond, host, qcow_l1_bytes(nr));
	if (err) {
		qcow_report(m->rep, "L1 table at 0x%llx: cannot be read: error %d",
			    image->header.l1_offset, err);
		return err;
	}
	while (nr && !m->beyond[nr - 1])
		nr--;
	m->entries += nr;
	return 0;
}

/* The L1 entry in use. */
static u64 mirror_source(const struct qcow_mirror *m, u32 l1_idx)
{
	const struct qcow_image *image = mirror_image(m);

	return be64_to_cpu(l1_idx < image->l1_entries ? image->l1[l1_idx] :
			   m->beyond[l1_idx - image->l1_entries]);
}

int qcow_mirror_begin(struct qcow_mirror *m, struct qcow_shadow *shadow,
		      enum qcow_mirror_aim aim, struct qcow_report *rep)
{
	struct qcow_image *image = shadow->meta->image;
	u32 i, nr = table_slices(&image->geo);
	int err;

	*m = (struct qcow_mirror) { .shadow = shadow, .aim = aim, .rep = rep };
	err = mirror_read_beyond(m);
	if (!err)
		err = mirror_alloc(m);
	if (err) {
		qcow_mirror_end(m);
		return err;
	}
	for (i = 0; i < m->entries; i++) {
		if (mirror_source(m, i))
			bitmap_set(m->marks, i * nr, nr);
	}
	image->l2.marks = m->marks;
	return 0;
}

static int mirror_flaw(struct qcow_mirror *m, const struct qcow_flaw *flaw, u32 l1_idx)
{
	qcow_report(m->rep, "L2 table of L1 entry %u, entry 0x%llx: %s 0x%llx", l1_idx, flaw->entry,
		    flaw->what, flaw->value);
	return -EUCLEAN;
}

/* What of some slices is in the cache, to @m->now. Return: whether all of it is. */
static bool mirror_peek(struct qcow_mirror *m, u64 first, u64 nr)
{
	struct qcow_tables *tables = &mirror_image(m)->l2;
	struct qcow_slice *slice;
	bool all = true;
	u64 i;

	for (i = 0; i < nr; i++) {
		rcu_read_lock();
		slice = qcow_cache_lookup(tables, first + i);
		if (slice)
			memcpy((void *)m->now + i * tables->slice_bytes, slice->entries,
			       tables->slice_bytes);
		else
			all = false;
		rcu_read_unlock();
	}
	return all;
}

/*
 * Slices of the table at @table as they are now, to @m->now. One that is changed is in the cache;
 * what is read from the disk of one that a commit is writing does not matter.
 */
static int mirror_read(struct qcow_mirror *m, u64 table, u64 first, u64 nr)
{
	const struct qcow_image *image = mirror_image(m);
	int err;

	if (mirror_peek(m, first, nr))
		return 0;
	err = qcow_store_read(image->store, m->now, table + qcow_slice_in_table(&image->geo, first),
			      nr * qcow_slice_bytes(&image->geo));
	if (err) {
		qcow_report(m->rep, "L2 table at 0x%llx: cannot be read: error %d", table, err);
		return err;
	}
	mirror_peek(m, first, nr);
	return 0;
}

/* A copy that refers to nothing yet. */
static int mirror_add_copy(struct qcow_mirror *m, u32 l1_idx)
{
	const struct qcow_geometry *g = &mirror_image(m)->geo;
	u64 host;
	int err;

	err = qcow_shadow_alloc(m->shadow, qcow_cluster_bytes(g), &host);
	if (!err)
		err = qcow_store_zero(mirror_image(m)->store, host, qcow_cluster_bytes(g));
	if (err)
		return err;
	m->copies[l1_idx] = host;
	m->l1[l1_idx] = cpu_to_be64(qcow_l1_encode(g, host));
	return 0;
}

static bool mirror_has_copy(const struct qcow_mirror *m, u32 l1_idx)
{
	return m->l1[l1_idx] ==
		cpu_to_be64(qcow_l1_encode(&mirror_image(m)->geo, m->copies[l1_idx]));
}

/* The new L1 entry refers to the copy, which is about to change. */
static int mirror_use_copy(struct qcow_mirror *m, u32 l1_idx)
{
	const struct qcow_geometry *g = &mirror_image(m)->geo;
	int err;

	if (!m->copies[l1_idx])
		return mirror_add_copy(m, l1_idx);
	if (mirror_has_copy(m, l1_idx))
		return 0;
	err = qcow_shadow_forget(m->shadow, be64_to_cpu(m->l1[l1_idx]), qcow_cluster_bytes(g));
	m->l1[l1_idx] = cpu_to_be64(qcow_l1_encode(g, m->copies[l1_idx]));
	return err;
}

/* It refers to the table in use, where that is as the copy. */
static int mirror_share(struct qcow_mirror *m, u32 l1_idx, u64 table)
{
	const struct qcow_geometry *g = &mirror_image(m)->geo;
	u64 end = (l1_idx + 1) * table_slices(g);

	if (test_bit(l1_idx, m->flagged) ||
	    find_next_bit(m->marks, end, l1_idx * table_slices(g)) < end)
		return 0;
	m->l1[l1_idx] = cpu_to_be64(table);
	return qcow_shadow_ref(m->shadow, table, qcow_cluster_bytes(g));
}

/* No cluster is the active state's alone. Return: whether one was. */
static bool mirror_clear_flags(struct qcow_mirror *m, u64 bytes)
{
	const struct qcow_geometry *g = &mirror_image(m)->geo;
	u64 words = 1ULL << (g->entry_bits - 3);
	bool flagged = false;
	u64 i;

	for (i = 0; i < bytes / sizeof(*m->now); i += words) {
		u64 entry = be64_to_cpu(m->now[i]);

		if ((entry & g->compressed) || !(entry & g->copied))
			continue;
		flagged = true;
		m->now[i] = cpu_to_be64(entry & ~g->copied);
	}
	return flagged;
}

static int mirror_ref(const struct qcow_reference *ref, void *data)
{
	struct qcow_mirror *m = data;

	m->changes++;
	return qcow_shadow_ref(m->shadow, ref->host, ref->len);
}

static int mirror_forget(const struct qcow_reference *ref, void *data)
{
	struct qcow_mirror *m = data;

	m->changes++;
	return qcow_shadow_forget(m->shadow, ref->host, ref->len);
}

/* Count what is new in @m->now and what is gone of @m->then. Such as both have changes nothing. */
static int mirror_count(struct qcow_mirror *m, u32 l1_idx, u64 bytes)
{
	const struct qcow_geometry *g = &mirror_image(m)->geo;
	struct qcow_flaw flaw;
	int err;

	memcpy(m->new, m->now, bytes);
	qcow_references_subtract(g, m->new, m->then, bytes);
	err = qcow_references_walk(g, m->new, bytes, mirror_ref, m, &flaw);
	if (!err)
		err = qcow_references_walk(g, m->then, bytes, mirror_forget, m, &flaw);
	return err && flaw.what ? mirror_flaw(m, &flaw, l1_idx) : err;
}

/* What is in @m->now goes to the copy; without one the new L1 entry leads to the table in use. */
static int mirror_put_refreshed(struct qcow_mirror *m, u32 l1_idx, u64 table, u64 first, u64 bytes)
{
	struct qcow_image *image = mirror_image(m);

	if (!test_bit(l1_idx, m->flagged))
		return qcow_flags_l1_entry(m->shadow, table, &m->l1[l1_idx]);
	return qcow_store_write(image->store, m->now, m->copies[l1_idx] +
				qcow_slice_in_table(&image->geo, first), bytes);
}

static int mirror_refresh(struct qcow_mirror *m, u64 table, u64 first, u64 nr)
{
	const struct qcow_geometry *g = &mirror_image(m)->geo;
	u32 l1_idx = qcow_slice_l1_idx(g, first);
	u64 bytes = nr * qcow_slice_bytes(g);
	bool flagged = false;
	struct qcow_flaw flaw;
	int err;

	err = mirror_read(m, table, first, nr);
	if (err)
		return err;
	err = qcow_flags_refresh(m->shadow, m->now, bytes, &m->changes, &flagged, &flaw, m->rep);
	if (err)
		return flaw.what ? mirror_flaw(m, &flaw, l1_idx) : err;
	if (flagged && !test_bit(l1_idx, m->flagged)) {
		err = mirror_add_copy(m, l1_idx);
		if (err)
			return err;
		__set_bit(l1_idx, m->flagged);
		bitmap_set(m->marks, l1_idx * table_slices(g), table_slices(g));
		bitmap_clear(m->marks, first, nr);
	}
	return mirror_put_refreshed(m, l1_idx, table, first, bytes);
}

/* Slices that are marked, of one table, one after the other. */
static int mirror_copy(struct qcow_mirror *m, u64 first, u64 nr)
{
	struct qcow_image *image = mirror_image(m);
	u32 l1_idx = qcow_slice_l1_idx(&image->geo, first);
	u64 bytes = nr * qcow_slice_bytes(&image->geo);
	u64 table, copy;
	struct qcow_flaw flaw;
	int err;

	if (qcow_l1_decode(&image->geo, mirror_source(m, l1_idx), &table, &flaw))
		return mirror_flaw(m, &flaw, l1_idx);
	bitmap_clear(m->marks, first, nr);
	if (!table)
		return 0;
	if (m->aim == QCOW_MIRROR_REFRESH)
		return mirror_refresh(m, table, first, nr);
	err = mirror_use_copy(m, l1_idx);
	if (!err)
		err = mirror_read(m, table, first, nr);
	if (err)
		return err;
	if (mirror_clear_flags(m, bytes))
		__set_bit(l1_idx, m->flagged);
	copy = m->copies[l1_idx] + qcow_slice_in_table(&image->geo, first);
	err = qcow_store_read(image->store, m->then, copy, bytes);
	if (!err)
		err = mirror_count(m, l1_idx, bytes);
	if (!err)
		err = qcow_store_write(image->store, m->now, copy, bytes);
	return err ?: mirror_share(m, l1_idx, table);
}

/* Some slices from @m->next on that are marked. Return: how many; 0: none is. */
static u64 mirror_find(const struct qcow_mirror *m, u64 *first)
{
	const struct qcow_geometry *g = &mirror_image(m)->geo;
	u64 most = m->is_scattered ? 1 : PIECE_BYTES / qcow_slice_bytes(g);
	u64 end;

	*first = find_next_bit(m->marks, m->slices, m->next);
	if (*first >= m->slices)
		return 0;
	end = min3(round_down(*first, table_slices(g)) + table_slices(g), *first + most, m->slices);
	return find_next_zero_bit(m->marks, end, *first) - *first;
}

int qcow_mirror_step(struct qcow_mirror *m)
{
	u64 done = 0, first, nr;
	int err;

	m->changes = 0;
	while (done < STEP_SLICES && m->changes < STEP_CHANGES) {
		nr = mirror_find(m, &first);
		if (!nr)
			break;
		err = mirror_copy(m, first, nr);
		if (err)
			return err;
		m->next = first + nr;
		done += nr;
	}
	m->passed += done;
	m->is_scattered = m->changes >= STEP_CHANGES;
	if (done >= STEP_SLICES || m->is_scattered)
		return 0;
	/* The last one has been passed. */
	m->passes++;
	done = m->passed;
	m->passed = 0;
	m->next = 0;
	return done <= FEW_SLICES || m->passes >= MAX_PASSES;
}

/* Tables in use in whose place there are others. */
static int mirror_drop_tables(struct qcow_mirror *m)
{
	const struct qcow_geometry *g = &mirror_image(m)->geo;
	struct qcow_flaw flaw;
	u64 table;
	int err = 0;
	u32 i;

	for (i = 0; i < m->entries && !err; i++) {
		if (!test_bit(i, m->flagged))
			continue;
		if (qcow_l1_decode(g, mirror_source(m, i), &table, &flaw))
			return mirror_flaw(m, &flaw, i);
		err = qcow_shadow_unref(m->shadow, table, qcow_cluster_bytes(g));
	}
	return err;
}

int qcow_mirror_finish(struct qcow_mirror *m, __be64 **l1)
{
	u64 first, nr;
	int err;
	u32 i;

	m->next = 0;
	m->is_scattered = false;
	while ((nr = mirror_find(m, &first))) {
		err = mirror_copy(m, first, nr);
		if (err)
			return err;
	}
	if (m->aim == QCOW_MIRROR_REFRESH) {
		err = mirror_drop_tables(m);
		if (err)
			return err;
	}
	/* What is left there is not needed. */
	for (i = 0; i < m->entries; i++) {
		if (mirror_has_copy(m, i))
			m->copies[i] = 0;
	}
	*l1 = m->l1;
	m->l1 = NULL;
	return 0;
}

void qcow_mirror_release(struct qcow_mirror *m)
{
	struct qcow_meta *meta = m->shadow->meta;
	u32 bits = meta->image->geo.cluster_bits;
	u32 i;

	for (i = 0; i < m->entries; i++) {
		if (!m->copies[i])
			continue;
		qcow_overlap_del(&meta->overlap, m->copies[i], 1ULL << bits);
		qcow_space_release(&meta->space, m->copies[i] >> bits, 1);
	}
}

void qcow_mirror_end(struct qcow_mirror *m)
{
	if (!m->shadow)
		return;
	mirror_image(m)->l2.marks = NULL;
	kvfree(m->l1);
	kvfree(m->beyond);
	kvfree(m->copies);
	kvfree(m->flagged);
	kvfree(m->marks);
	kvfree(m->now);
	kvfree(m->then);
	kvfree(m->new);
	*m = (struct qcow_mirror) {};
}
