/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rare events made frequent, for tests: what a loaded machine does once a day, a module that
 * is built with QCOW_INJECT=1 does all the time. In any other build there is nothing of it.
 *
 * Everything that is injected may happen by itself, too; what comes of it must be right.
 */
#ifndef _QCOW_INJECT_H
#define _QCOW_INJECT_H

#include <linux/types.h>

/**
 * enum qcow_inject - what is injected
 * @QCOW_INJECT_AGAIN: the file system would have to wait
 * @QCOW_INJECT_SHORT: it transfers a part of what it was asked for
 * @QCOW_INJECT_MISS: a look-up that must not wait misses
 * @QCOW_INJECT_NOMEM: there is no memory without waiting for it, or no room in a cache
 * @QCOW_INJECT_PAUSE: a task that may sleep goes on later
 * @QCOW_INJECT_STALL: one that may not takes its time
 * @QCOW_INJECT_KINDS: how many there are
 */
enum qcow_inject {
	QCOW_INJECT_AGAIN,
	QCOW_INJECT_SHORT,
	QCOW_INJECT_MISS,
	QCOW_INJECT_NOMEM,
	QCOW_INJECT_PAUSE,
	QCOW_INJECT_STALL,
	QCOW_INJECT_KINDS,
};

#ifdef QCOW_INJECT

/**
 * qcow_inject() - whether something rare happens now
 * @kind: what
 *
 * Context: any.
 * Return: as the module parameters have it, at random, from a seed.
 */
bool qcow_inject(enum qcow_inject kind);

/**
 * qcow_inject_short() - how much of a transfer takes place
 * @len: bytes that are wanted, not 0
 * @align: of the store, a power of two
 *
 * Return: @len, or fewer bytes, a multiple of @align, at least that.
 */
size_t qcow_inject_short(size_t len, u32 align);

/* Perhaps sleep, some milliseconds at most. Context: process context, may sleep. */
void qcow_inject_pause(void);

/* Perhaps spin, some tens of microseconds at most. Context: any. */
void qcow_inject_stall(void);

/* The limit of a cache, which knows its own minimum: nothing, instead of @bytes. */
static inline u64 qcow_inject_limit(u64 bytes)
{
	return 0;
}

#else

static inline bool qcow_inject(enum qcow_inject kind)
{
	return false;
}

static inline size_t qcow_inject_short(size_t len, u32 align)
{
	return len;
}

static inline void qcow_inject_pause(void) {}
static inline void qcow_inject_stall(void) {}

static inline u64 qcow_inject_limit(u64 bytes)
{
	return bytes;
}

#endif

#endif /* _QCOW_INJECT_H */
