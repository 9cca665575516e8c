/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every file of qcowctl shares: exit codes, messages, sizes, memory that does not fail.
 */
#ifndef QCOWCTL_H
#define QCOWCTL_H

#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qcow/types.h>
#include <qcow/report.h>

/**
 * enum qc_exit - exit status of the command; the man page documents them
 * @QC_OK: done
 * @QC_USAGE: the command line is wrong
 * @QC_SYSTEM: the system refused: I/O error, permission, memory
 * @QC_NOT_QCOW: the file is no QCOW image at all
 * @QC_BAD_IMAGE: a QCOW image that is damaged or contradicts itself
 * @QC_UNSUPPORTED: a valid image with a feature that is not supported
 * @QC_BUSY: the device is in use, or another process has the image
 * @QC_POLICY: a file that the image names may not be opened
 * @QC_NO_DRIVER: the driver is not there and could not be loaded
 * @QC_NOT_FOUND: no such device, image, snapshot or bitmap
 * @QC_WRONG_KEY: a passphrase opens no key slot, or a key is not that of the image
 *
 * Functions that can fail return one of these, 0 for success, and have printed a message.
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
	QC_WRONG_KEY = 10,
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
 * qc_fail_errno() - say what is wrong, and which error of the system it is
 * @code: exit code, returned as it is
 * @err: positive errno; its text ends the message
 * @subject: image, device or option that the message is about, or NULL
 * @fmt: lower case, no full stop, no line feed
 *
 * Return: @code
 */
__printf(4, 5) int qc_fail_errno(int code, int err, const char *subject,
				 const char *fmt, ...);

/**
 * qc_hint() - a second line that says what to try
 * @fmt: a command or an option; of conversions it has %u and %s, which is a word of the command:
 *       qc_quote() makes it one
 */
__printf(1, 2) void qc_hint(const char *fmt, ...);

/**
 * qc_warn() - say something that is no error
 * @subject: image or device that the message is about
 * @fmt: lower case, no full stop, no line feed
 */
__printf(2, 3) void qc_warn(const char *subject, const char *fmt, ...);

/**
 * qc_lines() - print every line of a text as a message
 * @subject: image or device that the text is about
 * @text: from the driver or the format code
 *
 * Return: false when there was no line.
 */
bool qc_lines(const char *subject, const char *text);

/**
 * qc_printable() - text that a terminal shows and does not obey
 * @s: from an image, or the name of a file
 *
 * Return: @s with '?' for control characters (C0, DEL, C1, those that turn the direction of text)
 * and for bytes that are no UTF-8; allocated.
 */
char *qc_printable(const char *s);

/**
 * qc_quote() - a word of a shell's command line
 * @s: the word, any bytes
 *
 * Return: @s, quoted where it has to be, without a character that qc_printable() replaces; a name
 * with a dash in front is written ./-; allocated.
 */
char *qc_quote(const char *s);

/**
 * qc_utf8() - decode one character
 * @text: at least one byte
 * @left: bytes at @text
 * @code: result
 *
 * Return: bytes of the character; 0: they are no UTF-8.
 */
size_t qc_utf8(const char *text, size_t left, u32 *code);

/**
 * qc_put_json() - print a JSON text and a line feed to stdout
 * @text: as json-c or libsmartcols made it; control characters that these leave in strings are
 *        escaped, bytes that are no UTF-8 replaced
 *
 * Return: false when it could not be written.
 */
bool qc_put_json(const char *text);

/* signals.c */

/**
 * qc_ending_signals() - the signals by which a user or the system ends a command
 * @set: result: SIGHUP, SIGINT, SIGQUIT, SIGTERM
 */
void qc_ending_signals(sigset_t *set);

/**
 * qc_hold_signals() - from now on those of qc_ending_signals() wait
 * @before: result, for qc_release_signals()
 *
 * For what takes a moment, and would leave a file behind if the process ended in it.
 */
void qc_hold_signals(sigset_t *before);

/**
 * qc_release_signals() - the process may end again, and does if one of them has come meanwhile
 * @before: from qc_hold_signals()
 */
void qc_release_signals(const sigset_t *before);

/* Memory; the process ends with QC_SYSTEM when there is none. */
void *qc_alloc(size_t bytes);			/* zeroed */
void *qc_grow(void *old, size_t nr, size_t each);
char *qc_strndup(const char *s, size_t len);
char *qc_strdup(const char *s);
__printf(1, 2) char *qc_printf(const char *fmt, ...);

/* Whether memory is all zeros; @len: bytes, at least one. */
bool qc_is_zero(const void *buf, size_t len);

#define QC_REPORT_BYTES 8192

/* A report for the format code, on the stack: QC_REPORT(rep); ... qc_lines(name, rep.buf) */
#define QC_REPORT(rep)						\
	char rep##_text[QC_REPORT_BYTES] = "";			\
	struct qcow_report rep = { .buf = rep##_text, .size = sizeof(rep##_text) }

/**
 * qc_parse_size() - a size, as qemu-img takes it: "4096", "10m", "1.5G", "0x1000"
 * @subject: option that it is for, or command
 * @text: decimal, then a unit in either case: b, or K, M, G, T, P, E (powers of 1024; also with
 *        iB) or KB, MB, ... (of 1000), of which there may be a fraction, cut off to whole bytes; or
 *        hexadecimal without a unit
 * @bytes: result
 *
 * Return: 0, or QC_USAGE after a message.
 */
int qc_parse_size(const char *subject, const char *text, u64 *bytes);

/* The same of a size, or a rate, that must not be zero. */
int qc_parse_some_size(const char *subject, const char *text, u64 *bytes);

/**
 * qc_parse_u64() - a number without sign or suffix
 * @text: decimal
 * @max: the largest that is accepted
 * @value: result
 *
 * Return: 0, -EINVAL or -ERANGE.
 */
int qc_parse_u64(const char *text, u64 max, u64 *value);

/**
 * qc_parse_u32() - as qc_parse_u64()
 * @text: decimal
 * @max: the largest that is accepted
 * @value: result
 *
 * Return: 0, -EINVAL or -ERANGE.
 */
int qc_parse_u32(const char *text, u32 max, u32 *value);

/**
 * qc_human_size() - a size for people, such as "1.5G"
 * @bytes: the size
 * @buf: gets the text
 * @len: bytes at @buf
 *
 * Return: @buf
 */
const char *qc_human_size(u64 bytes, char *buf, size_t len);

#endif /* QCOWCTL_H */
