// SPDX-License-Identifier: GPL-2.0
/*
 * The nodes of a disk and its partitions, whose file systems the driver freezes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "driver/driver.h"

static int node_open(struct nodes *nodes, const char *name)
{
	char *path = qc_printf("/dev/%s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0) {
		err = qc_fail_errno(QC_SYSTEM, errno, path, "cannot open, so not freeze it");
	} else {
		nodes->fds = qc_grow(nodes->fds, nodes->nr + 1, sizeof(*nodes->fds));
		nodes->fds[nodes->nr++] = fd;
	}
	free(path);
	return err;
}

int nodes_open(struct nodes *nodes, u32 index)
{
	char *name = qc_printf(QCOW_DEVICE_PREFIX "%u", index);
	char *path = qc_printf("/sys/block/%s", name);
	DIR *dir = opendir(path);
	struct dirent *entry;
	int err = 0;

	*nodes = (struct nodes) { 0 };
	if (!dir)
		err = qc_fail_errno(QC_SYSTEM, errno, path, "cannot be read");
	if (!err)
		err = node_open(nodes, name);
	/* Partitions are directories in it that begin with its name. */
	while (!err && dir && (entry = readdir(dir))) {
		if (!strncmp(entry->d_name, name, strlen(name)))
			err = node_open(nodes, entry->d_name);
	}
	if (dir)
		closedir(dir);
	free(path);
	free(name);
	return err;
}

void nodes_close(struct nodes *nodes)
{
	while (nodes->nr)
		close(nodes->fds[--nodes->nr]);
	free(nodes->fds);
	nodes->fds = NULL;
}
