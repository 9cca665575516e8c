// SPDX-License-Identifier: GPL-2.0
/*
 * Attaches an image: opens and locks the files of its chain and hands them to the driver.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/attach.h"
#include "driver/driver.h"
#include "overlay/overlay.h"

/* A snapshot of an image that is attached to be written to is attached beside that. */
static int choose_lock(struct attach_request *a)
{
	bool written = false;
	u32 index;
	int err = 0;

	a->chain.lock = a->force_share ? IMAGE_LOCK_SHARE :
			a->chain.write ? IMAGE_LOCK_WRITE : IMAGE_LOCK_READ;
	if (a->snapshot && !a->force_share)
		err = sysfs_find_image_writer(a->image, &index, &written);
	if (!err && written) {
		a->chain.lock = IMAGE_LOCK_BESIDE;
		a->arg.flags |= QCOW_ATTACH_BESIDE;
	}
	return err;
}

static void name_devices(const char *name, int fd, const char *attr)
{
	size_t i, nr = 0;
	u32 *list = NULL;
	struct stat st;
	char *id;

	if (fd < 0 || fstat(fd, &st))
		return;
	id = sysfs_file_id(&st);
	if (!sysfs_find_value("", attr, id, &list, &nr))
		for (i = 0; i < nr; i++) {
			qc_fail(0, name, "is attached as /dev/" QCOW_DEVICE_PREFIX "%u", list[i]);
			qc_hint("qcowctl detach /dev/" QCOW_DEVICE_PREFIX "%u", list[i]);
		}
	free(list);
	free(id);
}

/* Which devices have the last layer that has been opened: another process has it. */
static void name_holders(const struct chain *chain)
{
	const struct image *img = &chain->images[chain->nr - 1];

	name_devices(img->name, img->fd, "qcow/image_id");
	name_devices(img->data_path, img->data_fd, "qcow/data_file_id");
}

static int open_chain(const struct attach_request *a, struct chain *chain)
{
	int err = chain_open(chain, a->image, &a->chain);

	if (err == QC_BUSY)
		name_holders(chain);
	if (err == QC_SYSTEM && a->chain.write && eaccess(a->image, W_OK) &&
	    !eaccess(a->image, R_OK))
		qc_hint("qcowctl attach -r %s", a->image);
	else if (err == QC_BUSY && !a->force_share)
		qc_hint("qcowctl attach -r --force-share %s, to read it while it changes",
			a->image);
	else if (!err && a->force_share)
		qc_warn(a->image,
			"others may write to it meanwhile: what is read may be neither old nor new");
	return err;
}

/* An image has one method for all of its clusters. */
static int check_compress(const struct attach_request *a, const struct image *img)
{
	const char *method = img->h.compression_type == QCOW_COMPRESSION_ZSTD ? "zstd" : "zlib";

	if (!a->compress || !strcmp(a->compress, method))
		return 0;
	return qc_fail(QC_UNSUPPORTED, img->name, "compression_type is %s, %s is asked for",
		       method, a->compress);
}

/* The driver says what is wrong, not what helps. */
static void hint_refused(const struct attach_request *a, const struct chain *chain,
			 const struct attach_refusal *refusal)
{
	u64 cluster_bytes = 1ULL << chain->images[0].h.cluster_bits;
	int err = refusal->err;

	if (a->wants_overlay)
		return;
	if (refusal->bitmaps && a->chain.write && !(a->arg.flags & QCOW_ATTACH_DROP_BITMAPS))
		qc_hint("qcowctl attach -r %s, or --drop-bitmaps, which loses them", a->image);
	else if (err == EOPNOTSUPP && a->compress)
		qc_hint("qcowctl attach %s, without --compress", a->image);
	else if (err == EUCLEAN && a->chain.write)
		qc_hint("qcowctl attach -r %s, or qcowctl check -r all %s", a->image,
			a->image);
	/* Direct I/O needs whole blocks, of a page at most, and a cluster is written by itself. */
	else if (err == EOPNOTSUPP && a->chain.write &&
		 cluster_bytes < (u64)sysconf(_SC_PAGESIZE))
		qc_hint("qcowctl attach -r %s, or --direct-io off", a->image);
	else if (err == EOPNOTSUPP && a->arg.flags & QCOW_ATTACH_DIRECT)
		qc_hint("--direct-io auto");
}

/* As one that nobody has open it goes away at once: then there was no node. */
static int hold_device(struct attach_request *a, int control)
{
	char *node = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", a->arg.index);
	int err = 0;

	a->held = open(node, O_RDONLY | O_CLOEXEC);
	if (a->held < 0) {
		settle_device(a->arg.index);
		a->held = open(node, O_RDONLY | O_CLOEXEC);
	}
	if (a->held < 0)
		err = qc_fail_errno(QC_SYSTEM, errno, node, "cannot open");
	if (control_autoclear(control, a->arg.index))
		err = QC_SYSTEM;
	if (err && a->held >= 0) {
		close(a->held);
		a->held = -1;
	}
	free(node);
	return err;
}

static int call_driver(struct attach_request *a, const struct chain *chain, const s32 *keys)
{
	struct attach_refusal refusal = { 0 };
	int fd = control_open(true), err;
	sigset_t before;

	if (fd < 0)
		return -fd;
	a->arg.keys = (uintptr_t)keys;
	/* What ends the command does not leave a device that was to go away by itself. */
	qc_hold_signals(&before);
	err = control_attach(fd, chain, &a->arg, &refusal);
	if (!err && a->autoclear)
		err = hold_device(a, fd);
	qc_release_signals(&before);
	close(fd);
	if (refusal.err)
		hint_refused(a, chain, &refusal);
	return err;
}

/* A wrong key is told before the driver hears of the image. */
static int hand_over(struct attach_request *a, const struct chain *chain)
{
	struct layer_keys keys;
	int err = layer_keys_open(&keys, chain->images, chain->nr, &a->keys);

	if (!err)
		err = call_driver(a, chain, keys.serials);
	layer_keys_close(&keys);
	return err;
}

/* What is attached is an overlay from now on; the user counts the layers from the image. */
static int put_overlay(struct attach_request *a, struct overlay_file *file)
{
	size_t i;
	int err;

	err = overlay_make(file, a->image, a->overlay, a->compress, &a->chain);
	if (!err)
		err = policy_allow(&a->chain.policy, a->image);
	for (i = 0; i < a->chain.nr_backings; i++)
		a->chain.backings[i].layer++;
	return err;
}

/* An overlay without a name loses it as soon as it is open, whatever happens meanwhile. */
static int open_overlay_chain(struct attach_request *a, struct overlay_file *file,
			      struct chain *chain)
{
	sigset_t before;
	int err;

	qc_hold_signals(&before);
	err = put_overlay(a, file);
	if (!err)
		err = chain_open(chain, file->name, &a->chain);
	/* $TMPDIR may be a place where others can exchange a directory. */
	if (!err && !image_same_file(&chain->images[0].st, &file->st))
		err = qc_fail(QC_POLICY, file->name, "is not the file that has just been made");
	if (err == QC_BUSY && chain->nr)
		name_holders(chain);
	if (!a->overlay)
		overlay_file_remove(file);
	qc_release_signals(&before);
	return err;
}

static int attach_chain(struct attach_request *a, const struct chain *chain)
{
	int err = check_compress(a, &chain->images[0]);
	u32 index;

	if (!err && a->snapshot) {
		err = snapshots_find(&chain->images[0], a->snapshot, &index);
		a->arg.snapshot = index;
		a->arg.flags |= QCOW_ATTACH_SNAPSHOT;
	}
	return err ? err : hand_over(a, chain);
}

int attach_image(struct attach_request *a)
{
	struct overlay_file overlay = { 0 };
	struct chain chain = { 0 };
	int err;

	err = choose_lock(a);
	if (!err)
		err = a->wants_overlay ? open_overlay_chain(a, &overlay, &chain) :
					 open_chain(a, &chain);
	if (!err)
		err = attach_chain(a, &chain);
	if (err && a->overlay)
		overlay_file_remove(&overlay);
	if (!err)
		settle_device(a->arg.index);
	if (!err && a->activate)
		settle_activate(a->arg.index);
	chain_close(&chain);
	overlay_file_free(&overlay);
	return err;
}
