/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The layers that are in memory, of all devices: a read-only one is there once, however many
 * chains contain it.
 *
 * The identity of a layer is its file (and that of its data), the state that is shown, how it is
 * read, and the layer below it. So it is the head of a chain that is the same for every device, and
 * mapping goes down from layer to layer without asking which device it is for. A read-only
 * layer is shared; one that is written to belongs to one device, and while it is there its
 * files are in no other layers but its snapshots: what these lead to is not written to.
 */
#ifndef _QCOW_LAYER_H
#define _QCOW_LAYER_H

#include <linux/time64.h>
#include <linux/types.h>

#include "layer/image.h"
#include "store/store.h"

struct qcow_report;
struct workqueue_struct;

/**
 * struct qcow_layer_file - a file of a layer
 * @id: its identity, the inode; NULL: there is no such file
 * @bytes: its length now
 * @mtime: time of its last modification
 *
 * A file whose length or time differs from what it was when the layer was opened has changed
 * under the layer's users. The time of its last status change is not compared: a new name or
 * other permissions do no harm.
 */
struct qcow_layer_file {
	const void *id;
	u64 bytes;
	struct timespec64 mtime;
};

/**
 * struct qcow_layer_params - which layer, and how to open it
 * @image: how; @image.name, @image.raw, @image.writable, @image.snapshot,
 *         @image.digest
 * @file: the image's file
 * @data: its external data file
 * @direct: whether to use direct I/O
 * @backing: the layer below, or NULL
 * @beside: a snapshot of what a device writes to
 * @instead: the same files, read-only, which this layer is to replace if it has the only reference
 *           of that and is to be written to; or NULL
 * @wq: for the stores of a layer that is written to; a shared one has its own
 * @open: opens the stores: @data as well where the layer has one; nothing when it fails
 */
struct qcow_layer_params {
	struct qcow_image_params image;
	struct qcow_layer_file file;
	struct qcow_layer_file data;
	enum qcow_direct direct;
	struct qcow_image *backing;
	bool beside;
	const struct qcow_image *instead;
	struct workqueue_struct *wq;
	int (*open)(const struct qcow_layer_params *p, struct workqueue_struct *wq,
		    struct qcow_store **store, struct qcow_store **data,
		    struct qcow_report *rep);
};

/**
 * qcow_layer_get() - find a layer, open it when it is not there
 * @p: which, and how
 * @rep: says what is wrong with it
 *
 * Of a layer that is there nothing is read. Its cache gets @p->image.cache_bytes if it has
 * less. While another caller opens the layer this one waits for that.
 *
 * The caller's reference of @p->backing is the layer's when this succeeds.
 *
 * Context: process context, may sleep.
 * Return: the layer with a reference for qcow_layer_put(), or ERR_PTR: -EBUSY (it is written
 * to, or is to be and is there); -ENOENT (beside one that is not there); -ESTALE (its file has
 * changed since it was opened, or its header since the caller has read it); -EOPNOTSUPP (no direct
 * I/O); -EKEYREJECTED (another key than that it was opened with); -EINTR (killed while waiting);
 * -ENOMEM; what @p->open and qcow_image_open() return.
 */
struct qcow_image *qcow_layer_get(const struct qcow_layer_params *p, struct qcow_report *rep);

/**
 * qcow_layer_hold() - take another reference of a layer
 * @layer: the caller has one; or NULL
 *
 * Context: process context, may sleep.
 * Return: @layer.
 */
struct qcow_image *qcow_layer_hold(struct qcow_image *layer);

/**
 * qcow_layer_put() - drop a reference of a layer
 * @layer: from qcow_layer_get(), or NULL
 *
 * The last one closes it and drops the reference of the layer below.
 *
 * Context: process context, may sleep.
 */
void qcow_layer_put(struct qcow_image *layer);

/* How a layer is opened again: QCOW_DIRECT_OFF as before, or QCOW_DIRECT_AUTO. */
enum qcow_direct qcow_layer_direct(const struct qcow_image *layer);

/**
 * qcow_layer_stack() - put a layer that is written to on top of another
 * @top: the layer; the reference of one that it has had below is the caller's from now on
 * @below: the caller's reference is that of @top from now on
 *
 * Context: process context; no reader has @top yet, or none is under way in it.
 */
void qcow_layer_stack(struct qcow_image *top, struct qcow_image *below);

/**
 * qcow_layer_replace() - put a layer in the place of another
 * @layer: it has none below
 * @old: it has none below from now on
 *
 * Context: process context; no reader has @layer yet, and none is under way in @old.
 */
void qcow_layer_replace(struct qcow_image *layer, struct qcow_image *old);

/**
 * struct qcow_reopened - what a layer is read from when it is written to no more
 * @name: of it then
 * @store: of the image, not written to
 * @data: of the data file, or NULL
 * @wq: of both
 */
struct qcow_reopened {
	char *name;
	struct qcow_store *store;
	struct qcow_store *data;
	struct workqueue_struct *wq;
};

/**
 * qcow_layer_reopen() - open the files of a layer that is written to once more, to read
 * @p: how: @p->open, @p->direct, and @p->image.name for messages
 * @again: result, for qcow_reopened_destroy()
 * @rep: says what is wrong
 *
 * Context: process context, may sleep.
 * Return: 0, -ENOMEM or what @p->open returned.
 */
int qcow_layer_reopen(const struct qcow_layer_params *p, struct qcow_reopened *again,
		      struct qcow_report *rep);

/* Close what is in it, if anything. Context: process context, may sleep. */
void qcow_reopened_destroy(struct qcow_reopened *again);

/**
 * qcow_layer_end_writing() - read a layer from other stores from now on
 * @layer: written to, and its metadata has been destroyed
 * @again: they; afterwards it has what the layer has had
 *
 * Context: process context; no reader is under way.
 */
void qcow_layer_end_writing(struct qcow_image *layer, struct qcow_reopened *again);

/**
 * qcow_layer_share() - let other chains contain a layer that has been written to
 * @layer: after qcow_layer_end_writing()
 * @file: its file, as it is now
 * @data: its data file, likewise
 *
 * Context: process context.
 */
void qcow_layer_share(struct qcow_image *layer, const struct qcow_layer_file *file,
		      const struct qcow_layer_file *data);

/* Whether it is a snapshot that is open beside the layer that is written to. */
bool qcow_layer_is_beside(const struct qcow_image *image);

/**
 * qcow_layer_begin_change() - open no snapshot of a layer while its snapshots change
 * @image: the layer, written to
 *
 * Context: process context, may sleep.
 * Return: 0 and then qcow_layer_end_change(); -EBUSY: one is just being opened.
 */
int qcow_layer_begin_change(struct qcow_image *image);
void qcow_layer_end_change(struct qcow_image *image);

/**
 * qcow_layer_has_snapshot() - whether a snapshot is open beside the layer it is of
 * @image: the layer, written to
 * @id: of the snapshot, not NUL terminated
 * @len: bytes at @id
 *
 * Context: process context, may sleep; since qcow_layer_begin_change() it does not become so.
 */
bool qcow_layer_has_snapshot(const struct qcow_image *image, const char *id, u32 len);

/* How many layers of a chain other chains contain as well. Context: process context. */
unsigned int qcow_layer_shared(const struct qcow_image *top);

#endif /* _QCOW_LAYER_H */
