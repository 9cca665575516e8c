// SPDX-License-Identifier: GPL-2.0
/*
 * The options of attach, of the command line or among those of a mount.
 */
#include "attach/attach.h"
#include "driver/driver.h"

#define MAX_QUEUES	4096
#define MAX_QUEUE_DEPTH	4096

enum {
	OPT_FORCE_SHARE = 256,
	OPT_SNAPSHOT,
	OPT_OVERLAY,
	OPT_DROP_BITMAPS,
	OPT_DIRECT_IO,
	OPT_DETECT_ZEROES,
	OPT_DISCARD,
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
	OPT_ACTIVATE,
};

const struct option attach_options[] = {
	{ "read-only", no_argument, NULL, 'r' },
	{ "force-share", no_argument, NULL, OPT_FORCE_SHARE },
	{ "snapshot", required_argument, NULL, OPT_SNAPSHOT },
	{ "overlay", optional_argument, NULL, OPT_OVERLAY },
	{ "drop-bitmaps", no_argument, NULL, OPT_DROP_BITMAPS },
	{ "direct-io", required_argument, NULL, OPT_DIRECT_IO },
	{ "detect-zeroes", required_argument, NULL, OPT_DETECT_ZEROES },
	{ "discard", required_argument, NULL, OPT_DISCARD },
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
	{ "activate", no_argument, NULL, OPT_ACTIVATE },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

void attach_init(struct attach_request *a)
{
	*a = (struct attach_request) { .arg.index = QCOW_INDEX_ANY, .held = -1 };
}

static int parse_direct_io(struct attach_request *a, const char *mode)
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

static int parse_detect_zeroes(struct attach_request *a, const char *text)
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

/* The words are qemu-nbd's, which has them twice. */
static int parse_discard(struct attach_request *a, const char *text)
{
	a->arg.flags &= ~QCOW_ATTACH_NO_DISCARD;
	if (!strcmp(text, "ignore") || !strcmp(text, "off"))
		a->arg.flags |= QCOW_ATTACH_NO_DISCARD;
	else if (strcmp(text, "unmap") && strcmp(text, "on"))
		return qc_fail(QC_USAGE, "--discard", "'%s' is neither unmap (on) nor ignore (off)",
			       text);
	return 0;
}

static int parse_compress(struct attach_request *a, const char *method)
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

int attach_set_option(struct attach_request *a, int opt, const char *value)
{
	switch (opt) {
	case 'r':
		a->arg.flags |= QCOW_ATTACH_READ_ONLY;
		return 0;
	case OPT_FORCE_SHARE:
		a->force_share = true;
		return 0;
	case OPT_SNAPSHOT:
		a->snapshot = value;
		a->arg.flags |= QCOW_ATTACH_READ_ONLY;
		return 0;
	case OPT_OVERLAY:
		a->wants_overlay = true;
		a->overlay = value;
		return 0;
	case OPT_DROP_BITMAPS:
		a->arg.flags |= QCOW_ATTACH_DROP_BITMAPS;
		return 0;
	case OPT_DIRECT_IO:
		return parse_direct_io(a, value);
	case OPT_DETECT_ZEROES:
		return parse_detect_zeroes(a, value);
	case OPT_DISCARD:
		return parse_discard(a, value);
	case OPT_COMPRESS:
		return parse_compress(a, value);
	case OPT_NO_PARTSCAN:
		a->arg.flags |= QCOW_ATTACH_NO_PARTSCAN;
		return 0;
	case OPT_LOGICAL_BLOCK_SIZE:
		return parse_block_size(value, &a->arg.logical_block_size);
	case OPT_NR_QUEUES:
		return parse_number("--nr-queues", value, MAX_QUEUES, &a->arg.nr_queues);
	case OPT_QUEUE_DEPTH:
		return parse_number("--queue-depth", value, MAX_QUEUE_DEPTH,
				    &a->arg.queue_depth);
	case OPT_CACHE_SIZE:
		return qc_parse_some_size("--cache-size", value, &a->arg.cache_bytes);
	case OPT_DEVICE:
		return parse_device(value, &a->arg.index);
	case OPT_ALLOW_BACKING:
		return policy_allow(&a->chain.policy, value);
	case OPT_BACKING:
		return chain_add_backing(&a->chain, value);
	case OPT_BACKING_FORMAT:
		return chain_set_backing_format(&a->chain, value);
	case OPT_KEY_FILE:
		return key_sources_add_file(&a->keys, value);
	case OPT_KEY_DESCRIPTION:
		return key_sources_add_name(&a->keys, value);
	case OPT_ACTIVATE:
		a->activate = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

int attach_check_options(struct attach_request *a)
{
	a->chain.write = !(a->arg.flags & QCOW_ATTACH_READ_ONLY);
	if (a->force_share && a->chain.write)
		return qc_fail(QC_USAGE, "--force-share", "only with --read-only");
	if (a->arg.flags & QCOW_ATTACH_DETECT_ZEROES && !a->chain.write)
		return qc_fail(QC_USAGE, "--detect-zeroes", "not of a device that is read-only");
	if (a->arg.flags & QCOW_ATTACH_UNMAP_ZEROES && a->arg.flags & QCOW_ATTACH_NO_DISCARD)
		return qc_fail(QC_USAGE, "--detect-zeroes", "unmap, with --discard ignore");
	if (a->compress && a->arg.flags & QCOW_ATTACH_NO_DISCARD)
		return qc_fail(QC_USAGE, "--compress", "not with --discard ignore");
	if (a->wants_overlay && !a->chain.write)
		return qc_fail(QC_USAGE, "--overlay", "not of a device that is read-only");
	if (a->compress && !a->chain.write)
		return qc_fail(QC_USAGE, "--compress", "not of a device that is read-only");
	if (a->arg.flags & QCOW_ATTACH_DROP_BITMAPS && !a->chain.write)
		return qc_fail(QC_USAGE, "--drop-bitmaps", "not of a device that is read-only");
	return 0;
}

void attach_free(struct attach_request *a)
{
	key_sources_free(&a->keys);
	chain_options_free(&a->chain);
}
