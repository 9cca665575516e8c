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

static int lock_image(const struct image *img, enum image_lock mode)
{
	int err = lock_file(img->fd, img->name, mode);

	if (!err && img->data_fd >= 0)
		err = lock_file(img->data_fd, img->data_path, mode);
	return err;
}

static int call_driver(u32 index, const struct image *img, bool read_only)
{
	int fd = control_open(false), err;

	if (fd < 0)
		return -fd;
	err = control_set_access(fd, index, img, read_only ? QCOW_ACCESS_READ_ONLY : 0);
	close(fd);
	if (err == QC_BUSY && read_only) {
		busy_explain(index);
		qc_hint("umount it");
	}
	return err;
}

static int set_access(u32 index, bool read_only)
{
	char *device = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	char *path = sysfs_read("", index, "qcow/image");
	struct chain chain = { 0 };
	u64 is_read_only;
	int err = 0;

	if (!path || !sysfs_read_u64("", index, "ro", &is_read_only))
		err = qc_fail(QC_NOT_FOUND, device, "no such device");
	else if (read_only != !!is_read_only)
		err = attached_chain(&chain, index, path, !read_only);
	if (!err && chain.nr)
		err = lock_image(chain.images, read_only ? IMAGE_LOCK_BESIDE : IMAGE_LOCK_REPLACE);
	if (!err && chain.nr)
		err = call_driver(index, chain.images, read_only);
	chain_close(&chain);
	free(path);
	free(device);
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
	return err ? err : set_access(index, read_only);
}

const struct command cmd_set = {
	.name = "set",
	.summary = "make a device read-only or read-write",
	.help = help,
	.run = run,
};
