// SPDX-License-Identifier: GPL-2.0
/*
 * An image, its guest and the check of both.
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <qcow/ondisk.h>
#include <qcow/report.h>

#include "data/cow.h"
#include "layer/image.h"
#include "meta/worker.h"
#include "rig/guest_model.h"
#include "rig/image_builder.h"
#include "rig/image_crypt.h"
#include "rig/image_fsck.h"
#include "rig/ram_store.h"
#include "rig/write_mix.h"
#include "rig/write_rig.h"

/* The driver makes a file longer by 4 MiB at a time. */
#define ROOM		SZ_16M

/* Clusters that a slice of 512 bytes counts, 64 bits each; an L2 table of so many maps as many. */
#define SPREAD_CLUSTERS	64

/* Free ones for each L2 table. */
#define SPREAD_FREE	2

static const struct write_case write_cases[] = {
	{
		.name = "v1, 512, long tables, mixed", .version = 1, .cluster_bits = 9,
		.l2_bits = 8, .size = SZ_256K, .mixed = true, .threads = 3,
	}, {
		.name = "v1, 4k, mixed", .version = 1, .cluster_bits = 12, .size = SZ_512K + 512,
		.mixed = true, .threads = 3,
	}, {
		.name = "v1, 4k, backing", .version = 1, .cluster_bits = 12, .size = SZ_512K,
		.backing = SZ_256K + 512, .threads = 3,
	}, {
		.name = "v1, 64k", .version = 1, .cluster_bits = 16, .size = SZ_1M,
		.threads = 3,
	}, {
		.name = "v2, 512", .version = 2, .cluster_bits = 9, .size = SZ_256K,
		.threads = 3,
	}, {
		.name = "v2, 4k, mixed, backing", .version = 2, .cluster_bits = 12,
		.size = SZ_512K + 512,
		.backing = SZ_256K + 512, .mixed = true, .threads = 3,
	}, {
		.name = "v2, 64k, backing, compressed", .version = 2, .cluster_bits = 16,
		.size = SZ_1M,
		.backing = SZ_1M, .compress = true, .threads = 3,
	}, {
		.name = "v3, 512, 64 bit counts", .version = 3, .cluster_bits = 9, .size = SZ_512K,
		.refcount_bits = 64, .cache_bytes = SZ_64K, .threads = 3,
	}, {
		.name = "v3, 512, full refcount table", .version = 3, .cluster_bits = 9,
		.size = SZ_256K,
		.refcount_bits = 64, .ballast = SZ_2M - SZ_128K, .threads = 3,
	}, {
		.name = "v3, 512, 1 bit counts", .version = 3, .cluster_bits = 9, .size = SZ_256K,
		.refcount_bits = 1, .threads = 3,
	}, {
		.name = "v3, 512, mixed, backing", .version = 3, .cluster_bits = 9, .size = SZ_256K,
		.refcount_bits = 2, .backing = SZ_128K, .mixed = true, .threads = 3,
	}, {
		.name = "v3, 512, short L1", .version = 3, .cluster_bits = 9, .size = SZ_256K,
		.short_l1 = true, .threads = 3,
	}, {
		.name = "v3, 4k", .version = 3, .cluster_bits = 12, .size = SZ_1M,
		.threads = 3,
	}, {
		.name = "v3, 4k, one thread", .version = 3, .cluster_bits = 12, .size = SZ_512K,
		.refcount_bits = 8, .threads = 1,
	}, {
		.name = "v3, 4k, mixed, backing", .version = 3, .cluster_bits = 12,
		.size = SZ_512K + 512,
		.refcount_bits = 32, .backing = SZ_256K + 512, .mixed = true, .threads = 3,
	}, {
		.name = "v3, 64k, mixed", .version = 3, .cluster_bits = 16, .size = SZ_1M,
		.refcount_bits = 4, .mixed = true, .threads = 3,
	}, {
		.name = "v3, 64k, backing", .version = 3, .cluster_bits = 16, .size = SZ_1M,
		.backing = SZ_512K, .threads = 3,
	}, {
		.name = "v3, 16k, subclusters", .version = 3, .cluster_bits = 14, .size = SZ_512K,
		.extended = true, .threads = 3,
	}, {
		.name = "v3, 64k, subclusters, mixed, backing", .version = 3, .cluster_bits = 16,
		.size = SZ_1M,
		.backing = SZ_512K + 512, .extended = true, .mixed = true, .threads = 3,
	}, {
		.name = "v3, 4k, 8 bit counts, mixed, compressed", .version = 3, .cluster_bits = 12,
		.size = SZ_512K,
		.refcount_bits = 8, .mixed = true, .compress = true, .threads = 3,
	}, {
		.name = "v3, 16k, subclusters, compressed", .version = 3, .cluster_bits = 14,
		.size = SZ_512K,
		.extended = true, .compress = true, .threads = 3,
	}, {
		.name = "v1, 4k, mixed, backing, AES", .version = 1, .cluster_bits = 12,
		.size = SZ_512K + 512,
		.backing = SZ_256K + 512, .mixed = true, .crypt_method = QCOW_CRYPT_AES,
		.threads = 3,
	}, {
		.name = "v2, 64k, mixed, AES", .version = 2, .cluster_bits = 16, .size = SZ_1M,
		.mixed = true, .crypt_method = QCOW_CRYPT_AES, .threads = 3,
	}, {
		.name = "v2, 512, mixed, LUKS", .version = 2, .cluster_bits = 9, .size = SZ_256K,
		.mixed = true, .crypt_method = QCOW_CRYPT_LUKS, .threads = 3,
	}, {
		.name = "v3, 4k, mixed, backing, LUKS", .version = 3, .cluster_bits = 12,
		.size = SZ_512K + 512,
		.backing = SZ_256K + 512, .mixed = true, .crypt_method = QCOW_CRYPT_LUKS,
		.threads = 3,
	}, {
		.name = "v3, 64k, subclusters, mixed, backing, LUKS", .version = 3,
		.cluster_bits = 16, .size = SZ_1M,
		.backing = SZ_512K + 512, .extended = true, .mixed = true,
		.crypt_method = QCOW_CRYPT_LUKS, .threads = 3,
	},
};

const unsigned int nr_write_cases = ARRAY_SIZE(write_cases);

const void *write_case_next(const void *prev, char *name)
{
	const struct write_case *c = prev ? (const struct write_case *)prev + 1 : write_cases;

	if (c == write_cases + nr_write_cases)
		return NULL;
	strscpy(name, c->name, KUNIT_PARAM_DESC_SIZE);
	return c;
}

static void *memory(struct kunit *test, size_t bytes)
{
	void *p = kunit_kzalloc(test, bytes, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	return p;
}

/* A raw image of stamps. */
static void fill_backing(struct write_rig *rig)
{
	struct ram_disk *disk = rig->dev.backing;
	u32 i;

	disk->bytes = rig->c->backing;
	memset(disk->data, 0, disk->room);
	for (i = 0; i < disk->bytes / SECTOR_SIZE; i++)
		guest_stamp(rig->model, disk->data + i * SECTOR_SIZE, i, 0);
	disk->high = disk->bytes;
}

static void create_backing(struct write_rig *rig)
{
	u32 sectors = min(rig->c->backing, rig->c->size) / SECTOR_SIZE;

	rig->dev.backing = ram_disk_create(rig->test, max(rig->c->backing, rig->c->size));
	fill_backing(rig);
	guest_model_begin(rig->model, 0, sectors, GUEST_STAMP);
	rig->backing = image_open_raw(rig->test, rig->dev.backing);
}

static void create_scattered(struct write_rig *rig, struct image_builder *b)
{
	u64 cluster = 1ULL << rig->c->cluster_bits;
	u64 spread = SPREAD_CLUSTERS * cluster;
	u64 first = b->end, tables = DIV_ROUND_UP_ULL(rig->c->size, spread);
	u64 i, nr;

	for (i = 0; i < tables; i++) {
		image_build_alloc(b, SPREAD_FREE * spread);
		image_build_entry(b, i * spread, image_build_alloc(b, cluster) |
				  image_build_copied(b) | ENTRY_ZERO);
		rig->leaked += SPREAD_FREE * spread;
	}
	image_build_counts(b);
	for (i = 0; i < tables; i++) {
		u64 host = first + i * (SPREAD_FREE * spread + 2 * cluster);

		for (nr = 0; nr < SPREAD_FREE; nr++)
			image_build_count(b, host + nr * spread, 0);
		rig->leaked -= SPREAD_FREE * cluster;
	}
}

static void create_image(struct write_rig *rig)
{
	const struct write_case *c = rig->c;
	struct image_shape shape = {
		.version = c->version, .cluster_bits = c->cluster_bits, .size = c->size,
		.l2_bits = c->l2_bits,
		.refcount_bits = c->refcount_bits, .room = ROOM,
		.incompatible = c->extended ? QCOW_INCOMPAT_EXTENDED_L2 : 0,
		.l1_entries = c->short_l1,
		.crypt_method = c->crypt_method,
	};
	struct image_builder *b = image_build(rig->test, &shape);

	if (c->ballast)
		image_build_alloc(b, c->ballast);
	/* What is in no table counts as leaked. */
	rig->luks = image_crypt_header_at(b);
	rig->luks_bytes = image_crypt_header_bytes(b);
	rig->leaked = c->ballast + round_up(rig->luks_bytes, 1ULL << c->cluster_bits);
	if (c->mixed)
		write_mix(b, rig->model, c->backing);
	else if (c->scattered)
		create_scattered(rig, b);
	else
		image_build_counts(b);
	if (c->counted_beyond) {
		image_build_count(b, b->end + c->counted_beyond, 1);
		rig->leaked += 1ULL << c->cluster_bits;
	}
	rig->dev.disk = b->disk;
	rig->begin_bytes = b->disk->bytes;
	rig->begin = memory(rig->test, b->disk->bytes);
	memcpy(rig->begin, b->disk->data, b->disk->bytes);
	guest_model_save(rig->model);
}

int write_rig_guest(struct write_rig *rig, unsigned int ops, u64 seed)
{
	struct guest_load *load = &rig->load;
	int err;

	load->ops = ops;
	load->seed = seed;
	err = guest_load_run(load);
	KUNIT_EXPECT_STREQ(rig->test, load->text, "");
	return err ?: guest_load_flush(load, rig->promise);
}

void write_rig_restart(struct write_rig *rig)
{
	struct ram_disk *disk = rig->dev.disk;

	/* Nothing is pending any more. */
	ram_disk_cut(disk, 0);
	memset(disk->data, 0, disk->high);
	memcpy(disk->data, rig->begin, rig->begin_bytes);
	disk->bytes = rig->begin_bytes;
	disk->room = ROOM;
	if (rig->dev.backing) {
		ram_disk_cut(rig->dev.backing, 0);
		fill_backing(rig);
	}
	guest_model_restart(rig->model);
}

KUNIT_DEFINE_ACTION_WRAPPER(memory_action, kvfree, const void *);

/* A test that ends early must not leave it. */
static void detach_action(void *data)
{
	struct ram_device *dev = data;

	if (dev->attached)
		ram_device_detach(dev);
}

struct write_rig *write_rig_create(struct kunit *test, const struct write_case *c, u64 seed)
{
	struct write_rig *rig = memory(test, sizeof(*rig));
	u32 sectors = c->size / SECTOR_SIZE;

	rig->test = test;
	rig->c = c;
	rig->model = guest_model_create(test, sectors, seed);
	rig->promise = memory(test, sectors * sizeof(u32));
	rig->guest = kvzalloc(c->size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, rig->guest);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, memory_action, rig->guest));
	if (c->backing)
		create_backing(rig);
	create_image(rig);
	rig->dev.cache_bytes = c->cache_bytes;
	rig->dev.compress = c->compress;
	rig->copy = ram_disk_create(test, ROOM);
	rig->fsck = image_fsck_create(test, rig->copy);
	rig->load = (struct guest_load) {
		.dev = &rig->dev, .model = rig->model, .threads = c->threads,
		.cluster = 1U << (c->cluster_bits - SECTOR_SHIFT), .seed = seed,
		.discards = c->version == 3 || !c->backing,
	};
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action(test, detach_action, &rig->dev));
	return rig;
}

static int try_writer(struct write_rig *rig, struct qcow_image *image, struct qcow_report *rep)
{
	struct qcow_meta *meta = qcow_meta_create(image, false, rep);

	if (IS_ERR(meta))
		return PTR_ERR(meta);
	qcow_meta_destroy(meta);
	return 0;
}

struct qcow_image *write_rig_open_over(struct write_rig *rig, struct ram_disk *copy,
				       struct qcow_image *backing, u32 snapshot)
{
	struct qcow_image_params params = {
		.name = "cut", .writable = snapshot == QCOW_ACTIVE_STATE, .snapshot = snapshot,
		.cache_bytes = SZ_1M, .key = copy->key,
	};
	struct qcow_report rep = { .buf = rig->text, .size = sizeof(rig->text) };
	struct qcow_store *store = ram_store_try(copy);
	struct qcow_image *image;

	if (!store)
		return ERR_PTR(-ENOMEM);
	image = qcow_image_open(&params, store, NULL, &rep);
	if (!IS_ERR(image))
		image->backing = backing;
	return image;
}

struct qcow_image *write_rig_open(struct write_rig *rig, u32 snapshot)
{
	return write_rig_open_over(rig, rig->copy, rig->backing, snapshot);
}

static int check_image(struct write_rig *rig, struct qcow_image *image, const u32 *least,
		       bool writable)
{
	struct qcow_report rep = { .buf = rig->text, .size = sizeof(rig->text) };
	int err = 0;

	if (writable)
		err = try_writer(rig, image, &rep);
	if (err)
		return err;
	err = qcow_cow_read(image, 0, rig->guest, rig->c->size);
	if (err) {
		qcow_report(&rep, "reading it: error %d", err);
		return err;
	}
	return guest_model_check(rig->model, least, 0, rig->model->nr, rig->guest, rig->text,
				 sizeof(rig->text));
}

int write_rig_check(struct write_rig *rig, const u32 *least, bool writable)
{
	struct qcow_image *image;
	int err = image_fsck(rig->fsck);

	if (err) {
		strscpy(rig->text, rig->fsck->text, sizeof(rig->text));
		return err;
	}
	image = write_rig_open(rig, QCOW_ACTIVE_STATE);
	if (IS_ERR(image))
		return PTR_ERR(image);
	err = check_image(rig, image, least, writable);
	qcow_image_close(image);
	return err;
}

void write_rig_detach(struct write_rig *rig)
{
	KUNIT_ASSERT_EQ(rig->test, 0, ram_device_detach(&rig->dev));
	ram_disk_imagine(rig->dev.disk, 0, rig->copy);
	KUNIT_EXPECT_EQ_MSG(rig->test, 0, write_rig_check(rig, rig->model->acked, true), "%s",
			    rig->text);
	KUNIT_EXPECT_EQ(rig->test, rig->leaked, rig->fsck->leaked);
	KUNIT_EXPECT_EQ(rig->test, 0, memcmp(rig->copy->data + rig->luks, rig->begin + rig->luks,
					     rig->luks_bytes));
}
