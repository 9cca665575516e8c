// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl key: lists, adds, changes and erases the key slots of an encrypted image.
 */
#include <getopt.h>

#include <qcow/ondisk.h>

#include "cmd/cmd.h"
#include "crypt/crypt.h"
#include "driver/driver.h"

static const char help[] =
	"Usage: qcowctl key list [--output FORMAT] IMAGE|DEVICE\n"
	"       qcowctl key add|change|erase [OPTION]... IMAGE\n"
	"List or change the key slots of an image that is encrypted with LUKS. No other\n"
	"program may have the image open, but for list; neither root nor the driver is needed.\n"
	"\n"
	"  list                     which slots have a key\n"
	"  add                      a free slot gets another passphrase\n"
	"  change                   the same, and then the slot of the old one is erased\n"
	"  erase                    the slots that the passphrase opens are erased\n"
	"\n"
	"      --key-file FILE      all of FILE is the passphrase, not a line that is typed;\n"
	"                           -: standard input\n"
	"      --new-key-file FILE  the same of the new one\n"
	"      --slot N             the slot that is filled; of erase: the one that goes, the\n"
	"                           passphrase is that of another one\n"
	"      --iter-time MSEC     how long opening the new slot is to take, default 2000\n"
	"      --force              of erase: also the last one; with --slot without any\n"
	"                           passphrase\n"
	"      --output FORMAT      of list: human (default) or json\n"
	"  -h, --help               this text\n";

enum {
	OPT_KEY_FILE = 256,
	OPT_NEW_KEY_FILE,
	OPT_SLOT,
	OPT_ITER_TIME,
	OPT_FORCE,
	OPT_OUTPUT,
};

static const struct option options[] = {
	{ "key-file", required_argument, NULL, OPT_KEY_FILE },
	{ "new-key-file", required_argument, NULL, OPT_NEW_KEY_FILE },
	{ "slot", required_argument, NULL, OPT_SLOT },
	{ "iter-time", required_argument, NULL, OPT_ITER_TIME },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct key_args - the command line
 * @list: the slots are to be listed
 * @job: else what to do
 * @image: which one
 * @iter_time: --iter-time was given
 * @output: --output was given
 * @json: with json
 * @help: print the help
 */
struct key_args {
	bool list;
	struct key_job job;
	const char *image;
	bool iter_time;
	bool output;
	bool json;
	bool help;
};

static int parse_slot(struct key_args *a)
{
	u32 slot;

	if (qc_parse_u32(optarg, QCOW_LUKS_SLOTS - 1, &slot))
		return qc_fail(QC_USAGE, "--slot", "'%s' is no number from 0 to %u", optarg,
			       QCOW_LUKS_SLOTS - 1);
	a->job.slot = slot;
	return 0;
}

static int parse_iter_time(struct key_args *a)
{
	a->iter_time = true;
	if (!qc_parse_u32(optarg, U32_MAX, &a->job.iter_msec) && a->job.iter_msec)
		return 0;
	return qc_fail(QC_USAGE, "--iter-time", "'%s' is no number of milliseconds", optarg);
}

static int parse_option(struct key_args *a, int opt)
{
	switch (opt) {
	case OPT_KEY_FILE:
		a->job.key_file = optarg;
		return 0;
	case OPT_NEW_KEY_FILE:
		a->job.new_key_file = optarg;
		return 0;
	case OPT_SLOT:
		return parse_slot(a);
	case OPT_ITER_TIME:
		return parse_iter_time(a);
	case OPT_FORCE:
		a->job.force = true;
		return 0;
	case OPT_OUTPUT:
		a->output = true;
		return cmd_parse_output(optarg, &a->json);
	case 'h':
		a->help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int parse_verb(struct key_args *a, const char *word)
{
	static const char *const verbs[] = {
		[KEY_ADD] = "add", [KEY_CHANGE] = "change", [KEY_ERASE] = "erase",
	};
	unsigned int i;

	a->list = !strcmp(word, "list");
	if (a->list)
		return 0;
	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!strcmp(word, verbs[i])) {
			a->job.verb = i;
			return 0;
		}
	}
	return qc_fail(QC_USAGE, "key", "'%s' is none of list, add, change, erase", word);
}

static int check_args(const struct key_args *a)
{
	const struct key_job *job = &a->job;
	bool fills = !a->list && job->verb != KEY_ERASE;

	if (a->output && !a->list)
		return qc_fail(QC_USAGE, "--output", "only with list");
	if (a->list && (job->key_file || job->slot != KEY_SLOT_ANY))
		return qc_fail(QC_USAGE, "key", "list needs neither --key-file nor --slot");
	if (job->force && (a->list || job->verb != KEY_ERASE))
		return qc_fail(QC_USAGE, "--force", "only with erase");
	if (a->iter_time && !fills)
		return qc_fail(QC_USAGE, "--iter-time", "only with add and change");
	if (job->new_key_file && !fills)
		return qc_fail(QC_USAGE, "--new-key-file", "only with add and change");
	if (job->key_file && job->new_key_file && !strcmp(job->key_file, "-") &&
	    !strcmp(job->new_key_file, "-"))
		return qc_fail(QC_USAGE, "--new-key-file",
			       "standard input cannot be both passphrases");
	return 0;
}

static int parse_args(struct key_args *a, int argc, char **argv)
{
	int opt, err = 0;

	a->job.slot = KEY_SLOT_ANY;
	a->job.iter_msec = CRYPT_ITER_MSEC;
	while (!err && (opt = getopt_long(argc, argv, "h", options, NULL)) != -1)
		err = parse_option(a, opt);
	if (err || a->help)
		return err;
	if (argc - optind != 2)
		return qc_fail(QC_USAGE, "key",
			       "one of list, add, change, erase and one image are wanted, %d words given",
			       argc - optind);
	a->image = argv[optind + 1];
	err = parse_verb(a, argv[optind]);
	return err ? err : check_args(a);
}

static int list(const struct key_args *a)
{
	char *path;
	int err = attached_path(a->image, &path);

	if (!err)
		err = key_list(path ? path : a->image, a->json);
	free(path);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct key_args a = { 0 };
	int err = parse_args(&a, argc, argv);

	if (err == QC_USAGE)
		return cmd_usage(cmd);
	if (err)
		return err;
	if (a.help)
		return cmd_help(cmd);
	return a.list ? list(&a) : key_change(a.image, &a.job);
}

const struct command cmd_key = {
	.name = "key",
	.summary = "list, add, change, erase the key slots of an encrypted image",
	.help = help,
	.run = run,
};
