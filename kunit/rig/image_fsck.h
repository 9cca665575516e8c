/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Checks the metadata of an image in memory, out of ondisk.h alone: it shares no arithmetic
 * with the driver. Encryption, external data files and compressed clusters of version 1 are
 * not known.
 */
#ifndef _QCOW_KUNIT_IMAGE_FSCK_H
#define _QCOW_KUNIT_IMAGE_FSCK_H

#include <linux/types.h>

struct kunit;
struct qcow_disk_bitmaps;
struct ram_disk;

/**
 * struct fsck_owner - what has been found in one piece of the file
 * @what: name of it; NULL: nothing
 * @pass: the L1 table that led there
 * @refs: references to it
 */
struct fsck_owner {
	const char *what;
	u8 pass;
	u16 refs;
};

/**
 * struct image_fsck - a check
 * @disk: the file
 * @owners: of each cluster; of each sector in version 1
 * @nr_owners: that there is memory for
 * @version: of the image
 * @cluster_bits: likewise
 * @order: likewise, log2 of the bits of a count
 * @unit_bits: log2 of what an owner has
 * @pass: number of the L1 table at hand, the active one is the first
 * @nr: owners that the file has
 * @leaked: bytes that are counted more often than referred to; of version 1, those of clusters
 *          in the file that nothing refers to
 * @end: of what is referred to
 * @text: what is wrong
 */
struct image_fsck {
	struct ram_disk *disk;
	struct fsck_owner *owners;
	u64 nr_owners;
	u32 version;
	u32 cluster_bits;
	u32 order;
	u32 unit_bits;
	u8 pass;
	u64 nr;
	u64 leaked;
	u64 end;
	char text[256];
};

/* A check of @disk that lives as long as @test. */
struct image_fsck *image_fsck_create(struct kunit *test, struct ram_disk *disk);

/* Check it now; any thread, while no other one changes the disk. Return: 0 or -EUCLEAN. */
int image_fsck(struct image_fsck *f);

/* The header extension of an image's bitmaps, or NULL: it has none. */
const struct qcow_disk_bitmaps *image_fsck_find_bitmaps(const struct ram_disk *disk);

#endif /* _QCOW_KUNIT_IMAGE_FSCK_H */
