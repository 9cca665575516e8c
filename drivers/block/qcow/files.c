// SPDX-License-Identifier: GPL-2.0
/*
 * Open files as what layers are made of. A descriptor decides what a file is: no path is resolved.
 */
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/string_helpers.h>
#include <qcow/report.h>

#include "files.h"
#include "store/store.h"

int qcow_files_get(struct file **file, int fd, bool writable, struct qcow_report *rep)
{
	*file = fget(fd);
	if (!*file) {
		qcow_report(rep, "descriptor %d is not open", fd);
		return -EBADF;
	}
	return qcow_store_check(*file, writable, rep);
}

int qcow_files_read_id(struct file *file, struct qcow_file_id *id)
{
	struct kstat stat;
	int err;

	if (!file)
		return 0;
	err = vfs_getattr(&file->f_path, &stat, STATX_INO, 0);
	if (err)
		return err;
	id->dev = S_ISBLK(stat.mode) ? stat.rdev : stat.dev;
	id->ino = stat.ino;
	return 0;
}

static int read_state(struct file *file, struct qcow_layer_file *lf)
{
	struct kstat stat;
	int err;

	if (!file)
		return 0;
	lf->id = qcow_files_inode(file);
	/* What is written to a block device changes no time of it. */
	if (!S_ISREG(file_inode(file)->i_mode)) {
		lf->bytes = i_size_read(qcow_files_inode(file));
		return 0;
	}
	err = vfs_getattr(&file->f_path, &stat, STATX_SIZE | STATX_MTIME, 0);
	lf->bytes = stat.size;
	lf->mtime = stat.mtime;
	return err;
}

int qcow_files_read_state(struct qcow_open_layer *layer)
{
	int err = read_state(layer->image, &layer->p.file);

	return err ?: read_state(layer->data, &layer->p.data);
}

char *qcow_files_name(struct file *file)
{
	char *path = kstrdup_quotable_file(file, GFP_KERNEL);
	char *name;

	if (!path)
		return NULL;
	name = kasprintf(GFP_KERNEL, "qcow: %s", path);
	kfree(path);
	return name;
}

int qcow_files_open_stores(const struct qcow_layer_params *p, struct workqueue_struct *wq,
			   struct qcow_store **store, struct qcow_store **data,
			   struct qcow_report *rep)
{
	const struct qcow_open_layer *layer = container_of(p, struct qcow_open_layer, p);

	*store = qcow_store_open(layer->image, p->image.writable, p->direct, wq, rep);
	if (IS_ERR(*store))
		return PTR_ERR(*store);
	if (!layer->data)
		return 0;
	*data = qcow_store_open(layer->data, p->image.writable, p->direct, wq, rep);
	if (IS_ERR(*data)) {
		qcow_store_destroy(*store);
		return PTR_ERR(*data);
	}
	return 0;
}

struct qcow_image *qcow_files_open_layer(struct qcow_open_layer *layer, const char *name,
					 struct qcow_report *rep)
{
	struct qcow_image *image;
	char *shared = NULL;
	int err;

	err = qcow_files_read_state(layer);
	if (err)
		return ERR_PTR(err);
	if (!layer->p.image.writable) {
		shared = qcow_files_name(layer->image);
		if (!shared)
			return ERR_PTR(-ENOMEM);
	}
	layer->p.image.name = shared ?: name;
	layer->p.open = qcow_files_open_stores;
	image = qcow_layer_get(&layer->p, rep);
	kfree(shared);
	return image;
}
