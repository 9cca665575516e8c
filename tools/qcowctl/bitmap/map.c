// SPDX-License-Identifier: GPL-2.0
/*
 * What a bitmap says has changed, range by range. Of a device that can be written to only the
 * driver knows it: in the file, the bitmaps that record are inconsistent.
 */
#include <unistd.h>

#include "bitmap/internal.h"
#include "driver/driver.h"

#define NR_RANGES	4096U

/**
 * struct printer - ranges being printed
 * @json: as JSON
 * @some: one has been printed
 * @range: the last one, which the next may continue; none if it has no length
 */
struct printer {
	bool json;
	bool some;
	struct qcow_bitmap_range range;
};

static void print_range(struct printer *p)
{
	u64 start = p->range.start, len = p->range.len;

	if (!len)
		return;
	if (p->json)
		printf("%s{ \"start\": %llu, \"length\": %llu}", p->some ? ",\n" : "[", start, len);
	else if (!p->some)
		printf("%18s %18s\n", "START", "LENGTH");
	if (!p->json)
		printf("%#18llx %#18llx\n", start, len);
	p->some = true;
}

static void add_range(struct printer *p, const struct qcow_bitmap_range *range)
{
	if (p->range.len && p->range.start + p->range.len == range->start) {
		p->range.len += range->len;
		return;
	}
	print_range(p);
	p->range = *range;
}

static int map_image(const char *image, const char *name, struct printer *p)
{
	const struct chain_options opts = { .top_only = true, .no_data = true };
	struct qcow_bitmap_range range;
	struct bitmaps maps = { 0 };
	struct bits *bits = NULL;
	struct bitmap *bitmap;
	struct chain chain;
	u64 pos = 0;
	int err = chain_open(&chain, image, &opts);

	if (!err)
		err = bitmaps_read(&chain.images[0], &maps);
	if (!err)
		err = bitmaps_find_usable(&maps, name, &bitmap);
	if (!err)
		err = bits_load(&chain.images[0], &bitmap->b, &bits);
	while (!err && bits_next(bits, &pos, &range))
		add_range(p, &range);
	bits_destroy(bits);
	bitmaps_free(&maps);
	chain_close(&chain);
	return err;
}

static int map_device(u32 index, const char *name, struct printer *p)
{
	struct qcow_bitmap_range *ranges = qc_alloc(NR_RANGES * sizeof(*ranges));
	struct qcow_map_bitmap arg = {
		.index = index,
		.name = (uintptr_t)name, .name_len = strlen(name),
		.ranges = (uintptr_t)ranges,
	};
	char *device = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	int fd = control_open(false), err = fd < 0 ? -fd : 0;
	u64 sectors = 0;
	u32 i;

	if (!err && !sysfs_read_u64("", index, "size", &sectors))
		err = qc_fail(QC_NOT_FOUND, device, "no such device");
	while (!err && arg.start < sectors * 512) {
		arg.nr_ranges = NR_RANGES;
		err = control_map_bitmap(fd, &arg);
		for (i = 0; !err && i < arg.nr_ranges; i++)
			add_range(p, &ranges[i]);
	}
	if (fd >= 0)
		close(fd);
	free(device);
	free(ranges);
	return err;
}

static int map(const char *what, const char *name, struct printer *p)
{
	char *path = NULL;
	u64 read_only;
	bool found;
	u32 index;
	int err = sysfs_find_writer(what, &index, &found);

	if (err)
		return err;
	if (found && (!sysfs_read_u64("", index, "ro", &read_only) || !read_only))
		return map_device(index, name, p);
	err = attached_path(what, &path);
	if (!err)
		err = map_image(path ? path : what, name, p);
	free(path);
	return err;
}

int bitmap_map(const char *what, const char *name, bool json)
{
	struct printer p = { .json = json };
	int err = map(what, name, &p);

	/* What is not all is no JSON: it could be taken for all that has changed. */
	if (err)
		return err;
	print_range(&p);
	if (json)
		puts(p.some ? "]" : "[]");
	return 0;
}
