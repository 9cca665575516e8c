/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another backing file for an image: one that is attached, or one that no other program has open.
 */
#ifndef QCOWCTL_REBASE_H
#define QCOWCTL_REBASE_H

#include "crypt/keys.h"
#include "image/image.h"
#include "progress/progress.h"

/**
 * struct rebase_options - which backing file
 * @backing: its name, as it is stored in the image; "": the image has none any more
 * @format: "raw", "qcow" or "qcow2", or NULL
 * @file: which file @backing has to be, or NULL
 * @old_format: format of backing files that there are now, and of those below the new one, where
 *              none is stated, or NULL
 * @chain: policy for the files of both chains
 * @job: what it is called while it runs
 * @keys: of encrypted layers, of an image that is attached; of those that there are now the driver
 *        has them
 * @no_compare: what the image does not have itself is copied without a look at the new backing
 *              file; that is one of the layers that there are now, or none
 * @progress: how it is shown, and the limit of its rate
 * @quiet: no warning of snapshots
 */
struct rebase_options {
	const char *backing;
	const char *format;
	const struct stat *file;
	const char *old_format;
	struct chain_options chain;
	const char *job;
	struct key_sources keys;
	bool no_compare;
	struct progress progress;
	bool quiet;
};

/* rebase.c: an image that is not attached */

/**
 * rebase_names() - change the names in the header and nothing else (-u)
 * @name: of the image; no policy restricts it
 * @opts: the names; neither file has to exist
 *
 * When the power fails, the image has the names of before or of afterwards. May block.
 *
 * Return: enum qc_exit; after an error the image is as before, unless the message says that it is
 * not known what is on the disk.
 */
int rebase_names(const char *name, struct rebase_options *opts);

/**
 * rebase_image() - change the backing file, and what is read from the image stays the same
 * @name: as for rebase_names()
 * @opts: the names; no policy restricts the new backing file itself
 *
 * Where old and new backing file differ, the image gets what the old one has. Then the names
 * change. The image is checked first. When the power fails, the same is read from it, with the one
 * backing file or the other. May block.
 *
 * Return: as rebase_names(); after an error, the image may have more of its own.
 */
int rebase_image(const char *name, struct rebase_options *opts);

/* attached.c: one that is */

/**
 * rebase_attached() - have the driver change the backing file of a device
 * @what: name of the device, or of the image: then @opts->backing is relative to its directory
 * @index: of the device
 * @opts: the names; of those that it has the driver has the files, so @old_format is not needed
 * @names_only: as rebase_names() does it; the device goes on with the files that it has
 *
 * May block.
 *
 * Return: enum qc_exit; after an error, the names are the old ones.
 */
int rebase_attached(const char *what, u32 index, struct rebase_options *opts,
		    bool names_only);

/* stream.c */

/**
 * struct stream_options - what is to be copied
 * @base: name of the layer that stays below the image, or NULL: none does
 * @rebase: policy, formats, progress
 */
struct stream_options {
	const char *base;
	struct rebase_options rebase;
};

/**
 * stream() - copy what backing files have into an image, which needs them no more
 * @what: name of a device or of an image
 * @opts: what
 *
 * Done when it has been done already. May block.
 *
 * Return: enum qc_exit; QC_NOT_FOUND: @base is no layer below the image; after an error the chain
 * is as before, and the image may have more of its own.
 */
int stream(const char *what, struct stream_options *opts);

#endif /* QCOWCTL_REBASE_H */
