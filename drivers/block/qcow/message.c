// SPDX-License-Identifier: GPL-2.0
/*
 * Log lines of the I/O path. Any context; what the rate limit holds back is counted by
 * the kernel and lost.
 */

#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <qcow/report.h>

#include "layer/image.h"
#include "message.h"

static DEFINE_RATELIMIT_STATE(message_limit, DEFAULT_RATELIMIT_INTERVAL,
			      DEFAULT_RATELIMIT_BURST);

void qcow_message(const struct qcow_image *image, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	if (!__ratelimit(&message_limit))
		return;
	va_start(args, fmt);
	vaf.va = &args;
	if (image->layer)
		pr_err("%s: layer %u: %pV\n", image->name, image->layer, &vaf);
	else
		pr_err("%s: %pV\n", image->name, &vaf);
	va_end(args);
}

void qcow_message_flaw(const struct qcow_image *image, const struct qcow_flaw *flaw)
{
	qcow_message(image, "%s 0x%llx: %s 0x%llx", flaw->table, flaw->entry, flaw->what,
		     flaw->value);
}
