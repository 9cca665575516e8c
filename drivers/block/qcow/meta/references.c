// SPDX-License-Identifier: GPL-2.0
/*
 * What L2 entries refer to.
 */
#include <linux/errno.h>
#include <linux/string.h>
#include <qcow/l2.h>
#include <qcow/report.h>

#include "meta/references.h"

int qcow_references_walk(const struct qcow_geometry *g, const __be64 *entries, u64 bytes,
			 int (*func)(const struct qcow_reference *ref, void *data), void *data,
			 struct qcow_flaw *flaw)
{
	u64 slice_guest = qcow_slice_guest(g, 1);
	u64 mask = qcow_cluster_bytes(g) - 1;
	u64 end = (bytes >> g->entry_bits) << g->cluster_bits;
	struct qcow_extent ext;
	u64 pos, skip;
	int err = 0;

	flaw->what = NULL;
	for (pos = 0; pos < end && !err; pos += ext.len) {
		u64 in_slice = pos & (slice_guest - 1);
		u64 slice = (pos >> g->cluster_bits >> g->slice_bits) * qcow_slice_bytes(g);
		struct qcow_reference ref = {};

		err = qcow_l2_map(g, (const void *)entries + slice, in_slice,
				  slice_guest - in_slice, &ext, flaw);
		if (err)
			return err;
		if (!ext.allocated)
			continue;
		/* Of a cluster in several extents the first one stands for all. */
		skip = -pos & mask;
		ref.idx = (pos + skip) >> g->cluster_bits;
		ref.host = ext.host;
		ref.len = ext.compressed_len;
		if (ext.kind != QCOW_EXTENT_COMPRESSED) {
			if (skip >= ext.len)
				continue;
			ref.host += skip;
			ref.len = (ext.len - skip + mask) & ~mask;
			ref.flagged = true;
			ref.shared = ext.shared;
		}
		err = func(&ref, data);
	}
	return err;
}

/* Standard entries are told by their cluster alone: what of it reads as zeros does not matter. */
static bool refers_to_same(const struct qcow_geometry *g, u64 a, u64 b)
{
	if ((a | b) & g->compressed)
		return a == b;
	return !((a ^ b) & g->offset_mask);
}

void qcow_references_subtract(const struct qcow_geometry *g, __be64 *a, __be64 *b, u64 bytes)
{
	u64 words = 1ULL << (g->entry_bits - 3);
	u64 i;

	for (i = 0; i < bytes / sizeof(*a); i += words) {
		if (!refers_to_same(g, be64_to_cpu(a[i]), be64_to_cpu(b[i])))
			continue;
		memset(a + i, 0, words * sizeof(*a));
		memset(b + i, 0, words * sizeof(*b));
	}
}
