// SPDX-License-Identifier: GPL-2.0
/*
 * What a name in an image stands for, as QEMU reads it: a plain file name, "file:" and one, or
 * "json:" and a description of block nodes. A description is followed when it says no more
 * than a name can: a file driver and its file, and a format on them. Any further option could
 * change what is read, so one that has any is refused, as are all other protocols.
 *
 * A relative name in a description is relative to the image, like any other. QEMU takes the
 * current directory there, which no writer of an image can mean.
 */
#include <json-c/json.h>

#include "image/image.h"

enum {
	KEY_DRIVER,
	KEY_FILENAME,
	KEY_FILE_DRIVER,
	KEY_FILE_FILENAME,
	NR_KEYS,
};

static const char *const keys[NR_KEYS] = {
	[KEY_DRIVER] = "driver",
	[KEY_FILENAME] = "filename",
	[KEY_FILE_DRIVER] = "file.driver",
	[KEY_FILE_FILENAME] = "file.filename",
};

/**
 * struct description - a JSON description
 * @values: of @keys, or NULL; the tree's
 * @flaw: why it is not followed, allocated
 */
struct description {
	const char *values[NR_KEYS];
	char *flaw;
};

static bool take(struct description *d, const char *key, struct json_object *value)
{
	unsigned int i;

	for (i = 0; i < NR_KEYS; i++)
		if (!strcmp(keys[i], key))
			break;
	if (i == NR_KEYS || d->values[i] || !json_object_is_type(value, json_type_string) ||
	    strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value)) {
		d->flaw = qc_printf("option '%s'", key);
		return false;
	}
	d->values[i] = json_object_get_string(value);
	return true;
}

/* "file": {"driver": ...} and "file.driver": ... are the same. */
static bool collect(struct description *d, struct json_object *object, const char *prefix)
{
	bool good = true;

	json_object_object_foreach(object, key, value) {
		char *full = qc_printf("%s%s", prefix, key);

		if (!strcmp(full, "file") && json_object_is_type(value, json_type_object))
			good = collect(d, value, "file.");
		else
			good = take(d, full, value);
		free(full);
		if (!good)
			break;
	}
	return good;
}

static bool follow(struct description *d, struct file_name *result)
{
	bool nested = d->values[KEY_FILE_DRIVER] || d->values[KEY_FILE_FILENAME];
	const char *driver = d->values[nested ? KEY_FILE_DRIVER : KEY_DRIVER];
	const char *path = d->values[nested ? KEY_FILE_FILENAME : KEY_FILENAME];

	if (!driver || (strcmp(driver, "file") && strcmp(driver, "host_device")))
		d->flaw = qc_printf("driver '%s'", driver ? driver : "");
	else if (!path || (nested && d->values[KEY_FILENAME]))
		d->flaw = qc_strdup(path ? "two file names" : "no file name");
	if (d->flaw)
		return false;
	result->path = qc_strdup(path);
	if (d->values[KEY_DRIVER])
		result->format = qc_strdup(d->values[KEY_DRIVER]);
	return true;
}

static int parse_json(const struct image *by, const char *what, const char *name,
		      struct file_name *result)
{
	const char *text = name + strlen("json:");
	struct json_tokener *tok = json_tokener_new();
	struct json_object *tree = NULL;
	struct description d = { 0 };

	if (tok)
		tree = json_tokener_parse_ex(tok, text, strlen(text));
	if (!tree || !json_object_is_type(tree, json_type_object) ||
	    text[json_tokener_get_parse_end(tok)])
		d.flaw = qc_strdup("a syntax error");
	else if (collect(&d, tree, ""))
		follow(&d, result);
	if (d.flaw) {
		qc_fail(0, by->name, "%s '%s': a JSON description with %s is not followed", what,
			name, d.flaw);
		qc_hint("give it a plain file name with qcowctl rebase -u -F FORMAT -b FILE %s",
			by->name);
	}
	json_object_put(tree);
	if (tok)
		json_tokener_free(tok);
	free(d.flaw);
	return result->path ? 0 : QC_POLICY;
}

int name_parse(const struct image *by, const char *what, const char *name,
	       struct file_name *result)
{
	memset(result, 0, sizeof(*result));
	if (!strncmp(name, "json:", 5))
		return parse_json(by, what, name, result);
	if (!strncmp(name, "file:/", 6)) {
		name += 5;
	} else if (path_has_protocol(name)) {
		qc_fail(0, by->name, "%s '%s': protocol '%.*s' refused, only files are opened",
			what, name, (int)strcspn(name, ":"), name);
		qc_hint("a file that has a colon in its name is written ./NAME");
		return QC_POLICY;
	}
	result->path = qc_strdup(name);
	return 0;
}

void name_free(struct file_name *name)
{
	free(name->path);
	free(name->format);
	memset(name, 0, sizeof(*name));
}
