// SPDX-License-Identifier: GPL-2.0
/*
 * Sizes and numbers of the command line.
 */
#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "qcowctl.h"

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* Any number of digits, also none: 0. */
static int parse_digits(const char **text, int base, u64 *value)
{
	u64 v = 0;

	for (; digit_value(**text) < base; ++*text)
		if (__builtin_mul_overflow(v, (u64)base, &v) ||
		    __builtin_add_overflow(v, (u64)digit_value(**text), &v))
			return -ERANGE;
	*value = v;
	return 0;
}

/* Return: the bytes that the unit stands for, 0: there is no such unit. */
static u64 unit_bytes(const char *text)
{
	static const char units[] = "KMGTPE";
	u64 bytes = 1, base = 1024;
	const char *unit;

	if (!*text || !strcasecmp(text, "b"))
		return 1;
	unit = strchr(units, toupper((unsigned char)*text));
	if (!unit)
		return 0;
	text++;
	if (!strcmp(text, "B"))
		base = 1000;
	else if (*text && strcmp(text, "iB"))
		return 0;
	for (; unit >= units; unit--)
		bytes *= base;
	return bytes;
}

/*
 * Whole bytes in a decimal fraction of a unit. Taken from the last digit to the first, so that only
 * a part of a byte is lost; nothing overflows, as ten times the largest unit has 64 bits.
 */
static u64 fraction_bytes(const char *digits, size_t nr, u64 unit)
{
	u64 bytes = 0;

	while (nr)
		bytes = ((u64)digit_value(digits[--nr]) * unit + bytes) / 10;
	return bytes;
}

static int too_large(const char *subject, const char *text)
{
	return qc_fail(QC_USAGE, subject, "'%s' is too large", text);
}

static int parse_hexadecimal(const char *subject, const char *text, u64 *bytes)
{
	const char *digits = text + strlen("0x"), *end = digits;

	if (parse_digits(&end, 16, bytes))
		return too_large(subject, text);
	if (*end)
		return qc_fail(QC_USAGE, subject,
			       "'%s' is no size: '%s' behind a hexadecimal number", text, end);
	if (end == digits)
		return qc_fail(QC_USAGE, subject, "'%s' is no size: it has no digits", text);
	return 0;
}

int qc_parse_size(const char *subject, const char *text, u64 *bytes)
{
	const char *end = text, *fraction = "";
	size_t digits = 0;
	u64 unit;

	if (*text == '-')
		return qc_fail(QC_USAGE, subject, "'%s' is no size: it is negative", text);
	if (!strncasecmp(text, "0x", 2))
		return parse_hexadecimal(subject, text, bytes);
	if (parse_digits(&end, 10, bytes))
		return too_large(subject, text);
	if (*end == '.') {
		fraction = end + 1;
		digits = strspn(fraction, "0123456789");
		end = fraction + digits;
	}
	if (digit_value(*text) > 9 && !digits)
		return qc_fail(QC_USAGE, subject, "'%s' is no size, such as 512, 64K or 1.5G",
			       text);
	unit = unit_bytes(end);
	if (!unit)
		return qc_fail(QC_USAGE, subject,
			       "'%s' is no size: '%s' is none of the units b, K, M, G, T, P, E",
			       text, end);
	if (unit == 1 && strspn(fraction, "0") < digits)
		return qc_fail(QC_USAGE, subject, "'%s' is no size: it has a part of a byte", text);
	if (__builtin_mul_overflow(*bytes, unit, bytes) ||
	    __builtin_add_overflow(*bytes, fraction_bytes(fraction, digits, unit), bytes))
		return too_large(subject, text);
	return 0;
}

int qc_parse_u64(const char *text, u64 max, u64 *value)
{
	const char *end = text;
	u64 v;
	int err = parse_digits(&end, 10, &v);

	if (err)
		return err;
	if (end == text || *end)
		return -EINVAL;
	if (v > max)
		return -ERANGE;
	*value = v;
	return 0;
}

int qc_parse_u32(const char *text, u32 max, u32 *value)
{
	u64 v;
	int err = qc_parse_u64(text, max, &v);

	if (!err)
		*value = v;
	return err;
}

int qc_parse_some_size(const char *subject, const char *text, u64 *bytes)
{
	int err = qc_parse_size(subject, text, bytes);

	if (!err && !*bytes)
		err = qc_fail(QC_USAGE, subject, "'%s' is no size: at least one byte", text);
	return err;
}

const char *qc_human_size(u64 bytes, char *buf, size_t len)
{
	static const char units[] = "BKMGTPE";
	unsigned int unit = 0;
	u64 whole = bytes, rest = 0;

	while (whole >= 1024) {
		rest = whole % 1024;
		whole /= 1024;
		unit++;
	}
	rest = rest * 10 / 1024;
	if (rest)
		snprintf(buf, len, "%llu.%llu%c", whole, rest, units[unit]);
	else
		snprintf(buf, len, "%llu%c", whole, units[unit]);
	return buf;
}
