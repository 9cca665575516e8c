// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl info: describes an image, or every layer of its chain; with --dump all of its metadata.
 */
#include <getopt.h>

#include <json-c/json.h>

#include "cmd/cmd.h"
#include "driver/driver.h"
#include "image/image.h"

static const char help[] =
	"Usage: qcowctl info [OPTION]... IMAGE\n"
	"       qcowctl info --dump [--output FORMAT] IMAGE|DEVICE\n"
	"Describe an image. Needs neither root nor the driver; exit status 3 says that it is\n"
	"no QCOW image.\n"
	"\n"
	"      --backing-chain        all layers, not only the image itself\n"
	"      --dump                 header and tables, entry by entry; of a device those of\n"
	"                             the image that it has\n"
	"      --output FORMAT        human (default) or json, as qemu-img info\n"
	"      --allow-backing NAME   backing files may be in this directory too, or be\n"
	"                             this file or block device\n"
	"      --backing [N=]FILE     FILE in place of the backing file that the image (or\n"
	"                             layer N of its chain) names; no image is changed\n"
	"      --backing-format FMT   raw, qcow or qcow2, where an image states none\n"
	"  -f, --format FMT           qcow2 or qcow: only if it is that\n"
	"  -U, --force-share          without a warning if others write to it meanwhile\n"
	"  -h, --help                 this text\n";

enum {
	OPT_BACKING_CHAIN = 256,
	OPT_DUMP,
	OPT_OUTPUT,
	OPT_ALLOW_BACKING,
	OPT_BACKING,
	OPT_BACKING_FORMAT,
};

static const struct option options[] = {
	{ "backing-chain", no_argument, NULL, OPT_BACKING_CHAIN },
	{ "dump", no_argument, NULL, OPT_DUMP },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "allow-backing", required_argument, NULL, OPT_ALLOW_BACKING },
	{ "backing", required_argument, NULL, OPT_BACKING },
	{ "backing-format", required_argument, NULL, OPT_BACKING_FORMAT },
	{ "format", required_argument, NULL, 'f' },
	{ "force-share", no_argument, NULL, 'U' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct info_args - the command line
 */
struct info_args {
	struct chain_options chain;
	const char *format;
	bool force_share;
	bool dump;
	bool json;
	bool help;
};

static int parse_option(struct info_args *a, int opt)
{
	switch (opt) {
	case OPT_BACKING_CHAIN:
		a->chain.top_only = false;
		return 0;
	case OPT_DUMP:
		a->dump = true;
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

static int parse_args(struct info_args *a, int argc, char **argv)
{
	int opt, err;

	while ((opt = getopt_long(argc, argv, "f:Uh", options, NULL)) != -1) {
		err = parse_option(a, opt);
		if (err)
			return err;
	}
	if (!a->help && cmd_check_one_image("info", argc))
		return QC_USAGE;
	if (a->dump && !a->chain.top_only)
		return qc_fail(QC_USAGE, "info", "--dump and --backing-chain exclude each other");
	return 0;
}

static int describe(struct info_args *a, struct chain *chain, struct json_object *list)
{
	struct json_object *info;
	int err, first = 0;
	u32 i;

	for (i = 0; i < chain->nr; i++) {
		info = info_image(&chain->images[i], &err);
		if (!first)
			first = err;
		json_object_array_add(list, info);
		if (a->json)
			continue;
		if (i)
			putchar('\n');
		info_print(info);
	}
	return first;
}

static int print_tree(struct json_object *tree)
{
	const char *text = json_object_to_json_string_ext(tree, JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_NOSLASHESCAPE);

	if (!text || !qc_put_json(text))
		return qc_fail(QC_SYSTEM, "info", "cannot print");
	return 0;
}

static void note_writer(const struct info_args *a, const struct chain *chain)
{
	if (!a->force_share)
		cmd_note_writer(&chain->images[0]);
}

static int info(struct info_args *a, const char *name)
{
	struct json_object *list = json_object_new_array();
	struct chain chain;
	int err, print_err = 0;

	err = chain_open(&chain, name, &a->chain);
	if (!err) {
		note_writer(a, &chain);
		err = describe(a, &chain, list);
		if (a->json)
			print_err = print_tree(a->chain.top_only ?
					       json_object_array_get_idx(list, 0) : list);
	}
	json_object_put(list);
	chain_close(&chain);
	return print_err ? print_err : err;
}

static int dump(struct info_args *a, const char *name)
{
	struct chain chain = { 0 };
	char *path = NULL;
	int err;

	err = attached_path(name, &path);
	if (!err)
		err = chain_open(&chain, path ? path : name, &a->chain);
	if (!err) {
		note_writer(a, &chain);
		err = dump_image(&chain.images[0], a->json);
	}
	chain_close(&chain);
	free(path);
	return err;
}

static int show(struct info_args *a, const char *name)
{
	int err = cmd_check_format(name, a->format);

	if (err)
		return err;
	return a->dump ? dump(a, name) : info(a, name);
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct info_args a = { .chain = { .top_only = true, .no_data = true } };
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

const struct command cmd_info = {
	.name = "info",
	.summary = "describe an image",
	.help = help,
	.run = run,
};
