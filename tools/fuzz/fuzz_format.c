// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer entry over the pure format code: the input is an image file, and whatever the
 * code says of it has to keep the contracts of include/qcow. Buffers have exactly the
 * promised length, so that ASan sees a read past it. Attaches nothing, writes nothing.
 */
#include <qcow/bitmap.h>
#include <qcow/luks.h>
#include <stdint.h>
#include <stdlib.h>

#define MAX_L1_PROBES	16

#define require(ok) \
	do { \
		if (!(ok)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #ok); \
			abort(); \
		} \
	} while (0)

/**
 * struct image - a file
 * @data: its first bytes
 * @size: how many
 * @file_bytes: its length: beyond @size it reads as zeros
 */
struct image {
	const uint8_t *data;
	size_t size;
	u64 file_bytes;
};

/* A copy of its own of a part of the file. */
static void *read_image(const struct image *image, u64 from, size_t bytes)
{
	uint8_t *buf = calloc(1, bytes ? bytes : 1);
	size_t there = 0;

	require(buf);
	if (from < image->size)
		there = min_t(size_t, bytes, image->size - from);
	if (there)
		memcpy(buf, image->data + from, there);
	return buf;
}

static bool is_inside(const struct image *image, u64 from, u64 bytes)
{
	return from <= image->file_bytes && bytes <= image->file_bytes - from;
}

static void check_report(const struct qcow_report *rep, bool expect_text)
{
	require(rep->len < rep->size);
	require(strlen(rep->buf) == rep->len);
	require(!expect_text || rep->len);
}

static void check_header(const struct image *image, const struct qcow_header *h)
{
	u64 cluster = 1ULL << h->cluster_bits;

	require(h->version >= 1 && h->version <= 3);
	require(h->cluster_bits >= QCOW_MIN_CLUSTER_BITS);
	require(h->cluster_bits <= QCOW_MAX_CLUSTER_BITS);
	require(h->l2_bits >= 6 && h->l2_bits <= 18);
	require(h->size <= (u64)S64_MAX);
	require(h->length <= cluster);
	require(!(h->incompatible & ~QCOW_INCOMPAT_KNOWN));
	require(h->crypt_method <= QCOW_CRYPT_LUKS);
	require(h->compression_type <= QCOW_COMPRESSION_ZSTD);
	require(!!h->backing_offset == !!h->backing_len);
	require(h->backing_len <= QCOW_MAX_BACKING_NAME);
	require(is_inside(image, h->backing_offset, h->backing_len));
	require(!h->l1_entries || is_inside(image, h->l1_offset, 8ULL * h->l1_entries));
	require(h->version == 1 || h->l1_entries <= QCOW_MAX_L1_BYTES / 8);
	require(h->refcount_order <= QCOW_MAX_REFCOUNT_ORDER);
	require(is_inside(image, h->refcount_table_offset, h->refcount_table_clusters * cluster));
	require(h->nr_snapshots <= QCOW_MAX_SNAPSHOTS);
	require(!h->nr_snapshots || is_inside(image, h->snapshots_offset, 40));
}

static void check_extensions(const struct qcow_header *h, const uint8_t *buf, size_t len)
{
	struct qcow_ext ext;
	char name[47];
	size_t pos = 0, last = 0;
	int bit, ret;

	for (;;) {
		const uint8_t *from;

		ret = qcow_ext_next(h, buf, len, &pos, &ext, NULL);
		if (!ret)
			break;
		require(ret == 1);	/* parse has seen them all */
		require(pos > last);
		last = pos;
		from = ext.data;
		require(from >= buf + h->length && from <= buf + len);
		require(ext.len <= (size_t)(buf + len - from));
		require(!h->backing_offset || from + ext.len <= buf + h->backing_offset);
	}
	for (bit = 0; bit < 64; bit += 7) {
		qcow_ext_feature_name(h, buf, len, bit & 3, bit, name);
		require(strlen(name) < sizeof(name));
	}
}

static void check_snapshot(const struct image *image, const struct qcow_snapshot *snap,
			   const char *buf, size_t pos)
{
	require(snap->id >= buf && snap->id + snap->id_len <= buf + pos);
	require(snap->name == snap->id + snap->id_len);
	require(snap->name + snap->name_len <= buf + pos);
	require(snap->disk_bytes <= (u64)S64_MAX);
	require(!snap->l1_entries ||
		is_inside(image, snap->l1_offset, 8ULL * snap->l1_entries));
}

/* Any entry can be made anew, with exactly its length, and is then met with the same values. */
static void check_snapshot_put(const struct image *image, struct qcow_header h,
			       const struct qcow_snapshot *snap)
{
	size_t pos = 0, len = qcow_snapshot_bytes(snap);
	char *buf = malloc(len), *copy = malloc(len);
	struct qcow_snapshot again;
	u32 idx = 0;

	require(buf && copy);
	qcow_snapshot_put(snap, buf);
	h.nr_snapshots = 1;
	h.snapshots_offset = 0;
	require(qcow_snapshot_next(&h, max_t(u64, image->file_bytes, len), buf, len, &pos, &idx,
				   &again, NULL) == 1);
	require(again.icount == snap->icount && again.disk_bytes == snap->disk_bytes);
	qcow_snapshot_put(&again, copy);
	require(!memcmp(buf, copy, len));
	free(buf);
	free(copy);
}

/* Reads more only when asked to. */
static void check_snapshots(const struct image *image, const struct qcow_header *h)
{
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_snapshot snap;
	size_t pos = 0, len = 0, last = 0;
	char *buf = read_image(image, h->snapshots_offset, 0);
	u32 idx = 0;
	int ret;

	while (len < 4096 + image->size) {
		ret = qcow_snapshot_next(h, image->file_bytes, buf, len, &pos, &idx, &snap, &rep);
		if (ret == -EAGAIN) {
			free(buf);
			require(len < QCOW_MAX_SNAPSHOT_TABLE_BYTES);
			len = 2 * len + 13;
			buf = read_image(image, h->snapshots_offset, len);
			continue;
		}
		if (ret <= 0) {
			require(!ret || ret == -EINVAL || ret == -EFBIG || ret == -EUCLEAN);
			check_report(&rep, ret);
			require(ret || idx == h->nr_snapshots);
			break;
		}
		require(pos >= last + 40 && pos <= len + 7);
		last = pos;
		check_snapshot(image, &snap, buf, len);
		check_snapshot_put(image, *h, &snap);
	}
	free(buf);
}

/* Marking changes flags alone, so the walk goes the same way again. */
static void check_directory(const struct image *image, const struct qcow_header *h,
			    const struct qcow_bitmaps_dir *dir, char *buf)
{
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_bitmap bitmap;
	size_t pos = 0, last = 0;
	bool marked = false;
	u32 idx = 0;
	int ret;

	for (;;) {
		ret = qcow_bitmap_next(h, dir, image->file_bytes, buf, &pos, &idx, &bitmap, &rep);
		if (ret < 0) {
			require(!marked && (ret == -EINVAL || ret == -EFBIG || ret == -EUCLEAN));
			check_report(&rep, true);
			return;
		}
		if (!ret && marked)
			return;
		if (!ret) {
			require(idx == dir->nr && pos == dir->bytes);
			require(qcow_bitmap_mark_in_use(dir, buf) <= dir->nr);
			require(!qcow_bitmap_mark_in_use(dir, buf));
			marked = true;
			pos = 0;
			last = 0;
			idx = 0;
			continue;
		}
		require(pos >= last + 32 && pos <= dir->bytes && !(pos & 7));
		last = pos;
		require(bitmap.name >= buf && bitmap.name + bitmap.name_len <= buf + pos);
		require(is_inside(image, bitmap.table_offset, 8ULL * bitmap.table_entries));
		require(!marked || (bitmap.flags & 3) != 2);
	}
}

static void check_bitmaps(const struct image *image, const struct qcow_header *h,
			  const void *head, size_t len)
{
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_bitmaps_dir dir;
	void *buf;
	int err;

	err = qcow_bitmaps_find_dir(h, head, len, image->file_bytes, &dir, &rep);
	check_report(&rep, err);
	if (err) {
		require(err == -EINVAL || err == -EFBIG || err == -EUCLEAN);
		return;
	}
	require(dir.nr && dir.nr <= QCOW_MAX_BITMAPS);
	require(dir.bytes <= QCOW_MAX_BITMAP_DIR_BYTES);
	require(is_inside(image, dir.host_offset, dir.bytes));
	buf = read_image(image, dir.host_offset, dir.bytes);
	check_directory(image, h, &dir, buf);
	free(buf);
}

/* What has been parsed is written and parsed again with the same values. */
static void check_luks_put(const struct qcow_luks *luks, u64 bytes)
{
	struct qcow_disk_luks *disk = calloc(1, sizeof(*disk));
	struct qcow_luks again;

	require(disk);
	qcow_luks_put(luks, disk);
	require(!qcow_luks_parse(&again, disk, bytes, NULL));
	require(!strcmp(again.cipher, luks->cipher) && !strcmp(again.mode, luks->mode));
	require(!strcmp(again.hash, luks->hash) && again.key_bytes == luks->key_bytes);
	require(again.payload_offset == luks->payload_offset);
	require(!memcmp(again.slots[7].salt, luks->slots[7].salt, sizeof(luks->slots[7].salt)));
	free(disk);
}

static void check_luks_header(const void *disk, u64 bytes)
{
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_luks_mode mode;
	struct qcow_luks luks;
	int err = qcow_luks_parse(&luks, disk, bytes, &rep);
	unsigned int i;

	check_report(&rep, err);
	if (err) {
		require(err == -EINVAL || err == -EOPNOTSUPP);
		return;
	}
	require(luks.key_bytes && luks.key_bytes <= QCOW_LUKS_MAX_KEY_BYTES);
	require(luks.digest_iterations);
	require(strlen(luks.cipher) < 32 && strlen(luks.hash) < 32 && strlen(luks.uuid) <= 40);
	for (i = 0; i < QCOW_LUKS_SLOTS; i++) {
		require(luks.slots[i].key_offset >= sizeof(struct qcow_disk_luks));
		require(luks.slots[i].key_offset + qcow_luks_material_bytes(&luks) <= bytes);
		require(!luks.slots[i].active || luks.slots[i].iterations);
	}
	qcow_luks_split_mode(luks.mode, &mode);
	require(strlen(mode.chain) + strlen(mode.ivgen) + strlen(mode.ivgen_hash) < 32);
	check_luks_put(&luks, bytes);
}

static void check_luks(const struct image *image, const struct qcow_header *h, const void *head,
		       size_t len)
{
	char text[256] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	struct qcow_luks_place place;
	void *buf;
	int err;

	err = qcow_luks_find(h, head, len, image->file_bytes, &place, &rep);
	check_report(&rep, err);
	if (err) {
		require(err == -EINVAL || err == -EFBIG || err == -EUCLEAN);
		return;
	}
	require(place.bytes <= QCOW_MAX_CRYPTO_HEADER_BYTES);
	require(is_inside(image, place.host_offset, place.bytes));
	buf = read_image(image, place.host_offset, sizeof(struct qcow_disk_luks));
	check_luks_header(buf, place.bytes);
	free(buf);
}

static void check_flaw(const struct qcow_flaw *flaw)
{
	require(flaw->table && flaw->what);
	require(flaw->entry);
}

static void check_extent(const struct qcow_geometry *g, u64 in_slice, u64 max,
			 const struct qcow_extent *ext)
{
	u64 slice_guest = 1ULL << (g->cluster_bits + g->slice_bits);
	u64 end;

	require(ext->len > 0 && ext->len <= max && ext->len <= slice_guest - in_slice);
	require(ext->kind != QCOW_EXTENT_DATA || ext->allocated);
	require(ext->allocated || !ext->host);
	if (ext->kind != QCOW_EXTENT_COMPRESSED) {
		require(!ext->compressed_len);
		require(!check_add_overflow(ext->host, ext->len, &end));
		require(end <= (u64)S64_MAX);
		return;
	}
	require(!g->data_file);
	require(ext->compressed_len > 0);
	require(ext->compressed_len <= 2 * qcow_cluster_bytes(g));
	require(ext->host + ext->compressed_len <= (u64)S64_MAX);
	require(ext->len <= qcow_cluster_bytes(g) - (in_slice & (qcow_cluster_bytes(g) - 1)));
}

/* A later byte of an extent is the same kind, at its own place. */
static void check_inside(const struct qcow_geometry *g, const __be64 *slice, u64 in_slice,
			 const struct qcow_extent *ext, u64 skip)
{
	struct qcow_flaw flaw;
	struct qcow_extent part;

	require(!qcow_l2_map(g, slice, in_slice + skip, ext->len - skip, &part, &flaw));
	check_extent(g, in_slice + skip, ext->len - skip, &part);
	require(part.kind == ext->kind && part.allocated == ext->allocated);
	require(part.len == ext->len - skip);
	if (ext->kind == QCOW_EXTENT_COMPRESSED)
		require(part.host == ext->host && part.compressed_len == ext->compressed_len);
	else if (ext->allocated)
		require(part.host == ext->host + skip);
}

/* Less wanted is the same extent, cut. */
static void check_cut(const struct qcow_geometry *g, const __be64 *slice, u64 in_slice,
		      const struct qcow_extent *whole)
{
	static const u64 max[] = { 1, 512, 4096, 65537 };
	struct qcow_extent ext;
	struct qcow_flaw flaw;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(max); i++) {
		require(!qcow_l2_map(g, slice, in_slice, max[i], &ext, &flaw));
		check_extent(g, in_slice, max[i], &ext);
		require(ext.len == min(max[i], whole->len));
		require(ext.kind == whole->kind && ext.allocated == whole->allocated);
		require(ext.host == whole->host);
	}
}

/* From extent to extent, each as long as it gets. */
static void check_slice(const struct qcow_geometry *g, const __be64 *slice)
{
	u64 cluster = qcow_cluster_bytes(g);
	u64 end = cluster << g->slice_bits;
	struct qcow_extent ext;
	u64 in_slice = 0;

	while (in_slice < end) {
		struct qcow_flaw flaw = {};
		int err = qcow_l2_map(g, slice, in_slice, U64_MAX, &ext, &flaw);

		if (err) {
			require(err == -EUCLEAN);
			check_flaw(&flaw);
			in_slice = round_down(in_slice, cluster) + cluster;
			continue;
		}
		check_extent(g, in_slice, U64_MAX, &ext);
		check_cut(g, slice, in_slice, &ext);
		check_inside(g, slice, in_slice, &ext, (in_slice * 2654435761U) % ext.len);
		check_inside(g, slice, in_slice, &ext, ext.len - 1);
		in_slice += ext.len;
	}
}

static void check_slice_at(const struct image *image, const struct qcow_geometry *g, u64 host)
{
	__be64 *slice = read_image(image, host, qcow_slice_bytes(g));

	check_slice(g, slice);
	free(slice);
}

static void check_l1_entry(const struct image *image, const struct qcow_geometry *g, u64 l1_idx,
			   u64 entry)
{
	u64 slices = 1ULL << (g->l2_bits - g->slice_bits);
	u64 first = l1_idx * slices;
	struct qcow_flaw flaw = {};
	u64 table;

	if (qcow_l1_decode(g, entry, &table, &flaw)) {
		check_flaw(&flaw);
		require(!table);
		return;
	}
	require(qcow_slice_l1_idx(g, first) == l1_idx);
	require(qcow_slice_l1_idx(g, first + slices - 1) == l1_idx);
	if (!table)
		return;
	require(table >= g->metadata_end);
	require(is_inside(image, table, 1ULL << (g->l2_bits + g->entry_bits)));
	check_slice_at(image, g, table + qcow_slice_in_table(g, first));
	if (slices > 1)
		check_slice_at(image, g, table + qcow_slice_in_table(g, first + slices - 1));
}

static void check_mapping(const struct image *image, const struct qcow_header *h)
{
	struct qcow_geometry g;
	__be64 *l1;
	u32 idx, nr = min_t(u32, h->l1_entries, MAX_L1_PROBES);

	qcow_header_geometry(h, image->file_bytes, &g);
	require(g.size <= h->size && h->size - g.size < 512);
	require(qcow_l1_needed(&g) <= QCOW_V1_MAX_L1_BYTES / 8);
	require(qcow_slice_bytes(&g) >= 512 && qcow_slice_bytes(&g) <= QCOW_SLICE_BYTES);
	require(g.slice_bits <= g.l2_bits && g.csize_shift < 64);

	l1 = read_image(image, h->l1_offset, 8ULL * nr);
	for (idx = 0; idx < nr; idx++)
		check_l1_entry(image, &g, idx, be64_to_cpu(l1[idx]));
	free(l1);
	/* Any bytes are a slice, so that a lost L1 entry does not hide the rest. */
	check_slice_at(image, &g, image->size > 4096 ? image->size - 4096 : 0);
}

static void check_image(const struct image *image)
{
	char text[512] = "";
	struct qcow_report rep = { .buf = text, .size = sizeof(text) };
	size_t probe = min_t(u64, QCOW_PROBE_BYTES, image->file_bytes);
	void *buf = read_image(image, 0, probe);
	size_t len = qcow_header_span(buf, probe);
	struct qcow_header h;
	int err;

	free(buf);
	require(len <= 1U << QCOW_MAX_CLUSTER_BITS);
	len = min_t(u64, len, image->file_bytes);
	buf = read_image(image, 0, len);
	err = qcow_header_parse(&h, buf, len, image->file_bytes, &rep);
	check_report(&rep, err);
	if (err) {
		require(err == -EINVAL || err == -EOPNOTSUPP || err == -EFBIG || err == -EUCLEAN);
	} else {
		check_header(image, &h);
		check_extensions(&h, buf, len);
		check_snapshots(image, &h);
		check_bitmaps(image, &h, buf, len);
		check_luks(image, &h, buf, len);
		check_mapping(image, &h);
	}
	free(buf);
}

/* The Makefile gives it the name that libFuzzer calls. */
int fuzz_one(const uint8_t *data, size_t size)
{
	/* As it is, and as the start of a long sparse file: tables may be anywhere. */
	const struct image images[] = {
		{ .data = data, .size = size, .file_bytes = size },
		{ .data = data, .size = size, .file_bytes = U64_MAX },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(images); i++)
		check_image(&images[i]);
	return 0;
}
