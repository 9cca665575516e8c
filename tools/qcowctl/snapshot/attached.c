// SPDX-License-Identifier: GPL-2.0
/*
 * Snapshots of an attached image: the driver makes, applies and deletes them. Which one is meant
 * is found in the table that is on the disk; the driver is told its id.
 */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "driver/driver.h"
#include "image/image.h"
#include "snapshot/snapshot.h"

static const u32 actions[] = {
	[SNAPSHOT_CREATE] = QCOW_SNAPSHOT_CREATE,
	[SNAPSHOT_APPLY] = QCOW_SNAPSHOT_APPLY,
	[SNAPSHOT_DELETE] = QCOW_SNAPSHOT_DELETE,
};

/* The id of the snapshot that is meant, or of a new one; allocated. */
static int find_id(const struct image *img, enum snapshot_verb verb, const char *what, char **id)
{
	struct snapshots snaps = { 0 };
	u32 idx;
	int err = snapshots_read(img, &snaps);

	if (!err && verb == SNAPSHOT_CREATE) {
		err = snapshots_new_id(img, &snaps, id);
	} else if (!err) {
		err = snapshots_lookup(img, &snaps, what,
				       verb == SNAPSHOT_DELETE ? SNAPSHOT_NAME : SNAPSHOT_ID,
				       &idx);
		if (!err)
			*id = qc_strndup(snaps.list[idx].id, strlen(snaps.list[idx].id));
	}
	snapshots_free(&snaps);
	return err;
}

static int read_id(const char *path, enum snapshot_verb verb, const char *what, char **id)
{
	const struct chain_options opts = { .top_only = true, .no_data = true };
	struct chain chain;
	int err = chain_open(&chain, path, &opts);

	if (!err)
		err = find_id(&chain.images[0], verb, what, id);
	chain_close(&chain);
	return err;
}

static int call_driver(u32 index, enum snapshot_verb verb, const char *id, const char *name,
		       const struct snapshot_options *opts)
{
	struct qcow_change_snapshot arg = {
		.flags = opts->force ? QCOW_SNAPSHOT_FORCE : 0,
		.index = index, .action = actions[verb],
		.id = (uintptr_t)id, .id_len = strlen(id),
		.name = (uintptr_t)name, .name_len = strlen(name),
	};
	struct nodes nodes = { 0 };
	struct timespec now;
	int fd, err = 0;

	fd = control_open(false);
	if (fd < 0)
		return -fd;
	clock_gettime(CLOCK_REALTIME, &now);
	arg.date_sec = now.tv_sec;
	arg.date_nsec = now.tv_nsec;
	if (verb == SNAPSHOT_CREATE && !opts->no_freeze)
		err = nodes_open(&nodes, index);
	arg.freeze = (uintptr_t)nodes.fds;
	arg.nr_freeze = nodes.nr;
	if (!err)
		err = control_change_snapshot(fd, &arg);
	nodes_close(&nodes);
	close(fd);
	return err;
}

int snapshot_change_attached(u32 index, enum snapshot_verb verb, const char *what,
			     const struct snapshot_options *opts)
{
	char *device = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	char *path = NULL, *id = NULL;
	int err;

	err = attached_path(device, &path);
	if (!err)
		err = read_id(path, verb, what, &id);
	if (!err)
		err = call_driver(index, verb, id, verb == SNAPSHOT_CREATE ? what : "", opts);
	if (!err && verb == SNAPSHOT_APPLY)
		settle_partitions(index);
	if (err == QC_BUSY && verb == SNAPSHOT_APPLY)
		qc_hint("with --force what has it open finds other contents");
	free(id);
	free(path);
	free(device);
	return err;
}
