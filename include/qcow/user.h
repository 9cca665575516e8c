/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The user-space side of types.h: the kernel names that the pure format code uses, over
 * libc. Does not touch a name that libc or <linux/types.h> defines.
 */
#ifndef _QCOW_USER_H
#define _QCOW_USER_H

#ifndef __SANE_USERSPACE_TYPES__
#define __SANE_USERSPACE_TYPES__	/* u64 is unsigned long long everywhere, for %llu */
#endif

#include <assert.h>
#include <errno.h>
#include <linux/types.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

/* Builtins and not <endian.h>: usable in a static initialiser. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define be16_to_cpu(x)			__builtin_bswap16(x)
#define be32_to_cpu(x)			__builtin_bswap32(x)
#define be64_to_cpu(x)			((u64)__builtin_bswap64(x))
#else
#define be16_to_cpu(x)			((u16)(x))
#define be32_to_cpu(x)			((u32)(x))
#define be64_to_cpu(x)			((u64)(x))
#endif
#define cpu_to_be16(x)			be16_to_cpu(x)
#define cpu_to_be32(x)			be32_to_cpu(x)
#define cpu_to_be64(x)			be64_to_cpu(x)

#define U8_MAX				((u8)~0U)
#define U32_MAX				((u32)~0U)
#define U64_MAX				((u64)~0ULL)
#define S64_MAX				((s64)(U64_MAX >> 1))

#define BIT_ULL(nr)			(1ULL << (nr))
#define GENMASK_ULL(h, l)		((~0ULL << (l)) & (~0ULL >> (63 - (h))))

#ifndef __packed
#define __packed			__attribute__((__packed__))
#endif
#ifndef __printf
#define __printf(fmt, args)		__attribute__((__format__(__printf__, fmt, args)))
#endif
#ifndef __always_inline
#define __always_inline			inline __attribute__((__always_inline__))
#endif
#ifndef likely
#define likely(x)			__builtin_expect(!!(x), 1)
#define unlikely(x)			__builtin_expect(!!(x), 0)
#endif

/* One argument is enough, as in the kernel. */
#undef static_assert
#define static_assert(expr, ...)	_Static_assert(expr, #expr)

#ifndef READ_ONCE
#define READ_ONCE(x)			(*(const volatile __typeof__(x) *)&(x))
#endif
#ifndef WRITE_ONCE
#define WRITE_ONCE(x, val)		(*(volatile __typeof__(x) *)&(x) = (val))
#endif

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array)		(sizeof(array) / sizeof((array)[0]))
#endif
#ifndef sizeof_field
#define sizeof_field(type, member)	sizeof(((type *)0)->member)
#endif
#ifndef min_t
#define min_t(type, a, b)		((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define max_t(type, a, b)		((type)(a) > (type)(b) ? (type)(a) : (type)(b))
#endif
#ifndef min
#define min(a, b)			min_t(__typeof__((a) + (b)), a, b)
#define max(a, b)			max_t(__typeof__((a) + (b)), a, b)
#endif

/* Of powers of two. */
#ifndef IS_ALIGNED
#define IS_ALIGNED(x, align)		(((x) & ((__typeof__(x))(align) - 1)) == 0)
#endif
#ifndef round_up
#define round_up(x, align)		((((x) - 1) | ((__typeof__(x))(align) - 1)) + 1)
#define round_down(x, align)		((x) & ~((__typeof__(x))(align) - 1))
#endif
#ifndef DIV_ROUND_UP_ULL
#define DIV_ROUND_UP_ULL(n, d)		(((u64)(n) + (d) - 1) / (d))
#endif

#define check_add_overflow(a, b, sum)		__builtin_add_overflow(a, b, sum)
#define check_sub_overflow(a, b, difference)	__builtin_sub_overflow(a, b, difference)
#define check_mul_overflow(a, b, product)	__builtin_mul_overflow(a, b, product)

/* Number of the lowest bit that is set; undefined for 0. */
static inline unsigned long __ffs64(u64 word)
{
	return (unsigned long)__builtin_ctzll(word);
}

#endif /* _QCOW_USER_H */
