// SPDX-License-Identifier: GPL-2.0
/*
 * Which size an image may get, as far as its header and its snapshot table tell.
 */
#include <qcow/header.h>

#include "format/format.h"

static int check_features(const struct qcow_header *h, struct qcow_report *rep)
{
	if (h->incompatible & (QCOW_INCOMPAT_CORRUPT | QCOW_INCOMPAT_DIRTY)) {
		qcow_report(rep, "incompatible_features 0x%llx: the image is marked %s",
			    h->incompatible,
			    h->incompatible & QCOW_INCOMPAT_CORRUPT ? "corrupt" : "dirty");
		return -EUCLEAN;
	}
	return 0;
}

int qcow_header_check_resize(const struct qcow_header *h, u64 size, u32 block_bytes, bool shrink,
			     u32 *l1_entries, struct qcow_report *rep)
{
	u64 now = round_down(h->size, 512);
	int err;

	if (!size || !IS_ALIGNED(size, block_bytes)) {
		qcow_report(rep, "new size is %llu, must be a multiple of %u, and not 0", size,
			    block_bytes);
		return -EINVAL;
	}
	if (size < now && !shrink) {
		qcow_report(rep,
			    "new size %llu is less than the present one, %llu, and shrinking was not asked for",
			    size, now);
		return -EINVAL;
	}
	err = check_features(h, rep);
	return err ?: qcow_header_check_size(h, size, l1_entries, rep);
}

int qcow_snapshot_check_resize(const struct qcow_snapshot *snap, u32 position,
			       struct qcow_report *rep)
{
	if (snap->sized)
		return 0;
	qcow_report(rep,
		    "snapshot table entry %u, \"%.*s\", has no size of its own, and would get that of the image",
		    position, (int)snap->name_len, snap->name);
	return -EOPNOTSUPP;
}
