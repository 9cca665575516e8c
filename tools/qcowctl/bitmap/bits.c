// SPDX-License-Identifier: GPL-2.0
/*
 * The bits of one bitmap, all of them in memory: 512 MiB at most, of which what says that nothing
 * has changed takes none.
 */
#include <errno.h>

#include "bitmap/internal.h"

u64 bits_disk_bytes(const struct image *img)
{
	struct qcow_geometry g;

	qcow_header_geometry(&img->h, img->bytes, &g);
	return g.size;
}

struct bits *bits_create(const struct image *img, u32 granularity_bits, u64 bytes)
{
	u64 clusters = qcow_bitmap_table_entries(bytes, granularity_bits, img->h.cluster_bits);
	struct bits *bits;

	if (clusters > QCOW_MAX_BITMAP_DATA_BYTES >> img->h.cluster_bits)
		return NULL;
	bits = qc_alloc(sizeof(*bits));
	*bits = (struct bits){
		.raw = qc_alloc(clusters << img->h.cluster_bits),
		.clusters = clusters,
		.cluster_bits = img->h.cluster_bits,
		.granularity_bits = granularity_bits,
		.nr = (bytes >> granularity_bits) + !!(bytes & (BIT_ULL(granularity_bits) - 1)),
		.disk_bytes = bytes,
	};
	return bits;
}

void bits_destroy(struct bits *bits)
{
	if (bits)
		free(bits->raw);
	free(bits);
}

/* Bits of clusters in memory that stand for nothing. */
static void clear_end(struct bits *bits)
{
	u64 bytes = bits->clusters << bits->cluster_bits, full = bits->nr / 8;

	if (full == bytes)
		return;
	bits->raw[full] &= (1U << bits->nr % 8) - 1;
	memset(bits->raw + full + 1, 0, bytes - full - 1);
}

/* @entry: of the table, in the order of the disk. */
static int load_cluster(const struct image *img, u64 entry, u8 *buf)
{
	size_t bytes = 1UL << img->h.cluster_bits;
	u64 host;
	bool ones;
	int err;

	if (qcow_bitmap_decode(img->h.cluster_bits, entry, &host, &ones))
		return qc_fail(QC_BAD_IMAGE, img->name,
			       "bitmap table entry with wrong bits: 0x%llx", entry);
	if (ones)
		memset(buf, 0xff, bytes);
	if (!host)
		return 0;
	err = image_pread(img->fd, buf, bytes, host);
	if (!err)
		return 0;
	return qc_fail_errno(image_exit_code(err), -err, img->name,
			     "cannot read bits of a bitmap at 0x%llx", host);
}

static int load_clusters(const struct image *img, const struct qcow_bitmap *bitmap,
			 struct bits *bits)
{
	u64 bytes = bits->clusters * sizeof(__be64), i;
	__be64 *table = qc_alloc(bytes);
	int err = image_pread(img->fd, table, bytes, bitmap->table_offset);

	if (err)
		err = qc_fail_errno(image_exit_code(err), -err, img->name,
				    "cannot read a bitmap table at 0x%llx", bitmap->table_offset);
	for (i = 0; !err && i < bits->clusters; i++)
		err = load_cluster(img, be64_to_cpu(table[i]),
				   bits->raw + (i << bits->cluster_bits));
	free(table);
	if (!err)
		clear_end(bits);
	return err;
}

int bits_load(const struct image *img, const struct qcow_bitmap *bitmap, struct bits **result)
{
	struct bits *bits = bits_create(img, bitmap->granularity_bits, bits_disk_bytes(img));

	*result = bits;
	if (!bits)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "bitmap '%.*s' has more than %u bytes, which is not supported",
			       (int)bitmap->name_len, bitmap->name, QCOW_MAX_BITMAP_DATA_BYTES);
	if (bitmap->table_entries < bits->clusters)
		return qc_fail(QC_BAD_IMAGE, img->name,
			       "bitmap '%.*s' has a table of %u entries, %llu are needed",
			       (int)bitmap->name_len, bitmap->name, bitmap->table_entries,
			       bits->clusters);
	return load_clusters(img, bitmap, bits);
}

/* The first bit from @pos on that is @set, at most the number of bits. */
static u64 find_bit(const struct bits *bits, u64 pos, bool set)
{
	u8 none = set ? 0 : 0xff;

	while (pos < bits->nr) {
		u8 byte = bits->raw[pos / 8];

		if (byte != none && !!(byte & 1U << pos % 8) == set)
			return pos;
		pos = byte == none ? round_down(pos, 8ULL) + 8 : pos + 1;
	}
	return bits->nr;
}

/* The last bit may stand for fewer bytes. */
static u64 guest_start(const struct bits *bits, u64 idx)
{
	return idx < bits->nr ? idx << bits->granularity_bits : bits->disk_bytes;
}

bool bits_next(const struct bits *bits, u64 *pos, struct qcow_bitmap_range *range)
{
	u64 first = find_bit(bits, *pos, true);

	if (first == bits->nr)
		return false;
	*pos = find_bit(bits, first, false);
	range->start = guest_start(bits, first);
	range->len = guest_start(bits, *pos) - range->start;
	return true;
}

void bits_merge(struct bits *bits, const struct bits *other)
{
	struct qcow_bitmap_range range;
	u64 pos = 0, idx, last;

	while (bits_next(other, &pos, &range)) {
		last = (range.start + range.len - 1) >> bits->granularity_bits;
		for (idx = range.start >> bits->granularity_bits; idx <= last; idx++)
			bits->raw[idx / 8] |= 1U << idx % 8;
	}
}

void bits_copy(struct bits *bits, const struct bits *other)
{
	memcpy(bits->raw, other->raw, min(bits->clusters, other->clusters) << bits->cluster_bits);
	clear_end(bits);
}
