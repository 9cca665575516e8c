// SPDX-License-Identifier: GPL-2.0
/*
 * Data of the active state in compressed form, packed as QEMU packs it: one behind the other, byte
 * by byte, also across the border of two clusters that are neighbours. The count of a host cluster
 * is how many compressed clusters have bytes in it.
 *
 * What is across borders can be moved only together later. Rows of such clusters are kept short for
 * that, and where no free cluster follows, what is left of one takes what fits in.
 */
#include <errno.h>
#include <unistd.h>

#include "compact/internal.h"

/* Clusters that are kept in mind because there is room in them. */
#define OPEN_PLACES	16
/* Clusters in a row. */
#define ROW_CLUSTERS	16
/* What is stored in one pass takes space twice while it lasts. */
#define OUTPUT_SHARE	8
#define OUTPUT_CLUSTERS	64

/**
 * struct place - a host cluster that has room for more
 * @host: where that begins
 * @left: bytes to the end of the cluster, 0: there is none
 * @row: clusters of the row that ends with it
 */
struct place {
	u64 host;
	u64 left;
	u32 row;
};

/**
 * struct packing - data being stored in compressed form
 * @p: the pass
 * @edit: the mapping
 * @places: the one that comes next, and behind it others with less room
 * @taken: clusters so far
 * @limit: after that the pass is full
 * @end: host offset behind the last one
 * @data: a cluster
 * @packed: the same, compressed
 */
struct packing {
	struct pass *p;
	struct edit edit;
	struct place places[OPEN_PLACES];
	u64 taken;
	u64 limit;
	u64 end;
	unsigned char *data;
	unsigned char *packed;
};

static u64 cluster_bytes(const struct packing *pk)
{
	return check_cluster_bytes(&pk->p->s.c);
}

/* The next place is kept beside others, in the stead of the one with the least room. */
static void keep_place(struct packing *pk)
{
	struct place *least = &pk->places[1];
	size_t i;

	for (i = 1; i < OPEN_PLACES; i++)
		if (pk->places[i].left < least->left)
			least = &pk->places[i];
	if (pk->places[0].left > least->left)
		*least = pk->places[0];
}

static int next_cluster(struct packing *pk, u64 *host)
{
	int err = space_take(&pk->p->s, 1, host);

	if (!err) {
		pk->taken++;
		pk->end = max(pk->end, *host + cluster_bytes(pk));
	}
	return err;
}

static bool can_count(struct packing *pk, u64 host)
{
	struct shadow *s = &pk->p->s;

	return check_counts_get(&s->c, &s->next, host >> s->c.g.cluster_bits) <
	       qcow_refcount_max(s->c.order);
}

static int use_place(struct packing *pk, struct place *place, size_t len, u64 *host)
{
	*host = place->host;
	place->host += len;
	place->left -= len;
	return shadow_count_range(&pk->p->s, *host, 1, 1);
}

/* Behind what is in the next place, across the border if the cluster behind it is free as well. */
static int use_next(struct packing *pk, size_t len, u64 *host)
{
	struct place *next = &pk->places[0];
	u64 left = next->left, cluster;
	int err = next_cluster(pk, &cluster);

	if (err)
		return err;
	if (left && cluster == next->host + left && next->row < ROW_CLUSTERS &&
	    can_count(pk, next->host)) {
		*host = next->host;
		err = shadow_count_range(&pk->p->s, *host, 1, 1);
		*next = (struct place){
			.host = *host + len, .left = left + cluster_bytes(pk) - len,
			.row = next->row + 1,
		};
		return err;
	}
	keep_place(pk);
	*host = cluster;
	*next = (struct place){
		.host = cluster + len, .left = cluster_bytes(pk) - len, .row = 1,
	};
	return 0;
}

static int find_place(struct packing *pk, size_t len, u64 *host)
{
	size_t i;

	/* Those that are kept first: the next one has room for more. */
	for (i = OPEN_PLACES; i--; ) {
		struct place *place = &pk->places[i];

		if (place->left >= len && can_count(pk, place->host))
			return use_place(pk, place, len, host);
	}
	return use_next(pk, len, host);
}

static int store(struct packing *pk, u64 guest, size_t len)
{
	struct check *c = &pk->p->s.c;
	u64 host;
	int err = find_place(pk, len, &host);

	if (err)
		return err;
	if (host + len > qcow_l2_compressed_end(&c->g))
		return qc_fail(QC_UNSUPPORTED, c->img->name,
			       "compressed data at 0x%llx: its place is too far up", host);
	if (check_write(c, pk->packed, len, host))
		return QC_SYSTEM;
	return edit_entry(&pk->edit, guest, qcow_l2_encode_compressed(&c->g, host, len));
}

/* Whole, not shared, and not compressed yet. */
static bool is_eligible(const struct check *c, u64 entry, u64 bitmap, u64 *host_offset)
{
	struct entry_ref e;

	check_entry_decode(&c->g, entry, bitmap, &e);
	*host_offset = e.host_offset;
	return e.kind == ENTRY_CLUSTER && e.has_data &&
	       (!c->g.extended_l2 || bitmap == QCOW_L2_ALL_ALLOCATED) &&
	       check_counts_once(c, e.host_offset >> c->g.cluster_bits);
}

static int compress_cluster(struct packing *pk, u64 guest, bool *changed)
{
	struct check *c = &pk->p->s.c;
	u64 entry, bitmap, host;
	size_t bytes = cluster_bytes(pk), len;
	int err = edit_get(&pk->edit, guest, &entry, &bitmap);

	if (err || !is_eligible(c, entry, bitmap, &host))
		return err;
	if (check_read(c, pk->data, bytes, host))
		return QC_SYSTEM;
	progress_copied(&pk->p->opts->progress, bytes);
	len = codec_compress(pk->p->type, pk->data, bytes, pk->packed, bytes - 1);
	if (!len)
		return 0;
	*changed = true;
	return store(pk, guest, len);
}

static int compress_range(struct packing *pk, u64 *guest, bool *changed)
{
	struct progress *progress = &pk->p->opts->progress;
	u64 size = pk->p->s.c.g.size;
	int err = 0;

	progress_begin(progress, "compressing");
	while (!err && pk->taken < pk->limit) {
		*guest = edit_skip(&pk->edit, *guest);
		progress_step(progress, min(*guest, size), size);
		if (*guest >= size)
			break;
		err = compress_cluster(pk, *guest, changed);
		*guest += cluster_bytes(pk);
	}
	progress_clear(progress);
	return err;
}

/* What is behind the last byte in its sector is read, too. */
static int reach_end(struct packing *pk)
{
	const struct image *img = pk->p->s.c.img;
	struct stat st;

	if (!S_ISREG(img->st.st_mode))
		return 0;
	if (!fstat(img->fd, &st) && ((u64)st.st_size >= pk->end || !ftruncate(img->fd, pk->end)))
		return 0;
	return qc_fail_errno(QC_SYSTEM, errno, img->name, "cannot make it %llu bytes long",
			     pk->end);
}

int compress_some(struct pass *p, u64 *guest, bool *changed)
{
	u64 bytes = check_cluster_bytes(&p->s.c);
	struct packing pk = {
		.p = p, .limit = p->survey.used / OUTPUT_SHARE + OUTPUT_CLUSTERS,
		.data = check_alloc(1, bytes), .packed = check_alloc(1, bytes),
	};
	int err = edit_begin(&pk.edit, &p->s, 0);

	if (!err)
		err = compress_range(&pk, guest, changed);
	if (!err && *changed)
		err = reach_end(&pk);
	if (!err && *changed)
		err = edit_finish(&pk.edit);
	edit_end(&pk.edit);
	free(pk.data);
	free(pk.packed);
	return err;
}
