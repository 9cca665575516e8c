// SPDX-License-Identifier: GPL-2.0
/*
 * Opens an image and gives it other names. What is new is written where the old header needs
 * nothing; the write of the first sector makes it valid.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "rebase/head.h"
#include "rebase/rebase.h"
#include "shadow/shadow.h"

/**
 * struct rebase - an image being rebased
 * @c: to write to it, and in version 1 to find what is in use
 * @chain: the image alone
 * @opts: the names
 */
struct rebase {
	struct check c;
	struct chain chain;
	const struct rebase_options *opts;
};

/* NULL: none. */
static const char *new_backing(const struct rebase *r)
{
	return *r->opts->backing ? r->opts->backing : NULL;
}

static int sync_image(const struct rebase *r, const char *what)
{
	const struct image *img = r->c.img;

	if (!fsync(img->fd))
		return 0;
	return qc_fail_errno(QC_SYSTEM, errno, img->name, "cannot make %s durable", what);
}

/* The write after which the new names are the image's. */
static int switch_over(struct rebase *r, const void *head, size_t len)
{
	int err = check_write(&r->c, head, len, 0) ? QC_SYSTEM : 0;

	if (!err)
		err = sync_image(r, "the header");
	if (err)
		qc_fail(0, r->c.img->name, "has the backing file of before or of afterwards");
	return err;
}

/* Write what differs behind the first sector. */
static int write_behind(struct rebase *r, const struct head *old, const struct head *new)
{
	size_t from = HEAD_SWITCH_BYTES, end = old->bytes;

	while (end > from && old->buf[end - 1] == new->buf[end - 1])
		end--;
	while (from < end && old->buf[from] == new->buf[from])
		from++;
	if (from >= end)
		return 0;
	if (check_write(&r->c, new->buf + from, end - from, from))
		return QC_SYSTEM;
	return sync_image(r, "the new name");
}

/* That what was laid out is a header. */
static int check_head(const struct rebase *r, const struct head *new)
{
	struct qcow_header h;
	int err;

	QC_REPORT(rep);
	err = qcow_header_parse(&h, new->buf, new->bytes, S64_MAX, &rep);
	if (err)
		qc_lines(r->c.img->name, rep.buf);
	return image_exit_code(err);
}

/* A program that writes to an image clears the autoclear bits that it does not know. */
static int lay_out(const struct head *old, const struct head_names *names, struct head *new,
		   struct qcow_report *rep)
{
	int err = head_rename(old, names, new, rep);

	if (err)
		return err;
	new->h.autoclear &= QCOW_AUTOCLEAR_BITMAPS | QCOW_AUTOCLEAR_RAW_DATA_FILE;
	qcow_header_put(&new->h, new->buf);
	return 0;
}

/* @steps: the headers on the way, that of now first. */
static int plan_head(const struct rebase *r, struct head *steps, size_t *nr)
{
	struct head_names names = { .backing = new_backing(r), .format = r->opts->format };
	struct qcow_ext features;
	int err;

	QC_REPORT(rep);
	if (image_find_ext(r->c.img, QCOW_EXT_FEATURE_NAMES, &features))
		names.features = &features;
	*nr = 2;
	err = lay_out(&steps[0], &names, &steps[1], &rep);
	if (err == -ENOSPC && names.features) {
		*nr = 3;
		names.features = NULL;
		err = lay_out(&steps[0], &names, &steps[1], NULL);
		names.features = &features;
		if (!err)
			err = lay_out(&steps[1], &names, &steps[2], NULL);
	}
	if (!err)
		return check_head(r, &steps[*nr - 1]);
	qc_lines(r->c.img->name, rep.buf);
	return err == -ENOSPC ? QC_UNSUPPORTED : QC_USAGE;
}

static int write_step(struct rebase *r, const struct head *old, const struct head *new)
{
	int err;

	if (!memcmp(old->buf, new->buf, old->bytes))
		return 0;
	err = write_behind(r, old, new);
	return err ? err : switch_over(r, new->buf, HEAD_SWITCH_BYTES);
}

static int rename_v2(struct rebase *r)
{
	size_t bytes = check_cluster_bytes(&r->c), nr, i;
	unsigned char *buf = qc_alloc(3 * bytes);
	struct head steps[3];
	int err;

	for (i = 0; i < ARRAY_SIZE(steps); i++)
		steps[i] = (struct head){ .buf = buf + i * bytes, .bytes = bytes };
	steps[0].h = r->c.img->h;
	err = check_read(&r->c, buf, bytes, 0) ? QC_SYSTEM : plan_head(r, steps, &nr);
	for (i = 1; !err && i < nr; i++)
		err = write_step(r, &steps[i - 1], &steps[i]);
	free(buf);
	return err;
}

/*
 * Where a name of this length is to be in version 1, 0 for none: behind the header within the first
 * sector, or behind all that is in use. Nothing else tells what is in use: all tables are read.
 */
static int find_place_v1(struct rebase *r, size_t len, u64 *host_offset)
{
	struct check *c = &r->c;
	const struct image *img = c->img;
	int err = check_v1(c);

	if (err || c->res.errors)
		return QC_SYSTEM;
	if (c->res.corruptions)
		return qc_fail(QC_BAD_IMAGE, img->name, "is corrupt in %llu places, not changed",
			       c->res.corruptions);
	*host_offset = len ? img->h.length : 0;
	if (img->h.length + len <= min_t(u64, c->first_used, HEAD_SWITCH_BYTES))
		return 0;
	*host_offset = c->res.image_end;
	if (S_ISREG(img->st.st_mode) || len <= img->bytes - *host_offset)
		return 0;
	return qc_fail(QC_SYSTEM, img->name, "no room for a name behind 0x%llx", *host_offset);
}

/* As QEMU reads a file in sectors, it ends at the end of one. */
static int write_name_v1(struct rebase *r, const char *name, size_t len, u64 host_offset)
{
	size_t bytes = round_up(len, (size_t)HEAD_SWITCH_BYTES);
	const struct image *img = r->c.img;
	char *buf = qc_alloc(bytes);
	int err;

	memcpy(buf, name, len);
	err = check_write(&r->c, buf, bytes, host_offset) ? QC_SYSTEM : 0;
	free(buf);
	if (!err)
		err = sync_image(r, "the new name");
	/* Else it stays longer, which does no harm. */
	if (err && S_ISREG(img->st.st_mode))
		(void)!ftruncate(img->fd, img->bytes);
	return err;
}

/* The file ends where the old name began, if that was the last in it; else it is a gap. */
static void cut_name_v1(const struct rebase *r, u64 host_offset)
{
	const struct image *img = r->c.img;
	u64 old = img->h.backing_offset, end = old + img->h.backing_len;

	if (S_ISREG(img->st.st_mode) && old >= HEAD_SWITCH_BYTES && old > host_offset &&
	    r->c.res.image_end == round_up(end, (u64)HEAD_SWITCH_BYTES))
		(void)!ftruncate(img->fd, round_up(old, (u64)HEAD_SWITCH_BYTES));
}

static int rename_v1(struct rebase *r)
{
	const char *name = new_backing(r);
	size_t len = name ? strlen(name) : 0;
	unsigned char head[HEAD_SWITCH_BYTES];
	struct qcow_v1_disk_header *disk = (void *)head;
	u64 host_offset = 0;
	int err;

	if (len > QCOW_MAX_BACKING_NAME)
		return qc_fail(QC_USAGE, r->c.img->name,
			       "backing file name has %zu bytes, at most %u are supported", len,
			       QCOW_MAX_BACKING_NAME);
	if (check_read(&r->c, head, sizeof(head), 0))
		return QC_SYSTEM;
	err = find_place_v1(r, len, &host_offset);
	if (!err && host_offset >= sizeof(head))
		err = write_name_v1(r, name, len, host_offset);
	else if (!err && len)
		memcpy(head + host_offset, name, len);
	if (err)
		return err;
	disk->backing_offset = cpu_to_be64(host_offset);
	disk->backing_size = cpu_to_be32((u32)len);
	err = switch_over(r, head, sizeof(head));
	if (!err)
		cut_name_v1(r, host_offset);
	return err;
}

static int check_header(const struct image *img, const struct rebase_options *opts)
{
	const struct qcow_header *h = &img->h;

	if (*opts->backing && !opts->format && h->version > 1) {
		qc_fail(0, "rebase", "the format of '%s' is not stated, and it is not guessed",
			opts->backing);
		qc_hint("-F raw|qcow|qcow2");
		return QC_USAGE;
	}
	if (*opts->backing && h->autoclear & QCOW_AUTOCLEAR_RAW_DATA_FILE)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "has a raw external data file, and can have no backing file");
	return shadow_check_marks(img);
}

int rebase_names(const char *name, const struct rebase_options *opts)
{
	struct chain_options chain_opts = {
		.write = true, .lock = IMAGE_LOCK_WRITE, .top_only = true, .no_data = true,
	};
	struct rebase r = { .c.quiet = true, .opts = opts };
	int err;

	/* A limit of the file's length is an error as a full disk is. */
	signal(SIGXFSZ, SIG_IGN);
	err = chain_open(&r.chain, name, &chain_opts);
	r.c.img = &r.chain.images[0];
	if (!err)
		err = check_header(r.c.img, opts);
	if (!err) {
		check_set_up(&r.c);
		err = r.c.img->h.version == 1 ? rename_v1(&r) : rename_v2(&r);
	}
	check_reset(&r.c);
	chain_close(&r.chain);
	return err;
}
