// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl list: a table of all devices, from sysfs.
 */
#include <getopt.h>

#include <libsmartcols.h>

#include "cmd/cmd.h"
#include "cmd/devices.h"
#include "driver/driver.h"

enum column_type {
	TEXT,
	NUMBER,
	SECTORS,	/* of 512 bytes */
	BYTES,
	BOOLEAN,
	DEVICE_NAME,
	JOB,
};

/**
 * struct column - one column of the table
 * @name: heading, and the name for -o
 * @attr: below /sys/block/qcowN
 * @type: how it is shown
 * @flags: SCOLS_FL_*
 * @what: for --help
 */
struct column {
	const char *name;
	const char *attr;
	enum column_type type;
	int flags;
	const char *what;
};

static const struct column columns[] = {
	{ "NAME", "", DEVICE_NAME, 0, "device" },
	{ "SIZE", "size", SECTORS, SCOLS_FL_RIGHT, "size of the device" },
	{ "RO", "ro", BOOLEAN, SCOLS_FL_RIGHT, "read-only" },
	{ "VERSION", "qcow/version", NUMBER, SCOLS_FL_RIGHT, "QCOW version" },
	{ "SNAPSHOT-ID", "qcow/snapshot_id", TEXT, 0, "internal snapshot that is attached" },
	{ "SNAPSHOT", "qcow/snapshot_name", TEXT, 0, "its name" },
	{ "DEPTH", "qcow/depth", NUMBER, SCOLS_FL_RIGHT, "layers of the chain" },
	{ "SHARED-LAYERS", "qcow/shared_layers", NUMBER, SCOLS_FL_RIGHT,
	  "how many of them other devices have, too" },
	{ "IMAGE", "qcow/image", TEXT, 0, "image file" },
	{ "IMAGE-ID", "qcow/image_id", TEXT, 0, "which file that is: MAJOR:MINOR:INODE" },
	{ "BACKING", "qcow/backing", TEXT, 0, "its backing file" },
	{ "BACKING-FORMAT", "qcow/backing_format", TEXT, 0, "raw, qcow or qcow2" },
	{ "DATA-FILE", "qcow/data_file", TEXT, 0, "its external data file" },
	{ "DATA-FILE-ID", "qcow/data_file_id", TEXT, 0, "which file that is" },
	{ "CLUSTER", "qcow/cluster_size", BYTES, SCOLS_FL_RIGHT, "cluster size" },
	{ "DIO", "qcow/direct_io", BOOLEAN, SCOLS_FL_RIGHT, "direct I/O" },
	{ "DETECT-ZEROES", "qcow/detect_zeroes", TEXT, 0, "what becomes of writes of zeros" },
	{ "COMPRESS", "qcow/compress", TEXT, 0, "how written clusters are compressed" },
	{ "ENCRYPTION", "qcow/encryption", TEXT, 0, "how the image is encrypted" },
	{ "LAZY", "qcow/lazy", BOOLEAN, SCOLS_FL_RIGHT, "goes away at the last close" },
	{ "STORE", "qcow/store", TEXT, 0, "what holds the image: file or bdev" },
	{ "QUEUES", "qcow/nr_queues", NUMBER, SCOLS_FL_RIGHT, "hardware queues" },
	{ "QUEUE-DEPTH", "qcow/queue_depth", NUMBER, SCOLS_FL_RIGHT, "requests per queue" },
	{ "CACHE-LIMIT", "qcow/cache_limit", BYTES, SCOLS_FL_RIGHT, "limit of the L2 caches" },
	{ "CACHE-USED", "qcow/cache_used", BYTES, SCOLS_FL_RIGHT, "of it in use" },
	{ "CACHE-MISSES", "qcow/cache_misses", NUMBER, SCOLS_FL_RIGHT, "L2 slices read" },
	{ "CACHE-EVICTIONS", "qcow/cache_evictions", NUMBER, SCOLS_FL_RIGHT,
	  "L2 slices dropped for others" },
	{ "INFLATED", "qcow/inflated_bytes", BYTES, SCOLS_FL_RIGHT,
	  "memory that decompressed clusters hold" },
	{ "DECOMPRESSED", "qcow/decompressed", NUMBER, SCOLS_FL_RIGHT,
	  "clusters decompressed" },
	{ "ALLOCATED", "qcow/allocated", NUMBER, SCOLS_FL_RIGHT,
	  "clusters allocated for data" },
	{ "COPIED", "qcow/copied_bytes", BYTES, SCOLS_FL_RIGHT, "copied for writes to a part" },
	{ "COMMITS", "qcow/commits", NUMBER, SCOLS_FL_RIGHT, "commits of metadata" },
	{ "ATTACHED", "qcow/attached_ns", NUMBER, SCOLS_FL_RIGHT,
	  "when it was attached, in nanoseconds of CLOCK_MONOTONIC" },
	{ "JOB", "", JOB, 0, "what is running that takes long, and how much of it is done" },
	{ "MAJ:MIN", "dev", TEXT, 0, "device number" },
};

#define NR_COLUMNS ARRAY_SIZE(columns)
#define DEFAULT_COLUMNS "NAME,SIZE,RO,VERSION,SNAPSHOT-ID,SNAPSHOT,DEPTH,IMAGE"

static const char help[] =
	"Usage: qcowctl list [OPTION]... [DEVICE|IMAGE]...\n"
	"List the block devices that were made with attach: all of them, or those that are\n"
	"named, or that have an image that is named.\n"
	"\n"
	"  -J, --json          JSON\n"
	"  -n, --noheadings    no line of headings\n"
	"  -o, --output LIST   these columns; with +LIST beside the usual ones\n"
	"  -O, --output-all    all columns\n"
	"      --raw           columns not aligned\n"
	"  -b, --bytes         sizes in bytes, as always in JSON and with --raw\n"
	"      --sysroot DIR   read DIR/sys instead of /sys\n"
	"  -h, --help          this text\n"
	"\n"
	"Columns:\n";

enum {
	OPT_RAW = 256,
	OPT_SYSROOT,
};

static const struct option options[] = {
	{ "json", no_argument, NULL, 'J' },
	{ "noheadings", no_argument, NULL, 'n' },
	{ "output", required_argument, NULL, 'o' },
	{ "output-all", no_argument, NULL, 'O' },
	{ "raw", no_argument, NULL, OPT_RAW },
	{ "bytes", no_argument, NULL, 'b' },
	{ "sysroot", required_argument, NULL, OPT_SYSROOT },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct list_args - the command line
 */
struct list_args {
	bool json, raw, headings, bytes, help;
	const char *root;
	const struct column *shown[2 * NR_COLUMNS];
	size_t nr_shown;
};

static const struct column *find_column(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < NR_COLUMNS; i++)
		if (strlen(columns[i].name) == len && !strncasecmp(columns[i].name, name, len))
			return &columns[i];
	return NULL;
}

static bool has_column(const struct list_args *a, const struct column *col)
{
	size_t i;

	for (i = 0; i < a->nr_shown; i++)
		if (a->shown[i] == col)
			return true;
	return false;
}

static int add_columns(struct list_args *a, const char *list)
{
	if (*list == '+') {
		add_columns(a, DEFAULT_COLUMNS);
		list++;
	}
	for (;;) {
		size_t len = strcspn(list, ",");
		const struct column *col = find_column(list, len);

		if (!col)
			return qc_fail(QC_USAGE, "--output", "no column '%.*s'", (int)len, list);
		/* The keys of a JSON object are unique. */
		if (!has_column(a, col))
			a->shown[a->nr_shown++] = col;
		if (!list[len])
			return 0;
		list += len + 1;
	}
}

static int parse_option(struct list_args *a, int opt)
{
	size_t i;

	switch (opt) {
	case 'J':
		a->json = true;
		return 0;
	case 'n':
		a->headings = false;
		return 0;
	case 'o':
		a->nr_shown = 0;
		return add_columns(a, optarg);
	case 'O':
		for (i = 0; i < NR_COLUMNS; i++)
			a->shown[i] = &columns[i];
		a->nr_shown = NR_COLUMNS;
		return 0;
	case OPT_RAW:
		a->raw = true;
		return 0;
	case 'b':
		a->bytes = true;
		return 0;
	case OPT_SYSROOT:
		a->root = optarg;
		return 0;
	case 'h':
		a->help = true;
		return 0;
	default:
		return QC_USAGE;
	}
}

static int parse_args(struct list_args *a, int argc, char **argv)
{
	int opt, err;

	while ((opt = getopt_long(argc, argv, "Jno:Obh", options, NULL)) != -1) {
		err = parse_option(a, opt);
		if (err)
			return err;
	}
	if (!a->nr_shown)
		add_columns(a, DEFAULT_COLUMNS);
	if (a->json && a->raw)
		return qc_fail(QC_USAGE, "list", "--json and --raw exclude each other");
	return 0;
}

/* Return: the text, allocated, or NULL: the attribute does not exist or is empty. */
static char *cell_text(const struct list_args *a, const struct column *col, u32 index)
{
	bool exact = a->bytes || a->json || a->raw;
	char human[32];
	char *text;
	u64 v;

	switch (col->type) {
	case DEVICE_NAME:
		return qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	case JOB:
		return sysfs_job(a->root, index);
	case SECTORS:
	case BYTES:
		if (!sysfs_read_u64(a->root, index, col->attr, &v))
			return NULL;
		if (col->type == SECTORS)
			v *= 512;
		return exact ? qc_printf("%llu", v) :
			       qc_strdup(qc_human_size(v, human, sizeof(human)));
	default:
		text = sysfs_read(a->root, index, col->attr);
		if (text && !*text) {
			free(text);
			return NULL;
		}
		return text;
	}
}

static int json_type(enum column_type type)
{
	switch (type) {
	case NUMBER:
	case SECTORS:
	case BYTES:
		return SCOLS_JSON_NUMBER;
	case BOOLEAN:
		return SCOLS_JSON_BOOLEAN;
	default:
		return SCOLS_JSON_STRING;
	}
}

static struct libscols_table *make_table(const struct list_args *a)
{
	struct libscols_table *table;
	size_t i;

	table = devices_table(a->json);
	if (!table)
		return NULL;
	scols_table_enable_raw(table, a->raw);
	scols_table_enable_noheadings(table, !a->headings);
	for (i = 0; i < a->nr_shown; i++) {
		struct libscols_column *col =
			scols_table_new_column(table, a->shown[i]->name, 0, a->shown[i]->flags);

		if (!col) {
			scols_unref_table(table);
			return NULL;
		}
		scols_column_set_json_type(col, json_type(a->shown[i]->type));
	}
	return table;
}

static int add_device(struct libscols_table *table, const struct list_args *a, u32 index)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	size_t i;

	if (!line)
		return qc_fail(QC_SYSTEM, "list", "out of memory");
	for (i = 0; i < a->nr_shown; i++) {
		char *text = cell_text(a, a->shown[i], index);

		if (text)
			scols_line_refer_data(line, i, text);
	}
	return 0;
}

static int list(const struct list_args *a, int argc, char **argv)
{
	struct libscols_table *table = make_table(a);
	int err, find_err;
	u32 *devices;
	size_t i, nr;

	if (!table)
		return qc_fail(QC_SYSTEM, "list", "out of memory");
	find_err = devices_find(a->root, argv + optind, argc - optind, &devices, &nr);
	err = find_err == QC_NOT_FOUND ? 0 : find_err;
	for (i = 0; !err && i < nr; i++)
		err = add_device(table, a, devices[i]);
	if (!err)
		err = devices_print(table);
	scols_unref_table(table);
	free(devices);
	return err ? err : find_err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct list_args a = { .headings = true, .root = "" };
	size_t i;
	int err = parse_args(&a, argc, argv);

	if (err)
		return cmd_usage(cmd);
	if (!a.help)
		return list(&a, argc, argv);
	cmd_help(cmd);
	for (i = 0; i < NR_COLUMNS; i++)
		printf("  %-16s %s\n", columns[i].name, columns[i].what);
	return 0;
}

const struct command cmd_list = {
	.name = "list",
	.summary = "list the block devices",
	.help = help,
	.run = run,
};
