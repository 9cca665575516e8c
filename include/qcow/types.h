/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the format code needs: the kernel's own headers in the kernel, the same names in user
 * space. Nothing here allocates, sleeps or does I/O.
 */
#ifndef _QCOW_TYPES_H
#define _QCOW_TYPES_H

#ifdef __KERNEL__

#include <asm/byteorder.h>
#include <linux/bitops.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/stdarg.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/types.h>

#else

#include <qcow/user.h>

#endif

#endif /* _QCOW_TYPES_H */
