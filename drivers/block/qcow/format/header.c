// SPDX-License-Identifier: GPL-2.0
/*
 * The header of an image: decode, validate, derive the geometry, change. Does not read the file,
 * and accepts encrypted, dirty and corrupt images.
 */
#include <qcow/header.h>

#include "format/format.h"

/* Magic and version, the part that all versions share. */
struct qcow_disk_prefix {
	__be32 magic;
	__be32 version;
} __packed;

static u32 header_version(const void *buf, size_t len)
{
	const struct qcow_disk_prefix *prefix = buf;

	if (len < sizeof(*prefix) || be32_to_cpu(prefix->magic) != QCOW_MAGIC)
		return 0;
	return be32_to_cpu(prefix->version);
}

size_t qcow_header_span(const void *buf, size_t len)
{
	const struct qcow_disk_header *disk = buf;
	u32 version = header_version(buf, len);
	struct qcow_header h = { .length = QCOW_V2_HEADER_BYTES };

	if (version == 1)
		return sizeof(struct qcow_v1_disk_header);
	if (version < 2 || version > 3 || len < QCOW_V2_HEADER_BYTES)
		return len;

	h.cluster_bits = be32_to_cpu(disk->cluster_bits);
	if (h.cluster_bits < QCOW_MIN_CLUSTER_BITS || h.cluster_bits > QCOW_MAX_CLUSTER_BITS)
		return len;
	if (disk->backing_size)
		h.backing_offset = be64_to_cpu(disk->backing_offset);
	if (version == 3) {
		if (len < QCOW_V3_HEADER_BYTES)
			return (size_t)1 << h.cluster_bits;
		h.length = max_t(u32, be32_to_cpu(disk->header_length), QCOW_V3_HEADER_BYTES);
	}
	return qcow_ext_end(&h, buf, len) ?: (size_t)1 << h.cluster_bits;
}

static int check_range(struct qcow_report *rep, const char *name, u64 value, u64 lowest,
		       u64 highest)
{
	if (value >= lowest && value <= highest)
		return 0;
	qcow_report(rep, "%s is %llu, must be %llu to %llu", name, value, lowest, highest);
	return -EINVAL;
}

int qcow_header_check_table(const struct qcow_header *h, const struct qcow_table *table,
			    u64 file_bytes, struct qcow_report *rep)
{
	u64 cluster_bytes = 1ULL << h->cluster_bits;
	u64 start = h->version == 1 ? h->length : cluster_bytes;
	u64 max_entries = table->max_bytes / table->entry_bytes;
	u64 bytes, end;

	if (table->entries > max_entries) {
		qcow_report(rep, "%s has %llu entries, at most %llu are supported", table->name,
			    table->entries, max_entries);
		return -EFBIG;
	}
	if (h->version != 1 && !IS_ALIGNED(table->host_offset, cluster_bytes)) {
		qcow_report(rep, "%s offset 0x%llx is no multiple of the cluster size %llu",
			    table->name, table->host_offset, cluster_bytes);
		return -EINVAL;
	}
	/* As in QEMU, this limit holds for an empty table, too. */
	if (table->host_offset > S64_MAX) {
		qcow_report(rep, "%s offset 0x%llx is beyond the file's end at 0x%llx",
			    table->name, table->host_offset, file_bytes);
		return -EINVAL;
	}
	if (!table->entries)
		return 0;

	if (table->host_offset < start) {
		qcow_report(rep, "%s offset 0x%llx lies over the header", table->name,
			    table->host_offset);
		return -EINVAL;
	}
	bytes = table->entries * table->entry_bytes;
	if (check_add_overflow(table->host_offset, bytes, &end) || end > file_bytes) {
		qcow_report(rep,
			    "%s offset 0x%llx and %llu bytes reach beyond the file's end at 0x%llx",
			    table->name, table->host_offset, bytes, file_bytes);
		return -EUCLEAN;
	}
	return 0;
}

int qcow_header_check_size(const struct qcow_header *h, u64 size, u32 *l1_entries,
			   struct qcow_report *rep)
{
	u32 max_entries = qcow_header_max_l1_bytes(h) / sizeof(__be64);
	u32 shift = h->cluster_bits + h->l2_bits;
	u64 needed = (size >> shift) + !!(size & (BIT_ULL(shift) - 1));

	if (size > S64_MAX) {
		qcow_report(rep, "size is %llu, at most %llu is supported", size, (u64)S64_MAX);
		return -EFBIG;
	}
	if (needed > max_entries) {
		qcow_report(rep, "size %llu needs %llu L1 table entries, at most %u are supported",
			    size, needed, max_entries);
		return -EFBIG;
	}
	*l1_entries = needed;
	return 0;
}

/* Version 1 has the name anywhere; 2 and 3, behind the header in the first cluster. */
static int check_backing(struct qcow_header *h, u64 file_bytes, struct qcow_report *rep)
{
	u64 lowest = h->version == 1 ? 0 : h->length;
	u64 limit = file_bytes;
	u64 end;

	/* As in QEMU, without an offset or without a length there is no backing file. */
	if (!h->backing_offset || !h->backing_len) {
		h->backing_offset = 0;
		h->backing_len = 0;
		return 0;
	}

	if (h->backing_len > QCOW_MAX_BACKING_NAME) {
		qcow_report(rep, "backing file name has %u bytes, at most %u are supported",
			    h->backing_len, QCOW_MAX_BACKING_NAME);
		return -EINVAL;
	}
	if (h->version != 1)
		limit = min_t(u64, limit, 1ULL << h->cluster_bits);
	if (h->backing_offset < lowest) {
		qcow_report(rep, "backing file name offset 0x%llx lies over the header",
			    h->backing_offset);
		return -EINVAL;
	}
	if (check_add_overflow(h->backing_offset, (u64)h->backing_len, &end) || end > limit) {
		qcow_report(rep,
			    "backing file name offset 0x%llx and %u bytes reach beyond the %s's end at 0x%llx",
			    h->backing_offset, h->backing_len,
			    limit < file_bytes ? "first cluster" : "file", limit);
		return -EINVAL;
	}
	return 0;
}

static int check_l1(const struct qcow_header *h, u64 file_bytes, struct qcow_report *rep)
{
	struct qcow_table table = {
		.name = "L1 table",
		.host_offset = h->l1_offset,
		.entries = h->l1_entries,
		.entry_bytes = sizeof(__be64),
		.max_bytes = qcow_header_max_l1_bytes(h),
	};

	return qcow_header_check_table(h, &table, file_bytes, rep);
}

static void decode_v1(struct qcow_header *h, const struct qcow_v1_disk_header *disk)
{
	h->version = 1;
	h->cluster_bits = disk->cluster_bits;
	h->l2_bits = disk->l2_bits;
	h->size = be64_to_cpu(disk->size);
	h->l1_offset = be64_to_cpu(disk->l1_offset);
	h->backing_offset = be64_to_cpu(disk->backing_offset);
	h->backing_len = be32_to_cpu(disk->backing_size);
	h->crypt_method = be32_to_cpu(disk->crypt_method);
	h->mtime = be32_to_cpu(disk->mtime);
	h->length = sizeof(*disk);
}

static int parse_v1(struct qcow_header *h, const void *buf, size_t len, u64 file_bytes,
		    struct qcow_report *rep)
{
	int err;

	if (len < sizeof(struct qcow_v1_disk_header)) {
		qcow_report(rep, "header is cut off after %zu bytes, version 1 has %zu", len,
			    sizeof(struct qcow_v1_disk_header));
		return -EINVAL;
	}
	decode_v1(h, buf);

	err = check_range(rep, "cluster_bits", h->cluster_bits, QCOW_MIN_CLUSTER_BITS,
			  QCOW_V1_MAX_CLUSTER_BITS);
	if (!err)
		err = check_range(rep, "l2_bits", h->l2_bits, QCOW_V1_MIN_L2_BITS,
				  QCOW_V1_MAX_L2_BITS);
	if (!err)
		err = check_range(rep, "crypt_method", h->crypt_method, QCOW_CRYPT_NONE,
				  QCOW_CRYPT_AES);
	if (!err && h->size <= 1) {
		qcow_report(rep, "size is %llu, must be at least 2", h->size);
		err = -EINVAL;
	}
	if (!err)
		err = qcow_header_check_size(h, h->size, &h->l1_entries, rep);
	if (!err)
		err = check_l1(h, file_bytes, rep);
	if (!err)
		err = check_backing(h, file_bytes, rep);
	return err;
}

static void decode_v2(struct qcow_header *h, const struct qcow_disk_header *disk)
{
	h->version = be32_to_cpu(disk->version);
	h->cluster_bits = be32_to_cpu(disk->cluster_bits);
	h->size = be64_to_cpu(disk->size);
	h->l1_offset = be64_to_cpu(disk->l1_offset);
	h->l1_entries = be32_to_cpu(disk->l1_entries);
	h->backing_offset = be64_to_cpu(disk->backing_offset);
	h->backing_len = be32_to_cpu(disk->backing_size);
	h->crypt_method = be32_to_cpu(disk->crypt_method);
	h->refcount_table_offset = be64_to_cpu(disk->refcount_table_offset);
	h->refcount_table_clusters = be32_to_cpu(disk->refcount_table_clusters);
	h->refcount_order = 4;
	h->nr_snapshots = be32_to_cpu(disk->nr_snapshots);
	h->snapshots_offset = be64_to_cpu(disk->snapshots_offset);
	h->length = QCOW_V2_HEADER_BYTES;
}

static void decode_v3(struct qcow_header *h, const struct qcow_disk_header *disk)
{
	h->incompatible = be64_to_cpu(disk->incompatible_features);
	h->compatible = be64_to_cpu(disk->compatible_features);
	h->autoclear = be64_to_cpu(disk->autoclear_features);
	h->refcount_order = be32_to_cpu(disk->refcount_order);
	h->length = be32_to_cpu(disk->header_length);
	/* A field behind the end of the header has its default, 0. */
	if (h->length > offsetof(struct qcow_disk_header, compression_type))
		h->compression_type = disk->compression_type;
}

static int check_length(const struct qcow_header *h, size_t len, struct qcow_report *rep)
{
	int err = check_range(rep, "header_length", h->length, QCOW_V3_HEADER_BYTES,
			      1ULL << h->cluster_bits);

	if (err)
		return err;
	if (!IS_ALIGNED(h->length, 8)) {
		qcow_report(rep, "header_length %u is no multiple of 8", h->length);
		return -EINVAL;
	}
	if (h->length > len) {
		qcow_report(rep, "header_length %u reaches beyond the end of the file", h->length);
		return -EINVAL;
	}
	return 0;
}

/* Name every bit: the user has to find out which program made the image. */
static int check_incompatible(const struct qcow_header *h, const void *buf, size_t len,
			      struct qcow_report *rep)
{
	u64 unknown = h->incompatible & ~QCOW_INCOMPAT_KNOWN;
	char name[sizeof_field(struct qcow_disk_feature_name, name) + 1];
	u64 left;

	for (left = unknown; left; left &= left - 1) {
		u8 bit = __ffs64(left);

		qcow_ext_feature_name(h, buf, len, QCOW_FEATURE_INCOMPATIBLE, bit, name);
		if (name[0])
			qcow_report(rep, "incompatible feature \"%s\" (bit %u) is not supported",
				    name, bit);
		else
			qcow_report(rep, "incompatible feature bit %u is not supported", bit);
	}
	return unknown ? -EOPNOTSUPP : 0;
}

static int check_compression(const struct qcow_header *h, struct qcow_report *rep)
{
	bool stated = h->incompatible & QCOW_INCOMPAT_COMPRESSION;
	bool needed = h->compression_type != QCOW_COMPRESSION_ZLIB;

	if (h->compression_type > QCOW_COMPRESSION_ZSTD) {
		qcow_report(rep, "compression_type %u is not supported", h->compression_type);
		return -EOPNOTSUPP;
	}
	if (stated != needed) {
		qcow_report(rep, "compression_type is %u, but the compression feature bit is %s",
			    h->compression_type, stated ? "set" : "clear");
		return -EINVAL;
	}
	return 0;
}

static int check_features(const struct qcow_header *h, struct qcow_report *rep)
{
	bool data_file = h->incompatible & QCOW_INCOMPAT_DATA_FILE;

	if ((h->incompatible & QCOW_INCOMPAT_EXTENDED_L2) &&
	    h->cluster_bits < QCOW_EXTENDED_L2_MIN_CLUSTER_BITS) {
		qcow_report(rep, "cluster_bits is %u, must be at least %u with extended L2 entries",
			    h->cluster_bits, QCOW_EXTENDED_L2_MIN_CLUSTER_BITS);
		return -EINVAL;
	}
	/* A raw data file with a backing file violates the specification, but QEMU reads it. */
	if ((h->autoclear & QCOW_AUTOCLEAR_RAW_DATA_FILE) && !data_file) {
		qcow_report(rep, "raw external data feature bit without an external data file");
		return -EINVAL;
	}
	return 0;
}

static int check_tables(const struct qcow_header *h, u64 file_bytes, struct qcow_report *rep)
{
	const struct qcow_table refcount_table = {
		.name = "refcount table",
		.host_offset = h->refcount_table_offset,
		.entries = h->refcount_table_clusters,
		.entry_bytes = 1U << h->cluster_bits,
		.max_bytes = QCOW_MAX_REFCOUNT_TABLE_BYTES,
	};
	/* The least length: that of each entry is known only when it is read. */
	const struct qcow_table snapshot_table = {
		.name = "snapshot table",
		.host_offset = h->snapshots_offset,
		.entries = h->nr_snapshots,
		.entry_bytes = sizeof(struct qcow_disk_snapshot),
		.max_bytes = QCOW_MAX_SNAPSHOTS * sizeof(struct qcow_disk_snapshot),
	};
	int err;

	if (!h->refcount_table_clusters) {
		qcow_report(rep, "refcount table has no clusters");
		return -EINVAL;
	}
	err = qcow_header_check_table(h, &refcount_table, file_bytes, rep);
	if (!err)
		err = qcow_header_check_table(h, &snapshot_table, file_bytes, rep);
	if (!err)
		err = check_l1(h, file_bytes, rep);
	return err;
}

static int check_extensions(const struct qcow_header *h, const void *buf, size_t len,
			    struct qcow_report *rep)
{
	struct qcow_ext ext;
	size_t pos = 0;
	int ret;

	do {
		ret = qcow_ext_next(h, buf, len, &pos, &ext, rep);
	} while (ret > 0);
	return ret;
}

/* The fixed part of version 2 and 3, without what it points to. */
static int parse_fields(struct qcow_header *h, const void *buf, size_t len,
			struct qcow_report *rep)
{
	u32 least = h->version > 2 ? QCOW_V3_HEADER_BYTES : QCOW_V2_HEADER_BYTES;
	struct qcow_disk_header disk = {};
	int err;

	if (len < least) {
		qcow_report(rep, "header is cut off after %zu bytes, version %u has at least %u",
			    len, h->version, least);
		return -EINVAL;
	}
	memcpy(&disk, buf, min_t(size_t, len, sizeof(disk)));
	decode_v2(h, &disk);
	err = check_range(rep, "cluster_bits", h->cluster_bits, QCOW_MIN_CLUSTER_BITS,
			  QCOW_MAX_CLUSTER_BITS);
	if (!err && h->version > 2) {
		decode_v3(h, &disk);
		err = check_length(h, len, rep);
	}
	return err;
}

static int parse_v2(struct qcow_header *h, const void *buf, size_t len, u64 file_bytes,
		    struct qcow_report *rep)
{
	u32 l1_needed;
	int err;

	err = parse_fields(h, buf, len, rep);
	if (!err)
		err = check_backing(h, file_bytes, rep);
	if (!err)
		err = check_incompatible(h, buf, len, rep);
	if (!err)
		err = check_compression(h, rep);
	if (!err)
		err = check_features(h, rep);
	if (!err)
		err = check_range(rep, "refcount_order", h->refcount_order, 0,
				  QCOW_MAX_REFCOUNT_ORDER);
	if (!err)
		err = check_range(rep, "crypt_method", h->crypt_method, QCOW_CRYPT_NONE,
				  QCOW_CRYPT_LUKS);
	if (err)
		return err;

	h->l2_bits = h->cluster_bits - 3;
	if (h->incompatible & QCOW_INCOMPAT_EXTENDED_L2)
		h->l2_bits--;
	err = check_tables(h, file_bytes, rep);
	/* An L1 table may be too short for the size: what it does not map is a hole. */
	if (!err)
		err = qcow_header_check_size(h, h->size, &l1_needed, rep);
	if (!err)
		err = check_extensions(h, buf, len, rep);
	return err;
}

int qcow_header_parse(struct qcow_header *h, const void *buf, size_t len, u64 file_bytes,
		      struct qcow_report *rep)
{
	const struct qcow_disk_prefix *prefix = buf;

	memset(h, 0, sizeof(*h));
	if (len < sizeof(*prefix)) {
		qcow_report(rep, "file has %zu bytes, too short for a QCOW header", len);
		return -EINVAL;
	}
	if (be32_to_cpu(prefix->magic) != QCOW_MAGIC) {
		qcow_report(rep, "magic is 0x%08x, not 0x%08x: no QCOW image",
			    be32_to_cpu(prefix->magic), QCOW_MAGIC);
		return -EINVAL;
	}

	h->version = header_version(buf, len);
	switch (h->version) {
	case 1:
		return parse_v1(h, buf, len, file_bytes, rep);
	case 2:
	case 3:
		return parse_v2(h, buf, len, file_bytes, rep);
	default:
		qcow_report(rep, "version %u is not supported, only 1, 2 and 3 are", h->version);
		return -EOPNOTSUPP;
	}
}

static u64 fnv1a(u64 hash, const u8 *p, size_t len)
{
	while (len--)
		hash = (hash ^ *p++) * 0x100000001b3ULL;
	return hash;
}

u64 qcow_header_digest(const void *buf, size_t len, const void *name, size_t name_len)
{
	return fnv1a(fnv1a(0xcbf29ce484222325ULL, buf, len), name, name_len);
}

void qcow_header_put(const struct qcow_header *h, void *buf)
{
	struct qcow_disk_header *disk = buf;

	static_assert(QCOW_V3_HEADER_BYTES <= 512);
	disk->size = cpu_to_be64(h->size);
	disk->l1_entries = cpu_to_be32(h->l1_entries);
	disk->l1_offset = cpu_to_be64(h->l1_offset);
	disk->refcount_table_offset = cpu_to_be64(h->refcount_table_offset);
	disk->refcount_table_clusters = cpu_to_be32(h->refcount_table_clusters);
	disk->nr_snapshots = cpu_to_be32(h->nr_snapshots);
	disk->snapshots_offset = cpu_to_be64(h->snapshots_offset);
	if (h->version < 3)
		return;
	disk->incompatible_features = cpu_to_be64(h->incompatible);
	disk->compatible_features = cpu_to_be64(h->compatible);
	disk->autoclear_features = cpu_to_be64(h->autoclear);
}

/*
 * Version 1 states no limit for host offsets; that of 2 and 3 keeps sums of offsets and
 * lengths inside a signed 64-bit file position.
 */
static void geometry_v1(const struct qcow_header *h, struct qcow_geometry *g)
{
	g->l1_reserved = GENMASK_ULL(63, 56);
	g->l1_offset_mask = GENMASK_ULL(55, 0);
	g->reserved = GENMASK_ULL(62, 56);
	g->offset_mask = GENMASK_ULL(55, 0);
	g->host_align_mask = 511;
	g->compressed = BIT_ULL(63);
	g->csize_shift = 63 - h->cluster_bits;
	g->csize_mask = (1U << h->cluster_bits) - 1;
	g->metadata_end = h->length;
}

static void geometry_v2(const struct qcow_header *h, struct qcow_geometry *g)
{
	u32 sector_bits = h->cluster_bits - 8;

	g->extended_l2 = h->incompatible & QCOW_INCOMPAT_EXTENDED_L2;
	g->data_file = h->incompatible & QCOW_INCOMPAT_DATA_FILE;
	g->l1_reserved = GENMASK_ULL(62, 56) | GENMASK_ULL(8, 0);
	g->l1_offset_mask = GENMASK_ULL(55, 9);
	g->reserved = GENMASK_ULL(61, 56) | GENMASK_ULL(8, 0);
	g->offset_mask = GENMASK_ULL(55, 9);
	g->host_align_mask = (1U << h->cluster_bits) - 1;
	g->copied = BIT_ULL(63);
	g->compressed = BIT_ULL(62);
	if (h->version >= 3 && !g->extended_l2) {
		g->zero = BIT_ULL(0);
		g->reserved &= ~g->zero;
	}
	g->csize_shift = 62 - sector_bits;
	g->csize_mask = (1U << sector_bits) - 1;
	g->csize_sectors = true;
	g->metadata_end = 1U << h->cluster_bits;
}

void qcow_header_geometry(const struct qcow_header *h, u64 file_bytes, struct qcow_geometry *g)
{
	memset(g, 0, sizeof(*g));
	g->size = round_down(h->size, 512);
	g->file_bytes = file_bytes;
	g->version = h->version;
	g->cluster_bits = h->cluster_bits;
	g->l2_bits = h->l2_bits;
	if (h->version == 1)
		geometry_v1(h, g);
	else
		geometry_v2(h, g);

	g->entry_bits = g->extended_l2 ? 4 : 3;
	g->slice_bits = min_t(u8, g->l2_bits, QCOW_SLICE_BITS - g->entry_bits);
	g->subcluster_bits = g->cluster_bits - (g->extended_l2 ? QCOW_SUBCLUSTER_BITS : 0);
}
