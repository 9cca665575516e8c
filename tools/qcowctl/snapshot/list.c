// SPDX-License-Identifier: GPL-2.0
/*
 * The list of snapshots, as qemu-img snapshot -l prints it. Writes nothing, takes no lock.
 */
#include <time.h>

#include <json-c/json.h>

#include "image/image.h"
#include "snapshot/snapshot.h"

#define NSEC_PER_MSEC	1000000ULL

/* Three digits, of which at most three stand before the point, as QEMU has it. */
static void format_size(u64 bytes, char *buf, size_t len)
{
	static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	u64 limit = 1000;
	unsigned int i = 0;

	while (i + 1 < ARRAY_SIZE(units) && bytes >= limit) {
		i++;
		limit = 1000ULL << (10 * i);
	}
	snprintf(buf, len, "%0.3g %sB", (double)bytes / (double)BIT_ULL(10 * i), units[i]);
}

static void print_row(const struct snapshot *snap)
{
	u64 msec = snap->s.vm_clock_nsec / NSEC_PER_MSEC;
	char size[32], date[32] = "?", clock[48], icount[32] = "";
	char *id = qc_printable(snap->id), *name = qc_printable(snap->name);
	time_t when = snap->s.date_sec;
	struct tm tm;

	format_size(snap->s.vm_state_bytes, size, sizeof(size));
	if (localtime_r(&when, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(clock, sizeof(clock), "%02llu:%02llu:%02llu.%03llu", msec / 3600000,
		 msec / 60000 % 60, msec / 1000 % 60, msec % 1000);
	if (snap->s.icount != U64_MAX)
		snprintf(icount, sizeof(icount), "%llu", snap->s.icount);
	printf("%-9s %-16s %8s%20s%13s%11s\n", id, name, size, date, clock, icount);
	free(id);
	free(name);
}

static void print_table(const struct snapshots *snaps)
{
	u32 i;

	if (!snaps->nr)
		return;
	printf("Snapshot list:\n%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE",
	       "VM CLOCK", "ICOUNT");
	for (i = 0; i < snaps->nr; i++)
		print_row(&snaps->list[i]);
}

static int print_json(const struct snapshots *snaps)
{
	struct json_object *list = info_snapshots(snaps);
	const char *text = json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_NOSLASHESCAPE);
	bool ok = text && qc_put_json(text);

	json_object_put(list);
	return ok ? 0 : qc_fail(QC_SYSTEM, "snapshot", "cannot print");
}

int snapshot_list(const char *name, bool json)
{
	const struct chain_options opts = { .top_only = true, .no_data = true };
	struct snapshots snaps = { 0 };
	struct chain chain;
	int err, print_err = 0;

	err = chain_open(&chain, name, &opts);
	if (!err) {
		err = snapshots_read(&chain.images[0], &snaps);
		if (json)
			print_err = print_json(&snaps);
		else
			print_table(&snaps);
	}
	snapshots_free(&snaps);
	chain_close(&chain);
	return print_err ? print_err : err;
}
