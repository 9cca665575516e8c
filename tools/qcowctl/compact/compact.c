// SPDX-License-Identifier: GPL-2.0
/*
 * Opens an image, refuses what cannot be compacted before anything is written, makes pass after
 * pass, and gives the host the space that is free in the end.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <qcow/head.h>

#include "compact/internal.h"

/* Each gains something; that they gain little for long is not to be. */
#define MOST_PASSES	64

/* What file systems give space for. */
#define PAGE_BYTES	4096U

#define TYPE_NAME(type)	((type) == QCOW_COMPRESSION_ZSTD ? "zstd" : "zlib")

/**
 * struct compaction - an image being compacted
 * @chain: the image alone
 * @opts: as the user gave them
 * @guest: what comes before has been compressed
 * @before: of the file, before
 * @after: of the file, afterwards
 */
struct compaction {
	struct chain chain;
	struct compact_options *opts;
	u64 guest;
	struct stat before;
	struct stat after;
};

static struct image *image_of(struct compaction *cn)
{
	return &cn->chain.images[0];
}

/* What the header alone says. */
static int check_header(const struct image *img)
{
	char *name;

	if (img->h.version == 1) {
		name = qc_quote(img->name);
		qc_fail(0, img->name, "version 1 is not compacted");
		qc_hint("qemu-img convert -f qcow -O qcow2 %s NEW", name);
		free(name);
		return QC_UNSUPPORTED;
	}
	if (img->h.crypt_method != QCOW_CRYPT_NONE)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "is encrypted: its data cannot be moved, as their place is part of the key");
	return shadow_check_marks(img);
}

static int check_compress(const struct image *img, u32 type)
{
	const struct qcow_header *h = &img->h;

	if (h->incompatible & QCOW_INCOMPAT_DATA_FILE)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "has an external data file: that has no compressed clusters");
	if (!h->refcount_order)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "has counts of 1 bit: compressed clusters cannot share a cluster");
	if (type == h->compression_type)
		return 0;
	if (h->version < 3)
		return qc_fail(QC_UNSUPPORTED, img->name, "version %u has no compression type %s",
			       h->version, TYPE_NAME(type));
	if (h->length <= offsetof(struct qcow_disk_header, compression_type))
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "its header of %u bytes has no room for the compression type %s",
			       h->length, TYPE_NAME(type));
	return 0;
}

static int open_image(struct compaction *cn, const char *name)
{
	const struct chain_options chain = {
		.write = true, .lock = IMAGE_LOCK_WRITE, .top_only = true, .no_data = true,
	};
	int err = chain_open(&cn->chain, name, &chain);

	if (!err)
		err = check_header(image_of(cn));
	if (!err && cn->opts->compress)
		err = check_compress(image_of(cn), cn->opts->type);
	if (!err)
		cn->before = image_of(cn)->st;
	return err;
}

/* What an earlier pass has changed is read again. */
static int reopen_image(struct compaction *cn)
{
	struct image *img = image_of(cn);

	if (image_stat(img->fd, img->name, &img->st, &img->bytes))
		return QC_SYSTEM;
	free(img->head);
	img->head = NULL;
	return image_read_header(img);
}

static int begin_pass(struct compaction *cn, struct pass *p)
{
	int err;

	*p = (struct pass){
		.s.c = { .img = image_of(cn), .quiet = true }, .opts = cn->opts,
		.s.pack = true, .s.pack_from = U64_MAX,
	};
	err = reopen_image(cn);
	if (err)
		return err;
	p->s.h = p->s.c.img->h;
	p->type = p->s.h.compression_type;
	err = shadow_check(&p->s);
	return err ? err : survey_make(p);
}

static void end_pass(struct pass *p)
{
	plan_free(p);
	survey_free(p);
	space_destroy(&p->s);
	check_reset(&p->s.c);
}

/* Clusters that nothing refers to and that have a count. Return: how many. */
static u64 drop_leaks(struct pass *p)
{
	struct check *c = &p->s.c;
	struct check_counts *next = &p->s.next;
	u64 nr = 0, block, idx, end;

	for (block = 0; block < next->nr_blocks; block++) {
		if (!next->used[block])
			continue;
		end = (block + 1) << c->block_bits;
		for (idx = block << c->block_bits; idx < end; idx++) {
			u64 refs = check_counts_get(c, &c->refs, idx);

			if (check_counts_get(c, next, idx) == refs)
				continue;
			space_set(&p->s, idx, refs);
			nr++;
		}
	}
	return nr;
}

/* What the new header has, in all steps to it. @heads: after shadow_read_heads(). */
static int plan_heads(struct pass *p, struct qcow_head *heads, unsigned int *nr)
{
	const struct qcow_header *h = &p->s.h;
	unsigned int i;

	QC_REPORT(rep);
	*nr = 2;
	memcpy(heads[1].buf, heads[0].buf, heads[0].bytes);
	heads[1].h = heads[0].h;
	if (p->dir.host_offset != p->survey.dir.host_offset &&
	    qcow_bitmaps_plan(heads, &p->dir, nr, &rep)) {
		qc_lines(p->s.c.img->name, rep.buf);
		return QC_UNSUPPORTED;
	}
	for (i = 1; i < *nr; i++) {
		struct qcow_disk_header *disk = (void *)heads[i].buf;
		struct qcow_header *new = &heads[i].h;

		new->l1_offset = h->l1_offset;
		new->snapshots_offset = h->snapshots_offset;
		new->refcount_table_offset = h->refcount_table_offset;
		new->refcount_table_clusters = h->refcount_table_clusters;
		new->incompatible = h->incompatible;
		/* A program that writes to an image clears those that it does not know. */
		new->autoclear &= QCOW_AUTOCLEAR_BITMAPS | QCOW_AUTOCLEAR_RAW_DATA_FILE;
		qcow_header_put(new, disk);
		if (p->type != h->compression_type)
			disk->compression_type = p->type;
	}
	return 0;
}

static void set_type(struct pass *p)
{
	if (p->type == QCOW_COMPRESSION_ZLIB)
		p->s.h.incompatible &= ~QCOW_INCOMPAT_COMPRESSION;
	else
		p->s.h.incompatible |= QCOW_INCOMPAT_COMPRESSION;
}

/* Of what has been written; with @heads of the old state. */
static int make_valid(struct pass *p, struct qcow_head *heads)
{
	unsigned int nr, i;
	int err;

	set_type(p);
	err = plan_heads(p, heads, &nr);
	if (!err)
		err = shadow_sync(&p->s, "what has moved");
	if (err) {
		space_release(&p->s, false);
		return err;
	}
	for (i = 1; !err && i < nr; i++)
		err = shadow_write_head(&p->s, &heads[i - 1], &heads[i], "mapping");
	return err ? err : shadow_release(&p->s);
}

/* @err: of what has written the new state, which has all but its counts. */
static int finish(struct pass *p, int err)
{
	struct qcow_head heads[QCOW_MAX_HEADS] = { 0 };

	if (!err)
		err = space_write(&p->s);
	if (!err)
		err = shadow_read_heads(&p->s, heads);
	if (err)
		space_release(&p->s, false);
	else
		err = make_valid(p, heads);
	free(heads[0].buf);
	return err;
}

static int choose_type(struct compaction *cn, struct pass *p)
{
	u32 old = p->type;

	p->type = cn->opts->type;
	if (p->type == old || !p->survey.compressed)
		return 0;
	return qc_fail(QC_UNSUPPORTED, p->s.c.img->name,
		       "has clusters that are compressed with %s, and none can be with %s",
		       TYPE_NAME(old), TYPE_NAME(p->type));
}

static int compress_pass(struct compaction *cn, struct pass *p, bool *goes_on)
{
	bool changed = false;
	int err = begin_pass(cn, p);

	if (!err)
		err = choose_type(cn, p);
	if (err)
		return err;
	p->dir = p->survey.dir;
	err = space_create(&p->s);
	if (!err)
		err = compress_some(p, &cn->guest, &changed);
	if (err || changed)
		err = finish(p, err);
	*goes_on = cn->guest < p->s.c.g.size;
	return err;
}

/* Tables are written cluster by cluster, and most of one may be zeros: what is has no space. */
static int thin_table(struct pass *p, u64 idx, unsigned char *buf)
{
	u64 bytes = check_cluster_bytes(&p->s.c), host = idx << p->s.c.g.cluster_bits, at, from;
	const struct image *img = p->s.c.img;
	int err = 0;

	if (host + bytes > img->bytes || check_read(&p->s.c, buf, bytes, host))
		return -EIO;
	for (at = 0; !err && at < bytes; at += PAGE_BYTES) {
		for (from = at; at < bytes && qc_is_zero(buf + at, PAGE_BYTES); at += PAGE_BYTES)
			;
		if (at > from)
			err = image_punch(img->fd, host + from, at - from) ? 0 : -EIO;
	}
	return err;
}

static int thin_tables(struct pass *p)
{
	unsigned char *buf = check_alloc(1, check_cluster_bytes(&p->s.c));
	const struct survey *v = &p->survey;
	int err = 0;
	u64 idx;

	for (idx = 1; !err && idx < v->end; idx++)
		if (v->flags[idx] & (CLUSTER_TABLE | CLUSTER_FIXED))
			err = thin_table(p, idx, buf);
	free(buf);
	return err;
}

static int free_clusters(struct pass *p)
{
	const struct survey *v = &p->survey;
	u32 bits = p->s.c.g.cluster_bits;
	u64 idx, first;
	int err = 0;

	for (idx = 0; !err && idx < v->end; idx++) {
		for (first = idx; idx < v->end && v->flags[idx] & CLUSTER_FREE; idx++)
			;
		if (idx > first)
			err = image_punch(p->s.c.img->fd, first << bits, (idx - first) << bits) ?
			      0 : -EIO;
	}
	return err;
}

/*
 * Nothing more moves: the file ends behind the last cluster in use, and has holes where nothing is.
 * A file system that cannot do it keeps the space.
 */
static int release(struct pass *p)
{
	const struct image *img = p->s.c.img;
	u64 end = p->survey.end << p->s.c.g.cluster_bits;
	int err = 0;

	if (!S_ISREG(img->st.st_mode))
		return 0;
	if (end < img->bytes)
		err = ftruncate(img->fd, end);
	if (!err)
		err = free_clusters(p);
	if (!err && check_cluster_bytes(&p->s.c) > PAGE_BYTES)
		(void)thin_tables(p);
	return shadow_sync(&p->s, "what was freed");
}

/* Without one that gains something, what is leaked may be left to do. */
static int move_pass(struct compaction *cn, struct pass *p, bool *goes_on)
{
	u64 leaks;
	int err = begin_pass(cn, p);

	if (err)
		return err;
	*goes_on = plan_make(p);
	if (*goes_on)
		p->s.pack_from = p->plan.target << p->s.c.g.cluster_bits;
	else
		p->plan.nr = 0;
	err = space_create(&p->s);
	if (err)
		return err;
	leaks = drop_leaks(p);
	if (!*goes_on && !leaks)
		return release(p);
	*goes_on = true;
	return finish(p, move_all(p));
}

static int make_passes(struct compaction *cn, int (*make)(struct compaction *cn, struct pass *p,
							  bool *goes_on))
{
	bool goes_on = true;
	unsigned int i;
	int err = 0;

	for (i = 0; !err && goes_on && i < MOST_PASSES; i++) {
		struct pass p;

		err = make(cn, &p, &goes_on);
		end_pass(&p);
	}
	return err;
}

void compact_print(const char *name, const struct stat *old, const struct stat *new)
{
	u64 had = old->st_blocks * 512ULL, has = new->st_blocks * 512ULL;

	printf("%s: %llu bytes given back: %llu long, %llu allocated; before %llu and %llu\n",
	       name, had > has ? had - has : 0, (u64)new->st_size, has,
	       (u64)old->st_size, had);
}

static int compact(struct compaction *cn, const char *name)
{
	int err = open_image(cn, name);
	u64 bytes;

	if (!err && cn->opts->compress)
		err = make_passes(cn, compress_pass);
	if (!err)
		err = make_passes(cn, move_pass);
	if (!err)
		err = image_stat(image_of(cn)->fd, name, &cn->after, &bytes);
	if (!err && compact_prints(cn->opts))
		compact_print(name, &cn->before, &cn->after);
	return err;
}

int compact_image(const char *name, struct compact_options *opts)
{
	struct compaction cn = { .opts = opts };
	int err;

	/* A limit of the file's length is an error as a full disk is. */
	signal(SIGXFSZ, SIG_IGN);
	err = compact(&cn, name);
	chain_close(&cn.chain);
	return err;
}
