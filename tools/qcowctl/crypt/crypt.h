/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The key slots of an encrypted image, and what is in them.
 */
#ifndef QCOWCTL_CRYPT_H
#define QCOWCTL_CRYPT_H

#include <stdbool.h>

#include <qcow/types.h>

/* As in QEMU. */
#define CRYPT_ITER_MSEC		2000

/**
 * enum key_verb - what becomes of the key slots
 * @KEY_ADD: another one is filled
 * @KEY_CHANGE: the same, and the one whose passphrase is given is erased then
 * @KEY_ERASE: those that the passphrase opens are erased
 */
enum key_verb {
	KEY_ADD,
	KEY_CHANGE,
	KEY_ERASE,
};

#define KEY_SLOT_ANY		-1

/**
 * struct key_job - a change of key slots
 * @verb: what it is
 * @slot: number of the slot that is filled or erased, or KEY_SLOT_ANY: a free one, or those that
 *        the passphrase opens
 * @key_file: where the passphrase is from, as passphrase_read()
 * @new_key_file: that of the new slot, likewise
 * @iter_msec: how long opening the new slot is to take
 * @force: of KEY_ERASE: no slot has to be left, and with @slot no passphrase is asked for
 */
struct key_job {
	enum key_verb verb;
	int slot;
	const char *key_file;
	const char *new_key_file;
	u32 iter_msec;
	bool force;
};

/**
 * key_change() - change the key slots of an image
 * @image: name of the image; no policy restricts it
 * @job: what to do
 *
 * The image is checked first. Whenever the power fails, a slot that was to stay opens. May block.
 *
 * Return: enum qc_exit; QC_WRONG_KEY: the passphrase opens no slot; QC_NOT_FOUND: no free slot, or
 * no key in the one that is named.
 */
int key_change(const char *image, const struct key_job *job);

/**
 * key_list() - print the key slots of an image to stdout
 * @image: name of the image; no policy restricts it
 * @json: as JSON, with the keys of qemu-img info
 *
 * Return: enum qc_exit.
 */
int key_list(const char *image, bool json);

/**
 * key_export() - write the volume key of an image to a file
 * @image: name of the image; no policy restricts it
 * @key_file: where the passphrase is from, as passphrase_read()
 * @file: a new file, which only its owner can read; "-": standard output
 *
 * May block. Return: as passphrase_read() and volume_key_open(); QC_UNSUPPORTED: it is not
 * encrypted; QC_USAGE: there is such a file; QC_SYSTEM.
 */
int key_export(const char *image, const char *key_file, const char *file);

#endif /* QCOWCTL_CRYPT_H */
