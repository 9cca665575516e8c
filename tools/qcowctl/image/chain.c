// SPDX-License-Identifier: GPL-2.0
/*
 * Opens an image and its backing files, layer by layer. policy.c decides which files may be
 * opened; no format is ever probed from content.
 */
#include <errno.h>
#include <sys/resource.h>

#include <uapi/linux/qcow.h>

#include "image/image.h"

/* A layer has up to two files and a directory open; the soft limit is often 1024. */
static void raise_file_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) || lim.rlim_cur == lim.rlim_max)
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}

static struct image *chain_add(struct chain *chain)
{
	struct image *img;

	chain->images = qc_grow(chain->images, chain->nr + 1, sizeof(*chain->images));
	img = &chain->images[chain->nr++];
	image_init(img);
	return img;
}

static bool is_qcow_format(const char *format)
{
	return !strcmp(format, "qcow") || !strcmp(format, "qcow2");
}

int chain_set_backing_format(struct chain_options *opts, const char *format)
{
	if (strcmp(format, "raw") && !is_qcow_format(format))
		return qc_fail(QC_USAGE, "--backing-format", "'%s' is none of raw, qcow, qcow2",
			       format);
	opts->backing_format = format;
	return 0;
}

int chain_add_backing(struct chain_options *opts, const char *arg)
{
	size_t digits = strspn(arg, "0123456789");
	struct other_backing other = { .name = arg };

	if (digits && arg[digits] == '=') {
		char *layer = qc_strndup(arg, digits);
		int err = qc_parse_u32(layer, QCOW_MAX_LAYERS - 1, &other.layer);

		free(layer);
		if (err)
			return qc_fail(QC_USAGE, "--backing", "'%s': no chain has so many layers",
				       arg);
		other.name += digits + 1;
	}
	if (!*other.name)
		return qc_fail(QC_USAGE, "--backing", "'%s' names no file", arg);
	opts->backings = qc_grow(opts->backings, opts->nr_backings + 1, sizeof(*opts->backings));
	opts->backings[opts->nr_backings++] = other;
	return 0;
}

void chain_options_free(struct chain_options *opts)
{
	policy_free(&opts->policy);
	free(opts->backings);
	opts->backings = NULL;
	opts->nr_backings = 0;
}

/* The backing file that the user named for a layer; the last word counts. NULL: the image's. */
static const char *other_backing(const struct chain_options *opts, u32 layer)
{
	size_t i;

	for (i = opts->nr_backings; i--;)
		if (opts->backings[i].layer == layer)
			return opts->backings[i].name;
	return NULL;
}

/*
 * The format of the backing file of @by, or NULL after a message. As in QEMU, the header beats the
 * name; but what it says of another file than the user's is only the best guess about that.
 */
static const char *backing_format(const struct image *by, const struct file_name *name,
				  const char *other, const struct chain_options *opts, int *err)
{
	const char *format = by->backing_format;

	if (other && opts->backing_format)
		format = opts->backing_format;
	if (!format)
		format = name->format ? name->format : opts->backing_format;
	if (!format) {
		qc_fail(0, by->name,
			"the format of its backing file '%s' is not stated, and it is not guessed",
			other ? other : by->backing);
		if (by->h.version == 1 || other)
			qc_hint("--backing-format raw|qcow|qcow2");
		else
			qc_hint("qcowctl rebase -u -F FMT -b %s %s, or --backing-format FMT",
				by->backing, by->name);
		*err = QC_POLICY;
		return NULL;
	}
	if (!image_is_raw_format(format) && !is_qcow_format(format)) {
		*err = qc_fail(QC_UNSUPPORTED, by->name,
			       "its backing file '%s' is of format '%s': only raw, qcow and qcow2 are supported",
			       other ? other : by->backing, format);
		return NULL;
	}
	return format;
}

static int check_format(const struct image *by, const struct image *img, const char *format)
{
	bool wants_v1 = !strcmp(format, "qcow");
	bool is_v1 = img->h.version == 1;

	if (wants_v1 == is_v1)
		return 0;
	return qc_fail(QC_BAD_IMAGE, img->name, "is QCOW version %u, but %s states '%s' for it",
		       img->h.version, by->name, format);
}

/* What a file is in the layers above the last one, or NULL. */
static const char *find_above(const struct chain *chain, const struct stat *st)
{
	u32 i;

	for (i = 0; i + 1 < chain->nr; i++) {
		const struct image *img = &chain->images[i];

		if (image_same_file(&img->st, st))
			return img->name;
		if (img->data_fd >= 0 && image_same_file(&img->data_st, st))
			return img->data_path;
	}
	return NULL;
}

/* Whether the last layer, or its data file, is in the chain already. */
static int check_loop(const struct chain *chain, const char *what, const char *name,
		      const struct stat *st)
{
	const char *above = find_above(chain, st);

	if (!above)
		return 0;
	return qc_fail(QC_BAD_IMAGE, chain->images[chain->nr - 2].name,
		       "its backing file%s '%s' is already in the chain, as %s: a loop", what, name,
		       above);
}

static enum image_lock backing_lock(const struct chain_options *opts)
{
	switch (opts->lock) {
	case IMAGE_LOCK_WRITE:
	case IMAGE_LOCK_BESIDE:
		return IMAGE_LOCK_READ;
	default:
		return opts->lock;
	}
}

/* Of a file that is locked. */
static int read_layer(struct image *img, const struct chain_options *opts, bool write,
		      enum image_lock lock)
{
	int err = image_read_header(img);

	/* The driver says it of an image that is to be written to. */
	if (!err && !write)
		image_warn_cut(img);
	if (!err && img->backing_lost && !opts->top_only)
		err = QC_BAD_IMAGE;
	if (err || opts->no_data || !(img->h.incompatible & QCOW_INCOMPAT_DATA_FILE))
		return err;
	err = policy_open_data(&opts->policy, img, write);
	return err ? err : lock_file(img->data_fd, img->data_path, lock);
}

/* Open what @other names, or, where that is NULL, what @name stands for. */
static int open_as(struct chain *chain, const struct file_name *name, const char *other,
		   const struct chain_options *opts)
{
	struct image *img = chain_add(chain), *by = img - 1;
	bool write = opts->write_backing && by == chain->images;
	enum image_lock lock = write ? opts->lock : backing_lock(opts);
	const char *format;
	int err = 0;

	format = backing_format(by, name, other, opts, &err);
	if (!format)
		return err;
	if (other)
		err = policy_open_named(img, other, write);
	else
		err = policy_open_backing(&opts->policy, by, name->path, write, img);
	directory_close(&by->dir);
	if (!err)
		err = check_loop(chain, "", img->name, &img->st);
	if (!err)
		err = lock_file(img->fd, img->name, lock);
	if (err)
		return err;

	img->raw = image_is_raw_format(format);
	if (img->raw)
		return 0;
	err = read_layer(img, opts, write, lock);
	if (!err && img->data_fd >= 0)
		err = check_loop(chain, "'s data file", img->data_path, &img->data_st);
	if (err == QC_NOT_QCOW) {
		/* QC_NOT_QCOW tells about the image that the user named. */
		return qc_fail(QC_BAD_IMAGE, by->name, "states '%s' for it", format);
	}
	return err ? err : check_format(by, img, format);
}

static int open_backing(struct chain *chain, const struct chain_options *opts)
{
	const struct image *by = &chain->images[chain->nr - 1];
	u32 layer = chain->nr - 1;
	const char *other = other_backing(opts, layer);
	struct file_name name = { 0 };
	int err = 0;

	if (chain->nr == QCOW_MAX_LAYERS)
		return qc_fail(QC_UNSUPPORTED, chain->images[0].name,
			       "more than %u layers in its backing chain", QCOW_MAX_LAYERS);
	if (!other)
		err = name_parse(by, "backing file", by->backing, &name);
	if (!err)
		err = open_as(chain, &name, other, opts);
	if (err == QC_NOT_FOUND && !other && layer)
		qc_hint("--backing %u=FILE, if it is elsewhere", layer);
	else if (err == QC_NOT_FOUND && !other)
		qc_hint("--backing FILE, if it is elsewhere");
	name_free(&name);
	return err;
}

/* A base that stands on nothing, or below a layer that is not there, is a mistake. */
static int check_backings(const struct chain *chain, const struct chain_options *opts)
{
	size_t i;

	for (i = 0; i < opts->nr_backings; i++) {
		u32 layer = opts->backings[i].layer;

		if (layer + 1 < chain->nr)
			continue;
		if (layer < chain->nr)
			return qc_fail(QC_USAGE, chain->images[layer].name,
				       "has no backing file that '%s' could replace",
				       opts->backings[i].name);
		return qc_fail(QC_USAGE, "--backing",
			       "'%u=%s': the chain has %u layers, the first is 0", layer,
			       opts->backings[i].name, chain->nr);
	}
	return 0;
}

/* All below the last layer. */
static int open_below(struct chain *chain, const struct chain_options *opts)
{
	int err = 0;

	while (!err && chain->images[chain->nr - 1].backing)
		err = open_backing(chain, opts);
	return err;
}

int chain_open(struct chain *chain, const char *name, const struct chain_options *opts)
{
	struct image *img;
	int err;

	memset(chain, 0, sizeof(*chain));
	raise_file_limit();
	img = chain_add(chain);
	err = policy_open_named(img, name, opts->write);
	if (!err)
		err = lock_file(img->fd, img->name, opts->lock);
	if (!err)
		err = read_layer(img, opts, opts->write, opts->lock);
	if (err || opts->top_only)
		return err;
	err = open_below(chain, opts);
	return err ? err : check_backings(chain, opts);
}

int chain_rebase(struct chain *chain, const char *name, const char *format,
		 const struct chain_options *opts)
{
	const struct file_name none = { 0 };
	struct chain_options named = *opts;
	int err;

	named.backing_format = format;
	err = open_as(chain, &none, name, &named);

	return err ? err : open_below(chain, opts);
}

int chain_open_attached(struct chain *chain, const struct image *by, const char *name,
			const char *format, const struct policy *policy)
{
	const struct chain_options options = { .policy = *policy, .top_only = true };
	struct image *img;
	int err;

	memset(chain, 0, sizeof(*chain));
	img = chain_add(chain);
	img->raw = image_is_raw_format(format);
	err = policy_open_attached(policy, by, name, img);
	return err || img->raw ? err : read_layer(img, &options, true, IMAGE_LOCK_NONE);
}

void chain_close(struct chain *chain)
{
	while (chain->nr)
		image_close(&chain->images[--chain->nr]);
	free(chain->images);
	chain->images = NULL;
}

int chain_check_readable(const struct chain *chain, const char *how)
{
	u32 i;

	for (i = 0; i < chain->nr; i++)
		if (image_is_encrypted(&chain->images[i]))
			return qc_fail(QC_UNSUPPORTED, chain->images[i].name,
				       "crypt_method %u: encrypted images are %s",
				       chain->images[i].h.crypt_method, how);
	return 0;
}
