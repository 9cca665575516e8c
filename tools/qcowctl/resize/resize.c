// SPDX-License-Identifier: GPL-2.0
/*
 * Opens and checks an image, makes all ready for the size beside what is in use, and writes the
 * header.
 *
 * To grow: what would show in the new range becomes zeros. That is what the backing file has there,
 * and what a larger size has left: entries beyond the old one, the end of its last cluster, the end
 * of a raw data file. To shrink, only the header changes; nothing may be allocated in what goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <unistd.h>

#include "resize/resize.h"
#include "shadow/shadow.h"

#define ZERO_BYTES	1048576U

/**
 * struct resizing - an image being resized
 * @s: the new state
 * @chain: the image, and what is below it
 * @from: size before
 * @to: size afterwards
 * @l1_entries: that @to needs
 * @backing_end: what the backing file has ends there
 * @edit: the mapping
 * @reader: reads the guest's bytes as they are before
 */
struct resizing {
	struct shadow s;
	struct chain chain;
	u64 from;
	u64 to;
	u32 l1_entries;
	u64 backing_end;
	struct edit edit;
	struct reader *reader;
};

static struct image *top_image(const struct resizing *r)
{
	return &r->chain.images[0];
}

int resize_new_size(const struct resize_size *size, const char *name, u64 now, u64 *bytes)
{
	bool wrong = false;

	*bytes = size->bytes;
	if (size->sign == '+')
		wrong = check_add_overflow(now, size->bytes, bytes);
	else if (size->sign == '-')
		wrong = check_sub_overflow(now, size->bytes, bytes);
	if (wrong)
		return qc_fail(QC_USAGE, name, "has %llu bytes, and cannot have %llu %s", now,
			       size->bytes, size->sign == '+' ? "more" : "less");
	if (*bytes >= now || size->shrink)
		return 0;
	qc_fail(0, name, "new size %llu is less than the present one, %llu", *bytes, now);
	qc_hint("--shrink, if nothing that is in use is to go");
	return QC_USAGE;
}

static int check_snapshots(struct resizing *r, struct qcow_report *rep)
{
	const struct image *img = top_image(r);
	struct snapshots snaps;
	int err = snapshots_read(img, &snaps);
	u32 i;

	for (i = 0; !err && i < snaps.nr; i++)
		err = image_exit_code(qcow_snapshot_check_resize(&snaps.list[i].s, i, rep));
	snapshots_free(&snaps);
	return err;
}

static int check_data_file(const struct resizing *r)
{
	const struct image *img = top_image(r);
	struct stat st;
	u64 bytes;
	int err;

	if (img->data_fd < 0 || !S_ISBLK(img->data_st.st_mode))
		return 0;
	err = image_stat(img->data_fd, img->data_path, &st, &bytes);
	if (err || r->to <= bytes)
		return err;
	return qc_fail(QC_SYSTEM, img->name,
		       "new size is %llu, and the external data file is a device of %llu bytes",
		       r->to, bytes);
}

/* What the header and the snapshot table tell. */
static int check_possible(struct resizing *r, bool shrink)
{
	const struct image *img = top_image(r);
	int err;

	QC_REPORT(rep);
	err = qcow_header_check_resize(&img->h, r->to, 512, shrink, &r->l1_entries, &rep);
	if (err == -EINVAL || err == -EFBIG)
		err = QC_USAGE;
	else if (err)
		err = image_exit_code(err);
	else
		err = check_snapshots(r, &rep);
	qc_lines(img->name, rep.buf);
	if (img->h.incompatible & (QCOW_INCOMPAT_DIRTY | QCOW_INCOMPAT_CORRUPT))
		shadow_hint_check(img);
	return err ? err : check_data_file(r);
}

/* Zeros in a range of the data file, which the guest does not see before the switch. */
static int zero_data_file(const struct image *img, u64 from, u64 end)
{
	unsigned char *zeros;
	size_t len;
	int err = 0;

	if (!fallocate(img->data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, end - from))
		return 0;
	zeros = qc_alloc(ZERO_BYTES);
	for (; !err && from < end; from += len) {
		len = min_t(u64, ZERO_BYTES, end - from);
		err = image_pwrite(img->data_fd, zeros, len, from);
	}
	free(zeros);
	if (!err)
		return 0;
	return qc_fail_errno(QC_SYSTEM, -err, img->data_path, "cannot write zeros");
}

/* It is as long as the guest reaches: made so before the header says it, or afterwards. */
static int resize_data_file(const struct resizing *r, u64 bytes)
{
	const struct image *img = top_image(r);

	if (img->data_fd < 0 || !S_ISREG(img->data_st.st_mode) || !ftruncate(img->data_fd, bytes))
		return 0;
	return qc_fail_errno(QC_SYSTEM, errno, img->data_path, "cannot make it %llu bytes long",
			     bytes);
}

static int grow_data_file(const struct resizing *r)
{
	const struct image *img = top_image(r);
	struct stat st;
	u64 bytes;
	int err;

	if (img->data_fd < 0)
		return 0;
	err = image_stat(img->data_fd, img->data_path, &st, &bytes);
	/* Clusters that no entry maps are to read as zeros there, too. */
	if (!err && bytes > r->from && img->h.autoclear & QCOW_AUTOCLEAR_RAW_DATA_FILE)
		err = zero_data_file(img, r->from, min(bytes, r->to));
	if (!err && bytes < r->to)
		err = resize_data_file(r, r->to);
	return err;
}

/* The cluster with the end of the old size in it: what is behind that becomes zeros. */
static int zero_tail(struct resizing *r, u64 guest)
{
	const struct qcow_geometry *g = &r->s.c.g;
	u64 entry, bitmap;
	unsigned char *buf;
	int err = edit_get(&r->edit, guest, &entry, &bitmap);

	if (err || (!entry && !bitmap && r->backing_end <= r->from))
		return err;
	if (!(entry & g->compressed) && entry & g->zero)
		return 0;
	buf = check_alloc(1, qcow_cluster_bytes(g));
	err = reader_read(r->reader, guest, r->from - guest, buf);
	if (!err)
		err = edit_data(&r->edit, guest, buf);
	free(buf);
	return err;
}

/* A cluster of the new range. */
static int zero_cluster(struct resizing *r, u64 guest)
{
	u64 entry, bitmap;
	int err;

	if (guest < r->from)
		return zero_tail(r, guest);
	if (guest < r->backing_end)
		return edit_zero(&r->edit, guest);
	err = edit_get(&r->edit, guest, &entry, &bitmap);
	return err || (!entry && !bitmap) ? err : edit_hole(&r->edit, guest);
}

static int zero_range(struct resizing *r)
{
	u64 bytes = qcow_cluster_bytes(&r->s.c.g);
	u64 guest = round_down(r->from, bytes);
	int err = 0;

	while (!err) {
		if (guest >= r->backing_end)
			guest = max(guest, round_down(edit_skip(&r->edit, guest), bytes));
		if (guest >= r->to)
			break;
		err = zero_cluster(r, guest);
		guest += bytes;
	}
	return err;
}

static u64 backing_end(const struct resizing *r)
{
	const struct image *backing = &r->chain.images[1];

	if (r->chain.nr < 2)
		return 0;
	return backing->raw ? round_up(backing->bytes, 512ULL) :
			      round_down(backing->h.size, 512ULL);
}

static int grow(struct resizing *r)
{
	int err = r->s.h.version == 1 ? 0 : space_create(&r->s);

	if (!err)
		err = edit_begin(&r->edit, &r->s, r->l1_entries);
	if (!err)
		err = grow_data_file(r);
	r->backing_end = backing_end(r);
	r->reader = reader_open(&r->chain);
	if (!err)
		err = zero_range(r);
	if (!err)
		err = edit_finish(&r->edit);
	reader_close(r->reader);
	edit_end(&r->edit);
	return err;
}

/* That nothing has space in what goes; entries that say zeros may stay. */
static int check_unused(struct resizing *r)
{
	struct chain top = { .images = r->chain.images, .nr = 1 };
	struct extents *ext = extents_open(&top);
	struct guest_range range;
	int err;

	extents_seek(ext, r->to);
	while (extents_next(ext, &range, &err) && !err) {
		if (!range.has_offset && range.kind != QCOW_EXTENT_COMPRESSED)
			continue;
		err = qc_fail(QC_BAD_IMAGE, top_image(r)->name,
			      "new size is %llu, and guest offset %llu is in use", r->to,
			      range.guest_start);
		break;
	}
	extents_close(ext);
	return err;
}

static int commit(struct resizing *r)
{
	int err;

	r->s.h.size = r->to;
	/* A program that writes to an image clears the autoclear bits that it does not know. */
	r->s.h.autoclear &= QCOW_AUTOCLEAR_RAW_DATA_FILE;
	err = shadow_switch(&r->s, "size");
	if (err)
		return err;
	/* That it is longer does no harm. */
	if (r->to < r->from)
		(void)resize_data_file(r, r->to);
	if (r->s.h.version == 1)
		return 0;
	space_release(&r->s, true);
	return shadow_sync(&r->s, "what was freed");
}

static int resize(struct resizing *r, bool shrink)
{
	int err = check_possible(r, shrink);

	if (err || r->to == r->from)
		return err;
	err = shadow_check(&r->s);
	if (err)
		return err;
	err = r->to > r->from ? grow(r) : check_unused(r);
	if (!err)
		return commit(r);
	if (r->s.h.version > 1)
		space_release(&r->s, false);
	return err;
}

static int open_image(struct resizing *r, const char *name, struct chain_options *opts)
{
	int err = chain_open(&r->chain, name, opts);

	r->s.c.img = top_image(r);
	if (err)
		return err;
	r->s.h = r->s.c.img->h;
	r->from = round_down(r->s.h.size, 512ULL);
	return 0;
}

/* Only to grow needs what is below the image. */
static int find_direction(const char *name, const struct resize_size *size,
			  struct chain_options *opts)
{
	struct chain_options look = { .top_only = true, .no_data = true };
	struct resizing r = { 0 };
	int err = open_image(&r, name, &look);

	if (!err)
		err = resize_new_size(size, name, r.from, &r.to);
	opts->top_only = r.to <= r.from;
	chain_close(&r.chain);
	return err;
}

int resize_image(const char *name, const struct resize_size *size, struct chain_options *opts,
		 u64 *from, u64 *to)
{
	struct resizing r = { .s.c.quiet = true };
	int err = find_direction(name, size, opts);

	if (err)
		return err;
	/* A limit of a file's length is an error as a full disk is. */
	signal(SIGXFSZ, SIG_IGN);
	opts->write = true;
	opts->lock = IMAGE_LOCK_WRITE;
	err = open_image(&r, name, opts);
	if (!err)
		err = resize_new_size(size, name, r.from, &r.to);
	if (!err && opts->top_only && r.to > r.from)
		err = qc_fail(QC_BUSY, name, "has got another size meanwhile");
	if (!err)
		err = resize(&r, size->shrink);
	*from = r.from;
	*to = r.to;
	space_destroy(&r.s);
	check_reset(&r.s.c);
	chain_close(&r.chain);
	return err;
}
