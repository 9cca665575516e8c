/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rare events made frequent, for tests: what a loaded machine does once a day, a module that
 * is built with QCOW_INJECT=1 does all the time. In any other build there is nothing of it.
 *
 * Everything that is injected may happen by itself, too; what comes of it must be right. When it
 * happens is up to the kernel's fault injection (Documentation/fault-injection), which has an
 * attribute of each kind: a module parameter and a directory of debugfs, below qcow.
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
 * @QCOW_INJECT_DELAY: a task that takes part in a race takes its time
 * @QCOW_INJECT_KINDS: how many there are
 */
enum qcow_inject {
	QCOW_INJECT_AGAIN,
	QCOW_INJECT_SHORT,
	QCOW_INJECT_MISS,
	QCOW_INJECT_NOMEM,
	QCOW_INJECT_DELAY,
	QCOW_INJECT_KINDS,
};

#ifdef QCOW_INJECT

/* Once per module. Return: 0; -EINVAL: a parameter is no fault attribute. */
int qcow_inject_module_init(void);
void qcow_inject_module_exit(void);

/**
 * qcow_inject() - whether something rare happens now
 * @kind: what
 *
 * Context: any.
 * Return: as the kind's attribute has it.
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

/*
 * A QCOW_INJECT_DELAY within a race, which a comment there names: perhaps sleep, some
 * milliseconds at most. Context: process context, may sleep.
 */
void qcow_inject_sleep(void);

/* The same where that may not be: perhaps spin, some tens of microseconds at most. Context: any. */
void qcow_inject_spin(void);

/* The limit of a cache, which knows its own minimum: nothing, instead of @bytes. */
static inline u64 qcow_inject_limit(u64 bytes)
{
	return 0;
}

#else

static inline int qcow_inject_module_init(void)
{
	return 0;
}

static inline void qcow_inject_module_exit(void) {}

static inline bool qcow_inject(enum qcow_inject kind)
{
	return false;
}

static inline size_t qcow_inject_short(size_t len, u32 align)
{
	return len;
}

static inline void qcow_inject_sleep(void) {}
static inline void qcow_inject_spin(void) {}

static inline u64 qcow_inject_limit(u64 bytes)
{
	return bytes;
}

#endif

#endif /* _QCOW_INJECT_H */
