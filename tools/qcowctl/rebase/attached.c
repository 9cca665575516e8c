// SPDX-License-Identifier: GPL-2.0
/*
 * Another backing file for an attached image. The driver compares, copies and changes the header;
 * it gets the new backing file open and locked, as for an attach, with all that is below it.
 */
#include <unistd.h>

#include "driver/driver.h"
#include "rebase/backing.h"

static int call_driver(u32 index, const struct chain *next, const s32 *keys,
		       struct rebase_options *opts, bool names_only)
{
	struct qcow_rebase arg = {
		.flags = (names_only ? QCOW_REBASE_NAMES_ONLY : 0) |
			 (opts->no_compare ? QCOW_REBASE_NO_COMPARE : 0),
		.index = index, .rate = opts->progress.rate,
		.name = (uintptr_t)opts->backing, .name_len = strlen(opts->backing),
		.format = (uintptr_t)opts->format,
		.format_len = opts->format ? strlen(opts->format) : 0,
		.keys = (uintptr_t)keys,
	};
	int fd = control_open(false), err;
	struct job_watch watch;

	if (fd < 0)
		return -fd;
	job_watch(&watch, index, &opts->progress, opts->job);
	err = control_rebase(fd, next, &arg, &watch);
	close(fd);
	return err;
}

/* @next: the image alone; gets what is to be below it. */
static int rebase(u32 index, struct chain *next, struct rebase_options *opts,
		  bool names_only)
{
	struct layer_keys keys = { 0 };
	int err = backing_check(next->images, opts);

	if (!err && !names_only)
		err = backing_open(next, opts);
	/* Layers that the device has are open. */
	if (!err && !opts->no_compare)
		err = layer_keys_open(&keys, next->images + 1, next->nr - 1, &opts->keys);
	if (!err)
		err = call_driver(index, next, keys.serials, opts, names_only);
	layer_keys_close(&keys);
	if (!err && !names_only)
		backing_warn_snapshots(next->images, opts);
	return err;
}

int rebase_attached(const char *what, u32 index, struct rebase_options *opts,
		    bool names_only)
{
	struct chain next = { 0 };
	char *path;
	int err = attached_path(what, &path);

	/* A name is relative to where the caller says that the image is, as for an attach. */
	if (!err)
		err = attached_chain(&next, index, path ? path : what, false);
	if (!err)
		err = rebase(index, &next, opts, names_only);
	chain_close(&next);
	free(path);
	return err;
}
