// SPDX-License-Identifier: GPL-2.0
/*
 * Opening a layer: header, snapshot, L1 table. What is wrong with an image is said here or
 * by the pure format code, but not whether one layer fits on another.
 */

#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/ratelimit.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "layer/codec.h"
#include "format/format.h"
#include "layer/cache.h"
#include "layer/crypt.h"
#include "layer/image.h"
#include "layer/luks_key.h"
#include "store/store.h"

/* One read: a task that is being killed does not wait for more. */
#define READ_BYTES		SZ_1M

/* The snapshot table is read in pieces, the first this long, each as long as all before. */
#define SNAPSHOT_FIRST_BYTES	SZ_64K

static int image_read_pieces(struct qcow_image *image, void *buf, u64 host, size_t len,
			     int (*read)(struct qcow_store *store, void *buf, u64 pos, size_t len))
{
	size_t pos, part;
	int err = 0;

	for (pos = 0; pos < len && !err; pos += part) {
		part = min_t(size_t, len - pos, READ_BYTES);
		err = qcow_image_go_on() ?: read(image->store, buf + pos, host + pos, part);
	}
	return err;
}

static int image_read(struct qcow_image *image, const char *what, void *buf, u64 host,
		      size_t len, struct qcow_report *rep)
{
	int err = image_read_pieces(image, buf, host, len, qcow_store_read);

	if (err == -ENODATA) {
		qcow_report(rep, "%s at %llu: reaches beyond the end of the file at %llu", what,
			    host, image->store->bytes);
		return -EINVAL;
	}
	if (err)
		qcow_report(rep, "%s at %llu: cannot be read: error %d", what, host, err);
	return err;
}

/* Read what qcow_header_parse() wants to see; a kvfree()able buffer in @result. */
static int image_read_header(struct qcow_image *image, void **result, size_t *result_len,
			     struct qcow_report *rep)
{
	size_t len = min_t(u64, QCOW_PROBE_BYTES, image->store->bytes);
	size_t probed = len;
	void *buf = kvmalloc(QCOW_PROBE_BYTES, GFP_KERNEL);
	int err;

	if (!buf)
		return -ENOMEM;
	err = len ? image_read(image, "header", buf, 0, len, rep) : 0;
	if (err)
		goto free_buf;

	len = min_t(u64, qcow_header_span(buf, len), image->store->bytes);
	if (len > probed) {
		kvfree(buf);
		buf = kvmalloc(len, GFP_KERNEL);
		if (!buf)
			return -ENOMEM;
		err = image_read(image, "header", buf, 0, len, rep);
		if (err)
			goto free_buf;
	}
	*result = buf;
	*result_len = len;
	return 0;

free_buf:
	kvfree(buf);
	return err;
}

static int image_digest(struct qcow_image *image, const void *head, size_t head_len,
			struct qcow_report *rep)
{
	size_t len = image->header.backing_offset ? image->header.backing_len : 0;
	void *name = NULL;
	int err = 0;

	if (len) {
		name = kmalloc(len, GFP_KERNEL);
		if (!name)
			return -ENOMEM;
		err = qcow_store_read_padded(image->store, name, image->header.backing_offset,
					     len);
		if (err)
			qcow_report(rep, "backing file name at %llu: cannot be read: error %d",
				    image->header.backing_offset, err);
	}
	if (!err)
		image->digest = qcow_header_digest(head, head_len, name, len);
	kfree(name);
	return err;
}

int qcow_image_renew_digest(struct qcow_image *image, struct qcow_report *rep)
{
	size_t len;
	void *buf;
	int err;

	err = image_read_header(image, &buf, &len, rep);
	if (err)
		return err;
	err = image_digest(image, buf, len, rep);
	kvfree(buf);
	return err;
}

int qcow_image_check_digest(const struct qcow_image *image, u64 digest, struct qcow_report *rep)
{
	if (!digest || digest == image->digest)
		return 0;
	qcow_report(rep,
		    "header: it has changed since it was read to find the backing files");
	return -ESTALE;
}

/*
 * Where tables have to end. Of an image that is only read, what its file does not hold of a table
 * reads as zeros, and counts do not matter.
 */
static u64 image_end(const struct qcow_image *image, bool writable)
{
	return writable ? image->store->bytes : S64_MAX;
}

static int image_parse_header(struct qcow_image *image, bool writable, struct qcow_report *rep)
{
	u64 file_bytes = image_end(image, writable);
	size_t len;
	void *buf;
	int err;

	err = image_read_header(image, &buf, &len, rep);
	if (err)
		return err;
	err = qcow_header_parse(&image->header, buf, len, file_bytes, rep);
	if (!err && image->header.crypt_method == QCOW_CRYPT_LUKS)
		err = qcow_luks_find(&image->header, buf, len, file_bytes, &image->luks, rep);
	if (!err)
		err = image_digest(image, buf, len, rep);
	kvfree(buf);
	if (err)
		return err;
	qcow_header_geometry(&image->header, file_bytes, &image->geo);
	image->size = image->geo.size;
	image->l2.slice_bytes = qcow_slice_bytes(&image->geo);
	return 0;
}

static struct qcow_crypt *open_luks(struct qcow_image *image, const struct qcow_volume_key *key,
				    struct qcow_report *rep)
{
	struct qcow_disk_luks *disk = kmalloc(sizeof(*disk), GFP_KERNEL);
	struct qcow_crypt *crypt;
	struct qcow_luks luks;
	int err;

	if (!disk)
		return ERR_PTR(-ENOMEM);
	err = image_read(image, "LUKS header", disk, image->luks.host_offset, sizeof(*disk), rep);
	if (!err)
		err = qcow_luks_parse(&luks, disk, image->luks.bytes, rep);
	kfree(disk);
	if (err)
		return ERR_PTR(err);
	crypt = qcow_crypt_open_luks(&luks, key, rep);
	if (IS_ERR(crypt))
		return crypt;
	err = qcow_luks_check_key(&luks, key, rep);
	if (err) {
		qcow_crypt_close(crypt);
		return ERR_PTR(err);
	}
	return crypt;
}

static int image_open_crypt(struct qcow_image *image, const struct qcow_volume_key *key,
			    struct qcow_report *rep)
{
	u32 method = image->header.crypt_method;
	struct qcow_crypt *crypt;

	if (method == QCOW_CRYPT_NONE)
		return qcow_image_check_key(image, key, rep);
	if (!key) {
		qcow_report(rep,
			    "crypt_method %u (%s): the image is encrypted, and no key was given",
			    method, method == QCOW_CRYPT_AES ? "AES" : "LUKS");
		return -ENOKEY;
	}
	crypt = method == QCOW_CRYPT_AES ? qcow_crypt_open_aes(key, rep) :
					   open_luks(image, key, rep);
	if (IS_ERR(crypt))
		return PTR_ERR(crypt);
	image->crypt = crypt;
	return 0;
}

int qcow_image_check_key(const struct qcow_image *image, const struct qcow_volume_key *key,
			 struct qcow_report *rep)
{
	if (!key)
		return 0;
	if (!image->crypt) {
		qcow_report(rep, "a key was given, and the image is not encrypted");
		return -EINVAL;
	}
	if (qcow_crypt_has_key(image->crypt, key))
		return 0;
	qcow_report(rep, "another device has opened the image with another key");
	return -EKEYREJECTED;
}

const struct qcow_volume_key *qcow_image_key(const struct qcow_image *image)
{
	return image->crypt ? &image->crypt->key : NULL;
}

/* What only the compression method of a version 3 image tells; zlib may never be needed. */
static int check_compression(const struct qcow_image *image, struct qcow_report *rep)
{
	const struct qcow_codec *codec = qcow_codec_get(image->header.compression_type);

	if (!codec->missing || !(image->header.incompatible & QCOW_INCOMPAT_COMPRESSION))
		return 0;
	qcow_report(rep, "compression_type %u (%s): this kernel is without %s",
		    image->header.compression_type, codec->name, codec->missing);
	return -EOPNOTSUPP;
}

static int check_data_file(const struct qcow_image *image, bool have_data,
			   struct qcow_report *rep)
{
	bool wants_data = image->header.incompatible & QCOW_INCOMPAT_DATA_FILE;

	if (wants_data == have_data)
		return 0;
	if (wants_data)
		qcow_report(rep,
			    "incompatible_features 0x%llx: the image needs its external data file, and none was given",
			    image->header.incompatible);
	else
		qcow_report(rep,
			    "incompatible_features 0x%llx: an external data file was given, and the image has none",
			    image->header.incompatible);
	return -EINVAL;
}

static int check_writable(const struct qcow_image *image, const struct qcow_image_params *p,
			  struct qcow_report *rep)
{
	u64 incompatible = image->header.incompatible;

	if (!p->writable)
		return 0;
	if (p->snapshot != QCOW_ACTIVE_STATE) {
		qcow_report(rep, "snapshot %u: can only be attached read-only", p->snapshot);
		return -EINVAL;
	}
	if (incompatible & QCOW_INCOMPAT_CORRUPT) {
		qcow_report(rep, "incompatible_features 0x%llx: the image is marked corrupt",
			    incompatible);
		return -EUCLEAN;
	}
	if (incompatible & QCOW_INCOMPAT_DIRTY) {
		qcow_report(rep, "incompatible_features 0x%llx: the image is marked dirty",
			    incompatible);
		return -EUCLEAN;
	}
	return 0;
}

/**
 * struct snapshot_table - as much of the snapshot table as has been read
 * @buf: kvfree()able
 * @len: bytes at @buf
 */
struct snapshot_table {
	void *buf;
	size_t len;
};

/* Read as much again; -EUCLEAN when there is no more. */
static int image_grow_snapshot_table(struct qcow_image *image, struct snapshot_table *t,
				     struct qcow_report *rep)
{
	u64 host = image->header.snapshots_offset;
	u64 limit = image->store->bytes - min(host, image->store->bytes);
	size_t len = min3((u64)max_t(size_t, 2 * t->len, SNAPSHOT_FIRST_BYTES), limit,
			  (u64)QCOW_MAX_SNAPSHOT_TABLE_BYTES);
	void *buf;
	int err;

	if (len <= t->len) {
		qcow_report(rep, "snapshots_offset %llu: the table does not end in %zu bytes",
			    host, t->len);
		return -EUCLEAN;
	}
	buf = kvmalloc(len, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return -ENOMEM;
	if (t->len)
		memcpy(buf, t->buf, t->len);
	err = image_read(image, "snapshot table", buf + t->len, host + t->len, len - t->len,
			 rep);
	if (err) {
		kvfree(buf);
		return err;
	}
	kvfree(t->buf);
	t->buf = buf;
	t->len = len;
	return 0;
}

int qcow_image_walk_snapshots(struct qcow_image *image,
			      int (*func)(const struct qcow_snapshot *snap, u32 position,
					  void *data),
			      void *data, u64 *bytes, struct qcow_report *rep)
{
	struct snapshot_table t = {};
	struct qcow_snapshot snap;
	size_t pos = 0;
	u32 idx = 0;
	int err;

	do {
		err = qcow_image_go_on();
		if (err)
			break;
		err = qcow_snapshot_next(&image->header, image_end(image, image->store->writable),
					 t.buf, t.len, &pos, &idx, &snap, rep);
		if (err == -EAGAIN)
			err = image_grow_snapshot_table(image, &t, rep) ?: -EAGAIN;
		else if (err == 1)
			err = func(&snap, idx - 1, data) ?: -EAGAIN;
	} while (err == -EAGAIN);

	kvfree(t.buf);
	*bytes = pos;
	return err;
}

/**
 * struct wanted_snapshot - a snapshot that is to be found
 * @image: gets its id and its name
 * @position: in the table
 * @snap: result, without texts
 */
struct wanted_snapshot {
	struct qcow_image *image;
	u32 position;
	struct qcow_snapshot snap;
};

static int match_snapshot(const struct qcow_snapshot *snap, u32 position, void *data)
{
	struct wanted_snapshot *wanted = data;
	struct qcow_image *image = wanted->image;

	if (position != wanted->position)
		return 0;
	wanted->snap = *snap;
	image->snapshot_id = kmemdup_nul(snap->id, snap->id_len, GFP_KERNEL_ACCOUNT);
	image->snapshot_id_len = snap->id_len;
	image->snapshot_name = kmemdup_nul(snap->name, snap->name_len, GFP_KERNEL_ACCOUNT);
	return image->snapshot_id && image->snapshot_name ? 1 : -ENOMEM;
}

static int image_find_snapshot(struct qcow_image *image, u32 position, struct qcow_snapshot *snap,
			       struct qcow_report *rep)
{
	struct wanted_snapshot wanted = { .image = image, .position = position };
	u64 bytes;
	int err;

	err = qcow_image_walk_snapshots(image, match_snapshot, &wanted, &bytes, rep);
	if (!err) {
		qcow_report(rep, "snapshot %u: the image has %u", position,
			    image->header.nr_snapshots);
		return -EINVAL;
	}
	*snap = wanted.snap;
	return min(err, 0);
}

/* Which L1 table, and the size that goes with it. */
static int image_select_state(struct qcow_image *image, u32 snapshot, u64 *l1_offset,
			      u32 *l1_entries, struct qcow_report *rep)
{
	struct qcow_snapshot snap;
	int err;

	*l1_offset = image->header.l1_offset;
	*l1_entries = image->header.l1_entries;
	if (snapshot == QCOW_ACTIVE_STATE)
		return 0;

	err = image_find_snapshot(image, snapshot, &snap, rep);
	if (err)
		return err;
	*l1_offset = snap.l1_offset;
	*l1_entries = snap.l1_entries;
	image->size = round_down(snap.disk_bytes, SECTOR_SIZE);
	image->geo.size = image->size;
	return 0;
}

int qcow_image_check_l1_bytes(const struct qcow_image *image, u32 entries,
			      struct qcow_report *rep)
{
	return qcow_image_check_chain_l1(image->l1_bytes + (u64)entries * sizeof(*image->l1) -
					 (u64)image->l1_entries * sizeof(*image->l1), rep);
}

int qcow_image_check_chain_l1(u64 bytes, struct qcow_report *rep)
{
	if (bytes <= QCOW_MAX_CHAIN_L1_BYTES)
		return 0;
	qcow_report(rep,
		    "L1 tables of this layer and those below have %llu bytes, at most %llu are supported",
		    bytes, QCOW_MAX_CHAIN_L1_BYTES);
	return -EFBIG;
}

/* As much as the size needs; an image that is written to gets the rest of that, too. */
static int image_read_l1(struct qcow_image *image, bool writable, u64 l1_offset, u32 l1_entries,
			 struct qcow_report *rep)
{
	u32 entries = min_t(u64, l1_entries, qcow_l1_needed(&image->geo));
	u32 there = entries;
	int err;

	if (writable) {
		err = qcow_header_check_size(&image->header, image->size, &entries, rep);
		if (err)
			return err;
	}
	if (!entries)
		return 0;
	err = qcow_image_check_l1_bytes(image, entries, rep);
	if (err)
		return err;
	image->l1_bytes += (u64)entries * sizeof(*image->l1);
	image->l1 = kvcalloc(entries, sizeof(*image->l1), GFP_KERNEL_ACCOUNT);
	if (!image->l1)
		return -ENOMEM;
	image->l1_entries = entries;
	err = image_read_pieces(image, image->l1, l1_offset, there * sizeof(*image->l1),
				qcow_store_read_padded);
	if (err)
		qcow_report(rep, "L1 table at %llu: cannot be read: error %d", l1_offset, err);
	return err;
}

static int image_open_raw(struct qcow_image *image, const struct qcow_image_params *p,
			  bool have_data, struct qcow_report *rep)
{
	int err = qcow_image_check_key(image, p->key, rep);

	if (err)
		return err;
	if (have_data) {
		qcow_report(rep, "a raw image has no external data file");
		return -EINVAL;
	}
	if (p->snapshot != QCOW_ACTIVE_STATE) {
		qcow_report(rep, "a raw image has no snapshots");
		return -EINVAL;
	}
	image->size = round_up(image->store->bytes, SECTOR_SIZE);
	return 0;
}

static int image_open_qcow(struct qcow_image *image, const struct qcow_image_params *p,
			   bool have_data, struct qcow_report *rep)
{
	u32 l1_entries;
	u64 l1_offset;
	int err;

	err = image_parse_header(image, p->writable, rep);
	if (err)
		return err;
	err = qcow_image_check_digest(image, p->digest, rep);
	if (err)
		return err;
	err = image_open_crypt(image, p->key, rep);
	if (err)
		return err;
	err = check_compression(image, rep);
	if (err)
		return err;
	err = check_data_file(image, have_data, rep);
	if (err)
		return err;
	err = check_writable(image, p, rep);
	if (err)
		return err;
	err = image_select_state(image, p->snapshot, &l1_offset, &l1_entries, rep);
	if (err)
		return err;
	return image_read_l1(image, p->writable, l1_offset, l1_entries, rep);
}

static int image_locate_slice(const struct qcow_tables *tables, u64 idx, u64 *host)
{
	const struct qcow_image *image = container_of(tables, struct qcow_image, l2);
	u64 l1_idx = qcow_slice_l1_idx(&image->geo, idx);
	struct qcow_flaw flaw;
	u64 entry, table;
	bool there;

	rcu_read_lock();
	there = qcow_image_l1_entry(image, l1_idx, &entry);
	rcu_read_unlock();
	if (!there)
		return -ENODATA;
	/* The thread that maps through the entry logs its flaw. */
	if (qcow_l1_decode(&image->geo, entry, &table, &flaw))
		return -EUCLEAN;
	if (!table)
		return -ENODATA;
	*host = table + qcow_slice_in_table(&image->geo, idx);
	return 0;
}

/* An image without content yet, but with all that qcow_image_close() gives back. */
static struct qcow_image *image_create(const struct qcow_image_params *p)
{
	struct qcow_image *image = kzalloc(sizeof(*image), GFP_KERNEL);

	if (!image)
		return NULL;
	image->name = kstrdup(p->name, GFP_KERNEL);
	if (!image->name)
		goto free_image;
	image->cache = qcow_cache_create(&qcow_slice_ops, NULL, p->cache_bytes, "qcow-slices");
	if (!image->cache)
		goto free_name;
	image->raw = p->raw;
	image->l1_bytes = p->l1_bytes_below;
	ratelimit_state_init(&image->messages, DEFAULT_RATELIMIT_INTERVAL,
			     DEFAULT_RATELIMIT_BURST);
	mutex_init(&image->clusters_lock);
	xa_init(&image->cluster_index);
	qcow_readahead_init(&image->readahead);
	return image;

free_name:
	kfree(image->name);
free_image:
	kfree(image);
	return NULL;
}

struct qcow_image *qcow_image_open(const struct qcow_image_params *p, struct qcow_store *store,
				   struct qcow_store *data, struct qcow_report *rep)
{
	struct qcow_image *image = image_create(p);
	int err;

	if (!image) {
		if (data)
			qcow_store_destroy(data);
		qcow_store_destroy(store);
		return ERR_PTR(-ENOMEM);
	}
	image->store = store;
	image->data = data ?: store;
	/* Every guest byte has its place in a data file, so it is as long as the guest reaches. */
	if (data)
		data->sparse = true;
	qcow_tables_init(&image->l2, store, QCOW_SLICE_BYTES, image_locate_slice);

	if (p->raw)
		err = image_open_raw(image, p, data, rep);
	else
		err = image_open_qcow(image, p, data, rep);
	if (err) {
		qcow_image_close(image);
		return ERR_PTR(err);
	}
	return image;
}

void qcow_image_replace_stores(struct qcow_image *image, struct qcow_store *store,
			       struct qcow_store *data, struct qcow_store **old_store,
			       struct qcow_store **old_data)
{
	*old_store = image->store;
	*old_data = image->data != image->store ? image->data : NULL;
	/* The files have changed since these were opened. */
	WRITE_ONCE(store->bytes, image->store->bytes);
	if (data)
		WRITE_ONCE(data->bytes, image->data->bytes);
	image->store = store;
	image->data = data ?: store;
	image->l2.store = store;
}

void qcow_image_attached(struct qcow_image *image, dev_t devt)
{
	image->devt = devt;
	qcow_store_attached(image->store);
	if (image->data != image->store)
		qcow_store_attached(image->data);
}

void qcow_image_close(struct qcow_image *image)
{
	qcow_readahead_stop(&image->readahead);
	qcow_cache_drop(image->cache, &image->l2);
	qcow_cache_destroy(image->cache);
	if (image->clusters) {
		qcow_cache_clear(image->clusters, &image->cluster_index);
		qcow_cache_destroy(image->clusters);
	}
	qcow_crypt_close(image->crypt);
	kvfree(image->l1);
	kfree(image->snapshot_name);
	kfree(image->snapshot_id);
	if (image->data != image->store)
		qcow_store_destroy(image->data);
	qcow_store_destroy(image->store);
	kfree(image->name);
	kfree(image);
}
