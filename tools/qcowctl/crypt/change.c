// SPDX-License-Identifier: GPL-2.0
/*
 * Changes key slots in place.
 *
 * To fill one: its key material is made durable, then its salt and iterations while it is still
 * inactive, then it is made active by a write of four bytes in one sector. To erase one: it is made
 * inactive likewise, and only then, in any order, its key material is overwritten and its salt
 * forgotten. So a power cut leaves every slot that was to stay as it was, and each other one either
 * whole or inactive. Key material that a cut has left goes when the slot is erased once more.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <gcrypt.h>

#include "crypt/crypt.h"
#include "crypt/keyslots.h"
#include "shadow/shadow.h"

/**
 * struct change - key slots being changed
 * @s: the image, for its check and its header
 * @chain: the image alone
 * @k: its LUKS header, as it is to be
 * @job: what to do
 * @old: the passphrase of a slot
 * @key: the volume key
 * @opened: the slot that it came from
 * @free: the slot that is to be filled
 */
struct change {
	struct shadow s;
	struct chain chain;
	struct keyslots k;
	const struct key_job *job;
	struct passphrase old;
	u8 *key;
	unsigned int opened;
	unsigned int free;
};

static const struct image *image_of(const struct change *ch)
{
	return &ch->chain.images[0];
}

static int write_durably(struct change *ch, const void *buf, size_t bytes, u64 offset)
{
	int err = image_pwrite(image_of(ch)->fd, buf, bytes, ch->k.place.host_offset + offset);

	if (err)
		return qc_fail_errno(QC_SYSTEM, -err, ch->k.name, "cannot write its key slots");
	return shadow_sync(&ch->s, "its key slots");
}

static int write_header(struct change *ch)
{
	struct qcow_disk_luks disk;

	qcow_luks_put(&ch->k.luks, &disk);
	return write_durably(ch, &disk, sizeof(disk), 0);
}

static int write_material(struct change *ch, unsigned int nr, const u8 *material)
{
	return write_durably(ch, material, qcow_luks_material_bytes(&ch->k.luks),
			     ch->k.luks.slots[nr].key_offset);
}

static int find_free(struct change *ch)
{
	const struct qcow_luks_slot *slots = ch->k.luks.slots;

	if (ch->job->slot != KEY_SLOT_ANY) {
		ch->free = ch->job->slot;
		if (!slots[ch->free].active)
			return 0;
		return qc_fail(QC_USAGE, ch->k.name, "key slot %u has a key already", ch->free);
	}
	for (ch->free = 0; ch->free < QCOW_LUKS_SLOTS; ch->free++)
		if (!slots[ch->free].active)
			return 0;
	qc_fail(0, ch->k.name, "all of its %u key slots have a key", QCOW_LUKS_SLOTS);
	qc_hint("qcowctl key erase");
	return QC_NOT_FOUND;
}

static int fill(struct change *ch, unsigned int nr, const struct passphrase *p)
{
	u8 *material = secret_alloc(qcow_luks_material_bytes(&ch->k.luks));
	int err = keyslots_fill(&ch->k, nr, p, ch->key, ch->job->iter_msec, material);

	if (!err)
		err = write_material(ch, nr, material);
	secret_free(material);
	if (!err)
		err = write_header(ch);
	if (err)
		return err;
	ch->k.luks.slots[nr].active = true;
	return write_header(ch);
}

static int wipe(struct change *ch, unsigned int nr)
{
	struct qcow_luks_slot *slot = &ch->k.luks.slots[nr];
	size_t bytes = qcow_luks_material_bytes(&ch->k.luks);
	u8 *material = qc_alloc(bytes);
	int err;

	gcry_randomize(material, bytes, GCRY_STRONG_RANDOM);
	err = write_material(ch, nr, material);
	free(material);
	slot->iterations = 0;
	memset(slot->salt, 0, sizeof(slot->salt));
	return err;
}

/* @slots: a bit for each that goes. */
static int erase(struct change *ch, unsigned int slots)
{
	unsigned int nr;
	int err;

	for (nr = 0; nr < QCOW_LUKS_SLOTS; nr++)
		if (slots & BIT_ULL(nr))
			ch->k.luks.slots[nr].active = false;
	err = write_header(ch);
	for (nr = 0; !err && nr < QCOW_LUKS_SLOTS; nr++)
		if (slots & BIT_ULL(nr))
			err = wipe(ch, nr);
	return err ? err : write_header(ch);
}

static int add(struct change *ch)
{
	const struct key_job *job = ch->job;
	struct passphrase new;
	int err = passphrase_read_new(&new, job->new_key_file, ch->k.name);

	if (!err)
		err = fill(ch, ch->free, &new);
	passphrase_free(&new);
	if (!err && job->verb == KEY_CHANGE)
		err = erase(ch, BIT_ULL(ch->opened));
	return err;
}

/* That a slot is left which somebody has a passphrase for. */
static int check_left(const struct change *ch, unsigned int slots)
{
	unsigned int nr;

	if (ch->job->force)
		return 0;
	for (nr = 0; nr < QCOW_LUKS_SLOTS; nr++)
		if (ch->k.luks.slots[nr].active && !(slots & BIT_ULL(nr)))
			return 0;
	qc_fail(0, ch->k.name, "no key slot would be left, and nothing could be read any more");
	qc_hint("--force");
	return QC_USAGE;
}

/* All that the passphrase opens. */
static int find_opened(struct change *ch, unsigned int *slots)
{
	unsigned int nr;
	int err;

	*slots = BIT_ULL(ch->opened);
	for (nr = ch->opened + 1; nr < QCOW_LUKS_SLOTS; nr++) {
		if (!ch->k.luks.slots[nr].active)
			continue;
		err = keyslots_open(&ch->k, image_of(ch), nr, &ch->old, ch->key);
		if (err && err != QC_WRONG_KEY)
			return err;
		if (!err)
			*slots |= BIT_ULL(nr);
	}
	return 0;
}

static int erase_some(struct change *ch)
{
	unsigned int slots = ch->job->slot < 0 ? 0 : BIT_ULL(ch->job->slot);
	int err = slots ? 0 : find_opened(ch, &slots);

	if (!err)
		err = check_left(ch, slots);
	return err ? err : erase(ch, slots);
}

/* With a slot that is named, the passphrase is that of another one: it is what is left. */
static int open_volume(struct change *ch)
{
	const struct key_job *job = ch->job;
	bool named = job->verb == KEY_ERASE && job->slot != KEY_SLOT_ANY;
	struct keyslots others = ch->k;
	int err;

	if (named && job->force)
		return 0;
	if (named)
		others.luks.slots[job->slot].active = false;
	if (named && !keyslots_nr_active(&others))
		return check_left(ch, BIT_ULL(job->slot));
	err = passphrase_read(&ch->old, job->key_file, ch->k.name);
	if (err)
		return err;
	ch->key = secret_alloc(ch->k.luks.key_bytes);
	return keyslots_open_any(&others, image_of(ch), &ch->old, ch->key, &ch->opened);
}

static int open_image(struct change *ch, const char *name)
{
	const struct chain_options opts = {
		.write = true, .lock = IMAGE_LOCK_WRITE, .top_only = true, .no_data = true,
	};
	int err = chain_open(&ch->chain, name, &opts);

	if (err)
		return err;
	ch->s.c.img = &ch->chain.images[0];
	ch->s.h = ch->s.c.img->h;
	err = keyslots_read(&ch->k, ch->s.c.img);
	if (!err)
		err = shadow_check_marks(ch->s.c.img);
	return err ? err : shadow_check(&ch->s);
}

/* A program that writes to an image clears the autoclear bits that it does not know. */
static int clear_autoclear(struct change *ch)
{
	u64 known = QCOW_AUTOCLEAR_BITMAPS | QCOW_AUTOCLEAR_RAW_DATA_FILE;

	if (!(ch->s.h.autoclear & ~known))
		return 0;
	ch->s.h.autoclear &= known;
	return shadow_switch(&ch->s, "feature bits");
}

static int change(struct change *ch, const char *name)
{
	int err = open_image(ch, name);

	if (!err && ch->job->verb != KEY_ERASE)
		err = find_free(ch);
	if (!err)
		err = open_volume(ch);
	if (!err)
		err = clear_autoclear(ch);
	if (err)
		return err;
	return ch->job->verb == KEY_ERASE ? erase_some(ch) : add(ch);
}

int key_change(const char *image, const struct key_job *job)
{
	struct change ch = { .s.c.quiet = true, .job = job };
	int err;

	/* A limit of the file's length is an error as a full disk is. */
	signal(SIGXFSZ, SIG_IGN);
	err = change(&ch, image);
	secret_free(ch.key);
	passphrase_free(&ch.old);
	space_destroy(&ch.s);
	check_reset(&ch.s.c);
	chain_close(&ch.chain);
	return err;
}
