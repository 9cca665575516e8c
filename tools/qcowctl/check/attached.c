// SPDX-License-Identifier: GPL-2.0
/*
 * The image of a device: the driver hands out its metadata as it is at an instant, and goes on.
 * What is leaked in that is so for good, and the driver frees it when it is told.
 */
#include <errno.h>
#include <linux/ioprio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check/internal.h"
#include "driver/driver.h"

/**
 * struct leak_list - what the driver is to free
 * @c: the check
 * @list: ranges
 * @nr: of them
 * @kept: clusters with a count that is too high, but in use, or as high as none is
 * @err: of a call
 */
struct leak_list {
	struct check *c;
	struct qcow_leak *list;
	u32 nr;
	u64 kept;
	int err;
};

/* The device's own requests go first, on the disk below and on the CPUs. */
static void give_way(void)
{
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
	setpriority(PRIO_PROCESS, 0, PRIO_MAX - 1);
}

static void give_way_no_more(const struct check *c)
{
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_NONE, 0));
	setpriority(PRIO_PROCESS, 0, c->nice);
}

int check_open_attached(struct check *c)
{
	struct qcow_open_metadata arg = { .index = c->index, .rate = c->progress.rate };
	struct image *img = c->img;
	int err;

	if (!img->name)
		img->name = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", c->index);
	if (c->control < 0) {
		c->nice = getpriority(PRIO_PROCESS, 0);
		c->control = control_open(false);
	}
	if (c->control < 0)
		return CHECK_FAILED;
	if (img->fd >= 0)
		close(img->fd);
	img->fd = -1;
	/* For this its requests wait. */
	give_way_no_more(c);
	err = control_open_metadata(c->control, &arg);
	give_way();
	if (err)
		return CHECK_FAILED;
	img->fd = arg.fd;
	img->bytes = arg.bytes;
	return 0;
}

void check_close_attached(struct check *c)
{
	if (c->control < 0)
		return;
	give_way_no_more(c);
	close(c->control);
}

static void free_list(struct leak_list *leaks)
{
	struct qcow_free_leaks arg = {
		.fd = leaks->c->img->fd,
		.leaks = (uintptr_t)leaks->list,
		.nr_leaks = leaks->nr,
	};

	if (!leaks->err && leaks->nr)
		leaks->err = control_free_leaks(leaks->c->control, leaks->c->index, &arg);
	leaks->nr = 0;
}

static void add_cluster(struct leak_list *leaks, u64 idx)
{
	u64 bytes = check_cluster_bytes(leaks->c), start = idx << leaks->c->g.cluster_bits;
	struct qcow_leak *last = leaks->nr ? &leaks->list[leaks->nr - 1] : NULL;

	if (last && last->start + last->len == start) {
		last->len += bytes;
		return;
	}
	if (leaks->nr == QCOW_MAX_LEAKS)
		free_list(leaks);
	leaks->list[leaks->nr++] = (struct qcow_leak){ .start = start, .len = bytes };
}

static void look_at_cluster(void *data, u64 idx, u64 disk, u64 refs)
{
	struct leak_list *leaks = data;

	if (disk > refs && !refs && disk <= QCOW_MAX_LEAK_REFERENCES)
		add_cluster(leaks, idx);
	else if (disk > refs)
		leaks->kept++;
}

int check_free_leaks(struct check *c)
{
	struct leak_list leaks = { .c = c };

	leaks.list = check_alloc(QCOW_MAX_LEAKS, sizeof(*leaks.list));
	check_each_difference(c, look_at_cluster, &leaks);
	free_list(&leaks);
	free(leaks.list);
	if (leaks.kept)
		check_message(c,
			      "%llu clusters have a count that only a repair of a detached image can change",
			      leaks.kept);
	if (leaks.err)
		c->res.errors++;
	return leaks.err ? -EIO : 0;
}
