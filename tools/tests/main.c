// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the suites of the pure code in user space. Fails when there are none.
 */
#include <kunit/test.h>

static struct kunit_suite *suites;
static const char *suite_name, *running, *running_param;

void kunit_add_suite(struct kunit_suite *suite)
{
	suite->next = suites;
	suites = suite;
}

void *kunit_kzalloc(struct kunit *test, size_t bytes, int flags)
{
	(void)flags;
	if (test->used == ARRAY_SIZE(test->memory))
		return NULL;
	return test->memory[test->used++] = calloc(1, bytes);
}

void kunit_fail(struct kunit *test, const char *file, int line, bool fatal, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: %s(%s): ", file, line, running, running_param);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	test->failed = true;
	if (fatal)
		exit(1);
}

/* Returns 1 when it failed. */
static unsigned int run(const struct kunit_case *test_case, const void *param)
{
	struct kunit test = { .param_value = param };

	test_case->run(&test);
	while (test.used)
		free(test.memory[--test.used]);
	printf("%s %s/%s%s%s\n", test.failed ? "not ok" : "ok", suite_name, running,
	       param ? "/" : "", running_param);
	return test.failed;
}

static void run_case(const struct kunit_case *test_case, unsigned int *ran, unsigned int *failed)
{
	char desc[KUNIT_PARAM_DESC_SIZE] = "";
	const void *param = NULL;

	running = test_case->name;
	running_param = desc;
	if (test_case->next)
		param = test_case->next(NULL, desc);
	do {
		*failed += run(test_case, param);
		(*ran)++;
		if (param)
			param = test_case->next(param, desc);
	} while (param);
}

int main(void)
{
	unsigned int ran = 0, failed = 0;
	const struct kunit_suite *suite;
	const struct kunit_case *test_case;

	for (suite = suites; suite; suite = suite->next) {
		suite_name = suite->name;
		for (test_case = suite->test_cases; test_case->run; test_case++)
			run_case(test_case, &ran, &failed);
	}
	printf("format tests: %u run, %u failed\n", ran, failed);
	return !ran || failed;
}
