// SPDX-License-Identifier: GPL-2.0
/*
 * Describes one image as qemu-img info does, key by key.
 */
#include <qcow/l2.h>

#include "image/info.h"

#define NSEC_PER_SEC 1000000000ULL

struct json_object *info_string(const char *s, size_t len)
{
	static const char replacement[] = "\xef\xbf\xbd";
	char *out = qc_alloc(len * 3 + 1);
	struct json_object *obj;
	size_t from = 0, to = 0;

	while (from < len) {
		u32 code;
		size_t n = qc_utf8(s + from, len - from, &code);

		if (n) {
			memcpy(out + to, s + from, n);
			to += n;
			from += n;
		} else {
			memcpy(out + to, replacement, sizeof(replacement) - 1);
			to += sizeof(replacement) - 1;
			from++;
		}
	}
	obj = json_object_new_string_len(out, to);
	free(out);
	return obj;
}

static void add_string(struct json_object *obj, const char *key, const char *value)
{
	json_object_object_add(obj, key, info_string(value, strlen(value)));
}

static void add_u64(struct json_object *obj, const char *key, u64 value)
{
	json_object_object_add(obj, key, json_object_new_uint64(value));
}

static void add_bool(struct json_object *obj, const char *key, bool value)
{
	json_object_object_add(obj, key, json_object_new_boolean(value));
}

static struct json_object *snapshot_tree(const struct snapshot *snap)
{
	struct json_object *obj = json_object_new_object();

	add_string(obj, "id", snap->id);
	add_string(obj, "name", snap->name);
	add_u64(obj, "vm-state-size", snap->s.vm_state_bytes);
	add_u64(obj, "date-sec", snap->s.date_sec);
	add_u64(obj, "date-nsec", snap->s.date_nsec);
	add_u64(obj, "vm-clock-sec", snap->s.vm_clock_nsec / NSEC_PER_SEC);
	add_u64(obj, "vm-clock-nsec", snap->s.vm_clock_nsec % NSEC_PER_SEC);
	if (snap->s.icount != U64_MAX)
		add_u64(obj, "icount", snap->s.icount);
	return obj;
}

struct json_object *info_snapshots(const struct snapshots *snaps)
{
	struct json_object *list = json_object_new_array();
	u32 i;

	for (i = 0; i < snaps->nr; i++)
		json_object_array_add(list, snapshot_tree(&snaps->list[i]));
	return list;
}

static int add_snapshots(struct json_object *info, const struct image *img)
{
	struct snapshots snaps;
	int err;

	err = snapshots_read(img, &snaps);
	if (snaps.nr)
		json_object_object_add(info, "snapshots", info_snapshots(&snaps));
	snapshots_free(&snaps);
	return err;
}

static void add_v3(struct json_object *data, const struct image *img)
{
	const struct qcow_header *h = &img->h;

	add_bool(data, "lazy-refcounts", h->compatible & QCOW_COMPAT_LAZY_REFCOUNTS);
	add_bool(data, "corrupt", h->incompatible & QCOW_INCOMPAT_CORRUPT);
	add_bool(data, "extended-l2", h->incompatible & QCOW_INCOMPAT_EXTENDED_L2);
	if (!(h->incompatible & QCOW_INCOMPAT_DATA_FILE))
		return;
	if (img->data_name)
		add_string(data, "data-file", img->data_name);
	add_bool(data, "data-file-raw", h->autoclear & QCOW_AUTOCLEAR_RAW_DATA_FILE);
}

/* What qemu-img info has under "format-specific"; nothing for version 1. */
static int add_specific(struct json_object *info, const struct image *img)
{
	struct json_object *specific, *data, *sub;
	int bitmaps_err, err;

	if (img->h.version == 1)
		return 0;
	specific = json_object_new_object();
	data = json_object_new_object();
	add_string(specific, "type", "qcow2");
	json_object_object_add(specific, "data", data);
	json_object_object_add(info, "format-specific", specific);

	add_string(data, "compat", img->h.version == 2 ? "0.10" : "1.1");
	add_string(data, "compression-type",
		   img->h.compression_type == QCOW_COMPRESSION_ZSTD ? "zstd" : "zlib");
	add_u64(data, "refcount-bits", 1ULL << img->h.refcount_order);
	if (img->h.version >= 3)
		add_v3(data, img);
	sub = info_bitmaps(img, &bitmaps_err);
	if (sub)
		json_object_object_add(data, "bitmaps", sub);
	sub = info_encryption(img, &err);
	if (sub)
		json_object_object_add(data, "encrypt", sub);
	return bitmaps_err ? bitmaps_err : err;
}

static void add_backing(struct json_object *info, const struct image *img)
{
	char *full;

	if (!img->backing)
		return;
	full = policy_combine(img->name, img->backing);
	add_string(info, "backing-filename", img->backing);
	add_string(info, "full-backing-filename", full);
	if (img->backing_format)
		add_string(info, "backing-filename-format", img->backing_format);
	free(full);
}

static int add_qcow(struct json_object *info, const struct image *img)
{
	int snapshots_err, err;

	add_u64(info, "cluster-size", 1ULL << img->h.cluster_bits);
	if (img->h.crypt_method != QCOW_CRYPT_NONE)
		add_bool(info, "encrypted", true);
	add_backing(info, img);
	snapshots_err = add_snapshots(info, img);
	err = add_specific(info, img);
	if (img->backing_lost)
		return QC_BAD_IMAGE;
	return snapshots_err ? snapshots_err : err;
}

struct json_object *info_image(const struct image *img, int *err)
{
	struct json_object *info = json_object_new_object();
	struct qcow_geometry g;
	u64 size = round_up(img->bytes, 512ULL);

	if (!img->raw) {
		qcow_header_geometry(&img->h, S64_MAX, &g);
		size = g.size;
	}
	add_string(info, "filename", img->name);
	add_string(info, "format", image_format(img));
	add_u64(info, "virtual-size", size);
	/* As in qemu-img, without the external data file. */
	add_u64(info, "actual-size", img->st.st_blocks * 512ULL);
	add_bool(info, "dirty-flag", !img->raw && img->h.incompatible & QCOW_INCOMPAT_DIRTY);
	*err = img->raw ? 0 : add_qcow(info, img);
	return info;
}
