// SPDX-License-Identifier: GPL-2.0
/*
 * When something rare is injected, and for how long: by module parameters and a generator of
 * random numbers with a seed. Built with QCOW_INJECT=1 only.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/jhash.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/sysfs.h>

#include "inject.h"

#define PAUSE_MAX_US	3000
#define STALL_MAX_US	60

static unsigned int inject[QCOW_INJECT_KINDS] = {
	[QCOW_INJECT_AGAIN] = 100,
	[QCOW_INJECT_SHORT] = 50,
	[QCOW_INJECT_MISS] = 100,
	[QCOW_INJECT_NOMEM] = 100,
	[QCOW_INJECT_PAUSE] = 50,
	[QCOW_INJECT_STALL] = 50,
};
module_param_array(inject, uint, NULL, 0644);
MODULE_PARM_DESC(inject, "how often, per mille: again,short,miss,nomem,pause,stall");

static unsigned int inject_seed = 1;
module_param(inject_seed, uint, 0644);
MODULE_PARM_DESC(inject_seed, "the same seed makes the same decisions, for each kind in turn");

static atomic_t asked[QCOW_INJECT_KINDS];
static atomic_t fired[QCOW_INJECT_KINDS];

static int get_fired(char *buf, const struct kernel_param *kp)
{
	static const char * const names[QCOW_INJECT_KINDS] = {
		"again", "short", "miss", "nomem", "pause", "stall",
	};
	unsigned int i;
	int len = 0;

	for (i = 0; i < QCOW_INJECT_KINDS; i++)
		len += sysfs_emit_at(buf, len, "%s%s %u", i ? " " : "", names[i],
				     atomic_read(&fired[i]));
	return len + sysfs_emit_at(buf, len, "\n");
}

static const struct kernel_param_ops fired_ops = { .get = get_fired };

module_param_cb(inject_fired, &fired_ops, NULL, 0444);
MODULE_PARM_DESC(inject_fired, "how often each has happened");

/* The decision, and in @random a number of its own. */
static bool inject_decide(enum qcow_inject kind, u32 *random)
{
	u32 nr = atomic_inc_return(&asked[kind]);
	u32 seed = READ_ONCE(inject_seed);

	*random = jhash_3words(nr, kind, 1, seed);
	if (jhash_3words(nr, kind, 0, seed) % 1000 >= READ_ONCE(inject[kind]))
		return false;
	atomic_inc(&fired[kind]);
	return true;
}

bool qcow_inject(enum qcow_inject kind)
{
	u32 random;

	return inject_decide(kind, &random);
}

size_t qcow_inject_short(size_t len, u32 align)
{
	u32 random;

	if (len < 2 * align || !inject_decide(QCOW_INJECT_SHORT, &random))
		return len;
	return max_t(size_t, rounddown(random % len, align), align);
}

void qcow_inject_pause(void)
{
	u32 random, us;

	if (!inject_decide(QCOW_INJECT_PAUSE, &random))
		return;
	us = random % PAUSE_MAX_US + 1;
	usleep_range(us, us + us / 8);
}

void qcow_inject_stall(void)
{
	u32 random;

	if (inject_decide(QCOW_INJECT_STALL, &random))
		udelay(random % STALL_MAX_US + 1);
}
