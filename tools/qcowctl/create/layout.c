// SPDX-License-Identifier: GPL-2.0
/*
 * Where everything in a new image is: header, refcount table, refcount blocks, L1 table,
 * LUKS header, L2 tables, data, each in one piece. Version 1: header, name, L1 table. Does no I/O.
 */
#include "create/encode.h"
#include "create/internal.h"

/* An L2 entry has host offsets of 56 bits. */
#define MAX_HOST_BYTES	BIT_ULL(56)

static void fill_header(struct qcow_header *h, const struct create_spec *spec)
{
	h->version = spec->version;
	h->cluster_bits = spec->cluster_bits;
	h->l2_bits = spec->l2_bits;
	h->size = spec->size;
	h->crypt_method = spec->crypt_method;
	h->compression_type = spec->compression_type;
	h->refcount_order = spec->version == 1 ? 0 : spec->refcount_order;
	if (spec->lazy_refcounts)
		h->compatible |= QCOW_COMPAT_LAZY_REFCOUNTS;
	if (spec->extended_l2)
		h->incompatible |= QCOW_INCOMPAT_EXTENDED_L2;
	if (spec->compression_type != QCOW_COMPRESSION_ZLIB)
		h->incompatible |= QCOW_INCOMPAT_COMPRESSION;
	if (spec->data_file)
		h->incompatible |= QCOW_INCOMPAT_DATA_FILE;
	if (spec->data_file_raw)
		h->autoclear |= QCOW_AUTOCLEAR_RAW_DATA_FILE;

	if (spec->version == 1)
		h->length = sizeof(struct qcow_v1_disk_header);
	else
		h->length = spec->version == 2 ? QCOW_V2_HEADER_BYTES : ENCODE_V3_HEADER_BYTES;
}

/* The L1 table's length, which limits the size. */
static int plan_l1(struct layout *layout, const struct create_spec *spec)
{
	u32 shift = spec->cluster_bits + spec->l2_bits;
	u64 max_bytes = spec->version == 1 ? QCOW_V1_MAX_L1_BYTES : QCOW_MAX_L1_BYTES;
	u64 max_entries = max_bytes / sizeof(__be64);
	u64 entries = span_div_up(spec->size, shift);

	if (spec->version == 1 && !spec->size)
		return qc_fail(QC_USAGE, "size", "0 is too small for version 1");
	if (entries > max_entries) {
		qc_fail(0, "size", "%llu is too large for clusters of %u bytes, at most %llu",
			spec->size, 1U << spec->cluster_bits, max_entries << shift);
		if (spec->version > 1)
			qc_hint("a larger cluster_size, up to 2M");
		return QC_USAGE;
	}
	layout->h.l1_entries = entries;
	layout->l1_bytes = entries * sizeof(__be64);
	return 0;
}

/* Version 2 and 3: whole clusters, each with a reference count. */
static int plan_clusters(struct layout *layout, const struct create_spec *spec)
{
	bool mapped = spec->preallocation != PREALLOC_OFF;
	u32 bits = spec->cluster_bits;
	u64 l1_clusters = span_div_up(layout->l1_bytes, bits);
	u64 data_clusters = mapped && !spec->data_file ? layout->guest_clusters : 0;
	u64 luks_clusters, l1_idx;

	if (spec->crypt_method == QCOW_CRYPT_LUKS)
		layout->luks.bytes = spec->luks.payload_offset;
	luks_clusters = span_div_up(layout->luks.bytes, bits);
	layout->l2_tables = mapped ? layout->h.l1_entries : 0;
	layout->clusters = 1 + l1_clusters + luks_clusters + layout->l2_tables + data_clusters;
	if ((mapped && spec->size > MAX_HOST_BYTES) ||
	    span_plan(bits, spec->refcount_order, layout->clusters, &layout->refcounts)) {
		qc_fail(0, "preallocation", "a size of %llu is too large for it", spec->size);
		qc_hint("preallocation=off, a larger cluster_size or a smaller refcount_bits");
		return QC_USAGE;
	}
	layout->clusters += layout->refcounts.blocks + layout->refcounts.table_clusters;

	layout->h.refcount_table_offset = BIT_ULL(bits);
	layout->h.refcount_table_clusters = layout->refcounts.table_clusters;
	layout->blocks_offset = (1 + layout->refcounts.table_clusters) << bits;
	l1_idx = 1 + layout->refcounts.table_clusters + layout->refcounts.blocks;
	layout->h.l1_offset = layout->h.l1_entries ? l1_idx << bits : 0;
	layout->luks.host_offset = (l1_idx + l1_clusters) << bits;
	layout->l2_offset = layout->luks.host_offset + (luks_clusters << bits);
	layout->data_offset = layout->l2_offset + (layout->l2_tables << bits);
	layout->file_end = layout->clusters << bits;
	layout->head_len = (size_t)1 << bits;
	return 0;
}

static void plan_v1(struct layout *layout, const struct create_spec *spec)
{
	size_t name_len = spec->backing ? strlen(spec->backing) : 0;

	layout->h.l1_offset = round_up(layout->h.length + name_len, sizeof(__be64));
	layout->head_len = layout->h.l1_offset;
	/* QEMU rounds the length of a file down to sectors: end at the end of one. */
	layout->file_end = layout->h.l1_offset + round_up(layout->l1_bytes, 512);
}

static int encode_head(struct layout *layout, const struct create_spec *spec, const char *name)
{
	QC_REPORT(rep);
	struct encode_names names = {
		.backing = spec->backing,
		.backing_format = spec->version == 1 ? NULL : spec->backing_format,
		.data_file = spec->data_file,
		.luks = layout->luks.bytes ? &layout->luks : NULL,
	};
	struct qcow_header check;
	size_t end;
	int err;

	layout->head = qc_alloc(layout->head_len);
	err = encode_names(&layout->h, &names, layout->head, layout->head_len, &end, &rep);
	if (!err) {
		encode_header(&layout->h, layout->head);
		err = qcow_header_parse(&check, layout->head, layout->head_len, layout->file_end,
					&rep);
	}
	if (!err)
		return 0;
	qc_lines(name, rep.buf);
	return QC_USAGE;
}

int layout_plan(struct layout *layout, const struct create_spec *spec, const char *name)
{
	int err;

	memset(layout, 0, sizeof(*layout));
	fill_header(&layout->h, spec);
	layout->guest_clusters = span_div_up(spec->size, spec->cluster_bits);
	err = plan_l1(layout, spec);
	if (err)
		return err;
	if (spec->version == 1)
		plan_v1(layout, spec);
	else
		err = plan_clusters(layout, spec);
	if (!err)
		err = encode_head(layout, spec, name);
	qcow_header_geometry(&layout->h, layout->file_end, &layout->g);
	return err;
}

void layout_free(struct layout *layout)
{
	free(layout->luks_content);
	free(layout->head);
}
