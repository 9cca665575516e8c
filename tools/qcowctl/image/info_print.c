// SPDX-License-Identifier: GPL-2.0
/*
 * The description of an image as text for people: the JSON tree as aligned lines.
 */
#include <time.h>

#include "image/info.h"

#define LABEL_WIDTH 18

static const char *string_of(struct json_object *obj, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(obj, key, &value) ? json_object_get_string(value) : NULL;
}

static u64 number_of(struct json_object *obj, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(obj, key, &value) ? json_object_get_uint64(value) : 0;
}

static void print_text(const char *s)
{
	char *safe = qc_printable(s);

	fputs(safe, stdout);
	free(safe);
}

static void print_line(const char *label, const char *text)
{
	printf("%*s: ", LABEL_WIDTH, label);
	print_text(text);
	putchar('\n');
}

static void print_string(struct json_object *info, const char *key, const char *label)
{
	const char *text = string_of(info, key);

	if (text)
		print_line(label, text);
}

static void print_size(struct json_object *info, const char *key, const char *label)
{
	char human[32];
	u64 bytes = number_of(info, key);

	printf("%*s: %s (%llu bytes)\n", LABEL_WIDTH, label,
	       qc_human_size(bytes, human, sizeof(human)), bytes);
}

static void print_snapshots(struct json_object *info)
{
	struct json_object *list;
	size_t i;

	if (!json_object_object_get_ex(info, "snapshots", &list))
		return;
	printf("%*s:\n", LABEL_WIDTH, "snapshots");
	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *snap = json_object_array_get_idx(list, i);
		time_t when = number_of(snap, "date-sec");
		char date[32] = "?", human[32];
		struct tm tm;

		if (localtime_r(&when, &tm))
			strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
		printf("%*s  ", LABEL_WIDTH, "");
		print_text(string_of(snap, "id"));
		printf("  %s  VM state %s  ", date,
		       qc_human_size(number_of(snap, "vm-state-size"), human, sizeof(human)));
		print_text(string_of(snap, "name"));
		putchar('\n');
	}
}

static void print_slots(struct json_object *list)
{
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *slot = json_object_array_get_idx(list, i);
		char label[32];

		snprintf(label, sizeof(label), "key slot %zu", i);
		printf("%*s: key offset %llu", LABEL_WIDTH, label, number_of(slot, "key-offset"));
		if (number_of(slot, "iters"))
			printf(", active, iters %llu, stripes %llu", number_of(slot, "iters"),
			       number_of(slot, "stripes"));
		putchar('\n');
	}
}

static void print_encryption(struct json_object *encrypt)
{
	print_string(encrypt, "format", "encrypt");
	json_object_object_foreach(encrypt, key, value) {
		if (json_object_is_type(value, json_type_array))
			print_slots(value);
		else if (strcmp(key, "format"))
			print_line(key, json_object_get_string(value));
	}
}

/* The keys of QEMU are the labels. */
static void print_data(struct json_object *data)
{
	json_object_object_foreach(data, key, value) {
		if (json_object_is_type(value, json_type_object)) {
			print_encryption(value);
		} else if (json_object_is_type(value, json_type_array)) {
			size_t i;

			for (i = 0; i < json_object_array_length(value); i++)
				print_string(json_object_array_get_idx(value, i), "name",
					     "bitmap");
		} else {
			print_line(key, json_object_get_string(value));
		}
	}
}

void info_print(struct json_object *info)
{
	struct json_object *specific, *data;

	print_string(info, "filename", "image");
	print_string(info, "format", "format");
	print_size(info, "virtual-size", "virtual size");
	print_size(info, "actual-size", "size on disk");
	if (number_of(info, "cluster-size"))
		print_size(info, "cluster-size", "cluster size");
	print_string(info, "backing-filename", "backing file");
	print_string(info, "full-backing-filename", "full name of it");
	print_string(info, "backing-filename-format", "format of it");
	if (string_of(info, "encrypted"))
		print_line("encrypted", "true");
	print_line("dirty", string_of(info, "dirty-flag"));
	if (json_object_object_get_ex(info, "format-specific", &specific) &&
	    json_object_object_get_ex(specific, "data", &data))
		print_data(data);
	print_snapshots(info);
}
