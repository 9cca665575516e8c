// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl stat: what devices do in a second, since they were attached and then again and again.
 */
#include <errno.h>
#include <getopt.h>
#include <time.h>

#include <libsmartcols.h>

#include "cmd/cmd.h"
#include "cmd/devices.h"
#include "driver/driver.h"

#define NS_PER_SEC	1000000000ULL

enum column_type {
	DEVICE_NAME,
	RATE,		/* in a second */
	AWAIT,		/* milliseconds that a read or write took */
	NUMBER,		/* now */
};

/**
 * struct column - one column of the table
 * @name: heading
 * @type: what is shown of @figure
 * @figure: which, not of a name and of AWAIT
 * @unit: so much is one, of a rate
 * @what: for --help
 */
struct column {
	const char *name;
	enum column_type type;
	enum figure figure;
	double unit;
	const char *what;
};

/* The block layer's have iostat's names. */
static const struct column columns[] = {
	{ "NAME", DEVICE_NAME, 0, 0, "device" },
	{ "r/s", RATE, FIGURE_READS, 1, "reads" },
	{ "w/s", RATE, FIGURE_WRITES, 1, "writes" },
	{ "d/s", RATE, FIGURE_DISCARDS, 1, "discards" },
	{ "f/s", RATE, FIGURE_FLUSHES, 1, "flushes" },
	{ "rMB/s", RATE, FIGURE_READ_SECTORS, 2048, "MiB read" },
	{ "wMB/s", RATE, FIGURE_WRITE_SECTORS, 2048, "MiB written" },
	{ "await", AWAIT, 0, 0, "milliseconds that a read or write took" },
	{ "inflight", NUMBER, FIGURE_IN_FLIGHT, 0, "requests that are under way now" },
	{ "misses/s", RATE, FIGURE_MISSES, 1, "slices of tables read" },
	{ "alloc/s", RATE, FIGURE_ALLOCATED, 1, "clusters allocated for data" },
	{ "cMB/s", RATE, FIGURE_COPIED, 1 << 20, "MiB copied for writes to a part" },
	{ "decomp/s", RATE, FIGURE_DECOMPRESSED, 1, "clusters decompressed" },
	{ "commits/s", RATE, FIGURE_COMMITS, 1, "commits of metadata" },
};

#define NR_COLUMNS ARRAY_SIZE(columns)

static const char help[] =
	"Usage: qcowctl stat [OPTION]... [DEVICE|IMAGE]... [INTERVAL [COUNT]]\n"
	"Show what devices do in a second: all of them, or those that are named, or that have an\n"
	"image that is named. The first table is of the time since each was attached. With an\n"
	"INTERVAL in seconds others follow, each of the time since the one before, until there\n"
	"are COUNT of them or a device that is named is detached.\n"
	"\n"
	"  -J, --json          JSON, one object for each table\n"
	"      --sysroot DIR   read DIR/sys instead of /sys\n"
	"  -h, --help          this text\n"
	"\n"
	"Columns, in a second where nothing else is said:\n";

enum {
	OPT_SYSROOT = 256,
};

static const struct option options[] = {
	{ "json", no_argument, NULL, 'J' },
	{ "sysroot", required_argument, NULL, OPT_SYSROOT },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct stat_args - the command line
 * @names: devices or images
 * @nr_names: of them; 0: all
 * @interval: seconds; 0: there is one table
 * @count: of tables; 0: no end
 */
struct stat_args {
	bool json, help;
	const char *root;
	char **names;
	int nr_names;
	u32 interval;
	u32 count;
};

/* Numbers at the end are no names. */
static int parse_interval(struct stat_args *a)
{
	u32 numbers[2] = { 0 };
	int nr = 0;

	while (nr < 2 && nr < a->nr_names &&
	       !qc_parse_u32(a->names[a->nr_names - 1 - nr], UINT32_MAX, &numbers[nr]))
		if (!numbers[nr++])
			return qc_fail(QC_USAGE, "stat", "'0' is neither seconds nor a count");
	a->nr_names -= nr;
	a->interval = numbers[nr == 2];
	a->count = nr == 2 ? numbers[0] : 0;
	return 0;
}

static int parse_args(struct stat_args *a, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "Jh", options, NULL)) != -1) {
		switch (opt) {
		case 'J':
			a->json = true;
			break;
		case OPT_SYSROOT:
			a->root = optarg;
			break;
		case 'h':
			a->help = true;
			break;
		default:
			return QC_USAGE;
		}
	}
	a->names = argv + optind;
	a->nr_names = argc - optind;
	return parse_interval(a);
}

/**
 * struct samples - what was read of all devices at about the same time
 * @list: ascending by device
 * @nr: of them
 */
struct samples {
	struct figures *list;
	size_t nr;
};

/* The same device, which may have been detached and its number be that of another one since. */
static const struct figures *find_sample(const struct samples *s, const struct figures *now)
{
	size_t i;

	for (i = 0; i < s->nr; i++)
		if (s->list[i].index == now->index &&
		    s->list[i].attached_ns == now->attached_ns)
			return &s->list[i];
	return NULL;
}

/* What has come since @old; of a figure that has begun anew, since then. */
static double grown(const struct figures *now, const struct figures *old, enum figure figure)
{
	u64 v = now->v[figure];

	return v >= old->v[figure] ? v - old->v[figure] : v;
}

static double await(const struct figures *now, const struct figures *old)
{
	double nr = grown(now, old, FIGURE_READS) + grown(now, old, FIGURE_WRITES);

	if (!nr)
		return 0;
	return (grown(now, old, FIGURE_READ_MS) + grown(now, old, FIGURE_WRITE_MS)) / nr;
}

static char *cell_text(const struct column *col, const struct figures *now,
		       const struct figures *old)
{
	double seconds = (now->taken_ns - old->taken_ns) / (double)NS_PER_SEC;

	switch (col->type) {
	case DEVICE_NAME:
		return qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", now->index);
	case RATE:
		return qc_printf("%.2f", grown(now, old, col->figure) / col->unit / seconds);
	case AWAIT:
		return qc_printf("%.2f", await(now, old));
	default:
		return qc_printf("%llu", now->v[col->figure]);
	}
}

static struct libscols_table *make_table(const struct stat_args *a)
{
	struct libscols_table *table = devices_table(a->json);
	size_t i;

	for (i = 0; table && i < NR_COLUMNS; i++) {
		bool is_name = columns[i].type == DEVICE_NAME;
		struct libscols_column *col =
			scols_table_new_column(table, columns[i].name, 0,
					       is_name ? 0 : SCOLS_FL_RIGHT);

		if (!col) {
			scols_unref_table(table);
			return NULL;
		}
		scols_column_set_json_type(col, is_name ? SCOLS_JSON_STRING : SCOLS_JSON_NUMBER);
	}
	return table;
}

static int add_device(struct libscols_table *table, const struct figures *now,
		      const struct figures *old)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	size_t i;

	if (!line)
		return qc_fail(QC_SYSTEM, "stat", "out of memory");
	for (i = 0; i < NR_COLUMNS; i++)
		scols_line_refer_data(line, i, cell_text(&columns[i], now, old));
	return 0;
}

/* One that has been detached meanwhile is left out. */
static int take_samples(const struct stat_args *a, struct samples *s)
{
	u32 *devices;
	size_t i, nr;
	int err = devices_find(a->root, a->names, a->nr_names, &devices, &nr);

	*s = (struct samples){ .list = qc_alloc((nr + 1) * sizeof(*s->list)) };
	for (i = 0; !err && i < nr; i++)
		if (figures_read(a->root, devices[i], &s->list[s->nr]))
			s->nr++;
	free(devices);
	return err;
}

static int print_samples(const struct stat_args *a, const struct samples *now,
			 const struct samples *before)
{
	struct libscols_table *table = make_table(a);
	size_t i;
	int err = 0;

	if (!table)
		return qc_fail(QC_SYSTEM, "stat", "out of memory");
	for (i = 0; !err && i < now->nr; i++) {
		struct figures zero = { .taken_ns = now->list[i].attached_ns };
		const struct figures *old = find_sample(before, &now->list[i]);

		err = add_device(table, &now->list[i], old ? old : &zero);
	}
	if (!err)
		err = devices_print(table);
	scols_unref_table(table);
	if (!err && fflush(stdout))
		err = qc_fail_errno(QC_SYSTEM, errno, "stat", "cannot print");
	return err;
}

/* So that what a table takes does not add up. */
static void sleep_until(u64 ns)
{
	struct timespec when = { .tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
		;
}

static int show(const struct stat_args *a)
{
	struct samples before = { 0 }, now;
	u64 begin = figures_now(), nr = 0;
	int err;

	for (;;) {
		err = take_samples(a, &now);
		if (!err)
			err = print_samples(a, &now, &before);
		free(before.list);
		before = now;
		if (err || !a->interval || ++nr == a->count)
			break;
		if (!a->json && now.nr)
			putchar('\n');
		sleep_until(begin + nr * a->interval * NS_PER_SEC);
	}
	free(before.list);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct stat_args a = { .root = "" };
	size_t i;
	int err = parse_args(&a, argc, argv);

	if (err)
		return cmd_usage(cmd);
	if (!a.help)
		return show(&a);
	cmd_help(cmd);
	for (i = 0; i < NR_COLUMNS; i++)
		printf("  %-10s %s\n", columns[i].name, columns[i].what);
	return 0;
}

const struct command cmd_stat = {
	.name = "stat",
	.summary = "show what the block devices do in a second",
	.help = help,
	.run = run,
};
