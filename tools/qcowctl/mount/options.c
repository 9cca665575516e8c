// SPDX-License-Identifier: GPL-2.0
/*
 * The options of a mount: which of them are about the image, and which about the file system.
 */
#include <libmount.h>

#include "mount/mount.h"

/* In front of an option of attach whose name file systems have, too; any of them may have it. */
#define PREFIX "qcow-"

#define MAX_PARTITION 65535

void mount_init(struct mount_request *m)
{
	*m = (struct mount_request) { 0 };
	attach_init(&m->attach);
}

void mount_free(struct mount_request *m)
{
	while (m->nr_values)
		free(m->values[--m->nr_values]);
	free(m->values);
	free(m->options);
	attach_free(&m->attach);
}

/* btrfs has options of these names, and most file systems have the first. */
static bool is_of_file_systems(const char *name)
{
	return !strcmp(name, "discard") || !strcmp(name, "compress") || !strcmp(name, "device");
}

/* The option of attach, or NULL: it is another's. */
static const struct option *find_attach_option(const char *name)
{
	const struct option *option;

	if (!strncmp(name, PREFIX, strlen(PREFIX)))
		name += strlen(PREFIX);
	else if (is_of_file_systems(name))
		return NULL;
	for (option = attach_options; option->name; option++)
		if (option->val != 'h' && option->val != 'q' && option->val != 'r' &&
		    !strcmp(option->name, name))
			return option;
	return NULL;
}

int mount_set_partition(struct mount_request *m, const char *text)
{
	if (qc_parse_u32(text, MAX_PARTITION, &m->partition) || !m->partition)
		return qc_fail(QC_USAGE, "partition", "'%s' is no number from 1 to %u", text,
			       MAX_PARTITION);
	return 0;
}

void mount_set_read_only(struct mount_request *m)
{
	m->read_only = true;
	m->attach.arg.flags |= QCOW_ATTACH_READ_ONLY;
}

static int set_attach_option(struct mount_request *m, const struct option *option,
			     const char *value)
{
	if (value && option->has_arg == no_argument)
		return qc_fail(QC_USAGE, option->name, "takes no value");
	if (!value && option->has_arg == required_argument)
		return qc_fail(QC_USAGE, option->name, "needs a value");
	return attach_set_option(&m->attach, option->val, value);
}

/* @text: as it has been given, with its value. */
static int add_option(struct mount_request *m, const char *name, const char *value,
		      const char *text)
{
	const struct option *option = find_attach_option(name);

	if (option)
		return set_attach_option(m, option, value);
	if (!strcmp(name, "partition"))
		return mount_set_partition(m, value ? value : "");
	if (!strcmp(name, "root") && !value) {
		m->root = true;
		return 0;
	}
	if (!strcmp(name, "ro"))
		m->attach.arg.flags |= QCOW_ATTACH_READ_ONLY;
	else if (!strcmp(name, "rw") && !m->read_only && !m->attach.snapshot)
		m->attach.arg.flags &= ~QCOW_ATTACH_READ_ONLY;
	else if (!strcmp(name, "remount"))
		m->remount = true;
	else if (!strcmp(name, "nofail"))
		m->nofail = true;
	if (mnt_optstr_append_option(&m->options, text, NULL))
		return qc_fail(QC_SYSTEM, "-o", "out of memory");
	return 0;
}

/* One with commas is in quotation marks. Return: it stays as long as the request. */
static const char *keep_value(struct mount_request *m, const char *value, size_t len)
{
	bool quoted = len >= 2 && value[0] == '"' && value[len - 1] == '"';
	char *copy = quoted ? qc_strndup(value + 1, len - 2) : qc_strndup(value, len);

	m->values = qc_grow(m->values, m->nr_values + 1, sizeof(*m->values));
	m->values[m->nr_values++] = copy;
	return copy;
}

int mount_add_options(struct mount_request *m, const char *text)
{
	char *all = qc_strdup(text), *rest = all, *name, *value;
	size_t name_len, value_len;
	int err = 0, ret;

	while (!err && !(ret = mnt_optstr_next_option(&rest, &name, &name_len, &value,
						      &value_len))) {
		char *key = qc_strndup(name, name_len);
		char *whole = qc_strndup(name, value ? (size_t)(value - name) + value_len :
						       name_len);

		err = add_option(m, key, value ? keep_value(m, value, value_len) : NULL, whole);
		free(whole);
		free(key);
	}
	if (!err && ret < 0)
		err = qc_fail(QC_USAGE, "-o", "'%s' are no options", text);
	free(all);
	return err;
}

int mount_check_options(struct mount_request *m)
{
	/* The image is attached already. */
	if (m->remount)
		return 0;
	if (m->partition && m->root)
		return qc_fail(QC_USAGE, "partition", "a number and the root exclude each other");
	/* Also where a snapshot is mounted. */
	if (m->attach.arg.flags & QCOW_ATTACH_READ_ONLY &&
	    mnt_optstr_append_option(&m->options, "ro", NULL))
		return qc_fail(QC_SYSTEM, "-o", "out of memory");
	return attach_check_options(&m->attach);
}
