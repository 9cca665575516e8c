// SPDX-License-Identifier: GPL-2.0
/*
 * Messages for the user, on stderr, and memory that does not fail.
 */
#include "qcowctl.h"

static void prefix(const char *subject)
{
	char *s;

	fputs("qcowctl: ", stderr);
	if (!subject)
		return;
	s = qc_printable(subject);
	fprintf(stderr, "%s: ", s);
	free(s);
}

static void text(const char *fmt, va_list args)
{
	char *s = NULL, *safe;

	if (vasprintf(&s, fmt, args) < 0)
		return;
	safe = qc_printable(s);
	fputs(safe, stderr);
	free(safe);
	free(s);
}

int qc_fail(int code, const char *subject, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	prefix(subject);
	text(fmt, args);
	fputc('\n', stderr);
	va_end(args);
	return code;
}

int qc_fail_errno(int code, int err, const char *subject, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	prefix(subject);
	text(fmt, args);
	fprintf(stderr, ": %s\n", strerror(err));
	va_end(args);
	return code;
}

void qc_warn(const char *subject, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	prefix(subject);
	fputs("warning: ", stderr);
	text(fmt, args);
	fputc('\n', stderr);
	va_end(args);
}

void qc_hint(const char *fmt, ...)
{
	va_list args;

	char *word;

	va_start(args, fmt);
	fputs("qcowctl: try: ", stderr);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			fputc(*fmt, stderr);
		} else if (*++fmt == 'u') {
			fprintf(stderr, "%u", va_arg(args, u32));
		} else {
			word = qc_quote(va_arg(args, const char *));
			fputs(word, stderr);
			free(word);
		}
	}
	fputc('\n', stderr);
	va_end(args);
}

bool qc_lines(const char *subject, const char *lines)
{
	bool any = false;

	while (*lines) {
		size_t len = strcspn(lines, "\n");

		if (len) {
			qc_fail(0, subject, "%.*s", (int)len, lines);
			any = true;
		}
		lines += len + (lines[len] == '\n');
	}
	return any;
}

static void *check(void *p)
{
	if (!p) {
		fputs("qcowctl: out of memory\n", stderr);
		exit(QC_SYSTEM);
	}
	return p;
}

void *qc_alloc(size_t bytes)
{
	return check(calloc(1, bytes ? bytes : 1));
}

void *qc_grow(void *old, size_t nr, size_t each)
{
	return check(reallocarray(old, nr ? nr : 1, each));
}

bool qc_is_zero(const void *buf, size_t len)
{
	const unsigned char *bytes = buf;

	return !bytes[0] && !memcmp(bytes, bytes + 1, len - 1);
}

char *qc_strndup(const char *s, size_t len)
{
	return check(strndup(s, len));
}

char *qc_strdup(const char *s)
{
	return check(strdup(s));
}

char *qc_printf(const char *fmt, ...)
{
	va_list args;
	char *s = NULL;

	va_start(args, fmt);
	if (vasprintf(&s, fmt, args) < 0)
		s = NULL;
	va_end(args);
	return check(s);
}
