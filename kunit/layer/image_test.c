// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of opening a layer. What the header parser refuses has a suite of its own.
 */

#include <kunit/test.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <qcow/ondisk.h>

#include "layer/cache.h"
#include "layer/image.h"
#include "store/store.h"
#include "rig/image_builder.h"
#include "rig/ram_store.h"

static char said[1024];

/* Open with @p; what is said is in @said. NULL parameters: the active state, read-only. */
static struct qcow_image *try_open(struct kunit *test, struct ram_disk *disk,
				   struct ram_disk *data, const struct qcow_image_params *p)
{
	struct qcow_image_params params = { .snapshot = QCOW_ACTIVE_STATE };
	struct qcow_report rep = { .buf = said, .size = sizeof(said) };

	said[0] = 0;
	if (p)
		params = *p;
	params.name = "kunit";
	params.cache_bytes = SZ_1M;
	return qcow_image_open(&params, ram_store_create(test, disk),
			       data ? ram_store_create(test, data) : NULL, &rep);
}

static void expect_refused(struct kunit *test, struct qcow_image *image, int err,
			   const char *words)
{
	KUNIT_EXPECT_EQ(test, err, PTR_ERR_OR_ZERO(image));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(said, words), "\"%s\" not in \"%s\"", words, said);
	if (!IS_ERR(image))
		qcow_image_close(image);
}

static struct qcow_image *expect_open(struct kunit *test, struct qcow_image *image)
{
	KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, image, "%s", said);
	return image;
}

static const struct image_shape shapes[] = {
	{ .version = 1, .cluster_bits = 12, .size = 100 * SZ_1M },
	{ .version = 1, .cluster_bits = 9, .l2_bits = 13, .size = SZ_64M + SZ_4K },
	{ .version = 2, .cluster_bits = 9, .size = SZ_1M },
	{ .version = 2, .cluster_bits = 16, .size = SZ_1G },
	{ .version = 3, .cluster_bits = 16, .size = 3ULL * SZ_1G + 512 },
	{ .version = 3, .cluster_bits = 16, .size = SZ_1G,
	  .incompatible = QCOW_INCOMPAT_EXTENDED_L2 },
	{ .version = 3, .cluster_bits = 21, .size = 64ULL << 40, .room = SZ_16M },
};

static void every_version_opens(struct kunit *test)
{
	struct image_builder *b;
	struct qcow_image *image;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shapes); i++) {
		b = image_build(test, &shapes[i]);
		image_build_l1(b, b->l1_entries - 1, 0x1234 << 16);
		image = expect_open(test, try_open(test, b->disk, NULL, NULL));
		KUNIT_EXPECT_EQ(test, shapes[i].version, image->header.version);
		KUNIT_EXPECT_EQ(test, shapes[i].size, image->size);
		KUNIT_EXPECT_EQ(test, b->l1_entries, image->l1_entries);
		KUNIT_EXPECT_EQ(test, 0x1234ULL << 16,
				be64_to_cpu(image->l1[b->l1_entries - 1]));
		KUNIT_EXPECT_PTR_EQ(test, image->store, image->data);
		qcow_image_close(image);
	}
}

static void odd_sizes_are_rounded(struct kunit *test)
{
	struct image_shape shape = { .version = 2, .cluster_bits = 16, .size = SZ_1M + 1023 };
	struct ram_disk *disk = ram_disk_create(test, SZ_4K);
	struct qcow_image_params raw = { .raw = true, .snapshot = QCOW_ACTIVE_STATE };
	struct qcow_image *image;

	image = expect_open(test, try_open(test, image_build(test, &shape)->disk, NULL, NULL));
	KUNIT_EXPECT_EQ(test, SZ_1M + 512, image->size);
	qcow_image_close(image);

	disk->bytes = 1025;
	image = expect_open(test, try_open(test, disk, NULL, &raw));
	KUNIT_EXPECT_EQ(test, 1536, image->size);
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&disk->reads));
	qcow_image_close(image);
}

static void l1_is_kept_as_far_as_needed(struct kunit *test)
{
	struct image_shape shape = { .version = 2, .cluster_bits = 9, .size = 4 * SZ_32K,
				     .l1_entries = 1000 };
	struct qcow_image *image;

	image = expect_open(test, try_open(test, image_build(test, &shape)->disk, NULL, NULL));
	KUNIT_EXPECT_EQ(test, 4U, image->l1_entries);
	qcow_image_close(image);

	shape.size = 0;
	shape.l1_entries = 0;
	image = expect_open(test, try_open(test, image_build(test, &shape)->disk, NULL, NULL));
	KUNIT_EXPECT_EQ(test, 0U, image->l1_entries);
	KUNIT_EXPECT_EQ(test, 0ULL, image->size);
	qcow_image_close(image);
}

static void dirty_and_corrupt_open_read_only(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = SZ_1M };
	struct qcow_image_params rw = { .writable = true, .snapshot = QCOW_ACTIVE_STATE };
	struct image_builder *b;

	shape.incompatible = QCOW_INCOMPAT_DIRTY;
	b = image_build(test, &shape);
	expect_refused(test, try_open(test, b->disk, NULL, &rw), -EUCLEAN, "dirty");
	qcow_image_close(expect_open(test, try_open(test, b->disk, NULL, NULL)));

	shape.incompatible = QCOW_INCOMPAT_CORRUPT;
	b = image_build(test, &shape);
	expect_refused(test, try_open(test, b->disk, NULL, &rw), -EUCLEAN, "corrupt");
	qcow_image_close(expect_open(test, try_open(test, b->disk, NULL, NULL)));

	shape.incompatible = 0;
	b = image_build(test, &shape);
	qcow_image_close(expect_open(test, try_open(test, b->disk, NULL, &rw)));
}

static void data_file_must_match_the_header(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = SZ_1M };
	struct qcow_image_params raw = { .raw = true, .snapshot = QCOW_ACTIVE_STATE };
	struct ram_disk *data = ram_disk_create(test, SZ_64K);
	struct image_builder *b = image_build(test, &shape);
	struct qcow_image *image;

	expect_refused(test, try_open(test, b->disk, data, NULL), -EINVAL, "external data file");
	expect_refused(test, try_open(test, b->disk, data, &raw), -EINVAL, "external data file");

	shape.incompatible = QCOW_INCOMPAT_DATA_FILE;
	b = image_build(test, &shape);
	expect_refused(test, try_open(test, b->disk, NULL, NULL), -EINVAL, "none was given");
	image = expect_open(test, try_open(test, b->disk, data, NULL));
	KUNIT_EXPECT_EQ(test, SZ_64K, image->data->bytes);
	qcow_image_close(image);
}

static void snapshot_has_its_own_table_and_size(struct kunit *test)
{
	struct image_shape shape = { .version = 2, .cluster_bits = 9, .size = SZ_1M };
	struct image_builder *b = image_build(test, &shape);
	struct qcow_image_params p = {};
	struct qcow_image *image;
	u64 first = b->l1_offset;

	image_build_new_l1(b);
	image_build_l1(b, 1, 0x8888 << 9);
	image_build_snapshot(b, first, b->l1_entries, SZ_1M, 3);
	image_build_snapshot(b, b->l1_offset, 2, SZ_64K + 700, 0);
	image_build_snapshot(b, b->l1_offset, 2, 0, 20);

	p.snapshot = 1;
	image = expect_open(test, try_open(test, b->disk, NULL, &p));
	KUNIT_EXPECT_EQ(test, SZ_64K + 512, image->size);
	KUNIT_EXPECT_EQ(test, image->size, image->geo.size);
	KUNIT_EXPECT_EQ(test, 2U, image->l1_entries);
	KUNIT_EXPECT_EQ(test, 0x8888ULL << 9, be64_to_cpu(image->l1[1]));
	qcow_image_close(image);

	/* An entry without extra data is from a time when images did not change in size. */
	p.snapshot = 2;
	image = expect_open(test, try_open(test, b->disk, NULL, &p));
	KUNIT_EXPECT_EQ(test, SZ_1M, image->size);
	qcow_image_close(image);

	p.snapshot = 3;
	expect_refused(test, try_open(test, b->disk, NULL, &p), -EINVAL, "snapshot 3");
	p.snapshot = 0;
	p.writable = true;
	expect_refused(test, try_open(test, b->disk, NULL, &p), -EINVAL, "read-only");
	p.writable = false;
	p.raw = true;
	expect_refused(test, try_open(test, b->disk, NULL, &p), -EINVAL, "raw");
}

static void long_snapshot_tables_are_read_in_pieces(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 9, .size = SZ_64K };
	struct image_builder *b = image_build(test, &shape);
	struct qcow_image_params p = {};
	struct qcow_image *image;
	unsigned int i;

	for (i = 0; i < 200; i++)
		image_build_snapshot(b, b->l1_offset, 1, (i + 1) * SZ_512, 2000);
	for (i = 0; i < 200; i += 33) {
		p.snapshot = i;
		image = expect_open(test, try_open(test, b->disk, NULL, &p));
		KUNIT_EXPECT_EQ(test, (u64)(i + 1) * SZ_512, image->size);
		qcow_image_close(image);
	}
	p.snapshot = 200;
	expect_refused(test, try_open(test, b->disk, NULL, &p), -EINVAL, "snapshot 200");

	b->disk->bytes = b->snapshots_end - 8;
	p.snapshot = 199;
	expect_refused(test, try_open(test, b->disk, NULL, &p), -EUCLEAN, "end of the file");
}

static void files_that_are_no_image(struct kunit *test)
{
	struct image_shape shape = { .version = 2, .cluster_bits = 9, .size = SZ_16M };
	struct ram_disk *disk = ram_disk_create(test, SZ_4K);
	struct image_builder *b = image_build(test, &shape);

	expect_refused(test, try_open(test, disk, NULL, NULL), -EINVAL, "");
	disk->bytes = 0;
	expect_refused(test, try_open(test, disk, NULL, NULL), -EINVAL, "");
	for (b->disk->bytes = 0; b->disk->bytes < QCOW_V2_HEADER_BYTES; b->disk->bytes++)
		expect_refused(test, try_open(test, b->disk, NULL, NULL), -EINVAL, "");
}

/* Cut off anywhere behind its header, an image can be read, as far as it is there, not written. */
static void cut_off_images_can_be_read(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 9, .size = SZ_16M };
	struct qcow_image_params rw = { .writable = true, .snapshot = QCOW_ACTIVE_STATE };
	struct image_builder *b = image_build(test, &shape);
	u64 whole = b->l1_offset + b->l1_entries * sizeof(__be64), end;
	struct qcow_image *image;
	u32 i;

	for (i = 0; i < b->l1_entries; i++)
		image_build_l1(b, i, (u64)(i + 1) << 9);
	for (end = 512; end < whole; end += 100) {
		b->disk->bytes = end;
		image = expect_open(test, try_open(test, b->disk, NULL, NULL));
		for (i = 0; i < b->l1_entries; i++) {
			u64 there = clamp(end, b->l1_offset + i * 8, b->l1_offset + i * 8 + 8);
			u64 lost = (b->l1_offset + i * 8 + 8 - there) * 8;
			u64 entry = (u64)(i + 1) << 9;

			KUNIT_EXPECT_EQ(test, lost < 64 ? entry >> lost << lost : 0,
					be64_to_cpu(image->l1[i]));
		}
		qcow_image_close(image);
		expect_refused(test, try_open(test, b->disk, NULL, &rw), -EUCLEAN,
			       "beyond the file's end");
	}
	b->disk->bytes = whole;
	qcow_image_close(expect_open(test, try_open(test, b->disk, NULL, &rw)));
}

static void header_must_be_what_was_seen(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 16, .size = SZ_1M };
	struct image_builder *b = image_build(test, &shape);
	struct qcow_disk_header *h = (void *)b->disk->data;
	struct qcow_image_params p = { .snapshot = QCOW_ACTIVE_STATE };
	char *name = (char *)b->disk->data + 2000;
	struct qcow_image *image;

	h->backing_offset = cpu_to_be64(2000);
	h->backing_size = cpu_to_be32(4);
	memcpy(name, "base", 5);
	image = expect_open(test, try_open(test, b->disk, NULL, &p));
	p.digest = image->digest;
	qcow_image_close(image);
	KUNIT_EXPECT_NE(test, 0ULL, p.digest);
	qcow_image_close(expect_open(test, try_open(test, b->disk, NULL, &p)));

	name[3] = 'f';
	expect_refused(test, try_open(test, b->disk, NULL, &p), -ESTALE, "header: it has changed");
	name[3] = 'e';
	h->nr_snapshots = cpu_to_be32(1);
	h->snapshots_offset = h->l1_offset;
	expect_refused(test, try_open(test, b->disk, NULL, &p), -ESTALE, "header: it has changed");
	p.digest = 0;
	qcow_image_close(expect_open(test, try_open(test, b->disk, NULL, &p)));

	ram_disk_fail(b->disk, 2, -EIO);
	expect_refused(test, try_open(test, b->disk, NULL, NULL), -EIO,
		       "backing file name at 2000");
}

static void every_read_fails_once(struct kunit *test)
{
	struct image_shape shape = { .version = 3, .cluster_bits = 13, .size = SZ_16M };
	struct image_builder *b = image_build(test, &shape);
	struct qcow_disk_header *h = (void *)b->disk->data;
	struct qcow_disk_ext *ext = (void *)b->disk->data + be32_to_cpu(h->header_length);
	struct qcow_image_params p = { .snapshot = 0 };
	struct qcow_image *image;
	int nth;

	/* One that leads beyond the first read. */
	ext->type = cpu_to_be32(1);
	ext->len = cpu_to_be32(QCOW_PROBE_BYTES);
	image_build_snapshot(b, b->l1_offset, b->l1_entries, SZ_16M, 10);
	for (nth = 1; nth < 100; nth++) {
		ram_disk_fail(b->disk, nth, -EIO);
		image = try_open(test, b->disk, NULL, &p);
		if (!IS_ERR(image))
			break;
		expect_refused(test, image, -EIO, "cannot be read");
	}
	/* Probe, header, snapshot table, L1 table. */
	KUNIT_EXPECT_EQ(test, 5, nth);
	qcow_image_close(expect_open(test, image));
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
	KUNIT_CASE(every_version_opens),
	KUNIT_CASE(odd_sizes_are_rounded),
	KUNIT_CASE(l1_is_kept_as_far_as_needed),
	KUNIT_CASE(dirty_and_corrupt_open_read_only),
	KUNIT_CASE(data_file_must_match_the_header),
	KUNIT_CASE(snapshot_has_its_own_table_and_size),
	KUNIT_CASE(long_snapshot_tables_are_read_in_pieces),
	KUNIT_CASE(files_that_are_no_image),
	KUNIT_CASE(cut_off_images_can_be_read),
	KUNIT_CASE(header_must_be_what_was_seen),
	KUNIT_CASE(every_read_fails_once),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_image",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
