// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl mount, and the programs that mount(8) and umount(8) call for it, with their arguments and
 * exit statuses.
 */
#include <getopt.h>

#include <libmount.h>

#include "cmd/cmd.h"
#include "mount/mount.h"

static const char help[] =
	"Usage: qcowctl mount [OPTION]... IMAGE DIR\n"
	"Attach an image and mount the file system that is in it: the only one, or that of the\n"
	"root partition. umount detaches the image.\n"
	"\n"
	"  -p, --partition N     this partition\n"
	"      --root            the root partition, and no other file system\n"
	"  -r, --read-only       change no byte of the image\n"
	"  -t, --types TYPE      the type of the file system\n"
	"  -o, --options LIST    options of the file system, as for mount; and of attach by their\n"
	"                        names: key-file=FILE, snapshot=NAME, backing=FILE; those that\n"
	"                        file systems have, too, as qcow-discard=MODE,\n"
	"                        qcow-compress=METHOD and qcow-device=qcowN;\n"
	"                        partition=N, root\n"
	"  -h, --help            this text\n";

enum {
	OPT_ROOT = 256,
};

static const struct option options[] = {
	{ "partition", required_argument, NULL, 'p' },
	{ "root", no_argument, NULL, OPT_ROOT },
	{ "read-only", no_argument, NULL, 'r' },
	{ "types", required_argument, NULL, 't' },
	{ "options", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int parse_option(struct mount_request *m, int opt)
{
	switch (opt) {
	case 'p':
		return mount_set_partition(m, optarg);
	case OPT_ROOT:
		m->root = true;
		return 0;
	case 'r':
		mount_set_read_only(m);
		return 0;
	case 't':
		m->type = optarg;
		return 0;
	case 'o':
		return mount_add_options(m, optarg);
	default:
		return QC_USAGE;
	}
}

static int take_arguments(struct mount_request *m, int argc, char **argv)
{
	if (argc - optind != 2)
		return qc_fail(QC_USAGE, "mount", "an image and a directory are wanted, %d given",
			       argc - optind);
	m->attach.image = argv[optind];
	m->dir = argv[optind + 1];
	return mount_check_options(m);
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct mount_request m;
	int opt, err = 0;

	mount_init(&m);
	while (!err && (opt = getopt_long(argc, argv, "p:rt:o:h", options, NULL)) != -1) {
		if (opt == 'h') {
			mount_free(&m);
			return cmd_help(cmd);
		}
		err = parse_option(&m, opt);
	}
	if (!err)
		err = take_arguments(&m, argc, argv);
	if (err == QC_USAGE)
		cmd_usage(cmd);
	else if (!err)
		err = mount_image(&m);
	mount_free(&m);
	return err;
}

const struct command cmd_mount = {
	.name = "mount",
	.summary = "mount the file system in an image",
	.help = help,
	.run = run,
};

static int helper_status(int err)
{
	switch (err) {
	case 0:
		return MNT_EX_SUCCESS;
	case QC_USAGE:
		return MNT_EX_USAGE;
	default:
		return MNT_EX_FAIL;
	}
}

/* "qcow2.ext4": the type of the file system is behind the dot. */
static const char *subtype(const char *type)
{
	const char *dot = strchr(type, '.');

	return dot ? dot + 1 : NULL;
}

int cmd_mount_helper(int argc, char **argv)
{
	struct mount_request m;
	bool fake = false;
	int opt, err = 0;

	mount_init(&m);
	while (!err && (opt = getopt(argc, argv, "sfnvo:N:t:")) != -1) {
		if (opt == 's')
			m.sloppy = true;
		else if (opt == 'f')
			fake = true;
		else if (opt == 'n')
			m.no_mtab = true;
		else if (opt == 'v')
			m.verbose = true;
		else if (opt == 'N')
			m.mount_ns = optarg;
		else if (opt == 't')
			m.type = subtype(optarg);
		else
			err = parse_option(&m, opt);
	}
	if (!err)
		err = take_arguments(&m, argc, argv);
	if (err == QC_USAGE)
		qc_hint("man mount.qcow2");
	else if (!err && !fake)
		err = mount_image(&m);
	mount_free(&m);
	return helper_status(err);
}

int cmd_umount_helper(int argc, char **argv)
{
	struct umount_request u = { 0 };
	int opt, err = 0;

	while (!err && (opt = getopt(argc, argv, "flnrvN:t:")) != -1) {
		if (opt == 'f')
			u.force = true;
		else if (opt == 'l')
			u.lazy = true;
		else if (opt == 'n')
			u.no_mtab = true;
		else if (opt == 'r')
			u.read_only = true;
		else if (opt == 'N')
			u.mount_ns = optarg;
		else if (opt != 'v' && opt != 't')
			err = QC_USAGE;
	}
	if (!err && argc - optind != 1)
		err = qc_fail(QC_USAGE, "umount", "one directory is wanted, %d given",
			      argc - optind);
	u.dir = argv[optind];
	return helper_status(err ? err : umount_dir(&u));
}
