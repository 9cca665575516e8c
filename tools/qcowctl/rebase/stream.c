// SPDX-License-Identifier: GPL-2.0
/*
 * To copy what backing files have into an image is to rebase it onto one of the layers that it
 * stands on, or onto none: all that lies between becomes its own.
 */
#include <errno.h>
#include <sys/stat.h>

#include "driver/driver.h"
#include "rebase/rebase.h"

/* @nr: result, position in the chain. */
static int find_base(const struct chain *chain, const char *base, u32 *nr)
{
	struct stat st;

	if (stat(base, &st))
		return qc_fail_errno(QC_NOT_FOUND, errno, base, "cannot be found");
	for (*nr = 1; *nr < chain->nr; (*nr)++)
		if (image_same_file(&chain->images[*nr].st, &st))
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
	char *file, *combined;
	u32 i;
	int err = 0;

	*name = NULL;
	for (i = 0; i < nr && !err; i++) {
		err = name_parse(&chain->images[i], "backing file", chain->images[i].backing,
				 &part);
		if (!err) {
			/* It is the name of a file, whatever it looks like. */
			file = qc_printf("%s%s", path_has_protocol(part.path) ? "./" : "",
					 part.path);
			combined = *name ? policy_combine(*name, file) : qc_strdup(file);
			free(file);
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
		opts->rebase.file = &chain->images[nr].st;
		opts->rebase.format = layer_format(&chain->images[nr]);
	}
	opts->rebase.backing = name ? name : "";
	if (!err)
		err = rebase_onto(what, index, &opts->rebase);
	free(name);
	return err;
}

/* Only names are read here: what is opened to be copied from is opened and locked later. */
static int stream_named(const char *what, const char *path, const u32 *index,
			struct stream_options *opts)
{
	const struct chain_options options = {
		.policy = opts->rebase.chain.policy, .backing_format = opts->rebase.old_format,
		.no_data = true,
	};
	struct chain chain;
	u64 depth;
	int err = chain_open(&chain, path, &options);

	if (!err && index && sysfs_read_u64("", *index, "qcow/depth", &depth) && depth != chain.nr)
		err = qc_fail(QC_BUSY, path, "names %u layers, and the device has %llu",
			      chain.nr, depth);
	if (!err)
		err = stream_chain(what, index, &chain, opts);
	chain_close(&chain);
	return err;
}

/* Of a device that is to have none left: whatever its layers are called, the driver has them. */
static int stream_all(const char *what, u32 index, struct rebase_options *opts)
{
	u64 depth;

	if (sysfs_read_u64("", index, "qcow/depth", &depth) && depth == 1)
		return 0;
	opts->backing = "";
	return rebase_onto(what, &index, opts);
}

int stream(const char *what, struct stream_options *opts)
{
	char *path = NULL;
	bool attached;
	u32 index;
	int err = sysfs_find_attached(what, "be streamed into", &index, &attached);

	if (!err)
		err = attached_path(what, &path);
	if (!err && attached && !opts->base)
		err = stream_all(what, index, &opts->rebase);
	else if (!err)
		err = stream_named(what, path ? path : what, attached ? &index : NULL, opts);
	free(path);
	return err;
}
