/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An image and its backing files, opened.
 */
#ifndef QCOWCTL_CHAIN_H
#define QCOWCTL_CHAIN_H

#include <uapi/linux/qcow.h>

#include "image.h"
#include "policy.h"

/**
 * struct chain - layers, the active image first
 */
struct chain {
	struct image *images;
	u32 nr;
};

/**
 * struct chain_options - how to open a chain
 * @policy: further directories
 * @backing_format: for layers whose header states none, or NULL
 * @write: the active image and its data file for writing
 * @top_only: not the backing files
 * @no_data: not the external data files
 */
struct chain_options {
	struct policy policy;
	const char *backing_format;
	bool write;
	bool top_only;
	bool no_data;
};

/* --backing-format FMT */
int chain_set_backing_format(struct chain_options *opts, const char *format);

int chain_open(struct chain *chain, const char *name, const struct chain_options *opts);
void chain_close(struct chain *chain);

/* For the kernel; to be freed by the caller. */
struct qcow_layer *chain_layers(const struct chain *chain);

/* QEMU's image lock on one file; it lives as long as the open file. 0, QC_BUSY, QC_SYSTEM. */
int lock_file(int fd, const char *name, bool write);

/* QEMU's image locks on every file of the chain. */
int lock_chain(const struct chain *chain, bool write);

#endif /* QCOWCTL_CHAIN_H */
