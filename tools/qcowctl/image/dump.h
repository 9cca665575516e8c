/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Output of a dump, record by record, as JSON or as text: what has been said is not kept, since
 * the tables of a large image have millions of entries.
 */
#ifndef QCOWCTL_DUMP_H
#define QCOWCTL_DUMP_H

#include <json-c/json.h>

#include "image/image.h"

/**
 * struct dump_out - where a dump goes
 * @json: as JSON; else as text for people
 * @depth: how many lists and objects are open
 * @pending: JSON: the last line, which gets a comma if another one follows, or NULL
 * @opens: it opens a list or an object
 */
struct dump_out {
	bool json;
	unsigned int depth;
	char *pending;
	bool opens;
};

/**
 * dump_open() - begin a list or an object
 * @out: the output
 * @key: its name, or NULL in a list and for the whole
 * @bracket: "[" or "{"
 *
 * As text there is a line with a title, from dump_title() alone.
 */
void dump_open(struct dump_out *out, const char *key, const char *bracket);

/* End what dump_open() has begun. @bracket: "]" or "}"; the last one ends the output. */
void dump_close(struct dump_out *out, const char *bracket);

/* A line of text that JSON does not have. */
__printf(2, 3) void dump_title(const struct dump_out *out, const char *fmt, ...);

/**
 * dump_record() - one element of a list
 * @out: the output
 * @record: given away. As text it is one line: the keys "index" and "repeat" make the range in
 *          front, the values of "entry" and "kind" need no key; numbers whose key ends in "offset"
 *          are hexadecimal; lists in it have a line for each element
 */
void dump_record(struct dump_out *out, struct json_object *record);

/**
 * dump_fields() - an object with a line for each field as text
 * @out: the output
 * @key: its name; NULL: its fields belong to the object that is open
 * @fields: given away
 */
void dump_fields(struct dump_out *out, const char *key, struct json_object *fields);

#endif /* QCOWCTL_DUMP_H */
