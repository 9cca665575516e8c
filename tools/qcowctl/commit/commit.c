// SPDX-License-Identifier: GPL-2.0
/*
 * What an image has, moved into its backing file: by the driver, of one that is attached to be
 * written to, else here.
 */
#include "commit/commit.h"
#include "driver/driver.h"

int commit(const char *what, struct commit_options *opts)
{
	bool attached;
	u32 index;
	int err = sysfs_find_writer(what, &index, &attached);

	if (err)
		return err;
	return attached ? commit_attached(what, index, opts) : commit_image(what, opts);
}
