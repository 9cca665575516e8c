/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages about an image, for the user of the tool. The format code writes into the caller's
 * buffer; the driver copies it to qcowctl, which prints it.
 */
#ifndef _QCOW_REPORT_H
#define _QCOW_REPORT_H

#include <qcow/types.h>

/**
 * struct qcow_report - lines of text for the user
 * @buf: where they go; always NUL terminated once @size is not 0
 * @size: bytes at @buf
 * @len: bytes used, without the NUL; text that does not fit is cut
 */
struct qcow_report {
	char *buf;
	size_t size;
	size_t len;
};

/**
 * qcow_report() - add one line
 * @rep: the report, or NULL: the line is dropped
 * @fmt: lower case, no full stop, no line feed; names the field and the value
 */
__printf(2, 3) void qcow_report(struct qcow_report *rep, const char *fmt, ...);

/**
 * struct qcow_flaw - what is wrong with one table entry
 * @table: "L1 entry", "L2 entry", ...
 * @entry: value of the whole entry, CPU order
 * @what: "reserved bits", "offset beyond the end of the file", ...
 * @value: the offending part
 *
 * A plain value: the data path produces it without a buffer, and prints or drops it.
 */
struct qcow_flaw {
	const char *table;
	u64 entry;
	const char *what;
	u64 value;
};

#endif /* _QCOW_REPORT_H */
