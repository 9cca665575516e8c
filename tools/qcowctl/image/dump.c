// SPDX-License-Identifier: GPL-2.0
/*
 * Dumps the metadata of one image as it is in the file: header, extensions, snapshot table, L1 and
 * L2 tables, refcount table and blocks.
 *
 * Tables are read a window, a slice or a block at a time, and told entry by entry; neighbours that
 * are alike because they are zero, or the same count, are one record. Offsets and flags are what
 * the format code decodes, the entry beside them is what is in the file. An entry that is damaged
 * is told with what is wrong, and what is behind it follows, as in extents.c.
 *
 * Of snapshots there is the table alone: their L2 tables are in large part those of the image.
 */
#include <errno.h>

#include <qcow/l2.h>
#include <qcow/refcount.h>

#include "image/dump.h"

#define WINDOW_ENTRIES 8192U

/* A corrupt image can have a fault in every entry: messages tell of the first ones only. */
#define MAX_MESSAGES 20

/**
 * struct dump - a dump of one image
 * @img: the image
 * @g: its geometry
 * @out: where it goes
 * @err: exit code of the first damage, 0: none so far
 * @damaged: entries that were damaged
 */
struct dump {
	const struct image *img;
	struct qcow_geometry g;
	struct dump_out out;
	int err;
	u64 damaged;
};

/**
 * struct table - a table of 8-byte entries, of which a window is in memory
 * @host_offset: where it is
 * @nr: entries
 * @first: of the window, U64_MAX: nothing has been read
 * @err: the window could not be read: -errno
 * @window: the window, big endian
 */
struct table {
	u64 host_offset;
	u64 nr;
	u64 first;
	int err;
	__be64 window[WINDOW_ENTRIES];
};

static void add_u64(struct json_object *obj, const char *key, u64 value)
{
	json_object_object_add(obj, key, json_object_new_uint64(value));
}

/* Programs that read JSON keep 53 bits of a number: what is more than an offset is a string. */
static void add_hex(struct json_object *obj, const char *key, u64 value, int digits)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%0*llx", digits, value);
	json_object_object_add(obj, key, json_object_new_string(text));
}

static void add_text(struct json_object *obj, const char *key, const char *text, size_t len)
{
	json_object_object_add(obj, key, info_string(text, len));
}

static void add_bytes(struct json_object *obj, const char *key, const unsigned char *bytes,
		      size_t len)
{
	char *text = qc_alloc(2 * len + 1);
	size_t i;

	for (i = 0; i < len; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	json_object_object_add(obj, key, json_object_new_string(text));
	free(text);
}

static void add_flag(struct json_object *obj, const char *key, bool value)
{
	if (value)
		json_object_object_add(obj, key, json_object_new_boolean(true));
}

static struct json_object *new_record(u64 index, u64 repeat)
{
	struct json_object *obj = json_object_new_object();

	add_u64(obj, "index", index);
	if (repeat > 1)
		add_u64(obj, "repeat", repeat);
	return obj;
}

/* Damage. @where: the entry, for a message; the record @obj gets the same. */
static __printf(5, 6) void note(struct dump *d, struct json_object *obj, int code,
				const char *where, const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	if (!d->err)
		d->err = code;
	d->damaged++;
	if (d->damaged <= MAX_MESSAGES)
		qc_fail(0, d->img->name, "%s: %s", where, text ? text : "damaged");
	add_flag(obj, "damaged", true);
	if (text)
		json_object_object_add(obj, "flaw", json_object_new_string(text));
	free(text);
}

static void note_flaw(struct dump *d, struct json_object *obj, const char *where,
		      const struct qcow_flaw *flaw)
{
	note(d, obj, QC_BAD_IMAGE, where, "%s 0x%llx", flaw->what, flaw->value);
}

static void note_unreadable(struct dump *d, struct json_object *obj, const char *where, int err)
{
	note(d, obj, image_exit_code(err), where, "cannot read: %s", strerror(-err));
}

static struct table *table_open(u64 host_offset, u64 nr)
{
	struct table *t = qc_alloc(sizeof(*t));

	t->host_offset = host_offset;
	t->nr = nr;
	t->first = U64_MAX;
	return t;
}

/* One entry, CPU order. Return: 0 or -errno. */
static int table_entry(const struct dump *d, struct table *t, u64 idx, u64 *entry)
{
	u64 first = idx / WINDOW_ENTRIES * WINDOW_ENTRIES;

	if (t->first != first) {
		t->first = first;
		t->err = image_pread_padded(d->img, t->window,
					    min(t->nr - first, (u64)WINDOW_ENTRIES) *
					    sizeof(*t->window),
					    t->host_offset + first * sizeof(*t->window));
	}
	*entry = t->err ? 0 : be64_to_cpu(t->window[idx - first]);
	return t->err;
}

/* How many entries from @idx on, which can be read, are zero. */
static u64 table_zeros(const struct dump *d, struct table *t, u64 idx)
{
	u64 nr = 0, entry;

	while (idx + nr < t->nr && !table_entry(d, t, idx + nr, &entry) && !entry)
		nr++;
	return nr;
}

/* What is alike at the begin of all tables: a run of zeros, or a window that cannot be read. */
static u64 dump_run(struct dump *d, struct table *t, u64 idx, const char *name)
{
	struct json_object *obj;
	u64 entry, nr;
	int err;

	err = table_entry(d, t, idx, &entry);
	if (err) {
		nr = min(t->nr, t->first + WINDOW_ENTRIES) - idx;
		obj = new_record(idx, nr);
		note_unreadable(d, obj, name, err);
		dump_record(&d->out, obj);
		return nr;
	}
	nr = table_zeros(d, t, idx);
	if (nr) {
		obj = new_record(idx, nr);
		add_hex(obj, "entry", 0, 16);
		dump_record(&d->out, obj);
	}
	return nr;
}

static struct json_object *header_v1(const struct image *img)
{
	struct json_object *obj = json_object_new_object();
	struct qcow_v1_disk_header h;

	memcpy(&h, img->head, sizeof(h));
	add_hex(obj, "magic", be32_to_cpu(h.magic), 8);
	add_u64(obj, "version", be32_to_cpu(h.version));
	add_u64(obj, "backing_file_offset", be64_to_cpu(h.backing_offset));
	add_u64(obj, "backing_file_size", be32_to_cpu(h.backing_size));
	add_u64(obj, "mtime", be32_to_cpu(h.mtime));
	add_u64(obj, "size", be64_to_cpu(h.size));
	add_u64(obj, "cluster_bits", h.cluster_bits);
	add_u64(obj, "l2_bits", h.l2_bits);
	add_u64(obj, "padding", be16_to_cpu(h.padding));
	add_u64(obj, "crypt_method", be32_to_cpu(h.crypt_method));
	add_u64(obj, "l1_table_offset", be64_to_cpu(h.l1_offset));
	return obj;
}

static struct json_object *header_v2(const struct image *img)
{
	struct json_object *obj = json_object_new_object();
	struct qcow_disk_header h = { 0 };
	size_t end;

	memcpy(&h, img->head, min(sizeof(h), min_t(size_t, img->head_len, img->h.length)));
	add_hex(obj, "magic", be32_to_cpu(h.magic), 8);
	add_u64(obj, "version", be32_to_cpu(h.version));
	add_u64(obj, "backing_file_offset", be64_to_cpu(h.backing_offset));
	add_u64(obj, "backing_file_size", be32_to_cpu(h.backing_size));
	add_u64(obj, "cluster_bits", be32_to_cpu(h.cluster_bits));
	add_u64(obj, "size", be64_to_cpu(h.size));
	add_u64(obj, "crypt_method", be32_to_cpu(h.crypt_method));
	add_u64(obj, "l1_size", be32_to_cpu(h.l1_entries));
	add_u64(obj, "l1_table_offset", be64_to_cpu(h.l1_offset));
	add_u64(obj, "refcount_table_offset", be64_to_cpu(h.refcount_table_offset));
	add_u64(obj, "refcount_table_clusters", be32_to_cpu(h.refcount_table_clusters));
	add_u64(obj, "nb_snapshots", be32_to_cpu(h.nr_snapshots));
	add_u64(obj, "snapshots_offset", be64_to_cpu(h.snapshots_offset));
	if (img->h.version < 3)
		return obj;
	add_hex(obj, "incompatible_features", be64_to_cpu(h.incompatible_features), 16);
	add_hex(obj, "compatible_features", be64_to_cpu(h.compatible_features), 16);
	add_hex(obj, "autoclear_features", be64_to_cpu(h.autoclear_features), 16);
	add_u64(obj, "refcount_order", be32_to_cpu(h.refcount_order));
	add_u64(obj, "header_length", be32_to_cpu(h.header_length));
	if (img->h.length > QCOW_V3_HEADER_BYTES) {
		add_u64(obj, "compression_type", h.compression_type);
		add_bytes(obj, "padding", h.padding, sizeof(h.padding));
	}
	/* What comes after the fields that are known. */
	end = min_t(size_t, img->head_len, img->h.length);
	if (end > sizeof(h))
		add_bytes(obj, "unknown", img->head + sizeof(h), end - sizeof(h));
	return obj;
}

static const struct feature {
	const char *type;
	u8 number;
	u8 bit;
	const char *name;
} features[] = {
	{ "incompatible", QCOW_FEATURE_INCOMPATIBLE, 0, "dirty bit" },
	{ "incompatible", QCOW_FEATURE_INCOMPATIBLE, 1, "corrupt bit" },
	{ "incompatible", QCOW_FEATURE_INCOMPATIBLE, 2, "external data file" },
	{ "incompatible", QCOW_FEATURE_INCOMPATIBLE, 3, "compression type" },
	{ "incompatible", QCOW_FEATURE_INCOMPATIBLE, 4, "extended L2 entries" },
	{ "compatible", QCOW_FEATURE_COMPATIBLE, 0, "lazy refcounts" },
	{ "autoclear", QCOW_FEATURE_AUTOCLEAR, 0, "bitmaps" },
	{ "autoclear", QCOW_FEATURE_AUTOCLEAR, 1, "raw external data" },
};

/* The name that a bit has for us, or else in the image. */
static struct json_object *feature_name(const struct image *img, u8 number, u8 bit)
{
	char name[sizeof_field(struct qcow_disk_feature_name, name) + 1];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(features); i++)
		if (features[i].number == number && features[i].bit == bit)
			return json_object_new_string(features[i].name);
	qcow_ext_feature_name(&img->h, img->head, img->head_len, number, bit, name);
	if (!*name)
		return json_object_new_string("unknown");
	return info_string(name, strlen(name));
}

static const char *feature_type(u8 number)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(features); i++)
		if (features[i].number == number)
			return features[i].type;
	return "unknown";
}

static void dump_features(struct dump *d)
{
	const u64 bits[] = {
		[QCOW_FEATURE_INCOMPATIBLE] = d->img->h.incompatible,
		[QCOW_FEATURE_COMPATIBLE] = d->img->h.compatible,
		[QCOW_FEATURE_AUTOCLEAR] = d->img->h.autoclear,
	};
	struct json_object *obj;
	u8 number, bit;

	dump_title(&d->out, "features:");
	dump_open(&d->out, "features", "[");
	for (number = 0; number < ARRAY_SIZE(bits); number++) {
		for (bit = 0; bit < 64; bit++) {
			if (!(bits[number] & BIT_ULL(bit)))
				continue;
			obj = json_object_new_object();
			json_object_object_add(obj, "type",
					       json_object_new_string(feature_type(number)));
			add_u64(obj, "bit", bit);
			json_object_object_add(obj, "name", feature_name(d->img, number, bit));
			dump_record(&d->out, obj);
		}
	}
	dump_close(&d->out, "]");
}

static void add_feature_table(struct json_object *obj, const struct qcow_ext *ext)
{
	struct json_object *list = json_object_new_array(), *entry;
	struct qcow_disk_feature_name f;
	u32 at;

	for (at = 0; ext->len - at >= sizeof(f); at += sizeof(f)) {
		memcpy(&f, (const char *)ext->data + at, sizeof(f));
		entry = json_object_new_object();
		json_object_object_add(entry, "type",
				       json_object_new_string(feature_type(f.type)));
		add_u64(entry, "bit", f.bit);
		add_text(entry, "name", f.name, strnlen(f.name, sizeof(f.name)));
		json_object_array_add(list, entry);
	}
	json_object_object_add(obj, "features", list);
}

static void add_bitmaps(struct json_object *obj, const struct qcow_ext *ext)
{
	struct qcow_disk_bitmaps b = { 0 };

	memcpy(&b, ext->data, min_t(size_t, sizeof(b), ext->len));
	add_u64(obj, "nb_bitmaps", be32_to_cpu(b.nr));
	add_u64(obj, "reserved", be32_to_cpu(b.reserved));
	add_u64(obj, "bitmap_directory_size", be64_to_cpu(b.dir_bytes));
	add_u64(obj, "bitmap_directory_offset", be64_to_cpu(b.dir_offset));
}

static void add_crypto(struct json_object *obj, const struct qcow_ext *ext)
{
	const struct qcow_disk_crypto_header *disk = ext->data;

	add_u64(obj, "header_offset", be64_to_cpu(disk->host_offset));
	add_u64(obj, "header_length", be64_to_cpu(disk->bytes));
}

static const char *extension_name(u32 type)
{
	switch (type) {
	case QCOW_EXT_BACKING_FORMAT:
		return "backing format";
	case QCOW_EXT_DATA_FILE:
		return "external data file";
	case QCOW_EXT_FEATURE_NAMES:
		return "feature names";
	case QCOW_EXT_BITMAPS:
		return "bitmaps";
	case QCOW_EXT_CRYPTO_HEADER:
		return "LUKS header";
	default:
		return "unknown";
	}
}

static struct json_object *extension(const struct qcow_ext *ext)
{
	struct json_object *obj = json_object_new_object();

	add_hex(obj, "type", ext->type, 8);
	json_object_object_add(obj, "name", json_object_new_string(extension_name(ext->type)));
	add_u64(obj, "length", ext->len);
	switch (ext->type) {
	case QCOW_EXT_BACKING_FORMAT:
	case QCOW_EXT_DATA_FILE:
		add_text(obj, "data", ext->data, ext->len);
		break;
	case QCOW_EXT_FEATURE_NAMES:
		add_feature_table(obj, ext);
		break;
	case QCOW_EXT_BITMAPS:
		add_bitmaps(obj, ext);
		break;
	case QCOW_EXT_CRYPTO_HEADER:
		add_crypto(obj, ext);
		break;
	default:
		add_bytes(obj, "data", ext->data, ext->len);
	}
	return obj;
}

static void dump_extensions(struct dump *d)
{
	const struct image *img = d->img;
	struct qcow_ext ext;
	size_t pos = 0;

	dump_title(&d->out, "header extensions:");
	dump_open(&d->out, "extensions", "[");
	while (qcow_ext_next(&img->h, img->head, img->head_len, &pos, &ext, NULL) == 1)
		dump_record(&d->out, extension(&ext));
	dump_close(&d->out, "]");
}

static void dump_snapshots(struct dump *d)
{
	struct snapshots snaps;
	struct json_object *obj;
	u32 i;
	int err;

	dump_title(&d->out, "snapshot table at %#llx:", d->img->h.snapshots_offset);
	dump_open(&d->out, "snapshots", "[");
	err = snapshots_read(d->img, &snaps);
	for (i = 0; i < snaps.nr; i++) {
		const struct snapshot *s = &snaps.list[i];

		obj = new_record(i, 1);
		add_text(obj, "id", s->id, strlen(s->id));
		add_text(obj, "name", s->name, strlen(s->name));
		add_u64(obj, "l1_table_offset", s->s.l1_offset);
		add_u64(obj, "l1_size", s->s.l1_entries);
		add_u64(obj, "disk_size", s->s.disk_bytes);
		add_u64(obj, "vm_state_size", s->s.vm_state_bytes);
		add_u64(obj, "date_sec", s->s.date_sec);
		add_u64(obj, "date_nsec", s->s.date_nsec);
		add_u64(obj, "vm_clock_nsec", s->s.vm_clock_nsec);
		if (s->s.icount != U64_MAX)
			add_u64(obj, "icount", s->s.icount);
		dump_record(&d->out, obj);
	}
	snapshots_free(&snaps);
	dump_close(&d->out, "]");
	if (!d->err)
		d->err = err;
}

/* All entries of an L1 table or the refcount table; @add: what one that is not zero says. */
static void dump_table(struct dump *d, struct table *t, const char *what, const char *key,
		       void (*add)(struct dump *d, struct json_object *obj, u64 idx, u64 entry))
{
	struct json_object *obj;
	u64 idx, nr, entry;

	dump_open(&d->out, key, "[");
	for (idx = 0; idx < t->nr && !ferror(stdout); idx += nr) {
		nr = dump_run(d, t, idx, what);
		if (nr)
			continue;
		nr = 1;
		table_entry(d, t, idx, &entry);
		obj = new_record(idx, 1);
		add_hex(obj, "entry", entry, 16);
		add(d, obj, idx, entry);
		dump_record(&d->out, obj);
	}
	dump_close(&d->out, "]");
}

static void add_l1_entry(struct dump *d, struct json_object *obj, u64 idx, u64 entry)
{
	struct qcow_flaw flaw;
	char where[48];
	u64 host;

	add_u64(obj, "l2_offset", entry & d->g.l1_offset_mask);
	add_flag(obj, "copied", entry & d->g.copied);
	snprintf(where, sizeof(where), "L1 entry %llu: 0x%llx", idx, entry);
	if (qcow_l1_decode(&d->g, entry, &host, &flaw))
		note_flaw(d, obj, where, &flaw);
}

static void dump_l1(struct dump *d, struct table *t)
{
	dump_title(&d->out, "L1 table at %#llx, %llu entries:", t->host_offset, t->nr);
	dump_table(d, t, "L1 table", "l1_table", add_l1_entry);
}

static const char *const kinds[] = {
	[QCOW_EXTENT_HOLE] = "hole",
	[QCOW_EXTENT_ZERO] = "zero",
	[QCOW_EXTENT_DATA] = "data",
	[QCOW_EXTENT_COMPRESSED] = "compressed",
};

static void add_mapping(const struct dump *d, struct json_object *obj, u64 entry,
			const struct qcow_extent *e)
{
	bool whole = e->len == qcow_cluster_bytes(&d->g);

	json_object_object_add(obj, "kind", json_object_new_string(whole ? kinds[e->kind] :
								   "mixed"));
	if (e->allocated)
		add_u64(obj, "host_offset", e->host);
	if (e->kind == QCOW_EXTENT_COMPRESSED) {
		add_u64(obj, "compressed_size", e->compressed_len);
		return;
	}
	add_flag(obj, "copied", entry & d->g.copied);
}

/* @entries: a slice; @idx: in it; @guest: first byte of the cluster. */
static struct json_object *l2_record(struct dump *d, const __be64 *entries, u32 idx, u64 guest)
{
	u64 entry = be64_to_cpu(entries[d->g.extended_l2 ? 2 * idx : idx]);
	u64 bitmap = d->g.extended_l2 ? be64_to_cpu(entries[2 * idx + 1]) : 0;
	u32 l2_idx = (guest >> d->g.cluster_bits) & (BIT_ULL(d->g.l2_bits) - 1);
	struct json_object *obj = new_record(l2_idx, 1);
	struct qcow_extent e;
	struct qcow_flaw flaw;
	char where[64];

	add_u64(obj, "guest_offset", guest);
	add_hex(obj, "entry", entry, 16);
	if (d->g.extended_l2) {
		add_hex(obj, "allocated_subclusters", (u32)bitmap, 8);
		add_hex(obj, "zero_subclusters", bitmap >> 32, 8);
	}
	snprintf(where, sizeof(where), "guest offset %llu: L2 entry 0x%llx", guest, entry);
	/* One cluster and no more: what follows has a record of its own. */
	if (qcow_l2_map(&d->g, entries, (u64)idx << d->g.cluster_bits,
			qcow_cluster_bytes(&d->g), &e, &flaw))
		note_flaw(d, obj, where, &flaw);
	else
		add_mapping(d, obj, entry, &e);
	return obj;
}

/**
 * struct zero_run - entries of one table that are zero and have not been told
 * @first: index of the first one
 * @nr: how many
 */
struct zero_run {
	u64 first;
	u64 nr;
};

static void end_run(struct dump *d, struct zero_run *run)
{
	struct json_object *obj;

	if (!run->nr)
		return;
	obj = new_record(run->first, run->nr);
	add_hex(obj, "entry", 0, 16);
	dump_record(&d->out, obj);
	run->nr = 0;
}

static bool is_zero_entry(const struct qcow_geometry *g, const __be64 *entries, u32 idx)
{
	if (g->extended_l2)
		return !entries[2 * idx] && !entries[2 * idx + 1];
	return !entries[idx];
}

static void dump_slice(struct dump *d, const __be64 *entries, u64 slice_idx, struct zero_run *run)
{
	u64 guest = qcow_slice_guest(&d->g, slice_idx);
	u32 l2_mask = BIT_ULL(d->g.l2_bits) - 1;
	u32 idx;

	for (idx = 0; idx < 1U << d->g.slice_bits; idx++, guest += qcow_cluster_bytes(&d->g)) {
		if (is_zero_entry(&d->g, entries, idx)) {
			if (!run->nr)
				run->first = (guest >> d->g.cluster_bits) & l2_mask;
			run->nr++;
			continue;
		}
		end_run(d, run);
		dump_record(&d->out, l2_record(d, entries, idx, guest));
	}
}

/* A slice that cannot be read is one record. */
static void dump_bad_slice(struct dump *d, u64 slice_idx, int err)
{
	u64 first = slice_idx << d->g.slice_bits & (BIT_ULL(d->g.l2_bits) - 1);
	struct json_object *obj = new_record(first, BIT_ULL(d->g.slice_bits));
	char where[64];

	snprintf(where, sizeof(where), "guest offset %llu: L2 table",
		 qcow_slice_guest(&d->g, slice_idx));
	note_unreadable(d, obj, where, err);
	dump_record(&d->out, obj);
}

/* An object for a table or block, with the list of its entries. @key: where the entry is for it. */
static void dump_open_entries(struct dump *d, const char *key, u64 idx, u64 host)
{
	struct json_object *obj = json_object_new_object();

	dump_open(&d->out, NULL, "{");
	if (d->out.json) {
		add_u64(obj, key, idx);
		add_u64(obj, "offset", host);
	}
	dump_fields(&d->out, NULL, obj);
	dump_open(&d->out, "entries", "[");
}

static void dump_l2(struct dump *d, u64 l1_idx, u64 host, void *slice)
{
	u32 slices = 1U << (d->g.l2_bits - d->g.slice_bits);
	struct zero_run run = { 0 };
	u32 i;
	int err;

	dump_title(&d->out, "L2 table at %#llx, of L1 entry %llu:", host, l1_idx);
	dump_open_entries(d, "l1_index", l1_idx, host);
	for (i = 0; i < slices && !ferror(stdout); i++) {
		u64 slice_idx = l1_idx * slices + i;

		err = image_pread_padded(d->img, slice, qcow_slice_bytes(&d->g),
					 host + qcow_slice_in_table(&d->g, slice_idx));
		if (!err) {
			dump_slice(d, slice, slice_idx, &run);
			continue;
		}
		end_run(d, &run);
		dump_bad_slice(d, slice_idx, err);
	}
	end_run(d, &run);
	dump_close(&d->out, "]");
	dump_close(&d->out, "}");
}

static void dump_l2_tables(struct dump *d, struct table *t)
{
	void *slice = qc_alloc(qcow_slice_bytes(&d->g));
	struct qcow_flaw flaw;
	u64 idx, entry, host;

	dump_open(&d->out, "l2_tables", "[");
	for (idx = 0; idx < t->nr && !ferror(stdout); idx++) {
		/* What is wrong with the entry has been told. */
		if (!table_entry(d, t, idx, &entry) &&
		    !qcow_l1_decode(&d->g, entry, &host, &flaw) && host)
			dump_l2(d, idx, host, slice);
	}
	dump_close(&d->out, "]");
	free(slice);
}

static void add_refcount_entry(struct dump *d, struct json_object *obj, u64 idx, u64 entry)
{
	struct qcow_flaw flaw;
	char where[64];
	u64 block;

	add_u64(obj, "block_offset", entry & QCOW_REFCOUNT_TABLE_OFFSET);
	snprintf(where, sizeof(where), "refcount table entry %llu: 0x%llx", idx, entry);
	if (qcow_refcount_table_decode(d->img->h.cluster_bits, S64_MAX, entry, &block, &flaw))
		note_flaw(d, obj, where, &flaw);
}

static void dump_refcount_table(struct dump *d, struct table *t)
{
	dump_title(&d->out, "refcount table at %#llx, %llu entries:", t->host_offset, t->nr);
	dump_table(d, t, "refcount table", "refcount_table", add_refcount_entry);
}

/* Neighbours with the same count are one record. */
static void dump_counts(struct dump *d, u64 table_idx, const void *block)
{
	u32 order = d->img->h.refcount_order, cluster_bits = d->img->h.cluster_bits;
	u32 bits = qcow_refcount_block_bits(cluster_bits, order);
	struct json_object *obj;
	u64 idx, nr, count, cluster;

	for (idx = 0; idx < BIT_ULL(bits) && !ferror(stdout); idx += nr) {
		count = qcow_refcount_get(block, order, idx);
		for (nr = 1; idx + nr < BIT_ULL(bits); nr++)
			if (qcow_refcount_get(block, order, idx + nr) != count)
				break;
		obj = new_record(idx, nr);
		cluster = (table_idx << bits) + idx;
		if (cluster <= U64_MAX >> cluster_bits)
			add_u64(obj, "host_offset", cluster << cluster_bits);
		add_u64(obj, "refcount", count);
		dump_record(&d->out, obj);
	}
}

static void dump_refcount_blocks(struct dump *d, struct table *t)
{
	size_t bytes = (size_t)1 << d->img->h.cluster_bits;
	void *block = qc_alloc(bytes);
	struct json_object *obj;
	struct qcow_flaw flaw;
	u64 idx, entry, host;
	char where[64];
	int err;

	dump_open(&d->out, "refcount_blocks", "[");
	for (idx = 0; idx < t->nr && !ferror(stdout); idx++) {
		if (table_entry(d, t, idx, &entry) ||
		    qcow_refcount_table_decode(d->img->h.cluster_bits, S64_MAX, entry, &host,
					       &flaw) || !host)
			continue;
		dump_title(&d->out, "refcount block at %#llx, of table entry %llu:", host, idx);
		dump_open_entries(d, "table_index", idx, host);
		err = image_pread_padded(d->img, block, bytes, host);
		if (err) {
			obj = json_object_new_object();
			snprintf(where, sizeof(where), "refcount block at 0x%llx", host);
			note_unreadable(d, obj, where, err);
			dump_record(&d->out, obj);
		} else {
			dump_counts(d, idx, block);
		}
		dump_close(&d->out, "]");
		dump_close(&d->out, "}");
	}
	dump_close(&d->out, "]");
	free(block);
}

static void dump_names(struct dump *d)
{
	struct json_object *obj = json_object_new_object();

	add_text(obj, "filename", d->img->name, strlen(d->img->name));
	add_u64(obj, "file_length", d->img->bytes);
	if (d->img->backing)
		add_text(obj, "backing_file", d->img->backing, strlen(d->img->backing));
	dump_fields(&d->out, NULL, obj);
}

int dump_image(const struct image *img, bool json)
{
	struct dump d = { .img = img, .out = { .json = json } };
	const struct qcow_header *h = &img->h;
	bool v1 = h->version == 1;
	struct table *l1, *counts;

	qcow_header_geometry(h, S64_MAX, &d.g);
	dump_open(&d.out, NULL, "{");
	dump_title(&d.out, "image:");
	dump_names(&d);
	dump_title(&d.out, "header:");
	dump_fields(&d.out, "header", v1 ? header_v1(img) : header_v2(img));
	if (!v1) {
		dump_features(&d);
		dump_extensions(&d);
		dump_snapshots(&d);
	}
	l1 = table_open(h->l1_offset, h->l1_entries);
	dump_l1(&d, l1);
	dump_l2_tables(&d, l1);
	free(l1);
	if (!v1) {
		counts = table_open(h->refcount_table_offset, (u64)h->refcount_table_clusters <<
				    (h->cluster_bits - 3));
		dump_refcount_table(&d, counts);
		dump_refcount_blocks(&d, counts);
		free(counts);
	}
	dump_close(&d.out, "}");
	if (d.damaged > MAX_MESSAGES)
		qc_fail(0, img->name, "%llu more damaged entries", d.damaged - MAX_MESSAGES);
	return !d.err && img->backing_lost ? QC_BAD_IMAGE : d.err;
}
