// SPDX-License-Identifier: GPL-2.0
/*
 * Creates, applies and deletes a snapshot: opens and checks the image, refuses what cannot be
 * done before anything is written, writes the new state beside the old one, makes it valid.
 */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include <qcow/bitmap.h>

#include "snapshot/internal.h"

/* QEMU shows no more of a name. */
#define MAX_NAME 255

/* What the header alone says. */
static int check_header(const struct change *ch)
{
	const struct qcow_header *h = &ch->img.h;

	if (h->version == 1)
		return qc_fail(QC_UNSUPPORTED, ch->img.name, "version 1 has no snapshots");
	if (h->incompatible & QCOW_INCOMPAT_DATA_FILE)
		return qc_fail(QC_UNSUPPORTED, ch->img.name,
			       "has an external data file: there are no snapshots of that");
	return shadow_check_marks(&ch->img);
}

static int open_image(struct change *ch, const char *name)
{
	int err = policy_open_named(&ch->img, name, true);

	if (!err)
		err = lock_file(ch->img.fd, name, IMAGE_LOCK_WRITE);
	if (!err)
		err = image_read_header(&ch->img);
	if (!err && ch->img.raw)
		err = qc_fail(QC_NOT_QCOW, name, "is no QCOW image");
	if (!err)
		err = check_header(ch);
	if (err)
		return err;
	ch->s.h = ch->img.h;
	/* A program that writes to an image clears the autoclear bits that it does not know. */
	ch->s.h.autoclear &= QCOW_AUTOCLEAR_BITMAPS;
	return 0;
}

static int plan_create(struct change *ch, const char *name)
{
	struct qcow_snapshot *new = &ch->created;
	struct timespec now;
	char *id;
	int err;

	if (strlen(name) > MAX_NAME)
		return qc_fail(QC_USAGE, "-c", "the name has %zu bytes, at most %d are possible",
			       strlen(name), MAX_NAME);
	err = snapshots_new_id(&ch->img, &ch->snaps, &id);
	if (err)
		return err;
	clock_gettime(CLOCK_REALTIME, &now);
	new->l1_offset = ch->img.h.l1_offset;
	new->l1_entries = ch->img.h.l1_entries;
	new->disk_bytes = ch->s.c.g.size;
	new->date_sec = now.tv_sec;
	new->date_nsec = now.tv_nsec;
	new->id = id;
	new->id_len = strlen(new->id);
	new->name = name;
	new->name_len = strlen(name);
	ch->s.h.nr_snapshots++;
	return 0;
}

/* Bitmaps say what has changed since some time, of a disk of this size. */
static int refuse_bitmaps(const struct change *ch)
{
	struct qcow_bitmaps_dir dir;
	int err;

	QC_REPORT(rep);
	if (!(ch->s.h.autoclear & QCOW_AUTOCLEAR_BITMAPS))
		return 0;
	err = qcow_bitmaps_find_dir(&ch->img.h, ch->img.head, ch->img.head_len, ch->img.bytes,
				    &dir, &rep);
	if (err) {
		qc_lines(ch->img.name, rep.buf);
		return image_exit_code(err);
	}
	if (!dir.nr)
		return 0;
	return qc_fail(QC_UNSUPPORTED, ch->img.name,
		       "has %u bitmaps, which would not fit what is applied", dir.nr);
}

/* With another size of the image, a snapshot without a size of its own would get that. */
static int refuse_unsized(const struct change *ch)
{
	int err = 0;
	u32 i;

	QC_REPORT(rep);
	for (i = 0; i < ch->snaps.nr && !err; i++)
		err = qcow_snapshot_check_resize(&ch->snaps.list[i].s, i, &rep);
	if (err)
		qc_lines(ch->img.name, rep.buf);
	return image_exit_code(err);
}

static int plan_apply(struct change *ch)
{
	const struct qcow_snapshot *s = &change_picked(ch)->s;
	struct qcow_geometry g;
	int err = refuse_bitmaps(ch);

	if (err)
		return err;
	if (s->disk_bytes != ch->s.c.g.size) {
		err = refuse_unsized(ch);
		if (err)
			return err;
		ch->s.h.size = s->disk_bytes;
	}
	qcow_header_geometry(&ch->s.h, ch->img.bytes, &g);
	ch->s.h.l1_entries = max_t(u64, s->l1_entries, qcow_l1_needed(&g));
	return 0;
}

static int plan(struct change *ch, const char *what)
{
	int err = snapshots_read(&ch->img, &ch->snaps);

	if (err)
		return err;
	if (ch->verb == SNAPSHOT_CREATE)
		return plan_create(ch, what);
	/* As qemu-img, but that finds no id for a delete. */
	err = snapshots_lookup(&ch->img, &ch->snaps, what,
			       ch->verb == SNAPSHOT_DELETE ? SNAPSHOT_NAME : SNAPSHOT_ID,
			       &ch->picked);
	if (err)
		return err;
	if (ch->verb == SNAPSHOT_APPLY)
		return plan_apply(ch);
	ch->s.h.nr_snapshots--;
	return 0;
}

/* The new state, without the counts of it. */
static int write_tables(struct change *ch)
{
	int err = table_write_l2(ch);

	if (!err)
		err = table_write_l1(ch);
	if (!err && ch->verb != SNAPSHOT_APPLY)
		err = table_write_snapshots(ch);
	if (!err && ch->verb == SNAPSHOT_DELETE)
		err = shadow_count_range(&ch->s, change_picked(ch)->s.l1_offset,
					 change_picked(ch)->s.l1_entries * sizeof(__be64), -1);
	return err;
}

/* Before the switch, an error leaves the image as it was. */
static int write_state(struct change *ch)
{
	int err = space_create(&ch->s);

	if (!err)
		err = count_uses(ch);
	if (!err)
		err = count_changes(ch);
	progress_begin(&ch->s.c.progress, "writing");
	if (!err)
		err = write_tables(ch);
	if (!err)
		err = space_write(&ch->s);
	if (!err)
		err = shadow_sync(&ch->s, "the new tables");
	progress_clear(&ch->s.c.progress);
	return err;
}

static int change(struct change *ch, const char *name, const char *what)
{
	int err = open_image(ch, name);

	if (!err)
		err = shadow_check(&ch->s);
	if (!err)
		err = plan(ch, what);
	if (err)
		return err;
	err = write_state(ch);
	if (err) {
		space_release(&ch->s, false);
		return err;
	}
	err = shadow_switch(&ch->s, "snapshots");
	return err ? err : shadow_release(&ch->s);
}

int snapshot_change(const char *name, enum snapshot_verb verb, const char *what)
{
	struct change ch = {
		.verb = verb,
		.s.c = {
			.quiet = true,
			.progress.form = PROGRESS_AUTO,
		},
	};
	int err;

	/* A limit of the file's length is an error as a full disk is. */
	signal(SIGXFSZ, SIG_IGN);
	image_init(&ch.img);
	ch.s.c.img = &ch.img;
	err = change(&ch, name, what);
	free((char *)ch.created.id);
	free(ch.use);
	snapshots_free(&ch.snaps);
	space_destroy(&ch.s);
	check_close(&ch.s.c);
	return err;
}
