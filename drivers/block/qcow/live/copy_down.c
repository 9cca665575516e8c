// SPDX-License-Identifier: GPL-2.0
/*
 * What the active image has goes into the image below it.
 *
 * The device is read and written to all the time. What a request has written is noted when it ends;
 * ranges with such notes are gone through again, the notes taken before. What is copied may be
 * older than what has been written, never than the note of it that was taken: when none is left,
 * and no request is under way, the image below reads as the device does.
 *
 * Where the active image has nothing it has had nothing all the time, as a discard leaves zeros
 * where something would show from below: so there nothing is done.
 */
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <qcow/report.h>

#include "data/cow.h"
#include "data/request.h"
#include "meta/track.h"
#include "device.h"
#include "layer/image.h"
#include "layer/map.h"
#include "live/copy_down.h"
#include "live/copy_run.h"
#include "store/store.h"

/* So little is left to the pause; or so much, when it does not become less by a quarter. */
#define REST_BYTES	((u64)SZ_4M)
#define MOST_REST_BYTES	((u64)SZ_256M)
#define VAIN_ROUNDS	4

/* What becomes of a range of the active image, in the image below. */
static enum qcow_own down_own(const struct qcow_copy_run *run, const struct qcow_image *top,
			      const struct qcow_extent *ext)
{
	struct qcow_image *image = run->dev->chain;

	if (ext->kind == QCOW_EXTENT_ZERO)
		return QCOW_OWN_ZERO;
	if (ext->kind == QCOW_EXTENT_DATA &&
	    (image->raw || qcow_cluster_bytes(&image->geo) >= SZ_4K) &&
	    qcow_cluster_bytes(&top->geo) >= SZ_4K && qcow_cow_can_share(image, top))
		return QCOW_OWN_CLONE_DOWN;
	return QCOW_OWN_COPY_DOWN;
}

int qcow_copy_down_range(struct qcow_copy_run *run, struct qcow_image *top, u64 guest, u64 end)
{
	struct qcow_extent ext;
	int err = 0;

	end = min(end, top->size);
	for (; guest < end && !err; guest += ext.len) {
		err = qcow_map_top_wait(top, guest, min(end - guest, QCOW_COPY_LOOK_BYTES), NULL,
					&ext);
		if (err) {
			qcow_report(run->rep, "guest offset %llu: cannot be looked up: error %d",
				    guest, err);
			return err;
		}
		if (ext.kind != QCOW_EXTENT_HOLE)
			err = qcow_copy_run_add(run, down_own(run, top, &ext), guest, ext.len);
		if (!err)
			err = qcow_copy_run_step(run, guest + ext.len);
	}
	return err;
}

/* What has been written to since it was looked at last. */
static int down_written(struct qcow_copy_run *run, struct qcow_device *dev)
{
	u64 guest = 0, len = QCOW_COPY_LOOK_BYTES;
	int err = 0;

	while (!err && qcow_track_take(dev->track, &guest, &len)) {
		err = qcow_copy_down_range(run, dev->chain, guest, guest + len);
		guest += len;
		len = QCOW_COPY_LOOK_BYTES;
	}
	return err ?: qcow_copy_run_flush(run);
}

/* Less by a quarter, or by all. */
static bool is_less(u64 left, u64 before)
{
	return left < before - before / 4;
}

int qcow_copy_down(struct qcow_device *dev, struct qcow_device *into, struct qcow_report *rep)
{
	struct qcow_copy_run run;
	unsigned int vain = 0;
	u64 left, before = U64_MAX;
	int err;

	qcow_copy_run_begin(&run, into, &dev->progress, rep);
	err = qcow_copy_down_range(&run, dev->chain, 0, dev->chain->size);
	if (!err)
		err = qcow_copy_run_flush(&run);
	while (!err) {
		left = qcow_track_bytes(dev->track);
		if (left <= REST_BYTES || (vain >= VAIN_ROUNDS && left <= MOST_REST_BYTES))
			break;
		vain = is_less(left, before) ? 0 : vain + 1;
		before = left;
		err = down_written(&run, dev);
	}
	return err;
}

int qcow_copy_down_rest(struct qcow_device *dev, struct qcow_device *into, struct qcow_report *rep)
{
	struct qcow_copy_run run;

	qcow_copy_run_begin(&run, into, &dev->progress, rep);
	return down_written(&run, dev);
}
