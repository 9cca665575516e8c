// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl attach: opens and locks the files of a chain and hands them to the driver.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "crypt/keys.h"
#include "driver/driver.h"
#include "image/image.h"

#define MAX_QUEUES	4096
#define MAX_QUEUE_DEPTH	4096

static const char help[] =
	"Usage: qcowctl attach [OPTION]... IMAGE\n"
	"Make a QCOW image a block device and print its name.\n"
	"\n"
	"  -r, --read-only            change no byte of the image\n"
	"      --force-share          with -r: also while others write to it, as a virtual\n"
	"                             machine does\n"
	"      --snapshot ID|NAME     an internal snapshot, read-only\n"
	"      --drop-bitmaps         persistent bitmaps that cannot be kept true may be lost\n"
	"      --direct-io MODE       auto (default), on or off\n"
	"      --detect-zeroes MODE   off (default); on: writes of zeros take no space;\n"
	"                             unmap: and give back what was there\n"
	"      --compress METHOD      store clusters that are written as a whole compressed, by the\n"
	"                             method of the image: zlib or zstd\n"
	"      --no-partscan          do not look for partitions; partx can add them\n"
	"      --logical-block-size N 512 (default) or 4096: what the device's blocks are\n"
	"      --nr-queues N          hardware queues (default: one per CPU)\n"
	"      --queue-depth N        requests in flight per queue (default: 128)\n"
	"      --cache-size SIZE      limit of the L2 cache (default: 32M)\n"
	"      --device qcowN         this device number\n"
	"      --allow-backing NAME   backing and data files may be in this directory\n"
	"                             too, or be this file or block device; may be\n"
	"                             given several times\n"
	"      --backing [N=]FILE     FILE in place of the backing file that the image (or\n"
	"                             layer N of its chain) names; no image is changed\n"
	"      --backing-format FMT   raw, qcow or qcow2, where an image states none\n"
	"      --key-file FILE        all of FILE is the passphrase of an encrypted layer, not a\n"
	"                             line that is typed; -: standard input\n"
	"      --key-description TYPE:DESCRIPTION\n"
	"                             a key of the kernel is the volume key of one: user, logon,\n"
	"                             encrypted or trusted; these two may be given several times,\n"
	"                             for the layers from the image down; the last one is also\n"
	"                             for those that remain\n"
	"  -q, --quiet                do not print the name of the device\n"
	"  -h, --help                 this text\n";

enum {
	OPT_FORCE_SHARE = 256,
	OPT_SNAPSHOT,
	OPT_DROP_BITMAPS,
	OPT_DIRECT_IO,
	OPT_DETECT_ZEROES,
	OPT_COMPRESS,
	OPT_NO_PARTSCAN,
	OPT_LOGICAL_BLOCK_SIZE,
	OPT_NR_QUEUES,
	OPT_QUEUE_DEPTH,
	OPT_CACHE_SIZE,
	OPT_DEVICE,
	OPT_ALLOW_BACKING,
	OPT_BACKING,
	OPT_BACKING_FORMAT,
	OPT_KEY_FILE,
	OPT_KEY_DESCRIPTION,
};

static const struct option options[] = {
	{ "read-only", no_argument, NULL, 'r' },
	{ "force-share", no_argument, NULL, OPT_FORCE_SHARE },
	{ "snapshot", required_argument, NULL, OPT_SNAPSHOT },
	{ "drop-bitmaps", no_argument, NULL, OPT_DROP_BITMAPS },
	{ "direct-io", required_argument, NULL, OPT_DIRECT_IO },
	{ "detect-zeroes", required_argument, NULL, OPT_DETECT_ZEROES },
	{ "compress", required_argument, NULL, OPT_COMPRESS },
	{ "no-partscan", no_argument, NULL, OPT_NO_PARTSCAN },
	{ "logical-block-size", required_argument, NULL, OPT_LOGICAL_BLOCK_SIZE },
	{ "nr-queues", required_argument, NULL, OPT_NR_QUEUES },
	{ "queue-depth", required_argument, NULL, OPT_QUEUE_DEPTH },
	{ "cache-size", required_argument, NULL, OPT_CACHE_SIZE },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "allow-backing", required_argument, NULL, OPT_ALLOW_BACKING },
	{ "backing", required_argument, NULL, OPT_BACKING },
	{ "backing-format", required_argument, NULL, OPT_BACKING_FORMAT },
	{ "key-file", required_argument, NULL, OPT_KEY_FILE },
	{ "key-description", required_argument, NULL, OPT_KEY_DESCRIPTION },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct attach_args - the command line
 */
struct attach_args {
	const char *image;
	const char *snapshot;
	const char *compress;
	struct chain_options chain;
	struct key_sources keys;
	struct qcow_attach arg;
	bool force_share;
	bool quiet;
	bool help;
};

static int parse_direct_io(struct attach_args *a, const char *mode)
{
	a->arg.flags &= ~(QCOW_ATTACH_DIRECT | QCOW_ATTACH_BUFFERED);
	if (!strcmp(mode, "on"))
		a->arg.flags |= QCOW_ATTACH_DIRECT;
	else if (!strcmp(mode, "off"))
		a->arg.flags |= QCOW_ATTACH_BUFFERED;
	else if (strcmp(mode, "auto"))
		return qc_fail(QC_USAGE, "--direct-io", "'%s' is none of auto, on, off", mode);
	return 0;
}

static int parse_detect_zeroes(struct attach_args *a, const char *text)
{
	a->arg.flags &= ~(QCOW_ATTACH_DETECT_ZEROES | QCOW_ATTACH_UNMAP_ZEROES);
	if (!strcmp(text, "off"))
		return 0;
	a->arg.flags |= QCOW_ATTACH_DETECT_ZEROES;
	if (!strcmp(text, "unmap"))
		a->arg.flags |= QCOW_ATTACH_UNMAP_ZEROES;
	else if (strcmp(text, "on"))
		return qc_fail(QC_USAGE, "--detect-zeroes", "'%s' is neither off, on nor unmap",
			       text);
	return 0;
}

static int parse_compress(struct attach_args *a, const char *method)
{
	if (strcmp(method, "zlib") && strcmp(method, "zstd"))
		return qc_fail(QC_USAGE, "--compress", "'%s' is neither zlib nor zstd", method);
	a->compress = method;
	a->arg.flags |= QCOW_ATTACH_COMPRESS;
	return 0;
}

static int parse_number(const char *option, const char *text, u32 max, u32 *value)
{
	if (qc_parse_u32(text, max, value) || !*value)
		return qc_fail(QC_USAGE, option, "'%s' is no number from 1 to %u", text, max);
	return 0;
}

static int parse_block_size(const char *text, __u32 *bytes)
{
	u64 v;
	int err = qc_parse_size("--logical-block-size", text, &v);

	if (!err && v != 512 && v != 4096)
		err = qc_fail(QC_USAGE, "--logical-block-size", "'%s' is neither 512 nor 4096",
			      text);
	if (!err)
		*bytes = v;
	return err;
}

static int parse_device(const char *text, __u32 *index)
{
	u32 v;

	if (!sysfs_parse_name(text, &v))
		return qc_fail(QC_USAGE, "--device", "'%s' is not of the form qcowN", text);
	*index = v;
	return 0;
}

static int parse_option(struct attach_args *a, int opt)
{
	switch (opt) {
	case 'r':
		a->arg.flags |= QCOW_ATTACH_READ_ONLY;
		return 0;
	case 'q':
		a->quiet = true;
		return 0;
	case 'h':
		a->help = true;
		return 0;
	case OPT_FORCE_SHARE:
		a->force_share = true;
		return 0;
	case OPT_SNAPSHOT:
		a->snapshot = optarg;
		a->arg.flags |= QCOW_ATTACH_READ_ONLY;
		return 0;
	case OPT_DROP_BITMAPS:
		a->arg.flags |= QCOW_ATTACH_DROP_BITMAPS;
		return 0;
	case OPT_DIRECT_IO:
		return parse_direct_io(a, optarg);
	case OPT_DETECT_ZEROES:
		return parse_detect_zeroes(a, optarg);
	case OPT_COMPRESS:
		return parse_compress(a, optarg);
	case OPT_NO_PARTSCAN:
		a->arg.flags |= QCOW_ATTACH_NO_PARTSCAN;
		return 0;
	case OPT_LOGICAL_BLOCK_SIZE:
		return parse_block_size(optarg, &a->arg.logical_block_size);
	case OPT_NR_QUEUES:
		return parse_number("--nr-queues", optarg, MAX_QUEUES, &a->arg.nr_queues);
	case OPT_QUEUE_DEPTH:
		return parse_number("--queue-depth", optarg, MAX_QUEUE_DEPTH,
				    &a->arg.queue_depth);
	case OPT_CACHE_SIZE:
		return cmd_parse_size("--cache-size", optarg, &a->arg.cache_bytes);
	case OPT_DEVICE:
		return parse_device(optarg, &a->arg.index);
	case OPT_ALLOW_BACKING:
		return policy_allow(&a->chain.policy, optarg);
	case OPT_BACKING:
		return chain_add_backing(&a->chain, optarg);
	case OPT_BACKING_FORMAT:
		return chain_set_backing_format(&a->chain, optarg);
	case OPT_KEY_FILE:
		return key_sources_add_file(&a->keys, optarg);
	case OPT_KEY_DESCRIPTION:
		return key_sources_add_name(&a->keys, optarg);
	default:
		return QC_USAGE;
	}
}

static int parse_args(struct attach_args *a, int argc, char **argv)
{
	int opt, err;

	a->arg.index = QCOW_INDEX_ANY;
	while ((opt = getopt_long(argc, argv, "rqh", options, NULL)) != -1) {
		err = parse_option(a, opt);
		if (err)
			return err;
	}
	if (a->help)
		return 0;
	if (cmd_check_one_image("attach", argc))
		return QC_USAGE;
	a->image = argv[optind];
	a->chain.write = !(a->arg.flags & QCOW_ATTACH_READ_ONLY);
	if (a->force_share && a->chain.write)
		return qc_fail(QC_USAGE, "--force-share", "only with --read-only");
	if (a->arg.flags & QCOW_ATTACH_DETECT_ZEROES && !a->chain.write)
		return qc_fail(QC_USAGE, "--detect-zeroes", "not of a device that is read-only");
	if (a->compress && !a->chain.write)
		return qc_fail(QC_USAGE, "--compress", "not of a device that is read-only");
	if (a->arg.flags & QCOW_ATTACH_DROP_BITMAPS && !a->chain.write)
		return qc_fail(QC_USAGE, "--drop-bitmaps", "not of a device that is read-only");
	return 0;
}

/* A snapshot of an image that is attached to be written to is attached beside that. */
static int choose_lock(struct attach_args *a)
{
	bool written = false;
	u32 index;
	int err = 0;

	a->chain.lock = a->force_share ? IMAGE_LOCK_SHARE :
			a->chain.write ? IMAGE_LOCK_WRITE : IMAGE_LOCK_READ;
	if (a->snapshot && !a->force_share)
		err = sysfs_find_image_writer(a->image, &index, &written);
	if (!err && written) {
		a->chain.lock = IMAGE_LOCK_BESIDE;
		a->arg.flags |= QCOW_ATTACH_BESIDE;
	}
	return err;
}

static int open_chain(const struct attach_args *a, struct chain *chain)
{
	int err = chain_open(chain, a->image, &a->chain);

	if (err == QC_SYSTEM && a->chain.write && eaccess(a->image, W_OK) &&
	    !eaccess(a->image, R_OK))
		qc_hint("qcowctl attach -r %s", a->image);
	else if (err == QC_BUSY && !a->force_share)
		qc_hint("qcowctl attach -r --force-share %s, to read it while it changes",
			a->image);
	else if (!err && a->force_share)
		qc_warn(a->image,
			"others may write to it meanwhile: what is read may be neither old nor new");
	return err;
}

/* An image has one method for all of its clusters. */
static int check_compress(const struct attach_args *a, const struct image *img)
{
	const char *method = img->h.compression_type == QCOW_COMPRESSION_ZSTD ? "zstd" : "zlib";

	if (!a->compress || !strcmp(a->compress, method))
		return 0;
	return qc_fail(QC_UNSUPPORTED, img->name, "compression_type is %s, %s is asked for",
		       method, a->compress);
}

/* The driver says what is wrong, not what helps. */
static void hint_refused(const struct attach_args *a, const struct chain *chain,
			 const struct attach_refusal *refusal)
{
	u64 cluster_bytes = 1ULL << chain->images[0].h.cluster_bits;
	int err = refusal->err;

	if (refusal->bitmaps && a->chain.write && !(a->arg.flags & QCOW_ATTACH_DROP_BITMAPS))
		qc_hint("qcowctl attach -r %s, or --drop-bitmaps, which loses them", a->image);
	else if (err == EOPNOTSUPP && a->compress)
		qc_hint("qcowctl attach %s, without --compress", a->image);
	else if (err == EUCLEAN && a->chain.write)
		qc_hint("qcowctl attach -r %s, or qcowctl check -r all %s", a->image,
			a->image);
	/* Direct I/O needs whole blocks, of a page at most, and a cluster is written by itself. */
	else if (err == EOPNOTSUPP && a->chain.write &&
		 cluster_bytes < (u64)sysconf(_SC_PAGESIZE))
		qc_hint("qcowctl attach -r %s, or --direct-io off", a->image);
	else if (err == EOPNOTSUPP && a->arg.flags & QCOW_ATTACH_DIRECT)
		qc_hint("--direct-io auto");
}

/*
 * A GPT is in the second block of a disk: it tells how long the first one was. What is on a disk
 * that is not scanned for partitions is not looked at.
 */
static void hint_block_size(const struct attach_args *a, const char *device)
{
	static const char magic[] = "EFI PART";
	char at_512[8] = "", at_4096[8] = "";
	int fd;

	if (a->arg.logical_block_size || a->arg.flags & QCOW_ATTACH_NO_PARTSCAN)
		return;
	fd = open(device, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (!image_pread(fd, at_512, sizeof(at_512), 512) &&
	    !image_pread(fd, at_4096, sizeof(at_4096), 4096) &&
	    memcmp(at_512, magic, sizeof(at_512)) && !memcmp(at_4096, magic, sizeof(at_4096))) {
		qc_warn(device, "its partition table (GPT) is for blocks of 4096 bytes");
		qc_hint("qcowctl detach %s && qcowctl attach --logical-block-size 4096 %s", device,
			a->image);
	}
	close(fd);
}

static int call_driver(struct attach_args *a, const struct chain *chain, const s32 *keys)
{
	struct attach_refusal refusal;
	int fd = control_open(true), err;

	if (fd < 0)
		return -fd;
	a->arg.keys = (uintptr_t)keys;
	err = control_attach(fd, chain, &a->arg, &refusal);
	close(fd);
	if (err)
		hint_refused(a, chain, &refusal);
	return err;
}

/* A wrong key is told before the driver hears of the image. */
static int hand_over(struct attach_args *a, const struct chain *chain)
{
	struct layer_keys keys;
	int err = layer_keys_open(&keys, chain->images, chain->nr, &a->keys);

	if (!err)
		err = call_driver(a, chain, keys.serials);
	layer_keys_close(&keys);
	return err;
}

static void show_device(const struct attach_args *a)
{
	char *device;

	settle_device(a->arg.index);
	device = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", a->arg.index);
	if (!a->quiet)
		puts(device);
	hint_block_size(a, device);
	free(device);
}

static int attach(struct attach_args *a)
{
	struct chain chain;
	u32 index;
	int err;

	err = choose_lock(a);
	if (err)
		return err;
	err = open_chain(a, &chain);
	if (!err)
		err = check_compress(a, &chain.images[0]);
	if (!err && a->snapshot) {
		err = snapshots_find(&chain.images[0], a->snapshot, &index);
		a->arg.snapshot = index;
		a->arg.flags |= QCOW_ATTACH_SNAPSHOT;
	}
	if (!err)
		err = hand_over(a, &chain);
	if (!err)
		show_device(a);
	chain_close(&chain);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct attach_args a = { 0 };
	int err = parse_args(&a, argc, argv);

	if (err == QC_USAGE)
		cmd_usage(cmd);
	else if (!err && a.help)
		cmd_help(cmd);
	else if (!err)
		err = attach(&a);
	key_sources_free(&a.keys);
	chain_options_free(&a.chain);
	return err;
}

const struct command cmd_attach = {
	.name = "attach",
	.summary = "make an image a block device",
	.help = help,
	.run = run,
};
