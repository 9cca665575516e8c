// SPDX-License-Identifier: GPL-2.0
/*
 * Images with clusters of all kinds.
 */

#include <kunit/test.h>
#include <linux/blk_types.h>
#include <linux/minmax.h>
#include <qcow/ondisk.h>

#include "rig/guest_model.h"
#include "rig/image_builder.h"
#include "rig/image_crypt.h"
#include "rig/ram_store.h"
#include "rig/write_mix.h"

/* Clusters that a table of the active state shares with a snapshot, at most. */
#define MAX_SHARED	16

/**
 * struct mix - what is being made
 * @b: the image
 * @m: its guest
 * @sectors: of a cluster
 * @shared: host offsets that a snapshot refers to as well
 * @guests: guest offsets of those that its own L2 table has; 0: none
 * @nr: of both
 */
struct mix {
	struct image_builder *b;
	struct guest_model *m;
	u32 sectors;
	u64 shared[MAX_SHARED];
	u64 guests[MAX_SHARED];
	unsigned int nr;
};

static u64 cluster_bytes(const struct mix *x)
{
	return (u64)x->sectors * SECTOR_SIZE;
}

/* Stamps for the first @nr sectors of a cluster. */
static void fill(struct mix *x, u64 guest, u64 host, u32 nr)
{
	u32 first = guest / SECTOR_SIZE;
	u32 i;

	nr = min(nr, x->m->nr - first);
	for (i = 0; i < nr; i++)
		guest_stamp(x->m, x->b->disk->data + host + i * SECTOR_SIZE, first + i, 0);
	image_crypt_data(x->b, guest, host, nr * SECTOR_SIZE);
	guest_model_begin(x->m, first, nr, GUEST_STAMP);
}

/* A data cluster; with subclusters, half of one. */
static u64 add_data(struct mix *x, u64 guest)
{
	u64 host = image_build_data(x->b, guest);

	if (x->b->entry_bytes == 16) {
		image_build_bitmap(x->b, guest, GENMASK_ULL(15, 0));
		fill(x, guest, host, x->sectors / 2);
	} else {
		fill(x, guest, host, x->sectors);
	}
	return host;
}

/* A cluster of zeros, perhaps with space, which is full of other things. */
static void add_zero(struct mix *x, u64 guest, bool space)
{
	u64 entry = 0;

	if (x->b->shape.version < 3)
		return;
	if (space) {
		entry = image_build_data(x->b, guest) | ENTRY_COPIED;
		memset(x->b->disk->data + (entry & ~ENTRY_COPIED), 0xee, cluster_bytes(x));
	}
	if (x->b->entry_bytes == 16)
		image_build_bitmap(x->b, guest, GENMASK_ULL(63, 32));
	else
		entry |= ENTRY_ZERO;
	image_build_entry(x->b, guest, entry);
	guest_model_begin(x->m, guest / SECTOR_SIZE, x->sectors, GUEST_ZERO);
}

static void add_shared(struct mix *x, u64 guest)
{
	u64 host;

	if (x->b->shape.version < 2 || x->nr == MAX_SHARED)
		return;
	host = add_data(x, guest);
	image_build_entry(x->b, guest, host);
	x->shared[x->nr] = host;
	x->guests[x->nr++] = guest;
}

/* An L2 table that a snapshot has, too, with what is in it. */
static u64 add_shared_table(struct mix *x, u64 guest)
{
	u64 table = x->b->end;
	unsigned int i;

	if (x->b->shape.version < 2 || guest + 4 * cluster_bytes(x) > x->b->shape.size)
		return 0;
	for (i = 0; i < 4; i++) {
		add_shared(x, guest + i * cluster_bytes(x));
		x->guests[x->nr - 1] = 0;
	}
	image_build_l1(x->b, 1, table);
	x->shared[x->nr++] = table;
	return table;
}

/* What the snapshot refers to; its bitmaps are those of the active state. */
static void add_snapshot(struct mix *x, u64 table)
{
	struct image_builder *b = x->b;
	unsigned int i;

	if (!x->nr)
		return;
	image_build_new_l1(b);
	for (i = 0; i < x->nr; i++) {
		if (!x->guests[i])
			continue;
		image_build_entry(b, x->guests[i], x->shared[i]);
		if (b->entry_bytes == 16)
			image_build_bitmap(b, x->guests[i], GENMASK_ULL(15, 0));
	}
	/* No other snapshot has its own L2 table, but the flag is of no use to a snapshot. */
	if (table)
		image_build_l1(b, 1, table);
	image_build_snapshot(b, b->l1_offset, b->l1_entries, b->shape.size, 8);
}

void write_mix(struct image_builder *b, struct guest_model *m, u64 backing)
{
	struct mix x = { .b = b, .m = m, .sectors = 1U << (b->shape.cluster_bits - SECTOR_SHIFT) };
	u64 per_table = cluster_bytes(&x) << b->l2_bits;
	u64 guest, table = 0;
	unsigned int kind = 0;

	for (guest = 0; guest < min(per_table, b->shape.size) / 2; guest += cluster_bytes(&x)) {
		switch (kind++ % 5) {
		case 0:
			add_data(&x, guest);
			break;
		case 1:
			add_zero(&x, guest, true);
			break;
		case 2:
			add_zero(&x, guest, false);
			break;
		case 3:
			if (x.nr < MAX_SHARED / 2)
				add_shared(&x, guest);
			break;
		}
	}
	if (per_table < b->shape.size)
		table = add_shared_table(&x, per_table);
	add_snapshot(&x, table);
	image_build_counts(b);
	while (x.nr--)
		image_build_count(b, x.shared[x.nr], 2);
}
