/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages for the person who attached an image. The pure code writes into a caller's
 * buffer; the kernel hands it to qcowctl, qcowctl prints it.
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
 * @rep: the report, or NULL: nobody wants to know
 * @fmt: lower case, no full stop, no line feed; names the field and the value
 */
__printf(2, 3) void qcow_report(struct qcow_report *rep, const char *fmt, ...);

/**
 * struct qcow_flaw - what is wrong with one table entry
 * @table: "L1 entry", "L2 entry", ...
 * @entry: its value as it stands, CPU order
 * @what: "reserved bits", "offset beyond the end of the file", ...
 * @value: the offending part
 *
 * A plain value that the data path can produce without a buffer and print or drop.
 */
struct qcow_flaw {
	const char *table;
	u64 entry;
	const char *what;
	u64 value;
};

#endif /* _QCOW_REPORT_H */
