// SPDX-License-Identifier: GPL-2.0
/*
 * What live operations copy, in requests of the driver's own: neighbours together, in pieces after
 * which the operation may be slowed down, cancelled or killed.
 */
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <qcow/report.h>

#include "device.h"
#include "layer/image.h"
#include "live/copy_run.h"
#include "progress.h"

/* Copied in one go: so many bytes, or of a second's worth such a part. */
#define COPY_BYTES	((u64)SZ_8M)
#define COPIES_PER_SEC	8

/* Zeros, too, are written where no entry stands for them. */
static bool run_has_data(const struct qcow_copy_run *run)
{
	return run->own == QCOW_OWN_COPY_UP || run->own == QCOW_OWN_COPY_DOWN ||
		run->own == QCOW_OWN_MOVE ||
		(run->own == QCOW_OWN_ZERO && run->dev->chain->geo.version < 3);
}

/* Of what has been put together; one request has no more. */
static u64 run_most(const struct qcow_copy_run *run)
{
	return run_has_data(run) ? run->copy_bytes : QCOW_COPY_LOOK_BYTES;
}

static int run_part(const struct qcow_copy_run *run, u64 len)
{
	int err = qcow_request_own(run->dev, run->own, run->guest, len);

	/* Of a cluster that the image has in part zeros have left the rest. */
	if (!err && run->own == QCOW_OWN_ZERO_HOLES)
		err = qcow_request_own(run->dev, QCOW_OWN_COPY_UP, run->guest, len);
	if (err && err != -EINTR)
		qcow_report(run->rep, "guest offset %llu, %llu bytes: cannot be copied: error %d",
			    run->guest, len, err);
	return err;
}

int qcow_copy_run_flush(struct qcow_copy_run *run)
{
	u64 part;
	int err = 0;

	if (run->own == QCOW_OWN_NONE)
		return 0;
	for (; run->guest < run->end && !err; run->guest += part) {
		part = min(run->end - run->guest, run_most(run));
		err = run_part(run, part);
		if (!err)
			err = qcow_progress_step(run->progress, run->guest + part,
						 run_has_data(run) ? part : 0);
	}
	run->own = QCOW_OWN_NONE;
	return err;
}

int qcow_copy_run_add(struct qcow_copy_run *run, enum qcow_own own, u64 guest, u64 len)
{
	int err = 0;

	if (run->own != own || run->end != guest) {
		err = qcow_copy_run_flush(run);
		run->own = own;
		run->guest = guest;
	}
	run->end = guest + len;
	if (!err && run->end - run->guest >= run_most(run))
		err = qcow_copy_run_flush(run);
	return err;
}

int qcow_copy_run_step(struct qcow_copy_run *run, u64 guest)
{
	bool waits = run->own != QCOW_OWN_NONE;

	return qcow_progress_step(run->progress, waits ? run->guest : guest, 0);
}

void qcow_copy_run_begin(struct qcow_copy_run *run, struct qcow_device *dev,
			 struct qcow_progress *progress, struct qcow_report *rep)
{
	/* Raw images have none, and requests are of whole sectors. */
	u64 cluster = max_t(u64, qcow_cluster_bytes(&dev->chain->geo), SECTOR_SIZE);

	*run = (struct qcow_copy_run) {
		.dev = dev, .progress = progress, .copy_bytes = COPY_BYTES, .rep = rep,
	};
	if (progress->rate)
		run->copy_bytes = clamp(round_down(progress->rate / COPIES_PER_SEC, cluster),
					cluster, COPY_BYTES);
}
