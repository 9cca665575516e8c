/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every file of qcowctl shares: exit codes, messages, memory that does not fail,
 * the commands.
 */
#ifndef QCOWCTL_H
#define QCOWCTL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qcow/types.h>
#include <qcow/report.h>

#define QCOWCTL_VERSION "0.1"

/**
 * enum qc_exit - exit status of the command; the man page documents them
 * @QC_OK: done
 * @QC_USAGE: the command line is wrong
 * @QC_SYSTEM: the system refused: I/O error, permission, memory
 * @QC_NOT_QCOW: the file is no QCOW image at all
 * @QC_BAD_IMAGE: a QCOW image that is damaged or contradicts itself
 * @QC_UNSUPPORTED: a valid image with a feature that is not supported
 * @QC_BUSY: the device is in use, or somebody else holds the image
 * @QC_POLICY: a file that the image names may not be opened
 * @QC_NO_DRIVER: the driver is not there and could not be loaded
 * @QC_NOT_FOUND: no such device, image or snapshot
 *
 * Functions that can fail return one of these, 0 for success, and have said why.
 */
enum qc_exit {
	QC_OK = 0,
	QC_USAGE = 1,
	QC_SYSTEM = 2,
	QC_NOT_QCOW = 3,
	QC_BAD_IMAGE = 4,
	QC_UNSUPPORTED = 5,
	QC_BUSY = 6,
	QC_POLICY = 7,
	QC_NO_DRIVER = 8,
	QC_NOT_FOUND = 9,
};

/**
 * qc_fail() - say what is wrong
 * @code: exit code, returned as it is
 * @subject: image, device or option that the message is about, or NULL
 * @fmt: lower case, no full stop, no line feed
 *
 * Return: @code
 */
__printf(3, 4) int qc_fail(int code, const char *subject, const char *fmt, ...);

/**
 * qc_parse_output() - the argument of --output
 * @text: it
 * @json: whether it is json, not human
 *
 * Return: 0, or QC_USAGE after a message.
 */
int qc_parse_output(const char *text, bool *json);

/* qc_fail() with ": strerror(err)" at the end; @err is positive. */
__printf(4, 5) int qc_fail_errno(int code, int err, const char *subject,
				 const char *fmt, ...);

/* A second line that says what to try. */
__printf(1, 2) void qc_hint(const char *fmt, ...);

/* A line that is no error. */
__printf(2, 3) void qc_warn(const char *subject, const char *fmt, ...);

/* Every line of @text as a message about @subject; false when there was no line. */
bool qc_lines(const char *subject, const char *text);

/* Memory; the process ends with QC_SYSTEM when there is none. */
void *qc_alloc(size_t bytes);			/* zeroed */
void *qc_grow(void *old, size_t nr, size_t each);
char *qc_strndup(const char *s, size_t len);
char *qc_strdup(const char *s);
__printf(1, 2) char *qc_printf(const char *fmt, ...);

#define QC_REPORT_BYTES 8192

/* A report of the pure format code, on the stack: QC_REPORT(rep); ... qc_lines(name, rep.buf) */
#define QC_REPORT(rep)						\
	char rep##_text[QC_REPORT_BYTES] = "";			\
	struct qcow_report rep = { .buf = rep##_text, .size = sizeof(rep##_text) }

/**
 * struct qc_command - one command of qcowctl
 * @name: as typed
 * @summary: one line for the global help
 * @help: the command's own help
 * @run: argv[0] is the command's name; returns enum qc_exit
 */
struct qc_command {
	const char *name;
	const char *summary;
	const char *help;
	int (*run)(const struct qc_command *cmd, int argc, char **argv);
};

extern const struct qc_command qc_attach;
extern const struct qc_command qc_create;
extern const struct qc_command qc_detach;
extern const struct qc_command qc_list;
extern const struct qc_command qc_info;
extern const struct qc_command qc_map;
extern const struct qc_command qc_check;

/* After a wrong option: says where help is, returns QC_USAGE. */
int qc_usage(const struct qc_command *cmd);
/* --help: to stdout, returns QC_OK. */
int qc_help(const struct qc_command *cmd);

/**
 * qc_parse_size() - "4096", "64K", "1MiB", "2G", "10MB"
 * @text: decimal, then K, M, G, T, P, E (powers of 1024; also with iB) or KB, MB (of 1000)
 * @bytes: result
 *
 * Return: 0, or -EINVAL, or -ERANGE when 64 bits do not hold it.
 */
int qc_parse_size(const char *text, u64 *bytes);

/* A number without sign or suffix, at most @max; 0, -EINVAL or -ERANGE. */
int qc_parse_u32(const char *text, u32 max, u32 *value);

/* "1.5G" into @buf, which it returns. */
const char *qc_human_size(u64 bytes, char *buf, size_t len);

#endif /* QCOWCTL_H */
