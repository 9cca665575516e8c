/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One layer of a chain in memory: its validated header and L1 table, or the knowledge that
 * it is raw, and the caches of what has been read of it.
 */
#ifndef _QCOW_IMAGE_H
#define _QCOW_IMAGE_H

#include <linux/mutex.h>
#include <linux/ratelimit_types.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <qcow/header.h>
#include <qcow/l2.h>
#include <qcow/luks.h>

#include "layer/readahead.h"
#include "layer/cache.h"

struct qcow_crypt;
struct qcow_inflight;
struct qcow_report;
struct qcow_shared;
struct qcow_store;
struct qcow_volume_key;

/* L1 tables of a chain in memory: two of the longest that version 1 has, sixteen of version 2. */
#define QCOW_MAX_CHAIN_L1_BYTES	((u64)SZ_512M)

/**
 * struct qcow_image - one layer; immutable after open but for its caches and, in the active
 * image of a writable device, what changes as the file grows, and with the size @size, @l1,
 * @l1_entries
 * @name: begins every message: the device of a writable image, the path of a read-only one
 * @messages: rate limit of messages on the I/O path
 * @raw: no format: guest offset is host offset
 * @size: guest bytes, a multiple of 512; beyond it the layer reads as zeros
 * @header: not for raw
 * @digest: of the header, as it was read; 0: raw
 * @geo: not for raw
 * @store: metadata, and data unless @data is another; owned
 * @data: data clusters: @store, or the external data file; owned
 * @luks: of an image encrypted with LUKS, else without bytes
 * @crypt: what all data are encrypted with but compressed ones, or NULL; owned
 * @snapshot_id: of the snapshot, with a NUL behind it; or NULL: the active state
 * @snapshot_id_len: bytes of it
 * @snapshot_name: likewise
 * @l1: L1 table of the active state or of the snapshot, big endian as on disk; readers other than
 *      the metadata worker use qcow_image_l1_entry()
 * @l1_entries: that @l1 has; what lies beyond is not allocated
 * @l1_bytes: of @l1 and of those of the layers below, at most QCOW_MAX_CHAIN_L1_BYTES
 * @cache: of slices of all tables of this image; owned
 * @l2: slices of its L2 tables
 * @clusters: of decompressed clusters, or NULL: none has been read yet; owned
 * @cluster_index: those, by host offset
 * @clusters_lock: making @clusters
 * @readahead: of slices, into @l2
 * @inflight: I/O of the device, of the active image of a writable one; or NULL
 * @devt: the disk that it is written to through, or has been, for tracing
 * @backing: the next layer, or NULL
 * @next_below_bytes: size of the layer that is to be the next one, while it is made so; or 0
 * @shared: what counts the devices that use the layer; layer.c's
 */
struct qcow_image {
	char *name;
	struct ratelimit_state messages;
	bool raw;
	u64 size;
	struct qcow_header header;
	u64 digest;
	struct qcow_geometry geo;
	struct qcow_store *store;
	struct qcow_store *data;
	struct qcow_luks_place luks;
	struct qcow_crypt *crypt;
	char *snapshot_id;
	u32 snapshot_id_len;
	char *snapshot_name;
	__be64 *l1;
	u32 l1_entries;
	u64 l1_bytes;
	struct qcow_cache *cache;
	struct qcow_tables l2;
	struct qcow_cache *clusters;
	struct xarray cluster_index;
	struct mutex clusters_lock;	/* making @clusters */
	struct qcow_readahead readahead;
	struct qcow_inflight *inflight;
	dev_t devt;
	struct qcow_image *backing;
	u64 next_below_bytes;
	struct qcow_shared *shared;
};

/* Whether the data file is a raw image, too, which reads as the guest does. */
static inline bool qcow_image_raw_data(const struct qcow_image *image)
{
	return image->geo.data_file && image->header.autoclear & QCOW_AUTOCLEAR_RAW_DATA_FILE;
}

/**
 * qcow_image_l1_entry() - an L1 entry, while the metadata worker may change it
 * @image: the image
 * @l1_idx: of the entry
 * @entry: result, CPU order
 *
 * Context: under rcu_read_lock().
 * Return: whether the table has such an entry.
 */
static __always_inline bool qcow_image_l1_entry(const struct qcow_image *image, u64 l1_idx,
						u64 *entry)
{
	/* Pairs with smp_store_release() in qcow_image_replace_l1(): so long is the table. */
	if (l1_idx >= smp_load_acquire(&image->l1_entries))
		return false;
	/* Pairs with smp_store_release() in l1_set_entry(): the file reaches to the L2 table. */
	*entry = be64_to_cpu(smp_load_acquire(&READ_ONCE(image->l1)[l1_idx]));
	return true;
}

/**
 * qcow_image_replace_l1() - have a longer L1 table
 * @image: the active image of a writable device
 * @l1: it begins with what the present one has
 * @entries: more than there are
 *
 * Context: the metadata worker.
 * Return: the table that there was, or NULL; it is to be freed after a grace period of RCU.
 */
static inline __be64 *qcow_image_replace_l1(struct qcow_image *image, __be64 *l1, u32 entries)
{
	__be64 *old = image->l1;

	/* Readers of the old table see what it had; entries change in the new one from now on. */
	smp_store_release(&image->l1, l1);
	/* Pairs with smp_load_acquire() in qcow_image_l1_entry(). */
	smp_store_release(&image->l1_entries, entries);
	return old;
}

/* It is written to, and its device is there: @devt. Context: process context. */
void qcow_image_attached(struct qcow_image *image, dev_t devt);

/* It has another size. Context: the metadata worker. */
static inline void qcow_image_set_size(struct qcow_image *image, u64 bytes)
{
	WRITE_ONCE(image->size, bytes);
	WRITE_ONCE(image->geo.size, bytes);
}

/**
 * qcow_image_check_l1_bytes() - refuse L1 tables that take too much memory
 * @image: the image
 * @entries: that its table is to have, instead of those it has
 * @rep: says so
 *
 * Return: 0 or -EFBIG.
 */
int qcow_image_check_l1_bytes(const struct qcow_image *image, u32 entries,
			      struct qcow_report *rep);

/* The same of a whole chain, which is to have @bytes. */
int qcow_image_check_chain_l1(u64 bytes, struct qcow_report *rep);

/* Which state of an image to open. */
#define QCOW_ACTIVE_STATE	(~0U)

/**
 * struct qcow_image_params - how to open a layer
 * @name: as struct qcow_image has it; copied
 * @raw: it has no header
 * @writable: refuse what must not be written: dirty, corrupt, a snapshot
 * @snapshot: position in the snapshot table, or QCOW_ACTIVE_STATE
 * @cache_bytes: limit of its cache of slices
 * @l1_bytes_below: as struct qcow_image has it, of the layer below
 * @digest: qcow_header_digest() of what the caller has seen, 0: nothing
 * @key: what its data are encrypted with, or NULL
 */
struct qcow_image_params {
	const char *name;
	bool raw;
	bool writable;
	u32 snapshot;
	u64 cache_bytes;
	u64 l1_bytes_below;
	u64 digest;
	const struct qcow_volume_key *key;
};

/**
 * qcow_image_open() - read and validate a layer
 * @p: how
 * @store: its file; owned by the image from now on, also when opening fails
 * @data: its external data file or NULL; likewise
 * @rep: says which field is wrong
 *
 * Refuses a data file or a key that is missing or not asked for, and what qcow_header_parse()
 * refuses.
 *
 * Context: process context, may sleep.
 * Return: the image or ERR_PTR: -EINVAL, -EOPNOTSUPP, -EFBIG, -ENOMEM, -EIO, -EUCLEAN
 * (corrupt or dirty, and @p->writable), -ESTALE (not the header of @p->digest), -ENOKEY,
 * -EKEYREJECTED (another one), -EINTR (the task is being killed).
 */
struct qcow_image *qcow_image_open(const struct qcow_image_params *p, struct qcow_store *store,
				   struct qcow_store *data, struct qcow_report *rep);

/**
 * qcow_image_go_on() - for each turn of a loop that an image makes long, in an attach
 *
 * Context: process context, may sleep.
 * Return: 0, or -EINTR: the task is being killed.
 */
static inline int qcow_image_go_on(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/**
 * qcow_image_check_digest() - refuse a layer whose header is not what the caller has seen
 * @image: its header has been read
 * @digest: as struct qcow_image_params has it
 * @rep: says so
 *
 * Return: 0 or -ESTALE.
 */
int qcow_image_check_digest(const struct qcow_image *image, u64 digest, struct qcow_report *rep);

/**
 * qcow_image_check_key() - refuse another key than the one that an image was opened with
 * @image: open
 * @key: as struct qcow_image_params has it; NULL: any is right
 * @rep: says that it is not
 *
 * Return: 0; -EINVAL: the image is not encrypted; -EKEYREJECTED.
 */
int qcow_image_check_key(const struct qcow_image *image, const struct qcow_volume_key *key,
			 struct qcow_report *rep);

/* What an image is opened with once more: its key, or NULL. */
const struct qcow_volume_key *qcow_image_key(const struct qcow_image *image);

/**
 * qcow_image_renew_digest() - read the header again for @image->digest
 * @image: open, and not raw; it has been written to, and is no more
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: 0 or -errno.
 */
int qcow_image_renew_digest(struct qcow_image *image, struct qcow_report *rep);

/**
 * qcow_image_replace_stores() - read an image from other stores of the same files
 * @image: no reader is left, and nothing is written to it
 * @store: metadata, and data unless @data is another; the image's from now on
 * @data: the external data file or NULL; likewise
 * @old_store: result, what the image had; the caller's from now on
 * @old_data: result, likewise, or NULL
 *
 * Context: process context.
 */
void qcow_image_replace_stores(struct qcow_image *image, struct qcow_store *store,
			       struct qcow_store *data, struct qcow_store **old_store,
			       struct qcow_store **old_data);

/**
 * qcow_image_walk_snapshots() - call a function for each entry of the snapshot table
 * @image: open
 * @func: called with each entry, whose texts point into the table, and its position; other
 *         than 0 ends the walk
 * @data: for @func
 * @bytes: result, when the walk came to the end: length of the table
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: what @func returned last, or -errno; -EINTR: the task is being killed.
 */
int qcow_image_walk_snapshots(struct qcow_image *image,
			      int (*func)(const struct qcow_snapshot *snap, u32 position,
					  void *data),
			      void *data, u64 *bytes, struct qcow_report *rep);

/**
 * qcow_image_close() - free an image with its caches and its stores
 * @image: no reader is left; its backing image stays
 *
 * Context: process context, may sleep.
 */
void qcow_image_close(struct qcow_image *image);

#endif /* _QCOW_IMAGE_H */
