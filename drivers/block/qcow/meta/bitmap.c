// SPDX-License-Identifier: GPL-2.0
/*
 * Persistent bitmaps: read and checked at attach, marked before the first write.
 *
 * The directory is written whole, and differs from what is on disk in the flags of entries alone: a
 * power cut leaves some bitmaps marked, which loses what they say and nothing else. A directory
 * that cannot be understood is left to the autoclear bit, as by any program that does not know
 * bitmaps.
 */
#include <linux/mm.h>
#include <qcow/bitmap.h>

#include "layer/image.h"
#include "meta/bitmap.h"
#include "meta/overlap.h"
#include "store/store.h"

/* Read all of a range; a kvfree()able buffer in @result. */
static int bitmaps_read(struct qcow_image *image, const char *what, u64 host, size_t len,
			void **result, struct qcow_report *rep)
{
	void *buf = kvmalloc(len, GFP_KERNEL);
	int err;

	if (!buf)
		return -ENOMEM;
	err = qcow_store_read(image->store, buf, host, len);
	if (err) {
		qcow_report(rep, "%s at 0x%llx: cannot be read: error %d", what, host, err);
		kvfree(buf);
		return err;
	}
	*result = buf;
	return 0;
}

/* Where the directory is. Return: 0, and @known if it can be understood; -errno. */
static int bitmaps_find(struct qcow_image *image, struct qcow_bitmaps_dir *dir, bool *known,
			struct qcow_report *rep)
{
	u64 file_bytes = image->store->bytes;
	size_t len = min_t(u64, qcow_cluster_bytes(&image->geo), file_bytes);
	void *head;
	int err;

	err = bitmaps_read(image, "header", 0, len, &head, rep);
	if (err)
		return err;
	*known = !qcow_bitmaps_find_dir(&image->header, head, len, file_bytes, dir, rep);
	kvfree(head);
	return 0;
}

static bool bitmaps_walk(struct qcow_image *image, const struct qcow_bitmaps_dir *dir,
			 const void *buf, struct qcow_report *rep)
{
	struct qcow_bitmap bitmap;
	size_t pos = 0;
	u32 idx = 0;
	int ret;

	do {
		ret = qcow_bitmap_next(&image->header, dir, image->store->bytes, buf, &pos, &idx,
				       &bitmap, rep);
	} while (ret > 0);
	return !ret;
}

static int bitmaps_read_dir(struct qcow_bitmaps *bitmaps, struct qcow_image *image,
			    const struct qcow_bitmaps_dir *dir, struct qcow_report *rep)
{
	void *buf;
	u32 nr;
	int err;

	err = bitmaps_read(image, "bitmap directory", dir->host_offset, dir->bytes, &buf, rep);
	if (err)
		return err;
	bitmaps->known = bitmaps_walk(image, dir, buf, rep);
	nr = bitmaps->known ? qcow_bitmap_mark_in_use(dir, buf) : 0;
	if (!nr) {
		kvfree(buf);
		return 0;
	}
	bitmaps->marked = buf;
	bitmaps->host = dir->host_offset;
	bitmaps->bytes = dir->bytes;
	qcow_report(rep, "the first write makes persistent bitmaps inconsistent: %u of %u", nr,
		    dir->nr);
	return 0;
}

int qcow_bitmaps_open(struct qcow_bitmaps *bitmaps, struct qcow_image *image,
		      struct qcow_overlap *overlap, struct qcow_report *rep)
{
	struct qcow_bitmaps_dir dir;
	bool known;
	int err;

	if (!(image->header.autoclear & QCOW_AUTOCLEAR_BITMAPS))
		return 0;
	err = bitmaps_find(image, &dir, &known, rep);
	if (!err && known && qcow_overlap_hit(overlap, dir.host_offset, dir.bytes))
		qcow_report(rep, "bitmap directory at 0x%llx lies over other metadata",
			    dir.host_offset);
	else if (!err && known)
		err = bitmaps_read_dir(bitmaps, image, &dir, rep);
	if (err)
		return err;
	if (!bitmaps->known) {
		qcow_report(rep, "the first write loses the persistent bitmaps");
		return 0;
	}
	return qcow_overlap_add(overlap, dir.host_offset, dir.bytes);
}

int qcow_bitmaps_mark(struct qcow_bitmaps *bitmaps, struct qcow_image *image)
{
	int err;

	if (!bitmaps->marked)
		return 0;
	err = qcow_store_write(image->store, bitmaps->marked, bitmaps->host, bitmaps->bytes);
	if (!err)
		err = qcow_store_flush(image->store);
	if (!err)
		qcow_bitmaps_close(bitmaps);
	return err;
}

void qcow_bitmaps_close(struct qcow_bitmaps *bitmaps)
{
	kvfree(bitmaps->marked);
	bitmaps->marked = NULL;
}
