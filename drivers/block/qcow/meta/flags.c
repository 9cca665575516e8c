// SPDX-License-Identifier: GPL-2.0
/*
 * Flags of table entries as new reference counts have them: COPIED is set where the count is one.
 */
#include <qcow/l2.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "meta/flags.h"
#include "meta/references.h"
#include "meta/shadow.h"
#include "meta/worker.h"

/**
 * struct flags_walk - slices whose flags are looked at
 * @shadow: the new counts
 * @entries: they
 * @nr: references so far
 * @changed: a flag is not what it was
 * @rep: says what has no count
 */
struct flags_walk {
	struct qcow_shadow *shadow;
	__be64 *entries;
	unsigned int nr;
	bool changed;
	struct qcow_report *rep;
};

static int flags_set(const struct qcow_reference *ref, void *data)
{
	struct flags_walk *walk = data;
	const struct qcow_geometry *g = &walk->shadow->meta->image->geo;
	u64 cluster = ref->host >> g->cluster_bits;
	u64 end = ((ref->host + ref->len - 1) >> g->cluster_bits) + 1;
	u64 words = 1ULL << (g->entry_bits - 3);
	u64 idx = ref->idx, last;
	u64 count, nr;
	bool shared;
	int err;

	for (; cluster < end; cluster += nr) {
		err = qcow_shadow_count(walk->shadow, cluster, end - cluster, &count, &nr);
		if (err)
			return err;
		if (!count) {
			qcow_report(walk->rep,
				    "cluster 0x%llx: more references than its reference count",
				    cluster << g->cluster_bits);
			return -EUCLEAN;
		}
		walk->nr++;
		last = idx + nr;
		shared = count > 1;
		if (ref->flagged && ref->shared != shared) {
			walk->changed = true;
			for (; idx < last; idx++)
				walk->entries[idx * words] ^= cpu_to_be64(g->copied);
		}
		idx = last;
	}
	return 0;
}

int qcow_flags_refresh(struct qcow_shadow *shadow, __be64 *entries, u64 bytes, unsigned int *nr,
		       bool *changed, struct qcow_flaw *flaw, struct qcow_report *rep)
{
	struct flags_walk walk = { .shadow = shadow, .entries = entries, .rep = rep };
	int err = qcow_references_walk(&shadow->meta->image->geo, entries, bytes, flags_set, &walk,
				       flaw);

	*nr += walk.nr;
	if (walk.changed)
		*changed = true;
	return err;
}

int qcow_flags_l1_entry(struct qcow_shadow *shadow, u64 table, __be64 *entry)
{
	const struct qcow_geometry *g = &shadow->meta->image->geo;
	u64 count, nr;
	int err = qcow_shadow_count(shadow, table >> g->cluster_bits, 1, &count, &nr);

	if (!err)
		*entry = cpu_to_be64(count == 1 ? qcow_l1_encode(g, table) : table);
	return err;
}
