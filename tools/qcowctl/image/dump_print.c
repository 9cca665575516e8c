// SPDX-License-Identifier: GPL-2.0
/*
 * Prints a dump. Of JSON the last line is held back until it is known whether another one follows.
 */
#include "image/dump.h"

#define INDEX_WIDTH 16

static void flush_line(struct dump_out *out, bool more)
{
	char *line;

	if (!out->pending)
		return;
	line = qc_printf("%s%s", out->pending, more && !out->opens ? "," : "");
	qc_put_json(line);
	free(line);
	free(out->pending);
	out->pending = NULL;
}

/* @text: given away. */
static void put_line(struct dump_out *out, char *text, bool opens, bool closes)
{
	flush_line(out, !closes);
	out->pending = qc_printf("%*s%s", 2 * (int)out->depth, "", text);
	out->opens = opens;
	free(text);
}

void dump_open(struct dump_out *out, const char *key, const char *bracket)
{
	if (!out->json)
		return;
	put_line(out, key ? qc_printf("\"%s\": %s", key, bracket) : qc_strdup(bracket), true,
		 false);
	out->depth++;
}

void dump_close(struct dump_out *out, const char *bracket)
{
	if (!out->json)
		return;
	out->depth--;
	put_line(out, qc_strdup(bracket), false, true);
	if (!out->depth)
		flush_line(out, false);
}

void dump_title(const struct dump_out *out, const char *fmt, ...)
{
	va_list args;

	if (out->json)
		return;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

static const char *json_text(struct json_object *obj)
{
	return json_object_to_json_string_ext(obj, JSON_C_TO_STRING_SPACED |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
}

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && !strcmp(text + len - end_len, end);
}

static void print_value(const char *key, struct json_object *value)
{
	char *safe;

	if (json_object_is_type(value, json_type_int) && ends_in(key, "offset")) {
		printf("%#llx", (unsigned long long)json_object_get_uint64(value));
		return;
	}
	safe = qc_printable(json_object_get_string(value));
	printf(*safe && !strchr(safe, ' ') ? "%s" : "\"%s\"", safe);
	free(safe);
}

static bool is_in_front(const char *key)
{
	return !strcmp(key, "index") || !strcmp(key, "repeat");
}

static void print_front(struct json_object *record)
{
	struct json_object *value;
	char text[48] = "";
	u64 index, nr = 1;

	if (!json_object_object_get_ex(record, "index", &value))
		return;
	index = json_object_get_uint64(value);
	if (json_object_object_get_ex(record, "repeat", &value))
		nr = json_object_get_uint64(value);
	if (nr > 1)
		snprintf(text, sizeof(text), "%llu-%llu", index, index + nr - 1);
	else
		snprintf(text, sizeof(text), "%llu", index);
	printf(" %*s", INDEX_WIDTH, text);
}

static void print_list(struct json_object *list);

static void print_record(struct json_object *record, int indent)
{
	struct json_object *list = NULL;

	printf("%*s", indent, "");
	print_front(record);
	json_object_object_foreach(record, key, value) {
		if (json_object_is_type(value, json_type_array)) {
			list = value;
			continue;
		}
		if (is_in_front(key))
			continue;
		if (json_object_is_type(value, json_type_boolean)) {
			if (json_object_get_boolean(value))
				printf(" %s", key);
			continue;
		}
		putchar(' ');
		if (strcmp(key, "entry") && strcmp(key, "kind"))
			printf("%s ", key);
		print_value(key, value);
	}
	putchar('\n');
	if (list)
		print_list(list);
}

static void print_list(struct json_object *list)
{
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++)
		print_record(json_object_array_get_idx(list, i), 4);
}

void dump_record(struct dump_out *out, struct json_object *record)
{
	if (out->json)
		put_line(out, qc_strdup(json_text(record)), false, false);
	else
		print_record(record, 0);
	json_object_put(record);
}

void dump_fields(struct dump_out *out, const char *name, struct json_object *fields)
{
	if (out->json && name)
		put_line(out, qc_printf("\"%s\": %s", name, json_text(fields)), false, false);
	json_object_object_foreach(fields, key, value) {
		if (out->json && !name) {
			put_line(out, qc_printf("\"%s\": %s", key, json_text(value)), false, false);
		} else if (!out->json) {
			printf("  %s: ", key);
			print_value(key, value);
			putchar('\n');
		}
	}
	json_object_put(fields);
}
