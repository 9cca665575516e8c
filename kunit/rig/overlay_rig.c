// SPDX-License-Identifier: GPL-2.0
/*
 * A device that gets overlays while a guest writes to it.
 */

#include <kunit/test.h>
#include <linux/err.h>
#include <linux/sizes.h>

#include "data/cow.h"
#include "layer/image.h"
#include "rig/guest_model.h"
#include "rig/image_builder.h"
#include "rig/image_fsck.h"
#include "rig/overlay_rig.h"
#include "rig/overlays.h"
#include "rig/ram_store.h"
#include "rig/write_rig.h"

struct overlay_rig *overlay_rig_create(struct kunit *test, const struct write_case *c)
{
	struct overlay_rig *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, r);
	r->rig = write_rig_create(test, c, OVERLAY_SEED);
	r->tops = overlays_create(test, &(struct image_shape) {
		.version = 3, .cluster_bits = c->cluster_bits, .size = c->size, .room = SZ_16M,
	});
	if (c->backing)
		r->base = ram_disk_create(test, r->rig->dev.backing->room);
	r->least = kunit_kcalloc(test, c->size / SECTOR_SIZE, sizeof(u32), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r->least);
	mutex_init(&r->lock);
	return r;
}

void overlay_rig_restart(struct overlay_rig *r)
{
	write_rig_restart(r->rig);
	overlays_restart(r->tops);
}

int overlay_rig_guest(struct overlay_rig *r, unsigned int ops, u64 seed)
{
	return write_rig_guest(r->rig, ops, seed);
}

/* The chain that the copies of all disks are, on @base; each of them is a good image. */
static int check_chain(struct overlay_rig *r, struct qcow_image *base, const u32 *least)
{
	struct write_rig *rig = r->rig;
	struct qcow_image *chain[MAX_OVERLAYS + 1], *image = base;
	struct overlays *tops = r->tops;
	int nr, err = image_fsck(rig->fsck);

	if (err) {
		strscpy(r->text, rig->fsck->text, sizeof(r->text));
		return err;
	}
	for (nr = 0; nr <= MAX_OVERLAYS && !err; nr++) {
		if (nr && image_fsck(tops->fscks[nr - 1])) {
			strscpy(r->text, tops->fscks[nr - 1]->text, sizeof(r->text));
			err = -EUCLEAN;
			break;
		}
		image = write_rig_open_over(rig, nr ? tops->copies[nr - 1] : rig->copy, image,
					    QCOW_ACTIVE_STATE);
		if (IS_ERR(image)) {
			strscpy(r->text, rig->text, sizeof(r->text));
			err = PTR_ERR(image);
			break;
		}
		chain[nr] = image;
	}
	if (!err)
		err = qcow_cow_read(image, 0, rig->guest, rig->c->size);
	if (!err)
		err = guest_model_check(rig->model, least, 0, rig->model->nr, rig->guest, r->text,
					sizeof(r->text));
	while (nr--)
		qcow_image_close(chain[nr]);
	return err;
}

static int check_copies(struct overlay_rig *r, const u32 *least)
{
	const struct qcow_image_params params = {
		.name = "base", .raw = true, .snapshot = QCOW_ACTIVE_STATE,
	};
	struct qcow_image *base = NULL;
	struct qcow_store *store;
	int err;

	if (r->base) {
		store = ram_store_try(r->base);
		base = store ? qcow_image_open(&params, store, NULL, NULL) : ERR_PTR(-ENOMEM);
		if (IS_ERR(base))
			return PTR_ERR(base);
	}
	err = check_chain(r, base, least);
	if (base)
		qcow_image_close(base);
	return err;
}

static void imagine(struct overlay_rig *r, u64 seed)
{
	if (r->base)
		ram_disk_imagine(r->rig->dev.backing, seed, r->base);
	ram_disk_imagine(r->rig->dev.disk, seed, r->rig->copy);
	overlays_imagine(r->tops, seed);
}

void overlay_rig_expect_good(struct overlay_rig *r, const u32 *least)
{
	imagine(r, 0);
	KUNIT_EXPECT_EQ_MSG(r->rig->test, 0, check_copies(r, least), "%s", r->text);
}

static void on_change(void *watcher)
{
	struct overlay_rig *r = watcher;
	int err;

	mutex_lock(&r->lock);
	if (!r->bad && r->nr < r->most) {
		guest_model_durable(r->rig->model, r->least);
		imagine(r, OVERLAY_SEED + r->nr);
		err = check_copies(r, r->least);
		if (err) {
			kunit_err(r->rig->test, "cut %u: error %d: %s", r->nr, err, r->text);
			r->bad = true;
		}
		r->nr++;
	}
	mutex_unlock(&r->lock);
}

void overlay_rig_watch(struct overlay_rig *r, unsigned int cuts)
{
	struct ram_disk *disks[] = {
		r->rig->dev.disk, r->tops->disks[0], r->tops->disks[1], r->rig->dev.backing,
	};
	unsigned int i;

	static_assert(ARRAY_SIZE(disks) == MAX_OVERLAYS + 2);
	r->most = cuts;
	for (i = 0; i < ARRAY_SIZE(disks) && disks[i]; i++) {
		disks[i]->watcher = r;
		disks[i]->on_change = cuts ? on_change : NULL;
	}
}
