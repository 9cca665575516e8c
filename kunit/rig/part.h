/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Long lists of cases, of which a run takes a part: which one is up to the module's parameter part.
 * All are taken with the parameter all.
 */
#ifndef _QCOW_KUNIT_PART_H
#define _QCOW_KUNIT_PART_H

#include <linux/types.h>

/* Of all kinds of images a test takes one in so many, a test that is slow one in so many. */
#define PART_KINDS	6
#define PART_FEW_KINDS	12

/**
 * part_has() - whether this run takes a case
 * @nr: of the case
 * @one_in: of so many consecutive cases a run takes one
 */
bool part_has(unsigned int nr, unsigned int one_in);

/**
 * part_next() - the next parameter that this run takes
 * @next: generator of all parameters
 * @prev: the parameter before, or NULL
 * @name: for the name of the parameter
 * @one_in: of so many consecutive parameters a run takes one, and one where there are fewer
 *
 * Return: the parameter, or NULL after the last one.
 */
const void *part_next(const void *(*next)(const void *prev, char *name), const void *prev,
		      char *name, unsigned int one_in);

#endif /* _QCOW_KUNIT_PART_H */
