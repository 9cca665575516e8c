// SPDX-License-Identifier: GPL-2.0
/*
 * Sizes and numbers of the command line.
 */
#include <errno.h>

#include "qcowctl.h"

static int parse_digits(const char **text, u64 *value)
{
	const char *p = *text;
	u64 v = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, (u64)10, &v) ||
		    __builtin_add_overflow(v, (u64)(*p - '0'), &v))
			return -ERANGE;
	*text = p;
	*value = v;
	return 0;
}

int qc_parse_size(const char *text, u64 *bytes)
{
	static const char units[] = "KMGTPE";
	const char *unit;
	u64 v, base = 1024;
	int err;

	err = parse_digits(&text, &v);
	if (err)
		return err;
	if (*text) {
		unit = strchr(units, *text == 'k' ? 'K' : *text);
		if (!unit)
			return -EINVAL;
		text++;
		if (!strcmp(text, "B"))
			base = 1000;
		else if (*text && strcmp(text, "iB"))
			return -EINVAL;
		for (; unit >= units; unit--)
			if (__builtin_mul_overflow(v, base, &v))
				return -ERANGE;
	}
	*bytes = v;
	return 0;
}

int qc_parse_u32(const char *text, u32 max, u32 *value)
{
	u64 v;
	int err = parse_digits(&text, &v);

	if (err)
		return err;
	if (*text)
		return -EINVAL;
	if (v > max)
		return -ERANGE;
	*value = v;
	return 0;
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
