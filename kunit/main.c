// SPDX-License-Identifier: GPL-2.0
/*
 * The test module: the driver's objects and the suites, which run when it is loaded. It
 * registers no device; suites that need slabs make them in their suite_init.
 */

#include <linux/module.h>

MODULE_DESCRIPTION("Tests of the QCOW block driver");
MODULE_LICENSE("GPL");
