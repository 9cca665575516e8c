/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another backing file for an image that no other program has open.
 */
#ifndef QCOWCTL_REBASE_H
#define QCOWCTL_REBASE_H

/**
 * struct rebase_options - which backing file
 * @backing: its name, as it is stored in the image; "": the image has none any more
 * @format: "raw", "qcow" or "qcow2", or NULL
 */
struct rebase_options {
	const char *backing;
	const char *format;
};

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
int rebase_names(const char *name, const struct rebase_options *opts);

#endif /* QCOWCTL_REBASE_H */
