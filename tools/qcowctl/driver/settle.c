// SPDX-License-Identifier: GPL-2.0
/*
 * Waits after an attach until the nodes of the disk and its partitions are usable: where udev
 * runs, until it has processed their events; else (initramfs) until devtmpfs has the nodes. A
 * timeout is no error: the device works. And what is told to udev of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <libudev.h>
#include <linux/fs.h>

#include "driver/driver.h"

#define POLL_MS		10
#define UDEV_WAIT_MS	10000
#define NODE_WAIT_MS	1000

/* The socket's name outlives a daemon that was killed: only a connection is proof. */
static bool udev_runs(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "/run/udev/control" };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool runs;

	if (fd < 0)
		return false;
	/* EAGAIN: a daemon listens, and its queue is full. */
	runs = !connect(fd, (struct sockaddr *)&addr, sizeof(addr)) || errno == EAGAIN;
	close(fd);
	return runs;
}

static bool udev_done(struct udev *udev, const char *path)
{
	struct udev_device *dev = udev_device_new_from_syspath(udev, path);
	bool done;

	if (!dev)
		return true; /* gone again */
	done = udev_device_get_is_initialized(dev) > 0;
	udev_device_unref(dev);
	return done;
}

static bool node_there(const char *sysfs_path, const char *name)
{
	char *attr = qc_printf("%s/dev", sysfs_path), *node = qc_printf("/dev/%s", name);
	unsigned int major_nr = 0, minor_nr = 0;
	FILE *f = fopen(attr, "re");
	struct stat st;
	bool done;

	done = !f || fscanf(f, "%u:%u", &major_nr, &minor_nr) != 2 ||
	       (!stat(node, &st) && S_ISBLK(st.st_mode) &&
		st.st_rdev == makedev(major_nr, minor_nr));
	if (f)
		fclose(f);
	free(attr);
	free(node);
	return done;
}

static int not_ready(const char *name, const char *path, void *data)
{
	struct udev *udev = data;

	return udev ? !udev_done(udev, path) : !node_there(path, name);
}

/* The disk and its partitions. */
static bool all_ready(struct udev *udev, u32 index)
{
	return sysfs_each_node(index, not_ready, udev) <= 0;
}

void settle_device(u32 index)
{
	struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	struct udev *udev = NULL;
	unsigned int left;
	bool ready;

	if (udev_runs())
		udev = udev_new();
	left = (udev ? UDEV_WAIT_MS : NODE_WAIT_MS) / POLL_MS;
	while (!(ready = all_ready(udev, index)) && left--)
		nanosleep(&pause, NULL);
	if (!ready) {
		char *name = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);

		qc_warn(name, "attached, but %s", udev ? "udev has not dealt with it yet" :
							 "there is no node for it");
		free(name);
	}
	if (udev)
		udev_unref(udev);
}

/* @path: of the node in sysfs. */
static int announce(const char *name, const char *path, void *data)
{
	char *attr = qc_printf("%s/uevent", path);
	const char *event = data;
	int fd = open(attr, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, event, strlen(event)) < 0)
		qc_warn(name, "udev cannot be told to activate what is on it");
	if (fd >= 0)
		close(fd);
	free(attr);
	return 0;
}

void settle_activate(u32 index)
{
	char *uuid = sysfs_read_file("/proc/sys/kernel/random/uuid");
	/* The kernel makes SYNTH_ARG_ACTIVATE=1 of it; rules for devices ask for their addition. */
	char *event = qc_printf("add %s ACTIVATE=1", uuid ? uuid : "");

	sysfs_each_node(index, announce, event);
	free(event);
	free(uuid);
}

void settle_partitions(u32 index)
{
	char *node = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	int fd = open(node, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (!ioctl(fd, BLKRRPART))
			settle_device(index);
		close(fd);
	}
	free(node);
}
