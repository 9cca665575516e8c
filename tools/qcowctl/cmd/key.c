// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl key: lists, adds, changes and erases the key slots of an encrypted image, and gives out
 * its volume key.
 */
#include <getopt.h>

#include <qcow/ondisk.h>

#include "cmd/cmd.h"
#include "crypt/crypt.h"
#include "driver/driver.h"

static const char help[] =
	"Usage: qcowctl key list [--output FORMAT] IMAGE|DEVICE\n"
	"       qcowctl key export [OPTION]... --volume-key-file FILE IMAGE|DEVICE\n"
	"       qcowctl key add|change|erase [OPTION]... IMAGE\n"
	"List or change the key slots of an image that is encrypted with LUKS. No other\n"
	"program may have the image open, but for list and export; neither root nor the driver\n"
	"is needed.\n"
	"\n"
	"  list                     which slots have a key\n"
	"  add                      a free slot gets another passphrase\n"
	"  change                   the same, and then the slot of the old one is erased\n"
	"  erase                    the slots that the passphrase opens are erased\n"
	"  export                   the volume key goes to a new file: it opens the image whatever\n"
	"                           becomes of the slots\n"
	"\n"
	"      --key-file FILE      all of FILE is the passphrase, not a line that is typed;\n"
	"                           -: standard input\n"
	"      --new-key-file FILE  the same of the new one\n"
	"      --slot N             the slot that is filled; of erase: the one that goes, the\n"
	"                           passphrase is that of another one\n"
	"      --iter-time MSEC     how long opening the new slot is to take, default 2000\n"
	"      --force              of erase: also the last one; with --slot without any\n"
	"                           passphrase\n"
	"      --volume-key-file FILE\n"
	"                           of export: the new file; -: standard output\n"
	"      --output FORMAT      of list: human (default) or json\n"
	"  -h, --help               this text\n";

enum {
	OPT_KEY_FILE = 256,
	OPT_NEW_KEY_FILE,
	OPT_SLOT,
	OPT_ITER_TIME,
	OPT_FORCE,
	OPT_VOLUME_KEY_FILE,
	OPT_OUTPUT,
};

static const struct option options[] = {
	{ "key-file", required_argument, NULL, OPT_KEY_FILE },
	{ "new-key-file", required_argument, NULL, OPT_NEW_KEY_FILE },
	{ "slot", required_argument, NULL, OPT_SLOT },
	{ "iter-time", required_argument, NULL, OPT_ITER_TIME },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "volume-key-file", required_argument, NULL, OPT_VOLUME_KEY_FILE },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

struct verb;

/**
 * struct key_args - the command line
 * @verb: what to do
 * @job: of a change
 * @image: which one
 * @volume_key_file: where the volume key goes
 * @given: a bit for each option that was given, from OPT_KEY_FILE on
 * @json: list as JSON
 * @help: print the help
 */
struct key_args {
	const struct verb *verb;
	struct key_job job;
	const char *image;
	const char *volume_key_file;
	u64 given;
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
	if (!qc_parse_u32(optarg, U32_MAX, &a->job.iter_msec) && a->job.iter_msec)
		return 0;
	return qc_fail(QC_USAGE, "--iter-time", "'%s' is no number of milliseconds", optarg);
}

static int parse_option(struct key_args *a, int opt)
{
	if (opt >= OPT_KEY_FILE)
		a->given |= BIT_ULL(opt - OPT_KEY_FILE);
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
	case OPT_VOLUME_KEY_FILE:
		a->volume_key_file = optarg;
		return 0;
	case OPT_OUTPUT:
		return cmd_parse_output(optarg, &a->json);
	case 'h':
		a->help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int list(const char *path, const struct key_args *a)
{
	return key_list(path, a->json);
}

static int export(const char *path, const struct key_args *a)
{
	return key_export(path, a->job.key_file, a->volume_key_file);
}

/* Also of an image that is attached, by the name of the device. */
static int read_image(const struct key_args *a,
		      int (*read)(const char *path, const struct key_args *a))
{
	char *path;
	int err = attached_path(a->image, &path);

	if (!err)
		err = read(path ? path : a->image, a);
	free(path);
	return err;
}

#define TAKES(opt)	BIT_ULL(OPT_##opt - OPT_KEY_FILE)
#define FILLS		(TAKES(KEY_FILE) | TAKES(NEW_KEY_FILE) | TAKES(SLOT) | TAKES(ITER_TIME))

/**
 * struct verb - what can be done
 * @name: the word
 * @takes: a bit for each option
 * @read: does it and changes nothing, or NULL
 * @change: else what becomes of the slots
 */
static const struct verb {
	const char *name;
	u64 takes;
	int (*read)(const char *path, const struct key_args *a);
	enum key_verb change;
} verbs[] = {
	{ .name = "list", .takes = TAKES(OUTPUT), .read = list },
	{ .name = "add", .takes = FILLS, .change = KEY_ADD },
	{ .name = "change", .takes = FILLS, .change = KEY_CHANGE },
	{ .name = "erase", .takes = TAKES(KEY_FILE) | TAKES(SLOT) | TAKES(FORCE),
	  .change = KEY_ERASE },
	{ .name = "export", .takes = TAKES(KEY_FILE) | TAKES(VOLUME_KEY_FILE), .read = export },
};

static int parse_verb(struct key_args *a, const char *word)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(word, verbs[i].name))
			continue;
		a->verb = &verbs[i];
		a->job.verb = verbs[i].change;
		return 0;
	}
	return qc_fail(QC_USAGE, "key", "'%s' is none of list, add, change, erase, export", word);
}

static int fail_option(const struct option *o)
{
	char *option = qc_printf("--%s", o->name), *words = qc_strdup(""), *longer;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!(verbs[i].takes & BIT_ULL(o->val - OPT_KEY_FILE)))
			continue;
		longer = qc_printf("%s%s%s", words, *words ? ", " : "", verbs[i].name);
		free(words);
		words = longer;
	}
	qc_fail(0, option, "only with %s", words);
	free(words);
	free(option);
	return QC_USAGE;
}

static int check_args(const struct key_args *a)
{
	const struct key_job *job = &a->job;
	const struct option *o;

	for (o = options; o->name; o++)
		if (o->val >= OPT_KEY_FILE &&
		    a->given & ~a->verb->takes & BIT_ULL(o->val - OPT_KEY_FILE))
			return fail_option(o);
	if (a->verb->takes & TAKES(VOLUME_KEY_FILE) && !a->volume_key_file)
		return qc_fail(QC_USAGE, "key", "%s wants a --volume-key-file", a->verb->name);
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
			       "one of list, add, change, erase, export and one image are wanted, %d words given",
			       argc - optind);
	a->image = argv[optind + 1];
	err = parse_verb(a, argv[optind]);
	return err ? err : check_args(a);
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
	return a.verb->read ? read_image(&a, a.verb->read) : key_change(a.image, &a.job);
}

const struct command cmd_key = {
	.name = "key",
	.summary = "key slots of an encrypted image, and its volume key",
	.help = help,
	.run = run,
};
