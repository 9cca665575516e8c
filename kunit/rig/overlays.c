// SPDX-License-Identifier: GPL-2.0
/*
 * Overlays in memory.
 */

#include <kunit/test.h>
#include <linux/err.h>
#include <linux/sizes.h>
#include <qcow/ondisk.h>
#include <qcow/report.h>

#include "device.h"
#include "layer/image.h"
#include "live/commit_backing.h"
#include "live/operation.h"
#include "live/overlay.h"
#include "rig/image_builder.h"
#include "rig/image_fsck.h"
#include "rig/overlays.h"
#include "rig/ram_device.h"
#include "rig/ram_store.h"

struct ram_disk *overlay_build(struct kunit *test, const struct image_shape *shape)
{
	struct image_builder *b = image_build(test, shape);

	image_build_counts(b);
	/* A copy of it has what the builder has put there. */
	b->disk->high = b->disk->bytes;
	return b->disk;
}

struct overlays *overlays_create(struct kunit *test, const struct image_shape *shape)
{
	struct overlays *o = kunit_kzalloc(test, sizeof(*o), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, o);
	for (i = 0; i < MAX_OVERLAYS; i++) {
		o->disks[i] = overlay_build(test, shape);
		o->copies[i] = ram_disk_create(test, o->disks[i]->room);
		o->fscks[i] = image_fsck_create(test, o->copies[i]);
	}
	o->empty_bytes = o->disks[0]->bytes;
	o->empty = kunit_kzalloc(test, o->empty_bytes, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, o->empty);
	memcpy(o->empty, o->disks[0]->data, o->empty_bytes);
	return o;
}

void overlays_restart(struct overlays *o)
{
	unsigned int i;

	for (i = 0; i < MAX_OVERLAYS; i++) {
		/* Nothing is pending any more. */
		ram_disk_cut(o->disks[i], 0);
		memset(o->disks[i]->data, 0, o->disks[i]->high);
		memcpy(o->disks[i]->data, o->empty, o->empty_bytes);
		o->disks[i]->bytes = o->empty_bytes;
	}
	o->nr = 0;
}

struct ram_disk *overlays_top(const struct overlays *o, const struct ram_device *dev)
{
	return o->nr ? o->disks[o->nr - 1] : dev->disk;
}

struct ram_disk *overlays_next(struct overlays *o, u64 size)
{
	struct ram_disk *disk = o->disks[o->nr];
	struct qcow_disk_header *h = (void *)disk->data;

	static_assert(offsetof(struct qcow_disk_header, size) ==
		      offsetof(struct qcow_v1_disk_header, size));
	h->size = cpu_to_be64(size);
	return disk;
}

static int put_on(struct ram_device *dev, struct ram_disk *disk, struct ram_disk *old,
		  struct qcow_report *rep)
{
	struct ram_layer top = ram_layer(dev, disk, true);
	struct ram_layer below = ram_layer(dev, old, false);
	struct qcow_overlay_parts parts = {};
	struct qcow_freeze freeze = {};
	int err;

	parts.top = qcow_layer_get(&top.p, rep);
	if (IS_ERR(parts.top))
		return PTR_ERR(parts.top);
	err = qcow_layer_reopen(&below.p, &parts.again, rep);
	if (!err)
		err = qcow_overlay_run(dev->qcow, &parts, &freeze, rep);
	if (err) {
		qcow_layer_put(parts.top);
	} else {
		below.p.file.bytes = old->bytes;
		qcow_layer_share(dev->qcow->chain->backing, &below.p.file, &below.p.data);
	}
	qcow_reopened_destroy(&parts.again);
	return err;
}

int overlays_put(struct overlays *o, struct ram_device *dev, struct ram_disk *disk, char *text,
		 size_t len)
{
	struct qcow_report rep = { .buf = text, .size = len };
	struct qcow_device *qcow;
	int err;

	text[0] = 0;
	qcow = qcow_device_get(dev->index, "overlay", &rep);
	if (IS_ERR(qcow))
		return PTR_ERR(qcow);
	err = put_on(dev, disk, overlays_top(o, dev), &rep);
	qcow_device_put(qcow);
	if (!err)
		o->nr++;
	return err;
}

static int commit_into(struct ram_device *dev, struct ram_disk *disk, struct qcow_report *rep)
{
	struct qcow_image *old = dev->qcow->chain->backing;
	struct ram_layer below = ram_layer(dev, disk, false);
	struct ram_layer base = ram_layer(dev, disk, true);
	struct qcow_commit_parts parts = {};
	int err;

	below.p.image.raw = old->raw;
	base.p.image.raw = old->raw;
	base.p.instead = old;
	base.p.backing = qcow_layer_hold(old->backing);
	parts.base = qcow_layer_get(&base.p, rep);
	if (IS_ERR(parts.base)) {
		qcow_layer_put(base.p.backing);
		return PTR_ERR(parts.base);
	}
	err = qcow_layer_reopen(&below.p, &parts.again, rep);
	if (!err)
		err = qcow_commit_backing_run(dev->qcow, &parts, rep);
	if (!parts.is_below) {
		qcow_layer_put(parts.base);
	} else {
		below.p.file.bytes = disk->bytes;
		qcow_layer_share(parts.base, &below.p.file, &below.p.data);
	}
	qcow_reopened_destroy(&parts.again);
	return err;
}

/* Below the image on top. */
static struct ram_disk *disk_below(const struct overlays *o, const struct ram_device *dev)
{
	if (!o->nr)
		return dev->backing;
	return o->nr > 1 ? o->disks[o->nr - 2] : dev->disk;
}

int overlays_commit(struct overlays *o, struct ram_device *dev, u64 rate, char *text, size_t len)
{
	struct qcow_report rep = { .buf = text, .size = len };
	struct qcow_device *qcow;
	int err;

	text[0] = 0;
	qcow = qcow_device_get_job(dev->index, "commit", rate, &rep);
	if (IS_ERR(qcow))
		return PTR_ERR(qcow);
	err = qcow_commit_backing_check(qcow, &rep);
	if (!err)
		err = commit_into(dev, disk_below(o, dev), &rep);
	qcow_device_put(qcow);
	if (!err && o->nr)
		o->nr--;
	return err;
}

void overlays_imagine(struct overlays *o, u64 seed)
{
	unsigned int i;

	for (i = 0; i < MAX_OVERLAYS; i++)
		ram_disk_imagine(o->disks[i], seed, o->copies[i]);
}
