// SPDX-License-Identifier: GPL-2.0
/*
 * What the block layer and the driver count for a device.
 */
#include <time.h>

#include "driver/driver.h"

/* Where each figure is: an attribute, and which of its numbers. */
static const struct {
	const char *attr;
	unsigned int field;
} sources[NR_FIGURES] = {
	[FIGURE_READS] = { "stat", 0 },
	[FIGURE_READ_SECTORS] = { "stat", 2 },
	[FIGURE_READ_MS] = { "stat", 3 },
	[FIGURE_WRITES] = { "stat", 4 },
	[FIGURE_WRITE_SECTORS] = { "stat", 6 },
	[FIGURE_WRITE_MS] = { "stat", 7 },
	[FIGURE_IN_FLIGHT] = { "stat", 8 },
	[FIGURE_DISCARDS] = { "stat", 11 },
	[FIGURE_FLUSHES] = { "stat", 15 },
	[FIGURE_MISSES] = { "qcow/cache_misses", 0 },
	[FIGURE_ALLOCATED] = { "qcow/allocated", 0 },
	[FIGURE_COPIED] = { "qcow/copied_bytes", 0 },
	[FIGURE_DECOMPRESSED] = { "qcow/decompressed", 0 },
	[FIGURE_COMMITS] = { "qcow/commits", 0 },
};

u64 figures_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* A number of a line with several; 0: the line has fewer. */
static u64 field_of(const char *line, unsigned int field)
{
	u64 value = 0;
	char *end;

	do {
		value = strtoull(line, &end, 10);
		if (end == line)
			return 0;
		line = end;
	} while (field--);
	return value;
}

bool figures_read(const char *root, u32 index, struct figures *f)
{
	unsigned int i;

	*f = (struct figures){ .index = index, .taken_ns = figures_now() };
	if (!sysfs_read_u64(root, index, "qcow/attached_ns", &f->attached_ns))
		return false;
	for (i = 0; i < NR_FIGURES; i++) {
		char *line = sysfs_read(root, index, sources[i].attr);

		if (!line)
			return false;
		f->v[i] = field_of(line, sources[i].field);
		free(line);
	}
	return true;
}
