// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl attach: its command line, and what it prints.
 */
#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#include "attach/attach.h"
#include "cmd/cmd.h"
#include "driver/driver.h"

static const char help[] =
	"Usage: qcowctl attach [OPTION]... IMAGE\n"
	"Make a QCOW image a block device and print its name.\n"
	"\n"
	"  -r, --read-only            change no byte of the image\n"
	"      --force-share          with -r: also while others write to it, as a virtual\n"
	"                             machine does\n"
	"      --snapshot ID|NAME     an internal snapshot, read-only\n"
	"      --overlay[=FILE]       write to a new overlay, FILE, and not to the image; without a\n"
	"                             name it is in $TMPDIR or /var/tmp, and gone with the device\n"
	"      --drop-bitmaps         persistent bitmaps that cannot be kept true may be lost\n"
	"      --direct-io MODE       auto (default), on or off\n"
	"      --detect-zeroes MODE   off (default); on: writes of zeros take no space;\n"
	"                             unmap: and give back what was there\n"
	"      --discard MODE         unmap (default); ignore: none, and zeros keep their space\n"
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
	"      --activate             have udev activate logical volumes and arrays that are on it\n"
	"  -q, --quiet                do not print the name of the device\n"
	"  -h, --help                 this text\n";

/**
 * struct attach_args - the command line
 * @request: what is attached, and how
 * @quiet: do not print the device
 * @help: print the help
 */
struct attach_args {
	struct attach_request request;
	bool quiet;
	bool help;
};

static int parse_args(struct attach_args *a, int argc, char **argv)
{
	int opt, err = 0;

	while (!err && (opt = getopt_long(argc, argv, "rqh", attach_options, NULL)) != -1) {
		if (opt == 'h')
			a->help = true;
		else if (opt == 'q')
			a->quiet = true;
		else
			err = attach_set_option(&a->request, opt, optarg);
	}
	if (err || a->help)
		return err;
	if (cmd_check_one_image("attach", argc))
		return QC_USAGE;
	a->request.image = argv[optind];
	return attach_check_options(&a->request);
}

/*
 * A GPT is in the second block of a disk: it tells how long the first one was. What is on a disk
 * that is not scanned for partitions is not looked at.
 */
static void hint_block_size(const struct attach_request *a, const char *device)
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

static void show_device(const struct attach_args *a)
{
	char *device = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", a->request.arg.index);

	if (!a->quiet)
		puts(device);
	hint_block_size(&a->request, device);
	free(device);
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct attach_args a = { 0 };
	int err;

	attach_init(&a.request);
	err = parse_args(&a, argc, argv);
	if (err == QC_USAGE)
		cmd_usage(cmd);
	else if (!err && a.help)
		cmd_help(cmd);
	else if (!err)
		err = attach_image(&a.request);
	if (!err && !a.help)
		show_device(&a);
	attach_free(&a.request);
	return err;
}

const struct command cmd_attach = {
	.name = "attach",
	.summary = "make an image a block device",
	.help = help,
	.run = run,
};
