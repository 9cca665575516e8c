// SPDX-License-Identifier: GPL-2.0
/*
 * A whole image: validate the options, open the backing file for its size, write image and
 * external data file, give both their names.
 */
#include <errno.h>
#include <fcntl.h>

#include "create/internal.h"
#include "image/image.h"

/* No policy restricts the file that the user named; its own backing file is not opened. */
static int open_backing(struct image *img, const char *path, const struct create_spec *spec)
{
	int err;

	if (path_has_protocol(path))
		return qc_fail(QC_POLICY, "backing_file",
			       "'%s' has a protocol, only files are opened", path);
	err = policy_open_named(img, path, false);
	if (err)
		return err;
	img->raw = !strcmp(spec->backing_format, "raw");
	if (img->raw)
		return 0;

	err = image_read_header(img);
	if (!err && strcmp(image_format(img), spec->backing_format))
		err = QC_NOT_QCOW;
	if (err == QC_NOT_QCOW)
		return qc_fail(QC_BAD_IMAGE, "backing_fmt", "'%s' is not what %s is",
			       spec->backing_format, img->name);
	return err;
}

/* The file that a name in the image stands for. */
static char *name_beside(const char *image, const char *name)
{
	return policy_combine(image, strncmp(name, "file:/", 6) ? name : name + 5);
}

/* Creating a file that is the backing file itself would destroy the backing file. */
static int check_distinct(const char *what, const char *path, const char *backing)
{
	struct stat a, b;

	if (stat(path, &a) || stat(backing, &b) || !image_same_file(&a, &b))
		return 0;
	return qc_fail(QC_USAGE, what, "'%s' is the backing file itself", path);
}

static int check_backing(const char *name, bool unsafe, struct create_spec *spec)
{
	char *path = name_beside(name, spec->backing);
	char *data = spec->data_file ? name_beside(name, spec->data_file) : NULL;
	struct image img;
	int err;

	image_init(&img);
	err = check_distinct("create", name, path);
	if (!err && data)
		err = check_distinct("data_file", data, path);
	if (!err && !unsafe)
		err = open_backing(&img, path, spec);
	/* As in QEMU, a raw file is rounded up to a sector, an image is rounded down. */
	if (!err && !unsafe && !spec->has_size) {
		spec->size = img.raw ? round_up(img.bytes, 512) : round_down(img.h.size, 512);
		spec->has_size = true;
	}
	image_close(&img);
	free(data);
	free(path);
	return err;
}

/* Both files are complete before either of them gets its name. */
static int write_files(struct target *image, struct target *data, const struct layout *layout,
		       const struct create_spec *spec)
{
	int err;

	if (spec->data_file && target_same(image, data))
		return qc_fail(QC_USAGE, "data_file", "'%s' is the image itself", spec->data_file);
	if (spec->nocow)
		target_overwrite_in_place(image);
	if (spec->nocow && spec->data_file)
		target_overwrite_in_place(data);
	err = spec->data_file ? write_data_file(data, spec) : 0;
	if (!err)
		err = write_image(image, layout, spec);
	if (!err && spec->data_file)
		err = target_commit(data);
	if (!err) {
		err = target_commit(image);
		if (err && spec->data_file)
			target_remove(data);
	}
	return err;
}

static int hand_back(const struct target *image, const struct target *data, int *made)
{
	*made = fcntl(image->fd, F_DUPFD_CLOEXEC, 0);
	if (*made >= 0)
		return 0;
	qc_fail_errno(0, errno, image->name, "cannot keep it open");
	target_remove(image);
	target_remove(data);
	return QC_SYSTEM;
}

static int make(const char *name, const struct create_options *opts,
		const struct create_spec *spec, int *made)
{
	enum target_old old = opts->force ? TARGET_REPLACE :
			      opts->exclusive ? TARGET_NONE : TARGET_EMPTY;
	struct target image, data = { .fd = -1, .old_fd = -1 };
	struct layout layout;
	char *data_name = NULL;
	int err;

	err = layout_plan(&layout, spec, name);
	if (!err && layout.luks.bytes)
		err = encrypt_make(spec, opts, name, &layout.luks_content_bytes,
				   &layout.luks_content);
	if (err) {
		layout_free(&layout);
		return err;
	}
	err = target_open(&image, name, old, opts->like);
	if (!err && spec->data_file) {
		data_name = name_beside(name, spec->data_file);
		err = target_open(&data, data_name, old, opts->like);
	}
	if (!err)
		err = write_files(&image, &data, &layout, spec);
	if (!err && made)
		err = hand_back(&image, &data, made);
	free(data_name);
	target_close(&data);
	target_close(&image);
	layout_free(&layout);
	return err;
}

int create_image(const char *name, const struct create_options *opts, bool unsafe, int *made)
{
	struct create_spec spec;
	int err;

	if (made)
		*made = -1;
	err = create_options_resolve(opts, &spec);
	if (!err && spec.backing)
		err = check_backing(name, unsafe, &spec);
	if (!err && !spec.has_size)
		err = qc_fail(QC_USAGE, "size", "none is given");
	return err ? err : make(name, opts, &spec, made);
}
