// SPDX-License-Identifier: GPL-2.0
/*
 * Which cases a run takes.
 */

#include <linux/moduleparam.h>

#include "rig/part.h"

static bool all;
module_param(all, bool, 0444);
MODULE_PARM_DESC(all, "all cases of lists of which a run takes a part");

static unsigned int part;
module_param(part, uint, 0444);
MODULE_PARM_DESC(part, "which part of such lists is taken");

bool part_has(unsigned int nr, unsigned int one_in)
{
	return all || nr % one_in == part % one_in;
}

const void *part_next(const void *(*next)(const void *prev, char *name), const void *prev,
		      char *name, unsigned int one_in)
{
	const void *param = NULL;
	bool passed = !prev;
	unsigned int nr;

	for (nr = 0; nr < one_in && (param = next(param, name)); nr++)
		;
	one_in = nr;
	param = NULL;
	for (nr = 0; (param = next(param, name)); nr++) {
		if (passed && part_has(nr, one_in))
			break;
		passed |= param == prev;
	}
	return param;
}
