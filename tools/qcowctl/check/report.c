// SPDX-License-Identifier: GPL-2.0
/*
 * What a check prints: messages and the result.
 */

#include <json-c/json.h>

#include "check/internal.h"
#include "image/image.h"

/* A corrupt image can have a fault in every entry: print the first ones only. */
#define MAX_MESSAGES	100

static void *no_failure(void *p)
{
	if (!p) {
		fputs("qcowctl: out of memory\n", stderr);
		exit(CHECK_FAILED);
	}
	return p;
}

void *check_alloc(size_t nr, size_t each)
{
	return no_failure(calloc(nr ? nr : 1, each));
}

void *check_grow(void *old, size_t nr, size_t each)
{
	return no_failure(reallocarray(old, nr ? nr : 1, each));
}

static void print_message(struct check *c, const char *fmt, va_list args)
{
	char text[512];

	if (c->quiet)
		return;
	if (c->messages++ >= MAX_MESSAGES)
		return;
	vsnprintf(text, sizeof(text), fmt, args);
	progress_clear(&c->progress);
	qc_fail(0, c->img->name, "%s", text);
}

void check_message(struct check *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_message(c, fmt, args);
	va_end(args);
}

void check_corrupt(struct check *c, u64 times, const char *fmt, ...)
{
	va_list args;

	c->res.corruptions += times;
	va_start(args, fmt);
	print_message(c, fmt, args);
	va_end(args);
}

void check_error(struct check *c, int err, const char *fmt, ...)
{
	char text[512];
	va_list args;

	c->res.errors++;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	progress_clear(&c->progress);
	if (err)
		qc_fail_errno(0, -err, c->img->name, "%s", text);
	else
		qc_fail(0, c->img->name, "%s", text);
}

void check_message_end(struct check *c)
{
	progress_clear(&c->progress);
	if (c->messages > MAX_MESSAGES)
		qc_fail(0, c->img->name, "%llu more faults of this kind or others",
			c->messages - MAX_MESSAGES);
	c->messages = 0;
}

static void add_number(struct json_object *obj, const char *key, u64 value)
{
	if (value)
		json_object_object_add(obj, key, json_object_new_uint64(value));
}

/* As in qemu-img, numbers that are 0 are left out, except check-errors. */
static bool print_json(const struct check *c)
{
	const struct check_result *res = &c->res;
	struct json_object *obj = json_object_new_object();
	const char *text;
	bool good;

	add_number(obj, "image-end-offset", res->image_end);
	add_number(obj, "total-clusters", res->total);
	json_object_object_add(obj, "check-errors", json_object_new_uint64(res->errors));
	add_number(obj, "leaks", res->leaks);
	add_number(obj, "leaks-fixed", res->leaks_fixed);
	add_number(obj, "allocated-clusters", res->allocated);
	json_object_object_add(obj, "filename", info_string(c->img->name, strlen(c->img->name)));
	json_object_object_add(obj, "format", json_object_new_string(image_format(c->img)));
	add_number(obj, "fragmented-clusters", res->fragmented);
	add_number(obj, "compressed-clusters", res->compressed);
	add_number(obj, "corruptions", res->corruptions);
	add_number(obj, "corruptions-fixed", res->corruptions_fixed);
	text = json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PRETTY |
						   JSON_C_TO_STRING_NOSLASHESCAPE);
	good = text && qc_put_json(text);
	json_object_put(obj);
	return good;
}

static void print_findings(const struct check_result *res)
{
	if (res->corruptions_fixed || res->leaks_fixed)
		printf("Repaired: %llu corruptions, %llu leaked clusters\n",
		       res->corruptions_fixed, res->leaks_fixed);
	if (!res->corruptions && !res->leaks && !res->errors)
		puts("No errors were found on the image.");
	if (res->corruptions)
		printf("%llu errors were found on the image.\n"
		       "Data may be corrupted, or further writes to the image may corrupt it.\n",
		       res->corruptions);
	if (res->leaks)
		printf("%llu leaked clusters were found on the image.\n"
		       "This means waste of disk space, but no harm to data.\n", res->leaks);
	if (res->errors)
		printf("%llu internal errors have occurred during the check.\n", res->errors);
}

static void print_human(const struct check *c)
{
	const struct check_result *res = &c->res;

	print_findings(res);
	if (res->total && res->allocated) {
		printf("%llu/%llu = %0.2f%% allocated, ", res->allocated, res->total,
		       res->allocated * 100.0 / res->total);
		printf("%0.2f%% fragmented, %0.2f%% compressed clusters\n",
		       res->fragmented * 100.0 / res->allocated,
		       res->compressed * 100.0 / res->allocated);
	}
	if (res->image_end)
		printf("Image end offset: %llu\n", res->image_end);
}

bool check_print(const struct check *c, bool json)
{
	bool good = true;

	if (c->quiet)
		return true;
	if (json)
		good = print_json(c);
	else
		print_human(c);
	return !fflush(stdout) && !ferror(stdout) && good;
}
