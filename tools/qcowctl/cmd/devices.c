// SPDX-License-Identifier: GPL-2.0
/*
 * What commands that show several devices have in common: which ones, and a table of them.
 */
#include <libsmartcols.h>

#include "cmd/cmd.h"
#include "cmd/devices.h"
#include "driver/driver.h"

/* What is found of all that is named, also when something is not. */
static int find_named(const char *root, char **names, int nr_names, u32 **list, size_t *nr)
{
	int i, err, first = 0;

	*list = NULL;
	*nr = 0;
	for (i = 0; i < nr_names; i++) {
		u32 *found;
		size_t nr_found;

		err = sysfs_find(root, names[i], &found, &nr_found);
		if (nr_found) {
			*list = qc_grow(*list, *nr + nr_found, sizeof(**list));
			memcpy(*list + *nr, found, nr_found * sizeof(**list));
			*nr += nr_found;
		}
		free(found);
		if (!first)
			first = err;
	}
	return first;
}

int devices_find(const char *root, char **names, int nr_names, u32 **list, size_t *nr)
{
	size_t i, nr_named, kept = 0;
	int err = sysfs_devices(root, list, nr);
	u32 *named;

	if (err || !nr_names)
		return err;
	err = find_named(root, names, nr_names, &named, &nr_named);
	for (i = 0; i < *nr; i++)
		if (sysfs_list_has(named, nr_named, (*list)[i]))
			(*list)[kept++] = (*list)[i];
	*nr = kept;
	free(named);
	return err;
}

struct libscols_table *devices_table(bool json)
{
	struct libscols_table *table;

	scols_init_debug(0);
	table = scols_new_table();
	if (!table)
		return NULL;
	scols_table_enable_json(table, json);
	scols_table_set_name(table, "qcowdevices");
	return table;
}

/* libsmartcols leaves nothing to a terminal in a table, but in JSON. */
static bool print_table(struct libscols_table *table, bool json)
{
	char *text;
	bool good;

	if (!json)
		return !scols_print_table(table);
	if (scols_print_table_to_string(table, &text))
		return false;
	good = qc_put_json(text);
	free(text);
	return good;
}

int devices_print(struct libscols_table *table)
{
	bool json = scols_table_is_json(table);

	/* An empty table prints nothing but, in JSON, its name. */
	if ((json || !scols_table_is_empty(table)) && !print_table(table, json))
		return qc_fail(QC_SYSTEM, NULL, "cannot print the table");
	return 0;
}
