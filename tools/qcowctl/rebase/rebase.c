// SPDX-License-Identifier: GPL-2.0
/*
 * Opens an image and gives it other names. What is new is written where the old header needs
 * nothing; the write of the first sector makes it valid. What the new backing file does not have
 * becomes the image's own before that: between the two steps it reads as before, too.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <qcow/head.h>

#include "rebase/backing.h"
#include "rebase/copy.h"
#include "rebase/rebase.h"
#include "shadow/shadow.h"

/**
 * struct rebase - an image being rebased
 * @s: to write to it; in version 1, to find what is in use
 * @chain: the image, and its old backing files where they are read
 * @opts: the names
 */
struct rebase {
	struct shadow s;
	struct chain chain;
	struct rebase_options *opts;
};

/* NULL: none. */
static const char *new_backing(const struct rebase *r)
{
	return *r->opts->backing ? r->opts->backing : NULL;
}

/* @heads: QCOW_MAX_HEADS of them, whose memory is that of the first. */
static int plan_heads(struct rebase *r, struct qcow_head *heads, unsigned int *nr)
{
	const struct qcow_backing_names names = {
		.backing = new_backing(r), .format = r->opts->format,
	};
	int err = shadow_read_heads(&r->s, heads);

	QC_REPORT(rep);
	if (err)
		return err;
	err = qcow_backing_plan(heads, &names, nr, &rep);
	if (!err)
		return 0;
	qc_lines(r->s.c.img->name, rep.buf);
	return err == -ENAMETOOLONG ? QC_UNSUPPORTED : QC_USAGE;
}

static int rename_v2(struct rebase *r)
{
	struct qcow_head heads[QCOW_MAX_HEADS];
	unsigned int nr, i;
	int err = plan_heads(r, heads, &nr);

	for (i = 1; !err && i < nr; i++)
		err = shadow_write_head(&r->s, &heads[i - 1], &heads[i], "backing file");
	free(heads[0].buf);
	return err;
}

/*
 * Where a name of this length is to be in version 1, 0 for none: behind the header within the first
 * sector, or behind all that is in use. Nothing else tells what is in use: all tables are read.
 */
static int find_place_v1(struct rebase *r, size_t len, u64 *host_offset)
{
	struct check *c = &r->s.c;
	const struct image *img = c->img;
	int err = check_v1(c);

	if (err || c->res.errors)
		return QC_SYSTEM;
	if (c->res.corruptions)
		return qc_fail(QC_BAD_IMAGE, img->name, "is corrupt in %llu places, not changed",
			       c->res.corruptions);
	*host_offset = len ? img->h.length : 0;
	if (img->h.length + len <= min_t(u64, c->first_used, QCOW_HEAD_SWITCH_BYTES))
		return 0;
	*host_offset = c->res.image_end;
	if (S_ISREG(img->st.st_mode) || len <= img->bytes - *host_offset)
		return 0;
	return qc_fail(QC_SYSTEM, img->name, "no room for a name behind 0x%llx", *host_offset);
}

/* As QEMU reads a file in sectors, it ends at the end of one. */
static int write_name_v1(struct rebase *r, const char *name, size_t len, u64 host_offset)
{
	size_t bytes = round_up(len, (size_t)QCOW_HEAD_SWITCH_BYTES);
	const struct image *img = r->s.c.img;
	char *buf = qc_alloc(bytes);
	int err;

	memcpy(buf, name, len);
	err = check_write(&r->s.c, buf, bytes, host_offset) ? QC_SYSTEM : 0;
	free(buf);
	if (!err)
		err = shadow_sync(&r->s, "the new name");
	/* Else it stays longer, which does no harm. */
	if (err && S_ISREG(img->st.st_mode))
		(void)!ftruncate(img->fd, img->bytes);
	return err;
}

/* The file ends where the old name began, if that was the last in it; else it is a gap. */
static void cut_name_v1(const struct rebase *r, u64 host_offset)
{
	const struct image *img = r->s.c.img;
	u64 old = img->h.backing_offset, end = old + img->h.backing_len;

	if (S_ISREG(img->st.st_mode) && old >= QCOW_HEAD_SWITCH_BYTES && old > host_offset &&
	    r->s.c.res.image_end == round_up(end, (u64)QCOW_HEAD_SWITCH_BYTES))
		(void)!ftruncate(img->fd, round_up(old, (u64)QCOW_HEAD_SWITCH_BYTES));
}

static int rename_v1(struct rebase *r)
{
	const char *name = new_backing(r);
	size_t len = name ? strlen(name) : 0;
	unsigned char head[QCOW_HEAD_SWITCH_BYTES];
	struct qcow_v1_disk_header *disk = (void *)head;
	u64 host_offset = 0;
	int err;

	if (check_read(&r->s.c, head, sizeof(head), 0))
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
	err = shadow_write_header(&r->s, head, sizeof(head), "backing file");
	if (!err)
		cut_name_v1(r, host_offset);
	return err;
}

static int rename_image(struct rebase *r)
{
	return r->s.c.img->h.version == 1 ? rename_v1(r) : rename_v2(r);
}

static int open_image(struct rebase *r, const char *name, const struct chain_options *chain)
{
	int err;

	/* A limit of the file's length is an error as a full disk is. */
	signal(SIGXFSZ, SIG_IGN);
	err = chain_open(&r->chain, name, chain);
	r->s.c.img = &r->chain.images[0];
	if (err)
		return err;
	r->s.h = r->s.c.img->h;
	check_set_up(&r->s.c);
	return backing_check(r->s.c.img, r->opts);
}

static void close_image(struct rebase *r)
{
	space_destroy(&r->s);
	check_reset(&r->s.c);
	chain_close(&r->chain);
}

int rebase_names(const char *name, struct rebase_options *opts)
{
	struct chain_options chain = {
		.write = true, .lock = IMAGE_LOCK_WRITE, .top_only = true, .no_data = true,
	};
	struct rebase r = { .s.c.quiet = true, .opts = opts };
	int err = open_image(&r, name, &chain);

	if (!err)
		err = rename_image(&r);
	close_image(&r);
	return err;
}

/* The image again, on its new backing file; it is locked already. */
static int open_next(const struct rebase *r, struct chain *next)
{
	const struct chain_options chain = { .policy = r->opts->chain.policy, .top_only = true };
	int err = chain_open(next, r->s.c.img->name, &chain);

	return err ? err : backing_open(next, r->opts);
}

/* The image reads as before, from its old backing file and what it now has itself. */
static int switch_contents(struct rebase *r)
{
	struct image *img = r->s.c.img;
	int err;

	if (img->h.version > 1) {
		err = shadow_switch_contents(&r->s, "mapping");
		if (err)
			return err;
		img->h = r->s.h;
	}
	err = image_stat(img->fd, img->name, &img->st, &img->bytes);
	check_set_up(&r->s.c);
	return err;
}

static int copy(struct rebase *r, const struct chain *next)
{
	bool changed = false;
	int err = shadow_check(&r->s);

	if (!err)
		err = copy_differences(&r->s, &r->chain, next, r->opts, &changed);
	if (!err && changed)
		err = switch_contents(r);
	else if (err && r->s.h.version > 1)
		space_release(&r->s, false);
	return err;
}

/* Whether there will be room for the names, before anything is copied. */
static int check_names(struct rebase *r)
{
	struct qcow_head heads[QCOW_MAX_HEADS];
	unsigned int nr;
	int err;

	if (r->s.h.version == 1)
		return 0;
	err = plan_heads(r, heads, &nr);
	free(heads[0].buf);
	return err;
}

static int check_readable(const struct chain *chain)
{
	return chain_check_readable(chain, "rebased with -u only, unless they are attached");
}

int rebase_image(const char *name, struct rebase_options *opts)
{
	struct chain_options chain = opts->chain;
	struct rebase r = { .s.c.quiet = true, .opts = opts };
	struct chain next = { 0 };
	int err;

	chain.write = true;
	chain.lock = IMAGE_LOCK_WRITE;
	chain.backing_format = opts->old_format;
	err = open_image(&r, name, &chain);
	if (!err)
		err = check_names(&r);
	if (!err)
		err = open_next(&r, &next);
	if (!err)
		err = check_readable(&r.chain);
	if (!err)
		err = check_readable(&next);
	if (!err)
		err = copy(&r, &next);
	chain_close(&next);
	if (!err)
		err = rename_image(&r);
	if (!err)
		backing_warn_snapshots(r.s.c.img, opts);
	close_image(&r);
	return err;
}
