// SPDX-License-Identifier: GPL-2.0
/*
 * The parsers of sizes and numbers: tables of texts and what they mean.
 */
#include <errno.h>

#include "qcowctl.h"

static const struct {
	const char *text;
	int err;
	u64 bytes;
} sizes[] = {
	{ "0", 0, 0 },
	{ "1", 0, 1 },
	{ "4096", 0, 4096 },
	{ "64K", 0, 65536 },
	{ "64k", 0, 65536 },
	{ "64KiB", 0, 65536 },
	{ "64KB", 0, 64000 },
	{ "1M", 0, 1 << 20 },
	{ "1MB", 0, 1000000 },
	{ "2G", 0, 2ULL << 30 },
	{ "3T", 0, 3ULL << 40 },
	{ "1P", 0, 1ULL << 50 },
	{ "15E", 0, 15ULL << 60 },
	{ "18446744073709551615", 0, U64_MAX },
	{ "18446744073709551616", QC_USAGE, 0 },
	{ "16E", QC_USAGE, 0 },
	{ "17179869184G", QC_USAGE, 0 },
	{ "", QC_USAGE, 0 },
	{ "K", QC_USAGE, 0 },
	{ "-1", QC_USAGE, 0 },
	{ "+1", QC_USAGE, 0 },
	{ " 1", QC_USAGE, 0 },
	{ "1 ", QC_USAGE, 0 },
	{ "10m", 0, 10 << 20 },
	{ "1.5G", 0, 3ULL << 29 },
	{ ".5k", 0, 512 },
	{ "1.k", 0, 1024 },
	{ "1.1K", 0, 1126 },
	{ "1.5KB", 0, 1500 },
	{ "0.0009765625K", 0, 1 },
	{ "0.00097656249999999999999999999K", 0, 0 },
	{ "15.99999999999999999913E", 0, U64_MAX - 1 },
	{ "15.99999999999999999914E", 0, U64_MAX },
	{ "512b", 0, 512 },
	{ "512B", 0, 512 },
	{ "1.0", 0, 1 },
	{ "0x1000", 0, 4096 },
	{ "0XfF", 0, 255 },
	{ "0x1b", 0, 27 },
	{ "0xffffffffffffffff", 0, U64_MAX },
	{ "0x10000000000000000", QC_USAGE, 0 },
	{ "0x", QC_USAGE, 0 },
	{ "0x20M", QC_USAGE, 0 },
	{ "0x1.8", QC_USAGE, 0 },
	{ "-0", QC_USAGE, 0 },
	{ ".", QC_USAGE, 0 },
	{ ".K", QC_USAGE, 0 },
	{ "1.5", QC_USAGE, 0 },
	{ "1.5b", QC_USAGE, 0 },
	{ "1.5.5K", QC_USAGE, 0 },
	{ "1e3", QC_USAGE, 0 },
	{ "15.9999999999999999999999E", 0, U64_MAX },
	{ "16.0E", QC_USAGE, 0 },
	{ "1X", QC_USAGE, 0 },
	{ "1Ki", QC_USAGE, 0 },
	{ "1KiBB", QC_USAGE, 0 },
};

static const struct {
	const char *text;
	u32 max;
	int err;
	u32 value;
} numbers[] = {
	{ "0", 0, 0, 0 },
	{ "7", 8, 0, 7 },
	{ "8", 8, 0, 8 },
	{ "9", 8, -ERANGE, 0 },
	{ "4294967295", U32_MAX, 0, U32_MAX },
	{ "4294967296", U32_MAX, -ERANGE, 0 },
	{ "1K", U32_MAX, -EINVAL, 0 },
	{ "", U32_MAX, -EINVAL, 0 },
	{ "-1", U32_MAX, -EINVAL, 0 },
};

static const struct {
	u64 bytes;
	const char *text;
} human[] = {
	{ 0, "0B" },
	{ 1023, "1023B" },
	{ 1024, "1K" },
	{ 1536, "1.5K" },
	{ 64ULL << 40, "64T" },
	{ U64_MAX, "15.9E" },
};

static int report(const char *text)
{
	fprintf(stderr, "wrong: '%s'\n", text);
	return 1;
}

int main(void)
{
	int failures = 0;
	char buf[32];
	u64 bytes;
	u32 value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		if (qc_parse_size("size", sizes[i].text, &bytes) != sizes[i].err ||
		    (!sizes[i].err && bytes != sizes[i].bytes))
			failures += report(sizes[i].text);
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		if (qc_parse_u32(numbers[i].text, numbers[i].max, &value) != numbers[i].err ||
		    (!numbers[i].err && value != numbers[i].value))
			failures += report(numbers[i].text);
	for (i = 0; i < ARRAY_SIZE(human); i++)
		if (strcmp(qc_human_size(human[i].bytes, buf, sizeof(buf)), human[i].text))
			failures += report(human[i].text);
	return failures != 0;
}
