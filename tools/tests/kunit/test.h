/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of KUnit as the suites of the pure code use, for user space: they run in a moment,
 * under ASan and UBSan, without a kernel. A failed assertion ends the run.
 */
#ifndef _KUNIT_TEST_H
#define _KUNIT_TEST_H

#include <qcow/types.h>
#include <stdlib.h>

#define KUNIT_PARAM_DESC_SIZE	128
#define GFP_KERNEL		0

struct kunit {
	const void *param_value;
	bool failed;
	void *memory[8];
	size_t used;
};

struct kunit_case {
	const char *name;
	void (*run)(struct kunit *test);
	const void *(*next)(const void *prev, char *desc);
};

struct kunit_suite {
	const char *name;
	struct kunit_case *test_cases;
	struct kunit_suite *next;
};

void kunit_add_suite(struct kunit_suite *suite);
void *kunit_kzalloc(struct kunit *test, size_t bytes, int flags);
__printf(5, 6) void kunit_fail(struct kunit *test, const char *file, int line, bool fatal,
			       const char *fmt, ...);

static inline void strscpy(char *to, const char *from, size_t size)
{
	snprintf(to, size, "%s", from);
}

#define kunit_test_suite(suite) \
	static void __attribute__((__constructor__)) kunit_add(void) \
	{ \
		kunit_add_suite(&(suite)); \
	}

#define KUNIT_CASE(fn)			{ .name = #fn, .run = fn }
#define KUNIT_CASE_PARAM(fn, generate)	{ .name = #fn, .run = fn, .next = generate }

#define KUNIT_ARRAY_PARAM(base, array, get_desc) \
	static const void *base##_gen_params(const void *prev, char *desc) \
	{ \
		__typeof__(&(array)[0]) next = prev; \
\
		next = next ? next + 1 : (array); \
		if (next >= (array) + ARRAY_SIZE(array)) \
			return NULL; \
		get_desc(next, desc); \
		return next; \
	}

#define kunit_check(test, ok, fatal, ...) \
	do { \
		if (!(ok)) \
			kunit_fail(test, __FILE__, __LINE__, fatal, __VA_ARGS__); \
	} while (0)

#define kunit_equal(test, a, b, fatal) \
	do { \
		unsigned long long kunit_a = (a), kunit_b = (b); \
\
		kunit_check(test, kunit_a == kunit_b, fatal, "%s is 0x%llx, %s is 0x%llx", \
			    #a, kunit_a, #b, kunit_b); \
	} while (0)

#define KUNIT_EXPECT_EQ(test, a, b)	kunit_equal(test, a, b, false)
#define KUNIT_ASSERT_EQ(test, a, b)	kunit_equal(test, a, b, true)
#define KUNIT_EXPECT_EQ_MSG(test, a, b, ...) \
	kunit_check(test, (a) == (b), false, __VA_ARGS__)
#define KUNIT_ASSERT_EQ_MSG(test, a, b, ...) \
	kunit_check(test, (a) == (b), true, __VA_ARGS__)
#define KUNIT_EXPECT_LT(test, a, b)	kunit_check(test, (a) < (b), false, "%s, %s", #a, #b)
#define KUNIT_EXPECT_PTR_EQ(test, a, b)	kunit_check(test, (a) == (b), false, "%s", #a)
#define KUNIT_EXPECT_NULL(test, p)	kunit_check(test, !(p), false, "%s", #p)
#define KUNIT_EXPECT_NOT_NULL(test, p)	kunit_check(test, (p), false, "%s", #p)
#define KUNIT_ASSERT_NOT_NULL(test, p)	kunit_check(test, (p), true, "%s", #p)
#define KUNIT_EXPECT_NOT_NULL_MSG(test, p, ...) \
	kunit_check(test, (p), false, __VA_ARGS__)
#define KUNIT_EXPECT_STREQ(test, a, b) \
	kunit_check(test, !strcmp(a, b), false, "%s is \"%s\", not \"%s\"", #a, a, b)

#endif /* _KUNIT_TEST_H */
