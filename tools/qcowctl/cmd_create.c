// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl create: makes an empty image, with qemu-img's options.
 */
#include <errno.h>
#include <getopt.h>

#include "create.h"
#include "path.h"
#include "policy.h"

static const char help[] =
	"Usage: qcowctl create [OPTION]... IMAGE [SIZE]\n"
	"Make an empty image, as qemu-img create does. Needs neither root nor the driver.\n"
	"A file that is there is replaced, unless somebody uses it.\n"
	"\n"
	"  -f, --format FMT           qcow2 (default) or qcow, which is version 1\n"
	"  -o, --options LIST         NAME=VALUE,...; -o help lists them\n"
	"  -b, --backing FILE         backing file; SIZE is its size if not given\n"
	"  -F, --backing-format FMT   its format: raw, qcow or qcow2\n"
	"  -u, --unsafe               do not look at the backing file; SIZE is needed\n"
	"  -q, --quiet                for qemu-img's sake: nothing is printed anyway\n"
	"  -h, --help                 this text\n";

static const struct option options[] = {
	{ "format", required_argument, NULL, 'f' },
	{ "options", required_argument, NULL, 'o' },
	{ "backing", required_argument, NULL, 'b' },
	{ "backing-format", required_argument, NULL, 'F' },
	{ "unsafe", no_argument, NULL, 'u' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct create_args - the command line
 * @text: the options
 * @name: of the image
 * @unsafe: do not open the backing file
 * @help: print the help
 * @help_options: print the options of -o
 */
struct create_args {
	struct create_text text;
	const char *name;
	bool unsafe;
	bool help;
	bool help_options;
};

static int parse_option(struct create_args *a, int opt)
{
	switch (opt) {
	case 'f':
		a->text.format = optarg;
		return 0;
	case 'o':
		return create_text_parse(&a->text, optarg, &a->help_options);
	case 'b':
		create_text_set(&a->text, OPT_BACKING_FILE, optarg);
		return 0;
	case 'F':
		create_text_set(&a->text, OPT_BACKING_FMT, optarg);
		return 0;
	case 'u':
		a->unsafe = true;
		return 0;
	case 'q':
		return 0;
	case 'h':
		a->help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int parse_args(struct create_args *a, int argc, char **argv)
{
	int opt, err;

	while ((opt = getopt_long(argc, argv, "f:o:b:F:uqh", options, NULL)) != -1) {
		err = parse_option(a, opt);
		if (err)
			return err;
	}
	if (a->help || a->help_options)
		return 0;
	if (argc - optind < 1 || argc - optind > 2)
		return qc_fail(QC_USAGE, "create", "an image and a size are wanted, %d given",
			       argc - optind);
	a->name = argv[optind];
	if (argc - optind == 1)
		return 0;
	if (a->text.value[OPT_SIZE])
		return qc_fail(QC_USAGE, "size", "'%s' and '%s': one of them is enough",
			       a->text.value[OPT_SIZE], argv[optind + 1]);
	create_text_set(&a->text, OPT_SIZE, argv[optind + 1]);
	return 0;
}

/* The backing file as the user names it: no policy holds for it, unlike for those below. */
static int open_backing(struct image *img, const char *path, const struct create_spec *spec)
{
	int err;

	if (path_has_protocol(path))
		return qc_fail(QC_POLICY, "backing_file",
			       "'%s' has a protocol, only files are opened", path);
	err = policy_open_named(img, path, false);
	if (err)
		return err;
	img->raw = !strcmp(spec->backing_format, "raw");
	if (img->raw)
		return 0;

	err = image_read_header(img);
	if (!err && strcmp(image_format(img), spec->backing_format))
		err = QC_NOT_QCOW;
	if (err == QC_NOT_QCOW)
		return qc_fail(QC_BAD_IMAGE, "backing_fmt", "'%s' is not what %s is",
			       spec->backing_format, img->name);
	return err;
}

/* A name in the image as it will be looked up. */
static char *name_beside(const char *image, const char *name)
{
	return policy_combine(image, strncmp(name, "file:/", 6) ? name : name + 5);
}

/* Whether @path and @backing are there and the same: to create one would ruin the other. */
static int check_distinct(const char *what, const char *path, const char *backing)
{
	struct stat a, b;

	if (stat(path, &a) || stat(backing, &b) || !image_same_file(&a, &b))
		return 0;
	return qc_fail(QC_USAGE, what, "'%s' is the backing file itself", path);
}

static int check_backing(const struct create_args *a, struct create_spec *spec)
{
	char *path = name_beside(a->name, spec->backing);
	char *data = spec->data_file ? name_beside(a->name, spec->data_file) : NULL;
	struct image img;
	int err;

	image_init(&img);
	err = check_distinct("create", a->name, path);
	if (!err && data)
		err = check_distinct("data_file", data, path);
	if (!err && !a->unsafe)
		err = open_backing(&img, path, spec);
	/* Both as QEMU sees them: a raw file is filled up to a sector, an image is not. */
	if (!err && !a->unsafe && !spec->has_size) {
		spec->size = img.raw ? round_up(img.bytes, 512) : round_down(img.h.size, 512);
		spec->has_size = true;
	}
	image_close(&img);
	free(data);
	free(path);
	return err;
}

/* Both files are complete before one of them gets its name. */
static int write_files(struct target *image, struct target *data, const struct layout *layout,
		       const struct create_spec *spec)
{
	int err;

	if (spec->data_file && target_same(image, data))
		return qc_fail(QC_USAGE, "data_file", "'%s' is the image itself", spec->data_file);
	err = spec->data_file ? write_data_file(data, spec) : 0;
	if (!err)
		err = write_image(image, layout, spec);
	if (!err && spec->data_file)
		err = target_commit(data);
	if (!err) {
		err = target_commit(image);
		if (err && spec->data_file)
			target_undo(data);
	}
	return err;
}

static int make(const char *name, const struct create_spec *spec)
{
	struct target image, data = { .fd = -1, .old_fd = -1 };
	struct layout layout;
	char *data_name = NULL;
	int err;

	err = layout_plan(&layout, spec, name);
	if (err) {
		layout_free(&layout);
		return err;
	}
	err = target_open(&image, name);
	if (!err && spec->data_file) {
		data_name = name_beside(name, spec->data_file);
		err = target_open(&data, data_name);
	}
	if (!err)
		err = write_files(&image, &data, &layout, spec);
	free(data_name);
	target_close(&data);
	target_close(&image);
	layout_free(&layout);
	return err;
}

static int create(const struct create_args *a)
{
	struct create_spec spec;
	int err;

	err = create_resolve(&a->text, &spec);
	if (!err && spec.backing)
		err = check_backing(a, &spec);
	if (!err && !spec.has_size)
		err = qc_fail(QC_USAGE, "size", "none is given");
	return err ? err : make(a->name, &spec);
}

static int run(const struct qc_command *cmd, int argc, char **argv)
{
	struct create_args a = { .name = NULL };
	int err = parse_args(&a, argc, argv);

	if (!err && a.help)
		qc_help(cmd);
	else if (!err && a.help_options)
		create_print_options();
	else if (!err)
		err = create(&a);
	if (err == QC_USAGE)
		qc_usage(cmd);
	create_text_free(&a.text);
	return err;
}

const struct qc_command qc_create = {
	.name = "create",
	.summary = "make an empty image",
	.help = help,
	.run = run,
};
