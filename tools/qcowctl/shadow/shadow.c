// SPDX-License-Identifier: GPL-2.0
/*
 * What every change of an image begins and ends with, and reference counts that change.
 */
#include <errno.h>
#include <unistd.h>

#include <qcow/head.h>

#include "shadow/shadow.h"

void shadow_hint_check(const struct image *img)
{
	char *name = qc_quote(img->name);

	qc_hint("qcowctl check -r all %s", name);
	free(name);
}

int shadow_check_marks(const struct image *img)
{
	u64 bits = img->h.incompatible;

	if (!(bits & (QCOW_INCOMPAT_DIRTY | QCOW_INCOMPAT_CORRUPT)))
		return 0;
	qc_fail(0, img->name, "is marked %s, not changed",
		bits & QCOW_INCOMPAT_CORRUPT ? "corrupt" : "dirty");
	shadow_hint_check(img);
	return QC_BAD_IMAGE;
}

int shadow_check(struct shadow *s)
{
	struct check *c = &s->c;
	const struct image *img = c->img;
	int err;

	check_set_up(c);
	err = img->h.version == 1 ? check_v1(c) : check_run(c);
	if (err || c->res.errors)
		return QC_SYSTEM;
	if (!c->res.corruptions && !c->beyond)
		return 0;
	if (c->res.corruptions)
		qc_fail(0, img->name, "is corrupt in %llu places, not changed",
			c->res.corruptions);
	else
		qc_fail(0, img->name, "ends at 0x%llx, a table at 0x%llx; not changed", img->bytes,
			c->beyond);
	shadow_hint_check(img);
	return QC_BAD_IMAGE;
}

int shadow_count_add(struct shadow *s, u64 cluster_idx, s64 times)
{
	const char *name = s->c.img->name;
	u64 most = qcow_refcount_max(s->c.order);
	u64 count = check_counts_get(&s->c, &s->next, cluster_idx);

	/* The check has met both: somebody writes to the image in spite of the lock. */
	if (cluster_idx >> s->c.block_bits >= s->next.nr_blocks ||
	    (times < 0 && count < (u64)-times))
		return qc_fail(QC_BAD_IMAGE, name,
			       "cluster %llu: its references have changed meanwhile", cluster_idx);
	if (times > 0 && most - count < (u64)times)
		return qc_fail(QC_UNSUPPORTED, name,
			       "cluster %llu would have %llu references, a count of %u bits holds %llu",
			       cluster_idx, count + times, 1U << s->c.order, most);
	if (times)
		space_set(s, cluster_idx, count + times);
	return 0;
}

int shadow_count_range(struct shadow *s, u64 host_offset, u64 bytes, s64 times)
{
	u64 idx = host_offset >> s->c.g.cluster_bits;
	u64 last = (host_offset + bytes - 1) >> s->c.g.cluster_bits;
	int err = 0;

	for (; bytes && !err && idx <= last; idx++)
		err = shadow_count_add(s, idx, times);
	return err;
}

int shadow_write_table(struct shadow *s, const void *table, u64 bytes, u64 host_offset)
{
	u64 room = shadow_clusters(s, bytes) << s->c.g.cluster_bits;
	unsigned char *buf = check_alloc(room, 1);
	int err;

	memcpy(buf, table, bytes);
	err = check_write(&s->c, buf, room, host_offset) ? QC_SYSTEM : 0;
	free(buf);
	return err;
}

int shadow_write_new(struct shadow *s, const void *table, u64 bytes, u64 *host_offset)
{
	int err;

	if (!bytes)
		return 0;
	err = space_take(s, shadow_clusters(s, bytes), host_offset);
	return err ? err : shadow_write_table(s, table, bytes, *host_offset);
}

int shadow_sync(struct shadow *s, const char *what)
{
	const struct image *img = s->c.img;

	if (!fsync(img->fd))
		return 0;
	return qc_fail_errno(QC_SYSTEM, errno, img->name, "cannot make %s durable", what);
}

static size_t put_header(const struct qcow_header *h, void *buf)
{
	struct qcow_v1_disk_header *disk = buf;

	if (h->version == 1) {
		disk->size = cpu_to_be64(h->size);
		disk->l1_offset = cpu_to_be64(h->l1_offset);
		return sizeof(*disk);
	}
	qcow_header_put(h, buf);
	return h->version == 2 ? QCOW_V2_HEADER_BYTES : QCOW_V3_HEADER_BYTES;
}

int shadow_write_header(struct shadow *s, const void *head, size_t len, const char *what)
{
	int err = check_write(&s->c, head, len, 0) ? QC_SYSTEM : 0;

	if (!err)
		err = shadow_sync(s, "the header");
	if (err)
		qc_fail(0, s->c.img->name, "has the %s of before or of afterwards", what);
	return err;
}

int shadow_switch(struct shadow *s, const char *what)
{
	unsigned char *head = s->c.img->head;

	return shadow_write_header(s, head, put_header(&s->h, head), what);
}

int shadow_release(struct shadow *s)
{
	space_release(s, true);
	return shadow_sync(s, "what was freed");
}

int shadow_switch_contents(struct shadow *s, const char *what)
{
	int err;

	/* A program that writes to an image clears the autoclear bits that it does not know. */
	s->h.autoclear &= QCOW_AUTOCLEAR_BITMAPS | QCOW_AUTOCLEAR_RAW_DATA_FILE;
	err = shadow_switch(s, what);
	return err || s->h.version == 1 ? err : shadow_release(s);
}

int shadow_read_heads(struct shadow *s, struct qcow_head *heads)
{
	size_t bytes = check_cluster_bytes(&s->c), i;
	unsigned char *buf = qc_alloc(QCOW_MAX_HEADS * bytes);

	for (i = 0; i < QCOW_MAX_HEADS; i++)
		heads[i] = (struct qcow_head){ .buf = buf + i * bytes, .bytes = bytes };
	heads[0].h = s->c.img->h;
	return check_read(&s->c, buf, bytes, 0) ? QC_SYSTEM : 0;
}

int shadow_write_head(struct shadow *s, const struct qcow_head *old, const struct qcow_head *new,
		      const char *what)
{
	size_t from, len;
	int err = 0;

	if (!memcmp(old->buf, new->buf, old->bytes))
		return 0;
	len = qcow_head_behind(old, new, &from);
	if (len)
		err = check_write(&s->c, new->buf + from, len, from) ? QC_SYSTEM :
			shadow_sync(s, "the end of the header");
	return err ? err : shadow_write_header(s, new->buf, QCOW_HEAD_SWITCH_BYTES, what);
}
