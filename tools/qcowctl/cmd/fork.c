// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl fork: a second device that begins with the present state of one in use.
 *
 * Both get an overlay on the image, which neither writes to any more. What can go wrong with the
 * second one is tried before the first one changes, but for the attach itself.
 */
#include <getopt.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "crypt/keyring.h"
#include "driver/driver.h"
#include "overlay/overlay.h"

static const char help[] =
	"Usage: qcowctl fork [OPTION]... DEVICE|IMAGE FILE\n"
	"Make a second device that begins with the present state of a device, which may be\n"
	"mounted and in use, and print its name. FILE is a new overlay, which has what is written\n"
	"to the second device; the first one goes on in a new overlay of its own, beside the\n"
	"image, whose name is printed to standard error. The image becomes read-only.\n"
	"\n"
	"      --own FILE2           name of the first device's overlay (default: IMAGE with a\n"
	"                            number; none where the image is a block device)\n"
	"      --key-file FILE       all of FILE is the passphrase of both overlays, which are\n"
	"                            encrypted then; -: standard input; without this option one\n"
	"                            is asked for where the image is encrypted\n"
	"      --no-freeze           do not freeze the file systems on the device\n"
	"      --device qcowN        number of the second device\n"
	"      --allow-backing NAME  as for attach; backing files of the image may be there\n"
	"      --backing-format FMT  raw, qcow or qcow2, where an image states none\n"
	"  -h, --help                this text\n";

enum {
	OPT_OWN = 256,
	OPT_NO_FREEZE,
	OPT_KEY_FILE,
	OPT_DEVICE,
	OPT_ALLOW_BACKING,
	OPT_BACKING_FORMAT,
};

static const struct option options[] = {
	{ "own", required_argument, NULL, OPT_OWN },
	{ "no-freeze", no_argument, NULL, OPT_NO_FREEZE },
	{ "key-file", required_argument, NULL, OPT_KEY_FILE },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "allow-backing", required_argument, NULL, OPT_ALLOW_BACKING },
	{ "backing-format", required_argument, NULL, OPT_BACKING_FORMAT },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct fork_args - the command line
 * @what: device or image
 * @file: the second device's overlay
 * @own: the first device's, or NULL
 * @key_file: passphrase of both, as overlay_encrypt()
 * @no_freeze: do not freeze file systems
 * @chain: how the second device's chain is opened
 * @arg: how it is attached
 * @help: print the help
 */
struct fork_args {
	const char *what;
	const char *file;
	const char *own;
	const char *key_file;
	bool no_freeze;
	struct chain_options chain;
	struct qcow_attach arg;
	bool help;
};

static int parse_option(struct fork_args *a, int opt)
{
	u32 index;

	switch (opt) {
	case OPT_OWN:
		a->own = optarg;
		return 0;
	case OPT_NO_FREEZE:
		a->no_freeze = true;
		return 0;
	case OPT_KEY_FILE:
		a->key_file = optarg;
		return 0;
	case OPT_DEVICE:
		if (!sysfs_parse_name(optarg, &index))
			return qc_fail(QC_USAGE, "--device", "'%s' is not of the form qcowN",
				       optarg);
		a->arg.index = index;
		return 0;
	case OPT_ALLOW_BACKING:
		return policy_allow(&a->chain.policy, optarg);
	case OPT_BACKING_FORMAT:
		return chain_set_backing_format(&a->chain, optarg);
	case 'h':
		a->help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int parse_args(struct fork_args *a, int argc, char **argv)
{
	int opt, err;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		err = parse_option(a, opt);
		if (err)
			return err;
	}
	if (a->help)
		return 0;
	if (argc - optind != 2)
		return qc_fail(QC_USAGE, "fork", "a device and a new file are wanted, %d given",
			       argc - optind);
	a->what = argv[optind];
	a->file = argv[optind + 1];
	return 0;
}

/* Where the end of a name begins that tells its format, ".qcow2"; or its end. */
static size_t stem_length(const char *path)
{
	const char *base = strrchr(path, '/') + 1;
	const char *dot = strrchr(base, '.');

	return dot && dot != base ? (size_t)(dot - path) : strlen(path);
}

/* "disk.qcow2", "disk-1.qcow2", "disk-2.qcow2", ...: the first one that is free; allocated. */
static char *numbered_name(const char *path)
{
	size_t end = stem_length(path), stem = end;
	char *name = NULL, *text;
	u32 nr = 0;

	while (stem && path[stem - 1] >= '0' && path[stem - 1] <= '9')
		stem--;
	text = qc_strndup(path + stem, end - stem);
	if (!stem || path[stem - 1] != '-' || qc_parse_u32(text, 1000000, &nr))
		stem = end;
	else
		stem--;
	free(text);
	do {
		free(name);
		name = qc_printf("%.*s-%u%s", (int)stem, path, ++nr, path + end);
	} while (!access(name, F_OK));
	return name;
}

/* The second device's chain has what the first one has. */
static int allow_files(const struct overlay_base *base, struct policy *policy)
{
	static const char *const attrs[] = { "qcow/data_file", "qcow/backing" };
	int err = policy_allow(policy, base->path);
	size_t i;

	for (i = 0; !err && i < ARRAY_SIZE(attrs); i++) {
		char *path = sysfs_read("", base->index, attrs[i]);

		if (path && *path)
			err = policy_allow(policy, path);
		free(path);
	}
	return err;
}

/* Whether all below the second overlay may be opened, and is there. */
static int try_chain(struct fork_args *a, const struct overlay_base *base)
{
	struct chain chain = { 0 };
	int err = allow_files(base, &a->chain.policy);

	if (!err)
		err = chain_open(&chain, a->file, &a->chain);
	chain_close(&chain);
	return err;
}

/* The first device has the layers below the overlay open: none of them needs a key. */
static int call_driver(struct fork_args *a, const struct overlay_base *base,
		       const struct chain *chain, int fd)
{
	s32 *keys = qc_alloc(chain->nr * sizeof(*keys));
	struct attach_refusal refusal;
	int err = overlay_key(base, chain->images, &keys[0]);

	if (keys[0])
		a->arg.keys = (uintptr_t)keys;
	if (!err)
		err = control_attach(fd, chain, &a->arg, &refusal);
	keyring_drop(keys[0]);
	free(keys);
	return err;
}

static int attach_second(struct fork_args *a, const struct overlay_base *base)
{
	struct chain chain = { 0 };
	u64 block_bytes = 0;
	int fd, err;

	a->chain.write = true;
	a->chain.lock = IMAGE_LOCK_WRITE;
	/* Partition tables and file systems count in them. */
	if (sysfs_read_u64("", base->index, "queue/logical_block_size", &block_bytes))
		a->arg.logical_block_size = block_bytes;
	fd = control_open(false);
	if (fd < 0)
		return -fd;
	err = chain_open(&chain, a->file, &a->chain);
	if (!err)
		err = call_driver(a, base, &chain, fd);
	if (!err) {
		settle_device(a->arg.index);
		printf("/dev/" QCOW_DEVICE_PREFIX "%u\n", a->arg.index);
	}
	chain_close(&chain);
	close(fd);
	return err;
}

/* The files have their names before the first device has its own: a signal waits until then. */
static int make_overlays(struct fork_args *a, const struct overlay_base *base, const char *own)
{
	struct image first, second;
	sigset_t before;
	int err;

	image_init(&second);
	qc_hold_signals(&before);
	err = overlay_create(base, own, &first);
	if (!err) {
		err = overlay_create(base, a->file, &second);
		if (!err)
			err = try_chain(a, base);
		if (!err)
			err = overlay_put(base, &first, a->no_freeze);
		if (err) {
			overlay_remove(&second);
			overlay_remove(&first);
		}
	}
	image_close(&second);
	image_close(&first);
	qc_release_signals(&before);
	return err;
}

static int fork_base(struct fork_args *a, const struct overlay_base *base, const char *own)
{
	int err = make_overlays(a, base, own);

	if (err)
		return err;
	qc_fail(0, base->device, "goes on in %s", own);
	err = attach_second(a, base);
	if (err)
		qc_hint("qcowctl attach %s, once that can be: it is there, and has the state",
			a->file);
	return err;
}

static int fork_device(struct fork_args *a)
{
	struct overlay_base base;
	char *own;
	int err;

	err = overlay_open_base(&base, a->what);
	if (!err && !a->own && S_ISBLK(base.chain.images[0].st.st_mode))
		err = qc_fail(QC_USAGE, "--own",
			      "is needed: beside %s, a block device, there is no place for a file",
			      base.path);
	if (!err)
		err = overlay_encrypt(&base, a->key_file, a->file);
	if (!err) {
		own = a->own ? qc_strdup(a->own) : numbered_name(base.path);
		err = fork_base(a, &base, own);
		free(own);
	}
	overlay_close_base(&base);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct fork_args a = { .arg.index = QCOW_INDEX_ANY };
	int err = parse_args(&a, argc, argv);

	if (err == QC_USAGE)
		cmd_usage(cmd);
	else if (!err && a.help)
		cmd_help(cmd);
	else if (!err)
		err = fork_device(&a);
	chain_options_free(&a.chain);
	return err;
}

const struct command cmd_fork = {
	.name = "fork",
	.summary = "make a second device with the state of one",
	.help = help,
	.run = run,
};
