// SPDX-License-Identifier: GPL-2.0
/*
 * Log lines of the I/O path. Each image has a rate limit of its own, so that a bad one does
 * not silence the others; the kernel says in the log how many lines the limit held back.
 */

#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "message.h"

void qcow_message(const struct qcow_image *image, const char *fmt, ...)
{
	/* To count a line does not change the image: callers hold it as const. */
	struct ratelimit_state *limit = (struct ratelimit_state *)&image->messages;
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	if (!__ratelimit(limit))
		return;
	va_start(args, fmt);
	vaf.va = &args;
	pr_err("%s: %pV\n", image->name, &vaf);
	va_end(args);
}

void qcow_message_flaw(const struct qcow_image *image, const struct qcow_flaw *flaw)
{
	qcow_message(image, "%s 0x%llx: %s 0x%llx", flaw->table, flaw->entry, flaw->what,
		     flaw->value);
}
