// SPDX-License-Identifier: GPL-2.0
/*
 * Attributes of the kernel's fault injection, one for each kind of rare event. Built with
 * QCOW_INJECT=1 only.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/fault-inject.h>
#include <linux/kernel.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/random.h>

#include "inject.h"

#ifndef CONFIG_FAULT_INJECTION_DEBUG_FS
#error "QCOW_INJECT=1 is for a kernel with FAULT_INJECTION_DEBUG_FS"
#endif

#define SLEEP_MAX_US	3000
#define SPIN_MAX_US	60

static struct fault_attr attrs[QCOW_INJECT_KINDS] = {
	[0 ... QCOW_INJECT_KINDS - 1] = FAULT_ATTR_INITIALIZER,
};

/* For each "<interval>,<probability>,<space>,<times>". */
static char params[QCOW_INJECT_KINDS][64];

module_param_string(again, params[QCOW_INJECT_AGAIN], sizeof(params[0]), 0444);
MODULE_PARM_DESC(again, "Fault injection: what must not wait would have to");
module_param_string(short, params[QCOW_INJECT_SHORT], sizeof(params[0]), 0444);
MODULE_PARM_DESC(short, "Fault injection: a file system transfers a part only");
module_param_string(miss, params[QCOW_INJECT_MISS], sizeof(params[0]), 0444);
MODULE_PARM_DESC(miss, "Fault injection: a look-up that must not wait misses");
module_param_string(nomem, params[QCOW_INJECT_NOMEM], sizeof(params[0]), 0444);
MODULE_PARM_DESC(nomem, "Fault injection: no memory without waiting, no room in a cache");
module_param_string(delay, params[QCOW_INJECT_DELAY], sizeof(params[0]), 0444);
MODULE_PARM_DESC(delay, "Fault injection: a task that takes part in a race takes its time");

static struct dentry *inject_dir;

bool qcow_inject(enum qcow_inject kind)
{
	return should_fail(&attrs[kind], 1);
}

size_t qcow_inject_short(size_t len, u32 align)
{
	if (len < 2 * align || !qcow_inject(QCOW_INJECT_SHORT))
		return len;
	return max_t(size_t, rounddown(get_random_u32_below(len), align), align);
}

void qcow_inject_sleep(void)
{
	u32 us;

	if (!qcow_inject(QCOW_INJECT_DELAY))
		return;
	us = get_random_u32_inclusive(1, SLEEP_MAX_US);
	usleep_range(us, us + us / 8);
}

void qcow_inject_spin(void)
{
	if (qcow_inject(QCOW_INJECT_DELAY))
		udelay(get_random_u32_inclusive(1, SPIN_MAX_US));
}

int __init qcow_inject_module_init(void)
{
	static const char * const names[QCOW_INJECT_KINDS] = {
		"again", "short", "miss", "nomem", "delay",
	};
	unsigned int i;

	for (i = 0; i < QCOW_INJECT_KINDS; i++) {
		/* It happens too often for a line in the log each time. */
		attrs[i].verbose = 0;
		if (params[i][0] && !setup_fault_attr(&attrs[i], params[i]))
			return -EINVAL;
	}
	inject_dir = debugfs_create_dir("qcow", NULL);
	for (i = 0; i < QCOW_INJECT_KINDS; i++)
		fault_create_debugfs_attr(names[i], inject_dir, &attrs[i]);
	return 0;
}

void qcow_inject_module_exit(void)
{
	debugfs_remove(inject_dir);
}
