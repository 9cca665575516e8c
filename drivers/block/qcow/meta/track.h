/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which parts of a disk have been written to.
 */
#ifndef _QCOW_META_TRACK_H
#define _QCOW_META_TRACK_H

#include <linux/types.h>

/**
 * struct qcow_track - the parts that have been written to and not been taken since
 * @bits: a part has 1 << @bits bytes
 * @nr: parts of the disk
 * @map: a bit for each; set by those that write, cleared by the one that takes it
 */
struct qcow_track {
	u32 bits;
	unsigned long nr;
	unsigned long map[];
};

/**
 * qcow_track_create() - nothing has been written to
 * @bytes: of the disk
 *
 * Parts of 4 KiB, or of so much that all takes 16 MiB of memory at most.
 *
 * Context: process context, may sleep.
 * Return: for qcow_track_destroy(), or NULL: no memory.
 */
struct qcow_track *qcow_track_create(u64 bytes);

/* The same with parts of 1 << @bits bytes, whatever memory that takes. */
struct qcow_track *qcow_track_create_parts(u64 bytes, u32 bits);
void qcow_track_destroy(struct qcow_track *track);

/* Bytes of memory that the parts of a disk take. */
u64 qcow_track_memory(u64 bytes, u32 bits);

/**
 * qcow_track_mark() - a range has been written to, whether or not that has failed
 * @track: of the disk
 * @guest: first byte
 * @len: bytes; 0: nothing
 *
 * Writes to memory only where that is news. Context: any.
 */
void qcow_track_mark(struct qcow_track *track, u64 guest, u64 len);

/**
 * qcow_track_take() - the next parts that have been written to
 * @track: of the disk
 * @guest: where to look from; result: first byte
 * @len: bytes at most, but for a part; result: bytes, which may lead beyond the disk
 *
 * What is read afterwards is what has been written, or it is marked again.
 *
 * Context: one caller at a time, any.
 * Return: whether there is one.
 */
bool qcow_track_take(struct qcow_track *track, u64 *guest, u64 *len);

/**
 * qcow_track_next() - the next parts that have been written to, which stay marked
 * @track: of the disk
 * @guest: where to look from; result: first byte
 * @len: result: bytes, up to the next part that has not, which may lead beyond the disk
 *
 * Context: any.
 * Return: whether there is one.
 */
bool qcow_track_next(const struct qcow_track *track, u64 *guest, u64 *len);

/* Nothing has been written to. What is marked meanwhile is marked or not. Context: any. */
void qcow_track_clear(struct qcow_track *track);

/* What @from has marked is marked in @track, too. Context: process context, may sleep. */
void qcow_track_merge(struct qcow_track *track, const struct qcow_track *from);

/*
 * Bits as bytes, the first one the lowest of the first byte: @len bytes of @track from @pos on, and
 * zeros behind its last bit. One caller at a time that sets them, before others mark. Context: any.
 */
void qcow_track_get(const struct qcow_track *track, size_t pos, u8 *buf, size_t len);
void qcow_track_set(struct qcow_track *track, size_t pos, const u8 *buf, size_t len);

/* Bytes of the parts that have been written to. Context: any. */
u64 qcow_track_bytes(const struct qcow_track *track);

#endif /* _QCOW_META_TRACK_H */
