// SPDX-License-Identifier: GPL-2.0
/*
 * Lines of text about an image, for the user of the tool. Does not print, does not allocate.
 */
#include <qcow/report.h>

void qcow_report(struct qcow_report *rep, const char *fmt, ...)
{
	va_list args;
	size_t room;
	int len;

	if (!rep || rep->len + 1 >= rep->size)
		return;
	room = rep->size - rep->len;

	va_start(args, fmt);
	len = vsnprintf(rep->buf + rep->len, room, fmt, args);
	va_end(args);
	if (len < 0)
		len = 0;
	rep->len += min_t(size_t, len, room - 1);

	if (rep->len + 1 < rep->size)
		rep->buf[rep->len++] = '\n';
	rep->buf[rep->len] = '\0';
}
