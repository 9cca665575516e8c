// SPDX-License-Identifier: GPL-2.0
/*
 * Opens an image for a check. Unlike image_read_header(), accepts tables at wrong offsets: to
 * find them is what the check is for. Opens neither backing file nor external data file, as
 * nothing in them is counted.
 */
#include <errno.h>
#include <unistd.h>

#include "image/image.h"
#include "check/internal.h"

/* Of a file that was longer once: what it had beside twice the guest's bytes. */
#define SLACK_BYTES BIT_ULL(30)

static int read_head(struct check *c)
{
	struct image *img = c->img;
	size_t len = min_t(u64, img->bytes, QCOW_PROBE_BYTES);
	int err;

	free(img->head);
	img->head = check_alloc(QCOW_PROBE_BYTES, 1);
	err = image_pread(img->fd, img->head, len, 0);
	if (!err && (len < 4 || memcmp(img->head, "QFI\xfb", 4)))
		return image_not_qcow(img, len, CHECK_NO_FORMAT);
	img->head_len = min_t(u64, img->bytes, qcow_header_span(img->head, len));
	if (!err && img->head_len > len) {
		img->head = check_grow(img->head, img->head_len, 1);
		err = image_pread(img->fd, img->head, img->head_len, 0);
	}
	if (err)
		return qc_fail_errno(CHECK_FAILED, -err, img->name, "cannot read the header");
	return 0;
}

static const char *table_flaw(const struct qcow_disk_header *disk)
{
	u32 cluster_bits = be32_to_cpu(disk->cluster_bits);
	u64 host = be64_to_cpu(disk->refcount_table_offset);
	u64 clusters = be32_to_cpu(disk->refcount_table_clusters);

	if (cluster_bits < QCOW_MIN_CLUSTER_BITS || cluster_bits > QCOW_MAX_CLUSTER_BITS)
		return NULL;
	if (!clusters)
		return "it has no clusters";
	if (clusters > QCOW_MAX_REFCOUNT_TABLE_BYTES >> cluster_bits)
		return "it has more clusters than are supported";
	if (!IS_ALIGNED(host, BIT_ULL(cluster_bits)))
		return "it is not at a cluster border";
	if (host >> cluster_bits == 0)
		return "it is over the header";
	if (host > S64_MAX - QCOW_MAX_REFCOUNT_TABLE_BYTES)
		return "it is beyond the end of the file";
	return NULL;
}

/*
 * A refcount table that cannot be used is no reason to refuse the header: it can be rebuilt.
 * The parser gets a valid place for it instead.
 */
static void replace_table_fields(struct check *c)
{
	struct qcow_disk_header *disk = (struct qcow_disk_header *)c->img->head;
	u32 version;

	c->table_flaw = NULL;
	if (c->img->head_len < QCOW_V2_HEADER_BYTES)
		return;
	version = be32_to_cpu(disk->version);
	if (version != 2 && version != 3)
		return;
	c->table_flaw = table_flaw(disk);
	if (!c->table_flaw)
		return;
	disk->refcount_table_offset = cpu_to_be64(BIT_ULL(be32_to_cpu(disk->cluster_bits)));
	disk->refcount_table_clusters = cpu_to_be32(1U);
}

void check_set_up(struct check *c)
{
	const struct image *img = c->img;

	qcow_header_geometry(&img->h, img->bytes, &c->g);
	if (img->h.version != 1) {
		c->order = img->h.refcount_order;
		c->block_bits = qcow_refcount_block_bits(c->g.cluster_bits, c->order);
	}
	if (c->longest)
		return;
	if (check_add_overflow(img->bytes, 2 * c->g.size, &c->longest) ||
	    check_add_overflow(c->longest, SLACK_BYTES, &c->longest))
		c->longest = S64_MAX;
}

static int read_header(struct check *c)
{
	struct image *img = c->img;
	int err = read_head(c);

	QC_REPORT(rep);
	if (err)
		return err;
	replace_table_fields(c);
	/* The end of the file does not matter here: tables beyond it are found by the run. */
	err = qcow_header_parse(&img->h, img->head, img->head_len, S64_MAX, &rep);
	if (err) {
		if (!qc_lines(img->name, rep.buf))
			qc_fail(0, img->name, "the header is damaged");
		return CHECK_FAILED;
	}
	check_set_up(c);
	return 0;
}

int check_open(struct check *c, const char *name)
{
	bool write = c->repair != REPAIR_NONE;
	int err;

	if (c->is_attached)
		return check_open_attached(c) ? CHECK_FAILED : read_header(c);
	err = policy_open_named(c->img, name, write);
	if (!err)
		err = lock_file(c->img->fd, name, c->lock);
	if (err == QC_BUSY && c->lock == IMAGE_LOCK_READ)
		qc_hint("--force-share, to check it while it changes");
	if (err)
		return CHECK_FAILED;
	return read_header(c);
}

int check_reopen(struct check *c)
{
	if (c->is_attached)
		return check_open_attached(c) ? CHECK_FAILED : read_header(c);
	if (image_stat(c->img->fd, c->img->name, &c->img->st, &c->img->bytes))
		return CHECK_FAILED;
	return read_header(c);
}

void check_close(struct check *c)
{
	check_reset(c);
	if (c->is_attached)
		check_close_attached(c);
	image_close(c->img);
}
