// SPDX-License-Identifier: GPL-2.0
/*
 * Bitmaps of an attached image: the driver changes them, and keeps them true from then on.
 */
#include <unistd.h>

#include "bitmap/internal.h"
#include "driver/driver.h"

static int call_driver(int fd, u32 index, const struct bitmap_job *job,
		       const struct bitmap_action *action)
{
	struct qcow_change_bitmap arg = {
		.index = index,
		.name = (uintptr_t)job->name,
		.name_len = strlen(job->name),
		.source = (uintptr_t)action->source,
		.source_len = action->source ? strlen(action->source) : 0,
		.granularity = action->verb == QCOW_BITMAP_ADD ? job->granularity : 0,
		.action = action->verb,
	};

	return control_change_bitmap(fd, &arg);
}

int bitmap_change_attached(u32 index, const struct bitmap_job *job)
{
	char *device = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	size_t done = 0;
	int fd, err = 0;

	if (job->source_file) {
		err = qc_fail(QC_UNSUPPORTED, device,
			      "no bitmaps of other images are merged into those of a device");
		goto out;
	}
	fd = control_open(false);
	if (fd < 0) {
		err = -fd;
		goto out;
	}
	while (!err && done < job->nr) {
		err = call_driver(fd, index, job, &job->actions[done]);
		done += !err;
	}
	close(fd);
	if (err && done)
		qc_fail(0, device, "the first %zu of %zu actions have been carried out", done,
			job->nr);
out:
	free(device);
	return err;
}
