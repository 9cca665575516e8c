/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a guest knows of its disk: which versions of each sector it has written, and which of
 * them it has been promised. Does no I/O.
 *
 * Versions of a sector count up from 0, what it held in the beginning. A version is either
 * a stamp, which names seed, sector and version, or zeros.
 */
#ifndef _QCOW_KUNIT_GUEST_MODEL_H
#define _QCOW_KUNIT_GUEST_MODEL_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/wait.h>

struct kunit;

/**
 * enum guest_write - what a sector is changed to
 * @GUEST_STAMP: to a stamp
 * @GUEST_ZERO: to zeros
 * @GUEST_HINT: to zeros, or not at all
 */
enum guest_write {
	GUEST_STAMP,
	GUEST_ZERO,
	GUEST_HINT,
};

/**
 * struct guest_model - a disk as its guest knows it
 * @seed: in every stamp
 * @nr: sectors
 * @issued: last version that was begun to be written, of each sector
 * @zero_end: the version behind the last one that is zeros; 0: none is
 * @acked: last version that has been written
 * @durable: last version that is known to be durable
 * @begin: all of these as they were in the beginning
 * @busy: a write of the sector is under way
 * @lock: protects @busy, and all versions while they are changed
 * @idle: woken when a sector is busy no more
 */
struct guest_model {
	u64 seed;
	u32 nr;
	u32 *issued;
	u32 *zero_end;
	u32 *acked;
	u32 *durable;
	u32 *begin;
	unsigned long *busy;
	struct mutex lock;	/* @busy and versions */
	wait_queue_head_t idle;
};

/* A disk of zeros that lives as long as @test. */
struct guest_model *guest_model_create(struct kunit *test, u32 nr, u64 seed);

/* The sectors held stamps of version 0 in the beginning, or zeros. */
void guest_model_begin(struct guest_model *m, u32 first, u32 nr, enum guest_write what);

/* That was the beginning; back to it. */
void guest_model_save(struct guest_model *m);
void guest_model_restart(struct guest_model *m);

/* Fill a sector with its stamp. */
void guest_stamp(const struct guest_model *m, void *buf, u32 sector, u32 version);

/* Have sectors for oneself, at most @nr from @first on, one at least. Return: how many. */
u32 guest_model_claim(struct guest_model *m, u32 first, u32 nr);
void guest_model_release(struct guest_model *m, u32 first, u32 nr);

/* A write to claimed sectors begins; stamps go to @buf. */
void guest_model_write(struct guest_model *m, u32 first, u32 nr, enum guest_write what,
		       void *buf);

/* It has ended well; @durable: and survives. */
void guest_model_written(struct guest_model *m, u32 first, u32 nr, enum guest_write what,
			 bool durable);

/* A flush begins: @promise, of @nr words, is what holds when it has ended well. */
void guest_model_flush(struct guest_model *m, u32 *promise);
void guest_model_flushed(struct guest_model *m, const u32 *promise);

/* What must be there if the power goes now, a word for each sector. */
void guest_model_durable(struct guest_model *m, u32 *least);

/**
 * guest_model_check() - whether sectors hold what they may hold
 * @m: the model
 * @least: of each sector of the disk, the version that must not be missing
 * @first: sector
 * @nr: sectors
 * @buf: what they hold
 * @text: filled with what is wrong
 * @size: of @text
 *
 * Return: 0 or -EUCLEAN.
 */
int guest_model_check(struct guest_model *m, const u32 *least, u32 first, u32 nr,
		      const void *buf, char *text, size_t size);

/* The disk came back from a power cut, with this on it: that is durable now. */
void guest_model_adopt(struct guest_model *m, const void *buf);

#endif /* _QCOW_KUNIT_GUEST_MODEL_H */
