// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of mapping through one image and through chains.
 */

#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sizes.h>
#include <qcow/ondisk.h>

#include "layer/cache.h"
#include "layer/image.h"
#include "layer/map.h"
#include "store/store.h"
#include "rig/image_builder.h"
#include "rig/ram_store.h"

static void expect_mapping(struct kunit *test, struct qcow_image *top, u64 guest, u64 len,
			   struct qcow_mapping want)
{
	struct qcow_mapping got = {};
	int err = qcow_map_wait(top, guest, len, NULL, &got);

	KUNIT_ASSERT_EQ_MSG(test, 0, err, "guest 0x%llx", guest);
	KUNIT_EXPECT_EQ_MSG(test, want.ext.kind, got.ext.kind, "guest 0x%llx", guest);
	KUNIT_EXPECT_EQ_MSG(test, want.ext.len, got.ext.len, "guest 0x%llx", guest);
	if (want.ext.kind == QCOW_EXTENT_ZERO)
		return;
	KUNIT_EXPECT_EQ_MSG(test, want.ext.host, got.ext.host, "guest 0x%llx", guest);
	KUNIT_EXPECT_PTR_EQ_MSG(test, want.image, got.image, "guest 0x%llx", guest);
}

static void expect_data(struct kunit *test, struct qcow_image *top, u64 guest, u64 len,
			struct qcow_image *image, u64 host, u64 extent_len)
{
	expect_mapping(test, top, guest, len, (struct qcow_mapping) {
		.ext = { .kind = QCOW_EXTENT_DATA, .host = host, .len = extent_len },
		.image = image,
	});
}

static void expect_zero(struct kunit *test, struct qcow_image *top, u64 guest, u64 len,
			u64 extent_len)
{
	expect_mapping(test, top, guest, len, (struct qcow_mapping) {
		.ext = { .kind = QCOW_EXTENT_ZERO, .len = extent_len },
	});
}

static void expect_corrupt(struct kunit *test, struct qcow_image *top, u64 guest)
{
	struct qcow_mapping map;

	KUNIT_EXPECT_EQ_MSG(test, -EUCLEAN, qcow_map_wait(top, guest, 512, NULL, &map),
			    "guest 0x%llx", guest);
	KUNIT_EXPECT_EQ_MSG(test, -EUCLEAN, qcow_map_try(top, guest, 512, &map),
			    "guest 0x%llx", guest);
}

static void holes_cost_nothing(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = 64ULL << 30 };
	struct image_builder *b = image_build(test, &shape);
	struct qcow_image *image = image_build_open(b, SZ_1M);
	int reads = atomic_read(&b->disk->reads);
	struct qcow_mapping map;

	KUNIT_EXPECT_EQ(test, 0, qcow_map_try(image, SZ_4K, SZ_1G, &map));
	KUNIT_EXPECT_EQ(test, QCOW_EXTENT_ZERO, map.ext.kind);
	KUNIT_EXPECT_EQ(test, SZ_1G, map.ext.len);
	expect_zero(test, image, image->size - 512, 512, 512);
	KUNIT_EXPECT_EQ(test, reads, atomic_read(&b->disk->reads));
	KUNIT_EXPECT_EQ(test, 0LL, atomic64_read(&image->cache->misses));
}

static void short_l1_reads_as_a_hole(struct kunit *test)
{
	/* An L1 entry maps 32 KiB. Version 2 has headers whose table is too short. */
	struct image_shape shape = { .version = 2, .cluster_bits = 9, .size = SZ_32K };
	struct image_builder *b = image_build(test, &shape);
	struct qcow_image *image;
	u64 host = image_build_data(b, SZ_32K - 512);

	image = image_build_open(b, SZ_1M);
	image->size = SZ_128K;
	image->geo.size = SZ_128K;
	expect_data(test, image, SZ_32K - 512, SZ_4K, image, host, 512);
	expect_zero(test, image, SZ_32K, SZ_128K - SZ_32K, SZ_128K - SZ_32K);
}

static void misses_are_read_once(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = SZ_1M };
	struct image_builder *b = image_build(test, &shape);
	struct qcow_image *image;
	struct qcow_mapping map;
	u64 host = image_build_data(b, SZ_128K);
	int reads;

	image = image_build_open(b, SZ_1M);
	reads = atomic_read(&b->disk->reads);
	KUNIT_EXPECT_EQ(test, -EAGAIN, qcow_map_try(image, SZ_128K, 512, &map));
	KUNIT_EXPECT_EQ(test, reads, atomic_read(&b->disk->reads));
	expect_data(test, image, SZ_128K + 1536, SZ_64K, image, host + 1536, SZ_64K - 1536);
	KUNIT_EXPECT_EQ(test, 0, qcow_map_try(image, SZ_128K, 512, &map));
	KUNIT_EXPECT_EQ(test, host, map.ext.host);
	KUNIT_EXPECT_EQ(test, 512ULL, map.ext.len);
	expect_zero(test, image, 0, SZ_1M, SZ_128K);
	expect_zero(test, image, SZ_128K + SZ_64K, SZ_1M, SZ_1M - SZ_128K - SZ_64K);
	KUNIT_EXPECT_EQ(test, reads + 1, atomic_read(&b->disk->reads));
}

/* Contiguous clusters on both sides of a slice border, in one L2 table. */
static void extents_go_on_across_slices(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = SZ_1G };
	struct image_builder *b = image_build(test, &shape);
	u64 border = SZ_32M, host = SZ_64M, guest;
	struct qcow_image *image;
	struct qcow_mapping map;

	for (guest = border - SZ_256K; guest < border + SZ_256K; guest += SZ_64K)
		image_build_entry(b, guest, (host + guest) | ENTRY_COPIED);
	b->disk->bytes = SZ_1G;
	image = image_build_open(b, SZ_1M);

	/* The second slice is not in memory and not waited for. */
	expect_data(test, image, border - SZ_128K, SZ_1M, image, host + border - SZ_128K, SZ_128K);
	expect_data(test, image, border, SZ_1M, image, host + border, SZ_256K);
	KUNIT_EXPECT_EQ(test, 0, qcow_map_try(image, border - SZ_128K, SZ_1M, &map));
	KUNIT_EXPECT_EQ(test, SZ_256K + SZ_128K, map.ext.len);
	KUNIT_EXPECT_EQ(test, host + border - SZ_128K, map.ext.host);
	/* Zeros join across slices and into ranges that no table maps. */
	expect_zero(test, image, border + SZ_256K, SZ_64M, SZ_32M - SZ_256K);
	expect_zero(test, image, 3 * SZ_32M, SZ_64M, SZ_32M);
}

static void extents_go_on_across_tables(struct kunit *test)
{
	struct image_shape shape = { .version = 1, .cluster_bits = 9, .l2_bits = 6,
				     .size = SZ_128K };
	struct image_builder *b = image_build(test, &shape);
	struct qcow_image *image;
	u64 first, guest;

	/* Tables first: then all clusters are in a row. */
	image_build_entry(b, 0, 0);
	image_build_entry(b, SZ_32K, 0);
	first = image_build_data(b, 0);
	for (guest = 512; guest < SZ_64K; guest += 512)
		image_build_data(b, guest);
	image = image_build_open(b, SZ_1M);
	expect_data(test, image, SZ_32K, SZ_64K, image, first + SZ_32K, SZ_32K);
	expect_data(test, image, 512, SZ_128K, image, first + 512, SZ_64K - 512);
	expect_data(test, image, 512, SZ_32K + 100, image, first + 512, SZ_32K + 100);
}

static void scattered_clusters_do_not_join(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 12, .size = SZ_1M };
	struct image_builder *b = image_build(test, &shape);
	struct qcow_image *image;
	u64 second = image_build_data(b, SZ_4K);
	u64 first = image_build_data(b, 0);

	image_build_entry(b, 2 * SZ_4K, ENTRY_ZERO);
	image_build_entry(b, 3 * SZ_4K, first | ENTRY_ZERO | ENTRY_COPIED);
	image_build_entry(b, 4 * SZ_4K, ENTRY_COMPRESSED | first);
	image_build_entry(b, 5 * SZ_4K, ENTRY_COMPRESSED | first);
	image = image_build_open(b, SZ_1M);
	expect_data(test, image, 0, SZ_1M, image, first, SZ_4K);
	expect_data(test, image, SZ_4K, SZ_1M, image, second, SZ_4K);
	expect_zero(test, image, 2 * SZ_4K, SZ_1M, SZ_4K);
	expect_zero(test, image, 3 * SZ_4K, SZ_1M, SZ_4K);
	expect_mapping(test, image, 4 * SZ_4K + 512, SZ_1M, (struct qcow_mapping) {
		.ext = { .kind = QCOW_EXTENT_COMPRESSED, .host = first, .len = SZ_4K - 512 },
		.image = image,
	});
}

static void overlay_hides_its_backing(struct kunit *test)
{
	struct image_shape over = { .version = 3, .cluster_bits = 16, .size = SZ_1M };
	struct image_shape base = { .version = 2, .cluster_bits = 9, .size = SZ_1M };
	struct image_builder *o = image_build(test, &over);
	struct image_builder *b = image_build(test, &base);
	struct qcow_image *top, *backing;
	u64 o_host, b_host, guest;

	o_host = image_build_data(o, SZ_64K);
	image_build_entry(o, 2 * SZ_64K, ENTRY_ZERO);
	for (guest = 0; guest < 4 * SZ_64K; guest += SZ_32K)
		image_build_entry(b, guest, 0);
	b_host = image_build_data(b, 0);
	for (guest = 512; guest < 4 * SZ_64K; guest += 512)
		image_build_data(b, guest);

	backing = image_build_open(b, SZ_1M);
	top = image_build_open(o, SZ_1M);
	top->backing = backing;
	/* Warm the small slices of the backing image: only what is in memory joins. */
	for (guest = 3 * SZ_64K; guest < 4 * SZ_64K; guest += SZ_32K)
		expect_data(test, top, guest, 512, backing, b_host + guest, 512);

	expect_data(test, top, 1024, 512, backing, b_host + 1024, 512);
	expect_data(test, top, SZ_64K, SZ_1M, top, o_host, SZ_64K);
	expect_zero(test, top, 2 * SZ_64K, SZ_1M, SZ_64K);
	expect_data(test, top, 3 * SZ_64K, SZ_1M, backing, b_host + 3 * SZ_64K, SZ_64K);
	expect_zero(test, top, 4 * SZ_64K, 2 * SZ_64K, SZ_32K * 4);
	/* No longer than the hole above it. */
	expect_data(test, top, SZ_32K, SZ_1M, backing, b_host + SZ_32K, SZ_32K);
}

static void short_backing_reads_as_zeros(struct kunit *test)
{
	struct image_shape over = { .version = 2, .cluster_bits = 16, .size = SZ_1M };
	struct image_shape base = { .version = 1, .cluster_bits = 12, .size = SZ_64K + 1024 };
	struct image_builder *b = image_build(test, &base);
	struct qcow_image *top, *backing;
	u64 host = image_build_data(b, SZ_64K);

	backing = image_build_open(b, SZ_1M);
	top = image_build_open(image_build(test, &over), SZ_1M);
	top->backing = backing;
	expect_zero(test, top, 0, SZ_1M, SZ_64K);
	expect_data(test, top, SZ_64K, SZ_1M, backing, host, 1024);
	expect_zero(test, top, SZ_64K + 1024, SZ_512K, SZ_512K);
}

static void raw_backing_is_itself(struct kunit *test)
{
	struct image_shape over = { .version = 3, .cluster_bits = 9, .size = SZ_1M };
	struct ram_disk *disk = ram_disk_create(test, SZ_64K);
	struct qcow_image *top;

	disk->bytes = SZ_64K + 100;
	top = image_build_open(image_build(test, &over), SZ_1M);
	top->backing = image_open_raw(test, disk);
	expect_data(test, top, 512, SZ_1M, top->backing, 512, SZ_64K);
	expect_data(test, top, SZ_64K, SZ_1M, top->backing, SZ_64K, 512);
	expect_zero(test, top, SZ_64K + 512, SZ_4K, SZ_4K);
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&disk->reads));
}

static void subclusters_map_one_by_one(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = SZ_1M,
				     .incompatible = QCOW_INCOMPAT_EXTENDED_L2 };
	struct image_builder *b = image_build(test, &shape);
	struct ram_disk *disk = ram_disk_create(test, SZ_64K);
	struct qcow_image *top;
	u64 host = image_build_data(b, 0);

	/* Subclusters of 2 KiB: data, data, zero, then nothing. */
	image_build_bitmap(b, 0, 0x3ULL | 0x4ULL << 32);
	disk->bytes = SZ_1M;
	top = image_build_open(b, SZ_1M);
	top->backing = image_open_raw(test, disk);
	expect_data(test, top, 1024, SZ_1M, top, host + 1024, SZ_4K - 1024);
	expect_zero(test, top, SZ_4K, SZ_1M, SZ_2K);
	expect_data(test, top, 3 * SZ_2K, SZ_64K - 3 * SZ_2K, top->backing, 3 * SZ_2K,
		    SZ_64K - 3 * SZ_2K);
}

static void corrupt_entries_fail_alone(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 12, .size = 16 * SZ_2M };
	struct image_builder *b = image_build(test, &shape);
	struct qcow_image *image;
	u64 host = image_build_data(b, 0);

	image_build_entry(b, SZ_4K, (host + SZ_4K) | ENTRY_COPIED | 1 << 5);
	image_build_entry(b, 2 * SZ_4K, (host + 512) | ENTRY_COPIED);
	image_build_entry(b, 3 * SZ_4K, host | ENTRY_COPIED);
	image_build_l1(b, 1, (host + 512) | ENTRY_COPIED);
	image_build_l1(b, 2, host | ENTRY_COPIED | 1);
	image_build_l1(b, 3, 1ULL << 50);
	image_build_l1(b, 4, b->end);
	image = image_build_open(b, SZ_1M);

	/* What comes before and what comes after is there. */
	expect_data(test, image, 0, SZ_1M, image, host, SZ_4K);
	expect_corrupt(test, image, SZ_4K);
	expect_corrupt(test, image, 2 * SZ_4K);
	expect_data(test, image, 3 * SZ_4K, SZ_1M, image, host, SZ_4K);
	expect_corrupt(test, image, SZ_2M);
	expect_corrupt(test, image, 2 * SZ_2M);
	/* No byte of these tables is in the file. */
	expect_zero(test, image, 3 * SZ_2M, SZ_2M, SZ_2M);
	expect_zero(test, image, 4 * SZ_2M, SZ_2M, SZ_2M);
	expect_zero(test, image, 5 * SZ_2M, SZ_64M, 11 * SZ_2M);
}

/* What a file does not hold of a table reads as zeros, and costs only what that maps. */
static void tables_end_with_the_file(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = SZ_1G };
	struct image_builder *b = image_build(test, &shape);
	u64 host = image_build_alloc(b, SZ_64K), table = b->end;
	struct qcow_image *image;

	/* A slice of the table maps 32 MiB. */
	image_build_entry(b, 0, host | ENTRY_COPIED);
	image_build_entry(b, SZ_32M, host | ENTRY_COPIED);
	image_build_entry(b, SZ_32M + 12 * SZ_64K, host | ENTRY_COPIED);
	image_build_entry(b, SZ_64M, host | ENTRY_COPIED);
	b->disk->bytes = table + SZ_4K + 96;
	image = image_build_open(b, SZ_1M);
	expect_data(test, image, 0, SZ_1M, image, host, SZ_64K);
	expect_data(test, image, SZ_32M, SZ_1M, image, host, SZ_64K);
	expect_zero(test, image, SZ_32M + 12 * SZ_64K, SZ_64K, SZ_64K);
	expect_zero(test, image, SZ_64M, SZ_64K, SZ_64K);
}

static void data_ends_with_the_file(struct kunit *test)
{
	struct image_shape shape = { .version = 2, .cluster_bits = 16, .size = SZ_1M };
	struct image_builder *b = image_build(test, &shape);
	struct qcow_image *image;
	struct qcow_extent ext;
	u64 host;

	host = image_build_data(b, 0);
	image_build_entry(b, SZ_64K, (host + SZ_64K) | ENTRY_COPIED);
	image_build_entry(b, 2 * SZ_64K, (host + 2 * SZ_64K) | ENTRY_COPIED);
	b->disk->bytes = host + SZ_64K + 5000;
	image = image_build_open(b, SZ_1M);
	/* The cluster that straddles the end counts as a whole; no write goes to the next one. */
	expect_data(test, image, 0, SZ_1M, image, host, SZ_128K);
	expect_data(test, image, SZ_128K - 512, SZ_1M, image, host + SZ_128K - 512, 512);
	expect_zero(test, image, 2 * SZ_64K, SZ_64K, SZ_64K);
	expect_zero(test, image, 2 * SZ_64K + SZ_4K, SZ_4K, SZ_4K);
	KUNIT_EXPECT_EQ(test, -EUCLEAN,
			qcow_map_top_wait(image, 2 * SZ_64K, SZ_64K, NULL, &ext));
	KUNIT_EXPECT_EQ(test, -EUCLEAN, qcow_map_top_try(image, 2 * SZ_64K, SZ_64K, &ext));
}

static void raw_data_file_ends_in_zeros(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = SZ_1M,
				     .incompatible = QCOW_INCOMPAT_DATA_FILE };
	struct image_builder *b;
	struct qcow_image *image;
	struct qcow_extent ext;
	unsigned int raw;

	for (raw = 0; raw < 2; raw++) {
		shape.autoclear = raw ? QCOW_AUTOCLEAR_RAW_DATA_FILE : 0;
		b = image_build(test, &shape);
		image_build_entry(b, 0, ENTRY_COPIED);
		image_build_entry(b, SZ_64K, SZ_64K | ENTRY_COPIED);
		image_build_entry(b, SZ_128K, SZ_128K | ENTRY_COPIED);
		b->data = ram_disk_create(test, SZ_128K);
		b->data->bytes = SZ_64K + 1;
		image = image_build_open(b, SZ_1M);
		expect_data(test, image, 0, SZ_1M, image, 0, SZ_128K);
		expect_zero(test, image, SZ_128K, SZ_64K, SZ_64K);
		KUNIT_EXPECT_EQ(test, raw ? 0 : -EUCLEAN,
				qcow_map_top_wait(image, SZ_128K, SZ_64K, NULL, &ext));
	}
}

/* A chain in which every second layer has one cluster of its own. */
static struct qcow_image *build_chain(struct kunit *test, unsigned int layers,
				      struct image_builder **builders)
{
	struct qcow_image *image, *below = NULL;
	int i;

	for (i = layers - 1; i >= 0; i--) {
		struct image_shape shape = {
			.version = 1 + i % 3, .cluster_bits = 9 + i % 7, .size = SZ_1M,
			.room = SZ_512K,
		};

		builders[i] = image_build(test, &shape);
		image_build_entry(builders[i], 0, 0);
		if (i % 2 == 0)
			image_build_data(builders[i], i * SZ_32K);
		image = image_build_open(builders[i], SZ_1M);
		image->backing = below;
		below = image;
	}
	return image;
}

#define CHAIN_LAYERS	16

static void every_store_call_fails_once(struct kunit *test)
{
	struct image_builder *builders[CHAIN_LAYERS];
	struct qcow_image *top = build_chain(test, CHAIN_LAYERS, builders);
	struct qcow_mapping map;
	unsigned int i;

	for (i = 0; i < CHAIN_LAYERS; i++)
		ram_disk_fail(builders[i]->disk, 1, -EIO);
	for (i = 0; i < CHAIN_LAYERS; i++)
		KUNIT_EXPECT_EQ(test, -EIO, qcow_map_wait(top, SZ_1K, 512, NULL, &map));
	expect_zero(test, top, SZ_1K, 512, 512);
	for (; top; top = top->backing)
		KUNIT_EXPECT_EQ(test, 2LL, atomic64_read(&top->cache->misses));
}

static void chain_without_cache_still_maps(struct kunit *test)
{
	struct image_builder *builders[CHAIN_LAYERS];
	struct qcow_image *top = build_chain(test, CHAIN_LAYERS, builders);
	struct qcow_image *layer;
	struct qcow_mapping map;
	unsigned int depth = 0;

	/* Nothing is kept: every slice comes from the reserve, one at a time. */
	for (layer = top; layer; layer = layer->backing) {
		layer->cache->limit = 0;
		layer->cache->headroom = 0;
	}
	for (layer = top; layer; layer = layer->backing, depth++) {
		KUNIT_ASSERT_EQ(test, 0, qcow_map_wait(top, depth * SZ_32K, 512, NULL, &map));
		KUNIT_EXPECT_EQ(test, 0LL, atomic64_read(&layer->cache->bytes));
		if (depth % 2)
			continue;
		KUNIT_EXPECT_EQ(test, QCOW_EXTENT_DATA, map.ext.kind);
		KUNIT_EXPECT_PTR_EQ(test, layer, map.image);
	}
}

#define MODEL_ROUNDS	8
#define MODEL_LAYERS	5
#define MODEL_SECTORS	1024

/* What one layer has at a sector, written down while it is built. */
struct model {
	enum qcow_extent_kind kind[MODEL_SECTORS];
	u64 host[MODEL_SECTORS];
	u64 size;
	struct qcow_image *image;
};

static void model_cluster(struct image_builder *b, struct model *m, u64 guest, u32 dice)
{
	u64 bytes = 1ULL << b->shape.cluster_bits;
	enum qcow_extent_kind kind;
	u64 host = 0, i;

	switch (dice % 8) {
	case 0 ... 2:
		kind = QCOW_EXTENT_DATA;
		host = image_build_data(b, guest);
		break;
	case 3:
		if (b->shape.version == 3) {
			kind = QCOW_EXTENT_ZERO;
			image_build_entry(b, guest, ENTRY_ZERO);
			break;
		}
		fallthrough;
	default:
		return;
	}
	for (i = 0; i < bytes && guest + i < m->size; i += 512) {
		m->kind[(guest + i) / 512] = kind;
		m->host[(guest + i) / 512] = host + i;
	}
}

static void model_layer(struct kunit *test, struct model *m, unsigned int layer,
			struct rnd_state *rnd)
{
	struct image_shape shape = {
		.version = 1 + prandom_u32_state(rnd) % 3,
		.cluster_bits = 9 + prandom_u32_state(rnd) % 8,
		.size = (1 + prandom_u32_state(rnd) % MODEL_SECTORS) * 512ULL,
	};
	struct image_builder *b = image_build(test, &shape);
	u64 guest;

	m->size = shape.size;
	for (guest = 0; guest < m->size; guest += 1ULL << shape.cluster_bits)
		model_cluster(b, m, guest, prandom_u32_state(rnd));
	m->image = image_build_open(b, SZ_1M);
}

/* The layer that decides a sector, or NULL: zeros. */
static const struct model *model_at(const struct model *m, u64 sector)
{
	unsigned int i;

	for (i = 0; i < MODEL_LAYERS && sector * 512 < m[i].size; i++) {
		if (m[i].kind[sector] == QCOW_EXTENT_ZERO)
			return NULL;
		if (m[i].kind[sector] == QCOW_EXTENT_DATA)
			return &m[i];
	}
	return NULL;
}

static unsigned int model_check(const struct model *m, u64 guest, const struct qcow_mapping *map)
{
	unsigned int wrong = 0;
	u64 i;

	for (i = 0; i < map->ext.len; i += 512) {
		const struct model *at = model_at(m, (guest + i) / 512);

		if (!at)
			wrong += map->ext.kind != QCOW_EXTENT_ZERO;
		else
			wrong += map->ext.kind != QCOW_EXTENT_DATA || map->image != at->image ||
				 map->ext.host + i != at->host[(guest + i) / 512];
	}
	return wrong;
}

static void model_round(struct kunit *test, struct rnd_state *rnd)
{
	struct model *m = kunit_kcalloc(test, MODEL_LAYERS, sizeof(*m), GFP_KERNEL);
	struct qcow_mapping map;
	unsigned int i;
	u64 guest, len;

	KUNIT_ASSERT_NOT_NULL(test, m);
	for (i = 0; i < MODEL_LAYERS; i++)
		model_layer(test, &m[i], i, rnd);
	for (i = 0; i + 1 < MODEL_LAYERS; i++)
		m[i].image->backing = m[i + 1].image;

	for (i = 0; i < 500; i++) {
		guest = prandom_u32_state(rnd) % (m[0].size / 512) * 512;
		len = (1 + prandom_u32_state(rnd) % ((m[0].size - guest) / 512)) * 512;
		KUNIT_ASSERT_EQ(test, 0, qcow_map_wait(m[0].image, guest, len, NULL, &map));
		KUNIT_ASSERT_GT(test, map.ext.len, 0ULL);
		KUNIT_ASSERT_LE(test, map.ext.len, len);
		KUNIT_ASSERT_EQ(test, 0, model_check(m, guest, &map));
	}
}

static void random_chains_agree_with_a_model(struct kunit *test)
{
	u32 seed = get_random_u32();
	struct rnd_state rnd;
	unsigned int i;

	kunit_info(test, "seed %u", seed);
	prandom_seed_state(&rnd, seed);
	for (i = 0; i < MODEL_ROUNDS; i++)
		model_round(test, &rnd);
}

static int suite_init(struct kunit_suite *suite)
{
	return qcow_cache_module_init();
}

static void suite_exit(struct kunit_suite *suite)
{
	qcow_cache_module_exit();
}

static struct kunit_case cases[] = {
	KUNIT_CASE(holes_cost_nothing),
	KUNIT_CASE(short_l1_reads_as_a_hole),
	KUNIT_CASE(misses_are_read_once),
	KUNIT_CASE(extents_go_on_across_slices),
	KUNIT_CASE(extents_go_on_across_tables),
	KUNIT_CASE(scattered_clusters_do_not_join),
	KUNIT_CASE(overlay_hides_its_backing),
	KUNIT_CASE(short_backing_reads_as_zeros),
	KUNIT_CASE(raw_backing_is_itself),
	KUNIT_CASE(subclusters_map_one_by_one),
	KUNIT_CASE(corrupt_entries_fail_alone),
	KUNIT_CASE(tables_end_with_the_file),
	KUNIT_CASE(data_ends_with_the_file),
	KUNIT_CASE(raw_data_file_ends_in_zeros),
	KUNIT_CASE(every_store_call_fails_once),
	KUNIT_CASE(chain_without_cache_still_maps),
	KUNIT_CASE(random_chains_agree_with_a_model),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_map",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
