// SPDX-License-Identifier: GPL-2.0
/*
 * The new backing file of an image: its name, and the files.
 */
#include <qcow/head.h>

#include "rebase/backing.h"
#include "shadow/shadow.h"

int backing_check(const struct image *img, const struct rebase_options *opts)
{
	const struct qcow_header *h = &img->h;
	bool has_name = *opts->backing;

	QC_REPORT(rep);
	if (has_name && !opts->format && h->version > 1) {
		qc_fail(0, "rebase", "the format of '%s' is not stated, and it is not guessed",
			opts->backing);
		qc_hint("-F raw|qcow|qcow2");
		return QC_USAGE;
	}
	if (has_name && h->autoclear & QCOW_AUTOCLEAR_RAW_DATA_FILE)
		return qc_fail(QC_UNSUPPORTED, img->name,
			       "has a raw external data file, and can have no backing file");
	if (qcow_backing_check_name(opts->backing, &rep)) {
		qc_lines(img->name, rep.buf);
		return QC_USAGE;
	}
	return shadow_check_marks(img);
}

int backing_open(struct chain *next, const struct rebase_options *opts)
{
	const char *name = opts->backing;
	struct chain_options chain = {
		.policy = opts->chain.policy, .backing_format = opts->old_format,
		.lock = IMAGE_LOCK_READ,
	};
	char *path;
	int err;

	if (!*name)
		return 0;
	if (!strncmp(name, "file:/", 6))
		name += 5;
	else if (path_has_protocol(name))
		return qc_fail(QC_POLICY, "--backing",
			       "'%s' has a protocol, only files are opened", name);
	path = policy_combine(next->images[0].name, name);
	err = chain_rebase(next, path, opts->format, &chain);
	free(path);
	if (!err && opts->file && !image_same_file(&next->images[1].st, opts->file))
		err = qc_fail(QC_BUSY, next->images[1].name,
			      "is another file than the layers led to a moment ago");
	return err;
}

void backing_warn_snapshots(const struct image *img, const struct rebase_options *opts)
{
	if (opts->quiet || !img->h.nr_snapshots || (!img->backing && !*opts->backing))
		return;
	qc_warn(img->name, "what its snapshots (%u) do not have themselves %s from now on",
		img->h.nr_snapshots,
		*opts->backing ? "is read from the new backing file" : "reads as zeros");
}
