// SPDX-License-Identifier: GPL-2.0
/*
 * Overlays on an image that no device has, to be attached in its place.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "overlay/internal.h"
#include "overlay/overlay.h"

/* A directory that no other user can open: what is in it cannot be exchanged. */
static int make_directory(struct overlay_file *file)
{
	const char *tmp = getenv("TMPDIR");

	file->dir = qc_printf("%s/qcow-XXXXXX", tmp && *tmp ? tmp : "/var/tmp");
	if (mkdtemp(file->dir))
		return 0;
	qc_fail_errno(0, errno, file->dir, "cannot create a directory");
	free(file->dir);
	file->dir = NULL;
	return QC_SYSTEM;
}

static int create_on(struct overlay_file *file, const struct image *img, const char *path,
		     const char *compression_type)
{
	const struct overlay_spec spec = {
		.img = img,
		.path = path,
		.bytes = round_down(img->h.size, 512),
		.compression_type = compression_type,
	};
	int made, err = overlay_create_file(&spec, file->name, &made);

	if (err)
		return err;
	if (fstat(made, &file->st))
		err = qc_fail_errno(QC_SYSTEM, errno, file->name, "cannot stat");
	close(made);
	return err;
}

static int make_on(struct overlay_file *file, const struct image *img, const char *name,
		   const char *compression_type)
{
	char *path;
	int err = 0;

	if (image_is_encrypted(img)) {
		qc_fail(0, img->name, "is encrypted, what is written to the overlay would not be");
		qc_hint("qcowctl create -b %s -o encrypt.format=luks,... FILE, and attach FILE",
			img->name);
		return QC_UNSUPPORTED;
	}
	path = realpath(img->name, NULL);
	if (!path)
		return qc_fail_errno(QC_SYSTEM, errno, img->name, "cannot find it again");
	if (!name)
		err = make_directory(file);
	if (!err) {
		file->name = name ? qc_strdup(name) : qc_printf("%s/overlay.qcow2", file->dir);
		err = create_on(file, img, path, compression_type);
	}
	if (err)
		overlay_file_remove(file);
	free(path);
	return err;
}

int overlay_make(struct overlay_file *file, const char *image, const char *name,
		 const char *compression_type, const struct chain_options *opts)
{
	struct chain_options only = *opts;
	struct chain chain = { 0 };
	int err;

	*file = (struct overlay_file){ 0 };
	only.write = false;
	/* That of a reader is taken with the chain. */
	only.lock = IMAGE_LOCK_NONE;
	only.top_only = true;
	only.no_data = true;
	err = chain_open(&chain, image, &only);
	if (!err)
		err = make_on(file, chain.images, name, compression_type);
	chain_close(&chain);
	return err;
}

void overlay_file_remove(const struct overlay_file *file)
{
	overlay_remove_file(file->name, &file->st);
	if (file->dir)
		rmdir(file->dir);
}

void overlay_file_free(struct overlay_file *file)
{
	free(file->name);
	free(file->dir);
	*file = (struct overlay_file){ 0 };
}
