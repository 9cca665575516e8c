// SPDX-License-Identifier: GPL-2.0
/*
 * Lines of a report: added, cut, dropped.
 */
#include <kunit/test.h>
#include <qcow/report.h>

static void report_adds_lines(struct kunit *test)
{
	char buf[64] = "";
	struct qcow_report rep = { .buf = buf, .size = sizeof(buf) };

	qcow_report(&rep, "cluster_bits is %u", 8);
	qcow_report(&rep, "second");
	KUNIT_EXPECT_STREQ(test, buf, "cluster_bits is 8\nsecond\n");
	KUNIT_EXPECT_EQ(test, rep.len, strlen(buf));
}

struct cut_case {
	const char *name;
	size_t size;
	const char *expect;
};

static const struct cut_case cut_cases[] = {
	{ .name = "room for the NUL only", .size = 1, .expect = "" },
	{ .name = "one character", .size = 2, .expect = "a" },
	{ .name = "one less than the text", .size = 6, .expect = "abcde" },
	{ .name = "the text without line feed", .size = 7, .expect = "abcdef" },
	{ .name = "the text with line feed", .size = 8, .expect = "abcdef\n" },
	{ .name = "one more", .size = 9, .expect = "abcdef\ng" },
};

static void cut_desc(const struct cut_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(cut, cut_cases, cut_desc);

static void report_cuts(struct kunit *test)
{
	const struct cut_case *c = test->param_value;
	char buf[16];
	struct qcow_report rep = { .buf = buf, .size = c->size };

	memset(buf, 0x55, sizeof(buf));
	buf[0] = '\0';
	qcow_report(&rep, "abc%s", "def");
	qcow_report(&rep, "g");
	KUNIT_EXPECT_STREQ(test, buf, c->expect);
	KUNIT_EXPECT_EQ(test, rep.len, strlen(c->expect));
	KUNIT_EXPECT_EQ(test, buf[c->size], 0x55);
}

static void report_may_be_null(struct kunit *test)
{
	struct qcow_report rep = {};

	qcow_report(NULL, "dropped");
	qcow_report(&rep, "nowhere");
	KUNIT_EXPECT_EQ(test, rep.len, 0);
}

static struct kunit_case report_cases[] = {
	KUNIT_CASE(report_adds_lines),
	KUNIT_CASE_PARAM(report_cuts, cut_gen_params),
	KUNIT_CASE(report_may_be_null),
	{}
};

static struct kunit_suite report_suite = {
	.name = "qcow_format_report",
	.test_cases = report_cases,
};

kunit_test_suite(report_suite);
