// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl set: makes an attached device read-only, or one that can be written to.
 *
 * The image is opened once more, with the access and the locks that the device is to have; when the
 * driver closes what the device has had, the locks of that go.
 */
#include <getopt.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "driver/driver.h"
#include "image/image.h"

static const char help[] =
	"Usage: qcowctl set --read-only|--read-write DEVICE|IMAGE\n"
	"Make an attached image read-only, or let it be written to, while the device goes on.\n"
	"\n"
	"  -r, --read-only   no process may have the device, or a partition of it, open for\n"
	"                    writing; then the image can be attached with -r once more, and copied\n"
	"  -w, --read-write  no other process or device may have the image; a file system that is\n"
	"                    mounted can be remounted to be written to\n"
	"  -h, --help        this text\n";

static const struct option options[] = {
	{ "read-only", no_argument, NULL, 'r' },
	{ "read-write", no_argument, NULL, 'w' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int find_device(const char *what, u32 *index)
{
	u32 *list;
	size_t nr;
	int err = sysfs_find("", what, &list, &nr);

	if (!err && nr > 1)
		err = qc_fail(QC_BUSY, what, "is attached %zu times: name the device", nr);
	if (!err)
		*index = list[0];
	free(list);
	return err;
}

static int set_read_only(int fd, u32 index, const struct image *img)
{
	struct nodes nodes = { 0 };
	int err;

	err = busy_check_mounts(index);
	if (err)
		return err;
	err = lock_image(img, IMAGE_LOCK_BESIDE);
	if (!err)
		err = nodes_open(&nodes, index);
	if (!err)
		err = control_set_access(fd, index, img, &nodes, QCOW_ACCESS_READ_ONLY);
	nodes_close(&nodes);
	if (err == QC_BUSY)
		busy_explain(index);
	return err;
}

static int set_writable(int fd, u32 index, const struct image *img)
{
	const struct nodes none = { 0 };
	int err = lock_image(img, IMAGE_LOCK_REPLACE);

	return err ? err : control_set_access(fd, index, img, &none, 0);
}

static int set_access(int fd, u32 index, bool read_only)
{
	char *path = sysfs_read("", index, "qcow/image");
	struct chain chain = { 0 };
	int err;

	if (!path)
		return qc_fail(QC_NOT_FOUND, "set", "/dev/" QCOW_DEVICE_PREFIX "%u: no such device",
			       index);
	err = attached_chain(&chain, index, path, !read_only);
	if (!err)
		err = read_only ? set_read_only(fd, index, chain.images) :
				  set_writable(fd, index, chain.images);
	chain_close(&chain);
	free(path);
	return err;
}

static int set_device(u32 index, bool read_only)
{
	int fd = control_open(false), err = 0;

	if (fd < 0)
		return -fd;
	if (!control_has_access(fd, index, read_only ? QCOW_ACCESS_READ_ONLY : 0))
		err = set_access(fd, index, read_only);
	close(fd);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	bool read_only = false, read_write = false;
	u32 index;
	int opt, err;

	while ((opt = getopt_long(argc, argv, "rwh", options, NULL)) != -1) {
		switch (opt) {
		case 'r':
			read_only = true;
			break;
		case 'w':
			read_write = true;
			break;
		case 'h':
			return cmd_help(cmd);
		default:
			return cmd_usage(cmd);
		}
	}
	if (read_only == read_write) {
		qc_fail(0, "set", "one of --read-only and --read-write is wanted");
		return cmd_usage(cmd);
	}
	if (argc - optind != 1) {
		qc_fail(0, "set", "one device is wanted, %d given", argc - optind);
		return cmd_usage(cmd);
	}
	err = find_device(argv[optind], &index);
	return err ? err : set_device(index, read_only);
}

const struct command cmd_set = {
	.name = "set",
	.summary = "make a device read-only or read-write",
	.help = help,
	.run = run,
};
