// SPDX-License-Identifier: GPL-2.0
/*
 * Overlays on the image of a device in use.
 *
 * The driver gets three kinds of descriptors: of the overlay, with the locks of a writer; of the
 * image, opened once more to be read, with the locks of a reader, which stand beside those of the
 * descriptor that the device has had; and of the nodes whose file systems it freezes. When it
 * closes the old descriptor, the locks of the writer go, and others may read the image.
 */
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <libmount.h>

#include "crypt/keyring.h"
#include "crypt/keys.h"
#include "driver/driver.h"
#include "overlay/internal.h"
#include "overlay/overlay.h"

static int find_device(struct overlay_base *base, const char *what)
{
	u64 read_only = 0, sectors = 0;
	u32 *list;
	size_t nr;
	int err = sysfs_find("", what, &list, &nr);

	if (err == QC_NOT_FOUND && !access(what, F_OK))
		qc_hint("qcowctl create -b %s, if it is not attached", what);
	if (!err)
		err = sysfs_choose_writer(what, list, nr, "get an overlay");
	if (!err) {
		base->index = list[0];
		base->device = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", base->index);
		base->path = sysfs_read("", base->index, "qcow/image");
		if (!base->path || !sysfs_read_u64("", base->index, "size", &sectors) ||
		    !sysfs_read_u64("", base->index, "ro", &read_only))
			err = qc_fail(QC_NOT_FOUND, base->device, "no such device");
		else if (read_only)
			err = qc_fail(QC_UNSUPPORTED, base->device, "is attached read-only");
	}
	base->bytes = sectors * 512;
	free(list);
	return err;
}

int overlay_open_base(struct overlay_base *base, const char *what)
{
	int err;

	*base = (struct overlay_base) { 0 };
	err = find_device(base, what);
	return err ? err : attached_chain(&base->chain, base->index, base->path, false);
}

void overlay_close_base(struct overlay_base *base)
{
	passphrase_free(&base->passphrase);
	chain_close(&base->chain);
	free(base->path);
	free(base->device);
}

/* What is written from now on is to be as secret as what has been written. */
int overlay_encrypt(struct overlay_base *base, const char *key_file, const char *name)
{
	if (!key_file && !image_is_encrypted(base->chain.images))
		return 0;
	return passphrase_read_new(&base->passphrase, key_file, name);
}

/* @data: a struct stat. Whether that file is on the node. */
static int is_on(const char *name, const char *path, void *data)
{
	const struct stat *st = data;
	char *attr = qc_printf("%s/dev", path);
	char *number = qc_printf("%u:%u", major(st->st_dev), minor(st->st_dev));
	char *text = sysfs_read_file(attr);
	int same = text && !strcmp(text, number);

	(void)name;
	free(text);
	free(number);
	free(attr);
	return same;
}

/* The kernel's own file system of /dev, which is in memory; statfs() says the same of any tmpfs. */
static bool is_devtmpfs(dev_t dev)
{
	struct libmnt_table *mounts = mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_fs *fs = NULL;
	const char *type = NULL;
	bool same;

	if (mounts)
		fs = mnt_table_find_devno(mounts, dev, MNT_ITER_BACKWARD);
	if (fs)
		type = mnt_fs_get_fstype(fs);
	same = type && !strcmp(type, "devtmpfs");
	mnt_unref_table(mounts);
	return same;
}

/* Where no overlay of this device may be. What cannot be told here the creation finds. */
static int check_directory(const struct overlay_base *base, const char *name)
{
	char *dir = path_dirname(name);
	struct stat st;
	bool is_new = lstat(name, &st) && !stat(dir, &st);
	int err = 0;

	if (is_new && sysfs_each_node(base->index, is_on, &st) > 0)
		err = qc_fail(QC_POLICY, name, "is on %s, which would wait for itself",
			      base->device);
	else if (is_new && is_devtmpfs(st.st_dev))
		err = qc_fail(QC_POLICY, name,
			      "is in a directory of devices (devtmpfs), which is in memory");
	free(dir);
	return err;
}

int overlay_create(const struct overlay_base *base, const char *name, struct image *top)
{
	const struct overlay_spec spec = {
		.img = base->chain.images,
		.path = base->path,
		.bytes = base->bytes,
		.passphrase = &base->passphrase,
	};
	int made, err;

	image_init(top);
	err = check_directory(base, name);
	if (!err)
		err = overlay_create_file(&spec, name, &made);
	if (err)
		return err;
	err = policy_open_made(top, name, made);
	if (!err)
		err = lock_file(top->fd, name, IMAGE_LOCK_WRITE);
	if (!err)
		err = image_read_header(top);
	if (err)
		overlay_remove(top);
	close(made);
	return err;
}

void overlay_remove(const struct image *top)
{
	overlay_remove_file(top->name, &top->st);
}

int overlay_key(const struct overlay_base *base, const struct image *top, s32 *serial)
{
	*serial = 0;
	if (!image_is_encrypted(top))
		return 0;
	return layer_key_put(top, 0, &base->passphrase, serial);
}

static int call_driver(const struct overlay_base *base, const struct image *top, s32 key,
		       bool no_freeze)
{
	const struct image *img = base->chain.images;
	struct nodes nodes = { 0 };
	int fd, err = 0;

	fd = control_open(false);
	if (fd < 0)
		return -fd;
	if (!no_freeze)
		err = nodes_open(&nodes, base->index);
	if (!err)
		err = control_overlay(fd, base->index, top, img, key, &nodes);
	nodes_close(&nodes);
	close(fd);
	return err;
}

int overlay_put(const struct overlay_base *base, const struct image *top, bool no_freeze)
{
	s32 key;
	int err = overlay_key(base, top, &key);

	if (!err)
		err = lock_image(base->chain.images, IMAGE_LOCK_BESIDE);
	if (!err)
		err = call_driver(base, top, key, no_freeze);
	keyring_drop(key);
	return err;
}
