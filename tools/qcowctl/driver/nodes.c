// SPDX-License-Identifier: GPL-2.0
/*
 * The nodes of a disk and its partitions, whose file systems the driver freezes.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "driver/driver.h"

static int node_open(const char *name, const char *sysfs_path, void *data)
{
	char *path = qc_printf("/dev/%s", name);
	struct nodes *nodes = data;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = 0;

	(void)sysfs_path;
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
	int err;

	*nodes = (struct nodes) { 0 };
	err = sysfs_each_node(index, node_open, nodes);
	if (err < 0)
		err = qc_fail_errno(QC_SYSTEM, -err, "/sys/block", "partitions of "
				    QCOW_DEVICE_PREFIX "%u cannot be looked for", index);
	return err;
}

void nodes_close(struct nodes *nodes)
{
	while (nodes->nr)
		close(nodes->fds[--nodes->nr]);
	free(nodes->fds);
	nodes->fds = NULL;
}
