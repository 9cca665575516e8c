// SPDX-License-Identifier: GPL-2.0
/*
 * To copy what backing files have into an image is to rebase it onto one of the layers that it
 * stands on, or onto none: all that lies between becomes its own.
 */
#include <errno.h>
#include <sys/stat.h>

#include "driver/driver.h"
#include "rebase/rebase.h"

static bool same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* @nr: result, position in the chain. */
static int find_base(const struct chain *chain, const char *base, u32 *nr)
{
	struct stat st;

	if (stat(base, &st))
		return qc_fail_errno(QC_NOT_FOUND, errno, base, "cannot be found");
	for (*nr = 1; *nr < chain->nr; (*nr)++)
		if (same_file(&chain->images[*nr].st, &st))
			return 0;
	return qc_fail(QC_NOT_FOUND, base, "is no backing file of '%s'", chain->images[0].name);
}

static const char *layer_format(const struct image *img)
{
	if (img->raw)
		return "raw";
	return img->h.version == 1 ? "qcow" : "qcow2";
}

/*
 * How the image itself is to name one of the layers: by the names that lead to it, one relative to
 * the other. Allocated.
 */
static int layer_name(const struct chain *chain, u32 nr, char **name)
{
	struct file_name part;
	char *combined;
	u32 i;
	int err = 0;

	*name = NULL;
	for (i = 0; i < nr && !err; i++) {
		err = name_parse(&chain->images[i], "backing file", chain->images[i].backing,
				 &part);
		if (!err) {
			combined = *name ? policy_combine(*name, part.path) : qc_strdup(part.path);
			free(*name);
			*name = combined;
		}
		name_free(&part);
	}
	return err;
}

static int rebase_onto(const char *what, const u32 *index, struct rebase_options *opts)
{
	opts->job = "stream";
	opts->no_compare = true;
	return index ? rebase_attached(what, *index, opts, false) : rebase_image(what, opts);
}

/* @index: of the device, NULL: it is not attached. */
static int stream_chain(const char *what, const u32 *index, const struct chain *chain,
			struct stream_options *opts)
{
	char *name = NULL;
	u32 nr = chain->nr;
	int err = opts->base ? find_base(chain, opts->base, &nr) : 0;

	/* There is nothing between. */
	if (err || chain->nr == 1 || nr == 1)
		return err;
	if (nr < chain->nr) {
		err = layer_name(chain, nr, &name);
		opts->rebase.format = layer_format(&chain->images[nr]);
	}
	opts->rebase.backing = name ? name : "";
	if (!err)
		err = rebase_onto(what, index, &opts->rebase);
	free(name);
	return err;
}

/* Only names are read here: what is opened to be copied from is opened and locked later. */
static int open_names(struct chain *chain, const char *name, const struct rebase_options *opts)
{
	const struct chain_options options = {
		.policy = opts->chain.policy, .backing_format = opts->old_format, .no_data = true,
	};

	return chain_open(chain, name, &options);
}

int stream(const char *what, struct stream_options *opts)
{
	struct chain chain = { 0 };
	char *path = NULL;
	bool attached;
	u32 index;
	int err = sysfs_find_attached(what, "be streamed into", &index, &attached);

	if (!err)
		err = attached_path(what, &path);
	if (!err)
		err = open_names(&chain, path ? path : what, &opts->rebase);
	if (!err)
		err = stream_chain(what, attached ? &index : NULL, &chain, opts);
	chain_close(&chain);
	free(path);
	return err;
}
