// SPDX-License-Identifier: GPL-2.0
/*
 * Text out of images and file names on its way to a terminal, a shell or a JSON parser. What a
 * terminal could take for a command is not printed as it is: control characters in all their
 * forms, what changes the direction of text, bytes that are no UTF-8.
 */
#include <ctype.h>

#include "qcowctl.h"

#define REPLACEMENT 0xfffdU

size_t qc_utf8(const char *text, size_t left, u32 *code)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len, i;

	*code = *s;
	if (*s < 0x80)
		return 1;
	if (*s < 0xc2 || *s > 0xf4)
		return 0;
	len = *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;
	if (len > left)
		return 0;
	*code &= 0x7f >> len;
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (s[i] & 0x3f);
	}
	/* Overlong forms, surrogates, beyond U+10FFFF. */
	if (*code < (len == 2 ? 0x80U : len == 3 ? 0x800U : 0x10000U) ||
	    (*code >= 0xd800 && *code <= 0xdfff) || *code > 0x10ffff)
		return 0;
	return len;
}

/* C0, DEL, C1, and of the format characters those that move text and lines. */
static bool is_control(u32 code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x61c ||
	       code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}

/* Length of the character at @s, 0: a terminal must not get it. */
static size_t printable(const char *s, size_t left)
{
	u32 code;
	size_t len = qc_utf8(s, left, &code);

	return len && !is_control(code) ? len : 0;
}

char *qc_printable(const char *s)
{
	size_t left = strlen(s), to = 0, len;
	char *out = qc_alloc(left + 1);

	for (; left; s += len, left -= len) {
		len = printable(s, left);
		if (len) {
			memcpy(out + to, s, len);
			to += len;
		} else {
			out[to++] = '?';
			len = 1;
		}
	}
	return out;
}

/* A word that a shell takes as it is. */
static bool is_plain_word(const char *s)
{
	if (!*s || *s == '-')
		return false;
	for (; *s; s++)
		if ((*s & 0x80) || (!isalnum(*s) && !strchr("_@%+=:,./-", *s)))
			return false;
	return true;
}

static bool all_printable(const char *s)
{
	size_t left = strlen(s), len;

	for (; left; s += len, left -= len) {
		len = printable(s, left);
		if (!len)
			return false;
	}
	return true;
}

char *qc_quote(const char *s)
{
	bool escape = !all_printable(s);
	char *out, *p;

	if (is_plain_word(s))
		return qc_strdup(s);
	/* The longest that a byte becomes is \ooo, or '\'' . */
	out = qc_alloc(4 * strlen(s) + 6);
	p = out;
	p += sprintf(p, "%s'%s", escape ? "$" : "", *s == '-' ? "./" : "");
	for (; *s; s++) {
		unsigned char c = *s;

		if (escape && (c < 0x20 || c >= 0x7f))
			p += sprintf(p, "\\%03o", c);
		else if (escape && (c == '\'' || c == '\\'))
			p += sprintf(p, "\\%c", c);
		else if (c == '\'')
			p = stpcpy(p, "'\\''");
		else
			*p++ = c;
	}
	stpcpy(p, "'");
	return out;
}

bool qc_put_json(const char *text)
{
	size_t left = strlen(text), len;
	u32 code = 0;

	for (; left; text += len, left -= len) {
		len = qc_utf8(text, left, &code);
		if (!len) {
			code = REPLACEMENT;
			len = 1;
		} else if (code < 0x20 || !is_control(code)) {
			/* Control characters that JSON knows are between its strings. */
			fwrite(text, len, 1, stdout);
			continue;
		}
		printf("\\u%04x", code);
	}
	if (code != '\n')
		putchar('\n');
	return !ferror(stdout);
}
