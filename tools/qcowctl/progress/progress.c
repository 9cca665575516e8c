// SPDX-License-Identifier: GPL-2.0
/*
 * The progress bar, its form for programs, and a limit of the rate.
 */
#include <unistd.h>

#include <json-c/json.h>

#include "progress/progress.h"

/* What takes less is not worth a bar. */
#define BAR_AFTER_MS	1000
#define SHOW_EVERY_MS	100
#define BAR_WIDTH	40
#define NSEC_PER_SEC	1000000000

int progress_parse(const char *text, enum progress_form *form)
{
	if (!strcmp(text, "bar"))
		*form = PROGRESS_BAR;
	else if (!strcmp(text, "json"))
		*form = PROGRESS_JSON;
	else if (!strcmp(text, "none"))
		*form = PROGRESS_NONE;
	else
		return qc_fail(QC_USAGE, "--progress", "'%s' is none of bar, json, none", text);
	return 0;
}

static struct timespec now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts;
}

static s64 ns_between(const struct timespec *from, const struct timespec *to)
{
	return (s64)(to->tv_sec - from->tv_sec) * NSEC_PER_SEC + to->tv_nsec - from->tv_nsec;
}

static s64 ms_since(const struct timespec *from)
{
	struct timespec to = now();

	return ns_between(from, &to) / 1000000;
}

void progress_begin(struct progress *p, const char *stage)
{
	progress_clear(p);
	if (p->form != PROGRESS_JSON && !isatty(STDERR_FILENO))
		p->form = PROGRESS_NONE;
	p->stage = stage;
	p->started = now();
	p->due = p->started;
	p->last = (struct timespec){ 0 };
}

static void show_bar(struct progress *p, double part)
{
	int full = (int)(part * BAR_WIDTH);

	fprintf(stderr, "\r%-10s [%.*s%*s] %5.1f%%", p->stage, full,
		"########################################", BAR_WIDTH - full, "", part * 100);
	fflush(stderr);
	p->shown = true;
}

static void show_json(const struct progress *p, u64 done, u64 total)
{
	struct json_object *line = json_object_new_object();

	json_object_object_add(line, "job", json_object_new_string(p->stage));
	json_object_object_add(line, "done", json_object_new_uint64(done));
	json_object_object_add(line, "total", json_object_new_uint64(total));
	puts(json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN));
	fflush(stdout);
	json_object_put(line);
}

void progress_step(struct progress *p, u64 done, u64 total)
{
	if (p->form == PROGRESS_NONE ||
	    (p->form == PROGRESS_AUTO && ms_since(&p->started) < BAR_AFTER_MS) ||
	    (done < total && ms_since(&p->last) < SHOW_EVERY_MS))
		return;
	p->last = now();
	if (p->form == PROGRESS_JSON)
		show_json(p, done, total);
	else
		show_bar(p, total ? (double)done / total : 1);
}

/* Of what it has been slower it makes up for a second. */
void progress_copied(struct progress *p, u64 bytes)
{
	struct timespec earliest = now();
	u64 ns;

	if (!p->rate)
		return;
	earliest.tv_sec--;
	if (ns_between(&p->due, &earliest) > 0)
		p->due = earliest;
	ns = p->due.tv_nsec + (u64)((double)bytes / p->rate * NSEC_PER_SEC);
	p->due.tv_sec += ns / NSEC_PER_SEC;
	p->due.tv_nsec = ns % NSEC_PER_SEC;
	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &p->due, NULL);
}

void progress_clear(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
