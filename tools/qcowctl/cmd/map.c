// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl map: where every guest range is stored, with qemu-img map's JSON keys; or what a bitmap
 * says has changed.
 */
#include <getopt.h>

#include "bitmap/bitmap.h"
#include "cmd/cmd.h"
#include "image/image.h"

static const char help[] =
	"Usage: qcowctl map [OPTION]... IMAGE\n"
	"       qcowctl map --bitmap NAME [--output FORMAT] IMAGE|DEVICE\n"
	"Show where every range of the image is stored, or which ranges a bitmap says have\n"
	"changed. Needs neither root nor the driver, but for a bitmap of an image that is\n"
	"attached to be written to.\n"
	"\n"
	"      --bitmap NAME          what has changed according to this bitmap\n"
	"      --output FORMAT        human (default) or json, as qemu-img map\n"
	"      --allow-backing NAME   backing files may be in this directory too, or be\n"
	"                             this file or block device\n"
	"      --backing [N=]FILE     FILE in place of the backing file that the image (or\n"
	"                             layer N of its chain) names; no image is changed\n"
	"      --backing-format FMT   raw, qcow or qcow2, where an image states none\n"
	"  -f, --format FMT           qcow2 or qcow: only if it is that\n"
	"  -U, --force-share          without a warning if others write to it meanwhile\n"
	"  -h, --help                 this text\n";

enum {
	OPT_BITMAP = 256,
	OPT_OUTPUT,
	OPT_ALLOW_BACKING,
	OPT_BACKING,
	OPT_BACKING_FORMAT,
};

static const struct option options[] = {
	{ "bitmap", required_argument, NULL, OPT_BITMAP },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "allow-backing", required_argument, NULL, OPT_ALLOW_BACKING },
	{ "backing", required_argument, NULL, OPT_BACKING },
	{ "backing-format", required_argument, NULL, OPT_BACKING_FORMAT },
	{ "format", required_argument, NULL, 'f' },
	{ "force-share", no_argument, NULL, 'U' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char *const kinds[] = {
	[QCOW_EXTENT_HOLE] = "hole",
	[QCOW_EXTENT_ZERO] = "zero",
	[QCOW_EXTENT_DATA] = "data",
	[QCOW_EXTENT_COMPRESSED] = "compressed",
};

static const char *truth(bool b)
{
	return b ? "true" : "false";
}

/* Printed range by range: a fragmented image has too many for a tree in memory. */
static void print_json(const struct guest_range *r, bool first)
{
	bool data = r->kind == QCOW_EXTENT_DATA || r->kind == QCOW_EXTENT_COMPRESSED;

	printf("%s{ \"start\": %llu, \"length\": %llu, \"depth\": %u, \"present\": %s",
	       first ? "" : ",\n", r->guest_start, r->len, r->depth, truth(r->present));
	printf(", \"zero\": %s, \"data\": %s, \"compressed\": %s", truth(r->zero), truth(data),
	       truth(r->kind == QCOW_EXTENT_COMPRESSED));
	if (r->damaged)
		printf(", \"damaged\": true");
	if (r->has_offset)
		printf(", \"offset\": %llu", r->host_offset);
	putchar('}');
}

static const char *kind_name(const struct guest_range *r)
{
	if (r->damaged)
		return "damaged";
	return kinds[r->kind == QCOW_EXTENT_DATA && r->zero ? QCOW_EXTENT_ZERO : r->kind];
}

static void print_human(const struct guest_range *r, bool first)
{
	if (first)
		printf("%18s %18s %18s %-10s %s\n", "START", "LENGTH", "OFFSET", "KIND", "DEPTH");
	printf("%#18llx %#18llx ", r->guest_start, r->len);
	if (r->has_offset)
		printf("%#18llx", r->host_offset);
	else
		printf("%18s", "-");
	printf(" %-10s %u\n", kind_name(r), r->depth);
}

static int walk(struct extents *ext, bool json)
{
	void (*print)(const struct guest_range *r, bool first) = json ? print_json : print_human;
	struct guest_range range, next;
	bool have = false, first = true;
	int err;

	while (extents_next(ext, &next, &err)) {
		if (have && extents_merge(&range, &next))
			continue;
		if (have) {
			print(&range, first);
			first = false;
		}
		range = next;
		have = true;
	}
	if (have)
		print(&range, first);
	return err;
}

/**
 * struct map_args - the command line
 * @chain: which files
 * @bitmap: name of the bitmap that is shown, or NULL
 * @format: that the image has to have, or NULL
 * @force_share: no warning of others that write to it
 * @json: as JSON
 * @help: print the help
 */
struct map_args {
	struct chain_options chain;
	const char *bitmap;
	const char *format;
	bool force_share;
	bool json;
	bool help;
};

static int parse_option(struct map_args *a, int opt)
{
	switch (opt) {
	case OPT_BITMAP:
		a->bitmap = optarg;
		return 0;
	case OPT_OUTPUT:
		return cmd_parse_output(optarg, &a->json);
	case OPT_ALLOW_BACKING:
		return policy_allow(&a->chain.policy, optarg);
	case OPT_BACKING:
		return chain_add_backing(&a->chain, optarg);
	case OPT_BACKING_FORMAT:
		return chain_set_backing_format(&a->chain, optarg);
	case 'f':
		return cmd_parse_format(optarg, &a->format);
	case 'U':
		a->force_share = true;
		return 0;
	case 'h':
		a->help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int parse_args(struct map_args *a, int argc, char **argv)
{
	int opt, err = 0;

	while (!err && (opt = getopt_long(argc, argv, "f:Uh", options, NULL)) != -1)
		err = parse_option(a, opt);
	if (err || a->help)
		return err;
	if (cmd_check_one_image("map", argc))
		return QC_USAGE;
	if (a->bitmap && (a->chain.nr_backings || a->chain.backing_format || a->chain.policy.nr))
		return qc_fail(QC_USAGE, "--bitmap", "backing files are not looked at");
	return 0;
}

static int map(const struct map_args *a, const char *name)
{
	struct extents *ext = NULL;
	struct chain chain;
	int err;

	err = chain_open(&chain, name, &a->chain);
	if (!err) {
		if (!a->force_share)
			cmd_note_writer(&chain.images[0]);
		ext = extents_open(&chain);
		if (a->json)
			putchar('[');
		err = walk(ext, a->json);
		if (a->json)
			puts("]");
	}
	extents_close(ext);
	chain_close(&chain);
	return err;
}

static int show(const struct map_args *a, const char *name)
{
	int err = cmd_check_format(name, a->format);

	if (err)
		return err;
	return a->bitmap ? bitmap_map(name, a->bitmap, a->json) : map(a, name);
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct map_args a = { .chain.no_data = true };
	int err = parse_args(&a, argc, argv);

	if (err == QC_USAGE)
		cmd_usage(cmd);
	else if (!err && a.help)
		cmd_help(cmd);
	else if (!err)
		err = show(&a, argv[optind]);
	chain_options_free(&a.chain);
	return err;
}

const struct command cmd_map = {
	.name = "map",
	.summary = "show where ranges of an image are stored",
	.help = help,
	.run = run,
};
