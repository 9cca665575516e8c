// SPDX-License-Identifier: GPL-2.0
/*
 * A whole check: open the image, run, repair, run again, print the result.
 */
#include <unistd.h>

#include "check/internal.h"
#include "driver/driver.h"

static void warn_of_bits(const struct check *c)
{
	u64 bits = c->img->h.incompatible;

	if (c->quiet)
		return;
	if (bits & QCOW_INCOMPAT_DIRTY)
		qc_warn(c->img->name, "the dirty bit is set: reference counts may be out of date");
	if (bits & QCOW_INCOMPAT_CORRUPT)
		qc_warn(c->img->name, "the corrupt bit is set");
}

static u64 decrease(u64 before, u64 after)
{
	return before > after ? before - after : 0;
}

static bool wants_repair(const struct check *c)
{
	if (c->repair == REPAIR_NONE || c->res.errors)
		return false;
	return c->res.corruptions || c->res.leaks || (c->repair == REPAIR_ALL && c->beyond);
}

/* Repair and run again: the result is that of the repaired image. */
static int repair(struct check *c)
{
	struct check_result before = c->res;
	u64 errors;
	int err;

	err = check_repair(c);
	errors = c->res.errors;
	if (err && !errors)
		check_error(c, err, "not all could be written");
	if (err)
		return err;
	if (check_reopen(c))
		return -1;
	err = check_run(c);
	c->res.corruptions_fixed = decrease(before.corruptions, c->res.corruptions);
	c->res.leaks_fixed = decrease(before.leaks, c->res.leaks);
	return err;
}

static int check_v2(struct check *c)
{
	int err;

	warn_of_bits(c);
	err = check_run(c);
	if (!err && wants_repair(c))
		err = repair(c);
	if (!err && c->repair != REPAIR_NONE && !c->is_attached && !c->res.errors &&
	    !c->res.corruptions)
		err = check_mark_clean(c);
	return err;
}

static int exit_status(const struct check *c, int err)
{
	if (err || c->res.errors)
		return CHECK_FAILED;
	if (c->res.corruptions)
		return CHECK_CORRUPT;
	return c->res.leaks ? CHECK_LEAKS : CHECK_OK;
}

/* The image of a device is checked as the driver has it. */
static int find_device(struct check *c, const char *name, const struct check_options *opts)
{
	u32 by_name;

	/* Where there is no sysfs, as in a chroot, there are no devices. */
	if (access("/sys/block", F_OK))
		return 0;
	if (sysfs_find_writer(name, &c->index, &c->is_attached))
		return CHECK_FAILED;
	/* Who is not root takes what is only nearly right. */
	if (opts->force_share && !sysfs_parse_name(name, &by_name))
		c->is_attached = false;
	if (c->is_attached && !opts->quiet && !sysfs_parse_name(name, &by_name))
		qc_warn(name, "is attached to be written to, as /dev/" QCOW_DEVICE_PREFIX
			"%u: checked as it is at this instant", c->index);
	if (!c->is_attached || opts->repair != REPAIR_ALL)
		return 0;
	qc_fail(0, name, "is attached: only leaks are repaired meanwhile");
	qc_hint("-r leaks, or detach it");
	return CHECK_FAILED;
}

int check_image(const char *name, const struct check_options *opts)
{
	struct check c = {
		.repair = opts->repair,
		.control = -1,
		.lock = opts->force_share ? IMAGE_LOCK_SHARE :
			opts->repair ? IMAGE_LOCK_WRITE : IMAGE_LOCK_READ,
		.quiet = opts->quiet,
		.progress.form = opts->quiet ? PROGRESS_NONE :
				 opts->progress ? PROGRESS_BAR : PROGRESS_AUTO,
		.progress.rate = opts->rate,
	};
	struct image img;
	int err, status;

	image_init(&img);
	c.img = &img;
	status = find_device(&c, name, opts);
	if (!status)
		status = check_open(&c, name);
	if (!status) {
		if (opts->force_share && !c.is_attached && !opts->quiet)
			qc_warn(name,
				"others may write to it meanwhile: what is wrong may be so for the moment only");
		err = img.h.version == 1 ? check_v1(&c) : check_v2(&c);
		status = exit_status(&c, err);
		if (!check_print(&c, opts->json))
			status = CHECK_FAILED;
	}
	check_close(&c);
	return status;
}
