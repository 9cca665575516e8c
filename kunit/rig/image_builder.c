// SPDX-License-Identifier: GPL-2.0
/*
 * Builds images in memory, for tests. Reference counts are left at zero, reading needs none,
 * until image_build_counts().
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/sizes.h>
#include <qcow/ondisk.h>

#include "layer/cache.h"
#include "layer/image.h"
#include "rig/image_builder.h"
#include "rig/image_crypt.h"
#include "rig/ram_store.h"

#define DEFAULT_ROOM	SZ_1M

static u64 cluster_bytes(const struct image_builder *b)
{
	return 1ULL << b->shape.cluster_bits;
}

static __be64 *word_at(struct image_builder *b, u64 host)
{
	KUNIT_ASSERT_LE(b->test, host + sizeof(__be64), b->disk->room);
	return (__be64 *)(b->disk->data + host);
}

u64 image_build_alloc(struct image_builder *b, u64 bytes)
{
	u64 host = round_up(b->end, cluster_bytes(b));

	b->end = host + round_up(bytes, cluster_bytes(b));
	KUNIT_ASSERT_LE(b->test, b->end, b->disk->room);
	b->disk->bytes = b->end;
	return host;
}

static void put_header_v1(struct image_builder *b)
{
	struct qcow_v1_disk_header *h = (void *)b->disk->data;

	h->magic = cpu_to_be32(QCOW_MAGIC);
	h->version = cpu_to_be32(1);
	h->size = cpu_to_be64(b->shape.size);
	h->cluster_bits = b->shape.cluster_bits;
	h->l2_bits = b->l2_bits;
	h->crypt_method = cpu_to_be32(b->shape.crypt_method);
	h->l1_offset = cpu_to_be64(b->l1_offset);
}

static void put_header(struct image_builder *b)
{
	struct qcow_disk_header *h = (void *)b->disk->data;

	h->magic = cpu_to_be32(QCOW_MAGIC);
	h->version = cpu_to_be32(b->shape.version);
	h->cluster_bits = cpu_to_be32(b->shape.cluster_bits);
	h->size = cpu_to_be64(b->shape.size);
	h->crypt_method = cpu_to_be32(b->shape.crypt_method);
	h->l1_entries = cpu_to_be32(b->l1_entries);
	h->l1_offset = cpu_to_be64(b->l1_offset);
	h->refcount_table_offset = cpu_to_be64(b->refcount_table);
	h->refcount_table_clusters = cpu_to_be32(1);
	if (b->shape.version < 3)
		return;
	h->incompatible_features = cpu_to_be64(b->shape.incompatible);
	h->autoclear_features = cpu_to_be64(b->shape.autoclear);
	h->refcount_order = cpu_to_be32(ilog2(b->shape.refcount_bits));
	h->header_length = cpu_to_be32(QCOW_V3_HEADER_BYTES);
}

struct image_builder *image_build(struct kunit *test, const struct image_shape *shape)
{
	struct image_builder *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	u32 table_shift;

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->test = test;
	b->shape = *shape;
	b->shape.refcount_bits = shape->refcount_bits ?: 16;
	b->disk = ram_disk_create(test, shape->room ?: DEFAULT_ROOM);
	b->entry_bytes = shape->incompatible & QCOW_INCOMPAT_EXTENDED_L2 ? 16 : 8;
	b->l2_bits = shape->cluster_bits - ilog2(b->entry_bytes);
	if (shape->version == 1 && shape->l2_bits)
		b->l2_bits = shape->l2_bits;
	table_shift = b->l2_bits + shape->cluster_bits;
	b->l1_entries = shape->l1_entries ?:
			round_up(shape->size, 1ULL << table_shift) >> table_shift;

	image_build_alloc(b, cluster_bytes(b));
	if (shape->version > 1)
		b->refcount_table = image_build_alloc(b, cluster_bytes(b));
	b->l1_offset = image_build_alloc(b, b->l1_entries * sizeof(__be64));
	if (shape->version == 1)
		put_header_v1(b);
	else
		put_header(b);
	image_crypt_begin(b);
	return b;
}

void image_build_l1(struct image_builder *b, u64 l1_idx, u64 entry)
{
	KUNIT_ASSERT_LT(b->test, l1_idx, b->l1_entries);
	*word_at(b, b->l1_offset + l1_idx * sizeof(__be64)) = cpu_to_be64(entry);
}

u64 image_build_copied(const struct image_builder *b)
{
	return b->shape.version == 1 ? 0 : ENTRY_COPIED;
}

/* Where the L2 entry of a guest offset is. */
static u64 entry_host(struct image_builder *b, u64 guest)
{
	u64 cluster = guest >> b->shape.cluster_bits;
	u64 l1_idx = cluster >> b->l2_bits;
	u64 l2_idx = cluster & ((1ULL << b->l2_bits) - 1);
	u64 table;

	KUNIT_ASSERT_LT(b->test, l1_idx, b->l1_entries);
	table = be64_to_cpu(*word_at(b, b->l1_offset + l1_idx * sizeof(__be64))) & ~ENTRY_COPIED;
	if (!table) {
		table = image_build_alloc(b, (u64)b->entry_bytes << b->l2_bits);
		image_build_l1(b, l1_idx, table | image_build_copied(b));
	}
	return table + l2_idx * b->entry_bytes;
}

void image_build_entry(struct image_builder *b, u64 guest, u64 entry)
{
	*word_at(b, entry_host(b, guest)) = cpu_to_be64(entry);
}

void image_build_bitmap(struct image_builder *b, u64 guest, u64 bitmap)
{
	*word_at(b, entry_host(b, guest) + sizeof(__be64)) = cpu_to_be64(bitmap);
}

u64 image_build_data(struct image_builder *b, u64 guest)
{
	u64 host;

	/* The table first, so that clusters made in a row are contiguous. */
	entry_host(b, guest);
	host = image_build_alloc(b, cluster_bytes(b));
	image_build_entry(b, guest, host | image_build_copied(b));
	return host;
}

static u64 counts_in_block(const struct image_builder *b)
{
	return div_u64(cluster_bytes(b) * 8, b->shape.refcount_bits);
}

void image_build_count(struct image_builder *b, u64 host, u64 count)
{
	u64 cluster = host >> b->shape.cluster_bits;
	u64 in_block = counts_in_block(b);
	u64 idx = div64_u64(cluster, in_block);
	u64 bit = (cluster - idx * in_block) * b->shape.refcount_bits;
	u64 block = be64_to_cpu(*word_at(b, b->refcount_table + idx * sizeof(__be64)));
	u8 *p = b->disk->data + block + bit / 8;
	u32 bytes = b->shape.refcount_bits / 8;

	KUNIT_ASSERT_NE(b->test, block, 0);
	if (!bytes) {
		*p &= ~(((1 << b->shape.refcount_bits) - 1) << bit % 8);
		*p |= count << bit % 8;
	}
	while (bytes--) {
		p[bytes] = count;
		count >>= 8;
	}
}

void image_build_counts(struct image_builder *b)
{
	u64 host, idx = 0;

	if (b->shape.version == 1)
		return;
	/* The blocks are allocated, too. */
	for (host = 0; host < b->end; host += counts_in_block(b) << b->shape.cluster_bits) {
		u64 block = image_build_alloc(b, cluster_bytes(b));

		KUNIT_ASSERT_LT(b->test, idx, cluster_bytes(b) / sizeof(__be64));
		*word_at(b, b->refcount_table + idx++ * sizeof(__be64)) = cpu_to_be64(block);
	}
	for (host = 0; host < b->end; host += cluster_bytes(b))
		image_build_count(b, host, 1);
}

void image_build_snapshot(struct image_builder *b, u64 l1_offset, u32 l1_entries,
			  u64 disk_bytes, u16 name_len)
{
	struct qcow_disk_header *h = (void *)b->disk->data;
	u32 extra_len = disk_bytes ? sizeof(struct qcow_disk_snapshot_extra) : 0;
	u32 nr = be32_to_cpu(h->nr_snapshots);
	struct qcow_disk_snapshot_extra *extra;
	struct qcow_disk_snapshot *s;
	u64 pos = b->snapshots_end;
	u8 *name;

	if (!pos) {
		pos = image_build_alloc(b, cluster_bytes(b));
		h->snapshots_offset = cpu_to_be64(pos);
	}
	b->snapshots_end = round_up(pos + sizeof(*s) + extra_len + 1 + name_len, 8);
	KUNIT_ASSERT_LE(b->test, b->snapshots_end, b->disk->room);
	b->end = max(b->end, b->snapshots_end);
	b->disk->bytes = b->end;

	s = (void *)(b->disk->data + pos);
	s->l1_offset = cpu_to_be64(l1_offset);
	s->l1_entries = cpu_to_be32(l1_entries);
	s->id_len = cpu_to_be16(1);
	s->name_len = cpu_to_be16(name_len);
	s->extra_len = cpu_to_be32(extra_len);
	extra = (void *)(s + 1);
	if (extra_len)
		extra->disk_bytes = cpu_to_be64(disk_bytes);
	name = (u8 *)extra + extra_len;
	name[0] = '0' + nr % 10;
	memset(name + 1, 'n', name_len);
	h->nr_snapshots = cpu_to_be32(nr + 1);
}

void image_build_new_l1(struct image_builder *b)
{
	b->l1_offset = image_build_alloc(b, b->l1_entries * sizeof(__be64));
}

KUNIT_DEFINE_ACTION_WRAPPER(close_action, qcow_image_close, struct qcow_image *);

static struct qcow_image *open_layer(struct kunit *test, struct qcow_image_params p,
				     struct ram_disk *disk, struct ram_disk *data)
{
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_image *image;

	p.name = "kunit";
	p.snapshot = QCOW_ACTIVE_STATE;
	image = qcow_image_open(&p, ram_store_create(test, disk),
				data ? ram_store_create(test, data) : NULL, &rep);
	KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, image, "%s", text);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, close_action, image));
	return image;
}

struct qcow_image *image_build_open(struct image_builder *b, u64 cache_bytes)
{
	struct qcow_image_params p = { .cache_bytes = cache_bytes, .key = b->disk->key };

	return open_layer(b->test, p, b->disk, b->data);
}

struct qcow_image *image_open_raw(struct kunit *test, struct ram_disk *disk)
{
	struct qcow_image_params p = { .raw = true };

	return open_layer(test, p, disk, NULL);
}

KUNIT_DEFINE_ACTION_WRAPPER(destroy_action, qcow_cache_destroy, struct qcow_cache *);

struct qcow_cache *image_cache_create(struct kunit *test, u64 limit)
{
	struct qcow_cache *cache = qcow_cache_create(&qcow_slice_ops, NULL, limit, "kunit");

	KUNIT_ASSERT_NOT_NULL(test, cache);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, destroy_action, cache));
	return cache;
}
