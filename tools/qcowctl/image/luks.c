// SPDX-License-Identifier: GPL-2.0
/*
 * The LUKS header of an image, as it is in the file.
 */
#include <errno.h>

#include <qcow/luks.h>

#include "image/image.h"

int image_read_luks(const struct image *img, struct qcow_luks_place *place,
		    struct qcow_luks *luks)
{
	QC_REPORT(rep);
	struct qcow_disk_luks disk;
	int err;

	err = qcow_luks_find(&img->h, img->head, img->head_len, img->bytes, place, &rep);
	if (!err) {
		err = image_pread(img->fd, &disk, sizeof(disk), place->host_offset);
		if (err)
			return qc_fail_errno(image_exit_code(err), -err, img->name,
					     "cannot read the LUKS header");
		err = qcow_luks_parse(luks, &disk, place->bytes, &rep);
	}
	qc_lines(img->name, rep.buf);
	return image_exit_code(err);
}
